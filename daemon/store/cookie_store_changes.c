/* SPDX-License-Identifier: MIT */
/* Which rows have changed since the disk last heard of them, and when it is to hear. */
#include "base/fault.h"
#include "base/mem.h"
#include "store/cookie_store_priv.h"

void store_forget_change(struct cookie_store *store, struct change *change)
{
    map_remove(&store->changes, &change->node);
    link_remove(&change->link);
    mem_free(change);
}

void store_forget_changes(struct cookie_store *store)
{
    LIST_FOREACH (at, &store->changed)
        store_forget_change(store, CONTAINER_OF(at, struct change, link));
}

void store_plan_rewrite(struct cookie_store *store)
{
    store->rewrite_all = true;
    store_forget_changes(store);
    hsts_book_forget_changes(&store->hosts);
    jar_book_forget_changes(&store->jars);
}

bool store_must_commit(const struct cookie_store *store)
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
void store_note_change(struct cookie_store *store,
                       uint64_t id,
                       const struct cookie *cookie,
                       const struct stored_jar *in,
                       bool may_be_on_disk)
{
    struct change *change = get_change(store, id, may_be_on_disk);

    if (!change) {
        store_plan_rewrite(store);
        return;
    }
    change->cookie = cookie;
    change->in = in;
    if (!cookie && !change->may_be_on_disk)
        store_forget_change(store, change);
}

void store_arm_retry(struct cookie_store *store, int64_t delay_us)
{
    if (timer_is_armed(&store->retry_timer) || store->is_closing)
        return;
    if (timer_arm(&store->retry_timer, delay_us) < 0)
        log_err(&store->log,
                "no memory for a timer; cookies are written when the next changes");
}

void store_schedule(struct cookie_store *store)
{
    if (store->state == STORE_OPEN && !cookie_disk_is_busy(&store->disk))
        loop_defer(store->loop, &store->commit_task);
    else if (store->state == STORE_FAILED && !cookie_disk_is_busy(&store->disk))
        store_arm_retry(store, store->options.retry_us);
}

/* One change more. Return: whether it is to be noted. */
bool store_count_change(struct cookie_store *store)
{
    store->n_changes++;
    if (store->state == STORE_MEMORY)
        return false;
    if (store->state == STORE_FAILED)
        store->rewrite_all = true;
    store_schedule(store);
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

    if ((had_row || has_row) && store_count_change(store)) {
        uint64_t id = after ? after->order : before->order;

        store_note_change(store, id, has_row ? after : NULL, in, had_row);
    }
    if (cause != COOKIE_CAUSE_ACCESSED)
        store_note_session(store, in, before, after);
}

static void store_on_group(void *owner, bool begins)
{
    const struct stored_jar *in = owner;
    const struct cookie_store *store = in->book->owner;

    if (store->options.sessions)
        session_book_group(store->options.sessions, begins);
}

static const struct cookie_changes store_changes = {
    .on_change = store_on_change,
    .on_group = store_on_group,
};

static bool store_on_row_change(void *owner)
{
    return store_count_change(owner);
}

static void store_on_row_short(void *owner)
{
    store_plan_rewrite(owner);
}

const struct hsts_book_events store_host_events = {
    .on_change = store_on_row_change,
    .on_short = store_on_row_short,
};

const struct jar_book_events store_jar_events = {
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
