/* SPDX-License-Identifier: MIT */
#include "pool/proxy_step.h"

#include <errno.h>

#include "base/fault.h"
#include "base/mem.h"
#include "base/rand.h"
#include "pool/connector.h"
#include "transport/tunnel.h"

bool proxy_step_is_needed(const struct pool_key *key)
{
    return key->proxy.way == PROXY_WAY_CONNECT || key->proxy.way == PROXY_WAY_SOCKS5;
}

size_t pool_proxy_format(const struct pool_proxy *proxy, char ret[PROXY_TEXT_SIZE])
{
    enum proxy_kind kind = proxy->way == PROXY_WAY_DIRECT   ? PROXY_NONE
                           : proxy->way == PROXY_WAY_SOCKS5 ? PROXY_SOCKS5
                           : proxy->at.is_https             ? PROXY_HTTPS
                                                            : PROXY_HTTP;

    return proxy_format(kind, &proxy->at, ret);
}

/* What is asked for: --resolve's address before --connect-to's name before the URL's. */
static struct span target_host(const struct pool_key *key)
{
    if (key->route.n_addresses > 0)
        return key->route.addresses[0];
    return key->route.host.len > 0 ? key->route.host : origin_host(&key->origin);
}

static uint16_t target_port(const struct pool_key *key)
{
    return key->route.port ? key->route.port : key->origin.port;
}

/* The target of CONNECT as it stands in the request line, which Digest signs. */
static int format_target(const struct pool_key *key, struct buf *out)
{
    struct span host = host_strip_brackets(target_host(key));
    bool is_ipv6 = host.len > 0 && memchr(host.ptr, ':', host.len);
    int r = is_ipv6 ? buf_append_char(out, '[') : 0;

    if (r == 0)
        r = buf_append(out, host);
    if (r == 0 && is_ipv6)
        r = buf_append_char(out, ']');
    if (r == 0)
        r = buf_append_char(out, ':');
    return r < 0 ? r : buf_append_u64(out, target_port(key));
}

static struct proxy_login_ask ask_of(const struct proxy_step *step, struct span target)
{
    const struct pool_proxy *proxy = &step->key->proxy;

    return (struct proxy_login_ask){
        .place = {&step->key->partition, &proxy->at},
        .scheme = proxy->scheme,
        .user = proxy->user,
        .password = proxy->password,
        .method = SPAN_LIT("CONNECT"),
        .target = target,
        .has_body_bytes = true, /* there are none */
    };
}

static int format_login(struct proxy_step *step, struct buf *out)
{
    CLEANUP_BUF struct buf target = BUF_INIT(0);
    uint8_t chance[DIGEST_CHANCE_BYTES];
    int r = format_target(step->key, &target);

    if (r < 0)
        return r;
    struct proxy_login_ask ask = ask_of(step, buf_span(&target));
    rand_bytes(chance, sizeof(chance));
    return proxy_login_format(&step->login, step->parts->proxy_logins, &ask, chance, out);
}

/* ---- what the tunnel tells --------------------------------------------------------------- */

static void step_on_open(void *owner)
{
    struct proxy_step *step = owner;

    step->tunnel = NULL;
    step->events->on_open(step->owner);
}

static void
step_on_challenge(void *owner, const struct headers *headers, const struct failure *why)
{
    struct proxy_step *step = owner;
    struct proxy_login_ask ask = ask_of(step, (struct span){0});
    struct failure copy = *why;

    step->tunnel = NULL;
    int r = proxy_login_answer(&step->login, step->parts->proxy_logins, &ask, headers);
    if (r == PROXY_LOGIN_AGAIN) {
        step->events->on_again(step->owner);
        return;
    }
    if (r < 0) {
        failure_set(&copy, FAILURE_INTERNAL, "out of memory");
        copy.phase = PHASE_PROXY;
    }
    step->events->on_failed(step->owner, &copy);
}

static void step_on_failed(void *owner, const struct failure *why)
{
    struct proxy_step *step = owner;

    step->tunnel = NULL;
    step->events->on_failed(step->owner, why);
}

static const struct tunnel_events tunnel_events = {
    .on_open = step_on_open,
    .on_challenge = step_on_challenge,
    .on_failed = step_on_failed,
};

int proxy_step_start(struct proxy_step *step, struct io *io)
{
    const struct pool_proxy *proxy = &step->key->proxy;
    struct buf login = BUF_INIT(0);
    char name[PROXY_TEXT_SIZE];
    struct tunnel_options options = {
        .kind = proxy->way == PROXY_WAY_SOCKS5 ? TUNNEL_SOCKS5 : TUNNEL_CONNECT,
        .proxy_name = {name, pool_proxy_format(proxy, name)},
        .host = host_strip_brackets(target_host(step->key)),
        .port = target_port(step->key),
        .user = proxy->user,
        .password = proxy->password,
    };
    int r = options.kind == TUNNEL_CONNECT ? format_login(step, &login) : 0;

    options.authorization = buf_span(&login);
    if (r == 0)
        r = tunnel_start(step->parts->transport, io, &options, &tunnel_events, step,
                         &step->tunnel);
    if (login.storage)
        explicit_bzero(login.storage, login.capacity);
    buf_done(&login);
    return r;
}

void proxy_step_done(struct proxy_step *step)
{
    step->tunnel = tunnel_cancel(step->tunnel);
    proxy_login_done(&step->login);
}
