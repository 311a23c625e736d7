/* SPDX-License-Identifier: MIT */
#include "policy/cache_entry.h"
#include "policy/cache_rules.h"
#include "support/cache_entry_test.h"

#define URL "http://a.example/b?c"

static void make(struct cache_entry *entry)
{
    entry_make(entry, URL, "ETag: \"v\"\nX: 1\nX: 2\nEmpty:\n");
    mem_free(entry->vary);
    entry->vary = mem_dup(SPAN_LIT("Accept"));
    memset(entry->context, 7, SHA256_BYTES);
    memcpy(entry->jar, "work", 5);
    entry->had_credentials = true;
    entry->body_bytes = UINT64_C(5000000000);
}

/* What is behind the digest: it is made right again. */
static void seal(struct buf *file)
{
    size_t content = file->len - SHA256_BYTES;
    char *bytes = file->storage + file->start;

    assert_int_equal(sha256_of((struct span){bytes, content}, (uint8_t *)bytes + content), 0);
}

static int decode(struct span bytes)
{
    struct cache_entry entry;

    cache_entry_init(&entry);
    int r = cache_entry_decode(bytes, &entry);
    cache_entry_done(&entry);
    return r;
}

static void test_what_is_written_is_read(void **state)
{
    CLEANUP_BUF struct buf file = BUF_INIT(0);
    struct cache_entry entry;
    struct cache_entry again;

    (void)state;
    make(&entry);
    cache_entry_init(&again);
    assert_int_equal(cache_entry_encode(&entry, &file), 0);
    assert_int_equal(cache_entry_decode(buf_span(&file), &again), CACHE_ENTRY_OK);
    assert_string_equal(again.url, URL);
    assert_string_equal(again.vary, "Accept");
    assert_string_equal(again.reason, "OK");
    assert_string_equal(again.jar, "work");
    assert_memory_equal(again.context, entry.context, SHA256_BYTES);
    assert_memory_equal(again.vary_digest, entry.vary_digest, SHA256_BYTES);
    assert_memory_equal(again.body_digest, entry.body_digest, SHA256_BYTES);
    assert_int_equal(again.status, 200);
    assert_int_equal(again.http_version, 11);
    assert_true(again.had_credentials);
    assert_int_equal(again.request_time_s, 1000);
    assert_int_equal(again.response_time_s, 1001);
    assert_int_equal(again.body_bytes, UINT64_C(5000000000));
    assert_string_equal(headers_text(&again.headers), "ETag: \"v\"\nX: 1\nX: 2\nEmpty: \n");

    struct cache_entry copy;
    cache_entry_init(&copy);
    assert_int_equal(cache_entry_copy(&again, &copy), 0);
    assert_string_equal(copy.url, URL);
    assert_int_equal(headers_count(&copy.headers), 4);
    cache_entry_done(&copy);
    cache_entry_done(&again);
    cache_entry_done(&entry);
}

static void test_no_byte_can_change_and_none_can_be_missing(void **state)
{
    CLEANUP_BUF struct buf file = BUF_INIT(0);
    struct cache_entry entry;

    (void)state;
    make(&entry);
    assert_int_equal(cache_entry_encode(&entry, &file), 0);
    for (size_t i = 0; i < file.len; i++) {
        file.storage[file.start + i] ^= 1;
        assert_int_equal(decode(buf_span(&file)), CACHE_ENTRY_E_DAMAGED);
        file.storage[file.start + i] ^= 1;
        assert_int_equal(decode(span_take(buf_span(&file), i)), CACHE_ENTRY_E_DAMAGED);
    }
    assert_int_equal(decode(buf_span(&file)), CACHE_ENTRY_OK);
    assert_int_equal(buf_append_char(&file, 'x'), 0);
    assert_int_equal(decode(buf_span(&file)), CACHE_ENTRY_E_DAMAGED);
    seal(&file); /* bytes behind the last field */
    assert_int_equal(decode(buf_span(&file)), CACHE_ENTRY_E_DAMAGED);
    cache_entry_done(&entry);
}

/* With a digest that is right: somebody wrote it on purpose, or a version of ours was wrong. */
static void test_a_lie_with_the_right_digest_is_not_believed(void **state)
{
    static const struct {
        const char *url;
        const char *reason;
        const char *name;
        const char *value;
        unsigned status;
    } rows[] = {
        {URL, "OK", "X", "a\r\nSet-Cookie: b=c", 200},
        {URL, "OK", "X: y\r\nZ", "a", 200},
        {URL, "OK", "", "a", 200},
        {URL, "OK\r\nX: y", "X", "a", 200},
        {"http://a.example/\r\n", "OK", "X", "a", 200},
        {"", "OK", "X", "a", 200},
        {"/b", "OK", "X", "a", 200},
        {"ftp://a.example/b", "OK", "X", "a", 200},
        {"http://a.example/b#d", "OK", "X", "a", 200},
        {"http://u@a.example/b", "OK", "X", "a", 200},
        {"HTTP://a.example/b", "OK", "X", "a", 200},
        {URL, "OK", "X", "a", 199},
        {URL, "OK", "X", "a", 600},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        CLEANUP_BUF struct buf file = BUF_INIT(0);
        struct cache_entry entry;

        entry_make(&entry, rows[i].url, "");
        mem_free(entry.reason);
        entry.reason = mem_dup(span_of(rows[i].reason));
        entry.status = rows[i].status;
        assert_int_equal(
            headers_add(&entry.headers, span_of(rows[i].name), span_of(rows[i].value)), 0);
        assert_int_equal(cache_entry_encode(&entry, &file), 0);
        if (decode(buf_span(&file)) != CACHE_ENTRY_E_DAMAGED)
            fail_msg("%zu is believed", i);
        cache_entry_done(&entry);
    }
}

static void test_lengths_that_claim_more_than_there_is(void **state)
{
    CLEANUP_BUF struct buf file = BUF_INIT(0);
    struct cache_entry entry;

    (void)state;
    make(&entry);
    assert_int_equal(cache_entry_encode(&entry, &file), 0);
    size_t first_text = 8 + 6 * 8 + 3 * SHA256_BYTES;
    for (size_t i = first_text; i + 8 <= file.len - SHA256_BYTES; i++) {
        char before[8];

        memcpy(before, file.storage + file.start + i, 8);
        memset(file.storage + file.start + i, 0xff, 8);
        seal(&file);
        assert_int_equal(decode(buf_span(&file)), CACHE_ENTRY_E_DAMAGED);
        memcpy(file.storage + file.start + i, before, 8);
    }
    cache_entry_done(&entry);
}

static void test_a_file_has_its_size(void **state)
{
    CLEANUP_BUF struct buf file = BUF_INIT(0);
    struct cache_entry entry;
    char *value = repeat('x', 30000);

    (void)state;
    make(&entry);
    for (int i = 0; i < 3; i++)
        assert_int_equal(
            headers_add(&entry.headers, SPAN_LIT("X"), (struct span){value, 30000}), 0);
    assert_true(cache_entry_encode(&entry, &file) < 0);
    assert_int_equal(file.len, 0);
    free(value);
    cache_entry_done(&entry);
}

static void test_lack_of_memory_is_not_damage(void **state)
{
    CLEANUP_BUF struct buf file = BUF_INIT(0);
    struct cache_entry entry;
    int r = CACHE_ENTRY_E_DAMAGED;

    (void)state;
    make(&entry);
    assert_int_equal(cache_entry_encode(&entry, &file), 0);
    for (uint64_t n = 1; r != CACHE_ENTRY_OK; n++) {
        mem_fail_at(n);
        r = decode(buf_span(&file));
        mem_fail_at(0);
        assert_int_not_equal(r, CACHE_ENTRY_E_DAMAGED);
    }
    cache_entry_done(&entry);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_written_is_read),
        cmocka_unit_test(test_no_byte_can_change_and_none_can_be_missing),
        cmocka_unit_test(test_a_lie_with_the_right_digest_is_not_believed),
        cmocka_unit_test(test_lengths_that_claim_more_than_there_is),
        cmocka_unit_test(test_a_file_has_its_size),
        cmocka_unit_test(test_lack_of_memory_is_not_damage),
    };

    return cmocka_run_group_tests_name("policy/cache_entry", tests, NULL, NULL);
}
