/* SPDX-License-Identifier: MIT */
/* What connections in the making ask the program to sign, and what becomes of its answers. */
#include <errno.h>
#include <string.h>

#include "support/peer.h"

#define ANSWER XHRD__V1__CLIENT_MESSAGE__KIND_CONNECTION_ANSWER

struct scene {
    struct peer peer;
    struct xhr_request *request; /* so that there is a connection */
    struct xhr_signing *asked;
    unsigned n_asked;
    bool answers; /* from inside */
};

static void sign(struct xhr_signing *signing, void *user)
{
    struct scene *scene = user;
    size_t len;
    const void *data = xhr_signing_data(signing, &len);

    scene->n_asked++;
    scene->asked = signing;
    assert_int_equal(xhr_signing_key(signing), 7);
    assert_string_equal(xhr_signing_host(signing), "a.example");
    assert_int_equal(xhr_signing_port(signing), 443);
    assert_int_equal(xhr_signing_scheme(signing), 0x0804);
    assert_int_equal(len, 4);
    assert_memory_equal(data, "data", 4);
    if (scene->answers)
        assert_int_equal(xhr_signing_answer(signing, "sig", 3), 0);
}

static void scene_init(struct scene *scene, bool has_signer)
{
    *scene = (struct scene){0};
    peer_init(&scene->peer, false);
    if (has_signer)
        xhr_client_set_signer(scene->peer.client, sign, scene);
    assert_int_equal(xhr_request_new(scene->peer.client, &scene->request), 0);
    assert_int_equal(xhr_request_open(scene->request, "GET", "https://a.example/", true), 0);
    assert_int_equal(xhr_request_send(scene->request, NULL), 0);
    peer_turn(&scene->peer);
    (void)peer_expect_open(&scene->peer);
}

static void scene_done(struct scene *scene)
{
    scene->request = xhr_request_free(scene->request);
    peer_done(&scene->peer);
}

static void question(struct scene *scene, uint64_t id, bool withdrawn)
{
    Xhrd__V1__ServerMessage message = XHRD__V1__SERVER_MESSAGE__INIT;
    Xhrd__V1__ConnectionQuestion what = XHRD__V1__CONNECTION_QUESTION__INIT;
    Xhrd__V1__SignQuestion signing = XHRD__V1__SIGN_QUESTION__INIT;
    char host[] = "a.example";
    char data[] = "data";

    what.question_id = id;
    what.handle = 7;
    what.host = (ProtobufCBinaryData){strlen(host), (uint8_t *)host};
    what.port = 443;
    signing.scheme = 0x0804;
    signing.data = (ProtobufCBinaryData){strlen(data), (uint8_t *)data};
    what.what_case = withdrawn ? XHRD__V1__CONNECTION_QUESTION__WHAT_WITHDRAWN
                               : XHRD__V1__CONNECTION_QUESTION__WHAT_SIGN;
    if (withdrawn)
        what.withdrawn = true;
    else
        what.sign = &signing;
    message.kind_case = XHRD__V1__SERVER_MESSAGE__KIND_CONNECTION_QUESTION;
    message.connection_question = &what;
    peer_send(&scene->peer, &message);
    peer_turn(&scene->peer);
}

static void expect_signature(struct scene *scene, uint64_t id, const char *signature)
{
    peer_turn(&scene->peer);
    const Xhrd__V1__ConnectionAnswer *answer =
        peer_expect(&scene->peer, ANSWER)->connection_answer;

    assert_int_equal(answer->question_id, id);
    if (!signature) {
        assert_int_equal(answer->what_case, XHRD__V1__CONNECTION_ANSWER__WHAT_REFUSE);
        return;
    }
    assert_int_equal(answer->what_case, XHRD__V1__CONNECTION_ANSWER__WHAT_SIGNATURE);
    assert_int_equal(answer->signature.len, strlen(signature));
    assert_memory_equal(answer->signature.data, signature, strlen(signature));
}

static void test_the_signer_answers_from_inside_or_later(void **state)
{
    struct scene scene;

    (void)state;
    scene_init(&scene, true);
    scene.answers = true;
    question(&scene, 5, false);
    expect_signature(&scene, 5, "sig");
    scene.answers = false;
    question(&scene, 6, false);
    assert_int_equal(scene.n_asked, 2);
    assert_int_equal(xhr_signing_answer(scene.asked, "later", 5), 0);
    expect_signature(&scene, 6, "later");
    scene_done(&scene);
}

static void test_no_signature_or_no_signer_is_a_refusal(void **state)
{
    static const char large[16385];
    struct scene scene;

    (void)state;
    scene_init(&scene, true);
    question(&scene, 5, false);
    assert_int_equal(xhr_signing_answer(scene.asked, NULL, 0), 0);
    expect_signature(&scene, 5, NULL);
    question(&scene, 6, false);
    assert_int_equal(xhr_signing_answer(scene.asked, large, sizeof(large)), -EMSGSIZE);
    expect_signature(&scene, 6, NULL);
    xhr_client_set_signer(scene.peer.client, NULL, NULL);
    question(&scene, 7, false);
    expect_signature(&scene, 7, NULL);
    scene_done(&scene);
}

static void test_who_answers_too_late_is_told(void **state)
{
    struct scene scene;

    (void)state;
    scene_init(&scene, true);
    question(&scene, 5, false);
    struct xhr_signing *first = scene.asked;
    question(&scene, 6, false);
    question(&scene, 5, true);
    question(&scene, 99, true); /* of one that is not known: nothing */
    assert_int_equal(xhr_signing_answer(first, "sig", 3), -ESTALE);
    assert_int_equal(xhr_signing_answer(scene.asked, "sig", 3), 0);
    expect_signature(&scene, 6, "sig");
    scene_done(&scene);
}

static void test_what_was_asked_outlives_daemon_and_client(void **state)
{
    struct scene scene;

    (void)state;
    scene_init(&scene, true);
    question(&scene, 5, false);
    peer_close(&scene.peer);
    peer_turn(&scene.peer);
    assert_int_equal(xhr_signing_answer(scene.asked, "sig", 3), -ESTALE);
    scene_done(&scene);

    scene_init(&scene, true);
    question(&scene, 5, false);
    scene_done(&scene);
    assert_string_equal(xhr_signing_host(scene.asked), "a.example");
    assert_int_equal(xhr_signing_answer(scene.asked, "sig", 3), -ESTALE);
}

static void test_options_for_it_are_checked_and_sent(void **state)
{
    struct xhr_request_options options = {.size = sizeof(options), .client_signs = true};
    struct xhr_request *request;
    struct peer peer;

    (void)state;
    peer_init(&peer, false);
    assert_int_equal(xhr_request_new(peer.client, &request), 0);
    assert_int_equal(xhr_request_set_options(request, &options), -EINVAL);
    options.client_certificate = "pem";
    options.client_certificate_len = 3;
    options.passphrase = "x";
    assert_int_equal(xhr_request_set_options(request, &options), -EINVAL);
    options.passphrase = NULL;
    options.client_key = 7;
    assert_int_equal(xhr_request_set_options(request, &options), 0);
    assert_int_equal(xhr_request_open(request, "GET", "https://a.example/", true), 0);
    assert_int_equal(xhr_request_send(request, NULL), 0);
    peer_turn(&peer);
    const Xhrd__V1__ClientMessage *open =
        peer_expect(&peer, XHRD__V1__CLIENT_MESSAGE__KIND_OPEN);
    assert_true(open->open->tls->client_signs);
    assert_int_equal(open->open->tls->sign_handle, 7);
    xhr_request_free(request);
    peer_done(&peer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_signer_answers_from_inside_or_later),
        cmocka_unit_test(test_no_signature_or_no_signer_is_a_refusal),
        cmocka_unit_test(test_who_answers_too_late_is_told),
        cmocka_unit_test(test_what_was_asked_outlives_daemon_and_client),
        cmocka_unit_test(test_options_for_it_are_checked_and_sent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
