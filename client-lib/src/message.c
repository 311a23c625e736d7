/* SPDX-License-Identifier: MIT */
/* Messages of the daemon: looked at before they are unpacked, and handed to whom they answer.
 * What it says of a request that is over here (aborted, freed) crossed ours on its way. */
#include <stdlib.h>
#include <string.h>

#include "wire/codec.h"
#include "wire/precheck.h"
#include "xhr_priv.h"

#define PROTOCOL          1
#define VERSION_BYTES_MAX 256
#define MESSAGE_BYTES     4096 /* of the stack; a head with some forty fields */

static int refuse(struct xhr_failure *why, const char *what)
{
    xhr_failure_set(why, XHR_ERROR_DAEMON_PROTOCOL, "the daemon sent %s", what);
    return -EPROTO;
}

/* Return: 1 and *ret; 0 when it is over here; -EPROTO. */
static int find(const struct xhr_client *client,
                uint32_t id,
                const struct xhr_slot_ops *ops,
                struct xhr_slot **ret,
                struct xhr_failure *why)
{
    struct xhr_slot *slot = xhr_client_find_slot(client, id);

    if (!slot)
        return xhr_client_knows_id(client, id) ? 0 : refuse(why, "a number nobody gave it");
    if (slot->ops != ops)
        return refuse(why, "an answer to something else");
    *ret = slot;
    return 1;
}

static int
on_hello(struct xhr_client *client, const Xhrd__V1__ServerHello *hello, struct xhr_failure *why)
{
    size_t len =
        hello->version.len < VERSION_BYTES_MAX ? hello->version.len : VERSION_BYTES_MAX;

    if (client->is_hello_read)
        return refuse(why, "hello twice");
    if (hello->protocol != PROTOCOL) {
        xhr_failure_set(why, XHR_ERROR_DAEMON_REFUSED,
                        "the daemon speaks version %u of the protocol, this library %d",
                        hello->protocol, PROTOCOL);
        return -EPROTO;
    }
    if (hello->upload_credit_bytes < XHR_UPLOAD_CREDIT)
        return refuse(why, "an upload credit below 65536");
    char *version = xhr_dup(hello->version.data, len);
    if (!version) {
        xhr_failure_set(why, XHR_ERROR_MEMORY, "no memory for the daemon's hello");
        return -ENOMEM;
    }
    free(client->daemon_version);
    client->daemon_version = version;
    client->daemon = (struct xhr_daemon_info){
        .protocol = hello->protocol,
        .version = version,
        .uid = hello->uid,
        .requests_max = hello->requests_max,
        .per_user = hello->per_user,
    };
    client->upload_credit = hello->upload_credit_bytes;
    xhr_link_on_hello(client);
    xhr_upload_on_hello(client);
    return 0;
}

/* It is the last message: whatever was in flight ends with it. */
static int on_error(const Xhrd__V1__SessionError *error, struct xhr_failure *why)
{
    enum xhr_error_class kind;
    size_t len = error->text.len < XHR_TEXT_MAX / 2 ? error->text.len : XHR_TEXT_MAX / 2;
    char text[XHR_TEXT_MAX / 2 + 1];

    switch (error->kind) {
    case XHRD__V1__SESSION_ERROR__KIND__KIND_SHUTDOWN: kind = XHR_ERROR_SHUTDOWN; break;
    case XHRD__V1__SESSION_ERROR__KIND__KIND_LIMIT:
    case XHRD__V1__SESSION_ERROR__KIND__KIND_VERSION:
    case XHRD__V1__SESSION_ERROR__KIND__KIND_DENIED: kind = XHR_ERROR_DAEMON_REFUSED; break;
    case XHRD__V1__SESSION_ERROR__KIND__KIND_TIMEOUT: kind = XHR_ERROR_DAEMON_LOST; break;
    case XHRD__V1__SESSION_ERROR__KIND__KIND_PROTOCOL: kind = XHR_ERROR_DAEMON_PROTOCOL; break;
    case XHRD__V1__SESSION_ERROR__KIND__KIND_UNSPECIFIED:
    default: return refuse(why, "a session error without a kind");
    }
    if (len > 0)
        memcpy(text, error->text.data, len);
    text[len] = '\0';
    xhr_make_printable(text);
    xhr_failure_set(why, kind, "the daemon closed the connection: %s", text);
    return -ECONNABORTED;
}

static uint32_t request_id_of(const Xhrd__V1__ServerMessage *message)
{
    switch (message->kind_case) {
    case XHRD__V1__SERVER_MESSAGE__KIND_READY_STATE: return message->ready_state->request_id;
    case XHRD__V1__SERVER_MESSAGE__KIND_HEAD: return message->head->request_id;
    case XHRD__V1__SERVER_MESSAGE__KIND_HOP: return message->hop->request_id;
    case XHRD__V1__SERVER_MESSAGE__KIND_BODY: return message->body->request_id;
    case XHRD__V1__SERVER_MESSAGE__KIND_PROGRESS: return message->progress->request_id;
    case XHRD__V1__SERVER_MESSAGE__KIND_CREDIT: return message->credit->request_id;
    case XHRD__V1__SERVER_MESSAGE__KIND_DONE: return message->done->request_id;
    case XHRD__V1__SERVER_MESSAGE__KIND_FAILED: return message->failed->request_id;
    case XHRD__V1__SERVER_MESSAGE__KIND_REDIRECTED: return message->redirected->request_id;
    case XHRD__V1__SERVER_MESSAGE__KIND_QUESTION: return message->question->request_id;
    case XHRD__V1__SERVER_MESSAGE__KIND__NOT_SET:
    case XHRD__V1__SERVER_MESSAGE__KIND_HELLO:
    case XHRD__V1__SERVER_MESSAGE__KIND_COOKIE:
    case XHRD__V1__SERVER_MESSAGE__KIND_COOKIE_CHANGES:
    case XHRD__V1__SERVER_MESSAGE__KIND_ADMIN:
    case XHRD__V1__SERVER_MESSAGE__KIND_NETWORK:
    case XHRD__V1__SERVER_MESSAGE__KIND_CONNECTION_QUESTION:
    case XHRD__V1__SERVER_MESSAGE__KIND_ERROR:
    default: return 0;
    }
}

static int on_request_message(struct xhr_client *client,
                              const Xhrd__V1__ServerMessage *message,
                              struct xhr_failure *why)
{
    struct xhr_slot *slot = NULL;
    int r = find(client, request_id_of(message), &xhr_request_ops, &slot, why);

    return r > 0 ? xhr_request_on_message(xhr_request_of_slot(slot), message, why) : r;
}

/* To a command, or the beginning of a watch. */
static int on_cookie_reply(struct xhr_client *client,
                           const Xhrd__V1__CookieReply *reply,
                           struct xhr_failure *why)
{
    struct xhr_slot *slot = xhr_client_find_slot(client, reply->command_id);
    int r;

    if (slot && slot->ops == &xhr_watch_ops)
        return xhr_watch_on_reply(slot, reply, why);
    r = find(client, reply->command_id, &xhr_cookies_ops, &slot, why);
    return r > 0 ? xhr_cookies_on_reply(slot, reply, why) : r;
}

static int
take(struct xhr_client *client, const Xhrd__V1__ServerMessage *message, struct xhr_failure *why)
{
    struct xhr_slot *slot = NULL;
    int r;

    if (message->kind_case == XHRD__V1__SERVER_MESSAGE__KIND_HELLO)
        return on_hello(client, message->hello, why);
    if (message->kind_case == XHRD__V1__SERVER_MESSAGE__KIND_ERROR)
        return on_error(message->error, why);
    if (message->kind_case == XHRD__V1__SERVER_MESSAGE__KIND__NOT_SET)
        return refuse(why, "an empty message");
    if (!client->is_hello_read)
        return refuse(why, "something before its hello");

    if (message->kind_case == XHRD__V1__SERVER_MESSAGE__KIND_COOKIE)
        return on_cookie_reply(client, message->cookie, why);
    if (message->kind_case == XHRD__V1__SERVER_MESSAGE__KIND_COOKIE_CHANGES) {
        r = find(client, message->cookie_changes->command_id, &xhr_watch_ops, &slot, why);
        return r > 0 ? xhr_watch_on_changes(slot, message->cookie_changes, why) : r;
    }
    if (message->kind_case == XHRD__V1__SERVER_MESSAGE__KIND_ADMIN) {
        r = find(client, message->admin->command_id, &xhr_admin_ops, &slot, why);
        return r > 0 ? xhr_admin_on_reply(slot, message->admin, why) : r;
    }
    if (message->kind_case == XHRD__V1__SERVER_MESSAGE__KIND_NETWORK) {
        r = find(client, message->network->command_id, &xhr_network_ops, &slot, why);
        return r > 0 ? xhr_network_on_state(slot, message->network, why) : r;
    }
    if (message->kind_case == XHRD__V1__SERVER_MESSAGE__KIND_CONNECTION_QUESTION)
        return xhr_signing_on_question(client, message->connection_question, why);
    return on_request_message(client, message, why);
}

/* What wire_unpack() leaves: the unusual and the wrong. */
static int take_slowly(struct xhr_client *client,
                       const struct wire_frame *frame,
                       struct xhr_failure *ret_why)
{
    enum wire_verdict verdict =
        wire_precheck(&xhrd__v1__server_message__descriptor, frame->bytes, frame->len);
    Xhrd__V1__ServerMessage *message;
    int r;

    if (verdict != WIRE_FINE)
        return refuse(ret_why, wire_verdict_text(verdict));
    message = xhrd__v1__server_message__unpack(NULL, frame->len, frame->bytes);
    if (!message)
        return refuse(ret_why, wire_verdict_text(WIRE_BAD_SYNTAX));
    r = take(client, message, ret_why);
    xhrd__v1__server_message__free_unpacked(message, NULL);
    return r;
}

/* The message borrows from the receive buffer, which stands still while callbacks run. */
int xhr_message_take(struct xhr_client *client,
                     const struct wire_frame *frame,
                     struct xhr_failure *ret_why)
{
    _Alignas(8) uint8_t block[MESSAGE_BYTES];
    const Xhrd__V1__ServerMessage *message = wire_unpack(
        &xhrd__v1__server_message__descriptor, frame->bytes, frame->len, block, sizeof(block));

    return message ? take(client, message, ret_why) : take_slowly(client, frame, ret_why);
}

int xhr_message_take_body(struct xhr_client *client,
                          uint32_t request_id,
                          const uint8_t *data,
                          size_t len,
                          struct xhr_failure *ret_why)
{
    struct xhr_slot *slot = NULL;
    int r = find(client, request_id, &xhr_request_ops, &slot, ret_why);

    return r > 0 ? xhr_request_on_body(xhr_request_of_slot(slot), data, len, ret_why) : r;
}
