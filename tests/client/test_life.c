/* SPDX-License-Identifier: MIT */
/*
 * A callback may do anything. Each deed is done inside each event of a request's life, and
 * between any two messages; afterwards nothing may have come twice, and nothing leaked (asan).
 */
#include <stdio.h>
#include <string.h>

#include "support/peer.h"

enum deed {
    DO_ABORT,
    DO_FREE,
    DO_FREE_CLIENT,
    DO_PAUSE,
    DO_SEND_ANOTHER,
    DO_DISPATCH,
    DEED_COUNT
};

static const char *const deeds[DEED_COUNT] = {"abort", "free",         "free client",
                                              "pause", "send another", "dispatch"};

struct stage {
    struct peer peer;
    struct record record;
    struct record other_record;
    struct xhr_request *request;
    struct xhr_request *other;
    enum deed deed;
    const char *at; /* the event in which it is done; NULL: not in one */
    bool is_done;
};

static void free_everything(struct stage *stage)
{
    xhr_client_free(stage->peer.client);
    stage->peer.client = NULL;
}

static void do_it(struct stage *stage)
{
    stage->is_done = true;
    switch (stage->deed) {
    case DO_ABORT: assert_int_equal(xhr_request_abort(stage->request), 0); break;
    case DO_FREE:
        xhr_request_free(stage->request);
        stage->request = NULL;
        break;
    case DO_FREE_CLIENT: free_everything(stage); break;
    case DO_PAUSE:
        assert_int_equal(xhr_request_pause(stage->request), 0);
        assert_int_equal(xhr_request_resume(stage->request), 0);
        break;
    case DO_SEND_ANOTHER:
        stage->other = new_request(stage->peer.client, &stage->other_record, &record_callbacks);
        assert_int_equal(xhr_request_send(stage->other, NULL), 0);
        break;
    case DO_DISPATCH: (void)xhr_client_dispatch(stage->peer.client); break;
    case DEED_COUNT:
    default: fail();
    }
}

static void in_event(struct record *record, struct xhr_request *request, const char *event)
{
    struct stage *stage = record->arg;

    (void)request;
    if (!stage->is_done && stage->at && strcmp(event, stage->at) == 0)
        do_it(stage);
}

static unsigned count(const char *text, const char *event)
{
    unsigned n = 0;
    size_t len = strlen(event);

    for (const char *at = text; (at = strstr(at, event)); at += len)
        n++;
    return n;
}

static unsigned terminals(const struct record *record)
{
    return count(record->text, "load") + count(record->text, "error(") +
           count(record->text, "abort");
}

enum { STEP_COUNT = 9 };

/* The daemon's side of one life, a message at a time. */
static void step(struct peer *peer, uint32_t id, unsigned number, bool fails)
{
    switch (number) {
    case 0: peer_waiting(peer, id, XHRD__V1__WAIT_REASON__WAIT_REASON_DNS); break;
    case 1: peer_redirect(peer, id, 302, "http://b.test/"); break;
    case 2: peer_progress(peer, id, true, 1, 1, 1); break;
    case 3: peer_head(peer, id, 200); break;
    case 4:
        peer_ready_state(peer, id, XHRD__V1__READY_STATE__READY_STATE_HEADERS_RECEIVED);
        break;
    case 5: peer_ready_state(peer, id, XHRD__V1__READY_STATE__READY_STATE_LOADING); break;
    case 6: peer_body(peer, id, "body", 4); break;
    case 7: peer_progress(peer, id, false, 4, 4, 1); break;
    case 8:
        if (fails)
            peer_fail(peer, id, XHRD__V1__FAILURE_KIND__FAILURE_KIND_RECEIVE);
        else
            peer_finish(peer, id, 4);
        break;
    default: fail();
    }
}

static void check_and_clear(struct stage *stage, const char *what)
{
    bool was_freed = stage->deed == DO_FREE && stage->is_done;
    const char *text = stage->record.text;

    if (was_freed ? terminals(&stage->record) > 1 : terminals(&stage->record) != 1)
        fail_msg("%s in %s: %s", deeds[stage->deed], what, text);
    if (count(text, " 4") > 1 || count(text, " 2") > 1 || count(text, " 3") > 1)
        fail_msg("%s in %s: %s", deeds[stage->deed], what, text);
    if (stage->other && terminals(&stage->other_record) > 1)
        fail_msg("%s in %s, the other: %s", deeds[stage->deed], what, stage->other_record.text);
    xhr_request_free(stage->request);
    xhr_request_free(stage->other);
    peer_done(&stage->peer);
}

/* @before: the deed is done before this message; or in @at, if that is given. */
static void live(enum deed deed, const char *at, unsigned before, bool fails)
{
    struct stage stage = {.deed = deed, .at = at};
    char what[64];
    uint32_t id;

    (void)snprintf(what, sizeof(what), "%s, before message %u", at ? at : "-", before);
    peer_init(&stage.peer, false);
    stage.record.then = in_event;
    stage.record.arg = &stage;
    stage.request = new_request(stage.peer.client, &stage.record, &record_streaming_callbacks);
    if (stage.request && !stage.is_done)
        assert_int_equal(xhr_request_send(stage.request, NULL), 0);
    id = peer_expect_open(&stage.peer);
    for (unsigned i = 0; i < STEP_COUNT && stage.peer.client; i++) {
        if (!at && i == before)
            do_it(&stage);
        if (!stage.peer.client)
            break;
        step(&stage.peer, id, i, fails);
        peer_turn(&stage.peer);
    }
    if (!at && before == STEP_COUNT && stage.peer.client)
        do_it(&stage);
    assert_true(stage.is_done);
    check_and_clear(&stage, what);
}

static void test_lb04_any_deed_between_any_two_messages(void **state)
{
    (void)state;
    for (int deed = 0; deed < DEED_COUNT; deed++)
        for (unsigned before = 0; before <= STEP_COUNT; before++)
            for (int fails = 0; fails < 2; fails++)
                live((enum deed)deed, NULL, before, fails);
}

static void test_lb04_any_deed_inside_any_callback(void **state)
{
    static const char *const events[] = {
        "wait(dns)", "redirect(302)", "up(1)",   "2", "headers",
        "3",         "body",          "down(4)", "4", "load"};

    (void)state;
    for (int deed = 0; deed < DEED_COUNT; deed++) {
        for (size_t i = 0; i < sizeof(events) / sizeof(*events); i++)
            live((enum deed)deed, events[i], 0, false);
        live((enum deed)deed, "error(receive)", 0, true);
    }
}

static void abort_in(struct record *record, struct xhr_request *request, const char *event)
{
    struct stage *stage = record->arg;

    (void)request;
    if (strcmp(event, stage->at) == 0)
        do_it(stage);
}

static void test_lb04_any_deed_inside_the_callbacks_of_an_abort(void **state)
{
    static const char *const events[] = {"4", "abort"};

    (void)state;
    for (int deed = 0; deed < DEED_COUNT; deed++) {
        for (size_t i = 0; i < 2; i++) {
            struct stage stage = {.deed = (enum deed)deed, .at = events[i]};

            peer_init(&stage.peer, false);
            stage.record.then = abort_in;
            stage.record.arg = &stage;
            stage.request =
                new_request(stage.peer.client, &stage.record, &record_streaming_callbacks);
            assert_int_equal(xhr_request_send(stage.request, NULL), 0);
            (void)peer_expect_open(&stage.peer);
            assert_int_equal(xhr_request_abort(stage.request), 0);
            assert_true(stage.is_done);
            check_and_clear(&stage, events[i]);
        }
    }
}

static void test_lb04_any_deed_inside_readystate_1(void **state)
{
    (void)state;
    for (int deed = 0; deed < DO_SEND_ANOTHER; deed++) {
        struct stage stage = {.deed = (enum deed)deed, .at = "1"};

        peer_init(&stage.peer, false);
        stage.record.then = abort_in;
        stage.record.arg = &stage;
        assert_int_equal(xhr_request_new(stage.peer.client, &stage.request), 0);
        assert_int_equal(
            xhr_request_set_callbacks(stage.request, &record_callbacks, &stage.record), 0);
        assert_int_equal(xhr_request_open(stage.request, "GET", "http://a.test/", true), 0);
        assert_true(stage.is_done);
        assert_string_equal(stage.record.text, "1");
        xhr_request_free(stage.request);
        peer_done(&stage.peer);
    }
}

static void
free_all_in_first_error(struct record *record, struct xhr_request *request, const char *event)
{
    struct xhr_request **requests = record->arg;

    (void)request;
    if (strncmp(event, "error", 5) != 0 || !requests)
        return;
    record->arg = NULL;
    for (unsigned i = 0; i < 3; i++)
        xhr_request_free(requests[i]);
}

static void test_one_error_callback_may_free_everybody_who_would_have_been_next(void **state)
{
    struct peer peer;
    struct record records[3];
    struct xhr_request *requests[3];

    (void)state;
    memset(records, 0, sizeof(records));
    peer_init(&peer, false);
    for (unsigned i = 0; i < 3; i++) {
        requests[i] = new_request(peer.client, &records[i], &record_callbacks);
        assert_int_equal(xhr_request_send(requests[i], NULL), 0);
    }
    records[0].then = free_all_in_first_error;
    records[0].arg = requests;
    (void)peer_expect_open(&peer);
    peer_close(&peer);
    peer_turn(&peer);
    assert_string_equal(records[0].text, "1 4 error(daemon-lost)");
    assert_string_equal(records[1].text, "1");
    assert_int_equal(xhr_client_in_flight(peer.client), 0);
    peer_done(&peer);
}

static void test_numbers_are_used_again_without_being_mistaken(void **state)
{
    struct peer peer;
    struct record record;
    uint32_t last = 0;

    (void)state;
    peer_init(&peer, false);
    for (unsigned i = 0; i < 5000; i++) {
        memset(&record, 0, sizeof(record));
        struct xhr_request *request = new_request(peer.client, &record, &record_callbacks);

        assert_int_equal(xhr_request_send(request, NULL), 0);
        uint32_t id = peer_expect_open(&peer);
        assert_true(id != 0 && id != last);
        if (last)
            peer_finish(&peer, last, 0); /* of the one before: nobody's now */
        last = id;
        peer_answer(&peer, id, 200, "");
        peer_turn(&peer);
        assert_string_equal(record.text, "1 2 headers 4 load");
        xhr_request_free(request);
    }
    peer_done(&peer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lb04_any_deed_between_any_two_messages),
        cmocka_unit_test(test_lb04_any_deed_inside_any_callback),
        cmocka_unit_test(test_lb04_any_deed_inside_the_callbacks_of_an_abort),
        cmocka_unit_test(test_lb04_any_deed_inside_readystate_1),
        cmocka_unit_test(test_one_error_callback_may_free_everybody_who_would_have_been_next),
        cmocka_unit_test(test_numbers_are_used_again_without_being_mistaken),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
