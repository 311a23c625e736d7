/* SPDX-License-Identifier: MIT */
/* Watching the machine's network: a command whose answer does not end. */
#include <stdlib.h>

#include "xhr_priv.h"

struct xhr_network_watch {
    struct xhr_slot slot; /* first; its id is 0 once the watch has ended */
    struct xhr_client *client;
    struct xhr_network_watch_events events;
    void *user;
    bool is_freed;
    unsigned depth;
};

static const char types[][8] = {
    [XHR_NETWORK_NONE] = "NONE",       [XHR_NETWORK_WIFI] = "WIFI",
    [XHR_NETWORK_MOBILE] = "MOBILE",   [XHR_NETWORK_LAN] = "LAN",
    [XHR_NETWORK_UNKNOWN] = "UNKNOWN",
};

const char *xhr_network_type_name(enum xhr_network_type type)
{
    return (size_t)type < sizeof(types) / sizeof(*types) ? types[type]
                                                         : types[XHR_NETWORK_UNKNOWN];
}

static struct xhr_network_watch *watch_of(struct xhr_slot *slot)
{
    return (struct xhr_network_watch *)(void *)slot;
}

static void hold(struct xhr_network_watch *watch)
{
    watch->depth++;
}

static void release(struct xhr_network_watch *watch)
{
    if (--watch->depth == 0 && watch->is_freed)
        free(watch);
}

static void on_slot_fail(struct xhr_slot *slot)
{
    struct xhr_network_watch *watch = watch_of(slot);
    struct xhr_error error;

    xhr_failure_show(&slot->failure, &error);
    hold(watch);
    if (watch->events.end)
        watch->events.end(watch, &error, watch->user);
    release(watch);
}

const struct xhr_slot_ops xhr_network_ops = {.fail = on_slot_fail};

static int refuse(struct xhr_failure *why, const char *what)
{
    xhr_failure_set(why, XHR_ERROR_DAEMON_PROTOCOL, "the daemon sent %s", what);
    return -EPROTO;
}

int xhr_network_on_state(struct xhr_slot *slot,
                         const Xhrd__V1__NetworkState *state,
                         struct xhr_failure *why)
{
    struct xhr_network_watch *watch = watch_of(slot);

    if (state->failure) {
        struct xhr_failure failure;

        if (xhr_failure_of_wire(state->failure, &failure) < 0)
            return refuse(why, "a failure without a kind");
        slot->failure = failure;
        xhr_client_remove_slot(watch->client, slot);
        on_slot_fail(slot);
        return 0;
    }
    if (state->type <= XHRD__V1__NETWORK_TYPE__NETWORK_TYPE_UNSPECIFIED ||
        state->type > XHRD__V1__NETWORK_TYPE__NETWORK_TYPE_UNKNOWN)
        return refuse(why, "a network of no type");
    const struct xhr_network network = {
        .online = state->online,
        .type = (enum xhr_network_type)(state->type - 1),
        .type_name = xhr_network_type_name((enum xhr_network_type)(state->type - 1)),
        .monotonic_us = state->monotonic_us,
    };
    hold(watch);
    if (watch->events.change)
        watch->events.change(watch, &network, watch->user);
    release(watch);
    return 0;
}

static int send_command(struct xhr_network_watch *watch, bool begins)
{
    Xhrd__V1__ClientMessage message = XHRD__V1__CLIENT_MESSAGE__INIT;
    Xhrd__V1__NetworkCommand command = XHRD__V1__NETWORK_COMMAND__INIT;
    Xhrd__V1__NetworkWatch begin = XHRD__V1__NETWORK_WATCH__INIT;
    Xhrd__V1__NetworkUnwatch end = XHRD__V1__NETWORK_UNWATCH__INIT;

    command.command_id = watch->slot.id;
    if (begins) {
        command.operation_case = XHRD__V1__NETWORK_COMMAND__OPERATION_WATCH;
        command.watch = &begin;
    } else {
        command.operation_case = XHRD__V1__NETWORK_COMMAND__OPERATION_UNWATCH;
        command.unwatch = &end;
    }
    message.kind_case = XHRD__V1__CLIENT_MESSAGE__KIND_NETWORK;
    message.network = &command;
    return xhr_link_queue(watch->client, &message, begins ? &watch->slot : NULL, NULL);
}

static void kick(struct xhr_client *client)
{
    xhr_client_hold(client);
    xhr_client_kick(client);
    xhr_client_release(client);
}

int xhr_network_watch_new(struct xhr_client *client,
                          const struct xhr_network_watch_events *events,
                          void *user,
                          struct xhr_network_watch **ret)
{
    struct xhr_network_watch_events given;
    struct xhr_network_watch *watch;

    if (!events || xhr_take_sized(&given, sizeof(given), events) < 0)
        return -EINVAL;
    if (client->is_freed)
        return -ENOTCONN;
    watch = calloc(1, sizeof(*watch));
    if (!watch)
        return -ENOMEM;
    watch->slot.ops = &xhr_network_ops;
    watch->client = client;
    watch->events = given;
    watch->user = user;
    int r = xhr_client_add_slot(client, &watch->slot);
    if (r == 0) {
        r = send_command(watch, true);
        if (r < 0)
            xhr_client_remove_slot(client, &watch->slot);
    }
    if (r < 0) {
        free(watch);
        return r;
    }
    *ret = watch;
    kick(client);
    return 0;
}

struct xhr_network_watch *xhr_network_watch_free(struct xhr_network_watch *watch)
{
    if (!watch || watch->is_freed)
        return NULL;
    hold(watch);
    watch->is_freed = true;
    if (watch->slot.id) {
        struct xhr_client *client = watch->client;

        /* Without memory for it the daemon goes on telling, and is not listened to. */
        (void)send_command(watch, false);
        xhr_client_remove_slot(client, &watch->slot);
        kick(client);
    }
    release(watch);
    return NULL;
}

/* ---- blocking ---- */

struct answer {
    struct xhr_network *ret;
    int result;
    bool is_done;
};

static void
take_first(struct xhr_network_watch *watch, const struct xhr_network *network, void *user)
{
    struct answer *answer = user;

    (void)watch;
    if (answer->is_done)
        return;
    *answer->ret = *network;
    answer->is_done = true;
}

static void take_end(struct xhr_network_watch *watch, const struct xhr_error *error, void *user)
{
    struct answer *answer = user;

    (void)watch;
    if (answer->is_done)
        return;
    answer->result = xhr_error_errno(error);
    answer->is_done = true;
}

int xhr_network_get_wait(struct xhr_client *client, struct xhr_network *ret)
{
    const struct xhr_network_watch_events events = {
        .size = sizeof(events), .change = take_first, .end = take_end};
    struct answer answer = {.ret = ret};
    struct xhr_network_watch *watch;
    int r;

    if (client->is_dispatching)
        return -EDEADLK;
    r = xhr_network_watch_new(client, &events, &answer, &watch);
    if (r < 0)
        return r;
    r = xhr_sync_wait(client, &answer.is_done);
    (void)xhr_network_watch_free(watch);
    return r < 0 ? r : answer.result;
}
