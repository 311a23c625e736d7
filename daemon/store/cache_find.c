/* SPDX-License-Identifier: MIT */
/*
 * Look-ups. Most end in memory: the index says that nothing fits. Else the names thread reads
 * the meta, and the body too if nobody has since it was written. A look-up waits while the
 * index is read, and for a writer of the same URL that has everything and is about to end.
 */
#include <errno.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/mem.h"
#include "store/cache_store_priv.h"

struct cache_find {
    struct link link; /* in store->finds */
    struct job job;
    struct cache_store *store;
    struct cache_lookup *lookup; /* NULL: nobody waits any more */
    struct timer patience;
    bool is_running;
    bool is_slow;
    /* The question, kept. */
    char *url;
    uint8_t context[SHA256_BYTES];
    char jar[CACHE_JAR_BYTES_MAX + 1];
    bool has_credentials;
    struct headers request;
    /* The job's. */
    struct cache_hit *hit;
    struct cache_body_mark mark;
    int outcome;
};

static void close_body(struct cache_hit *hit)
{
    if (hit->body_fd >= 0)
        close(hit->body_fd);
    --*hit->n_open;
}

static void find_free(struct cache_find *find)
{
    timer_disarm(&find->patience);
    link_remove(&find->link);
    find->store->n_finds--;
    cache_hit_free(find->hit);
    headers_done(&find->request);
    mem_free(find->url);
    mem_free(find);
}

/* Ends the look-up; the owner may do anything inside. */
static void tell(struct cache_find *find, struct cache_hit *hit)
{
    struct cache_lookup *lookup = find->lookup;

    find->lookup = NULL;
    if (!lookup) {
        cache_hit_free(hit);
        return;
    }
    lookup->find = NULL;
    lookup->on_found(lookup->owner, hit);
}

static struct cache_question question_of(const struct cache_find *find)
{
    return (struct cache_question){.url = span_of(find->url),
                                   .context = find->context,
                                   .jar = span_of(find->jar),
                                   .has_credentials = find->has_credentials,
                                   .request = &find->request};
}

/* ---- the job --------------------------------------------------------------------------- */

static void find_run(struct job *job)
{
    struct cache_find *find = CONTAINER_OF(job, struct cache_find, job);

    find->outcome = cache_disk_read(&find->store->disk, find->hit->id, &find->hit->entry,
                                    &find->mark, &find->hit->body_fd);
}

/* Is what was read what the index said? Files can be renamed. */
static bool is_the_one(const struct cache_find *find, const struct cache_item *item)
{
    const struct cache_entry *entry = &find->hit->entry;

    return strcmp(entry->url, find->url) == 0 &&
           memcmp(entry->context, item->context, SHA256_BYTES) == 0 &&
           memcmp(entry->vary_digest, item->vary_digest, SHA256_BYTES) == 0 &&
           strcmp(entry->vary, item->vary) == 0 && strcmp(entry->jar, item->jar) == 0;
}

static struct cache_hit *judge(struct cache_find *find)
{
    struct cache_store *store = find->store;
    struct cache_item *item =
        cache_index_by_id(&store->index, span_of(find->url), find->hit->id);

    if (!item || store->is_closed)
        return NULL;
    if (find->outcome == 0 && is_the_one(find, item)) {
        item->mark = find->mark;
        cache_index_touch(&store->index, item, loop_wall_s(store->loop));
        return TAKE(find->hit);
    }
    if (find->outcome >= 0 || find->outcome == -ENOENT) {
        log_warning(&store->log, "a stored answer is damaged, removing it");
        cache_store_remove(store, item);
    } else {
        cache_store_warn(store, "reading a stored answer", -find->outcome);
    }
    return NULL;
}

static void find_done(struct job *job)
{
    struct cache_find *find = CONTAINER_OF(job, struct cache_find, job);
    struct cache_store *store = find->store;

    if (find->is_slow)
        store->n_slow--;
    if (job->cancelled)
        find->outcome = -ECANCELED;
    tell(find, judge(find));
    find_free(find);
    cache_store_job_done(store);
}

static int make_hit(struct cache_find *find, const struct cache_item *item)
{
    find->hit = mem_zalloc(sizeof(*find->hit));
    if (!find->hit)
        return fault(-ENOMEM);
    cache_entry_init(&find->hit->entry);
    find->hit->id = item->id;
    find->hit->body_fd = -1;
    find->hit->close_body = close_body;
    find->hit->n_open = &find->store->n_hits;
    find->store->n_hits++;
    find->mark = item->mark;
    return 0;
}

/* Return: CACHE_FIND_WAIT, or CACHE_FIND_NOTHING. */
static int start(struct cache_find *find)
{
    struct cache_store *store = find->store;
    struct cache_question question = question_of(find);
    struct cache_item *item = cache_index_find(&store->index, &question);

    if (!item || store->n_hits >= CACHE_STORE_READERS_MAX || make_hit(find, item) < 0)
        return CACHE_FIND_NOTHING;
    find->job = (struct job){.run = find_run, .done = find_done};
    find->is_running = true;
    if (cache_store_submit(store, store->names, &find->job) < 0) {
        find->is_running = false;
        return CACHE_FIND_NOTHING;
    }
    return CACHE_FIND_WAIT;
}

/* ---- waiting --------------------------------------------------------------------------- */

static void find_on_patience(void *owner)
{
    struct cache_find *find = owner;
    struct cache_store *store = find->store;

    if (find->is_running) {
        find->is_slow = true;
        store->n_slow++;
        tell(find, NULL); /* the rest when the job ends */
        return;
    }
    store->load_is_slow = !store->is_ready;
    tell(find, NULL);
    find_free(find);
}

static bool must_wait(const struct cache_store *store, struct span url)
{
    return !store->is_ready || cache_writers_end(store, url);
}

void cache_finds_go_on(struct cache_store *store)
{
    LIST_FOREACH (at, &store->finds) {
        struct cache_find *find = CONTAINER_OF(at, struct cache_find, link);

        if (find->is_running || must_wait(store, span_of(find->url)))
            continue;
        if (start(find) == CACHE_FIND_WAIT)
            continue;
        struct cache_lookup *lookup = find->lookup;
        find->lookup = NULL;
        find_free(find);
        if (lookup) {
            lookup->find = NULL;
            lookup->on_found(lookup->owner, NULL);
        }
    }
}

static int find_new(struct cache_find **ret,
                    struct cache_store *store,
                    const struct cache_question *question)
{
    struct cache_find *find = mem_zalloc(sizeof(*find));

    if (!find)
        return fault(-ENOMEM);
    find->store = store;
    store->n_finds++;
    link_init(&find->link);
    headers_init(&find->request, HEADERS_BYTES_MAX * 2, HEADERS_COUNT_MAX * 2);
    timer_init(&find->patience, store->loop, find_on_patience, find);
    memcpy(find->context, question->context, SHA256_BYTES);
    if (question->jar.len > 0)
        memcpy(find->jar, question->jar.ptr, question->jar.len);
    find->has_credentials = question->has_credentials;
    find->url = mem_dup(question->url);
    int r = find->url ? headers_add_all(&find->request, question->request) : fault(-ENOMEM);
    if (r == 0)
        r = timer_arm(&find->patience, CACHE_PATIENCE_US);
    if (r < 0) {
        find_free(find);
        return r;
    }
    *ret = find;
    return 0;
}

int cache_store_find(struct cache_store *store,
                     const struct cache_question *question,
                     struct cache_lookup *lookup)
{
    struct cache_find *find;
    bool waits = must_wait(store, question->url);

    if (store->is_closed || store->n_slow > 0 || store->n_finds >= CACHE_STORE_FINDS_MAX ||
        (waits && store->load_is_slow) || question->jar.len > CACHE_JAR_BYTES_MAX)
        return CACHE_FIND_NOTHING;
    if (!waits && !cache_index_url(&store->index, question->url))
        return CACHE_FIND_NOTHING;
    if (find_new(&find, store, question) < 0)
        return CACHE_FIND_NOTHING;
    if (!waits && start(find) == CACHE_FIND_NOTHING) {
        find_free(find);
        return CACHE_FIND_NOTHING;
    }
    list_append(&store->finds, &find->link);
    find->lookup = lookup;
    lookup->find = find;
    return CACHE_FIND_WAIT;
}

void cache_store_find_cancel(struct cache_lookup *lookup)
{
    struct cache_find *find = lookup->find;

    if (!find)
        return;
    lookup->find = NULL;
    find->lookup = NULL;
    if (!find->is_running)
        find_free(find);
}

void cache_finds_close(struct cache_store *store)
{
    LIST_FOREACH (at, &store->finds) {
        struct cache_find *find = CONTAINER_OF(at, struct cache_find, link);

        if (!find->is_running)
            find_free(find);
    }
}
