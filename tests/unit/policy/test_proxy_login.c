/* SPDX-License-Identifier: MIT */
/* What a proxy is told of a login, and what it never learns of another's. */
#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "policy/proxy_login.h"
#include "support/span_test.h"

#define DIGEST "Digest realm=\"cave\", nonce=\"n1\", qop=\"auth\", algorithm=SHA-256"
#define BASIC  "Basic realm=\"cave\""

static const uint8_t chance[DIGEST_CHANCE_BYTES] = {1, 2, 3};

struct scene {
    struct auth_cache cache;
    struct partition who;
    struct origin proxy;
    struct proxy_login login;
    struct proxy_login_ask ask;
    struct buf said;
};

static void scene_init(struct scene *scene, enum auth_scheme scheme)
{
    *scene = (struct scene){.proxy = {.port = 3128, .host = "proxy.example"}};
    auth_cache_init(&scene->cache);
    assert_int_equal(partition_init(&scene->who, 1000, SPAN_LIT("")), 0);
    scene->ask = (struct proxy_login_ask){.place = {&scene->who, &scene->proxy},
                                          .scheme = scheme,
                                          .user = SPAN_LIT("ann"),
                                          .password = SPAN_LIT("secret"),
                                          .method = SPAN_LIT("CONNECT"),
                                          .target = SPAN_LIT("a.com:443"),
                                          .has_body_bytes = true};
}

static void scene_done(struct scene *scene)
{
    proxy_login_done(&scene->login);
    auth_cache_done(&scene->cache);
    buf_done(&scene->said);
}

/* What goes out next. */
static const char *says(struct scene *scene)
{
    buf_clear(&scene->said);
    assert_int_equal(
        proxy_login_format(&scene->login, &scene->cache, &scene->ask, chance, &scene->said), 0);
    return buf_c_str(&scene->said);
}

/* A 407 with these challenges. */
static int hears(struct scene *scene, const char *one, const char *two)
{
    struct headers headers;

    headers_init(&headers, HEADERS_BYTES_MAX, HEADERS_COUNT_MAX);
    assert_int_equal(headers_add(&headers, SPAN_LIT("Proxy-Authenticate"), span_of(one)), 0);
    if (two)
        assert_int_equal(headers_add(&headers, SPAN_LIT("Proxy-Authenticate"), span_of(two)),
                         0);
    /* An origin's challenges are nothing to this. */
    assert_int_equal(headers_add(&headers, SPAN_LIT("WWW-Authenticate"),
                                 SPAN_LIT("Digest realm=o, nonce=o")),
                     0);
    int r = proxy_login_answer(&scene->login, &scene->cache, &scene->ask, &headers);
    headers_done(&headers);
    return r;
}

static void test_basic_goes_at_once_and_once(void **state)
{
    struct scene scene;

    (void)state;
    scene_init(&scene, AUTH_SCHEME_BASIC);
    assert_string_equal(says(&scene), "Basic YW5uOnNlY3JldA==");
    assert_int_equal(hears(&scene, BASIC, NULL), PROXY_LOGIN_REFUSED);
    scene_done(&scene);
}

static void test_px05_without_a_login_nothing_is_ever_said(void **state)
{
    struct scene scene;

    (void)state;
    scene_init(&scene, AUTH_SCHEME_DIGEST);
    assert_string_equal(says(&scene), "");
    assert_int_equal(hears(&scene, DIGEST, NULL), PROXY_LOGIN_AGAIN);
    assert_true(strlen(says(&scene)) > 0);
    proxy_login_done(&scene.login);
    scene.ask.scheme = AUTH_SCHEME_NONE; /* the next request has none */
    assert_string_equal(says(&scene), "");
    assert_int_equal(hears(&scene, DIGEST, BASIC), PROXY_LOGIN_REFUSED);
    assert_string_equal(says(&scene), "");
    scene_done(&scene);
}

static void test_digest_answers_counts_and_gives_up(void **state)
{
    struct scene scene;

    (void)state;
    scene_init(&scene, AUTH_SCHEME_DIGEST);
    assert_string_equal(says(&scene), "");
    assert_int_equal(hears(&scene, BASIC, DIGEST), PROXY_LOGIN_AGAIN);
    const char *said = says(&scene);
    assert_non_null(strstr(said, "username=\"ann\""));
    assert_non_null(strstr(said, "uri=\"a.com:443\""));
    assert_non_null(strstr(said, "nonce=\"n1\""));
    assert_non_null(strstr(said, "nc=00000001"));
    assert_null(strstr(said, "secret"));
    assert_int_equal(hears(&scene, DIGEST, NULL), PROXY_LOGIN_REFUSED); /* wrong password */
    scene_done(&scene);
}

static void test_a_nonce_that_is_too_old_is_no_refusal_but_twice_is_enough(void **state)
{
    struct scene scene;

    (void)state;
    scene_init(&scene, AUTH_SCHEME_DIGEST);
    assert_int_equal(hears(&scene, DIGEST, NULL), PROXY_LOGIN_AGAIN);
    (void)says(&scene);
    proxy_login_done(&scene.login); /* another connection, later */
    assert_non_null(strstr(says(&scene), "nc=00000002"));
    assert_int_equal(hears(&scene, DIGEST ", stale=true", NULL), PROXY_LOGIN_AGAIN);
    assert_non_null(strstr(says(&scene), "nc=00000001"));
    assert_int_equal(hears(&scene, DIGEST ", stale=true", NULL), PROXY_LOGIN_REFUSED);
    scene_done(&scene);
}

static void test_any_takes_digest_and_basic_over_tls_alone(void **state)
{
    struct scene scene;

    (void)state;
    scene_init(&scene, AUTH_SCHEME_ANY);
    assert_string_equal(says(&scene), "");
    assert_int_equal(hears(&scene, BASIC, DIGEST), PROXY_LOGIN_AGAIN);
    assert_non_null(strstr(says(&scene), "Digest "));
    scene_done(&scene);

    scene_init(&scene, AUTH_SCHEME_ANY);
    assert_int_equal(hears(&scene, BASIC, NULL), PROXY_LOGIN_REFUSED);
    assert_string_equal(says(&scene), "");
    scene_done(&scene);

    scene_init(&scene, AUTH_SCHEME_ANY);
    scene.proxy.is_https = true;
    assert_int_equal(hears(&scene, BASIC, NULL), PROXY_LOGIN_AGAIN);
    assert_non_null(strstr(says(&scene), "Basic "));
    assert_int_equal(hears(&scene, BASIC, NULL), PROXY_LOGIN_REFUSED);
    scene_done(&scene);
}

static void test_px04_a_nonce_is_one_proxys_and_one_partitions(void **state)
{
    struct scene scene;
    struct partition work;

    (void)state;
    scene_init(&scene, AUTH_SCHEME_DIGEST);
    assert_int_equal(partition_init(&work, 1000, SPAN_LIT("work")), 0);
    assert_int_equal(hears(&scene, DIGEST, NULL), PROXY_LOGIN_AGAIN);
    proxy_login_done(&scene.login);

    struct origin other = scene.proxy;
    other.port++;
    scene.ask.place.origin = &other;
    assert_string_equal(says(&scene), "");
    other = scene.proxy;
    other.is_https = true;
    assert_string_equal(says(&scene), "");
    other = scene.proxy;
    other.host[0] = 'q';
    assert_string_equal(says(&scene), "");
    scene.ask.place = (struct auth_place){&work, &scene.proxy};
    assert_string_equal(says(&scene), "");
    scene.ask.place = (struct auth_place){&scene.who, &scene.proxy};
    assert_non_null(strstr(says(&scene), "n1"));
    scene_done(&scene);
}

static void test_auth_int_needs_the_body(void **state)
{
    static const char challenge[] = "Digest realm=\"r\", nonce=\"n\", qop=\"auth-int\"";
    struct scene scene;

    (void)state;
    scene_init(&scene, AUTH_SCHEME_DIGEST);
    scene.ask.has_body_bytes = false;
    assert_int_equal(hears(&scene, challenge, NULL), PROXY_LOGIN_REFUSED);
    scene.ask.has_body_bytes = true;
    scene.ask.body = SPAN_LIT("body");
    assert_int_equal(hears(&scene, challenge, NULL), PROXY_LOGIN_AGAIN);
    assert_non_null(strstr(says(&scene), "qop=auth-int"));
    scene.ask.has_body_bytes = false; /* the nonce is there, but of no use */
    assert_string_equal(says(&scene), "");
    scene_done(&scene);
}

static void test_lack_of_memory_is_told(void **state)
{
    (void)state;
    for (uint64_t n = 1;; n++) {
        struct scene scene;
        struct headers headers;

        scene_init(&scene, AUTH_SCHEME_DIGEST);
        headers_init(&headers, HEADERS_BYTES_MAX, HEADERS_COUNT_MAX);
        assert_int_equal(
            headers_add(&headers, SPAN_LIT("Proxy-Authenticate"), SPAN_LIT(DIGEST)), 0);
        mem_fail_at(n);
        int r = proxy_login_answer(&scene.login, &scene.cache, &scene.ask, &headers);
        if (r == PROXY_LOGIN_AGAIN)
            r = proxy_login_format(&scene.login, &scene.cache, &scene.ask, chance, &scene.said);
        mem_fail_at(0);
        headers_done(&headers);
        bool is_whole = r == 0 && scene.said.len > 0;
        assert_true(is_whole || r == -ENOMEM);
        scene_done(&scene);
        if (is_whole)
            return;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_basic_goes_at_once_and_once),
        cmocka_unit_test(test_px05_without_a_login_nothing_is_ever_said),
        cmocka_unit_test(test_digest_answers_counts_and_gives_up),
        cmocka_unit_test(test_a_nonce_that_is_too_old_is_no_refusal_but_twice_is_enough),
        cmocka_unit_test(test_any_takes_digest_and_basic_over_tls_alone),
        cmocka_unit_test(test_px04_a_nonce_is_one_proxys_and_one_partitions),
        cmocka_unit_test(test_auth_int_needs_the_body),
        cmocka_unit_test(test_lack_of_memory_is_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
