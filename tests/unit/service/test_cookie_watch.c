/* SPDX-License-Identifier: MIT */
/* Watching a jar: a snapshot, then every change with its number, whoever reads how slowly. */
#include <stdio.h>

#include "policy/cookie_jar.h"
#include "service/service.h"
#include "support/service_world.h"
#include "support/test.h"

static struct service_world world;
static struct fake_client client;

static int begin(void **state)
{
    (void)state;
    service_world_init(&world);
    client_ready(&client, &world, 1000);
    return 0;
}

static int end(void **state)
{
    (void)state;
    client_done(&client);
    service_world_done(&world);
    return 0;
}

static void watch_as(struct fake_client *watcher, uint32_t id)
{
    Xhrd__V1__ClientMessage message = XHRD__V1__CLIENT_MESSAGE__INIT;
    Xhrd__V1__CookieCommand what = XHRD__V1__COOKIE_COMMAND__INIT;
    Xhrd__V1__CookieWatch watch = XHRD__V1__COOKIE_WATCH__INIT;

    what.command_id = id;
    what.operation_case = XHRD__V1__COOKIE_COMMAND__OPERATION_WATCH;
    what.watch = &watch;
    message.kind_case = XHRD__V1__CLIENT_MESSAGE__KIND_COOKIE;
    message.cookie = &what;
    client_tell(watcher, &message);
    client_hears(watcher);
}

static void unwatch(uint32_t id)
{
    Xhrd__V1__ClientMessage message = XHRD__V1__CLIENT_MESSAGE__INIT;
    Xhrd__V1__CookieUnwatch what = XHRD__V1__COOKIE_UNWATCH__INIT;

    what.command_id = id;
    message.kind_case = XHRD__V1__CLIENT_MESSAGE__KIND_UNWATCH;
    message.unwatch = &what;
    client_tell(&client, &message);
    client_hears(&client);
}

static void put_at(const char *host, int64_t now_s, const char *field)
{
    const struct cookie_request from = {
        .host = span_of(host), .is_secure = true, .now_s = now_s};
    struct set_cookie set;

    assert_int_equal(set_cookie_parse(span_of(field), &set), SET_COOKIE_OK);
    assert_true(cookie_jar_store(world.net.jar, &from, &set) > 0);
}

static void put(const char *field)
{
    put_at("a.com", 1800000000, field);
}

static void test_a_snapshot_then_every_change_with_its_number(void **state)
{
    (void)state;
    put("a=1");
    watch_as(&client, 7);
    assert_string_equal(client.story, "cookies(7,1,0) ");
    assert_int_equal(client.last->cookie->sequence, 1);
    client_clear(&client);
    put("b=1");
    put("a=2");
    put("b=; Max-Age=0");
    client_hears(&client);
    assert_string_equal(client.story, "changes(7,1-4:+b+a-b) "); /* one round, none merged */
    const Xhrd__V1__CookieChanges *told = client.last->cookie_changes;
    assert_int_equal(told->changes[0]->cause, XHRD__V1__COOKIE_CAUSE__COOKIE_CAUSE_EXPLICIT);
    assert_int_equal(told->changes[1]->cause, XHRD__V1__COOKIE_CAUSE__COOKIE_CAUSE_OVERWRITE);
    assert_memory_equal(told->changes[1]->cookie->value.data, "2", 1);
    assert_int_equal(told->changes[2]->sequence, 4);
    client_clear(&client);
    client_hears(&client);
    assert_string_equal(client.story, "");
}

static void test_causes_are_told_apart(void **state)
{
    char field[32];

    (void)state;
    put("x=1; Max-Age=10");
    for (int i = 0; i < 180; i++) {
        (void)snprintf(field, sizeof(field), "c%d=1", i);
        put_at("b.com", 1800000000, field);
    }
    watch_as(&client, 1);
    client_clear(&client);
    (void)cookie_jar_expire(world.net.jar, 1800000020);
    client_hears(&client);
    assert_int_equal(client.last->cookie_changes->changes[0]->cause,
                     XHRD__V1__COOKIE_CAUSE__COOKIE_CAUSE_EXPIRED);
    put_at("b.com", 1800000020, "new=1");
    client_hears(&client);
    assert_int_equal(client.last->cookie_changes->changes[0]->cause,
                     XHRD__V1__COOKIE_CAUSE__COOKIE_CAUSE_EVICTED);
    assert_string_equal(client.story, "changes(1,181-182:-x) changes(1,182-184:-c0+new) ");
}

static void test_an_access_is_no_change(void **state)
{
    CLEANUP_BUF struct buf out = BUF_INIT(0);
    const struct cookie_request asked = {
        .host = SPAN_LIT("a.com"), .is_secure = true, .now_s = 1800100000};

    (void)state;
    put("a=1");
    watch_as(&client, 1);
    client_clear(&client);
    assert_int_equal(cookie_jar_header_for(world.net.jar, &asked, &out), 1);
    client_hears(&client);
    assert_string_equal(client.story, "");
}

static void test_a_watch_ends_when_it_is_told_to(void **state)
{
    (void)state;
    watch_as(&client, 1);
    watch_as(&client, 1); /* that number is in use */
    watch_as(&client, 2);
    assert_string_equal(client.story, "cookies(1,0,0) cookies(1,argument) cookies(2,0,0) ");
    client_clear(&client);
    unwatch(1);
    unwatch(1);
    unwatch(99);
    put("a=1");
    client_hears(&client);
    assert_string_equal(client.story, "changes(2,0-1:+a) ");
}

static void test_a_watch_ends_with_the_right_or_the_jar(void **state)
{
    (void)state;
    watch_as(&client, 1);
    put("a=1");
    world_take_jar(&world.net);
    client_hears(&client);
    assert_string_equal(client.story, "cookies(1,0,0) changes(1,0-1:+a) unwatched(1,policy) ");
    client_clear(&client);
    put("b=1");
    client_hears(&client);
    assert_string_equal(client.story, "");
    world.net.jar_right = JAR_RIGHT_USE;
    watch_as(&client, 2);
    assert_string_equal(client.story, "cookies(2,policy) ");
}

static void test_a_reader_is_not_told_values_that_are_http_only(void **state)
{
    (void)state;
    world.net.jar_right = JAR_RIGHT_READ;
    put("a=secret; HttpOnly");
    watch_as(&client, 1);
    assert_true(client.last->cookie->cookies[0]->value_withheld);
    put("a=other; HttpOnly");
    client_hears(&client);
    const Xhrd__V1__Cookie *told = client.last->cookie_changes->changes[0]->cookie;
    assert_true(told->value_withheld && told->value.len == 0);
}

static void test_a_user_has_so_many_watches_and_no_more(void **state)
{
    struct fake_client other;

    (void)state;
    world.options.limits.max[QUOTA_WATCHERS] = 2;
    service_set_options(world.service, &world.options);
    client_ready(&other, &world, 1001); /* whose limits are the new ones */
    watch_as(&other, 1);
    watch_as(&other, 2);
    watch_as(&other, 3);
    assert_string_equal(other.story, "cookies(1,0,0) cookies(2,0,0) cookies(3,quota) ");
    client_done(&other);
}

static void test_a_watch_ends_with_its_client(void **state)
{
    struct fake_client other;

    (void)state;
    client_ready(&other, &world, 1001);
    watch_as(&other, 1);
    put("a=1");
    client_done(&other);
    put("a=2");
    world_turn(&world.net);
    assert_int_equal(list_is_empty(&world.net.leases), 1);
}

/* ---- who does not read ---- */

/* What a watcher believes the jar holds, and whether the numbers had no gap. */
struct belief {
    uint64_t sequence;
    uint64_t counted;
    unsigned n_resets;
    unsigned n_merged;
    char last[16]; /* value of the cookie "k" */
};

static void believe(struct belief *belief, const Xhrd__V1__CookieChanges *told)
{
    assert_int_equal(told->previous, belief->sequence);
    if (told->reset) {
        belief->n_resets += !told->more;
        for (size_t i = 0; i < told->n_snapshot; i++) {
            if (told->snapshot[i]->name.len == 1 && told->snapshot[i]->name.data[0] == 'k')
                (void)snprintf(belief->last, sizeof(belief->last), "%.*s",
                               (int)told->snapshot[i]->value.len,
                               (const char *)told->snapshot[i]->value.data);
        }
        if (!told->more)
            belief->sequence = told->sequence;
        return;
    }
    uint64_t counted = 0;
    for (size_t i = 0; i < told->n_changes; i++) {
        const Xhrd__V1__CookieChange *change = told->changes[i];

        counted += 1 + change->merged;
        belief->n_merged += change->merged > 0;
        if (change->cookie->name.len == 1 && change->cookie->name.data[0] == 'k')
            (void)snprintf(belief->last, sizeof(belief->last), "%.*s",
                           (int)change->cookie->value.len,
                           (const char *)change->cookie->value.data);
    }
    assert_int_equal(counted, told->sequence - told->previous);
    belief->sequence = told->sequence;
}

static struct belief the_belief;

static void on_message(struct fake_client *from, const Xhrd__V1__ServerMessage *message)
{
    (void)from;
    if (message->kind_case == XHRD__V1__SERVER_MESSAGE__KIND_COOKIE_CHANGES)
        believe(&the_belief, message->cookie_changes);
}

/* @n changes that nobody reads: of @names cookies, and of "k" in between. */
static void change_much(unsigned n, unsigned names, size_t value_len)
{
    static char value[2048];
    static char field[2200];

    memset(value, 'v', sizeof(value));
    for (unsigned i = 0; i < n; i++) {
        (void)snprintf(field, sizeof(field), "c%u=%.*s", i % names, (int)value_len, value);
        put_at("b.com", 1800000000, field);
        (void)snprintf(field, sizeof(field), "k=%u", i);
        put(field);
        if (i % 64 == 63)
            world_turn(&world.net);
    }
    world_turn(&world.net);
}

static void read_all(void)
{
    client.on_message = on_message;
    client.is_quiet = true;
    for (int i = 0; i < 200; i++)
        client_hears(&client);
    assert_int_equal(the_belief.sequence, cookie_jar_sequence(world.net.jar));
}

static void test_who_reads_slowly_is_told_the_last_of_each_cookie(void **state)
{
    (void)state;
    the_belief = (struct belief){0};
    watch_as(&client, 1);
    change_much(4000, 100, 1000);
    read_all();
    assert_true(the_belief.n_merged > 0);
    assert_int_equal(the_belief.n_resets, 0);
    assert_string_equal(the_belief.last, "3999");
}

static void test_who_does_not_read_at_all_is_told_the_jar_anew(void **state)
{
    char host[32];
    char field[32];

    (void)state;
    the_belief = (struct belief){0};
    watch_as(&client, 1);
    change_much(1000, 100, 2000); /* the socket and the queue are full now */
    for (unsigned i = 0; i < 2000; i++) {
        (void)snprintf(host, sizeof(host), "h%u.com", i);
        (void)snprintf(field, sizeof(field), "n=%u", i);
        put_at(host, 1800000000, field);
    }
    put("k=end");
    read_all();
    assert_true(the_belief.n_resets >= 1);
    assert_string_equal(the_belief.last, "end");
    put("k=after"); /* and then one by one again */
    client_hears(&client);
    assert_string_equal(the_belief.last, "after");
}

static void test_cookies_that_come_back_at_once_are_told_anew(void **state)
{
    (void)state;
    the_belief = (struct belief){0};
    watch_as(&client, 1);
    put("k=1");
    cookie_jar_tell_reset(world.net.jar);
    read_all();
    assert_int_equal(the_belief.n_resets, 1);
    assert_string_equal(the_belief.last, "1");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)
        TEST(test_a_snapshot_then_every_change_with_its_number),
        TEST(test_causes_are_told_apart),
        TEST(test_an_access_is_no_change),
        TEST(test_a_watch_ends_when_it_is_told_to),
        TEST(test_a_watch_ends_with_the_right_or_the_jar),
        TEST(test_a_reader_is_not_told_values_that_are_http_only),
        TEST(test_a_user_has_so_many_watches_and_no_more),
        TEST(test_a_watch_ends_with_its_client),
        TEST(test_who_reads_slowly_is_told_the_last_of_each_cookie),
        TEST(test_who_does_not_read_at_all_is_told_the_jar_anew),
        TEST(test_cookies_that_come_back_at_once_are_told_anew),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
