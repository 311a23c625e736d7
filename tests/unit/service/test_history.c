/* SPDX-License-Identifier: MIT */
#include <stdio.h>

#include "base/mem.h"
#include "fetch/request.h"
#include "service/history.h"
#include "support/headers_test.h"
#include "support/test.h"

struct bench {
    struct histories histories;
    struct headers sent;
    struct headers received;
    struct exchange_info info;
    struct request_head head;
    struct partition partition;
    struct url url;
    struct url other;
    struct record_source source;
};

static void bench_init(struct bench *bench)
{
    memset(bench, 0, sizeof(*bench));
    headers_read(&bench->sent, "Accept: */*\nCookie: sid=s3cr3t\nAuthorization: Basic dTpw\n");
    headers_read(&bench->received, "Content-Type: text/plain\nSet-Cookie: sid=n3w; Path=/\n");
    bench->info = (struct exchange_info){.connection_id = 9,
                                         .reused = true,
                                         .remote_address = SPAN_LIT("127.0.0.1"),
                                         .remote_port = 80,
                                         .tls_version = SPAN_LIT("TLSv1.3"),
                                         .tls_cipher = SPAN_LIT("AES")};
    bench->head = (struct request_head){.status = 200,
                                        .http_version = 11,
                                        .reason = SPAN_LIT("OK"),
                                        .sent = &bench->sent,
                                        .headers = &bench->received,
                                        .exchange = &bench->info};
    bench->partition.uid = 1000;
    assert_int_equal(url_parse(SPAN_LIT("http://u:p@a/x?q=s3cr3t"), NULL, &bench->url), 0);
    assert_int_equal(url_parse(SPAN_LIT("http://a/other"), NULL, &bench->other), 0);
    bench->source = (struct record_source){.id = 1,
                                           .client_id = 2,
                                           .begun_us = 3,
                                           .partition = &bench->partition,
                                           .program = SPAN_LIT("prog"),
                                           .method = SPAN_LIT("GET"),
                                           .url = &bench->url,
                                           .head = &bench->head};
}

static void bench_done(struct bench *bench)
{
    histories_done(&bench->histories);
    url_done(&bench->url);
    url_done(&bench->other);
    headers_done(&bench->sent);
    headers_done(&bench->received);
}

static const struct record *find(const struct bench *bench, uint32_t uid, uint64_t id)
{
    return history_find(&bench->histories, uid, false, id);
}

static void
check_line(const struct record *record, size_t i, const char *name, const char *value)
{
    struct header line = record_line(record, (uint32_t)i);

    assert_span(line.name, name);
    assert_span(line.value, value);
}

static void check_whole(const struct record *record)
{
    assert_non_null(record);
    assert_span(record->url, "http://***@a/x?q=***");
    assert_span(record->program, "prog");
    assert_span(record->reason, "OK");
    assert_span(record->address, "127.0.0.1");
    assert_span(record->tls_version, "TLSv1.3");
    assert_span(record->tls_cipher, "AES");
    assert_int_equal(record->status, 200);
    assert_int_equal(record->n_sent, 3);
    assert_int_equal(record->n_received, 2);
    check_line(record, 0, "Accept", "*/*");
    check_line(record, 1, "Cookie", "sid=***");
    check_line(record, 2, "Authorization", "Basic ***");
    check_line(record, 3, "Content-Type", "text/plain");
    check_line(record, 4, "Set-Cookie", "sid=***; Path=/");
}

static bool holds(const struct bench *bench, const char *secret)
{
    const struct record *record = find(bench, 1000, 1);

    return memmem(record, record->size, secret, strlen(secret)) != NULL;
}

static void test_a_record_has_everything_but_secrets(void **state)
{
    struct bench bench;

    (void)state;
    bench_init(&bench);
    assert_non_null(history_add(&bench.histories, &bench.source));
    check_whole(find(&bench, 1000, 1));
    assert_false(holds(&bench, "s3cr3t"));
    assert_false(holds(&bench, "n3w"));
    assert_false(holds(&bench, "dTpw"));
    bench_done(&bench);
}

/* What a list leaves behind when a line is replaced is in its arena still. */
static void test_what_was_removed_from_a_list_is_not_recorded(void **state)
{
    struct bench bench;

    (void)state;
    bench_init(&bench);
    assert_int_equal(headers_remove(&bench.sent, SPAN_LIT("Cookie")), 1);
    assert_non_null(history_add(&bench.histories, &bench.source));
    const struct record *record = find(&bench, 1000, 1);
    assert_int_equal(record->n_sent, 2);
    check_line(record, 1, "Authorization", "Basic ***");
    assert_false(holds(&bench, "s3cr3t"));
    bench_done(&bench);
}

static void test_ip03_a_record_is_found_by_its_user_alone(void **state)
{
    struct bench bench;

    (void)state;
    bench_init(&bench);
    assert_non_null(history_add(&bench.histories, &bench.source));
    assert_non_null(find(&bench, 1000, 1));
    assert_null(find(&bench, 1001, 1));
    assert_null(find(&bench, 1000, 2));
    assert_non_null(history_find(&bench.histories, 0, true, 1));
    bench_done(&bench);
}

static void test_an_end_is_noted_and_the_holder_let_go(void **state)
{
    struct bench bench;
    struct record *held = NULL;
    const struct request_totals totals = {.body_bytes = 5, .wire_bytes = 6};
    const struct request_timing timing = {.total_us = 7};
    struct failure why;

    (void)state;
    bench_init(&bench);
    bench.source.holder = &held;
    struct record *record = history_add(&bench.histories, &bench.source);
    assert_ptr_equal(held, record);
    assert_false(record->is_over);
    failure_set(&why, FAILURE_TRUNCATED, "early");
    record_end(record, &why, &totals, &timing);
    assert_null(held);
    assert_true(record->is_over);
    assert_int_equal(record->body_bytes, 5);
    assert_int_equal(record->timing.total_us, 7);
    assert_int_equal(record->failure.kind, FAILURE_TRUNCATED);
    bench_done(&bench);
}

static void test_the_oldest_make_room_and_their_holders_know(void **state)
{
    struct bench bench;
    struct record *held[2000] = {NULL};
    size_t alive = 0;

    (void)state;
    bench_init(&bench);
    for (size_t i = 0; i < 2000; i++) {
        bench.source.id = i + 1;
        bench.source.holder = &held[i];
        bench.source.url = i % 3 ? &bench.url : &bench.other;
        assert_non_null(history_add(&bench.histories, &bench.source));
        assert_non_null(held[i]);
        assert_ptr_equal(find(&bench, 1000, i + 1), held[i]);
    }
    for (size_t i = 0; i < 2000; i++) {
        assert_ptr_equal(find(&bench, 1000, i + 1), held[i]);
        alive += held[i] != NULL;
        if (i > 0 && held[i - 1])
            assert_non_null(held[i]); /* the youngest are there, without a gap */
    }
    assert_in_range(alive, 100, 1999);
    bench_done(&bench);
    for (size_t i = 0; i < 2000; i++)
        assert_null(held[i]);
}

static void fill_lines(struct headers *headers, size_t n, size_t len)
{
    char value[8192];

    memset(value, 'v', sizeof(value));
    for (size_t i = 0; i < n; i++)
        assert_int_equal(headers_add(headers, SPAN_LIT("X"), (struct span){value, len}), 0);
}

static void test_what_is_too_much_is_left_out_and_counted(void **state)
{
    struct bench bench;

    (void)state;
    bench_init(&bench);
    fill_lines(&bench.received, 300, 1);
    fill_lines(&bench.sent, 4, 8000);
    struct record *record = history_add(&bench.histories, &bench.source);
    assert_non_null(record);
    assert_int_equal(record->n_received, RECORD_LINES_MAX);
    assert_int_equal(record->n_sent, 3 + 2);
    assert_int_equal(record->n_left_out, 302 - RECORD_LINES_MAX + 2);
    check_line(record, 1, "Cookie", "sid=***");
    for (size_t i = 0; i < 300; i++) { /* around the block, with large ones */
        bench.source.id = i + 2;
        record = history_add(&bench.histories, &bench.source);
        assert_int_equal(record->n_sent, 5);
        assert_ptr_equal(find(&bench, 1000, i + 2), record);
    }
    bench_done(&bench);
}

static void test_users_beyond_the_last_take_the_place_of_the_one_longest_unused(void **state)
{
    struct bench bench;
    struct record *held = NULL;

    (void)state;
    bench_init(&bench);
    for (uint32_t uid = 0; uid < HISTORY_USERS; uid++) {
        bench.partition.uid = uid;
        bench.source.id = uid;
        bench.source.holder = uid == 1 ? &held : NULL;
        assert_non_null(history_add(&bench.histories, &bench.source));
    }
    bench.source.holder = NULL;
    bench.partition.uid = 0; /* used once more */
    bench.source.id = 5000;
    assert_non_null(history_add(&bench.histories, &bench.source));
    bench.partition.uid = 99;
    bench.source.id = 6000;
    assert_non_null(held);
    assert_non_null(history_add(&bench.histories, &bench.source));
    assert_null(held);
    assert_null(find(&bench, 1, 1));
    assert_non_null(find(&bench, 0, 0));
    assert_non_null(find(&bench, 2, 2));
    assert_non_null(find(&bench, 99, 6000));
    assert_int_equal(history_bytes(&bench.histories, 1), 0);
    assert_true(history_bytes(&bench.histories, 99) >= HISTORY_BYTES);
    bench_done(&bench);
}

static void test_a_user_is_forgotten_with_all_his_requests(void **state)
{
    struct bench bench;
    struct record *held = NULL;

    (void)state;
    bench_init(&bench);
    bench.source.holder = &held;
    assert_non_null(history_add(&bench.histories, &bench.source));
    history_forget(&bench.histories, 1001);
    assert_non_null(find(&bench, 1000, 1));
    history_forget(&bench.histories, 1000);
    assert_null(find(&bench, 1000, 1));
    assert_null(held);
    assert_non_null(history_add(&bench.histories, &bench.source));
    assert_ptr_equal(find(&bench, 1000, 1), held);
    bench_done(&bench);
}

static void test_without_memory_there_is_no_record(void **state)
{
    struct bench bench;

    (void)state;
    bench_init(&bench);
    mem_fail_at(1);
    assert_null(history_add(&bench.histories, &bench.source));
    mem_fail_at(0);
    assert_null(find(&bench, 1000, 1));
    bench_done(&bench);
}

static void test_a_record_for_the_moment_fits_or_is_none(void **state)
{
    struct bench bench;
    _Alignas(8) char block[RECORD_SCRATCH_BYTES];

    (void)state;
    bench_init(&bench);
    check_whole(record_make(&bench.source, block, sizeof(block)));
    assert_null(record_make(&bench.source, block, sizeof(struct record)));
    bench_done(&bench);
}

static void test_answers_on_the_way_are_found_in_order_and_only_so(void **state)
{
    struct bench bench;
    const struct record *at = NULL;

    (void)state;
    bench_init(&bench);
    bench.source.is_hop = true;
    for (int i = 0; i < 3; i++) {
        bench.source.hop_us = i;
        assert_non_null(history_add(&bench.histories, &bench.source));
        bench.source.id = 7; /* another's between them */
        assert_non_null(history_add(&bench.histories, &bench.source));
        bench.source.id = 1;
    }
    assert_null(find(&bench, 1000, 1)); /* none is the request's own */
    bench.source.is_hop = false;
    bench.source.hop_us = 3;
    assert_non_null(history_add(&bench.histories, &bench.source));
    assert_int_equal(find(&bench, 1000, 1)->hop_us, 3);
    for (int i = 0; i < 4; i++) {
        at = history_next_hop(&bench.histories, 1000, false, 1, at);
        assert_non_null(at);
        assert_int_equal(at->hop_us, i);
        assert_int_equal(at->is_hop, i < 3);
    }
    assert_null(history_next_hop(&bench.histories, 1000, false, 1, at));
    assert_null(history_next_hop(&bench.histories, 1001, false, 1, NULL));
    assert_non_null(history_next_hop(&bench.histories, 1001, true, 1, NULL));
    bench_done(&bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_record_has_everything_but_secrets),
        cmocka_unit_test(test_what_was_removed_from_a_list_is_not_recorded),
        cmocka_unit_test(test_ip03_a_record_is_found_by_its_user_alone),
        cmocka_unit_test(test_an_end_is_noted_and_the_holder_let_go),
        cmocka_unit_test(test_the_oldest_make_room_and_their_holders_know),
        cmocka_unit_test(test_what_is_too_much_is_left_out_and_counted),
        cmocka_unit_test(test_users_beyond_the_last_take_the_place_of_the_one_longest_unused),
        cmocka_unit_test(test_a_user_is_forgotten_with_all_his_requests),
        cmocka_unit_test(test_without_memory_there_is_no_record),
        cmocka_unit_test(test_a_record_for_the_moment_fits_or_is_none),
        cmocka_unit_test(test_answers_on_the_way_are_found_in_order_and_only_so),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
