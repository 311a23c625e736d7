/* SPDX-License-Identifier: MIT */
#pragma once

#include "ctl_options.h"

struct xhr_client;

/* On a terminal until 'q', else one snapshot into @out. Return: 0 or an exit code with *why
 * filled. */
int top_run(struct xhr_client *client, struct strbuf *out, struct trouble *why);
