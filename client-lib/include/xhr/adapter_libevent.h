/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * A client in a libevent loop. Header-only: the program links libevent, libxhr does not.
 *
 *     struct xhr_libevent adapter;
 *     xhr_libevent_attach(&adapter, client, base);
 *     …
 *     xhr_libevent_detach(&adapter, false);   before the base is freed
 */

#include <event2/event.h>
#include <string.h>

#include "xhr/xhr.h"

struct xhr_libevent {
    struct xhr_client *client;
    struct event_base *base;
    struct event *io;
    struct event *timer;
    int fd;
    short events;
};

static inline void xhr_libevent_update_(struct xhr_client *client, void *user);

static inline void xhr_libevent_turn_(evutil_socket_t fd, short events, void *user)
{
    struct xhr_libevent *adapter = (struct xhr_libevent *)user;

    (void)fd;
    (void)events;
    (void)xhr_client_dispatch(adapter->client);
}

static inline void xhr_libevent_drop_io_(struct xhr_libevent *adapter)
{
    if (adapter->io)
        event_free(adapter->io);
    adapter->io = NULL;
    adapter->fd = -1;
    adapter->events = 0;
}

static inline void xhr_libevent_update_(struct xhr_client *client, void *user)
{
    struct xhr_libevent *adapter = (struct xhr_libevent *)user;
    int fd = xhr_client_fd(client);
    int timeout = xhr_client_timeout_ms(client);
    short events =
        (short)(EV_READ | EV_PERSIST | (xhr_client_wants_write(client) ? EV_WRITE : 0));

    if (fd != adapter->fd || events != adapter->events) {
        xhr_libevent_drop_io_(adapter);
        if (fd >= 0) {
            adapter->io = event_new(adapter->base, fd, events, xhr_libevent_turn_, adapter);
            if (adapter->io && event_add(adapter->io, NULL) == 0) {
                adapter->fd = fd;
                adapter->events = events;
            }
        }
    }
    if (timeout >= 0) {
        struct timeval after;

        after.tv_sec = timeout / 1000;
        after.tv_usec = timeout % 1000 * 1000;
        (void)event_add(adapter->timer, &after);
    } else {
        (void)event_del(adapter->timer);
    }
}

/* Return: 0 or -ENOMEM. The client must have no other watcher. */
static inline int xhr_libevent_attach(struct xhr_libevent *adapter,
                                      struct xhr_client *client,
                                      struct event_base *base)
{
    memset(adapter, 0, sizeof(*adapter));
    adapter->client = client;
    adapter->base = base;
    adapter->fd = -1;
    adapter->timer = event_new(base, -1, 0, xhr_libevent_turn_, adapter);
    if (!adapter->timer)
        return -ENOMEM;
    xhr_client_set_watcher(client, xhr_libevent_update_, adapter);
    xhr_libevent_update_(client, adapter);
    return 0;
}

/* The client may have been freed: then say so with @client_is_gone. */
static inline void xhr_libevent_detach(struct xhr_libevent *adapter, bool client_is_gone)
{
    if (!client_is_gone)
        xhr_client_set_watcher(adapter->client, NULL, NULL);
    xhr_libevent_drop_io_(adapter);
    if (adapter->timer)
        event_free(adapter->timer);
    adapter->timer = NULL;
}
