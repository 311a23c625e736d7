/* SPDX-License-Identifier: MIT */
/*
 * Where connections are to leave from: an address, or a network device, whose addresses are
 * looked up here, in the network namespace and with the rights of the program. The daemon is
 * told addresses alone.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <string.h>

#include "xhr_priv.h"

static bool take_literal(struct xhr_source *source, const char *text)
{
    struct in6_addr address;

    if (inet_pton(AF_INET, text, &address) == 1)
        return inet_ntop(AF_INET, &address, source->v4, sizeof(source->v4)) != NULL;
    if (inet_pton(AF_INET6, text, &address) == 1)
        return inet_ntop(AF_INET6, &address, source->v6, sizeof(source->v6)) != NULL;
    return false;
}

/* The first of each family; addresses of the link alone lead nowhere without a zone. */
static void take_address(struct xhr_source *source, const struct sockaddr *address)
{
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;

    if (address->sa_family == AF_INET && !source->v4[0]) {
        memcpy(&v4, address, sizeof(v4));
        (void)inet_ntop(AF_INET, &v4.sin_addr, source->v4, sizeof(source->v4));
    } else if (address->sa_family == AF_INET6 && !source->v6[0]) {
        memcpy(&v6, address, sizeof(v6));
        if (!IN6_IS_ADDR_LINKLOCAL(&v6.sin6_addr))
            (void)inet_ntop(AF_INET6, &v6.sin6_addr, source->v6, sizeof(source->v6));
    }
}

int xhr_source_find(struct xhr_source *ret, const char *name)
{
    struct xhr_source source = {0};
    struct ifaddrs *all = NULL;
    bool is_there = false;

    if (name[0] == '\0' || strlen(name) >= sizeof(source.v6))
        return -EINVAL;
    if (take_literal(&source, name)) {
        *ret = source;
        return 0;
    }
    if (getifaddrs(&all) < 0)
        return -errno;
    for (const struct ifaddrs *at = all; at; at = at->ifa_next) {
        if (strcmp(at->ifa_name, name) != 0)
            continue;
        is_there = true;
        if (at->ifa_addr)
            take_address(&source, at->ifa_addr);
    }
    freeifaddrs(all);
    if (!is_there)
        return -ENODEV;
    if (!source.v4[0] && !source.v6[0])
        return -EADDRNOTAVAIL;
    *ret = source;
    return 0;
}
