/* SPDX-License-Identifier: MIT */
#include "policy/access_hosts.h"

#include <errno.h>
#include <stdlib.h>

#include "base/fault.h"
#include "base/mem.h"
#include "base/num.h"
#include "http/host.h"

void access_hosts_done(struct access_hosts *hosts)
{
    for (size_t i = 0; i < hosts->n; i++)
        mem_free(hosts->at[i].name);
    mem_free(hosts->at);
    *hosts = (struct access_hosts){0};
}

/* ---- words ------------------------------------------------------------------------------- */

static size_t count_colons(struct span text)
{
    size_t n = 0;

    for (size_t i = 0; i < text.len; i++)
        n += text.ptr[i] == ':';
    return n;
}

/* "h:1", "[::1]:1"; the colons of an address without brackets are its own. Return: whether a
 * port stands there. */
static bool cut_port(struct span *word, struct span *ret_port)
{
    struct span rest = *word;
    struct span host;

    if (word->len > 0 && word->ptr[0] == '[') {
        if (!span_split(&rest, ']', &host) || rest.len == 0 || rest.ptr[0] != ':')
            return false;
        *word = span_take(*word, host.len + 1);
        *ret_port = span_drop(rest, 1);
        return true;
    }
    if (count_colons(rest) != 1)
        return false;
    (void)span_split(&rest, ':', &host);
    *word = host;
    *ret_port = rest;
    return true;
}

static int parse_port(struct span text, uint16_t *ret)
{
    uint64_t port;

    if (num_parse_u64(text, UINT16_MAX, &port) < 0 || port == 0)
        return -EINVAL;
    *ret = (uint16_t)port;
    return 0;
}

/* What stands behind "*." is a name: an address has nothing below it. */
static int parse_host(struct span text, bool is_below, struct host_name *ret)
{
    if (text.len > 0 && (text.ptr[0] == '.' || memchr(text.ptr, '*', text.len)))
        return -EINVAL;
    int r = host_name_parse(text, ret);
    if (r < 0)
        return r;
    if (r != HOST_OK || !host_name_is_plain(ret))
        return -EINVAL;
    return is_below && ret->kind != HOST_DOMAIN ? -EINVAL : 0;
}

static int grow(struct access_hosts *hosts)
{
    size_t capacity = hosts->capacity > 0 ? 2 * hosts->capacity : 8;

    if (hosts->n < hosts->capacity)
        return 0;
    struct access_host *at = mem_realloc(hosts->at, capacity * sizeof(*at));
    if (!at)
        return fault(-ENOMEM);
    hosts->at = at;
    hosts->capacity = capacity;
    return 0;
}

int access_hosts_add(struct access_hosts *hosts, struct span word, unsigned line)
{
    struct access_host host = {.line = line};
    struct host_name name = {.text = ""};
    struct span port;

    if (hosts->n == ACCESS_HOSTS_MAX)
        return -E2BIG;
    if (cut_port(&word, &port) && parse_port(port, &host.port) < 0)
        return -EINVAL;
    bool is_any = span_eq(word, SPAN_LIT("*"));
    host.is_below = is_any || span_starts_with(word, SPAN_LIT("*."));
    if (!is_any) {
        int r = parse_host(host.is_below ? span_drop(word, 2) : word, host.is_below, &name);
        if (r < 0)
            return r;
    }
    int r = grow(hosts);
    if (r < 0)
        return r;
    host.name = mem_dup(span_of(name.text));
    if (!host.name)
        return fault(-ENOMEM);
    hosts->at[hosts->n++] = host;
    return 0;
}

/* ---- looking up -------------------------------------------------------------------------- */

struct wanted {
    struct span name;
    bool is_below;
    uint16_t port;
};

static int compare(const struct wanted *a, const struct wanted *b)
{
    size_t len = a->name.len < b->name.len ? a->name.len : b->name.len;

    if (a->is_below != b->is_below)
        return a->is_below ? 1 : -1;
    int r = len > 0 ? memcmp(a->name.ptr, b->name.ptr, len) : 0;
    if (r == 0)
        r = (a->name.len > b->name.len) - (a->name.len < b->name.len);
    return r != 0 ? r : (a->port > b->port) - (a->port < b->port);
}

static struct wanted key_of(const struct access_host *host)
{
    return (struct wanted){span_of(host->name), host->is_below, host->port};
}

static int by_key(const void *a, const void *b)
{
    struct wanted left = key_of(a);
    struct wanted right = key_of(b);

    return compare(&left, &right);
}

static int against_key(const void *wanted, const void *host)
{
    struct wanted key = key_of(host);

    return compare(wanted, &key);
}

void access_hosts_sort(struct access_hosts *hosts)
{
    if (hosts->n > 1)
        qsort(hosts->at, hosts->n, sizeof(*hosts->at), by_key);
}

/* This name, of this port or of any. */
static const struct access_host *
find(const struct access_hosts *hosts, struct span name, bool is_below, uint16_t port)
{
    struct wanted wanted = {name, is_below, port};
    const struct access_host *found =
        bsearch(&wanted, hosts->at, hosts->n, sizeof(*hosts->at), against_key);

    if (found)
        return found;
    wanted.port = 0;
    return bsearch(&wanted, hosts->at, hosts->n, sizeof(*hosts->at), against_key);
}

const struct access_host *
access_hosts_find(const struct access_hosts *hosts, struct span host, uint16_t port)
{
    struct span above;

    if (hosts->n == 0)
        return NULL;
    host = host_strip_dot(host_strip_brackets(host));
    const struct access_host *found = find(hosts, host, false, port);
    bool is_name = !host_is_ip_literal(host);
    while (!found && is_name && span_split(&host, '.', &above) && host.len > 0)
        found = find(hosts, host, true, port);
    return found ? found : find(hosts, SPAN_LIT(""), true, port);
}

int access_host_format(const struct access_host *host, struct buf *out)
{
    bool is_v6 = strchr(host->name, ':') != NULL;
    const char *before = !host->is_below ? (is_v6 ? "[" : "") : host->name[0] ? "*." : "*";
    int r = buf_append_format(out, "%s%s%s", before, host->name, is_v6 ? "]" : "");

    if (r == 0 && host->port != 0)
        r = buf_append_format(out, ":%u", host->port);
    return r;
}
