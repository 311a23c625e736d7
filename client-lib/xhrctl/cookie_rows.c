/* SPDX-License-Identifier: MIT */
#include "cookie_rows.h"

#include <string.h>

const char *cookie_same_site_name(enum xhr_same_site same_site)
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
        cookie_same_site_name(cookie->same_site),
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

    if (masked || cookie->value_withheld)
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
        text_cell("same_site", cookie_same_site_name(cookie->same_site), CELL_OF_JSON),
        text_cell("partition_key", cookie->partition_key, CELL_OF_JSON),
        date_cell("created_s", cookie->created_s, CELL_OF_JSON),
        date_cell("last_access_s", cookie->last_access_s, CELL_OF_JSON),
        text_cell("flags", strbuf_text(marks), in_table),
    };
    /* The last is made of others: for people alone. */
    listing_add(listing, cells, sizeof(cells) / sizeof(cells[0]) - listing->json);
}

void cookie_rows_list(const struct xhr_cookies *cookies,
                      const struct cookie_look *look,
                      struct strbuf *out)
{
    struct listing listing;
    struct strbuf marks = {0};

    listing_begin(&listing, look->json);
    for (size_t i = 0; i < xhr_cookies_count(cookies); i++)
        add_cookie(&listing, xhr_cookies_at(cookies, i), look->masked, &marks);
    listing_end(&listing, "no cookies", out);
    listing_done(&listing);
    strbuf_done(&marks);
}

void cookie_rows_why(const struct xhr_cookies *cookies, bool json, struct strbuf *out)
{
    struct listing listing;

    listing_begin(&listing, json);
    for (size_t i = 0; i < xhr_cookies_count(cookies); i++) {
        const struct xhr_cookie *cookie = xhr_cookies_at(cookies, i);
        const struct xhr_cookie_verdict *verdict = xhr_cookies_verdict_at(cookies, i);
        struct cell goes = bool_cell("goes", verdict && verdict->goes);

        goes.flags = 0;
        const struct cell cells[] = {
            text_cell("domain", cookie->domain, 0),
            text_cell("path", cookie->path, 0),
            text_cell("name", cookie->name, 0),
            goes,
            text_cell("why", verdict ? verdict->text : "", 0),
        };
        listing_add(&listing, cells, sizeof(cells) / sizeof(cells[0]));
    }
    listing_end(&listing, "no cookies", out);
    listing_done(&listing);
}

void cookie_rows_json(struct json *json, const struct xhr_cookie *cookie, bool masked)
{
    json_text(json, "domain", cookie->domain);
    json_text(json, "path", cookie->path);
    json_text(json, "name", cookie->name);
    json_text(json, "value", masked || cookie->value_withheld ? NULL : cookie->value);
    if (cookie->persistent)
        json_i64(json, "expires_s", cookie->expires_s);
    else
        json_null(json, "expires_s");
    json_bool(json, "secure", cookie->secure);
    json_bool(json, "http_only", cookie->http_only);
    json_bool(json, "host_only", cookie->host_only);
    json_text(json, "same_site", cookie_same_site_name(cookie->same_site));
    json_text(json, "partition_key", cookie->partition_key);
}
