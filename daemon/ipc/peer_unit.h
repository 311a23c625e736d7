/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Which service or session a client is of: the name of its systemd unit, for the log. It is
 * told by the kernel, but by way of a process that may have gone since: no decision rests on
 * it.
 *
 * /proc says it, where it may be looked into. In the system unit's sandbox (ProtectProc=)
 * others' processes are not to be seen; there the kernel says the number of the control group
 * (Linux 6.13), and its name is looked for among the control groups. Older kernels leave us
 * without.
 */

#include <stdint.h>

#include "base/span.h"

#define PEER_UNIT_BYTES 128 /* a longer name is not told */

/* The name, or "" where it cannot be known. @fd: the client's socket; @pid: SO_PEERCRED's;
 * @now_us: of a clock, so that looking for names is not done too often. */
void peer_unit_find(int fd, int32_t pid, int64_t now_us, char ret[PEER_UNIT_BYTES]);

/* The innermost .service or .scope of a control group's path, or an empty span. */
struct span peer_unit_of_path(struct span path);
