/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The daemon's end of a socketpair, played by the test: reads what the library wrote, writes
 * what the test wants the library to read. Nothing blocks: the test turns both ends by hand.
 */

#include <stdbool.h>
#include <stdint.h>

#include "support/test.h"
#include "wire/frame.h"
#include "xhr/xhr.h"
#include "xhrd/v1/envelope.pb-c.h"

struct peer {
    int fd;
    struct xhr_client *client;
    uint8_t *in;
    size_t in_len;
    size_t in_capacity;
    int fds[8]; /* received and not taken yet */
    unsigned n_fds;
    bool bytewise; /* every byte goes by itself, with a dispatch behind each */
    Xhrd__V1__ClientMessage *last;
};

/* A client over a socketpair; says hello unless @mute. */
void peer_init(struct peer *peer, bool mute);
void peer_done(struct peer *peer); /* frees the client, too */
void peer_close(struct peer *peer);

/* Dispatches until nothing moves. */
void peer_turn(struct peer *peer);

/* The next message of the library, or NULL when it has written no whole one. Valid until the
 * next call. */
const Xhrd__V1__ClientMessage *peer_next(struct peer *peer);
/* The same, skipping to one of this kind; fails the test without. */
const Xhrd__V1__ClientMessage *peer_expect(struct peer *peer,
                                           Xhrd__V1__ClientMessage__KindCase kind);
/* What stands in the way of the next OpenRequest; its number. */
uint32_t peer_expect_open(struct peer *peer);
int peer_take_fd(struct peer *peer);

void peer_send_bytes(struct peer *peer, const void *bytes, size_t len);
void peer_send(struct peer *peer, const Xhrd__V1__ServerMessage *message);
void peer_hello(struct peer *peer, uint32_t upload_credit);
void peer_ready_state(struct peer *peer, uint32_t id, Xhrd__V1__ReadyState state);
void peer_waiting(struct peer *peer, uint32_t id, Xhrd__V1__WaitReason reason);
void peer_head(struct peer *peer, uint32_t id, unsigned status);
void peer_body(struct peer *peer, uint32_t id, const void *data, size_t len);
void peer_progress(
    struct peer *peer, uint32_t id, bool upload, uint64_t done, uint64_t total, uint64_t us);
void peer_credit(struct peer *peer, uint32_t id, uint32_t bytes);
void peer_finish(struct peer *peer, uint32_t id, uint64_t body_bytes);
void peer_fail(struct peer *peer, uint32_t id, Xhrd__V1__FailureKind kind);
void peer_redirect(struct peer *peer, uint32_t id, unsigned status, const char *url);
void peer_error(struct peer *peer, Xhrd__V1__SessionError__Kind kind, const char *text);
/* head, HEADERS_RECEIVED, LOADING and a body if there is one, done. */
void peer_answer(struct peer *peer, uint32_t id, unsigned status, const char *body);

/* Writes down what the callbacks were told: "1 2 headers 3 body(5) 4 load". */
struct record {
    char text[4096];
    size_t len;
    char body[512]; /* what on_body was given, its beginning */
    size_t body_len;
    struct xhr_error error;
    double ratio; /* of the last progress */
    /* Called after each event has been written down; may do anything. */
    void (*then)(struct record *record, struct xhr_request *request, const char *event);
    void *arg;
    bool vetoes;
};

extern const struct xhr_callbacks record_callbacks;
extern const struct xhr_callbacks record_streaming_callbacks; /* with on_body */

/* A request with these callbacks, opened: GET http://a.test/. */
struct xhr_request *new_request(struct xhr_client *client,
                                struct record *record,
                                const struct xhr_callbacks *callbacks);
