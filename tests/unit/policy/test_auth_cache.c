/* SPDX-License-Identifier: MIT */
#include <stdio.h>

#include "base/mem.h"
#include "policy/auth_cache.h"
#include "support/span_test.h"

static struct digest_session *session_of(const char *realm, const char *nonce)
{
    struct digest_session *session = NULL;
    struct challenge challenge = {.scheme = SPAN_LIT("Digest")};
    char params[128];

    (void)snprintf(params, sizeof(params), "realm=\"%s\", nonce=\"%s\"", realm, nonce);
    challenge.params = span_of(params);
    assert_int_equal(digest_session_new(&session, &challenge), DIGEST_OK);
    return session;
}

static struct origin origin_of(const char *text)
{
    struct origin origin;
    struct url url;

    assert_int_equal(url_parse(span_of(text), NULL, &url), URL_OK);
    assert_int_equal(origin_of_url(&url, &origin), ORIGIN_OK);
    url_done(&url);
    return origin;
}

static const char *nonce_at(struct auth_cache *cache,
                            const struct partition *who,
                            const char *url,
                            const char *realm)
{
    struct origin origin = origin_of(url);
    struct digest_session *found =
        auth_cache_find(cache, &(struct auth_place){who, &origin}, realm);

    return found ? found->nonce : "none";
}

static int store(struct auth_cache *cache,
                 const struct partition *who,
                 const char *url,
                 struct digest_session *session)
{
    struct origin origin = origin_of(url);

    return auth_cache_store(cache, &(struct auth_place){who, &origin}, session);
}

static void
drop(struct auth_cache *cache, const struct partition *who, const char *url, const char *realm)
{
    struct origin origin = origin_of(url);

    auth_cache_drop(cache, &(struct auth_place){who, &origin}, realm);
}

static void test_rd09_session_is_found_in_its_place_alone(void **state)
{
    struct auth_cache cache;
    struct partition who;
    struct partition profile;
    struct partition other;

    (void)state;
    auth_cache_init(&cache);
    assert_int_equal(partition_init(&who, 1000, SPAN_LIT("")), 0);
    assert_int_equal(partition_init(&profile, 1000, SPAN_LIT("work")), 0);
    assert_int_equal(partition_init(&other, 1001, SPAN_LIT("")), 0);
    assert_int_equal(store(&cache, &who, "http://a.com/x", session_of("r", "n")), 0);
    assert_string_equal(nonce_at(&cache, &who, "http://a.com/y", NULL), "n");
    assert_string_equal(nonce_at(&cache, &who, "http://a.com:80/", "r"), "n");
    assert_string_equal(nonce_at(&cache, &who, "http://a.com/", "R"), "none");
    assert_string_equal(nonce_at(&cache, &profile, "http://a.com/", NULL), "none");
    assert_string_equal(nonce_at(&cache, &other, "http://a.com/", NULL), "none");
    assert_string_equal(nonce_at(&cache, &who, "https://a.com/", NULL), "none");
    assert_string_equal(nonce_at(&cache, &who, "http://a.com:81/", NULL), "none");
    assert_string_equal(nonce_at(&cache, &who, "http://b.com/", NULL), "none");
    auth_cache_done(&cache);
}

static void test_realms_of_an_origin_are_kept_apart_and_the_last_used_leads(void **state)
{
    static const char *const realms[] = {"0", "1", "2", "3", "4"};
    const struct partition who = {.uid = 1};
    const char url[] = "http://a.com/";
    struct auth_cache cache;

    (void)state;
    auth_cache_init(&cache);
    for (size_t i = 0; i < AUTH_CACHE_REALMS_MAX; i++)
        assert_int_equal(store(&cache, &who, url, session_of(realms[i], realms[i])), 0);
    assert_string_equal(nonce_at(&cache, &who, url, NULL), "3");
    assert_string_equal(nonce_at(&cache, &who, url, "0"), "0");
    assert_string_equal(nonce_at(&cache, &who, url, NULL), "0");
    assert_int_equal(store(&cache, &who, url, session_of("4", "4")), 0);
    assert_string_equal(nonce_at(&cache, &who, url, "1"), "none"); /* not used for longest */
    assert_int_equal(store(&cache, &who, url, session_of("0", "new")), 0);
    assert_string_equal(nonce_at(&cache, &who, url, "0"), "new");
    assert_string_equal(nonce_at(&cache, &who, url, "2"), "2");
    assert_string_equal(nonce_at(&cache, &who, url, "3"), "3");
    drop(&cache, &who, url, "0");
    drop(&cache, &who, url, "0");
    drop(&cache, &who, "http://b.com/", "0");
    assert_string_equal(nonce_at(&cache, &who, url, "0"), "none");
    for (size_t i = 2; i < COUNT_OF(realms); i++)
        drop(&cache, &who, url, realms[i]);
    assert_int_equal(cache.count, 0);
    auth_cache_done(&cache);
}

static void test_least_recently_used_origin_goes_when_there_are_too_many(void **state)
{
    const struct partition who = {.uid = 1};
    struct auth_cache cache;
    char url[64];

    (void)state;
    auth_cache_init(&cache);
    for (int i = 0; i < AUTH_CACHE_ORIGINS_MAX; i++) {
        (void)snprintf(url, sizeof(url), "http://h%d.com/", i);
        assert_int_equal(store(&cache, &who, url, session_of("r", "n")), 0);
    }
    assert_string_equal(nonce_at(&cache, &who, "http://h0.com/", NULL), "n");
    assert_int_equal(store(&cache, &who, "http://more.com/", session_of("r", "n")), 0);
    assert_int_equal(cache.count, AUTH_CACHE_ORIGINS_MAX);
    assert_string_equal(nonce_at(&cache, &who, "http://h0.com/", NULL), "n");
    assert_string_equal(nonce_at(&cache, &who, "http://h1.com/", NULL), "none");
    auth_cache_done(&cache);
}

static void test_lack_of_memory_leaves_the_session_with_the_caller(void **state)
{
    const struct partition who = {.uid = 1};
    struct origin origin = origin_of("http://a.com/");
    struct auth_place place = {&who, &origin};
    struct auth_cache cache;
    bool whole = false;

    (void)state;
    auth_cache_init(&cache);
    for (uint64_t n = 1; !whole; n++) {
        struct digest_session *session = session_of("r", "n");

        assert_true(n < 20);
        mem_fail_at(n);
        whole = auth_cache_store(&cache, &place, session) == 0;
        mem_fail_at(0);
        assert_int_equal(cache.count, whole);
        if (!whole)
            digest_session_free(session);
    }
    auth_cache_done(&cache);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rd09_session_is_found_in_its_place_alone),
        cmocka_unit_test(test_realms_of_an_origin_are_kept_apart_and_the_last_used_leads),
        cmocka_unit_test(test_least_recently_used_origin_goes_when_there_are_too_many),
        cmocka_unit_test(test_lack_of_memory_leaves_the_session_with_the_caller),
    };

    return cmocka_run_group_tests_name("policy/auth_cache", tests, NULL, NULL);
}
