/* SPDX-License-Identifier: MIT */
/* A request and the cache, with a store that the test plays: what is asked, what is told of
 * what is found, and every way in which that can be cut short. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fetch/request.h"
#include "policy/cache_rules.h"
#include "support/cache_entry_test.h"
#include "support/fetch_world.h"

#define NOW_S INT64_C(1800000000)
#define OK_3  "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nCache-Control: max-age=5\r\n\r\nnew"

/* The store's side of it. */
struct fake_store {
    bool has_it; /* a look-up waits; else nothing is stored */
    bool refuses_writers;
    bool is_full; /* what add() says */
    struct cache_lookup *waiting;
    char asked[4096]; /* what was asked last */
    char jar[65];
    bool has_credentials;
    char told[512]; /* what it was told, a word each */
    char written[64];
    const struct cache_writer_events *events;
    void *events_owner;
    unsigned n_hits;
};

static struct fetch_world world;
static struct teller teller;
static struct fake_store store;

static void note(const char *word)
{
    size_t len = strlen(store.told);

    (void)snprintf(store.told + len, sizeof(store.told) - len, "%s ", word);
}

static int fake_find(void *owner,
                     const struct partition *who,
                     const struct cache_question *question,
                     struct cache_lookup *lookup)
{
    (void)owner;
    (void)who;
    (void)snprintf(store.asked, sizeof(store.asked), "%.*s", (int)question->url.len,
                   question->url.ptr);
    (void)snprintf(store.jar, sizeof(store.jar), "%.*s", (int)question->jar.len,
                   question->jar.ptr);
    store.has_credentials = question->has_credentials;
    note("find");
    if (!store.has_it)
        return CACHE_FIND_NOTHING;
    store.waiting = lookup;
    lookup->find = &store;
    return CACHE_FIND_WAIT;
}

static void fake_find_cancel(struct cache_lookup *lookup)
{
    assert_ptr_equal(lookup, store.waiting);
    lookup->find = NULL;
    store.waiting = NULL;
    note("cancel");
}

static int fake_write(void *owner,
                      const struct partition *who,
                      struct cache_entry *entry,
                      const struct cache_writer_events *events,
                      void *events_owner,
                      struct cache_writer **ret)
{
    (void)owner;
    (void)who;
    if (store.refuses_writers)
        return -EBUSY;
    note("write");
    cache_entry_done(entry);
    store.events = events;
    store.events_owner = events_owner;
    store.written[0] = '\0';
    *ret = (struct cache_writer *)(void *)&store;
    return 0;
}

static bool fake_add(struct cache_writer *writer, struct span bytes)
{
    size_t len = strlen(store.written);

    (void)writer;
    (void)snprintf(store.written + len, sizeof(store.written) - len, "%.*s", (int)bytes.len,
                   bytes.ptr);
    return !store.is_full;
}

static void fake_commit(struct cache_writer *writer)
{
    (void)writer;
    note("commit");
}

static void fake_drop(struct cache_writer *writer)
{
    (void)writer;
    note("drop");
}

static void
fake_freshen(void *owner, const struct partition *who, uint64_t id, struct cache_entry *entry)
{
    (void)owner;
    (void)who;
    assert_int_equal(id, 42);
    note("freshen");
    cache_entry_done(entry);
}

static void fake_forget(void *owner, const struct partition *who, struct span url, uint64_t id)
{
    (void)owner;
    (void)who;
    (void)url;
    assert_int_equal(id, 42);
    note("forget");
}

static void fake_invalidate(void *owner, const struct partition *who, struct span url)
{
    char word[128];

    (void)owner;
    (void)who;
    (void)snprintf(word, sizeof(word), "invalidate(%.*s)", (int)url.len, url.ptr);
    note(word);
}

static const struct cache_access fake_access = {
    .find = fake_find,
    .find_cancel = fake_find_cancel,
    .write = fake_write,
    .add = fake_add,
    .commit = fake_commit,
    .drop = fake_drop,
    .freshen = fake_freshen,
    .forget = fake_forget,
    .invalidate = fake_invalidate,
    .owner = &store,
};

static int setup(void **state)
{
    (void)state;
    store = (struct fake_store){0};
    world_init(&world);
    world.fetcher->cache = fake_access;
    world.fetcher->cache_files = world.files;
    teller_init(&teller, &world);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    assert_null(store.waiting);
    world_done(&world);
    assert_int_equal(store.n_hits, 0);
    return 0;
}

static void close_body(struct cache_hit *hit)
{
    close(hit->body_fd);
    store.n_hits--;
}

/* @cut: so many bytes of the body are missing. */
static void found_cut(const char *fields, const char *body, size_t cut)
{
    struct cache_lookup *lookup = TAKE(store.waiting);
    struct cache_hit *hit = mem_zalloc(sizeof(*hit));
    size_t len = strlen(body);

    assert_true(lookup && hit);
    entry_make(&hit->entry, "http://a.com/", fields);
    hit->entry.request_time_s = hit->entry.response_time_s = NOW_S;
    hit->entry.body_bytes = len;
    hit->id = 42;
    hit->close_body = close_body;
    store.n_hits++;
    hit->body_fd = memfd_create("body", MFD_CLOEXEC);
    assert_int_equal(write(hit->body_fd, body, len - cut), (ssize_t)(len - cut));
    lookup->find = NULL;
    lookup->on_found(lookup->owner, hit);
    world_turn(&world);
}

static void found(const char *fields, const char *body)
{
    found_cut(fields, body, 0);
}

static void found_nothing(void)
{
    struct cache_lookup *lookup = TAKE(store.waiting);

    lookup->find = NULL;
    lookup->on_found(lookup->owner, NULL);
    world_turn(&world);
}

static void options_cached(struct request_options *options)
{
    options_get(options, "http://a.com/");
    options->cache = true;
}

static void get(void)
{
    struct request_options options;

    options_cached(&options);
    teller_send(&teller, &options);
}

static void get_with(const char *name, const char *value)
{
    struct request_options options;
    struct failure why;

    options_cached(&options);
    assert_int_equal(request_options_add_header(&options, span_of(name), span_of(value), &why),
                     0);
    teller_send(&teller, &options);
}

static void get_stored(void)
{
    store.has_it = true;
    get();
    assert_non_null(store.waiting);
}

#define FRESH "Cache-Control: max-age=100\n"
#define OLD   "Cache-Control: max-age=0\nETag: \"v\"\n"
#define SIE   "Cache-Control: max-age=0, stale-if-error=100\n"

static void test_a_hit_is_told_without_a_connection(void **state)
{
    (void)state;
    get_stored();
    assert_story(&teller, "");
    found(FRESH, "stored");
    world_settle_files(&world);
    assert_story(&teller, "head(200,6) stored done");
    assert_int_equal(world.n_servers, 0);
    assert_int_equal(teller.head.from_cache, REQUEST_FROM_CACHE);
    assert_int_equal(teller.totals.wire_bytes, 0);
    assert_int_equal(teller.totals.body_bytes, 6);
    assert_string_equal(store.asked, "http://a.com/");
    assert_string_equal(store.told, "find ");
}

static void test_an_empty_hit_ends_at_once(void **state)
{
    (void)state;
    get_stored();
    found(FRESH, "");
    assert_story(&teller, "head(200,0)  done");
}

static void test_what_is_not_found_is_fetched_and_kept(void **state)
{
    (void)state;
    get_stored();
    found_nothing();
    server_says(&world, OK_3);
    assert_story(&teller, "head(200,3) new done");
    assert_string_equal(store.told, "find write commit ");
    assert_string_equal(store.written, "new");
    teller_init(&teller, &world);
    store.has_it = false;
    get(); /* known at once: no round is lost */
    server_says(&world, OK_3);
    assert_int_equal(teller.n_done, 1);
}

static void test_the_request_may_end_while_it_is_looked_up(void **state)
{
    struct failure why;

    (void)state;
    failure_set(&why, FAILURE_ABORTED, "aborted");
    for (int how = 0; how < 3; how++) {
        struct request_options options;

        teller_init(&teller, &world);
        store.has_it = true;
        store.told[0] = '\0';
        options_cached(&options);
        options.total_timeout_us = 1000000;
        teller_send(&teller, &options);
        assert_non_null(store.waiting);
        if (how == 0)
            request_close(TAKE(teller.request));
        else if (how == 1)
            request_fail(teller.request, &why);
        else
            world_pass_ms(&world, 1000);
        world_turn(&world);
        assert_int_equal(teller.n_done, how > 0);
        assert_string_equal(store.told, "find cancel ");
    }
}

static void test_a_request_may_be_aborted_with_its_answer_found(void **state)
{
    struct failure why;

    (void)state;
    failure_set(&why, FAILURE_ABORTED, "aborted");
    get_stored();
    request_fail(teller.request, &why);
    found(FRESH, "stored"); /* in the same round */
    assert_story(&teller, " failed:aborted");
}

static void test_every_event_of_a_hit_may_end_it(void **state)
{
    static const enum teller_act acts[] = {ACT_CLOSE, ACT_FAIL, ACT_CONGEST};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(acts); i++) {
        for (int at = 0; at < 4; at++) {
            teller_init(&teller, &world);
            teller.act = acts[i];
            teller.act_at = at;
            get_stored();
            found(FRESH, "stored");
            world_settle_files(&world);
            if (acts[i] == ACT_CONGEST && teller.request)
                request_set_congested(teller.request, false);
            world_settle_files(&world);
            assert_int_equal(teller.n_done, acts[i] == ACT_CLOSE && !teller.n_done ? 0 : 1);
            assert_int_equal(store.n_hits, 0);
        }
    }
}

static void test_the_body_waits_for_credit(void **state)
{
    struct request_options options;

    (void)state;
    store.has_it = true;
    options_cached(&options);
    options.response_credit = 2;
    teller_send(&teller, &options);
    found(FRESH, "stored");
    world_settle_files(&world);
    assert_story(&teller, "head(200,6) st");
    request_add_credit(teller.request, 1);
    world_settle_files(&world);
    assert_story(&teller, "head(200,6) sto");
    request_add_credit(teller.request, 100);
    world_settle_files(&world);
    assert_story(&teller, "head(200,6) stored done");
}

static void test_a_long_body_is_read_in_blocks(void **state)
{
    char *body = repeat('x', 1000001);

    (void)state;
    body[1000000] = '\0';
    get_stored();
    found(FRESH, body);
    world_settle_files(&world);
    assert_int_equal(teller.n_done, 1);
    assert_int_equal(teller.body_bytes, 1000000);
    assert_int_equal(teller.last_down.done_bytes, 1000000);
    assert_int_equal(teller.last_down.wire_bytes, 0);
    free(body);
}

/* After the head was told nothing can be taken back. */
static void test_a_body_that_was_cut_off_since_fails_and_is_forgotten(void **state)
{
    (void)state;
    get_stored();
    found_cut(FRESH, "stored", 2);
    world_settle_files(&world);
    assert_story(&teller, "head(200,6) stor failed:truncated");
    assert_string_equal(store.told, "find forget ");
}

static void test_a_stored_redirect_is_followed_and_the_next_hop_asked_for(void **state)
{
    (void)state;
    get_stored();
    found(FRESH "Location: http://b.com/2\n", "");
    assert_story(&teller, "head(200,0)  done"); /* a 200 leads nowhere */

    teller_init(&teller, &world);
    get_stored();
    struct cache_hit *hit = mem_zalloc(sizeof(*hit));
    assert_non_null(hit);
    entry_make(&hit->entry, "http://a.com/", FRESH "Location: http://b.com/2\n");
    hit->entry.status = 301;
    hit->entry.response_time_s = hit->entry.request_time_s = NOW_S;
    hit->close_body = close_body;
    hit->body_fd = memfd_create("body", MFD_CLOEXEC);
    store.n_hits++;
    struct cache_lookup *lookup = TAKE(store.waiting);
    lookup->find = NULL;
    lookup->on_found(lookup->owner, hit);
    world_turn(&world);
    assert_story(&teller, "redirect(301,http://b.com/2,GET) ");
    assert_string_equal(store.asked, "http://b.com/2");
    found(FRESH, "there");
    world_settle_files(&world);
    assert_story(&teller, "redirect(301,http://b.com/2,GET) head(200,5) there done");
    assert_int_equal(world.n_servers, 0);
}

static void test_an_old_one_is_validated(void **state)
{
    (void)state;
    get_stored();
    found(OLD, "stored");
    const char *heard = server_hears(&world, world_server(&world));
    assert_non_null(strstr(heard, "If-None-Match: \"v\"\r\n"));
    server_says(&world, "HTTP/1.1 304 Same\r\nETag: \"v\"\r\nCache-Control: max-age=9\r\n\r\n");
    world_settle_files(&world);
    assert_story(&teller, "head(200,6) stored done");
    assert_int_equal(teller.head.from_cache, REQUEST_FROM_CACHE_STILL);
    assert_string_equal(store.told, "find freshen ");
}

static void test_a_304_waits_for_its_cookies(void **state)
{
    (void)state;
    world.commit_result = COOKIE_COMMIT_WAIT;
    get_stored();
    found(OLD, "stored");
    server_says(&world, "HTTP/1.1 304 Same\r\nSet-Cookie: a=b; Max-Age=9\r\n\r\n");
    world_settle_files(&world);
    assert_story(&teller, "");
    world_cookies_committed(&world, true);
    world_settle_files(&world);
    assert_story(&teller, "head(200,6) stored done");
}

static void test_a_304_about_something_else_is_asked_again(void **state)
{
    (void)state;
    get_stored();
    found(OLD, "stored");
    server_says(&world, "HTTP/1.1 304 Same\r\nETag: \"w\"\r\n\r\n");
    const char *heard = server_hears(&world, world_server(&world));
    char *second = strstr(heard, "GET / HTTP/1.1\r\n");
    assert_non_null(second);
    char *last = strstr(second + 1, "GET / HTTP/1.1\r\n");
    assert_null(strstr(last ? last : second, "If-None-Match"));
    server_says(&world, OK_3);
    assert_story(&teller, "head(200,3) new done");
    assert_string_equal(store.told, "find write commit ");
}

static void test_a_304_that_nobody_asked_for_is_an_answer(void **state)
{
    (void)state;
    get();
    server_says(&world, "HTTP/1.1 304 Same\r\n\r\n");
    assert_story(&teller, "head(304,0)  done");
}

static void test_another_answer_takes_the_place_of_the_old_one(void **state)
{
    (void)state;
    get_stored();
    found(OLD, "stored");
    server_says(&world, OK_3);
    assert_story(&teller, "head(200,3) new done");
    assert_int_equal(teller.head.from_cache, REQUEST_FROM_NETWORK);
    assert_string_equal(store.told, "find write commit ");
}

static void test_trouble_on_the_way_is_covered_where_it_may_be(void **state)
{
    static const char *const answers[] = {
        NULL, /* no connection */
        "",   /* the connection ends */
        "nonsense\r\n\r\n",
        "HTTP/1.1 500 Oh\r\nContent-Length: 100000\r\n\r\n",
        "HTTP/1.1 503 Oh\r\nContent-Length: 0\r\n\r\n",
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(answers); i++) {
        for (int may = 0; may < 2; may++) {
            teller_init(&teller, &world);
            world.refuse = answers[i] ? FAILURE_NONE : FAILURE_CONNECT;
            get_stored();
            found(may ? SIE : OLD, "stored");
            if (answers[i] && answers[i][0])
                server_says(&world, answers[i]);
            else if (answers[i])
                server_ends(&world);
            world_settle_files(&world);
            if (may) {
                assert_story(&teller, "head(200,6) stored done");
                assert_int_equal(teller.head.from_cache, REQUEST_FROM_CACHE_STALE);
            } else if (teller.request) {
                request_close(TAKE(teller.request)); /* the long 500 */
            }
            assert_true(may || !strstr(teller.story, "stored"));
            world.refuse = FAILURE_NONE;
        }
    }
}

static void test_a_wrong_certificate_and_an_abort_are_not_covered(void **state)
{
    struct failure why;

    (void)state;
    world.refuse = FAILURE_TLS_VERIFY;
    get_stored();
    found(SIE, "stored");
    assert_story(&teller, " failed:tls-verify");
    world.refuse = FAILURE_NONE;
    teller_init(&teller, &world);
    get_stored();
    found(SIE, "stored");
    failure_set(&why, FAILURE_ABORTED, "aborted");
    request_fail(teller.request, &why);
    world_turn(&world);
    assert_story(&teller, " failed:aborted");
}

static void test_only_if_cached_asks_nobody(void **state)
{
    (void)state;
    get_with("Cache-Control", "only-if-cached");
    assert_story(&teller, "head(504,0)  done");
    assert_int_equal(world.n_servers, 0);
    teller_init(&teller, &world);
    store.has_it = true;
    get_with("Cache-Control", "only-if-cached");
    found(OLD, "stored");
    assert_story(&teller, "head(504,0)  done");
    assert_int_equal(world.n_servers, 0);
}

static void head_stored(const char *fields)
{
    struct request_options options;
    struct failure why;

    teller_init(&teller, &world);
    store.has_it = true;
    options_cached(&options);
    assert_int_equal(request_options_set_method(&options, SPAN_LIT("HEAD"), &why), 0);
    teller_send(&teller, &options);
    found(fields, "stored");
    world_settle_files(&world);
}

static void test_a_head_is_answered_from_what_is_fresh_of_a_get(void **state)
{
    (void)state;
    head_stored(FRESH);
    assert_story(&teller, "head(200,0)  done");
    assert_int_equal(world.n_servers, 0);
    assert_int_equal(teller.head.from_cache, REQUEST_FROM_CACHE);
    assert_string_equal(store.told, "find ");
}

static void test_a_head_of_what_is_old_asks_the_server_and_is_not_kept(void **state)
{
    (void)state;
    head_stored(OLD);
    assert_null(strstr(server_hears(&world, world_server(&world)), "If-None-Match"));
    server_says(&world, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nETag: W/\"v\"\r\n\r\n");
    assert_story(&teller, "head(200,0)  done");
    assert_string_equal(store.told, "find ");
    head_stored(OLD); /* another thing by now */
    server_says(&world, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nETag: \"w\"\r\n\r\n");
    assert_story(&teller, "head(200,0)  done");
    assert_string_equal(store.told, "find find forget ");
    head_stored(SIE); /* and it stands in for a server that is in trouble */
    server_says(&world, "HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n");
    assert_story(&teller, "head(200,0)  done");
    assert_int_equal(teller.head.from_cache, REQUEST_FROM_CACHE_STALE);
}

static void test_a_full_writer_holds_up_the_server_not_the_owner(void **state)
{
    (void)state;
    get();
    store.is_full = true;
    server_says(&world,
                "HTTP/1.1 200 OK\r\nContent-Length: 6\r\nCache-Control: max-age=5\r\n\r\n"
                "abc");
    server_says(&world, "def");
    assert_story(&teller, "head(200,6) abc");
    store.is_full = false;
    store.events->on_room(store.events_owner);
    world_turn(&world);
    assert_story(&teller, "head(200,6) abcdef done");
    assert_string_equal(store.told, "find write commit ");
}

static void test_what_does_not_come_whole_is_dropped(void **state)
{
    (void)state;
    get();
    server_says(&world, "HTTP/1.1 200 OK\r\nContent-Length: 6\r\nETag: \"x\"\r\n\r\nabc");
    server_ends(&world);
    assert_int_equal(teller.has_failed, true);
    assert_string_equal(store.told, "find write drop ");
    store.told[0] = '\0';
    teller_init(&teller, &world);
    get();
    server_says(&world, "HTTP/1.1 200 OK\r\nContent-Length: 6\r\nETag: \"x\"\r\n\r\nabc");
    request_close(TAKE(teller.request));
    assert_string_equal(store.told, "find write drop ");
}

static void test_who_may_not_be_told_apart_is_told_apart(void **state)
{
    struct request_options options;
    struct failure why;

    (void)state;
    get();
    server_says(&world, OK_3);
    assert_string_equal(store.jar, "default");
    assert_false(store.has_credentials);

    teller_init(&teller, &world);
    options_cached(&options);
    options.cookies = REQUEST_COOKIES_NONE;
    teller_send(&teller, &options);
    server_says(&world, OK_3);
    assert_string_equal(store.jar, "");

    teller_init(&teller, &world);
    get_with("Cookie", "a=b");
    server_says(&world, OK_3);
    assert_true(store.has_credentials);

    teller_init(&teller, &world);
    options_cached(&options);
    url_done(&options.url);
    assert_int_equal(
        request_options_set_url(&options, SPAN_LIT("http://u:p@a.com/x"), false, &why), 0);
    teller_send(&teller, &options);
    server_says(&world, OK_3);
    assert_true(store.has_credentials);
    assert_string_equal(store.asked, "http://a.com/x");
}

static void test_unsafe_methods_end_what_is_stored_whoever_sends_them(void **state)
{
    struct request_options options;
    struct failure why;

    (void)state;
    options_get(&options, "http://a.com/x#y");
    assert_int_equal(request_options_set_method(&options, SPAN_LIT("DELETE"), &why), 0);
    teller_send(&teller, &options);
    server_says(&world,
                "HTTP/1.1 204 Gone\r\nLocation: /z\r\nContent-Location: http://b.com/\r\n\r\n");
    assert_int_equal(teller.n_done, 1);
    assert_string_equal(store.told, "invalidate(http://a.com/x) invalidate(http://a.com/z) ");
}

#define CACHE_TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CACHE_TEST(test_a_hit_is_told_without_a_connection),
        CACHE_TEST(test_an_empty_hit_ends_at_once),
        CACHE_TEST(test_what_is_not_found_is_fetched_and_kept),
        CACHE_TEST(test_the_request_may_end_while_it_is_looked_up),
        CACHE_TEST(test_a_request_may_be_aborted_with_its_answer_found),
        CACHE_TEST(test_every_event_of_a_hit_may_end_it),
        CACHE_TEST(test_the_body_waits_for_credit),
        CACHE_TEST(test_a_long_body_is_read_in_blocks),
        CACHE_TEST(test_a_body_that_was_cut_off_since_fails_and_is_forgotten),
        CACHE_TEST(test_a_stored_redirect_is_followed_and_the_next_hop_asked_for),
        CACHE_TEST(test_an_old_one_is_validated),
        CACHE_TEST(test_a_304_waits_for_its_cookies),
        CACHE_TEST(test_a_304_about_something_else_is_asked_again),
        CACHE_TEST(test_a_304_that_nobody_asked_for_is_an_answer),
        CACHE_TEST(test_another_answer_takes_the_place_of_the_old_one),
        CACHE_TEST(test_trouble_on_the_way_is_covered_where_it_may_be),
        CACHE_TEST(test_a_wrong_certificate_and_an_abort_are_not_covered),
        CACHE_TEST(test_only_if_cached_asks_nobody),
        CACHE_TEST(test_a_head_is_answered_from_what_is_fresh_of_a_get),
        CACHE_TEST(test_a_head_of_what_is_old_asks_the_server_and_is_not_kept),
        CACHE_TEST(test_a_full_writer_holds_up_the_server_not_the_owner),
        CACHE_TEST(test_what_does_not_come_whole_is_dropped),
        CACHE_TEST(test_who_may_not_be_told_apart_is_told_apart),
        CACHE_TEST(test_unsafe_methods_end_what_is_stored_whoever_sends_them),
    };

    return cmocka_run_group_tests_name("fetch/request_cache", tests, NULL, NULL);
}
