/* SPDX-License-Identifier: MIT */
#pragma once

/* What systemd is told, and its watchdog, fed from the loop: a loop that is stuck is not fed.
 */

#include "base/cleanup.h"

struct loop;
struct notify;

/* Return: 0 or -errno. Without a service manager everything here does nothing. */
MUST_CHECK int notify_new(struct notify **ret, struct loop *loop);
struct notify *notify_free(struct notify *notify);
DEFINE_CLEANUP(notify, notify_free)

void notify_ready(struct notify *notify);
void notify_reloading(struct notify *notify);
void notify_stopping(struct notify *notify);
