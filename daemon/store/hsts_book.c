/* SPDX-License-Identifier: MIT */
#include "store/hsts_book.h"

#include <errno.h>
#include <string.h>

#include "base/fault.h"
#include "base/mem.h"
#include "policy/tls_seen.h"

#define CHANGE_KEY_MAX (PARTITION_PROFILE_MAX + HSTS_TEXT_MAX)

enum { KIND_HTTPS, KIND_TLS, KIND_COUNT };

/* A set and whose it is: what its observer is told. */
struct book_kind {
    struct book_set *in;
    struct hsts *set;
};

/* The sets of a profile. */
struct book_set {
    struct map_node node; /* key: profile */
    struct hsts_book *book;
    struct book_kind kinds[KIND_COUNT];
    char profile[PARTITION_PROFILE_MAX];
};

struct host_change {
    struct map_node node; /* key: profile, NUL, host; a name is never a name with a port */
    struct link link;
    struct saved_host *saved;
    char key[];
};

void hsts_book_init(struct hsts_book *book, const struct hsts_book_events *events, void *owner)
{
    *book = (struct hsts_book){.events = events, .owner = owner};
    link_init(&book->changed);
}

static void set_free(struct book_set *in)
{
    for (int kind = 0; kind < KIND_COUNT; kind++)
        in->kinds[kind].set = hsts_free(in->kinds[kind].set);
    mem_free(in);
}

static bool free_set(struct map_node *node, void *arg)
{
    struct hsts_book *book = arg;
    struct book_set *at = CONTAINER_OF(node, struct book_set, node);

    map_remove(&book->sets, node);
    set_free(at);
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

static bool clear_set(struct map_node *node, void *arg)
{
    struct book_set *in = CONTAINER_OF(node, struct book_set, node);
    uint64_t *n = arg;

    for (int i = 0; i < KIND_COUNT; i++)
        *n += hsts_clear(in->kinds[i].set);
    return true;
}

uint64_t hsts_book_clear(struct hsts_book *book)
{
    uint64_t n = 0;

    map_each(&book->sets, clear_set, &n);
    return n;
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

static void note(const struct book_kind *kind, const struct hsts_host *host, bool is_deleted)
{
    struct hsts_book *book = kind->in->book;

    if (!book->events->on_change(book->owner))
        return;
    struct saved_host *saved = saved_host_new(host, kind->in->profile, is_deleted);
    struct host_change *change = saved ? get_change(book, kind->in->profile, host->host) : NULL;

    if (!change) {
        mem_free(saved);
        book->events->on_short(book->owner);
        return;
    }
    saved->of_tls = kind == &kind->in->kinds[KIND_TLS];
    mem_free(change->saved);
    change->saved = saved;
}

static void
book_on_change(void *owner, const struct hsts_host *before, const struct hsts_host *after)
{
    note(owner, after ? after : before, !after);
}

static const struct hsts_changes book_changes = {.on_change = book_on_change};

/* ---- sets ----------------------------------------------------------------------------------
 */

static int add_kinds(struct book_set *in)
{
    struct hsts_book *book = in->book;
    struct hsts_options options[KIND_COUNT] = {hsts_options_default(), tls_seen_options()};

    options[KIND_HTTPS].all = &book->all;
    options[KIND_TLS].all = &book->all_of_tls;
    for (int i = 0; i < KIND_COUNT; i++) {
        struct book_kind *kind = &in->kinds[i];
        int r = hsts_new(&kind->set, &options[i]);

        if (r < 0)
            return r;
        kind->in = in;
        hsts_observe(kind->set, &book_changes, kind);
    }
    return 0;
}

static int get_set(struct hsts_book *book, const char *profile, struct book_set **ret)
{
    struct map_node *node = map_find(&book->sets, span_of(profile));

    if (node) {
        *ret = CONTAINER_OF(node, struct book_set, node);
        return 0;
    }
    if (book->sets.count >= HSTS_BOOK_SETS_MAX)
        return -EDQUOT;
    struct book_set *in = mem_zalloc(sizeof(*in));
    if (!in)
        return fault(-ENOMEM);
    in->book = book;
    memcpy(in->profile, profile, strnlen(profile, sizeof(in->profile) - 1));
    int r = add_kinds(in);
    if (r == 0)
        r = map_add(&book->sets, &in->node, span_of(in->profile));
    if (r < 0) {
        set_free(in);
        return r;
    }
    *ret = in;
    return 0;
}

static int get_kind(struct hsts_book *book, const char *profile, int kind, struct hsts **ret)
{
    struct book_set *in = NULL;
    int r = get_set(book, profile, &in);

    if (r == 0)
        *ret = in->kinds[kind].set;
    return r;
}

int hsts_book_set(struct hsts_book *book, const char *profile, struct hsts **ret)
{
    return get_kind(book, profile, KIND_HTTPS, ret);
}

int hsts_book_seen(struct hsts_book *book, const char *profile, struct hsts **ret)
{
    return get_kind(book, profile, KIND_TLS, ret);
}

void hsts_book_restore(struct hsts_book *book, const struct saved_hosts *saved, int64_t now_s)
{
    for (const struct saved_host *at = saved->first; at; at = at->next) {
        struct book_set *in = NULL;

        if (get_set(book, at->profile, &in) < 0)
            continue;
        const struct book_kind *kind = &in->kinds[at->of_tls ? KIND_TLS : KIND_HTTPS];
        if (hsts_restore(kind->set, &at->host, now_s) == HSTS_REFUSED)
            note(kind, &at->host, true);
    }
}

static bool expire_set(struct map_node *node, void *arg)
{
    const struct book_set *in = CONTAINER_OF(node, struct book_set, node);

    for (int kind = 0; kind < KIND_COUNT; kind++)
        (void)hsts_expire(in->kinds[kind].set, *(const int64_t *)arg);
    return true;
}

void hsts_book_expire(struct hsts_book *book, int64_t now_s)
{
    map_each(&book->sets, expire_set, &now_s);
}

struct host_collection {
    struct saved_hosts *list;
    const struct book_kind *kind;
    bool is_short; /* of memory */
};

static bool collect_host(void *arg, const struct hsts_host *host)
{
    struct host_collection *collection = arg;
    const struct book_kind *kind = collection->kind;
    struct saved_host *saved = saved_host_new(host, kind->in->profile, false);

    collection->is_short = !saved;
    if (!saved)
        return false;
    saved->of_tls = kind == &kind->in->kinds[KIND_TLS];
    saved_hosts_append(collection->list, saved);
    return true;
}

static bool collect_set(struct map_node *node, void *arg)
{
    struct host_collection *collection = arg;
    const struct book_set *in = CONTAINER_OF(node, struct book_set, node);

    for (int kind = 0; kind < KIND_COUNT && !collection->is_short; kind++) {
        collection->kind = &in->kinds[kind];
        hsts_each(in->kinds[kind].set, collect_host, collection);
    }
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
