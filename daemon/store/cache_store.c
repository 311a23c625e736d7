/* SPDX-License-Identifier: MIT */
#include "store/cache_store.h"

#include <errno.h>
#include <stdlib.h>

#include "base/fault.h"
#include "base/mem.h"
#include "policy/cache_rules.h"
#include "store/cache_store_priv.h"

struct cache_invalid {
    struct link link; /* in store->invalid */
    char url[];
};

void cache_store_warn(struct cache_store *store, const char *what, int err)
{
    if (store->has_warned || err == ECANCELED)
        return;
    store->has_warned = true;
    log_warning(&store->log, "%s: %s; such answers are not cached (said once)", what,
                strerrordesc_np(err));
}

/* ---- jobs ------------------------------------------------------------------------------ */

int cache_store_submit(struct cache_store *store, struct worker_pool *pool, struct job *job)
{
    int r = worker_submit(pool, job);

    if (r == 0)
        store->n_jobs++;
    return r;
}

void cache_store_job_done(struct cache_store *store)
{
    store->n_jobs--;
}

/* Something to be done to names of which nobody hears again. */
struct chore {
    struct job job;
    struct cache_store *store;
    struct buf meta; /* of ids[0]; empty: they are removed */
    size_t n_ids;
    bool has_failed;
    uint64_t ids[CACHE_CHORE_IDS];
};

static void chore_run(struct job *job)
{
    struct chore *chore = CONTAINER_OF(job, struct chore, job);
    struct cache_disk *disk = &chore->store->disk;

    if (chore->meta.len == 0) {
        for (size_t i = 0; i < chore->n_ids; i++)
            cache_disk_remove(disk, chore->ids[i]);
        return;
    }
    chore->has_failed = cache_disk_freshen(disk, chore->ids[0], buf_span(&chore->meta)) < 0;
    if (chore->has_failed) /* what it says is no longer so */
        cache_disk_remove(disk, chore->ids[0]);
}

static void chore_free(struct chore *chore)
{
    buf_done(&chore->meta);
    mem_free(chore);
}

/* What cannot be removed now is found by the next scan, and looks stored again. */
static void chore_done(struct job *job)
{
    struct chore *chore = CONTAINER_OF(job, struct chore, job);
    struct cache_store *store = chore->store;

    chore_free(chore);
    cache_store_job_done(store);
}

static struct chore *chore_new(struct cache_store *store)
{
    struct chore *chore = mem_zalloc(sizeof(*chore));

    if (!chore) {
        cache_store_warn(store, "removing stored answers", ENOMEM);
        return NULL;
    }
    chore->store = store;
    chore->job = (struct job){.run = chore_run, .done = chore_done};
    return chore;
}

static int chore_start(struct chore *chore)
{
    int r = cache_store_submit(chore->store, chore->store->names, &chore->job);

    if (r < 0) {
        cache_store_warn(chore->store, "removing stored answers", -r);
        chore_free(chore);
    }
    return r;
}

void cache_store_remove_files(struct cache_store *store, uint64_t id)
{
    struct chore *chore = chore_new(store);

    if (!chore)
        return;
    chore->ids[chore->n_ids++] = id;
    (void)chore_start(chore);
}

/* ---- room ------------------------------------------------------------------------------ */

void cache_store_remove(struct cache_store *store, struct cache_item *item)
{
    uint64_t id = item->id;

    cache_index_remove(&store->index, item);
    cache_item_free(item);
    cache_store_remove_files(store, id);
}

static bool is_too_much(const struct cache_store *store)
{
    return store->index.disk_bytes > store->limits.bytes_max ||
           store->index.memory_bytes > CACHE_INDEX_BYTES_MAX;
}

void cache_store_evict(struct cache_store *store)
{
    struct cache_item *item;
    struct chore *chore = NULL;

    while (is_too_much(store) && (item = cache_index_oldest(&store->index))) {
        if (!chore)
            chore = chore_new(store);
        if (chore)
            chore->ids[chore->n_ids++] = item->id;
        cache_index_remove(&store->index, item);
        cache_item_free(item);
        if (chore && chore->n_ids == CACHE_CHORE_IDS)
            (void)chore_start(TAKE(chore));
    }
    if (chore)
        (void)chore_start(chore);
}

/* ---- reading what there is ------------------------------------------------------------- */

struct loaded {
    struct cache_item *item;
    char *url;
};

struct load {
    struct job job;
    struct cache_store *store;
    struct loaded *rows;
    size_t count;
    size_t capacity;
    size_t memory_bytes;
    int outcome;
};

static int load_grow(struct load *load)
{
    size_t capacity = load->capacity ? load->capacity * 2 : 64;
    struct loaded *rows = mem_realloc(load->rows, capacity * sizeof(*rows));

    if (!rows)
        return fault(-ENOMEM);
    load->rows = rows;
    load->capacity = capacity;
    return 0;
}

/* On the thread. What does not fit the memory there is for it goes. */
static int load_on_entry(void *arg, uint64_t id, struct cache_entry *entry, int64_t used_s)
{
    struct load *load = arg;
    struct loaded row;
    size_t size = sizeof(*row.item) + strlen(entry->url) + strlen(entry->vary);

    if (load->memory_bytes + size > CACHE_INDEX_BYTES_MAX)
        return -EMSGSIZE;
    if (load->count == load->capacity && load_grow(load) < 0)
        return -ENOMEM;
    if (cache_item_new(&row.item, id, entry) < 0)
        return -ENOMEM;
    row.url = TAKE(entry->url);
    row.item->used_s = used_s;
    load->rows[load->count++] = row;
    load->memory_bytes += size;
    return 0;
}

static void load_run(struct job *job)
{
    struct load *load = CONTAINER_OF(job, struct load, job);

    struct cache_store *store = load->store;

    if (store->name_of &&
        !store->name_of(store->log.uid, store->disk.owner, sizeof(store->disk.owner)))
        store->disk.owner[0] = '\0';
    load->outcome = cache_disk_scan(&load->store->disk, load_on_entry, load);
}

static int by_use(const void *a, const void *b)
{
    int64_t left = ((const struct loaded *)a)->item->used_s;
    int64_t right = ((const struct loaded *)b)->item->used_s;

    return (left > right) - (left < right);
}

static bool is_invalid(const struct cache_store *store, struct span url)
{
    if (store->all_invalid)
        return true;
    LIST_FOREACH (at, &store->invalid) {
        if (span_eq(span_of(CONTAINER_OF(at, struct cache_invalid, link)->url), url))
            return true;
    }
    return false;
}

static void take_loaded(struct cache_store *store, struct loaded *row)
{
    struct span url = span_of(row->url);

    if (is_invalid(store, url)) {
        cache_store_remove_files(store, row->item->id);
        cache_item_free(row->item);
    } else if (cache_index_add(&store->index, row->item, url) < 0) {
        cache_item_free(row->item); /* on disk still, for the next daemon */
    }
    mem_free(row->url);
}

static void forget_invalid(struct cache_store *store)
{
    LIST_FOREACH (at, &store->invalid) {
        link_remove(at);
        mem_free(CONTAINER_OF(at, struct cache_invalid, link));
    }
    store->n_invalid = 0;
}

static void tell_ready(struct cache_store *store)
{
    while (!list_is_empty(&store->waits)) {
        struct cache_wait *wait =
            CONTAINER_OF(list_first(&store->waits), struct cache_wait, link);

        link_remove(&wait->link);
        wait->store = NULL;
        wait->on_ready(wait->owner);
    }
}

static void load_done(struct job *job)
{
    struct load *load = CONTAINER_OF(job, struct load, job);
    struct cache_store *store = load->store;

    if (load->outcome < 0 && load->outcome != -ENOENT)
        cache_store_warn(store, "reading the cache's folder", -load->outcome);
    if (load->count > 0)
        qsort(load->rows, load->count, sizeof(*load->rows), by_use);
    for (size_t i = 0; i < load->count; i++)
        take_loaded(store, &load->rows[i]);
    mem_free(load->rows);
    mem_free(load);
    forget_invalid(store);
    store->is_ready = true;
    cache_store_job_done(store);
    cache_store_evict(store);
    tell_ready(store);
    cache_finds_go_on(store);
}

static int begin_load(struct cache_store *store)
{
    struct load *load = mem_zalloc(sizeof(*load));

    if (!load)
        return fault(-ENOMEM);
    load->store = store;
    load->outcome = -ECANCELED;
    load->job = (struct job){.run = load_run, .done = load_done};
    int r = cache_store_submit(store, store->names, &load->job);
    if (r < 0)
        mem_free(load);
    return r;
}

/* ---- life ------------------------------------------------------------------------------ */

static int take_options(struct cache_store *store, const struct cache_store_options *options)
{
    store->names = options->names;
    store->bodies = options->bodies;
    store->limits = options->limits;
    store->name_of = options->name_of;
    store->log = (struct log_subject){.uid = options->uid, .has_uid = true};
    store->disk.state_dir = mem_dup(span_of(options->state_dir));
    if (!store->disk.state_dir)
        return fault(-ENOMEM);
    for (size_t i = 0; i < CACHE_DISK_PARTS && options->parts[i]; i++) {
        store->disk.parts[i] = mem_dup(span_of(options->parts[i]));
        if (!store->disk.parts[i])
            return fault(-ENOMEM);
    }
    return 0;
}

int cache_store_new(struct cache_store **ret,
                    struct loop *loop,
                    const struct cache_store_options *options)
{
    struct cache_store *store = mem_zalloc(sizeof(*store));

    if (!store)
        return fault(-ENOMEM);
    store->loop = loop;
    store->disk.fd = -1;
    cache_index_init(&store->index);
    link_init(&store->finds);
    link_init(&store->writers);
    link_init(&store->waits);
    link_init(&store->invalid);
    int r = take_options(store, options);
    if (r == 0)
        r = begin_load(store);
    if (r < 0) {
        cache_disk_close(&store->disk);
        mem_free(store);
        return r;
    }
    *ret = store;
    return 0;
}

void cache_store_close(struct cache_store *store)
{
    store->is_closed = true;
    cache_finds_close(store);
}

bool cache_store_is_busy(const struct cache_store *store)
{
    return store->n_jobs > 0;
}

struct cache_store *cache_store_free(struct cache_store *store)
{
    if (!store)
        return NULL;
    INVARIANT(store->n_jobs == 0 && store->n_hits == 0);
    cache_writers_close(store);
    forget_invalid(store);
    cache_index_done(&store->index);
    cache_disk_close(&store->disk);
    return mem_free(store);
}

void cache_store_set_limits(struct cache_store *store, const struct cache_limits *limits)
{
    store->limits = *limits;
    if (store->is_ready)
        cache_store_evict(store);
}

/* ---- what the owner knows better ------------------------------------------------------- */

void cache_store_forget(struct cache_store *store, struct span url, uint64_t id)
{
    struct cache_item *item = cache_index_by_id(&store->index, url, id);

    if (item)
        cache_store_remove(store, item);
}

/* The item that says what @entry says now, in the place of @old. */
static int replace(struct cache_store *store, struct cache_item *old, struct cache_entry *entry)
{
    struct cache_item *item;
    int r = cache_item_new(&item, old->id, entry);

    if (r < 0)
        return r;
    item->order = old->order;
    item->mark = old->mark;
    item->used_s = loop_wall_s(store->loop);
    cache_index_remove(&store->index, old);
    cache_item_free(old);
    r = cache_index_add(&store->index, item, span_of(entry->url));
    if (r < 0)
        cache_item_free(item);
    return r;
}

void cache_store_freshen(struct cache_store *store, uint64_t id, struct cache_entry *entry)
{
    struct cache_item *old = cache_index_by_id(&store->index, span_of(entry->url), id);
    struct chore *chore = old ? chore_new(store) : NULL;

    if (chore && cache_entry_encode(entry, &chore->meta) == 0 &&
        replace(store, old, entry) == 0) {
        chore->ids[chore->n_ids++] = id;
        (void)chore_start(chore);
    } else if (chore) {
        chore_free(chore);
    }
    cache_entry_done(entry);
}

static void note_invalid(struct cache_store *store, struct span url)
{
    struct cache_invalid *invalid = store->n_invalid < CACHE_INVALID_MAX
                                        ? mem_zalloc(sizeof(*invalid) + url.len + 1)
                                        : NULL;

    if (!invalid) {
        store->all_invalid = true;
        return;
    }
    memcpy(invalid->url, url.ptr, url.len);
    list_append(&store->invalid, &invalid->link);
    store->n_invalid++;
}

void cache_store_invalidate(struct cache_store *store, struct span text)
{
    struct cache_url *url;

    cache_writers_doom(store, text);
    if (!store->is_ready) {
        note_invalid(store, text);
        return;
    }
    while ((url = cache_index_url(&store->index, text)))
        cache_store_remove(store,
                           CONTAINER_OF(list_first(&url->items), struct cache_item, sibling));
}

/* ---- for whoever looks after it -------------------------------------------------------- */

int cache_store_open(struct cache_store *store, struct cache_wait *wait)
{
    if (store->is_ready)
        return 0;
    link_init(&wait->link);
    list_append(&store->waits, &wait->link);
    wait->store = store;
    return 1;
}

void cache_store_open_cancel(struct cache_wait *wait)
{
    if (!wait->store)
        return;
    link_remove(&wait->link);
    wait->store = NULL;
}

void cache_store_each(struct cache_store *store,
                      void (*fn)(void *arg, const struct cache_row *row),
                      void *arg)
{
    int64_t now_s = loop_wall_s(store->loop);

    LIST_FOREACH (at, &store->index.uses) {
        const struct cache_item *item = CONTAINER_OF(at, struct cache_item, use);
        struct cache_row row = {.url = span_of(item->url->text),
                                .vary = span_of(item->vary),
                                .status = item->status,
                                .body_bytes = item->body_bytes,
                                .age_s = now_s > item->born_s ? now_s - item->born_s : 0,
                                .lifetime_s = item->lifetime_s,
                                .used_s = item->used_s};

        fn(arg, &row);
    }
}

uint64_t cache_store_clear(struct cache_store *store, struct span what)
{
    struct chore *chore = NULL;
    uint64_t n = 0;

    cache_writers_doom(store, what);
    LIST_FOREACH (at, &store->index.uses) {
        struct cache_item *item = CONTAINER_OF(at, struct cache_item, use);

        if (!cache_url_is(span_of(item->url->text), what))
            continue;
        if (!chore)
            chore = chore_new(store);
        if (chore)
            chore->ids[chore->n_ids++] = item->id;
        cache_index_remove(&store->index, item);
        cache_item_free(item);
        n++;
        if (chore && chore->n_ids == CACHE_CHORE_IDS)
            (void)chore_start(TAKE(chore));
    }
    if (chore)
        (void)chore_start(chore);
    return n;
}
