/* SPDX-License-Identifier: MIT */
/* What a request asks its owner: redirects, logins, the body once more. */
#include <errno.h>
#include <stdlib.h>

#include "base/mem.h"
#include "policy/hsts.h"
#include "policy/redirect.h"
#include "support/fetch_world.h"
#include "support/span_test.h"

#define OK_2        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK"
#define DONE        "head(200,2) OK done"
#define TO_B        "HTTP/1.1 302 Go\r\nLocation: http://b.com/\r\nContent-Length: 0\r\n\r\n"
#define HEAD_401    "HTTP/1.1 401 No\r\nContent-Length: 2\r\nWWW-Authenticate: "
#define DIGEST_OF_A "Digest realm=\"a\", nonce=\"n1\", qop=\"auth\", algorithm=SHA-256"
#define ASK_DIGEST  HEAD_401 DIGEST_OF_A "\r\n\r\nno"
#define ASK_BOTH    HEAD_401 "Basic realm=\"x y\", " DIGEST_OF_A "\r\n\r\nno"
#define ASK_BASIC   HEAD_401 "Basic realm=corp\r\n\r\nno"
#define ASK_BEARER  HEAD_401 "Bearer realm=api\r\n\r\nno"
#define ASK_NEITHER HEAD_401 "Negotiate\r\n\r\nno"
#define REFUSED     "head(401,2) no done"
#define TOLD_BASIC  "challenge(1,http://a.com,*Basic:corp) "
#define TOLD_DIGEST "challenge(1,http://a.com,*Digest:a) "

static struct fetch_world world;
static struct teller teller;
static struct request_options options;

static int setup(void **state)
{
    (void)state;
    world_init(&world);
    teller_init(&teller, &world);
    options_get(&options, "http://a.com/");
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    world_done(&world);
    return 0;
}

static const char *hears(void)
{
    return server_hears(&world, world_server(&world));
}

/* ---- redirects --------------------------------------------------------------------------- */

static void ask_about_b(void)
{
    options.asks_redirects = true;
    teller_send(&teller, &options);
    server_says(&world, TO_B);
    assert_story(&teller, "ask-redirect(302,http://b.com/,GET) ");
    world_pass_ms(&world, 5000);
    assert_int_equal(world.n_servers, 1); /* nobody is asked before the verdict */
}

static void test_a_redirect_waits_for_the_verdict(void **state)
{
    (void)state;
    ask_about_b();
    assert_int_equal(request_answer_redirect(teller.request, true), 0);
    assert_int_equal(request_answer_redirect(teller.request, true), -EINVAL);
    world_turn(&world);
    assert_int_equal(world.n_servers, 2);
    server_says(&world, OK_2);
    assert_story(&teller, "ask-redirect(302,http://b.com/,GET) " DONE);
}

static void test_a_vetoed_redirect_fails_and_asks_nobody(void **state)
{
    (void)state;
    ask_about_b();
    assert_int_equal(request_answer_redirect(teller.request, false), 0);
    world_turn(&world);
    assert_int_equal(world.n_servers, 1);
    assert_story(&teller, "ask-redirect(302,http://b.com/,GET)  failed:redirect");
}

static void test_a_verdict_from_inside_the_question_goes_on_at_once(void **state)
{
    (void)state;
    teller.follows = true;
    options.asks_redirects = true;
    teller_send(&teller, &options);
    server_says(&world, TO_B);
    server_says(&world, TO_B); /* to itself */
    server_says(&world, OK_2);
    assert_story(&teller, "ask-redirect(302,http://b.com/,GET) "
                          "ask-redirect(302,http://b.com/,GET) " DONE);
}

static void test_a_verdict_that_does_not_come_is_a_timeout(void **state)
{
    (void)state;
    options.idle_timeout_us = 8000000;
    ask_about_b();
    world_pass_ms(&world, 2999);
    assert_int_equal(teller.n_done, 0);
    world_pass_ms(&world, 2);
    assert_story(&teller, "ask-redirect(302,http://b.com/,GET)  failed:timeout-idle");
    assert_non_null(strstr(teller.failure.text, "asked"));
}

static void test_the_total_timeout_goes_on_while_the_verdict_is_waited_for(void **state)
{
    (void)state;
    options.total_timeout_us = 8000000;
    ask_about_b();
    world_pass_ms(&world, 3001);
    assert_story(&teller, "ask-redirect(302,http://b.com/,GET)  failed:timeout-total");
}

static void test_an_owner_that_sends_no_more_cannot_say_yes(void **state)
{
    (void)state;
    ask_about_b();
    request_owner_is_mute(teller.request);
    world_turn(&world);
    assert_story(&teller, "ask-redirect(302,http://b.com/,GET)  failed:redirect");

    teller_init(&teller, &world);
    options_get(&options, "http://a.com/");
    options.asks_redirects = true;
    teller_send(&teller, &options);
    request_owner_is_mute(teller.request);
    server_says(&world, TO_B);
    assert_story(&teller, " failed:redirect");
    assert_int_equal(world.n_servers, 1);
}

static void test_lb04_a_request_may_end_while_it_asks(void **state)
{
    struct failure why;

    (void)state;
    ask_about_b();
    failure_set(&why, FAILURE_ABORTED, "enough");
    request_fail(teller.request, &why);
    assert_int_equal(request_answer_redirect(teller.request, true), -EINVAL);
    world_turn(&world);
    assert_story(&teller, "ask-redirect(302,http://b.com/,GET)  failed:aborted");

    teller_init(&teller, &world);
    options_get(&options, "http://a.com/");
    options.asks_challenges = true;
    teller_send(&teller, &options);
    server_says(&world, ASK_BASIC);
    request_close(TAKE(teller.request));
    world_turn(&world);
    assert_story(&teller, TOLD_BASIC);
}

static void test_the_step_to_https_is_asked_about_too(void **state)
{
    (void)state;
    assert_int_equal(hsts_note(world.hosts, SPAN_LIT("a.com"), 1000, false, 1800000000),
                     HSTS_CHANGED);
    options.asks_redirects = true;
    options.follow_redirects = false;
    teller_send(&teller, &options);
    assert_story(&teller, "ask-redirect(307,https://a.com/,GET) ");
    assert_int_equal(world.n_servers, 0);
    assert_int_equal(request_answer_redirect(teller.request, true), 0);
    world_turn(&world);
    server_says(&world, OK_2);
    assert_story(&teller, "ask-redirect(307,https://a.com/,GET) " DONE);

    teller_init(&teller, &world);
    options_get(&options, "http://a.com/");
    options.asks_redirects = true;
    teller_send(&teller, &options);
    assert_int_equal(request_answer_redirect(teller.request, false), 0);
    world_turn(&world);
    assert_story(&teller, "ask-redirect(307,https://a.com/,GET)  failed:redirect");
}

static void test_rd05_who_trusts_hosts_logs_in_everywhere_but_not_down_from_https(void **state)
{
    static const struct {
        const char *from, *to;
        bool goes_along;
    } rows[] = {
        {"http://a.com/", "http://b.com/", true},   {"http://a.com/", "https://b.com/", true},
        {"https://a.com/", "https://b.com/", true}, {"https://a.com/", "http://b.com/", false},
        {"https://a.com/", "http://a.com/", false},
    };
    const struct request_credentials login = {.scheme = AUTH_SCHEME_BASIC,
                                              .user = SPAN_LIT("u"),
                                              .password = SPAN_LIT("p"),
                                              .preemptive = true};
    struct failure why;

    (void)state;
    request_options_done(&options);
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        CLEANUP_BUF struct buf answer = BUF_INIT(0);

        teller_init(&teller, &world);
        options_get(&options, rows[i].from);
        options.trusts_redirects = true;
        assert_int_equal(request_options_set_credentials(&options, &login, &why), 0);
        assert_int_equal(
            request_options_add_header(&options, SPAN_LIT("Cookie"), SPAN_LIT("own=1"), &why),
            0);
        teller_send(&teller, &options);
        assert_non_null(strstr(hears(), "Authorization: Basic dTpw\r\n"));
        assert_int_equal(buf_append_format(&answer,
                                           "HTTP/1.1 302 Go\r\nLocation: %s\r\n"
                                           "Connection: close\r\nContent-Length: 0\r\n\r\n",
                                           rows[i].to),
                         0);
        server_says(&world, buf_c_str(&answer));
        const char *heard = hears();
        assert_int_equal(strstr(heard, "Authorization: Basic dTpw\r\n") != NULL,
                         rows[i].goes_along);
        assert_int_equal(strstr(heard, "own=1") != NULL, rows[i].goes_along);
        server_says(&world, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n");
        server_ends(&world);
        assert_int_equal(teller.n_done, 1);
    }
}

static void test_a_post_stays_one_where_the_caller_says_so(void **state)
{
    static const struct {
        const char *answer;
        unsigned keeps;
        bool stays;
    } rows[] = {
        {"HTTP/1.1 301 Go\r\n", REDIRECT_POST_301, true},
        {"HTTP/1.1 302 Go\r\n", REDIRECT_POST_302, true},
        {"HTTP/1.1 303 Go\r\n", REDIRECT_POST_303, true},
        {"HTTP/1.1 301 Go\r\n", REDIRECT_POST_302 | REDIRECT_POST_303, false},
        {"HTTP/1.1 303 Go\r\n", REDIRECT_POST_301 | REDIRECT_POST_302, false},
        {"HTTP/1.1 307 Go\r\n", 0, true},
    };
    struct failure why;

    (void)state;
    request_options_done(&options);
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        CLEANUP_BUF struct buf answer = BUF_INIT(0);

        teller_init(&teller, &world);
        options_get(&options, "http://a.com/");
        options.keeps_post = rows[i].keeps;
        assert_int_equal(request_options_set_method(&options, SPAN_LIT("POST"), &why), 0);
        assert_int_equal(request_options_set_inline_body(&options, SPAN_LIT("body"), &why), 0);
        teller_send(&teller, &options);
        assert_non_null(strstr(hears(), "\r\n\r\nbody"));
        assert_int_equal(buf_append_format(&answer,
                                           "%sLocation: /2\r\n"
                                           "Content-Length: 0\r\n\r\n",
                                           rows[i].answer),
                         0);
        server_says(&world, buf_c_str(&answer));
        const char *heard = hears();
        assert_non_null(strstr(heard, rows[i].stays ? "POST /2 " : "GET /2 "));
        assert_int_equal(strstr(heard, "\r\n\r\nbody") != NULL, rows[i].stays);
        server_says(&world, OK_2);
        assert_int_equal(teller.n_done, 1);
    }
}

/* ---- logins ------------------------------------------------------------------------------ */

static void ask_login(const char *answer)
{
    options.asks_challenges = true;
    teller.tell_waits = false;
    teller_send(&teller, &options);
    assert_null(strstr(hears(), "Authorization"));
    server_says(&world, answer);
}

static void log_in(const struct request_credentials *login)
{
    struct failure why;

    assert_int_equal(request_answer_challenge(teller.request, login, &why), 0);
    world_turn(&world);
}

static const struct request_credentials ali = {.user = SPAN_LIT("u"),
                                               .password = SPAN_LIT("p")};

static void test_au07_a_challenge_tells_all_offers_and_the_strongest(void **state)
{
    (void)state;
    ask_login(ASK_BOTH);
    assert_story(&teller, "challenge(1,http://a.com,Basic:x y,*Digest:a) ");
    log_in(&ali);
    assert_non_null(strstr(hears(), "Authorization: Digest username=\"u\", realm=\"a\""));
    server_says(&world, OK_2);
    assert_story(&teller, "challenge(1,http://a.com,Basic:x y,*Digest:a) " DONE);
}

static void test_an_answer_may_come_late_and_basic_is_its_word(void **state)
{
    (void)state;
    ask_login(ASK_BASIC);
    world_pass_ms(&world, 3600000); /* no idle timeout */
    assert_story(&teller, TOLD_BASIC);
    log_in(&ali);
    assert_non_null(strstr(hears(), "Authorization: Basic dTpw\r\n"));
    server_says(&world, OK_2);
    assert_story(&teller, TOLD_BASIC DONE);
}

static void test_the_total_timeout_goes_on_while_a_login_is_waited_for(void **state)
{
    (void)state;
    options.total_timeout_us = 8000000;
    ask_login(ASK_BASIC);
    world_pass_ms(&world, 8001);
    assert_story(&teller, TOLD_BASIC " failed:timeout-total");
}

static void test_the_connection_is_not_held_while_a_login_is_waited_for(void **state)
{
    struct teller other;

    (void)state;
    ask_login(ASK_BASIC);
    teller_init(&other, &world);
    teller_get(&other, "http://a.com/other");
    assert_int_equal(world.n_servers, 1);
    server_says(&world, OK_2);
    assert_story(&other, DONE);
    log_in(&ali);
    server_says(&world, OK_2);
    assert_story(&teller, TOLD_BASIC DONE);
    assert_int_equal(world.n_servers, 1);
}

/* Where it came from was written by a connection that has long gone. */
static void test_the_401_is_the_answer_when_its_connection_has_gone(void **state)
{
    (void)state;
    ask_login("HTTP/1.1 401 Who\r\nWWW-Authenticate: Basic realm=\"corp\"\r\n"
              "Connection: close\r\nContent-Length: 2\r\n\r\nno");
    world_pass_ms(&world, 60000);
    assert_story(&teller, TOLD_BASIC);
    log_in(NULL);
    assert_story(&teller, TOLD_BASIC "head(401,2) no done");
}

static void test_nobody_logs_in_and_the_401_is_the_answer(void **state)
{
    (void)state;
    ask_login(ASK_BASIC);
    log_in(NULL);
    assert_story(&teller, TOLD_BASIC REFUSED);
}

static void test_a_401_that_is_not_whole_when_nobody_logs_in_goes_on_coming(void **state)
{
    (void)state;
    ask_login("HTTP/1.1 401 No\r\nContent-Length: 10\r\n"
              "WWW-Authenticate: Basic realm=corp\r\n\r\n01234");
    log_in(NULL);
    assert_story(&teller, TOLD_BASIC "head(401,10) 01234");
    server_says(&world, "56789");
    assert_story(&teller, TOLD_BASIC "head(401,10) 0123456789 done");
}

static void test_a_401_with_cookies_that_the_disk_must_have_is_told_behind_them(void **state)
{
    (void)state;
    world.commit_result = COOKIE_COMMIT_WAIT;
    ask_login("HTTP/1.1 401 No\r\nContent-Length: 2\r\nSet-Cookie: a=1; Max-Age=100\r\n"
              "WWW-Authenticate: Basic realm=corp\r\n\r\nno");
    log_in(NULL);
    assert_story(&teller, TOLD_BASIC);
    world_cookies_committed(&world, true);
    world_turn(&world);
    assert_story(&teller, TOLD_BASIC REFUSED);
}

static void test_a_long_401_waits_in_the_kernel_and_comes_whole(void **state)
{
    size_t size = 400000;
    char *body = malloc(size);
    struct fake_server *server;

    (void)state;
    assert_non_null(body);
    memset(body, 'x', size);
    ask_login("HTTP/1.1 401 No\r\nContent-Length: 400000\r\n"
              "WWW-Authenticate: Basic realm=corp\r\n\r\n");
    server = world_server(&world);
    size_t said = server_says_bytes(&world, server, (struct span){body, size});
    assert_true(said < size); /* what is kept is bounded */
    log_in(NULL);
    said += server_says_bytes(&world, server, (struct span){body + said, size - said});
    assert_int_equal(said, size);
    assert_int_equal(teller.n_done, 1);
    assert_int_equal(teller.body_bytes, size);
    assert_false(teller.has_failed);

    teller_init(&teller, &world);
    options_get(&options, "http://a.com/");
    ask_login("HTTP/1.1 401 No\r\nContent-Length: 400000\r\n"
              "WWW-Authenticate: Basic realm=corp\r\n\r\n");
    (void)server_says_bytes(&world, world_server(&world), (struct span){body, size});
    log_in(&ali);
    assert_int_equal(world.n_servers, 2); /* too much to be read for nothing */
    server_says(&world, OK_2);
    assert_story(&teller, TOLD_BASIC DONE);
    free(body);
}

static void test_a_401_that_breaks_off_is_no_answer_but_a_login_is(void **state)
{
    (void)state;
    for (int logs_in = 0; logs_in < 2; logs_in++) {
        teller_init(&teller, &world);
        if (logs_in)
            options_get(&options, "http://a.com/");
        ask_login("HTTP/1.1 401 No\r\nContent-Length: 10\r\n"
                  "WWW-Authenticate: Basic realm=corp\r\n\r\n01234");
        server_ends(&world);
        assert_story(&teller, TOLD_BASIC);
        log_in(logs_in ? &ali : NULL);
        if (logs_in)
            server_says(&world, OK_2);
        assert_story(&teller, logs_in ? TOLD_BASIC DONE : TOLD_BASIC " failed:truncated");
    }
}

static void test_au06_a_server_that_refuses_every_login_is_asked_about_five_times(void **state)
{
    (void)state;
    ask_login(ASK_DIGEST);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(teller.n_done, 0);
        log_in(&ali);
        assert_non_null(strstr(hears(), "Authorization: Digest"));
        server_says(&world, ASK_DIGEST);
    }
    assert_story(&teller, TOLD_DIGEST "challenge(2,http://a.com,*Digest:a) "
                                      "challenge(3,http://a.com,*Digest:a) "
                                      "challenge(4,http://a.com,*Digest:a) "
                                      "challenge(5,http://a.com,*Digest:a) " REFUSED);
}

static void test_nobody_is_asked_where_what_was_given_is_enough_or_nothing_helps(void **state)
{
    const struct request_credentials given = {
        .scheme = AUTH_SCHEME_DIGEST, .user = SPAN_LIT("u"), .password = SPAN_LIT("p")};
    struct failure why;

    (void)state;
    options.asks_challenges = true;
    assert_int_equal(request_options_set_credentials(&options, &given, &why), 0);
    teller_send(&teller, &options);
    server_says(&world, ASK_DIGEST);
    assert_non_null(strstr(hears(), "Authorization: Digest"));
    server_says(&world, OK_2);
    assert_story(&teller, DONE);

    teller_init(&teller, &world);
    options_get(&options, "http://a.com/");
    ask_login(ASK_NEITHER);
    assert_story(&teller, REFUSED);

    teller_init(&teller, &world);
    options_get(&options, "http://a.com/");
    ask_login("HTTP/1.1 401 No\r\nContent-Length: 2\r\n\r\nno");
    assert_story(&teller, REFUSED);
}

static void test_a_token_answers_and_what_answers_nothing_fails(void **state)
{
    const struct request_credentials token = {.token = SPAN_LIT("t0k.en")};

    (void)state;
    ask_login(ASK_BEARER);
    log_in(&token);
    assert_non_null(strstr(hears(), "Authorization: Bearer t0k.en\r\n"));
    server_says(&world, OK_2);
    assert_story(&teller, "challenge(1,http://a.com,Bearer:api) " DONE);

    teller_init(&teller, &world);
    options_get(&options, "http://a.com/");
    ask_login(ASK_BEARER);
    log_in(&ali);
    assert_story(&teller, "challenge(1,http://a.com,Bearer:api)  failed:argument");
}

static void test_au02_a_login_that_cannot_be_sent_is_refused(void **state)
{
    const struct request_credentials wrong[] = {
        {.user = SPAN_LIT("a:b")},
        {.user = SPAN_LIT("u"), .token = SPAN_LIT("t")},
        {.token = SPAN_LIT("a b")},
        {.user = SPAN_LIT("u"), .domain = SPAN_LIT("A\\B")},
    };
    struct failure why;

    (void)state;
    ask_login(ASK_BASIC);
    for (size_t i = 0; i < COUNT_OF(wrong); i++) {
        assert_int_equal(request_answer_challenge(teller.request, &wrong[i], &why), -EINVAL);
        assert_int_equal(why.kind, FAILURE_ARGUMENT);
    }
    log_in(&ali); /* it still waits */
    assert_int_equal(request_answer_challenge(teller.request, &ali, &why), -EINVAL);
    assert_int_equal(why.kind, FAILURE_NONE);
    server_says(&world, OK_2);
    assert_story(&teller, TOLD_BASIC DONE);
}

static void test_rd10_a_login_given_on_asking_stays_at_its_origin(void **state)
{
    (void)state;
    ask_login(ASK_BASIC);
    log_in(&ali);
    server_says(&world, "HTTP/1.1 302 Go\r\nLocation: /2\r\nContent-Length: 0\r\n\r\n");
    assert_non_null(strstr(hears(), "Authorization: Basic dTpw\r\n")); /* the same origin */
    server_says(&world, TO_B);
    assert_null(strstr(hears(), "Authorization"));
    server_says(&world, ASK_BASIC);
    assert_story(&teller, TOLD_BASIC "redirect(302,http://a.com/2,GET) "
                                     "redirect(302,http://b.com/,GET) "
                                     "challenge(1,http://b.com,*Basic:corp) ");
    log_in(NULL);
    assert_int_equal(teller.n_done, 1);
}

static void test_an_owner_that_sends_no_more_gets_the_401(void **state)
{
    (void)state;
    ask_login(ASK_BASIC);
    request_owner_is_mute(teller.request);
    world_turn(&world);
    assert_story(&teller, TOLD_BASIC REFUSED);

    teller_init(&teller, &world);
    options_get(&options, "http://a.com/");
    options.asks_challenges = true;
    teller_send(&teller, &options);
    request_owner_is_mute(teller.request);
    server_says(&world, ASK_BASIC);
    assert_story(&teller, REFUSED);
}

static void test_a_user_has_his_domain_where_the_realm_names_it(void **state)
{
    static const struct {
        const char *realm, *user;
        const char *wanted; /* of Basic */
    } rows[] = {
        {"CORP", "u", "Q09SUFx1OnA="},             /* CORP\u:p */
        {"corp.example.com", "u", "Q09SUFx1OnA="}, /* its DNS name */
        {"CORP\\\\intranet", "u", "Q09SUFx1OnA="}, /* quoted-pair */
        {"corporation", "u", "dTpw"},
        {"private", "u", "dTpw"},
        {"CORP", "X\\u", "WFx1OnA="}, /* X\u:p */
        {"CORP", "u@x", "dUB4OnA="},  /* u@x:p */
    };

    (void)state;
    request_options_done(&options);
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        CLEANUP_BUF struct buf answer = BUF_INIT(0);
        struct request_credentials login = {.scheme = AUTH_SCHEME_BASIC,
                                            .user = span_of(rows[i].user),
                                            .password = SPAN_LIT("p"),
                                            .domain = SPAN_LIT("CORP")};
        struct failure why;

        teller_init(&teller, &world);
        options_get(&options, "http://a.com/");
        assert_int_equal(request_options_set_credentials(&options, &login, &why), 0);
        teller_send(&teller, &options);
        assert_int_equal(
            buf_append_format(&answer, HEAD_401 "Basic realm=\"%s\"\r\n\r\nno", rows[i].realm),
            0);
        server_says(&world, buf_c_str(&answer));
        assert_non_null(strstr(hears(), rows[i].wanted));
        server_says(&world, OK_2);
        assert_story(&teller, DONE);
    }
}

static void test_a_domain_comes_along_to_digest_and_after_a_hasty_basic(void **state)
{
    struct request_credentials login = {.scheme = AUTH_SCHEME_BASIC,
                                        .user = SPAN_LIT("u"),
                                        .password = SPAN_LIT("p"),
                                        .domain = SPAN_LIT("a"),
                                        .preemptive = true};
    struct failure why;

    (void)state;
    assert_int_equal(request_options_set_credentials(&options, &login, &why), 0);
    teller_send(&teller, &options);
    assert_non_null(strstr(hears(), "Basic dTpw\r\n")); /* no realm is known yet */
    server_says(&world, HEAD_401 "Basic realm=A\r\n\r\nno");
    assert_non_null(strstr(hears(), "Basic YVx1OnA=\r\n"));
    server_says(&world, HEAD_401 "Basic realm=A\r\n\r\nno");
    assert_story(&teller, REFUSED); /* and no more (AU06) */

    teller_init(&teller, &world);
    options_get(&options, "http://a.com/");
    login.scheme = AUTH_SCHEME_DIGEST;
    login.preemptive = false;
    assert_int_equal(request_options_set_credentials(&options, &login, &why), 0);
    teller_send(&teller, &options);
    server_says(&world, ASK_DIGEST);
    assert_non_null(strstr(hears(), "username=\"a\\\\u\""));
    server_says(&world, OK_2);
    assert_story(&teller, DONE);
}

/* ---- the body once more ------------------------------------------------------------------ */

#define TO_B_307 "HTTP/1.1 307 Go\r\nLocation: http://b.com/\r\nContent-Length: 0\r\n\r\n"

static void stream(uint64_t length, bool can_rewind)
{
    struct failure why;

    assert_int_equal(request_options_set_method(&options, SPAN_LIT("PUT"), &why), 0);
    options.body_kind = REQUEST_BODY_STREAM;
    options.body_has_length = true;
    options.body_length = length;
    options.body_can_rewind = can_rewind;
    teller_send(&teller, &options);
}

static void write_body(const char *text)
{
    assert_int_equal(request_write_body(teller.request, span_of(text)), 0);
    world_turn(&world);
}

static void test_rd17_a_stream_is_asked_for_once_more(void **state)
{
    (void)state;
    stream(8, true);
    write_body("half");
    server_says(&world, TO_B_307);
    assert_story(&teller, "redirect(307,http://b.com/,PUT) rewind ");
    write_body("crossed the question on its way, and is too long for the length");
    assert_int_equal(request_end_body(teller.request), 0);
    assert_int_equal(world.n_servers, 1);
    assert_int_equal(request_answer_rewind(teller.request, true), 0);
    assert_int_equal(request_answer_rewind(teller.request, true), -EINVAL);
    write_body("halfbody");
    assert_int_equal(request_end_body(teller.request), 0);
    world_turn(&world);
    assert_non_null(strstr(hears(), "Content-Length: 8\r\n"));
    assert_non_null(strstr(world_server(&world)->seen.storage, "\r\n\r\nhalfbody"));
    server_says(&world, OK_2);
    assert_story(&teller, "redirect(307,http://b.com/,PUT) rewind " DONE);
}

static void test_rd17_a_stream_that_cannot_begin_anew_fails_with_rewind(void **state)
{
    (void)state;
    stream(4, true);
    write_body("body");
    server_says(&world, TO_B_307);
    assert_int_equal(request_answer_rewind(teller.request, false), 0);
    world_turn(&world);
    assert_story(&teller, "redirect(307,http://b.com/,PUT) rewind  failed:rewind");
    assert_int_equal(world.n_servers, 1);
}

static void test_rd17_a_login_for_a_body_that_is_gone_fails_with_rewind(void **state)
{
    const struct request_credentials given = {
        .scheme = AUTH_SCHEME_DIGEST, .user = SPAN_LIT("u"), .password = SPAN_LIT("p")};
    struct failure why;

    (void)state;
    assert_int_equal(request_options_set_credentials(&options, &given, &why), 0);
    stream(4, false);
    write_body("body");
    server_says(&world, ASK_DIGEST);
    assert_story(&teller, " failed:rewind");

    teller_init(&teller, &world);
    options_get(&options, "http://a.com/");
    options.asks_challenges = true; /* somebody would log in */
    stream(4, false);
    write_body("body");
    server_says(&world, ASK_DIGEST);
    assert_story(&teller, " failed:rewind");

    teller_init(&teller, &world);
    options_get(&options, "http://a.com/"); /* nobody would: the 401 is the answer */
    stream(4, false);
    write_body("body");
    server_says(&world, ASK_DIGEST);
    assert_story(&teller, REFUSED);
}

static void test_a_login_and_the_body_once_more_are_asked_for_one_after_the_other(void **state)
{
    (void)state;
    options.asks_challenges = true;
    stream(4, true);
    write_body("body");
    server_says(&world, ASK_BASIC);
    assert_story(&teller, TOLD_BASIC);
    log_in(&ali);
    assert_story(&teller, TOLD_BASIC "rewind ");
    assert_int_equal(request_answer_rewind(teller.request, true), 0);
    world_turn(&world);
    (void)hears();
    write_body("body");
    server_says(&world, OK_2);
    assert_story(&teller, TOLD_BASIC "rewind " DONE);
}

static void test_lb03_a_stream_begins_anew_on_another_connection(void **state)
{
    (void)state;
    teller_send(&teller, &options); /* warms one */
    server_says(&world, OK_2);
    teller_init(&teller, &world);
    options_get(&options, "http://a.com/");
    stream(4, true);
    write_body("body");
    server_ends(&world);
    assert_story(&teller, "rewind ");
    assert_int_equal(request_answer_rewind(teller.request, true), 0);
    world_turn(&world);
    assert_int_equal(world.n_servers, 2);
    write_body("body");
    assert_non_null(strstr(hears(), "\r\n\r\nbody"));
    server_says(&world, OK_2);
    assert_story(&teller, "rewind " DONE);
}

static void test_a_rewind_nobody_answers_is_a_timeout(void **state)
{
    (void)state;
    options.idle_timeout_us = 8000000;
    stream(4, true);
    write_body("body");
    server_says(&world, TO_B_307);
    world_pass_ms(&world, 8001);
    assert_story(&teller, "redirect(307,http://b.com/,PUT) rewind  failed:timeout-idle");
}

static void answer_what_is_asked(void)
{
    struct failure why;

    if (!teller.request)
        return;
    (void)!request_answer_redirect(teller.request, true);
    (void)!request_answer_challenge(teller.request, &ali, &why);
    if (request_answer_rewind(teller.request, true) == 0)
        (void)!request_write_body(teller.request, SPAN_LIT("body"));
    world_turn(&world);
}

static void test_every_failing_allocation_ends_in_one_honest_end(void **state)
{
    uint64_t n;

    (void)state;
    request_options_done(&options);
    for (n = 1; n < 1000; n++) {
        struct failure why;

        world_done(&world);
        world_init(&world);
        teller_init(&teller, &world);
        options_get(&options, "http://a.com/");
        assert_int_equal(request_options_set_method(&options, SPAN_LIT("PUT"), &why), 0);
        options.body_kind = REQUEST_BODY_STREAM;
        options.body_has_length = options.body_can_rewind = true;
        options.body_length = 4;
        options.asks_challenges = options.asks_redirects = true;
        mem_fail_at(n);
        int r = teller_try(&teller, &options);
        if (r == 0)
            (void)!request_write_body(teller.request, SPAN_LIT("body"));
        world_turn(&world);
        for (int i = 0; i < 3 && world.n_servers > 0 && teller.request; i++) {
            static const char *const says[] = {
                "HTTP/1.1 307 Go\r\nLocation: /2\r\nContent-Length: 0\r\n\r\n", ASK_DIGEST,
                OK_2};

            server_says(&world, says[i]);
            answer_what_is_asked(); /* a redirect or a login */
            answer_what_is_asked(); /* the body */
        }
        bool ran_out = mem_alloc_count() >= n;
        mem_fail_at(0);
        request_options_done(&options);
        world_pass_ms(&world, 100000);
        assert_int_equal(teller.n_done, r == 0);
        if (!ran_out)
            break;
    }
    assert_story(&teller,
                 "ask-redirect(307,http://a.com/2,PUT) rewind " TOLD_DIGEST "rewind " DONE);
    assert_true(n > 20 && n < 999);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_a_redirect_waits_for_the_verdict),
        T(test_a_vetoed_redirect_fails_and_asks_nobody),
        T(test_a_verdict_from_inside_the_question_goes_on_at_once),
        T(test_a_verdict_that_does_not_come_is_a_timeout),
        T(test_the_total_timeout_goes_on_while_the_verdict_is_waited_for),
        T(test_an_owner_that_sends_no_more_cannot_say_yes),
        T(test_lb04_a_request_may_end_while_it_asks),
        T(test_the_step_to_https_is_asked_about_too),
        T(test_rd05_who_trusts_hosts_logs_in_everywhere_but_not_down_from_https),
        T(test_a_post_stays_one_where_the_caller_says_so),
        T(test_au07_a_challenge_tells_all_offers_and_the_strongest),
        T(test_an_answer_may_come_late_and_basic_is_its_word),
        T(test_the_total_timeout_goes_on_while_a_login_is_waited_for),
        T(test_the_connection_is_not_held_while_a_login_is_waited_for),
        T(test_the_401_is_the_answer_when_its_connection_has_gone),
        T(test_nobody_logs_in_and_the_401_is_the_answer),
        T(test_a_401_that_is_not_whole_when_nobody_logs_in_goes_on_coming),
        T(test_a_401_with_cookies_that_the_disk_must_have_is_told_behind_them),
        T(test_a_long_401_waits_in_the_kernel_and_comes_whole),
        T(test_a_401_that_breaks_off_is_no_answer_but_a_login_is),
        T(test_au06_a_server_that_refuses_every_login_is_asked_about_five_times),
        T(test_nobody_is_asked_where_what_was_given_is_enough_or_nothing_helps),
        T(test_a_token_answers_and_what_answers_nothing_fails),
        T(test_au02_a_login_that_cannot_be_sent_is_refused),
        T(test_rd10_a_login_given_on_asking_stays_at_its_origin),
        T(test_an_owner_that_sends_no_more_gets_the_401),
        T(test_a_user_has_his_domain_where_the_realm_names_it),
        T(test_a_domain_comes_along_to_digest_and_after_a_hasty_basic),
        T(test_rd17_a_stream_is_asked_for_once_more),
        T(test_rd17_a_stream_that_cannot_begin_anew_fails_with_rewind),
        T(test_rd17_a_login_for_a_body_that_is_gone_fails_with_rewind),
        T(test_a_login_and_the_body_once_more_are_asked_for_one_after_the_other),
        T(test_lb03_a_stream_begins_anew_on_another_connection),
        T(test_a_rewind_nobody_answers_is_a_timeout),
        T(test_every_failing_allocation_ends_in_one_honest_end),
    };

    return cmocka_run_group_tests_name("fetch/request_question", tests, NULL, NULL);
}
