/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * What is told of the ladder (policy/tls_ladder.h): each rung that was taken, and why.
 */

#include <stdint.h>

#include "base/failure.h"

/* The three steps, and one more if the first connection began on a rung that had worked. */
#define TLS_RUNGS_MAX 4

struct tls_rung {
    uint16_t version;     /* the most that was offered; 0: all, from the top again */
    struct failure cause; /* of the connection before; kind FAILURE_NONE: there was none, the
                             rung has worked before */
};

struct tls_rungs {
    unsigned n;
    struct tls_rung at[TLS_RUNGS_MAX];
};
