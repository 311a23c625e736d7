/* SPDX-License-Identifier: MIT */
#pragma once

/* What `xhrd --check-config` says beyond what makes a file wrong. */

#include "app/config.h"

/* A line for each user and group that the rules name and the user database does not know now: a
 * mistake, or a service's that does not run. Blocks. Return: 0 or -ENOMEM. */
MUST_CHECK int config_note_strangers(const struct config *config, struct buf *notes);
