/* SPDX-License-Identifier: MIT */
/*
 * Messages that their user had no room for. Nothing of one is left but what it was about, so
 * that fails with quota (or internal, when nobody has memory), as it would have if the message
 * had been read and refused; the connection goes on. What needs no more than the number is
 * done.
 */
#include <errno.h>

#include "service/service_priv.h"
#include "wire/skim.h"

void client_refuse_long_hello(struct client *client)
{
    client_refuse(client, XHRD__V1__SESSION_ERROR__KIND__KIND_LIMIT,
                  "the first message must be ClientHello, of 4,096 bytes at most");
}

static void
fail_command(struct client *client, const struct wire_skim *what, const struct failure *why)
{
    uint32_t id = (uint32_t)what->id;

    if (id == 0)
        client_refuse(client, XHRD__V1__SESSION_ERROR__KIND__KIND_PROTOCOL,
                      "command_id: wants a number above 0");
    else if (what->kind == XHRD__V1__CLIENT_MESSAGE__KIND_COOKIE)
        cookie_service_fail(client, id, why);
    else if (what->kind == XHRD__V1__CLIENT_MESSAGE__KIND_ADMIN)
        admin_send_failure(client, id, why->kind, why->text);
    else
        network_service_fail(client, id, why);
}

static void
fail_what(struct client *client, const struct wire_skim *what, const struct failure *why)
{
    uint32_t id = (uint32_t)what->id;

    switch (what->kind) {
    case XHRD__V1__CLIENT_MESSAGE__KIND_OPEN: fetch_service_refuse(client, id, why); return;
    case XHRD__V1__CLIENT_MESSAGE__KIND_ABORT: fetch_service_abort(client, id); return;
    case XHRD__V1__CLIENT_MESSAGE__KIND_UNWATCH: cookie_watch_end(client, id); return;
    case XHRD__V1__CLIENT_MESSAGE__KIND_BODY:
    case XHRD__V1__CLIENT_MESSAGE__KIND_BODY_END:
    case XHRD__V1__CLIENT_MESSAGE__KIND_CREDIT:
    case XHRD__V1__CLIENT_MESSAGE__KIND_BODY_TO_FD:
    case XHRD__V1__CLIENT_MESSAGE__KIND_ANSWER: fetch_service_fail(client, id, why); return;
    case XHRD__V1__CLIENT_MESSAGE__KIND_COOKIE:
    case XHRD__V1__CLIENT_MESSAGE__KIND_ADMIN:
    case XHRD__V1__CLIENT_MESSAGE__KIND_NETWORK: fail_command(client, what, why); return;
    case XHRD__V1__CLIENT_MESSAGE__KIND_CONNECTION_ANSWER:
        answer_service_refuse(client, what->id);
        return;
    case XHRD__V1__CLIENT_MESSAGE__KIND_HELLO:
        client_refuse(client, XHRD__V1__SESSION_ERROR__KIND__KIND_PROTOCOL, "a second hello");
        return;
    default: break;
    }
    client_refuse(client, XHRD__V1__SESSION_ERROR__KIND__KIND_PROTOCOL,
                  "a message without a kind this version knows");
}

void client_on_unkept(void *owner, const struct wire_skim *what, int why)
{
    struct client *client = owner;
    struct failure failure;

    if (client->closed)
        return;
    if (why == -EDQUOT)
        failure_set(&failure, FAILURE_QUOTA,
                    "this user holds too many bytes already for a message of this size");
    else
        failure_set(&failure, FAILURE_INTERNAL, "out of memory");
    if (!client->greeted)
        client_refuse_long_hello(client);
    else if (what->is_broken)
        client_refuse(client, XHRD__V1__SESSION_ERROR__KIND__KIND_PROTOCOL,
                      "a frame that is no ClientMessage");
    else
        fail_what(client, what, &failure);
}
