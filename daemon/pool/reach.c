/* SPDX-License-Identifier: MIT */
#include "pool/reach.h"

#include <errno.h>
#include <netdb.h>

#include "http/host.h"

/* The address that will be dialled, where it is known without asking anybody. */
static bool address_of(const struct pool_key *key, struct address *ret)
{
    uint16_t port = key->route.port ? key->route.port : key->origin.port;
    struct span host = key->route.host.len > 0 ? key->route.host
                                               : host_strip_brackets(origin_host(&key->origin));

    if (key->proxy.way != PROXY_WAY_DIRECT) { /* what is dialled is the proxy */
        host = host_strip_brackets(origin_host(&key->proxy.at));
        port = key->proxy.at.port;
    } else if (key->route.n_addresses > 0) {
        host = key->route.addresses[0];
    }
    return address_parse(host, port, ret) == 0;
}

static bool is_about_routes(int err)
{
    return err == ENETUNREACH || err == EHOSTUNREACH || err == ENETDOWN ||
           err == EADDRNOTAVAIL || err == ENONET;
}

/* struct failure holds EAI_ values as positive numbers. Name servers that cannot be asked: a
 * name that is none is an answer, unless nobody was there to ask. */
static bool is_about_servers(uint32_t code)
{
    int eai = -(int)code;

    return eai == EAI_AGAIN || eai == EAI_FAIL || eai == EAI_SYSTEM;
}

static bool is_about_names(uint32_t code)
{
    int eai = -(int)code;

    return eai == EAI_NONAME || eai == EAI_NODATA || eai == EAI_ADDRFAMILY;
}

bool reach_is_missing(struct network *network,
                      const struct pool_key *key,
                      const struct failure *why)
{
    bool is_proxys = why->kind == FAILURE_PROXY; /* and the same trouble on the way to it */
    struct address address;

    if ((why->kind == FAILURE_CONNECT || (is_proxys && why->phase == PHASE_CONNECT)) &&
        is_about_routes(why->sys_errno))
        return address_of(key, &address) ? !network_has_route(network, &address)
                                         : !network_state(network).is_online;
    if (why->kind != FAILURE_DNS && !(is_proxys && why->phase == PHASE_DNS))
        return false;
    if (is_about_servers(why->code) && network_is_settling(network))
        return true;
    return (is_about_servers(why->code) || is_about_names(why->code)) &&
           !network_state(network).is_online;
}

void reach_wait(struct network *network,
                const struct pool_key *key,
                struct network_waiter *waiter)
{
    waiter->has_address = address_of(key, &waiter->address);
    network_wait(network, waiter);
}
