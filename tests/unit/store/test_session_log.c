/* SPDX-License-Identifier: MIT */
/* Session cookies in memory that outlives the process: what the next one finds, whatever became
 * of the one before. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "store/cookie_rows.h"
#include "store/session_log.h"
#include "support/test.h"

#define UID       1000
#define N_COOKIES 8
#define END_AT    32 /* in the header; before it the window's start */

int __real_fallocate(int fd, int mode, off_t at, off_t bytes);
int __wrap_fallocate(int fd, int mode, off_t at, off_t bytes);

static bool disk_is_full;

int __wrap_fallocate(int fd, int mode, off_t at, off_t bytes)
{
    if (disk_is_full && mode == 0) {
        errno = ENOSPC;
        return -1;
    }
    return __real_fallocate(fd, mode, at, bytes);
}

static struct session_log_options options;
static struct session_log *kept_log;
static int memory = -1; /* the file, as who holds it for us sees it */

static int begin(void **state)
{
    (void)state;
    options = session_log_options_default();
    memory = memfd_create("test", MFD_CLOEXEC);
    assert_true(memory >= 0);
    return 0;
}

static int end(void **state)
{
    (void)state;
    kept_log = session_log_free(kept_log);
    close(memory);
    memory = -1;
    disk_is_full = false;
    return 0;
}

/* A process begins; the one before, if there was one, is gone as if it had been killed. */
static struct session_book *next_life(void)
{
    struct session_book *book = NULL;

    kept_log = session_log_free(kept_log);
    assert_int_equal(session_log_open(&kept_log, fcntl(memory, F_DUPFD_CLOEXEC, 0), &options),
                     0);
    assert_int_equal(session_log_book(kept_log, UID, &book), 0);
    return book;
}

static struct cookie cookie_of(uint64_t order, const char *value)
{
    return (struct cookie){
        .name = SPAN_LIT("sid"),
        .value = span_of(value),
        .domain = SPAN_LIT("example.com"),
        .path = SPAN_LIT("/"),
        .expires_s = COOKIE_EXPIRES_NEVER,
        .created_s = 1700000000,
        .last_access_s = 1700000001,
        .order = order,
    };
}

static int put(struct session_book *book, uint64_t order, const char *value)
{
    struct cookie cookie = cookie_of(order, value);

    return session_book_put(book, "", "default", &cookie);
}

/* What waits, as "order=value " in its order; good until the next call. */
static const char *take_all(struct session_book *book, bool superseded)
{
    static char text[65536];
    struct saved_cookie *saved = NULL;
    size_t len = 0;

    text[0] = '\0';
    for (;;) {
        assert_int_equal(session_book_take_waiting(book, superseded, &saved), 0);
        if (!saved)
            return text;
        len += (size_t)snprintf(text + len, sizeof(text) - len, "%llu=%.*s ",
                                (unsigned long long)saved->cookie.order,
                                (int)saved->cookie.value.len, saved->cookie.value.ptr);
        saved_cookie_free(saved);
    }
}

static size_t file_bytes(void)
{
    struct stat st;

    assert_int_equal(fstat(memory, &st), 0);
    return (size_t)st.st_size;
}

/* Of memory: what was left behind is given back. */
static size_t taken_bytes(void)
{
    struct stat st;

    assert_int_equal(fstat(memory, &st), 0);
    return (size_t)st.st_blocks * 512;
}

static char *read_memory(size_t *ret_len)
{
    *ret_len = file_bytes();
    char *bytes = malloc(*ret_len);

    assert_non_null(bytes);
    assert_int_equal(pread(memory, bytes, *ret_len, 0), *ret_len);
    return bytes;
}

static void write_memory(const char *bytes, size_t len)
{
    assert_int_equal(ftruncate(memory, 0), 0);
    assert_int_equal(pwrite(memory, bytes, len, 0), len);
}

static bool memory_holds(const char *text)
{
    size_t len;
    char *bytes = read_memory(&len);
    bool found = memmem(bytes, len, text, strlen(text));

    free(bytes);
    return found;
}

static void test_what_is_put_is_there_for_the_next_with_all_it_has(void **state)
{
    const struct cookie cookie = {
        .name = SPAN_LIT("__Host-sid"),
        .value = SPAN_LIT("a b"),
        .domain = SPAN_LIT("www.example.com"),
        .path = SPAN_LIT("/shop"),
        .partition_key = SPAN_LIT("https://top.example"),
        .comment = SPAN_LIT("why"),
        .original_url = SPAN_LIT("https://www.example.com/shop/in"),
        .expires_s = COOKIE_EXPIRES_NEVER,
        .created_s = -5,
        .last_access_s = 1700000000,
        .order = 42,
        .version = 1,
        .same_site = SAME_SITE_STRICT,
        .secure = true,
        .http_only = true,
        .host_only = true,
    };
    struct session_book *book = next_life();
    struct saved_cookie *saved = NULL;

    (void)state;
    assert_int_equal(session_book_put(book, "p", "work", &cookie), 0);
    book = next_life();
    assert_true(session_book_has_waiting(book));
    assert_int_equal(session_book_take_waiting(book, false, &saved), 0);
    assert_string_equal(saved->profile, "p");
    assert_string_equal(saved->jar, "work");
    struct cookie got = saved->cookie;
    assert_true(span_eq(got.name, cookie.name) && span_eq(got.value, cookie.value));
    assert_true(span_eq(got.domain, cookie.domain) && span_eq(got.path, cookie.path));
    assert_true(span_eq(got.partition_key, cookie.partition_key));
    assert_true(span_eq(got.comment, cookie.comment));
    assert_true(span_eq(got.original_url, cookie.original_url));
    got.name = cookie.name;
    got.value = cookie.value;
    got.domain = cookie.domain;
    got.path = cookie.path;
    got.partition_key = cookie.partition_key;
    got.comment = cookie.comment;
    got.original_url = cookie.original_url;
    assert_memory_equal(&got, &cookie, sizeof(cookie));
    saved_cookie_free(saved);
    assert_false(session_book_has_waiting(book));
}

static void test_what_was_replaced_or_dropped_does_not_come_back(void **state)
{
    struct session_book *book = next_life();

    (void)state;
    assert_int_equal(put(book, 1, "one"), 0);
    assert_int_equal(put(book, 2, "two"), 0);
    assert_int_equal(put(book, 3, "three"), 0);
    assert_int_equal(put(book, 1, "uno"), 0);
    session_book_drop(book, 2);
    session_book_drop(book, 2);
    session_book_drop(book, 99);
    assert_string_equal(take_all(next_life(), false), "3=three 1=uno ");
    session_book_clear(next_life());
    book = next_life();
    assert_false(session_book_has_waiting(book));
    assert_true(session_book_is_empty(book));
}

static void test_uids_are_kept_apart(void **state)
{
    struct session_book *book = next_life();
    struct session_book *other = NULL;

    (void)state;
    assert_int_equal(session_log_book(kept_log, UID + 1, &other), 0);
    assert_int_equal(put(book, 1, "mine"), 0);
    assert_int_equal(put(other, 1, "his"), 0);
    session_book_clear(book);
    book = next_life();
    assert_int_equal(session_log_book(kept_log, UID + 1, &other), 0);
    assert_string_equal(take_all(book, false), "");
    assert_string_equal(take_all(other, false), "1=his ");
}

static void test_what_is_dropped_is_wiped(void **state)
{
    struct session_book *book = next_life();

    (void)state;
    assert_int_equal(put(book, 1, "first-secret"), 0);
    assert_int_equal(put(book, 2, "second-secret"), 0);
    assert_true(memory_holds("first-secret"));
    assert_int_equal(put(book, 1, "third-secret"), 0);
    assert_false(memory_holds("first-secret"));
    session_book_drop(book, 2);
    assert_false(memory_holds("second-secret"));
    session_book_clear(book);
    assert_false(memory_holds("third-secret"));
}

static uint64_t start_of_window(void)
{
    uint64_t start;

    assert_int_equal(pread(memory, &start, sizeof(start), END_AT - sizeof(start)),
                     sizeof(start));
    return start;
}

/* Of a log with N_COOKIES, the bytes of its first records in @ret_ends. */
static char *make_image(size_t *ret_len, uint64_t ret_ends[N_COOKIES + 1])
{
    struct session_book *book = next_life();
    char value[64];

    ret_ends[0] = start_of_window();
    for (uint64_t i = 1; i <= N_COOKIES; i++) {
        (void)snprintf(value, sizeof(value), "v%llu-%0*d", (unsigned long long)i, (int)i, 0);
        assert_int_equal(put(book, i, value), 0);
        ret_ends[i] = ret_ends[0] + session_log_bytes(kept_log);
    }
    return read_memory(ret_len);
}

static void set_end(char *image, uint64_t end_at)
{
    memcpy(image + END_AT, &end_at, sizeof(end_at));
}

/* The first @n of make_image(). */
static const char *first(unsigned n)
{
    static char text[1024];
    size_t len = 0;

    text[0] = '\0';
    for (unsigned i = 1; i <= n; i++)
        len +=
            (size_t)snprintf(text + len, sizeof(text) - len, "%u=v%u-%0*d ", i, i, (int)i, 0);
    return text;
}

static void test_a_cut_at_any_byte_leaves_whole_records(void **state)
{
    uint64_t ends[N_COOKIES + 1];
    size_t len;
    char *image = make_image(&len, ends);
    unsigned whole = 0;

    (void)state;
    for (uint64_t cut = ends[0]; cut <= ends[N_COOKIES]; cut++) {
        while (whole < N_COOKIES && ends[whole + 1] <= cut)
            whole++;
        set_end(image, cut);
        write_memory(image, len);
        struct session_book *book = next_life();
        if (session_log_bytes(kept_log) != ends[whole] - ends[0])
            print_message("cut at %llu\n", (unsigned long long)cut);
        assert_int_equal(session_log_bytes(kept_log), ends[whole] - ends[0]);
        assert_string_equal(take_all(book, false), first(whole));
        /* And it goes on from there. */
        assert_int_equal(put(book, 99, "new"), 0);
        assert_int_equal(session_log_bytes(kept_log) > ends[whole] - ends[0], 1);
    }
    free(image);
}

/* Written behind the end, in part or whole, and nobody said that it counts. */
static void test_what_was_not_published_is_not_there(void **state)
{
    uint64_t ends[N_COOKIES + 1];
    size_t len;
    char *image = make_image(&len, ends);

    (void)state;
    for (uint64_t cut = ends[N_COOKIES - 1]; cut <= ends[N_COOKIES]; cut++) {
        char *part = malloc(len);

        assert_non_null(part);
        memcpy(part, image, len);
        memset(part + cut, 0, len - cut);
        set_end(part, ends[N_COOKIES - 1]);
        write_memory(part, len);
        assert_string_equal(take_all(next_life(), false), first(N_COOKIES - 1));
        assert_false(memory_holds("v8-"));
        free(part);
    }
    free(image);
}

static void test_a_file_of_any_length_is_read_without_a_fault(void **state)
{
    uint64_t ends[N_COOKIES + 1];
    size_t len;
    char *image = make_image(&len, ends);

    (void)state;
    for (size_t n = 0; n <= ends[N_COOKIES]; n += n < 128 ? 1 : 61) {
        write_memory(image, n);
        (void)take_all(next_life(), false);
    }
    write_memory(image, len);
    assert_string_equal(take_all(next_life(), false), first(N_COOKIES));
    free(image);
}

static void test_a_changed_byte_costs_at_most_what_lies_behind_it(void **state)
{
    uint64_t ends[N_COOKIES + 1];
    size_t len;
    char *image = make_image(&len, ends);

    (void)state;
    for (size_t at = 0; at < ends[N_COOKIES]; at += at < ends[0] && at >= 128 ? 509 : 1) {
        for (int bit = 1; bit < 256; bit <<= 3) {
            image[at] = (char)(image[at] ^ bit);
            write_memory(image, len);
            struct session_book *book = next_life();
            const char *all = take_all(book, false);
            image[at] = (char)(image[at] ^ bit);
            if (at >= ends[1])
                assert_memory_equal(all, first(1), strlen(first(1)));
            for (const char *one = all; *one; one = strchr(one, ' ') + 1) {
                char text[64];

                (void)snprintf(text, sizeof(text), "%.*s", (int)(strchr(one, ' ') + 1 - one),
                               one);
                assert_non_null(strstr(first(N_COOKIES), text)); /* none is made up */
            }
        }
    }
    free(image);
}

static void test_another_format_is_begun_anew(void **state)
{
    uint64_t ends[N_COOKIES + 1];
    size_t len;
    char *image = make_image(&len, ends);

    (void)state;
    image[16]++;
    write_memory(image, len);
    struct session_book *book = next_life();
    assert_false(session_book_has_waiting(book));
    assert_false(memory_holds("v1-"));
    assert_int_equal(put(book, 7, "new"), 0);
    assert_string_equal(take_all(next_life(), false), "7=new ");
    free(image);
}

static void test_of_two_with_one_order_the_later_counts(void **state)
{
    uint64_t ends[2];
    struct session_book *book = next_life();
    size_t len;

    (void)state;
    assert_int_equal(put(book, 1, "old"), 0);
    ends[0] = start_of_window();
    ends[1] = ends[0] + session_log_bytes(kept_log);
    char *before = read_memory(&len);
    assert_int_equal(put(book, 1, "new"), 0);
    char *after = read_memory(&len);
    memcpy(after + ends[0], before + ends[0], ends[1] - ends[0]); /* killed in between */
    write_memory(after, len);
    assert_string_equal(take_all(next_life(), false), "1=new ");
    assert_string_equal(take_all(next_life(), false), "1=new ");
    assert_false(memory_holds("old"));
    free(before);
    free(after);
}

/* Killed before the end of the group, and right after the store that makes it count. */
static void test_a_group_counts_as_a_whole_or_not_at_all(void **state)
{
    struct session_book *book = next_life();
    size_t len;

    (void)state;
    for (uint64_t i = 1; i <= 4; i++)
        assert_int_equal(put(book, i, "old"), 0);
    assert_int_equal(put(book, 8, "old"), 0);
    uint64_t end = start_of_window() + session_log_bytes(kept_log);
    session_book_group(book, true);
    assert_int_equal(put(book, 1, "new"), 0);
    session_book_drop(book, 2);
    assert_int_equal(put(book, 5, "new"), 0);
    assert_int_equal(put(book, 6, "passing"), 0);
    session_book_drop(book, 6);
    assert_int_equal(put(book, 3, "passing"), 0);
    assert_int_equal(put(book, 3, "new"), 0);
    assert_int_equal(put(book, 7, "passing"), 0);
    session_book_drop(book, 4);
    session_book_drop(book, 7);
    assert_int_equal(put(book, 8, "passing"), 0);
    session_book_drop(book, 8);
    char *image = read_memory(&len);
    assert_int_equal(session_log_bytes(kept_log), end - start_of_window());
    session_book_group(book, false);
    uint64_t new_end = start_of_window() + session_log_bytes(kept_log);
    assert_true(new_end > end);

    assert_string_equal(take_all(next_life(), false), "1=new 5=new 3=new ");
    assert_false(memory_holds("old"));
    write_memory(image, len);
    assert_string_equal(take_all(next_life(), false), "1=old 2=old 3=old 4=old 8=old ");
    assert_false(memory_holds("new"));
    set_end(image, new_end);
    write_memory(image, len);
    assert_string_equal(take_all(next_life(), false), "1=new 5=new 3=new ");
    assert_false(memory_holds("old"));
    assert_string_equal(take_all(next_life(), false), "1=new 5=new 3=new ");
    free(image);
}

static void test_a_group_longer_than_one_may_be_is_whole_in_the_end(void **state)
{
    struct session_book *book = next_life();
    char value[300];

    (void)state;
    memset(value, 'v', sizeof(value) - 1);
    value[sizeof(value) - 1] = '\0';
    for (int round = 0; round < 50; round++) {
        session_book_group(book, true);
        for (uint64_t i = 1; i <= 300; i++)
            assert_int_equal(put(book, i, value), 0);
        for (uint64_t i = 2; i <= 300; i++)
            session_book_drop(book, i);
        session_book_group(book, false);
        assert_true(session_log_bytes(kept_log) < 1000000);
    }
    assert_int_equal(put(book, 1, "end"), 0);
    assert_string_equal(take_all(next_life(), false), "1=end ");
}

static void test_a_group_without_room_is_what_there_was_room_for(void **state)
{
    struct session_book *book = next_life();
    char value[4000];

    (void)state;
    memset(value, 'x', sizeof(value) - 1);
    value[sizeof(value) - 1] = '\0';
    for (uint64_t i = 1; i <= 15; i++)
        assert_int_equal(put(book, i, value), 0);
    disk_is_full = true;
    session_book_group(book, true);
    for (uint64_t i = 1; i <= 15; i++)
        session_book_drop(book, i);
    for (uint64_t i = 20; i <= 40; i++)
        (void)put(book, i, value);
    session_book_group(book, false);
    disk_is_full = false;
    book = next_life();
    assert_null(strstr(take_all(book, false), "15="));
    assert_int_equal(put(book, 1, "end"), 0);
    assert_non_null(strstr(take_all(next_life(), false), "1=end "));
}

static void test_a_superseded_one_counts_until_the_disk_has_the_other(void **state)
{
    struct session_book *book = next_life();

    (void)state;
    for (uint64_t i = 1; i <= 4; i++)
        assert_int_equal(put(book, i, "s"), 0);
    session_book_supersede(book, 1, 10);
    session_book_supersede(book, 2, 11);
    session_book_supersede(book, 3, 12);
    session_book_supersede(book, 77, 12);
    session_book_settle(book, 10);
    assert_int_equal(put(book, 3, "t"), 0); /* a session cookie again */
    book = next_life();
    assert_string_equal(take_all(book, true), "2=s ");
    assert_string_equal(take_all(book, false), "4=s 3=t ");
    session_book_settle(book, 100); /* what was taken is not for another's ticket to end */
    book = next_life();
    assert_string_equal(take_all(book, true), "2=s ");
    session_book_keep(book, 2);
    book = next_life();
    assert_string_equal(take_all(book, true), "");
    assert_string_equal(take_all(book, false), "2=s 4=s 3=t ");
    session_book_supersede(book, 4, 1);
    session_book_clear_superseded(book);
    assert_string_equal(take_all(next_life(), false), "2=s 3=t ");
}

static void test_what_waits_stays_when_the_present_is_cleared(void **state)
{
    struct session_book *book = next_life();

    (void)state;
    assert_int_equal(put(book, 1, "a"), 0);
    assert_int_equal(put(book, 2, "b"), 0);
    session_book_supersede(book, 2, 1);
    book = next_life();
    assert_string_equal(take_all(book, false), "1=a ");
    assert_int_equal(put(book, 3, "c"), 0);
    session_book_clear_present(book);
    book = next_life();
    assert_string_equal(take_all(book, false), "");
    assert_string_equal(take_all(book, true), "2=b ");
}

static void test_a_log_that_is_written_for_ever_stays_small_and_true(void **state)
{
    struct session_book *book = next_life();
    char value[3000];
    char expected[64];

    (void)state;
    for (uint64_t round = 0; round < 5000; round++) {
        (void)snprintf(value, sizeof(value), "%0*llu", (int)(round % 2900) + 1,
                       (unsigned long long)round);
        assert_int_equal(put(book, 1 + round % 7, value), 0);
        if (round % 11 == 0)
            session_book_drop(book, 1 + (round + 3) % 7);
        assert_true(session_log_bytes(kept_log) < 200000);
    }
    assert_true(taken_bytes() < 1 << 20);
    session_book_clear(book);
    for (uint64_t i = 1; i <= 3; i++)
        assert_int_equal(put(book, i, "end"), 0);
    (void)snprintf(expected, sizeof(expected), "1=end 2=end 3=end ");
    assert_string_equal(take_all(next_life(), false), expected);
    assert_true(taken_bytes() < 1 << 20);
}

/* What is written anew so that something before it can be left behind, and then the process is
 * killed: it is there twice, or the first has been struck out. */
static void test_what_is_written_anew_is_there_once(void **state)
{
    struct session_book *book = next_life();
    size_t len;

    (void)state;
    assert_int_equal(put(book, 1, "stays"), 0);
    size_t size = session_log_bytes(kept_log);
    assert_int_equal(put(book, 2, "other"), 0);
    uint64_t start = start_of_window();
    uint64_t end_at = start + session_log_bytes(kept_log);
    char *image = read_memory(&len);
    memcpy(image + end_at, image + start, size);
    set_end(image, end_at + size);
    write_memory(image, len);
    assert_string_equal(take_all(next_life(), false), "2=other 1=stays ");
    start += size; /* and left behind */
    memcpy(image + END_AT - sizeof(start), &start, sizeof(start));
    write_memory(image, len);
    assert_string_equal(take_all(next_life(), false), "2=other 1=stays ");
    free(image);
}

/* The live ones are few and old, and must not be in the way of what is to be left behind. */
static void test_old_ones_among_many_that_come_and_go_are_kept(void **state)
{
    struct session_book *book = next_life();
    char value[2000];

    (void)state;
    memset(value, 'v', sizeof(value) - 1);
    value[sizeof(value) - 1] = '\0';
    for (uint64_t i = 1; i <= 30; i++)
        assert_int_equal(put(book, i, "old"), 0);
    for (uint64_t round = 0; round < 3000; round++) {
        assert_int_equal(put(book, 100 + round, value), 0);
        if (round >= 10)
            session_book_drop(book, 90 + round);
        assert_true(session_log_bytes(kept_log) < 300000);
    }
    session_book_clear_superseded(book);
    const char *all = take_all(next_life(), false);
    for (unsigned i = 1; i <= 30; i++) {
        char one[32];

        (void)snprintf(one, sizeof(one), "%u=old ", i);
        assert_non_null(strstr(all, one));
    }
}

static void test_no_room_costs_what_comes_then_and_nothing_else(void **state)
{
    struct session_book *book = next_life();
    char value[4000];
    unsigned n = 0;

    (void)state;
    memset(value, 'x', sizeof(value) - 1);
    value[sizeof(value) - 1] = '\0';
    assert_int_equal(put(book, 1, "first"), 0);
    disk_is_full = true;
    while (put(book, 2 + n, value) == 0)
        n++;
    assert_true(n > 0 && n < 100);
    assert_int_equal(put(book, 2, value), -ENOSPC);
    disk_is_full = false;
    assert_int_equal(put(book, 1000, "last"), 0);
    book = next_life();
    const char *all = take_all(book, false);
    assert_memory_equal(all, "1=first 3=", 10); /* the old one of 2 is no longer true */
    assert_non_null(strstr(all, " 1000=last "));
}

/* Else what ended in a life that did not know of it would be back in the next. */
static void test_what_cannot_be_taken_over_has_ended(void **state)
{
    (void)state;
    assert_int_equal(put(next_life(), 1, "a"), 0);
    kept_log = session_log_free(kept_log);
    disk_is_full = true;
    assert_int_equal(session_log_open(&kept_log, fcntl(memory, F_DUPFD_CLOEXEC, 0), &options),
                     -ENOSPC);
    disk_is_full = false;
    assert_string_equal(take_all(next_life(), false), "");
    for (uint64_t n = 1; n < 8; n++) {
        assert_int_equal(put(next_life(), n, "a"), 0);
        kept_log = session_log_free(kept_log);
        mem_fail_at(n);
        int r = session_log_open(&kept_log, fcntl(memory, F_DUPFD_CLOEXEC, 0), &options);
        mem_fail_at(0);
        assert_true(r == 0 || r == -ENOMEM);
        assert_int_equal(take_all(next_life(), false)[0] == '\0', r < 0);
        session_book_clear(next_life());
    }
}

static void test_without_memory_for_a_note_the_cookie_is_not_kept(void **state)
{
    struct session_book *book = next_life();
    unsigned n_failed = 0;

    (void)state;
    assert_int_equal(put(book, 1, "a"), 0);
    for (uint64_t n = 1; n < 4; n++) {
        mem_fail_at(n);
        n_failed += put(book, 1 + n, "b") == -ENOMEM;
        mem_fail_at(0);
    }
    assert_true(n_failed > 0);
    book = next_life();
    struct saved_cookie *saved = NULL;
    mem_fail_at(1);
    assert_int_equal(session_book_take_waiting(book, false, &saved), -ENOMEM);
    mem_fail_at(0);
    assert_memory_equal(take_all(book, false), "1=a ", 4);
}

static void test_nobody_takes_everybodys_room(void **state)
{
    struct session_book *book;
    struct session_book *other = NULL;
    uint64_t n = 0;

    (void)state;
    options.bytes_max = 20000;
    options.book_bytes_max = 15000;
    options.fair_bytes = 2000;
    book = next_life();
    assert_int_equal(session_log_book(kept_log, UID + 1, &other), 0);
    while (put(book, n + 1, "some value of a session") == 0)
        n++;
    assert_true(n > 20 && n < 100); /* half of all */
    uint64_t m = 0;
    while (put(other, m + 1, "some value of a session") == 0)
        m++;
    assert_true(m > 5); /* and who comes later has a place, too */
    session_book_clear(book);
    assert_int_equal(put(other, 1000, "again"), 0);
}

static void test_the_hour_of_the_last_life_is_kept(void **state)
{
    (void)state;
    (void)next_life();
    assert_int_equal(session_log_touched_us(kept_log), 0);
    session_log_touch(kept_log, 123456789);
    (void)next_life();
    assert_int_equal(session_log_touched_us(kept_log), 123456789);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define LOG_TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)
        LOG_TEST(test_what_is_put_is_there_for_the_next_with_all_it_has),
        LOG_TEST(test_what_was_replaced_or_dropped_does_not_come_back),
        LOG_TEST(test_uids_are_kept_apart),
        LOG_TEST(test_what_is_dropped_is_wiped),
        LOG_TEST(test_a_cut_at_any_byte_leaves_whole_records),
        LOG_TEST(test_what_was_not_published_is_not_there),
        LOG_TEST(test_a_file_of_any_length_is_read_without_a_fault),
        LOG_TEST(test_a_changed_byte_costs_at_most_what_lies_behind_it),
        LOG_TEST(test_another_format_is_begun_anew),
        LOG_TEST(test_of_two_with_one_order_the_later_counts),
        LOG_TEST(test_a_group_counts_as_a_whole_or_not_at_all),
        LOG_TEST(test_a_group_longer_than_one_may_be_is_whole_in_the_end),
        LOG_TEST(test_a_group_without_room_is_what_there_was_room_for),
        LOG_TEST(test_a_superseded_one_counts_until_the_disk_has_the_other),
        LOG_TEST(test_what_waits_stays_when_the_present_is_cleared),
        LOG_TEST(test_a_log_that_is_written_for_ever_stays_small_and_true),
        LOG_TEST(test_what_is_written_anew_is_there_once),
        LOG_TEST(test_old_ones_among_many_that_come_and_go_are_kept),
        LOG_TEST(test_no_room_costs_what_comes_then_and_nothing_else),
        LOG_TEST(test_what_cannot_be_taken_over_has_ended),
        LOG_TEST(test_without_memory_for_a_note_the_cookie_is_not_kept),
        LOG_TEST(test_nobody_takes_everybodys_room),
        LOG_TEST(test_the_hour_of_the_last_life_is_kept),
    };

    log_set_level(LOG_LEVEL_WARNING); /* what cannot be read is told a thousand times */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
