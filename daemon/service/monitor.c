/* SPDX-License-Identifier: MIT */
/*
 * Who watches requests go by. Each event is told at once or not at all: a watcher whose queue
 * is full, or whose user holds too much, loses it and is told later how many he lost. Nothing
 * waits for a watcher, and while there is none an event costs one look.
 */
#include "service/monitor.h"

#include <stdlib.h>
#include <time.h>

#include "base/fault.h"
#include "base/mem.h"
#include "service/service_priv.h"
#include "service/tls_convert.h"

struct monitor {
    struct link link;      /* in service->monitors */
    struct link in_client; /* in client->monitors */
    struct client *client;
    struct charge place; /* one of QUOTA_WATCHERS */
    uint32_t command_id;
    bool with_headers;
    uint64_t lost; /* not told yet */
};

/* ---- a record as a message -----------------------------------------------------------------
 */

#define LINES_MAX (2 * RECORD_LINES_MAX)

struct record_message {
    Xhrd__V1__RequestRecord record;
    Xhrd__V1__Failure failure;
    Xhrd__V1__Timing timing;
    char tls[RECORD_WORD_MAX * 2];
    Xhrd__V1__Header lines[LINES_MAX];
    Xhrd__V1__Header *list[LINES_MAX];
};

static int64_t wall_us(void)
{
    struct timespec now;

    (void)timespec_get(&now, TIME_UTC);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static void put_lines(const struct record *from, struct record_message *to)
{
    uint32_t n = from->n_sent + from->n_received;

    for (uint32_t i = 0; i < n; i++) {
        struct header line = record_line(from, i);

        xhrd__v1__header__init(&to->lines[i]);
        to->lines[i].name = bytes_of_span(line.name);
        to->lines[i].value = bytes_of_span(line.value);
        to->list[i] = &to->lines[i];
    }
    to->record.sent = to->list;
    to->record.n_sent = from->n_sent;
    to->record.received = to->list + from->n_sent;
    to->record.n_received = from->n_received;
    to->record.lines_left_out = from->n_left_out;
}

static void put_end(const struct record *from, struct record_message *to)
{
    to->record.is_over = true;
    to->record.body_bytes = from->body_bytes;
    to->record.wire_bytes = from->wire_bytes;
    to->record.upload_bytes = from->upload_bytes;
    to->record.header_bytes = from->header_bytes;
    to->record.request_bytes = from->request_bytes;
    timing_to_pb(&from->timing, &to->timing);
    to->record.timing = &to->timing;
    if (from->failure.kind == FAILURE_NONE)
        return;
    failure_to_pb(&from->failure, &to->failure);
    to->record.failure = &to->failure;
}

static void put_connection(const struct record *from, struct record_message *to)
{
    to->record.status = from->status;
    to->record.reason = bytes_of_span(from->reason);
    to->record.http_version = from->http_version;
    to->record.remote_address = bytes_of_span(from->address);
    to->record.remote_port = from->remote_port;
    to->record.connection_id = from->connection_id;
    to->record.reused = from->reused;
    to->record.proxy = bytes_of_span(from->proxy);
    to->record.tls_resumed = from->tls_resumed;
    to->record.from_cache = from->from_cache;
    to->record.early_data = request_early_to_pb((enum request_early)from->early);
    to->record.redirects = from->redirects;
    if (from->tls_version.len == 0)
        return;
    struct span version = span_take(from->tls_version, RECORD_WORD_MAX - 1);
    memcpy(to->tls, version.ptr, version.len);
    to->tls[version.len] = ' ';
    if (from->tls_cipher.len > 0)
        memcpy(to->tls + version.len + 1, from->tls_cipher.ptr, from->tls_cipher.len);
    to->record.tls =
        bytes_of_span((struct span){to->tls, version.len + 1 + from->tls_cipher.len});
}

static void
put_record(const struct client *client, const struct record *from, struct record_message *to)
{
    int64_t age_us = loop_now_us(client->service->loop) - from->begun_us;

    xhrd__v1__request_record__init(&to->record);
    to->record.request = from->id;
    to->record.client_id = from->client_id;
    to->record.uid = from->partition.uid;
    to->record.profile = (char *)(uintptr_t)from->partition.profile;
    to->record.program = bytes_of_span(from->program);
    to->record.method = bytes_of_span(from->method);
    to->record.url = bytes_of_span(from->url);
    to->record.started_us = wall_us() - age_us;
    to->record.is_hop = from->is_hop;
    to->record.hop_us = (uint64_t)from->hop_us;
    if (from->has_head)
        put_connection(from, to);
    if (from->is_over)
        put_end(from, to);
}

/* ---- telling -------------------------------------------------------------------------------
 */

static void send_event(struct monitor *monitor, Xhrd__V1__AdminReply *reply)
{
    Xhrd__V1__ServerMessage message = XHRD__V1__SERVER_MESSAGE__INIT;
    struct client *client = monitor->client;

    message.kind_case = XHRD__V1__SERVER_MESSAGE__KIND_ADMIN;
    message.admin = reply;
    if (session_is_congested(client->session) || client_send_if_room(client, &message) < 0) {
        monitor->lost++;
        client->service->monitor_lost++;
        return;
    }
    monitor->lost = 0;
}

static bool may_see(const struct client *client, const struct record *record)
{
    return client->peer.uid == record->partition.uid || client_sees_all(client);
}

static void
tell(struct monitor *monitor, struct record_message *to, const struct record *record, int kind)
{
    Xhrd__V1__AdminReply reply = XHRD__V1__ADMIN_REPLY__INIT;
    Xhrd__V1__MonitorEvent event = XHRD__V1__MONITOR_EVENT__INIT;

    if (monitor->client->closed || !monitor->client->session ||
        !may_see(monitor->client, record) || (record->is_hop && !monitor->with_headers))
        return;
    put_record(monitor->client, record, to);
    if (monitor->with_headers)
        put_lines(record, to);
    event.kind = (Xhrd__V1__MonitorEvent__Kind)kind;
    event.when_us = wall_us();
    event.record = &to->record;
    reply.command_id = monitor->command_id;
    reply.more = true;
    reply.lost = monitor->lost;
    reply.event = &event;
    send_event(monitor, &reply);
}

void monitor_tell(struct service *service, int kind, const struct record *record)
{
    CLEANUP_MEM struct record_message *to = mem_alloc(sizeof(*to));

    LIST_FOREACH (at, &service->monitors) {
        struct monitor *monitor = CONTAINER_OF(at, struct monitor, link);

        if (to && record)
            tell(monitor, to, record, kind);
        else
            monitor->lost++;
    }
}

/* There is room again: nobody should take silence for nothing. */
void monitor_resume_all(struct client *client)
{
    LIST_FOREACH (at, &client->monitors) {
        struct monitor *monitor = CONTAINER_OF(at, struct monitor, in_client);
        Xhrd__V1__AdminReply reply = XHRD__V1__ADMIN_REPLY__INIT;

        if (monitor->lost == 0)
            continue;
        reply.command_id = monitor->command_id;
        reply.more = true;
        reply.lost = monitor->lost;
        monitor->lost = 0;
        admin_send(client, &reply);
    }
}

/* ---- life ----------------------------------------------------------------------------------
 */

void monitor_begin(struct client *client, const Xhrd__V1__AdminCommand *message)
{
    Xhrd__V1__AdminReply reply = XHRD__V1__ADMIN_REPLY__INIT;
    struct monitor *monitor = mem_zalloc(sizeof(*monitor));

    if (!monitor || charge_take(&monitor->place, &client->user->quota, QUOTA_WATCHERS, 1) < 0) {
        admin_send_failure(client, message->command_id,
                           monitor ? FAILURE_QUOTA : FAILURE_INTERNAL,
                           monitor ? "this user watches too much already" : "out of memory");
        mem_free(monitor);
        return;
    }
    monitor->client = client;
    monitor->command_id = message->command_id;
    monitor->with_headers = message->with_headers;
    list_append(&client->service->monitors, &monitor->link);
    list_append(&client->monitors, &monitor->in_client);
    client->service->n_monitors++;
    reply.command_id = message->command_id;
    reply.more = true; /* it has begun */
    admin_send(client, &reply);
}

uint32_t monitor_count(const struct service *service, uint32_t uid)
{
    uint32_t n = 0;

    LIST_FOREACH (at, &service->monitors)
        n += CONTAINER_OF(at, struct monitor, link)->client->peer.uid == uid;
    return n;
}

void monitor_close_all(struct client *client)
{
    while (!list_is_empty(&client->monitors)) {
        struct monitor *monitor =
            CONTAINER_OF(list_first(&client->monitors), struct monitor, in_client);

        charge_release(&monitor->place);
        link_remove(&monitor->link);
        link_remove(&monitor->in_client);
        client->service->n_monitors--;
        mem_free(monitor);
    }
}

/* Return: whether it was told. */
static bool tell_record(struct client *client,
                        uint32_t command_id,
                        const struct record *record,
                        bool is_last)
{
    CLEANUP_MEM struct record_message *to = mem_alloc(sizeof(*to));
    Xhrd__V1__AdminReply reply = XHRD__V1__ADMIN_REPLY__INIT;

    if (!to) {
        admin_send_failure(client, command_id, FAILURE_INTERNAL, "out of memory");
        return false;
    }
    put_record(client, record, to);
    put_lines(record, to);
    reply.command_id = command_id;
    reply.more = !is_last;
    reply.record = &to->record;
    return admin_send_or_fail(client, &reply);
}

void history_service_command(struct client *client, const Xhrd__V1__AdminCommand *message)
{
    const struct histories *all = &client->service->histories;
    bool sees_all = client_sees_all(client);
    uint32_t uid = client->peer.uid;
    const struct record *record = history_next_hop(all, uid, sees_all, message->request, NULL);

    if (!record)
        admin_send_failure(client, message->command_id, FAILURE_ARGUMENT,
                           "request: none of yours among the last ones; see "
                           "xhrctl monitor, xhr -v or the journal for numbers");
    while (record) {
        const struct record *next =
            history_next_hop(all, uid, sees_all, message->request, record);

        if (!tell_record(client, message->command_id, record, !next))
            return;
        record = next;
    }
}
