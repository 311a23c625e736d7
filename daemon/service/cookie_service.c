/* SPDX-License-Identifier: MIT */
/*
 * Looking into jars and changing them. A command that changes something is answered when the
 * disk has it. A command that comes before the jars are in memory waits, as a copy of its
 * message.
 */
#include <errno.h>

#include "base/fault.h"
#include "base/mem.h"
#include "http/url.h"
#include "service/cookie_priv.h"

#define REPLY_BYTES_AIM (256 * 1024) /* of one reply to a list; the rest follows in more */

struct cookie_job {
    struct link link; /* in client->cookie_jobs */
    struct client *client;
    struct cookie_wait wait;
    struct cookie_commit commit;
    struct charge place;              /* one of QUOTA_REQUESTS */
    struct charge bytes;              /* of command */
    Xhrd__V1__CookieCommand *command; /* while it waits for the jar; malloc'ed */
    uint32_t command_id;
    uint64_t changed;
};

void cookie_send_reply(struct client *client, Xhrd__V1__CookieReply *reply)
{
    Xhrd__V1__ServerMessage message = XHRD__V1__SERVER_MESSAGE__INIT;

    message.kind_case = XHRD__V1__SERVER_MESSAGE__KIND_COOKIE;
    message.cookie = reply;
    client_send(client, &message);
}

void cookie_send_failure(struct client *client,
                         uint32_t command_id,
                         enum failure_kind kind,
                         const char *text)
{
    Xhrd__V1__CookieReply reply = XHRD__V1__COOKIE_REPLY__INIT;
    Xhrd__V1__Failure failure;
    struct failure why;

    failure_set(&why, kind, "%s", text);
    failure_to_pb(&why, &failure);
    reply.command_id = command_id;
    reply.failure = &failure;
    cookie_send_reply(client, &reply);
}

void cookie_send_trouble(struct client *client, uint32_t command_id, int r)
{
    if (r == -EDQUOT)
        cookie_send_failure(client, command_id, FAILURE_QUOTA,
                            "this user holds too much already");
    else
        cookie_send_failure(client, command_id, FAILURE_INTERNAL, "out of memory");
}

static void
send_changed(struct client *client, uint32_t command_id, uint64_t changed, bool saved)
{
    Xhrd__V1__CookieReply reply = XHRD__V1__COOKIE_REPLY__INIT;

    reply.command_id = command_id;
    reply.changed = changed;
    reply.not_persisted = !saved;
    cookie_send_reply(client, &reply);
}

/* ---- jobs that wait -------------------------------------------------------------------------
 */

/* Return: 0, -ENOMEM, or -EDQUOT: so much of this user's waits already. */
static int job_new(struct client *client, uint32_t command_id, struct cookie_job **ret)
{
    struct cookie_job *job = mem_zalloc(sizeof(*job));

    if (!job)
        return fault(-ENOMEM);
    int r = charge_take(&job->place, &client->user->quota, QUOTA_REQUESTS, 1);
    if (r < 0) {
        mem_free(job);
        return r;
    }
    job->client = client;
    job->command_id = command_id;
    list_append(&client->cookie_jobs, &job->link);
    *ret = job;
    return 0;
}

static void job_free(struct cookie_job *job)
{
    const struct cookie_access *cookies = &job->client->service->fetcher->cookies;

    cookies->open_cancel(&job->wait);
    cookies->commit_cancel(&job->commit);
    if (job->command)
        xhrd__v1__cookie_command__free_unpacked(job->command, NULL);
    charge_release(&job->place);
    charge_release(&job->bytes);
    link_remove(&job->link);
    mem_free(job);
}

void cookie_service_close_all(struct client *client)
{
    while (!list_is_empty(&client->cookie_jobs))
        job_free(CONTAINER_OF(list_first(&client->cookie_jobs), struct cookie_job, link));
}

static void job_on_ready(void *owner)
{
    struct cookie_job *job = owner;
    struct client *client = job->client;
    Xhrd__V1__CookieCommand *command = TAKE(job->command);

    job_free(job);
    cookie_service_command(client, command);
    xhrd__v1__cookie_command__free_unpacked(command, NULL);
    client_check_done(client);
}

static Xhrd__V1__CookieCommand *copy_command(const Xhrd__V1__CookieCommand *from)
{
    size_t size = xhrd__v1__cookie_command__get_packed_size(from);
    uint8_t *bytes = mem_alloc(size);

    if (!bytes)
        return NULL;
    xhrd__v1__cookie_command__pack(from, bytes);
    Xhrd__V1__CookieCommand *copy = xhrd__v1__cookie_command__unpack(NULL, size, bytes);
    mem_free(bytes);
    return copy;
}

static void job_on_committed(void *owner, bool saved)
{
    struct cookie_job *job = owner;
    struct client *client = job->client;

    send_changed(client, job->command_id, job->changed, saved);
    job_free(job);
    client_check_done(client);
}

void cookie_answer_when_saved(struct client *client,
                              uint32_t command_id,
                              const struct cookie_jar *jar,
                              uint64_t changed)
{
    const struct cookie_access *cookies = &client->service->fetcher->cookies;
    struct cookie_job *job;

    if (jar == client->private_jar) { /* never on disk, and never to be */
        send_changed(client, command_id, changed, true);
        return;
    }
    if (job_new(client, command_id, &job) < 0) { /* it is changed all the same */
        send_changed(client, command_id, changed, false);
        return;
    }
    job->changed = changed;
    job->commit.on_committed = job_on_committed;
    job->commit.owner = job;
    int r = cookies->commit(cookies->owner, &client->partition, &job->commit);
    if (r == COOKIE_COMMIT_WAIT)
        return;
    send_changed(client, command_id, changed, r == COOKIE_COMMIT_SAVED);
    job_free(job);
}

/* ---- list
 * ------------------------------------------------------------------------------------- */

void cookie_to_pb(const struct cookie *from, Xhrd__V1__Cookie *to)
{
    xhrd__v1__cookie__init(to);
    to->name = bytes_of_span(from->name);
    to->value = bytes_of_span(from->value);
    to->domain = bytes_of_span(from->domain);
    to->path = bytes_of_span(from->path);
    to->secure = from->secure;
    to->http_only = from->http_only;
    to->host_only = from->host_only;
    to->same_site = (Xhrd__V1__SameSite)from->same_site;
    if (from->is_persistent) {
        to->expiry_case = XHRD__V1__COOKIE__EXPIRY_EXPIRES_S;
        to->expires_s = from->expires_s;
    }
    to->created_s = from->created_s;
    to->last_access_s = from->last_access_s;
}

/* How many cookies from @at on fit one reply; at least one, if there is one. */
static size_t fitting(const struct cookie_list *list, size_t at)
{
    size_t bytes = 0;
    size_t n = 0;

    while (at + n < list->count && n < COOKIE_REPLY_MAX && bytes < REPLY_BYTES_AIM) {
        const struct cookie *cookie = list->cookies[at + n];

        bytes +=
            cookie->name.len + cookie->value.len + cookie->domain.len + cookie->path.len + 64;
        n++;
    }
    return n;
}

static int send_page(struct client *client,
                     uint32_t command_id,
                     const struct cookie_list *list,
                     size_t at,
                     size_t n)
{
    Xhrd__V1__CookieReply reply = XHRD__V1__COOKIE_REPLY__INIT;
    CLEANUP_MEM Xhrd__V1__Cookie *cookies = mem_array(n, sizeof(*cookies));
    // NOLINTNEXTLINE(bugprone-sizeof-expression): pointers they are
    CLEANUP_MEM Xhrd__V1__Cookie **pointers = mem_array(n, sizeof(*pointers));

    if (!cookies || !pointers)
        return fault(-ENOMEM);
    for (size_t i = 0; i < n; i++) {
        cookie_to_pb(list->cookies[at + i], &cookies[i]);
        pointers[i] = &cookies[i];
    }
    reply.command_id = command_id;
    reply.cookies = pointers;
    reply.n_cookies = n;
    reply.more = at + n < list->count;
    if (n > 0 && !quota_has_spare(&client->user->quota, QUOTA_BYTES,
                                  xhrd__v1__cookie_reply__get_packed_size(&reply)))
        return -EDQUOT;
    cookie_send_reply(client, &reply);
    return 0;
}

void cookie_filter_of_message(const Xhrd__V1__CookieFilter *from, struct cookie_filter *ret)
{
    *ret = (struct cookie_filter){0};
    if (!from)
        return;
    ret->domain = span_of_bytes(from->domain);
    ret->path = span_of_bytes(from->path);
    ret->name = span_of_bytes(from->name);
    ret->host = span_of_bytes(from->host);
}

static void
list(struct client *client, const Xhrd__V1__CookieCommand *command, struct cookie_jar *jar)
{
    CLEANUP_COOKIE_LIST struct cookie_list found = {0};
    struct cookie_filter filter;
    size_t at = 0;

    cookie_filter_of_message(command->filter, &filter);
    int r = cookie_jar_list(jar, &filter, loop_wall_s(client->service->loop), &found);
    do {
        size_t n = r == 0 ? fitting(&found, at) : 0;

        if (r == 0)
            r = send_page(client, command->command_id, &found, at, n);
        at += n;
    } while (r == 0 && at < found.count);
    if (r < 0)
        cookie_send_trouble(client, command->command_id, r);
}

/* ---- set and remove
 * ----------------------------------------------------------------------------- */

void cookie_draft_of_pb(const Xhrd__V1__Cookie *from, struct cookie *ret)
{
    *ret = (struct cookie){
        .name = span_of_bytes(from->name),
        .value = span_of_bytes(from->value),
        .domain = span_of_bytes(from->domain),
        .path = span_of_bytes(from->path),
        .expires_s = COOKIE_EXPIRES_NEVER,
        .same_site = (uint8_t)from->same_site,
        .secure = from->secure,
        .http_only = from->http_only,
        .host_only = from->host_only,
    };
    if (from->expiry_case == XHRD__V1__COOKIE__EXPIRY_EXPIRES_S) {
        ret->is_persistent = true;
        ret->expires_s = from->expires_s;
    }
}

static int set_from(struct client *client,
                    const Xhrd__V1__CookieSet *from,
                    const struct url *url,
                    struct cookie_jar *jar)
{
    int64_t now_s = loop_wall_s(client->service->loop);
    struct cookie_request asked = {.now_s = now_s, .host = url->host, .path = url->path};
    struct cookie draft;

    asked.is_secure = url->href && span_eq(url->scheme, SPAN_LIT("https"));
    cookie_draft_of_pb(from->cookie, &draft);
    return cookie_jar_set(jar, &draft, &asked);
}

static void
set(struct client *client, const Xhrd__V1__CookieCommand *command, struct cookie_jar *jar)
{
    const Xhrd__V1__CookieSet *from = command->set;
    struct url url = {0};
    int r = from->url.len ? url_parse(span_of_bytes(from->url), NULL, &url) : URL_OK;

    if (r != URL_OK || !from->cookie) {
        url_done(&url);
        cookie_send_failure(client, command->command_id, FAILURE_ARGUMENT,
                            r != URL_OK ? url_outcome_text(r)
                                        : "set: no cookie in the message");
        return;
    }
    r = set_from(client, from, &url, jar);
    url_done(&url);
    if (r < 0)
        cookie_send_failure(client, command->command_id, FAILURE_INTERNAL, "out of memory");
    else if (cookie_outcome_is_refusal(r))
        cookie_send_failure(client, command->command_id, FAILURE_ARGUMENT,
                            cookie_outcome_text(r));
    else
        cookie_answer_when_saved(client, command->command_id, jar, 1);
}

static void remove_matching(struct client *client,
                            const Xhrd__V1__CookieCommand *command,
                            struct cookie_jar *jar)
{
    struct cookie_filter filter;

    cookie_filter_of_message(command->filter, &filter);
    cookie_answer_when_saved(client, command->command_id, jar, cookie_jar_remove(jar, &filter));
}

static void
carry_out(struct client *client, const Xhrd__V1__CookieCommand *command, struct cookie_jar *jar)
{
    switch (command->operation_case) {
    case XHRD__V1__COOKIE_COMMAND__OPERATION_LIST: list(client, command, jar); return;
    case XHRD__V1__COOKIE_COMMAND__OPERATION_SET: set(client, command, jar); return;
    case XHRD__V1__COOKIE_COMMAND__OPERATION_REMOVE:
        remove_matching(client, command, jar);
        return;
    case XHRD__V1__COOKIE_COMMAND__OPERATION_ADD_ALL:
        cookie_add_all(client, command, jar);
        return;
    case XHRD__V1__COOKIE_COMMAND__OPERATION_EXPLAIN:
        cookie_explain(client, command, jar);
        return;
    case XHRD__V1__COOKIE_COMMAND__OPERATION_WATCH:
    case XHRD__V1__COOKIE_COMMAND__OPERATION_END_SESSION:
    case XHRD__V1__COOKIE_COMMAND__OPERATION_JAR_LIST:
    case XHRD__V1__COOKIE_COMMAND__OPERATION_JAR_CREATE:
    case XHRD__V1__COOKIE_COMMAND__OPERATION_JAR_REMOVE:
    case XHRD__V1__COOKIE_COMMAND__OPERATION_JAR_GRANT:
    case XHRD__V1__COOKIE_COMMAND__OPERATION_JAR_REVOKE:
    case XHRD__V1__COOKIE_COMMAND__OPERATION__NOT_SET:
    case _XHRD__V1__COOKIE_COMMAND__OPERATION__CASE_IS_INT_SIZE: break;
    }
    cookie_send_failure(client, command->command_id, FAILURE_ARGUMENT,
                        "operation: none of list, set and remove is set");
}

static void wait_for_jar(struct cookie_job *job, const Xhrd__V1__CookieCommand *command)
{
    int r = charge_take(&job->bytes, &job->client->user->quota, QUOTA_BYTES,
                        xhrd__v1__cookie_command__get_packed_size(command));

    if (r == 0) {
        job->command = copy_command(command);
        r = job->command ? 0 : fault(-ENOMEM);
    }
    if (r == 0)
        return;
    cookie_send_trouble(job->client, job->command_id, r);
    job_free(job);
}

int client_find_private_jar(struct client *client, struct span name, struct cookie_jar **ret)
{
    const struct cookie_access *cookies = &client->service->fetcher->cookies;

    if (!span_eq(name, SPAN_LIT(CLIENT_PRIVATE_JAR)))
        return 0;
    if (!client->private_jar) {
        int r = cookies->make_private(cookies->owner, &client->partition, &client->private_jar);

        if (r < 0)
            return r;
    }
    *ret = client->private_jar;
    return 1;
}

void cookie_service_command(struct client *client, const Xhrd__V1__CookieCommand *command)
{
    const struct cookie_access *cookies = &client->service->fetcher->cookies;
    struct cookie_jar *jar = NULL;
    struct cookie_job *job;
    int r = client_find_private_jar(client, span_of(command->jar), &jar);

    if (r > 0) {
        carry_out(client, command, jar);
        return;
    }
    if (r == 0)
        r = job_new(client, command->command_id, &job);
    if (r < 0) {
        cookie_send_trouble(client, command->command_id, r);
        return;
    }
    job->wait.on_ready = job_on_ready;
    job->wait.owner = job;
    r = cookies->open(cookies->owner, &client->partition, span_of(command->jar), &job->wait,
                      &jar);
    if (r == COOKIE_OPEN_WAIT) {
        wait_for_jar(job, command);
        return;
    }
    job_free(job);
    if (r == COOKIE_OPEN_READY)
        carry_out(client, command, jar);
    else
        cookie_send_failure(
            client, command->command_id,
            r == -EINVAL ? FAILURE_ARGUMENT : (r == -EDQUOT ? FAILURE_QUOTA : FAILURE_INTERNAL),
            r == -EINVAL ? "jar: wants 1 to 64 of letters, digits, '.', '_' and '-', "
                           "not beginning with '.', and not \"system\""
                         : "the jar cannot be opened");
}
