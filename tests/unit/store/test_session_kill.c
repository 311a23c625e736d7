/* SPDX-License-Identifier: MIT */
/*
 * DB01 for session cookies, at the log's own level: a child puts, replaces and drops pairs of
 * them as fast as it can, most of them long, so that what is left is copied together all the
 * time; it says in memory of its own what it is about to do and what is done. It is killed at a
 * random moment, and the next life finds of each pair what was done last, or what was begun.
 */
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/num.h"
#include "store/cookie_rows.h"
#include "store/session_log.h"
#include "support/test.h"

#define KILLS   300
#define N_PAIRS 20
#define UID     1000
#define PASSING UINT64_MAX /* never the last of a group */

/* Of the child, seen by the parent. */
struct diary {
    volatile uint64_t done[N_PAIRS];  /* 0: dropped */
    volatile uint64_t begun[N_PAIRS]; /* the same, unless one is under way */
    volatile uint64_t n;
};

static struct diary *diary;
static int memory = -1;

static struct session_book *open_book(struct session_log **ret)
{
    const struct session_log_options options = session_log_options_default();
    struct session_book *book = NULL;

    if (session_log_open(ret, fcntl(memory, F_DUPFD_CLOEXEC, 0), &options) < 0 ||
        session_log_book(*ret, UID, &book) < 0)
        _exit(1);
    return book;
}

static void put(struct session_book *book, uint64_t order, uint64_t value, int len)
{
    char text[4096];
    int n = snprintf(text, sizeof(text), "%llu-%0*d", (unsigned long long)value, len, 0);
    const struct cookie cookie = {.name = SPAN_LIT("n"),
                                  .value = {text, (size_t)n},
                                  .domain = SPAN_LIT("a.com"),
                                  .path = SPAN_LIT("/"),
                                  .order = order};

    if (session_book_put(book, "", "default", &cookie) < 0)
        _exit(2);
}

_Noreturn static void child_main(uint32_t seed)
{
    struct session_log *log = NULL;
    struct session_book *book = open_book(&log);
    struct saved_cookie *saved = NULL;

    while (session_book_take_waiting(book, false, &saved) == 0 && saved)
        saved_cookie_free(saved);
    for (;;) {
        seed = seed * 1664525 + 1013904223;
        unsigned pair = (seed >> 8) % N_PAIRS;
        uint64_t value = seed >> 28 ? diary->n + 1 : 0;

        diary->begun[pair] = value;
        session_book_group(book, true);
        for (uint64_t half = 1; half <= 2; half++) {
            if (seed >> 27 & 1)
                put(book, 2 * pair + half, PASSING, 100);
            if (value > 0)
                put(book, 2 * pair + half, value, (int)(seed >> 12) % 3000);
            else
                session_book_drop(book, 2 * pair + half);
        }
        session_book_group(book, false);
        diary->done[pair] = value;
        diary->n++;
    }
}

static void run_child(uint32_t seed)
{
    uint64_t before = diary->n;
    int status;
    pid_t child = fork();

    assert_true(child >= 0);
    if (child == 0)
        child_main(seed);
    while (diary->n < before + 1 + seed % 200)
        (void)sched_yield();
    for (unsigned i = 0; i < (seed >> 13) % 64; i++)
        (void)sched_yield();
    assert_int_equal(kill(child, SIGKILL), 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

static void check_pairs(void)
{
    uint64_t found[2 * N_PAIRS + 1] = {0};
    struct session_log *log = NULL;
    struct session_book *book = open_book(&log);
    struct saved_cookie *saved = NULL;

    for (;;) {
        struct span value;

        assert_int_equal(session_book_take_waiting(book, false, &saved), 0);
        if (!saved)
            break;
        struct span rest = saved->cookie.value;
        assert_true(saved->cookie.order <= 2 * (uint64_t)N_PAIRS);
        assert_int_equal(found[saved->cookie.order], 0);
        (void)span_split(&rest, '-', &value);
        assert_int_equal(num_parse_u64(value, UINT64_MAX, &found[saved->cookie.order]), 0);
        saved_cookie_free(saved);
    }
    session_log_free(log);
    for (unsigned i = 0; i < N_PAIRS; i++) {
        uint64_t value = found[2 * i + 1];

        assert_int_equal(value, found[2 * i + 2]); /* P3: both halves, or neither */
        assert_true(value == diary->done[i] || value == diary->begun[i]);
        diary->done[i] = diary->begun[i] = value;
    }
}

static void test_db01_p3_kills_leave_every_pair_as_it_was_told(void **state)
{
    (void)state;
    memory = memfd_create("test", MFD_CLOEXEC);
    assert_true(memory >= 0);
    diary =
        mmap(NULL, sizeof(*diary), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(diary != MAP_FAILED);
    for (uint32_t i = 1; i <= KILLS; i++) {
        run_child(i * 2654435761U);
        check_pairs();
    }
    print_message("%d kills, %llu writes\n", KILLS, (unsigned long long)diary->n);
    assert_true(diary->n > KILLS);
    (void)munmap(diary, sizeof(*diary));
    close(memory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_db01_p3_kills_leave_every_pair_as_it_was_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
