/* SPDX-License-Identifier: MIT */
/* Logins over a network in memory: which request carries what, and where it never goes. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "support/fetch_world.h"
#include "support/span_test.h"

#define HEAD_401    "HTTP/1.1 401 No\r\nContent-Length: 2\r\nWWW-Authenticate: "
#define DIGEST_OF_A "Digest realm=\"a\", nonce=\"n1\", qop=\"auth\", algorithm=SHA-256"
#define ASK_DIGEST  HEAD_401 DIGEST_OF_A "\r\n\r\nno"
#define ASK_STALE   HEAD_401 DIGEST_OF_A ", stale=true\r\n\r\nno"
#define ASK_BASIC   HEAD_401 "Basic realm=x\r\n\r\nno"
#define ASK_BOTH    HEAD_401 "Basic realm=x, " DIGEST_OF_A "\r\n\r\nno"
#define BASIC_UP    "Authorization: Basic dTpw\r\n"
#define OK_2        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK"
#define DONE        "head(200,2) OK done"
#define REFUSED     "head(401,2) no done"

struct scene {
    struct fetch_world world;
    struct teller teller;
};

static void set_login(struct request_options *options, enum auth_scheme scheme)
{
    const struct request_credentials credentials = {
        .scheme = scheme,
        .user = scheme == AUTH_SCHEME_BEARER ? SPAN_LIT("") : SPAN_LIT("u"),
        .password = scheme == AUTH_SCHEME_BEARER ? SPAN_LIT("") : SPAN_LIT("p"),
        .token = scheme == AUTH_SCHEME_BEARER ? SPAN_LIT("t0k.en") : SPAN_LIT(""),
    };
    struct failure why;

    assert_int_equal(request_options_set_credentials(options, &credentials, &why), 0);
}

static void scene_init(struct scene *scene)
{
    world_init(&scene->world);
    teller_init(&scene->teller, &scene->world);
}

/* One more request of the same daemon. */
static void scene_get(struct scene *scene, const char *url, enum auth_scheme scheme)
{
    struct request_options options;

    teller_init(&scene->teller, &scene->world);
    options_get(&options, url);
    set_login(&options, scheme);
    teller_send(&scene->teller, &options);
}

static const char *hears(struct scene *scene)
{
    return server_hears(&scene->world, world_server(&scene->world));
}

static bool hears_none(struct scene *scene)
{
    const char *heard = hears(scene);

    assert_non_null(strstr(heard, " HTTP/1.1\r\n")); /* there is a request */
    return !strstr(heard, "Authorization");
}

/* The value of Authorization's parameter in what was heard; "" without. */
static void heard_param(const char *heard, const char *name, char *ret, size_t size)
{
    const char *line = strstr(heard, "Authorization: Digest ");
    char wanted[32];

    ret[0] = '\0';
    assert_non_null(line);
    (void)snprintf(wanted, sizeof(wanted), " %s=", name);
    const char *at = strstr(line, wanted);
    if (!at)
        return;
    at += strlen(wanted);
    at += *at == '"';
    (void)snprintf(ret, size, "%.*s", (int)strcspn(at, "\",\r"), at);
}

static void assert_digest(struct scene *scene, const char *nonce, const char *nc)
{
    char heard_nonce[64];
    char heard_nc[64];
    const char *heard = hears(scene);

    heard_param(heard, "nonce", heard_nonce, sizeof(heard_nonce));
    heard_param(heard, "nc", heard_nc, sizeof(heard_nc));
    assert_string_equal(heard_nonce, nonce);
    assert_string_equal(heard_nc, nc);
}

static void test_digest_answers_a_challenge_and_goes_ahead_of_the_next(void **state)
{
    struct scene scene;

    (void)state;
    scene_init(&scene);
    scene_get(&scene, "http://a.com/1", AUTH_SCHEME_DIGEST);
    assert_true(hears_none(&scene));
    server_says(&scene.world, ASK_DIGEST);
    assert_digest(&scene, "n1", "00000001");
    server_says(&scene.world, OK_2);
    assert_story(&scene.teller, DONE);

    scene_get(&scene, "http://a.com/2", AUTH_SCHEME_ANY);
    assert_digest(&scene, "n1", "00000002");
    server_says(&scene.world, OK_2);
    assert_story(&scene.teller, DONE);

    scene_get(&scene, "http://a.com/2",
              AUTH_SCHEME_BASIC); /* asked for Basic, gets no Digest */
    assert_true(hears_none(&scene));
    server_says(&scene.world, OK_2);
    world_done(&scene.world);
}

static void test_au06_401_for_ever_sees_credentials_twice_at_most(void **state)
{
    static const struct {
        enum auth_scheme scheme;
        const char *answer;
        unsigned with; /* requests that carry credentials */
    } rows[] = {
        {AUTH_SCHEME_BASIC, ASK_BASIC, 1},
        {AUTH_SCHEME_DIGEST, ASK_DIGEST, 1},
        {AUTH_SCHEME_DIGEST, ASK_STALE, 2},
        {AUTH_SCHEME_ANY, ASK_BOTH, 1},
        {AUTH_SCHEME_DIGEST, ASK_BASIC, 0},
        {AUTH_SCHEME_BASIC, ASK_DIGEST, 0},
        {AUTH_SCHEME_BEARER, ASK_BASIC, 1},
        {AUTH_SCHEME_BEARER, ASK_DIGEST, 1},
        {AUTH_SCHEME_DIGEST, HEAD_401 "\r\n\r\nno", 0},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct scene scene;
        unsigned with = 0;

        scene_init(&scene);
        scene_get(&scene, "http://a.com/1", rows[i].scheme);
        for (unsigned n = 0; n < 5 && scene.teller.n_done == 0; n++) {
            with += !hears_none(&scene);
            server_says(&scene.world, rows[i].answer);
        }
        assert_story(&scene.teller, REFUSED);
        assert_int_equal(with, rows[i].with);
        world_done(&scene.world);
    }
}

static void test_au06_nonce_of_others_that_is_refused_is_replaced_once(void **state)
{
    struct scene scene;

    (void)state;
    scene_init(&scene);
    scene_get(&scene, "http://a.com/1", AUTH_SCHEME_DIGEST);
    server_says(&scene.world, ASK_DIGEST);
    server_says(&scene.world, OK_2);
    scene_get(&scene, "http://a.com/1", AUTH_SCHEME_DIGEST);
    (void)hears(&scene);
    server_says(&scene.world, HEAD_401 "Digest realm=\"a\", nonce=\"n2\", qop=auth\r\n\r\nno");
    assert_digest(&scene, "n2", "00000001");
    server_says(&scene.world, ASK_STALE);
    assert_story(&scene.teller, REFUSED);
    world_done(&scene.world);
}

static void test_au07_any_takes_digest_and_never_basic_over_plain_http(void **state)
{
    static const struct {
        const char *url, *answer;
        enum auth_scheme scheme;
        bool digest, basic;
    } rows[] = {
        {"http://a.com/", ASK_BOTH, AUTH_SCHEME_ANY, true, false},
        {"http://a.com/", ASK_BOTH, AUTH_SCHEME_DIGEST, true, false},
        {"http://a.com/", ASK_BOTH, AUTH_SCHEME_BASIC, false, true},
        {"http://a.com/", ASK_BASIC, AUTH_SCHEME_ANY, false, false},
        {"http://a.com/", ASK_BASIC, AUTH_SCHEME_BASIC, false, true},
        {"https://a.com/", ASK_BOTH, AUTH_SCHEME_ANY, true, false},
        {"https://a.com/", ASK_BASIC, AUTH_SCHEME_ANY, false, true},
        {"https://a.com/", ASK_BASIC, AUTH_SCHEME_DIGEST, false, false},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct scene scene;

        scene_init(&scene);
        scene_get(&scene, rows[i].url, rows[i].scheme);
        assert_true(hears_none(&scene));
        server_says(&scene.world, rows[i].answer);
        bool goes_on = rows[i].digest || rows[i].basic;
        const char *heard = hears(&scene);
        assert_int_equal(strstr(heard, "Authorization: Digest") != NULL, rows[i].digest);
        assert_int_equal(strstr(heard, BASIC_UP) != NULL, rows[i].basic);
        if (goes_on)
            server_says(&scene.world, OK_2);
        assert_story(&scene.teller, goes_on ? DONE : REFUSED);
        world_done(&scene.world);
    }
}

static void test_au01_user_of_the_url_has_no_password_of_another(void **state)
{
    struct scene scene;

    (void)state;
    scene_init(&scene);
    scene_get(&scene, "http://ann@a.com/1", AUTH_SCHEME_BASIC);
    assert_non_null(strstr(hears(&scene), "Authorization: Basic YW5uOg==\r\n")); /* "ann:" */
    server_says(&scene.world, OK_2);

    scene_get(&scene, "http://ann@a.com/1", AUTH_SCHEME_DIGEST);
    assert_true(hears_none(&scene));
    server_says(&scene.world, HEAD_401 "Digest realm=r, nonce=n\r\n\r\nno");
    char response[64];
    const char *heard = hears(&scene);
    assert_non_null(strstr(heard, "Digest username=\"ann\""));
    heard_param(heard, "response", response, sizeof(response));
    /* MD5(MD5("ann:r:"):n:MD5("GET:/1")), by md5sum */
    assert_string_equal(response, "3be0bbf79385d20e7e8667bfd70f2958");
    server_says(&scene.world, OK_2);
    world_done(&scene.world);
}

static void go_elsewhere(struct scene *scene, const char *location)
{
    char answer[256];

    (void)snprintf(answer, sizeof(answer),
                   "HTTP/1.1 307 Go\r\nLocation: %s\r\nContent-Length: 0\r\n\r\n", location);
    server_says(&scene->world, answer);
}

static void test_rd01_rd02_rd03_rd04_rd10_rd14_logins_stay_at_their_origin(void **state)
{
    static const char *const hops[] = {"https://b.com/", "https://a.com:81/", "http://a.com/",
                                       "https://www.a.com/"};
    static const enum auth_scheme schemes[] = {AUTH_SCHEME_DIGEST, AUTH_SCHEME_ANY,
                                               AUTH_SCHEME_BEARER};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(hops) * COUNT_OF(schemes); i++) {
        const char *hop = hops[i % COUNT_OF(hops)];
        enum auth_scheme scheme = schemes[i / COUNT_OF(hops)];
        struct scene scene;

        scene_init(&scene);
        scene_get(&scene, "https://a.com/1", scheme);
        if (scheme != AUTH_SCHEME_BEARER)
            server_says(&scene.world, ASK_DIGEST);
        assert_non_null(strstr(hears(&scene), "Authorization: "));
        go_elsewhere(&scene, hop);
        assert_true(hears_none(&scene));
        go_elsewhere(&scene, "/2"); /* RD04 */
        assert_true(hears_none(&scene));
        server_says(&scene.world, ASK_BOTH); /* RD10 */
        assert_non_null(strstr(scene.teller.story, REFUSED));
        world_done(&scene.world);
    }
}

static void test_rd03_way_down_from_https_has_no_login_and_no_secure_cookie(void **state)
{
    struct scene scene;

    (void)state;
    scene_init(&scene);
    scene_get(&scene, "https://a.com/1", AUTH_SCHEME_BEARER);
    assert_non_null(strstr(hears(&scene), "Authorization: Bearer"));
    server_says(&scene.world, "HTTP/1.1 307 Go\r\nLocation: https://a.com/2\r\n"
                              "Set-Cookie: s=1; Secure\r\nSet-Cookie: p=2\r\n"
                              "Content-Length: 0\r\n\r\n");
    assert_non_null(strstr(hears(&scene), "Cookie: s=1; p=2\r\n"));
    go_elsewhere(&scene, "http://a.com/3");
    const char *heard = hears(&scene);
    assert_non_null(strstr(heard, "Cookie: p=2\r\n"));
    assert_null(strstr(heard, "Authorization"));
    server_says(&scene.world, OK_2);
    world_done(&scene.world);
}

static void test_rd05_login_is_not_there_again_when_the_chain_comes_home(void **state)
{
    static const enum auth_scheme schemes[] = {AUTH_SCHEME_DIGEST, AUTH_SCHEME_BEARER};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(schemes); i++) {
        struct scene scene;

        scene_init(&scene);
        scene_get(&scene, "http://a.com/1", schemes[i]);
        if (schemes[i] == AUTH_SCHEME_DIGEST)
            server_says(&scene.world, ASK_DIGEST);
        assert_non_null(strstr(hears(&scene), "Authorization: "));
        go_elsewhere(&scene, "http://b.com/");
        go_elsewhere(&scene, "http://a.com/3");
        struct fake_server *home = &scene.world.servers[0]; /* its connection was kept */
        const char *heard = server_hears(&scene.world, home);
        assert_non_null(strstr(heard, "GET /3 "));
        assert_null(strstr(heard, "Authorization"));
        (void)server_says_bytes(&scene.world, home, SPAN_LIT(ASK_DIGEST));
        world_turn(&scene.world);
        assert_non_null(strstr(scene.teller.story, REFUSED));
        world_done(&scene.world);
    }
}

static void test_rd09_nonce_of_one_origin_is_not_used_at_another(void **state)
{
    static const char *const others[] = {"http://b.com/", "http://a.com:81/", "https://a.com/"};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(others); i++) {
        struct scene scene;

        scene_init(&scene);
        scene_get(&scene, "http://a.com/1", AUTH_SCHEME_DIGEST);
        server_says(&scene.world, ASK_DIGEST);
        server_says(&scene.world, OK_2);
        scene_get(&scene, others[i], AUTH_SCHEME_DIGEST);
        assert_true(hears_none(&scene));
        server_says(&scene.world, OK_2);
        assert_story(&scene.teller, DONE);
        world_done(&scene.world);
    }
}

static void test_nonce_stays_in_its_partition(void **state)
{
    struct request_options options;
    struct scene scene;

    (void)state;
    scene_init(&scene);
    scene_get(&scene, "http://a.com/1", AUTH_SCHEME_DIGEST);
    server_says(&scene.world, ASK_DIGEST);
    server_says(&scene.world, OK_2);
    teller_init(&scene.teller, &scene.world);
    options_get(&options, "http://a.com/1");
    options.partition.uid++;
    set_login(&options, AUTH_SCHEME_DIGEST);
    teller_send(&scene.teller, &options);
    assert_true(hears_none(&scene));
    server_says(&scene.world, OK_2);
    world_done(&scene.world);
}

static void test_same_origin_redirect_takes_the_login_along(void **state)
{
    struct scene scene;

    (void)state;
    scene_init(&scene);
    scene_get(&scene, "http://a.com/1", AUTH_SCHEME_DIGEST);
    server_says(&scene.world, ASK_DIGEST);
    (void)hears(&scene);
    go_elsewhere(&scene, "/2");
    assert_digest(&scene, "n1", "00000002");
    server_says(&scene.world, OK_2);
    world_done(&scene.world);
}

static void test_nextnonce_is_used_next(void **state)
{
    struct scene scene;

    (void)state;
    scene_init(&scene);
    scene_get(&scene, "http://a.com/1", AUTH_SCHEME_DIGEST);
    server_says(&scene.world, ASK_DIGEST);
    (void)hears(&scene);
    server_says(&scene.world, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n"
                              "Authentication-Info: nextnonce=\"n7\"\r\n\r\nOK");
    assert_story(&scene.teller, DONE);
    scene_get(&scene, "http://a.com/1", AUTH_SCHEME_DIGEST);
    assert_digest(&scene, "n7", "00000001");
    server_says(&scene.world, OK_2);
    world_done(&scene.world);
}

static void test_server_with_a_wrong_rspauth_fails_the_request(void **state)
{
    struct scene scene;

    (void)state;
    scene_init(&scene);
    scene_get(&scene, "http://a.com/1", AUTH_SCHEME_DIGEST);
    server_says(&scene.world, ASK_DIGEST);
    (void)hears(&scene);
    server_says(&scene.world, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n"
                              "Authentication-Info: rspauth=\"00\", qop=auth\r\n\r\nOK");
    assert_story(&scene.teller, " failed:policy");
    scene_get(&scene, "http://a.com/1", AUTH_SCHEME_DIGEST);
    assert_true(hears_none(&scene)); /* and its nonce is forgotten */
    server_says(&scene.world, OK_2);
    world_done(&scene.world);
}

static void test_auth_int_covers_an_inline_body_and_leaves_a_stream_alone(void **state)
{
    static const char ask[] = HEAD_401 "Digest realm=r, nonce=n, qop=auth-int\r\n\r\nno";
    struct request_options options;
    struct failure why;
    struct scene scene;
    char text[64];

    (void)state;
    scene_init(&scene);
    options_get(&options, "http://a.com/1");
    (void)snprintf(options.method, sizeof(options.method), "POST");
    assert_int_equal(request_options_set_inline_body(&options, SPAN_LIT("body"), &why), 0);
    set_login(&options, AUTH_SCHEME_DIGEST);
    teller_send(&scene.teller, &options);
    assert_true(hears_none(&scene));
    server_says(&scene.world, ask);
    const char *heard = hears(&scene);
    heard_param(heard, "qop", text, sizeof(text));
    assert_string_equal(text, "auth-int");
    assert_non_null(strstr(heard, "\r\n\r\nbody"));
    server_says(&scene.world, OK_2);
    assert_story(&scene.teller, DONE);

    teller_init(&scene.teller, &scene.world);
    options_get(&options, "http://a.com/1");
    (void)snprintf(options.method, sizeof(options.method), "POST");
    options.body_kind = REQUEST_BODY_STREAM;
    options.body_has_length = true;
    options.body_length = 4;
    set_login(&options, AUTH_SCHEME_DIGEST);
    teller_send(&scene.teller, &options);
    assert_true(hears_none(&scene)); /* a nonce is there, but this body is not at hand */
    server_says(&scene.world, ask);
    assert_non_null(strstr(scene.teller.story, "head(401,2) no done"));
    world_done(&scene.world);
}

static void test_bearer_token_goes_ahead(void **state)
{
    struct scene scene;

    (void)state;
    scene_init(&scene);
    scene_get(&scene, "http://a.com/1", AUTH_SCHEME_BEARER);
    assert_non_null(strstr(hears(&scene), "Authorization: Bearer t0k.en\r\n"));
    server_says(&scene.world, OK_2);
    assert_story(&scene.teller, DONE);
    world_done(&scene.world);
}

static void test_au02_credentials_that_cannot_be_sent_are_refused(void **state)
{
    char *big = repeat('a', 1 << 20);
    struct span huge = {big, 1 << 20};
    const struct {
        enum auth_scheme scheme;
        struct span user, password, domain, token;
        bool preemptive;
        int want;
    } rows[] = {
        {AUTH_SCHEME_BASIC, huge, SPAN_LIT(""), SPAN_LIT(""), SPAN_LIT(""), false, -EINVAL},
        {AUTH_SCHEME_DIGEST, SPAN_LIT("u"), huge, SPAN_LIT(""), SPAN_LIT(""), false, -EINVAL},
        {AUTH_SCHEME_DIGEST, SPAN_LIT("a:b"), SPAN_LIT("p"), SPAN_LIT(""), SPAN_LIT(""), false,
         -EINVAL},
        {AUTH_SCHEME_ANY, SPAN_LIT("a\r\nb"), SPAN_LIT("p"), SPAN_LIT(""), SPAN_LIT(""), false,
         -EINVAL},
        {AUTH_SCHEME_DIGEST, SPAN_LIT("u"), SPAN_LIT("p"), SPAN_LIT(""), SPAN_LIT(""), true,
         -EINVAL},
        {AUTH_SCHEME_BASIC, SPAN_LIT("u"), SPAN_LIT("p"), SPAN_LIT(""), SPAN_LIT("t"), false,
         -EINVAL},
        {AUTH_SCHEME_BEARER, SPAN_LIT("u"), SPAN_LIT(""), SPAN_LIT(""), SPAN_LIT("t"), false,
         -EINVAL},
        {AUTH_SCHEME_BEARER, SPAN_LIT(""), SPAN_LIT(""), SPAN_LIT(""), SPAN_LIT(""), false,
         -EINVAL},
        {AUTH_SCHEME_BEARER, SPAN_LIT(""), SPAN_LIT(""), SPAN_LIT(""), SPAN_LIT("a b"), false,
         -EINVAL},
        {AUTH_SCHEME_BEARER, SPAN_LIT(""), SPAN_LIT(""), SPAN_LIT(""), SPAN_LIT("a\r\nb"),
         false, -EINVAL},
        {AUTH_SCHEME_BEARER, SPAN_LIT(""), SPAN_LIT(""), SPAN_LIT(""), huge, false, -EINVAL},
        {AUTH_SCHEME_BEARER, SPAN_LIT(""), SPAN_LIT(""), SPAN_LIT(""), SPAN_LIT("t=="), false,
         0},
        {AUTH_SCHEME_ANY, SPAN_LIT(""), SPAN_LIT(""), SPAN_LIT(""), SPAN_LIT(""), false, 0},
        {AUTH_SCHEME_ANY, SPAN_LIT("u"), SPAN_LIT(""), SPAN_LIT(""), SPAN_LIT(""), false, 0},
        {AUTH_SCHEME_ANY, SPAN_LIT("u"), SPAN_LIT(""), SPAN_LIT("CORP"), SPAN_LIT(""), false,
         0},
        {AUTH_SCHEME_ANY, SPAN_LIT(""), SPAN_LIT(""), SPAN_LIT("CORP"), SPAN_LIT(""), false,
         -EINVAL},
        {AUTH_SCHEME_ANY, SPAN_LIT("u"), SPAN_LIT(""), SPAN_LIT("CO:RP"), SPAN_LIT(""), false,
         -EINVAL},
        {AUTH_SCHEME_ANY, SPAN_LIT("u"), SPAN_LIT(""), SPAN_LIT("A\\B"), SPAN_LIT(""), false,
         -EINVAL},
        {AUTH_SCHEME_ANY, SPAN_LIT("u"), SPAN_LIT(""), SPAN_LIT("a\nb"), SPAN_LIT(""), false,
         -EINVAL},
        {AUTH_SCHEME_ANY, SPAN_LIT("u"), SPAN_LIT(""), huge, SPAN_LIT(""), false, -EINVAL},
        {AUTH_SCHEME_BEARER, SPAN_LIT(""), SPAN_LIT(""), SPAN_LIT("CORP"), SPAN_LIT("t"), false,
         -EINVAL},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct request_options options;
        struct failure why = {0};

        struct request_credentials credentials = {
            .scheme = rows[i].scheme,
            .user = rows[i].user,
            .password = rows[i].password,
            .domain = rows[i].domain,
            .token = rows[i].token,
            .preemptive = rows[i].preemptive,
        };

        request_options_init(&options);
        assert_int_equal(request_options_set_credentials(&options, &credentials, &why),
                         rows[i].want);
        assert_int_equal(strlen(why.text) > 0, rows[i].want < 0);
        request_options_done(&options);
    }
    free(big);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_digest_answers_a_challenge_and_goes_ahead_of_the_next),
        cmocka_unit_test(test_au06_401_for_ever_sees_credentials_twice_at_most),
        cmocka_unit_test(test_au06_nonce_of_others_that_is_refused_is_replaced_once),
        cmocka_unit_test(test_au07_any_takes_digest_and_never_basic_over_plain_http),
        cmocka_unit_test(test_au01_user_of_the_url_has_no_password_of_another),
        cmocka_unit_test(test_rd01_rd02_rd03_rd04_rd10_rd14_logins_stay_at_their_origin),
        cmocka_unit_test(test_rd03_way_down_from_https_has_no_login_and_no_secure_cookie),
        cmocka_unit_test(test_rd05_login_is_not_there_again_when_the_chain_comes_home),
        cmocka_unit_test(test_rd09_nonce_of_one_origin_is_not_used_at_another),
        cmocka_unit_test(test_nonce_stays_in_its_partition),
        cmocka_unit_test(test_same_origin_redirect_takes_the_login_along),
        cmocka_unit_test(test_nextnonce_is_used_next),
        cmocka_unit_test(test_server_with_a_wrong_rspauth_fails_the_request),
        cmocka_unit_test(test_auth_int_covers_an_inline_body_and_leaves_a_stream_alone),
        cmocka_unit_test(test_bearer_token_goes_ahead),
        cmocka_unit_test(test_au02_credentials_that_cannot_be_sent_are_refused),
    };

    return cmocka_run_group_tests_name("fetch/request_auth", tests, NULL, NULL);
}
