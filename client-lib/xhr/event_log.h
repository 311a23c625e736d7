/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * --events: every event of a transfer as one line of JSON, in the order it was told. Each line
 * goes out by one write(), so that lines of several programs do not mix.
 */

#include "strbuf.h"
#include "trouble.h"

struct event_log {
    bool on;
    int fd;
    const char *file;    /* NULL: standard error */
    uint64_t request;    /* number of the URL, from 1 */
    struct strbuf line;  /* reused */
    int error;           /* the first -errno of writing, 0 */
    uint64_t data_bytes; /* of this request, so far */
    uint64_t last_us;    /* the time of the last line */
};

/* Return: 0 or EXIT_WRITE with *why filled. */
int event_log_open(struct event_log *log, const char *file, struct trouble *why);
/* The same: what could not be written is told here. */
int event_log_close(struct event_log *log, struct trouble *why);

/* @number: of the URL, from 1. */
void event_log_begin(struct event_log *log,
                     uint64_t number,
                     const char *method,
                     const char *url);
void event_log_retry(struct event_log *log, uint64_t wait_ms, uint64_t left);
void event_log_ready_state(struct event_log *log, const struct xhr_ready_state_event *event);
void event_log_waiting(struct event_log *log, enum xhr_wait_reason reason, uint64_t us);
void event_log_rung(struct event_log *log, const struct xhr_tls_rung *rung, uint64_t us);
void event_log_redirect(struct event_log *log, const struct xhr_redirect *redirect);
/* An answer that is not the last, in the words of event_log_head(). */
void event_log_hop(struct event_log *log, const struct xhr_request *request);
void event_log_head(struct event_log *log, const struct xhr_request *request);
void event_log_data(struct event_log *log, size_t len);
void event_log_progress(struct event_log *log,
                        const char *direction,
                        const struct xhr_progress *progress);

/* Timing, and one of load, error and abort. @error: NULL unless there was one. */
void event_log_end(struct event_log *log,
                   const struct xhr_request *request,
                   const struct xhr_error *error,
                   const struct trouble *trouble);

/* CLOCK_MONOTONIC. */
uint64_t now_us(void);
