/* SPDX-License-Identifier: MIT */
/* cookies list and clear. */
#include <string.h>

#include "listing.h"
#include "show.h"

static const char *same_site_name(enum xhr_same_site same_site)
{
    switch (same_site) {
    case XHR_SAME_SITE_NONE: return "None";
    case XHR_SAME_SITE_LAX: return "Lax";
    case XHR_SAME_SITE_STRICT: return "Strict";
    case XHR_SAME_SITE_UNSPECIFIED: break;
    }
    return "";
}

static struct cell text_cell(const char *key, const char *text, unsigned flags)
{
    return (struct cell){.key = key,
                         .kind = CELL_TEXT,
                         .flags = flags,
                         .bytes = text,
                         .len = text ? strlen(text) : 0};
}

static struct cell bool_cell(const char *key, bool yes)
{
    return (struct cell){.key = key, .kind = CELL_BOOL, .flags = CELL_OF_JSON, .number = yes};
}

static struct cell date_cell(const char *key, int64_t unix_s, unsigned flags)
{
    return (struct cell){.key = key, .kind = CELL_DATE, .flags = flags, .number = unix_s};
}

/* "Secure HttpOnly Lax": what a table has room for. */
static void add_marks(struct strbuf *out, const struct xhr_cookie *cookie)
{
    const char *const marks[] = {
        cookie->secure ? "Secure" : "",
        cookie->http_only ? "HttpOnly" : "",
        cookie->host_only ? "HostOnly" : "",
        same_site_name(cookie->same_site),
        cookie->partition_key && cookie->partition_key[0] ? "Partitioned" : "",
    };

    strbuf_clear(out);
    for (size_t i = 0; i < sizeof(marks) / sizeof(marks[0]); i++) {
        if (out->len > 0 && marks[i][0])
            strbuf_add_char(out, ' ');
        strbuf_add_text(out, marks[i]);
    }
}

static void add_cookie(struct listing *listing,
                       const struct xhr_cookie *cookie,
                       bool masked,
                       struct strbuf *marks)
{
    unsigned in_table = listing->json ? CELL_OF_JSON : 0;
    struct cell value = text_cell("value", cookie->value, 0);

    if (masked)
        value = (struct cell){.key = "value", .kind = CELL_HIDDEN};
    add_marks(marks, cookie);

    struct cell expires = date_cell(listing->json ? "expires_s" : "expires", cookie->expires_s,
                                    cookie->persistent ? 0 : CELL_NONE);
    if (!cookie->persistent && !listing->json)
        expires = text_cell("expires", "session", 0);

    const struct cell cells[] = {
        text_cell("domain", cookie->domain, 0),
        text_cell("path", cookie->path, 0),
        text_cell("name", cookie->name, 0),
        value,
        expires,
        bool_cell("secure", cookie->secure),
        bool_cell("http_only", cookie->http_only),
        bool_cell("host_only", cookie->host_only),
        text_cell("same_site", same_site_name(cookie->same_site), CELL_OF_JSON),
        text_cell("partition_key", cookie->partition_key, CELL_OF_JSON),
        date_cell("created_s", cookie->created_s, CELL_OF_JSON),
        date_cell("last_access_s", cookie->last_access_s, CELL_OF_JSON),
        text_cell("flags", strbuf_text(marks), in_table),
    };
    /* The last is made of others: for people alone. */
    listing_add(listing, cells, sizeof(cells) / sizeof(cells[0]) - listing->json);
}

static void show_cookies(const struct xhr_cookies *cookies,
                         const struct ctl_options *options,
                         bool masked,
                         struct strbuf *out)
{
    struct listing listing;
    struct strbuf marks = {0};

    listing_begin(&listing, options->json);
    for (size_t i = 0; i < xhr_cookies_count(cookies); i++)
        add_cookie(&listing, xhr_cookies_at(cookies, i), masked, &marks);
    listing_end(&listing, "no cookies", out);
    listing_done(&listing);
    strbuf_done(&marks);
}

static void show_removed(const struct xhr_cookies *cookies, bool as_json, struct strbuf *out)
{
    uint64_t n = xhr_cookies_changed(cookies);
    bool kept = xhr_cookies_not_persisted(cookies);
    struct json json = {.out = out};

    if (as_json) {
        json_object_begin(&json, NULL);
        json_u64(&json, "removed", n);
        json_bool(&json, "not_persisted", kept);
        json_object_end(&json);
        strbuf_add_char(out, '\n');
        return;
    }
    strbuf_add_u64(out, n);
    strbuf_add_text(out, n == 1 ? " cookie removed" : " cookies removed");
    strbuf_add_text(out, kept ? ", from memory only: the disk did not take it\n" : "\n");
}

static int
ask(struct xhr_client *client, const struct ctl_options *options, struct xhr_cookies **ret)
{
    struct xhr_cookie_filter filter = {
        .size = sizeof(filter),
        .domain = options->domain,
        .path = options->path,
        .name = options->name,
        .host = options->host,
    };
    bool any = options->domain || options->path || options->name || options->host;

    if (options->command == CTL_COOKIES_LIST)
        return xhr_cookies_list_wait(client, options->jar, any ? &filter : NULL, ret);
    if (any)
        return xhr_cookies_remove_wait(client, options->jar, &filter, ret);
    return xhr_cookies_clear_wait(client, options->jar, ret);
}

int cookies_run(struct xhr_client *client,
                const struct ctl_options *options,
                bool masked,
                struct strbuf *out,
                struct trouble *why)
{
    struct xhr_cookies *cookies = NULL;
    int r = ask(client, options, &cookies);
    const struct xhr_error *error = cookies ? xhr_cookies_error(cookies) : NULL;
    int result = 0;

    if (error)
        result = ctl_trouble(error, why);
    else if (r == -EINVAL)
        result = trouble_set(why, EXIT_USAGE,
                             "a jar's name is 1 to 31 of a-z, 0-9, - and _; a filter is not "
                             "empty");
    else if (r < 0)
        result = trouble_set(why, EXIT_DAEMON, "%s", strerror(-r));
    else if (options->command == CTL_COOKIES_LIST)
        show_cookies(cookies, options, masked, out);
    else
        show_removed(cookies, options->json, out);
    (void)xhr_cookies_free(cookies);
    return result;
}
