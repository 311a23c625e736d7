/* SPDX-License-Identifier: MIT */
#include "policy/access_networks.h"

#include <errno.h>

#include "base/num.h"
#include "http/host.h"
#include "http/ip_literal.h"

#define V4_OFFSET 12 /* of an IPv4 address in its mapped form */

/* IPv4 in its four-part decimal form only. */
static bool parse_v4(struct span text, uint8_t ret[ACCESS_ADDRESS_BYTES])
{
    char canonical[IPV4_TEXT_SIZE];
    uint32_t address;

    if (ipv4_parse(text, &address) < 0 ||
        !span_eq(text, (struct span){canonical, ipv4_format(address, canonical)}))
        return false;
    memset(ret, 0, ACCESS_ADDRESS_BYTES);
    ret[10] = ret[11] = 0xff;
    for (unsigned i = 0; i < 4; i++)
        ret[V4_OFFSET + i] = (uint8_t)(address >> (24 - 8 * i));
    return true;
}

static bool parse_v6(struct span text, uint8_t ret[ACCESS_ADDRESS_BYTES])
{
    uint16_t groups[8];

    if (ipv6_parse(host_strip_brackets(text), groups) < 0)
        return false;
    for (unsigned i = 0; i < 8; i++) {
        ret[2 * i] = (uint8_t)(groups[i] >> 8);
        ret[2 * i + 1] = (uint8_t)groups[i];
    }
    return true;
}

int access_network_parse(struct span word, struct access_network *ret)
{
    struct access_network network = *ret;
    struct span host;
    bool has_bits = span_split(&word, '/', &host);
    bool is_v4 = parse_v4(host, network.bytes);
    uint64_t bits = is_v4 ? 32 : 128;

    if (!is_v4 && !parse_v6(host, network.bytes))
        return -EINVAL;
    if (has_bits && num_parse_u64(word, bits, &bits) < 0)
        return -EINVAL;
    network.bits = (uint8_t)(bits + (is_v4 ? 8 * V4_OFFSET : 0));
    *ret = network;
    return 0;
}

static bool holds(const struct access_network *network,
                  const uint8_t address[ACCESS_ADDRESS_BYTES])
{
    size_t whole = network->bits / 8;
    unsigned left = network->bits % 8;

    if (memcmp(network->bytes, address, whole) != 0)
        return false;
    return left == 0 || (network->bytes[whole] ^ address[whole]) >> (8 - left) == 0;
}

const struct access_network *access_networks_find(const struct access_network *at,
                                                  size_t n,
                                                  const uint8_t address[ACCESS_ADDRESS_BYTES])
{
    for (size_t i = 0; i < n; i++) {
        if (holds(&at[i], address))
            return &at[i];
    }
    return NULL;
}

const struct access_network *
access_networks_refuse(const struct access_network *at,
                       size_t n,
                       const uint8_t (*meanings)[ACCESS_ADDRESS_BYTES],
                       size_t n_meanings)
{
    for (size_t i = 0; i < n_meanings; i++) {
        const struct access_network *found = access_networks_find(at, n, meanings[i]);

        if (found && !found->allows)
            return found;
    }
    return NULL;
}
