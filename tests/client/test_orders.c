/* SPDX-License-Identifier: MIT */
/*
 * Every order in which a daemon could say things, not only those it may: after each beginning
 * of a legal life all runs of a few messages are sent, and the connection is lost or the
 * request aborted behind them. Whatever was said, the program is told states that only go
 * forward, DONE, and exactly one of load, error and abort behind it, with nothing after.
 */
#include <stdio.h>
#include <string.h>

#include "support/peer.h"

enum message {
    SAY_WAITING,
    SAY_REDIRECT,
    SAY_UPLOADED,
    SAY_HEAD,
    SAY_HEADERS,
    SAY_LOADING,
    SAY_BODY,
    SAY_DOWNLOADED,
    SAY_DONE,
    SAY_FAILED,
    MESSAGE_COUNT
};

enum ending { LOSE, ABORT, FREE_CLIENT, ENDING_COUNT };

enum { RUN_LENGTH = 3, LIFE_LENGTH = 9 };

static const enum message life[LIFE_LENGTH] = {SAY_WAITING, SAY_REDIRECT,   SAY_UPLOADED,
                                               SAY_HEAD,    SAY_HEADERS,    SAY_LOADING,
                                               SAY_BODY,    SAY_DOWNLOADED, SAY_DONE};

static void say(struct peer *peer, uint32_t id, enum message message)
{
    switch (message) {
    case SAY_WAITING: peer_waiting(peer, id, XHRD__V1__WAIT_REASON__WAIT_REASON_DNS); break;
    case SAY_REDIRECT: peer_redirect(peer, id, 302, "http://b.test/"); break;
    case SAY_UPLOADED: peer_progress(peer, id, true, 1, 1, 1); break;
    case SAY_HEAD: peer_head(peer, id, 200); break;
    case SAY_HEADERS:
        peer_ready_state(peer, id, XHRD__V1__READY_STATE__READY_STATE_HEADERS_RECEIVED);
        break;
    case SAY_LOADING:
        peer_ready_state(peer, id, XHRD__V1__READY_STATE__READY_STATE_LOADING);
        break;
    case SAY_BODY: peer_body(peer, id, "body", 4); break;
    case SAY_DOWNLOADED: peer_progress(peer, id, false, 4, 4, 1); break;
    case SAY_DONE: peer_finish(peer, id, 4); break;
    case SAY_FAILED: peer_fail(peer, id, XHRD__V1__FAILURE_KIND__FAILURE_KIND_RECEIVE); break;
    case MESSAGE_COUNT:
    default: fail();
    }
}

static bool is_terminal(const char *word)
{
    return strncmp(word, "load", 4) == 0 || strncmp(word, "abort", 5) == 0 ||
           strncmp(word, "error(", 6) == 0;
}

/* Return: whether the life has ended. */
static bool check(const struct record *record)
{
    int state = 0;
    unsigned n_terminals = 0;

    for (const char *word = record->text; *word; word += strspn(word, " ")) {
        size_t len = strcspn(word, " ");

        assert_int_equal(n_terminals, 0); /* nothing behind it */
        if (len == 1) {
            assert_true(word[0] - '0' > state);
            state = word[0] - '0';
        } else if (is_terminal(word)) {
            assert_int_equal(state, 4);
            n_terminals++;
        } else {
            assert_true(state < 4);
        }
        word += len;
    }
    return n_terminals == 1;
}

static void live(size_t begun, const enum message *run, enum ending ending)
{
    struct peer peer = {0};
    struct record record = {0};

    peer_init(&peer, false);
    struct xhr_request *request = new_request(peer.client, &record, &record_callbacks);
    assert_int_equal(xhr_request_send(request, NULL), 0);
    uint32_t id = peer_expect_open(&peer);
    for (size_t i = 0; i < begun; i++)
        say(&peer, id, life[i]);
    for (size_t i = 0; i < RUN_LENGTH; i++)
        say(&peer, id, run[i]);
    peer_turn(&peer);
    bool has_ended = check(&record);
    size_t told = record.len;
    if (ending == LOSE) {
        peer_close(&peer);
        peer_turn(&peer);
    } else if (ending == ABORT) {
        assert_int_equal(xhr_request_abort(request), 0);
    } else {
        xhr_client_free(peer.client);
        peer.client = NULL;
    }
    assert_true(check(&record));
    if (has_ended)
        assert_int_equal(record.len, told);
    else
        assert_true(ending == LOSE ? strstr(record.text, "error(daemon-lost)") != NULL
                                   : strstr(record.text, "abort") != NULL);
    xhr_request_free(request);
    peer_done(&peer);
}

static void test_whatever_the_daemon_says_a_life_goes_forward_and_ends_once(void **state)
{
    unsigned count = 0;
    unsigned n_runs = 1;

    (void)state;
    for (int i = 0; i < RUN_LENGTH; i++)
        n_runs *= MESSAGE_COUNT;
    for (size_t begun = 0; begun <= LIFE_LENGTH; begun++) {
        for (unsigned number = 0; number < n_runs; number++) {
            enum message run[RUN_LENGTH];
            unsigned rest = number;

            for (int i = 0; i < RUN_LENGTH; i++, rest /= MESSAGE_COUNT)
                run[i] = (enum message)(rest % MESSAGE_COUNT);
            live(begun, run, (enum ending)(count++ % ENDING_COUNT));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_whatever_the_daemon_says_a_life_goes_forward_and_ends_once),
    };

    return cmocka_run_group_tests_name("client/orders", tests, NULL, NULL);
}
