/* SPDX-License-Identifier: MIT */
/* Raw commands for xhrctl. */
#include <stdlib.h>
#include <string.h>

#include "internal.h"
#include "xhr_priv.h"

struct command {
    struct xhr_slot slot; /* first */
    struct xhr_client *client;
    struct xhr_admin_events events;
    void *user;
    bool *ret_done; /* of xhr_admin_ask() */
    int *ret_result;
};

static void end(struct command *command, int result)
{
    if (command->ret_done) {
        *command->ret_done = true;
        *command->ret_result = result;
    }
    free(command);
}

static void on_slot_fail(struct xhr_slot *slot)
{
    struct command *command = (struct command *)(void *)slot;
    struct xhr_error error;

    xhr_failure_show(&slot->failure, &error);
    command->events.on_reply(NULL, &error, command->user);
    end(command, xhr_error_errno(&error));
}

const struct xhr_slot_ops xhr_admin_ops = {.fail = on_slot_fail};

int xhr_admin_on_reply(struct xhr_slot *slot,
                       const Xhrd__V1__AdminReply *reply,
                       struct xhr_failure *why)
{
    struct command *command = (struct command *)(void *)slot;
    struct xhr_failure failure = {0};
    struct xhr_error error;

    if (reply->failure && xhr_failure_of_wire(reply->failure, &failure) < 0) {
        xhr_failure_set(why, XHR_ERROR_DAEMON_PROTOCOL,
                        "the daemon sent a failure without a kind");
        return -EPROTO;
    }
    bool is_last = !reply->more || reply->failure;
    if (is_last)
        xhr_client_remove_slot(command->client, slot);
    xhr_failure_show(&failure, &error);
    command->events.on_reply(reply, reply->failure ? &error : NULL, command->user);
    if (is_last)
        end(command, 0);
    return 0;
}

static int
send_command(struct xhr_client *client, struct command *command, Xhrd__V1__AdminCommand admin)
{
    Xhrd__V1__ClientMessage message = XHRD__V1__CLIENT_MESSAGE__INIT;
    int r = xhr_client_add_slot(client, &command->slot);

    if (r < 0)
        return r;
    admin.command_id = command->slot.id;
    message.kind_case = XHRD__V1__CLIENT_MESSAGE__KIND_ADMIN;
    message.admin = &admin;
    r = xhr_link_queue(client, &message, &command->slot, NULL);
    if (r < 0)
        xhr_client_remove_slot(client, &command->slot);
    return r;
}

static int
start(struct xhr_client *client, const Xhrd__V1__AdminCommand *what, const struct command *as)
{
    struct command *command = client->is_freed ? NULL : malloc(sizeof(*command));
    int r;

    if (!command)
        return client->is_freed ? -ENOTCONN : -ENOMEM;
    *command = *as;
    command->slot.ops = &xhr_admin_ops;
    command->client = client;
    r = send_command(client, command, *what);
    if (r < 0) {
        free(command);
        return r;
    }
    xhr_client_hold(client);
    xhr_client_kick(client);
    xhr_client_release(client);
    return 0;
}

int xhr_admin_send(struct xhr_client *client,
                   const Xhrd__V1__AdminCommand *what,
                   const struct xhr_admin_events *events,
                   void *user)
{
    const struct command command = {.events = *events, .user = user};

    return start(client, what, &command);
}

int xhr_admin_ask_for(struct xhr_client *client,
                      const Xhrd__V1__AdminCommand *what,
                      const struct xhr_admin_events *events,
                      void *user)
{
    bool done = false;
    int result = 0;
    const struct command command = {
        .events = *events, .user = user, .ret_done = &done, .ret_result = &result};
    int r = client->is_dispatching ? -EDEADLK : start(client, what, &command);

    if (r == 0)
        r = xhr_sync_wait(client, &done);
    return r < 0 ? r : result;
}

int xhr_admin_ask(struct xhr_client *client,
                  Xhrd__V1__AdminTopic topic,
                  const char *host,
                  const struct xhr_admin_events *events,
                  void *user)
{
    Xhrd__V1__AdminCommand what = XHRD__V1__ADMIN_COMMAND__INIT;

    what.topic = topic;
    if (host)
        what.host = (ProtobufCBinaryData){strlen(host), (uint8_t *)(uintptr_t)host};
    return xhr_admin_ask_for(client, &what, events, user);
}
