/* SPDX-License-Identifier: MIT */
#pragma once

/* A folder on the disk the tests run from, and a store in it that can be opened again. */

#include <sqlite3.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "loop/loop.h"
#include "loop/worker.h"
#include "policy/public_suffix.h"
#include "store/cookie_store.h"
#include "support/test.h"

#define BENCH_UID 1234

struct bench {
    char dir[64];   /* made by the test */
    char path[128]; /* dir/state/cookies.sqlite */
    struct suffix_table suffixes;
    struct loop *loop;
    struct worker_pool *pool;
    struct cookie_store *store;
    struct cookie_store_options options;
};

static inline void bench_init(struct bench *bench)
{
    static const char *const names[] = {"co.uk", NULL};

    memset(bench, 0, sizeof(*bench));
    (void)snprintf(bench->dir, sizeof(bench->dir), "store-test-XXXXXX");
    assert_non_null(mkdtemp(bench->dir));
    (void)snprintf(bench->path, sizeof(bench->path), "%s/state/cookies.sqlite", bench->dir);
    suffix_table_init(&bench->suffixes, names);
    bench->options = cookie_store_options_default();
    bench->options.uid = BENCH_UID;
    bench->options.path = bench->path;
    assert_int_equal(loop_new(&bench->loop, clock_system()), 0);
    assert_int_equal(worker_pool_new(&bench->pool, bench->loop, 1), 0);
}

static inline void bench_begin_open(struct bench *bench)
{
    assert_int_equal(cookie_store_open(&bench->store, bench->loop, bench->pool,
                                       &bench->suffixes.rules, &bench->options),
                     0);
}

static inline void bench_wait_ready(struct bench *bench)
{
    while (!cookie_store_is_ready(bench->store))
        assert_int_equal(loop_turn(bench->loop, true), 0);
}

static inline void bench_open(struct bench *bench)
{
    bench_begin_open(bench);
    bench_wait_ready(bench);
}

static inline void bench_close(struct bench *bench)
{
    bench->store = cookie_store_free(bench->store);
}

static inline void bench_done(struct bench *bench)
{
    char command[128];

    bench_close(bench);
    bench->pool = worker_pool_free(bench->pool);
    bench->loop = loop_free(bench->loop);
    (void)snprintf(command, sizeof(command), "rm -rf '%s'", bench->dir);
    assert_int_equal(system(command), 0);
}

static inline struct cookie_jar *
bench_jar(struct bench *bench, const char *profile, const char *name)
{
    struct partition who;
    struct cookie_jar *jar = NULL;

    assert_int_equal(partition_init(&who, BENCH_UID, span_of(profile)), 0);
    assert_int_equal(cookie_store_jar(bench->store, &who, span_of(name), &jar), 0);
    return jar;
}

/* @field: as in Set-Cookie; from https://HOST/ */
static inline int
bench_put_in(struct bench *bench, struct cookie_jar *jar, const char *host, const char *field)
{
    const struct cookie_request from = {
        .host = span_of(host), .is_secure = true, .now_s = loop_wall_s(bench->loop)};
    struct set_cookie set;

    assert_int_equal(set_cookie_parse(span_of(field), &set), SET_COOKIE_OK);
    return cookie_jar_store(jar, &from, &set);
}

static inline int bench_put(struct bench *bench, const char *host, const char *field)
{
    return bench_put_in(bench, bench_jar(bench, "", ""), host, field);
}

/* The Cookie field for https://HOST/; good until the next call. */
static inline const char *
bench_ask_in(struct bench *bench, struct cookie_jar *jar, const char *host)
{
    static char text[16384];
    CLEANUP_BUF struct buf out = BUF_INIT(0);
    const struct cookie_request request = {
        .host = span_of(host), .is_secure = true, .now_s = loop_wall_s(bench->loop)};

    assert_true(cookie_jar_header_for(jar, &request, &out) >= 0);
    (void)snprintf(text, sizeof(text), "%.*s", (int)out.len, buf_span(&out).ptr);
    return text;
}

static inline const char *bench_ask(struct bench *bench, const char *host)
{
    return bench_ask_in(bench, bench_jar(bench, "", ""), host);
}

struct bench_sync {
    struct cookie_sync sync;
    bool is_done;
    bool saved;
};

static inline void bench_on_synced(void *owner, bool saved)
{
    struct bench_sync *sync = owner;

    sync->is_done = true;
    sync->saved = saved;
}

/* Return: whether what was changed so far is on disk now. */
static inline bool bench_sync(struct bench *bench)
{
    struct bench_sync sync = {0};

    sync.sync.on_synced = bench_on_synced;
    sync.sync.owner = &sync;
    int r = cookie_store_sync(bench->store, &sync.sync);
    if (r != COOKIE_SYNC_PENDING)
        return r == COOKIE_SYNC_SAVED;
    while (!sync.is_done)
        assert_int_equal(loop_turn(bench->loop, true), 0);
    return sync.saved;
}

/* Until the disk takes it again. */
static inline void bench_wait_saved(struct bench *bench)
{
    while (!bench_sync(bench))
        assert_int_equal(loop_turn(bench->loop, true), 0);
}

/* The path of the database with something behind it; good until the next call. */
static inline const char *bench_file(const struct bench *bench, const char *suffix)
{
    static char path[192];

    (void)snprintf(path, sizeof(path), "%s%s", bench->path, suffix);
    return path;
}

/* The whole of a file; *ret_len 0 when it is not there. Free it. */
static inline char *read_file(const char *path, size_t *ret_len)
{
    FILE *in = fopen(path, "re");
    static const size_t max = 8 << 20;
    char *bytes = malloc(max);

    assert_non_null(bytes);
    *ret_len = in ? fread(bytes, 1, max, in) : 0;
    if (in)
        (void)fclose(in);
    return bytes;
}

static inline int64_t bench_query(const struct bench *bench, const char *sql)
{
    sqlite3 *db = NULL;
    sqlite3_stmt *statement = NULL;

    assert_int_equal(sqlite3_open(bench->path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &statement, NULL), SQLITE_OK);
    int rc = sqlite3_step(statement);
    int64_t value = rc == SQLITE_ROW ? sqlite3_column_int64(statement, 0) : -1;
    assert_true(rc == SQLITE_ROW || rc == SQLITE_DONE);
    (void)sqlite3_finalize(statement);
    (void)sqlite3_close(db);
    return value;
}
