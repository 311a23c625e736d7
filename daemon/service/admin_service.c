/* SPDX-License-Identifier: MIT */
/*
 * What the daemon holds and does, in rows. A user is shown his own, root and who
 * Administrators= names everything. A listing longer than one frame goes on in the next reply.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/mem.h"
#include "fetch/request.h"
#include "pool/pool_stats.h"
#include "service/service_priv.h"
#include "service/tls_convert.h"

#define ROWS_PER_REPLY 512

/* A page being filled. Rows and what they point to live until it is sent. */
struct listing {
    struct client *client;
    uint32_t command_id;
    uint32_t uid; /* whose rows; POOL_EVERY_UID: all */
    size_t n;
    union {
        Xhrd__V1__ClientRow *clients[ROWS_PER_REPLY];
        Xhrd__V1__RequestRow *requests[ROWS_PER_REPLY];
        Xhrd__V1__ConnectionRow *connections[ROWS_PER_REPLY];
        Xhrd__V1__PoolRow *pools[ROWS_PER_REPLY];
        Xhrd__V1__TlsSessionRow *tls_sessions[ROWS_PER_REPLY];
    } rows;
    union {
        Xhrd__V1__ClientRow clients[ROWS_PER_REPLY];
        Xhrd__V1__RequestRow requests[ROWS_PER_REPLY];
        Xhrd__V1__ConnectionRow connections[ROWS_PER_REPLY];
        Xhrd__V1__PoolRow pools[ROWS_PER_REPLY];
        Xhrd__V1__TlsSessionRow tls_sessions[ROWS_PER_REPLY];
    } storage;
    struct buf texts[ROWS_PER_REPLY * 4];
    size_t n_texts;
    bool has_failed;
    void (*attach)(struct listing *listing, Xhrd__V1__AdminReply *reply);
};

void admin_send(struct client *client, Xhrd__V1__AdminReply *reply)
{
    Xhrd__V1__ServerMessage message = XHRD__V1__SERVER_MESSAGE__INIT;

    message.kind_case = XHRD__V1__SERVER_MESSAGE__KIND_ADMIN;
    message.admin = reply;
    client_send(client, &message);
}

void admin_send_failure(struct client *client,
                        uint32_t command_id,
                        enum failure_kind kind,
                        const char *text)
{
    Xhrd__V1__AdminReply reply = XHRD__V1__ADMIN_REPLY__INIT;
    Xhrd__V1__Failure failure;
    struct failure why;

    failure_set(&why, kind, "%s", text);
    failure_to_pb(&why, &failure);
    reply.command_id = command_id;
    reply.failure = &failure;
    admin_send(client, &reply);
}

bool admin_send_or_fail(struct client *client, Xhrd__V1__AdminReply *reply)
{
    Xhrd__V1__ServerMessage message = XHRD__V1__SERVER_MESSAGE__INIT;

    message.kind_case = XHRD__V1__SERVER_MESSAGE__KIND_ADMIN;
    message.admin = reply;
    if (client_send_if_room(client, &message) == 0)
        return true;
    admin_send_failure(client, reply->command_id, FAILURE_QUOTA,
                       "this user holds too much already");
    return false;
}

/* Nothing more once it has failed: that reply was the last. */
static void tell_page(struct listing *listing, bool more)
{
    Xhrd__V1__AdminReply reply = XHRD__V1__ADMIN_REPLY__INIT;

    if (listing->has_failed)
        return;
    reply.command_id = listing->command_id;
    reply.more = more;
    if (listing->n > 0)
        listing->attach(listing, &reply);
    listing->has_failed = !admin_send_or_fail(listing->client, &reply);
}

static void send_page(struct listing *listing, bool more)
{
    tell_page(listing, more);
    for (size_t i = 0; i < listing->n_texts; i++)
        buf_done(&listing->texts[i]);
    listing->n_texts = 0;
    listing->n = 0;
}

/* A copy that lives as long as the page; empty for lack of memory. */
static ProtobufCBinaryData keep(struct listing *listing, struct span text)
{
    struct buf *copy = &listing->texts[listing->n_texts++];

    *copy = BUF_INIT(0);
    if (buf_append(copy, text) < 0)
        return (ProtobufCBinaryData){0};
    return bytes_of_span(buf_span(copy));
}

static size_t next_row(struct listing *listing)
{
    if (listing->n == ROWS_PER_REPLY)
        send_page(listing, true);
    return listing->n++;
}

static bool is_shown(const struct listing *listing, uint32_t uid)
{
    return listing->uid == POOL_EVERY_UID || listing->uid == uid;
}

static uint64_t seconds_since(const struct service *service, int64_t then_us)
{
    return (uint64_t)(loop_now_us(service->loop) - then_us) / 1000000;
}

/* ---- clients
 * ------------------------------------------------------------------------------------ */

static void attach_clients(struct listing *listing, Xhrd__V1__AdminReply *reply)
{
    reply->clients = listing->rows.clients;
    reply->n_clients = listing->n;
}

static void list_clients(struct listing *listing)
{
    struct service *service = listing->client->service;

    listing->attach = attach_clients;
    LIST_FOREACH (at, &service->clients) {
        struct client *client = CONTAINER_OF(at, struct client, link);

        if (!is_shown(listing, client->peer.uid))
            continue;
        size_t i = next_row(listing);
        Xhrd__V1__ClientRow *row = listing->rows.clients[i] = &listing->storage.clients[i];
        xhrd__v1__client_row__init(row);
        row->client_id = client->id;
        row->uid = client->peer.uid;
        row->pid = (uint32_t)client->peer.pid;
        row->program = bytes_of_span(span_of(client->program));
        row->profile = client->partition.profile;
        row->requests_active = (uint32_t)client->requests.count;
        row->requests_total = client->requests_total;
        row->queued_bytes = session_queued_bytes(client->session);
        row->connected_s = seconds_since(service, client->begun_us);
    }
}

/* ---- requests
 * ------------------------------------------------------------------------------------ */

static void attach_requests(struct listing *listing, Xhrd__V1__AdminReply *reply)
{
    reply->requests = listing->rows.requests;
    reply->n_requests = listing->n;
}

static bool add_request(void *arg, const struct request_row *from)
{
    struct listing *listing = arg;
    CLEANUP_BUF struct buf url = BUF_INIT(0);

    if (!is_shown(listing, from->uid))
        return true;
    size_t i = next_row(listing);
    Xhrd__V1__RequestRow *row = listing->rows.requests[i] = &listing->storage.requests[i];
    xhrd__v1__request_row__init(row);
    row->request = from->id;
    row->client_id = fetch_service_client_of(from->owner)->id;
    row->uid = from->uid;
    row->method = keep(listing, span_of(from->method));
    if (url_format(from->url, URL_WITHOUT_USERINFO | URL_WITHOUT_QUERY | URL_WITHOUT_FRAGMENT,
                   &url) == 0)
        row->url = keep(listing, span_take(buf_span(&url), 512));
    row->state = bytes_of_span(span_of(from->state));
    row->age_us = (uint64_t)from->age_us;
    row->body_bytes = from->body_bytes;
    row->connection_id = from->connection_id;
    row->early_data = request_early_to_pb(from->early);
    return true;
}

static void list_requests(struct listing *listing)
{
    listing->attach = attach_requests;
    request_each(listing->client->service->fetcher, add_request, listing);
}

/* ---- connections and pools
 * ------------------------------------------------------------------------ */

static void attach_connections(struct listing *listing, Xhrd__V1__AdminReply *reply)
{
    reply->connections = listing->rows.connections;
    reply->n_connections = listing->n;
}

static ProtobufCBinaryData keep_format(struct listing *listing,
                                       const char *a,
                                       struct span first,
                                       const char *b,
                                       struct span second)
{
    char text[256];
    int n = snprintf(text, sizeof(text), "%s%.*s%s%.*s", a, (int)first.len, first.ptr, b,
                     (int)second.len, second.ptr);

    return n < 0 ? (ProtobufCBinaryData){0} : keep(listing, span_of(text));
}

static bool add_connection(void *arg, const struct connection_row *from)
{
    struct listing *listing = arg;
    size_t i = next_row(listing);
    Xhrd__V1__ConnectionRow *row = listing->rows.connections[i] =
        &listing->storage.connections[i];
    char address[128];

    xhrd__v1__connection_row__init(row);
    row->connection_id = from->connection_id;
    row->uid = from->partition->uid;
    row->profile = (char *)(uintptr_t)from->partition->profile;
    row->origin = keep(listing, from->origin);
    int n = snprintf(address, sizeof(address), "%.*s %u", (int)from->remote_address.len,
                     from->remote_address.ptr, from->remote_port);
    if (n > 0 && from->remote_address.len > 0)
        row->remote_address = keep(listing, span_of(address));
    if (from->proxy.len > 0)
        row->proxy = keep(listing, from->proxy);
    row->state = bytes_of_span(span_of(connection_state_name(from->state)));
    row->exchanges = from->exchanges;
    row->age_s = from->age_s;
    row->idle_s = from->idle_s;
    if (from->tls_version.len > 0)
        row->tls = keep_format(listing, "", from->tls_version, " ", from->tls_cipher);
    row->early_data = early_data_to_pb(from->early_data);
    return true;
}

static void attach_pools(struct listing *listing, Xhrd__V1__AdminReply *reply)
{
    reply->pools = listing->rows.pools;
    reply->n_pools = listing->n;
}

static bool add_pool(void *arg, const struct pool_row *from)
{
    struct listing *listing = arg;
    size_t i = next_row(listing);
    Xhrd__V1__PoolRow *row = listing->rows.pools[i] = &listing->storage.pools[i];

    xhrd__v1__pool_row__init(row);
    row->uid = from->partition->uid;
    row->profile = (char *)(uintptr_t)from->partition->profile;
    row->origin = keep(listing, from->origin);
    row->connecting = from->connecting;
    row->busy = from->busy;
    row->idle = from->idle;
    row->waiting = from->waiting;
    row->limit = from->limit;
    if (from->proxy.len > 0)
        row->proxy = keep(listing, from->proxy);
    return true;
}

static void list_connections(struct listing *listing)
{
    listing->attach = attach_connections;
    pool_each_connection(listing->client->service->fetcher->pool, listing->uid, add_connection,
                         listing);
}

static void list_pools(struct listing *listing)
{
    listing->attach = attach_pools;
    pool_each_key(listing->client->service->fetcher->pool, listing->uid, add_pool, listing);
}

/* ---- TLS sessions
 * --------------------------------------------------------------------------------- */

static void attach_tls_sessions(struct listing *listing, Xhrd__V1__AdminReply *reply)
{
    reply->tls_sessions = listing->rows.tls_sessions;
    reply->n_tls_sessions = listing->n;
}

static ProtobufCBinaryData keep_origin(struct listing *listing, const char *host, uint16_t port)
{
    bool is_v6 = strchr(host, ':') != NULL;
    char text[300];
    int n =
        snprintf(text, sizeof(text), is_v6 ? "https://[%s]:%u" : "https://%s:%u", host, port);

    if (port == 443 && n > 4)
        text[n - 4] = '\0'; /* ":443" */
    return keep(listing, span_of(text));
}

static bool add_tls_session(void *arg, const struct tls_session_listed *from)
{
    struct listing *listing = arg;
    size_t i = next_row(listing);
    Xhrd__V1__TlsSessionRow *row = listing->rows.tls_sessions[i] =
        &listing->storage.tls_sessions[i];

    xhrd__v1__tls_session_row__init(row);
    row->uid = from->partition->uid;
    row->profile = (char *)(uintptr_t)from->partition->profile;
    row->origin = keep_origin(listing, from->host, from->port);
    row->version = bytes_of_span(span_of(from->version));
    row->cipher = bytes_of_span(span_of(from->cipher));
    row->age_s = (uint64_t)from->age_s;
    row->left_s = (uint64_t)from->left_s;
    row->uses = from->uses;
    row->persistent = from->is_persistent;
    return true;
}

static void list_tls_sessions(struct listing *listing)
{
    struct service *service = listing->client->service;

    listing->attach = attach_tls_sessions;
    service->events->each_tls_session(service->owner, listing->uid, add_tls_session, listing);
}

static void
send_listing(struct client *client, uint32_t command_id, void (*fill)(struct listing *listing))
{
    CLEANUP_MEM struct listing *listing = mem_zalloc(sizeof(*listing));

    if (!listing) {
        admin_send_failure(client, command_id, FAILURE_INTERNAL, "out of memory");
        return;
    }
    listing->client = client;
    listing->command_id = command_id;
    listing->uid = client_sees_all(client) ? POOL_EVERY_UID : client->peer.uid;
    fill(listing);
    send_page(listing, false);
}

void admin_service_command(struct client *client, const Xhrd__V1__AdminCommand *message)
{
    if (ops_service_command(client, message))
        return;
    switch ((int)message->topic) {
    case XHRD__V1__ADMIN_TOPIC__ADMIN_TOPIC_STATUS:
        admin_send_status(client, message->command_id);
        return;
    case XHRD__V1__ADMIN_TOPIC__ADMIN_TOPIC_CLIENTS:
        send_listing(client, message->command_id, list_clients);
        return;
    case XHRD__V1__ADMIN_TOPIC__ADMIN_TOPIC_REQUESTS:
        send_listing(client, message->command_id, list_requests);
        return;
    case XHRD__V1__ADMIN_TOPIC__ADMIN_TOPIC_CONNECTIONS:
        send_listing(client, message->command_id, list_connections);
        return;
    case XHRD__V1__ADMIN_TOPIC__ADMIN_TOPIC_POOLS:
        send_listing(client, message->command_id, list_pools);
        return;
    case XHRD__V1__ADMIN_TOPIC__ADMIN_TOPIC_TLS_SESSIONS:
        send_listing(client, message->command_id, list_tls_sessions);
        return;
    case XHRD__V1__ADMIN_TOPIC__ADMIN_TOPIC_HSTS:
    case XHRD__V1__ADMIN_TOPIC__ADMIN_TOPIC_HSTS_REMOVE:
        hsts_service_command(client, message);
        return;
    case XHRD__V1__ADMIN_TOPIC__ADMIN_TOPIC_CACHE:
    case XHRD__V1__ADMIN_TOPIC__ADMIN_TOPIC_CACHE_CLEAR:
        cache_service_command(client, message);
        return;
    case XHRD__V1__ADMIN_TOPIC__ADMIN_TOPIC_PURGE_USER:
        purge_service_command(client, message);
        return;
    case XHRD__V1__ADMIN_TOPIC__ADMIN_TOPIC_POLICY:
        policy_service_command(client, message);
        return;
    default: break;
    }
    client_refuse(client, XHRD__V1__SESSION_ERROR__KIND__KIND_PROTOCOL,
                  "topic: wants one of the ADMIN_TOPIC values");
}
