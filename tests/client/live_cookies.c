/* SPDX-License-Identifier: MIT */
/*
 * The cookie functions of libxhr against a daemon that runs (XHRD_SOCKET; test_library.py
 * starts it), each of them blocking and with a callback, in the default jar, in a named one and
 * in the machine's.
 */
#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <xhr/xhr.h>

#include "support/test.h"

static struct xhr_client *client;

struct seen { /* of one answer, whichever way it came */
    int n_calls;
    size_t count;
    uint64_t changed;
    int error;
    enum xhr_durability durability;
    char names[256]; /* "a=1 b=2 " */
};

static void look(const struct xhr_cookies *cookies, void *user)
{
    struct seen *seen = user;
    const struct xhr_error *error = xhr_cookies_error(cookies);

    seen->n_calls++;
    seen->count = xhr_cookies_count(cookies);
    seen->changed = xhr_cookies_changed(cookies);
    seen->error = error ? (int)error->kind : 0;
    seen->durability = xhr_cookies_durability(cookies);
    assert_false(xhr_cookies_not_persisted(cookies));
    for (size_t i = 0; i < seen->count; i++) {
        const struct xhr_cookie *cookie = xhr_cookies_at(cookies, i);
        size_t len = strlen(seen->names);

        assert_true(xhr_cookie_is_valid(cookie));
        (void)snprintf(seen->names + len, sizeof(seen->names) - len, "%s=%s ", cookie->name,
                       cookie->value);
    }
}

static struct xhr_cookie_call call_of(const char *jar, struct seen *seen)
{
    *seen = (struct seen){0};
    return (struct xhr_cookie_call){
        .size = sizeof(struct xhr_cookie_call), .jar = jar, .done = look, .user = seen};
}

/* What a function that blocks gave back. */
static void take(int r, struct xhr_cookies *cookies, struct seen *seen)
{
    assert_int_equal(seen->n_calls, 0); /* done is not called beside it */
    if (r == 0)
        assert_non_null(cookies);
    if (cookies)
        look(cookies, seen);
    (void)xhr_cookies_free(cookies);
}

static void wait_for(const struct seen *seen)
{
    while (seen->n_calls == 0)
        assert_true(xhr_client_wait(client, 10000) >= 0);
    assert_int_equal(seen->n_calls, 1);
}

/* Calls function(client, &call, ..., ret) both ways; what each saw is to be the same. */
#define BOTH(jar, ret_seen, function, ...)                                                     \
    do {                                                                                       \
        struct xhr_cookies *both_answer = NULL;                                                \
        struct seen both_async;                                                                \
        struct xhr_cookie_call both_call = call_of(jar, &(ret_seen));                          \
        int both_r = function(client, &both_call, ##__VA_ARGS__, &both_answer);                \
        take(both_r, both_answer, &(ret_seen));                                                \
        both_call = call_of(jar, &both_async);                                                 \
        assert_int_equal(function(client, &both_call, ##__VA_ARGS__, NULL), 0);                \
        wait_for(&both_async);                                                                 \
        assert_int_equal(both_async.error, (ret_seen).error);                                  \
    } while (0)

/* The blocking way alone, for what cannot be done twice. */
#define ONCE(jar, ret_seen, function, ...)                                                     \
    do {                                                                                       \
        struct xhr_cookies *once_answer = NULL;                                                \
        struct xhr_cookie_call once_call = call_of(jar, &(ret_seen));                          \
        int once_r = function(client, &once_call, ##__VA_ARGS__, &once_answer);                \
        take(once_r, once_answer, &(ret_seen));                                                \
    } while (0)

static struct xhr_cookie cookie_of(const char *name, const char *value, const char *domain)
{
    return (struct xhr_cookie){.size = sizeof(struct xhr_cookie),
                               .name = name,
                               .value = value,
                               .domain = domain,
                               .path = "/"};
}

static void add(const char *jar, struct xhr_cookie cookie)
{
    struct seen seen;

    BOTH(jar, seen, xhr_http_cookie_add, &cookie, NULL);
    assert_int_equal(seen.error, 0);
    assert_int_equal(seen.changed, 1);
}

static void fill(const char *jar)
{
    struct xhr_cookie sub = cookie_of("sub", "2", "www.example.com");
    struct xhr_cookie deep = cookie_of("deep", "3", "example.com");
    struct xhr_cookie only = cookie_of("only", "4", "example.com");

    deep.path = "/deep";
    only.host_only = true;
    add(jar, cookie_of("plain", "1", "example.com"));
    add(jar, sub);
    add(jar, deep);
    add(jar, only);
    add(jar, cookie_of("other", "5", "other.org"));
}

static void assert_all(const char *jar, const char *names)
{
    struct seen seen;

    BOTH(jar, seen, xhr_http_cookies_all);
    assert_string_equal(seen.names, names);
}

static void empty(const char *jar)
{
    struct seen seen;

    BOTH(jar, seen, xhr_http_cookies_remove_all);
    assert_int_equal(seen.error, 0);
    assert_all(jar, "");
}

static const char *const jars[] = {NULL, "default", "work"};
#define N_JARS (sizeof(jars) / sizeof(jars[0]))

/* ---- the functions of HTTPClient --------------------------------------------------------- */

static void test_cookies_are_added_and_all_of_them_listed(void **state)
{
    struct seen seen;

    (void)state;
    for (size_t i = 0; i < N_JARS; i++) {
        fill(jars[i]);
        BOTH(jars[i], seen, xhr_http_cookies_all);
        assert_int_equal(seen.count, 5);
        empty(jars[i]);
        BOTH(jars[i], seen, xhr_http_cookies_all);
        assert_int_equal(seen.count, 0); /* a list that is empty, no error */
        assert_int_equal(seen.error, 0);
    }
}

static void test_cookies_are_found_by_domain_path_and_name(void **state)
{
    struct seen seen;

    (void)state;
    fill(NULL);
    BOTH(NULL, seen, xhr_http_cookies_get, "example.com", NULL, NULL);
    assert_int_equal(seen.count, 3); /* those that a request there could carry */
    BOTH(NULL, seen, xhr_http_cookies_get, "www.example.com", "/", "plain");
    assert_string_equal(seen.names, "plain=1 ");
    BOTH(NULL, seen, xhr_http_cookies_get, "example.com", "/deep", "deep");
    assert_string_equal(seen.names, "deep=3 ");
    BOTH(NULL, seen, xhr_http_cookies_get, "example.com", "/", "deep");
    assert_int_equal(seen.count, 0);
    BOTH(NULL, seen, xhr_http_cookies_get_for_domain, "www.example.com");
    assert_int_equal(seen.count,
                     3); /* its own and the parent's, not the one of the host alone */
    BOTH(NULL, seen, xhr_http_cookies_get_for_domain, "nobody.example");
    assert_int_equal(seen.count, 0);
    empty(NULL);
}

static void test_cookies_are_removed_one_by_one_and_by_domain(void **state)
{
    struct seen seen;

    (void)state;
    fill("work");
    ONCE("work", seen, xhr_http_cookie_remove, "example.com", "/", "plain");
    assert_int_equal(seen.changed, 1);
    ONCE("work", seen, xhr_http_cookie_remove, "example.com", "/", "plain");
    assert_int_equal(seen.changed, 0);
    ONCE("work", seen, xhr_http_cookies_remove_for_domain, "www.example.com");
    assert_true(seen.changed >= 1);
    BOTH("work", seen, xhr_http_cookies_get, "other.org", NULL, NULL);
    assert_string_equal(seen.names, "other=5 ");
    BOTH("work", seen, xhr_clear_cookies, "other.org");
    BOTH("work", seen, xhr_http_cookies_get, "other.org", NULL, NULL);
    assert_int_equal(seen.count, 0);
    empty("work");
}

static void test_every_attribute_comes_back(void **state)
{
    struct xhr_cookie cookie = cookie_of("full", "v", "example.com");
    struct xhr_cookie_call call = {.size = sizeof(call)};
    struct xhr_cookies *answer = NULL;

    (void)state;
    cookie.secure = true;
    cookie.http_only = true;
    cookie.same_site = XHR_SAME_SITE_STRICT;
    cookie.persistent = true;
    cookie.expires_s = (int64_t)time(NULL) + 3600;
    cookie.path = "/a";
    cookie.comment = "a word";
    cookie.version = 1;
    cookie.original_url = "https://example.com/a/b";
    assert_int_equal(
        xhr_http_cookie_add(client, &call, &cookie, "https://example.com/a/b?q#f", &answer), 0);
    answer = xhr_cookies_free(answer);
    assert_int_equal(xhr_http_cookies_all(client, &call, &answer), 0);
    assert_int_equal(xhr_cookies_count(answer), 1);
    const struct xhr_cookie *got = xhr_cookies_at(answer, 0);
    assert_string_equal(got->name, "full");
    assert_string_equal(got->path, "/a");
    assert_true(got->secure && got->http_only && got->persistent);
    assert_int_equal(got->same_site, XHR_SAME_SITE_STRICT);
    assert_int_equal(got->expires_s, cookie.expires_s);
    assert_in_range(got->max_age_s, 3500, 3600);
    assert_true(got->created_s > 0 && got->last_access_s > 0);
    assert_string_equal(got->comment, "a word");
    assert_int_equal(got->version, 1);
    assert_string_equal(got->original_url, "https://example.com/a/b");
    assert_true(xhr_cookie_is_valid(got));
    struct xhr_cookie past = *got;
    past.expires_s = 1;
    assert_false(xhr_cookie_is_valid(&past));
    (void)xhr_cookies_free(answer);
    empty(NULL);
}

static void test_a_change_is_synced_when_that_is_asked_for(void **state)
{
    struct xhr_cookie cookie = cookie_of("safe", "1", "example.com");
    struct xhr_cookies *answer = NULL;
    struct xhr_cookie_call call = {.size = sizeof(call), .durability = XHR_DURABILITY_SYNCED};

    (void)state;
    cookie.persistent = true;
    cookie.expires_s = (int64_t)time(NULL) + 3600;
    assert_int_equal(xhr_http_cookie_add(client, &call, &cookie, NULL, &answer), 0);
    assert_int_equal(xhr_cookies_durability(answer), XHR_DURABILITY_SYNCED);
    (void)xhr_cookies_free(answer);
    empty(NULL);
}

static void test_what_a_server_may_not_set_is_refused(void **state)
{
    struct xhr_cookie cookie = cookie_of("a", "1", "co.uk");
    struct seen seen;

    (void)state;
    BOTH(NULL, seen, xhr_http_cookie_add, &cookie, "https://shop.co.uk/");
    assert_int_equal(seen.error, XHR_ERROR_ARGUMENT);
    assert_all(NULL, "");
}

static void test_what_is_missing_is_told_at_once(void **state)
{
    struct seen seen;
    struct xhr_cookie_call call = call_of(NULL, &seen);
    struct xhr_cookies *answer = NULL;

    (void)state;
    assert_int_equal(xhr_http_cookies_get(client, &call, NULL, NULL, NULL, &answer), -EINVAL);
    assert_int_equal(xhr_http_cookies_get_for_domain(client, &call, NULL, NULL), -EINVAL);
    assert_int_equal(xhr_http_cookie_remove(client, &call, "a", "/", NULL, &answer), -EINVAL);
    assert_int_equal(xhr_http_cookies_remove_for_domain(client, &call, NULL, &answer), -EINVAL);
    assert_int_equal(xhr_clear_cookies(client, &call, NULL, &answer), -EINVAL);
    assert_null(answer);
    assert_int_equal(seen.n_calls, 0);
}

static void refuse_to_block(const struct xhr_cookies *cookies, void *user)
{
    struct xhr_cookies *answer = NULL;
    int *r = user;

    (void)cookies;
    *r = xhr_http_cookies_all(client, NULL, &answer);
}

static void test_nobody_blocks_inside_a_callback(void **state)
{
    int r = 1;
    struct xhr_cookie_call call = {.size = sizeof(call), .done = refuse_to_block, .user = &r};

    (void)state;
    assert_int_equal(xhr_http_cookies_all(client, &call, NULL), 0);
    while (r == 1)
        assert_true(xhr_client_wait(client, 10000) >= 0);
    assert_int_equal(r, -EDEADLK);
}

/* ---- the machine's jar ------------------------------------------------------------------- */

static void test_the_system_jar_has_the_same_functions(void **state)
{
    struct xhr_cookie cookie = cookie_of("machine", "1", "example.com");
    struct seen seen;

    (void)state;
    BOTH(NULL, seen, xhr_system_cookie_add, &cookie, NULL);
    assert_int_equal(seen.error, 0);
    BOTH(NULL, seen, xhr_system_cookies_get, "example.com", NULL, NULL);
    assert_string_equal(seen.names, "machine=1 ");
    assert_all(NULL, ""); /* not the user's */
    ONCE(NULL, seen, xhr_system_cookie_remove, "example.com", "/", "machine");
    assert_int_equal(seen.changed, 1);
    BOTH(NULL, seen, xhr_system_cookie_add, &cookie, NULL);
    BOTH(NULL, seen, xhr_system_cookies_remove_all);
    BOTH(NULL, seen, xhr_system_cookies_get, "example.com", NULL, NULL);
    assert_int_equal(seen.count, 0);
}

/* ---- jars and sessions ------------------------------------------------------------------- */

static bool jar_is_listed(const char *name, struct xhr_jar_info *ret, struct xhr_cookies **hold)
{
    assert_int_equal(xhr_jars_list(client, NULL, NULL, hold), 0);
    for (size_t i = 0; i < xhr_jars_count(*hold); i++) {
        *ret = *xhr_jars_at(*hold, i);
        if (strcmp(ret->name, name) == 0)
            return true;
    }
    return false;
}

static void test_jars_are_made_listed_granted_and_removed(void **state)
{
    struct xhr_jar_grant grant = {.size = sizeof(grant), .id = 4711, .right = XHR_JAR_READ};
    struct xhr_cookies *hold = NULL;
    struct xhr_jar_info jar = {0};
    struct seen seen;

    (void)state;
    ONCE("made", seen, xhr_jar_create);
    assert_int_equal(seen.error, 0);
    BOTH("made", seen, xhr_jar_grant_right, &grant);
    assert_int_equal(seen.error, 0);
    assert_true(jar_is_listed("made", &jar, &hold));
    assert_int_equal(jar.right, XHR_JAR_WRITE);
    assert_int_equal(jar.n_grants, 1);
    assert_int_equal(jar.grants[0].id, 4711);
    assert_int_equal(jar.grants[0].right, XHR_JAR_READ);
    hold = xhr_cookies_free(hold);
    ONCE("made", seen, xhr_jar_revoke_right, &grant);
    assert_int_equal(seen.changed, 1);
    ONCE("made", seen, xhr_jar_remove);
    assert_false(jar_is_listed("made", &jar, &hold));
    (void)xhr_cookies_free(hold);
}

static void test_a_session_ends_and_what_lasts_stays(void **state)
{
    struct xhr_cookie lasting = cookie_of("lasting", "1", "example.com");
    struct seen seen;

    (void)state;
    lasting.persistent = true;
    lasting.expires_s = (int64_t)time(NULL) + 3600;
    add(NULL, lasting);
    add(NULL, cookie_of("session", "1", "example.com"));
    add("work", cookie_of("session", "1", "example.com"));
    BOTH("default", seen, xhr_session_end);
    assert_all(NULL, "lasting=1 ");
    assert_all("work", "session=1 ");
    BOTH(NULL, seen, xhr_session_end); /* of all jars */
    assert_all("work", "");
    empty(NULL);
}

/* ---- watching ---------------------------------------------------------------------------- */

struct heard {
    size_t in_snapshot;
    uint64_t sequence;
    int n_snapshots;
    int n_ends;
    char story[512];
};

static void on_snapshot(struct xhr_cookie_watch *watch,
                        const struct xhr_cookies *cookies,
                        uint64_t sequence,
                        void *user)
{
    struct heard *heard = user;

    assert_non_null(watch);
    heard->n_snapshots++;
    heard->in_snapshot = xhr_cookies_count(cookies);
    heard->sequence = sequence;
}

static void
on_change(struct xhr_cookie_watch *watch, const struct xhr_cookie_change *change, void *user)
{
    struct heard *heard = user;
    size_t len = strlen(heard->story);

    assert_non_null(watch);
    assert_int_equal(change->sequence, heard->sequence + 1); /* no gap */
    heard->sequence = change->sequence;
    (void)snprintf(heard->story + len, sizeof(heard->story) - len, "%c%s=%s:%d ",
                   change->removed ? '-' : '+', change->cookie->name, change->cookie->value,
                   (int)change->cause);
}

static void on_end(struct xhr_cookie_watch *watch, const struct xhr_error *error, void *user)
{
    struct heard *heard = user;

    assert_non_null(watch);
    assert_non_null(error);
    heard->n_ends++;
}

static const struct xhr_cookie_watch_events watch_events = {
    .size = sizeof(watch_events), .snapshot = on_snapshot, .change = on_change, .end = on_end};

static void set_plain(const char *value)
{
    struct xhr_cookie cookie = cookie_of("seen", value, "example.com");
    struct seen seen;

    ONCE("watched", seen, xhr_http_cookie_add, &cookie, NULL);
    assert_int_equal(seen.error, 0);
}

static void test_a_watch_tells_what_there_is_and_each_change(void **state)
{
    struct heard heard = {0};
    struct xhr_cookie_watch *watch = NULL;
    struct seen seen;

    (void)state;
    set_plain("0");
    assert_int_equal(xhr_cookie_watch_new(client, "watched", &watch_events, &heard, &watch), 0);
    while (heard.n_snapshots == 0)
        assert_true(xhr_client_wait(client, 10000) >= 0);
    assert_int_equal(heard.in_snapshot, 1);
    set_plain("1");
    ONCE("watched", seen, xhr_http_cookies_remove_all);
    set_plain("2");
    while (!strstr(heard.story, "+seen=2:1"))
        assert_true(xhr_client_wait(client, 10000) >= 0);
    assert_string_equal(heard.story, "+seen=1:2 -seen=1:1 +seen=2:1 ");
    ONCE("watched", seen, xhr_jar_remove);
    while (heard.n_ends == 0)
        assert_true(xhr_client_wait(client, 10000) >= 0);
    assert_int_equal(heard.n_ends, 1);
    assert_null(xhr_cookie_watch_free(watch));
}

/* ---- the plain ones ---------------------------------------------------------------------- */

static void test_the_plain_functions_block_as_well(void **state)
{
    struct xhr_cookie cookie = cookie_of("plain", "1", "example.com");
    struct xhr_cookie_filter filter = {.size = sizeof(filter), .name = "plain"};
    struct xhr_cookies *answer = NULL;

    (void)state;
    assert_int_equal(
        xhr_cookies_set_wait(client, NULL, &cookie, "https://example.com/", &answer), 0);
    assert_int_equal(xhr_cookies_changed(answer), 1);
    answer = xhr_cookies_free(answer);
    assert_int_equal(xhr_cookies_list_wait(client, NULL, NULL, &answer), 0);
    assert_int_equal(xhr_cookies_count(answer), 1);
    answer = xhr_cookies_free(answer);
    assert_int_equal(xhr_cookies_remove_wait(client, NULL, &filter, &answer), 0);
    assert_int_equal(xhr_cookies_changed(answer), 1);
    answer = xhr_cookies_free(answer);
    assert_int_equal(xhr_cookies_clear_wait(client, NULL, &answer), 0);
    (void)xhr_cookies_free(answer);
}

static int connect_client(void **state)
{
    (void)state;
    return xhr_client_new(NULL, &client);
}

static int leave(void **state)
{
    (void)state;
    client = xhr_client_free(client);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cookies_are_added_and_all_of_them_listed),
        cmocka_unit_test(test_cookies_are_found_by_domain_path_and_name),
        cmocka_unit_test(test_cookies_are_removed_one_by_one_and_by_domain),
        cmocka_unit_test(test_every_attribute_comes_back),
        cmocka_unit_test(test_a_change_is_synced_when_that_is_asked_for),
        cmocka_unit_test(test_what_a_server_may_not_set_is_refused),
        cmocka_unit_test(test_what_is_missing_is_told_at_once),
        cmocka_unit_test(test_nobody_blocks_inside_a_callback),
        cmocka_unit_test(test_the_system_jar_has_the_same_functions),
        cmocka_unit_test(test_jars_are_made_listed_granted_and_removed),
        cmocka_unit_test(test_a_session_ends_and_what_lasts_stays),
        cmocka_unit_test(test_a_watch_tells_what_there_is_and_each_change),
        cmocka_unit_test(test_the_plain_functions_block_as_well),
    };

    return cmocka_run_group_tests(tests, connect_client, leave);
}
