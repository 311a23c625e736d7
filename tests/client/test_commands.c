/* SPDX-License-Identifier: MIT */
/* Cookie and admin commands. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "internal.h"
#include "support/peer.h"

#define COOKIE XHRD__V1__CLIENT_MESSAGE__KIND_COOKIE
#define ADMIN  XHRD__V1__CLIENT_MESSAGE__KIND_ADMIN

struct result {
    unsigned calls;
    size_t count;
    uint64_t changed;
    bool not_persisted;
    char first[64]; /* name=value; domain path of the first cookie */
    enum xhr_error_class error;
    struct xhr_client *free_client;
};

static void on_cookies(const struct xhr_cookies *cookies, void *user)
{
    struct result *result = user;
    const struct xhr_cookie *first = xhr_cookies_at(cookies, 0);

    result->calls++;
    result->count = xhr_cookies_count(cookies);
    result->changed = xhr_cookies_changed(cookies);
    result->not_persisted = xhr_cookies_not_persisted(cookies);
    result->error =
        xhr_cookies_error(cookies) ? xhr_cookies_error(cookies)->kind : XHR_ERROR_NONE;
    assert_null(xhr_cookies_at(cookies, result->count));
    if (first)
        (void)snprintf(result->first, sizeof(result->first), "%s=%s; %s%s", first->name,
                       first->value, first->domain, first->path);
    if (result->free_client)
        xhr_client_free(result->free_client);
}

static ProtobufCBinaryData borrow(const char *text)
{
    return (ProtobufCBinaryData){strlen(text), (uint8_t *)(uintptr_t)text};
}

struct reply {
    uint32_t id;
    unsigned count;
    bool more;
    uint64_t changed;
    int failure; /* FailureKind, -1: none */
};

static void send_reply(struct peer *peer, const struct reply *reply)
{
    Xhrd__V1__ServerMessage message = XHRD__V1__SERVER_MESSAGE__INIT;
    Xhrd__V1__CookieReply body = XHRD__V1__COOKIE_REPLY__INIT;
    Xhrd__V1__Failure failure = XHRD__V1__FAILURE__INIT;
    Xhrd__V1__Cookie cookies[8];
    Xhrd__V1__Cookie *list[8];

    for (unsigned i = 0; i < reply->count; i++) {
        xhrd__v1__cookie__init(&cookies[i]);
        cookies[i].name = borrow("n");
        cookies[i].value = borrow("v");
        cookies[i].domain = borrow("a.test");
        cookies[i].path = borrow("/");
        list[i] = &cookies[i];
    }
    body.command_id = reply->id;
    body.n_cookies = reply->count;
    body.cookies = list;
    body.more = reply->more;
    body.changed = reply->changed;
    body.not_persisted = reply->changed > 0;
    if (reply->failure >= 0) {
        failure.kind = (Xhrd__V1__FailureKind)reply->failure;
        body.failure = &failure;
    }
    message.kind_case = XHRD__V1__SERVER_MESSAGE__KIND_COOKIE;
    message.cookie = &body;
    peer_send(peer, &message);
    peer_turn(peer);
}

static void test_a_list_may_come_in_several_replies(void **state)
{
    struct xhr_cookie_filter filter = {.size = sizeof(filter), .host = "www.a.test"};
    struct result result = {0};
    struct peer peer;

    (void)state;
    peer_init(&peer, false);
    assert_int_equal(xhr_cookies_list(peer.client, "work", &filter, on_cookies, &result), 0);
    const Xhrd__V1__CookieCommand *command = peer_expect(&peer, COOKIE)->cookie;
    assert_string_equal(command->jar, "work");
    assert_int_equal(command->operation_case, XHRD__V1__COOKIE_COMMAND__OPERATION_LIST);
    assert_memory_equal(command->filter->host.data, "www.a.test", 10);
    assert_int_equal(command->filter->domain.len, 0);
    uint32_t id = command->command_id;
    send_reply(&peer, &(struct reply){.id = id, .count = 8, .more = true, .failure = -1});
    send_reply(&peer, &(struct reply){.id = id, .count = 0, .more = true, .failure = -1});
    assert_int_equal(result.calls, 0);
    send_reply(&peer, &(struct reply){.id = id, .count = 3, .failure = -1});
    assert_int_equal(result.calls, 1);
    assert_int_equal(result.count, 11);
    assert_string_equal(result.first, "n=v; a.test/");
    assert_int_equal(result.error, XHR_ERROR_NONE);
    peer_done(&peer);
}

static void on_import(const struct xhr_cookies *cookies, void *user)
{
    struct result *result = user;

    on_cookies(cookies, user);
    assert_int_equal(xhr_cookies_refused_count(cookies), 1);
    assert_null(xhr_cookies_refused_at(cookies, 1));
    const struct xhr_cookie_refusal *refusal = xhr_cookies_refused_at(cookies, 0);
    assert_int_equal(refusal->index, 1);
    assert_string_equal(refusal->text, "no good");
    assert_null(xhr_cookies_verdict_at(cookies, 0));
    result->not_persisted = false;
}

static void test_an_import_tells_what_was_refused(void **state)
{
    const struct xhr_cookie cookies[2] = {
        {.size = sizeof(cookies[0]), .name = "a", .value = "1", .domain = "a.test"},
        {.size = sizeof(cookies[0]), .name = "b", .value = "2", .domain = "com"},
    };
    struct result result = {0};
    const struct xhr_cookie_call call = {
        .size = sizeof(call), .jar = "work", .done = on_import, .user = &result};
    Xhrd__V1__ServerMessage message = XHRD__V1__SERVER_MESSAGE__INIT;
    Xhrd__V1__CookieReply reply = XHRD__V1__COOKIE_REPLY__INIT;
    Xhrd__V1__CookieRefusal refusal = XHRD__V1__COOKIE_REFUSAL__INIT;
    Xhrd__V1__CookieRefusal *refusals[] = {&refusal};
    struct peer peer;

    (void)state;
    peer_init(&peer, false);
    assert_int_equal(
        xhr_cookies_import(peer.client, &call, cookies, XHR_COOKIES_IMPORT_MAX + 1, NULL),
        -EINVAL);
    assert_int_equal(xhr_cookies_import(peer.client, &call, cookies, 2, NULL), 0);
    const Xhrd__V1__CookieCommand *command = peer_expect(&peer, COOKIE)->cookie;
    assert_int_equal(command->operation_case, XHRD__V1__COOKIE_COMMAND__OPERATION_ADD_ALL);
    assert_int_equal(command->add_all->n_cookies, 2);
    assert_memory_equal(command->add_all->cookies[1]->domain.data, "com", 3);
    uint32_t id = command->command_id;
    refusal.index = 1;
    refusal.text = borrow("no good");
    reply.command_id = id;
    reply.refused = refusals;
    reply.n_refused = 1;
    reply.more = true;
    message.kind_case = XHRD__V1__SERVER_MESSAGE__KIND_COOKIE;
    message.cookie = &reply;
    peer_send(&peer, &message);
    send_reply(&peer, &(struct reply){.id = id, .changed = 1, .failure = -1});
    assert_int_equal(result.calls, 1);
    assert_int_equal(result.changed, 1);
    peer_done(&peer);
}

static void on_why(const struct xhr_cookies *cookies, void *user)
{
    const struct xhr_cookie_verdict *verdict = xhr_cookies_verdict_at(cookies, 0);

    on_cookies(cookies, user);
    assert_non_null(verdict);
    assert_false(verdict->goes);
    assert_string_equal(verdict->text, "it is Secure");
    assert_null(xhr_cookies_verdict_at(cookies, 1));
    assert_int_equal(xhr_cookies_refused_count(cookies), 0);
}

static void test_a_question_why_is_answered_with_verdicts(void **state)
{
    struct result result = {0};
    const struct xhr_cookie_call call = {.size = sizeof(call), .done = on_why, .user = &result};
    Xhrd__V1__ServerMessage message = XHRD__V1__SERVER_MESSAGE__INIT;
    Xhrd__V1__CookieReply reply = XHRD__V1__COOKIE_REPLY__INIT;
    Xhrd__V1__Cookie cookie = XHRD__V1__COOKIE__INIT;
    Xhrd__V1__Cookie *cookies[] = {&cookie};
    Xhrd__V1__CookieVerdict verdict = XHRD__V1__COOKIE_VERDICT__INIT;
    Xhrd__V1__CookieVerdict *verdicts[] = {&verdict};
    struct peer peer;

    (void)state;
    peer_init(&peer, false);
    assert_int_equal(xhr_cookies_why(peer.client, &call, NULL, "", NULL), -EINVAL);
    assert_int_equal(xhr_cookies_why(peer.client, &call, NULL, "http://a.test/", NULL), 0);
    const Xhrd__V1__CookieCommand *command = peer_expect(&peer, COOKIE)->cookie;
    assert_int_equal(command->operation_case, XHRD__V1__COOKIE_COMMAND__OPERATION_EXPLAIN);
    assert_memory_equal(command->explain->url.data, "http://a.test/", 14);
    verdict.text = borrow("it is Secure");
    reply.command_id = command->command_id;
    reply.cookies = cookies;
    reply.n_cookies = 1;
    reply.verdicts = verdicts;
    reply.n_verdicts = 1;
    message.kind_case = XHRD__V1__SERVER_MESSAGE__KIND_COOKIE;
    message.cookie = &reply;
    peer_send(&peer, &message);
    peer_turn(&peer);
    assert_int_equal(result.calls, 1);
    peer_done(&peer);
}

static void test_an_empty_jar_is_an_empty_list(void **state)
{
    struct result result = {0};
    struct peer peer;

    (void)state;
    peer_init(&peer, false);
    assert_int_equal(xhr_cookies_list(peer.client, NULL, NULL, on_cookies, &result), 0);
    uint32_t id = peer_expect(&peer, COOKIE)->cookie->command_id;
    send_reply(&peer, &(struct reply){.id = id, .failure = -1});
    assert_int_equal(result.calls, 1);
    assert_int_equal(result.count, 0);
    assert_int_equal(result.error, XHR_ERROR_NONE);
    peer_done(&peer);
}

static void test_a_cookie_travels_whole(void **state)
{
    const struct xhr_cookie cookie = {.size = sizeof(cookie),
                                      .name = "n",
                                      .value = "v",
                                      .domain = "a.test",
                                      .path = "/p",
                                      .secure = true,
                                      .http_only = true,
                                      .same_site = XHR_SAME_SITE_STRICT,
                                      .persistent = true,
                                      .expires_s = -5};
    struct result result = {0};
    struct peer peer;

    (void)state;
    peer_init(&peer, false);
    assert_int_equal(
        xhr_cookies_set(peer.client, NULL, &cookie, "https://a.test/", on_cookies, &result), 0);
    const Xhrd__V1__CookieCommand *command = peer_expect(&peer, COOKIE)->cookie;
    assert_string_equal(command->jar, "");
    assert_int_equal(command->operation_case, XHRD__V1__COOKIE_COMMAND__OPERATION_SET);
    assert_memory_equal(command->set->url.data, "https://a.test/", 15);
    assert_memory_equal(command->set->cookie->path.data, "/p", 2);
    assert_true(command->set->cookie->secure && command->set->cookie->http_only);
    assert_false(command->set->cookie->host_only);
    assert_int_equal(command->set->cookie->same_site, XHRD__V1__SAME_SITE__SAME_SITE_STRICT);
    assert_int_equal(command->set->cookie->expires_s, -5);
    uint32_t id = command->command_id;
    send_reply(&peer, &(struct reply){.id = id, .changed = 1, .failure = -1});
    assert_int_equal(result.changed, 1);
    assert_true(result.not_persisted);
    peer_done(&peer);
}

static void test_only_clear_empties_a_jar(void **state)
{
    struct xhr_cookie_filter nothing = {.size = sizeof(nothing)};
    struct result result = {0};
    struct peer peer;

    (void)state;
    peer_init(&peer, false);
    assert_int_equal(xhr_cookies_remove(peer.client, NULL, NULL, on_cookies, &result), -EINVAL);
    assert_int_equal(xhr_cookies_remove(peer.client, NULL, &nothing, on_cookies, &result),
                     -EINVAL);
    peer_turn(&peer);
    assert_null(peer_next(&peer));
    assert_int_equal(xhr_cookies_clear(peer.client, NULL, on_cookies, &result), 0);
    assert_int_equal(peer_expect(&peer, COOKIE)->cookie->operation_case,
                     XHRD__V1__COOKIE_COMMAND__OPERATION_REMOVE);
    peer_close(&peer);
    peer_turn(&peer);
    assert_int_equal(result.calls, 1);
    assert_int_equal(result.error, XHR_ERROR_DAEMON_LOST);
    peer_done(&peer);
}

static void test_a_failure_is_told_and_the_client_may_go_in_the_callback(void **state)
{
    struct result result = {0};
    struct peer peer;

    (void)state;
    peer_init(&peer, false);
    result.free_client = peer.client;
    assert_int_equal(xhr_cookies_list(peer.client, NULL, NULL, on_cookies, &result), 0);
    uint32_t id = peer_expect(&peer, COOKIE)->cookie->command_id;
    struct xhr_client *client = peer.client;
    Xhrd__V1__ServerMessage message = XHRD__V1__SERVER_MESSAGE__INIT;
    Xhrd__V1__CookieReply body = XHRD__V1__COOKIE_REPLY__INIT;
    Xhrd__V1__Failure failure = XHRD__V1__FAILURE__INIT;

    failure.kind = XHRD__V1__FAILURE_KIND__FAILURE_KIND_POLICY;
    body.command_id = id;
    body.failure = &failure;
    message.kind_case = XHRD__V1__SERVER_MESSAGE__KIND_COOKIE;
    message.cookie = &body;
    peer_send(&peer, &message);
    peer.client = NULL;
    assert_int_equal(xhr_client_dispatch(client), 0);
    assert_int_equal(result.calls, 1);
    assert_int_equal(result.error, XHR_ERROR_POLICY);
    peer_done(&peer);
}

struct seen {
    unsigned replies;
    unsigned rows;
    enum xhr_error_class error;
};

static void
on_admin(const Xhrd__V1__AdminReply *reply, const struct xhr_error *error, void *user)
{
    struct seen *seen = user;

    seen->replies++;
    if (reply)
        seen->rows += (unsigned)reply->n_pools;
    if (error)
        seen->error = error->kind;
}

static int send_topic(struct xhr_client *client,
                      Xhrd__V1__AdminTopic topic,
                      const struct xhr_admin_events *events,
                      void *user)
{
    Xhrd__V1__AdminCommand what = XHRD__V1__ADMIN_COMMAND__INIT;

    what.topic = topic;
    return xhr_admin_send(client, &what, events, user);
}

static void test_admin_replies_are_handed_on_one_by_one(void **state)
{
    const struct xhr_admin_events events = {.on_reply = on_admin};
    Xhrd__V1__ServerMessage message = XHRD__V1__SERVER_MESSAGE__INIT;
    Xhrd__V1__AdminReply body = XHRD__V1__ADMIN_REPLY__INIT;
    Xhrd__V1__PoolRow row = XHRD__V1__POOL_ROW__INIT;
    Xhrd__V1__PoolRow *rows[] = {&row, &row};
    struct seen seen = {0};
    struct peer peer;

    (void)state;
    peer_init(&peer, false);
    assert_int_equal(
        send_topic(peer.client, XHRD__V1__ADMIN_TOPIC__ADMIN_TOPIC_POOLS, &events, &seen), 0);
    const Xhrd__V1__AdminCommand *command = peer_expect(&peer, ADMIN)->admin;
    assert_int_equal(command->topic, XHRD__V1__ADMIN_TOPIC__ADMIN_TOPIC_POOLS);
    body.command_id = command->command_id;
    body.pools = rows;
    body.n_pools = 2;
    body.more = true;
    message.kind_case = XHRD__V1__SERVER_MESSAGE__KIND_ADMIN;
    message.admin = &body;
    peer_send(&peer, &message);
    body.more = false;
    peer_send(&peer, &message);
    peer_turn(&peer);
    assert_int_equal(seen.replies, 2);
    assert_int_equal(seen.rows, 4);
    assert_int_equal(seen.error, XHR_ERROR_NONE);
    assert_int_equal(xhr_client_in_flight(peer.client), 0);
    assert_int_equal(
        send_topic(peer.client, XHRD__V1__ADMIN_TOPIC__ADMIN_TOPIC_STATUS, &events, &seen), 0);
    (void)peer_expect(&peer, ADMIN);
    peer_close(&peer);
    peer_turn(&peer);
    assert_int_equal(seen.replies, 3);
    assert_int_equal(seen.error, XHR_ERROR_DAEMON_LOST);
    peer_done(&peer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_list_may_come_in_several_replies),
        cmocka_unit_test(test_an_import_tells_what_was_refused),
        cmocka_unit_test(test_a_question_why_is_answered_with_verdicts),
        cmocka_unit_test(test_an_empty_jar_is_an_empty_list),
        cmocka_unit_test(test_a_cookie_travels_whole),
        cmocka_unit_test(test_only_clear_empties_a_jar),
        cmocka_unit_test(test_a_failure_is_told_and_the_client_may_go_in_the_callback),
        cmocka_unit_test(test_admin_replies_are_handed_on_one_by_one),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
