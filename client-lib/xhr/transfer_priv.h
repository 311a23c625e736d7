/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * One try of one URL, in four parts: transfer.c has its life and the loop, transfer_request.c
 * makes a request of the command line, transfer_events.c turns what is told into output, and
 * transfer_retry.c decides whether there is another try.
 */

#include <poll.h>

#include "bar.h"
#include "output.h"
#include "retry.h"
#include "transfer.h"

struct transfer {
    struct session *session;
    const struct cli_options *options;
    struct xhr_request *request;
    const char *url; /* as given */
    struct strbuf target;
    size_t index;
    struct output body;
    struct output header; /* of -D */
    struct bar bar;
    struct trouble trouble;
    bool done;
    bool discarding;
    bool by_library;      /* libxhr writes the file of a success */
    bool is_rest_settled; /* who writes what is left of a long body */
    uint64_t discarded_bytes;
    uint64_t discard_by_us;
    uint64_t start_us;
    uint64_t redirect_us;
    struct strbuf hops; /* heads of answers that were not the last, until we know what to do */
    struct retry *retry;
    int64_t again_ms; /* another try after so long; -1: none */
};

/* The first reason stays: a later one must not hide it. */
void transfer_fail(struct transfer *t, const struct trouble *why);
void transfer_fail_status(struct transfer *t);

/* On standard error, beside the result; uses up @text. If nobody can read it, the transfer goes
 * on. */
void transfer_say(struct strbuf *text);

/* What it is to be told of. */
void transfer_callbacks(const struct transfer *t, struct xhr_callbacks *ret);

/* Of libxhr, by -J: when the head is in. */
const char *transfer_choose_path(struct xhr_request *request, void *user);

const char *transfer_method(const struct session *session);

/**
 * transfer_send() - make the request and send it
 * Return: 0; an exit code with *why filled.
 */
int transfer_send(struct transfer *t, struct trouble *why);

/* Sleeps until one of @fds is ready or @ms have passed (-1: no limit), or a signal that ends
 * the program has come in: none is lost between the look at @interrupted and the sleep. */
void transfer_wait_ready(struct pollfd *fds, nfds_t n, int ms);

/* Decides again_ms, with what is known of the try by now; -1 stays what was decided before. */
void transfer_judge_retry(struct transfer *t, int exit_code, int sys_errno);

/* Return: whether there is to be another try. What came of this one is taken back then, as far
 * as it was written. */
bool transfer_retries(struct transfer *t);

/* Says so, and waits. */
void transfer_rest(struct transfer *t);
