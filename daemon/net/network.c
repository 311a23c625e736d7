/* SPDX-License-Identifier: MIT */
#include "net/network.h"

#include <errno.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/log.h"
#include "base/mem.h"
#include "loop/loop.h"
#include "loop/timer.h"
#include "loop/watch.h"
#include "net/network_probe.h"

#define MESSAGE_BYTES 8192
#define READS_MAX     64 /* in a row: what is left is seen in the next round */

struct network {
    struct loop *loop;
    struct network_options options;
    struct link watchers;
    struct link waiters;
    struct network_state told;
    int64_t came_us;  /* when a network was seen that had not been there; 0: never */
    bool has_changed; /* netlink said so */
    int fd;           /* netlink, -1: none */
    struct watch watch;
    struct timer look;
};

struct network_options network_options_default(void)
{
    return (struct network_options){
        .look_us = 1000000, .settle_us = 50000, .names_us = 5000000};
}

struct network_state network_state(struct network *network)
{
    const struct network_probe *probe = network->options.probe;

    return probe ? probe->state(probe->owner) : network_probe_state();
}

bool network_has_route(struct network *network, const struct address *to)
{
    const struct network_probe *probe = network->options.probe;

    return probe ? probe->has_route(probe->owner, to) : network_probe_route(to);
}

bool network_is_settling(struct network *network)
{
    return network->came_us != 0 &&
           loop_now_us(network->loop) - network->came_us < network->options.names_us;
}

/* ---- what is open while somebody wants to know ------------------------------------------- */

static bool is_wanted(const struct network *network)
{
    return !list_is_empty(&network->watchers) || !list_is_empty(&network->waiters);
}

static void close_netlink(struct network *network)
{
    watch_done(&network->watch);
    network->watch = (struct watch){0};
    if (network->fd >= 0)
        close(network->fd);
    network->fd = -1;
}

static void network_on_readable(void *owner, unsigned ready)
{
    struct network *network = owner;
    char message[MESSAGE_BYTES];

    (void)ready;
    /* What exactly has changed is asked anew; ENOBUFS says that there was too much of it. */
    for (int i = 0; i < READS_MAX; i++) {
        ssize_t n = recv(network->fd, message, sizeof(message), MSG_DONTWAIT);

        if (n < 0 && errno != EINTR && errno != ENOBUFS)
            break;
        if (n == 0)
            break;
    }
    network->has_changed = true;
    if (timer_arm(&network->look, network->options.settle_us) < 0)
        network_look(network);
}

/* Return: 0 or -errno: changes are to be looked for. */
static int open_netlink(struct network *network)
{
    const struct sockaddr_nl here = {.nl_family = AF_NETLINK,
                                     .nl_groups = RTMGRP_LINK | RTMGRP_IPV4_IFADDR |
                                                  RTMGRP_IPV4_ROUTE | RTMGRP_IPV6_IFADDR |
                                                  RTMGRP_IPV6_ROUTE};

    if (network->options.no_netlink)
        return -EAFNOSUPPORT;
    network->fd = socket(AF_NETLINK, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, NETLINK_ROUTE);
    if (network->fd < 0)
        return -errno;
    const struct sockaddr *address = (const struct sockaddr *)(const void *)&here;
    int r = bind(network->fd, address, sizeof(here)) < 0 ? -errno : 0;
    if (r == 0)
        r = watch_init(&network->watch, network->loop, network->fd, network_on_readable,
                       network);
    if (r == 0)
        r = watch_set(&network->watch, WATCH_READ);
    if (r < 0)
        close_netlink(network);
    return r;
}

static void arm_look(struct network *network)
{
    bool is_told = network->fd >= 0 && list_is_empty(&network->waiters);

    if (!is_wanted(network) || is_told) {
        timer_disarm(&network->look);
        return;
    }
    if (timer_arm(&network->look, network->options.look_us) < 0)
        log_warning(NULL, "no memory to look for the network");
}

static void begin(struct network *network)
{
    if (network->fd < 0) {
        int r = open_netlink(network);

        if (r < 0)
            log_debug(NULL, "changes of the network are looked for: %s", strerrordesc_np(-r));
    }
    arm_look(network);
}

static void end_if_unwanted(struct network *network)
{
    if (is_wanted(network))
        return;
    close_netlink(network);
    timer_disarm(&network->look);
}

/* ---- looking ----------------------------------------------------------------------------- */

static void tell_watchers(struct network *network, const struct network_state *state)
{
    LIST_FOREACH (at, &network->watchers) {
        struct network_watcher *watcher = CONTAINER_OF(at, struct network_watcher, link);

        watcher->on_change(watcher->owner, state);
    }
}

static bool is_worth_trying(struct network *network,
                            const struct network_waiter *waiter,
                            const struct network_state *state)
{
    if (waiter->has_address)
        return network_has_route(network, &waiter->address);
    return state->is_online || network->has_changed;
}

static void tell_waiters(struct network *network, const struct network_state *state)
{
    LIST_FOREACH (at, &network->waiters) {
        struct network_waiter *waiter = CONTAINER_OF(at, struct network_waiter, link);

        if (!is_worth_trying(network, waiter, state))
            continue;
        link_remove(&waiter->link);
        waiter->on_ready(waiter->owner);
    }
}

void network_look(struct network *network)
{
    struct network_state state = network_state(network);
    bool is_new =
        state.is_online != network->told.is_online || state.type != network->told.type;

    if (state.is_online && !network->told.is_online)
        network->came_us = loop_now_us(network->loop);
    network->told = state;
    tell_waiters(network, &state);
    network->has_changed = false;
    if (is_new)
        tell_watchers(network, &state);
    end_if_unwanted(network);
    arm_look(network);
}

static void network_on_look(void *owner)
{
    network_look(owner);
}

/* ---- who wants to know --------------------------------------------------------------------
 */

/* What was the case before somebody wanted to know is no change. */
static void catch_up(struct network *network)
{
    if (!is_wanted(network))
        network->told = network_state(network);
}

void network_watch(struct network *network, struct network_watcher *watcher)
{
    catch_up(network);
    list_append(&network->watchers, &watcher->link);
    begin(network);
}

void network_unwatch(struct network *network, struct network_watcher *watcher)
{
    link_remove(&watcher->link);
    end_if_unwanted(network);
}

void network_wait(struct network *network, struct network_waiter *waiter)
{
    catch_up(network);
    list_append(&network->waiters, &waiter->link);
    begin(network);
}

void network_wait_cancel(struct network *network, struct network_waiter *waiter)
{
    if (!waiter->link.next || !link_is_linked(&waiter->link))
        return;
    link_remove(&waiter->link);
    end_if_unwanted(network);
}

int network_new(struct network **ret, struct loop *loop, const struct network_options *options)
{
    struct network *network = mem_zalloc(sizeof(*network));

    if (!network)
        return fault(-ENOMEM);
    network->loop = loop;
    network->options = options ? *options : network_options_default();
    network->fd = -1;
    link_init(&network->watchers);
    link_init(&network->waiters);
    timer_init(&network->look, loop, network_on_look, network);
    *ret = network;
    return 0;
}

struct network *network_free(struct network *network)
{
    if (!network)
        return NULL;
    INVARIANT(!is_wanted(network));
    timer_disarm(&network->look);
    close_netlink(network);
    return mem_free(network);
}
