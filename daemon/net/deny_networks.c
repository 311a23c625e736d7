/* SPDX-License-Identifier: MIT */
#include "net/deny_networks.h"

#include <errno.h>
#include <string.h>

#include "base/fault.h"
#include "base/num.h"

#define V4_OFFSET 12 /* of an IPv4 address in its mapped form */

static const unsigned char mapped_prefix[V4_OFFSET] = {[10] = 0xff, [11] = 0xff};
static const unsigned char nat64_prefix[V4_OFFSET] = {0x00, 0x64, 0xff, 0x9b};

static void map_v4(const void *four, unsigned char ret[16])
{
    memcpy(ret, mapped_prefix, V4_OFFSET);
    memcpy(ret + V4_OFFSET, four, 4);
}

static void bytes_of(const struct address *address, unsigned char ret[16])
{
    if (address_family(address) == AF_INET)
        map_v4(&address->in.sin_addr, ret);
    else
        memcpy(ret, &address->in6.sin6_addr, 16);
}

static int parse_bits(struct span text, bool has_bits, bool is_v4, unsigned *ret)
{
    uint64_t bits = is_v4 ? 32 : 128;

    if (has_bits && num_parse_u64(text, bits, &bits) < 0)
        return -EINVAL;
    *ret = (unsigned)bits + (is_v4 ? 8 * V4_OFFSET : 0);
    return 0;
}

static int parse_one(struct span word, struct deny_network *ret)
{
    struct address address;
    struct span rest = word;
    struct span host;
    bool has_bits = span_split(&rest, '/', &host);

    if (address_parse(host, 0, &address) < 0)
        return -EINVAL;
    bytes_of(&address, ret->bytes);
    return parse_bits(rest, has_bits, address_family(&address) == AF_INET, &ret->bits);
}

static bool is_separator(char c)
{
    return c == ',' || c == ' ' || c == '\t';
}

static struct span next_word(struct span *text)
{
    size_t len = 0;

    while (text->len > 0 && is_separator(text->ptr[0]))
        *text = span_drop(*text, 1);
    while (len < text->len && !is_separator(text->ptr[len]))
        len++;
    struct span word = span_take(*text, len);
    *text = span_drop(*text, len);
    return word;
}

int deny_networks_parse(struct span text, struct deny_networks *ret, struct span *ret_bad)
{
    struct deny_networks networks = {0};
    struct span word;

    while ((word = next_word(&text)).len > 0) {
        *ret_bad = word;
        if (networks.n == DENY_NETWORKS_MAX)
            return -E2BIG;
        if (parse_one(word, &networks.at[networks.n]) < 0)
            return -EINVAL;
        networks.n++;
    }
    *ret = networks;
    return 0;
}

static bool contains(const struct deny_network *network, const unsigned char bytes[16])
{
    size_t whole = network->bits / 8;
    unsigned left = network->bits % 8;
    unsigned mask = left ? 0xffU << (8 - left) & 0xffU : 0;

    if (memcmp(network->bytes, bytes, whole) != 0)
        return false;
    return left == 0 || ((network->bytes[whole] ^ bytes[whole]) & mask) == 0;
}

static bool has(const struct deny_networks *networks, const unsigned char bytes[16])
{
    for (size_t i = 0; i < networks->n; i++) {
        if (contains(&networks->at[i], bytes))
            return true;
    }
    return false;
}

/* Return: whether an IPv4 address is inside; then *ret is that one. */
static bool embedded_v4(const unsigned char bytes[16], unsigned char ret[16])
{
    static const unsigned char compatible_prefix[V4_OFFSET] = {0};

    if (bytes[0] == 0x20 && bytes[1] == 0x02)
        map_v4(bytes + 2, ret); /* 6to4, RFC 3056 */
    else if (memcmp(bytes, nat64_prefix, V4_OFFSET) == 0 ||
             memcmp(bytes, compatible_prefix, V4_OFFSET) == 0)
        map_v4(bytes + V4_OFFSET, ret); /* RFC 6052; RFC 4291 §2.5.5.1 */
    else
        return false;
    return true;
}

/* Linux connects to this machine. */
static bool own_of_unspecified(const unsigned char bytes[16], unsigned char ret[16])
{
    static const unsigned char any_v4[16] = {[10] = 0xff, [11] = 0xff};
    static const unsigned char any_v6[16] = {0};
    static const unsigned char own_v4[4] = {127, 0, 0, 1};

    if (memcmp(bytes, any_v6, 16) == 0) {
        memcpy(ret, any_v6, 16);
        ret[15] = 1;
        return true;
    }
    if (memcmp(bytes, any_v4, 16) != 0)
        return false;
    map_v4(own_v4, ret);
    return true;
}

size_t address_meanings(const struct address *address,
                        unsigned char ret[ADDRESS_MEANINGS_MAX][16])
{
    size_t n = 1;

    bytes_of(address, ret[0]);
    n += embedded_v4(ret[0], ret[n]);
    n += own_of_unspecified(ret[0], ret[n]);
    return n;
}

bool deny_networks_has(const struct deny_networks *networks, const struct address *address)
{
    unsigned char meanings[ADDRESS_MEANINGS_MAX][16];
    size_t n = address_meanings(address, meanings);

    for (size_t i = 0; i < n; i++) {
        if (has(networks, meanings[i]))
            return true;
    }
    return false;
}
