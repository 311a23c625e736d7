/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * A body that is too long for memory: an unlinked file in TMPDIR, else /var/tmp, else /tmp, and
 * a view of it for who asks for the bytes. Nothing of it is left when the process is gone.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct xhr_spill {
    bool is_open;
    int fd;
    uint64_t len;
    void *view; /* of view_len bytes and a NUL; NULL: none */
    size_t view_len;
};

int xhr_spill_open(struct xhr_spill *spill); /* 0 or -errno */
int xhr_spill_append(struct xhr_spill *spill, const void *from, size_t len);
/* All of it, a NUL behind; until something is appended. NULL: no room for it in the address
 * space. */
const void *xhr_spill_view(struct xhr_spill *spill);
void xhr_spill_done(struct xhr_spill *spill);
