/* SPDX-License-Identifier: MIT */
#pragma once

#include "ctl_options.h"

struct xhr_client;

/* Until it is interrupted: writes to standard output. Return: 0 or an exit code with *why
 * filled. */
int monitor_run(struct xhr_client *client,
                const struct ctl_options *options,
                struct trouble *why);
