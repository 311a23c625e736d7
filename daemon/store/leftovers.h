/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * What of a uid lies on the disk and is in nobody's hand: databases that were set aside, stored
 * answers of profiles that are not open. Blocks; on a thread only.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"

struct leftovers {
    const char *state_dir; /* may be a link, as systemd makes it */
    const char *folder;    /* in it; NULL: in the state directory itself */
    uint64_t answers;      /* told: how many stored answers went */
};

/* Removes them; follows no link. Return: 0, or -errno of the first that stayed. */
MUST_CHECK int leftovers_remove(struct leftovers *leftovers);
