/* SPDX-License-Identifier: MIT */
/* Sessions of a process that died: whose they are, how long their clients have to come back,
 * and what ends them although nobody asks for them. */
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "app/config.h"
#include "app/cookie_stores.h"
#include "app/uid_limits.h"
#include "loop/loop.h"
#include "loop/worker.h"
#include "policy/cookie_jar.h"
#include "store/cookie_store.h"
#include "store/session_log.h"
#include "support/test.h"

static struct fake_clock now;
static struct loop *loop;
static struct worker_pool *disk;
static struct suffix_table suffixes;
static struct uid_limits limits;
static struct session_log *kept_log;
static struct cookie_stores *stores;
static struct cookie_access cookies;
static int memory;
static bool per_user;

static int begin(void **state)
{
    static const char *const names[] = {"com", NULL};
    struct config config;

    (void)state;
    config_init(&config);
    limits = (struct uid_limits){.general = kept_limits_of(&config)};
    suffix_table_init(&suffixes, names);
    fake_clock_init(&now, 1800000000);
    memory = memfd_create("test", MFD_CLOEXEC);
    assert_true(memory >= 0);
    per_user = false;
    return 0;
}

static void end_life(void)
{
    stores = cookie_stores_free(stores);
    disk = worker_pool_free(disk);
    loop = loop_free(loop);
    kept_log = session_log_free(kept_log);
}

static int end(void **state)
{
    (void)state;
    end_life();
    close(memory);
    return 0;
}

/* Another process, on the same clock. */
static void next_life(void)
{
    const struct session_log_options options = session_log_options_default();

    end_life();
    assert_int_equal(session_log_open(&kept_log, fcntl(memory, F_DUPFD_CLOEXEC, 0), &options),
                     0);
    const struct cookie_stores_options of_stores = {
        .state_dir = "", .per_user = per_user, .limits = &limits, .sessions = kept_log};
    assert_int_equal(loop_new(&loop, &now.clock), 0);
    assert_int_equal(worker_pool_new(&disk, loop, 1), 0);
    assert_int_equal(cookie_stores_new(&stores, loop, disk, &suffixes.rules, &of_stores), 0);
    cookies = cookie_stores_access(stores);
}

static void pass(int64_t seconds)
{
    for (; seconds > 0; seconds -= 10) {
        fake_clock_advance_ms(&now, seconds < 10 ? seconds * 1000 : 10000);
        assert_int_equal(loop_turn(loop, false), 0);
    }
}

static struct cookie_jar *jar_of(uint32_t uid)
{
    struct partition partition = {.uid = uid};
    const struct jar_asker asker = {.partition = &partition, .gids = &uid, .n_gids = 1};
    struct cookie_wait wait = {0};
    struct jar_lease lease = {0};

    assert_int_equal(cookies.open(cookies.owner, &asker, SPAN_LIT(""), &wait, &lease),
                     COOKIE_OPEN_READY);
    struct cookie_jar *jar = lease.jar;
    jar_lease_close(&lease);
    return jar;
}

static void log_in(uint32_t uid)
{
    struct cookie_request from = {
        .host = SPAN_LIT("a.com"), .path = SPAN_LIT("/"), .now_s = 1800000000};
    struct cookie draft = {.name = SPAN_LIT("sid"),
                           .value = SPAN_LIT("v"),
                           .path = SPAN_LIT("/"),
                           .expires_s = COOKIE_EXPIRES_NEVER};

    assert_false(cookie_outcome_is_refusal(cookie_jar_set(jar_of(uid), &draft, &from)));
}

static size_t n_of(uint32_t uid)
{
    return cookie_jar_count(jar_of(uid));
}

/* Whether anything of the uid is in the memory, without anybody's asking for its jars. */
static bool is_noted(uint32_t uid)
{
    struct session_book *book = NULL;

    assert_int_equal(session_log_book(kept_log, uid, &book), 0);
    return !session_book_is_empty(book);
}

static void test_a_session_comes_back_and_ends_when_its_clients_do_not(void **state)
{
    (void)state;
    next_life();
    log_in(1000);
    log_in(1001);
    next_life();
    pass(200);
    assert_int_equal(n_of(1000), 1);
    assert_true(is_noted(1001));
    pass(110); /* 300 s of grace */
    assert_int_equal(n_of(1000), 0);
    assert_false(is_noted(1001)); /* nor if nobody has opened his jars */
    next_life();
    assert_int_equal(n_of(1001), 0);
}

static void test_clients_that_come_back_hold_it_and_let_it_end_as_ever(void **state)
{
    (void)state;
    next_life();
    log_in(1000);
    next_life();
    pass(100);
    cookies.session_hold(cookies.owner, 1000);
    pass(1000);
    assert_int_equal(n_of(1000), 1);
    cookies.session_release(cookies.owner, 1000);
    pass(200);
    next_life(); /* begins the grace anew */
    pass(200);
    assert_int_equal(n_of(1000), 1);
    pass(200);
    assert_int_equal(n_of(1000), 0);
}

static void test_however_short_the_grace_is_there_is_time_to_come_back(void **state)
{
    (void)state;
    limits.general.session_grace_us = 0;
    next_life();
    log_in(1000);
    next_life();
    assert_int_equal(n_of(1000), 1);
    pass(20);
    assert_int_equal(n_of(1000), 1);
    pass(20);
    assert_int_equal(n_of(1000), 0);
}

static void test_a_gap_longer_than_the_grace_was_the_end(void **state)
{
    (void)state;
    next_life();
    log_in(1000);
    fake_clock_advance_ms(&now, 340000); /* a minute of it may be since we last said a word */
    next_life();
    assert_int_equal(n_of(1000), 1);
    pass(250); /* it was alive so long */
    fake_clock_advance_ms(&now, 370000);
    next_life();
    assert_false(is_noted(1000));
    assert_int_equal(n_of(1000), 0);
}

static void test_ip02_uids_that_are_nobodys_for_long_find_nothing(void **state)
{
    static const uint32_t uids[] = {65534, 61184, 65519};

    (void)state;
    next_life();
    for (size_t i = 0; i < sizeof(uids) / sizeof(*uids); i++) {
        log_in(uids[i]);
        assert_false(is_noted(uids[i]));
    }
    /* Not even if a process of other rules noted one. */
    const struct cookie cookie = {.name = SPAN_LIT("sid"),
                                  .value = SPAN_LIT("v"),
                                  .domain = SPAN_LIT("a.com"),
                                  .path = SPAN_LIT("/"),
                                  .order = 1};
    struct session_book *book = NULL;
    assert_int_equal(session_log_book(kept_log, 61184, &book), 0);
    assert_int_equal(session_book_put(book, "", "default", &cookie), 0);
    next_life();
    assert_false(is_noted(61184));
    assert_int_equal(n_of(61184), 0);
}

static void test_a_users_own_daemon_keeps_its_users_alone(void **state)
{
    uint32_t other = getuid() + 1;

    (void)state;
    per_user = true;
    next_life();
    log_in(getuid());
    log_in(other);
    assert_true(is_noted(getuid()));
    assert_false(is_noted(other));
    next_life();
    assert_int_equal(n_of(getuid()), 1);
}

static void test_the_machines_jar_has_no_clients_to_wait_for(void **state)
{
    (void)state;
    per_user = true; /* where it is its user's */
    next_life();
    struct cookie_store *store = NULL;
    struct partition partition = {.uid = JAR_UID_SYSTEM};
    struct cookie_jar *jar = NULL;
    struct cookie_request from = {
        .host = SPAN_LIT("a.com"), .path = SPAN_LIT("/"), .now_s = 1800000000};
    struct cookie draft = {.name = SPAN_LIT("sid"),
                           .value = SPAN_LIT("v"),
                           .path = SPAN_LIT("/"),
                           .expires_s = COOKIE_EXPIRES_NEVER};
    uint32_t uid = getuid();
    struct partition own = {.uid = uid};
    const struct jar_asker asker = {.partition = &own, .gids = &uid, .n_gids = 1};
    struct cookie_wait wait = {0};
    struct jar_lease lease = {0};

    assert_int_equal(cookies.open(cookies.owner, &asker, SPAN_LIT("system"), &wait, &lease),
                     COOKIE_OPEN_READY);
    assert_false(cookie_outcome_is_refusal(cookie_jar_set(lease.jar, &draft, &from)));
    jar_lease_close(&lease);
    next_life();
    pass(1000);
    assert_int_equal(cookie_stores_find(stores, JAR_UID_SYSTEM, &store), 0);
    assert_non_null(store);
    jar = cookie_store_find_jar(store, &partition, SPAN_LIT(""));
    assert_non_null(jar);
    assert_int_equal(cookie_jar_count(jar), 1);
}

/* Nobody has asked for its jars in this life, and there is no file. */
static void test_what_only_this_memory_has_of_a_uid_can_be_purged(void **state)
{
    struct cookie_store_purged gone;
    struct cookie_store *store = NULL;

    (void)state;
    next_life();
    log_in(1000);
    next_life();
    assert_int_equal(cookie_stores_find(stores, 1001, &store), 0);
    assert_null(store);
    assert_int_equal(cookie_stores_find(stores, 1000, &store), 0);
    assert_non_null(store);
    cookie_store_purge(store, &gone);
    assert_int_equal(gone.cookies, 1);
    next_life();
    assert_false(is_noted(1000));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define GRACE_TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)
        GRACE_TEST(test_a_session_comes_back_and_ends_when_its_clients_do_not),
        GRACE_TEST(test_clients_that_come_back_hold_it_and_let_it_end_as_ever),
        GRACE_TEST(test_however_short_the_grace_is_there_is_time_to_come_back),
        GRACE_TEST(test_a_gap_longer_than_the_grace_was_the_end),
        GRACE_TEST(test_ip02_uids_that_are_nobodys_for_long_find_nothing),
        GRACE_TEST(test_a_users_own_daemon_keeps_its_users_alone),
        GRACE_TEST(test_the_machines_jar_has_no_clients_to_wait_for),
        GRACE_TEST(test_what_only_this_memory_has_of_a_uid_can_be_purged),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
