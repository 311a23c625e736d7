/* SPDX-License-Identifier: MIT */
/* Known hosts on disk: in the cookies' file, with the cookies' promises. */
#include <errno.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "policy/tls_seen.h"
#include "store/hsts_book.h"
#include "store/schema.h"
#include "store/store_bench.h"

#define YEAR_S INT64_C(31536000)

static struct bench bench;

static int setup(void **state)
{
    (void)state;
    bench_init(&bench);
    bench.options.retry_us = 1000;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    bench_done(&bench);
    return 0;
}

static struct hsts *hosts_of(const char *profile)
{
    struct partition who;
    struct hsts *set = NULL;

    assert_int_equal(partition_init(&who, BENCH_UID, span_of(profile)), 0);
    assert_int_equal(cookie_store_hosts(bench.store, &who, &set), 0);
    return set;
}

static int note(const char *profile, const char *host, int64_t max_age_s)
{
    return hsts_note(hosts_of(profile), span_of(host), max_age_s, true,
                     loop_wall_s(bench.loop));
}

static bool is_known(const char *profile, const char *host)
{
    return hsts_is_secure(hosts_of(profile), span_of(host), loop_wall_s(bench.loop));
}

static void reopen(void)
{
    bench_close(&bench);
    bench_open(&bench);
}

static void test_hs04_a_synced_host_is_known_in_the_next_life(void **state)
{
    (void)state;
    bench_open(&bench);
    assert_int_equal(note("", "a.test", YEAR_S), HSTS_CHANGED);
    assert_int_equal(note("", "b.test", YEAR_S), HSTS_CHANGED);
    assert_int_equal(bench_put(&bench, "a.com", "a=1; Max-Age=900"), COOKIE_STORED);
    assert_true(bench_sync(&bench));
    assert_int_equal(note("", "b.test", 0), HSTS_CHANGED);
    assert_int_equal(note("", "c.test", YEAR_S), HSTS_CHANGED);
    assert_int_equal(note("", "c.test", 0), HSTS_CHANGED); /* came and went between commits */
    assert_true(bench_sync(&bench));

    reopen();
    assert_true(is_known("", "sub.a.test"));
    assert_false(is_known("", "b.test"));
    assert_false(is_known("", "c.test"));
    assert_int_equal(hsts_count(hosts_of("")), 1);
    assert_string_equal(bench_ask(&bench, "a.com"), "a=1");
}

static void test_hs10_profiles_are_kept_apart_on_disk_too(void **state)
{
    (void)state;
    bench_open(&bench);
    assert_int_equal(note("work", "a.test", YEAR_S), HSTS_CHANGED);
    assert_int_equal(note("home", "b.test", YEAR_S), HSTS_CHANGED);
    reopen();
    assert_true(is_known("work", "a.test") && !is_known("work", "b.test"));
    assert_true(is_known("home", "b.test") && !is_known("home", "a.test"));
    assert_int_equal(hsts_count(hosts_of("")), 0);
}

static void test_hs04_an_acknowledged_host_survives_a_kill(void **state)
{
    int status = 0;

    (void)state;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        if (loop_new(&bench.loop, clock_system()) < 0 ||
            worker_pool_new(&bench.pool, bench.loop, 1) < 0)
            _exit(1);
        bench_open(&bench);
        if (note("", "a.test", YEAR_S) != HSTS_CHANGED || !bench_sync(&bench))
            _exit(2);
        (void)kill(getpid(), SIGKILL);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    bench_open(&bench);
    assert_true(is_known("", "a.test"));
}

static void test_hs07_a_write_that_fails_leaves_what_was_there(void **state)
{
    struct rlimit before;
    char *long_name = mem_format("%0300d.test", 7);

    (void)state;
    assert_non_null(long_name);
    bench_open(&bench);
    assert_int_equal(note("", "old.test", YEAR_S), HSTS_CHANGED);
    assert_true(bench_sync(&bench));
    (void)signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    const struct rlimit tight = {4096, before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &tight), 0);
    assert_int_equal(note("", "new.test", YEAR_S), HSTS_CHANGED);
    assert_int_equal(note("", long_name, YEAR_S), HSTS_REFUSED);
    assert_false(bench_sync(&bench));
    assert_true(is_known("", "old.test") && is_known("", "new.test")); /* in memory */
    bench_close(&bench);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    bench_open(&bench);
    assert_true(is_known("", "old.test"));
    assert_false(is_known("", "new.test"));
    mem_free(long_name);
}

static void test_what_the_disk_did_not_take_is_written_when_it_is_well(void **state)
{
    struct rlimit before;

    (void)state;
    bench_open(&bench);
    assert_int_equal(note("", "old.test", YEAR_S), HSTS_CHANGED);
    assert_true(bench_sync(&bench));
    (void)signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    const struct rlimit tight = {4096, before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &tight), 0);
    assert_int_equal(note("", "new.test", YEAR_S), HSTS_CHANGED);
    assert_false(bench_sync(&bench));
    assert_int_equal(note("", "old.test", 0), HSTS_CHANGED);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    bench_wait_saved(&bench);
    reopen();
    assert_true(is_known("", "new.test"));
    assert_false(is_known("", "old.test"));
}

static void test_a_file_of_version_1_gets_the_table_and_keeps_its_cookies(void **state)
{
    (void)state;
    bench_open(&bench);
    assert_int_equal(bench_put(&bench, "a.com", "a=1; Max-Age=900"), COOKIE_STORED);
    bench_close(&bench);
    (void)bench_query(&bench, "DROP TABLE host");
    (void)bench_query(&bench, "DROP TABLE jar");
    (void)bench_query(&bench, "ALTER TABLE cookie DROP COLUMN extra");
    (void)bench_query(&bench, "PRAGMA user_version=1");
    bench_open(&bench);
    assert_true(cookie_store_is_persistent(bench.store));
    assert_string_equal(bench_ask(&bench, "a.com"), "a=1");
    assert_int_equal(note("", "a.test", YEAR_S), HSTS_CHANGED);
    assert_true(bench_sync(&bench));
    bench_close(&bench);
    assert_int_equal(bench_query(&bench, "PRAGMA user_version"), SCHEMA_VERSION);
    assert_int_equal(bench_query(&bench, "SELECT count(*) FROM host"), 1);
    assert_int_equal(access(bench_file(&bench, ".corrupt-1"), F_OK), -1);
}

static void test_what_has_expired_or_was_tampered_with_leaves_the_disk(void **state)
{
    (void)state;
    bench_open(&bench);
    assert_int_equal(note("", "good.test", YEAR_S), HSTS_CHANGED);
    assert_int_equal(note("", "flipped.test", YEAR_S), HSTS_CHANGED);
    assert_int_equal(
        hsts_note(hosts_of(""), SPAN_LIT("past.test"), 10, true, loop_wall_s(bench.loop) - 20),
        HSTS_CHANGED);
    bench_close(&bench);
    assert_int_equal(bench_query(&bench, "SELECT count(*) FROM host"), 3);
    (void)bench_query(&bench,
                      "UPDATE host SET expires_s=expires_s+1 WHERE host='flipped.test'");
    bench_open(&bench);
    assert_int_equal(hsts_count(hosts_of("")), 1);
    assert_true(is_known("", "good.test"));
    assert_true(bench_sync(&bench));
    bench_close(&bench);
    assert_int_equal(bench_query(&bench, "SELECT count(*) FROM host"), 1);
}

static struct hsts *seen_of(const char *profile)
{
    struct partition who;
    struct hsts *set = NULL;

    assert_int_equal(partition_init(&who, BENCH_UID, span_of(profile)), 0);
    assert_int_equal(cookie_store_seen(bench.store, &who, &set), 0);
    return set;
}

static struct origin origin_of(const char *host, uint16_t port)
{
    struct origin origin = {.is_https = true, .port = port};

    (void)snprintf(origin.host, sizeof(origin.host), "%s", host);
    return origin;
}

static int note_seen(const char *profile, const char *host, uint16_t port)
{
    struct origin origin = origin_of(host, port);

    return tls_seen_note(seen_of(profile), &origin, loop_wall_s(bench.loop));
}

static bool was_seen(const char *profile, const char *host, uint16_t port)
{
    struct origin origin = origin_of(host, port);

    return tls_seen_has(seen_of(profile), &origin, loop_wall_s(bench.loop));
}

static void test_ts07_servers_seen_at_1_2_are_known_in_the_next_life(void **state)
{
    char longest[HOST_NAME_BYTES_MAX + 1];

    (void)state;
    memset(longest, 'a', sizeof(longest) - 1);
    longest[sizeof(longest) - 1] = '\0';
    for (size_t at = 60; at < sizeof(longest) - 1; at += 61)
        longest[at] = '.';
    bench_open(&bench);
    assert_int_equal(note_seen("", "a.test", 443), HSTS_CHANGED);
    assert_int_equal(note_seen("", "a.test", 443), HSTS_UNCHANGED);
    assert_int_equal(note_seen("", "b.test.", 8443), HSTS_CHANGED);
    assert_int_equal(note_seen("", "[::1]", 443), HSTS_CHANGED);
    assert_int_equal(note_seen("work", "127.0.0.1", 443), HSTS_CHANGED);
    assert_int_equal(note_seen("", longest, 65535), HSTS_CHANGED);
    assert_int_equal(note("", "a.test", YEAR_S), HSTS_CHANGED); /* another thing to know */
    assert_true(bench_sync(&bench));
    reopen();
    assert_true(was_seen("", "a.test", 443));
    assert_true(was_seen("", "a.test.", 443));
    assert_false(was_seen("", "a.test", 444));
    assert_false(was_seen("", "sub.a.test", 443));
    assert_true(was_seen("", "b.test", 8443));
    assert_true(was_seen("", "[::1]", 443));
    assert_false(was_seen("", "127.0.0.1", 443));
    assert_true(was_seen("work", "127.0.0.1", 443));
    assert_true(was_seen("", longest, 65535));
    assert_int_equal(hsts_count(hosts_of("")), 1);
    assert_true(is_known("", "a.test"));
    assert_false(is_known("", "b.test"));
}

static void test_ts07_a_server_that_was_seen_is_forgotten_after_90_days(void **state)
{
    struct origin origin = origin_of("a.test", 443);

    (void)state;
    bench_open(&bench);
    int64_t now_s = loop_wall_s(bench.loop);
    assert_int_equal(tls_seen_note(seen_of(""), &origin, now_s), HSTS_CHANGED);
    assert_true(tls_seen_has(seen_of(""), &origin, now_s + INT64_C(90) * 86400 - 1));
    assert_false(tls_seen_has(seen_of(""), &origin, now_s + INT64_C(90) * 86400));
    assert_int_equal(hsts_count(seen_of("")), 0);
}

static void test_every_port_of_a_host_that_was_seen_is_forgotten_by_hand(void **state)
{
    static const char *const others[] = {"aa.test", "a.test.b", "test", "[::1]", "[::12]"};

    (void)state;
    bench_open(&bench);
    for (size_t i = 0; i < sizeof(others) / sizeof(*others); i++)
        assert_int_equal(note_seen("", others[i], 443), HSTS_CHANGED);
    assert_int_equal(note_seen("", "a.test", 443), HSTS_CHANGED);
    assert_int_equal(note_seen("", "a.test", 8443), HSTS_CHANGED);
    assert_int_equal(tls_seen_forget(seen_of(""), SPAN_LIT("a.test.")), 2);
    assert_int_equal(tls_seen_forget(seen_of(""), SPAN_LIT("a.test")), 0);
    assert_int_equal(tls_seen_forget(seen_of(""), SPAN_LIT("[::1]")), 1);
    assert_int_equal(hsts_count(seen_of("")), 4);
    assert_true(bench_sync(&bench));
    reopen();
    assert_int_equal(hsts_count(seen_of("")), 4);
    assert_false(was_seen("", "a.test", 443));
}

static void test_a_file_of_version_3_keeps_its_hosts(void **state)
{
    (void)state;
    bench_open(&bench);
    assert_int_equal(note("", "a.test", YEAR_S), HSTS_CHANGED);
    bench_close(&bench);
    (void)bench_query(&bench, "ALTER TABLE host RENAME TO hsts");
    (void)bench_query(&bench, "PRAGMA user_version=3");
    bench_open(&bench);
    assert_true(cookie_store_is_persistent(bench.store));
    assert_true(is_known("", "a.test"));
    assert_int_equal(note_seen("", "a.test", 443), HSTS_CHANGED);
    assert_true(bench_sync(&bench));
    bench_close(&bench);
    assert_int_equal(bench_query(&bench, "PRAGMA user_version"), SCHEMA_VERSION);
    assert_int_equal(bench_query(&bench, "SELECT count(*) FROM host"), 2);
}

static void test_hosts_in_a_damaged_file_are_salvaged(void **state)
{
    size_t len;

    (void)state;
    bench_open(&bench);
    assert_int_equal(note("work", "a.test", YEAR_S), HSTS_CHANGED);
    assert_int_equal(note_seen("work", "b.test", 443), HSTS_CHANGED);
    assert_int_equal(bench_put(&bench, "a.com", "a=1; Max-Age=900"), COOKIE_STORED);
    bench_close(&bench);
    char *bytes = read_file(bench.path, &len);
    memset(bytes, 0, 100); /* the header */
    FILE *out = fopen(bench.path, "we");
    assert_non_null(out);
    assert_int_equal(fwrite(bytes, 1, len, out), len);
    assert_int_equal(fclose(out), 0);
    free(bytes);

    bench_open(&bench);
    assert_true(is_known("work", "a.test"));
    assert_string_equal(bench_ask(&bench, "a.com"), "a=1");
    reopen();
    assert_true(is_known("work", "a.test"));
    assert_true(was_seen("work", "b.test", 443));
    assert_false(is_known("work", "b.test"));
}

static void test_profiles_are_bounded(void **state)
{
    struct partition who = {.uid = BENCH_UID};
    struct hsts *set = NULL;

    (void)state;
    bench_open(&bench);
    for (int i = 0; i < HSTS_BOOK_SETS_MAX; i++) {
        (void)snprintf(who.profile, sizeof(who.profile), "p%d", i);
        assert_int_equal(cookie_store_hosts(bench.store, &who, &set), 0);
    }
    (void)snprintf(who.profile, sizeof(who.profile), "one-more");
    assert_int_equal(cookie_store_hosts(bench.store, &who, &set), -EDQUOT);
}

static void test_every_allocation_may_fail_and_the_host_is_saved_later(void **state)
{
    (void)state;
    bench_open(&bench);
    (void)hosts_of("");
    for (uint64_t n = 1; n < 20; n++) {
        char host[32];

        (void)snprintf(host, sizeof(host), "h%d.test", (int)n);
        mem_fail_at(n);
        int r = note("", host, YEAR_S);
        (void)bench_sync(&bench);
        mem_fail_at(0);
        assert_true(r == HSTS_CHANGED || r == -ENOMEM);
        if (r < 0)
            assert_int_equal(note("", host, YEAR_S), HSTS_CHANGED);
        bench_wait_saved(&bench);
    }
    bench_close(&bench);
    assert_int_equal(bench_query(&bench, "SELECT count(*) FROM host"), 19);
}

#define STORE_TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORE_TEST(test_hs04_a_synced_host_is_known_in_the_next_life),
        STORE_TEST(test_hs10_profiles_are_kept_apart_on_disk_too),
        STORE_TEST(test_hs04_an_acknowledged_host_survives_a_kill),
        STORE_TEST(test_hs07_a_write_that_fails_leaves_what_was_there),
        STORE_TEST(test_what_the_disk_did_not_take_is_written_when_it_is_well),
        STORE_TEST(test_a_file_of_version_1_gets_the_table_and_keeps_its_cookies),
        STORE_TEST(test_what_has_expired_or_was_tampered_with_leaves_the_disk),
        STORE_TEST(test_ts07_servers_seen_at_1_2_are_known_in_the_next_life),
        STORE_TEST(test_ts07_a_server_that_was_seen_is_forgotten_after_90_days),
        STORE_TEST(test_every_port_of_a_host_that_was_seen_is_forgotten_by_hand),
        STORE_TEST(test_a_file_of_version_3_keeps_its_hosts),
        STORE_TEST(test_hosts_in_a_damaged_file_are_salvaged),
        STORE_TEST(test_profiles_are_bounded),
        STORE_TEST(test_every_allocation_may_fail_and_the_host_is_saved_later),
    };

    return cmocka_run_group_tests_name("store/hsts_store", tests, NULL, NULL);
}
