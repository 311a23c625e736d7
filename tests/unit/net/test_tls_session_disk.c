/* SPDX-License-Identifier: MIT */
/* Sessions of uids on a real disk, a clock moved by hand, and a name service that hangs. */
#include <openssl/ssl.h>
#include <sched.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "loop/loop.h"
#include "net/tls_session_disk.h"
#include "support/test.h"

#define NOW 1700000000
#define ANN 2001
#define BOB 2002

struct world {
    char dir[64];
    struct fake_clock clock;
    struct loop *loop;
    struct tls_sessions *sessions;
    struct tls_session_disk *disk;
    struct tls_session_wait wait;
    unsigned n_ready;
};

static sem_t name_service;

static bool slow_name(uint32_t uid, char *ret, size_t size)
{
    while (sem_wait(&name_service) != 0)
        ;
    (void)sem_post(&name_service);
    return (size_t)snprintf(ret, size, "u%u", uid) < size;
}

static bool is_kept(uint32_t uid)
{
    return uid != 65534;
}

static void on_ready(void *owner)
{
    ((struct world *)owner)->n_ready++;
}

static void world_open(struct world *world)
{
    struct tls_sessions_options options = tls_sessions_options_default();
    struct tls_session_disk_options disk = {
        .state_dir = world->dir, .is_kept = is_kept, .name_of = slow_name};

    log_set_level(LOG_LEVEL_ERR);
    fake_clock_init(&world->clock, NOW);
    assert_int_equal(loop_new(&world->loop, &world->clock.clock), 0);
    assert_int_equal(tls_sessions_new(&world->sessions, &options), 0);
    assert_int_equal(tls_session_disk_new(&world->disk, world->loop, world->sessions, &disk),
                     0);
    world->n_ready = 0;
    world->wait = (struct tls_session_wait){.on_ready = on_ready, .owner = world};
}

static void world_close(struct world *world)
{
    world->disk = tls_session_disk_free(world->disk);
    world->sessions = tls_sessions_free(world->sessions);
    world->loop = loop_free(world->loop);
}

static void world_init(struct world *world)
{
    *world = (struct world){.dir = "/tmp/xhrd-tls-XXXXXX"};
    assert_non_null(mkdtemp(world->dir));
    assert_int_equal(sem_init(&name_service, 0, 1), 0);
    world_open(world);
}

static void world_done(struct world *world)
{
    char command[128];

    world_close(world);
    (void)snprintf(command, sizeof(command), "rm -rf '%s'", world->dir);
    assert_int_equal(system(command), 0);
}

static void wait_ready(struct world *world, unsigned n)
{
    while (world->n_ready < n) {
        assert_int_equal(loop_turn(world->loop, false), 0);
        sched_yield();
    }
}

static void open_of(struct world *world, uint32_t uid)
{
    if (!tls_session_disk_open(world->disk, uid, &world->wait))
        wait_ready(world, world->n_ready + 1);
}

static struct tls_session_key key_of(uint32_t uid)
{
    return (struct tls_session_key){.digest = {(uint8_t)uid},
                                    .partition = {.uid = uid},
                                    .host = "a.example",
                                    .port = 443,
                                    .may_be_kept = true};
}

static void put(struct world *world, uint32_t uid)
{
    struct tls_session_key key = key_of(uid);
    struct tls_session_past past = {.verified_s = NOW};
    const SSL_CIPHER *cipher;
    SSL_SESSION *session = SSL_SESSION_new();
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    SSL *ssl = SSL_new(ctx);
    unsigned char master[48] = {1};

    cipher = SSL_CIPHER_find(ssl, (const unsigned char *)"\x13\x01");
    assert_int_equal(SSL_SESSION_set_protocol_version(session, TLS1_3_VERSION), 1);
    assert_int_equal(SSL_SESSION_set_cipher(session, cipher), 1);
    assert_int_equal(SSL_SESSION_set1_master_key(session, master, sizeof(master)), 1);
    assert_int_equal(SSL_SESSION_set1_id(session, master, 1), 1);
    assert_int_equal(SSL_SESSION_set_timeout(session, 7200), 1);
    assert_int_equal(SSL_SESSION_set_time(session, NOW), NOW);
    assert_int_equal(tls_sessions_put(world->sessions, &key, &past, session), 0);
    SSL_SESSION_free(session);
    SSL_free(ssl);
    SSL_CTX_free(ctx);
}

static bool take(struct world *world, uint32_t uid)
{
    struct tls_session_key key = key_of(uid);
    struct tls_session_past past;
    SSL_SESSION *session = tls_sessions_take(world->sessions, &key, NOW, &past);
    bool found = session != NULL;

    SSL_SESSION_free(session);
    return found;
}

static bool has_file(const struct world *world, uint32_t uid)
{
    char path[128];

    (void)snprintf(path, sizeof(path), "%s/%u/tls-sessions", world->dir, uid);
    return access(path, F_OK) == 0;
}

static void restart(struct world *world)
{
    world_close(world);
    world_open(world);
}

static void test_each_uid_finds_his_own_again(void **state)
{
    struct world world;

    (void)state;
    world_init(&world);
    open_of(&world, ANN);
    open_of(&world, BOB);
    put(&world, ANN);
    put(&world, BOB);
    put(&world, 65534);
    restart(&world);
    assert_false(has_file(&world, 65534));
    assert_false(take(&world, ANN)); /* nobody has asked for them */
    open_of(&world, ANN);
    assert_true(take(&world, ANN));
    assert_false(take(&world, ANN));
    assert_false(take(&world, BOB));
    open_of(&world, BOB);
    assert_true(take(&world, BOB));
    restart(&world);
    open_of(&world, ANN);
    assert_false(take(&world, ANN)); /* it was spent */
    world_done(&world);
}

static void test_who_is_forgotten_is_gone_from_memory_and_disk(void **state)
{
    struct world world;

    (void)state;
    world_init(&world);
    open_of(&world, ANN);
    put(&world, ANN);
    open_of(&world, BOB);
    put(&world, BOB);
    restart(&world);
    assert_true(has_file(&world, ANN));
    open_of(&world, ANN);
    put(&world, ANN);
    world.n_ready = 0;
    assert_int_equal(tls_session_disk_forget(world.disk, ANN, &world.wait),
                     TLS_SESSION_FORGET_WAIT);
    assert_false(take(&world, ANN));
    wait_ready(&world, 1);
    assert_false(has_file(&world, ANN));
    assert_true(has_file(&world, BOB));
    assert_int_equal(tls_session_disk_forget(world.disk, 65534, &world.wait),
                     TLS_SESSION_FORGET_DONE);
    restart(&world);
    open_of(&world, ANN);
    assert_false(take(&world, ANN));
    world_done(&world);
}

static void test_who_is_forgotten_while_his_file_is_read_does_not_come_back(void **state)
{
    struct world world;

    (void)state;
    world_init(&world);
    open_of(&world, ANN);
    put(&world, ANN);
    restart(&world);
    struct tls_session_wait reading = {.on_ready = on_ready, .owner = &world};
    assert_int_equal(sem_wait(&name_service), 0);
    assert_false(tls_session_disk_open(world.disk, ANN, &reading));
    assert_int_equal(tls_session_disk_forget(world.disk, ANN, &world.wait),
                     TLS_SESSION_FORGET_WAIT);
    assert_int_equal(sem_post(&name_service), 0);
    wait_ready(&world, 2);
    assert_false(take(&world, ANN));
    assert_false(has_file(&world, ANN));
    world_done(&world);
}

static void test_a_disk_that_hangs_is_waited_for_a_second(void **state)
{
    struct world world;

    (void)state;
    world_init(&world);
    open_of(&world, ANN);
    put(&world, ANN);
    restart(&world);
    assert_int_equal(sem_wait(&name_service), 0);
    assert_false(tls_session_disk_open(world.disk, ANN, &world.wait));
    struct tls_session_wait cancelled = {.on_ready = on_ready, .owner = &world};
    assert_false(tls_session_disk_open(world.disk, ANN, &cancelled));
    tls_session_disk_cancel(&cancelled);
    tls_session_disk_cancel(&cancelled);
    fake_clock_advance_ms(&world.clock, 1001);
    wait_ready(&world, 1);
    assert_true(tls_session_disk_open(world.disk, ANN, &world.wait)); /* no more patience */
    assert_false(take(&world, ANN));
    assert_int_equal(sem_post(&name_service), 0);
    while (!take(&world, ANN)) { /* late, and still welcome */
        assert_int_equal(loop_turn(world.loop, false), 0);
        sched_yield();
    }
    assert_int_equal(world.n_ready, 1);
    world_done(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_uid_finds_his_own_again),
        cmocka_unit_test(test_who_is_forgotten_is_gone_from_memory_and_disk),
        cmocka_unit_test(test_who_is_forgotten_while_his_file_is_read_does_not_come_back),
        cmocka_unit_test(test_a_disk_that_hangs_is_waited_for_a_second),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
