/* SPDX-License-Identifier: MIT */

/* The cache by itself, with sessions made up; resumption proper is in test_io_tls.c. */
#include <errno.h>
#include <openssl/ssl.h>
#include <stdlib.h>

#include "base/mem.h"
#include "net/tls_session.h"
#include "support/test.h"

#define NOW 1700000000

static SSL_SESSION *session_make(unsigned char id, int version, long age_s, long timeout_s)
{
    SSL_SESSION *session = SSL_SESSION_new();

    assert_non_null(session);
    assert_int_equal(SSL_SESSION_set1_id(session, &id, 1), 1);
    assert_int_equal(SSL_SESSION_set_protocol_version(session, version), 1);
    assert_int_equal(SSL_SESSION_set_timeout(session, timeout_s), 1);
    assert_int_equal(SSL_SESSION_set_time(session, NOW - age_s), NOW - age_s);
    return session;
}

static struct tls_session_key key_of(uint8_t first)
{
    return (struct tls_session_key){.digest = {first}, .may_be_kept = true};
}

static void
put(struct tls_sessions *sessions, uint8_t key, unsigned char id, int version, long age_s)
{
    struct tls_session_key bytes = key_of(key);
    SSL_SESSION *session = session_make(id, version, age_s, 7200);

    struct tls_session_past past = {.verified_s = NOW - age_s};
    assert_int_equal(tls_sessions_put(sessions, &bytes, &past, session), 0);
    SSL_SESSION_free(session);
}

/* Return: the id of what was taken, 0 for nothing. */
static int take(struct tls_sessions *sessions, uint8_t key)
{
    struct tls_session_key bytes = key_of(key);
    struct tls_session_past past;
    SSL_SESSION *session = tls_sessions_take(sessions, &bytes, NOW, &past);
    unsigned len = 0;

    if (!session)
        return 0;
    int id = SSL_SESSION_get_id(session, &len)[0];
    SSL_SESSION_free(session);
    return id;
}

static struct tls_sessions *sessions_make(unsigned max, unsigned per_key)
{
    struct tls_sessions_options options = tls_sessions_options_default();
    struct tls_sessions *sessions;

    options.sessions_max = max;
    options.per_key_max = per_key;
    assert_int_equal(tls_sessions_new(&sessions, &options), 0);
    return sessions;
}

static void test_tickets_of_tls_1_3_are_given_out_once_newest_first(void **state)
{
    CLEANUP(tls_sessions_free) struct tls_sessions *sessions = sessions_make(10, 4);

    (void)state;
    for (unsigned char id = 1; id <= 3; id++)
        put(sessions, 7, id, TLS1_3_VERSION, 0);
    assert_int_equal(take(sessions, 8), 0);
    assert_int_equal(take(sessions, 7), 3);
    assert_int_equal(take(sessions, 7), 2);
    assert_int_equal(take(sessions, 7), 1);
    assert_int_equal(take(sessions, 7), 0);
    assert_int_equal(tls_sessions_count(sessions), 0);
}

static void test_sessions_of_tls_1_2_may_be_used_again(void **state)
{
    CLEANUP(tls_sessions_free) struct tls_sessions *sessions = sessions_make(10, 4);
    struct tls_session_key key = key_of(7);

    (void)state;
    put(sessions, 7, 1, TLS1_2_VERSION, 0);
    assert_int_equal(take(sessions, 7), 1);
    assert_int_equal(take(sessions, 7), 1);
    tls_sessions_drop(sessions, &key);
    assert_int_equal(take(sessions, 7), 0);
    tls_sessions_drop(sessions, &key); /* nothing there is fine */
}

static void test_each_key_and_all_together_are_bounded_and_the_oldest_goes(void **state)
{
    CLEANUP(tls_sessions_free) struct tls_sessions *sessions = sessions_make(3, 2);

    (void)state;
    for (unsigned char id = 1; id <= 3; id++)
        put(sessions, 1, id, TLS1_3_VERSION, 0);
    assert_int_equal(tls_sessions_count(sessions), 2); /* 2 and 3 */
    put(sessions, 2, 4, TLS1_3_VERSION, 0);
    put(sessions, 3, 5, TLS1_3_VERSION, 0);
    assert_int_equal(tls_sessions_count(sessions), 3); /* 2 has gone */
    assert_int_equal(take(sessions, 1), 3);
    assert_int_equal(take(sessions, 1), 0);
    assert_int_equal(take(sessions, 2), 4);
    assert_int_equal(take(sessions, 3), 5);
    for (unsigned i = 0; i < 1000; i++)
        put(sessions, (uint8_t)i, 9, TLS1_3_VERSION, 0);
    assert_int_equal(tls_sessions_count(sessions), 3);
    tls_sessions_clear(sessions);
    assert_int_equal(tls_sessions_count(sessions), 0);
}

static void test_what_has_expired_or_comes_from_the_future_is_not_given_out(void **state)
{
    static const struct {
        long age_s;
        long timeout_s;
        bool good;
    } rows[] = {
        {0, 7200, true},       {7199, 7200, true},     {7200, 7200, false},
        {86399, 604800, true}, {86400, 604800, false}, /* our own day */
        {-1, 7200, true},      {-3600, 7200, false},
    };
    CLEANUP(tls_sessions_free) struct tls_sessions *sessions = sessions_make(10, 4);
    struct tls_session_key key = key_of(1);

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        SSL_SESSION *session =
            session_make(1, TLS1_3_VERSION, rows[i].age_s, rows[i].timeout_s);

        struct tls_session_past past = {.verified_s = NOW - rows[i].age_s};
        assert_int_equal(tls_sessions_put(sessions, &key, &past, session), 0);
        SSL_SESSION_free(session);
        assert_int_equal(take(sessions, 1), rows[i].good);
        assert_int_equal(tls_sessions_count(sessions), 0);
    }
}

static void test_every_failed_allocation_of_a_put_keeps_the_cache_whole(void **state)
{
    CLEANUP(tls_sessions_free) struct tls_sessions *sessions = sessions_make(10, 4);
    struct tls_session_key key = key_of(1);
    SSL_SESSION *session = session_make(1, TLS1_3_VERSION, 0, 7200);
    struct tls_session_past past = {.verified_s = NOW};
    uint64_t n = 0;
    int r;

    (void)state;
    do {
        mem_fail_at(++n);
        r = tls_sessions_put(sessions, &key, &past, session);
        mem_fail_at(0);
        assert_int_equal(tls_sessions_count(sessions), r == 0);
        if (r < 0)
            assert_int_equal(take(sessions, 1), 0);
    } while (r < 0);
    assert_true(n > 2);
    assert_int_equal(take(sessions, 1), 1);
    SSL_SESSION_free(session);
}

static void test_a_chain_of_resumptions_is_no_younger_than_its_beginning(void **state)
{
    CLEANUP(tls_sessions_free) struct tls_sessions *sessions = sessions_make(10, 4);
    struct tls_session_key key = key_of(1);
    SSL_SESSION *fresh = session_make(1, TLS1_3_VERSION, 0, 7200);

    (void)state;
    for (int64_t age_s = 86399; age_s <= 86400; age_s++) {
        struct tls_session_past past = {.verified_s = NOW - age_s, .uses = 41};

        assert_int_equal(tls_sessions_put(sessions, &key, &past, fresh), 0);
        SSL_SESSION *taken = tls_sessions_take(sessions, &key, NOW, &past);
        assert_int_equal(taken != NULL, age_s < 86400);
        assert_int_equal(past.uses, age_s < 86400 ? 42 : 41);
        SSL_SESSION_free(taken);
    }
    SSL_SESSION_free(fresh);
}

struct seen {
    unsigned n;
    unsigned n_changes;
    unsigned n_spent;
};

static void on_change(void *owner, uint32_t uid, bool is_spent)
{
    struct seen *seen = owner;

    assert_int_equal(uid, 0);
    seen->n_changes++;
    seen->n_spent += is_spent;
}

static bool see(void *arg, const struct tls_session_row *row)
{
    struct seen *seen = arg;

    assert_string_equal(row->version, "TLSv1.3");
    assert_int_equal(row->expires_s, NOW + 7200);
    seen->n++;
    return true;
}

static void test_who_looks_sees_his_own_and_who_watches_what_may_be_kept(void **state)
{
    CLEANUP(tls_sessions_free) struct tls_sessions *sessions = sessions_make(10, 4);
    struct tls_session_key key = key_of(5);
    struct tls_session_past past = {.verified_s = NOW};
    SSL_SESSION *session = session_make(1, TLS1_3_VERSION, 0, 7200);
    struct seen seen = {0};

    (void)state;
    tls_sessions_observe(sessions, on_change, &seen);
    put(sessions, 1, 1, TLS1_3_VERSION, 0);
    put(sessions, 2, 2, TLS1_3_VERSION, 8000); /* expired */
    key.partition.uid = 7;
    key.may_be_kept = false;
    assert_int_equal(tls_sessions_put(sessions, &key, &past, session), 0);
    assert_int_equal(seen.n_changes, 2);
    assert_int_equal(take(sessions, 1), 1);
    assert_int_equal(seen.n_spent, 1);
    put(sessions, 1, 1, TLS1_3_VERSION, 0);

    tls_sessions_each(sessions, 0, NOW, false, see, &seen);
    assert_int_equal(seen.n, 1);
    tls_sessions_each(sessions, TLS_SESSIONS_EVERY_UID, NOW, false, see, &seen);
    assert_int_equal(seen.n, 3);
    tls_sessions_each(sessions, 7, NOW, true, see, &seen);
    assert_int_equal(seen.n, 3); /* must not be kept */
    tls_sessions_forget(sessions, 7);
    tls_sessions_forget(sessions, 7);
    assert_int_equal(tls_sessions_count(sessions), 2);
    tls_sessions_observe(sessions, NULL, NULL);
    SSL_SESSION_free(session);
}

static void test_a_user_has_his_share_and_no_more(void **state)
{
    struct tls_sessions_options options = tls_sessions_options_default();
    CLEANUP(tls_sessions_free) struct tls_sessions *sessions = NULL;
    struct tls_session_key key = key_of(200);
    struct tls_session_past past = {.verified_s = NOW};
    SSL_SESSION *session = session_make(9, TLS1_3_VERSION, 0, 7200);

    (void)state;
    options.per_uid_max = 3;
    assert_int_equal(tls_sessions_new(&sessions, &options), 0);
    key.partition.uid = 7;
    assert_int_equal(tls_sessions_put(sessions, &key, &past, session), 0);
    for (uint8_t i = 0; i < 100; i++)
        put(sessions, i, 1, TLS1_3_VERSION, 0);
    assert_int_equal(tls_sessions_count(sessions), 4); /* the other user's is still there */
    SSL_SESSION_free(session);
}

static void test_a_private_jars_sessions_go_with_it_and_no_others(void **state)
{
    CLEANUP(tls_sessions_free) struct tls_sessions *sessions = sessions_make(10, 4);
    struct tls_session_past past = {.verified_s = NOW};

    (void)state;
    for (uint8_t i = 0; i < 6; i++) { /* of jars 0 (none), 1 and 2, two keys each */
        struct tls_session_key key = key_of(i);
        SSL_SESSION *session = session_make((unsigned char)(i + 1), TLS1_2_VERSION, 0, 7200);

        key.private_jar = i % 3;
        assert_int_equal(tls_sessions_put(sessions, &key, &past, session), 0);
        SSL_SESSION_free(session);
    }
    tls_sessions_forget_jar(sessions, 7, 1); /* another user's */
    assert_int_equal(tls_sessions_count(sessions), 6);
    tls_sessions_forget_jar(sessions, 0, 1);
    assert_int_equal(tls_sessions_count(sessions), 4);
    assert_int_equal(take(sessions, 1), 0);
    assert_int_equal(take(sessions, 4), 0);
    assert_int_equal(take(sessions, 5), 6);
    tls_sessions_forget(sessions, 0);
    assert_int_equal(tls_sessions_count(sessions), 0);
    tls_sessions_forget_jar(sessions, 0, 2); /* nothing there is fine */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_chain_of_resumptions_is_no_younger_than_its_beginning),
        cmocka_unit_test(test_who_looks_sees_his_own_and_who_watches_what_may_be_kept),
        cmocka_unit_test(test_a_user_has_his_share_and_no_more),
        cmocka_unit_test(test_tickets_of_tls_1_3_are_given_out_once_newest_first),
        cmocka_unit_test(test_sessions_of_tls_1_2_may_be_used_again),
        cmocka_unit_test(test_each_key_and_all_together_are_bounded_and_the_oldest_goes),
        cmocka_unit_test(test_what_has_expired_or_comes_from_the_future_is_not_given_out),
        cmocka_unit_test(test_every_failed_allocation_of_a_put_keeps_the_cache_whole),
        cmocka_unit_test(test_a_private_jars_sessions_go_with_it_and_no_others),
    };

    return cmocka_run_group_tests_name("net/tls_session", tests, NULL, NULL);
}
