/* SPDX-License-Identifier: MIT */
/*
 * What the disk may look like after a crash at any moment, and after a loss of power, which
 * drops and tears what was not synced: DB02, DB03, and DB04's calls that fail once each. At the
 * level of rows, where every step is this test's to order; the way from a round of the loop to
 * a row is test_store_kill's.
 */
#include <errno.h>
#include <sys/stat.h>

#include "base/num.h"
#include "store/cookie_rows.h"
#include "store/schema.h"
#include "store/store_bench.h"
#include "support/shim_vfs.h"

#define N_COMMITS    500
#define N_NAMES      40
#define FLUSH_EVERY  7
#define IMAGES_LEAST 500

static struct bench bench;
static char watched[512]; /* bench.path without links, as the files are opened */
static char crashed[512]; /* where images are made */

/* What is known of the run, by commit, counted from 1. */
static size_t begun_at[N_COMMITS + 2];
static size_t acked_at[N_COMMITS + 2];
static struct {
    size_t at;
    unsigned n_commits;
} flushes[N_COMMITS];
static unsigned n_flushes;

static int setup(void **state)
{
    char dir[256];

    (void)state;
    shim_install();
    bench_init(&bench);
    assert_non_null(realpath(bench.dir, dir));
    (void)snprintf(watched, sizeof(watched), "%s/state/cookies.sqlite", dir);
    (void)snprintf(crashed, sizeof(crashed), "%s/crashed/cookies.sqlite", dir);
    (void)snprintf(dir + strlen(dir), sizeof(dir) - strlen(dir), "/crashed");
    assert_int_equal(mkdir(dir, 0700), 0);
    n_flushes = 0;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    shim_stop();
    shim_fail_at(0, 0);
    bench_done(&bench);
    return 0;
}

/* One open file. */
struct table {
    struct db *db;
    struct cookie_rows *rows;
};

static void table_open(struct table *table, const char *path, bool full)
{
    struct db_error error;

    *table = (struct table){0};
    if (db_open(&table->db, path, full, &error) != DB_OK)
        fail_msg("%s", error.text);
    if (cookie_rows_new(&table->rows, table->db, &error) != DB_OK)
        fail_msg("%s", error.text);
}

static void table_close(struct table *table)
{
    table->rows = cookie_rows_free(table->rows);
    table->db = db_free(table->db);
}

static void add_cookie(struct saved_list *list, uint64_t id, const char *name, unsigned value)
{
    char text[300];

    /* Of changing length, so that pages split and cells move. */
    (void)snprintf(text, sizeof(text), "%u-%0*d", value, (int)(value * 37 % 200 + 1), 0);
    const struct cookie cookie = {
        .name = span_of(name),
        .value = span_of(text),
        .domain = SPAN_LIT("a.com"),
        .path = SPAN_LIT("/"),
        .expires_s = INT64_C(4000000000),
        .order = id,
        .is_persistent = true,
    };
    struct saved_cookie *saved = saved_cookie_new(&cookie, "", "default");

    assert_non_null(saved);
    saved_list_append(list, saved);
}

/* The @i-th response: two cookies that change each time, and one that changes every 40 times.
 */
static void commit(struct table *table, unsigned i)
{
    struct saved_list list = {0};
    struct db_error error;
    char name[16];

    (void)snprintf(name, sizeof(name), "n%u", i % N_NAMES);
    add_cookie(&list, 1, "first", i);
    add_cookie(&list, 3 + i % N_NAMES, name, i);
    add_cookie(&list, 2, "last", i);
    begun_at[i] = shim_log_len();
    assert_int_equal(cookie_rows_write(table->rows, &list, false, &error), DB_OK);
    acked_at[i] = shim_log_len();
    saved_list_done(&list);
}

static void run(unsigned n_commits, bool full)
{
    struct table table;

    shim_record(watched);
    table_open(&table, bench.path, full);
    for (unsigned i = 1; i <= n_commits; i++) {
        commit(&table, i);
        if (i % FLUSH_EVERY == 0) {
            assert_int_equal(db_flush(bench.path), 0);
            flushes[n_flushes].at = shim_log_len();
            flushes[n_flushes++].n_commits = i;
        }
    }
    table_close(&table);
}

static unsigned number_of(const struct saved_list *list, const char *name)
{
    for (const struct saved_cookie *at = list->first; at; at = at->next) {
        struct span rest = at->cookie.value;
        struct span value;
        uint64_t number = 0;

        if (!span_eq(at->cookie.name, span_of(name)))
            continue;
        (void)span_split(&rest, '-', &value);
        assert_int_equal(num_parse_u64(value, N_COMMITS, &number), 0);
        return (unsigned)number;
    }
    return 0;
}

/* The newest commit up to @last that set the name of @index; 0: none. */
static unsigned newest_of(unsigned index, unsigned last)
{
    unsigned back = (last + N_NAMES - index) % N_NAMES;

    return last > back ? last - back : 0;
}

/* Opens the image. Return: up to which commit everything is there, and nothing of a later. */
static unsigned read_image(bool full)
{
    struct saved_list list = {0};
    struct table table;
    struct db_error error;
    size_t bad = 0;
    char name[16];

    table_open(&table, crashed, full);
    if (table.db->aside)
        fail_msg("set aside as damaged: %s", table.db->aside);
    assert_int_equal(cookie_rows_read(table.rows, &list, &bad, &error), DB_OK);
    assert_int_equal(bad, 0);
    unsigned last = number_of(&list, "first");
    assert_int_equal(number_of(&list, "last"), last); /* P3: all of a response, or nothing */
    for (unsigned i = 0; i < N_NAMES; i++) {
        (void)snprintf(name, sizeof(name), "n%u", i);
        assert_int_equal(number_of(&list, name), newest_of(i, last));
    }
    saved_list_done(&list);
    table_close(&table);
    return last;
}

/* Up to which commit everything must be there after a crash behind @len notes. */
static unsigned promised(size_t len, bool full, bool is_kill)
{
    unsigned n = 0;

    if (full || is_kill) {
        for (unsigned i = 1; i <= N_COMMITS && acked_at[i] > 0 && acked_at[i] <= len; i++)
            n = i;
        return n;
    }
    for (unsigned i = 0; i < n_flushes && flushes[i].at <= len; i++)
        n = flushes[i].n_commits;
    return n;
}

static unsigned begun(size_t len)
{
    unsigned n = 0;

    while (n < N_COMMITS && begun_at[n + 1] > 0 && begun_at[n + 1] < len)
        n++;
    return n;
}

static void crash(size_t len, bool full, uint32_t seed)
{
    shim_image(len, crashed, seed);
    unsigned last = read_image(full);
    if (last < promised(len, full, seed == 0) || last > begun(len))
        fail_msg("after %zu notes, seed %u: %u is there, %u was promised, %u begun", len, seed,
                 last, promised(len, full, seed == 0), begun(len));
}

/* Before and behind every sync, and somewhere between. */
static void lose_power_everywhere(bool full)
{
    unsigned n_images = 0;
    size_t step = shim_log_len() / IMAGES_LEAST + 1;

    for (size_t at = 0; at < shim_log_len(); at++) {
        bool is_sync = shim_log_op(at) == SHIM_SYNC || shim_log_op(at) == SHIM_SYNC_FOLDER;

        if (!is_sync && at % step != 0)
            continue;
        crash(at, full, (uint32_t)at * 2654435761U | 1);
        n_images++;
        if (is_sync && !full) {
            crash(at + 1, full, (uint32_t)at * 2246822519U | 1);
            n_images++;
        }
    }
    assert_true(n_images >= IMAGES_LEAST);
    print_message("%u images\n", n_images);
}

static void
test_db02_p2_a_loss_of_power_costs_no_more_than_what_came_after_the_last_sync(void **state)
{
    (void)state;
    run(N_COMMITS, false);
    lose_power_everywhere(false);
}

static void test_db02_p2_with_full_durability_a_loss_of_power_costs_nothing(void **state)
{
    (void)state;
    run(N_COMMITS, true);
    lose_power_everywhere(true);
}

/* The kernel lives on: everything written is there, and the last write may be half done. */
static void
test_db03_p1_a_kill_at_any_write_of_making_and_checkpointing_costs_nothing(void **state)
{
    size_t n = 0;

    (void)state;
    memset(acked_at, 0, sizeof(acked_at));
    memset(begun_at, 0, sizeof(begun_at));
    run(120, false);
    /* All of the making, of the first commits, and of the last checkpoint. */
    for (size_t at = 0; at <= shim_log_len(); at++) {
        if (at > 60 && at + 120 < shim_log_len() && at % 8 != 0)
            continue;
        crash(at, false, 0);
        n++;
    }
    assert_true(n > 150);
}

static void
test_db03_a_kill_at_any_write_of_a_migration_is_made_good_by_the_next_start(void **state)
{
    char sql[160];
    struct table table;

    (void)state;
    shim_record(watched);
    /* A file of the first version, as it was first made. */
    (void)snprintf(sql, sizeof(sql), "%s/state", bench.dir);
    assert_int_equal(mkdir(sql, 0700), 0);
    (void)bench_query(&bench, schema_step(0));
    (void)bench_query(&bench, "INSERT INTO cookie (profile, jar, domain, path, name, value, "
                              "flags, expires_s, created_s, last_access_s, checksum) "
                              "VALUES ('','default','a.com','/','a','1',0,1,1,1,1)");
    (void)snprintf(sql, sizeof(sql), "PRAGMA application_id=%d", SCHEMA_APPLICATION_ID);
    (void)bench_query(&bench, sql);
    (void)bench_query(&bench, "PRAGMA user_version=1");
    size_t before = shim_log_len();
    table_open(&table, bench.path, false);
    table_close(&table);
    for (size_t at = before; at <= shim_log_len(); at++) {
        shim_image(at, crashed, 0);
        table_open(&table, crashed, false);
        assert_null(table.db->aside);
        assert_false(table.db->is_new);
        table_close(&table);
        (void)snprintf(bench.path, sizeof(bench.path), "%s/crashed/cookies.sqlite", bench.dir);
        assert_int_equal(bench_query(&bench, "SELECT count(*) FROM cookie"), 1);
        assert_int_equal(bench_query(&bench, "PRAGMA user_version"), SCHEMA_VERSION);
    }
    assert_true(shim_log_len() > before + 4);
}

/* Opens, stores, removes, closes; the disk may refuse one thing once. */
static void live(void)
{
    bench_open(&bench);
    (void)bench_put(&bench, "a.com", "a=1; Max-Age=900");
    (void)bench_sync(&bench);
    (void)bench_put(&bench, "a.com", "b=1; Max-Age=900");
    (void)bench_put(&bench, "a.com", "gone=; Max-Age=0");
    (void)bench_sync(&bench);
    assert_string_equal(bench_ask(&bench, "a.com"), "a=1; b=1"); /* whatever the disk says */
    bench_close(&bench);
}

static void forget_files(void)
{
    static const char *const all[] = {"", "-wal", "-journal", "-lock", "-reserve"};

    for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++)
        (void)unlink(bench_file(&bench, all[i]));
}

/* Each of the calls of one life, in turn. Return: how many there are. */
static unsigned fail_each(int rc, bool is_new)
{
    for (unsigned n = 1;; n++) {
        forget_files();
        if (!is_new) {
            bench_open(&bench);
            assert_int_equal(bench_put(&bench, "a.com", "gone=1; Max-Age=900"), COOKIE_STORED);
            assert_int_equal(bench_put(&bench, "a.com", "a=0; Max-Age=900"), COOKIE_STORED);
            bench_close(&bench);
        }
        shim_fail_at(n, rc);
        live();
        bool has_failed = shim_has_failed();
        shim_fail_at(0, 0);
        if (access(bench_file(&bench, ".corrupt-1"), F_OK) == 0)
            fail_msg("call %u, code %d: a disk that fails is no damage", n, rc);
        live(); /* what the disk did not take is taken now */
        bench_open(&bench);
        assert_true(cookie_store_is_persistent(bench.store));
        assert_string_equal(bench_ask(&bench, "a.com"), "a=1; b=1");
        bench_close(&bench);
        if (!has_failed)
            return n - 1;
    }
}

static void test_db04_each_call_of_the_file_system_may_fail_once(void **state)
{
    static const int codes[] = {SQLITE_IOERR, SQLITE_FULL, SQLITE_CANTOPEN, SQLITE_NOMEM};

    (void)state;
    bench.options.retry_us = 1000;
    for (size_t i = 0; i < sizeof(codes) / sizeof(*codes); i++) {
        assert_true(fail_each(codes[i], true) > 20);
        assert_true(fail_each(codes[i], false) > 20);
    }
}

/* SQLite tells a quota that is used up as any trouble with writing. */
static void
test_db05_a_quota_that_is_used_up_is_a_full_disk_and_the_reserve_goes_first(void **state)
{
    (void)state;
    bench.options.retry_us = INT64_C(3600) * 1000 * 1000;
    bench_open(&bench);
    assert_int_equal(bench_put(&bench, "a.com", "a=1; Max-Age=900"), COOKIE_STORED);
    assert_true(bench_sync(&bench));
    assert_int_equal(access(bench_file(&bench, "-reserve"), F_OK), 0);
    shim_fail_with(EDQUOT);
    shim_fail_at(1, SQLITE_IOERR);
    assert_int_equal(bench_put(&bench, "a.com", "a=; Max-Age=0"), COOKIE_REMOVED);
    assert_true(bench_sync(&bench)); /* in the second attempt, with the room of the reserve */
    assert_true(shim_has_failed());
    shim_fail_with(0);
    assert_int_equal(access(bench_file(&bench, "-reserve"), F_OK), -1);
    bench_close(&bench);
    bench_open(&bench);
    assert_string_equal(bench_ask(&bench, "a.com"), "");
}

#define POWER_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        POWER_TEST(
            test_db02_p2_a_loss_of_power_costs_no_more_than_what_came_after_the_last_sync),
        POWER_TEST(test_db02_p2_with_full_durability_a_loss_of_power_costs_nothing),
        POWER_TEST(test_db03_p1_a_kill_at_any_write_of_making_and_checkpointing_costs_nothing),
        POWER_TEST(test_db03_a_kill_at_any_write_of_a_migration_is_made_good_by_the_next_start),
        POWER_TEST(test_db05_a_quota_that_is_used_up_is_a_full_disk_and_the_reserve_goes_first),
        POWER_TEST(test_db04_each_call_of_the_file_system_may_fail_once),
    };

    return cmocka_run_group_tests_name("store/store_power", tests, NULL, NULL);
}
