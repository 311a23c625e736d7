/* SPDX-License-Identifier: MIT */
/* Many cookies in one command, and why each goes with a request or stays. */
#include <stdio.h>

#include "policy/cookie_jar.h"
#include "service/service.h"
#include "support/service_world.h"
#include "support/test.h"

static void command(struct fake_client *client, Xhrd__V1__CookieCommand *what)
{
    Xhrd__V1__ClientMessage message = XHRD__V1__CLIENT_MESSAGE__INIT;

    message.kind_case = XHRD__V1__CLIENT_MESSAGE__KIND_COOKIE;
    message.cookie = what;
    client_tell(client, &message);
    client_hears(client);
}

static void add_all(struct fake_client *client, Xhrd__V1__Cookie **cookies, size_t n)
{
    Xhrd__V1__CookieCommand what = XHRD__V1__COOKIE_COMMAND__INIT;
    Xhrd__V1__CookieAddAll all = XHRD__V1__COOKIE_ADD_ALL__INIT;

    all.cookies = cookies;
    all.n_cookies = n;
    what.command_id = 1;
    what.operation_case = XHRD__V1__COOKIE_COMMAND__OPERATION_ADD_ALL;
    what.add_all = &all;
    command(client, &what);
}

static void explain(struct fake_client *client, const char *url, Xhrd__V1__CookieFilter *filter)
{
    Xhrd__V1__CookieCommand what = XHRD__V1__COOKIE_COMMAND__INIT;
    Xhrd__V1__CookieExplain question = XHRD__V1__COOKIE_EXPLAIN__INIT;

    question.url = pb_bytes(url);
    what.command_id = 1;
    what.filter = filter;
    what.operation_case = XHRD__V1__COOKIE_COMMAND__OPERATION_EXPLAIN;
    what.explain = &question;
    command(client, &what);
}

static void
cookie_init(Xhrd__V1__Cookie *cookie, const char *name, const char *domain, int64_t expires_s)
{
    xhrd__v1__cookie__init(cookie);
    cookie->name = pb_bytes(name);
    cookie->value = pb_bytes("v");
    cookie->domain = pb_bytes(domain);
    cookie->path = pb_bytes("/");
    if (expires_s != 0) {
        cookie->expiry_case = XHRD__V1__COOKIE__EXPIRY_EXPIRES_S;
        cookie->expires_s = expires_s;
    }
}

static void test_what_may_not_be_is_told_and_the_rest_is_in(void **state)
{
    struct service_world world;
    struct fake_client client;
    Xhrd__V1__Cookie cookies[5];
    Xhrd__V1__Cookie *pointers[5];

    (void)state;
    service_world_init(&world);
    client_ready(&client, &world, 1000);
    cookie_init(&cookies[0], "a", "a.com", INT64_C(253402300800) * 100); /* the year 99999 */
    cookie_init(&cookies[1], "s", "co.uk", 0);
    cookie_init(&cookies[2], "old", "a.com", 1700000000);
    cookie_init(&cookies[3], "", "a.com", 0);
    cookies[3].value = pb_bytes("");
    cookie_init(&cookies[4], "b", "b.com", 0);
    for (size_t i = 0; i < 5; i++)
        pointers[i] = &cookies[i];
    world.net.commit_result = COOKIE_COMMIT_WAIT;
    add_all(&client, pointers, 5);
    const Xhrd__V1__CookieReply *reply = client.last->cookie;
    assert_true(reply->more);
    assert_int_equal(reply->n_refused,
                     2 + (reply->n_refused > 2)); /* the list may lack co.uk */
    assert_int_equal(reply->refused[reply->n_refused - 2]->index, 2);
    assert_memory_equal(reply->refused[reply->n_refused - 2]->text.data, "it has expired", 14);
    assert_int_equal(reply->refused[reply->n_refused - 1]->index, 3);
    unsigned refused = (unsigned)reply->n_refused;
    client_clear(&client);
    world_cookies_committed(&world.net, true);
    client_hears(&client);
    assert_false(client.last->cookie->more);
    assert_int_equal(client.last->cookie->changed, 5 - refused);
    assert_int_equal(cookie_jar_count(world.net.jar), 5 - refused);
    client_done(&client);
    service_world_done(&world);
}

static void test_an_expired_cookie_of_elsewhere_removes_nothing(void **state)
{
    struct service_world world;
    struct fake_client client;
    Xhrd__V1__Cookie cookie;
    Xhrd__V1__Cookie *pointer = &cookie;

    (void)state;
    service_world_init(&world);
    client_ready(&client, &world, 1000);
    cookie_init(&cookie, "a", "a.com", 0);
    add_all(&client, &pointer, 1);
    cookie_init(&cookie, "a", "a.com", 1);
    add_all(&client, &pointer, 1);
    assert_int_equal(cookie_jar_count(world.net.jar), 1);
    add_all(&client, &pointer, 0);
    assert_int_equal(client.last->cookie->changed, 0);
    client_done(&client);
    service_world_done(&world);
}

static void test_each_cookie_is_told_with_its_verdict_and_without_its_value(void **state)
{
    struct service_world world;
    struct fake_client client;
    Xhrd__V1__Cookie cookies[3];
    Xhrd__V1__Cookie *pointers[3] = {&cookies[0], &cookies[1], &cookies[2]};
    Xhrd__V1__CookieFilter filter = XHRD__V1__COOKIE_FILTER__INIT;

    (void)state;
    service_world_init(&world);
    client_ready(&client, &world, 1000);
    cookie_init(&cookies[0], "goes", "a.com", 0);
    cookie_init(&cookies[1], "secure", "a.com", 0);
    cookies[1].secure = true;
    cookie_init(&cookies[2], "other", "b.com", 0);
    add_all(&client, pointers, 3);
    client_clear(&client);
    explain(&client, "http://a.com/x", NULL);
    assert_string_equal(client.story, "cookies(1,3,0) ");
    const Xhrd__V1__CookieReply *reply = client.last->cookie;
    assert_int_equal(reply->n_verdicts, 3);
    for (size_t i = 0; i < 3; i++) {
        bool goes = reply->cookies[i]->name.data[0] == 'g';

        assert_int_equal(reply->verdicts[i]->goes, goes);
        assert_true(reply->verdicts[i]->text.len > 8);
        assert_int_equal(reply->cookies[i]->value.len, 0);
    }
    filter.name = pb_bytes("other");
    explain(&client, "http://a.com/x", &filter);
    assert_int_equal(client.last->cookie->n_cookies, 1);
    assert_memory_equal(client.last->cookie->verdicts[0]->text.data, "the host does not", 17);
    client_clear(&client);
    explain(&client, "no url", NULL);
    assert_non_null(strstr(client.story, "cookies(1,argument) "));
    assert_int_equal(cookie_jar_count(world.net.jar), 3);
    client_done(&client);
    service_world_done(&world);
}

/* Small ones have more fields than bytes: a reply must not be refused for them. */
static void test_a_full_jar_of_small_cookies_is_told_in_frames_that_can_be_read(void **state)
{
    struct service_world world;
    struct fake_client client;
    Xhrd__V1__CookieCommand what = XHRD__V1__COOKIE_COMMAND__INIT;
    Xhrd__V1__CookieList list = XHRD__V1__COOKIE_LIST__INIT;

    (void)state;
    service_world_init(&world);
    client_ready(&client, &world, 1000);
    for (unsigned i = 0; i < 3000; i++) {
        char host[32];
        struct cookie_request asked = {.now_s = 1800000000};
        const struct cookie draft = {
            .name = SPAN_LIT("n"), .path = SPAN_LIT("/"), .expires_s = COOKIE_EXPIRES_NEVER};

        (void)snprintf(host, sizeof(host), "h%u.com", i);
        asked.host = span_of(host);
        assert_int_equal(cookie_jar_set(world.net.jar, &draft, &asked), COOKIE_STORED);
    }
    explain(&client, "http://h7.com/", NULL);
    assert_int_equal(client.n_cookies, 3000);
    assert_true(client.n_replies >= 10);
    client_clear(&client);
    what.command_id = 1;
    what.operation_case = XHRD__V1__COOKIE_COMMAND__OPERATION_LIST;
    what.list = &list;
    command(&client, &what);
    assert_int_equal(client.n_cookies, 3000);
    assert_true(client.n_replies >= 10);
    client_done(&client);
    service_world_done(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_may_not_be_is_told_and_the_rest_is_in),
        cmocka_unit_test(test_an_expired_cookie_of_elsewhere_removes_nothing),
        cmocka_unit_test(test_each_cookie_is_told_with_its_verdict_and_without_its_value),
        cmocka_unit_test(test_a_full_jar_of_small_cookies_is_told_in_frames_that_can_be_read),
    };

    return cmocka_run_group_tests_name("service/cookie_many", tests, NULL, NULL);
}
