/* SPDX-License-Identifier: MIT */
/*
 * Looking into the hosts that want https, and taking one out: of the partition of the client
 * that asks. A command that comes before they are in memory waits; what was taken out is
 * answered when the disk has it.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/fault.h"
#include "base/mem.h"
#include "policy/hsts.h"
#include "policy/tls_seen.h"
#include "service/service_priv.h"

#define ROWS_PER_REPLY 512
#define JOBS_MAX       64 /* of one client that wait */

struct hsts_job {
    struct link link; /* in client->hsts_jobs */
    struct client *client;
    struct cookie_wait wait;
    struct cookie_commit commit;
    uint32_t command_id;
    uint64_t removed;
    bool removes;
    struct host_name host; /* to remove */
};

static void job_free(struct hsts_job *job)
{
    const struct cookie_access *cookies = &job->client->service->fetcher->cookies;

    cookies->open_cancel(&job->wait);
    cookies->commit_cancel(&job->commit);
    link_remove(&job->link);
    job->client->n_hsts_jobs--;
    mem_free(job);
}

void hsts_service_close_all(struct client *client)
{
    while (!list_is_empty(&client->hsts_jobs))
        job_free(CONTAINER_OF(list_first(&client->hsts_jobs), struct hsts_job, link));
}

/* ---- list ----------------------------------------------------------------------------------
 */

struct host_list {
    const struct hsts_host **hosts; /* borrowed from the set */
    size_t count;
};

static bool collect(void *arg, const struct hsts_host *host)
{
    struct host_list *list = arg;

    list->hosts[list->count++] = host;
    return true;
}

static int by_name(const void *a, const void *b)
{
    struct span left = (*(const struct hsts_host *const *)a)->host;
    struct span right = (*(const struct hsts_host *const *)b)->host;
    int r = memcmp(left.ptr, right.ptr, left.len < right.len ? left.len : right.len);

    return r != 0 ? r : (left.len > right.len) - (left.len < right.len);
}

/* Return: whether to go on. */
static bool send_page(const struct hsts_job *job,
                      const struct host_list *list,
                      size_t at,
                      Xhrd__V1__HstsRow *rows,
                      Xhrd__V1__HstsRow **pointers)
{
    Xhrd__V1__AdminReply reply = XHRD__V1__ADMIN_REPLY__INIT;
    size_t n = list->count - at < ROWS_PER_REPLY ? list->count - at : ROWS_PER_REPLY;

    for (size_t i = 0; i < n; i++) {
        const struct hsts_host *from = list->hosts[at + i];

        xhrd__v1__hsts_row__init(&rows[i]);
        rows[i].host = bytes_of_span(from->host);
        rows[i].expires_s = from->expires_s;
        rows[i].include_subdomains = from->include_subdomains;
        pointers[i] = &rows[i];
    }
    reply.command_id = job->command_id;
    reply.hsts = pointers;
    reply.n_hsts = n;
    reply.more = at + n < list->count;
    return admin_send_or_fail(job->client, &reply) && reply.more;
}

/* Ends the job. */
static void list(struct hsts_job *job, struct hsts *set)
{
    CLEANUP_MEM Xhrd__V1__HstsRow *rows = mem_array(ROWS_PER_REPLY, sizeof(*rows));
    CLEANUP_MEM Xhrd__V1__HstsRow **pointers = mem_array(ROWS_PER_REPLY, sizeof(void *));

    (void)hsts_expire(set, loop_wall_s(job->client->service->loop));
    CLEANUP_MEM const struct hsts_host **hosts =
        mem_array(hsts_count(set) + 1, sizeof(void *)); /* one too many: never none */
    struct host_list found = {.hosts = hosts};

    if (!rows || !pointers || !hosts) {
        admin_send_failure(job->client, job->command_id, FAILURE_INTERNAL, "out of memory");
        job_free(job);
        return;
    }
    hsts_each(set, collect, &found);
    qsort(hosts, found.count, sizeof(void *), by_name);
    size_t at = 0;
    while (send_page(job, &found, at, rows, pointers))
        at += ROWS_PER_REPLY;
    job_free(job);
}

/* ---- remove --------------------------------------------------------------------------------
 */

/* Ends the job. */
static void tell_removed(struct hsts_job *job, bool saved)
{
    Xhrd__V1__AdminReply reply = XHRD__V1__ADMIN_REPLY__INIT;

    reply.command_id = job->command_id;
    reply.removed = job->removed;
    reply.not_persisted = !saved;
    admin_send(job->client, &reply);
    job_free(job);
}

static void job_on_committed(void *owner, bool saved)
{
    struct hsts_job *job = owner;
    struct client *client = job->client;

    tell_removed(job, saved);
    client_check_done(client);
}

/* What was seen of its TLS goes, too: it may be asked below 1.2 again. */
static uint64_t forget_seen(const struct hsts_job *job)
{
    const struct client *client = job->client;
    const struct cookie_access *cookies = &client->service->fetcher->cookies;
    struct hsts *seen = NULL;

    if (cookies->open_seen(cookies->owner, &client->partition, &seen) < 0)
        return 0;
    return tls_seen_forget(seen, span_of(job->host.text));
}

/* Ends the job, now or when the disk has spoken. */
static void remove_host(struct hsts_job *job, struct hsts *set)
{
    struct client *client = job->client;
    const struct cookie_access *cookies = &client->service->fetcher->cookies;

    /* One name is one host, whatever was known of it. */
    job->removed = hsts_remove(set, span_of(job->host.text)) + forget_seen(job) > 0;
    if (job->removed == 0) {
        tell_removed(job, true);
        return;
    }
    job->commit.on_committed = job_on_committed;
    job->commit.owner = job;
    int r = cookies->commit(cookies->owner, client->partition.uid, &job->commit);
    if (r != COOKIE_COMMIT_WAIT)
        tell_removed(job, r == COOKIE_COMMIT_SAVED);
}

/* ---- jobs ----------------------------------------------------------------------------------
 */

static void job_run(struct hsts_job *job)
{
    struct client *client = job->client;
    const struct cookie_access *cookies = &client->service->fetcher->cookies;
    struct hsts *set = NULL;

    int r = cookies->open_hosts(cookies->owner, &client->partition, &job->wait, &set);
    if (r == COOKIE_OPEN_WAIT)
        return;
    if (r != COOKIE_OPEN_READY) {
        admin_send_failure(client, job->command_id,
                           r == -EDQUOT ? FAILURE_QUOTA : FAILURE_INTERNAL,
                           r == -EDQUOT ? "too many profiles" : "out of memory");
        job_free(job);
    } else if (job->removes) {
        remove_host(job, set);
    } else {
        list(job, set);
    }
}

static void job_on_ready(void *owner)
{
    struct hsts_job *job = owner;
    struct client *client = job->client;

    job_run(job);
    client_check_done(client);
}

/* Return: an outcome of host_name_parse(), or -ENOMEM. */
static int read_command(struct hsts_job *job, const Xhrd__V1__AdminCommand *message)
{
    job->command_id = message->command_id;
    job->removes = message->topic == XHRD__V1__ADMIN_TOPIC__ADMIN_TOPIC_HSTS_REMOVE;
    return job->removes ? host_name_parse(span_of_bytes(message->host), &job->host) : HOST_OK;
}

void hsts_service_command(struct client *client, const Xhrd__V1__AdminCommand *message)
{
    struct hsts_job *job = client->n_hsts_jobs < JOBS_MAX ? mem_zalloc(sizeof(*job)) : NULL;

    if (!job) {
        admin_send_failure(client, message->command_id, FAILURE_QUOTA,
                           "too many commands wait for their answers");
        return;
    }
    int r = read_command(job, message);
    if (r != HOST_OK) {
        admin_send_failure(client, message->command_id,
                           r < 0 ? FAILURE_INTERNAL : FAILURE_ARGUMENT,
                           r < 0 ? "out of memory" : host_outcome_text(r));
        mem_free(job);
        return;
    }
    job->client = client;
    job->wait.on_ready = job_on_ready;
    job->wait.owner = job;
    list_append(&client->hsts_jobs, &job->link);
    client->n_hsts_jobs++;
    job_run(job);
}
