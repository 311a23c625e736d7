/* SPDX-License-Identifier: MIT */
#include <errno.h>

#include "store/jar_book.h"
#include "store/store_bench.h"

static struct bench bench;

static int setup(void **state)
{
    (void)state;
    bench_init(&bench);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    bench_done(&bench);
    return 0;
}

static bool file_holds(const char *path, const char *text)
{
    size_t len;
    char *bytes = read_file(path, &len);
    bool found = memmem(bytes, len, text, strlen(text)) != NULL;

    free(bytes);
    return found;
}

static void test_a_synced_cookie_is_there_in_the_next_life(void **state)
{
    (void)state;
    bench_open(&bench);
    assert_true(cookie_store_is_persistent(bench.store));
    assert_int_equal(
        bench_put(&bench, "www.a.com",
                  "n=v; Domain=a.com; Max-Age=900; Secure; HttpOnly; SameSite=Strict; Path=/"),
        COOKIE_STORED);
    assert_true(bench_sync(&bench));
    assert_true(bench_sync(&bench)); /* nothing to do */
    bench_close(&bench);

    bench_open(&bench);
    assert_string_equal(bench_ask(&bench, "x.a.com"), "n=v");
    struct cookie_list list;
    assert_int_equal(cookie_jar_list(bench_jar(&bench, "", ""), NULL, 0, &list), 0);
    assert_int_equal(list.count, 1);
    const struct cookie *cookie = list.cookies[0];
    assert_true(span_eq(cookie->domain, SPAN_LIT("a.com")));
    assert_true(cookie->secure && cookie->http_only && !cookie->host_only);
    assert_int_equal(cookie->same_site, SAME_SITE_STRICT);
    assert_true(cookie->is_persistent);
    assert_true(cookie->expires_s > cookie->created_s + 890);
    cookie_list_done(&list);
}

static void test_replaced_and_removed_cookies_stay_so(void **state)
{
    (void)state;
    bench_open(&bench);
    assert_int_equal(bench_put(&bench, "a.com", "a=1; Max-Age=900"), COOKIE_STORED);
    assert_int_equal(bench_put(&bench, "a.com", "b=1; Max-Age=900"), COOKIE_STORED);
    assert_int_equal(bench_put(&bench, "a.com", "c=1; Max-Age=900"), COOKIE_STORED);
    assert_int_equal(bench_put(&bench, "a.com", "d=1; Max-Age=900"), COOKIE_STORED);
    assert_true(bench_sync(&bench));
    assert_int_equal(bench_put(&bench, "a.com", "a=2; Max-Age=900"), COOKIE_REPLACED);
    assert_int_equal(bench_put(&bench, "a.com", "b=; Max-Age=0"), COOKIE_REMOVED);
    assert_int_equal(bench_put(&bench, "a.com", "c=session"), COOKIE_REPLACED);
    assert_true(bench_sync(&bench));
    bench_close(&bench);

    bench_open(&bench);
    assert_string_equal(bench_ask(&bench, "a.com"), "a=2; d=1");
}

static void test_what_comes_and_goes_between_two_commits_is_never_written(void **state)
{
    (void)state;
    bench_open(&bench);
    assert_int_equal(bench_put(&bench, "a.com", "a=fleeting; Max-Age=900"), COOKIE_STORED);
    assert_int_equal(bench_put(&bench, "a.com", "a=; Max-Age=0"), COOKIE_REMOVED);
    assert_true(bench_sync(&bench));
    assert_false(file_holds(bench_file(&bench, "-wal"), "fleeting"));
    bench_close(&bench);
    assert_int_equal(bench_query(&bench, "SELECT count(*) FROM cookie"), 0);
}

static void test_p4_session_cookies_are_never_on_disk(void **state)
{
    (void)state;
    bench_open(&bench);
    assert_int_equal(bench_put(&bench, "a.com", "a=onlyinmemory"), COOKIE_STORED);
    struct bench_sync sync = {0};
    assert_int_equal(cookie_store_sync(bench.store, &sync.sync), COOKIE_SYNC_SAVED);
    assert_int_equal(bench_put(&bench, "a.com", "b=ondisk; Max-Age=900"), COOKIE_STORED);
    assert_true(bench_sync(&bench));
    assert_false(file_holds(bench_file(&bench, "-wal"), "onlyinmemory"));
    assert_true(file_holds(bench_file(&bench, "-wal"), "ondisk"));
    bench_close(&bench);
    assert_false(file_holds(bench.path, "onlyinmemory"));
    assert_true(file_holds(bench.path, "ondisk"));
    bench_open(&bench);
    assert_string_equal(bench_ask(&bench, "a.com"), "b=ondisk");
}

static void test_p5_a_removed_value_is_overwritten_on_disk(void **state)
{
    (void)state;
    bench_open(&bench);
    assert_int_equal(bench_put(&bench, "a.com", "a=secretsecret; Max-Age=900"), COOKIE_STORED);
    bench_close(&bench);
    assert_true(file_holds(bench.path, "secretsecret"));
    bench_open(&bench);
    assert_int_equal(cookie_jar_clear(bench_jar(&bench, "", "")), 1);
    assert_true(bench_sync(&bench));
    bench_close(&bench);
    assert_false(file_holds(bench.path, "secretsecret"));
    assert_int_equal(access(bench_file(&bench, "-wal"), F_OK), -1);
}

static uint32_t get_u32(const char *at)
{
    const unsigned char *bytes = (const unsigned char *)at;

    return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 |
           bytes[3];
}

static unsigned count_commits(void)
{
    size_t len;
    char *wal = read_file(bench_file(&bench, "-wal"), &len);
    unsigned n = 0;

    for (size_t at = 32; at + 24 + 4096 <= len; at += 24 + 4096)
        n += get_u32(wal + at + 4) != 0 && memcmp(wal + at + 8, wal + 16, 8) == 0;
    free(wal);
    return n;
}

static void test_p3_all_cookies_of_a_response_are_one_transaction(void **state)
{
    struct headers headers;
    struct cookie_summary summary;
    const struct cookie_request from = {.host = SPAN_LIT("a.com"),
                                        .now_s = clock_wall_s(clock_system())};

    (void)state;
    bench_open(&bench);
    headers_init(&headers, HEADERS_BYTES_MAX, HEADERS_COUNT_MAX);
    for (int i = 0; i < 40; i++) {
        char field[64];

        (void)snprintf(field, sizeof(field), "c%d=1; Max-Age=900", i);
        assert_int_equal(headers_add(&headers, SPAN_LIT("Set-Cookie"), span_of(field)), 0);
    }
    unsigned before = count_commits();
    assert_int_equal(
        cookie_jar_store_response(bench_jar(&bench, "", ""), &from, &headers, NULL, &summary),
        0);
    assert_int_equal(summary.changed, 40);
    assert_true(bench_sync(&bench));
    assert_int_equal(count_commits(), before + 1);
    headers_done(&headers);
}

static void test_many_syncs_share_a_commit(void **state)
{
    static struct bench_sync syncs[100];
    unsigned n_done = 0;

    (void)state;
    bench_open(&bench);
    unsigned before = count_commits();
    for (int i = 0; i < 100; i++) {
        char field[64];

        (void)snprintf(field, sizeof(field), "c%d=1; Max-Age=900", i);
        assert_int_equal(bench_put(&bench, "a.com", field), COOKIE_STORED);
        syncs[i] =
            (struct bench_sync){.sync = {.on_synced = bench_on_synced, .owner = &syncs[i]}};
        assert_int_equal(cookie_store_sync(bench.store, &syncs[i].sync), COOKIE_SYNC_PENDING);
    }
    cookie_sync_cancel(&syncs[50].sync);
    while (!syncs[99].is_done)
        assert_int_equal(loop_turn(bench.loop, true), 0);
    for (int i = 0; i < 100; i++)
        n_done += syncs[i].is_done && syncs[i].saved;
    assert_int_equal(n_done, 99);
    assert_int_equal(count_commits(), before + 1);
}

static void test_closing_saves_what_nobody_waited_for(void **state)
{
    (void)state;
    bench_open(&bench);
    assert_int_equal(bench_put(&bench, "a.com", "a=1; Max-Age=900"), COOKIE_STORED);
    bench_close(&bench);
    bench_open(&bench);
    assert_string_equal(bench_ask(&bench, "a.com"), "a=1");
    bench_close(&bench);
    bench_begin_open(&bench); /* closing before it has loaded */
    bench_close(&bench);
    bench_open(&bench);
    assert_string_equal(bench_ask(&bench, "a.com"), "a=1");
}

static void test_jars_and_profiles_do_not_mix(void **state)
{
    (void)state;
    bench_open(&bench);
    assert_int_equal(
        bench_put_in(&bench, bench_jar(&bench, "", "work"), "a.com", "a=work; Max-Age=900"),
        COOKIE_STORED);
    assert_int_equal(
        bench_put_in(&bench, bench_jar(&bench, "p1", "work"), "a.com", "a=p1; Max-Age=900"),
        COOKIE_STORED);
    assert_int_equal(bench_put(&bench, "a.com", "a=default; Max-Age=900"), COOKIE_STORED);
    bench_close(&bench);
    bench_open(&bench);
    assert_string_equal(bench_ask_in(&bench, bench_jar(&bench, "", "work"), "a.com"), "a=work");
    assert_string_equal(bench_ask_in(&bench, bench_jar(&bench, "p1", "work"), "a.com"), "a=p1");
    assert_string_equal(bench_ask_in(&bench, bench_jar(&bench, "p1", ""), "a.com"), "");
    assert_string_equal(bench_ask_in(&bench, bench_jar(&bench, "", "default"), "a.com"),
                        "a=default");
}

static void test_ck27_a_jar_name_is_never_a_path(void **state)
{
    static char longest[JAR_NAME_MAX + 2];
    static const char *const bad[] = {"../x", "/etc/x", ".hidden", "a/b",  "a b",
                                      "a\n",  "ä",      "..",      "a\\b", "system"};
    static const char *const good[] = {"none", "a.b", "A-b_0", "x"};
    struct cookie_jar *jar = NULL;
    struct partition who;
    char huge[5000];

    (void)state;
    bench_open(&bench);
    assert_int_equal(partition_init(&who, BENCH_UID, SPAN_LIT("")), 0);
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
        assert_int_equal(cookie_store_jar(bench.store, &who, span_of(bad[i]), &jar), -EINVAL);
    memset(huge, 'x', sizeof(huge));
    assert_int_equal(
        cookie_store_jar(bench.store, &who, (struct span){huge, sizeof(huge)}, &jar), -EINVAL);
    assert_int_equal(cookie_store_jar(bench.store, &who, SPAN_LIT("a\0b"), &jar), -EINVAL);
    memset(longest, 'x', JAR_NAME_MAX + 1);
    assert_int_equal(cookie_store_jar(bench.store, &who, span_of(longest), &jar), -EINVAL);
    longest[JAR_NAME_MAX] = '\0';
    assert_int_equal(cookie_store_jar(bench.store, &who, span_of(longest), &jar), 0);
    for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++) {
        assert_null(cookie_store_find_jar(bench.store, &who, span_of(good[i])));
        assert_int_equal(
            bench_put_in(&bench, bench_jar(&bench, "", good[i]), "a.com", "a=1; Max-Age=900"),
            COOKIE_STORED);
        assert_non_null(cookie_store_find_jar(bench.store, &who, span_of(good[i])));
    }
    bench_close(&bench);
    assert_int_equal(bench_query(&bench, "SELECT count(DISTINCT jar) FROM cookie"), 4);
    assert_int_equal(bench_query(&bench, "SELECT count(*) FROM cookie"), 4);
}

static void count_jar(void *arg, const char *profile, const char *name, struct cookie_jar *jar)
{
    assert_non_null(jar);
    assert_non_null(profile);
    assert_true(jar_name_is_valid(span_of(name)));
    ++*(unsigned *)arg;
}

static void test_a_uid_may_have_so_many_jars_and_no_more(void **state)
{
    struct cookie_jar *jar = NULL;
    struct partition who;
    unsigned n = 0;
    char name[16];

    (void)state;
    bench.options.jars_max = 10;
    bench_open(&bench);
    assert_int_equal(partition_init(&who, BENCH_UID, SPAN_LIT("")), 0);
    for (int i = 0; i < 10; i++) {
        (void)snprintf(name, sizeof(name), "j%d", i);
        (void)bench_jar(&bench, "", name);
        if (i > 0) /* the first is empty and was made by its use alone: it makes way */
            jar_book_keep(jar_book_find(cookie_store_jars(bench.store), "", span_of(name)));
    }
    assert_int_equal(cookie_store_jar(bench.store, &who, SPAN_LIT("more"), &jar), 0);
    jar_book_keep(jar_book_find(cookie_store_jars(bench.store), "", SPAN_LIT("more")));
    assert_int_equal(cookie_store_jar(bench.store, &who, SPAN_LIT("j0"), &jar), -EDQUOT);
    cookie_store_each_jar(bench.store, count_jar, &n);
    assert_int_equal(n, 10);
}

static void test_expired_rows_are_not_loaded_and_leave_the_disk(void **state)
{
    (void)state;
    bench_open(&bench);
    assert_int_equal(bench_put(&bench, "a.com", "a=1; Max-Age=900"), COOKIE_STORED);
    const struct cookie past = {.name = SPAN_LIT("b"),
                                .value = SPAN_LIT("1"),
                                .domain = SPAN_LIT("a.com"),
                                .expires_s = 1700000100,
                                .is_persistent = true};
    const struct cookie_request then = {.now_s = 1700000000};
    assert_int_equal(cookie_jar_set(bench_jar(&bench, "", ""), &past, &then), COOKIE_STORED);
    bench_close(&bench);
    assert_int_equal(bench_query(&bench, "SELECT count(*) FROM cookie"), 2);
    bench_open(&bench);
    assert_string_equal(bench_ask(&bench, "a.com"), "a=1");
    assert_int_equal(cookie_jar_count(bench_jar(&bench, "", "")), 1);
    bench_close(&bench);
    assert_int_equal(bench_query(&bench, "SELECT count(*) FROM cookie"), 1);
}

static void test_a_store_without_a_path_lives_in_memory(void **state)
{
    struct bench_sync sync = {0};

    (void)state;
    bench.options.path = NULL;
    bench_begin_open(&bench);
    assert_true(cookie_store_is_ready(bench.store));
    assert_false(cookie_store_is_persistent(bench.store));
    assert_int_equal(cookie_store_sync(bench.store, &sync.sync), COOKIE_SYNC_SAVED);
    assert_int_equal(bench_put(&bench, "a.com", "a=1; Max-Age=900"), COOKIE_STORED);
    assert_int_equal(cookie_store_sync(bench.store, &sync.sync), COOKIE_SYNC_NOT_SAVED);
    assert_string_equal(bench_ask(&bench, "a.com"), "a=1");
}

static void count_ready(void *owner)
{
    ++*(unsigned *)owner;
}

static void test_who_waits_hears_once_that_the_store_is_ready(void **state)
{
    unsigned n = 0;
    struct cookie_store_wait waits[3];

    (void)state;
    bench_begin_open(&bench);
    for (int i = 0; i < 3; i++) {
        waits[i] = (struct cookie_store_wait){.on_ready = count_ready, .owner = &n};
        cookie_store_wait(bench.store, &waits[i]);
    }
    cookie_store_wait_cancel(&waits[1]);
    bench_wait_ready(&bench);
    assert_int_equal(n, 2);
    bench_close(&bench);
    assert_int_equal(n, 2);
}

static void test_durability_power_works_as_well(void **state)
{
    (void)state;
    bench.options.durability = COOKIE_DURABILITY_POWER;
    bench_open(&bench);
    assert_int_equal(bench_put(&bench, "a.com", "a=1; Max-Age=900"), COOKIE_STORED);
    assert_true(bench_sync(&bench));
    bench_close(&bench);
    bench_open(&bench);
    assert_string_equal(bench_ask(&bench, "a.com"), "a=1");
}

static void test_a_commit_is_flushed_soon(void **state)
{
    (void)state;
    bench.options.flush_us = 1;
    bench_open(&bench);
    assert_int_equal(bench_put(&bench, "a.com", "a=1; Max-Age=900"), COOKIE_STORED);
    assert_true(bench_sync(&bench));
    for (int i = 0; i < 3; i++) {
        assert_int_equal(loop_turn(bench.loop, false), 0);
        worker_drain(bench.pool);
    }
    assert_int_equal(bench_put(&bench, "a.com", "a=2; Max-Age=900"), COOKIE_REPLACED);
    assert_true(bench_sync(&bench));
}

#define STORE_TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

/* One is as good as a million here: what is kept is bounded while they come. */
static void test_db15_of_a_million_cookies_each_jar_keeps_three_thousand(void **state)
{
    static const char *const names[] = {"one", "two"};
    const struct cookie_request from = {.now_s = clock_wall_s(clock_system())};
    char domain[32];
    char value[16];

    (void)state;
    bench_open(&bench);
    for (int i = 0; i < 1000000; i++) {
        const struct cookie draft = {
            .name = SPAN_LIT("n"),
            .value = {value, 7},
            .domain = {domain, (size_t)snprintf(domain, sizeof(domain), "h%d.com", i)},
            .path = SPAN_LIT("/"),
            .expires_s = from.now_s + 900,
            .is_persistent = true};

        (void)snprintf(value, sizeof(value), "%07d", i);
        assert_int_equal(cookie_jar_set(bench_jar(&bench, "", names[i % 2]), &draft, &from),
                         COOKIE_STORED);
        if (i % 50000 == 0)
            assert_int_equal(loop_turn(bench.loop, false), 0);
    }
    for (int k = 0; k < 2; k++)
        assert_int_equal(cookie_jar_count(bench_jar(&bench, "", names[k])), 3000);
    assert_true(bench_sync(&bench));
    assert_string_equal(bench_ask_in(&bench, bench_jar(&bench, "", "two"), "h999999.com"),
                        "n=0999999");
    bench_close(&bench);
    assert_int_equal(bench_query(&bench, "SELECT count(*) FROM cookie"), 6000);
    bench_open(&bench);
    assert_string_equal(bench_ask_in(&bench, bench_jar(&bench, "", "one"), "h994000.com"),
                        "n=0994000");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORE_TEST(test_a_synced_cookie_is_there_in_the_next_life),
        STORE_TEST(test_replaced_and_removed_cookies_stay_so),
        STORE_TEST(test_what_comes_and_goes_between_two_commits_is_never_written),
        STORE_TEST(test_db15_of_a_million_cookies_each_jar_keeps_three_thousand),
        STORE_TEST(test_p4_session_cookies_are_never_on_disk),
        STORE_TEST(test_p5_a_removed_value_is_overwritten_on_disk),
        STORE_TEST(test_p3_all_cookies_of_a_response_are_one_transaction),
        STORE_TEST(test_many_syncs_share_a_commit),
        STORE_TEST(test_closing_saves_what_nobody_waited_for),
        STORE_TEST(test_jars_and_profiles_do_not_mix),
        STORE_TEST(test_ck27_a_jar_name_is_never_a_path),
        STORE_TEST(test_a_uid_may_have_so_many_jars_and_no_more),
        STORE_TEST(test_expired_rows_are_not_loaded_and_leave_the_disk),
        STORE_TEST(test_a_store_without_a_path_lives_in_memory),
        STORE_TEST(test_who_waits_hears_once_that_the_store_is_ready),
        STORE_TEST(test_durability_power_works_as_well),
        STORE_TEST(test_a_commit_is_flushed_soon),
    };

    return cmocka_run_group_tests_name("store/cookie_store", tests, NULL, NULL);
}
