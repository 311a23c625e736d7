/* SPDX-License-Identifier: MIT */
/* Sealed rows: what comes out is what went in, by its own key and owner only. */
#include <errno.h>
#include <stdio.h>

#include "base/mem.h"
#include "net/tls_session_file.h"
#include "support/test.h"

static const uint8_t key_a[TLS_SESSION_FILE_KEY_BYTES] = {1};
static const uint8_t key_b[TLS_SESSION_FILE_KEY_BYTES] = {2};
#define OWNER SPAN_LIT("7 ann")

static void add(struct buf *rows, const char *profile, const char *host, struct span der)
{
    struct tls_session_key key = {.digest = {9}, .partition = {.uid = 7}, .port = 8443};
    struct tls_session_row row = {
        .key = &key, .past = {.verified_s = 1700000000, .uses = 3}, .der = der};

    (void)snprintf(key.partition.profile, sizeof(key.partition.profile), "%s", profile);
    (void)snprintf(key.host, sizeof(key.host), "%s", host);
    assert_int_equal(tls_session_file_add(rows, &row), 0);
}

static void test_rows_come_back_as_they_were(void **state)
{
    CLEANUP_BUF struct buf rows = BUF_INIT(0);
    CLEANUP_BUF struct buf file = BUF_INIT(0);
    CLEANUP_BUF struct buf again = BUF_INIT(0);
    struct tls_session_saved saved;

    (void)state;
    add(&rows, "", "a.example", SPAN_LIT("one"));
    add(&rows, "p", "::1", SPAN_LIT("three"));
    assert_int_equal(tls_session_file_seal(&file, key_a, OWNER, buf_span(&rows)), 0);
    assert_null(memmem(buf_span(&file).ptr, file.len, "example", 7));
    assert_int_equal(tls_session_file_open(buf_span(&file), key_a, OWNER, &again), 0);
    struct span rest = buf_span(&again);
    assert_int_equal(tls_session_file_next(&rest, 7, &saved), TLS_SESSION_FILE_OK);
    assert_string_equal(saved.key.host, "a.example");
    assert_int_equal(saved.key.digest[0], 9);
    assert_int_equal(saved.key.port, 8443);
    assert_int_equal(saved.past.verified_s, 1700000000);
    assert_int_equal(saved.past.uses, 3);
    assert_true(span_eq(saved.der, SPAN_LIT("one")));
    assert_int_equal(tls_session_file_next(&rest, 7, &saved), TLS_SESSION_FILE_OK);
    assert_string_equal(saved.key.partition.profile, "p");
    assert_int_equal(rest.len, 0);
    rest = buf_span(&again);
    assert_int_equal(tls_session_file_next(&rest, 8, &saved), TLS_SESSION_FILE_E_DAMAGED);
}

static int outcome_of(struct span file, const uint8_t *key, struct span owner)
{
    CLEANUP_BUF struct buf rows = BUF_INIT(0);

    return tls_session_file_open(file, key, owner, &rows);
}

static void test_any_other_bit_key_or_owner_is_damage(void **state)
{
    CLEANUP_BUF struct buf rows = BUF_INIT(0);
    CLEANUP_BUF struct buf file = BUF_INIT(0);

    (void)state;
    add(&rows, "", "a.example", SPAN_LIT("one"));
    assert_int_equal(tls_session_file_seal(&file, key_a, OWNER, buf_span(&rows)), 0);
    struct span whole = buf_span(&file);
    assert_int_equal(outcome_of(whole, key_b, OWNER), TLS_SESSION_FILE_E_DAMAGED);
    assert_int_equal(outcome_of(whole, key_a, SPAN_LIT("7 bob")), TLS_SESSION_FILE_E_DAMAGED);
    for (size_t i = 0; i < whole.len; i++) {
        char *at = file.storage + file.start + i;
        bool is_version = i >= 8 && i < 12;

        assert_int_equal(outcome_of(span_take(whole, i), key_a, OWNER),
                         TLS_SESSION_FILE_E_DAMAGED);
        *at ^= 2; /* version 1 becomes 3 or more */
        assert_int_equal(outcome_of(whole, key_a, OWNER),
                         is_version ? TLS_SESSION_FILE_E_NEWER : TLS_SESSION_FILE_E_DAMAGED);
        *at ^= 2;
    }
    assert_int_equal(outcome_of(whole, key_a, OWNER), TLS_SESSION_FILE_OK);
}

static void test_a_row_that_is_too_large_stays_out(void **state)
{
    CLEANUP_MEM char *large = mem_zalloc(TLS_SESSION_DER_MAX_BYTES + 1);
    CLEANUP_BUF struct buf rows = BUF_INIT(0);
    struct tls_session_key key = {.host = "a"};
    struct tls_session_row row = {.key = &key, .der = {large, TLS_SESSION_DER_MAX_BYTES + 1}};
    int r;

    (void)state;
    assert_non_null(large);
    assert_int_equal(tls_session_file_add(&rows, &row), -EMSGSIZE);
    row.der.len--;
    while ((r = tls_session_file_add(&rows, &row)) == 0)
        ;
    assert_int_equal(r, -EMSGSIZE);
    assert_true(rows.len < TLS_SESSION_FILE_MAX_BYTES);
}

static void test_every_failed_allocation_is_told(void **state)
{
    CLEANUP_BUF struct buf rows = BUF_INIT(0);
    int r;

    (void)state;
    add(&rows, "", "a.example", SPAN_LIT("one"));
    uint64_t n = 0;
    do {
        CLEANUP_BUF struct buf file = BUF_INIT(0);
        CLEANUP_BUF struct buf again = BUF_INIT(0);

        mem_fail_at(++n);
        r = tls_session_file_seal(&file, key_a, OWNER, buf_span(&rows));
        if (r == 0)
            r = tls_session_file_open(buf_span(&file), key_a, OWNER, &again);
        mem_fail_at(0);
        assert_true(r == 0 || r == -ENOMEM);
    } while (r < 0);
    assert_true(n >= 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows_come_back_as_they_were),
        cmocka_unit_test(test_any_other_bit_key_or_owner_is_damage),
        cmocka_unit_test(test_a_row_that_is_too_large_stays_out),
        cmocka_unit_test(test_every_failed_allocation_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
