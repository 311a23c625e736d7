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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_small_answer_tells_each_state_once_and_loads),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
