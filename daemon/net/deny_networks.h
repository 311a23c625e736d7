/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Networks that nobody is connected to. The address that a connection would go to is judged,
 * not the name it was asked for by: a name may lead to another address the next time it is
 * looked up.
 */

#include <stdbool.h>
#include <stddef.h>

#include "base/cleanup.h"
#include "base/span.h"
#include "net/address.h"

#define DENY_NETWORKS_MAX 256

struct deny_network {
    unsigned char bytes[16]; /* IPv4 as ::ffff:0:0/96 */
    unsigned bits;
};

struct deny_networks {
    struct deny_network at[DENY_NETWORKS_MAX];
    size_t n;
};

/**
 * deny_networks_parse() - "169.254.169.254, 10.0.0.0/8 fe80::/10"
 * @ret_bad: on -EINVAL the word that is no network
 * Return: 0; -EINVAL; -E2BIG: more than DENY_NETWORKS_MAX. *ret is untouched on error.
 */
MUST_CHECK int
deny_networks_parse(struct span text, struct deny_networks *ret, struct span *ret_bad);

/* As 16 bytes, IPv4 as ::ffff:0:0/96: the address itself, and those it leads to as well.
 * Return: how many. */
#define ADDRESS_MEANINGS_MAX 3
size_t address_meanings(const struct address *address,
                        unsigned char ret[ADDRESS_MEANINGS_MAX][16]);

/* Whatever way the address is written: IPv4 inside IPv6 (mapped, 6to4, NAT64) counts as itself,
 * too, and the unspecified address as this machine's own, where it leads. */
bool deny_networks_has(const struct deny_networks *networks, const struct address *address);
