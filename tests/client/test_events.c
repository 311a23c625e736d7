/* SPDX-License-Identifier: MIT */
/* What a program is told, in what order, and what it may ask afterwards. */
#include <errno.h>
#include <string.h>

#include "support/peer.h"

#define HEADERS XHRD__V1__READY_STATE__READY_STATE_HEADERS_RECEIVED
#define LOADING XHRD__V1__READY_STATE__READY_STATE_LOADING

struct scene {
    struct peer peer;
    struct record record;
    struct xhr_request *request;
    uint32_t id;
};

static void begin(struct scene *scene, const struct xhr_callbacks *callbacks)
{
    memset(scene, 0, sizeof(*scene));
    peer_init(&scene->peer, false);
    scene->request = new_request(scene->peer.client, &scene->record, callbacks);
    assert_int_equal(xhr_request_send(scene->request, NULL), 0);
    scene->id = peer_expect_open(&scene->peer);
}

static void end(struct scene *scene, const char *expected)
{
    peer_turn(&scene->peer);
    assert_string_equal(scene->record.text, expected);
    assert_int_equal(xhr_client_in_flight(scene->peer.client), 0);
    xhr_request_free(scene->request);
    peer_done(&scene->peer);
}

static void test_a_small_answer_tells_each_state_once_and_loads(void **state)
{
    struct scene scene;
    size_t len = 0;

    (void)state;
    begin(&scene, &record_callbacks);
    peer_waiting(&scene.peer, scene.id, XHRD__V1__WAIT_REASON__WAIT_REASON_DNS);
    peer_waiting(&scene.peer, scene.id, XHRD__V1__WAIT_REASON__WAIT_REASON_CONNECT);
    peer_answer(&scene.peer, scene.id, 200, "hello");
    peer_turn(&scene.peer);
    assert_memory_equal(xhr_request_response_body(scene.request, &len), "hello", 6);
    assert_int_equal(len, 5);
    assert_int_equal(xhr_request_status(scene.request), 200);
    assert_string_equal(xhr_request_status_text(scene.request), "OK");
    assert_string_equal(xhr_request_location(scene.request), "http://a.test/final");
    assert_int_equal(xhr_request_totals(scene.request)->body_bytes, 5);
    assert_int_equal(xhr_request_timing(scene.request)->total_us, 1234);
    assert_int_equal(xhr_request_connection(scene.request)->connection_id, 7);
    assert_null(xhr_request_connection(scene.request)->tls);
    assert_null(xhr_request_error(scene.request));
    end(&scene, "1 wait(dns) wait(connect) 2 headers 3 down(5) 4 load");
}

static void test_an_empty_body_skips_loading(void **state)
{
    struct scene scene;

    (void)state;
    begin(&scene, &record_callbacks);
    peer_answer(&scene.peer, scene.id, 204, "");
    end(&scene, "1 2 headers 4 load");
}

static void test_a_status_of_400_or_more_is_an_error_with_titaniums_code(void **state)
{
    struct scene scene;
    const struct xhr_error *error;

    (void)state;
    begin(&scene, &record_callbacks);
    peer_answer(&scene.peer, scene.id, 404, "gone");
    peer_turn(&scene.peer);
    error = xhr_request_error(scene.request);
    assert_non_null(error);
    assert_int_equal(error->kind, XHR_ERROR_HTTP_STATUS);
    assert_int_equal(error->code, 404);
    assert_string_equal(error->text, "the server answered 404 Not Found");
    assert_int_equal(xhr_request_status(scene.request), 404);
    end(&scene, "1 2 headers 3 down(4) 4 error(http-status)");
}

static void test_with_http_errors_as_load_it_is_a_load(void **state)
{
    struct xhr_request_options options = {.size = sizeof(options), .http_errors_as_load = true};
    struct scene scene;

    (void)state;
    memset(&scene, 0, sizeof(scene));
    peer_init(&scene.peer, false);
    scene.request = new_request(scene.peer.client, &scene.record, &record_callbacks);
    assert_int_equal(xhr_request_set_options(scene.request, &options), 0);
    assert_int_equal(xhr_request_send(scene.request, NULL), 0);
    assert_int_equal(xhr_request_set_options(scene.request, &options), -EBUSY);
    scene.id = peer_expect_open(&scene.peer);
    peer_answer(&scene.peer, scene.id, 500, "");
    end(&scene, "1 2 headers 4 load");
}

static void test_a_failure_before_the_head_still_reaches_done(void **state)
{
    struct scene scene;

    (void)state;
    begin(&scene, &record_callbacks);
    peer_fail(&scene.peer, scene.id, XHRD__V1__FAILURE_KIND__FAILURE_KIND_TIMEOUT_CONNECT);
    peer_turn(&scene.peer);
    assert_int_equal(scene.record.error.kind, XHR_ERROR_TIMEOUT_CONNECT);
    assert_int_equal(scene.record.error.code, -1001);
    assert_int_equal(scene.record.error.phase, XHR_PHASE_CONNECT);
    assert_string_equal(scene.record.error.text, "it went?wrong");
    assert_int_equal(xhr_error_errno(&scene.record.error), -ETIMEDOUT);
    assert_int_equal(xhr_request_status(scene.request), 0);
    end(&scene, "1 4 error(timeout-connect)");
}

static void test_a_body_that_ends_early_is_an_error_not_a_load(void **state)
{
    struct scene scene;

    (void)state;
    begin(&scene, &record_callbacks);
    peer_head(&scene.peer, scene.id, 200);
    peer_ready_state(&scene.peer, scene.id, HEADERS);
    peer_ready_state(&scene.peer, scene.id, LOADING);
    peer_body(&scene.peer, scene.id, "hel", 3);
    peer_fail(&scene.peer, scene.id, XHRD__V1__FAILURE_KIND__FAILURE_KIND_TRUNCATED);
    end(&scene, "1 2 headers 3 4 error(truncated)");
}

static void test_redirects_are_told_and_counted(void **state)
{
    struct scene scene;

    (void)state;
    begin(&scene, &record_callbacks);
    peer_redirect(&scene.peer, scene.id, 302, "http://b.test/");
    peer_turn(&scene.peer);
    assert_string_equal(xhr_request_location(scene.request), "http://b.test/");
    peer_redirect(&scene.peer, scene.id, 301, "http://c.test/");
    peer_answer(&scene.peer, scene.id, 200, "");
    end(&scene, "1 redirect(302) redirect(301) 2 headers 4 load");
}

static void test_a_vetoed_redirect_fails_and_tells_the_daemon_to_stop(void **state)
{
    struct scene scene;

    (void)state;
    begin(&scene, &record_callbacks);
    scene.record.vetoes = true;
    peer_redirect(&scene.peer, scene.id, 302, "http://b.test/");
    assert_int_equal(
        peer_expect(&scene.peer, XHRD__V1__CLIENT_MESSAGE__KIND_ABORT)->abort->request_id,
        scene.id);
    peer_answer(&scene.peer, scene.id, 200, "late"); /* crossed our abort on its way */
    end(&scene, "1 redirect(302) 4 error(redirect)");
}

static void test_abort_is_done_then_abort_and_idempotent(void **state)
{
    struct scene scene;

    (void)state;
    begin(&scene, &record_callbacks);
    peer_head(&scene.peer, scene.id, 200);
    peer_ready_state(&scene.peer, scene.id, HEADERS);
    peer_turn(&scene.peer);
    assert_int_equal(xhr_request_abort(scene.request), 0);
    assert_int_equal(xhr_request_abort(scene.request), 0);
    assert_int_equal(xhr_request_ready_state(scene.request), XHR_UNSENT);
    peer_body(&scene.peer, scene.id, "late", 4);
    peer_finish(&scene.peer, scene.id, 4);
    end(&scene, "1 2 headers 4 abort");
}

static void test_abort_before_send_only_goes_back_to_unsent(void **state)
{
    struct scene scene;

    (void)state;
    memset(&scene, 0, sizeof(scene));
    peer_init(&scene.peer, false);
    scene.request = new_request(scene.peer.client, &scene.record, &record_callbacks);
    assert_int_equal(xhr_request_abort(scene.request), 0);
    assert_int_equal(xhr_request_ready_state(scene.request), XHR_UNSENT);
    assert_int_equal(xhr_request_send(scene.request, NULL), -EINVAL);
    end(&scene, "1");
}

static void test_progress_comes_at_most_every_50_ms_and_a_last_one_always(void **state)
{
    struct scene scene;

    (void)state;
    begin(&scene, &record_callbacks);
    peer_head(&scene.peer, scene.id, 200);
    peer_ready_state(&scene.peer, scene.id, HEADERS);
    peer_ready_state(&scene.peer, scene.id, LOADING);
    peer_progress(&scene.peer, scene.id, false, 1, 0, 100000);
    peer_progress(&scene.peer, scene.id, false, 2, 0, 149999);
    peer_progress(&scene.peer, scene.id, false, 3, 0, 150000);
    peer_body(&scene.peer, scene.id, "12345", 5);
    peer_progress(&scene.peer, scene.id, false, 4, 0, 160000);
    peer_finish(&scene.peer, scene.id, 5);
    end(&scene, "1 2 headers 3 down(1) down(3) down(5) 4 load");
}

static void test_the_ratio_never_leaves_0_to_1(void **state)
{
    static const struct {
        uint64_t done, total;
        double expected;
    } rows[] = {{1, 4, 0.25}, {4, 4, 1.0}, {5, 4, -1.0}, {7, 0, -1.0}};

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct scene scene;

        begin(&scene, &record_callbacks);
        peer_progress(&scene.peer, scene.id, true, rows[i].done, rows[i].total, 1);
        peer_turn(&scene.peer);
        assert_true(scene.record.ratio == rows[i].expected);
        xhr_request_free(scene.request);
        peer_done(&scene.peer);
    }
}

static void test_open_and_send_while_busy_change_nothing(void **state)
{
    struct scene scene;

    (void)state;
    begin(&scene, &record_callbacks);
    assert_int_equal(xhr_request_open(scene.request, "GET", "http://b.test/", true), -EBUSY);
    assert_int_equal(xhr_request_send(scene.request, NULL), -EBUSY);
    assert_int_equal(xhr_request_set_header(scene.request, "A", "b"), -EINVAL);
    assert_int_equal(xhr_request_set_callbacks(scene.request, NULL, NULL), -EBUSY);
    assert_int_equal(xhr_request_set_response_fd(scene.request, -1, 0), -EBUSY);
    peer_answer(&scene.peer, scene.id, 200, "");
    end(&scene, "1 2 headers 4 load");
}

static void test_an_object_is_used_again_after_done(void **state)
{
    struct scene scene;
    uint32_t second;

    (void)state;
    begin(&scene, &record_callbacks);
    peer_answer(&scene.peer, scene.id, 404, "gone");
    peer_turn(&scene.peer);
    assert_int_equal(xhr_request_open(scene.request, "POST", "http://a.test/2", true), 0);
    assert_int_equal(xhr_request_status(scene.request), 0);
    assert_null(xhr_request_error(scene.request));
    assert_null(xhr_request_response_header(scene.request, "Content-Type"));
    assert_int_equal(xhr_request_send(scene.request, NULL), 0);
    second = peer_expect_open(&scene.peer);
    assert_int_not_equal(second, scene.id);
    peer_answer(&scene.peer, second, 200, "");
    end(&scene, "1 2 headers 3 down(4) 4 error(http-status) 1 2 headers 4 load");
}

static void
reopen_in_terminal(struct record *record, struct xhr_request *request, const char *event)
{
    if (strcmp(event, "4") == 0)
        assert_int_equal(xhr_request_open(request, "GET", "http://a.test/", true), -EBUSY);
    if (strcmp(event, "load") == 0 && record->arg) {
        record->arg = NULL;
        assert_int_equal(xhr_request_open(request, "GET", "http://a.test/again", true), 0);
        assert_int_equal(xhr_request_send(request, NULL), 0);
    }
}

static void test_onload_may_send_again_but_readystate_4_may_not(void **state)
{
    struct scene scene;

    (void)state;
    begin(&scene, &record_callbacks);
    scene.record.then = reopen_in_terminal;
    scene.record.arg = &scene;
    peer_answer(&scene.peer, scene.id, 200, "");
    peer_answer(&scene.peer, peer_expect_open(&scene.peer), 200, "");
    end(&scene, "1 2 headers 4 load 1 2 headers 4 load");
}

static void test_response_headers_join_but_set_cookie_does_not(void **state)
{
    struct scene scene;
    const char *name = NULL;
    const char *value = NULL;

    (void)state;
    begin(&scene, &record_callbacks);
    peer_answer(&scene.peer, scene.id, 200, "");
    peer_turn(&scene.peer);
    assert_string_equal(xhr_request_response_header(scene.request, "X-TWICE"), "one, two");
    assert_string_equal(xhr_request_response_header(scene.request, "set-cookie"), "a=1, b");
    assert_null(xhr_request_response_header(scene.request, "X-None"));
    assert_string_equal(xhr_request_all_response_headers(scene.request),
                        "content-type: text/plain\r\nset-cookie: a=1, b\r\nset-cookie: c=2\r\n"
                        "x-twice: one, two\r\n");
    assert_true(xhr_request_response_header_at(scene.request, 4, &name, &value));
    assert_string_equal(name, "Set-Cookie");
    assert_string_equal(value, "c=2");
    assert_false(xhr_request_response_header_at(scene.request, 5, &name, &value));
    assert_true(xhr_request_sent_header_at(scene.request, 0, &name, &value));
    assert_false(xhr_request_trailer_at(scene.request, 0, &name, &value));
    end(&scene, "1 2 headers 4 load");
}

static void test_on_body_gets_the_bytes_and_nothing_is_kept(void **state)
{
    struct scene scene;
    size_t len = 1;

    (void)state;
    begin(&scene, &record_streaming_callbacks);
    peer_answer(&scene.peer, scene.id, 200, "streamed");
    peer_turn(&scene.peer);
    assert_int_equal(scene.record.body_len, 8);
    assert_memory_equal(scene.record.body, "streamed", 8);
    assert_string_equal(xhr_request_response_body(scene.request, &len), "");
    assert_int_equal(len, 0);
    end(&scene, "1 2 headers 3 down(8) 4 load");
}

static void test_requests_of_a_freed_client_end_once_and_stay_readable(void **state)
{
    struct scene scene;

    (void)state;
    begin(&scene, &record_callbacks);
    xhr_client_free(scene.peer.client);
    scene.peer.client = NULL;
    assert_string_equal(scene.record.text, "1 4 abort");
    assert_null(xhr_request_client(scene.request));
    assert_int_equal(xhr_request_open(scene.request, "GET", "http://a.test/", true), -ENOTCONN);
    assert_int_equal(xhr_request_send(scene.request, NULL), -ENOTCONN);
    xhr_request_free(scene.request);
    peer_done(&scene.peer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_small_answer_tells_each_state_once_and_loads),
        cmocka_unit_test(test_an_empty_body_skips_loading),
        cmocka_unit_test(test_a_status_of_400_or_more_is_an_error_with_titaniums_code),
        cmocka_unit_test(test_with_http_errors_as_load_it_is_a_load),
        cmocka_unit_test(test_a_failure_before_the_head_still_reaches_done),
        cmocka_unit_test(test_a_body_that_ends_early_is_an_error_not_a_load),
        cmocka_unit_test(test_redirects_are_told_and_counted),
        cmocka_unit_test(test_a_vetoed_redirect_fails_and_tells_the_daemon_to_stop),
        cmocka_unit_test(test_abort_is_done_then_abort_and_idempotent),
        cmocka_unit_test(test_abort_before_send_only_goes_back_to_unsent),
        cmocka_unit_test(test_progress_comes_at_most_every_50_ms_and_a_last_one_always),
        cmocka_unit_test(test_the_ratio_never_leaves_0_to_1),
        cmocka_unit_test(test_open_and_send_while_busy_change_nothing),
        cmocka_unit_test(test_an_object_is_used_again_after_done),
        cmocka_unit_test(test_onload_may_send_again_but_readystate_4_may_not),
        cmocka_unit_test(test_response_headers_join_but_set_cookie_does_not),
        cmocka_unit_test(test_on_body_gets_the_bytes_and_nothing_is_kept),
        cmocka_unit_test(test_requests_of_a_freed_client_end_once_and_stay_readable),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
