/* SPDX-License-Identifier: MIT */
#include "policy/tls_seen.h"

#include <stdio.h>

#include "http/host.h"

#define PORT_TEXT_SIZE 8 /* ":65535", NUL */
#define SEEN_TEXT_SIZE (ORIGIN_HOST_SIZE + PORT_TEXT_SIZE)

struct hsts_options tls_seen_options(void)
{
    return (struct hsts_options){.hosts_max = 4096, .all_max = 16384, .any_text = true};
}

static struct span format(const struct origin *origin, char ret[SEEN_TEXT_SIZE])
{
    struct span host = host_strip_dot(origin_host(origin));
    char port[PORT_TEXT_SIZE];
    int len = snprintf(port, sizeof(port), ":%u", (unsigned)origin->port);

    memcpy(ret, host.ptr, host.len);
    memcpy(ret + host.len, port, (size_t)len);
    return (struct span){ret, host.len + (size_t)len};
}

int tls_seen_note(struct hsts *set, const struct origin *origin, int64_t now_s)
{
    char text[SEEN_TEXT_SIZE];

    return hsts_note(set, format(origin, text), TLS_SEEN_LIFETIME_S, false, now_s);
}

bool tls_seen_has(struct hsts *set, const struct origin *origin, int64_t now_s)
{
    char text[SEEN_TEXT_SIZE];

    return hsts_has(set, format(origin, text), now_s);
}

/* An entry of a host, and a copy of it, since removing it takes its text along. */
struct forgetting {
    struct span host;
    char text[HSTS_TEXT_MAX];
    size_t len; /* 0: none found */
};

static bool find_port(void *arg, const struct hsts_host *seen)
{
    struct forgetting *forgetting = arg;
    struct span rest = seen->host;

    if (!span_eq(span_take(rest, forgetting->host.len), forgetting->host) ||
        rest.len <= forgetting->host.len || rest.ptr[forgetting->host.len] != ':' ||
        memchr(rest.ptr + forgetting->host.len + 1, ':', rest.len - forgetting->host.len - 1))
        return true;
    memcpy(forgetting->text, rest.ptr, rest.len);
    forgetting->len = rest.len;
    return false;
}

size_t tls_seen_forget(struct hsts *set, struct span host)
{
    struct forgetting forgetting = {.host = host_strip_dot(host)};
    size_t n = 0;

    for (hsts_each(set, find_port, &forgetting); forgetting.len > 0;
         hsts_each(set, find_port, &forgetting)) {
        n += hsts_remove(set, (struct span){forgetting.text, forgetting.len});
        forgetting.len = 0;
    }
    return n;
}
