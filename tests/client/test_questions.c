/* SPDX-License-Identifier: MIT */
/* Where the daemon waits for the program: verdicts, logins, bodies from their beginning. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "support/peer.h"

#define ANSWER XHRD__V1__CLIENT_MESSAGE__KIND_ANSWER
#define ABORT  XHRD__V1__CLIENT_MESSAGE__KIND_ABORT
#define BODY   XHRD__V1__CLIENT_MESSAGE__KIND_BODY
#define END    XHRD__V1__CLIENT_MESSAGE__KIND_BODY_END

struct scene {
    struct peer peer;
    struct xhr_request *request;
    uint32_t id;
    bool defers;
    bool answers;   /* the challenge, from inside */
    bool frees;     /* itself, from inside */
    bool no_rewind; /* the program cannot */
    char story[512];
    size_t story_len;
    size_t read_at; /* of the body */
};

static const char body_text[] = "0123456789";

static void say(struct scene *scene, const char *text)
{
    int n = snprintf(scene->story + scene->story_len, sizeof(scene->story) - scene->story_len,
                     "%s ", text);

    assert_true(n > 0 && scene->story_len + (size_t)n < sizeof(scene->story));
    scene->story_len += (size_t)n;
}

static bool
on_redirect(struct xhr_request *request, const struct xhr_redirect *redirect, void *user)
{
    struct scene *scene = user;

    say(scene, "ask");
    say(scene, redirect->url);
    if (scene->defers)
        assert_int_equal(xhr_request_defer_redirect(request), 0);
    if (scene->frees)
        scene->request = xhr_request_free(request);
    return true;
}

static void
on_redirected(struct xhr_request *request, const struct xhr_redirect *redirect, void *user)
{
    (void)request;
    assert_non_null(redirect->method);
    say(user, redirect->is_upgrade ? "upgraded" : "redirected");
}

static const struct xhr_login ali = {
    .size = sizeof(ali), .username = "ali", .password = "sesame", .domain = "CORP"};

static void
on_challenge(struct xhr_request *request, const struct xhr_challenge *challenge, void *user)
{
    struct scene *scene = user;
    char text[200];

    assert_int_equal(challenge->n_offers, 2);
    (void)snprintf(text, sizeof(text), "challenge(%u,%s,%s,%s,%s:%s)", challenge->attempt,
                   challenge->origin, challenge->scheme, challenge->realm,
                   challenge->offers[1].scheme, challenge->offers[1].realm);
    say(scene, text);
    if (scene->answers)
        assert_int_equal(xhr_request_answer_challenge(request, &ali), 0);
    if (scene->frees)
        scene->request = xhr_request_free(request);
}

static void
on_verdict(struct xhr_request *request, const struct xhr_verdict *verdict, void *user)
{
    struct scene *scene = user;
    const struct xhr_certificate *cert = verdict->certificates;
    char text[200];

    assert_int_equal(verdict->n_certificates, 2);
    assert_true(verdict->is_verified);
    assert_int_equal(verdict->deadline_ms, 500);
    assert_int_equal(cert->der_len, 4);
    assert_memory_equal(cert->der, "0\0er", 4);
    assert_int_equal(cert->spki_sha256[31], 'p');
    assert_int_equal(cert->not_before, -1);
    (void)snprintf(text, sizeof(text), "verdict(%s,%s,%s,%s)", verdict->origin, cert->subject,
                   cert->names[1], cert[1].subject);
    say(scene, text);
    if (scene->answers)
        assert_int_equal(xhr_request_answer_verdict(request, true), 0);
    if (scene->frees)
        scene->request = xhr_request_free(request);
}

static void on_load(struct xhr_request *request, void *user)
{
    (void)request;
    say(user, "load");
}

static void on_error(struct xhr_request *request, const struct xhr_error *error, void *user)
{
    (void)request;
    say(user, error->name);
}

static const struct xhr_callbacks callbacks = {.size = sizeof(callbacks),
                                               .onredirect = on_redirect,
                                               .on_redirected = on_redirected,
                                               .on_challenge = on_challenge,
                                               .on_verdict = on_verdict,
                                               .onload = on_load,
                                               .onerror = on_error};

static ssize_t read_body(struct xhr_request *request, void *buffer, size_t len, void *user)
{
    struct scene *scene = user;
    size_t left = sizeof(body_text) - 1 - scene->read_at;
    size_t n = left < len ? left : len;

    (void)request;
    memcpy(buffer, body_text + scene->read_at, n);
    scene->read_at += n;
    return (ssize_t)n;
}

static int rewind_body(struct xhr_request *request, void *user)
{
    struct scene *scene = user;

    say(scene, "rewind");
    scene->read_at = 0;
    if (scene->frees)
        scene->request = xhr_request_free(request);
    return scene->no_rewind ? -EPERM : 0;
}

static Xhrd__V1__OpenRequest *begin(struct scene *scene, const struct xhr_body *body)
{
    *scene = (struct scene){0};
    peer_init(&scene->peer, false);
    assert_int_equal(xhr_request_new(scene->peer.client, &scene->request), 0);
    assert_int_equal(xhr_request_set_callbacks(scene->request, &callbacks, scene), 0);
    assert_int_equal(xhr_request_open(scene->request, "PUT", "http://a.test/", true), 0);
    assert_int_equal(xhr_request_send(scene->request, body), 0);
    Xhrd__V1__OpenRequest *open =
        peer_expect(&scene->peer, XHRD__V1__CLIENT_MESSAGE__KIND_OPEN)->open;
    scene->id = open->request_id;
    return open;
}

static void finish(struct scene *scene, const char *story)
{
    peer_turn(&scene->peer);
    assert_string_equal(scene->story, story);
    assert_int_equal(xhr_client_in_flight(scene->peer.client), 0);
    xhr_request_free(scene->request);
    peer_done(&scene->peer);
}

static ProtobufCBinaryData bytes(const char *text)
{
    return (ProtobufCBinaryData){strlen(text), (uint8_t *)(uintptr_t)text};
}

static void init_certificate(Xhrd__V1__Certificate *ret, const char *subject, size_t spki_len)
{
    static ProtobufCBinaryData names[2];
    static char spki[] = "pppppppppppppppppppppppppppppppp";

    names[0] = bytes("DNS:a.test");
    names[1] = bytes("DNS:b\x1b[2J");
    xhrd__v1__certificate__init(ret);
    ret->der = (ProtobufCBinaryData){4, (uint8_t *)(uintptr_t) "0\0er"};
    ret->subject = bytes(subject);
    ret->not_before = -1;
    ret->names = names;
    ret->n_names = 2;
    ret->spki_sha256 = (ProtobufCBinaryData){spki_len, (uint8_t *)spki};
}

static void tell_verdict(struct scene *scene, size_t count, size_t spki_len)
{
    Xhrd__V1__ServerMessage message = XHRD__V1__SERVER_MESSAGE__INIT;
    Xhrd__V1__Question question = XHRD__V1__QUESTION__INIT;
    Xhrd__V1__VerdictQuestion verdict = XHRD__V1__VERDICT_QUESTION__INIT;
    Xhrd__V1__Certificate certificates[2];
    Xhrd__V1__Certificate *list[] = {&certificates[0], &certificates[1]};

    init_certificate(&certificates[0], "CN=a.test", 32);
    init_certificate(&certificates[1], "CN=ca", spki_len);
    verdict.origin = bytes("https://a.test");
    verdict.certificates = list;
    verdict.n_certificates = count;
    verdict.deadline_ms = 500;
    question.request_id = scene->id;
    question.what_case = XHRD__V1__QUESTION__WHAT_VERDICT;
    question.verdict = &verdict;
    message.kind_case = XHRD__V1__SERVER_MESSAGE__KIND_QUESTION;
    message.question = &question;
    peer_send(&scene->peer, &message);
    peer_turn(&scene->peer);
}

static void tell_redirect(struct scene *scene, const char *url, bool asks)
{
    Xhrd__V1__ServerMessage message = XHRD__V1__SERVER_MESSAGE__INIT;
    Xhrd__V1__Redirected redirected = XHRD__V1__REDIRECTED__INIT;

    message.kind_case = XHRD__V1__SERVER_MESSAGE__KIND_REDIRECTED;
    message.redirected = &redirected;
    redirected.request_id = scene->id;
    redirected.status = 307;
    redirected.url = bytes(url);
    redirected.method = bytes("PUT");
    redirected.asks = asks;
    redirected.upgrade = strncmp(url, "https", 5) == 0;
    peer_send(&scene->peer, &message);
    peer_turn(&scene->peer);
}

static void tell_challenge(struct scene *scene)
{
    Xhrd__V1__ServerMessage message = XHRD__V1__SERVER_MESSAGE__INIT;
    Xhrd__V1__Question question = XHRD__V1__QUESTION__INIT;
    Xhrd__V1__Challenge challenge = XHRD__V1__CHALLENGE__INIT;
    Xhrd__V1__ChallengeOffer offers[2] = {XHRD__V1__CHALLENGE_OFFER__INIT,
                                          XHRD__V1__CHALLENGE_OFFER__INIT};
    Xhrd__V1__ChallengeOffer *list[2] = {&offers[0], &offers[1]};

    message.kind_case = XHRD__V1__SERVER_MESSAGE__KIND_QUESTION;
    message.question = &question;
    question.request_id = scene->id;
    question.what_case = XHRD__V1__QUESTION__WHAT_CHALLENGE;
    question.challenge = &challenge;
    challenge.n_offers = 2;
    challenge.offers = list;
    offers[0].name = bytes("Negotiate");
    offers[1].name = bytes("Digest");
    offers[1].realm = bytes("cave\x1b[2J");
    challenge.scheme = XHRD__V1__AUTH_SCHEME__AUTH_SCHEME_DIGEST;
    challenge.realm = bytes("cave");
    challenge.origin = bytes("http://a.test");
    challenge.attempt = 1;
    peer_send(&scene->peer, &message);
    peer_turn(&scene->peer);
}

static void tell_rewind(struct scene *scene)
{
    Xhrd__V1__ServerMessage message = XHRD__V1__SERVER_MESSAGE__INIT;
    Xhrd__V1__Question question = XHRD__V1__QUESTION__INIT;
    Xhrd__V1__Rewind rewind = XHRD__V1__REWIND__INIT;

    message.kind_case = XHRD__V1__SERVER_MESSAGE__KIND_QUESTION;
    message.question = &question;
    question.request_id = scene->id;
    question.what_case = XHRD__V1__QUESTION__WHAT_REWIND;
    question.rewind = &rewind;
    peer_send(&scene->peer, &message);
    peer_turn(&scene->peer);
}

static const Xhrd__V1__Answer *hear_answer(struct scene *scene)
{
    const Xhrd__V1__Answer *answer = peer_expect(&scene->peer, ANSWER)->answer;

    assert_int_equal(answer->request_id, scene->id);
    return answer;
}

static bool hears_nothing(struct scene *scene)
{
    peer_turn(&scene->peer);
    return peer_next(&scene->peer) == NULL;
}

/* ---- redirects --------------------------------------------------------------------------- */

static void test_only_who_can_answer_asks_to_be_asked(void **state)
{
    struct xhr_callbacks looks_on = {.size = sizeof(looks_on), .on_redirected = on_redirected};
    struct scene scene;

    (void)state;
    Xhrd__V1__OpenRequest *open = begin(&scene, NULL);
    assert_true(open->redirect_options->ask);
    assert_true(open->ask_challenges);
    peer_answer(&scene.peer, scene.id, 200, "");
    peer_turn(&scene.peer);
    assert_int_equal(xhr_request_set_callbacks(scene.request, &looks_on, &scene), 0);
    assert_int_equal(xhr_request_open(scene.request, "PUT", "http://a.test/", true), 0);
    assert_int_equal(xhr_request_send(scene.request, NULL), 0);
    open = peer_expect(&scene.peer, XHRD__V1__CLIENT_MESSAGE__KIND_OPEN)->open;
    assert_null(open->redirect_options);
    assert_false(open->ask_challenges);
    scene.id = open->request_id;
    tell_redirect(&scene, "http://b.test/", false);
    assert_true(hears_nothing(&scene));
    peer_answer(&scene.peer, scene.id, 200, "");
    finish(&scene, "load redirected ");
}

/* ---- answers that are not the last ---- */

static void on_hop(struct xhr_request *request, void *user)
{
    struct scene *scene = user;
    const char *name, *value;
    char text[100];

    assert_true(xhr_request_response_header_at(request, 0, &name, &value));
    assert_int_equal(xhr_request_ready_state(request), XHR_OPENED);
    (void)snprintf(text, sizeof(text), "hop(%d,%s,%s:%s,%s)", xhr_request_status(request),
                   xhr_request_location(request), name, value,
                   xhr_request_response_header(request, name));
    say(scene, text);
    if (scene->frees)
        scene->request = xhr_request_free(request);
}

static void tell_hop(struct scene *scene)
{
    Xhrd__V1__ServerMessage message = XHRD__V1__SERVER_MESSAGE__INIT;
    Xhrd__V1__ResponseHead hop = XHRD__V1__RESPONSE_HEAD__INIT;
    Xhrd__V1__Header field = XHRD__V1__HEADER__INIT;
    Xhrd__V1__Header *fields[] = {&field};

    message.kind_case = XHRD__V1__SERVER_MESSAGE__KIND_HOP;
    message.hop = &hop;
    field.name = bytes("A");
    field.value = bytes("b");
    hop.request_id = scene->id;
    hop.status = 302;
    hop.url = bytes("http://a.test/");
    hop.n_headers = 1;
    hop.headers = fields;
    peer_send(&scene->peer, &message);
    peer_turn(&scene->peer);
}

#define HOP "hop(302,http://a.test/,A:b,b) "

static void begin_with_hops(struct scene *scene)
{
    struct xhr_callbacks looks_on = callbacks;

    (void)begin(scene, NULL);
    assert_int_equal(xhr_request_abort(scene->request), 0);
    (void)peer_expect(&scene->peer, ABORT);
    peer_turn(&scene->peer);
    looks_on.onredirect = NULL;
    looks_on.on_hop = on_hop;
    assert_int_equal(xhr_request_set_callbacks(scene->request, &looks_on, scene), 0);
    assert_int_equal(xhr_request_open(scene->request, "PUT", "http://a.test/", true), 0);
    assert_int_equal(xhr_request_send(scene->request, NULL), 0);
    Xhrd__V1__OpenRequest *open =
        peer_expect(&scene->peer, XHRD__V1__CLIENT_MESSAGE__KIND_OPEN)->open;
    assert_true(open->tell_hops);
    scene->id = open->request_id;
}

static void test_the_answer_of_a_hop_is_there_as_long_as_it_is_told(void **state)
{
    const char *name, *value;
    struct scene scene;

    (void)state;
    begin_with_hops(&scene);
    tell_hop(&scene);
    assert_int_equal(xhr_request_status(scene.request), 0);
    assert_null(xhr_request_response_header(scene.request, "A"));
    assert_false(xhr_request_response_header_at(scene.request, 0, &name, &value));
    tell_redirect(&scene, "http://b.test/", false);
    tell_hop(&scene);
    peer_answer(&scene.peer, scene.id, 200, "");
    peer_turn(&scene.peer);
    assert_int_equal(xhr_request_status(scene.request), 200);
    assert_int_equal(xhr_request_redirect_count(scene.request), 0); /* the head's word */
    finish(&scene, HOP "redirected " HOP "load ");
}

static void test_a_request_may_be_freed_while_a_hop_is_told(void **state)
{
    struct scene scene;

    (void)state;
    begin_with_hops(&scene);
    scene.frees = true;
    tell_hop(&scene);
    (void)peer_expect(&scene.peer, ABORT);
    finish(&scene, HOP);
}

static void test_a_hop_nobody_asked_for_ends_the_connection(void **state)
{
    struct scene scene;

    (void)state;
    (void)begin(&scene, NULL);
    tell_hop(&scene);
    finish(&scene, "daemon-protocol ");
}

static void test_a_verdict_is_told_and_the_chain_is_kept(void **state)
{
    struct scene scene;
    struct xhr_redirect step;

    (void)state;
    (void)begin(&scene, NULL);
    tell_redirect(&scene, "http://b.test/", true);
    assert_true(hear_answer(&scene)->follow);
    tell_redirect(&scene, "https://b.test/", true);
    assert_true(hear_answer(&scene)->follow);
    peer_answer(&scene.peer, scene.id, 200, "");
    peer_turn(&scene.peer);
    assert_true(xhr_request_redirect_at(scene.request, 0, &step));
    assert_int_equal(step.status, 307);
    assert_string_equal(step.url, "http://b.test/");
    assert_string_equal(step.method, "PUT");
    assert_false(step.is_upgrade);
    assert_true(xhr_request_redirect_at(scene.request, 1, &step));
    assert_true(step.is_upgrade);
    assert_false(xhr_request_redirect_at(scene.request, 2, &step));
    assert_int_equal(xhr_request_open(scene.request, "GET", "http://a.test/", true), 0);
    assert_false(xhr_request_redirect_at(scene.request, 0, &step));
    finish(&scene, "ask http://b.test/ redirected ask https://b.test/ upgraded load ");
}

static void test_a_verdict_may_come_later(void **state)
{
    struct scene scene;

    (void)state;
    for (int follows = 0; follows < 2; follows++) {
        (void)begin(&scene, NULL);
        scene.defers = true;
        assert_int_equal(xhr_request_defer_redirect(scene.request), -EINVAL);
        assert_int_equal(xhr_request_answer_redirect(scene.request, true), -EINVAL);
        tell_redirect(&scene, "http://b.test/", true);
        assert_true(hears_nothing(&scene));
        assert_int_equal(xhr_request_defer_redirect(scene.request), -EINVAL);
        assert_int_equal(xhr_request_answer_redirect(scene.request, follows), 0);
        assert_int_equal(xhr_request_answer_redirect(scene.request, true), -EINVAL);
        if (follows) {
            assert_true(hear_answer(&scene)->follow);
            peer_answer(&scene.peer, scene.id, 200, "");
        } else {
            (void)peer_expect(&scene.peer, ABORT);
        }
        finish(&scene, follows ? "ask http://b.test/ redirected load "
                               : "ask http://b.test/ redirect ");
    }
}

#define JUDGED "verdict(https://a.test,CN=a.test,DNS:b?[2J,CN=ca) "

static void test_certificates_are_judged_at_once_or_later(void **state)
{
    struct scene scene;

    (void)state;
    for (int later = 0; later < 2; later++) {
        Xhrd__V1__OpenRequest *open = begin(&scene, NULL);
        assert_non_null(open->verdict);
        scene.answers = !later;
        assert_int_equal(xhr_request_answer_verdict(scene.request, true), -EINVAL);
        tell_verdict(&scene, 2, 32);
        if (later) {
            assert_true(hears_nothing(&scene));
            assert_int_equal(xhr_request_answer_challenge(scene.request, &ali), -EINVAL);
            assert_int_equal(xhr_request_answer_verdict(scene.request, false), 0);
        }
        assert_int_equal(hear_answer(&scene)->trusted, !later);
        assert_int_equal(xhr_request_answer_verdict(scene.request, true), -EINVAL);
        peer_answer(&scene.peer, scene.id, 200, "");
        finish(&scene, JUDGED "load ");
    }
}

static void test_certificates_that_cannot_be_end_the_connection(void **state)
{
    struct scene scene;

    (void)state;
    (void)begin(&scene, NULL);
    tell_verdict(&scene, 0, 32);
    finish(&scene, "daemon-protocol ");
    (void)begin(&scene, NULL);
    tell_verdict(&scene, 2, 31);
    finish(&scene, "daemon-protocol ");
}

static void test_lb04_a_request_may_be_freed_inside_a_question(void **state)
{
    struct scene scene;

    (void)state;
    for (int which = 0; which < 4; which++) {
        struct xhr_body body = {.size = sizeof(body),
                                .kind = XHR_BODY_STREAM,
                                .length = 10,
                                .read = read_body,
                                .read_user = &scene,
                                .rewind = rewind_body};
        (void)begin(&scene, which == 2 ? &body : NULL);
        scene.frees = true;
        if (which == 0)
            tell_redirect(&scene, "http://b.test/", true);
        else if (which == 1)
            tell_challenge(&scene);
        else if (which == 3)
            tell_verdict(&scene, 2, 32);
        else
            tell_rewind(&scene);
        assert_null(scene.request);
        (void)peer_expect(&scene.peer, ABORT);
        assert_int_equal(xhr_client_in_flight(scene.peer.client), 0);
        peer_done(&scene.peer);
    }
}

static void test_a_question_nobody_wanted_to_hear_ends_the_connection(void **state)
{
    struct xhr_callbacks none = {.size = sizeof(none), .onerror = on_error};
    struct scene scene;

    (void)state;
    for (int which = 0; which < 4; which++) {
        (void)begin(&scene, NULL);
        peer_answer(&scene.peer, scene.id, 200, "");
        peer_turn(&scene.peer);
        assert_int_equal(xhr_request_set_callbacks(scene.request, &none, &scene), 0);
        assert_int_equal(xhr_request_open(scene.request, "PUT", "http://a.test/", true), 0);
        assert_int_equal(xhr_request_send(scene.request, NULL), 0);
        scene.id = peer_expect_open(&scene.peer);
        if (which == 0)
            tell_redirect(&scene, "http://b.test/", true);
        else if (which == 1)
            tell_challenge(&scene);
        else if (which == 3)
            tell_verdict(&scene, 2, 32);
        else
            tell_rewind(&scene);
        finish(&scene, "load daemon-protocol ");
    }
}

/* ---- logins ------------------------------------------------------------------------------ */

#define TOLD "challenge(1,http://a.test,Digest,cave,Digest:cave?[2J) "

static void test_a_login_is_told_at_once_or_later(void **state)
{
    struct scene scene;

    (void)state;
    for (int later = 0; later < 2; later++) {
        (void)begin(&scene, NULL);
        scene.answers = !later;
        assert_int_equal(xhr_request_answer_challenge(scene.request, &ali), -EINVAL);
        tell_challenge(&scene);
        if (later) {
            assert_true(hears_nothing(&scene));
            assert_int_equal(xhr_request_answer_challenge(scene.request, &ali), 0);
        }
        const Xhrd__V1__ChallengeAnswer *login = hear_answer(&scene)->challenge;
        assert_false(login->cancel);
        assert_memory_equal(login->user.data, "ali", 3);
        assert_memory_equal(login->password.data, "sesame", 6);
        assert_memory_equal(login->domain.data, "CORP", 4);
        assert_int_equal(login->bearer_token.len, 0);
        assert_int_equal(xhr_request_answer_challenge(scene.request, &ali), -EINVAL);
        peer_answer(&scene.peer, scene.id, 200, "");
        finish(&scene, TOLD "load ");
    }
}

static void test_a_login_that_makes_no_sense_is_refused_and_still_awaited(void **state)
{
    const struct xhr_login wrong[] = {
        {.size = sizeof(*wrong)},
        {.size = sizeof(*wrong), .username = ""},
        {.size = sizeof(*wrong), .password = "p"},
        {.size = sizeof(*wrong), .username = "u", .bearer_token = "t"},
        {.size = sizeof(*wrong), .domain = "d", .bearer_token = "t"},
        {.size = 1, .username = "u"},
    };
    struct scene scene;

    (void)state;
    (void)begin(&scene, NULL);
    tell_challenge(&scene);
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        assert_int_equal(xhr_request_answer_challenge(scene.request, &wrong[i]), -EINVAL);
    assert_true(hears_nothing(&scene));
    assert_int_equal(xhr_request_answer_challenge(scene.request, NULL), 0);
    assert_true(hear_answer(&scene)->challenge->cancel);
    peer_answer(&scene.peer, scene.id, 401, "no");
    finish(&scene, TOLD "http-status ");
}

static void test_the_domain_needs_a_user(void **state)
{
    struct xhr_request_options options = {.size = sizeof(options), .domain = "CORP"};
    struct scene scene;

    (void)state;
    (void)begin(&scene, NULL);
    peer_answer(&scene.peer, scene.id, 200, "");
    peer_turn(&scene.peer);
    assert_int_equal(xhr_request_set_options(scene.request, &options), -EINVAL);
    options.username = "u";
    options.location_trusted = options.keep_post_302 = true;
    assert_int_equal(xhr_request_set_options(scene.request, &options), 0);
    assert_int_equal(xhr_request_open(scene.request, "PUT", "http://a.test/", true), 0);
    assert_int_equal(xhr_request_send(scene.request, NULL), 0);
    const Xhrd__V1__OpenRequest *open =
        peer_expect(&scene.peer, XHRD__V1__CLIENT_MESSAGE__KIND_OPEN)->open;
    assert_memory_equal(open->credentials->domain.data, "CORP", 4);
    assert_true(open->redirect_options->trust_hosts);
    assert_false(open->redirect_options->keep_post_301);
    assert_true(open->redirect_options->keep_post_302);
    assert_false(open->redirect_options->keep_post_303);
    peer_answer(&scene.peer, open->request_id, 200, "");
    finish(&scene, "load load ");
}

/* ---- bodies ------------------------------------------------------------------------------ */

/* All of the body, and its end. */
static void hear_body(struct scene *scene, const char *wanted, size_t len)
{
    const Xhrd__V1__ClientMessage *message = peer_expect(&scene->peer, BODY);

    assert_int_equal(message->body->data.len, len);
    assert_memory_equal(message->body->data.data, wanted, len);
    (void)peer_expect(&scene->peer, END);
}

static void test_rd17_a_stream_goes_up_again_from_its_beginning(void **state)
{
    struct scene scene;
    struct xhr_body body = {.size = sizeof(body),
                            .kind = XHR_BODY_STREAM,
                            .length = 10,
                            .read = read_body,
                            .read_user = &scene,
                            .rewind = rewind_body};

    (void)state;
    assert_true(begin(&scene, &body)->body->stream->can_rewind);
    hear_body(&scene, body_text, 10);
    for (int i = 0; i < 2; i++) {
        tell_rewind(&scene);
        assert_true(hear_answer(&scene)->rewound);
        hear_body(&scene, body_text, 10);
    }
    peer_answer(&scene.peer, scene.id, 200, "");
    finish(&scene, "rewind rewind load ");
}

static void test_rd17_a_stream_that_cannot_says_no(void **state)
{
    struct scene scene;
    struct xhr_body body = {.size = sizeof(body),
                            .kind = XHR_BODY_STREAM,
                            .length = 10,
                            .read = read_body,
                            .read_user = &scene,
                            .rewind = rewind_body};

    (void)state;
    (void)begin(&scene, &body);
    scene.no_rewind = true;
    hear_body(&scene, body_text, 10);
    tell_rewind(&scene);
    assert_false(hear_answer(&scene)->rewound);
    peer_fail(&scene.peer, scene.id, XHRD__V1__FAILURE_KIND__FAILURE_KIND_REWIND);
    finish(&scene, "rewind rewind ");

    body.rewind = NULL;
    assert_false(begin(&scene, &body)->body->stream->can_rewind);
    peer_answer(&scene.peer, scene.id, 200, "");
    finish(&scene, "load ");
}

static void test_rd17_a_form_with_a_stream_goes_up_again(void **state)
{
    static char first[1000];
    struct xhr_form_part part = {.size = sizeof(part),
                                 .kind = XHR_PART_STREAM,
                                 .name = "f",
                                 .read = read_body,
                                 .rewind = rewind_body};
    struct scene scene;
    struct xhr_form *form;

    (void)state;
    (void)begin(&scene, NULL);
    peer_answer(&scene.peer, scene.id, 200, "");
    peer_turn(&scene.peer);
    part.read_user = &scene;
    assert_int_equal(xhr_form_new(&form), 0);
    assert_int_equal(xhr_form_add_part(form, &part), 0);
    assert_int_equal(xhr_request_open(scene.request, "POST", "http://a.test/", true), 0);
    assert_int_equal(xhr_request_send_form(scene.request, form), 0);
    xhr_form_free(form);
    const Xhrd__V1__OpenRequest *open =
        peer_expect(&scene.peer, XHRD__V1__CLIENT_MESSAGE__KIND_OPEN)->open;
    scene.id = open->request_id;
    assert_true(open->body->stream->can_rewind);
    const Xhrd__V1__ClientMessage *message = peer_expect(&scene.peer, BODY);
    size_t len = message->body->data.len;
    assert_true(len < sizeof(first));
    memcpy(first, message->body->data.data, len);
    assert_non_null(memmem(first, len, body_text, 10));
    (void)peer_expect(&scene.peer, END);
    tell_rewind(&scene);
    assert_true(hear_answer(&scene)->rewound);
    hear_body(&scene, first, len);
    peer_answer(&scene.peer, scene.id, 200, "");
    finish(&scene, "load rewind load ");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_only_who_can_answer_asks_to_be_asked),
        cmocka_unit_test(test_the_answer_of_a_hop_is_there_as_long_as_it_is_told),
        cmocka_unit_test(test_a_request_may_be_freed_while_a_hop_is_told),
        cmocka_unit_test(test_a_hop_nobody_asked_for_ends_the_connection),
        cmocka_unit_test(test_a_verdict_is_told_and_the_chain_is_kept),
        cmocka_unit_test(test_a_verdict_may_come_later),
        cmocka_unit_test(test_certificates_are_judged_at_once_or_later),
        cmocka_unit_test(test_certificates_that_cannot_be_end_the_connection),
        cmocka_unit_test(test_lb04_a_request_may_be_freed_inside_a_question),
        cmocka_unit_test(test_a_question_nobody_wanted_to_hear_ends_the_connection),
        cmocka_unit_test(test_a_login_is_told_at_once_or_later),
        cmocka_unit_test(test_a_login_that_makes_no_sense_is_refused_and_still_awaited),
        cmocka_unit_test(test_the_domain_needs_a_user),
        cmocka_unit_test(test_rd17_a_stream_goes_up_again_from_its_beginning),
        cmocka_unit_test(test_rd17_a_stream_that_cannot_says_no),
        cmocka_unit_test(test_rd17_a_form_with_a_stream_goes_up_again),
    };

    return cmocka_run_group_tests_name("client/questions", tests, NULL, NULL);
}
