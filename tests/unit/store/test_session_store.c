/* SPDX-License-Identifier: MIT */
/*
 * Session cookies of a store over the death of its process, beside those on the disk: each life
 * is a child that ends without a word, at the place the test is about.
 */
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "base/log.h"
#include "store/jar_book.h"
#include "store/session_log.h"
#include "store/store_bench.h"

static struct bench bench;
static struct session_log *kept_log;
static int memory = -1; /* outlives every life */
static char folder[64];

static int begin(void **state)
{
    (void)state;
    memory = memfd_create("test", MFD_CLOEXEC);
    assert_true(memory >= 0);
    (void)snprintf(folder, sizeof(folder), "session-test-XXXXXX");
    assert_non_null(mkdtemp(folder));
    return 0;
}

static int end(void **state)
{
    char command[128];

    (void)state;
    close(memory);
    (void)snprintf(command, sizeof(command), "rm -rf '%s'", folder);
    return system(command);
}

static bool name_is_ann(uint32_t uid, char *ret, size_t size)
{
    (void)uid;
    (void)snprintf(ret, size, "ann");
    return true;
}

static bool name_is_bob(uint32_t uid, char *ret, size_t size)
{
    (void)uid;
    (void)snprintf(ret, size, "bob");
    return true;
}

static bool (*name_of)(uint32_t uid, char *ret, size_t size);
static bool without_disk;

static void open_all(void)
{
    const struct session_log_options options = session_log_options_default();
    static const char *const names[] = {"co.uk", NULL};

    memset(&bench, 0, sizeof(bench));
    (void)snprintf(bench.path, sizeof(bench.path), "%s/state/cookies.sqlite", folder);
    suffix_table_init(&bench.suffixes, names);
    bench.options = cookie_store_options_default();
    bench.options.uid = BENCH_UID;
    bench.options.path = without_disk ? NULL : bench.path;
    bench.options.name_of = name_of;
    bench.options.retry_us = 1000;
    bench.options.lock_us = 0;
    assert_int_equal(session_log_open(&kept_log, fcntl(memory, F_DUPFD_CLOEXEC, 0), &options),
                     0);
    assert_int_equal(session_log_book(kept_log, BENCH_UID, &bench.options.sessions), 0);
    assert_int_equal(loop_new(&bench.loop, clock_system()), 0);
    assert_int_equal(worker_pool_new(&bench.pool, bench.loop, 1), 0);
    bench_open(&bench);
}

/* A whole life of the daemon, which ends where @live does, with nothing put away. */
static void one_life(void (*live)(void))
{
    int status;
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0) {
        (void)setenv("CMOCKA_TEST_ABORT", "1", 1); /* what fails here, fails the test once */
        open_all();
        live();
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void set(const char *field)
{
    int r = bench_put(&bench, "a.com", field);

    assert_true(r == COOKIE_STORED || r == COOKIE_REPLACED || r == COOKIE_REMOVED);
}

static const char *expected;

static void look(void)
{
    assert_string_equal(bench_ask(&bench, "a.com"), expected);
}

/* In two lives: what came back is not lost by that. */
static void expect(const char *text)
{
    expected = text;
    one_life(look);
    one_life(look);
}

/* ---- come back ------------------------------------------------------------------------------
 */

static void log_in(void)
{
    set("s=1");
    set("p=2; Max-Age=900");
    assert_true(bench_sync(&bench) || without_disk);
    set("t=3");
    assert_int_equal(
        bench_put_in(&bench, bench_jar(&bench, "prof", "work"), "b.com", "w=4; HttpOnly"),
        COOKIE_STORED);
}

static void look_in_every_jar(void)
{
    assert_string_equal(bench_ask(&bench, "a.com"), "s=1; p=2; t=3");
    assert_string_equal(bench_ask_in(&bench, bench_jar(&bench, "prof", "work"), "b.com"),
                        "w=4");
    assert_string_equal(bench_ask(&bench, "b.com"), "");
    set("u=5"); /* and it is younger than all of them */
    assert_string_equal(bench_ask(&bench, "a.com"), "s=1; p=2; t=3; u=5");
}

static void test_session_cookies_come_back_in_their_jars_and_order(void **state)
{
    (void)state;
    one_life(log_in);
    one_life(look_in_every_jar);
    expect("s=1; p=2; t=3; u=5");
}

static void test_session_cookies_come_back_where_there_is_no_disk(void **state)
{
    (void)state;
    without_disk = true;
    one_life(log_in);
    expect("s=1; t=3");
    without_disk = false;
}

static void log_in_anew(void)
{
    set("s=one");
    set("s=two");
}

static void test_the_last_value_comes_back(void **state)
{
    (void)state;
    one_life(log_in_anew);
    expect("s=two");
}

/* ---- do not come back -----------------------------------------------------------------------
 */

static void log_out(void)
{
    set("s=1");
    set("s=1; Max-Age=0");
}

static void clear(void)
{
    set("s=1");
    (void)cookie_jar_clear(bench_jar(&bench, "", ""));
}

static void end_session_of_uid(void)
{
    set("s=1");
    assert_int_equal(cookie_store_end_session(bench.store), 1);
}

static void end_session_of_jar(void)
{
    set("s=1");
    assert_int_equal(cookie_store_end_session_of(bench.store, bench_jar(&bench, "", "")), 1);
}

static void remove_jar(void)
{
    set("s=1");
    jar_book_remove(jar_book_find(cookie_store_jars(bench.store), "", SPAN_LIT("default")));
}

static void purge(void)
{
    struct cookie_store_purged gone;

    set("s=1");
    cookie_store_purge(bench.store, &gone);
    assert_int_equal(gone.cookies, 1);
}

static void evict(void)
{
    bench.options.jar.cookies_max = 1;
    cookie_store_set_limits(bench.store, 1, &bench.options.jar);
    set("s=1");
    assert_int_equal(bench_put(&bench, "b.com", "p=1; Max-Age=900"), COOKIE_STORED);
}

static void test_what_has_gone_does_not_come_back(void **state)
{
    static void (*const ways[])(void) = {
        log_out, clear, end_session_of_uid, end_session_of_jar, remove_jar, purge, evict};

    (void)state;
    for (size_t i = 0; i < sizeof(ways) / sizeof(*ways); i++) {
        one_life(ways[i]);
        expect("");
    }
}

static void log_in_as_ann(void)
{
    set("s=1");
}

static void test_a_uid_of_another_name_gets_nothing(void **state)
{
    (void)state;
    name_of = name_is_ann;
    one_life(log_in_as_ann);
    expect("s=1");
    name_of = name_is_bob;
    expect("");
    name_of = NULL;
}

static void fill_with_what_is_refused(void)
{
    const struct cookie bad = {.name = SPAN_LIT("s"),
                               .value = SPAN_LIT("1"),
                               .domain = SPAN_LIT("co.uk"),
                               .path = SPAN_LIT("/"),
                               .expires_s = COOKIE_EXPIRES_NEVER,
                               .order = 5};

    assert_int_equal(session_book_put(bench.options.sessions, "", "default", &bad), 0);
}

static void look_that_nothing_waits(void)
{
    assert_true(session_book_is_empty(bench.options.sessions));
}

static void test_what_the_rules_of_today_refuse_is_dropped(void **state)
{
    (void)state;
    one_life(fill_with_what_is_refused);
    expect("");
    one_life(look_that_nothing_waits);
}

/* ---- beside rows ----------------------------------------------------------------------------
 */

static void keep_one(void)
{
    set("s=row; Max-Age=900");
    assert_true(bench_sync(&bench));
}

static void replace_row_by_session(void)
{
    set("s=session"); /* and the disk does not hear of it */
}

static void end_that_session(void)
{
    assert_string_equal(bench_ask(&bench, "a.com"), "s=session");
    assert_int_equal(cookie_store_end_session(bench.store), 1);
    assert_true(bench_sync(&bench));
}

static void test_a_session_cookie_that_replaced_a_row_is_the_true_one(void **state)
{
    (void)state;
    one_life(keep_one);
    one_life(replace_row_by_session);
    expect("s=session");
    one_life(end_that_session);
    expect(""); /* not the row's value */
}

static void replace_session_by_row_in_memory(void)
{
    assert_string_equal(bench_ask(&bench, "a.com"), "s=session");
    set("s=row; Max-Age=900");
}

static void replace_session_by_row_on_disk(void)
{
    assert_string_equal(bench_ask(&bench, "a.com"), "s=session");
    set("s=row; Max-Age=900");
    assert_true(bench_sync(&bench));
}

static void test_a_row_that_replaced_a_session_cookie_is_true_once_it_is_on_disk(void **state)
{
    (void)state;
    one_life(replace_row_by_session);
    one_life(replace_session_by_row_in_memory);
    expect("s=session"); /* nobody was told of the other */
    one_life(replace_session_by_row_on_disk);
    expect("s=row");
    one_life(look_that_nothing_waits);
}

/* The transaction is through, and the process dies before it hears of it: what it would have
 * struck out is there. */
static void commit_without_hearing(void)
{
    struct cookie cookie = {.name = SPAN_LIT("s"),
                            .value = SPAN_LIT("session"),
                            .domain = SPAN_LIT("a.com"),
                            .path = SPAN_LIT("/"),
                            .expires_s = COOKIE_EXPIRES_NEVER,
                            .host_only = true,
                            .order = 1};

    keep_one();
    assert_int_equal(session_book_put(bench.options.sessions, "", "default", &cookie), 0);
    session_book_supersede(bench.options.sessions, 1, 1000);
}

static void test_a_row_wins_over_what_it_superseded_even_if_nobody_heard_of_it(void **state)
{
    (void)state;
    one_life(commit_without_hearing);
    expect("s=row");
    one_life(look_that_nothing_waits);
}

static void supersede_and_remove(void)
{
    set("s=row; Max-Age=900");
    set("s=; Max-Age=0");
}

static void supersede_and_end(void)
{
    set("s=row; Max-Age=900");
    (void)cookie_store_end_session(bench.store);
}

static void test_what_was_superseded_and_is_gone_does_not_come_back(void **state)
{
    (void)state;
    one_life(replace_row_by_session);
    one_life(supersede_and_remove);
    expect("");
    one_life(replace_row_by_session);
    one_life(supersede_and_end);
    expect("");
}

static void change_to_and_fro(void)
{
    for (int i = 0; i < 3; i++) {
        set("s=row; Max-Age=900");
        assert_true(bench_sync(&bench));
        set("s=session");
        if (i < 2)
            assert_true(bench_sync(&bench));
    }
}

static void test_one_cookie_may_change_its_kind_for_ever(void **state)
{
    (void)state;
    one_life(change_to_and_fro);
    expect("s=session");
}

static void put_with_an_order_that_a_row_has(void)
{
    struct cookie cookie = {.name = SPAN_LIT("t"),
                            .value = SPAN_LIT("2"),
                            .domain = SPAN_LIT("a.com"),
                            .path = SPAN_LIT("/"),
                            .expires_s = COOKIE_EXPIRES_NEVER,
                            .host_only = true,
                            .order = 1};

    keep_one();
    assert_int_equal(session_book_put(bench.options.sessions, "", "default", &cookie), 0);
}

static void make_it_a_row(void)
{
    assert_string_equal(bench_ask(&bench, "a.com"), "s=row; t=2");
    set("t=3; Max-Age=900");
    assert_true(bench_sync(&bench));
    bench_close(&bench);
    assert_int_equal(bench_query(&bench, "SELECT count(*) FROM cookie"), 2);
}

static void test_an_order_that_a_row_has_is_given_up(void **state)
{
    (void)state;
    one_life(put_with_an_order_that_a_row_has);
    expect("s=row; t=2");
    one_life(make_it_a_row);
    expect("s=row; t=3");
}

/* ---- a disk that cannot be read -------------------------------------------------------------
 */

static char *aside(void)
{
    static char path[192];

    (void)snprintf(path, sizeof(path), "%s.aside", bench.path);
    return path;
}

static void take_file_away(void)
{
    (void)snprintf(bench.path, sizeof(bench.path), "%s/state/cookies.sqlite", folder);
    assert_int_equal(rename(bench.path, aside()), 0);
    assert_int_equal(symlink("/dev/null", bench.path), 0);
}

static void give_file_back(void)
{
    (void)snprintf(bench.path, sizeof(bench.path), "%s/state/cookies.sqlite", folder);
    assert_int_equal(unlink(bench.path), 0);
    assert_int_equal(rename(aside(), bench.path), 0);
}

static void keep_three_and_log_in(void)
{
    set("a=1; Max-Age=900");
    set("b=2; Max-Age=900");
    set("c=3; Max-Age=900");
    set("s=session");
    assert_true(bench_sync(&bench));
    bench_close(&bench); /* so that all is in the one file */
}

static void live_without_the_disk(void)
{
    assert_false(cookie_store_is_persistent(bench.store));
    assert_string_equal(bench_ask(&bench, "a.com"), "s=session");
    set("t=young");
}

static void live_until_the_disk_is_back(void)
{
    assert_string_equal(bench_ask(&bench, "a.com"), "s=session; t=young");
    give_file_back();
    while (!cookie_store_is_persistent(bench.store))
        assert_int_equal(loop_turn(bench.loop, true), 0);
    bench_wait_saved(&bench);
    assert_string_equal(bench_ask(&bench, "a.com"), "a=1; b=2; c=3; s=session; t=young");
}

static void test_a_disk_that_cannot_be_read_holds_no_session_up(void **state)
{
    (void)state;
    one_life(keep_three_and_log_in);
    take_file_away();
    one_life(live_without_the_disk);
    one_life(live_until_the_disk_is_back);
    expect("a=1; b=2; c=3; s=session; t=young");
}

static void log_in_often(void)
{
    for (int i = 0; i < 20; i++) {
        char field[32];

        (void)snprintf(field, sizeof(field), "s%02d=1", i);
        set(field);
    }
}

static void open_short_of_memory(void)
{
    for (uint64_t n = 1; n < 200; n++) {
        bench_close(&bench);
        kept_log = session_log_free(kept_log);
        const struct session_log_options options = session_log_options_default();
        assert_int_equal(
            session_log_open(&kept_log, fcntl(memory, F_DUPFD_CLOEXEC, 0), &options), 0);
        assert_int_equal(session_log_book(kept_log, BENCH_UID, &bench.options.sessions), 0);
        bench.options.path = NULL;
        mem_fail_at(n);
        int r = cookie_store_open(&bench.store, bench.loop, bench.pool, &bench.suffixes.rules,
                                  &bench.options);
        mem_fail_at(0);
        if (r < 0)
            bench.store = NULL;
    }
}

static void test_memory_that_runs_out_on_the_way_back_is_no_fault(void **state)
{
    (void)state;
    one_life(log_in_often);
    one_life(open_short_of_memory);
    one_life(log_in);
    expect("s=1; p=2; t=3");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define SESSION_TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)
        SESSION_TEST(test_session_cookies_come_back_in_their_jars_and_order),
        SESSION_TEST(test_session_cookies_come_back_where_there_is_no_disk),
        SESSION_TEST(test_the_last_value_comes_back),
        SESSION_TEST(test_what_has_gone_does_not_come_back),
        SESSION_TEST(test_a_uid_of_another_name_gets_nothing),
        SESSION_TEST(test_what_the_rules_of_today_refuse_is_dropped),
        SESSION_TEST(test_a_session_cookie_that_replaced_a_row_is_the_true_one),
        SESSION_TEST(test_a_row_that_replaced_a_session_cookie_is_true_once_it_is_on_disk),
        SESSION_TEST(test_a_row_wins_over_what_it_superseded_even_if_nobody_heard_of_it),
        SESSION_TEST(test_what_was_superseded_and_is_gone_does_not_come_back),
        SESSION_TEST(test_one_cookie_may_change_its_kind_for_ever),
        SESSION_TEST(test_an_order_that_a_row_has_is_given_up),
        SESSION_TEST(test_a_disk_that_cannot_be_read_holds_no_session_up),
        SESSION_TEST(test_memory_that_runs_out_on_the_way_back_is_no_fault),
    };

    log_set_level(LOG_LEVEL_ERR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
