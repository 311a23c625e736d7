/* SPDX-License-Identifier: MIT */
/* Jars on disk: those made on purpose, who may use them, who has them in hand; what a cookie
 * has that not every one has; changes that are to survive loss of power. */
#include <errno.h>

#include "store/jar_book.h"
#include "store/schema.h"
#include "store/store_bench.h"

static struct bench bench;

static int begin(void **state)
{
    (void)state;
    bench_init(&bench);
    return 0;
}

static int end(void **state)
{
    (void)state;
    bench_done(&bench);
    return 0;
}

static struct stored_jar *jar_of(const char *profile, const char *name)
{
    return jar_book_find(cookie_store_jars(bench.store), profile, span_of(name));
}

static struct stored_jar *make_kept(const char *profile, const char *name)
{
    (void)bench_jar(&bench, profile, name);
    struct stored_jar *in = jar_of(profile, name);

    jar_book_keep(in);
    return in;
}

static void reopen(void)
{
    assert_true(bench_sync(&bench));
    bench_close(&bench);
    bench_open(&bench);
}

static enum jar_right right_of(const struct stored_jar *in, uint32_t uid)
{
    const struct jar_person person = {.uid = uid};

    return jar_grants_right(&in->grants, &person);
}

static void test_jars_made_on_purpose_and_grants_outlive_the_daemon(void **state)
{
    const struct jar_grant grant = {.id = 1001, .right = JAR_RIGHT_READ};

    (void)state;
    bench_open(&bench);
    (void)make_kept("", "empty");
    (void)bench_jar(&bench, "", "used"); /* and never again */
    assert_int_equal(jar_book_grant(make_kept("p", "work"), &grant), 1);
    reopen();
    assert_non_null(jar_of("", "empty"));
    assert_null(jar_of("", "used"));
    assert_null(jar_of("", "work"));
    assert_int_equal(right_of(jar_of("p", "work"), 1001), JAR_RIGHT_READ);
    assert_true(jar_book_revoke(jar_of("p", "work"), 1001, false));
    assert_false(jar_book_revoke(jar_of("p", "work"), 1001, false));
    reopen();
    assert_int_equal(right_of(jar_of("p", "work"), 1001), JAR_RIGHT_NONE);
}

static void test_a_removed_jar_takes_cookies_and_grants_along(void **state)
{
    const struct jar_grant grant = {.id = 1001, .right = JAR_RIGHT_READ};

    (void)state;
    bench_open(&bench);
    assert_int_equal(jar_book_grant(make_kept("", "work"), &grant), 1);
    assert_int_equal(
        bench_put_in(&bench, bench_jar(&bench, "", "work"), "a.com", "a=1; Max-Age=900"),
        COOKIE_STORED);
    reopen();
    assert_int_equal(cookie_jar_count(bench_jar(&bench, "", "work")), 1);
    jar_book_remove(jar_of("", "work"));
    reopen();
    assert_null(jar_of("", "work"));
    assert_int_equal(cookie_jar_count(bench_jar(&bench, "", "work")), 0);
    assert_int_equal(right_of(jar_of("", "work"), 1001), JAR_RIGHT_NONE);
    bench_close(&bench);
    assert_int_equal(bench_query(&bench, "SELECT count(*) FROM jar"), 0);
    assert_int_equal(bench_query(&bench, "SELECT count(*) FROM cookie"), 0);
}

struct hand {
    struct jar_lease lease; /* first */
    unsigned n_taken;
};

static void hand_on_taken(struct jar_lease *lease)
{
    struct hand *hand = (struct hand *)(void *)lease;

    assert_null(lease->jar);
    hand->n_taken++;
}

static void lend(struct hand *hand, struct stored_jar *in, uint32_t uid, enum jar_right right)
{
    *hand = (struct hand){.lease = {.right = right,
                                    .owner_uid = BENCH_UID,
                                    .person = {.uid = uid},
                                    .on_taken = hand_on_taken}};
    jar_book_lend(in, &hand->lease);
    assert_ptr_equal(hand->lease.jar, in->jar);
}

static void test_a_jar_is_taken_from_who_may_no_longer(void **state)
{
    const struct jar_grant read = {.id = 1001, .right = JAR_RIGHT_READ};
    const struct jar_grant use = {.id = 1001, .right = JAR_RIGHT_USE};
    struct hand owner;
    struct hand root;
    struct hand reader;
    struct hand user;

    (void)state;
    bench_open(&bench);
    struct stored_jar *in = make_kept("", "work");
    assert_int_equal(jar_book_grant(in, &read), 1);
    lend(&owner, in, BENCH_UID, JAR_RIGHT_WRITE);
    lend(&root, in, 0, JAR_RIGHT_WRITE);
    lend(&reader, in, 1001, JAR_RIGHT_READ);
    lend(&user, in, 1001, JAR_RIGHT_USE);
    assert_int_equal(jar_book_grant(in, &use), 1);
    assert_int_equal(reader.n_taken, 1);
    assert_int_equal(user.n_taken, 0);
    assert_true(jar_book_revoke(in, 1001, false));
    assert_int_equal(user.n_taken, 1);
    assert_non_null(owner.lease.jar);
    jar_lease_close(&root.lease);
    jar_book_remove(in);
    assert_int_equal(owner.n_taken, 1);
    assert_int_equal(root.n_taken, 0);
    assert_int_equal(reader.n_taken, 1);
}

static void test_a_damaged_file_gives_its_jars_back(void **state)
{
    const struct jar_grant grant = {.id = 50, .is_group = true, .right = JAR_RIGHT_USE};

    (void)state;
    bench_open(&bench);
    assert_int_equal(jar_book_grant(make_kept("", "work"), &grant), 1);
    assert_true(bench_sync(&bench));
    bench_close(&bench);
    FILE *file = fopen(bench.path, "r+e");
    assert_non_null(file);
    assert_int_equal(fwrite("garbage", 1, 7, file), 7);
    assert_int_equal(fclose(file), 0);
    bench_open(&bench);
    assert_int_equal(access(bench_file(&bench, ".corrupt-1"), F_OK), 0);
    assert_non_null(jar_of("", "work"));
    assert_int_equal(jar_of("", "work")->grants.count, 1);
    assert_true(jar_of("", "work")->grants.at[0].is_group);
}

static void test_a_row_that_was_tampered_with_gives_nobody_a_right(void **state)
{
    const struct jar_grant grant = {.id = 1001, .right = JAR_RIGHT_USE};

    (void)state;
    bench_open(&bench);
    assert_int_equal(jar_book_grant(make_kept("", "work"), &grant), 1);
    (void)make_kept("", "good");
    assert_true(bench_sync(&bench));
    bench_close(&bench);
    (void)bench_query(&bench, "UPDATE jar SET grants=x'7503e9030000' WHERE name='work'");
    bench_open(&bench);
    assert_null(jar_of("", "work"));
    assert_non_null(jar_of("", "good"));
    bench_close(&bench);
    assert_int_equal(bench_query(&bench, "SELECT count(*) FROM jar"), 1);
}

static void put_rich_cookie(void)
{
    const struct cookie_request from = {
        .host = SPAN_LIT("embed.com"),
        .is_secure = true,
        .url = SPAN_LIT("https://embed.com/x"),
        .top_level = {.host = SPAN_LIT("top.com"), .is_https = true},
        .now_s = loop_wall_s(bench.loop),
    };
    struct set_cookie set;

    assert_int_equal(
        set_cookie_parse(
            SPAN_LIT("a=1; Max-Age=900; Secure; Partitioned; Comment=c; Version=9"), &set),
        SET_COOKIE_OK);
    assert_int_equal(cookie_jar_store(bench_jar(&bench, "", ""), &from, &set), COOKIE_STORED);
}

static void assert_rich_cookie(void)
{
    struct cookie_list found = {0};

    assert_int_equal(
        cookie_jar_list(bench_jar(&bench, "", ""), NULL, loop_wall_s(bench.loop), &found), 0);
    assert_int_equal(found.count, 1);
    assert_true(span_eq(found.cookies[0]->partition_key, SPAN_LIT("https://top.com")));
    assert_true(span_eq(found.cookies[0]->comment, SPAN_LIT("c")));
    assert_true(span_eq(found.cookies[0]->original_url, SPAN_LIT("https://embed.com/x")));
    assert_int_equal(found.cookies[0]->version, 9);
    cookie_list_done(&found);
}

static void test_partition_comment_version_and_url_outlive_the_daemon(void **state)
{
    (void)state;
    bench_open(&bench);
    put_rich_cookie();
    reopen();
    assert_rich_cookie();
    assert_true(bench_sync(&bench));
    bench_close(&bench);
    FILE *file = fopen(bench.path, "r+e");
    assert_non_null(file);
    assert_int_equal(fwrite("garbage", 1, 7, file), 7);
    assert_int_equal(fclose(file), 0);
    bench_open(&bench);
    assert_rich_cookie();
}

static void test_a_file_of_version_2_keeps_its_cookies(void **state)
{
    (void)state;
    bench_open(&bench);
    assert_int_equal(bench_put(&bench, "a.com", "a=1; Max-Age=900"), COOKIE_STORED);
    bench_close(&bench);
    (void)bench_query(&bench, "DROP TABLE jar");
    (void)bench_query(&bench, "ALTER TABLE cookie DROP COLUMN extra");
    (void)bench_query(&bench, "ALTER TABLE host RENAME TO hsts");
    (void)bench_query(&bench, "PRAGMA user_version=2");
    bench_open(&bench);
    assert_string_equal(bench_ask(&bench, "a.com"), "a=1");
    (void)make_kept("", "work");
    put_rich_cookie();
    bench_close(&bench);
    assert_int_equal(bench_query(&bench, "PRAGMA user_version"), SCHEMA_VERSION);
    FILE *file = fopen(bench.path, "r+e"); /* rows of either length are found again */
    assert_non_null(file);
    assert_int_equal(fwrite("garbage", 1, 7, file), 7);
    assert_int_equal(fclose(file), 0);
    bench_open(&bench);
    assert_string_equal(bench_ask(&bench, "a.com"), "a=1");
    assert_int_equal(cookie_jar_count(bench_jar(&bench, "", "")), 2);
    assert_non_null(jar_of("", "work"));
}

static bool sync_to_power(void)
{
    struct bench_sync sync = {0};

    sync.sync.on_synced = bench_on_synced;
    sync.sync.owner = &sync;
    sync.sync.to_power = true;
    int r = cookie_store_sync(bench.store, &sync.sync);
    if (r != COOKIE_SYNC_PENDING)
        return r == COOKIE_SYNC_SAVED;
    while (!sync.is_done)
        assert_int_equal(loop_turn(bench.loop, true), 0);
    return sync.saved;
}

static void test_a_change_can_be_made_to_survive_loss_of_power(void **state)
{
    (void)state;
    bench.options.flush_us = INT64_C(3600) * 1000000; /* nobody else flushes */
    bench_open(&bench);
    assert_true(sync_to_power()); /* nothing has changed */
    assert_int_equal(bench_put(&bench, "a.com", "a=1; Max-Age=900"), COOKIE_STORED);
    assert_true(sync_to_power());
    assert_true(sync_to_power()); /* it is by now */
    assert_int_equal(bench_put(&bench, "a.com", "b=1; Max-Age=900"), COOKIE_STORED);
    assert_true(bench_sync(&bench));
    assert_true(sync_to_power()); /* on disk already, and flushed */
}

static void test_who_waits_for_a_flush_hears_of_it_at_the_end(void **state)
{
    struct bench_sync syncs[3];

    (void)state;
    bench_open(&bench);
    for (int i = 0; i < 3; i++) {
        syncs[i] = (struct bench_sync){
            .sync = {.on_synced = bench_on_synced, .owner = &syncs[i], .to_power = i != 1}};
        assert_int_equal(bench_put(&bench, "a.com",
                                   i == 0   ? "a=1; Max-Age=900"
                                   : i == 1 ? "b=1; Max-Age=900"
                                            : "c=1; Max-Age=900"),
                         COOKIE_STORED);
        assert_int_equal(cookie_store_sync(bench.store, &syncs[i].sync), COOKIE_SYNC_PENDING);
    }
    cookie_sync_cancel(&syncs[2].sync);
    bench_close(&bench);
    assert_true(syncs[0].is_done && syncs[0].saved);
    assert_true(syncs[1].is_done && syncs[1].saved);
    assert_false(syncs[2].is_done);
}

static void test_sessions_end_in_every_jar(void **state)
{
    (void)state;
    bench_open(&bench);
    (void)bench_put(&bench, "a.com", "s=1");
    (void)bench_put(&bench, "a.com", "p=1; Max-Age=900");
    (void)bench_put_in(&bench, bench_jar(&bench, "x", "work"), "a.com", "s=1");
    assert_int_equal(cookie_store_end_session(bench.store), 2);
    assert_int_equal(cookie_store_end_session(bench.store), 0);
    assert_string_equal(bench_ask(&bench, "a.com"), "p=1");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define STORE_TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)
        STORE_TEST(test_jars_made_on_purpose_and_grants_outlive_the_daemon),
        STORE_TEST(test_a_removed_jar_takes_cookies_and_grants_along),
        STORE_TEST(test_a_jar_is_taken_from_who_may_no_longer),
        STORE_TEST(test_a_damaged_file_gives_its_jars_back),
        STORE_TEST(test_a_row_that_was_tampered_with_gives_nobody_a_right),
        STORE_TEST(test_partition_comment_version_and_url_outlive_the_daemon),
        STORE_TEST(test_a_file_of_version_2_keeps_its_cookies),
        STORE_TEST(test_a_change_can_be_made_to_survive_loss_of_power),
        STORE_TEST(test_who_waits_for_a_flush_hears_of_it_at_the_end),
        STORE_TEST(test_sessions_end_in_every_jar),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
