/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * A client in an sd-event loop. Header-only: the program links libsystemd, libxhr does not.
 *
 *     struct xhr_sd_event adapter;
 *     xhr_sd_event_attach(&adapter, client, event);
 *     …
 *     xhr_sd_event_detach(&adapter, false);
 */

#include <string.h>
#include <sys/epoll.h>
#include <systemd/sd-event.h>
#include <time.h>

#include "xhr/xhr.h"

struct xhr_sd_event {
    struct xhr_client *client;
    sd_event *event;
    sd_event_source *io;
    sd_event_source *timer;
    int fd;
    uint32_t events;
};

static inline int
xhr_sd_event_on_io_(sd_event_source *source, int fd, uint32_t events, void *user)
{
    struct xhr_sd_event *adapter = (struct xhr_sd_event *)user;

    (void)source;
    (void)fd;
    (void)events;
    (void)xhr_client_dispatch(adapter->client);
    return 0;
}

static inline int xhr_sd_event_on_time_(sd_event_source *source, uint64_t usec, void *user)
{
    struct xhr_sd_event *adapter = (struct xhr_sd_event *)user;

    (void)source;
    (void)usec;
    (void)xhr_client_dispatch(adapter->client);
    return 0;
}

static inline void xhr_sd_event_drop_io_(struct xhr_sd_event *adapter)
{
    adapter->io = sd_event_source_disable_unref(adapter->io);
    adapter->fd = -1;
    adapter->events = 0;
}

static inline void xhr_sd_event_update_timer_(struct xhr_sd_event *adapter, int timeout_ms)
{
    if (timeout_ms < 0) {
        (void)sd_event_source_set_enabled(adapter->timer, SD_EVENT_OFF);
        return;
    }
    (void)sd_event_source_set_time_relative(adapter->timer, (uint64_t)timeout_ms * 1000);
    (void)sd_event_source_set_enabled(adapter->timer, SD_EVENT_ONESHOT);
}

static inline void xhr_sd_event_update_(struct xhr_client *client, void *user)
{
    struct xhr_sd_event *adapter = (struct xhr_sd_event *)user;
    int fd = xhr_client_fd(client);
    uint32_t events = EPOLLIN | (xhr_client_wants_write(client) ? (uint32_t)EPOLLOUT : 0);

    if (fd != adapter->fd) {
        xhr_sd_event_drop_io_(adapter);
        if (fd >= 0 && sd_event_add_io(adapter->event, &adapter->io, fd, events,
                                       xhr_sd_event_on_io_, adapter) >= 0) {
            adapter->fd = fd;
            adapter->events = events;
        }
    } else if (events != adapter->events && adapter->io) {
        (void)sd_event_source_set_io_events(adapter->io, events);
        adapter->events = events;
    }
    xhr_sd_event_update_timer_(adapter, xhr_client_timeout_ms(client));
}

/* Return: 0 or a negative errno. The client must have no other watcher. */
static inline int
xhr_sd_event_attach(struct xhr_sd_event *adapter, struct xhr_client *client, sd_event *event)
{
    int r;

    memset(adapter, 0, sizeof(*adapter));
    adapter->client = client;
    adapter->event = event;
    adapter->fd = -1;
    r = sd_event_add_time_relative(event, &adapter->timer, CLOCK_MONOTONIC, 0, 0,
                                   xhr_sd_event_on_time_, adapter);
    if (r < 0)
        return r;
    xhr_client_set_watcher(client, xhr_sd_event_update_, adapter);
    xhr_sd_event_update_(client, adapter);
    return 0;
}

/* The client may have been freed: then say so with @client_is_gone. */
static inline void xhr_sd_event_detach(struct xhr_sd_event *adapter, bool client_is_gone)
{
    if (!client_is_gone)
        xhr_client_set_watcher(adapter->client, NULL, NULL);
    xhr_sd_event_drop_io_(adapter);
    adapter->timer = sd_event_source_disable_unref(adapter->timer);
}
