/* SPDX-License-Identifier: MIT */
/* The same story in three loops: libevent, sd-event, and a bare one. */
#include <string.h>

#include "support/peer.h"
#include "xhr/adapter_libevent.h"
#include "xhr/adapter_sd_event.h"

enum { REQUESTS = 20 };

struct story {
    struct peer peer;
    struct record records[REQUESTS];
    struct xhr_request *requests[REQUESTS];
    unsigned terminals;
};

static void
count_terminals(struct record *record, struct xhr_request *request, const char *event)
{
    struct story *story = record->arg;

    (void)request;
    story->terminals += strcmp(event, "load") == 0 || strncmp(event, "error", 5) == 0;
}

static void begin(struct story *story)
{
    memset(story, 0, sizeof(*story));
    peer_init(&story->peer, false);
    for (unsigned i = 0; i < REQUESTS; i++) {
        story->records[i].then = count_terminals;
        story->records[i].arg = story;
        story->requests[i] =
            new_request(story->peer.client, &story->records[i], &record_callbacks);
        assert_int_equal(xhr_request_send(story->requests[i], NULL), 0);
    }
}

/* Answers whatever has come; the last one by hanging up. */
static void answer(struct story *story, unsigned *answered)
{
    const Xhrd__V1__ClientMessage *message;

    while ((message = peer_next(&story->peer))) {
        if (message->kind_case != XHRD__V1__CLIENT_MESSAGE__KIND_OPEN)
            continue;
        if (++*answered == REQUESTS)
            peer_close(&story->peer);
        else
            peer_answer(&story->peer, message->open->request_id, 200, "body");
        if (story->peer.fd < 0)
            return;
    }
}

static void end(struct story *story)
{
    for (unsigned i = 0; i < REQUESTS; i++) {
        assert_string_equal(story->records[i].text, i + 1 < REQUESTS
                                                        ? "1 2 headers 3 down(4) 4 load"
                                                        : "1 4 error(daemon-lost)");
        xhr_request_free(story->requests[i]);
    }
    peer_done(&story->peer);
}

static void test_libevent(void **state)
{
    struct story story;
    struct xhr_libevent adapter;
    struct event_base *base = event_base_new();
    unsigned answered = 0;

    (void)state;
    begin(&story);
    assert_non_null(base);
    assert_int_equal(xhr_libevent_attach(&adapter, story.peer.client, base), 0);
    while (story.terminals < REQUESTS) {
        assert_int_equal(event_base_loop(base, EVLOOP_ONCE), 0);
        if (story.peer.fd >= 0)
            answer(&story, &answered);
    }
    /* Nothing is watched any more: the loop ends by itself. */
    assert_int_equal(event_base_loop(base, 0), 1);
    xhr_libevent_detach(&adapter, false);
    end(&story);
    event_base_free(base);
}

static void test_sd_event(void **state)
{
    struct story story;
    struct xhr_sd_event adapter;
    sd_event *event = NULL;
    unsigned answered = 0;

    (void)state;
    begin(&story);
    assert_true(sd_event_new(&event) >= 0);
    assert_int_equal(xhr_sd_event_attach(&adapter, story.peer.client, event), 0);
    while (story.terminals < REQUESTS) {
        assert_true(sd_event_run(event, (uint64_t)-1) >= 0);
        if (story.peer.fd >= 0)
            answer(&story, &answered);
    }
    assert_int_equal(sd_event_run(event, 0), 0);
    xhr_sd_event_detach(&adapter, false);
    end(&story);
    sd_event_unref(event);
}

static void test_a_freed_client_leaves_nothing_in_the_loop(void **state)
{
    struct story story;
    struct xhr_libevent adapter;
    struct event_base *base = event_base_new();

    (void)state;
    begin(&story);
    assert_non_null(base);
    assert_int_equal(xhr_libevent_attach(&adapter, story.peer.client, base), 0);
    story.peer.client = xhr_client_free(story.peer.client);
    assert_int_equal(event_base_loop(base, EVLOOP_NONBLOCK), 1);
    xhr_libevent_detach(&adapter, true);
    for (unsigned i = 0; i < REQUESTS; i++) {
        assert_string_equal(story.records[i].text, "1 4 abort");
        xhr_request_free(story.requests[i]);
    }
    peer_done(&story.peer);
    event_base_free(base);
}

static void test_wait(void **state)
{
    struct story story;
    unsigned answered = 0;

    (void)state;
    begin(&story);
    assert_int_equal(xhr_client_wait(story.peer.client, 0), 1); /* the hello */
    assert_int_equal(xhr_client_wait(story.peer.client, 0), 0);
    while (story.terminals < REQUESTS) {
        if (story.peer.fd >= 0)
            answer(&story, &answered);
        assert_int_equal(xhr_client_wait(story.peer.client, -1), 1);
    }
    assert_int_equal(xhr_client_wait(story.peer.client, -1), 0); /* nothing to wait for */
    end(&story);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_libevent),
        cmocka_unit_test(test_sd_event),
        cmocka_unit_test(test_a_freed_client_leaves_nothing_in_the_loop),
        cmocka_unit_test(test_wait),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
