/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Readiness of one descriptor, level-triggered. Interest is a mask; changing it costs a system
 * call only when the kernel's view changes, at the end of the round.
 */

#include <stdbool.h>

#include "base/cleanup.h"

struct event;
struct loop;

#define WATCH_READ  1U
#define WATCH_WRITE 2U

struct watch {
    struct loop *loop;
    struct event *read_event;
    struct event *write_event;
    void (*fn)(void *owner, unsigned ready); /* WATCH_READ or WATCH_WRITE, one at a time */
    void *owner;
    unsigned interest;
};

/**
 * watch_init() - watch @fd, with no interest yet
 * @fd: borrowed; close it after watch_done()
 * Return: 0 or -ENOMEM.
 */
MUST_CHECK int watch_init(struct watch *watch,
                          struct loop *loop,
                          int fd,
                          void (*fn)(void *owner, unsigned ready),
                          void *owner);

/* Return: 0, or -errno when the kernel's event queue did not take it. */
MUST_CHECK int watch_set(struct watch *watch, unsigned interest);

/* No call back after it. Zeroed memory is fine. */
void watch_done(struct watch *watch);
