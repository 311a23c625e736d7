/* SPDX-License-Identifier: MIT */
/*
 * The exceptions: who is reached without the proxy. A name is only ever compared with names and
 * an address with addresses, so that what looks like a name inside an address matches nothing
 * (CVE-2025-22870).
 */
#include "base/num.h"
#include "http/ip_literal.h"
#include "policy/proxy.h"

struct ip {
    unsigned bits; /* 32 or 128 */
    uint8_t bytes[16];
};

/* IPv4 in its four-part decimal form only: "10" is a name here and not 0.0.0.10. */
static bool parse_ipv4(struct span text, struct ip *ret)
{
    char canonical[IPV4_TEXT_SIZE];
    uint32_t address;

    if (ipv4_parse(text, &address) < 0)
        return false;
    if (!span_eq(text, (struct span){canonical, ipv4_format(address, canonical)}))
        return false;
    *ret = (struct ip){.bits = 32};
    for (unsigned i = 0; i < 4; i++)
        ret->bytes[i] = (uint8_t)(address >> (24 - 8 * i));
    return true;
}

static bool parse_ip(struct span text, struct ip *ret)
{
    uint16_t groups[8];

    text = host_strip_brackets(text);
    if (parse_ipv4(text, ret))
        return true;
    if (ipv6_parse(text, groups) < 0)
        return false;
    *ret = (struct ip){.bits = 128};
    for (unsigned i = 0; i < 8; i++) {
        ret->bytes[2 * i] = (uint8_t)(groups[i] >> 8);
        ret->bytes[2 * i + 1] = (uint8_t)groups[i];
    }
    return true;
}

static bool shares_prefix(const struct ip *a, const struct ip *b, unsigned bits)
{
    unsigned whole = bits / 8;
    unsigned rest = bits % 8;

    if (a->bits != b->bits || memcmp(a->bytes, b->bytes, whole) != 0)
        return false;
    return rest == 0 || (a->bytes[whole] ^ b->bytes[whole]) >> (8 - rest) == 0;
}

/* "192.0.2.1", "10.0.0.0/8", "[::1]", "fe80::/10" */
static bool matches_address(struct span entry, const struct ip *host)
{
    struct span text;
    struct ip network;
    uint64_t bits;
    bool has_bits = span_split(&entry, '/', &text);

    if (!parse_ip(text, &network))
        return false;
    if (!has_bits)
        return shares_prefix(&network, host, network.bits);
    return num_parse_u64(entry, network.bits, &bits) == 0 &&
           shares_prefix(&network, host, (unsigned)bits);
}

static bool matches_name(struct span entry, struct span host)
{
    if (span_starts_with(entry, SPAN_LIT("*.")))
        entry = span_drop(entry, 1);
    if (span_starts_with(entry, SPAN_LIT(".")))
        entry = span_drop(entry, 1);
    entry = host_strip_dot(entry);
    host = host_strip_dot(host);
    if (entry.len == 0 || entry.len > host.len)
        return false;
    size_t before = host.len - entry.len;
    return span_ieq(entry, span_drop(host, before)) &&
           (before == 0 || host.ptr[before - 1] == '.');
}

static bool is_separator(char c)
{
    return c == ',' || c == ' ' || c == '\t';
}

static struct span next_entry(struct span *rest)
{
    size_t len = 0;

    while (rest->len > 0 && is_separator(rest->ptr[0]))
        *rest = span_drop(*rest, 1);
    while (len < rest->len && !is_separator(rest->ptr[len]))
        len++;
    struct span entry = span_take(*rest, len);
    *rest = span_drop(*rest, len);
    return entry;
}

static bool is_network(struct span entry)
{
    struct span text;
    struct ip network;
    uint64_t bits;
    bool has_bits = span_split(&entry, '/', &text);

    return parse_ip(text, &network) &&
           (!has_bits || num_parse_u64(entry, network.bits, &bits) == 0);
}

/* A name of which some host could be: others are never met. */
static bool is_name(struct span entry)
{
    struct host_name name;

    if (span_starts_with(entry, SPAN_LIT("*.")))
        entry = span_drop(entry, 1);
    if (span_starts_with(entry, SPAN_LIT(".")))
        entry = span_drop(entry, 1);
    return host_name_parse(entry, &name) == HOST_OK && name.kind == HOST_DOMAIN &&
           host_name_is_plain(&name);
}

bool no_proxy_is_right(struct span list, struct span *ret_bad)
{
    for (struct span entry = next_entry(&list); entry.len > 0; entry = next_entry(&list)) {
        if (!span_eq(entry, SPAN_LIT("*")) && !is_network(entry) && !is_name(entry)) {
            *ret_bad = entry;
            return false;
        }
    }
    return true;
}

bool no_proxy_matches(struct span list, const struct origin *origin)
{
    struct span host = origin_host(origin);
    bool is_name = !origin->is_ip && host.len > 0 && host.ptr[0] != '[';
    struct ip ip = {0};

    if (!is_name && !parse_ip(host, &ip))
        is_name = false;
    for (struct span entry = next_entry(&list); entry.len > 0; entry = next_entry(&list)) {
        if (span_eq(entry, SPAN_LIT("*")))
            return true;
        if (is_name ? matches_name(entry, host) : matches_address(entry, &ip))
            return true;
    }
    return false;
}
