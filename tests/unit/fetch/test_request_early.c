/* SPDX-License-Identifier: MIT */
/*
 * Which requests may go before TLS is done (TS11): the pool is asked as the connector would ask
 * it, at the moment a connection is there.
 */
#include <stdio.h>

#include "base/mem.h"
#include "fetch/request.h"
#include "support/fetch_world.h"
#include "support/test.h"

#define OK_5     "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nHELLO"
#define TOO_SOON "HTTP/1.1 425 Too Early\r\nContent-Length: 0\r\n\r\n"

static const struct row {
    const char *method;
    const char *url;
    bool is_unasked;
    bool has_body;
    bool is_judged; /* by the caller, with the certificates in hand */
    bool is_forbidden;
    bool may;
    enum request_early outcome;
} rows[] = {
    {"GET", "https://a.test/", .may = true},
    {"HEAD", "https://a.test/", .may = true},
    {"GET", "https://u:p@a.test/", .may = true}, /* his own login goes along */
    {"GET", "https://a.test/", .is_unasked = true},
    {"GET", "https://a.test/", .has_body = true},
    {"HEAD", "https://a.test/", .has_body = true},
    {"POST", "https://a.test/", .has_body = true},
    {"POST", "https://a.test/", .may = false},
    {"PUT", "https://a.test/", .has_body = true},
    {"DELETE", "https://a.test/", .may = false},
    {"OPTIONS", "https://a.test/", .may = false},
    {"PATCH", "https://a.test/", .has_body = true},
    {"PROPFIND", "https://a.test/", .may = false},
    {"get2", "https://a.test/", .may = false},
    {"GET", "http://a.test/", .may = false}, /* nothing to go before */
    {"GET", "https://a.test/", .is_judged = true},
    {"GET", "https://a.test/", .is_forbidden = true, .outcome = REQUEST_EARLY_FORBIDDEN},
    {"POST", "https://a.test/", .is_forbidden = true},
    {"GET", "https://a.test/", .is_unasked = true, .is_forbidden = true},
};

static void send_row(struct fetch_world *world, struct teller *teller, const struct row *row)
{
    struct request_options options;
    struct failure why;

    teller_init(teller, world);
    options_get(&options, row->url);
    options.early_data = !row->is_unasked;
    assert_int_equal(request_options_set_method(&options, span_of(row->method), &why), 0);
    if (row->has_body)
        assert_int_equal(request_options_set_inline_body(&options, SPAN_LIT("x"), &why), 0);
    if (row->is_judged)
        assert_int_equal(request_options_set_verdict(&options, 0, &why), 0);
    world->fetcher->options.forbids_early_data = row->is_forbidden;
    teller_send(teller, &options);
}

static void test_ts11_who_may_go_early(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct fetch_world world;
        struct teller teller;

        world_init(&world);
        send_row(&world, &teller, &rows[i]);
        if (world_server(&world)->may_be_early != rows[i].may)
            print_message("row %zu: %s %s\n", i, rows[i].method, rows[i].url);
        assert_int_equal(world_server(&world)->may_be_early, rows[i].may);
        if (!rows[i].is_judged) {
            server_says(&world, OK_5);
            assert_int_equal(teller.head.early, rows[i].outcome);
        }
        if (teller.request)
            request_close(teller.request);
        world_done(&world);
    }
}

/* Each hop is judged for itself. */
static void
test_ts11_a_hop_that_becomes_a_get_may_and_one_that_leaves_https_may_not(void **state)
{
    static const struct row post = {"POST", "https://a.test/", .has_body = true};
    struct fetch_world world;
    struct teller teller;

    (void)state;
    world_init(&world);
    send_row(&world, &teller, &post);
    assert_false(world_server(&world)->may_be_early);
    server_says(&world, "HTTP/1.1 303 See\r\nLocation: https://b.test/\r\n"
                        "Content-Length: 0\r\n\r\n");
    assert_int_equal(world.n_servers, 2);
    assert_true(world_server(&world)->may_be_early);
    server_says(&world, "HTTP/1.1 302 See\r\nLocation: http://c.test/\r\n"
                        "Content-Length: 0\r\n\r\n");
    assert_int_equal(world.n_servers, 3);
    assert_false(world_server(&world)->may_be_early);
    server_says(&world, OK_5);
    assert_int_equal(teller.n_done, 1);
    world_done(&world);
}

static void test_425_to_what_was_not_early_is_an_answer(void **state)
{
    struct fetch_world world;
    struct teller teller;

    (void)state;
    world_init(&world);
    send_row(&world, &teller, &rows[0]);
    server_says(&world, TOO_SOON); /* the connection in memory has no TLS */
    assert_story(&teller, "head(425,0)  done");
    assert_int_equal(world.n_servers, 1);
    world_done(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ts11_who_may_go_early),
        cmocka_unit_test(
            test_ts11_a_hop_that_becomes_a_get_may_and_one_that_leaves_https_may_not),
        cmocka_unit_test(test_425_to_what_was_not_early_is_an_answer),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
