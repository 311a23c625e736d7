/* SPDX-License-Identifier: MIT */
/*
 * Who wants to hear of every change of a jar. What a watcher has not been told yet stands in a
 * queue of his own: change by change while it is short; when he does not keep up, of each
 * cookie the last; and when even these are too many, nothing: then he is told all of the jar
 * anew. So no state is lost, whoever reads how slowly, and the store waits for nobody.
 *
 * A change has its number in the jar's sequence; every message says which numbers it covers.
 */
#include <errno.h>

#include "base/fault.h"
#include "base/mem.h"
#include "loop/timer.h"
#include "service/cookie_priv.h"

#define SNAPSHOT_SLACK 64     /* of a message beyond what its cookies are counted as */
#define QUEUE_MAX      256    /* changes told one by one */
#define COALESCED_MAX  1024   /* cookies of which the last change is kept */
#define BYTES_AIM      262144 /* of one message */
#define RETRY_US       100000 /* when others of the user hold all he may hold */

struct watch_change {
    struct map_node node; /* in watch->by_order: the last of its cookie */
    struct link link;     /* in watch->queue */
    bool is_last;
    struct cookie cookie; /* a copy */
    uint64_t sequence;
    uint64_t merged;
    Xhrd__V1__CookieCause cause;
    bool removed;
    size_t size; /* of the allocation */
    char text[];
};

struct cookie_watch {
    struct link link; /* in client->watches */
    struct client *client;
    struct jar_lease lease;
    struct cookie_observer observer;
    struct charge place; /* one of QUOTA_WATCHERS */
    struct charge bytes; /* of the queue */
    struct deferred flush;
    struct timer retry;
    struct map by_order;
    struct link queue;
    size_t n_queued;
    uint64_t told; /* the number of the last change that was told */
    uint64_t seen; /* and of the last one that was */
    uint32_t command_id;
    bool must_reset; /* the queue would not do: all of the jar is to be told */
};

static struct span order_key(const struct watch_change *change)
{
    return (struct span){(const char *)&change->cookie.order, sizeof(change->cookie.order)};
}

static void forget_change(struct cookie_watch *watch, struct watch_change *change)
{
    if (change->is_last)
        map_remove(&watch->by_order, &change->node);
    link_remove(&change->link);
    watch->n_queued--;
    charge_give_back(&watch->bytes, change->size);
    mem_free_secret(change, change->size);
}

static void forget_queue(struct cookie_watch *watch)
{
    LIST_FOREACH (at, &watch->queue)
        forget_change(watch, CONTAINER_OF(at, struct watch_change, link));
}

/* Also of one that was never begun. */
static void watch_free(struct cookie_watch *watch)
{
    struct loop *loop = watch->client->service->loop;

    jar_lease_close(&watch->lease);
    cookie_jar_unobserve(&watch->observer);
    forget_queue(watch);
    map_done(&watch->by_order);
    loop_defer_cancel(loop, &watch->flush);
    timer_disarm(&watch->retry);
    charge_release(&watch->bytes);
    charge_release(&watch->place);
    link_remove(&watch->link);
    mem_free(watch);
}

/* ---- in: what changes ----------------------------------------------------------------------
 */

static struct span copy_text(char **at, struct span text)
{
    struct span copy = {*at, text.len};

    if (text.len > 0)
        memcpy(*at, text.ptr, text.len);
    *at += text.len;
    return copy;
}

static struct watch_change *copy_change(const struct cookie *cookie)
{
    size_t size = sizeof(struct watch_change) + cookie->name.len + cookie->value.len +
                  cookie->domain.len + cookie->path.len + cookie->partition_key.len +
                  cookie->comment.len + cookie->original_url.len;
    struct watch_change *change = mem_zalloc(size);

    if (!change)
        return NULL;
    char *end = change->text;

    change->size = size;
    change->cookie = *cookie;
    change->cookie.name = copy_text(&end, cookie->name);
    change->cookie.value = copy_text(&end, cookie->value);
    change->cookie.domain = copy_text(&end, cookie->domain);
    change->cookie.path = copy_text(&end, cookie->path);
    change->cookie.partition_key = copy_text(&end, cookie->partition_key);
    change->cookie.comment = copy_text(&end, cookie->comment);
    change->cookie.original_url = copy_text(&end, cookie->original_url);
    link_init(&change->link);
    return change;
}

static struct watch_change *find_last(const struct cookie_watch *watch, uint64_t order)
{
    struct map_node *node =
        map_find(&watch->by_order, (struct span){(const char *)&order, sizeof(order)});

    return node ? CONTAINER_OF(node, struct watch_change, node) : NULL;
}

/* Makes @change the last of its cookie; under load the one before it goes. Return: 0 or
 * -ENOMEM, and then it is not queued. */
static int queue_change(struct cookie_watch *watch, struct watch_change *change)
{
    struct watch_change *before = find_last(watch, change->cookie.order);

    if (before) {
        map_remove(&watch->by_order, &before->node);
        before->is_last = false;
    }
    int r = map_add(&watch->by_order, &change->node, order_key(change));
    if (r < 0)
        return r;
    change->is_last = true;
    list_append(&watch->queue, &change->link);
    watch->n_queued++;
    if (before && watch->n_queued > QUEUE_MAX) {
        change->merged = before->merged + 1;
        forget_change(watch, before);
    }
    return 0;
}

static void give_up_queue(struct cookie_watch *watch)
{
    forget_queue(watch);
    watch->must_reset = true;
}

static Xhrd__V1__CookieCause cause_of(enum cookie_cause cause)
{
    switch (cause) {
    case COOKIE_CAUSE_REPLACED: return XHRD__V1__COOKIE_CAUSE__COOKIE_CAUSE_OVERWRITE;
    case COOKIE_CAUSE_EXPIRED: return XHRD__V1__COOKIE_CAUSE__COOKIE_CAUSE_EXPIRED;
    case COOKIE_CAUSE_EVICTED: return XHRD__V1__COOKIE_CAUSE__COOKIE_CAUSE_EVICTED;
    case COOKIE_CAUSE_ADDED:
    case COOKIE_CAUSE_REMOVED:
    case COOKIE_CAUSE_ACCESSED: break;
    }
    return XHRD__V1__COOKIE_CAUSE__COOKIE_CAUSE_EXPLICIT;
}

static void watch_on_change(void *owner,
                            enum cookie_cause cause,
                            const struct cookie *before,
                            const struct cookie *after)
{
    struct cookie_watch *watch = owner;

    if (cause == COOKIE_CAUSE_ACCESSED)
        return;
    watch->seen = cookie_jar_sequence(watch->lease.jar);
    loop_defer(watch->client->service->loop, &watch->flush);
    if (watch->must_reset)
        return;
    struct watch_change *change = copy_change(after ? after : before);
    if (!change || charge_take_spare(&watch->bytes, &watch->client->user->quota, QUOTA_BYTES,
                                     change->size) < 0) {
        mem_free(change);
        give_up_queue(watch);
        return;
    }
    change->sequence = watch->seen;
    change->cause = cause_of(cause);
    change->removed = !after;
    if (queue_change(watch, change) < 0) {
        charge_give_back(&watch->bytes, change->size);
        mem_free(change);
        give_up_queue(watch);
    } else if (watch->n_queued > COALESCED_MAX) {
        give_up_queue(watch);
    }
}

static void watch_on_reset(void *owner)
{
    struct cookie_watch *watch = owner;

    watch->seen = cookie_jar_sequence(watch->lease.jar);
    give_up_queue(watch);
    loop_defer(watch->client->service->loop, &watch->flush);
}

static const struct cookie_changes watch_changes = {
    .on_change = watch_on_change,
    .on_reset = watch_on_reset,
};

/* ---- out: what is told ---------------------------------------------------------------------
 */

static int send_changes(struct client *client, Xhrd__V1__CookieChanges *changes)
{
    Xhrd__V1__ServerMessage message = XHRD__V1__SERVER_MESSAGE__INIT;

    message.kind_case = XHRD__V1__SERVER_MESSAGE__KIND_COOKIE_CHANGES;
    message.cookie_changes = changes;
    if (!changes->failure)
        return client_send_if_room(client, &message);
    client_send(client, &message);
    return 0;
}

/* Its last word; the watch is gone. */
static void end_watch(struct cookie_watch *watch, enum failure_kind kind, const char *text)
{
    Xhrd__V1__CookieChanges changes = XHRD__V1__COOKIE_CHANGES__INIT;
    Xhrd__V1__Failure failure;
    struct failure why;
    struct client *client = watch->client;

    failure_set(&why, kind, "%s", text);
    failure_to_pb(&why, &failure);
    changes.command_id = watch->command_id;
    changes.failure = &failure;
    watch_free(watch);
    (void)send_changes(client, &changes);
    client_check_done(client);
}

/* Whether so much may be queued for the client now. Else: when is it asked again? */
static bool has_room(struct cookie_watch *watch, size_t bytes)
{
    if (quota_has_spare(&watch->client->user->quota, QUOTA_BYTES, bytes))
        return true;
    if (timer_arm(&watch->retry, RETRY_US) < 0)
        log_warning(&watch->client->log, "no memory for a timer: a watch waits for a change");
    return false;
}

static void change_to_pb(const struct cookie_watch *watch,
                         const struct watch_change *from,
                         Xhrd__V1__CookieChange *to,
                         Xhrd__V1__Cookie *cookie)
{
    cookie_to_pb(&from->cookie, watch->lease.right, cookie);
    xhrd__v1__cookie_change__init(to);
    to->sequence = from->sequence;
    to->merged = from->merged;
    to->cause = from->cause;
    to->removed = from->removed;
    to->cookie = cookie;
}

/* One message's room. */
struct change_page {
    Xhrd__V1__CookieChange changes[COOKIE_REPLY_MAX];
    Xhrd__V1__CookieChange *pointers[COOKIE_REPLY_MAX];
    Xhrd__V1__Cookie cookies[COOKIE_REPLY_MAX];
};

/* The first of the queue, as many as fit. Return: how many. */
static size_t fill_page(struct cookie_watch *watch, struct change_page *page, size_t *ret_bytes)
{
    size_t bytes = 0;
    size_t n = 0;

    LIST_FOREACH (at, &watch->queue) {
        const struct watch_change *change = CONTAINER_OF(at, struct watch_change, link);

        if (n == COOKIE_REPLY_MAX || bytes >= BYTES_AIM)
            break;
        change_to_pb(watch, change, &page->changes[n], &page->cookies[n]);
        page->pointers[n] = &page->changes[n];
        bytes += cookie_message_bytes(&change->cookie);
        n++;
    }
    *ret_bytes = bytes;
    return n;
}

/* Return: whether to go on. */
static bool send_page(struct cookie_watch *watch, struct change_page *page)
{
    Xhrd__V1__CookieChanges changes = XHRD__V1__COOKIE_CHANGES__INIT;
    size_t bytes = 0;
    size_t n = fill_page(watch, page, &bytes);

    changes.command_id = watch->command_id;
    changes.previous = watch->told;
    changes.sequence = n == watch->n_queued ? watch->seen : page->changes[n - 1].sequence;
    changes.changes = page->pointers;
    changes.n_changes = n;
    if (send_changes(watch->client, &changes) < 0) {
        (void)has_room(watch, bytes); /* again, later */
        return false;
    }
    watch->told = changes.sequence;
    while (n-- > 0)
        forget_change(watch,
                      CONTAINER_OF(list_first(&watch->queue), struct watch_change, link));
    return true;
}

static void send_queue(struct cookie_watch *watch)
{
    CLEANUP_MEM struct change_page *page = mem_alloc(sizeof(*page));

    if (!page) {
        give_up_queue(watch);
        (void)has_room(watch, SIZE_MAX); /* again, later */
        return;
    }
    while (watch->n_queued > 0 && !session_is_congested(watch->client->session) &&
           send_page(watch, page))
        ;
}

static size_t list_bytes(const struct cookie_list *list)
{
    size_t bytes = 0;

    for (size_t i = 0; i < list->count; i++)
        bytes += cookie_message_bytes(list->cookies[i]) + SNAPSHOT_SLACK;
    return bytes + SNAPSHOT_SLACK;
}

/* What has_room() has found room for. Return: 0 or -ENOMEM. */
static int send_snapshot(struct cookie_watch *watch, const struct cookie_list *list)
{
    struct cookie_pages pages = {.list = list, .right = watch->lease.right};
    int r;

    do {
        Xhrd__V1__CookieChanges changes = XHRD__V1__COOKIE_CHANGES__INIT;

        r = cookie_pages_next(&pages);
        if (r < 0)
            break;
        changes.command_id = watch->command_id;
        changes.previous = watch->told;
        changes.sequence = watch->seen;
        changes.reset = true;
        changes.snapshot = pages.pointers;
        changes.n_snapshot = pages.n;
        changes.more = pages.at < list->count;
        r = send_changes(watch->client, &changes);
    } while (r == 0 && pages.at < list->count);
    cookie_pages_done(&pages);
    return r;
}

/* All of the jar, in place of what the queue would not hold. */
static void send_reset(struct cookie_watch *watch)
{
    CLEANUP_COOKIE_LIST struct cookie_list list = {0};
    struct client *client = watch->client;
    int r = cookie_jar_list(watch->lease.jar, NULL, loop_wall_s(client->service->loop), &list);

    if (r == 0 && !has_room(watch, list_bytes(&list))) {
        if (session_queued_bytes(client->session) == 0 &&
            list_bytes(&list) > client->user->quota.max[QUOTA_BYTES] / 2)
            end_watch(watch, FAILURE_QUOTA, "the jar is more than may wait for this user");
        return;
    }
    if (r == 0)
        r = send_snapshot(watch, &list);
    if (r < 0) {
        end_watch(watch, FAILURE_INTERNAL, "out of memory");
        return;
    }
    watch->told = watch->seen;
    watch->must_reset = false;
}

static void watch_flush(void *owner)
{
    struct cookie_watch *watch = owner;

    if (watch->client->closed || session_is_congested(watch->client->session))
        return;
    if (watch->must_reset)
        send_reset(watch);
    else
        send_queue(watch);
}

void cookie_watch_resume_all(struct client *client)
{
    LIST_FOREACH (at, &client->watches)
        loop_defer(client->service->loop, &CONTAINER_OF(at, struct cookie_watch, link)->flush);
}

/* ---- life ----------------------------------------------------------------------------------
 */

/* The jar is gone, or the right on it is another. What came before is told before. */
static void watch_on_taken(struct jar_lease *lease)
{
    struct cookie_watch *watch = CONTAINER_OF(lease, struct cookie_watch, lease);

    cookie_jar_unobserve(&watch->observer);
    if (!watch->must_reset)
        send_queue(watch);
    end_watch(watch, FAILURE_POLICY, "the jar was removed, or what you may do with it changed");
}

static struct cookie_watch *find(const struct client *client, uint32_t command_id)
{
    LIST_FOREACH (at, &client->watches) {
        struct cookie_watch *watch = CONTAINER_OF(at, struct cookie_watch, link);

        if (watch->command_id == command_id)
            return watch;
    }
    return NULL;
}

/* From the hand of the turn into the watch's own. */
static void take_lease(struct cookie_watch *watch, const struct jar_lease *from)
{
    watch->lease = *from;
    watch->lease.on_taken = watch_on_taken;
    link_init(&watch->lease.link);
    if (from->link.next) /* else it is a private jar's, which nobody takes away */
        list_append(from->link.prev, &watch->lease.link);
}

/* Return: 0, -EDQUOT or -ENOMEM. */
static int watch_new(const struct cookie_turn *turn, struct cookie_watch **ret)
{
    struct client *client = turn->client;
    struct cookie_watch *watch = mem_zalloc(sizeof(*watch));

    if (!watch)
        return fault(-ENOMEM);
    int r = charge_take(&watch->place, &client->user->quota, QUOTA_WATCHERS, 1);
    if (r < 0) {
        mem_free(watch);
        return r;
    }
    watch->client = client;
    watch->command_id = turn->command->command_id;
    watch->flush = (struct deferred){.fn = watch_flush, .owner = watch};
    timer_init(&watch->retry, client->service->loop, watch_flush, watch);
    link_init(&watch->queue);
    link_init(&watch->lease.link);
    link_init(&watch->observer.link);
    list_append(&client->watches, &watch->link);
    *ret = watch;
    return 0;
}

/* The jar as it is. Return: 0, -EDQUOT or -ENOMEM. */
static int tell_first(const struct cookie_turn *turn, struct cookie_watch *watch)
{
    CLEANUP_COOKIE_LIST struct cookie_list list = {0};
    struct cookie_turn told = *turn;
    int r =
        cookie_jar_list(turn->lease.jar, NULL, loop_wall_s(turn->client->service->loop), &list);

    watch->told = watch->seen = told.sequence = cookie_jar_sequence(turn->lease.jar);
    return r < 0 ? r : cookie_send_list(&told, &list);
}

void cookie_watch_begin(const struct cookie_turn *turn)
{
    uint32_t command_id = turn->command->command_id;
    struct cookie_watch *watch = NULL;

    if (find(turn->client, command_id)) {
        cookie_send_failure(turn->client, command_id, FAILURE_ARGUMENT,
                            "command_id: a watch of this number goes on");
        return;
    }
    int r = watch_new(turn, &watch);
    if (r == -EDQUOT) {
        cookie_send_failure(turn->client, command_id, FAILURE_QUOTA,
                            "this user watches too many jars already");
        return;
    }
    if (r == 0)
        r = tell_first(turn, watch);
    if (r < 0) {
        if (watch)
            watch_free(watch);
        cookie_send_trouble(turn->client, command_id, r);
        return;
    }
    take_lease(watch, &turn->lease);
    watch->observer = (struct cookie_observer){.changes = &watch_changes, .owner = watch};
    cookie_jar_observe(turn->lease.jar, &watch->observer);
}

void cookie_watch_end(struct client *client, uint32_t command_id)
{
    struct cookie_watch *watch = find(client, command_id);

    if (watch)
        watch_free(watch);
}

void cookie_watch_close_all(struct client *client)
{
    while (!list_is_empty(&client->watches))
        watch_free(CONTAINER_OF(list_first(&client->watches), struct cookie_watch, link));
}
