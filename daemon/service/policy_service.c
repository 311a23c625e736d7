/* SPDX-License-Identifier: MIT */
/* What the rules would say of a request: a command that is answered when names are known. */
#include <errno.h>

#include "base/fault.h"
#include "base/mem.h"
#include "service/service_priv.h"

#define JOBS_MAX 4 /* of one client that wait */
#define ROWS_MAX 128

struct policy_job {
    struct link link; /* in client->policy_jobs */
    struct client *client;
    struct policy_check check;
    uint32_t command_id;
    size_t n;
    struct buf texts[ROWS_MAX * 3];
    Xhrd__V1__PolicyStep rows[ROWS_MAX];
    Xhrd__V1__PolicyStep *pointers[ROWS_MAX];
};

static void job_free(struct policy_job *job)
{
    struct service *service = job->client->service;

    if (service->events->cancel_check)
        service->events->cancel_check(service->owner, &job->check);
    for (size_t i = 0; i < job->n * 3; i++)
        buf_done(&job->texts[i]);
    link_remove(&job->link);
    job->client->n_policy_jobs--;
    mem_free(job);
}

void policy_service_close_all(struct client *client)
{
    while (!list_is_empty(&client->policy_jobs))
        job_free(CONTAINER_OF(list_first(&client->policy_jobs), struct policy_job, link));
}

static ProtobufCBinaryData keep(struct buf *to, struct span text)
{
    *to = BUF_INIT(0);
    if (buf_append(to, text) < 0)
        return (ProtobufCBinaryData){0};
    return bytes_of_span(buf_span(to));
}

static Xhrd__V1__PolicyWord word_to_pb(enum access_word word)
{
    switch (word) {
    case ACCESS_ALLOWS: return XHRD__V1__POLICY_WORD__POLICY_WORD_ALLOWS;
    case ACCESS_REFUSES: return XHRD__V1__POLICY_WORD__POLICY_WORD_REFUSES;
    case ACCESS_SILENT: break;
    }
    return XHRD__V1__POLICY_WORD__POLICY_WORD_UNSPECIFIED;
}

static void job_on_row(void *owner, const struct policy_row *from)
{
    struct policy_job *job = owner;

    if (job->n == ROWS_MAX)
        return;
    Xhrd__V1__PolicyStep *row = job->pointers[job->n] = &job->rows[job->n];
    struct buf *texts = &job->texts[job->n * 3];

    job->n++;
    xhrd__v1__policy_step__init(row);
    row->word = word_to_pb(from->word);
    row->text = keep(&texts[0], from->text);
    row->section = keep(&texts[1], from->section);
    row->key = keep(&texts[2], from->key);
    row->line = from->line;
}

static void tell(struct policy_job *job, const struct failure *why)
{
    Xhrd__V1__AdminReply reply = XHRD__V1__ADMIN_REPLY__INIT;
    Xhrd__V1__PolicyVerdict verdict = XHRD__V1__POLICY_VERDICT__INIT;

    if (why) {
        admin_send_failure(job->client, job->command_id, why->kind, why->text);
        return;
    }
    verdict.allowed = job->check.allowed;
    verdict.uid = job->check.uid;
    verdict.steps = job->pointers;
    verdict.n_steps = job->n;
    reply.command_id = job->command_id;
    reply.policy = &verdict;
    (void)admin_send_or_fail(job->client, &reply);
}

static void job_on_done(void *owner, const struct failure *why)
{
    struct policy_job *job = owner;
    struct client *client = job->client;

    tell(job, why);
    job_free(job);
    client_check_done(client);
}

void policy_service_command(struct client *client, const Xhrd__V1__AdminCommand *message)
{
    const Xhrd__V1__PolicyQuestion *question = message->policy;
    struct service *service = client->service;

    if (!question || !service->events->start_check) {
        admin_send_failure(client, message->command_id, FAILURE_ARGUMENT,
                           "policy: wants a question");
        return;
    }
    struct policy_job *job = client->n_policy_jobs < JOBS_MAX ? mem_zalloc(sizeof(*job)) : NULL;
    if (!job) {
        admin_send_failure(client, message->command_id, FAILURE_QUOTA,
                           "too many commands wait for their answers");
        return;
    }
    job->client = client;
    job->command_id = message->command_id;
    job->check = (struct policy_check){
        .peer = &client->peer,
        .user = span_of_bytes(question->user),
        .url = span_of_bytes(question->url),
        .method = span_of_bytes(question->method),
        .insecure = question->insecure,
        .may_ask_others = client_sees_all(client),
        .on_row = job_on_row,
        .on_done = job_on_done,
        .owner = job,
    };
    list_append(&client->policy_jobs, &job->link);
    client->n_policy_jobs++;
    if (service->events->start_check(service->owner, &job->check) < 0) {
        tell(job, &job->check.why);
        job_free(job);
    }
}
