/* SPDX-License-Identifier: MIT */
/* Which way a request goes, and what a proxy is shown of it. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "support/fetch_world.h"
#include "support/span_test.h"

#define HEAD_407   "HTTP/1.1 407 No\r\nContent-Length: 2\r\nProxy-Authenticate: "
#define DIGEST     "Digest realm=\"p\", nonce=\"n1\", qop=\"auth\", algorithm=SHA-256"
#define ASK_DIGEST HEAD_407 DIGEST "\r\n\r\nno"
#define ASK_BASIC  HEAD_407 "Basic realm=p\r\n\r\nno"
#define OK_2       "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK"
#define DONE       "head(200,2) OK done"
#define BASIC_UP   "Proxy-Authorization: Basic dTpw\r\n"

struct scene {
    struct fetch_world world;
    struct teller teller;
    struct request_options options;
};

static void scene_init(struct scene *scene)
{
    world_init(&scene->world);
}

/* One more request; go on with set_proxies() and send(). */
static void get(struct scene *scene, const char *url)
{
    teller_init(&scene->teller, &scene->world);
    options_get(&scene->options, url);
}

static void set_proxies(struct scene *scene,
                        const char *http,
                        const char *https,
                        enum auth_scheme scheme,
                        const char *no_proxy)
{
    struct request_proxy_choice one = {.url = span_of(http), .scheme = scheme};
    struct request_proxy_choice two = {.url = span_of(https), .scheme = scheme};
    struct request_proxies proxies = {
        .http = http ? &one : NULL,
        .https = https ? &two : NULL,
        .no_proxy = span_of(no_proxy),
    };
    struct failure why;

    assert_int_equal(request_options_set_proxies(&scene->options, &proxies, &why), 0);
}

static const struct fake_server *
send_it(struct scene *scene, const char *proxy, enum proxy_way way)
{
    teller_send(&scene->teller, &scene->options);
    assert_string_equal(world_server(&scene->world)->proxy, proxy);
    assert_int_equal(world_server(&scene->world)->way, way);
    return world_server(&scene->world);
}

static const char *hears(struct scene *scene)
{
    return server_hears(&scene->world, world_server(&scene->world));
}

static void finish(struct scene *scene)
{
    server_says(&scene->world, OK_2);
    assert_story(&scene->teller, DONE);
}

static void test_a_proxy_that_forwards_is_asked_for_the_url(void **state)
{
    struct scene scene;

    (void)state;
    scene_init(&scene);
    get(&scene, "http://a.com:8080/x?y=z#f");
    set_proxies(&scene, "http://p:3128", NULL, AUTH_SCHEME_NONE, NULL);
    send_it(&scene, "http://p:3128", PROXY_WAY_FORWARD);
    const char *heard = hears(&scene);
    assert_int_equal(
        strncmp(heard, "GET http://a.com:8080/x?y=z HTTP/1.1\r\nHost: a.com:8080\r\n",
                strlen("GET http://a.com:8080/x?y=z HTTP/1.1\r\nHost: a.com:8080")),
        0);
    assert_null(strstr(heard, "Proxy-"));
    server_says(&scene.world, OK_2);
    assert_story(&scene.teller, DONE);
    world_done(&scene.world);
}

static void test_a_login_of_the_url_stays_out_of_what_a_proxy_is_asked_for(void **state)
{
    struct scene scene;

    (void)state;
    scene_init(&scene);
    get(&scene, "http://me:secret@a.com/");
    set_proxies(&scene, "http://p:3128", NULL, AUTH_SCHEME_NONE, NULL);
    send_it(&scene, "http://p:3128", PROXY_WAY_FORWARD);
    assert_int_equal(strncmp(hears(&scene), "GET http://a.com/ HTTP/1.1\r\n", 27), 0);
    finish(&scene);
    world_done(&scene.world);
}

static void test_px02_inside_a_tunnel_there_is_no_word_of_the_proxy(void **state)
{
    static const struct {
        const char *url, *proxy, *name;
        enum proxy_way way;
    } rows[] = {
        {"https://a.com/x", "http://u:p@p:3128", "http://p:3128", PROXY_WAY_CONNECT},
        {"https://a.com/x", "https://u:p@p", "https://p:443", PROXY_WAY_CONNECT},
        {"https://a.com/x", "socks5://u:p@p", "socks5://p:1080", PROXY_WAY_SOCKS5},
        {"http://a.com/x", "socks5h://u:p@p", "socks5://p:1080", PROXY_WAY_SOCKS5},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct scene scene;

        scene_init(&scene);
        get(&scene, rows[i].url);
        set_proxies(&scene, rows[i].proxy, rows[i].proxy, AUTH_SCHEME_NONE, NULL);
        assert_string_equal(send_it(&scene, rows[i].name, rows[i].way)->proxy_login, "u:p");
        const char *heard = hears(&scene);
        assert_int_equal(strncmp(heard, "GET /x HTTP/1.1\r\nHost: a.com\r\n", 30), 0);
        assert_null(strstr(heard, "Proxy"));
        assert_null(strstr(heard, "uthorization"));
        /* A 407 from in there is the origin's, and an answer like any other. */
        server_says(&scene.world, ASK_DIGEST);
        assert_story(&scene.teller, "head(407,2) no done");
        world_done(&scene.world);
    }
}

static void test_what_is_to_be_reached_instead_wants_a_tunnel(void **state)
{
    static const struct span address[] = {SPAN_LIT("192.0.2.1")};
    struct request_connect_to to = {.to_host = (char *)(uintptr_t) "b.com", .to_port = 81};
    struct failure why;
    struct scene scene;

    (void)state;
    scene_init(&scene);
    get(&scene, "http://a.com/");
    set_proxies(&scene, "http://p:3128", NULL, AUTH_SCHEME_NONE, NULL);
    assert_int_equal(request_options_add_connect_to(&scene.options, &to, &why), 0);
    send_it(&scene, "http://p:3128", PROXY_WAY_CONNECT);
    assert_int_equal(strncmp(hears(&scene), "GET / HTTP/1.1\r\n", 16), 0);
    finish(&scene);

    get(&scene, "http://a.com/");
    set_proxies(&scene, "http://p:3128", NULL, AUTH_SCHEME_NONE, NULL);
    assert_int_equal(
        request_options_add_resolve(&scene.options, SPAN_LIT("a.com"), 80, address, 1, &why),
        0);
    send_it(&scene, "http://p:3128", PROXY_WAY_CONNECT);
    finish(&scene);

    get(&scene, "http://a.com/");
    set_proxies(&scene, "http://p:3128", NULL, AUTH_SCHEME_NONE, NULL);
    scene.options.proxy_tunnel = true;
    send_it(&scene, "http://p:3128", PROXY_WAY_CONNECT);
    finish(&scene);
    world_done(&scene.world);
}

static void test_basic_goes_along_and_a_407_is_the_answer(void **state)
{
    struct scene scene;

    (void)state;
    scene_init(&scene);
    get(&scene, "http://a.com/");
    set_proxies(&scene, "http://u:p@p", NULL, AUTH_SCHEME_NONE, NULL);
    send_it(&scene, "http://p:1080", PROXY_WAY_FORWARD);
    assert_non_null(strstr(hears(&scene), BASIC_UP));
    server_says(&scene.world, ASK_BASIC);
    assert_story(&scene.teller, "head(407,2) no done");
    world_done(&scene.world);
}

static void test_digest_answers_a_407_and_goes_ahead_of_the_next(void **state)
{
    struct scene scene;

    (void)state;
    scene_init(&scene);
    get(&scene, "http://a.com/1");
    set_proxies(&scene, "http://u:p@p", NULL, AUTH_SCHEME_DIGEST, NULL);
    send_it(&scene, "http://p:1080", PROXY_WAY_FORWARD);
    assert_null(strstr(hears(&scene), "Proxy-"));
    server_says(&scene.world, ASK_DIGEST);
    const char *heard = hears(&scene);
    assert_non_null(strstr(heard, "Proxy-Authorization: Digest username=\"u\""));
    assert_non_null(strstr(heard, "uri=\"http://a.com/1\""));
    assert_non_null(strstr(heard, "nc=00000001"));
    finish(&scene);

    get(&scene, "http://b.com/2"); /* another origin, the same proxy */
    set_proxies(&scene, "http://u:p@p", NULL, AUTH_SCHEME_DIGEST, NULL);
    send_it(&scene, "http://p:1080", PROXY_WAY_FORWARD);
    assert_non_null(strstr(hears(&scene), "nc=00000002"));
    finish(&scene);

    get(&scene, "http://p:1080/"); /* PX04: the proxy as an origin is somebody else */
    struct request_credentials login = {
        .scheme = AUTH_SCHEME_DIGEST, .user = SPAN_LIT("u"), .password = SPAN_LIT("p")};
    struct failure why;
    assert_int_equal(request_options_set_credentials(&scene.options, &login, &why), 0);
    send_it(&scene, "", PROXY_WAY_DIRECT);
    assert_null(strstr(hears(&scene), "uthorization"));
    finish(&scene);
    world_done(&scene.world);
}

/* A pipe that has been read: there is no half or empty body for the proxy's sake. */
static void test_lb03_a_407_that_wants_a_body_twice_fails_with_rewind(void **state)
{
    struct scene scene;
    struct failure why;
    int ends[2];

    (void)state;
    scene_init(&scene);
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    assert_int_equal(write(ends[1], "body", 4), 4);
    close(ends[1]);
    get(&scene, "http://a.com/1");
    assert_int_equal(request_options_set_method(&scene.options, SPAN_LIT("PUT"), &why), 0);
    assert_int_equal(request_options_set_fd_body(&scene.options, ends[0], &why), 0);
    set_proxies(&scene, "http://u:p@p", NULL, AUTH_SCHEME_DIGEST, NULL);
    send_it(&scene, "http://p:1080", PROXY_WAY_FORWARD);
    world_pass_ms(&scene.world, 1000); /* Expect */
    world_settle_files(&scene.world);
    assert_non_null(strstr(hears(&scene), "body"));
    scene.teller.tell_hops = true;
    server_says(&scene.world, ASK_DIGEST);
    assert_story(&scene.teller, "hop(407)  failed:rewind");
    assert_non_null(strstr(scene.teller.failure.text, "the proxy asks for a login"));
    world_done(&scene.world);
}

static void test_px04_the_nonce_of_one_proxy_is_not_shown_to_another(void **state)
{
    struct scene scene;

    (void)state;
    scene_init(&scene);
    get(&scene, "http://a.com/1");
    set_proxies(&scene, "http://u:p@p", NULL, AUTH_SCHEME_DIGEST, NULL);
    send_it(&scene, "http://p:1080", PROXY_WAY_FORWARD);
    server_says(&scene.world, ASK_DIGEST);
    finish(&scene);

    get(&scene, "http://a.com/1");
    set_proxies(&scene, "http://u:p@q", NULL, AUTH_SCHEME_DIGEST, NULL);
    send_it(&scene, "http://q:1080", PROXY_WAY_FORWARD);
    assert_null(strstr(hears(&scene), "Proxy-"));
    finish(&scene);
    world_done(&scene.world);
}

static void test_px03_a_redirect_to_another_proxy_takes_no_login_along(void **state)
{
    struct scene scene;

    (void)state;
    scene_init(&scene);
    get(&scene, "http://a.com/");
    set_proxies(&scene, "http://one:1@p", "http://q", AUTH_SCHEME_NONE, NULL);
    send_it(&scene, "http://p:1080", PROXY_WAY_FORWARD);
    assert_non_null(strstr(hears(&scene), "Proxy-Authorization: Basic b25lOjE="));
    server_says(&scene.world, "HTTP/1.1 302 Go\r\nLocation: https://a.com/\r\n"
                              "Content-Length: 0\r\n\r\n");
    assert_string_equal(world_server(&scene.world)->proxy, "http://q:1080");
    assert_string_equal(world_server(&scene.world)->proxy_login, "");
    assert_null(strstr(hears(&scene), "Proxy-"));
    server_says(&scene.world, OK_2);
    assert_true(scene.teller.n_done == 1 && !scene.teller.has_failed);
    world_done(&scene.world);
}

static void test_a_redirect_to_an_exception_leaves_the_proxy(void **state)
{
    struct scene scene;

    (void)state;
    scene_init(&scene);
    get(&scene, "http://a.com/");
    set_proxies(&scene, "http://u:p@p", NULL, AUTH_SCHEME_NONE, "b.com");
    send_it(&scene, "http://p:1080", PROXY_WAY_FORWARD);
    server_says(&scene.world, "HTTP/1.1 302 Go\r\nLocation: http://x.b.com/\r\n"
                              "Content-Length: 0\r\n\r\n");
    assert_string_equal(world_server(&scene.world)->proxy, "");
    const char *heard = hears(&scene);
    assert_int_equal(strncmp(heard, "GET / HTTP/1.1\r\n", 16), 0);
    assert_null(strstr(heard, "Proxy-"));
    server_says(&scene.world, OK_2);
    assert_true(scene.teller.n_done == 1 && !scene.teller.has_failed);
    world_done(&scene.world);
}

static void test_px05_pl08_pl09_no_connection_and_no_login_is_anothers(void **state)
{
    static const char *const proxies[] = {"http://u:p@p", "http://p", "http://v:p@p",
                                          "http://u:p@q", ""};
    struct scene scene;

    (void)state;
    scene_init(&scene);
    for (size_t i = 0; i < COUNT_OF(proxies); i++) {
        get(&scene, "http://a.com/");
        if (proxies[i][0])
            set_proxies(&scene, proxies[i], NULL, AUTH_SCHEME_NONE, NULL);
        teller_send(&scene.teller, &scene.options);
        assert_int_equal(scene.world.n_servers, i + 1); /* each its own */
        const char *heard = hears(&scene);
        assert_int_equal(strstr(heard, "Proxy-Authorization") != NULL,
                         strchr(proxies[i], '@') != NULL);
        finish(&scene);
    }
    get(&scene, "http://a.com/"); /* and the first one's is still there for the first one */
    set_proxies(&scene, proxies[0], NULL, AUTH_SCHEME_NONE, NULL);
    teller_send(&scene.teller, &scene.options);
    assert_int_equal(scene.world.n_servers, COUNT_OF(proxies));
    assert_non_null(strstr(server_hears(&scene.world, &scene.world.servers[0]), BASIC_UP));
    (void)server_says_bytes(&scene.world, &scene.world.servers[0], SPAN_LIT(OK_2));
    assert_story(&scene.teller, DONE);
    world_done(&scene.world);
}

static void test_a_proxy_that_forwards_is_not_shared_between_origins(void **state)
{
    struct scene scene;

    (void)state;
    scene_init(&scene);
    get(&scene, "http://a.com/");
    set_proxies(&scene, "http://p", NULL, AUTH_SCHEME_NONE, NULL);
    send_it(&scene, "http://p:1080", PROXY_WAY_FORWARD);
    finish(&scene);
    get(&scene, "http://b.com/");
    set_proxies(&scene, "http://p", NULL, AUTH_SCHEME_NONE, NULL);
    send_it(&scene, "http://p:1080", PROXY_WAY_FORWARD);
    assert_int_equal(scene.world.n_servers, 2);
    finish(&scene);
    world_done(&scene.world);
}

static void test_the_daemons_proxy_is_for_those_who_say_nothing(void **state)
{
    struct proxy proxy;
    struct scene scene;

    (void)state;
    scene_init(&scene);
    assert_int_equal(proxy_parse(SPAN_LIT("http://u:p@d:1"), &proxy), PROXY_OK);
    scene.world.fetcher->options.proxy = &proxy;
    scene.world.fetcher->options.no_proxy = SPAN_LIT("local,10.0.0.0/8");

    get(&scene, "http://a.com/1");
    send_it(&scene, "http://d:1", PROXY_WAY_FORWARD);
    finish(&scene);
    get(&scene, "https://a.com/2");
    assert_string_equal(send_it(&scene, "http://d:1", PROXY_WAY_CONNECT)->proxy_login, "u:p");
    finish(&scene);
    get(&scene, "http://www.local/3");
    send_it(&scene, "", PROXY_WAY_DIRECT);
    finish(&scene);
    get(&scene, "http://a.com/4"); /* an exception of the caller's, beside the daemon's */
    set_proxies(&scene, NULL, NULL, AUTH_SCHEME_NONE, "a.com");
    send_it(&scene, "", PROXY_WAY_DIRECT);
    finish(&scene);
    get(&scene, "http://10.1.1.1/5");
    set_proxies(&scene, NULL, NULL, AUTH_SCHEME_NONE, "a.com");
    send_it(&scene, "", PROXY_WAY_DIRECT);
    finish(&scene);
    get(&scene, "http://www.local/6"); /* the daemon's exceptions are not for others' proxies */
    set_proxies(&scene, "http://p", NULL, AUTH_SCHEME_NONE, NULL);
    send_it(&scene, "http://p:1080", PROXY_WAY_FORWARD);
    finish(&scene);
    get(&scene, "https://a.com/7"); /* who names one for http alone has none for https */
    set_proxies(&scene, "http://p", NULL, AUTH_SCHEME_NONE, NULL);
    send_it(&scene, "", PROXY_WAY_DIRECT);
    finish(&scene);
    get(&scene, "http://b.com/8");
    struct failure why;
    assert_int_equal(request_options_set_proxies(
                         &scene.options, &(struct request_proxies){.direct = true}, &why),
                     0);
    send_it(&scene, "", PROXY_WAY_DIRECT);
    finish(&scene);
    scene.world.fetcher->options.proxy = NULL;
    proxy_done(&proxy);
    world_done(&scene.world);
}

static void test_a_proxy_that_changes_under_a_request_is_kept_for_it(void **state)
{
    struct proxy proxy;
    struct scene scene;

    (void)state;
    scene_init(&scene);
    assert_int_equal(proxy_parse(SPAN_LIT("http://u:p@d:1"), &proxy), PROXY_OK);
    scene.world.fetcher->options.proxy = &proxy;
    scene.world.hold_connects = true;
    get(&scene, "http://a.com/");
    teller_send(&scene.teller, &scene.options);
    scene.world.fetcher->options.proxy = NULL; /* a reload */
    proxy_done(&proxy);
    world_connect(&scene.world);
    assert_non_null(strstr(hears(&scene), BASIC_UP));
    finish(&scene);
    world_done(&scene.world);
}

static void test_wrong_uses_are_refused_with_what_is_right(void **state)
{
    static const char *const urls[] = {"", "ftp://p", "socks4://p", "http://p/x", "http://p:0"};
    struct request_proxy_choice choice = {.url = SPAN_LIT("http://p")};
    struct request_options options;
    struct failure why;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(urls); i++) {
        choice.url = span_of(urls[i]);
        request_options_init(&options);
        assert_int_equal(request_options_set_proxies(
                             &options, &(struct request_proxies){.http = &choice}, &why),
                         -EINVAL);
        assert_int_equal(why.kind, FAILURE_ARGUMENT);
        assert_int_equal(strncmp(why.text, "proxy: ", 7), 0);
        request_options_done(&options);
    }
    choice.url = SPAN_LIT("http://p");
    const struct request_proxies contradictions[] = {
        {.direct = true, .http = &choice},           {.direct = true, .https = &choice},
        {.direct = true, .no_proxy = SPAN_LIT("x")}, {.direct = true, .tunnel = true},
        {.http = &choice, .no_proxy = {"a\0b", 3}},  {.no_proxy = {"", PROXY_NO_PROXY_MAX + 1}},
    };
    for (size_t i = 0; i < COUNT_OF(contradictions); i++) {
        request_options_init(&options);
        assert_int_equal(request_options_set_proxies(&options, &contradictions[i], &why),
                         -EINVAL);
        request_options_done(&options);
    }
}

static void test_every_failing_allocation_ends_in_one_event(void **state)
{
    bool ran_out = true;
    uint64_t n = 0;

    (void)state;
    while (ran_out) {
        struct scene scene;

        n++;
        scene_init(&scene);
        get(&scene, "http://a.com/1");
        set_proxies(&scene, "http://u:p@p", NULL, AUTH_SCHEME_DIGEST, NULL);
        mem_fail_at(n);
        int r = teller_try(&scene.teller, &scene.options);
        world_turn(&scene.world);
        if (r == 0 && scene.world.n_servers > 0)
            server_says(&scene.world, ASK_DIGEST);
        if (r == 0 && scene.world.n_servers > 0)
            server_says(&scene.world, OK_2);
        ran_out = mem_alloc_count() >= n;
        mem_fail_at(0);
        request_options_done(&scene.options);
        world_pass_ms(&scene.world, 100000); /* what a server's own lack of memory kept back */
        assert_true(r == -ENOMEM || scene.teller.n_done == 1);
        if (!ran_out)
            assert_story(&scene.teller, DONE);
        world_done(&scene.world);
    }
    assert_true(n > 20 && n < 999);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_proxy_that_forwards_is_asked_for_the_url),
        cmocka_unit_test(test_a_login_of_the_url_stays_out_of_what_a_proxy_is_asked_for),
        cmocka_unit_test(test_px02_inside_a_tunnel_there_is_no_word_of_the_proxy),
        cmocka_unit_test(test_what_is_to_be_reached_instead_wants_a_tunnel),
        cmocka_unit_test(test_basic_goes_along_and_a_407_is_the_answer),
        cmocka_unit_test(test_digest_answers_a_407_and_goes_ahead_of_the_next),
        cmocka_unit_test(test_lb03_a_407_that_wants_a_body_twice_fails_with_rewind),
        cmocka_unit_test(test_px04_the_nonce_of_one_proxy_is_not_shown_to_another),
        cmocka_unit_test(test_px03_a_redirect_to_another_proxy_takes_no_login_along),
        cmocka_unit_test(test_a_redirect_to_an_exception_leaves_the_proxy),
        cmocka_unit_test(test_px05_pl08_pl09_no_connection_and_no_login_is_anothers),
        cmocka_unit_test(test_a_proxy_that_forwards_is_not_shared_between_origins),
        cmocka_unit_test(test_the_daemons_proxy_is_for_those_who_say_nothing),
        cmocka_unit_test(test_a_proxy_that_changes_under_a_request_is_kept_for_it),
        cmocka_unit_test(test_wrong_uses_are_refused_with_what_is_right),
        cmocka_unit_test(test_every_failing_allocation_ends_in_one_event),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
