/* SPDX-License-Identifier: MIT */
/*
 * A manager that does not listen just now is told later: where we stand, which is what was said
 * last, and that we live. What lay between is of no use to it any more.
 */
#include "app/notify.h"

#include <errno.h>
#include <stdio.h>
#include <systemd/sd-daemon.h>

#include "app/manager.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/mem.h"
#include "loop/loop.h"
#include "loop/timer.h"

#define AGAIN_US INT64_C(100000)

struct notify {
    struct manager manager;
    struct timer watchdog;
    struct timer again;
    int64_t interval_us; /* 0: no watchdog */
    const char *step;    /* to be said; NULL: it was */
    bool lives;          /* that is to be said */
};

static void tell(struct notify *notify)
{
    char text[64];

    if (!manager_is_there(&notify->manager))
        return;
    (void)snprintf(text, sizeof(text), "%s%s%s", notify->step ? notify->step : "",
                   notify->step && notify->lives ? "\n" : "",
                   notify->lives ? "WATCHDOG=1" : "");
    int r = manager_tell(&notify->manager, text, -1);
    if (r == -EAGAIN && timer_arm(&notify->again, AGAIN_US) == 0)
        return;
    if (r < 0)
        log_debug(NULL, "the service manager could not be told %s: error %d", text, -r);
    notify->step = NULL;
    notify->lives = false;
    timer_disarm(&notify->again);
}

static void notify_on_again(void *owner)
{
    tell(owner);
}

static void notify_on_watchdog(void *owner)
{
    struct notify *notify = owner;

    notify->lives = true;
    tell(notify);
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
    timer_init(&notify->again, loop, notify_on_again, notify);
    if (manager_init(&notify->manager) < 0)
        log_warning(NULL, "NOTIFY_SOCKET= leads nowhere, the service manager is told nothing");
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
    timer_disarm(&notify->again);
    manager_done(&notify->manager);
    return mem_free(notify);
}

void notify_ready(struct notify *notify)
{
    notify->step = "READY=1";
    tell(notify);
}

void notify_reloading(struct notify *notify)
{
    notify->step = "RELOADING=1";
    tell(notify);
}

void notify_stopping(struct notify *notify)
{
    notify->step = "STOPPING=1";
    tell(notify);
}
