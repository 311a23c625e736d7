/* SPDX-License-Identifier: MIT */
/* Who gets which jar into his hands: one's own, another user's, the machine's; and when
 * sessions end. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "app/cookie_stores.h"
#include "app/system_jar.h"
#include "app/uid_limits.h"
#include "loop/loop.h"
#include "loop/worker.h"
#include "policy/cookie_jar.h"
#include "support/test.h"

#define ALICE 1000
#define BOB   1001
#define TEAM  50 /* a group Bob is in */
#define GRACE INT64_C(60000000)

static struct fake_clock fake;
static struct loop *loop;
static struct worker_pool *disk;
static struct suffix_table suffixes;
static struct cookie_stores *stores;
static struct cookie_access cookie_access;
static char dir[64];
static struct uid_limits limits;

static void open_stores(void)
{
    static const char *const names[] = {"com", NULL};
    struct jar_grant team = {.id = TEAM, .is_group = true, .right = JAR_RIGHT_READ};
    const struct cookie_stores_options options = {
        .state_dir = dir, .limits = &limits, .system_grants = {&team, 1}};

    limits = (struct uid_limits){.general = {.jars_max = 256,
                                             .session_grace_us = GRACE,
                                             .jar = cookie_jar_options_default()}};
    fake_clock_init(&fake, 1800000000);
    assert_int_equal(loop_new(&loop, &fake.clock), 0);
    assert_int_equal(worker_pool_new(&disk, loop, 1), 0);
    suffix_table_init(&suffixes, names);
    assert_int_equal(cookie_stores_new(&stores, loop, disk, &suffixes.rules, &options), 0);
    cookie_access = cookie_stores_access(stores);
}

static void close_stores(void)
{
    stores = cookie_stores_free(stores);
    disk = worker_pool_free(disk);
    assert_int_equal(loop_turn(loop, false), 0);
    loop = loop_free(loop);
}

static int begin(void **state)
{
    (void)state;
    (void)snprintf(dir, sizeof(dir), "/tmp/xhrd-jars-XXXXXX");
    assert_non_null(mkdtemp(dir));
    open_stores();
    return 0;
}

static int end(void **state)
{
    char command[128];

    (void)state;
    close_stores();
    (void)snprintf(command, sizeof(command), "rm -rf '%s'", dir);
    return system(command);
}

static void settle(void)
{
    for (int i = 0; i < 4; i++) {
        worker_drain(disk);
        assert_int_equal(loop_turn(loop, false), 0);
    }
}

static void on_ready(void *owner)
{
    ++*(unsigned *)owner;
}

struct user {
    struct partition partition;
    uint32_t gids[2];
    struct jar_asker asker;
    unsigned n_ready;
    struct cookie_wait wait;
};

static struct user *user_of(uint32_t uid)
{
    static struct user user;

    user = (struct user){.gids = {uid, uid == BOB ? TEAM : uid}};
    assert_int_equal(partition_init(&user.partition, uid, (struct span){0}), 0);
    user.asker = (struct jar_asker){&user.partition, user.gids, 2};
    user.wait = (struct cookie_wait){.on_ready = on_ready, .owner = &user.n_ready};
    return &user;
}

static int open_jar(uint32_t uid, const char *jar, struct jar_lease *ret)
{
    struct user *user = user_of(uid);

    *ret = (struct jar_lease){0};
    int r =
        cookie_access.open(cookie_access.owner, &user->asker, span_of(jar), &user->wait, ret);
    if (r != COOKIE_OPEN_WAIT)
        return r;
    settle();
    assert_int_equal(user->n_ready, 1);
    return cookie_access.open(cookie_access.owner, &user->asker, span_of(jar), &user->wait,
                              ret);
}

/* Return: the right, or what opening said below 0: -1 for denied. */
static int right_on(uint32_t uid, const char *jar)
{
    struct jar_lease lease;
    int r = open_jar(uid, jar, &lease);
    int right = (int)lease.right;

    jar_lease_close(&lease);
    return r == COOKIE_OPEN_READY ? right : -1;
}

static int do_deed(uint32_t uid, struct jar_deed *deed)
{
    struct user *user = user_of(uid);
    int r = cookie_access.do_deed(cookie_access.owner, &user->asker, deed, &user->wait);

    if (r != COOKIE_OPEN_WAIT)
        return r;
    settle();
    return cookie_access.do_deed(cookie_access.owner, &user->asker, deed, &user->wait);
}

static int deed(uint32_t uid, enum jar_deed_kind kind, const char *jar, struct jar_grant grant)
{
    struct jar_deed what = {.kind = kind, .jar = span_of(jar), .grant = grant};

    return do_deed(uid, &what);
}

static const struct jar_grant none;

static void test_ones_own_jars_are_made_and_others_are_denied(void **state)
{
    (void)state;
    assert_int_equal(right_on(ALICE, ""), JAR_RIGHT_WRITE);
    assert_int_equal(right_on(ALICE, "work"), JAR_RIGHT_WRITE);
    assert_int_equal(right_on(ALICE, "1000/work"), JAR_RIGHT_WRITE);
    assert_int_equal(right_on(BOB, "1000/work"), -1);
    assert_int_equal(right_on(BOB, "1000/none"), -1);
    assert_int_equal(right_on(BOB, "4242/work"), -1); /* a user who was never here */
    assert_int_equal(access(dir, F_OK), 0);
    char path[128];
    (void)snprintf(path, sizeof(path), "%s/4242", dir);
    assert_int_equal(access(path, F_OK), -1); /* and leaves no trace */
    assert_int_equal(right_on(0, "1000/work"), JAR_RIGHT_WRITE);
    assert_int_equal(right_on(0, "1000/none"), -1); /* root makes none for others */
}

static void test_a_grant_gives_what_it_says_until_it_is_revoked(void **state)
{
    const struct jar_grant use = {.id = BOB, .right = JAR_RIGHT_USE};
    const struct jar_grant read = {.id = TEAM, .is_group = true, .right = JAR_RIGHT_READ};

    (void)state;
    assert_int_equal(deed(ALICE, JAR_DEED_GRANT, "work", use), COOKIE_OPEN_READY);
    assert_int_equal(right_on(BOB, "1000/work"), JAR_RIGHT_USE);
    assert_int_equal(right_on(1002, "1000/work"), -1);
    assert_int_equal(deed(ALICE, JAR_DEED_GRANT, "work", read), COOKIE_OPEN_READY);
    assert_int_equal(right_on(BOB, "1000/work"), JAR_RIGHT_READ);
    assert_int_equal(right_on(BOB, "1000/default"), -1);
    settle();
    close_stores();
    open_stores(); /* it is on disk */
    assert_int_equal(right_on(BOB, "1000/work"), JAR_RIGHT_READ);
    assert_int_equal(deed(ALICE, JAR_DEED_REVOKE, "work", read), COOKIE_OPEN_READY);
    assert_int_equal(right_on(BOB, "1000/work"), JAR_RIGHT_USE);
    assert_int_equal(deed(ALICE, JAR_DEED_REMOVE, "work", none), COOKIE_OPEN_READY);
    assert_int_equal(right_on(BOB, "1000/work"), -1);
    assert_int_equal(deed(ALICE, JAR_DEED_REMOVE, "work", none), COOKIE_OPEN_READY); /* none */
}

static void test_a_jar_is_managed_by_its_owner_and_by_root_alone(void **state)
{
    const struct jar_grant write = {.id = BOB, .right = JAR_RIGHT_WRITE};

    (void)state;
    assert_int_equal(deed(ALICE, JAR_DEED_GRANT, "work", write), COOKIE_OPEN_READY);
    assert_int_equal(right_on(BOB, "1000/work"), JAR_RIGHT_WRITE);
    assert_int_equal(deed(BOB, JAR_DEED_GRANT, "1000/work", write), COOKIE_OPEN_DENIED);
    assert_int_equal(deed(BOB, JAR_DEED_REVOKE, "1000/work", write), COOKIE_OPEN_DENIED);
    assert_int_equal(deed(BOB, JAR_DEED_REMOVE, "1000/work", none), COOKIE_OPEN_DENIED);
    assert_int_equal(deed(BOB, JAR_DEED_CREATE, "1000/more", none), COOKIE_OPEN_DENIED);
    assert_int_equal(deed(ALICE, JAR_DEED_CREATE, "system", none), COOKIE_OPEN_DENIED);
    assert_int_equal(deed(0, JAR_DEED_REVOKE, "1000/work", write), COOKIE_OPEN_READY);
    assert_int_equal(right_on(BOB, "1000/work"), -1);
}

static void test_the_machines_jar_is_the_administrators_to_give(void **state)
{
    struct jar_grant write = {.id = ALICE, .right = JAR_RIGHT_WRITE};
    const struct cookie_stores_options options = {
        .state_dir = dir, .limits = &limits, .system_grants = {&write, 1}};
    char path[128];

    (void)state;
    assert_int_equal(right_on(BOB, "system"), JAR_RIGHT_READ);
    assert_int_equal(right_on(ALICE, "system"), -1);
    assert_int_equal(right_on(0, "system"), JAR_RIGHT_WRITE);
    (void)snprintf(path, sizeof(path), "%s/system/cookies.sqlite", dir);
    assert_int_equal(access(path, F_OK), 0);
    assert_int_equal(cookie_stores_set_options(stores, &options), 0);
    assert_int_equal(right_on(BOB, "system"), -1);
    assert_int_equal(right_on(ALICE, "system"), JAR_RIGHT_WRITE);
}

struct listed {
    char text[256];
    size_t n_grants;
};

static void on_row(void *owner, const struct jar_row *row)
{
    struct listed *listed = owner;
    size_t len = strlen(listed->text);
    char name[JAR_TEXT_MAX];

    jar_ref_format(row->ref, &user_of(BOB)->partition, name);
    (void)snprintf(listed->text + len, sizeof(listed->text) - len, "%s:%d ", name,
                   (int)row->right);
    listed->n_grants += row->grants ? row->grants->count : 0;
}

static struct listed list(uint32_t uid, const uint32_t *of_uid)
{
    struct listed listed = {0};
    const struct jar_listener listener = {on_row, &listed};

    for (int i = 0; i < 3; i++) {
        struct user *user = user_of(uid);
        int r = cookie_access.list(cookie_access.owner, &user->asker, of_uid, &user->wait,
                                   &listener);

        if (r == COOKIE_OPEN_READY)
            return listed;
        assert_int_equal(r, COOKIE_OPEN_WAIT);
        assert_string_equal(listed.text, ""); /* all of it, or nothing yet */
        settle();
    }
    fail_msg("never ready");
    return listed;
}

static void test_a_listing_shows_what_one_may_use(void **state)
{
    const struct jar_grant use = {.id = BOB, .right = JAR_RIGHT_USE};
    const uint32_t alice = ALICE;

    (void)state;
    assert_string_equal(list(BOB, &alice).text, "");
    assert_int_equal(deed(ALICE, JAR_DEED_CREATE, "own", none), COOKIE_OPEN_READY);
    assert_int_equal(deed(ALICE, JAR_DEED_GRANT, "work", use), COOKIE_OPEN_READY);
    struct listed listed = list(BOB, &alice);
    assert_string_equal(listed.text, "1000/work:1 ");
    assert_int_equal(listed.n_grants, 0); /* who else may is the owner's to know */
    assert_int_equal(list(0, &alice).n_grants, 1);
    assert_int_equal(right_on(BOB, ""), JAR_RIGHT_WRITE);
    assert_int_equal(right_on(BOB, "system"), JAR_RIGHT_READ);
    assert_string_equal(list(BOB, NULL).text, "default:3 system:2 ");
}

/* ---- sessions ---- */

static void put_session_cookie(uint32_t uid, const char *jar)
{
    const struct cookie_request from = {.host = SPAN_LIT("a.com"), .now_s = 1800000000};
    const struct cookie draft = {
        .name = SPAN_LIT("s"), .value = SPAN_LIT("v"), .path = SPAN_LIT("/")};
    struct jar_lease lease;

    assert_int_equal(open_jar(uid, jar, &lease), COOKIE_OPEN_READY);
    assert_false(cookie_outcome_is_refusal(cookie_jar_set(lease.jar, &draft, &from)));
    jar_lease_close(&lease);
}

static size_t count_cookies(uint32_t uid, const char *jar)
{
    struct jar_lease lease;

    assert_int_equal(open_jar(uid, jar, &lease), COOKIE_OPEN_READY);
    size_t n = cookie_jar_count(lease.jar);
    jar_lease_close(&lease);
    return n;
}

static void pass_s(int64_t seconds)
{
    fake_clock_advance_ms(&fake, seconds * 1000);
    assert_int_equal(loop_turn(loop, false), 0);
}

static void test_a_session_ends_a_while_after_the_last_client(void **state)
{
    (void)state;
    cookie_access.session_hold(cookie_access.owner, ALICE);
    cookie_access.session_hold(cookie_access.owner, ALICE);
    put_session_cookie(ALICE, "work");
    cookie_access.session_release(cookie_access.owner, ALICE);
    pass_s(100);
    assert_int_equal(count_cookies(ALICE, "work"), 1); /* one is still there */
    cookie_access.session_release(cookie_access.owner, ALICE);
    pass_s(59);
    assert_int_equal(count_cookies(ALICE, "work"), 1);
    cookie_access.session_hold(cookie_access.owner, ALICE); /* the next one comes in time */
    pass_s(100);
    assert_int_equal(count_cookies(ALICE, "work"), 1);
    cookie_access.session_release(cookie_access.owner, ALICE);
    pass_s(61);
    assert_int_equal(count_cookies(ALICE, "work"), 0);
}

static void test_a_session_can_be_ended(void **state)
{
    struct jar_deed one = {.kind = JAR_DEED_END_SESSION, .jar = SPAN_LIT("work")};
    struct jar_deed all = {.kind = JAR_DEED_END_SESSION};
    struct jar_deed others = {.kind = JAR_DEED_END_SESSION, .jar = SPAN_LIT("1000/work")};

    (void)state;
    put_session_cookie(ALICE, "work");
    put_session_cookie(ALICE, "");
    put_session_cookie(BOB, "");
    assert_int_equal(do_deed(BOB, &others), COOKIE_OPEN_DENIED);
    assert_int_equal(do_deed(ALICE, &one), COOKIE_OPEN_READY);
    assert_int_equal(one.changed, 1);
    assert_int_equal(count_cookies(ALICE, ""), 1);
    assert_int_equal(do_deed(ALICE, &all), COOKIE_OPEN_READY);
    assert_int_equal(all.changed, 1);
    assert_int_equal(count_cookies(BOB, ""), 1);
}

/* ---- xhrd.conf ---- */

static void test_names_of_the_configuration_become_numbers(void **state)
{
    const uint32_t gids[] = {0};
    const struct jar_person root = {.uid = 0, .gids = gids, .n_gids = 1};
    const struct jar_person other = {.uid = 4243};
    struct jar_grants grants = {0};
    struct config config;

    (void)state;
    config_init(&config);
    (void)snprintf(config.system_jar_use, sizeof(config.system_jar_use), "root 4243");
    (void)snprintf(config.system_jar_read, sizeof(config.system_jar_read),
                   "no-such-user-here @no-such-group");
    (void)snprintf(config.system_jar_write, sizeof(config.system_jar_write), "@root  root");
    assert_int_equal(system_jar_grants(&config, &grants), 0);
    assert_int_equal(grants.count, 3);
    assert_int_equal(jar_grants_right(&grants, &root), JAR_RIGHT_WRITE);
    assert_int_equal(jar_grants_right(&grants, &other), JAR_RIGHT_USE);
    jar_grants_done(&grants);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)
        TEST(test_ones_own_jars_are_made_and_others_are_denied),
        TEST(test_a_grant_gives_what_it_says_until_it_is_revoked),
        TEST(test_a_jar_is_managed_by_its_owner_and_by_root_alone),
        TEST(test_the_machines_jar_is_the_administrators_to_give),
        TEST(test_a_listing_shows_what_one_may_use),
        TEST(test_a_session_ends_a_while_after_the_last_client),
        TEST(test_a_session_can_be_ended),
        TEST(test_names_of_the_configuration_become_numbers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
