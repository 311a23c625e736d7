/* SPDX-License-Identifier: MIT */
/*
 * Watches: a command whose answer does not end. First the jar as it is, in replies; then what
 * changes, in messages that say which numbers they cover, so that a gap would be seen.
 */
#include <stdlib.h>

#include "cookies_priv.h"

struct xhr_cookie_watch {
    struct xhr_slot slot; /* first; its id is 0 once the watch has ended */
    struct xhr_client *client;
    struct xhr_cookie_watch_events events;
    void *user;
    struct xhr_cookies told; /* a snapshot that is coming in; only its list is used */
    uint64_t sequence;       /* of the last that was told */
    bool has_snapshot;
    bool is_mid_snapshot; /* one of several messages, and not all have come */
    bool is_freed;
    unsigned depth;
};

static void hold(struct xhr_cookie_watch *watch)
{
    watch->depth++;
}

static void release(struct xhr_cookie_watch *watch)
{
    if (--watch->depth > 0 || !watch->is_freed)
        return;
    xhr_cookie_list_done(&watch->told.list);
    free(watch);
}

static struct xhr_cookie_watch *watch_of(struct xhr_slot *slot)
{
    return (struct xhr_cookie_watch *)(void *)slot;
}

static void on_slot_fail(struct xhr_slot *slot)
{
    struct xhr_cookie_watch *watch = watch_of(slot);
    struct xhr_error error;

    xhr_failure_show(&slot->failure, &error);
    hold(watch);
    if (watch->events.end)
        watch->events.end(watch, &error, watch->user);
    release(watch);
}

const struct xhr_slot_ops xhr_watch_ops = {.fail = on_slot_fail};

/* What the daemon holds of it ends, too. */
static void send_unwatch(struct xhr_cookie_watch *watch)
{
    Xhrd__V1__ClientMessage message = XHRD__V1__CLIENT_MESSAGE__INIT;
    Xhrd__V1__CookieUnwatch unwatch = XHRD__V1__COOKIE_UNWATCH__INIT;

    unwatch.command_id = watch->slot.id;
    message.kind_case = XHRD__V1__CLIENT_MESSAGE__KIND_UNWATCH;
    message.unwatch = &unwatch;
    /* Without memory for it the daemon goes on telling, and is not listened to. */
    (void)xhr_link_queue(watch->client, &message, NULL, NULL);
}

static void end(struct xhr_cookie_watch *watch, const struct xhr_failure *failure)
{
    watch->slot.failure = *failure;
    xhr_client_remove_slot(watch->client, &watch->slot);
    on_slot_fail(&watch->slot);
}

/* We cannot go on, though the daemon could. */
static void give_up(struct xhr_cookie_watch *watch, int r)
{
    struct xhr_failure failure = {0};

    xhr_cookies_explain(r, &failure);
    send_unwatch(watch);
    end(watch, &failure);
}

/* Return: 1: it has failed and the watch has ended; 0; -EPROTO. */
static int take_failure(struct xhr_cookie_watch *watch,
                        const Xhrd__V1__Failure *failure,
                        struct xhr_failure *why)
{
    struct xhr_failure told = {0};

    if (!failure)
        return 0;
    if (xhr_failure_of_wire(failure, &told) < 0) {
        xhr_failure_set(why, XHR_ERROR_DAEMON_PROTOCOL,
                        "the daemon sent a failure without a kind");
        return -EPROTO;
    }
    end(watch, &told);
    return 1;
}

static void tell_snapshot(struct xhr_cookie_watch *watch, uint64_t sequence)
{
    watch->sequence = sequence;
    watch->has_snapshot = true;
    watch->is_mid_snapshot = false;
    if (watch->events.snapshot)
        watch->events.snapshot(watch, &watch->told, sequence, watch->user);
    xhr_cookie_list_done(&watch->told.list);
}

static void
take_snapshot(struct xhr_cookie_watch *watch, Xhrd__V1__Cookie *const *cookies, size_t count)
{
    int r = xhr_cookie_list_take(&watch->told.list, cookies, count);

    watch->is_mid_snapshot = true;
    if (r < 0)
        give_up(watch, r);
}

static int refuse(struct xhr_failure *why, const char *text)
{
    xhr_failure_set(why, XHR_ERROR_DAEMON_PROTOCOL, "%s", text);
    return -EPROTO;
}

int xhr_watch_on_reply(struct xhr_slot *slot,
                       const Xhrd__V1__CookieReply *reply,
                       struct xhr_failure *why)
{
    struct xhr_cookie_watch *watch = watch_of(slot);
    int r;

    hold(watch);
    r = take_failure(watch, reply->failure, why);
    if (r == 0 && watch->has_snapshot)
        r = refuse(why, "the daemon told a watched jar from its beginning once more");
    if (r == 0)
        take_snapshot(watch, reply->cookies, reply->n_cookies);
    if (r == 0 && watch->slot.id && !reply->more)
        tell_snapshot(watch, reply->sequence);
    release(watch);
    return r < 0 ? r : 0;
}

static const enum xhr_cookie_cause causes[] = {
    [XHRD__V1__COOKIE_CAUSE__COOKIE_CAUSE_EXPLICIT] = XHR_COOKIE_EXPLICIT,
    [XHRD__V1__COOKIE_CAUSE__COOKIE_CAUSE_OVERWRITE] = XHR_COOKIE_OVERWRITE,
    [XHRD__V1__COOKIE_CAUSE__COOKIE_CAUSE_EXPIRED] = XHR_COOKIE_EXPIRED,
    [XHRD__V1__COOKIE_CAUSE__COOKIE_CAUSE_EVICTED] = XHR_COOKIE_EVICTED,
};

/* Whether the numbers follow each other, and nothing is missing. */
static bool is_sound(const struct xhr_cookie_watch *watch,
                     const Xhrd__V1__CookieChanges *changes)
{
    uint64_t at = changes->previous;

    if (!watch->has_snapshot || changes->previous != watch->sequence ||
        changes->sequence < changes->previous)
        return false;
    if (changes->reset)
        return changes->n_changes == 0;
    if (watch->is_mid_snapshot || changes->n_snapshot > 0)
        return false;
    for (size_t i = 0; i < changes->n_changes; i++) {
        const Xhrd__V1__CookieChange *change = changes->changes[i];

        if (!change->cookie || change->sequence <= at ||
            change->cause <= XHRD__V1__COOKIE_CAUSE__COOKIE_CAUSE_UNSPECIFIED ||
            change->cause > XHRD__V1__COOKIE_CAUSE__COOKIE_CAUSE_EVICTED)
            return false;
        at = change->sequence;
    }
    return at <= changes->sequence;
}

static void tell_change(struct xhr_cookie_watch *watch, const Xhrd__V1__CookieChange *from)
{
    struct xhr_cookie_list one = {0};
    int r = xhr_cookie_list_take(&one, &from->cookie, 1);

    if (r < 0) {
        xhr_cookie_list_done(&one);
        give_up(watch, r);
        return;
    }
    const struct xhr_cookie_change change = {
        .size = sizeof(change),
        .sequence = from->sequence,
        .merged = from->merged,
        .cause = causes[from->cause],
        .removed = from->removed,
        .cookie = &one.at[0],
    };
    if (watch->events.change)
        watch->events.change(watch, &change, watch->user);
    xhr_cookie_list_done(&one);
}

static void take_changes(struct xhr_cookie_watch *watch, const Xhrd__V1__CookieChanges *changes)
{
    if (changes->reset) {
        take_snapshot(watch, changes->snapshot, changes->n_snapshot);
        if (watch->slot.id && !changes->more)
            tell_snapshot(watch, changes->sequence);
        return;
    }
    for (size_t i = 0; watch->slot.id && i < changes->n_changes; i++)
        tell_change(watch, changes->changes[i]);
    watch->sequence = changes->sequence;
}

int xhr_watch_on_changes(struct xhr_slot *slot,
                         const Xhrd__V1__CookieChanges *changes,
                         struct xhr_failure *why)
{
    struct xhr_cookie_watch *watch = watch_of(slot);
    int r;

    hold(watch);
    r = take_failure(watch, changes->failure, why);
    if (r == 0 && !is_sound(watch, changes))
        r = refuse(why, "the daemon left out changes of a watched jar, or told what is none");
    if (r == 0)
        take_changes(watch, changes);
    release(watch);
    return r < 0 ? r : 0;
}

int xhr_cookie_watch_new(struct xhr_client *client,
                         const char *jar,
                         const struct xhr_cookie_watch_events *events,
                         void *user,
                         struct xhr_cookie_watch **ret)
{
    struct xhr_cookie_command command;
    struct xhr_cookie_watch *watch;
    struct xhr_cookie_watch_events given;

    if (!events || xhr_take_sized(&given, sizeof(given), events) < 0)
        return -EINVAL;
    if (client->is_freed)
        return -ENOTCONN;
    watch = calloc(1, sizeof(*watch));
    if (!watch)
        return -ENOMEM;
    watch->slot.ops = &xhr_watch_ops;
    watch->client = client;
    watch->events = given;
    watch->user = user;
    xhr_cookie_command_init(&command, jar);
    xhrd__v1__cookie_watch__init(&command.operation.watch);
    command.cookie.operation_case = XHRD__V1__COOKIE_COMMAND__OPERATION_WATCH;
    command.cookie.watch = &command.operation.watch;
    int r = xhr_cookie_command_send(client, &watch->slot, &command);
    if (r < 0) {
        free(watch);
        return r;
    }
    *ret = watch;
    xhr_client_hold(client);
    xhr_client_kick(client);
    xhr_client_release(client);
    return 0;
}

struct xhr_cookie_watch *xhr_cookie_watch_free(struct xhr_cookie_watch *watch)
{
    if (!watch || watch->is_freed)
        return NULL;
    hold(watch);
    watch->is_freed = true;
    if (watch->slot.id) {
        struct xhr_client *client = watch->client;

        send_unwatch(watch);
        xhr_client_remove_slot(client, &watch->slot);
        xhr_client_hold(client);
        xhr_client_kick(client);
        xhr_client_release(client);
    }
    release(watch);
    return NULL;
}
