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
