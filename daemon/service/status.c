/* SPDX-License-Identifier: MIT */
/*
 * How the daemon is. The counters are everybody's for who is shown everything. Everybody else
 * is told of his own: a sum over all of them grows when another user asks, by as much as he was
 * told, and says of a connection whether he had it already.
 */
#include <unistd.h>

#include "base/log.h"
#include "pool/pool_stats.h"
#include "service/monitor.h"
#include "service/service_priv.h"

static void fill_all(const struct service *service, Xhrd__V1__Status *status)
{
    const struct fetcher *fetcher = service->fetcher;
    struct pool_counters pool;

    pool_counters(fetcher->pool, &pool);
    status->clients = service->n_clients;
    status->requests_active = fetcher->n_requests;
    status->requests_total = fetcher->counters.requests_total;
    status->requests_failed = fetcher->counters.requests_failed;
    status->requests_refused = service->requests_refused;
    status->bytes_down = fetcher->counters.bytes_down;
    status->bytes_up = fetcher->counters.bytes_up;
    status->connections_open = pool.connections_open;
    status->connections_opened = pool.connections_opened;
    status->connections_reused = pool.connections_reused;
    status->tls_handshakes_full = pool.tls_handshakes_full;
    status->tls_handshakes_resumed = pool.tls_handshakes_resumed;
    status->monitors = (uint32_t)service->n_monitors;
}

static void add_counters(const struct counters *counters, Xhrd__V1__Status *status)
{
    status->requests_total += counters->started;
    for (unsigned kind = FAILURE_NONE + 1; kind < FAILURE_KIND_COUNT; kind++)
        status->requests_failed += counters->over[kind];
    status->requests_refused += counters->refused;
    status->bytes_down += counters->bytes_down;
    status->bytes_up += counters->bytes_up;
    status->connections_opened += counters->opened;
    status->connections_reused += counters->reused;
    status->tls_handshakes_full += counters->tls_full;
    status->tls_handshakes_resumed += counters->tls_resumed;
}

static bool count_open(void *arg, const struct connection_row *row)
{
    uint64_t *open = arg;

    *open += row->state != CONNECTION_CONNECTING;
    return true;
}

static void fill_own(const struct client *client, Xhrd__V1__Status *status)
{
    const struct service *service = client->service;
    const struct quota *quota = &client->user->quota;
    uint32_t uid = client->peer.uid;

    LIST_FOREACH (at, &service->counters.list) {
        const struct counters *counters = CONTAINER_OF(at, struct counters, link);

        if (counters->partition.uid == uid)
            add_counters(counters, status);
    }
    status->clients = quota->used[QUOTA_CLIENTS];
    status->requests_active = quota->used[QUOTA_REQUESTS];
    pool_each_connection(service->fetcher->pool, uid, count_open, &status->connections_open);
    status->monitors = monitor_count(service, uid);
}

void admin_send_status(struct client *client, uint32_t command_id)
{
    struct service *service = client->service;
    Xhrd__V1__AdminReply reply = XHRD__V1__ADMIN_REPLY__INIT;
    Xhrd__V1__Status status = XHRD__V1__STATUS__INIT;
    bool sees_all = client_sees_all(client);
    bool persistent = true;

    service->events->ask_cookies(service->owner, sees_all ? POOL_EVERY_UID : client->peer.uid,
                                 &status.cookies, &persistent);
    status.version = bytes_of_span(span_of(service->options.version));
    status.pid = (uint32_t)getpid();
    status.uptime_s = (uint64_t)(loop_now_us(service->loop) - service->begun_us) / 1000000;
    status.per_user = service->options.per_user;
    status.persistence_lost = !persistent;
    status.state_dir = bytes_of_span(span_of(service->options.state_dir));
    status.socket_path = bytes_of_span(span_of(service->options.socket_path));
    status.draining = service->draining;
    status.log_level = bytes_of_span(span_of(log_level_name(log_get_level())));
    status.shows_all = sees_all;
    if (sees_all)
        fill_all(service, &status);
    else
        fill_own(client, &status);
    reply.command_id = command_id;
    reply.status = &status;
    admin_send(client, &reply);
}
