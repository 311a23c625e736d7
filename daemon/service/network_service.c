/* SPDX-License-Identifier: MIT */
/*
 * Telling a client whether there is a network: as it is, and then each change, until it has
 * heard enough. What a network is, pool/reach.h knows.
 */
#include "service/service_priv.h"

static int send_state(struct client *client, Xhrd__V1__NetworkState *state)
{
    Xhrd__V1__ServerMessage message = XHRD__V1__SERVER_MESSAGE__INIT;

    message.kind_case = XHRD__V1__SERVER_MESSAGE__KIND_NETWORK;
    message.network = state;
    if (!state->failure)
        return client_send_if_room(client, &message);
    client_send(client, &message); /* its last word */
    return 0;
}

static void send_failure(struct client *client,
                         uint32_t command_id,
                         enum failure_kind kind,
                         const char *text)
{
    Xhrd__V1__NetworkState state = XHRD__V1__NETWORK_STATE__INIT;
    Xhrd__V1__Failure failure;
    struct failure why;

    failure_set(&why, kind, "%s", text);
    failure_to_pb(&why, &failure);
    state.command_id = command_id;
    state.failure = &failure;
    (void)send_state(client, &state);
}

static void tell(struct client *client, const struct network_state *from)
{
    static const Xhrd__V1__NetworkType types[] = {
        [NETWORK_NONE] = XHRD__V1__NETWORK_TYPE__NETWORK_TYPE_NONE,
        [NETWORK_WIFI] = XHRD__V1__NETWORK_TYPE__NETWORK_TYPE_WIFI,
        [NETWORK_MOBILE] = XHRD__V1__NETWORK_TYPE__NETWORK_TYPE_MOBILE,
        [NETWORK_LAN] = XHRD__V1__NETWORK_TYPE__NETWORK_TYPE_LAN,
        [NETWORK_UNKNOWN] = XHRD__V1__NETWORK_TYPE__NETWORK_TYPE_UNKNOWN,
    };
    Xhrd__V1__NetworkState state = XHRD__V1__NETWORK_STATE__INIT;

    state.command_id = client->network_command;
    state.online = from->is_online;
    state.type = types[from->type];
    state.monotonic_us = (uint64_t)loop_now_us(client->service->loop);
    if (send_state(client, &state) == 0)
        return;
    network_service_close(client); /* a gap would not be seen */
    send_failure(client, state.command_id, FAILURE_QUOTA, "this user holds too much already");
}

static void client_on_network(void *owner, const struct network_state *state)
{
    tell(owner, state);
}

static void begin(struct client *client, uint32_t command_id)
{
    struct network *network = client->service->fetcher->network;

    if (client->network_command != 0) {
        send_failure(client, command_id, FAILURE_ARGUMENT,
                     "network: is being watched already; one watch is enough");
        return;
    }
    if (!network) {
        send_failure(client, command_id, FAILURE_INTERNAL, "the network is not looked at");
        return;
    }
    client->network_command = command_id;
    client->network_watcher.on_change = client_on_network;
    client->network_watcher.owner = client;
    network_watch(network, &client->network_watcher);
    struct network_state state = network_state(network);
    tell(client, &state);
}

void network_service_fail(struct client *client, uint32_t command_id, const struct failure *why)
{
    if (command_id == client->network_command)
        network_service_close(client);
    send_failure(client, command_id, why->kind, why->text);
}

void network_service_close(struct client *client)
{
    if (client->network_command == 0)
        return;
    client->network_command = 0;
    network_unwatch(client->service->fetcher->network, &client->network_watcher);
}

void network_service_command(struct client *client, const Xhrd__V1__NetworkCommand *command)
{
    if (command->command_id == 0) {
        client_refuse(client, XHRD__V1__SESSION_ERROR__KIND__KIND_PROTOCOL,
                      "command_id: wants a number above 0");
        return;
    }
    switch (command->operation_case) {
    case XHRD__V1__NETWORK_COMMAND__OPERATION_WATCH: begin(client, command->command_id); return;
    case XHRD__V1__NETWORK_COMMAND__OPERATION_UNWATCH:
        if (command->command_id == client->network_command)
            network_service_close(client);
        return;
    case XHRD__V1__NETWORK_COMMAND__OPERATION__NOT_SET:
    case _XHRD__V1__NETWORK_COMMAND__OPERATION__CASE_IS_INT_SIZE: break;
    }
    client_refuse(client, XHRD__V1__SESSION_ERROR__KIND__KIND_PROTOCOL,
                  "network: neither watch nor unwatch is set");
}
