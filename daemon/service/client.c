/* SPDX-License-Identifier: MIT */
/*
 * One client of the daemon: hello first, then commands. A message is looked at before it is
 * unpacked, unpacked into the service's arena, and handed to the service it is for.
 */
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/mem.h"
#include "loop/turns.h"
#include "policy/cookie_jar.h"
#include "service/monitor.h"
#include "service/service_priv.h"
#include "wire/codec.h"
#include "wire/frame.h"
#include "wire/precheck.h"

#define PROTOCOL_VERSION 1

/* ---- out ------------------------------------------------------------------------------------
 */

static int queue_message(struct client *client,
                         const Xhrd__V1__ServerMessage *message,
                         enum session_room room,
                         bool lazily)
{
    struct service *service = client->service;
    uint8_t prefix[WIRE_FRAME_PREFIX_MAX];
    uint8_t *packed = NULL;
    size_t size = wire_pack_planned(&service->plans, &message->base, service->packed,
                                    sizeof(service->packed), &packed);
    char *to;

    if (size == 0) /* a large one */
        size = xhrd__v1__server_message__get_packed_size(message);
    if (size > WIRE_FRAME_BYTES_MAX)
        return fault(-EMSGSIZE);
    size_t prefix_len = wire_frame_prefix(prefix, size);
    if (prefix_len + size > SESSION_SHORT_FRAME_BYTES)
        room = SESSION_ROOM_SPARE;
    int r = session_reserve(client->session, prefix_len + size, room, &to);
    if (r < 0)
        return r;
    memcpy(to, prefix, prefix_len);
    if (packed)
        memcpy(to + prefix_len, packed, size);
    else
        xhrd__v1__server_message__pack(message, (uint8_t *)to + prefix_len);
    if (lazily)
        session_commit_lazily(client->session, prefix_len + size);
    else
        session_commit(client->session, prefix_len + size);
    return 0;
}

/* Return: 0, or -EDQUOT of what needs spare room. */
static int send_message(struct client *client,
                        const Xhrd__V1__ServerMessage *message,
                        enum session_room room,
                        bool lazily)
{
    if (client->closed || deferred_is_queued(&client->leave))
        return 0;
    int r = queue_message(client, message, room, lazily);
    if (r == 0 || (r == -EDQUOT && room == SESSION_ROOM_SPARE))
        return r;
    log_warning(&client->log, "%s is sent away: a message could not be queued (%s)",
                client->program, r == -EDQUOT ? "its user holds too much" : "no memory");
    /* Not at once: the caller may be one of its requests, in the middle of an event. */
    loop_defer(client->service->loop, &client->leave);
    return 0;
}

void client_send(struct client *client, const Xhrd__V1__ServerMessage *message)
{
    (void)send_message(client, message, SESSION_ROOM_ANYWAY, false);
}

int client_send_if_room(struct client *client, const Xhrd__V1__ServerMessage *message)
{
    return send_message(client, message, SESSION_ROOM_SPARE, false);
}

int client_send_lazily(struct client *client, const Xhrd__V1__ServerMessage *message)
{
    return send_message(client, message, SESSION_ROOM_SPARE, true);
}

static void client_on_leave(void *owner)
{
    client_close(owner);
}

void client_refuse(struct client *client, Xhrd__V1__SessionError__Kind kind, const char *text)
{
    Xhrd__V1__SessionError error = XHRD__V1__SESSION_ERROR__INIT;
    Xhrd__V1__ServerMessage message = XHRD__V1__SERVER_MESSAGE__INIT;

    if (client->closed)
        return;
    log_debug(&client->log, "%s is sent away: %s", client->program, text);
    error.kind = kind;
    error.text = bytes_of_span(span_of(text));
    message.kind_case = XHRD__V1__SERVER_MESSAGE__KIND_ERROR;
    message.error = &error;
    client_send(client, &message);
    struct session *session = client->session;
    client->session = NULL;
    session_close_after_flush(session);
    client_close(client);
}

/* ---- in -------------------------------------------------------------------------------------
 */

static void tell_hello(struct client *client)
{
    const struct service *service = client->service;
    Xhrd__V1__ServerHello hello = XHRD__V1__SERVER_HELLO__INIT;
    Xhrd__V1__ServerMessage message = XHRD__V1__SERVER_MESSAGE__INIT;

    hello.protocol = PROTOCOL_VERSION;
    hello.version = bytes_of_span(span_of(service->options.version));
    hello.uid = client->peer.uid;
    hello.frame_bytes_max = WIRE_FRAME_BYTES_MAX;
    hello.requests_max = (uint32_t)client->user->quota.max[QUOTA_REQUESTS];
    hello.upload_credit_bytes = 65536;
    hello.per_user = service->options.per_user;
    message.kind_case = XHRD__V1__SERVER_MESSAGE__KIND_HELLO;
    message.hello = &hello;
    client_send(client, &message);
}

#define HELD_MAX 64 /* owners of jars; who uses those of more holds the first ones */

void client_hold_session(struct client *client, uint32_t uid)
{
    const struct cookie_access *cookies = &client->service->fetcher->cookies;

    for (unsigned i = 0; i < client->n_held; i++) {
        if (client->held[i] == uid)
            return;
    }
    uint32_t *held =
        client->n_held < HELD_MAX ? mem_array(client->n_held + 1, sizeof(*held)) : NULL;
    if (!held)
        return;
    if (client->n_held > 0)
        memcpy(held, client->held, client->n_held * sizeof(*held));
    held[client->n_held++] = uid;
    mem_free(client->held);
    client->held = held;
    cookies->session_hold(cookies->owner, uid);
}

static void release_sessions(struct client *client)
{
    const struct cookie_access *cookies = &client->service->fetcher->cookies;

    for (unsigned i = 0; i < client->n_held; i++)
        cookies->session_release(cookies->owner, client->held[i]);
    client->held = mem_free(client->held);
    client->n_held = 0;
}

static void client_on_find_unit(void *owner)
{
    struct client *client = owner;

    peer_unit_find(session_fd(client->session), client->peer.pid,
                   loop_now_us(client->service->loop), client->unit);
}

const char *client_unit(struct client *client)
{
    if (!client->asked_unit && log_get_level() >= LOG_LEVEL_INFO) {
        client->asked_unit = true;
        loop_defer_last(client->service->loop, &client->find_unit);
    }
    return client->unit;
}

int client_introduce(struct client *client, struct span profile, struct span program)
{
    if (partition_init(&client->partition, client->peer.uid, profile) < 0)
        return -EINVAL;
    program = span_take(program, CLIENT_PROGRAM_MAX);
    for (size_t i = 0; i < program.len; i++)
        client->program[i] =
            program.ptr[i] >= 0x20 && program.ptr[i] < 0x7f ? program.ptr[i] : '?';
    client->program_len = (uint8_t)program.len;
    client->counters = counters_of(&client->service->counters, &client->partition);
    client->greeted = true;
    client_hold_session(client, client->partition.uid);
    return 0;
}

static void greet(struct client *client, const Xhrd__V1__ClientHello *hello)
{
    if (client->greeted) {
        client_refuse(client, XHRD__V1__SESSION_ERROR__KIND__KIND_PROTOCOL, "a second hello");
        return;
    }
    if (hello->protocol != PROTOCOL_VERSION) {
        client_refuse(client, XHRD__V1__SESSION_ERROR__KIND__KIND_VERSION,
                      "this daemon speaks version 1 of the protocol");
        return;
    }
    if (client_introduce(client, span_of(hello->profile), span_of_bytes(hello->program)) < 0) {
        client_refuse(client, XHRD__V1__SESSION_ERROR__KIND__KIND_PROTOCOL,
                      "profile: wants at most 31 of a-z, 0-9, '_' and '-'");
        return;
    }
    tell_hello(client);
    client_keep_later(client);
}

static void dispatch(struct client *client, const Xhrd__V1__ClientMessage *message)
{
    switch (message->kind_case) {
    case XHRD__V1__CLIENT_MESSAGE__KIND_HELLO: greet(client, message->hello); return;
    case XHRD__V1__CLIENT_MESSAGE__KIND_OPEN: fetch_service_open(client, message->open); return;
    case XHRD__V1__CLIENT_MESSAGE__KIND_BODY:
        fetch_service_body(client, message->body->request_id,
                           span_of_bytes(message->body->data));
        return;
    case XHRD__V1__CLIENT_MESSAGE__KIND_BODY_END:
        fetch_service_body_end(client, message->body_end);
        return;
    case XHRD__V1__CLIENT_MESSAGE__KIND_CREDIT:
        fetch_service_credit(client, message->credit);
        return;
    case XHRD__V1__CLIENT_MESSAGE__KIND_ABORT:
        fetch_service_abort(client, message->abort->request_id);
        return;
    case XHRD__V1__CLIENT_MESSAGE__KIND_BODY_TO_FD:
        fetch_service_body_to_fd(client, message->body_to_fd);
        return;
    case XHRD__V1__CLIENT_MESSAGE__KIND_COOKIE:
        cookie_service_command(client, message->cookie);
        return;
    case XHRD__V1__CLIENT_MESSAGE__KIND_ADMIN:
        admin_service_command(client, message->admin);
        return;
    case XHRD__V1__CLIENT_MESSAGE__KIND_NETWORK:
        network_service_command(client, message->network);
        return;
    case XHRD__V1__CLIENT_MESSAGE__KIND_UNWATCH:
        cookie_watch_end(client, message->unwatch->command_id);
        return;
    case XHRD__V1__CLIENT_MESSAGE__KIND_ANSWER:
        fetch_service_answer(client, message->answer);
        return;
    case XHRD__V1__CLIENT_MESSAGE__KIND_CONNECTION_ANSWER:
        answer_service_answer(client, message->connection_answer);
        return;
    case XHRD__V1__CLIENT_MESSAGE__KIND__NOT_SET:
    case _XHRD__V1__CLIENT_MESSAGE__KIND__CASE_IS_INT_SIZE: break;
    }
    client_refuse(client, XHRD__V1__SESSION_ERROR__KIND__KIND_PROTOCOL,
                  "a message without a kind this version knows");
}

static bool is_hello(const Xhrd__V1__ClientMessage *message)
{
    return message->kind_case == XHRD__V1__CLIENT_MESSAGE__KIND_HELLO;
}

/* What is only passed on is no work. */
static size_t work_of(const Xhrd__V1__ClientMessage *message, size_t len)
{
    const Xhrd__V1__RequestBody *body =
        message->kind_case == XHRD__V1__CLIENT_MESSAGE__KIND_OPEN ? message->open->body : NULL;

    return body && body->source_case == XHRD__V1__REQUEST_BODY__SOURCE_INLINE_BYTES
               ? len - body->inline_bytes.len
               : len;
}

static void
judge_and_dispatch(struct client *client, const Xhrd__V1__ClientMessage *message, size_t len)
{
    session_note_work(client->session, work_of(message, len));
    if (!client->greeted && !is_hello(message))
        client_refuse(client, XHRD__V1__SESSION_ERROR__KIND__KIND_PROTOCOL,
                      "the first message must be ClientHello");
    else
        dispatch(client, message);
}

/* What a message brought that is to be nowhere once its request has taken it: it lies where it
 * was unpacked from, which others write over at their leisure. */
static void wipe(ProtobufCBinaryData secret)
{
    if (secret.len > 0)
        explicit_bzero(secret.data, secret.len);
}

static void wipe_secrets(const Xhrd__V1__ClientMessage *message)
{
    if (message->kind_case == XHRD__V1__CLIENT_MESSAGE__KIND_OPEN) {
        const Xhrd__V1__OpenRequest *open = message->open;

        if (open->tls) {
            wipe(open->tls->client_certificate);
            wipe(open->tls->passphrase);
        }
        if (open->credentials) {
            wipe(open->credentials->password);
            wipe(open->credentials->bearer_token);
        }
    } else if (message->kind_case == XHRD__V1__CLIENT_MESSAGE__KIND_ANSWER &&
               message->answer->what_case == XHRD__V1__ANSWER__WHAT_CHALLENGE) {
        wipe(message->answer->challenge->password);
        wipe(message->answer->challenge->bearer_token);
    }
}

/* What wire_unpack() leaves: the unusual and the wrong. */
static void unpack_slowly(struct client *client, const struct wire_frame *frame)
{
    struct arena *arena = &client->service->in;
    enum wire_verdict verdict =
        wire_precheck(&xhrd__v1__client_message__descriptor, frame->bytes, frame->len);

    if (verdict != WIRE_FINE) {
        client_refuse(client, XHRD__V1__SESSION_ERROR__KIND__KIND_PROTOCOL,
                      wire_verdict_text(verdict));
        return;
    }
    arena_reset(arena);
    Xhrd__V1__ClientMessage *message =
        xhrd__v1__client_message__unpack(&arena->allocator, frame->len, frame->bytes);
    if (!message) {
        client_refuse(client, XHRD__V1__SESSION_ERROR__KIND__KIND_PROTOCOL,
                      "a frame that is no ClientMessage");
        return;
    }
    judge_and_dispatch(client, message, frame->len);
    wipe_secrets(message);
    explicit_bzero((void *)(uintptr_t)frame->bytes, frame->len); /* it has copies */
    xhrd__v1__client_message__free_unpacked(message, &arena->allocator);
}

static void unpack_and_dispatch(struct client *client, const struct wire_frame *frame)
{
    struct arena *arena = &client->service->in;
    const Xhrd__V1__ClientMessage *message =
        wire_unpack(&xhrd__v1__client_message__descriptor, frame->bytes, frame->len,
                    arena->block, sizeof(arena->block));

    if (!message) {
        unpack_slowly(client, frame);
        return;
    }
    judge_and_dispatch(client, message, frame->len);
    wipe_secrets(message); /* they borrow from the frame */
}

static void client_on_frame(void *owner, const struct wire_frame *frame)
{
    struct client *client = owner;
    struct wire_body body;

    if (client->closed)
        return;
    client->message_bytes = frame->len;
    if (!client->greeted && frame->frame_len > SESSION_SHORT_FRAME_BYTES)
        client_refuse_long_hello(client);
    else if (client->greeted && wire_body_parse(frame, WIRE_DAEMON, &body))
        fetch_service_body(client, body.request_id,
                           (struct span){(const char *)body.data, body.data_len});
    else
        unpack_and_dispatch(client, frame);
}

static void client_on_congested(void *owner)
{
    fetch_service_stall(owner);
}

static void client_on_wake(void *owner)
{
    fetch_service_wake(owner);
}

static void client_on_drained(void *owner)
{
    fetch_service_wake(owner);
    cookie_watch_resume_all(owner);
    monitor_resume_all(owner);
}

static void client_on_end(void *owner, enum session_end end)
{
    struct client *client = owner;

    switch (end) {
    case SESSION_END_EOF:
        client->half_closed = true;
        cookie_watch_close_all(client); /* it could not end them any more */
        monitor_close_all(client);
        answer_service_leave(client);
        fetch_service_end_of_input(client);
        client_check_done(client);
        return;
    case SESSION_END_FRAME:
        client_refuse(client, XHRD__V1__SESSION_ERROR__KIND__KIND_LIMIT,
                      "a frame longer than 1 MiB, or a length that is none");
        return;
    case SESSION_END_TIMEOUT:
        client_refuse(client, XHRD__V1__SESSION_ERROR__KIND__KIND_TIMEOUT,
                      client->greeted ? "the rest of a frame did not come in time"
                                      : "no hello came in time");
        return;
    case SESSION_END_FDS:
        client_refuse(client, XHRD__V1__SESSION_ERROR__KIND__KIND_LIMIT,
                      "more descriptors than any message named");
        return;
    case SESSION_END_ERROR: break;
    }
    client_close(client);
}

/* ---- life -----------------------------------------------------------------------------------
 */

static void tell_idle(struct service *service)
{
    bool idle = service_is_idle(service);

    if (idle == service->was_idle)
        return;
    service->was_idle = idle;
    service->events->on_idle(service->owner, idle);
}

static void client_reap(struct reap *reap)
{
    struct client *client = (struct client *)(void *)reap;

    map_done(&client->requests);
    mem_free(client->groups);
    cookie_jar_free(client->private_jar);
    mem_free(client);
}

void client_close(struct client *client)
{
    struct service *service = client->service;

    if (client->closed)
        return;
    client->closed = true;
    client_forget(client);
    loop_defer_cancel(service->loop, &client->leave);
    loop_defer_cancel(service->loop, &client->find_unit);
    loop_defer_cancel(service->loop, &client->wake);
    answer_service_leave(client);
    fetch_service_close_all(client);
    cookie_service_close_all(client);
    cookie_watch_close_all(client);
    monitor_close_all(client);
    release_sessions(client);
    hsts_service_close_all(client);
    network_service_close(client);
    cache_service_close_all(client);
    purge_service_close_all(client);
    policy_service_close_all(client);
    if (client->session)
        session_close(client->session);
    if (client->private_jar && service->events->on_private_jar_end)
        service->events->on_private_jar_end(service->owner, client->peer.uid,
                                            cookie_jar_tag(client->private_jar));
    charge_release(&client->charge);
    link_remove(&client->link);
    service->n_clients--;
    log_debug(&client->log, "client %llu, %s, left", (unsigned long long)client->id,
              client->program);
    loop_defer_free(service->loop, &client->reap, client_reap);
    user_unref(client->user);
    client->user = NULL;
    tell_idle(service);
}

void client_check_done(struct client *client)
{
    if (client->closed || !client->half_closed || client->requests.count > 0 ||
        !list_is_empty(&client->cookie_jobs) || client->n_hsts_jobs > 0 ||
        client->n_cache_jobs > 0 || client->n_policy_jobs > 0 || client->n_purge_jobs > 0)
        return;
    struct session *session = client->session;
    client->session = NULL;
    session_close_after_flush(session);
    client_close(client);
}

static bool client_expects_more(void *owner)
{
    const struct client *client = owner;

    return !list_is_empty(&client->request_list);
}

static const struct session_events client_session_events = {
    .expects_more = client_expects_more,
    .on_frame = client_on_frame,
    .on_unkept = client_on_unkept,
    .on_congested = client_on_congested,
    .on_drained = client_on_drained,
    .on_end = client_on_end,
    .on_quiet = client_on_quiet,
};

/* ---- rights ---------------------------------------------------------------------------------
 */

static int keep_names(struct client *client, const struct access_person *names)
{
    if (!names)
        return 0;
    client->groups = mem_array(names->n_groups, sizeof(*client->groups));
    if (!client->groups)
        return fault(-ENOMEM);
    client->n_groups = names->n_groups;
    for (size_t i = 0; i < names->n_groups; i++)
        client->groups[i] = names->groups[i];
    (void)snprintf(client->user_name, sizeof(client->user_name), "%s", names->name);
    return 0;
}

static int ask_rights(struct client *client,
                      const struct access_person *who,
                      bool knows_names,
                      struct service_rights *ret)
{
    struct service *service = client->service;

    *ret = (struct service_rights){.limits = service->options.limits};
    return service->events->find_rights
               ? service->events->find_rights(service->owner, who, knows_names, ret)
               : 0;
}

/* Return: 0 or -ENOMEM, and nothing has changed. */
static int find_rights(struct client *client, struct service_rights *ret)
{
    CLEANUP_MEM struct access_group *groups = NULL;
    const struct peer *peer = &client->peer;
    struct access_person who = {
        .uid = peer->uid,
        .name = client->user_name,
        .groups = client->groups,
        .n_groups = client->n_groups,
    };

    if (client->groups)
        return ask_rights(client, &who, true, ret);
    who.groups = groups = mem_array(peer->n_gids, sizeof(*groups));
    if (!groups)
        return fault(-ENOMEM);
    for (unsigned i = 0; i < peer->n_gids; i++)
        groups[i].gid = peer->gids[i];
    who.n_groups = peer->n_gids;
    return ask_rights(client, &who, false, ret);
}

/* The quota is its uid's: the last one who comes, or the last reload, says how much it is. */
static void take_rights(struct client *client, const struct service_rights *rights)
{
    client->rights = *rights;
    client->rights.fetch.quota = &client->user->quota;
    memcpy(client->user->quota.max, rights->limits.max, sizeof(rights->limits.max));
}

static void refuse_kept_out(struct client *client)
{
    char text[96];

    (void)snprintf(text, sizeof(text), "the administrator does not let you in (%s of [Policy])",
                   client->rights.kept_out_by);
    client_refuse(client, XHRD__V1__SESSION_ERROR__KIND__KIND_DENIED, text);
}

/* Rules that were there are gone: who cannot be told the new ones cannot stay. */
static void renew_rights(struct client *client)
{
    struct service_rights rights;

    if (find_rights(client, &rights) < 0) {
        client_close(client);
        return;
    }
    take_rights(client, &rights);
    if (rights.kept_out_by)
        refuse_kept_out(client);
}

int client_new(struct service *service,
               int fd,
               const struct peer *peer,
               const struct access_person *names,
               struct client **ret)
{
    struct service_rights rights;
    struct client *client = mem_zalloc(sizeof(*client));

    if (!client)
        return fault(-ENOMEM);
    client->service = service;
    client->peer = *peer;
    client->log = (struct log_subject){.uid = peer->uid, .has_uid = true, .unit = client->unit};
    client->leave = (struct deferred){.fn = client_on_leave, .owner = client};
    client->find_unit = (struct deferred){.fn = client_on_find_unit, .owner = client};
    link_init(&client->young);
    client->wake = (struct deferred){.fn = client_on_wake, .owner = client};
    link_init(&client->request_list);
    link_init(&client->flowing);
    link_init(&client->stalled);
    link_init(&client->cookie_jobs);
    link_init(&client->watches);
    link_init(&client->monitors);
    link_init(&client->hsts_jobs);
    link_init(&client->cache_jobs);
    link_init(&client->purge_jobs);
    link_init(&client->policy_jobs);
    int r = keep_names(client, names);
    if (r == 0)
        r = find_rights(client, &rights);
    if (r == 0)
        r = user_get(&service->users, peer->uid, &service->options.limits, &client->user);
    if (r < 0) {
        mem_free(client->groups);
        mem_free(client);
        return r;
    }
    take_rights(client, &rights);
    struct session_options options = service->options.session;
    options.user = turns_user(peer->uid);
    r = session_new(&client->session, service->loop, fd, &options, &client->user->quota,
                    &client_session_events, client);
    if (r < 0) {
        user_unref(client->user);
        mem_free(client->groups);
        mem_free(client);
        return r;
    }
    client->id = ++service->last_client_id;
    client->begun_us = loop_now_us(service->loop);
    list_append(&service->clients, &client->link);
    service->n_clients++;
    *ret = client;
    return 0;
}

bool client_admit(struct client *client)
{
    struct service *service = client->service;
    const struct peer *peer = &client->peer;

    if (service->options.per_user && peer->uid != getuid() && peer->uid != 0)
        client_refuse(client, XHRD__V1__SESSION_ERROR__KIND__KIND_DENIED,
                      "this daemon serves one user, and it is not you");
    else if (client->rights.kept_out_by)
        refuse_kept_out(client);
    else if (service->shutting_down)
        client_refuse(client, XHRD__V1__SESSION_ERROR__KIND__KIND_SHUTDOWN,
                      "the daemon leaves");
    else if (service->n_clients > service->options.clients_max)
        client_refuse(client, XHRD__V1__SESSION_ERROR__KIND__KIND_LIMIT,
                      "too many clients are connected");
    else if (charge_take(&client->charge, &client->user->quota, QUOTA_CLIENTS, 1) < 0)
        client_refuse(client, XHRD__V1__SESSION_ERROR__KIND__KIND_LIMIT,
                      "too many connections of this user");
    else
        tell_idle(service);
    return !client->closed;
}

void service_accept(struct service *service,
                    int fd,
                    const struct peer *peer,
                    const struct access_person *names)
{
    struct client *client;

    if (client_new(service, fd, peer, names, &client) == 0) {
        (void)client_admit(client);
        return;
    }
    log_warning(NULL, "a client of uid %u was sent away: no memory", peer->uid);
    close(fd);
}

/* ---- the service
 * ------------------------------------------------------------------------------ */

static void service_on_goodbye(void *owner)
{
    struct service *service = owner;

    LIST_FOREACH (at, &service->clients) {
        struct client *client = CONTAINER_OF(at, struct client, link);

        if (client->kept && client_is_at_rest(client))
            client_leave_to_keeper(client);
        else
            client_refuse(client, XHRD__V1__SESSION_ERROR__KIND__KIND_SHUTDOWN,
                          "the daemon leaves");
    }
}

/* Requests fail at the end of this round; the clients' last word comes behind that. */
void service_shut_down(struct service *service)
{
    struct failure why;

    service->shutting_down = true;
    failure_set(&why, FAILURE_SHUTDOWN, "the daemon is leaving");
    LIST_FOREACH (at, &service->clients)
        fetch_service_fail_all(CONTAINER_OF(at, struct client, link), &why);
    loop_defer_next(service->loop, &service->goodbye);
}

int service_new(struct service **ret,
                struct fetcher *fetcher,
                const struct service_options *options,
                const struct service_events *events,
                void *owner)
{
    struct service *service = mem_zalloc(sizeof(*service));

    if (!service)
        return fault(-ENOMEM);
    service->fetcher = fetcher;
    service->loop = fetcher->loop;
    service->options = *options;
    service->events = events;
    service->owner = owner;
    service->begun_us = loop_now_us(fetcher->loop);
    service->was_idle = true;
    service->goodbye = (struct deferred){.fn = service_on_goodbye, .owner = service};
    link_init(&service->clients);
    service_keep_init(service);
    link_init(&service->monitors);
    counters_init(&service->counters);
    arena_init(&service->in);
    arena_init(&service->out);
    *ret = service;
    return 0;
}

struct service *service_free(struct service *service)
{
    if (!service)
        return NULL;
    loop_defer_cancel(service->loop, &service->goodbye);
    timer_disarm(&service->keep);
    while (!list_is_empty(&service->clients))
        client_close(CONTAINER_OF(list_first(&service->clients), struct client, link));
    loop_defer_cancel(service->loop, &service->drained);
    map_done(&service->users);
    histories_done(&service->histories);
    counters_done(&service->counters);
    return mem_free(service);
}

static void renew_private_jar(struct client *client)
{
    const struct cookie_access *cookies = &client->service->fetcher->cookies;

    if (client->private_jar && cookies->limit_private)
        cookies->limit_private(cookies->owner, &client->partition, client->private_jar);
}

void service_set_options(struct service *service, const struct service_options *options)
{
    service->options = *options;
    LIST_FOREACH (at, &service->clients)
        renew_rights(CONTAINER_OF(at, struct client, link));
    LIST_FOREACH (at, &service->clients) /* what a uid gets is known when all have been asked */
        renew_private_jar(CONTAINER_OF(at, struct client, link));
}

bool service_is_idle(const struct service *service)
{
    return service->n_clients == 0;
}
