/* SPDX-License-Identifier: MIT */
/*
 * A script of what responses store and requests ask. Whatever was stored: no request carries a
 * cookie that the jar's own match rule refuses for it, and no limit is passed.
 */
#include <stdlib.h>

#include "base/map.h"
#include "policy/cookie_jar.h"
#include "policy/cookie_match.h"

#define CHECK(x)                                                                               \
    do {                                                                                       \
        if (!(x))                                                                              \
            abort();                                                                           \
    } while (0)

#define COOKIES_MAX        40
#define SITE_COOKIES_MAX   12
#define HEADER_COOKIES_MAX 8
#define HEADER_BYTES_MAX   200

static const char *const hosts[] = {"a.com",     "www.a.com", "b.co.uk", "x.b.co.uk",
                                    "127.0.0.1", "[::1]",     "co.uk",   "a.com."};
static const char *const paths[] = {"", "/", "/a", "/a/", "/a/b", "/ab", "/a/b/c"};
static const char *const suffixes[] = {"co.uk", NULL};

struct script {
    const uint8_t *at;
    const uint8_t *end;
    int64_t now_s;
};

static uint8_t next(struct script *script)
{
    return script->at < script->end ? *script->at++ : 0;
}

static struct span next_text(struct script *script)
{
    size_t len = next(script);
    size_t left = (size_t)(script->end - script->at);
    struct span text = {(const char *)script->at, len < left ? len : left};

    script->at += text.len;
    return text;
}

static struct cookie_request next_request(struct script *script)
{
    uint8_t bits = next(script);

    return (struct cookie_request){
        .host = span_of(hosts[bits & 7]),
        .path = span_of(paths[next(script) % 7]),
        .now_s = script->now_s,
        .is_secure = bits & 8,
        .is_not_http = bits & 16,
    };
}

/* What a request may carry, said a second time and in the plainest way. */
static bool may_carry(const struct cookie_request *request, const struct cookie *cookie)
{
    struct span host = request->host;

    if (host.ptr[0] == '[')
        host = (struct span){host.ptr + 1, host.len - 2};
    if (host.ptr[host.len - 1] == '.')
        host.len--;
    if (cookie->host_only ? !span_eq(host, cookie->domain)
                          : !cookie_domain_matches(host, cookie->domain))
        return false;
    return cookie_path_matches(request->path, cookie->path) &&
           (!cookie->secure || request->is_secure) &&
           (!cookie->http_only || !request->is_not_http) &&
           (!cookie->is_persistent || cookie->expires_s > request->now_s);
}

struct search {
    const struct cookie_request *request;
    struct span sent; /* "name=value" */
    bool is_found;
};

static bool is_sent_as(const struct cookie *cookie, struct span sent)
{
    if (cookie->name.len == 0)
        return span_eq(cookie->value, sent);
    return sent.len == cookie->name.len + 1 + cookie->value.len &&
           span_starts_with(sent, cookie->name) && sent.ptr[cookie->name.len] == '=' &&
           span_ends_with(sent, cookie->value);
}

static bool look(void *arg, const struct cookie *cookie)
{
    struct search *search = arg;

    search->is_found = is_sent_as(cookie, search->sent) && may_carry(search->request, cookie);
    return !search->is_found;
}

static void ask(struct cookie_jar *jar, struct script *script)
{
    CLEANUP_BUF struct buf out = BUF_INIT(0);
    const struct cookie_request request = next_request(script);
    int count = cookie_jar_header_for(jar, &request, &out);
    struct span rest = buf_span(&out);
    int n = 0;

    CHECK(count >= 0 && count <= HEADER_COOKIES_MAX && rest.len <= HEADER_BYTES_MAX);
    while (rest.len > 0) {
        struct search search = {.request = &request};

        (void)span_split(&rest, ';', &search.sent); /* no cookie may hold a ';' */
        if (rest.len > 0) {
            CHECK(rest.ptr[0] == ' ');
            rest = span_drop(rest, 1);
        }
        cookie_jar_each(jar, NULL, request.now_s, look, &search);
        CHECK(search.is_found);
        n++;
    }
    CHECK(n == count);
}

static void store(struct cookie_jar *jar, struct script *script)
{
    const struct cookie_request from = next_request(script);
    struct set_cookie set;

    if (set_cookie_parse(next_text(script), &set) == SET_COOKIE_OK)
        CHECK(cookie_jar_store(jar, &from, &set) > 0);
}

static void set_by_owner(struct cookie_jar *jar, struct script *script)
{
    struct cookie_request from = next_request(script);
    uint8_t bits = next(script);
    struct cookie draft = {
        .name = next_text(script),
        .value = next_text(script),
        .domain = next_text(script),
        .path = next_text(script),
        .expires_s = script->now_s + bits,
        .is_persistent = bits & 1,
        .secure = bits & 2,
        .http_only = bits & 4,
        .host_only = bits & 8,
    };

    if (bits & 16)
        from.host = (struct span){0};
    int r = bits & 32 ? cookie_jar_restore(jar, &draft, script->now_s)
                      : cookie_jar_set(jar, &draft, &from);
    CHECK(r > 0);
}

static void remove_some(struct cookie_jar *jar, struct script *script)
{
    uint8_t bits = next(script);
    const struct cookie_filter filter = {
        .domain = bits & 1 ? next_text(script) : (struct span){0},
        .host = bits & 2 ? span_of(hosts[next(script) & 7]) : (struct span){0},
        .name = bits & 4 ? next_text(script) : (struct span){0},
        .session_only = bits & 8,
    };
    struct cookie_list list;
    size_t before = cookie_jar_count(jar);

    (void)cookie_jar_expire(jar, script->now_s);
    size_t expired = before - cookie_jar_count(jar);
    CHECK(cookie_jar_list(jar, &filter, script->now_s, &list) == 0);
    size_t matching = list.count;
    cookie_list_done(&list);
    size_t gone = cookie_jar_remove(jar, &filter);
    CHECK(gone == matching && before - expired - gone == cookie_jar_count(jar));
}

static void step(struct cookie_jar *jar, struct script *script)
{
    switch (next(script) % 5) {
    case 0:
    case 1: store(jar, script); break;
    case 2: ask(jar, script); break;
    case 3:
        if (next(script) & 1)
            remove_some(jar, script);
        else
            script->now_s += next(script);
        break;
    default: set_by_owner(jar, script); break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cookie_jar_options options = cookie_jar_options_default();
    struct script script = {data, data + size, 1800000000};
    struct suffix_table table;
    struct cookie_jar *jar = NULL;

    map_fix_seed(1, 2);
    suffix_table_init(&table, suffixes);
    options.cookies_max = COOKIES_MAX;
    options.site_cookies_max = SITE_COOKIES_MAX;
    options.header_cookies_max = HEADER_COOKIES_MAX;
    options.header_bytes_max = HEADER_BYTES_MAX;
    CHECK(cookie_jar_new(&jar, &table.rules, &options) == 0);
    while (script.at < script.end) {
        step(jar, &script);
        CHECK(cookie_jar_count(jar) <= COOKIES_MAX);
    }
    cookie_jar_free(jar);
    return 0;
}
