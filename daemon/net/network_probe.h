/* SPDX-License-Identifier: MIT */
#pragma once

/* What the kernel says of routes and interfaces, asked without netlink and without a packet. */

#include <stdbool.h>

#include "base/span.h"
#include "net/network.h"

bool network_probe_route(const struct address *to);
struct network_state network_probe_state(void);

/* The kind of an interface by what /sys/class/net/NAME/uevent says. */
enum network_type network_type_of_uevent(struct span uevent, bool is_ethernet);

/* The line of /proc/self/net/if_inet6 for @local. Return: whether there is one. */
bool network_name_of_v6(struct span lines, const struct address *local, struct span *ret_name);
