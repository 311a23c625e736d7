/* SPDX-License-Identifier: MIT */
/*
 * Connections that outlive the daemon: a client that stays for a second is given to the keeper,
 * so that one that comes and goes costs nobody anything. While nothing is under way with it
 * its place says so, at every moment: a process that is killed has no time to say it then.
 */
#include <errno.h>
#include <unistd.h>

#include "service/service_priv.h"

#define KEEP_AFTER_US INT64_C(1000000) /* from connecting */
#define KEEP_BATCH    32               /* then others get their turn, the keeper, too */
#define KEEP_NEXT_US  (10 * 1000)
#define KEEP_AGAIN_US (200 * 1000) /* to a keeper that had no ear */

bool client_is_at_rest(const struct client *client)
{
    return !client->closed && client->greeted && !client->half_closed &&
           !deferred_is_queued(&client->leave) && client->requests.count == 0 &&
           list_is_empty(&client->cookie_jobs) && list_is_empty(&client->watches) &&
           list_is_empty(&client->monitors) && client->n_hsts_jobs == 0 &&
           client->n_cache_jobs == 0 && client->n_policy_jobs == 0 &&
           client->n_purge_jobs == 0 && client->network_command == 0 && !client->private_jar &&
           session_is_quiet(client->session);
}

void client_on_quiet(void *owner)
{
    struct client *client = owner;

    if (client->kept && client_is_at_rest(client))
        *client->kept = 0;
}

/* Return: whether the keeper may be asked for the next one. */
static bool keep(struct client *client)
{
    const struct client_keeper *keeper = client->service->options.keeper;

    if (!keeper || client->half_closed)
        return true;
    int r = keeper->keep(keeper->owner, session_fd(client->session), &client->partition,
                         client->program, &client->kept);
    if (r == -EAGAIN) {
        list_prepend(&client->service->young, &client->young);
        return false;
    }
    if (r < 0)
        return true;
    session_share(client->session, client->kept);
    client_on_quiet(client);
    return true;
}

static void arm(struct service *service, int64_t next_us)
{
    struct link *first = list_first(&service->young);

    if (!first || timer_is_armed(&service->keep))
        return;
    int64_t age_us =
        loop_now_us(service->loop) - CONTAINER_OF(first, struct client, young)->begun_us;
    int64_t wait_us = age_us < KEEP_AFTER_US ? KEEP_AFTER_US - age_us : next_us;
    if (timer_arm(&service->keep, wait_us) < 0)
        log_debug(NULL, "no memory to keep clients: they are not");
}

static void service_on_keep(void *owner)
{
    struct service *service = owner;
    int64_t now_us = loop_now_us(service->loop);
    bool listens = true;
    struct link *first;

    for (int i = 0; listens && i < KEEP_BATCH && (first = list_first(&service->young)); i++) {
        struct client *client = CONTAINER_OF(first, struct client, young);

        if (now_us - client->begun_us < KEEP_AFTER_US)
            break;
        link_remove(&client->young);
        listens = keep(client);
    }
    arm(service, listens ? KEEP_NEXT_US : KEEP_AGAIN_US);
}

void service_keep_init(struct service *service)
{
    link_init(&service->young);
    timer_init(&service->keep, service->loop, service_on_keep, service);
}

void client_keep_later(struct client *client)
{
    struct service *service = client->service;

    if (!service->options.keeper)
        return;
    list_append(&service->young, &client->young);
    arm(service, KEEP_NEXT_US);
}

void client_forget(struct client *client)
{
    const struct client_keeper *keeper = client->service->options.keeper;

    link_remove(&client->young);
    if (client->kept && keeper)
        keeper->drop(keeper->owner, client->kept);
    client->kept = NULL;
}

void client_leave_to_keeper(struct client *client)
{
    struct session *session = client->session;

    client->session = NULL;
    client->kept = NULL; /* its place stays */
    session_leave(session);
    client_close(client);
}

void service_adopt(struct service *service,
                   int fd,
                   const struct peer *peer,
                   const struct kept_client *kept)
{
    const struct client_keeper *keeper = service->options.keeper;
    struct client *client;

    if (client_new(service, fd, peer, NULL, &client) < 0) {
        log_warning(NULL, "a client of uid %u is lost: no memory", peer->uid);
        keeper->drop(keeper->owner, kept->busy);
        close(fd);
        return;
    }
    client->kept = kept->busy;
    session_skip_hello(client->session);
    session_share(client->session, client->kept);
    if (client_admit(client) &&
        client_introduce(client, span_of(kept->profile), span_of(kept->program)) < 0)
        client_close(client);
}
