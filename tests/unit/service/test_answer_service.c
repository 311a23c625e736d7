/* SPDX-License-Identifier: MIT */
/* What a connection in the making asks a client, on the wire. */
#include "loop/answerer.h"
#include "service/service_priv.h"
#include "support/service_world.h"
#include "support/test.h"

struct asked {
    struct ask ask;
    int n_ended;
    bool has_answer;
};

static void asked_on_end(void *owner, struct span bytes, const struct failure *why)
{
    struct asked *asked = owner;

    asked->n_ended++;
    asked->has_answer = !why && span_eq(bytes, SPAN_LIT("signed"));
}

static struct client *only_client(struct service_world *world)
{
    return CONTAINER_OF(list_first(&world->service->clients), struct client, link);
}

static void ask_it(struct answerer *answerer, struct asked *asked)
{
    *asked = (struct asked){.ask = {.kind = ASK_SIGNATURE,
                                    .handle = 7,
                                    .host = SPAN_LIT("a.test"),
                                    .port = 443,
                                    .scheme = 0x0804,
                                    .bytes = SPAN_LIT("to be signed"),
                                    .on_end = asked_on_end,
                                    .owner = asked}};
    assert_int_equal(ask_start(answerer, &asked->ask), 0);
}

static void say(struct fake_client *client, uint64_t id, const char *signature)
{
    Xhrd__V1__ClientMessage message = XHRD__V1__CLIENT_MESSAGE__INIT;
    Xhrd__V1__ConnectionAnswer answer = XHRD__V1__CONNECTION_ANSWER__INIT;

    answer.question_id = id;
    answer.what_case = signature ? XHRD__V1__CONNECTION_ANSWER__WHAT_SIGNATURE
                                 : XHRD__V1__CONNECTION_ANSWER__WHAT_REFUSE;
    if (signature)
        answer.signature = pb_bytes(signature);
    else
        answer.refuse = true;
    message.kind_case = XHRD__V1__CLIENT_MESSAGE__KIND_CONNECTION_ANSWER;
    message.connection_answer = &answer;
    client_tell(client, &message);
    client_hears(client);
}

static void test_a_question_goes_out_and_its_answer_comes_back(void **state)
{
    struct service_world world;
    struct fake_client client;
    struct answerer *answerer;
    struct asked asked;

    (void)state;
    service_world_init(&world);
    client_ready(&client, &world, 1000);
    assert_int_equal(client_answerer(only_client(&world), &answerer), 0);
    ask_it(answerer, &asked);
    client_hears(&client);
    assert_string_equal(client.story, "sign(1,7) ");
    assert_int_equal(client.last->connection_question->sign->scheme, 0x0804);
    assert_memory_equal(client.last->connection_question->host.data, "a.test", 6);
    client_clear(&client);
    say(&client, 1, "signed");
    assert_true(asked.has_answer);
    say(&client, 1, "signed"); /* too late, and no harm */
    assert_string_equal(client.story, "");
    ask_it(answerer, &asked);
    say(&client, 2, NULL);
    assert_int_equal(asked.n_ended, 1);
    assert_false(asked.has_answer);
    ask_it(answerer, &asked);
    client_hears(&client);
    client_clear(&client);
    ask_cancel(&asked.ask);
    client_hears(&client);
    assert_string_equal(client.story, "withdrawn(3,7) ");
    client_done(&client);
    service_world_done(&world);
}

static void test_a_client_that_leaves_has_refused(void **state)
{
    struct service_world world;
    struct fake_client client;
    struct answerer *answerer;
    struct asked asked;

    (void)state;
    service_world_init(&world);
    client_ready(&client, &world, 1000);
    assert_int_equal(client_answerer(only_client(&world), &answerer), 0);
    answerer = answerer_ref(answerer); /* as a key of the pool does */
    ask_it(answerer, &asked);
    client_done(&client);
    world_turn(&world.net);
    assert_int_equal(asked.n_ended, 1);
    assert_false(asked.has_answer);
    ask_it(answerer, &asked);
    world_turn(&world.net);
    assert_int_equal(asked.n_ended, 1);
    assert_false(asked.has_answer);
    answerer_unref(answerer);
    service_world_done(&world);
}

static void test_an_answer_nobody_can_have_asked_for_ends_the_connection(void **state)
{
    struct service_world world;
    struct fake_client client;
    struct answerer *answerer;
    Xhrd__V1__ClientMessage message = XHRD__V1__CLIENT_MESSAGE__INIT;
    Xhrd__V1__ConnectionAnswer answer = XHRD__V1__CONNECTION_ANSWER__INIT;

    (void)state;
    service_world_init(&world);
    client_ready(&client, &world, 1000);
    say(&client, 1, "signed");
    assert_string_equal(client.story, "error(protocol) ");
    client_done(&client);

    client_ready(&client, &world, 1000);
    assert_int_equal(client_answerer(only_client(&world), &answerer), 0);
    message.kind_case = XHRD__V1__CLIENT_MESSAGE__KIND_CONNECTION_ANSWER;
    message.connection_answer = &answer;
    client_tell(&client, &message);
    client_hears(&client);
    assert_string_equal(client.story, "error(protocol) ");
    client_done(&client);
    service_world_done(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_question_goes_out_and_its_answer_comes_back),
        cmocka_unit_test(test_a_client_that_leaves_has_refused),
        cmocka_unit_test(test_an_answer_nobody_can_have_asked_for_ends_the_connection),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
