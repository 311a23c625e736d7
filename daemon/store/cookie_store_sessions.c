/* SPDX-License-Identifier: MIT */
/*
 * Session cookies in memory that outlives the process. Of a cookie in both, there and on the
 * disk, the one that came later is the true one: a live record has had the row deleted, or is
 * about to; one that is superseded gives way to the row as soon as there is one.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/fault.h"
#include "base/mem.h"
#include "store/cookie_store_priv.h"

void store_note_session(struct cookie_store *store,
                        const struct stored_jar *in,
                        const struct cookie *before,
                        const struct cookie *after)
{
    struct session_book *book = store->options.sessions;

    if (!book || store->is_restoring)
        return;
    if (after && !after->is_persistent)
        (void)session_book_put(book, in->profile, in->name, after); /* it tells of trouble */
    else if (!after || store->state == STORE_MEMORY)
        session_book_drop(book, after ? after->order : before->order);
    else if (before && !before->is_persistent)
        session_book_supersede(book, after->order, store->n_changes);
}

void store_settle_sessions(struct cookie_store *store)
{
    if (store->options.sessions)
        session_book_settle(store->options.sessions, store->n_saved);
}

static bool note_cookie(void *arg, const struct cookie *cookie)
{
    const struct stored_jar *in = arg;
    struct cookie_store *store = in->book->owner;

    if (!cookie->is_persistent)
        (void)session_book_put(store->options.sessions, in->profile, in->name, cookie);
    return true;
}

static bool note_jar(struct map_node *node, void *arg)
{
    struct stored_jar *in = CONTAINER_OF(node, struct stored_jar, node);

    (void)arg;
    cookie_jar_each(in->jar, NULL, INT64_MIN, note_cookie, in);
    return true;
}

void store_note_sessions_anew(struct cookie_store *store)
{
    if (!store->options.sessions)
        return;
    session_book_clear_present(store->options.sessions);
    map_each(&store->jars.jars, note_jar, NULL);
}

/* ---- coming back ---------------------------------------------------------------------------
 */

/* What has an order already: the ids of rows, and of what else is in the jars. */
struct orders {
    uint64_t *at; /* sorted */
    size_t count;
    size_t room;
};

static bool add_order(void *arg, const struct cookie *cookie)
{
    struct orders *orders = arg;

    if (orders->count < orders->room)
        orders->at[orders->count++] = cookie->order;
    return true;
}

static bool count_orders(struct map_node *node, void *arg)
{
    struct orders *orders = arg;

    orders->room += cookie_jar_count(CONTAINER_OF(node, struct stored_jar, node)->jar);
    return true;
}

static bool add_orders(struct map_node *node, void *arg)
{
    cookie_jar_each(CONTAINER_OF(node, struct stored_jar, node)->jar, NULL, INT64_MIN,
                    add_order, arg);
    return true;
}

static int compare_orders(const void *left, const void *right)
{
    uint64_t a = *(const uint64_t *)left;
    uint64_t b = *(const uint64_t *)right;

    return (a > b) - (a < b);
}

/* Return: 0 or -ENOMEM. */
static int collect_orders(struct cookie_store *store, struct orders *ret)
{
    map_each(&store->jars.jars, count_orders, ret);
    ret->at = mem_array(ret->room, sizeof(*ret->at));
    if (!ret->at)
        return fault(-ENOMEM);
    map_each(&store->jars.jars, add_orders, ret);
    qsort(ret->at, ret->count, sizeof(*ret->at), compare_orders);
    return 0;
}

static bool orders_have(const struct orders *orders, uint64_t order)
{
    return bsearch(&order, orders->at, orders->count, sizeof(order), compare_orders);
}

/* An id is a row's for good: a file that could not be read while these came has given it to
 * another one. */
static void give_another_order(struct cookie_store *store, struct saved_cookie *saved)
{
    session_book_drop(store->options.sessions, saved->cookie.order);
    saved->cookie.order = ++store->order;
    (void)session_book_put(store->options.sessions, saved->profile, saved->jar, &saved->cookie);
}

/* @wins: over a row. Return: COOKIE_STORED, or that it has to stay away. */
static int restore_session(struct cookie_store *store,
                           struct saved_cookie *saved,
                           const struct orders *orders,
                           bool wins)
{
    struct partition who = {.uid = store->options.uid};
    struct cookie_jar *jar = NULL;
    uint64_t order_of_row = 0;

    memcpy(who.profile, saved->profile, sizeof(who.profile));
    int r = cookie_store_jar(store, &who, span_of(saved->jar), &jar);
    if (r < 0)
        return r;
    if (wins)
        order_of_row = cookie_jar_make_way(jar, &saved->cookie);
    if (order_of_row != saved->cookie.order && orders_have(orders, saved->cookie.order))
        give_another_order(store, saved);
    return cookie_jar_restore(jar, &saved->cookie, loop_wall_s(store->loop));
}

/* Return: 0 or -ENOMEM. */
static int take_waiting(struct cookie_store *store, bool superseded, struct saved_list *ret)
{
    struct saved_cookie *saved = NULL;
    int r;

    while ((r = session_book_take_waiting(store->options.sessions, superseded, &saved)) == 0 &&
           saved) {
        if (saved->cookie.order > store->order)
            store->order = saved->cookie.order;
        saved_list_append(ret, saved);
    }
    return r;
}

static size_t restore_list(struct cookie_store *store,
                           const struct orders *orders,
                           struct saved_list *list,
                           bool wins)
{
    size_t n_restored = 0;

    for (struct saved_cookie *at = list->first; at; at = at->next) {
        if (restore_session(store, at, orders, wins) == COOKIE_STORED) {
            session_book_keep(store->options.sessions, at->cookie.order);
            n_restored++;
        } else {
            session_book_drop(store->options.sessions, at->cookie.order);
        }
    }
    return n_restored;
}

static int restore_waiting(struct cookie_store *store, bool rows_known)
{
    struct saved_list live = {0};
    struct saved_list superseded = {0};
    struct orders orders = {0};
    size_t n_restored = 0;
    int r = collect_orders(store, &orders);

    if (r == 0)
        r = take_waiting(store, false, &live);
    if (r == 0 && rows_known)
        r = take_waiting(store, true, &superseded);
    if (r == 0) {
        n_restored = restore_list(store, &orders, &live, true);
        n_restored += restore_list(store, &orders, &superseded, false);
        log_debug(&store->log, "%zu of %zu session cookies are back", n_restored,
                  live.count + superseded.count);
    }
    saved_list_done(&live);
    saved_list_done(&superseded);
    mem_free(orders.at);
    return r;
}

void store_restore_sessions(struct cookie_store *store, bool rows_known)
{
    struct session_book *book = store->options.sessions;

    if (!book || !session_book_has_waiting(book))
        return;
    store->is_restoring = true;
    int r = restore_waiting(store, rows_known);
    store->is_restoring = false;
    if (r == 0)
        return;
    log_warning(&store->log, "out of memory: the session cookies of before have ended");
    session_book_clear(book);
}
