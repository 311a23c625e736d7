/* SPDX-License-Identifier: MIT */
#include "store/jar_book.h"

#include <errno.h>
#include <string.h>

#include "base/fault.h"
#include "base/mem.h"

#define JAR_KEY_MAX (PARTITION_PROFILE_MAX + JAR_NAME_MAX + 1)

struct jar_change {
    struct map_node node; /* key: profile, NUL, name */
    struct link link;
    struct saved_jar *saved;
    char key[];
};

void jar_book_init(struct jar_book *book,
                   const struct suffix_rules *rules,
                   const struct cookie_jar_options *options,
                   const struct jar_book_events *events,
                   void *owner)
{
    *book = (struct jar_book){
        .rules = rules, .options = *options, .events = events, .owner = owner};
    link_init(&book->changed);
}

static struct span make_key(const char *profile, struct span name, char storage[JAR_KEY_MAX])
{
    size_t len = strlen(profile) + 1;

    memcpy(storage, profile, len);
    memcpy(storage + len, name.ptr, name.len);
    return (struct span){storage, len + name.len};
}

/* ---- what has changed ----------------------------------------------------------------------
 */

static void forget_change(struct jar_book *book, struct jar_change *change)
{
    map_remove(&book->changes, &change->node);
    link_remove(&change->link);
    saved_jar_free(change->saved);
    mem_free(change);
}

void jar_book_forget_changes(struct jar_book *book)
{
    LIST_FOREACH (at, &book->changed)
        forget_change(book, CONTAINER_OF(at, struct jar_change, link));
}

bool jar_book_has_changes(const struct jar_book *book)
{
    return !list_is_empty(&book->changed);
}

void jar_book_take_changes(struct jar_book *book, struct saved_jars *ret)
{
    LIST_FOREACH (at, &book->changed) {
        struct jar_change *change = CONTAINER_OF(at, struct jar_change, link);

        saved_jars_append(ret, TAKE(change->saved));
        forget_change(book, change);
    }
}

/* The change of a jar, a new one if it is the first since the last commit. */
static struct jar_change *get_change(struct jar_book *book, const struct stored_jar *in)
{
    char storage[JAR_KEY_MAX];
    struct span key = make_key(in->profile, span_of(in->name), storage);
    struct map_node *node = map_find(&book->changes, key);

    if (node)
        return CONTAINER_OF(node, struct jar_change, node);
    struct jar_change *change = mem_zalloc(sizeof(*change) + key.len);
    if (!change)
        return NULL;
    memcpy(change->key, key.ptr, key.len);
    link_init(&change->link);
    if (map_add(&book->changes, &change->node, (struct span){change->key, key.len}) < 0)
        return mem_free(change);
    list_append(&book->changed, &change->link);
    return change;
}

static struct saved_jar *copy_row(const struct stored_jar *in, bool is_deleted)
{
    struct saved_jar *saved = saved_jar_new(in->profile, in->name);

    if (!saved)
        return NULL;
    saved->created_s = in->created_s;
    saved->is_deleted = is_deleted;
    if (!is_deleted && jar_grants_copy(&in->grants, &saved->grants) < 0)
        return saved_jar_free(saved);
    return saved;
}

static void note(struct stored_jar *in, bool is_deleted)
{
    struct jar_book *book = in->book;

    in->is_kept = !is_deleted;
    if (!book->events->on_change(book->owner))
        return;
    struct saved_jar *saved = copy_row(in, is_deleted);
    struct jar_change *change = saved ? get_change(book, in) : NULL;

    if (!change) {
        saved_jar_free(saved);
        book->events->on_short(book->owner);
        return;
    }
    saved_jar_free(change->saved);
    change->saved = saved;
}

/* ---- jars ----------------------------------------------------------------------------------
 */

static struct stored_jar *stored_jar_free(struct stored_jar *in)
{
    if (!in)
        return NULL;
    cookie_jar_free(in->jar);
    jar_grants_done(&in->grants);
    return mem_free(in);
}
DEFINE_CLEANUP(stored_jar, stored_jar_free)

struct stored_jar *
jar_book_find(const struct jar_book *book, const char *profile, struct span name)
{
    char storage[JAR_KEY_MAX];

    if (!jar_name_is_valid(name))
        return NULL;
    struct map_node *node = map_find(&book->jars, make_key(profile, name, storage));

    return node ? CONTAINER_OF(node, struct stored_jar, node) : NULL;
}

static int make_jar(struct jar_book *book,
                    const char *profile,
                    struct span name,
                    int64_t now_s,
                    struct stored_jar **ret)
{
    char storage[JAR_KEY_MAX];
    struct span key = make_key(profile, name, storage);
    CLEANUP(stored_jar_free) struct stored_jar *in = mem_zalloc(sizeof(*in) + key.len);

    if (!in)
        return fault(-ENOMEM);
    in->book = book;
    in->created_s = now_s;
    link_init(&in->leases);
    memcpy(in->profile, profile, strnlen(profile, sizeof(in->profile) - 1));
    memcpy(in->name, name.ptr, name.len);
    memcpy(in->key, key.ptr, key.len);
    int r = cookie_jar_new(&in->jar, book->rules, &book->options);
    if (r == 0)
        r = map_add(&book->jars, &in->node, (struct span){in->key, key.len});
    if (r < 0)
        return r;
    in->observer = (struct cookie_observer){.changes = book->events->cookies, .owner = in};
    cookie_jar_observe(in->jar, &in->observer);
    *ret = TAKE(in); /* the map's now */
    return 0;
}

static bool find_unused(struct map_node *node, void *arg)
{
    struct stored_jar *in = CONTAINER_OF(node, struct stored_jar, node);

    if (in->is_kept || cookie_jar_count(in->jar) > 0 || !list_is_empty(&in->leases))
        return true;
    *(struct stored_jar **)arg = in;
    return false;
}

static bool limit_jar(struct map_node *node, void *arg)
{
    cookie_jar_set_limits(CONTAINER_OF(node, struct stored_jar, node)->jar, arg);
    return true;
}

void jar_book_set_limits(struct jar_book *book, const struct cookie_jar_options *from)
{
    cookie_options_set_limits(&book->options, from);
    map_each(&book->jars, limit_jar, &book->options);
}

/* Lets a jar go that nobody would miss. Return: whether there is a place now. */
static bool make_place(struct jar_book *book)
{
    struct stored_jar *unused = NULL;

    if (book->jars.count < book->jars_max)
        return true;
    map_each(&book->jars, find_unused, &unused);
    if (unused)
        jar_book_remove(unused);
    return unused;
}

int jar_book_get(struct jar_book *book,
                 const char *profile,
                 struct span name,
                 int64_t now_s,
                 struct stored_jar **ret)
{
    struct stored_jar *in = jar_book_find(book, profile, name);

    if (in) {
        *ret = in;
        return 0;
    }
    if (!jar_name_is_valid(name))
        return -EINVAL;
    if (!make_place(book))
        return -EDQUOT;
    return make_jar(book, profile, name, now_s, ret);
}

void jar_book_keep(struct stored_jar *in)
{
    if (!in->is_kept)
        note(in, false);
}

static void take_away(struct jar_lease *lease)
{
    jar_lease_close(lease);
    if (lease->on_taken)
        lease->on_taken(lease);
}

void jar_book_remove(struct stored_jar *in)
{
    (void)cookie_jar_clear(in->jar);
    if (in->is_kept)
        note(in, true);
    map_remove(&in->book->jars, &in->node);
    while (!list_is_empty(&in->leases))
        take_away(CONTAINER_OF(list_first(&in->leases), struct jar_lease, link));
    stored_jar_free(in);
}

void jar_book_lend(struct stored_jar *in, struct jar_lease *lease)
{
    lease->jar = in->jar;
    link_init(&lease->link);
    list_append(&in->leases, &lease->link);
}

/* Root and the owner need no grant. */
static bool is_granted(const struct stored_jar *in, const struct jar_lease *lease)
{
    return lease->person.uid == 0 || lease->person.uid == lease->owner_uid ||
           jar_grants_right(&in->grants, &lease->person) >= lease->right;
}

static void check_leases(struct stored_jar *in)
{
    LIST_FOREACH (at, &in->leases) {
        struct jar_lease *lease = CONTAINER_OF(at, struct jar_lease, link);

        if (!is_granted(in, lease))
            take_away(lease);
    }
}

struct lease_check {
    bool (*may)(void *arg, const struct jar_lease *lease);
    void *arg;
};

static bool check_jar(struct map_node *node, void *arg)
{
    const struct lease_check *check = arg;
    struct stored_jar *in = CONTAINER_OF(node, struct stored_jar, node);

    LIST_FOREACH (at, &in->leases) {
        struct jar_lease *lease = CONTAINER_OF(at, struct jar_lease, link);

        if (!check->may(check->arg, lease))
            take_away(lease);
    }
    return true;
}

void jar_book_check(struct jar_book *book,
                    bool (*may)(void *arg, const struct jar_lease *lease),
                    void *arg)
{
    struct lease_check check = {may, arg};

    map_each(&book->jars, check_jar, &check);
}

int jar_book_grant(struct stored_jar *in, const struct jar_grant *grant)
{
    int r = jar_grants_set(&in->grants, grant);

    if (r > 0) {
        note(in, false);
        check_leases(in);
    }
    return r;
}

bool jar_book_revoke(struct stored_jar *in, uint32_t id, bool is_group)
{
    if (!jar_grants_remove(&in->grants, id, is_group))
        return false;
    note(in, false);
    check_leases(in);
    return true;
}

/* ---- to and from the disk ------------------------------------------------------------------
 */

void jar_book_restore(struct jar_book *book, const struct saved_jars *saved)
{
    for (struct saved_jar *at = saved->first; at; at = at->next) {
        struct stored_jar *in = NULL;

        if (jar_book_get(book, at->profile, span_of(at->name), at->created_s, &in) < 0 ||
            in->is_kept)
            continue;
        in->is_kept = true;
        in->created_s = at->created_s;
        if (jar_grants_copy(&at->grants, &in->grants) < 0)
            book->events->on_short(book->owner);
    }
}

struct jar_collection {
    struct saved_jars *list;
    bool is_short; /* of memory */
};

static bool collect_jar(struct map_node *node, void *arg)
{
    struct jar_collection *collection = arg;
    const struct stored_jar *in = CONTAINER_OF(node, struct stored_jar, node);

    if (!in->is_kept)
        return true;
    struct saved_jar *saved = copy_row(in, false);
    collection->is_short = !saved;
    if (saved)
        saved_jars_append(collection->list, saved);
    return saved;
}

int jar_book_collect_all(struct jar_book *book, struct saved_jars *ret)
{
    struct jar_collection collection = {.list = ret};

    map_each(&book->jars, collect_jar, &collection);
    if (!collection.is_short)
        return 0;
    saved_jars_done(ret);
    return fault(-ENOMEM);
}

static bool free_jar(struct map_node *node, void *arg)
{
    struct jar_book *book = arg;
    struct stored_jar *in = CONTAINER_OF(node, struct stored_jar, node);

    map_remove(&book->jars, node);
    LIST_FOREACH (at, &in->leases)
        jar_lease_close(CONTAINER_OF(at, struct jar_lease, link));
    stored_jar_free(in);
    return true;
}

void jar_book_done(struct jar_book *book)
{
    jar_book_forget_changes(book);
    map_done(&book->changes);
    map_each(&book->jars, free_jar, book);
    map_done(&book->jars);
}
