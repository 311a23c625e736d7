/* SPDX-License-Identifier: MIT */
/*
 * What is counted, remembered and told of a request for those who look on: counters by
 * partition, the record among the last requests of its user, monitors.
 */
#include "base/fault.h"
#include "service/fetch_priv.h"

static void source_of(struct client_request *entry,
                      const struct request_head *head,
                      struct record_source *ret)
{
    const struct client *client = entry->client;
    struct request_row row;

    request_describe(entry->request, &row);
    *ret = (struct record_source){
        .holder = &entry->record,
        .id = row.id,
        .client_id = client->id,
        .begun_us = loop_now_us(client->service->loop) - row.age_us,
        .partition = &client->partition,
        .program = {client->program, client->program_len},
        .method = span_of(row.method),
        .url = row.url,
        .head = head,
    };
}

/* The record of the request itself; NULL: there is none yet, or its place was taken. */
static struct record *own_record(const struct client_request *entry)
{
    return entry->record && !entry->record->is_hop ? entry->record : NULL;
}

/* Adds one, where the last answer ended. */
static struct record *
add_record(struct client_request *entry, const struct request_head *head, bool is_hop)
{
    struct record *before = entry->record;
    struct record_source source;

    source_of(entry, head, &source);
    source.is_hop = is_hop;
    if (before) {
        source.hop_us = before->is_over ? before->timing.total_us : 0;
        before->holder = NULL;
        entry->record = NULL;
    }
    return history_add(&entry->client->service->histories, &source);
}

static bool is_watched(const struct client_request *entry)
{
    return !list_is_empty(&entry->client->service->monitors);
}

/* Of what has no record yet. */
static void tell_monitors(struct client_request *entry, int kind, unsigned status)
{
    _Alignas(8) char block[RECORD_SCRATCH_BYTES];
    struct record_source source;

    source_of(entry, NULL, &source);
    struct record *record = record_make(&source, block, sizeof(block));
    if (record && status) {
        record->has_head = true;
        record->status = status;
    }
    monitor_tell(entry->client->service, kind, record);
}

static void count_head(const struct client_request *entry, const struct request_head *head)
{
    struct counters *counters = entry->client->counters;
    unsigned first = head->status / 100;

    counters->answers[first < 6 ? first : 0]++;
    if (!entry->from_network) {
        counters->stored++;
    } else if (head->exchange->reused) {
        counters->reused++;
    } else {
        counters->opened++;
        counters->tls_full += head->exchange->is_tls && !head->exchange->tls_resumed;
        counters->tls_resumed += head->exchange->is_tls && head->exchange->tls_resumed;
    }
}

void note_head(struct client_request *entry, const struct request_head *head)
{
    entry->from_network = head->from_cache == REQUEST_FROM_NETWORK;
    count_head(entry, head);
    struct record *record = add_record(entry, head, false);
    if (is_watched(entry))
        monitor_tell(entry->client->service, XHRD__V1__MONITOR_EVENT__KIND__KIND_HEAD, record);
}

void note_hop(struct client_request *entry, const struct request_head *head)
{
    const struct request_totals none = {.header_bytes = head->exchange->response_head_bytes,
                                        .upload_bytes = head->exchange->request_body_bytes,
                                        .request_bytes = head->exchange->request_bytes};
    struct request_timing timing;
    struct request_row row;
    struct record *record = add_record(entry, head, true);

    if (!record)
        return;
    request_get_timing(entry->request, &timing);
    request_describe(entry->request, &row);
    timing.total_us = row.age_us;
    record_end(record, NULL, &none, &timing);
    entry->record = record; /* where the next begins */
    record->holder = &entry->record;
    if (is_watched(entry))
        monitor_tell(entry->client->service, XHRD__V1__MONITOR_EVENT__KIND__KIND_HOP, record);
}

static void count_end(const struct client_request *entry,
                      const struct failure *why,
                      const struct request_totals *totals,
                      const struct request_timing *timing)
{
    struct counters *counters = entry->client->counters;

    counters->over[why ? why->kind : FAILURE_NONE]++;
    counters->bytes_down += totals->wire_bytes;
    counters->bytes_up += totals->upload_bytes;
    if (entry->from_network)
        histogram_add(&counters->queue, timing->queued_us);
    histogram_add(&counters->whole, timing->total_us);
}

void note_end(struct client_request *entry,
              const struct failure *why,
              const struct request_totals *totals,
              const struct request_timing *timing)
{
    struct service *service = entry->client->service;
    struct record *record = own_record(entry);

    count_end(entry, why, totals, timing);
    if (!record)
        record = add_record(entry, NULL, false);
    if (record)
        record_end(record, why, totals, timing);
    if (is_watched(entry))
        monitor_tell(service, XHRD__V1__MONITOR_EVENT__KIND__KIND_OVER, record);
}

void note_closed(struct client_request *entry)
{
    struct record *record = own_record(entry);
    struct request_totals totals;
    struct request_timing times;
    struct request_row row;
    struct failure why;

    entry->client->counters->closed++;
    request_get_totals(entry->request, &totals);
    request_get_timing(entry->request, &times);
    request_describe(entry->request, &row);
    times.total_us = row.age_us;
    failure_set(&why, FAILURE_ABORTED, "its client went away");
    if (record)
        record_end(record, &why, &totals, &times);
    if (record && is_watched(entry))
        monitor_tell(entry->client->service, XHRD__V1__MONITOR_EVENT__KIND__KIND_CLOSED,
                     record);
    else if (is_watched(entry))
        tell_monitors(entry, XHRD__V1__MONITOR_EVENT__KIND__KIND_CLOSED, 0);
}

void note_started(struct client_request *entry)
{
    if (is_watched(entry))
        tell_monitors(entry, XHRD__V1__MONITOR_EVENT__KIND__KIND_STARTED, 0);
}

void note_redirected(struct client_request *entry, unsigned status)
{
    if (is_watched(entry))
        tell_monitors(entry, XHRD__V1__MONITOR_EVENT__KIND__KIND_REDIRECTED, status);
}
