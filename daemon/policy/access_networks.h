/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Networks that may or may not be connected to, in the order in which they are asked: the first
 * that holds an address decides. A plain array without pointers, so that a connection can carry
 * a copy of the rules it was made by.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/span.h"

#define ACCESS_NETWORKS_MAX  1024 /* of one list, and of all that hold for one user */
#define ACCESS_ADDRESS_BYTES 16   /* IPv4 as ::ffff:0:0/96 */

struct access_network {
    uint8_t bytes[ACCESS_ADDRESS_BYTES];
    uint8_t bits;  /* 0 … 128 */
    bool allows;   /* else it refuses */
    bool is_rest;  /* what an AllowNetworks= does not name */
    uint8_t scope; /* enum access_scope of the section it stands in */
    uint32_t line; /* where it stands */
};

/* "10.0.0.0/8", "192.0.2.1", "fe80::/10", "[::1]". Return: 0 (bytes and bits are set, the rest
 * is not touched), or -EINVAL. */
MUST_CHECK int access_network_parse(struct span word, struct access_network *ret);

/* Return: the first that holds the address, or NULL. */
const struct access_network *access_networks_find(const struct access_network *at,
                                                  size_t n,
                                                  const uint8_t address[ACCESS_ADDRESS_BYTES]);

/**
 * access_networks_refuse() - may this address be connected to
 * @meanings: the address, and those it leads to as well (IPv4 in IPv6): each has to be allowed
 * Return: the network that refuses, or NULL.
 */
const struct access_network *
access_networks_refuse(const struct access_network *at,
                       size_t n,
                       const uint8_t (*meanings)[ACCESS_ADDRESS_BYTES],
                       size_t n_meanings);
