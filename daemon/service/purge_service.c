/* SPDX-License-Identifier: MIT */
/* Forgetting a user: an administrator's command, answered when the disk has followed. */
#include <errno.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/mem.h"
#include "policy/jar_rights.h"
#include "service/service_priv.h"

#define JOBS_MAX 16 /* of one client that are under way */

struct purge_job {
    struct user_purge purge;
    struct link link; /* in client->purge_jobs */
    struct client *client;
    uint32_t command_id;
};

static void job_free(struct purge_job *job)
{
    job->client->service->events->purge_user_cancel(&job->purge);
    link_remove(&job->link);
    job->client->n_purge_jobs--;
    mem_free(job);
}

void purge_service_close_all(struct client *client)
{
    while (!list_is_empty(&client->purge_jobs))
        job_free(CONTAINER_OF(list_first(&client->purge_jobs), struct purge_job, link));
}

static void job_on_purged(struct user_purge *purge, const struct user_purged *what)
{
    struct purge_job *job = CONTAINER_OF(purge, struct purge_job, purge);
    struct client *client = job->client;
    Xhrd__V1__AdminReply reply = XHRD__V1__ADMIN_REPLY__INIT;
    Xhrd__V1__UserPurged purged = XHRD__V1__USER_PURGED__INIT;

    purged.cookies = what->cookies;
    purged.hosts = what->hosts;
    purged.answers = what->answers;
    reply.command_id = job->command_id;
    reply.purged = &purged;
    reply.not_persisted = !what->is_saved;
    admin_send(client, &reply);
    job_free(job);
    client_check_done(client);
}

void service_forget_user(struct service *service, uint32_t uid)
{
    history_forget(&service->histories, uid);
}

/* Return: what is in the way, or NULL. */
static const char *
wrong_with(const struct client *client, uint32_t uid, enum failure_kind *ret_kind)
{
    *ret_kind = FAILURE_POLICY;
    if (!client_sees_all(client))
        return "uid: only root and those whom Administrators= names may purge a user";
    *ret_kind = FAILURE_ARGUMENT;
    if (client->service->options.per_user && uid != getuid())
        return "uid: this daemon keeps nothing of another user; ask the system's";
    if (uid == JAR_UID_SYSTEM)
        return "uid: no user has that one";
    return NULL;
}

void purge_service_command(struct client *client, const Xhrd__V1__AdminCommand *message)
{
    struct service *service = client->service;
    enum failure_kind kind;
    const char *wrong = wrong_with(client, message->uid, &kind);

    if (wrong) {
        admin_send_failure(client, message->command_id, kind, wrong);
        return;
    }
    struct purge_job *job = client->n_purge_jobs < JOBS_MAX ? mem_zalloc(sizeof(*job)) : NULL;
    if (!job) {
        admin_send_failure(client, message->command_id, FAILURE_QUOTA,
                           "too many commands wait for their answers");
        return;
    }
    service_forget_user(service, message->uid);
    job->client = client;
    job->command_id = message->command_id;
    job->purge.on_purged = job_on_purged;
    list_append(&client->purge_jobs, &job->link);
    client->n_purge_jobs++;
    if (service->events->purge_user(service->owner, message->uid, &job->purge) == 0)
        return; /* job may be gone */
    admin_send_failure(client, message->command_id, FAILURE_INTERNAL, "out of memory");
    job_free(job);
}
