/* SPDX-License-Identifier: MIT */
#include "app/cache_stores.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "app/kept_uid.h"
#include "app/uid_limits.h"
#include "base/fault.h"
#include "base/map.h"
#include "base/mem.h"
#include "loop/worker.h"

#define FOLDER_SIZE (PARTITION_PROFILE_MAX + 16)

struct of_partition {
    struct map_node node;
    struct partition who; /* the key */
    struct cache_store *store;
};

struct cache_stores {
    struct loop *loop;
    struct worker_pool *names;
    struct worker_pool *bodies;
    struct cache_stores_options options;
    struct map by_partition;
};

static struct span key_of(const struct partition *who)
{
    return (struct span){(const char *)who, sizeof(*who)};
}

/* ---- opening --------------------------------------------------------------------------- */

struct uid_count {
    uint32_t uid;
    unsigned n;
};

static bool count_uid(struct map_node *node, void *arg)
{
    struct uid_count *count = arg;

    count->n += CONTAINER_OF(node, struct of_partition, node)->who.uid == count->uid;
    return true;
}

static bool may_have_one(const struct cache_stores *stores, const struct partition *who)
{
    struct uid_count count = {.uid = who->uid};

    if (!uid_is_kept(who->uid) || (stores->options.per_user && who->uid != geteuid()))
        return false;
    map_each((struct map *)(uintptr_t)&stores->by_partition, count_uid, &count);
    return count.n < CACHE_PROFILES_MAX;
}

static int
open_store(struct cache_stores *stores, const struct partition *who, struct cache_store **ret)
{
    char uid[16];
    char profile[FOLDER_SIZE];
    struct cache_store_options options = {
        .state_dir = stores->options.state_dir,
        .parts = {uid, "cache", profile},
        .names = stores->names,
        .bodies = stores->bodies,
        .limits = uid_limits_of(stores->options.limits, who->uid)->cache,
        .uid = who->uid,
    };

    (void)snprintf(uid, sizeof(uid), "%u", who->uid);
    if (who->profile[0])
        (void)snprintf(profile, sizeof(profile), "profile-%s", who->profile);
    else
        (void)snprintf(profile, sizeof(profile), "default");
    if (!stores->options.per_user) {
        options.name_of = uid_name;
    } else { /* a user's own daemon writes to his own files */
        options.parts[0] = "cache";
        options.parts[1] = profile;
        options.parts[2] = NULL;
    }
    return cache_store_new(ret, stores->loop, &options);
}

static int
add_store(struct cache_stores *stores, const struct partition *who, struct cache_store **ret)
{
    struct of_partition *of = mem_zalloc(sizeof(*of));

    if (!of)
        return fault(-ENOMEM);
    of->who = *who;
    int r = map_add(&stores->by_partition, &of->node, key_of(&of->who));
    if (r == 0) {
        r = open_store(stores, who, &of->store);
        if (r < 0)
            map_remove(&stores->by_partition, &of->node);
    }
    if (r < 0) {
        mem_free(of);
        return r;
    }
    *ret = of->store;
    return 0;
}

/* NULL: this partition has none. */
static struct cache_store *store_of(struct cache_stores *stores, const struct partition *who)
{
    struct map_node *node = map_find(&stores->by_partition, key_of(who));
    struct cache_store *store = NULL;

    if (node)
        return CONTAINER_OF(node, struct of_partition, node)->store;
    if (!may_have_one(stores, who) || add_store(stores, who, &store) < 0)
        return NULL;
    return store;
}

/* ---- struct cache_access --------------------------------------------------------------- */

static int access_find(void *owner,
                       const struct partition *who,
                       const struct cache_question *question,
                       struct cache_lookup *lookup)
{
    struct cache_store *store = store_of(owner, who);

    return store ? cache_store_find(store, question, lookup) : CACHE_FIND_NOTHING;
}

static int access_write(void *owner,
                        const struct partition *who,
                        struct cache_entry *entry,
                        const struct cache_writer_events *events,
                        void *events_owner,
                        struct cache_writer **ret)
{
    struct cache_store *store = store_of(owner, who);

    return store ? cache_store_write(store, entry, events, events_owner, ret) : -EPERM;
}

static void
access_freshen(void *owner, const struct partition *who, uint64_t id, struct cache_entry *entry)
{
    struct cache_store *store = store_of(owner, who);

    if (store)
        cache_store_freshen(store, id, entry);
}

static void
access_forget(void *owner, const struct partition *who, struct span url, uint64_t id)
{
    struct cache_store *store = store_of(owner, who);

    if (store)
        cache_store_forget(store, url, id);
}

static void access_invalidate(void *owner, const struct partition *who, struct span url)
{
    struct cache_store *store = store_of(owner, who);

    if (store)
        cache_store_invalidate(store, url);
}

static int access_open(void *owner, const struct partition *who, struct cache_wait *wait)
{
    struct cache_store *store = store_of(owner, who);

    return store ? cache_store_open(store, wait) : 0;
}

static void access_each(void *owner,
                        const struct partition *who,
                        void (*fn)(void *arg, const struct cache_row *row),
                        void *arg)
{
    struct cache_store *store = store_of(owner, who);

    if (store)
        cache_store_each(store, fn, arg);
}

static uint64_t access_clear(void *owner, const struct partition *who, struct span what)
{
    struct cache_store *store = store_of(owner, who);

    return store ? cache_store_clear(store, what) : 0;
}

struct cache_access cache_stores_access(struct cache_stores *stores)
{
    if (stores->options.state_dir[0] == '\0')
        return (struct cache_access){0};
    return (struct cache_access){
        .find = access_find,
        .find_cancel = cache_store_find_cancel,
        .write = access_write,
        .add = cache_store_add,
        .commit = cache_store_commit,
        .drop = cache_store_drop,
        .freshen = access_freshen,
        .forget = access_forget,
        .invalidate = access_invalidate,
        .open = access_open,
        .open_cancel = cache_store_open_cancel,
        .each = access_each,
        .clear = access_clear,
        .owner = stores,
    };
}

struct purge {
    uint32_t uid;
    struct cache_wait *wait; /* NULL: all are known */
    bool waits;
    uint64_t removed;
};

static bool open_one(struct map_node *node, void *arg)
{
    const struct of_partition *of = CONTAINER_OF(node, struct of_partition, node);
    struct purge *purge = arg;

    if (of->who.uid == purge->uid)
        purge->waits = cache_store_open(of->store, purge->wait) > 0;
    return !purge->waits;
}

static bool clear_one(struct map_node *node, void *arg)
{
    const struct of_partition *of = CONTAINER_OF(node, struct of_partition, node);
    struct purge *purge = arg;

    if (of->who.uid == purge->uid)
        purge->removed += cache_store_clear(of->store, (struct span){0});
    return true;
}

int cache_stores_purge(struct cache_stores *stores,
                       uint32_t uid,
                       struct cache_wait *wait,
                       uint64_t *ret_removed)
{
    struct purge purge = {.uid = uid, .wait = wait};

    map_each(&stores->by_partition, open_one, &purge);
    if (purge.waits)
        return 1;
    map_each(&stores->by_partition, clear_one, &purge);
    *ret_removed = purge.removed;
    return 0;
}

/* ---- life ------------------------------------------------------------------------------ */

int cache_stores_new(struct cache_stores **ret,
                     struct loop *loop,
                     struct worker_pool *names,
                     struct worker_pool *bodies,
                     const struct cache_stores_options *options)
{
    struct cache_stores *stores = mem_zalloc(sizeof(*stores));

    if (!stores)
        return fault(-ENOMEM);
    *stores = (struct cache_stores){
        .loop = loop, .names = names, .bodies = bodies, .options = *options};
    *ret = stores;
    return 0;
}

static bool close_one(struct map_node *node, void *arg)
{
    (void)arg;
    cache_store_close(CONTAINER_OF(node, struct of_partition, node)->store);
    return true;
}

static bool find_busy(struct map_node *node, void *arg)
{
    bool *is_busy = arg;

    *is_busy |= cache_store_is_busy(CONTAINER_OF(node, struct of_partition, node)->store);
    return !*is_busy;
}

static bool free_one(struct map_node *node, void *arg)
{
    struct of_partition *of = CONTAINER_OF(node, struct of_partition, node);

    (void)arg;
    of->store = cache_store_free(of->store);
    mem_free(of);
    return true;
}

/* A job may be followed by another: a body's last block by its name. */
static void finish_jobs(struct cache_stores *stores)
{
    bool is_busy = true;

    while (is_busy) {
        worker_drain(stores->bodies);
        worker_drain(stores->names);
        is_busy = false;
        map_each(&stores->by_partition, find_busy, &is_busy);
    }
}

struct cache_stores *cache_stores_free(struct cache_stores *stores)
{
    if (!stores)
        return NULL;
    map_each(&stores->by_partition, close_one, NULL);
    finish_jobs(stores);
    map_each(&stores->by_partition, free_one, NULL);
    map_done(&stores->by_partition);
    return mem_free(stores);
}

struct taking {
    const struct uid_limits *limits;
    uint32_t uid;
};

static bool take_limits(struct map_node *node, void *arg)
{
    struct of_partition *of = CONTAINER_OF(node, struct of_partition, node);
    const struct taking *taking = arg;

    if (taking->uid == CACHE_EVERY_UID || taking->uid == of->who.uid)
        cache_store_set_limits(of->store, &uid_limits_of(taking->limits, of->who.uid)->cache);
    return true;
}

void cache_stores_take_limits(struct cache_stores *stores, uint32_t uid)
{
    struct taking taking = {stores->options.limits, uid};

    map_each(&stores->by_partition, take_limits, &taking);
}
