/* SPDX-License-Identifier: MIT */
/* What an administrator asks and does: who may, what is answered, and what happens without
 * memory. */
#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "policy/jar_rights.h"
#include "service/service.h"
#include "support/service_world.h"
#include "support/test.h"

#define OK_5 "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nHELLO"

static struct service_world world;
static struct fake_client root, ann;

static int begin(void **state)
{
    (void)state;
    service_world_init(&world);
    client_ready(&root, &world, 0);
    client_ready(&ann, &world, 1000);
    return 0;
}

static int end(void **state)
{
    (void)state;
    client_done(&root);
    client_done(&ann);
    service_world_done(&world);
    return 0;
}

static void tell(struct fake_client *client, Xhrd__V1__AdminCommand *what)
{
    Xhrd__V1__ClientMessage message = XHRD__V1__CLIENT_MESSAGE__INIT;

    what->command_id = 9;
    message.kind_case = XHRD__V1__CLIENT_MESSAGE__KIND_ADMIN;
    message.admin = what;
    client_clear(client);
    client_tell(client, &message);
    client_hears(client);
}

static void ask(struct fake_client *client, Xhrd__V1__AdminTopic topic)
{
    Xhrd__V1__AdminCommand what = XHRD__V1__ADMIN_COMMAND__INIT;

    what.topic = topic;
    tell(client, &what);
}

static void drain(struct fake_client *client, bool off, bool leaves)
{
    Xhrd__V1__AdminCommand what = XHRD__V1__ADMIN_COMMAND__INIT;

    what.topic = XHRD__V1__ADMIN_TOPIC__ADMIN_TOPIC_DRAIN;
    what.drain_off = off;
    what.drain_exit = leaves;
    tell(client, &what);
}

static void test_draining_lets_run_what_runs_and_refuses_the_rest(void **state)
{
    (void)state;
    client_get(&ann, 1);
    drain(&root, false, true);
    assert_string_equal(root.story, "admin(9) ");
    client_clear(&ann);
    client_get(&ann, 2);
    client_hears(&ann);
    assert_string_equal(ann.story, "failed(2,shutdown) ");
    assert_int_equal(world.n_drained, 0);
    server_says(&world.net, OK_5);
    client_hears(&ann);
    assert_non_null(strstr(ann.story, "done(1,5) "));
    world_turn(&world.net);
    assert_int_equal(world.n_drained, 1);
    drain(&root, true, false);
    client_clear(&ann);
    client_get(&ann, 3);
    client_hears(&ann);
    assert_null(strstr(ann.story, "failed"));
    drain(&root, true, true);
    assert_string_equal(root.story, "admin(9,argument) ");
}

static void test_a_client_that_leaves_ends_the_last_request_of_a_drain(void **state)
{
    struct fake_client other;

    (void)state;
    client_ready(&other, &world, 1001);
    client_get(&other, 1);
    drain(&root, false, true);
    world_turn(&world.net);
    assert_int_equal(world.n_drained, 0);
    client_done(&other);
    world_turn(&world.net);
    assert_int_equal(world.n_drained, 1);
}

static void test_an_idle_daemon_is_drained_at_once(void **state)
{
    (void)state;
    drain(&root, false, true);
    world_turn(&world.net);
    assert_int_equal(world.n_drained, 1);
}

static void test_a_reload_that_fails_says_why(void **state)
{
    (void)state;
    ask(&root, XHRD__V1__ADMIN_TOPIC__ADMIN_TOPIC_RELOAD);
    assert_string_equal(root.story, "admin(9) ");
    world.reload_trouble = "file:7: Key=: wrong";
    ask(&root, XHRD__V1__ADMIN_TOPIC__ADMIN_TOPIC_RELOAD);
    assert_string_equal(root.story, "admin(9,argument) ");
    assert_memory_equal(root.last->admin->text.data, world.reload_trouble,
                        strlen(world.reload_trouble));
    assert_int_equal(world.n_reloads, 2);
    world.reload_trouble = NULL;
}

static void test_only_who_is_named_may(void **state)
{
    static const Xhrd__V1__AdminTopic deeds[] = {XHRD__V1__ADMIN_TOPIC__ADMIN_TOPIC_DRAIN,
                                                 XHRD__V1__ADMIN_TOPIC__ADMIN_TOPIC_RELOAD};
    struct jar_grants administrators = {0};
    const struct jar_grant grant = {.id = 1000, .right = JAR_RIGHT_USE};

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        ask(&ann, deeds[i]);
        assert_string_equal(ann.story, "admin(9,policy) ");
    }
    assert_int_equal(world.n_reloads, 0);
    assert_int_equal(jar_grants_set(&administrators, &grant), 1);
    world.options.administrators = &administrators;
    service_set_options(world.service, &world.options);
    for (size_t i = 0; i < 2; i++) {
        ask(&ann, deeds[i]);
        assert_string_equal(ann.story, "admin(9) ");
    }
    world.options.administrators = NULL;
    service_set_options(world.service, &world.options);
    jar_grants_done(&administrators);
}

static void test_the_log_level_is_told_to_all_and_set_by_few(void **state)
{
    enum log_level before = log_get_level();
    Xhrd__V1__AdminCommand what = XHRD__V1__ADMIN_COMMAND__INIT;

    (void)state;
    what.topic = XHRD__V1__ADMIN_TOPIC__ADMIN_TOPIC_LOG_LEVEL;
    tell(&ann, &what);
    assert_string_equal(ann.story, "admin(9) ");
    what.level = pb_bytes("err");
    tell(&ann, &what);
    assert_string_equal(ann.story, "admin(9,policy) ");
    tell(&root, &what);
    assert_int_equal(log_get_level(), LOG_LEVEL_ERR);
    assert_memory_equal(root.last->admin->text.data, "err", 3);
    what.level = pb_bytes("a level that is none and long");
    tell(&root, &what);
    assert_string_equal(root.story, "admin(9,argument) ");
    log_set_level(before);
}

static void test_a_monitor_hears_each_step_with_headers_if_it_wants(void **state)
{
    Xhrd__V1__AdminCommand what = XHRD__V1__ADMIN_COMMAND__INIT;

    (void)state;
    what.topic = XHRD__V1__ADMIN_TOPIC__ADMIN_TOPIC_MONITOR;
    what.with_headers = true;
    tell(&root, &what);
    assert_string_equal(root.story, "admin(9,more) ");
    client_clear(&root);
    client_get(&ann, 1);
    server_says(&world.net, OK_5);
    client_hears(&root);
    assert_string_equal(root.story, "admin(9,more) admin(9,more) admin(9,more) ");
    const Xhrd__V1__RequestRecord *record = root.last->admin->event->record;
    assert_int_equal(root.last->admin->event->kind, XHRD__V1__MONITOR_EVENT__KIND__KIND_OVER);
    assert_int_equal(record->uid, 1000);
    assert_int_equal(record->status, 200);
    assert_int_equal(record->body_bytes, 5);
    assert_int_equal(record->n_received, 1);
    assert_true(record->n_sent > 0);
    assert_true(record->is_over);
}

/* The @n-th allocation of the service, not of the test. */
static void
ask_while_failing(struct fake_client *client, Xhrd__V1__AdminTopic topic, uint64_t n)
{
    CLEANUP_BUF struct buf frame = BUF_INIT(0);
    Xhrd__V1__ClientMessage message = XHRD__V1__CLIENT_MESSAGE__INIT;
    Xhrd__V1__AdminCommand what = XHRD__V1__ADMIN_COMMAND__INIT;

    what.command_id = 9;
    what.topic = topic;
    what.request = 1;
    message.kind_case = XHRD__V1__CLIENT_MESSAGE__KIND_ADMIN;
    message.admin = &what;
    frame_message(&frame, &message);
    client_clear(client);
    mem_fail_at(n);
    client_send_bytes(client, frame.storage, frame.len);
    world_turn(&world.net);
    mem_fail_at(0);
    client_hears(client);
}

/* Whichever allocation fails: an answer, and nothing is lost or left. */
static void test_without_memory_there_is_an_answer_all_the_same(void **state)
{
    static const Xhrd__V1__AdminTopic topics[] = {
        XHRD__V1__ADMIN_TOPIC__ADMIN_TOPIC_METRICS, XHRD__V1__ADMIN_TOPIC__ADMIN_TOPIC_USAGE,
        XHRD__V1__ADMIN_TOPIC__ADMIN_TOPIC_MONITOR, XHRD__V1__ADMIN_TOPIC__ADMIN_TOPIC_HISTORY};

    (void)state;
    client_get(&ann, 1);
    server_says(&world.net, OK_5);
    client_hears(&ann);
    for (size_t i = 0; i < sizeof(topics) / sizeof(topics[0]); i++) {
        for (uint64_t n = 1; n <= 12; n++) {
            struct fake_client other;

            client_ready(&other, &world, 0);
            ask_while_failing(&other, topics[i], n);
            if (!other.is_over)
                assert_non_null(strstr(other.story, "admin(9"));
            client_done(&other);
        }
    }
    ask(&root, XHRD__V1__ADMIN_TOPIC__ADMIN_TOPIC_METRICS);
    assert_string_equal(root.story, "admin(9) ");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_draining_lets_run_what_runs_and_refuses_the_rest),
        TEST(test_a_client_that_leaves_ends_the_last_request_of_a_drain),
        TEST(test_an_idle_daemon_is_drained_at_once),
        TEST(test_a_reload_that_fails_says_why),
        TEST(test_only_who_is_named_may),
        TEST(test_the_log_level_is_told_to_all_and_set_by_few),
        TEST(test_a_monitor_hears_each_step_with_headers_if_it_wants),
        TEST(test_without_memory_there_is_an_answer_all_the_same),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
