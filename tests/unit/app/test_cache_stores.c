/* SPDX-License-Identifier: MIT */
/* Which partitions have a cache, where its folder is, and what becomes of all at the end. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app/cache_stores.h"
#include "app/uid_limits.h"
#include "base/log.h"
#include "loop/loop.h"
#include "loop/worker.h"
#include "support/cache_entry_test.h"

struct world {
    struct fake_clock clock;
    struct loop *loop;
    struct worker_pool *names;
    struct worker_pool *bodies;
    struct cache_stores *stores;
    struct uid_limits limits;
    struct cache_access access;
    char dir[64];
};

static void on_room(void *owner)
{
    (void)owner;
}

static const struct cache_writer_events writer_events = {.on_room = on_room};

static void world_open(struct world *world, bool per_user, bool in_memory)
{
    struct cache_stores_options options = {.state_dir = in_memory ? "" : world->dir,
                                           .per_user = per_user,
                                           .limits = &world->limits};

    world->limits = (struct uid_limits){.general.cache = {1 << 20, 1 << 20}};

    fake_clock_init(&world->clock, 1800000000);
    log_set_level(LOG_LEVEL_ERR);
    assert_int_equal(loop_new(&world->loop, &world->clock.clock), 0);
    assert_int_equal(worker_pool_new(&world->names, world->loop, 1), 0);
    assert_int_equal(worker_pool_new(&world->bodies, world->loop, 2), 0);
    assert_int_equal(
        cache_stores_new(&world->stores, world->loop, world->names, world->bodies, &options),
        0);
    world->access = cache_stores_access(world->stores);
}

static void world_close(struct world *world)
{
    world->stores = cache_stores_free(world->stores);
    world->names = worker_pool_free(world->names);
    world->bodies = worker_pool_free(world->bodies);
    world->loop = loop_free(world->loop);
}

static void world_init(struct world *world, bool per_user, bool in_memory)
{
    *world = (struct world){.dir = "/tmp/xhrd-caches-XXXXXX"};
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
        worker_drain(world->names);
        worker_drain(world->bodies);
        assert_int_equal(loop_turn(world->loop, false), 0);
    }
}

static struct partition who(uint32_t uid, const char *profile)
{
    struct partition partition;

    assert_int_equal(partition_init(&partition, uid, span_of(profile)), 0);
    return partition;
}

static void count_row(void *arg, const struct cache_row *row)
{
    (void)row;
    ++*(int *)arg;
}

static int count(struct world *world, const struct partition *of)
{
    struct cache_wait wait = {0};
    int n = 0;

    if (world->access.open(world->access.owner, of, &wait) == 1) {
        world->access.open_cancel(&wait);
        settle(world);
    }
    world->access.each(world->access.owner, of, count_row, &n);
    return n;
}

/* Return: 0 or -errno, as the store says. Nobody waits for the end. */
static int put(struct world *world, const struct partition *of)
{
    struct cache_writer *writer;
    struct cache_entry entry;

    (void)count(world, of); /* it is open then */
    entry_make(&entry, "http://a.com/", "Cache-Control: max-age=5\n");
    int r =
        world->access.write(world->access.owner, of, &entry, &writer_events, world, &writer);
    cache_entry_done(&entry);
    if (r == 0) {
        (void)world->access.add(writer, SPAN_LIT("body"));
        world->access.commit(writer);
    }
    return r;
}

static bool exists(const struct world *world, const char *path)
{
    char text[256];

    (void)snprintf(text, sizeof(text), "%s/%s", world->dir, path);
    return access(text, F_OK) == 0;
}

static void test_each_partition_has_a_folder(void **state)
{
    (void)state;
    for (int per_user = 0; per_user < 2; per_user++) {
        uint32_t uid = per_user ? geteuid() : 1000;
        struct partition a = who(uid, "");
        struct partition b = who(uid, "work");
        struct partition c = who(uid + 1, "");
        struct world world;

        world_init(&world, per_user, false);
        assert_int_equal(put(&world, &a), 0);
        assert_int_equal(put(&world, &b), 0);
        settle(&world);
        assert_int_equal(count(&world, &a), 1);
        assert_int_equal(count(&world, &b), 1);
        assert_int_equal(count(&world, &c), 0);
        assert_int_equal(put(&world, &c) < 0, per_user); /* not in the user's folder */
        assert_true(exists(&world, per_user ? "cache/default" : "1000/cache/default"));
        assert_true(
            exists(&world, per_user ? "cache/profile-work" : "1000/cache/profile-work"));
        world_close(&world);
        world_open(&world, per_user, false);
        assert_int_equal(count(&world, &a), 1);
        assert_int_equal(world.access.clear(world.access.owner, &a, (struct span){0}), 1);
        assert_int_equal(count(&world, &b), 1);
        world_done(&world);
    }
}

static void test_what_has_everything_is_stored_at_the_end(void **state)
{
    struct world world;
    struct partition a = who(1000, "");

    (void)state;
    world_init(&world, false, false);
    assert_int_equal(put(&world, &a), 0);
    world_close(&world); /* at once */
    world_open(&world, false, false);
    assert_int_equal(count(&world, &a), 1);
    world_done(&world);
}

static void test_uids_that_are_nobodys_for_long_have_none(void **state)
{
    static const uint32_t uids[] = {61184, 65519, 65534};
    struct world world;

    (void)state;
    world_init(&world, false, false);
    for (size_t i = 0; i < COUNT_OF(uids); i++) {
        struct partition of = who(uids[i], "");
        static const uint8_t context[SHA256_BYTES];
        struct headers request;
        struct cache_lookup lookup = {0};
        struct cache_question question = {
            .url = SPAN_LIT("http://a.com/"), .context = context, .request = &request};

        headers_read(&request, "");
        assert_true(put(&world, &of) < 0);
        assert_int_equal(world.access.find(world.access.owner, &of, &question, &lookup),
                         CACHE_FIND_NOTHING);
        world.access.invalidate(world.access.owner, &of, SPAN_LIT("http://a.com/"));
        assert_int_equal(count(&world, &of), 0);
        assert_int_equal(world.access.clear(world.access.owner, &of, (struct span){0}), 0);
        headers_done(&request);
    }
    struct partition next = who(65520, "");
    assert_int_equal(put(&world, &next), 0);
    settle(&world);
    assert_false(exists(&world, "61184"));
    assert_true(exists(&world, "65520"));
    world_done(&world);
}

static void test_a_uid_has_so_many_profiles(void **state)
{
    struct world world;

    (void)state;
    world_init(&world, false, false);
    for (int i = 0; i <= CACHE_PROFILES_MAX; i++) {
        char name[8];

        (void)snprintf(name, sizeof(name), "p%d", i);
        struct partition of = who(1000, name);
        int r = put(&world, &of);
        assert_true(i < CACHE_PROFILES_MAX ? r == 0 : r < 0);
    }
    struct partition other = who(1001, "p16");
    assert_int_equal(put(&world, &other), 0);
    settle(&world);
    world_done(&world);
}

static void test_limits_hold_for_all_from_now_on(void **state)
{
    struct world world;
    struct partition a = who(1000, "");
    struct partition b = who(1000, "work");

    (void)state;
    world_init(&world, false, false);
    assert_int_equal(put(&world, &a), 0);
    assert_int_equal(put(&world, &b), 0);
    settle(&world);
    world.limits.general.cache = (struct cache_limits){0};
    cache_stores_take_limits(world.stores, CACHE_EVERY_UID);
    assert_int_equal(count(&world, &a) + count(&world, &b), 0);
    assert_true(put(&world, &a) < 0);
    struct partition c = who(1001, "");
    assert_true(put(&world, &c) < 0);
    settle(&world);
    world_done(&world);
}

static void test_without_a_state_directory_there_is_no_cache(void **state)
{
    struct world world;

    (void)state;
    world_init(&world, false, true);
    assert_null(world.access.owner);
    world_done(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_partition_has_a_folder),
        cmocka_unit_test(test_what_has_everything_is_stored_at_the_end),
        cmocka_unit_test(test_uids_that_are_nobodys_for_long_have_none),
        cmocka_unit_test(test_a_uid_has_so_many_profiles),
        cmocka_unit_test(test_limits_hold_for_all_from_now_on),
        cmocka_unit_test(test_without_a_state_directory_there_is_no_cache),
    };

    return cmocka_run_group_tests_name("app/cache_stores", tests, NULL, NULL);
}
