/* SPDX-License-Identifier: MIT */
#pragma once

/* Counters as text; see metrics.c. */

#include "base/buf.h"

struct client;

/* Appends what @client may see. Return: 0, -ENOMEM or -EMSGSIZE. */
MUST_CHECK int metrics_format(const struct client *client, struct buf *out);
