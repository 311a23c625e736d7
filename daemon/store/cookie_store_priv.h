/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The inside of a cookie store, on the loop's side: cookie_store.c has its life, its jars and
 * who waits; cookie_store_changes.c notes what the disk has not heard of; cookie_store_load.c
 * reads the file and copes with one that cannot be read; cookie_store_commit.c has what was
 * noted written and flushed; cookie_store_sessions.c keeps session cookies where a crash does
 * not reach.
 */

#include "base/log.h"
#include "base/map.h"
#include "loop/loop.h"
#include "loop/timer.h"
#include "loop/worker.h"
#include "store/cookie_disk.h"
#include "store/cookie_store.h"
#include "store/hsts_book.h"
#include "store/jar_book.h"
#include "store/session_log.h"

enum store_state {
    STORE_MEMORY,  /* there is no file */
    STORE_LOADING, /* the file is being opened, or waited for */
    STORE_OPEN,
    STORE_FAILED, /* and will be tried again */
};

/* One row that the disk has to hear of. */
struct change {
    struct map_node node; /* key: id */
    struct link link;
    uint64_t id;
    const struct cookie *cookie; /* in its jar, which says when it ends; NULL: it is gone */
    const struct stored_jar *in;
    bool may_be_on_disk; /* else, once the cookie is gone, there is nothing to delete */
};

struct cookie_store {
    struct cookie_store_options options;
    char *path;
    struct loop *loop;
    struct worker_pool *pool;
    struct log_subject log;

    struct jar_book jars;
    uint64_t order; /* of all jars: ids of rows */
    size_t bytes;   /* in all jars */
    struct cookie_unsaved unsaved;
    struct hsts_book hosts;

    enum store_state state;
    bool was_loaded;  /* what is on disk is known: memory is the truth */
    bool rewrite_all; /* the next commit writes everything */
    bool must_scrub;  /* and leaves nothing of what was there */
    bool is_failing;  /* and has been told of */
    bool is_closing;
    bool is_restoring; /* session cookies, from the log: it has them */
    int64_t asked_us;  /* when opening began */
    int64_t swept_s;

    struct map changes;
    struct link changed; /* the same, oldest first */
    uint64_t n_changes;  /* so far */
    uint64_t n_batch;    /* of these, with the batch at the worker */
    uint64_t n_saved;    /* of these, on disk */
    uint64_t n_flushing; /* of these, with the flush at the worker */
    uint64_t n_flushed;  /* of these, safe from loss of power */

    struct link syncs;   /* by change */
    struct link flushes; /* the same: on disk, and wait for more */
    struct link waits;

    struct cookie_disk disk;
    struct deferred commit_task;
    struct timer retry_timer;
    struct timer flush_timer;
    struct job flush_job;
    int flush_result; /* 0 or -errno */
    bool is_flushing;
};

/* cookie_store.c: those who wait are told */
void store_tell_ready(struct cookie_store *store);
void store_tell_synced(struct cookie_store *store, uint64_t change, bool saved);
void store_tell_list(struct cookie_store *store,
                     struct link *list,
                     uint64_t change,
                     bool saved);

/* cookie_store_changes.c */
extern const struct hsts_book_events store_host_events;
extern const struct jar_book_events store_jar_events;
void store_plan_rewrite(struct cookie_store *store);
bool store_count_change(struct cookie_store *store);
void store_arm_retry(struct cookie_store *store, int64_t delay_us);
bool store_must_commit(const struct cookie_store *store);
void store_note_change(struct cookie_store *store,
                       uint64_t id,
                       const struct cookie *cookie,
                       const struct stored_jar *in,
                       bool may_be_on_disk);
void store_schedule(struct cookie_store *store);
void store_forget_change(struct cookie_store *store, struct change *change);
void store_forget_changes(struct cookie_store *store);

/* cookie_store_load.c */
void store_begin_load(struct cookie_store *store);
void store_fail(struct cookie_store *store);
void store_recover(struct cookie_store *store);
void store_load_done(struct cookie_store *store);
/* Session cookies come back although there is no file, or none that can be read. */
void store_restore_without_rows(struct cookie_store *store);

/* cookie_store_commit.c */
void store_begin_flush(struct cookie_store *store);
void store_begin_commit(void *owner);
void store_flush_run(struct job *job);
void store_flush_done(struct job *job);
void store_on_disk_done(void *owner);
void store_on_retry(void *owner);
void store_on_flush(void *owner);

/* cookie_store_sessions.c */
void store_note_session(struct cookie_store *store,
                        const struct stored_jar *in,
                        const struct cookie *before,
                        const struct cookie *after);
/* Those whose place was taken by what is on the disk by now. */
void store_settle_sessions(struct cookie_store *store);
/* The jars' orders have changed. */
void store_note_sessions_anew(struct cookie_store *store);
/* What the process before left comes back; @rows_known: all rows are in the jars. */
void store_restore_sessions(struct cookie_store *store, bool rows_known);
