/* SPDX-License-Identifier: MIT */
/*
 * The counters as text of OpenMetrics 1.0, for Prometheus and its kin. A user is told of his
 * own partitions and quotas; who is shown everything, of all and of the daemon.
 *
 * How many series there are is bounded: by COUNTERS_PARTITIONS_MAX and by the kinds of failure,
 * of which those that never happened are left out. Nothing in a label is a stranger's word.
 */
#include "service/metrics.h"

#include <stdio.h>

#include "base/fault.h"
#include "base/process.h"
#include "pool/pool_stats.h"
#include "service/service_priv.h"

#define USERS_MAX 512 /* whose quotas are shown */

struct metrics {
    struct buf *out;
    const struct client *client;
    bool all;
    unsigned n_users;
    int result;
};

#define PUT(metrics, ...)                                                                      \
    do {                                                                                       \
        if ((metrics)->result == 0)                                                            \
            (metrics)->result = buf_append_format((metrics)->out, __VA_ARGS__);                \
    } while (0)

#define U64(number) ((unsigned long long)(number))

static void family(struct metrics *metrics,
                   const char *name,
                   const char *type,
                   const char *unit,
                   const char *help)
{
    PUT(metrics, "# TYPE %s %s\n", name, type);
    if (unit)
        PUT(metrics, "# UNIT %s %s\n", name, unit);
    PUT(metrics, "# HELP %s %s\n", name, help);
}

static void gauge(struct metrics *metrics, const char *name, uint64_t value, const char *help)
{
    family(metrics, name, "gauge", NULL, help);
    PUT(metrics, "%s %llu\n", name, U64(value));
}

static void counter(struct metrics *metrics, const char *name, uint64_t value, const char *help)
{
    family(metrics, name, "counter", NULL, help);
    PUT(metrics, "%s_total %llu\n", name, U64(value));
}

/* ---- of partitions -------------------------------------------------------------------------
 */

#define WHO_BYTES 64

static const char *who_of(const struct counters *counters, char ret[WHO_BYTES])
{
    if (counters->is_rest)
        (void)snprintf(ret, WHO_BYTES, "uid=\"others\",profile=\"\"");
    else
        (void)snprintf(ret, WHO_BYTES, "uid=\"%u\",profile=\"%s\"", counters->partition.uid,
                       counters->partition.profile);
    return ret;
}

typedef void row_fn(struct metrics *metrics, const struct counters *counters, const char *who);

static void each(struct metrics *metrics, row_fn *fn)
{
    const struct counters_table *table = &metrics->client->service->counters;
    char who[WHO_BYTES];

    LIST_FOREACH (at, &table->list) {
        const struct counters *counters = CONTAINER_OF(at, struct counters, link);

        if (metrics->all || counters->partition.uid == metrics->client->peer.uid)
            fn(metrics, counters, who_of(counters, who));
    }
    if (metrics->all && table->rest.started + table->rest.refused > 0)
        fn(metrics, &table->rest, who_of(&table->rest, who));
}

static void
put_started(struct metrics *metrics, const struct counters *counters, const char *who)
{
    PUT(metrics, "xhrd_requests_started_total{%s} %llu\n", who, U64(counters->started));
}

static void put_over(struct metrics *metrics, const struct counters *counters, const char *who)
{
    PUT(metrics, "xhrd_requests_total{%s,outcome=\"done\"} %llu\n", who,
        U64(counters->over[FAILURE_NONE]));
    for (unsigned kind = FAILURE_NONE + 1; kind < FAILURE_KIND_COUNT; kind++) {
        if (counters->over[kind] > 0)
            PUT(metrics, "xhrd_requests_total{%s,outcome=\"%s\"} %llu\n", who,
                failure_kind_name((enum failure_kind)kind), U64(counters->over[kind]));
    }
    if (counters->closed > 0)
        PUT(metrics, "xhrd_requests_total{%s,outcome=\"client-gone\"} %llu\n", who,
            U64(counters->closed));
    if (counters->refused > 0)
        PUT(metrics, "xhrd_requests_total{%s,outcome=\"refused\"} %llu\n", who,
            U64(counters->refused));
}

static void
put_answers(struct metrics *metrics, const struct counters *counters, const char *who)
{
    for (unsigned first = 1; first < 6; first++) {
        if (counters->answers[first] > 0)
            PUT(metrics, "xhrd_answers_total{%s,status=\"%uxx\"} %llu\n", who, first,
                U64(counters->answers[first]));
    }
    if (counters->answers[0] > 0)
        PUT(metrics, "xhrd_answers_total{%s,status=\"other\"} %llu\n", who,
            U64(counters->answers[0]));
}

static void
put_sources(struct metrics *metrics, const struct counters *counters, const char *who)
{
    PUT(metrics, "xhrd_answers_from_total{%s,source=\"kept-connection\"} %llu\n", who,
        U64(counters->reused));
    PUT(metrics, "xhrd_answers_from_total{%s,source=\"new-connection\"} %llu\n", who,
        U64(counters->opened));
    PUT(metrics, "xhrd_answers_from_total{%s,source=\"cache\"} %llu\n", who,
        U64(counters->stored));
}

static void put_tls(struct metrics *metrics, const struct counters *counters, const char *who)
{
    PUT(metrics, "xhrd_tls_handshakes_total{%s,kind=\"full\"} %llu\n", who,
        U64(counters->tls_full));
    PUT(metrics, "xhrd_tls_handshakes_total{%s,kind=\"resumed\"} %llu\n", who,
        U64(counters->tls_resumed));
}

static void put_down(struct metrics *metrics, const struct counters *counters, const char *who)
{
    PUT(metrics, "xhrd_received_bytes_total{%s} %llu\n", who, U64(counters->bytes_down));
}

static void put_up(struct metrics *metrics, const struct counters *counters, const char *who)
{
    PUT(metrics, "xhrd_sent_bytes_total{%s} %llu\n", who, U64(counters->bytes_up));
}

static void put_histogram(struct metrics *metrics,
                          const char *name,
                          const struct histogram *histogram,
                          const char *who)
{
    uint64_t below = 0;

    for (unsigned i = 0; i <= HISTOGRAM_BOUNDS; i++) {
        below += histogram->counts[i];
        PUT(metrics, "%s_bucket{%s,le=\"%s\"} %llu\n", name, who, histogram_bound_names[i],
            U64(below));
    }
    PUT(metrics, "%s_count{%s} %llu\n", name, who, U64(below));
    PUT(metrics, "%s_sum{%s} %llu.%06llu\n", name, who, U64(histogram->sum_us / 1000000),
        U64(histogram->sum_us % 1000000));
}

static void put_queue(struct metrics *metrics, const struct counters *counters, const char *who)
{
    put_histogram(metrics, "xhrd_queue_seconds", &counters->queue, who);
}

static void put_whole(struct metrics *metrics, const struct counters *counters, const char *who)
{
    put_histogram(metrics, "xhrd_request_seconds", &counters->whole, who);
}

static void put_partitions(struct metrics *metrics)
{
    static const struct {
        const char *name, *type, *unit, *help;
        row_fn *fn;
    } families[] = {
        {"xhrd_requests_started", "counter", NULL, "Requests that were begun.", put_started},
        {"xhrd_requests", "counter", NULL, "Requests that are over, by how they ended.",
         put_over},
        {"xhrd_answers", "counter", NULL, "Answers told, by status.", put_answers},
        {"xhrd_answers_from", "counter", NULL,
         "Answers told, by where they came from; a kept connection is a hit of the pool.",
         put_sources},
        {"xhrd_tls_handshakes", "counter", NULL,
         "TLS handshakes of new connections that gave an answer.", put_tls},
        {"xhrd_received_bytes", "counter", "bytes", "Bytes of answers' bodies, as they came.",
         put_down},
        {"xhrd_sent_bytes", "counter", "bytes", "Bytes of requests' bodies.", put_up},
        {"xhrd_queue_seconds", "histogram", "seconds",
         "How long answered requests waited until they had a connection.", put_queue},
        {"xhrd_request_seconds", "histogram", "seconds",
         "How long requests took that ran to their end.", put_whole},
    };

    for (size_t i = 0; i < sizeof(families) / sizeof(families[0]); i++) {
        family(metrics, families[i].name, families[i].type, families[i].unit, families[i].help);
        each(metrics, families[i].fn);
    }
}

/* ---- of users ------------------------------------------------------------------------------
 */

struct quota_rows {
    struct metrics *metrics;
    bool limits;
};

static bool put_quota(struct map_node *node, void *arg)
{
    const struct user *user = CONTAINER_OF(node, struct user, node);
    const struct quota_rows *rows = arg;
    struct metrics *metrics = rows->metrics;

    if (!metrics->all && user->uid != metrics->client->peer.uid)
        return true;
    for (unsigned slot = 0; slot < QUOTA_SLOT_COUNT; slot++)
        PUT(metrics, "xhrd_quota_%s{uid=\"%u\",quota=\"%s\"} %llu\n",
            rows->limits ? "limit" : "used", user->uid, quota_slot_name((enum quota_slot)slot),
            U64(rows->limits ? user->quota.max[slot] : user->quota.used[slot]));
    return ++metrics->n_users < USERS_MAX;
}

static void put_users(struct metrics *metrics)
{
    struct map *users = &metrics->client->service->users;
    struct quota_rows used = {metrics, false};
    struct quota_rows limits = {metrics, true};

    family(metrics, "xhrd_quota_used", "gauge", NULL, "What users that are connected hold.");
    metrics->n_users = 0;
    map_each(users, put_quota, &used);
    family(metrics, "xhrd_quota_limit", "gauge", NULL, "What they may hold.");
    metrics->n_users = 0;
    map_each(users, put_quota, &limits);
}

/* ---- of the daemon -------------------------------------------------------------------------
 */

static void put_process(struct metrics *metrics)
{
    struct process_fds fds;
    struct process_memory memory;

    if (process_fds(&fds) == 0) {
        gauge(metrics, "process_open_fds", process_fds_open(&fds),
              "Descriptors that are open.");
        gauge(metrics, "process_max_fds", fds.max, "And that may be.");
    }
    if (process_memory(&memory) == 0) {
        family(metrics, "process_resident_memory_bytes", "gauge", "bytes",
               "Memory that is resident.");
        PUT(metrics, "process_resident_memory_bytes %llu\n", U64(memory.resident_bytes));
    }
}

static void put_connections(struct metrics *metrics)
{
    struct pool_counters pool;

    pool_counters(metrics->client->service->fetcher->pool, &pool);
    gauge(metrics, "xhrd_connections_open", pool.connections_open, "Connections to servers.");
    gauge(metrics, "xhrd_requests_waiting", pool.waiting,
          "Requests that wait for a connection.");
    counter(metrics, "xhrd_connections_opened", pool.connections_opened,
            "Connections that were made.");
    counter(metrics, "xhrd_connections_failed", pool.connections_failed,
            "Attempts that came to nothing.");
    counter(metrics, "xhrd_pool_hits", pool.connections_reused,
            "Times a connection was used once more.");
    family(metrics, "xhrd_connection_handshakes", "counter", NULL,
           "TLS handshakes of all connections.");
    PUT(metrics, "xhrd_connection_handshakes_total{kind=\"full\"} %llu\n",
        U64(pool.tls_handshakes_full));
    PUT(metrics, "xhrd_connection_handshakes_total{kind=\"resumed\"} %llu\n",
        U64(pool.tls_handshakes_resumed));
    family(metrics, "xhrd_early_data", "counter", NULL,
           "Connections whose first request went before TLS was done.");
    PUT(metrics, "xhrd_early_data_total{outcome=\"accepted\"} %llu\n",
        U64(pool.early_data_accepted));
    PUT(metrics, "xhrd_early_data_total{outcome=\"rejected\"} %llu\n",
        U64(pool.early_data_rejected));
}

static void put_seconds(struct metrics *metrics, const char *name, uint64_t ns)
{
    PUT(metrics, "%s %llu.%09llu\n", name, U64(ns / 1000000000U), U64(ns % 1000000000U));
}

/* What handshakes cost those who wait for their turn: see loop_defer_turn(). */
static void put_loop(struct metrics *metrics)
{
    struct loop_stats stats = loop_stats(metrics->client->service->loop);

    counter(metrics, "xhrd_loop_rounds", stats.rounds, "Rounds of the event loop.");
    counter(metrics, "xhrd_handshake_steps", stats.turns,
            "Steps of TLS handshakes, one a round at most.");
    family(metrics, "xhrd_handshake_steps_cpu_seconds", "counter", "seconds",
           "What they took of the processor.");
    put_seconds(metrics, "xhrd_handshake_steps_cpu_seconds_total", stats.turn_cpu_ns);
    family(metrics, "xhrd_handshake_step_cpu_seconds_max", "gauge", NULL,
           "The longest of them: the most that a round was held up.");
    put_seconds(metrics, "xhrd_handshake_step_cpu_seconds_max", stats.turn_cpu_ns_max);
}

static void put_daemon(struct metrics *metrics)
{
    struct service *service = metrics->client->service;
    bool persistent = true;
    uint64_t cookies = 0;

    service->events->ask_cookies(service->owner, POOL_EVERY_UID, &cookies, &persistent);
    family(metrics, "xhrd", "info", NULL, "Which daemon this is.");
    PUT(metrics, "xhrd_info{version=\"%s\"} 1\n", service->options.version);
    family(metrics, "xhrd_uptime_seconds", "gauge", "seconds", "How long it has been up.");
    PUT(metrics, "xhrd_uptime_seconds %llu\n",
        U64((loop_now_us(service->loop) - service->begun_us) / 1000000));
    gauge(metrics, "xhrd_clients", service->n_clients, "Programs that are connected.");
    gauge(metrics, "xhrd_requests_active", service->fetcher->n_requests,
          "Requests that are under way.");
    gauge(metrics, "xhrd_cookies", cookies, "Cookies in all jars.");
    gauge(metrics, "xhrd_cookies_not_persisted", !persistent,
          "1 while a disk does not take cookies.");
    gauge(metrics, "xhrd_draining", service->draining, "1 while no request is taken.");
    gauge(metrics, "xhrd_monitors", service->n_monitors, "Programs that watch all requests.");
    counter(metrics, "xhrd_monitor_events_lost", service->monitor_lost,
            "Events that watchers were too slow for.");
    put_connections(metrics);
    put_loop(metrics);
    put_process(metrics);
}

int metrics_format(const struct client *client, struct buf *out)
{
    struct metrics metrics = {.out = out, .client = client, .all = client_sees_all(client)};

    if (metrics.all)
        put_daemon(&metrics);
    put_partitions(&metrics);
    put_users(&metrics);
    PUT(&metrics, "# EOF\n");
    return metrics.result;
}
