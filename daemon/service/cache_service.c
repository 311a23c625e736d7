/* SPDX-License-Identifier: MIT */
/*
 * Looking into the stored answers, and taking some out: of the partition of the client that
 * asks. A command that comes before it is known what is stored waits.
 */
#include <errno.h>
#include <string.h>

#include "base/fault.h"
#include "base/mem.h"
#include "policy/cache_rules.h"
#include "service/service_priv.h"

#define ROWS_PER_REPLY  256
#define BYTES_PER_REPLY 65536 /* of URLs, or a little more */
#define JOBS_MAX        64    /* of one client that wait */

struct cache_job {
    struct link link; /* in client->cache_jobs */
    struct client *client;
    struct cache_wait wait;
    uint32_t command_id;
    bool clears;
    char *what; /* owned */
    struct charge bytes;
};

static const struct cache_access *access_of(const struct client *client)
{
    return &client->service->fetcher->cache;
}

static void job_free(struct cache_job *job)
{
    if (job->wait.store)
        access_of(job->client)->open_cancel(&job->wait);
    link_remove(&job->link);
    job->client->n_cache_jobs--;
    mem_free(job->what);
    charge_release(&job->bytes);
    mem_free(job);
}

void cache_service_close_all(struct client *client)
{
    while (!list_is_empty(&client->cache_jobs))
        job_free(CONTAINER_OF(list_first(&client->cache_jobs), struct cache_job, link));
}

/* ---- list ------------------------------------------------------------------------------ */

/* A page being filled; rows borrow from the store, which does not change meanwhile. */
struct page {
    const struct cache_job *job;
    Xhrd__V1__CacheRow rows[ROWS_PER_REPLY];
    Xhrd__V1__CacheRow *pointers[ROWS_PER_REPLY];
    size_t n;
    size_t n_bytes;
    bool has_failed; /* that reply was the last */
};

static void send_page(struct page *page, bool more)
{
    Xhrd__V1__AdminReply reply = XHRD__V1__ADMIN_REPLY__INIT;

    reply.command_id = page->job->command_id;
    reply.cache = page->pointers;
    reply.n_cache = page->n;
    reply.more = more;
    if (page->has_failed)
        return;
    page->has_failed = !admin_send_or_fail(page->job->client, &reply);
    page->n = 0;
    page->n_bytes = 0;
}

static void add_row(void *arg, const struct cache_row *from)
{
    struct page *page = arg;

    if (!cache_url_is(from->url, span_of(page->job->what)))
        return;
    if (page->n == ROWS_PER_REPLY || page->n_bytes > BYTES_PER_REPLY)
        send_page(page, true);
    Xhrd__V1__CacheRow *row = &page->rows[page->n];
    xhrd__v1__cache_row__init(row);
    row->url = bytes_of_span(from->url);
    row->vary = bytes_of_span(from->vary);
    row->status = from->status;
    row->body_bytes = from->body_bytes;
    row->age_s = (uint64_t)from->age_s;
    row->lifetime_s = (uint64_t)from->lifetime_s;
    row->used_s = from->used_s;
    page->pointers[page->n++] = row;
    page->n_bytes += from->url.len + from->vary.len;
}

static void list(struct cache_job *job)
{
    const struct cache_access *access = access_of(job->client);
    CLEANUP_MEM struct page *page = mem_zalloc(sizeof(*page));

    if (!page) {
        admin_send_failure(job->client, job->command_id, FAILURE_INTERNAL, "out of memory");
        return;
    }
    page->job = job;
    access->each(access->owner, &job->client->partition, add_row, page);
    send_page(page, false);
}

/* ---- jobs ------------------------------------------------------------------------------ */

static void clear(struct cache_job *job)
{
    const struct cache_access *access = access_of(job->client);
    Xhrd__V1__AdminReply reply = XHRD__V1__ADMIN_REPLY__INIT;

    reply.command_id = job->command_id;
    reply.removed = access->clear(access->owner, &job->client->partition, span_of(job->what));
    admin_send(job->client, &reply);
}

/* Ends the job. */
static void job_run(struct cache_job *job)
{
    if (job->clears)
        clear(job);
    else
        list(job);
    job_free(job);
}

static void job_on_ready(void *owner)
{
    struct cache_job *job = owner;
    struct client *client = job->client;

    job_run(job);
    client_check_done(client);
}

/* A URL as it is a key; a host as it is. Return: 0, -EINVAL, -ENOMEM. */
static int read_what(struct span text, char **ret)
{
    CLEANUP_BUF struct buf key = BUF_INIT(0);
    struct url url;
    int r = 0;

    if (text.len > 0 && memchr(text.ptr, '\0', text.len))
        return -EINVAL;
    if (text.len > 0 && memmem(text.ptr, text.len, "://", 3)) {
        if (url_parse(text, NULL, &url) != URL_OK)
            return -EINVAL;
        r = cache_key_of(&url, &key);
        url_done(&url);
        text = buf_span(&key);
    }
    if (r < 0)
        return r == -EMSGSIZE ? -EINVAL : r;
    *ret = mem_dup(text);
    return *ret ? 0 : fault(-ENOMEM);
}

static int
job_new(struct cache_job **ret, struct client *client, const Xhrd__V1__AdminCommand *message)
{
    char *what = NULL;

    if (client->n_cache_jobs >= JOBS_MAX)
        return -EDQUOT;
    int r = read_what(span_of_bytes(message->host), &what);
    if (r < 0)
        return r;
    struct cache_job *job = mem_zalloc(sizeof(*job));
    if (!job) {
        mem_free(what);
        return fault(-ENOMEM);
    }
    job->what = what;
    job->client = client;
    r = charge_take_spare(&job->bytes, &client->user->quota, QUOTA_BYTES,
                          client->message_bytes);
    if (r < 0) {
        mem_free(what);
        mem_free(job);
        return r;
    }
    job->command_id = message->command_id;
    job->clears = message->topic == XHRD__V1__ADMIN_TOPIC__ADMIN_TOPIC_CACHE_CLEAR;
    job->wait.on_ready = job_on_ready;
    job->wait.owner = job;
    list_append(&client->cache_jobs, &job->link);
    client->n_cache_jobs++;
    *ret = job;
    return 0;
}

static void refuse(struct client *client, uint32_t command_id, int r)
{
    if (r == -EINVAL)
        admin_send_failure(client, command_id, FAILURE_ARGUMENT,
                           "cache: wants a host, host:port or a URL");
    else if (r == -EDQUOT)
        admin_send_failure(client, command_id, FAILURE_QUOTA,
                           "too many commands wait for their answers");
    else
        admin_send_failure(client, command_id, FAILURE_INTERNAL, "out of memory");
}

void cache_service_command(struct client *client, const Xhrd__V1__AdminCommand *message)
{
    const struct cache_access *access = access_of(client);
    struct cache_job *job;

    if (!access->owner) {
        admin_send_failure(client, message->command_id, FAILURE_POLICY,
                           "this daemon has no state directory, so it stores no answers");
        return;
    }
    int r = job_new(&job, client, message);
    if (r < 0)
        refuse(client, message->command_id, r);
    else if (access->open(access->owner, &client->partition, &job->wait) == 0)
        job_run(job);
}
