/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The ladder: what follows when a server chokes on a modern hello. The first hello offers every
 * version in band; a rung is a fresh connection to the same address that offers less and says
 * so (TLS_FALLBACK_SCSV, RFC 7507): TLS 1.2, then 1.1, then 1.0.
 *
 * A rung is only for a server that refused the first flight itself, before it showed a
 * certificate, in a word that means "I do not understand": alerts 10, 40, 47, 50 and 70, or a
 * record of a version that does not exist. Silence, a reset, an end, and every other alert are
 * what somebody between us can make as well as a bad day of the server's, and end it. Pure: no
 * connection, no clock.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"

#define TLS_LADDER_EXTRA_MAX 3 /* connections after the first */

/* How a handshake failed, as far as it matters here. All zero: in any other way. */
struct tls_trouble {
    bool in_first_flight;   /* nothing of a handshake had come from the server */
    uint8_t alert;          /* the server's last word; 0: it was none (close_notify is none) */
    bool is_foreign_record; /* a TLS record, of a version that does not exist */
    bool was_pushed_down;   /* RFC 8446 section 4.1.3: the server can do better than this */
};

struct tls_ladder {
    uint16_t min_version; /* 0x0301 … 0x0304: what the client would take */
    uint16_t max_version;
    uint16_t rung; /* the most that the connection under way offers; 0: max_version */
    unsigned n_extra;
    bool is_remembered; /* the rung has worked before and was not come to step by step */
};

enum tls_ladder_outcome {
    TLS_LADDER_STOP = 0,
    TLS_LADDER_STEP, /* once more: ->rung, marked as a fallback */
    TLS_LADDER_ANEW, /* once more, from the top: what was remembered is out of date */
};

/* @remembered: the rung that worked last, or 0. One that is not between the versions is not
 * taken. */
void tls_ladder_init(struct tls_ladder *ladder,
                     uint16_t min_version,
                     uint16_t max_version,
                     uint16_t remembered);

/* The connection under way has failed. Return: one of enum tls_ladder_outcome. */
MUST_CHECK int tls_ladder_next(struct tls_ladder *ladder, const struct tls_trouble *trouble);
