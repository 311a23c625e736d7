/* SPDX-License-Identifier: MIT */
#include "app/notify.h"

#include <errno.h>
#include <systemd/sd-daemon.h>

#include "base/fault.h"
#include "base/log.h"
#include "base/mem.h"
#include "loop/loop.h"
#include "loop/timer.h"

struct notify {
    struct timer watchdog;
    int64_t interval_us; /* 0: no watchdog */
};

static void tell(const char *state)
{
    int r = sd_notify(0, state);

    if (r < 0)
        log_debug(NULL, "the service manager could not be told %s: error %d", state, -r);
}

static void notify_on_watchdog(void *owner)
{
    struct notify *notify = owner;

    tell("WATCHDOG=1");
    if (timer_arm(&notify->watchdog, notify->interval_us) < 0)
        log_err(NULL, "the watchdog cannot be fed: out of memory");
}

int notify_new(struct notify **ret, struct loop *loop)
{
    CLEANUP(notify_free) struct notify *notify = mem_zalloc(sizeof(*notify));
    uint64_t limit_us = 0;

    if (!notify)
        return fault(-ENOMEM);
    timer_init(&notify->watchdog, loop, notify_on_watchdog, notify);
    if (sd_watchdog_enabled(0, &limit_us) > 0) {
        notify->interval_us = (int64_t)limit_us / 3; /* twice in time, with one to spare */
        int r = timer_arm(&notify->watchdog, notify->interval_us);
        if (r < 0)
            return r;
    }

    *ret = TAKE(notify);
    return 0;
}

struct notify *notify_free(struct notify *notify)
{
    if (!notify)
        return NULL;
    timer_disarm(&notify->watchdog);
    return mem_free(notify);
}

void notify_ready(struct notify *notify)
{
    (void)notify;
    tell("READY=1");
}

void notify_reloading(struct notify *notify)
{
    (void)notify;
    tell("RELOADING=1");
}

void notify_stopping(struct notify *notify)
{
    (void)notify;
    tell("STOPPING=1");
}
