/* SPDX-License-Identifier: MIT */
#include "net/address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>

#include "base/fault.h"

/* inet_pton() wants a NUL; the longest literal is an IPv6 one with an IPv4 tail. */
static bool copy_text(struct span text, char *ret, size_t size)
{
    if (text.len == 0 || text.len >= size || memchr(text.ptr, '\0', text.len))
        return false;
    memcpy(ret, text.ptr, text.len);
    ret[text.len] = '\0';
    return true;
}

static int parse_v6(struct span text, uint16_t port, struct address *ret)
{
    struct address found = {.in6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)}};
    struct span zone = text;
    struct span digits;
    char literal[INET6_ADDRSTRLEN];
    char name[IF_NAMESIZE];

    bool has_zone = span_split(&zone, '%', &digits);
    if (!copy_text(digits, literal, sizeof(literal)) ||
        inet_pton(AF_INET6, literal, &found.in6.sin6_addr) != 1)
        return fault(-EINVAL);
    if (has_zone) {
        if (!copy_text(zone, name, sizeof(name)))
            return fault(-EINVAL);
        found.in6.sin6_scope_id = if_nametoindex(name);
        if (found.in6.sin6_scope_id == 0)
            return fault(-EINVAL);
    }
    *ret = found;
    return 0;
}

int address_parse(struct span text, uint16_t port, struct address *ret)
{
    struct address found = {.in = {.sin_family = AF_INET, .sin_port = htons(port)}};
    char literal[INET_ADDRSTRLEN];

    if (text.len >= 2 && text.ptr[0] == '[' && text.ptr[text.len - 1] == ']')
        return parse_v6((struct span){text.ptr + 1, text.len - 2}, port, ret);
    if (text.len > 0 && memchr(text.ptr, ':', text.len))
        return parse_v6(text, port, ret);
    if (!copy_text(text, literal, sizeof(literal)) ||
        inet_pton(AF_INET, literal, &found.in.sin_addr) != 1)
        return -EINVAL; /* the common case of a name: no fault */
    *ret = found;
    return 0;
}

int address_from_sockaddr(const struct sockaddr *sa, socklen_t len, struct address *ret)
{
    struct address found = {0};

    if (sa->sa_family == AF_INET && len >= sizeof(found.in))
        memcpy(&found.in, sa, sizeof(found.in));
    else if (sa->sa_family == AF_INET6 && len >= sizeof(found.in6))
        memcpy(&found.in6, sa, sizeof(found.in6));
    else
        return fault(-EAFNOSUPPORT);
    *ret = found;
    return 0;
}

const char *address_format(const struct address *address, char ret[ADDRESS_TEXT_MAX])
{
    char literal[INET6_ADDRSTRLEN];
    char zone[IF_NAMESIZE + 1] = "";

    switch (address->sa.sa_family) {
    case AF_INET:
        (void)inet_ntop(AF_INET, &address->in.sin_addr, literal, sizeof(literal));
        (void)snprintf(ret, ADDRESS_TEXT_MAX, "%s:%u", literal, address_port(address));
        return ret;
    case AF_INET6:
        (void)inet_ntop(AF_INET6, &address->in6.sin6_addr, literal, sizeof(literal));
        if (address->in6.sin6_scope_id != 0 &&
            if_indextoname(address->in6.sin6_scope_id, zone + 1))
            zone[0] = '%';
        (void)snprintf(ret, ADDRESS_TEXT_MAX, "[%s%s]:%u", literal, zone,
                       address_port(address));
        return ret;
    default: (void)snprintf(ret, ADDRESS_TEXT_MAX, "-"); return ret;
    }
}

static int compare_u32(uint32_t a, uint32_t b)
{
    return (a > b) - (a < b);
}

int address_compare(const struct address *a, const struct address *b)
{
    int order = compare_u32(a->sa.sa_family, b->sa.sa_family);

    if (order != 0)
        return order;
    if (a->sa.sa_family == AF_INET)
        order = memcmp(&a->in.sin_addr, &b->in.sin_addr, sizeof(a->in.sin_addr));
    else if (a->sa.sa_family == AF_INET6)
        order = memcmp(&a->in6.sin6_addr, &b->in6.sin6_addr, sizeof(a->in6.sin6_addr));
    if (order == 0 && a->sa.sa_family == AF_INET6)
        order = compare_u32(a->in6.sin6_scope_id, b->in6.sin6_scope_id);
    return order != 0 ? order : compare_u32(address_port(a), address_port(b));
}

int address_family(const struct address *address)
{
    return address->sa.sa_family;
}

uint16_t address_port(const struct address *address)
{
    if (address->sa.sa_family == AF_INET)
        return ntohs(address->in.sin_port);
    return address->sa.sa_family == AF_INET6 ? ntohs(address->in6.sin6_port) : 0;
}

void address_set_port(struct address *address, uint16_t port)
{
    if (address->sa.sa_family == AF_INET)
        address->in.sin_port = htons(port);
    else if (address->sa.sa_family == AF_INET6)
        address->in6.sin6_port = htons(port);
}

socklen_t address_len(const struct address *address)
{
    return address->sa.sa_family == AF_INET6 ? sizeof(address->in6) : sizeof(address->in);
}

bool address_is_loopback(const struct address *address)
{
    const struct in6_addr *v6 = &address->in6.sin6_addr;

    if (address->sa.sa_family == AF_INET)
        return ntohl(address->in.sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
    if (address->sa.sa_family != AF_INET6)
        return false;
    return IN6_IS_ADDR_LOOPBACK(v6) ||
           (IN6_IS_ADDR_V4MAPPED(v6) && v6->s6_addr[12] == IN_LOOPBACKNET);
}
