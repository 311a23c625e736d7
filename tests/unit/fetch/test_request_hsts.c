/* SPDX-License-Identifier: MIT */
/* Hosts that want https: how they are learned from answers, and what becomes of http URLs. */
#include <errno.h>
#include <stdio.h>

#include "base/mem.h"
#include "http/hsts_header.h"
#include "policy/cookie_jar.h"
#include "policy/hsts.h"
#include "support/fetch_world.h"
#include "support/test.h"

#define OK_0 "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
#define STS_1                                                                                  \
    "HTTP/1.1 200 OK\r\nStrict-Transport-Security: max-age=1000\r\nContent-Length: 0\r\n\r\n"
#define NOW_S INT64_C(1800000000)

static struct fetch_world world;
static struct teller teller;

static int setup(void **state)
{
    (void)state;
    world_init(&world);
    teller_init(&teller, &world);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    world_done(&world);
    return 0;
}

static void learn(const char *host, bool include_subdomains)
{
    assert_int_equal(hsts_note(world.hosts, span_of(host), 1000, include_subdomains, NOW_S),
                     HSTS_CHANGED);
}

static bool is_known(const char *host)
{
    return hsts_is_secure(world.hosts, span_of(host), NOW_S);
}

/* A request from beginning to end, answered by the last server there is. */
static void get_answered(const char *url, const char *answer)
{
    teller_init(&teller, &world);
    teller_get(&teller, url);
    server_says(&world, answer);
    assert_int_equal(teller.n_done, 1);
}

static void test_hs09_a_known_host_is_asked_over_https_alone(void **state)
{
    static const struct {
        const char *url;
        const char *told;
        uint16_t port;
    } rows[] = {
        {"http://a.com/p?q", "redirect(307,https://a.com/p?q,GET) head(200,0)  done", 443},
        {"http://b.com:80/", "redirect(307,https://b.com/,GET) head(200,0)  done", 443},
        {"http://c.com:8080/", "redirect(307,https://c.com:8080/,GET) head(200,0)  done", 8080},
        {"http://sub.a.com./", "redirect(307,https://sub.a.com./,GET) head(200,0)  done", 443},
        {"https://d.com/", "head(200,0)  done", 443},
        {"http://e.com/", "head(200,0)  done", 80},
    };

    (void)state;
    learn("a.com", true);
    learn("b.com", false);
    learn("c.com", false);
    learn("d.com", false);
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        teller_init(&teller, &world);
        teller_get(&teller, rows[i].url);
        assert_int_equal(world.n_servers, i + 1);
        assert_int_equal(world_server(&world)->port, rows[i].port);
        server_says(&world, OK_0);
        assert_story(&teller, rows[i].told);
        assert_int_equal(teller.head.redirects, 0); /* the server sent none */
    }
}

static void test_hs09_the_method_body_and_fields_of_the_caller_go_along(void **state)
{
    struct request_options options;
    struct failure why;

    (void)state;
    learn("a.com", false);
    options_get(&options, "http://a.com/");
    assert_int_equal(request_options_set_method(&options, SPAN_LIT("PUT"), &why), 0);
    assert_int_equal(request_options_add_header(&options, SPAN_LIT("Authorization"),
                                                SPAN_LIT("Bearer x"), &why),
                     0);
    assert_int_equal(request_options_set_inline_body(&options, SPAN_LIT("body"), &why), 0);
    options.follow_redirects = false; /* not the server's redirect: followed all the same */
    teller_send(&teller, &options);
    const char *heard = server_hears(&world, world_server(&world));
    assert_non_null(strstr(heard, "PUT / HTTP/1.1\r\n"));
    assert_non_null(strstr(heard, "Authorization: Bearer x\r\n"));
    assert_non_null(strstr(heard, "\r\n\r\nbody"));
    server_says(&world, OK_0);
    assert_non_null(strstr(teller.story, "redirect(307,https://a.com/,PUT)"));
    assert_int_equal(teller.n_done, 1);
}

static void test_a_redirect_to_a_known_host_is_upgraded_too(void **state)
{
    (void)state;
    learn("b.com", false);
    teller_get(&teller, "http://a.com/");
    server_says(&world,
                "HTTP/1.1 301 Go\r\nLocation: http://b.com/2\r\nContent-Length: 0\r\n\r\n");
    assert_int_equal(world.n_servers, 2);
    assert_int_equal(world_server(&world)->port, 443);
    server_says(&world, OK_0);
    assert_story(&teller, "redirect(301,http://b.com/2,GET) redirect(307,https://b.com/2,GET) "
                          "head(200,0)  done");
    assert_int_equal(teller.head.redirects, 1);
}

static void test_hs04_what_one_answer_says_the_next_request_obeys(void **state)
{
    (void)state;
    get_answered("https://a.com/", STS_1);
    assert_true(is_known("a.com"));
    get_answered("http://a.com/", OK_0);
    assert_story(&teller, "redirect(307,https://a.com/,GET) head(200,0)  done");
}

static void test_hs04_a_redirect_teaches_before_it_is_followed(void **state)
{
    (void)state;
    teller_get(&teller, "https://a.com/");
    server_says(&world, "HTTP/1.1 302 Go\r\nStrict-Transport-Security: max-age=9\r\n"
                        "Location: http://a.com/2\r\nContent-Length: 0\r\n\r\n");
    server_says(&world, OK_0);
    assert_story(&teller, "redirect(302,http://a.com/2,GET) redirect(307,https://a.com/2,GET) "
                          "head(200,0)  done");
}

static void test_hs05_only_a_verified_https_answer_is_believed(void **state)
{
    struct request_options options;

    (void)state;
    get_answered("http://a.com/", STS_1);
    assert_false(is_known("a.com"));
    get_answered("https://127.0.0.1/", STS_1);
    get_answered("https://[::1]/", STS_1);
    assert_int_equal(hsts_count(world.hosts), 0);
    teller_init(&teller, &world);
    options_get(&options, "https://a.com/");
    options.tls.insecure = true;
    teller_send(&teller, &options);
    server_says(&world, STS_1);
    assert_int_equal(teller.n_done, 1);
    assert_int_equal(hsts_count(world.hosts), 0);

    /* Nor may such an answer take back what is known. */
    learn("a.com", false);
    teller_init(&teller, &world);
    options_get(&options, "https://a.com/");
    options.tls.insecure = true;
    teller_send(&teller, &options);
    server_says(&world, "HTTP/1.1 200 OK\r\nStrict-Transport-Security: max-age=0\r\n"
                        "Content-Length: 0\r\n\r\n");
    assert_true(is_known("a.com"));
}

static void test_hs06_the_first_field_counts_and_0_takes_the_host_out(void **state)
{
    (void)state;
    get_answered("https://a.com/", "HTTP/1.1 200 OK\r\nStrict-Transport-Security: max-age=5\r\n"
                                   "Strict-Transport-Security: max-age=0\r\n"
                                   "Content-Length: 0\r\n\r\n");
    assert_true(is_known("a.com"));
    get_answered("https://a.com/", "HTTP/1.1 200 OK\r\nStrict-Transport-Security: nonsense\r\n"
                                   "Strict-Transport-Security: max-age=0\r\n"
                                   "Content-Length: 0\r\n\r\n");
    assert_true(is_known("a.com"));
    get_answered("https://a.com/", "HTTP/1.1 404 No\r\nStrict-Transport-Security: max-age=0\r\n"
                                   "Content-Length: 0\r\n\r\n");
    assert_false(is_known("a.com"));
}

static void test_hs04_a_new_host_is_on_disk_before_the_head_is_told(void **state)
{
    (void)state;
    world.commit_result = COOKIE_COMMIT_WAIT;
    teller_get(&teller, "https://a.com/");
    server_says(&world, STS_1);
    assert_story(&teller, "");
    assert_int_equal(world.n_commits, 1);
    world_cookies_committed(&world, true);
    assert_story(&teller, "head(200,0)  done");

    teller_init(&teller, &world); /* the same again is nothing new: no disk is waited for */
    teller_get(&teller, "https://a.com/");
    server_says(&world, STS_1);
    assert_int_equal(world.n_commits, 0);
    assert_story(&teller, "head(200,0)  done");
}

static void test_hs07_a_disk_that_says_no_costs_nothing_but_persistence(void **state)
{
    (void)state;
    world.commit_result = COOKIE_COMMIT_NOT_SAVED;
    teller_get(&teller, "https://a.com/");
    server_says(&world, STS_1);
    assert_story(&teller, "head(200,0)  done");
    assert_false(teller.totals.cookies_not_persisted); /* there were none */
    assert_true(is_known("a.com"));
}

static void test_nothing_is_asked_of_the_network_before_the_hosts_are_in_memory(void **state)
{
    (void)state;
    learn("a.com", false);
    world.hosts_result = COOKIE_OPEN_WAIT;
    teller_get(&teller, "http://a.com/");
    assert_int_equal(world.n_servers + world.n_attempts, 0);
    world_cookies_ready(&world);
    server_says(&world, OK_0);
    assert_story(&teller, "redirect(307,https://a.com/,GET) head(200,0)  done");
}

static void test_hosts_that_cannot_be_had_fail_the_request(void **state)
{
    static const struct {
        int result;
        enum failure_kind kind;
    } rows[] = {{-EDQUOT, FAILURE_QUOTA}, {-ENOMEM, FAILURE_INTERNAL}};

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        teller_init(&teller, &world);
        world.hosts_result = rows[i].result;
        teller_get(&teller, "http://a.com/");
        assert_true(teller.has_failed);
        assert_int_equal(teller.failure.kind, rows[i].kind);
    }
    assert_int_equal(world.n_servers, 0);
}

static void test_an_owner_may_leave_inside_the_upgrade(void **state)
{
    (void)state;
    learn("a.com", false);
    for (int act = ACT_CLOSE; act <= ACT_FAIL; act++) {
        teller_init(&teller, &world);
        teller.act = (enum teller_act)act;
        teller.act_at = 0;
        teller_get(&teller, "http://a.com/");
        assert_int_equal(teller.n_heads, 0);
        assert_int_equal(teller.n_done, act == ACT_FAIL);
    }
}

static void test_every_failing_allocation_ends_in_one_honest_end(void **state)
{
    uint64_t n;
    bool ran_out = true;

    (void)state;
    for (n = 1; ran_out && n < 1000; n++) {
        struct request_options options;

        (void)setup(NULL);
        learn("a.com", false);
        options_get(&options, "http://a.com/");
        mem_fail_at(n);
        int r = teller_try(&teller, &options);
        world_turn(&world);
        for (unsigned i = 0; i < world.n_servers; i++)
            assert_int_equal(world.servers[i].port, 443); /* never over http */
        if (teller.request && world.n_servers > 0)
            server_says(&world, "HTTP/1.1 200 OK\r\nStrict-Transport-Security: max-age=9; "
                                "includeSubDomains\r\nContent-Length: 0\r\n\r\n");
        ran_out = mem_alloc_count() >= n;
        mem_fail_at(0);
        request_options_done(&options);
        world_pass_ms(&world, 100000);
        if (r == 0) {
            assert_int_equal(teller.n_done, 1);
            if (!teller.has_failed)
                assert_story(&teller, "redirect(307,https://a.com/,GET) head(200,0)  done");
        }
        (void)teardown(NULL);
    }
    assert_true(n > 10 && n < 999); /* it came to an end, and walked through something */
}

#define HSTS_TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        HSTS_TEST(test_hs09_a_known_host_is_asked_over_https_alone),
        HSTS_TEST(test_hs09_the_method_body_and_fields_of_the_caller_go_along),
        HSTS_TEST(test_a_redirect_to_a_known_host_is_upgraded_too),
        HSTS_TEST(test_hs04_what_one_answer_says_the_next_request_obeys),
        HSTS_TEST(test_hs04_a_redirect_teaches_before_it_is_followed),
        HSTS_TEST(test_hs05_only_a_verified_https_answer_is_believed),
        HSTS_TEST(test_hs06_the_first_field_counts_and_0_takes_the_host_out),
        HSTS_TEST(test_hs04_a_new_host_is_on_disk_before_the_head_is_told),
        HSTS_TEST(test_hs07_a_disk_that_says_no_costs_nothing_but_persistence),
        HSTS_TEST(test_nothing_is_asked_of_the_network_before_the_hosts_are_in_memory),
        HSTS_TEST(test_hosts_that_cannot_be_had_fail_the_request),
        HSTS_TEST(test_an_owner_may_leave_inside_the_upgrade),
        cmocka_unit_test(test_every_failing_allocation_ends_in_one_honest_end),
    };

    return cmocka_run_group_tests_name("fetch/request_hsts", tests, NULL, NULL);
}
