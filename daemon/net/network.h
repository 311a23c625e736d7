/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Is there a network, of what kind, and who waits for one. A route is asked of the kernel:
 * connect() of an UDP socket sends nothing and fails where there is none. That something has
 * changed is told by netlink or, where a sandbox denies AF_NETLINK, found by looking again now
 * and then. Nothing is open, and nobody wakes up, while nobody wants to know.
 *
 * What it does not do: see whether anybody answers behind the route. Portals, dead routers and
 * broken name servers are for requests to find out.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/list.h"
#include "net/address.h"

struct loop;
struct network;

enum network_type {
    NETWORK_NONE,
    NETWORK_WIFI,
    NETWORK_MOBILE,
    NETWORK_LAN,
    NETWORK_UNKNOWN, /* a tunnel for example, or /sys cannot be read */
};

struct network_state {
    bool is_online; /* a route leads out of this machine, over an interface that runs */
    enum network_type type;
};

/* What is asked of the kernel; a test has answers of its own. */
struct network_probe {
    bool (*has_route)(void *owner, const struct address *to);
    struct network_state (*state)(void *owner);
    void *owner;
};

struct network_options {
    int64_t look_us;   /* between looks while somebody waits, or nothing tells of changes */
    int64_t settle_us; /* a change is many messages: how long to let them come */
    int64_t names_us;  /* how long after a network came a name server may still be missing */
    bool no_netlink;
    const struct network_probe *probe; /* NULL: the kernel */
};

struct network_options network_options_default(void); /* 1 s, 50 ms, 5 s */

MUST_CHECK int
network_new(struct network **ret, struct loop *loop, const struct network_options *options);
/* Nobody may watch or wait any more. Return: NULL. */
struct network *network_free(struct network *network);
DEFINE_CLEANUP(network, network_free)

/* As it is now. */
struct network_state network_state(struct network *network);

/* Can a packet to @to leave? True where the kernel gives no answer. */
bool network_has_route(struct network *network, const struct address *to);

/* A network came so short a time ago that its name servers may not be known yet. */
bool network_is_settling(struct network *network);

/* Is told when the state is another one; from the loop. Embedded. */
struct network_watcher {
    struct link link;
    void (*on_change)(void *owner, const struct network_state *state);
    void *owner;
};

void network_watch(struct network *network, struct network_watcher *watcher);
void network_unwatch(struct network *network, struct network_watcher *watcher);

/* Waits until it is worth to try again: there is a route to its address or, without one, a
 * network; a change that netlink tells of counts, too. on_ready comes once, from the loop; it
 * may end its own wait, and no other. Embedded; zero is "does not wait". */
struct network_waiter {
    struct link link;
    void (*on_ready)(void *owner);
    void *owner;
    bool has_address;
    struct address address;
};

void network_wait(struct network *network, struct network_waiter *waiter);
void network_wait_cancel(struct network *network, struct network_waiter *waiter);

/* Looks now, instead of when it is time to. */
void network_look(struct network *network);
