/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * --retry: which failures pass by themselves, and how long to wait. curl's rules, with two
 * differences: an answer that will be asked for again is not written, so that standard output
 * holds one answer; and a server that wants a wait beyond RETRY_AFTER_MAX_S gets none.
 *
 * No clock and no request in here: what happened comes in, a decision goes out.
 */

#include "options.h"

#define RETRY_WAIT_FIRST_MS 1000u
#define RETRY_WAIT_MAX_MS   600000u
#define RETRY_AFTER_MAX_S   21600u /* six hours */

struct retry {
    uint32_t left;
    uint32_t done;
    uint32_t wait_ms; /* before the next try, when the server does not say */
    uint64_t start_us;
};

/* How a try ended. */
struct retry_outcome {
    int exit_code;           /* 0: an answer came */
    int sys_errno;           /* of a failed connection; 0: none */
    bool daemon_leaves;      /* it takes no request any more: its successor will */
    int status;              /* of the answer; 0: none */
    const char *retry_after; /* the field; NULL: none */
    int64_t now_s;           /* Unix time, for a date in it */
    uint64_t now_us;         /* monotonic, as start_us */
};

void retry_start(struct retry *retry, const struct cli_options *options, uint64_t now_us);

/**
 * retry_wait() - whether to try again
 * Return: milliseconds to wait first; -1: this was the last try.
 */
int64_t retry_wait(const struct retry *retry,
                   const struct cli_options *options,
                   const struct retry_outcome *outcome);

/* One more try was decided. */
void retry_count(struct retry *retry, const struct cli_options *options);

/* The seconds of a Retry-After field (RFC 9110 §10.2.3), a number or a date. Return: -1 when it
 * is neither. */
int64_t retry_after_seconds(const char *value, int64_t now_s);
