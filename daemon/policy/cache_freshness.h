/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * How old a stored answer is, how long it is good for, and what may be done with it now
 * (RFC 9111 §4.2, RFC 5861). A private cache: s-maxage and proxy-revalidate are not for us.
 *
 * Pure: the time is a parameter. Wall-clock seconds, for a stored answer outlives the daemon.
 */

#include <stdbool.h>
#include <stdint.h>

#include "http/cache_control.h"
#include "http/headers.h"

#define CACHE_HEURISTIC_MAX_S INT64_C(86400) /* nobody's word is not good for more */
#define CACHE_CLOCK_SLACK_S                                                                    \
    60 /* the clock may step back by so much and nothing is made of it */

/* What there is to judge. Borrowed. */
struct cache_answer {
    unsigned status;
    const struct headers *headers;
    int64_t request_time_s;  /* when it was asked for */
    int64_t response_time_s; /* when its head came */
};

enum cache_verdict {
    CACHE_FRESH,       /* serve it */
    CACHE_STALE_IS_OK, /* serve it: the request said max-stale */
    CACHE_VALIDATE,    /* ask the server whether it is still good */
};

struct cache_judgement {
    enum cache_verdict verdict;
    int64_t age_s;
    int64_t lifetime_s;
    bool serves_on_error; /* stale-if-error, and nothing forbids it */
};

/* §4.2.3, never negative. */
int64_t cache_age_s(const struct cache_answer *answer, int64_t now_s);

/* §4.2.1 and §4.2.2, never negative: 0 is never fresh. */
int64_t cache_lifetime_s(const struct cache_answer *answer);

/* §4.2: with what the request asks for (§5.2.1). */
void cache_judge(const struct cache_answer *answer,
                 const struct cache_control *request,
                 int64_t now_s,
                 struct cache_judgement *ret);

/* RFC 9110 §15.1: status codes whose answers may be kept without the server saying so. */
bool cache_status_is_cacheable(unsigned status);
