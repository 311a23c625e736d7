/* SPDX-License-Identifier: MIT */
/* Watches, from a daemon that says what no daemon should: whatever it is, the watch ends once,
 * with an error that names it, and nothing is told behind it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/peer.h"

#define WATCH      XHRD__V1__COOKIE_COMMAND__OPERATION_WATCH
#define COOKIE     XHRD__V1__CLIENT_MESSAGE__KIND_COOKIE
#define EXPLICIT   XHRD__V1__COOKIE_CAUSE__COOKIE_CAUSE_EXPLICIT
#define CAUSE_NONE XHRD__V1__COOKIE_CAUSE__COOKIE_CAUSE_UNSPECIFIED

struct heard {
    char story[256];
    unsigned ends;
    enum xhr_error_class error;
    char text[128];
    bool free_in_change;
};

static void write_down(struct heard *heard, const char *what, uint64_t number)
{
    size_t len = strlen(heard->story);

    assert_int_equal(heard->ends, 0);
    (void)snprintf(heard->story + len, sizeof(heard->story) - len, "%s%s %llu",
                   len > 0 ? ", " : "", what, (unsigned long long)number);
}

static void on_snapshot(struct xhr_cookie_watch *watch,
                        const struct xhr_cookies *cookies,
                        uint64_t sequence,
                        void *user)
{
    char what[32];

    (void)watch;
    (void)snprintf(what, sizeof(what), "%zu at", xhr_cookies_count(cookies));
    for (size_t i = 0; i < xhr_cookies_count(cookies); i++)
        assert_string_equal(xhr_cookies_at(cookies, i)->domain, "a.test");
    write_down(user, what, sequence);
}

static void
on_change(struct xhr_cookie_watch *watch, const struct xhr_cookie_change *change, void *user)
{
    struct heard *heard = user;

    assert_string_equal(change->cookie->name, "n");
    write_down(heard, change->removed ? "gone" : "change", change->sequence);
    if (heard->free_in_change)
        (void)xhr_cookie_watch_free(watch);
}

static void on_end(struct xhr_cookie_watch *watch, const struct xhr_error *error, void *user)
{
    struct heard *heard = user;

    (void)watch;
    assert_int_equal(heard->ends++, 0);
    heard->error = error->kind;
    (void)snprintf(heard->text, sizeof(heard->text), "%s", error->text);
}

static const struct xhr_cookie_watch_events events = {
    .size = sizeof(events), .snapshot = on_snapshot, .change = on_change, .end = on_end};

static struct peer peer;
static struct heard heard;
static struct xhr_cookie_watch *watch;
static uint32_t id;

static int begin(void **state)
{
    (void)state;
    heard = (struct heard){0};
    peer_init(&peer, false);
    assert_int_equal(xhr_cookie_watch_new(peer.client, "work", &events, &heard, &watch), 0);
    const Xhrd__V1__CookieCommand *command = peer_expect(&peer, COOKIE)->cookie;
    assert_int_equal(command->operation_case, WATCH);
    id = command->command_id;
    return 0;
}

static int end(void **state)
{
    (void)state;
    watch = xhr_cookie_watch_free(watch);
    peer_done(&peer);
    return 0;
}

/* What a message of the daemon says; what is not said is 0. */
struct said {
    bool is_reply; /* else CookieChanges */
    uint32_t id;   /* 0: the watch's */
    uint64_t previous, sequence;
    unsigned n_cookies; /* of a snapshot */
    bool more, reset;
    unsigned n_changes;
    uint64_t at[3]; /* of the changes */
    int cause;      /* of the changes; 0: EXPLICIT, -1: UNSPECIFIED */
    bool without_cookie;
    int failure; /* FailureKind + 1; 0: none */
};

#define SAID_COOKIES 4

static void say(const struct said *said)
{
    Xhrd__V1__ServerMessage message = XHRD__V1__SERVER_MESSAGE__INIT;
    Xhrd__V1__CookieReply reply = XHRD__V1__COOKIE_REPLY__INIT;
    Xhrd__V1__CookieChanges changes = XHRD__V1__COOKIE_CHANGES__INIT;
    Xhrd__V1__Failure failure = XHRD__V1__FAILURE__INIT;
    Xhrd__V1__Cookie cookie = XHRD__V1__COOKIE__INIT;
    Xhrd__V1__Cookie *cookies[SAID_COOKIES] = {&cookie, &cookie, &cookie, &cookie};
    Xhrd__V1__CookieChange change[3];
    Xhrd__V1__CookieChange *list[3];

    cookie.name = (ProtobufCBinaryData){1, (uint8_t *)(uintptr_t) "n"};
    cookie.domain = (ProtobufCBinaryData){6, (uint8_t *)(uintptr_t) "a.test"};
    failure.kind = (Xhrd__V1__FailureKind)(said->failure - 1);
    for (unsigned i = 0; i < 3; i++) {
        xhrd__v1__cookie_change__init(&change[i]);
        change[i].sequence = said->at[i];
        change[i].cause = said->cause == 0    ? EXPLICIT
                          : said->cause == -1 ? CAUSE_NONE
                                              : (Xhrd__V1__CookieCause)said->cause;
        change[i].cookie = said->without_cookie ? NULL : &cookie;
        list[i] = &change[i];
    }
    reply.command_id = changes.command_id = said->id ? said->id : id;
    reply.sequence = changes.sequence = said->sequence;
    reply.more = changes.more = said->more;
    reply.cookies = changes.snapshot = cookies;
    reply.n_cookies = changes.n_snapshot = said->n_cookies;
    reply.failure = changes.failure = said->failure ? &failure : NULL;
    changes.previous = said->previous;
    changes.reset = said->reset;
    changes.changes = list;
    changes.n_changes = said->n_changes;
    if (said->is_reply) {
        message.kind_case = XHRD__V1__SERVER_MESSAGE__KIND_COOKIE;
        message.cookie = &reply;
    } else {
        message.kind_case = XHRD__V1__SERVER_MESSAGE__KIND_COOKIE_CHANGES;
        message.cookie_changes = &changes;
    }
    peer_send(&peer, &message);
    peer_turn(&peer);
}

#define SAY(...) say(&(const struct said){__VA_ARGS__})

static void test_a_daemon_that_keeps_to_the_rules_is_heard(void **state)
{
    (void)state;
    SAY(.is_reply = true, .n_cookies = 2, .more = true);
    assert_string_equal(heard.story, "");
    SAY(.is_reply = true, .n_cookies = 1, .sequence = 7);
    SAY(.previous = 7, .sequence = 9, .n_changes = 2, .at = {8, 9});
    SAY(.previous = 9, .sequence = 12, .n_changes = 1, .at = {11});
    SAY(.previous = 12, .sequence = 12); /* nothing new is not wrong */
    SAY(.previous = 12, .sequence = 40, .reset = true, .n_cookies = 4, .more = true);
    SAY(.previous = 12, .sequence = 40, .reset = true);
    SAY(.previous = 40, .sequence = 41, .n_changes = 1, .at = {41});
    assert_string_equal(heard.story,
                        "3 at 7, change 8, change 9, change 11, 4 at 40, change 41");
    assert_int_equal(heard.ends, 0);
    SAY(.previous = 41, .sequence = 41,
        .failure = 1 + XHRD__V1__FAILURE_KIND__FAILURE_KIND_POLICY);
    assert_int_equal(heard.ends, 1);
    assert_int_equal(heard.error, XHR_ERROR_POLICY);
    assert_int_equal(xhr_client_in_flight(peer.client), 0);
}

static const struct {
    const char *name;
    struct said said;
    bool before_snapshot;
} lies[] = {
    {.name = "changes before there is a snapshot",
     .said = {.previous = 0, .sequence = 1, .n_changes = 1, .at = {1}},
     .before_snapshot = true},
    {.name = "a reset before there is a snapshot",
     .said = {.reset = true, .n_cookies = 1},
     .before_snapshot = true},
    {.name = "a second snapshot", .said = {.is_reply = true, .n_cookies = 1, .sequence = 8}},
    {.name = "a gap", .said = {.previous = 8, .sequence = 9, .n_changes = 1, .at = {9}}},
    {.name = "what was told before",
     .said = {.previous = 6, .sequence = 8, .n_changes = 1, .at = {8}}},
    {.name = "a way back", .said = {.previous = 7, .sequence = 6}},
    {.name = "a change of before",
     .said = {.previous = 7, .sequence = 8, .n_changes = 1, .at = {7}}},
    {.name = "changes out of order",
     .said = {.previous = 7, .sequence = 9, .n_changes = 2, .at = {9, 8}}},
    {.name = "the same change twice",
     .said = {.previous = 7, .sequence = 9, .n_changes = 2, .at = {9, 9}}},
    {.name = "a change of later",
     .said = {.previous = 7, .sequence = 8, .n_changes = 1, .at = {9}}},
    {.name = "the largest number",
     .said = {.previous = 7, .sequence = 8, .n_changes = 1, .at = {UINT64_MAX}}},
    {.name = "a change without a cookie",
     .said = {.previous = 7, .sequence = 8, .n_changes = 1, .at = {8}, .without_cookie = true}},
    {.name = "a change without a cause",
     .said = {.previous = 7, .sequence = 8, .n_changes = 1, .at = {8}, .cause = -1}},
    {.name = "a cause nobody knows",
     .said = {.previous = 7, .sequence = 8, .n_changes = 1, .at = {8}, .cause = 99}},
    {.name = "a cause below all",
     .said = {.previous = 7, .sequence = 8, .n_changes = 1, .at = {8}, .cause = -99}},
    {.name = "a reset with changes in it",
     .said = {.previous = 7, .sequence = 8, .reset = true, .n_changes = 1, .at = {8}}},
    {.name = "a snapshot that is no reset",
     .said = {.previous = 7, .sequence = 8, .n_cookies = 1}},
    {.name = "a reset to before",
     .said = {.previous = 7, .sequence = 3, .reset = true, .n_cookies = 1}},
    {.name = "a reset behind a gap", .said = {.previous = 9, .sequence = 10, .reset = true}},
    {.name = "a failure without a kind", .said = {.previous = 7, .sequence = 7, .failure = 1}},
    {.name = "a failing reply without a kind", .said = {.is_reply = true, .failure = 1}},
};

static void test_whatever_is_wrong_ends_the_watch_once_with_one_clear_error(void **state)
{
    for (size_t i = 0; i < sizeof(lies) / sizeof(*lies); i++) {
        if (i > 0) {
            (void)end(state);
            (void)begin(state);
        }
        if (!lies[i].before_snapshot)
            SAY(.is_reply = true, .n_cookies = 1, .sequence = 7);
        say(&lies[i].said);
        if (heard.ends != 1 || heard.error != XHR_ERROR_DAEMON_PROTOCOL ||
            strncmp(heard.text, "the daemon ", 11) != 0)
            fail_msg("%s: %u ends, \"%s\"", lies[i].name, heard.ends, heard.text);
        assert_string_equal(heard.story, lies[i].before_snapshot ? "" : "1 at 7");
        assert_int_equal(xhr_client_in_flight(peer.client), 0);
    }
}

static void test_changes_between_the_pages_of_a_reset_are_refused(void **state)
{
    (void)state;
    SAY(.is_reply = true, .sequence = 7);
    SAY(.previous = 7, .sequence = 9, .reset = true, .n_cookies = 1, .more = true);
    SAY(.previous = 7, .sequence = 8, .n_changes = 1, .at = {8});
    assert_int_equal(heard.ends, 1);
    assert_int_equal(heard.error, XHR_ERROR_DAEMON_PROTOCOL);
    assert_string_equal(heard.story, "0 at 7");
}

static void test_messages_of_another_command_do_not_reach_a_watch(void **state)
{
    (void)state;
    SAY(.is_reply = true, .sequence = 7);
    SAY(.id = id + 1000, .previous = 7, .sequence = 8, .n_changes = 1, .at = {8});
    assert_string_equal(heard.story, "0 at 7");
    assert_true(heard.ends == 0 || heard.error == XHR_ERROR_DAEMON_PROTOCOL);
}

static void test_a_jar_of_more_cookies_than_any_holds_ends_the_watch_alone(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 65536 / SAID_COOKIES + 1 && heard.ends == 0; i++)
        SAY(.is_reply = true, .n_cookies = SAID_COOKIES, .more = true);
    assert_int_equal(heard.ends, 1);
    assert_int_equal(heard.error, XHR_ERROR_LIMIT);
    assert_string_equal(heard.story, "");
    assert_true(xhr_client_fd(peer.client) >= 0); /* the daemon is fine, the connection too */
}

static void test_a_watch_may_be_freed_from_its_own_callback(void **state)
{
    (void)state;
    heard.free_in_change = true;
    SAY(.is_reply = true, .sequence = 7);
    SAY(.previous = 7, .sequence = 9, .n_changes = 2, .at = {8, 9});
    watch = NULL;
    assert_string_equal(heard.story, "0 at 7, change 8");
    assert_int_equal(heard.ends, 0);
    SAY(.previous = 9, .sequence = 10, .n_changes = 1, .at = {10}); /* it had left already */
    assert_string_equal(heard.story, "0 at 7, change 8");
    assert_true(xhr_client_fd(peer.client) >= 0);
}

static void test_a_daemon_that_goes_ends_the_watch_once(void **state)
{
    (void)state;
    SAY(.is_reply = true, .n_cookies = 1, .more = true);
    peer_close(&peer);
    peer_turn(&peer);
    assert_int_equal(heard.ends, 1);
    assert_int_equal(heard.error, XHR_ERROR_DAEMON_LOST);
    assert_string_equal(heard.story, "");
}

#define WATCH_TEST(test) cmocka_unit_test_setup_teardown(test, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WATCH_TEST(test_a_daemon_that_keeps_to_the_rules_is_heard),
        WATCH_TEST(test_whatever_is_wrong_ends_the_watch_once_with_one_clear_error),
        WATCH_TEST(test_changes_between_the_pages_of_a_reset_are_refused),
        WATCH_TEST(test_messages_of_another_command_do_not_reach_a_watch),
        WATCH_TEST(test_a_jar_of_more_cookies_than_any_holds_ends_the_watch_alone),
        WATCH_TEST(test_a_watch_may_be_freed_from_its_own_callback),
        WATCH_TEST(test_a_daemon_that_goes_ends_the_watch_once),
    };

    return cmocka_run_group_tests_name("client/watch", tests, NULL, NULL);
}
