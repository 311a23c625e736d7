/* SPDX-License-Identifier: MIT */
/*
 * The loop's half: jars, what has changed since the last commit, who waits.
 *
 * While the disk is well, each change is noted by the id of its row, the latest wins, and one
 * batch at a time is with the worker. Once the disk has failed nothing is noted any more:
 * memory is the truth, and the next attempt that succeeds writes all of it in place of what is
 * there.
 */
#include "store/cookie_store.h"

#include <errno.h>

#include "base/fault.h"
#include "base/log.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/message_id.h"
#include "loop/loop.h"
#include "loop/timer.h"
#include "loop/worker.h"
#include "store/cookie_disk.h"
#include "store/hsts_book.h"
#include "store/jar_book.h"

#define LOCK_POLL_US  INT64_C(20000)
#define SWEEP_EVERY_S 60 /* expired cookies leave with the next commit after this */
#define PATIENCE      30 /* times retry_us, where only a person can help */

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
    int64_t asked_us; /* when opening began */
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

static void begin_commit(void *owner);
static void begin_flush(struct cookie_store *store);

struct cookie_store_options cookie_store_options_default(void)
{
    return (struct cookie_store_options){
        .jars_max = 256,
        .retry_us = INT64_C(2) * 1000 * 1000,
        .lock_us = INT64_C(5) * 1000 * 1000,
        .unsaved_max = COOKIE_UNSAVED_MAX,
        .flush_us = INT64_C(1000) * 1000,
        .jar = cookie_jar_options_default(),
    };
}

/* Who waits */

static void tell_ready(struct cookie_store *store)
{
    while (!list_is_empty(&store->waits)) {
        struct cookie_store_wait *wait =
            CONTAINER_OF(list_first(&store->waits), struct cookie_store_wait, link);

        link_remove(&wait->link);
        wait->on_ready(wait->owner);
    }
}

static bool is_flushed_with_commit(const struct cookie_store *store)
{
    return store->options.durability == COOKIE_DURABILITY_POWER;
}

/* Those of @list that wait for changes up to @change. A callback may sync again: that is a
 * later one. */
static void
tell_list(struct cookie_store *store, struct link *list, uint64_t change, bool saved)
{
    while (!list_is_empty(list)) {
        struct cookie_sync *sync = CONTAINER_OF(list_first(list), struct cookie_sync, link);

        if (sync->change > change)
            return;
        link_remove(&sync->link);
        if (saved && sync->to_power && list != &store->flushes &&
            !is_flushed_with_commit(store))
            list_append(&store->flushes, &sync->link);
        else
            sync->on_synced(sync->owner, saved);
    }
}

static void tell_synced(struct cookie_store *store, uint64_t change, bool saved)
{
    tell_list(store, &store->syncs, change, saved);
    if (!list_is_empty(&store->flushes))
        begin_flush(store);
}

bool cookie_store_is_ready(const struct cookie_store *store)
{
    return store->state != STORE_LOADING;
}

void cookie_store_wait(struct cookie_store *store, struct cookie_store_wait *wait)
{
    INVARIANT(!cookie_store_is_ready(store));
    list_append(&store->waits, &wait->link);
}

void cookie_store_wait_cancel(struct cookie_store_wait *wait)
{
    if (wait->link.next)
        link_remove(&wait->link);
}

bool cookie_store_is_persistent(const struct cookie_store *store)
{
    return store->state == STORE_OPEN && !store->is_failing;
}

bool cookie_store_has_disk(const struct cookie_store *store)
{
    return store->path;
}

size_t cookie_store_unsaved_bytes(const struct cookie_store *store)
{
    return cookie_unsaved_bytes(&store->unsaved);
}

int cookie_store_sync(struct cookie_store *store, struct cookie_sync *sync)
{
    bool is_saved = store->n_saved == store->n_changes;
    bool wants_flush = sync->to_power && !is_flushed_with_commit(store) &&
                       store->n_flushed != store->n_changes;

    if (is_saved && !wants_flush)
        return COOKIE_SYNC_SAVED;
    if (store->state == STORE_MEMORY || store->state == STORE_FAILED)
        return COOKIE_SYNC_NOT_SAVED;
    sync->change = store->n_changes;
    list_append(is_saved ? &store->flushes : &store->syncs, &sync->link);
    if (is_saved)
        begin_flush(store);
    return COOKIE_SYNC_PENDING;
}

void cookie_sync_cancel(struct cookie_sync *sync)
{
    if (sync->link.next)
        link_remove(&sync->link);
}

/* What has changed */

static void forget_change(struct cookie_store *store, struct change *change)
{
    map_remove(&store->changes, &change->node);
    link_remove(&change->link);
    mem_free(change);
}

static void forget_changes(struct cookie_store *store)
{
    LIST_FOREACH (at, &store->changed)
        forget_change(store, CONTAINER_OF(at, struct change, link));
}

static void plan_rewrite(struct cookie_store *store)
{
    store->rewrite_all = true;
    forget_changes(store);
    hsts_book_forget_changes(&store->hosts);
    jar_book_forget_changes(&store->jars);
}

static bool must_commit(const struct cookie_store *store)
{
    return store->rewrite_all || !list_is_empty(&store->changed) ||
           hsts_book_has_changes(&store->hosts) || jar_book_has_changes(&store->jars);
}

static struct change *find_change(struct cookie_store *store, uint64_t id)
{
    struct map_node *node =
        map_find(&store->changes, (struct span){(const char *)&id, sizeof(id)});

    return node ? CONTAINER_OF(node, struct change, node) : NULL;
}

/* The change of row @id, a new one if it is the first since the last commit. */
static struct change *get_change(struct cookie_store *store, uint64_t id, bool may_be_on_disk)
{
    struct change *change = find_change(store, id);

    if (change)
        return change;
    change = mem_zalloc(sizeof(*change));
    if (!change)
        return NULL;
    change->id = id;
    change->may_be_on_disk = may_be_on_disk;
    link_init(&change->link);
    if (map_add(&store->changes, &change->node,
                (struct span){(const char *)&change->id, sizeof(change->id)}) < 0)
        return mem_free(change);
    list_append(&store->changed, &change->link);
    return change;
}

/* @cookie: NULL: it is gone. It is copied when it is written, so that copies lie together and
 * leave no gaps between cookies. Without memory for the note everything is written anew, which
 * needs none. */
static void note_change(struct cookie_store *store,
                        uint64_t id,
                        const struct cookie *cookie,
                        const struct stored_jar *in,
                        bool may_be_on_disk)
{
    struct change *change = get_change(store, id, may_be_on_disk);

    if (!change) {
        plan_rewrite(store);
        return;
    }
    change->cookie = cookie;
    change->in = in;
    if (!cookie && !change->may_be_on_disk)
        forget_change(store, change);
}

static void arm_retry(struct cookie_store *store, int64_t delay_us)
{
    if (timer_is_armed(&store->retry_timer) || store->is_closing)
        return;
    if (timer_arm(&store->retry_timer, delay_us) < 0)
        log_err(&store->log,
                "no memory for a timer; cookies are written when the next changes");
}

static void schedule(struct cookie_store *store)
{
    if (store->state == STORE_OPEN && !cookie_disk_is_busy(&store->disk))
        loop_defer(store->loop, &store->commit_task);
    else if (store->state == STORE_FAILED && !cookie_disk_is_busy(&store->disk))
        arm_retry(store, store->options.retry_us);
}

/* One change more. Return: whether it is to be noted. */
static bool count_change(struct cookie_store *store)
{
    store->n_changes++;
    if (store->state == STORE_MEMORY)
        return false;
    if (store->state == STORE_FAILED)
        store->rewrite_all = true;
    schedule(store);
    return !store->rewrite_all;
}

static void store_on_change(void *owner,
                            enum cookie_cause cause,
                            const struct cookie *before,
                            const struct cookie *after)
{
    const struct stored_jar *in = owner;
    struct cookie_store *store = in->book->owner;
    bool had_row = before && before->is_persistent;
    bool has_row = after && after->is_persistent;

    (void)cause;
    if (!had_row && !has_row)
        return;
    if (count_change(store)) {
        uint64_t id = after ? after->order : before->order;

        note_change(store, id, has_row ? after : NULL, in, had_row);
    }
}

static const struct cookie_changes store_changes = {.on_change = store_on_change};

static bool store_on_row_change(void *owner)
{
    return count_change(owner);
}

static void store_on_row_short(void *owner)
{
    plan_rewrite(owner);
}

static const struct hsts_book_events store_host_events = {
    .on_change = store_on_row_change,
    .on_short = store_on_row_short,
};

static const struct jar_book_events store_jar_events = {
    .on_change = store_on_row_change,
    .on_short = store_on_row_short,
    .cookies = &store_changes,
};

int cookie_store_hosts(struct cookie_store *store,
                       const struct partition *who,
                       struct hsts **ret)
{
    INVARIANT(who->uid == store->options.uid);
    return hsts_book_set(&store->hosts, who->profile, ret);
}

int cookie_store_seen(struct cookie_store *store,
                      const struct partition *who,
                      struct hsts **ret)
{
    INVARIANT(who->uid == store->options.uid);
    return hsts_book_seen(&store->hosts, who->profile, ret);
}

/* Jars */

struct jar_book *cookie_store_jars(struct cookie_store *store)
{
    return &store->jars;
}

static struct span name_of(struct span name)
{
    return name.len > 0 ? name : SPAN_LIT("default");
}

int cookie_store_jar(struct cookie_store *store,
                     const struct partition *who,
                     struct span name,
                     struct cookie_jar **ret)
{
    struct stored_jar *in = NULL;

    INVARIANT(who->uid == store->options.uid);
    int r =
        jar_book_get(&store->jars, who->profile, name_of(name), loop_wall_s(store->loop), &in);
    if (r == 0)
        *ret = in->jar;
    return r;
}

struct cookie_jar *cookie_store_find_jar(const struct cookie_store *store,
                                         const struct partition *who,
                                         struct span name)
{
    INVARIANT(who->uid == store->options.uid);
    struct stored_jar *in = jar_book_find(&store->jars, who->profile, name_of(name));

    return in ? in->jar : NULL;
}

struct jar_walk {
    void (*fn)(void *arg, const char *profile, const char *name, struct cookie_jar *jar);
    void *arg;
};

static bool walk_jar(struct map_node *node, void *arg)
{
    const struct jar_walk *walk = arg;
    struct stored_jar *in = CONTAINER_OF(node, struct stored_jar, node);

    walk->fn(walk->arg, in->profile, in->name, in->jar);
    return true;
}

void cookie_store_each_jar(
    struct cookie_store *store,
    void (*fn)(void *arg, const char *profile, const char *name, struct cookie_jar *jar),
    void *arg)
{
    struct jar_walk walk = {fn, arg};

    map_each(&store->jars.jars, walk_jar, &walk);
}

static void
end_session(void *arg, const char *profile, const char *name, struct cookie_jar *jar)
{
    (void)profile;
    (void)name;
    *(uint64_t *)arg += cookie_jar_end_session(jar);
}

uint64_t cookie_store_end_session(struct cookie_store *store)
{
    uint64_t n = 0;

    cookie_store_each_jar(store, end_session, &n);
    return n;
}

static bool purge_jar(struct map_node *node, void *arg)
{
    struct stored_jar *in = CONTAINER_OF(node, struct stored_jar, node);
    uint64_t *n = arg;

    *n += cookie_jar_count(in->jar);
    jar_book_remove(in);
    return true;
}

void cookie_store_purge(struct cookie_store *store, struct cookie_store_purged *ret)
{
    *ret = (struct cookie_store_purged){0};
    map_each(&store->jars.jars, purge_jar, &ret->cookies);
    ret->hosts = hsts_book_clear(&store->hosts);
    plan_rewrite(store); /* what only the disk has goes, too */
    store->must_scrub = true;
    (void)count_change(store);
}

/* The disk says no */

static const char *advice(int outcome)
{
    switch (outcome) {
    case DB_LOCKED: return "end the other daemon";
    case DB_NEWER: return "run the newer xhrd again, or move the file away";
    case DB_UNSAFE: return "move it away";
    case DB_FULL: return "make room on that disk";
    default: return "check the disk and who may write there";
    }
}

static bool trim_jar(struct map_node *node, void *arg)
{
    (void)arg;
    cookie_jar_trim_unsaved(CONTAINER_OF(node, struct stored_jar, node)->jar);
    return true;
}

/* Memory is all there is from here on, until an attempt succeeds; and that is bounded. */
static void fail(struct cookie_store *store)
{
    int outcome = store->disk.outcome;
    bool was_loading = store->state == STORE_LOADING;
    bool is_patient = outcome == DB_NEWER || outcome == DB_UNSAFE;

    if (!store->is_failing)
        log_at_id(LOG_LEVEL_WARNING, &store->log, MESSAGE_PERSISTENCE_LOST,
                  "%s; cookies are kept in memory only until this is mended: %s",
                  outcome < 0 ? "out of memory" : store->disk.error.text, advice(outcome));
    store->is_failing = true;
    store->state = STORE_FAILED;
    plan_rewrite(store);
    cookie_unsaved_fail(&store->unsaved);
    map_each(&store->jars.jars, trim_jar, NULL);
    tell_synced(store, UINT64_MAX, false);
    if (was_loading)
        tell_ready(store);
    arm_retry(store, store->options.retry_us * (is_patient ? PATIENCE : 1));
}

static void recover(struct cookie_store *store)
{
    if (store->is_failing)
        log_at_id(LOG_LEVEL_NOTICE, &store->log, MESSAGE_PERSISTENCE_BACK,
                  "%s: cookies are saved again", store->path);
    store->is_failing = false;
    store->unsaved.is_bounded = false;
}

/* Loading */

static void begin_load(struct cookie_store *store)
{
    store->disk.task = COOKIE_DISK_LOAD;
    store->disk.skip_rows = store->was_loaded;
    cookie_disk_start(&store->disk, store->pool);
}

/* A row that may not come back is deleted. Return: whether it came back. */
static bool restore_row(struct cookie_store *store, const struct saved_cookie *saved)
{
    struct cookie_jar *jar = NULL;
    struct partition who = {.uid = store->options.uid};

    memcpy(who.profile, saved->profile, sizeof(who.profile));
    int r = cookie_store_jar(store, &who, span_of(saved->jar), &jar);
    if (r == 0)
        r = cookie_jar_restore(jar, &saved->cookie, loop_wall_s(store->loop));
    if (r == COOKIE_STORED)
        return true;
    if (r > 0 && !store->rewrite_all) { /* refused for good; the rest may be another day's */
        store->n_changes++;
        note_change(store, saved->cookie.order, NULL, NULL, true);
    }
    return false;
}

static bool renumber_jar(struct map_node *node, void *arg)
{
    cookie_jar_renumber(CONTAINER_OF(node, struct stored_jar, node)->jar,
                        *(const uint64_t *)arg);
    return true;
}

/* Cookies that came while the file could not be read make way for those in it: they are the
 * younger ones, and an id is a row's for good. */
static void make_way(struct cookie_store *store)
{
    uint64_t last_id = 0;

    if (store->order == 0)
        return;
    for (const struct saved_cookie *at = store->disk.rows.first; at; at = at->next)
        last_id = at->cookie.order > last_id ? at->cookie.order : last_id;
    map_each(&store->jars.jars, renumber_jar, &last_id);
    store->order += last_id;
    plan_rewrite(store);
}

static void tell_reset(void *arg, const char *profile, const char *name, struct cookie_jar *jar)
{
    (void)arg;
    (void)profile;
    (void)name;
    cookie_jar_tell_reset(jar);
}

/* What was within the limits of its day comes back: a row that may not is deleted, and whose
 * limits are others than most people's may not be known yet. */
static void lift_limits(struct cookie_store *store)
{
    struct cookie_jar_options none = store->options.jar;

    none.cookies_max = none.site_cookies_max = none.bytes_max = SIZE_MAX;
    jar_book_set_limits(&store->jars, &none);
}

static void restore_rows(struct cookie_store *store)
{
    size_t n_restored = 0;

    make_way(store);
    lift_limits(store);
    jar_book_restore(&store->jars, &store->disk.rows.jars);
    for (const struct saved_cookie *at = store->disk.rows.first; at; at = at->next)
        n_restored += restore_row(store, at);
    jar_book_set_limits(&store->jars, &store->options.jar);
    hsts_book_restore(&store->hosts, &store->disk.rows.hosts, loop_wall_s(store->loop));
    log_debug(&store->log, "%s: %zu of %zu cookies loaded", store->path, n_restored,
              store->disk.rows.count);
    if (store->jars.jars.count >= store->options.jars_max)
        log_warning(&store->log, "%s: %zu jars, cookies of any more are left alone",
                    store->path, store->jars.jars.count);
    saved_list_done(&store->disk.rows);
    cookie_store_each_jar(store, tell_reset, NULL);
}

static void tell_damage(struct cookie_store *store)
{
    const struct cookie_disk *disk = &store->disk;

    if (disk->aside)
        log_at_id(LOG_LEVEL_WARNING, &store->log, MESSAGE_STORE_DAMAGED,
                  "%s; set aside as %s, %zu cookies salvaged from it", disk->error.text,
                  disk->aside, disk->n_salvaged);
    if (disk->is_former)
        log_warning(&store->log,
                    "%s was kept for another user of this uid; set aside, beginning anew",
                    store->path);
    if (disk->is_lost)
        log_at_id(LOG_LEVEL_WARNING, &store->log, MESSAGE_STORE_LOST,
                  "%s is gone and so are the cookies in it; beginning anew", store->path);
    if (disk->n_bad > 0)
        log_warning(&store->log, "%s: %zu cookies had changed on disk by themselves, dropped",
                    store->path, disk->n_bad);
}

static void load_done(struct cookie_store *store)
{
    bool was_loading = store->state == STORE_LOADING;
    int64_t waited_us = loop_now_us(store->loop) - store->asked_us;

    if (store->disk.outcome == DB_LOCKED && was_loading && waited_us < store->options.lock_us &&
        !store->is_closing) {
        arm_retry(store, LOCK_POLL_US); /* a daemon on its way out has it */
        return;
    }
    if (store->disk.outcome != DB_OK) {
        fail(store);
        return;
    }
    tell_damage(store);
    store->state = STORE_OPEN;
    if (!store->was_loaded)
        restore_rows(store);
    store->was_loaded = true;
    if (must_commit(store))
        schedule(store);
    else
        recover(store);
    if (was_loading)
        tell_ready(store);
}

/* Committing */

static bool expire_jar(struct map_node *node, void *arg)
{
    struct stored_jar *in = CONTAINER_OF(node, struct stored_jar, node);

    (void)cookie_jar_expire(in->jar, *(const int64_t *)arg);
    return true;
}

static void sweep(struct cookie_store *store)
{
    int64_t now_s = loop_wall_s(store->loop);

    if (now_s >= store->swept_s && now_s < store->swept_s + SWEEP_EVERY_S)
        return;
    store->swept_s = now_s;
    map_each(&store->jars.jars, expire_jar, &now_s);
    hsts_book_expire(&store->hosts, now_s);
}

struct collection {
    struct saved_list *list;
    const struct stored_jar *in;
    bool is_short; /* of memory */
};

static bool collect_cookie(void *arg, const struct cookie *cookie)
{
    struct collection *collection = arg;

    if (!cookie->is_persistent)
        return true;
    struct saved_cookie *saved =
        saved_cookie_new(cookie, collection->in->profile, collection->in->name);
    if (!saved) {
        collection->is_short = true;
        return false;
    }
    saved_list_append(collection->list, saved);
    return true;
}

static bool collect_jar(struct map_node *node, void *arg)
{
    struct collection *collection = arg;

    collection->in = CONTAINER_OF(node, struct stored_jar, node);
    cookie_jar_each(collection->in->jar, NULL, INT64_MIN, collect_cookie, collection);
    return !collection->is_short;
}

/* Return: 0 or -ENOMEM. */
static int collect_all(struct cookie_store *store)
{
    struct collection collection = {.list = &store->disk.rows};

    map_each(&store->jars.jars, collect_jar, &collection);
    if (!collection.is_short &&
        hsts_book_collect_all(&store->hosts, &store->disk.rows.hosts) == 0 &&
        jar_book_collect_all(&store->jars, &store->disk.rows.jars) == 0)
        return 0;
    saved_list_done(&store->disk.rows);
    return fault(-ENOMEM);
}

/* Return: 0 or -ENOMEM. */
static int collect_changes(struct cookie_store *store)
{
    LIST_FOREACH (at, &store->changed) {
        struct change *change = CONTAINER_OF(at, struct change, link);
        struct saved_cookie *saved =
            change->cookie
                ? saved_cookie_new(change->cookie, change->in->profile, change->in->name)
                : saved_cookie_new_deleted(change->id);

        if (!saved) {
            saved_list_done(&store->disk.rows);
            return fault(-ENOMEM);
        }
        saved_list_append(&store->disk.rows, saved);
        forget_change(store, change);
    }
    hsts_book_take_changes(&store->hosts, &store->disk.rows.hosts);
    jar_book_take_changes(&store->jars, &store->disk.rows.jars);
    return 0;
}

static void begin_commit(void *owner)
{
    struct cookie_store *store = owner;

    if (store->state != STORE_OPEN || cookie_disk_is_busy(&store->disk))
        return;
    sweep(store);
    if (!must_commit(store)) {
        store->n_saved = store->n_changes; /* what came had gone again */
        tell_synced(store, store->n_saved, true);
        return;
    }
    store->disk.task = COOKIE_DISK_COMMIT;
    store->disk.wipe = store->rewrite_all;
    store->disk.scrub = store->must_scrub;
    store->n_batch = store->n_changes;
    cookie_unsaved_begin(&store->unsaved);
    if ((store->rewrite_all ? collect_all(store) : collect_changes(store)) < 0) {
        store->disk.outcome = -ENOMEM;
        fail(store);
        return;
    }
    store->rewrite_all = false;
    cookie_disk_start(&store->disk, store->pool);
}

static void commit_done(struct cookie_store *store)
{
    saved_list_done(&store->disk.rows);
    if (store->disk.outcome != DB_OK) {
        fail(store);
        return;
    }
    recover(store);
    store->must_scrub &= !store->disk.scrub;
    cookie_unsaved_end(&store->unsaved);
    store->n_saved = store->n_batch;
    if (must_commit(store) || store->n_saved != store->n_changes)
        schedule(store);
    if (store->options.durability != COOKIE_DURABILITY_POWER && !store->is_closing &&
        !timer_is_armed(&store->flush_timer) &&
        timer_arm(&store->flush_timer, store->options.flush_us) < 0)
        log_warning(&store->log, "no memory for a timer; a loss of power may cost more");
    tell_synced(store, store->n_saved, true);
}

static void store_on_disk_done(void *owner)
{
    struct cookie_store *store = owner;

    if (store->disk.task == COOKIE_DISK_LOAD)
        load_done(store);
    else
        commit_done(store);
    store->disk.aside = mem_free(store->disk.aside);
}

static void store_on_retry(void *owner)
{
    struct cookie_store *store = owner;

    if (!cookie_disk_is_busy(&store->disk) && store->state != STORE_OPEN)
        begin_load(store);
}

/* Flushing, for the sake of power cuts */

static void flush_run(struct job *job)
{
    struct cookie_store *store = CONTAINER_OF(job, struct cookie_store, flush_job);

    store->flush_result = db_flush(store->path);
    if (store->flush_result < 0) {
        errno = -store->flush_result;
        log_warning(&store->log, "%s: flushing: %m", store->path);
    }
}

static void flush_done(struct job *job)
{
    struct cookie_store *store = CONTAINER_OF(job, struct cookie_store, flush_job);
    bool is_flushed = store->flush_result == 0;

    store->is_flushing = false;
    if (is_flushed)
        store->n_flushed = store->n_flushing;
    tell_list(store, &store->flushes, store->n_flushing, is_flushed);
    if (!list_is_empty(&store->flushes))
        begin_flush(store);
}

/* Of all that is on disk by now. One that is under way began too early for who asks later. */
static void begin_flush(struct cookie_store *store)
{
    if (store->is_flushing)
        return;
    store->n_flushing = store->n_saved;
    store->is_flushing = worker_submit(store->pool, &store->flush_job) == 0;
    if (store->is_flushing)
        return;
    log_warning(&store->log, "no thread to flush with; a loss of power may cost more");
    tell_list(store, &store->flushes, UINT64_MAX, false);
}

static void store_on_flush(void *owner)
{
    struct cookie_store *store = owner;

    if (store->state == STORE_OPEN)
        begin_flush(store);
}

/* Life */

static void options_of_jars(struct cookie_store *store, const struct suffix_rules *rules)
{
    struct cookie_jar_options options = store->options.jar;

    options.order = &store->order;
    options.bytes = &store->bytes;
    cookie_unsaved_init(&store->unsaved);
    store->unsaved.bytes_max = store->options.unsaved_max;
    options.unsaved = &store->unsaved;
    jar_book_init(&store->jars, rules, &options, &store_jar_events, store);
    store->jars.jars_max = store->options.jars_max;
}

int cookie_store_open(struct cookie_store **ret,
                      struct loop *loop,
                      struct worker_pool *pool,
                      const struct suffix_rules *rules,
                      const struct cookie_store_options *options)
{
    struct cookie_store *store = mem_zalloc(sizeof(*store));

    if (!store)
        return fault(-ENOMEM);
    store->options = *options;
    if (options->path) {
        store->path = mem_dup(span_of(options->path));
        if (!store->path) {
            mem_free(store);
            return fault(-ENOMEM);
        }
    }
    store->options.path = store->path;
    store->loop = loop;
    store->pool = pool;
    store->log = (struct log_subject){.uid = options->uid, .has_uid = true};
    link_init(&store->changed);
    hsts_book_init(&store->hosts, &store_host_events, store);
    options_of_jars(store, rules);
    link_init(&store->syncs);
    link_init(&store->flushes);
    link_init(&store->waits);
    store->commit_task = (struct deferred){.fn = begin_commit, .owner = store};
    timer_init(&store->retry_timer, loop, store_on_retry, store);
    timer_init(&store->flush_timer, loop, store_on_flush, store);
    store->flush_job = (struct job){.run = flush_run, .done = flush_done};
    store->disk.path = store->path;
    store->disk.uid = options->uid;
    store->disk.name_of = options->name_of;
    store->disk.sync_power = options->durability == COOKIE_DURABILITY_POWER;
    store->disk.on_done = store_on_disk_done;
    store->disk.owner = store;
    store->asked_us = loop_now_us(loop);
    store->swept_s = loop_wall_s(loop);
    *ret = store;
    if (store->path) {
        store->state = STORE_LOADING;
        begin_load(store);
    }
    return 0;
}

void cookie_store_set_limits(struct cookie_store *store,
                             size_t jars_max,
                             const struct cookie_jar_options *jar)
{
    store->options.jars_max = store->jars.jars_max = jars_max;
    cookie_options_set_limits(&store->options.jar, jar);
    jar_book_set_limits(&store->jars, jar);
}

static void wait_for_disk(struct cookie_store *store)
{
    while (cookie_disk_is_busy(&store->disk) || store->is_flushing)
        worker_drain(store->pool);
}

struct cookie_store *cookie_store_free(struct cookie_store *store)
{
    if (!store)
        return NULL;
    store->is_closing = true;
    timer_disarm(&store->retry_timer);
    timer_disarm(&store->flush_timer);
    wait_for_disk(store);
    if (store->state == STORE_FAILED && store->n_saved != store->n_changes) {
        begin_load(store); /* once more, it is the last chance */
        wait_for_disk(store);
    }
    begin_commit(store);
    wait_for_disk(store);
    loop_defer_cancel(store->loop, &store->commit_task);
    wait_for_disk(store); /* those who wait for a flush */
    tell_synced(store, UINT64_MAX, false);
    tell_ready(store);
    cookie_disk_close(&store->disk);
    forget_changes(store);
    map_done(&store->changes);
    jar_book_done(&store->jars);
    hsts_book_done(&store->hosts);
    mem_free(store->path);
    return mem_free(store);
}
