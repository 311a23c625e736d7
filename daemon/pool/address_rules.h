/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Where a connection may go, by its address: the networks nobody is connected to (net), and
 * those of the rules for the one who asks (policy). Asked just before the first packet leaves,
 * so it is the address that counts, whatever name or redirect or proxy led there.
 */

#include <stdbool.h>

#include "base/failure.h"
#include "net/address.h"
#include "net/deny_networks.h"
#include "policy/access_networks.h"

struct address_rules {
    const struct deny_networks *deny; /* NULL: none */
    const struct access_network *networks;
    size_t n_networks;
};

/* Return: whether it may not; then *ret_why says by which rule and what would allow it. */
bool address_is_refused(const struct address_rules *rules,
                        const struct address *address,
                        struct failure *ret_why);
