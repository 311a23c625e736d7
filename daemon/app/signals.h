/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * SIGTERM and SIGINT: leave. SIGHUP: reload. They arrive as calls on the loop's thread.
 */

#include "base/cleanup.h"

struct loop;
struct signals;

struct signal_events {
    void (*on_leave)(void *owner);
    void (*on_reload)(void *owner);
};

/* Keeps the signals until signals_new(): for the start of main(), before there is a socket to
 * be left behind or a thread that could take them. Return: 0 or -errno. */
MUST_CHECK int signals_block(void);

/* After signals_block(). Return: 0 or -errno. */
MUST_CHECK int signals_new(struct signals **ret,
                           struct loop *loop,
                           const struct signal_events *events,
                           void *owner);
struct signals *signals_free(struct signals *signals);
DEFINE_CLEANUP(signals, signals_free)
