/* SPDX-License-Identifier: MIT */
/* What has changed goes to the disk, a transaction at a time, and from time to time to its
 * medium. */
#include <errno.h>

#include "base/fault.h"
#include "base/mem.h"
#include "store/cookie_store_priv.h"

#define SWEEP_EVERY_S 60 /* expired cookies leave with the next commit after this */

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
        store_forget_change(store, change);
    }
    hsts_book_take_changes(&store->hosts, &store->disk.rows.hosts);
    jar_book_take_changes(&store->jars, &store->disk.rows.jars);
    return 0;
}

void store_begin_commit(void *owner)
{
    struct cookie_store *store = owner;

    if (store->state != STORE_OPEN || cookie_disk_is_busy(&store->disk))
        return;
    sweep(store);
    if (!store_must_commit(store)) {
        store->n_saved = store->n_changes; /* what came had gone again */
        store_settle_sessions(store);
        store_tell_synced(store, store->n_saved, true);
        return;
    }
    store->disk.task = COOKIE_DISK_COMMIT;
    store->disk.wipe = store->rewrite_all;
    store->disk.scrub = store->must_scrub;
    store->n_batch = store->n_changes;
    cookie_unsaved_begin(&store->unsaved);
    if ((store->rewrite_all ? collect_all(store) : collect_changes(store)) < 0) {
        store->disk.outcome = -ENOMEM;
        store_fail(store);
        return;
    }
    store->rewrite_all = false;
    cookie_disk_start(&store->disk, store->pool);
}

static void commit_done(struct cookie_store *store)
{
    saved_list_done(&store->disk.rows);
    if (store->disk.outcome != DB_OK) {
        store_fail(store);
        return;
    }
    store_recover(store);
    store->must_scrub &= !store->disk.scrub;
    cookie_unsaved_end(&store->unsaved);
    store->n_saved = store->n_batch;
    store_settle_sessions(store);
    if (store_must_commit(store) || store->n_saved != store->n_changes)
        store_schedule(store);
    if (store->options.durability != COOKIE_DURABILITY_POWER && !store->is_closing &&
        !timer_is_armed(&store->flush_timer) &&
        timer_arm(&store->flush_timer, store->options.flush_us) < 0)
        log_warning(&store->log, "no memory for a timer; a loss of power may cost more");
    store_tell_synced(store, store->n_saved, true);
}

void store_on_disk_done(void *owner)
{
    struct cookie_store *store = owner;

    if (store->disk.task == COOKIE_DISK_LOAD)
        store_load_done(store);
    else
        commit_done(store);
    store->disk.aside = mem_free(store->disk.aside);
}

void store_on_retry(void *owner)
{
    struct cookie_store *store = owner;

    if (!cookie_disk_is_busy(&store->disk) && store->state != STORE_OPEN)
        store_begin_load(store);
}

/* Flushing, for the sake of power cuts */

void store_flush_run(struct job *job)
{
    struct cookie_store *store = CONTAINER_OF(job, struct cookie_store, flush_job);

    store->flush_result = db_flush(store->path);
    if (store->flush_result < 0) {
        errno = -store->flush_result;
        log_warning(&store->log, "%s: flushing: %m", store->path);
    }
}

void store_flush_done(struct job *job)
{
    struct cookie_store *store = CONTAINER_OF(job, struct cookie_store, flush_job);
    bool is_flushed = store->flush_result == 0;

    store->is_flushing = false;
    if (is_flushed)
        store->n_flushed = store->n_flushing;
    store_tell_list(store, &store->flushes, store->n_flushing, is_flushed);
    if (!list_is_empty(&store->flushes))
        store_begin_flush(store);
}

/* Of all that is on disk by now. One that is under way began too early for who asks later. */
void store_begin_flush(struct cookie_store *store)
{
    if (store->is_flushing)
        return;
    store->n_flushing = store->n_saved;
    store->is_flushing = worker_submit(store->pool, &store->flush_job) == 0;
    if (store->is_flushing)
        return;
    log_warning(&store->log, "no thread to flush with; a loss of power may cost more");
    store_tell_list(store, &store->flushes, UINT64_MAX, false);
}

void store_on_flush(void *owner)
{
    struct cookie_store *store = owner;

    if (store->state == STORE_OPEN)
        store_begin_flush(store);
}
