/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Somebody outside who is asked while a connection is being made: a client that keeps a private
 * key, say. Connections belong to a key of the pool and to no request, so what a handshake
 * wants to know is asked of the client itself.
 *
 * Whoever asks embeds a struct ask. It ends exactly once: with bytes, or with a failure, which
 * is what the client's refusal, its death, the deadline and an answer that cannot be all come
 * to. An answerer is counted: the pool's keys outlive the client that is in them, and asking
 * somebody who has left is a refusal like any other.
 *
 *   client, in service/:   answerer_new(), answerer_answer() and answerer_refuse() as answers
 *                          come, answerer_leave() when it has gone
 *   key, in pool/:         answerer_ref(), answerer_id() to tell clients apart
 *   handshake, in net/:    ask_start(), ask_cancel()
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/failure.h"
#include "base/map.h"
#include "base/span.h"
#include "loop/loop.h"
#include "loop/timer.h"

struct answerer;

#define ASK_BYTES_MAX        16384U                  /* of a question, and of an answer */
#define ASK_DEADLINE_US      (INT64_C(60) * 1000000) /* a person may have to touch a token */
#define ANSWERER_PENDING_MAX 64                      /* asked at once; more are refused */

enum ask_kind {
    ASK_SIGNATURE, /* scheme and bytes: sign these */
};

struct ask {
    /* Set by whoever asks, and left alone until it has ended. */
    enum ask_kind kind;
    uint64_t handle;  /* the client's own name for what is asked: which of its keys */
    struct span host; /* with whom the connection is made */
    uint16_t port;
    unsigned scheme; /* of ASK_SIGNATURE: RFC 8446 §4.2.3 */
    struct span bytes;
    int64_t deadline_us; /* from ask_start() on; 0: ASK_DEADLINE_US */
    /* Once, from the loop, never from inside ask_start(). @why: NULL, or why there is no
     * answer.
     * @bytes: not empty, borrowed for the call. */
    void (*on_end)(void *owner, struct span bytes, const struct failure *why);
    void *owner;

    /* Ours. Zero: not asked. */
    struct answerer *answerer;
    uint64_t id;
    struct map_node node;
    struct timer deadline;
    struct deferred end; /* with why */
    struct failure why;
};

struct answerer_ops {
    /* Tell the client. Return: 0 or -errno: nobody will answer. */
    int (*send)(void *owner, const struct ask *ask);
    /* It need not answer any more: the deadline has passed, or nobody wants to know. */
    void (*withdraw)(void *owner, const struct ask *ask);
};

MUST_CHECK int answerer_new(struct answerer **ret,
                            struct loop *loop,
                            const struct answerer_ops *ops,
                            void *owner);
struct answerer *answerer_ref(struct answerer *answerer);
struct answerer *answerer_unref(struct answerer *answerer); /* returns NULL; NULL is fine */
DEFINE_CLEANUP(answerer, answerer_unref)

/* Unlike any other's in the daemon's life; never 0. */
uint64_t answerer_id(const struct answerer *answerer);

/* The owner is no more, or sends no more: what was asked is refused, and so is what will be. */
void answerer_leave(struct answerer *answerer);

/**
 * answerer_answer(), answerer_refuse() - what the client said of the ask with @id
 * Return: 0, or -EINVAL when that is not asked (any more): a late answer, or a wrong number.
 */
MUST_CHECK int answerer_answer(struct answerer *answerer, uint64_t id, struct span bytes);
MUST_CHECK int answerer_refuse(struct answerer *answerer, uint64_t id);

/**
 * ask_start() - ask; on_end follows
 * @ask: its upper half set; stays where it is until it has ended or was cancelled
 * Return: 0, or -ENOMEM: nothing follows.
 */
MUST_CHECK int ask_start(struct answerer *answerer, struct ask *ask);

/* on_end is not called any more. One that is not under way is fine. */
void ask_cancel(struct ask *ask);
