/* SPDX-License-Identifier: MIT */
/*
 * Cookies as messages: what of one may be told to whom, what a message asks for, and lists that
 * take more than one reply.
 */
#include <errno.h>

#include "base/fault.h"
#include "base/mem.h"
#include "service/cookie_priv.h"

#define REPLY_BYTES_AIM (256 * 1024) /* of one reply; the rest follows in more */

/* Without WRITE the values of HttpOnly cookies are nobody's to see. */
void cookie_to_pb(const struct cookie *from, enum jar_right right, Xhrd__V1__Cookie *to)
{
    xhrd__v1__cookie__init(to);
    to->name = bytes_of_span(from->name);
    to->value_withheld = from->http_only && right < JAR_RIGHT_WRITE;
    if (!to->value_withheld)
        to->value = bytes_of_span(from->value);
    to->domain = bytes_of_span(from->domain);
    to->path = bytes_of_span(from->path);
    to->secure = from->secure;
    to->http_only = from->http_only;
    to->host_only = from->host_only;
    to->same_site = (Xhrd__V1__SameSite)from->same_site;
    if (from->is_persistent) {
        to->expiry_case = XHRD__V1__COOKIE__EXPIRY_EXPIRES_S;
        to->expires_s = from->expires_s;
    }
    to->created_s = from->created_s;
    to->last_access_s = from->last_access_s;
    to->partition_key = bytes_of_span(from->partition_key);
    to->comment = bytes_of_span(from->comment);
    to->original_url = bytes_of_span(from->original_url);
    to->version = from->version;
}

void cookie_draft_of_pb(const Xhrd__V1__Cookie *from, struct cookie *ret)
{
    *ret = (struct cookie){
        .name = span_of_bytes(from->name),
        .value = span_of_bytes(from->value),
        .domain = span_of_bytes(from->domain),
        .path = span_of_bytes(from->path),
        .partition_key = span_of_bytes(from->partition_key),
        .comment = span_of_bytes(from->comment),
        .original_url = span_of_bytes(from->original_url),
        .version = from->version,
        .expires_s = COOKIE_EXPIRES_NEVER,
        .same_site = (uint8_t)from->same_site,
        .secure = from->secure,
        .http_only = from->http_only,
        .host_only = from->host_only,
    };
    if (from->expiry_case == XHRD__V1__COOKIE__EXPIRY_EXPIRES_S) {
        ret->is_persistent = true;
        ret->expires_s = from->expires_s;
    }
}

void cookie_filter_of_message(const Xhrd__V1__CookieFilter *from, struct cookie_filter *ret)
{
    *ret = (struct cookie_filter){0};
    if (!from)
        return;
    ret->domain = span_of_bytes(from->domain);
    ret->path = span_of_bytes(from->path);
    ret->name = span_of_bytes(from->name);
    ret->host = span_of_bytes(from->host);
    ret->request_path = span_of_bytes(from->request_path);
    ret->partition_key = span_of_bytes(from->partition_key);
}

size_t cookie_message_bytes(const struct cookie *cookie)
{
    return cookie->name.len + cookie->value.len + cookie->domain.len + cookie->path.len +
           cookie->partition_key.len + cookie->comment.len + cookie->original_url.len + 80;
}

/* How many cookies from @at on fit one message; at least one, if there is one. */
static size_t fitting(const struct cookie_list *list, size_t at)
{
    size_t bytes = 0;
    size_t n = 0;

    while (at + n < list->count && n < COOKIE_REPLY_MAX && bytes < REPLY_BYTES_AIM)
        bytes += cookie_message_bytes(list->cookies[at + n++]);
    return n;
}

void cookie_pages_done(struct cookie_pages *pages)
{
    pages->cookies = mem_free(pages->cookies);
    pages->pointers = mem_free(pages->pointers);
}

int cookie_pages_next(struct cookie_pages *pages)
{
    size_t n = fitting(pages->list, pages->at);

    cookie_pages_done(pages);
    pages->cookies = mem_array(n + 1, sizeof(*pages->cookies));
    // NOLINTNEXTLINE(bugprone-sizeof-expression): pointers they are
    pages->pointers = mem_array(n + 1, sizeof(*pages->pointers));
    if (!pages->cookies || !pages->pointers)
        return fault(-ENOMEM);
    for (size_t i = 0; i < n; i++) {
        cookie_to_pb(pages->list->cookies[pages->at + i], pages->right, &pages->cookies[i]);
        pages->pointers[i] = &pages->cookies[i];
    }
    pages->n = n;
    pages->at += n;
    return 0;
}

int cookie_send_list(const struct cookie_turn *turn, const struct cookie_list *list)
{
    struct client *client = turn->client;
    struct cookie_pages pages = {.list = list, .right = turn->lease.right};
    int r;

    do {
        Xhrd__V1__CookieReply reply = XHRD__V1__COOKIE_REPLY__INIT;

        r = cookie_pages_next(&pages);
        if (r < 0)
            break;
        reply.command_id = turn->command->command_id;
        reply.cookies = pages.pointers;
        reply.n_cookies = pages.n;
        reply.more = pages.at < list->count;
        if (!reply.more)
            reply.sequence = turn->sequence;
        if (pages.n > 0)
            r = cookie_send_rows(client, &reply);
        else
            cookie_send_reply(client, &reply);
    } while (r == 0 && pages.at < list->count);
    cookie_pages_done(&pages);
    return r;
}

/* ---- what an answer shows ------------------------------------------------------------------
 */

/* "name=; Path=/; HttpOnly": all but the value. */
static int add_without_value(struct headers *to, struct span field, struct span name)
{
    CLEANUP_BUF struct buf text = BUF_INIT(0);
    struct span pair;
    struct span rest = field;
    int r = buf_append(&text, name);

    if (r == 0)
        r = buf_append_char(&text, '=');
    if (r == 0 && span_split(&rest, ';', &pair)) {
        r = buf_append_char(&text, ';');
        if (r == 0)
            r = buf_append(&text, rest);
    }
    return r == 0 ? headers_add(to, SPAN_LIT("Set-Cookie"), buf_span(&text)) : r;
}

static int add_masked(struct headers *to, struct span field, enum jar_right right)
{
    struct set_cookie set;

    if (right < JAR_RIGHT_READ || set_cookie_parse(field, &set) != SET_COOKIE_OK)
        return 0;
    return set.http_only ? add_without_value(to, field, set.name)
                         : headers_add(to, SPAN_LIT("Set-Cookie"), field);
}

int cookie_mask_headers(const struct headers *from, enum jar_right right, struct headers *ret)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < headers_count(from); i++) {
        struct header header = headers_at(from, i);

        r = span_ieq(header.name, SPAN_LIT("Set-Cookie"))
                ? add_masked(ret, header.value, right)
                : headers_add(ret, header.name, header.value);
    }
    return r < 0 ? fault(-ENOMEM) : 0;
}
