/* SPDX-License-Identifier: MIT */
/*
 * Commands about many cookies: what is brought from elsewhere is judged one by one, and all
 * that may come in comes in together; and of each cookie of a jar, why it goes with a request
 * or stays.
 */
#include <errno.h>

#include "base/fault.h"
#include "base/mem.h"
#include "http/url.h"
#include "service/cookie_priv.h"

/* ---- add_all -------------------------------------------------------------------------------
 */

#define REFUSAL_BYTES 160 /* of one in a reply, at most */

struct refusals {
    Xhrd__V1__CookieRefusal *at;
    Xhrd__V1__CookieRefusal **pointers;
    size_t count;
};

static void refuse(struct refusals *refusals, size_t index, const char *text)
{
    Xhrd__V1__CookieRefusal *refusal = &refusals->at[refusals->count];

    xhrd__v1__cookie_refusal__init(refusal);
    refusal->index = (uint32_t)index;
    refusal->text = bytes_of_span(span_of(text));
    refusals->pointers[refusals->count++] = refusal;
}

/* By the owner's hand, but what is over by now is no wish to remove, and what was for all hosts
 * below a public suffix is made into nothing else.
 * Return: as cookie_jar_set(). */
static int add_one(struct cookie_jar *jar, const Xhrd__V1__Cookie *from, int64_t now_s)
{
    struct cookie_request asked = {.now_s = now_s};
    struct url top_level = {0};
    struct cookie draft;
    int r = URL_OK;

    cookie_draft_of_pb(from, &draft);
    if (draft.is_persistent && draft.expires_s <= now_s)
        return COOKIE_REFUSED_EXPIRED;
    if (!draft.host_only && cookie_jar_is_shared_domain(jar, draft.domain))
        return COOKIE_REFUSED_PUBLIC_SUFFIX;
    if (draft.partition_key.len > 0)
        r = url_parse(draft.partition_key, NULL, &top_level);
    if (r == URL_OK) {
        asked.top_level = (struct cookie_origin){
            top_level.host, top_level.href && span_eq(top_level.scheme, SPAN_LIT("https"))};
        r = cookie_jar_set(jar, &draft, &asked);
    } else if (r > 0) {
        r = COOKIE_REFUSED_PARTITIONED;
    }
    url_done(&top_level);
    return r;
}

/* Return: how many are in, or -ENOMEM. */
static int64_t add_cookies(struct cookie_jar *jar,
                           const Xhrd__V1__CookieAddAll *from,
                           int64_t now_s,
                           struct refusals *refusals)
{
    int64_t changed = 0;

    for (size_t i = 0; i < from->n_cookies; i++) {
        int r = add_one(jar, from->cookies[i], now_s);

        if (r < 0)
            return r;
        if (cookie_outcome_is_refusal(r))
            refuse(refusals, i, cookie_outcome_text(r));
        else
            changed++;
    }
    return changed;
}

static void
send_refusals(struct client *client, uint32_t command_id, const struct refusals *refusals)
{
    Xhrd__V1__CookieReply reply = XHRD__V1__COOKIE_REPLY__INIT;

    reply.command_id = command_id;
    reply.refused = refusals->pointers;
    reply.n_refused = refusals->count;
    reply.more = true;
    cookie_send_reply(client, &reply);
}

void cookie_add_all(const struct cookie_turn *turn)
{
    struct client *client = turn->client;
    const Xhrd__V1__CookieCommand *command = turn->command;
    const Xhrd__V1__CookieAddAll *from = command->add_all;
    CLEANUP_MEM Xhrd__V1__CookieRefusal *at = mem_array(from->n_cookies, sizeof(*at));
    CLEANUP_MEM Xhrd__V1__CookieRefusal **pointers =
        // NOLINTNEXTLINE(bugprone-sizeof-expression): pointers they are
        mem_array(from->n_cookies, sizeof(*pointers));
    struct refusals refusals = {at, pointers, 0};

    if (!at || !pointers) {
        cookie_send_trouble(client, command->command_id, -ENOMEM);
        return;
    }
    if (!quota_has_spare(&client->user->quota, QUOTA_BYTES, from->n_cookies * REFUSAL_BYTES)) {
        cookie_send_trouble(client, command->command_id, -EDQUOT);
        return;
    }
    int64_t changed =
        add_cookies(turn->lease.jar, from, loop_wall_s(client->service->loop), &refusals);
    if (changed < 0) {
        cookie_send_failure(client, command->command_id, FAILURE_INTERNAL,
                            "out of memory; some of the cookies are in");
        return;
    }
    if (refusals.count > 0)
        send_refusals(client, command->command_id, &refusals);
    cookie_answer_when_saved(turn, (uint64_t)changed);
}

/* ---- explain -------------------------------------------------------------------------------
 */

struct judged {
    const struct cookie *cookie;
    enum cookie_verdict verdict;
};

struct judging {
    const struct cookie_jar *jar;
    struct cookie_filter filter;
    struct judged *at;
    size_t count;
};

static bool take_verdict(void *arg, const struct cookie *cookie, enum cookie_verdict verdict)
{
    struct judging *judging = arg;

    if (cookie_filter_means(judging->jar, &judging->filter, cookie))
        judging->at[judging->count++] = (struct judged){cookie, verdict};
    return true;
}

/* One reply's room. */
struct explain_page {
    Xhrd__V1__Cookie cookies[COOKIE_REPLY_MAX];
    Xhrd__V1__Cookie *cookie_pointers[COOKIE_REPLY_MAX];
    Xhrd__V1__CookieVerdict verdicts[COOKIE_REPLY_MAX];
    Xhrd__V1__CookieVerdict *verdict_pointers[COOKIE_REPLY_MAX];
};

static void fill_page(struct explain_page *page, const struct judged *judged, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        Xhrd__V1__CookieVerdict *verdict = &page->verdicts[i];

        cookie_to_pb(judged[i].cookie, JAR_RIGHT_READ, &page->cookies[i]);
        page->cookies[i].value = (ProtobufCBinaryData){0}; /* nobody asked for it */
        page->cookie_pointers[i] = &page->cookies[i];
        xhrd__v1__cookie_verdict__init(verdict);
        verdict->goes = judged[i].verdict == COOKIE_GOES;
        verdict->text = bytes_of_span(span_of(cookie_verdict_text(judged[i].verdict)));
        page->verdict_pointers[i] = verdict;
    }
}

/* Return: 0, -ENOMEM, or -EDQUOT: so much waits for this user already. */
static int send_verdicts(struct client *client, uint32_t command_id, const struct judging *all)
{
    CLEANUP_MEM struct explain_page *page = mem_alloc(sizeof(*page));
    size_t at = 0;

    if (!page)
        return fault(-ENOMEM);
    do {
        Xhrd__V1__CookieReply reply = XHRD__V1__COOKIE_REPLY__INIT;
        size_t n = all->count - at < COOKIE_REPLY_MAX ? all->count - at : COOKIE_REPLY_MAX;

        fill_page(page, all->at + at, n);
        at += n;
        reply.command_id = command_id;
        reply.cookies = page->cookie_pointers;
        reply.n_cookies = n;
        reply.verdicts = page->verdict_pointers;
        reply.n_verdicts = n;
        reply.more = at < all->count;
        int r = cookie_send_rows(client, &reply);
        if (r < 0)
            return r;
    } while (at < all->count);
    return 0;
}

static int explain(struct client *client,
                   const Xhrd__V1__CookieCommand *command,
                   const struct url *url,
                   struct cookie_jar *jar)
{
    const struct cookie_request request = {
        .host = url->host,
        .path = url->path,
        .now_s = loop_wall_s(client->service->loop),
        .is_secure = span_eq(url->scheme, SPAN_LIT("https")),
    };
    CLEANUP_MEM struct judged *at = mem_array(cookie_jar_count(jar) + 1, sizeof(*at));
    struct judging judging = {.jar = jar, .at = at};

    if (!at)
        return fault(-ENOMEM);
    cookie_filter_of_message(command->filter, &judging.filter);
    cookie_jar_explain(jar, &request, take_verdict, &judging);
    return send_verdicts(client, command->command_id, &judging);
}

void cookie_explain(const struct cookie_turn *turn)
{
    struct client *client = turn->client;
    const Xhrd__V1__CookieCommand *command = turn->command;
    struct url url = {0};
    int r = url_parse(span_of_bytes(command->explain->url), NULL, &url);

    if (r != URL_OK) {
        url_done(&url);
        cookie_send_failure(client, command->command_id, FAILURE_ARGUMENT, url_outcome_text(r));
        return;
    }
    r = explain(client, command, &url, turn->lease.jar);
    url_done(&url);
    if (r < 0)
        cookie_send_trouble(client, command->command_id, r);
}
