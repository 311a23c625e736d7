/* SPDX-License-Identifier: MIT */
/* Stored answers: who finds what when, what goes first, what a kill leaves behind, and a disk
 * that is slow, full or in the way. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "loop/loop.h"
#include "loop/worker.h"
#include "policy/cache_rules.h"
#include "store/cache_store.h"
#include "support/cache_entry_test.h"

#define NOW_S INT64_C(1800000000)

struct bench {
    struct fake_clock clock;
    struct loop *loop;
    struct worker_pool *names;
    struct worker_pool *bodies;
    struct cache_store *store;
    struct cache_limits limits;
    char dir[64];
};

static struct bench bench;
static const char *user; /* as the machine calls him; NULL: nobody asks; "": nobody knows */

static bool name_of(uint32_t uid, char *ret, size_t size)
{
    assert_int_equal(uid, 7);
    return user[0] && (size_t)snprintf(ret, size, "%s", user) < size;
}

static void store_open(void)
{
    struct cache_store_options options = {.state_dir = bench.dir,
                                          .parts = {"7", "cache", "default"},
                                          .names = bench.names,
                                          .bodies = bench.bodies,
                                          .limits = bench.limits,
                                          .uid = 7,
                                          .name_of = user ? name_of : NULL};

    assert_int_equal(cache_store_new(&bench.store, bench.loop, &options), 0);
}

static void settle(void)
{
    for (int i = 0; i < 6; i++) {
        worker_drain(bench.names);
        worker_drain(bench.bodies);
        assert_int_equal(loop_turn(bench.loop, false), 0);
    }
}

static void store_close(void)
{
    if (!bench.store)
        return;
    cache_store_close(bench.store);
    while (cache_store_is_busy(bench.store))
        settle();
    bench.store = cache_store_free(bench.store);
}

static int setup(void **state)
{
    (void)state;
    bench = (struct bench){.dir = "/tmp/xhrd-cache-XXXXXX",
                           .limits = {.bytes_max = 1 << 24, .body_bytes_max = 1 << 22}};
    assert_non_null(mkdtemp(bench.dir));
    log_set_level(LOG_LEVEL_ERR);
    fake_clock_init(&bench.clock, NOW_S);
    assert_int_equal(loop_new(&bench.loop, &bench.clock.clock), 0);
    assert_int_equal(worker_pool_new(&bench.names, bench.loop, 1), 0);
    assert_int_equal(worker_pool_new(&bench.bodies, bench.loop, 2), 0);
    store_open();
    settle();
    return 0;
}

static int teardown(void **state)
{
    char command[128];

    (void)state;
    store_close();
    bench.names = worker_pool_free(bench.names);
    bench.bodies = worker_pool_free(bench.bodies);
    bench.loop = loop_free(bench.loop);
    (void)snprintf(command, sizeof(command), "rm -rf '%s'", bench.dir);
    return system(command);
}

static const char *folder(void)
{
    static char path[128];

    (void)snprintf(path, sizeof(path), "%s/7/cache/default", bench.dir);
    return path;
}

/* How many files there are whose names end so. */
static int count_files(const char *suffix)
{
    DIR *dir = opendir(folder());
    struct dirent *file;
    int n = 0;

    if (!dir)
        return 0;
    while ((file = readdir(dir)))
        n += file->d_name[0] != '.' && span_ends_with(span_of(file->d_name), span_of(suffix));
    (void)closedir(dir);
    return n;
}

static void put_file(const char *name, const char *text)
{
    char path[256];

    (void)snprintf(path, sizeof(path), "%s/%s", folder(), name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    (void)fputs(text, file);
    (void)fclose(file);
}

/* ---- storing ----------------------------------------------------------------------------- */

static int n_rooms;

static void on_room(void *owner)
{
    (void)owner;
    n_rooms++;
}

static const struct cache_writer_events writer_events = {.on_room = on_room};

static int begin(const char *url, const char *fields, uint64_t bytes, struct cache_writer **ret)
{
    struct cache_entry entry;

    entry_make(&entry, url, fields);
    entry.request_time_s = entry.response_time_s = NOW_S;
    entry.body_bytes = bytes;
    int r = cache_store_write(bench.store, &entry, &writer_events, &n_rooms, ret);
    cache_entry_done(&entry);
    return r;
}

static struct cache_writer *begin_well(const char *url)
{
    struct cache_writer *writer;

    assert_int_equal(begin(url, "Cache-Control: max-age=100\n", 0, &writer), 0);
    return writer;
}

static void put_bytes(const char *url, size_t n)
{
    struct cache_writer *writer = begin_well(url);
    char *bytes = repeat('x', n);

    (void)cache_store_add(writer, (struct span){bytes, n});
    cache_store_commit(writer);
    free(bytes);
    settle();
}

static void put_text(const char *url, const char *text)
{
    struct cache_writer *writer = begin_well(url);

    assert_true(cache_store_add(writer, span_of(text)));
    cache_store_commit(writer);
}

/* ---- finding ----------------------------------------------------------------------------- */

struct finder {
    struct cache_lookup lookup;
    struct cache_hit *hit;
    int n_told;
};

static void on_found(void *owner, struct cache_hit *hit)
{
    struct finder *finder = owner;

    finder->n_told++;
    finder->hit = hit;
}

static int ask_as(struct finder *finder, const char *url, const char *jar, bool has_credentials)
{
    static const uint8_t context[SHA256_BYTES];
    struct headers request;
    struct cache_question question = {.url = span_of(url),
                                      .context = context,
                                      .jar = span_of(jar),
                                      .has_credentials = has_credentials,
                                      .request = &request};

    headers_read(&request, "Accept: x\n");
    *finder = (struct finder){.lookup = {.on_found = on_found, .owner = finder}};
    int r = cache_store_find(bench.store, &question, &finder->lookup);
    headers_done(&request);
    return r;
}

static int ask(struct finder *finder, const char *url)
{
    return ask_as(finder, url, "", false);
}

/* Return: the stored body, or NULL. Good until the next call. */
static const char *find(const char *url)
{
    static char text[64];
    struct finder finder;

    if (ask(&finder, url) == CACHE_FIND_NOTHING)
        return NULL;
    settle();
    assert_int_equal(finder.n_told, 1);
    if (!finder.hit)
        return NULL;
    ssize_t n = pread(finder.hit->body_fd, text, sizeof(text) - 1, 0);
    assert_true(n >= 0);
    text[n] = '\0';
    cache_hit_free(finder.hit);
    return text;
}

/* A thread that is held up as by a disk. */
struct plug {
    struct job job;
    sem_t out;
};

static void plug_run(struct job *job)
{
    (void)sem_wait(&((struct plug *)(void *)job)->out);
}

static void plug_done(struct job *job)
{
    (void)job;
}

static void plug_in(struct plug *plug, struct worker_pool *pool)
{
    plug->job = (struct job){.run = plug_run, .done = plug_done};
    assert_int_equal(sem_init(&plug->out, 0, 0), 0);
    assert_int_equal(worker_submit(pool, &plug->job), 0);
}

static void plug_out(struct plug *plug)
{
    assert_int_equal(sem_post(&plug->out), 0);
    settle();
    assert_int_equal(sem_destroy(&plug->out), 0);
}

static void pass_ms(int64_t ms)
{
    fake_clock_advance_ms(&bench.clock, ms);
    assert_int_equal(loop_turn(bench.loop, false), 0);
}

/* ---- tests ------------------------------------------------------------------------------- */

static void test_what_is_stored_is_found_at_once_and_after_a_restart(void **state)
{
    (void)state;
    assert_null(find("http://a.example/"));
    put_text("http://a.example/", "hello");
    assert_string_equal(find("http://a.example/"), "hello"); /* waits for the writer */
    assert_null(find("http://a.example/b"));
    put_text("http://a.example/empty", "");
    assert_string_equal(find("http://a.example/empty"), "");
    store_close();
    assert_int_equal(count_files(".meta"), 2);
    store_open();
    assert_string_equal(find("http://a.example/"), "hello"); /* waits for the index */
    assert_string_equal(find("http://a.example/empty"), "");
}

static void test_the_newest_of_the_same_stays_alone(void **state)
{
    (void)state;
    put_text("http://a.example/", "one");
    struct cache_writer *two = begin_well("http://a.example/");
    struct cache_writer *three = begin_well("http://a.example/");
    assert_true(cache_store_add(two, SPAN_LIT("two")));
    assert_true(cache_store_add(three, SPAN_LIT("three")));
    cache_store_commit(three);
    settle();
    assert_string_equal(find("http://a.example/"), "three");
    cache_store_commit(two);
    settle();
    assert_string_equal(find("http://a.example/"), "two");
    assert_int_equal(count_files(""), 2);
}

/* An empty body has nothing to wait for where the one before it waits for a thread. */
static void test_an_older_answer_that_the_disk_is_late_with_is_not_the_newest(void **state)
{
    struct plug plugs[2];

    (void)state;
    plug_in(&plugs[0], bench.bodies);
    plug_in(&plugs[1], bench.bodies);
    struct cache_writer *older = begin_well("http://a.example/");
    struct cache_writer *newer = begin_well("http://a.example/");
    assert_true(cache_store_add(older, SPAN_LIT("older")));
    cache_store_commit(older);
    cache_store_commit(newer);
    worker_drain(bench.names);
    assert_int_equal(sem_post(&plugs[1].out), 0);
    plug_out(&plugs[0]);
    assert_int_equal(sem_destroy(&plugs[1].out), 0);
    assert_string_equal(find("http://a.example/"), "");
    assert_int_equal(count_files(""), 2);
}

static void test_a_reader_is_not_disturbed(void **state)
{
    struct finder finder;
    char text[8] = "";

    (void)state;
    put_text("http://a.example/", "one");
    assert_int_equal(ask(&finder, "http://a.example/"), CACHE_FIND_WAIT);
    settle();
    assert_non_null(finder.hit);
    assert_int_equal(cache_store_clear(bench.store, (struct span){0}), 1);
    settle();
    assert_int_equal(count_files(""), 0);
    assert_int_equal(pread(finder.hit->body_fd, text, sizeof(text), 0), 3);
    assert_string_equal(text, "one");
    cache_hit_free(finder.hit);
}

static void test_a_writer_that_is_dropped_or_lies_about_its_length_leaves_nothing(void **state)
{
    struct cache_writer *writer;

    (void)state;
    cache_store_drop(begin_well("http://a.example/1")); /* before its file is there */
    writer = begin_well("http://a.example/2");
    settle();
    cache_store_drop(writer);
    writer = begin_well("http://a.example/3");
    char *block = repeat('x', 100000);
    (void)cache_store_add(writer, (struct span){block, 100000});
    cache_store_drop(writer); /* while it is written */
    settle();
    assert_int_equal(begin("http://a.example/4", "ETag: \"x\"\n", 5, &writer), 0);
    assert_true(cache_store_add(writer, SPAN_LIT("four")));
    cache_store_commit(writer);
    settle();
    assert_int_equal(count_files(""), 0);
    assert_null(find("http://a.example/4"));
    free(block);
}

static void test_what_is_too_long_is_not_begun_or_given_up(void **state)
{
    struct cache_writer *writer;

    (void)state;
    bench.limits = (struct cache_limits){.bytes_max = 200000, .body_bytes_max = 100000};
    cache_store_set_limits(bench.store, &bench.limits);
    assert_int_equal(begin("http://a.example/", "ETag: \"x\"\n", 100001, &writer), -EFBIG);
    put_bytes("http://a.example/", 100001);
    assert_null(find("http://a.example/"));
    assert_int_equal(count_files(""), 0);
    put_bytes("http://a.example/", 100000);
    assert_non_null(find("http://a.example/"));
    bench.limits.bytes_max = 0;
    cache_store_set_limits(bench.store, &bench.limits);
    settle();
    assert_null(find("http://a.example/"));
    assert_int_equal(begin("http://a.example/", "ETag: \"x\"\n", 1, &writer), -EAGAIN);
    assert_int_equal(count_files(""), 0);
}

static void test_the_longest_unused_goes_first(void **state)
{
    (void)state;
    bench.limits = (struct cache_limits){.bytes_max = 350000, .body_bytes_max = 100000};
    cache_store_set_limits(bench.store, &bench.limits);
    put_bytes("http://a.example/1", 100000);
    put_bytes("http://a.example/2", 100000);
    put_bytes("http://a.example/3", 100000);
    assert_non_null(find("http://a.example/1"));
    put_bytes("http://a.example/4", 100000);
    assert_null(find("http://a.example/2"));
    assert_non_null(find("http://a.example/1"));
    assert_non_null(find("http://a.example/3"));
    assert_non_null(find("http://a.example/4"));
    assert_int_equal(count_files(".body"), 3);
}

static void test_a_url_has_so_many_variants(void **state)
{
    (void)state;
    for (int i = 0; i < 20; i++) {
        struct cache_writer *writer;
        struct cache_entry entry;

        entry_make(&entry, "http://a.example/", "Cache-Control: max-age=5\n");
        memset(entry.vary_digest, i, SHA256_BYTES);
        assert_int_equal(
            cache_store_write(bench.store, &entry, &writer_events, &n_rooms, &writer), 0);
        cache_entry_done(&entry);
        cache_store_commit(writer);
        settle();
    }
    assert_int_equal(count_files(".meta"), 16);
}

static void test_logins_and_jars_are_kept_apart(void **state)
{
    static const struct {
        const char *fields;
        const char *jar;
        bool had_credentials;
        const char *asks_for;
        bool asks_with_credentials;
        bool fits;
    } rows[] = {
        {"", "", false, "", false, true},
        {"", "", false, "work", false, true},
        {"", "work", false, "work", false, true},
        {"", "work", false, "", false, false},
        {"", "work", false, "home", false, false},
        {"", "", false, "", true, false},
        {"Cache-Control: public\n", "", false, "", true, true},
        {"Cache-Control: public\n", "", true, "", false, true},
        {"Cache-Control: public\n", "work", true, "", false, false},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct cache_writer *writer;
        struct cache_entry entry;
        struct finder finder;
        char url[64];

        (void)snprintf(url, sizeof(url), "http://a.example/%zu", i);
        entry_make(&entry, url, rows[i].fields);
        memcpy(entry.jar, rows[i].jar, strlen(rows[i].jar));
        entry.had_credentials = rows[i].had_credentials;
        assert_int_equal(
            cache_store_write(bench.store, &entry, &writer_events, &n_rooms, &writer), 0);
        cache_entry_done(&entry);
        cache_store_commit(writer);
        settle();
        int r = ask_as(&finder, url, rows[i].asks_for, rows[i].asks_with_credentials);
        settle();
        if ((r == CACHE_FIND_WAIT && finder.hit) != rows[i].fits)
            fail_msg("%zu", i);
        cache_hit_free(finder.hit);
    }
}

static void test_what_is_invalidated_or_forgotten_is_gone(void **state)
{
    struct finder finder;

    (void)state;
    put_text("http://a.example/1", "one");
    put_text("http://a.example/2", "two");
    settle();
    cache_store_invalidate(bench.store, SPAN_LIT("http://a.example/1"));
    assert_null(find("http://a.example/1"));
    put_text("http://a.example/3", "three"); /* on its way: it is not stored */
    cache_store_invalidate(bench.store, SPAN_LIT("http://a.example/3"));
    assert_null(find("http://a.example/3"));
    assert_int_equal(ask(&finder, "http://a.example/2"), CACHE_FIND_WAIT);
    settle();
    cache_store_forget(bench.store, SPAN_LIT("http://a.example/2"), finder.hit->id);
    cache_store_forget(bench.store, SPAN_LIT("http://a.example/2"), finder.hit->id);
    cache_hit_free(finder.hit);
    assert_null(find("http://a.example/2"));
    settle();
    assert_int_equal(count_files(""), 0);
}

static void test_an_answer_that_goes_while_it_is_looked_up_is_not_told(void **state)
{
    struct finder finder;

    (void)state;
    put_text("http://a.example/", "one");
    settle();
    assert_int_equal(ask(&finder, "http://a.example/"), CACHE_FIND_WAIT);
    cache_store_invalidate(bench.store, SPAN_LIT("http://a.example/"));
    settle();
    assert_int_equal(finder.n_told, 1);
    assert_null(finder.hit);
}

static void test_what_is_invalidated_before_the_index_is_read_is_not_found(void **state)
{
    (void)state;
    put_text("http://a.example/1", "one");
    put_text("http://a.example/2", "two");
    settle();
    store_close();
    store_open();
    cache_store_invalidate(bench.store, SPAN_LIT("http://a.example/1"));
    assert_null(find("http://a.example/1"));
    assert_string_equal(find("http://a.example/2"), "two");
    store_close();
    assert_int_equal(count_files(".meta"), 1);
    store_open();
    for (int i = 0; i < 100; i++) { /* more than are noted: all of it goes */
        char url[64];

        int n = snprintf(url, sizeof(url), "http://b.example/%d", i);
        cache_store_invalidate(bench.store, (struct span){url, (size_t)n});
    }
    assert_null(find("http://a.example/2"));
    settle();
    assert_int_equal(count_files(""), 0);
}

static void test_a_freshened_answer_says_so_after_a_restart(void **state)
{
    struct finder finder;
    struct cache_entry copy;
    struct span value;

    (void)state;
    put_text("http://a.example/", "one");
    assert_int_equal(ask(&finder, "http://a.example/"), CACHE_FIND_WAIT);
    settle();
    cache_entry_init(&copy);
    assert_int_equal(cache_entry_copy(&finder.hit->entry, &copy), 0);
    assert_int_equal(headers_set(&copy.headers, SPAN_LIT("X"), SPAN_LIT("new")), 0);
    cache_store_freshen(bench.store, finder.hit->id, &copy);
    assert_null(copy.url); /* moved */
    cache_hit_free(finder.hit);
    store_close();
    store_open();
    assert_int_equal(ask(&finder, "http://a.example/"), CACHE_FIND_WAIT);
    settle();
    assert_true(headers_find(&finder.hit->entry.headers, SPAN_LIT("X"), &value));
    assert_span(value, "new");
    assert_int_equal(finder.hit->entry.body_bytes, 3);
    /* one that has gone meanwhile does not come back */
    assert_int_equal(cache_entry_copy(&finder.hit->entry, &copy), 0);
    cache_store_invalidate(bench.store, SPAN_LIT("http://a.example/"));
    cache_store_freshen(bench.store, finder.hit->id, &copy);
    cache_hit_free(finder.hit);
    settle();
    assert_int_equal(count_files(""), 0);
}

static void test_a_slow_disk_is_not_waited_for(void **state)
{
    struct plug plug;
    struct finder finder;
    struct finder second;
    struct cache_writer *writer;

    (void)state;
    put_text("http://a.example/", "one");
    settle();
    plug_in(&plug, bench.names);
    assert_int_equal(ask(&finder, "http://a.example/"), CACHE_FIND_WAIT);
    pass_ms(1999);
    assert_int_equal(finder.n_told, 0);
    pass_ms(1);
    assert_int_equal(finder.n_told, 1);
    assert_null(finder.hit);
    /* and nobody after it waits at all */
    assert_int_equal(ask(&second, "http://a.example/"), CACHE_FIND_NOTHING);
    assert_int_equal(begin("http://a.example/", "ETag: \"x\"\n", 1, &writer), -EAGAIN);
    plug_out(&plug);
    assert_int_equal(finder.n_told, 1);
    assert_string_equal(find("http://a.example/"), "one");
}

static void test_a_slow_index_is_not_waited_for_twice(void **state)
{
    struct plug plug;
    struct finder finder;

    (void)state;
    put_text("http://a.example/", "one");
    settle();
    store_close();
    plug_in(&plug, bench.names);
    store_open();
    assert_int_equal(ask(&finder, "http://a.example/"), CACHE_FIND_WAIT);
    pass_ms(2000);
    assert_int_equal(finder.n_told, 1);
    assert_null(finder.hit);
    assert_int_equal(ask(&finder, "http://a.example/"), CACHE_FIND_NOTHING);
    plug_out(&plug);
    assert_string_equal(find("http://a.example/"), "one");
}

static void test_a_writer_waits_for_the_disk_and_gives_up(void **state)
{
    struct plug plugs[2];
    struct cache_writer *writer = begin_well("http://a.example/");
    char *block = repeat('x', 65536);
    struct span bytes = {block, 65536};

    (void)state;
    settle();
    for (int gives_up = 0; gives_up < 2; gives_up++) {
        plug_in(&plugs[0], bench.bodies);
        plug_in(&plugs[1], bench.bodies);
        n_rooms = 0;
        int n = 0;
        while (cache_store_add(writer, bytes))
            assert_true(n++ < 8);
        assert_int_equal(n_rooms, 0);
        if (gives_up)
            pass_ms(2000);
        assert_int_equal(sem_post(&plugs[1].out), 0);
        plug_out(&plugs[0]);
        assert_int_equal(sem_destroy(&plugs[1].out), 0);
        assert_int_equal(n_rooms, 1);
    }
    assert_true(cache_store_add(writer, bytes)); /* swallowed */
    cache_store_commit(writer);
    settle();
    assert_null(find("http://a.example/"));
    assert_int_equal(count_files(""), 0);
    free(block);
}

static void test_look_ups_can_be_cancelled_whenever(void **state)
{
    struct plug plug;
    struct finder finder;

    (void)state;
    put_text("http://a.example/", "one"); /* waits for the writer */
    assert_int_equal(ask(&finder, "http://a.example/"), CACHE_FIND_WAIT);
    cache_store_find_cancel(&finder.lookup);
    cache_store_find_cancel(&finder.lookup);
    settle();
    plug_in(&plug, bench.names); /* runs */
    assert_int_equal(ask(&finder, "http://a.example/"), CACHE_FIND_WAIT);
    cache_store_find_cancel(&finder.lookup);
    pass_ms(3000);
    plug_out(&plug);
    assert_int_equal(finder.n_told, 0);
    store_close();
    store_open(); /* waits for the index */
    assert_int_equal(ask(&finder, "http://a.example/"), CACHE_FIND_WAIT);
    cache_store_find_cancel(&finder.lookup);
    settle();
    assert_int_equal(finder.n_told, 0);
    assert_string_equal(find("http://a.example/"), "one");
}

static void test_readers_and_writers_are_so_many(void **state)
{
    struct finder finders[CACHE_STORE_READERS_MAX + 1];
    struct cache_writer *writers[CACHE_STORE_WRITERS_MAX + 1];

    (void)state;
    put_text("http://a.example/", "one");
    settle();
    for (int i = 0; i <= CACHE_STORE_READERS_MAX; i++)
        assert_int_equal(ask(&finders[i], "http://a.example/"),
                         i < CACHE_STORE_READERS_MAX ? CACHE_FIND_WAIT : CACHE_FIND_NOTHING);
    settle();
    for (int i = 0; i < CACHE_STORE_READERS_MAX; i++) {
        assert_non_null(finders[i].hit);
        cache_hit_free(finders[i].hit);
    }
    assert_string_equal(find("http://a.example/"), "one");
    for (int i = 0; i <= CACHE_STORE_WRITERS_MAX; i++)
        assert_int_equal(begin("http://a.example/b", "ETag: \"x\"\n", 0, &writers[i]),
                         i < CACHE_STORE_WRITERS_MAX ? 0 : -EBUSY);
    for (int i = 0; i < CACHE_STORE_WRITERS_MAX; i++)
        cache_store_drop(writers[i]);
    settle();
    assert_int_equal(count_files(""), 2);
}

static void test_leftovers_go_and_other_peoples_files_stay(void **state)
{
    (void)state;
    put_text("http://a.example/", "one");
    settle();
    store_close();
    put_file("0123456789abcdef.body.new", "half");
    put_file("0123456789abcdef.meta.new", "half");
    put_file("0123456789abcdee.body", "without meta");
    put_file("0123456789abcded.meta", "nonsense");
    put_file("0123456789ABCDEC.body", "not our name");
    put_file("notes.txt", "not ours");
    store_open();
    assert_string_equal(find("http://a.example/"), "one");
    assert_int_equal(count_files(".new"), 0);
    assert_int_equal(count_files(".meta"), 1);
    assert_int_equal(count_files(".body"), 2);
    assert_int_equal(count_files("notes.txt"), 1);
}

/* Two files with right digests that have changed their names. */
static void test_an_entry_under_another_name_is_not_believed(void **state)
{
    char command[512];

    (void)state;
    put_text("http://a.example/1", "one");
    put_text("http://a.example/2", "two");
    settle();
    (void)snprintf(command, sizeof(command),
                   "cd '%s' && set -- *.meta && mv $1 x && mv $2 $1 && mv x $2 && "
                   "set -- *.body && mv $1 x && mv $2 $1 && mv x $2",
                   folder());
    assert_int_equal(system(command), 0);
    assert_null(find("http://a.example/1"));
    assert_null(find("http://a.example/2"));
    settle();
    assert_int_equal(count_files(""), 0);
}

static void test_a_body_that_is_another_entrys_is_not_believed(void **state)
{
    char command[512];

    (void)state;
    put_text("http://a.example/1", "one");
    put_text("http://a.example/2", "two");
    settle();
    (void)snprintf(command, sizeof(command),
                   "cd '%s' && set -- *.body && mv $1 x && mv $2 $1 && mv x $2", folder());
    assert_int_equal(system(command), 0);
    assert_null(find("http://a.example/1"));
    assert_null(find("http://a.example/2"));
}

static void test_a_folder_that_is_not_ours_is_not_used(void **state)
{
    char command[512];

    (void)state;
    store_close();
    (void)snprintf(command, sizeof(command),
                   "cd '%s' && rm -rf 7/cache && mkdir elsewhere && ln -s ../elsewhere 7/cache",
                   bench.dir);
    if (access(folder(), F_OK) < 0)
        (void)snprintf(command, sizeof(command),
                       "cd '%s' && mkdir -p 7 elsewhere && ln -s ../elsewhere 7/cache",
                       bench.dir);
    assert_int_equal(system(command), 0);
    store_open();
    settle();
    put_text("http://a.example/", "one");
    assert_null(find("http://a.example/"));
    assert_int_equal(count_files(""), 0);
}

/* A write that the kernel refuses stands for a full disk. */
static void test_a_full_disk_costs_caching_only(void **state)
{
    struct rlimit before;
    struct rlimit little = {.rlim_cur = 100000};

    (void)state;
    (void)signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    little.rlim_max = before.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &little), 0);
    put_bytes("http://a.example/1", 300000);
    assert_null(find("http://a.example/1"));
    assert_int_equal(count_files(""), 0);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    put_bytes("http://a.example/1", 300000);
    assert_non_null(find("http://a.example/1"));
}

static void test_who_is_given_anothers_uid_is_not_given_his_answers(void **state)
{
    static const struct {
        const char *user;
        bool is_there;
    } rows[] = {
        {"ann", true}, /* nobody had claimed it */
        {"ann", true}, {"", true}, {NULL, true}, {"ann", true}, {"bob", false}, {"bob", false},
    };

    (void)state;
    put_text("http://a.example/", "one");
    settle();
    put_file("notes.txt", "not ours");
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        store_close();
        user = rows[i].user;
        store_open();
        if ((find("http://a.example/") != NULL) != rows[i].is_there)
            fail_msg("%zu", i);
    }
    assert_int_equal(count_files(""), 1);
    put_text("http://a.example/", "his own");
    assert_string_equal(find("http://a.example/"), "his own");
    store_close();
    store_open();
    assert_string_equal(find("http://a.example/"), "his own");
    user = NULL;
}

struct rows {
    char text[512];
};

static void add_row(void *arg, const struct cache_row *row)
{
    struct rows *rows = arg;
    size_t len = strlen(rows->text);

    (void)snprintf(rows->text + len, sizeof(rows->text) - len, "%.*s %u %llu %lld/%lld; ",
                   (int)row->url.len, row->url.ptr, row->status,
                   (unsigned long long)row->body_bytes, (long long)row->age_s,
                   (long long)row->lifetime_s);
}

static void on_ready(void *owner)
{
    ++*(int *)owner;
}

static void test_what_there_is_is_listed_and_cleared_by_name(void **state)
{
    struct rows rows = {""};
    struct cache_wait wait = {0};
    int n_ready = 0;

    (void)state;
    put_text("http://a.example/", "one");
    put_text("http://b.example:81/x", "three");
    settle();
    store_close();
    store_open();
    wait = (struct cache_wait){.on_ready = on_ready, .owner = &n_ready};
    assert_int_equal(cache_store_open(bench.store, &wait), 1);
    cache_store_open_cancel(&wait);
    assert_int_equal(cache_store_open(bench.store, &wait), 1);
    settle();
    assert_int_equal(n_ready, 1);
    assert_int_equal(cache_store_open(bench.store, &wait), 0);
    (void)find("http://a.example/"); /* the last used comes last */
    fake_clock_advance_ms(&bench.clock, 7000);
    bench.clock.now_wall_s = NOW_S + 7;
    cache_store_each(bench.store, add_row, &rows);
    assert_string_equal(rows.text,
                        "http://b.example:81/x 200 5 7/100; http://a.example/ 200 3 7/100; ");
    assert_int_equal(cache_store_clear(bench.store, SPAN_LIT("c.example")), 0);
    assert_int_equal(cache_store_clear(bench.store, SPAN_LIT("b.example")), 1);
    assert_int_equal(cache_store_clear(bench.store, SPAN_LIT("http://a.example/")), 1);
}

/* From nothing to an answer that is found. Return: whether it is. */
static bool store_and_find(struct cache_entry *entry, const struct cache_question *question)
{
    struct cache_writer *writer = NULL;
    struct finder finder = {.lookup = {.on_found = on_found}};

    finder.lookup.owner = &finder;
    if (cache_store_write(bench.store, entry, &writer_events, &n_rooms, &writer) == 0) {
        (void)cache_store_add(writer, SPAN_LIT("one"));
        cache_store_commit(writer);
    }
    if (cache_store_find(bench.store, question, &finder.lookup) == CACHE_FIND_WAIT)
        settle();
    bool has_found = finder.hit != NULL;
    cache_hit_free(finder.hit);
    return has_found;
}

static void test_lack_of_memory_costs_caching_only(void **state)
{
    static const uint8_t context[SHA256_BYTES];
    struct headers request;
    struct cache_question question = {
        .url = SPAN_LIT("http://a.example/"), .context = context, .request = &request};
    int n_found = 0;

    (void)state;
    headers_read(&request, "Accept: x\n");
    for (uint64_t n = 1; n_found < 3; n++) { /* the last failures come after all is done */
        struct cache_entry entry;

        assert_true(n < 1000);
        entry_make(&entry, "http://a.example/", "Cache-Control: max-age=5\n");
        mem_fail_at(n);
        n_found += store_and_find(&entry, &question);
        mem_fail_at(0);
        cache_entry_done(&entry);
        settle();
        (void)cache_store_clear(bench.store, (struct span){0});
        settle();
        if (count_files("") > 0) { /* what had no memory to be removed is, by the next scan */
            store_close();
            store_open();
            settle();
            (void)cache_store_clear(bench.store, (struct span){0});
            settle();
        }
        assert_int_equal(count_files(""), 0);
    }
    headers_done(&request);
}

#define CACHE_TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CACHE_TEST(test_what_is_stored_is_found_at_once_and_after_a_restart),
        CACHE_TEST(test_the_newest_of_the_same_stays_alone),
        CACHE_TEST(test_an_older_answer_that_the_disk_is_late_with_is_not_the_newest),
        CACHE_TEST(test_a_reader_is_not_disturbed),
        CACHE_TEST(test_a_writer_that_is_dropped_or_lies_about_its_length_leaves_nothing),
        CACHE_TEST(test_what_is_too_long_is_not_begun_or_given_up),
        CACHE_TEST(test_the_longest_unused_goes_first),
        CACHE_TEST(test_a_url_has_so_many_variants),
        CACHE_TEST(test_logins_and_jars_are_kept_apart),
        CACHE_TEST(test_what_is_invalidated_or_forgotten_is_gone),
        CACHE_TEST(test_an_answer_that_goes_while_it_is_looked_up_is_not_told),
        CACHE_TEST(test_what_is_invalidated_before_the_index_is_read_is_not_found),
        CACHE_TEST(test_a_freshened_answer_says_so_after_a_restart),
        CACHE_TEST(test_a_slow_disk_is_not_waited_for),
        CACHE_TEST(test_a_slow_index_is_not_waited_for_twice),
        CACHE_TEST(test_a_writer_waits_for_the_disk_and_gives_up),
        CACHE_TEST(test_look_ups_can_be_cancelled_whenever),
        CACHE_TEST(test_readers_and_writers_are_so_many),
        CACHE_TEST(test_leftovers_go_and_other_peoples_files_stay),
        CACHE_TEST(test_an_entry_under_another_name_is_not_believed),
        CACHE_TEST(test_a_body_that_is_another_entrys_is_not_believed),
        CACHE_TEST(test_a_folder_that_is_not_ours_is_not_used),
        CACHE_TEST(test_a_full_disk_costs_caching_only),
        CACHE_TEST(test_who_is_given_anothers_uid_is_not_given_his_answers),
        CACHE_TEST(test_what_there_is_is_listed_and_cleared_by_name),
        CACHE_TEST(test_lack_of_memory_costs_caching_only),
    };

    return cmocka_run_group_tests_name("store/cache_store", tests, NULL, NULL);
}
