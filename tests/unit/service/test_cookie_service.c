/* SPDX-License-Identifier: MIT */
/* Cookie commands: list in pages, set, remove, and what a slow disk or a jar not in memory does
 * to them. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "base/mem.h"
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
}

static void list_by(struct fake_client *client, uint32_t id, Xhrd__V1__CookieFilter *filter)
{
    Xhrd__V1__CookieCommand what = XHRD__V1__COOKIE_COMMAND__INIT;
    Xhrd__V1__CookieList list = XHRD__V1__COOKIE_LIST__INIT;

    what.command_id = id;
    what.filter = filter;
    what.operation_case = XHRD__V1__COOKIE_COMMAND__OPERATION_LIST;
    what.list = &list;
    command(client, &what);
    client_hears(client);
}

static void remove_by(struct fake_client *client, uint32_t id, Xhrd__V1__CookieFilter *filter)
{
    Xhrd__V1__CookieCommand what = XHRD__V1__COOKIE_COMMAND__INIT;
    Xhrd__V1__CookieRemove remove_it = XHRD__V1__COOKIE_REMOVE__INIT;

    what.command_id = id;
    what.filter = filter;
    what.operation_case = XHRD__V1__COOKIE_COMMAND__OPERATION_REMOVE;
    what.remove = &remove_it;
    command(client, &what);
    client_hears(client);
}

static void
set_cookie(struct fake_client *client, uint32_t id, Xhrd__V1__Cookie *cookie, const char *url)
{
    Xhrd__V1__CookieCommand what = XHRD__V1__COOKIE_COMMAND__INIT;
    Xhrd__V1__CookieSet set = XHRD__V1__COOKIE_SET__INIT;

    set.cookie = cookie;
    set.url = pb_bytes(url);
    what.command_id = id;
    what.operation_case = XHRD__V1__COOKIE_COMMAND__OPERATION_SET;
    what.set = &set;
    command(client, &what);
    client_hears(client);
}

static void cookie_init(Xhrd__V1__Cookie *cookie, const char *name)
{
    xhrd__v1__cookie__init(cookie);
    cookie->name = pb_bytes(name);
    cookie->value = pb_bytes("v");
    cookie->path = pb_bytes("/");
}

static void test_set_list_and_remove(void **state)
{
    struct service_world world;
    struct fake_client client;
    Xhrd__V1__Cookie cookie;
    Xhrd__V1__CookieFilter filter = XHRD__V1__COOKIE_FILTER__INIT;

    (void)state;
    service_world_init(&world);
    client_ready(&client, &world, 1000);
    list_by(&client, 1, NULL);
    assert_string_equal(client.story, "cookies(1,0,0) "); /* no rows is no failure */
    cookie_init(&cookie, "a");
    cookie.expiry_case = XHRD__V1__COOKIE__EXPIRY_EXPIRES_S;
    cookie.expires_s = 1800001000;
    cookie.same_site = XHRD__V1__SAME_SITE__SAME_SITE_LAX;
    cookie.http_only = true;
    client_clear(&client);
    set_cookie(&client, 2, &cookie, "https://www.a.com/x");
    cookie_init(&cookie, "b");
    cookie.domain = pb_bytes("b.com");
    cookie.secure = true;
    set_cookie(&client, 3, &cookie, "");
    assert_string_equal(client.story, "cookies(2,0,1) cookies(3,0,1) ");
    client_clear(&client);
    filter.host = pb_bytes("www.a.com");
    list_by(&client, 4, &filter);
    assert_string_equal(client.story, "cookies(4,1,0) ");
    const Xhrd__V1__Cookie *told = client.last->cookie->cookies[0];
    assert_memory_equal(told->name.data, "a", 1);
    assert_memory_equal(told->domain.data, "www.a.com", 9);
    assert_true(told->host_only && told->http_only && !told->secure);
    assert_int_equal(told->same_site, XHRD__V1__SAME_SITE__SAME_SITE_LAX);
    assert_int_equal(told->expiry_case, XHRD__V1__COOKIE__EXPIRY_EXPIRES_S);
    assert_int_equal(told->expires_s, 1800001000);
    assert_int_equal(told->created_s, 1800000000);
    client_clear(&client);
    remove_by(&client, 5, &filter);
    list_by(&client, 6, NULL);
    remove_by(&client, 7, NULL); /* an empty filter empties the jar */
    list_by(&client, 8, NULL);
    assert_string_equal(client.story, "cookies(5,0,1) cookies(6,1,0) cookies(7,0,1) "
                                      "cookies(8,0,0) ");
    client_done(&client);
    service_world_done(&world);
}

static void test_a_cookie_is_judged_as_if_its_url_had_set_it(void **state)
{
    static const struct {
        const char *name, *domain, *url;
        bool secure;
    } rows[] = {
        {"a", "co.uk", "http://a.co.uk/", false},  /* CK01 */
        {"a", "b.com", "http://a.com/", false},    /* not its own */
        {"a", "", "http://a.com/", true},          /* CK14 */
        {"__Host-a", "", "https://a.com/", false}, /* CK15 */
        {"__Secure-a", "", "http://a.com/", true}, {"a", "", "not a url", false},
        {"a\r\nb", "", "http://a.com/", false}, /* CK17 */
    };
    struct service_world world;
    struct fake_client client;

    (void)state;
    service_world_init(&world);
    client_ready(&client, &world, 1000);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        Xhrd__V1__Cookie cookie;

        cookie_init(&cookie, rows[i].name);
        cookie.domain = pb_bytes(rows[i].domain);
        cookie.secure = rows[i].secure;
        client_clear(&client);
        set_cookie(&client, 1, &cookie, rows[i].url);
        assert_string_equal(client.story, "cookies(1,argument) ");
        assert_true(client.last_text[0] != '\0');
    }
    assert_int_equal(cookie_jar_count(world.net.jar), 0);
    client_done(&client);
    service_world_done(&world);
}

static void test_commands_that_lack_something_fail_and_the_connection_stays(void **state)
{
    struct service_world world;
    struct fake_client client;
    Xhrd__V1__CookieCommand what = XHRD__V1__COOKIE_COMMAND__INIT;
    char name[] = "no";

    (void)state;
    service_world_init(&world);
    client_ready(&client, &world, 1000);
    what.command_id = 1;
    command(&client, &what); /* no operation */
    set_cookie(&client, 2, NULL, "http://a.com/");
    set_cookie(&client, 3, NULL, "");
    assert_string_equal(client.story,
                        "cookies(1,argument) cookies(2,argument) cookies(3,argument) ");
    client_clear(&client);
    world.net.open_result = -EINVAL;
    what.jar = name;
    command(&client, &what);
    world.net.open_result = -EDQUOT;
    list_by(&client, 4, NULL);
    world.net.open_result = -ENOMEM;
    list_by(&client, 5, NULL);
    client_hears(&client);
    assert_non_null(strstr(client.story, "cookies(4,quota) cookies(5,internal) "));
    assert_false(client.is_over);
    client_done(&client);
    service_world_done(&world);
}

static void test_a_change_is_answered_when_the_disk_has_it(void **state)
{
    for (int saved = 0; saved < 2; saved++) {
        struct service_world world;
        struct fake_client client;
        Xhrd__V1__Cookie cookie;

        (void)state;
        service_world_init(&world);
        world.net.commit_result = COOKIE_COMMIT_WAIT;
        client_ready(&client, &world, 1000);
        cookie_init(&cookie, "a");
        set_cookie(&client, 1, &cookie, "http://a.com/");
        assert_string_equal(client.story, "");
        world_cookies_committed(&world.net, saved);
        client_hears(&client);
        assert_string_equal(client.story, saved ? "cookies(1,0,1) " : "cookies(1,0,1,memory) ");
        world.net.commit_result = COOKIE_COMMIT_NOT_SAVED;
        client_clear(&client);
        remove_by(&client, 2, NULL);
        assert_string_equal(client.story, "cookies(2,0,1,memory) ");
        client_done(&client);
        service_world_done(&world);
    }
}

static void test_a_command_waits_for_its_jar_as_it_was_said(void **state)
{
    struct service_world world;
    struct fake_client client;
    Xhrd__V1__Cookie cookie;

    (void)state;
    service_world_init(&world);
    world.net.open_result = COOKIE_OPEN_WAIT;
    client_ready(&client, &world, 1000);
    cookie_init(&cookie, "a");
    set_cookie(&client, 1, &cookie, "http://a.com/");
    list_by(&client, 2, NULL);
    assert_string_equal(client.story, "");
    world_cookies_ready(&world.net);
    client_hears(&client);
    assert_string_equal(client.story, "cookies(1,0,1) cookies(2,1,0) ");
    client_done(&client);
    service_world_done(&world);
}

static void test_a_client_may_leave_while_its_command_waits(void **state)
{
    for (int what = 0; what < 4; what++) {
        struct service_world world;
        struct fake_client client;
        Xhrd__V1__Cookie cookie;

        (void)state;
        service_world_init(&world);
        if (what % 2)
            world.net.open_result = COOKIE_OPEN_WAIT;
        world.net.commit_result = COOKIE_COMMIT_WAIT;
        client_ready(&client, &world, 1000);
        cookie_init(&cookie, "a");
        set_cookie(&client, 1, &cookie, "http://a.com/");
        if (what < 2) { /* altogether */
            client_done(&client);
            world_turn(&world.net);
            assert_true(list_is_empty(&world.net.cookie_waiters));
            assert_int_equal(world.net.n_commits, 0);
        } else { /* it still listens */
            assert_int_equal(shutdown(client.fd, SHUT_WR), 0);
            client_hears(&client);
            assert_false(client.is_over);
            world_cookies_ready(&world.net);
            world_cookies_committed(&world.net, true);
            client_hears(&client);
            assert_string_equal(client.story, "cookies(1,0,1) ");
            assert_true(client.is_over);
            client_done(&client);
        }
        service_world_done(&world);
    }
}

/* Of different domains, so that no jar limit of one site is in the way. */
static void fill_jar(struct service_world *world, unsigned n, size_t value_len)
{
    static char value[5000];

    memset(value, 'v', sizeof(value));
    for (unsigned i = 0; i < n; i++) {
        char host[32];
        struct cookie_request from = {.path = SPAN_LIT("/"), .now_s = 1800000000};
        struct cookie draft = {.name = SPAN_LIT("n"),
                               .value = {value, value_len},
                               .path = SPAN_LIT("/"),
                               .expires_s = COOKIE_EXPIRES_NEVER};

        (void)snprintf(host, sizeof(host), "h%u.com", i);
        from.host = span_of(host);
        assert_int_equal(cookie_jar_set(world->net.jar, &draft, &from), COOKIE_STORED);
    }
}

static void test_a_long_list_comes_in_pages(void **state)
{
    struct service_world world;
    struct fake_client client;

    (void)state;
    service_world_init(&world);
    client_ready(&client, &world, 1000);
    fill_jar(&world, 1000, 1000);
    list_by(&client, 1, NULL);
    assert_int_equal(client.n_cookies, 1000);
    assert_true(client.n_replies >= 4);
    assert_false(client.last->cookie->more);
    client_clear(&client);
    (void)cookie_jar_clear(world.net.jar);
    fill_jar(&world, 1, 1);
    list_by(&client, 1, NULL);
    assert_string_equal(client.story, "cookies(1,1,0) ");
    client_done(&client);
    service_world_done(&world);
}

static void test_ip20_a_list_that_does_not_fit_fails_and_the_connection_stays(void **state)
{
    struct service_world world;
    struct fake_client client;

    (void)state;
    service_world_init(&world);
    world.options.limits.max[QUOTA_BYTES] = 2000000;
    service_world_restart(&world);
    client_ready(&client, &world, 1000);
    fill_jar(&world, 1000, 4000);
    list_by(&client, 1, NULL);
    assert_non_null(strstr(client.story, "cookies(1,quota) "));
    assert_false(client.is_over);
    client_clear(&client);
    (void)cookie_jar_clear(world.net.jar);
    list_by(&client, 2, NULL);
    assert_string_equal(client.story, "cookies(2,0,0) ");
    client_done(&client);
    service_world_done(&world);
}

static void test_ip20_commands_that_wait_are_bounded(void **state)
{
    struct service_world world;
    struct fake_client client;
    Xhrd__V1__Cookie cookie;
    static char value[200000];
    int failed = 0;

    (void)state;
    service_world_init(&world);
    world.options.limits.max[QUOTA_BYTES] = 1100000; /* five, and one on its way in */
    world.options.limits.max[QUOTA_REQUESTS] = 10;
    service_world_restart(&world);
    world.net.open_result = COOKIE_OPEN_WAIT;
    client_ready(&client, &world, 1000);
    memset(value, 'v', sizeof(value));
    cookie_init(&cookie, "a");
    cookie.value = (ProtobufCBinaryData){sizeof(value), (uint8_t *)value};
    for (uint32_t id = 1; id <= 8; id++) {
        set_cookie(&client, id, &cookie, "http://a.com/");
        failed += strstr(client.story, "quota") != NULL;
        client_clear(&client);
    }
    assert_int_equal(failed, 4);
    assert_false(client.is_over);
    client_done(&client);
    client_ready(&client, &world, 1000);
    for (uint32_t id = 1; id <= 11; id++)
        list_by(&client, id, NULL);
    assert_string_equal(client.story, "cookies(11,quota) ");
    client_done(&client);
    service_world_done(&world);
}

static void test_every_failing_allocation_fails_one_command_at_most(void **state)
{
    uint64_t n;

    (void)state;
    for (n = 1; n < 200; n++) {
        struct service_world world;
        struct fake_client client;
        Xhrd__V1__ClientMessage message = XHRD__V1__CLIENT_MESSAGE__INIT;
        Xhrd__V1__CookieCommand what = XHRD__V1__COOKIE_COMMAND__INIT;
        Xhrd__V1__CookieSet set = XHRD__V1__COOKIE_SET__INIT;
        Xhrd__V1__CookieList list = XHRD__V1__COOKIE_LIST__INIT;
        Xhrd__V1__Cookie cookie;
        CLEANUP_BUF struct buf frames = BUF_INIT(0);

        service_world_init(&world);
        world.net.open_result = COOKIE_OPEN_WAIT;
        client_ready(&client, &world, 1000);
        cookie_init(&cookie, "a");
        set.cookie = &cookie;
        set.url = pb_bytes("http://a.com/");
        what.command_id = 1;
        what.operation_case = XHRD__V1__COOKIE_COMMAND__OPERATION_SET;
        what.set = &set;
        message.kind_case = XHRD__V1__CLIENT_MESSAGE__KIND_COOKIE;
        message.cookie = &what;
        frame_message(&frames, &message);
        what.command_id = 2;
        what.operation_case = XHRD__V1__COOKIE_COMMAND__OPERATION_LIST;
        what.list = &list;
        frame_message(&frames, &message);
        mem_fail_at(n);
        client_send_bytes(&client, frames.storage, frames.len);
        world_turn(&world.net);
        world_cookies_ready(&world.net);
        bool ran_out = mem_alloc_count() >= n;
        mem_fail_at(0);
        client_hears(&client);
        assert_true(client.is_over || client.n_replies == 2);
        client_done(&client);
        service_world_done(&world);
        if (!ran_out)
            break;
    }
    assert_true(n > 8 && n < 199);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_set_list_and_remove),
        cmocka_unit_test(test_a_cookie_is_judged_as_if_its_url_had_set_it),
        cmocka_unit_test(test_commands_that_lack_something_fail_and_the_connection_stays),
        cmocka_unit_test(test_a_change_is_answered_when_the_disk_has_it),
        cmocka_unit_test(test_a_command_waits_for_its_jar_as_it_was_said),
        cmocka_unit_test(test_a_client_may_leave_while_its_command_waits),
        cmocka_unit_test(test_a_long_list_comes_in_pages),
        cmocka_unit_test(test_ip20_a_list_that_does_not_fit_fails_and_the_connection_stays),
        cmocka_unit_test(test_ip20_commands_that_wait_are_bounded),
        cmocka_unit_test(test_every_failing_allocation_fails_one_command_at_most),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
