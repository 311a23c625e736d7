/* SPDX-License-Identifier: MIT */
#include "store/hsts_book.h"

#include <errno.h>
#include <string.h>

#include "base/fault.h"
#include "base/mem.h"
#include "http/host.h"

#define CHANGE_KEY_MAX (PARTITION_PROFILE_MAX + HOST_NAME_BYTES_MAX)

struct book_set {
    struct map_node node; /* key: profile */
    struct hsts_book *book;
    struct hsts *set;
    char profile[PARTITION_PROFILE_MAX];
};

struct host_change {
    struct map_node node; /* key: profile, NUL, host */
    struct link link;
    struct saved_host *saved;
    char key[];
};

void hsts_book_init(struct hsts_book *book, const struct hsts_book_events *events, void *owner)
{
    *book = (struct hsts_book){.events = events, .owner = owner};
    link_init(&book->changed);
}

static bool free_set(struct map_node *node, void *arg)
{
    struct hsts_book *book = arg;
    struct book_set *at = CONTAINER_OF(node, struct book_set, node);

    map_remove(&book->sets, node);
    at->set = hsts_free(at->set);
    mem_free(at);
    return true;
}

void hsts_book_done(struct hsts_book *book)
{
    hsts_book_forget_changes(book);
    map_done(&book->changes);
    map_each(&book->sets, free_set, book);
    map_done(&book->sets);
}

/* ---- what has changed ----------------------------------------------------------------------
 */

static void forget_change(struct hsts_book *book, struct host_change *change)
{
    map_remove(&book->changes, &change->node);
    link_remove(&change->link);
    mem_free(change->saved);
    mem_free(change);
}

void hsts_book_forget_changes(struct hsts_book *book)
{
    LIST_FOREACH (at, &book->changed)
        forget_change(book, CONTAINER_OF(at, struct host_change, link));
}

bool hsts_book_has_changes(const struct hsts_book *book)
{
    return !list_is_empty(&book->changed);
}

void hsts_book_take_changes(struct hsts_book *book, struct saved_hosts *ret)
{
    LIST_FOREACH (at, &book->changed) {
        struct host_change *change = CONTAINER_OF(at, struct host_change, link);

        saved_hosts_append(ret, TAKE(change->saved));
        forget_change(book, change);
    }
}

/* The change of a host, a new one if it is the first since the last commit. */
static struct host_change *
get_change(struct hsts_book *book, const char *profile, struct span host)
{
    char storage[CHANGE_KEY_MAX];
    size_t len = strlen(profile) + 1;

    memcpy(storage, profile, len);
    memcpy(storage + len, host.ptr, host.len);
    struct span key = {storage, len + host.len};
    struct map_node *node = map_find(&book->changes, key);
    if (node)
        return CONTAINER_OF(node, struct host_change, node);
    struct host_change *change = mem_zalloc(sizeof(*change) + key.len);
    if (!change)
        return NULL;
    memcpy(change->key, key.ptr, key.len);
    link_init(&change->link);
    if (map_add(&book->changes, &change->node, (struct span){change->key, key.len}) < 0)
        return mem_free(change);
    list_append(&book->changed, &change->link);
    return change;
}

static void
note(struct hsts_book *book, const char *profile, const struct hsts_host *host, bool is_deleted)
{
    if (!book->events->on_change(book->owner))
        return;
    struct saved_host *saved = saved_host_new(host, profile, is_deleted);
    struct host_change *change = saved ? get_change(book, profile, host->host) : NULL;

    if (!change) {
        mem_free(saved);
        book->events->on_short(book->owner);
        return;
    }
    mem_free(change->saved);
    change->saved = saved;
}

static void
book_on_change(void *owner, const struct hsts_host *before, const struct hsts_host *after)
{
    const struct book_set *in = owner;

    note(in->book, in->profile, after ? after : before, !after);
}

static const struct hsts_changes book_changes = {.on_change = book_on_change};

/* ---- sets ----------------------------------------------------------------------------------
 */

int hsts_book_set(struct hsts_book *book, const char *profile, struct hsts **ret)
{
    struct hsts_options options = hsts_options_default();
    struct map_node *node = map_find(&book->sets, span_of(profile));

    if (node) {
        *ret = CONTAINER_OF(node, struct book_set, node)->set;
        return 0;
    }
    if (book->sets.count >= HSTS_BOOK_SETS_MAX)
        return -EDQUOT;
    struct book_set *in = mem_zalloc(sizeof(*in));
    if (!in)
        return fault(-ENOMEM);
    in->book = book;
    memcpy(in->profile, profile, strnlen(profile, sizeof(in->profile) - 1));
    options.all = &book->all;
    int r = hsts_new(&in->set, &options);
    if (r == 0)
        r = map_add(&book->sets, &in->node, span_of(in->profile));
    if (r < 0) {
        in->set = hsts_free(in->set);
        mem_free(in);
        return r;
    }
    hsts_observe(in->set, &book_changes, in);
    *ret = in->set;
    return 0;
}

void hsts_book_restore(struct hsts_book *book, const struct saved_hosts *saved, int64_t now_s)
{
    for (const struct saved_host *at = saved->first; at; at = at->next) {
        struct hsts *set = NULL;

        if (hsts_book_set(book, at->profile, &set) == 0 &&
            hsts_restore(set, &at->host, now_s) == HSTS_REFUSED)
            note(book, at->profile, &at->host, true);
    }
}

static bool expire_set(struct map_node *node, void *arg)
{
    (void)hsts_expire(CONTAINER_OF(node, struct book_set, node)->set, *(const int64_t *)arg);
    return true;
}

void hsts_book_expire(struct hsts_book *book, int64_t now_s)
{
    map_each(&book->sets, expire_set, &now_s);
}

struct host_collection {
    struct saved_hosts *list;
    const struct book_set *in;
    bool is_short; /* of memory */
};

static bool collect_host(void *arg, const struct hsts_host *host)
{
    struct host_collection *collection = arg;
    struct saved_host *saved = saved_host_new(host, collection->in->profile, false);

    collection->is_short = !saved;
    if (saved)
        saved_hosts_append(collection->list, saved);
    return saved;
}

static bool collect_set(struct map_node *node, void *arg)
{
    struct host_collection *collection = arg;

    collection->in = CONTAINER_OF(node, struct book_set, node);
    hsts_each(collection->in->set, collect_host, collection);
    return !collection->is_short;
}

int hsts_book_collect_all(struct hsts_book *book, struct saved_hosts *ret)
{
    struct host_collection collection = {.list = ret};

    map_each(&book->sets, collect_set, &collection);
    if (!collection.is_short)
        return 0;
    saved_hosts_done(ret);
    return fault(-ENOMEM);
}
