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

/* ---- answers -------------------------------------------------------------------------------
 */

int cookie_send_rows(struct client *client, Xhrd__V1__CookieReply *reply)
{
    Xhrd__V1__ServerMessage message = XHRD__V1__SERVER_MESSAGE__INIT;

    message.kind_case = XHRD__V1__SERVER_MESSAGE__KIND_COOKIE;
    message.cookie = reply;
    return client_send_if_room(client, &message);
}

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

void cookie_service_fail(struct client *client, uint32_t command_id, const struct failure *why)
{
    cookie_send_failure(client, command_id, why->kind, why->text);
}

void cookie_send_trouble(struct client *client, uint32_t command_id, int r)
{
    if (r == -EDQUOT)
        cookie_send_failure(client, command_id, FAILURE_QUOTA,
                            "this user holds too much already");
    else
        cookie_send_failure(client, command_id, FAILURE_INTERNAL, "out of memory");
}

void cookie_send_refusal(struct client *client, uint32_t command_id, int r)
{
    if (r == COOKIE_OPEN_DENIED)
        cookie_send_failure(client, command_id, FAILURE_POLICY,
                            "jar: there is none of that name on which you have that right");
    else if (r == -EINVAL)
        cookie_send_failure(client, command_id, FAILURE_ARGUMENT, JAR_REF_WANTS);
    else if (r == -EDQUOT)
        cookie_send_failure(client, command_id, FAILURE_QUOTA,
                            "too many cookie jars, or too many grants on one");
    else
        cookie_send_failure(client, command_id, FAILURE_INTERNAL, "the jar cannot be opened");
}

static void send_changed(struct client *client,
                         uint32_t command_id,
                         uint64_t changed,
                         Xhrd__V1__Durability durability)
{
    Xhrd__V1__CookieReply reply = XHRD__V1__COOKIE_REPLY__INIT;

    reply.command_id = command_id;
    reply.changed = changed;
    reply.durability = durability;
    reply.not_persisted = durability == XHRD__V1__DURABILITY__DURABILITY_MEMORY;
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

/* Keeps a copy of the command. Return: 0, -EDQUOT or -ENOMEM. */
static int keep_command(struct cookie_job *job, const Xhrd__V1__CookieCommand *command)
{
    int r = charge_take_spare(&job->bytes, &job->client->user->quota, QUOTA_BYTES,
                              xhrd__v1__cookie_command__get_packed_size(command));

    if (r < 0)
        return r;
    job->command = copy_command(command);
    return job->command ? 0 : fault(-ENOMEM);
}

int cookie_ask_begin(struct client *client,
                     const Xhrd__V1__CookieCommand *command,
                     struct cookie_job **ret,
                     struct cookie_wait **ret_wait)
{
    int r = job_new(client, command->command_id, ret);

    if (r < 0) {
        cookie_send_trouble(client, command->command_id, r);
        return r;
    }
    (*ret)->wait.on_ready = job_on_ready;
    (*ret)->wait.owner = *ret;
    *ret_wait = &(*ret)->wait;
    return 0;
}

bool cookie_ask_end(struct cookie_job *job, const Xhrd__V1__CookieCommand *command, int r)
{
    struct client *client = job->client;
    int kept = r == COOKIE_OPEN_WAIT ? keep_command(job, command) : 0;

    if (r == COOKIE_OPEN_WAIT && kept == 0)
        return false;
    job_free(job);
    if (kept < 0)
        cookie_send_trouble(client, command->command_id, kept);
    else if (r != COOKIE_OPEN_READY)
        cookie_send_refusal(client, command->command_id, r);
    return r == COOKIE_OPEN_READY;
}

static Xhrd__V1__Durability durability_of(const struct cookie_job *job, bool saved)
{
    if (!saved)
        return XHRD__V1__DURABILITY__DURABILITY_MEMORY;
    return job->commit.to_power ? XHRD__V1__DURABILITY__DURABILITY_SYNCED
                                : XHRD__V1__DURABILITY__DURABILITY_STORED;
}

static void job_on_committed(void *owner, bool saved)
{
    struct cookie_job *job = owner;
    struct client *client = job->client;

    send_changed(client, job->command_id, job->changed, durability_of(job, saved));
    job_free(job);
    client_check_done(client);
}

/* What went must not come back, whatever dies. */
static bool must_be_synced(const Xhrd__V1__CookieCommand *command, uint64_t changed)
{
    bool removes = command->operation_case == XHRD__V1__COOKIE_COMMAND__OPERATION_REMOVE ||
                   command->operation_case == XHRD__V1__COOKIE_COMMAND__OPERATION_JAR_REMOVE;

    return command->durability == XHRD__V1__DURABILITY__DURABILITY_SYNCED ||
           (removes && changed > 0);
}

void cookie_answer_when_saved(const struct cookie_turn *turn, uint64_t changed)
{
    struct client *client = turn->client;
    const struct cookie_access *cookies = &client->service->fetcher->cookies;
    uint32_t command_id = turn->command->command_id;
    struct cookie_job *job;

    if (turn->lease.jar && turn->lease.jar == client->private_jar) {
        /* never on disk, and never to be */
        send_changed(client, command_id, changed, XHRD__V1__DURABILITY__DURABILITY_STORED);
        return;
    }
    if (job_new(client, command_id, &job) < 0) { /* it is changed all the same */
        send_changed(client, command_id, changed, XHRD__V1__DURABILITY__DURABILITY_MEMORY);
        return;
    }
    job->changed = changed;
    job->commit.on_committed = job_on_committed;
    job->commit.owner = job;
    job->commit.to_power = must_be_synced(turn->command, changed);
    int r = cookies->commit(cookies->owner, turn->lease.owner_uid, &job->commit);
    if (r == COOKIE_COMMIT_WAIT)
        return;
    send_changed(client, command_id, changed, durability_of(job, r == COOKIE_COMMIT_SAVED));
    job_free(job);
}

/* ---- list, set, remove ---------------------------------------------------------------------
 */

static void list(const struct cookie_turn *turn)
{
    CLEANUP_COOKIE_LIST struct cookie_list found = {0};
    struct cookie_filter filter;

    cookie_filter_of_message(turn->command->filter, &filter);
    int r = cookie_jar_list(turn->lease.jar, &filter, loop_wall_s(turn->client->service->loop),
                            &found);
    if (r == 0)
        r = cookie_send_list(turn, &found);
    if (r < 0)
        cookie_send_trouble(turn->client, turn->command->command_id, r);
}

/* What a CookieSet names. */
struct set_urls {
    struct url from;
    struct url top_level;
};

/* Return: URL_OK, another outcome, or -ENOMEM. */
static int parse_urls(const Xhrd__V1__CookieSet *set, struct set_urls *ret)
{
    int r = URL_OK;

    *ret = (struct set_urls){0};
    if (set->url.len > 0)
        r = url_parse(span_of_bytes(set->url), NULL, &ret->from);
    if (r == URL_OK && set->cookie && set->cookie->partition_key.len > 0)
        r = url_parse(span_of_bytes(set->cookie->partition_key), NULL, &ret->top_level);
    return r;
}

static int set_from(const struct cookie_turn *turn, const struct set_urls *urls)
{
    const Xhrd__V1__CookieSet *from = turn->command->set;
    struct cookie_request asked = {
        .now_s = loop_wall_s(turn->client->service->loop),
        .host = urls->from.host,
        .path = urls->from.path,
        .top_level = {.host = urls->top_level.host},
    };
    struct cookie draft;

    if (urls->from.href)
        asked.is_secure = span_eq(urls->from.scheme, SPAN_LIT("https"));
    if (urls->top_level.href)
        asked.top_level.is_https = span_eq(urls->top_level.scheme, SPAN_LIT("https"));
    cookie_draft_of_pb(from->cookie, &draft);
    if (from->partitioned && draft.partition_key.len == 0)
        draft.partition_key = SPAN_LIT("own");
    return cookie_jar_set(turn->lease.jar, &draft, &asked);
}

static void set(const struct cookie_turn *turn)
{
    const Xhrd__V1__CookieSet *from = turn->command->set;
    uint32_t command_id = turn->command->command_id;
    struct set_urls urls;
    int r = parse_urls(from, &urls);
    const char *wrong = r != URL_OK     ? url_outcome_text(r)
                        : !from->cookie ? "set: no cookie in the message"
                                        : NULL;

    if (!wrong)
        r = set_from(turn, &urls);
    url_done(&urls.from);
    url_done(&urls.top_level);
    if (r < 0)
        cookie_send_failure(turn->client, command_id, FAILURE_INTERNAL, "out of memory");
    else if (wrong)
        cookie_send_failure(turn->client, command_id, FAILURE_ARGUMENT, wrong);
    else if (cookie_outcome_is_refusal(r))
        cookie_send_failure(turn->client, command_id, FAILURE_ARGUMENT, cookie_outcome_text(r));
    else
        cookie_answer_when_saved(turn, 1);
}

static void remove_matching(const struct cookie_turn *turn)
{
    struct cookie_filter filter;

    cookie_filter_of_message(turn->command->filter, &filter);
    cookie_answer_when_saved(turn, cookie_jar_remove(turn->lease.jar, &filter));
}

/* ---- the command ---------------------------------------------------------------------------
 */

/* What can be done with a jar in hand, and what right that wants. */
static const struct {
    void (*carry_out)(const struct cookie_turn *turn);
    enum jar_right right;
} commands[] = {
    [XHRD__V1__COOKIE_COMMAND__OPERATION_LIST] = {list, JAR_RIGHT_READ},
    [XHRD__V1__COOKIE_COMMAND__OPERATION_SET] = {set, JAR_RIGHT_WRITE},
    [XHRD__V1__COOKIE_COMMAND__OPERATION_REMOVE] = {remove_matching, JAR_RIGHT_WRITE},
    [XHRD__V1__COOKIE_COMMAND__OPERATION_ADD_ALL] = {cookie_add_all, JAR_RIGHT_WRITE},
    [XHRD__V1__COOKIE_COMMAND__OPERATION_EXPLAIN] = {cookie_explain, JAR_RIGHT_READ},
    [XHRD__V1__COOKIE_COMMAND__OPERATION_WATCH] = {cookie_watch_begin, JAR_RIGHT_READ},
};

struct jar_asker cookie_asker_of(const struct client *client)
{
    return (struct jar_asker){
        .partition = &client->partition,
        .gids = client->peer.gids,
        .n_gids = client->peer.n_gids,
    };
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

static void with_private_jar(struct cookie_turn *turn)
{
    turn->lease.right = JAR_RIGHT_WRITE;
    turn->lease.owner_uid = turn->client->partition.uid;
    commands[turn->command->operation_case].carry_out(turn);
}

static void with_jar(struct client *client, const Xhrd__V1__CookieCommand *command)
{
    const struct cookie_access *cookies = &client->service->fetcher->cookies;
    const struct jar_asker asker = cookie_asker_of(client);
    struct cookie_turn turn = {.client = client, .command = command};
    struct cookie_wait *wait;
    struct cookie_job *job;
    int r = client_find_private_jar(client, span_of(command->jar), &turn.lease.jar);

    if (r > 0)
        with_private_jar(&turn);
    else if (r < 0)
        cookie_send_trouble(client, command->command_id, r);
    if (r != 0 || cookie_ask_begin(client, command, &job, &wait) < 0)
        return;
    r = cookies->open(cookies->owner, &asker, span_of(command->jar), wait, &turn.lease);
    if (r == COOKIE_OPEN_READY && turn.lease.right < commands[command->operation_case].right)
        r = COOKIE_OPEN_DENIED;
    if (cookie_ask_end(job, command, r)) {
        client_hold_session(client, turn.lease.owner_uid);
        commands[command->operation_case].carry_out(&turn);
    }
    jar_lease_close(&turn.lease);
}

void cookie_service_command(struct client *client, const Xhrd__V1__CookieCommand *command)
{
    if (command->durability == XHRD__V1__DURABILITY__DURABILITY_MEMORY) {
        cookie_send_failure(client, command->command_id, FAILURE_ARGUMENT,
                            "durability: wants STORED or SYNCED");
        return;
    }
    switch (command->operation_case) {
    case XHRD__V1__COOKIE_COMMAND__OPERATION_LIST:
    case XHRD__V1__COOKIE_COMMAND__OPERATION_SET:
    case XHRD__V1__COOKIE_COMMAND__OPERATION_REMOVE:
    case XHRD__V1__COOKIE_COMMAND__OPERATION_ADD_ALL:
    case XHRD__V1__COOKIE_COMMAND__OPERATION_EXPLAIN:
    case XHRD__V1__COOKIE_COMMAND__OPERATION_WATCH: with_jar(client, command); return;
    case XHRD__V1__COOKIE_COMMAND__OPERATION_JAR_LIST:
        cookie_jars_list(client, command);
        return;
    case XHRD__V1__COOKIE_COMMAND__OPERATION_END_SESSION:
    case XHRD__V1__COOKIE_COMMAND__OPERATION_JAR_CREATE:
    case XHRD__V1__COOKIE_COMMAND__OPERATION_JAR_REMOVE:
    case XHRD__V1__COOKIE_COMMAND__OPERATION_JAR_GRANT:
    case XHRD__V1__COOKIE_COMMAND__OPERATION_JAR_REVOKE:
        cookie_jars_do_deed(client, command);
        return;
    case XHRD__V1__COOKIE_COMMAND__OPERATION__NOT_SET:
    case _XHRD__V1__COOKIE_COMMAND__OPERATION__CASE_IS_INT_SIZE: break;
    }
    cookie_send_failure(client, command->command_id, FAILURE_ARGUMENT,
                        "operation: wants one of those of CookieCommand");
}
