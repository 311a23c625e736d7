/* SPDX-License-Identifier: MIT */
/* What fetch/ and service/ see of the stores: who waits, who is told, which uids leave a trace.
 */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app/config.h"
#include "app/cookie_stores.h"
#include "app/uid_limits.h"
#include "base/log.h"
#include "base/mem.h"
#include "loop/loop.h"
#include "loop/worker.h"
#include "policy/cookie_jar.h"
#include "support/test.h"

struct world {
    struct fake_clock clock;
    struct loop *loop;
    struct worker_pool *disk;
    struct suffix_table suffixes;
    struct cookie_stores *stores;
    struct uid_limits limits;
    struct cookie_access access;
    char dir[64];
};

struct waiter {
    struct cookie_wait wait;
    struct cookie_commit commit;
    int n_ready;
    int n_committed;
    bool saved;
    struct cookie_wait *cancels; /* in on_ready */
    struct world *world;
};

static void world_open(struct world *world, bool per_user, bool in_memory)
{
    static const char *const names[] = {"com", NULL};
    struct cookie_stores_options options = {.state_dir = in_memory ? "" : world->dir,
                                            .per_user = per_user,
                                            .limits = &world->limits};
    struct config config;

    config_init(&config);
    world->limits = (struct uid_limits){.general = kept_limits_of(&config)};

    fake_clock_init(&world->clock, 1800000000);
    assert_int_equal(loop_new(&world->loop, &world->clock.clock), 0);
    assert_int_equal(worker_pool_new(&world->disk, world->loop, 1), 0);
    suffix_table_init(&world->suffixes, names);
    assert_int_equal(cookie_stores_new(&world->stores, world->loop, world->disk,
                                       &world->suffixes.rules, &options),
                     0);
    world->access = cookie_stores_access(world->stores);
}

static void world_close(struct world *world)
{
    world->stores = cookie_stores_free(world->stores);
    world->disk = worker_pool_free(world->disk);
    assert_int_equal(loop_turn(world->loop, false), 0);
    world->loop = loop_free(world->loop);
}

static void world_init(struct world *world, bool per_user, bool in_memory)
{
    *world = (struct world){.dir = "/tmp/xhrd-stores-XXXXXX"};
    assert_non_null(mkdtemp(world->dir));
    world_open(world, per_user, in_memory);
}

static void world_done(struct world *world)
{
    char command[128];

    world_close(world);
    (void)snprintf(command, sizeof(command), "rm -rf '%s'", world->dir);
    assert_int_equal(system(command), 0);
}

static void settle(struct world *world)
{
    for (int i = 0; i < 4; i++) {
        worker_drain(world->disk);
        assert_int_equal(loop_turn(world->loop, false), 0);
    }
}

static void on_ready(void *owner)
{
    struct waiter *waiter = owner;

    waiter->n_ready++;
    if (waiter->cancels)
        waiter->world->access.open_cancel(waiter->cancels);
}

static void on_committed(void *owner, bool saved)
{
    struct waiter *waiter = owner;

    waiter->n_committed++;
    waiter->saved = saved;
}

static void waiter_init(struct waiter *waiter, struct world *world)
{
    *waiter = (struct waiter){.world = world};
    waiter->wait.on_ready = on_ready;
    waiter->wait.owner = waiter;
    waiter->commit.on_committed = on_committed;
    waiter->commit.owner = waiter;
}

static struct partition who(uint32_t uid)
{
    struct partition partition;

    assert_int_equal(partition_init(&partition, uid, (struct span){0}), 0);
    return partition;
}

/* Not kept in hand. */
static int ask(struct waiter *waiter, uint32_t uid, const char *name, struct cookie_jar **ret)
{
    struct partition partition = who(uid);
    const struct jar_asker asker = {.partition = &partition, .gids = &uid, .n_gids = 1};
    struct jar_lease lease = {0};
    int r = waiter->world->access.open(waiter->world->access.owner, &asker, span_of(name),
                                       &waiter->wait, &lease);

    if (r == COOKIE_OPEN_READY)
        *ret = lease.jar;
    jar_lease_close(&lease);
    return r;
}

static int commit(struct waiter *waiter, uint32_t uid)
{
    return waiter->world->access.commit(waiter->world->access.owner, uid, &waiter->commit);
}

static struct cookie_jar *jar_of(struct world *world, uint32_t uid, const char *name)
{
    struct waiter waiter;
    struct cookie_jar *jar = NULL;

    waiter_init(&waiter, world);
    if (ask(&waiter, uid, name, &jar) == COOKIE_OPEN_WAIT) {
        settle(world);
        assert_int_equal(waiter.n_ready, 1);
        assert_int_equal(ask(&waiter, uid, name, &jar), COOKIE_OPEN_READY);
    }
    assert_non_null(jar);
    return jar;
}

static void put_cookie(struct cookie_jar *jar, const char *name)
{
    struct cookie_request from = {
        .host = SPAN_LIT("a.com"), .path = SPAN_LIT("/"), .now_s = 1800000000};
    struct cookie draft = {.name = span_of(name),
                           .value = SPAN_LIT("v"),
                           .path = SPAN_LIT("/"),
                           .expires_s = 1800009999,
                           .is_persistent = true};

    assert_false(cookie_outcome_is_refusal(cookie_jar_set(jar, &draft, &from)));
}

static void test_a_jar_is_waited_for_once_and_is_the_same_ever_after(void **state)
{
    struct world world;
    struct waiter first;
    struct waiter second;
    struct cookie_jar *jar = NULL;

    (void)state;
    world_init(&world, false, false);
    waiter_init(&first, &world);
    waiter_init(&second, &world);
    assert_int_equal(ask(&first, 1000, "", &jar), COOKIE_OPEN_WAIT);
    assert_int_equal(ask(&second, 1000, "work", &jar), COOKIE_OPEN_WAIT);
    assert_int_equal(first.n_ready + second.n_ready, 0); /* not from inside the call */
    settle(&world);
    assert_int_equal(first.n_ready, 1);
    assert_int_equal(second.n_ready, 1);
    jar = jar_of(&world, 1000, "");
    assert_ptr_equal(jar_of(&world, 1000, "default"), jar);
    assert_ptr_not_equal(jar_of(&world, 1000, "work"), jar);
    assert_ptr_not_equal(jar_of(&world, 1001, ""), jar); /* CK30 */
    world_done(&world);
}

static void test_who_gave_up_waiting_is_not_told(void **state)
{
    struct world world;
    struct waiter waiters[3];
    struct cookie_jar *jar;

    (void)state;
    world_init(&world, false, false);
    for (int i = 0; i < 3; i++) {
        waiter_init(&waiters[i], &world);
        assert_int_equal(ask(&waiters[i], 1000, "", &jar), COOKIE_OPEN_WAIT);
    }
    world.access.open_cancel(&waiters[0].wait);
    world.access.open_cancel(&waiters[0].wait); /* twice is harmless */
    waiters[1].cancels = &waiters[2].wait;      /* inside the other's call */
    settle(&world);
    assert_int_equal(waiters[0].n_ready, 0);
    assert_int_equal(waiters[1].n_ready, 1);
    assert_int_equal(waiters[2].n_ready, 0);
    world_done(&world);
}

static void test_ck27_names_of_jars_never_reach_the_disk(void **state)
{
    static const char *const wrong[] = {"../x", "/etc/x", ".x", "a/b", "1001/../x"};
    struct world world;
    struct waiter waiter;
    struct cookie_jar *jar;

    (void)state;
    world_init(&world, false, false);
    (void)jar_of(&world, 1000, "");
    waiter_init(&waiter, &world);
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        assert_int_equal(ask(&waiter, 1000, wrong[i], &jar), -EINVAL);
    world_done(&world);
}

static void test_a_commit_is_told_when_the_disk_has_it_and_survives(void **state)
{
    struct world world;
    struct waiter waiter;
    struct waiter gone;

    (void)state;
    world_init(&world, false, false);
    waiter_init(&waiter, &world);
    waiter_init(&gone, &world);
    put_cookie(jar_of(&world, 1000, ""), "a");
    assert_int_equal(commit(&waiter, 1000), COOKIE_COMMIT_WAIT);
    assert_int_equal(commit(&gone, 1000), COOKIE_COMMIT_WAIT);
    world.access.commit_cancel(&gone.commit);
    world.access.commit_cancel(&gone.commit);
    settle(&world);
    assert_int_equal(waiter.n_committed, 1);
    assert_true(waiter.saved);
    assert_int_equal(gone.n_committed, 0);
    assert_int_equal(commit(&waiter, 1000), COOKIE_COMMIT_SAVED); /* nothing new */
    world_close(&world);
    world_open(&world, false, false);
    assert_int_equal(cookie_jar_count(jar_of(&world, 1000, "")), 1);
    assert_int_equal(cookie_jar_count(jar_of(&world, 1001, "")), 0);
    uint64_t count;
    bool persistent;
    cookie_stores_ask(world.stores, COOKIES_EVERY_UID, &count, &persistent);
    assert_int_equal(count, 1);
    assert_true(persistent);
    world_done(&world);
}

static int count_entries(const char *dir)
{
    DIR *handle = opendir(dir);
    int n = 0;

    assert_non_null(handle);
    for (const struct dirent *entry; (entry = readdir(handle));)
        n += entry->d_name[0] != '.';
    (void)closedir(handle);
    return n;
}

static void test_ip02_uids_that_are_nobodys_for_long_leave_nothing_on_disk(void **state)
{
    static const uint32_t uids[] = {65534, 61184, 62021, 65519};
    struct world world;

    (void)state;
    world_init(&world, false, false);
    for (size_t i = 0; i < sizeof(uids) / sizeof(uids[0]); i++) {
        struct waiter waiter;

        put_cookie(jar_of(&world, uids[i], ""), "a");
        waiter_init(&waiter, &world);
        assert_int_equal(commit(&waiter, uids[i]), COOKIE_COMMIT_NOT_SAVED);
        settle(&world);
    }
    assert_int_equal(count_entries(world.dir), 0);
    uint64_t count;
    bool persistent;
    cookie_stores_ask(world.stores, COOKIES_EVERY_UID, &count, &persistent);
    assert_int_equal(count, 4);
    assert_true(persistent); /* nothing was lost that was to be kept */
    put_cookie(jar_of(&world, 61183, ""), "a");
    put_cookie(jar_of(&world, 65520, ""), "a");
    settle(&world);
    assert_int_equal(count_entries(world.dir), 2);
    world_done(&world);
}

static void test_db10_each_uid_has_a_private_folder_a_users_own_daemon_one_file(void **state)
{
    for (int per_user = 0; per_user < 2; per_user++) {
        struct world world;
        struct stat st;
        char path[128];

        (void)state;
        world_init(&world, per_user, false);
        put_cookie(jar_of(&world, per_user ? getuid() : 1000, ""), "a");
        settle(&world);
        (void)snprintf(path, sizeof(path),
                       per_user ? "%s/cookies.sqlite" : "%s/1000/cookies.sqlite", world.dir);
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(st.st_mode & 0777, 0600);
        (void)snprintf(path, sizeof(path), "%s/1000", world.dir);
        if (!per_user) {
            assert_int_equal(stat(path, &st), 0);
            assert_int_equal(st.st_mode & 0777, 0700);
        }
        world_done(&world);
    }
}

static void test_without_a_state_folder_everything_is_in_memory(void **state)
{
    struct world world;
    struct waiter waiter;

    (void)state;
    world_init(&world, true, true);
    put_cookie(jar_of(&world, 1000, ""), "a");
    waiter_init(&waiter, &world);
    assert_int_equal(commit(&waiter, 1000), COOKIE_COMMIT_NOT_SAVED);
    settle(&world);
    assert_int_equal(count_entries(world.dir), 0);
    world_done(&world);
}

static void test_who_waits_for_the_disk_when_all_ends_is_told(void **state)
{
    struct world world;
    struct waiter waiter;

    (void)state;
    world_init(&world, false, false);
    put_cookie(jar_of(&world, 1000, ""), "a");
    waiter_init(&waiter, &world);
    assert_int_equal(commit(&waiter, 1000), COOKIE_COMMIT_WAIT);
    world_close(&world);
    assert_int_equal(waiter.n_committed, 1);
    assert_true(waiter.saved);
    world_open(&world, false, false);
    world_done(&world);
}

static void test_every_failing_allocation_is_an_answer(void **state)
{
    (void)state;
    log_set_level(LOG_LEVEL_ERR);
    for (uint64_t n = 1; n < 60; n++) {
        struct world world;
        struct waiter waiter;
        struct cookie_jar *jar = NULL;

        world_init(&world, false, true);
        waiter_init(&waiter, &world);
        mem_fail_at(n);
        int r = ask(&waiter, 1000, "", &jar);
        int c = commit(&waiter, 1000);
        bool ran_out = mem_alloc_count() >= n;
        mem_fail_at(0);
        assert_true(r == -ENOMEM || r == COOKIE_OPEN_READY || r == COOKIE_OPEN_WAIT);
        assert_true(c == COOKIE_COMMIT_NOT_SAVED || c == COOKIE_COMMIT_SAVED ||
                    c == COOKIE_COMMIT_WAIT);
        world.access.open_cancel(&waiter.wait);
        world.access.commit_cancel(&waiter.commit);
        (void)jar_of(&world, 1000, ""); /* and next time it works */
        world_done(&world);
        if (!ran_out)
            break;
        assert_true(n < 59);
    }
    log_set_level(LOG_LEVEL_NOTICE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_jar_is_waited_for_once_and_is_the_same_ever_after),
        cmocka_unit_test(test_who_gave_up_waiting_is_not_told),
        cmocka_unit_test(test_ck27_names_of_jars_never_reach_the_disk),
        cmocka_unit_test(test_a_commit_is_told_when_the_disk_has_it_and_survives),
        cmocka_unit_test(test_ip02_uids_that_are_nobodys_for_long_leave_nothing_on_disk),
        cmocka_unit_test(test_db10_each_uid_has_a_private_folder_a_users_own_daemon_one_file),
        cmocka_unit_test(test_without_a_state_folder_everything_is_in_memory),
        cmocka_unit_test(test_who_waits_for_the_disk_when_all_ends_is_told),
        cmocka_unit_test(test_every_failing_allocation_is_an_answer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
