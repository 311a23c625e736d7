/* SPDX-License-Identifier: MIT */
#include "loop/watch.h"

#include <errno.h>
#include <event2/event.h>

#include "base/fault.h"
#include "loop/loop_priv.h"

static void watch_read_cb(evutil_socket_t fd, short what, void *arg)
{
    struct watch *watch = arg;

    (void)fd;
    (void)what;
    watch->loop->n_ready++;
    watch->fn(watch->owner, WATCH_READ);
}

static void watch_write_cb(evutil_socket_t fd, short what, void *arg)
{
    struct watch *watch = arg;

    (void)fd;
    (void)what;
    watch->fn(watch->owner, WATCH_WRITE);
}

int watch_init(struct watch *watch,
               struct loop *loop,
               int fd,
               void (*fn)(void *owner, unsigned ready),
               void *owner)
{
    struct event_base *base = loop_event_base(loop);

    *watch = (struct watch){.loop = loop, .fn = fn, .owner = owner};
    watch->read_event = event_new(base, fd, EV_READ | EV_PERSIST, watch_read_cb, watch);
    watch->write_event = event_new(base, fd, EV_WRITE | EV_PERSIST, watch_write_cb, watch);
    if (watch->read_event && watch->write_event)
        return 0;
    watch_done(watch);
    return fault(-ENOMEM);
}

static int set_one(struct event *event, bool was, bool is)
{
    if (was == is)
        return 0;
    if ((is ? event_add(event, NULL) : event_del(event)) < 0)
        return fault(errno ? -errno : -EIO);
    return 0;
}

int watch_set(struct watch *watch, unsigned interest)
{
    int r = set_one(watch->read_event, watch->interest & WATCH_READ, interest & WATCH_READ);

    if (r < 0)
        return r;
    watch->interest = (watch->interest & ~WATCH_READ) | (interest & WATCH_READ);
    r = set_one(watch->write_event, watch->interest & WATCH_WRITE, interest & WATCH_WRITE);
    if (r < 0)
        return r;
    watch->interest = interest;
    return 0;
}

void watch_done(struct watch *watch)
{
    if (watch->read_event)
        event_free(watch->read_event);
    if (watch->write_event)
        event_free(watch->write_event);
    *watch = (struct watch){0};
}
