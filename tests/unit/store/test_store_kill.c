/* SPDX-License-Identifier: MIT */
/*
 * DB01 at the store's own level: a child sets and removes cookies and tells through a pipe what
 * it is about to do and what has been acknowledged; it is killed at a random moment, and what
 * the next life finds must be what was acknowledged last, or something announced after it.
 */
#include <sched.h>
#include <signal.h>
#include <sys/wait.h>

#include "base/num.h"
#include "store/store_bench.h"

#define KILLS     100
#define N_NAMES   300
#define N_WRITERS 3

/* On the pipe; smaller than PIPE_BUF, so never torn. */
struct word {
    bool is_ack;
    uint32_t name;
    uint64_t value; /* 0: removed */
};

/* What is known of a name. */
struct name_state {
    uint64_t acked;        /* 0: not there */
    uint64_t announced[8]; /* since */
    unsigned n_announced;
};

static struct name_state names[N_NAMES];
static struct bench bench;

/* The child */

struct writer {
    struct cookie_sync sync;
    struct word word;
    int pipe_fd;
    uint32_t seed;
    bool is_busy;
};

static void say(int fd, const struct word *word)
{
    if (write(fd, word, sizeof(*word)) != sizeof(*word))
        _exit(1);
}

static void writer_on_synced(void *owner, bool saved)
{
    struct writer *writer = owner;

    if (!saved)
        _exit(2);
    writer->word.is_ack = true;
    say(writer->pipe_fd, &writer->word);
    writer->is_busy = false;
}

static void writer_write(struct writer *writer, unsigned index, uint64_t value)
{
    char host[32];
    char field[160];

    writer->seed = writer->seed * 1664525 + 1013904223;
    /* Names of its own: two unacknowledged words on one name would leave its fate open. */
    writer->word =
        (struct word){.name = (writer->seed >> 8) % (N_NAMES / N_WRITERS) * N_WRITERS + index,
                      .value = writer->seed >> 28 ? value : 0};
    say(writer->pipe_fd, &writer->word);
    (void)snprintf(host, sizeof(host), "h%u.com", writer->word.name / 100);
    (void)snprintf(field, sizeof(field), "n%u=%llu-%0*d; Max-Age=%d", writer->word.name,
                   (unsigned long long)value, (int)(writer->seed >> 16 & 63), 0,
                   writer->word.value ? 90000 : 0);
    if (bench_put(&bench, host, field) > COOKIE_REMOVED)
        _exit(3);
    writer->is_busy = true;
    writer->sync.on_synced = writer_on_synced;
    writer->sync.owner = writer;
    int r = cookie_store_sync(bench.store, &writer->sync);
    if (r != COOKIE_SYNC_PENDING)
        writer_on_synced(writer, r == COOKIE_SYNC_SAVED);
}

_Noreturn static void child_main(int pipe_fd, uint32_t seed, uint64_t value)
{
    struct writer writers[N_WRITERS] = {0};

    if (loop_new(&bench.loop, clock_system()) < 0 ||
        worker_pool_new(&bench.pool, bench.loop, 1) < 0)
        _exit(4);
    bench_open(&bench);
    for (unsigned i = 0; i < N_WRITERS; i++) {
        writers[i].pipe_fd = pipe_fd;
        writers[i].seed = seed + i * 7919;
    }
    for (;;) {
        for (unsigned i = 0; i < N_WRITERS; i++) {
            if (!writers[i].is_busy)
                writer_write(&writers[i], i, ++value);
        }
        if (loop_turn(bench.loop, true) < 0)
            _exit(5);
    }
}

/* The parent */

static void hear(const struct word *word)
{
    struct name_state *state = &names[word->name];

    if (word->is_ack) {
        state->acked = word->value;
        state->n_announced = 0;
    } else {
        assert_true(state->n_announced < sizeof(state->announced) / sizeof(uint64_t));
        state->announced[state->n_announced++] = word->value;
    }
}

/* Hears the child for a while, kills it, hears what it had still said. Return: acknowledged. */
static unsigned run_child(int round, uint64_t *value)
{
    uint32_t seed = (uint32_t)round * 2654435761U;
    struct word word;
    unsigned n_acked = 0;
    unsigned n_words = 0;
    int ends[2];

    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        (void)close(ends[0]);
        child_main(ends[1], seed, *value);
    }
    (void)close(ends[1]);
    unsigned wanted = 1 + (seed >> 20) % 120;
    while (read(ends[0], &word, sizeof(word)) == sizeof(word)) {
        hear(&word);
        *value = word.value > *value ? word.value : *value;
        n_acked += word.is_ack;
        if (++n_words == wanted) {
            for (unsigned i = 0; i < (seed >> 13) % 64; i++)
                (void)sched_yield(); /* not always right behind a word */
            assert_int_equal(kill(child, SIGKILL), 0);
        }
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    (void)close(ends[0]);
    return n_acked;
}

static uint64_t stored[N_NAMES];

static bool note_stored(void *arg, const struct cookie *cookie)
{
    struct span rest = cookie->value;
    struct span value;
    uint64_t name = 0;

    (void)arg;
    (void)span_split(&rest, '-', &value);
    assert_int_equal(num_parse_u64(span_drop(cookie->name, 1), N_NAMES - 1, &name), 0);
    assert_int_equal(num_parse_u64(value, UINT64_MAX, &stored[name]), 0);
    return true;
}

/* Each name is as acknowledged, or as announced later; that is what is known from now on. */
static void check_names(int round)
{
    memset(stored, 0, sizeof(stored));
    bench_open(&bench);
    assert_true(cookie_store_is_persistent(bench.store));
    cookie_jar_each(bench_jar(&bench, "", ""), NULL, 0, note_stored, NULL);
    bench_close(&bench);
    assert_int_equal(access(bench_file(&bench, ".corrupt-1"), F_OK), -1);
    for (unsigned i = 0; i < N_NAMES; i++) {
        bool is_right = stored[i] == names[i].acked;

        for (unsigned k = 0; k < names[i].n_announced; k++)
            is_right |= stored[i] == names[i].announced[k];
        if (!is_right)
            fail_msg("round %d: n%u is %llu, acknowledged was %llu", round, i,
                     (unsigned long long)stored[i], (unsigned long long)names[i].acked);
        names[i] = (struct name_state){.acked = stored[i]};
    }
}

static void test_db01_a_hundred_kills_lose_no_acknowledged_cookie(void **state)
{
    uint64_t value = 0;
    unsigned n_acked = 0;

    (void)state;
    bench_init(&bench);
    for (int round = 0; round < KILLS; round++) {
        /* Forking a process with threads in it is asking for trouble. */
        bench.pool = worker_pool_free(bench.pool);
        bench.loop = loop_free(bench.loop);
        n_acked += run_child(round, &value);
        assert_int_equal(loop_new(&bench.loop, clock_system()), 0);
        assert_int_equal(worker_pool_new(&bench.pool, bench.loop, 1), 0);
        check_names(round);
    }
    bench_done(&bench);
    assert_true(n_acked >= KILLS);
    print_message("%u acknowledged, none lost\n", n_acked);
}

/* In the middle of making the folder, the file, its tables, or of the first commit. */
static void test_db03_a_kill_while_the_file_is_made_leaves_one_that_opens(void **state)
{
    (void)state;
    for (unsigned round = 0; round < 60; round++) {
        int ends[2];
        struct word word;

        bench_init(&bench);
        bench.pool = worker_pool_free(bench.pool);
        bench.loop = loop_free(bench.loop);
        assert_int_equal(pipe(ends), 0);
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            (void)close(ends[0]);
            child_main(ends[1], round, 0);
        }
        (void)close(ends[1]);
        for (unsigned i = 0; i < round * round; i++)
            (void)sched_yield();
        assert_int_equal(kill(child, SIGKILL), 0);
        assert_int_equal(waitpid(child, NULL, 0), child);
        memset(names, 0, sizeof(names));
        while (read(ends[0], &word, sizeof(word)) == sizeof(word))
            hear(&word);
        (void)close(ends[0]);
        assert_int_equal(loop_new(&bench.loop, clock_system()), 0);
        assert_int_equal(worker_pool_new(&bench.pool, bench.loop, 1), 0);
        check_names((int)round);
        bench_done(&bench);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_db01_a_hundred_kills_lose_no_acknowledged_cookie),
        cmocka_unit_test(test_db03_a_kill_while_the_file_is_made_leaves_one_that_opens),
    };

    return cmocka_run_group_tests_name("store/store_kill", tests, NULL, NULL);
}
