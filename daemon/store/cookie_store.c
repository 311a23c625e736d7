/* SPDX-License-Identifier: MIT */
#include "store/cookie_store.h"

#include <errno.h>

#include "base/fault.h"
#include "base/mem.h"
#include "store/cookie_store_priv.h"

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

void store_tell_ready(struct cookie_store *store)
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
void store_tell_list(struct cookie_store *store, struct link *list, uint64_t change, bool saved)
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

void store_tell_synced(struct cookie_store *store, uint64_t change, bool saved)
{
    store_tell_list(store, &store->syncs, change, saved);
    if (!list_is_empty(&store->flushes))
        store_begin_flush(store);
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
        store_begin_flush(store);
    return COOKIE_SYNC_PENDING;
}

void cookie_sync_cancel(struct cookie_sync *sync)
{
    if (sync->link.next)
        link_remove(&sync->link);
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
    if (store->options.sessions)
        session_book_clear(store->options.sessions); /* nor may one that gave way come back */
    return n;
}

uint64_t cookie_store_end_session_of(struct cookie_store *store, struct cookie_jar *jar)
{
    if (store->options.sessions)
        session_book_clear_superseded(store->options.sessions);
    return cookie_jar_end_session(jar);
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
    if (store->options.sessions)
        session_book_clear(store->options.sessions);
    ret->hosts = hsts_book_clear(&store->hosts);
    store_plan_rewrite(store); /* what only the disk has goes, too */
    store->must_scrub = true;
    (void)store_count_change(store);
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
    store->commit_task = (struct deferred){.fn = store_begin_commit, .owner = store};
    timer_init(&store->retry_timer, loop, store_on_retry, store);
    timer_init(&store->flush_timer, loop, store_on_flush, store);
    store->flush_job = (struct job){.run = store_flush_run, .done = store_flush_done};
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
        store_begin_load(store);
    } else {
        store_restore_without_rows(store);
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
        store_begin_load(store); /* once more, it is the last chance */
        wait_for_disk(store);
    }
    store_begin_commit(store);
    wait_for_disk(store);
    loop_defer_cancel(store->loop, &store->commit_task);
    wait_for_disk(store); /* those who wait for a flush */
    store_tell_synced(store, UINT64_MAX, false);
    store_tell_ready(store);
    cookie_disk_close(&store->disk);
    store_forget_changes(store);
    map_done(&store->changes);
    jar_book_done(&store->jars);
    hsts_book_done(&store->hosts);
    mem_free(store->path);
    return mem_free(store);
}
