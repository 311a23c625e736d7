/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The progress bar: one line on standard error, drawn over itself, for a transfer that takes
 * longer than a second. Never drawn when standard error is no terminal, or when the answer goes
 * to one.
 */

#include <stdbool.h>
#include <stdint.h>

#include "strbuf.h"

struct bar {
    bool wanted;
    bool simple; /* -#: curl's, from the start */
    bool shown;
    bool upload;
    bool total_known;
    uint64_t done_bytes;
    uint64_t total_bytes;
    uint64_t start_us;
    uint64_t next_us;    /* when to draw */
    const char *waiting; /* what for, before the first byte */
};

void bar_start(struct bar *bar, bool wanted, bool simple, uint64_t now);

/* For poll(): -1 when there is nothing to draw. */
int bar_timeout_ms(const struct bar *bar, uint64_t now);

/* Draws if it is time. */
void bar_tick(struct bar *bar, uint64_t now);

/* Takes the line away; -# leaves its last state. */
void bar_end(struct bar *bar, uint64_t now);

/* One line of @columns at most, without line end or motion. */
void bar_format(const struct bar *bar, uint64_t now, unsigned columns, struct strbuf *out);
