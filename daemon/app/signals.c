/* SPDX-License-Identifier: MIT */
#include "app/signals.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/mem.h"
#include "loop/watch.h"

struct signals {
    struct watch watch;
    const struct signal_events *events;
    void *owner;
    int fd;
};

static void signals_on_ready(void *owner, unsigned ready)
{
    struct signals *signals = owner;
    struct signalfd_siginfo info;

    (void)ready;
    while (read(signals->fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
        if (info.ssi_signo == SIGHUP)
            signals->events->on_reload(signals->owner);
        else
            signals->events->on_leave(signals->owner);
    }
}

static void fill_set(sigset_t *set)
{
    sigemptyset(set);
    sigaddset(set, SIGTERM);
    sigaddset(set, SIGINT);
    sigaddset(set, SIGHUP);
}

int signals_block(void)
{
    sigset_t set;

    fill_set(&set);
    return pthread_sigmask(SIG_BLOCK, &set, NULL) == 0 ? 0 : fault(-EINVAL);
}

int signals_new(struct signals **ret,
                struct loop *loop,
                const struct signal_events *events,
                void *owner)
{
    CLEANUP(signals_free) struct signals *signals = mem_zalloc(sizeof(*signals));
    sigset_t set;

    if (!signals)
        return fault(-ENOMEM);
    signals->fd = -1;
    signals->events = events;
    signals->owner = owner;
    fill_set(&set);
    signals->fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (signals->fd < 0)
        return fault(-errno);
    int r = watch_init(&signals->watch, loop, signals->fd, signals_on_ready, signals);
    if (r < 0)
        return r;
    r = watch_set(&signals->watch, WATCH_READ);
    if (r < 0)
        return r;

    *ret = TAKE(signals);
    return 0;
}

struct signals *signals_free(struct signals *signals)
{
    if (!signals)
        return NULL;
    watch_done(&signals->watch);
    if (signals->fd >= 0)
        close(signals->fd);
    return mem_free(signals);
}
