/* SPDX-License-Identifier: MIT */
/*
 * Requests of clients: each has the number its client gave it, and everything it is told goes
 * into the client's session in order. While the session is congested none of its requests
 * reads.
 */
#include <errno.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/mem.h"
#include "fetch/request.h"
#include "service/fetch_priv.h"
#include "service/monitor.h"
#include "service/service_priv.h"

#define WAKE_BATCH 8 /* requests that go on in one round, when there is room again */

static struct client_request *find(const struct client *client, uint32_t number)
{
    struct map_node *node =
        map_find(&client->requests, (struct span){(const char *)&number, sizeof(number)});

    return node ? CONTAINER_OF(node, struct client_request, node) : NULL;
}

static void release_charges(struct client_request *entry)
{
    charge_release(&entry->place);
    charge_release(&entry->bytes);
    charge_release(&entry->fds);
}

void client_request_forget(struct client_request *entry)
{
    struct client *client = entry->client;

    map_remove(&client->requests, &entry->node);
    link_remove(&entry->link);
    link_remove(&entry->flow);
    release_charges(entry);
    if (entry->record)
        entry->record->holder = NULL;
    if (client->service->drain_exits)
        ops_check_drained(client->service);
    mem_free(entry);
}

/* ---- in: messages to deeds
 * ---------------------------------------------------------------------- */

/* What the request will hold is its user's to pay for, until it ends. */
static int take_charges(struct client_request *entry,
                        const struct request_options *options,
                        struct failure *ret_why)
{
    struct quota *quota = &entry->client->user->quota;
    uint64_t n_fds = (uint64_t)(options->body_fd >= 0) + (options->response_fd >= 0);
    uint64_t n_bytes = entry->client->message_bytes; /* it has a copy of nearly all of it */
    const char *too_many = NULL;

    if (charge_take(&entry->place, quota, QUOTA_REQUESTS, 1) < 0)
        too_many = "requests of this user are under way";
    else if (charge_take(&entry->fds, quota, QUOTA_FDS, n_fds) < 0)
        too_many = "descriptors of this user are held";
    else if (charge_take_spare(&entry->bytes, quota, QUOTA_BYTES, n_bytes) < 0)
        too_many = "bytes of this user are held";
    if (!too_many)
        return 0;
    failure_set(ret_why, FAILURE_QUOTA, "too many %s", too_many);
    return -EDQUOT;
}

/* Return: 0, or -errno with *ret_why filled. */
static int
begin(struct client_request *entry, struct request_options *options, struct failure *ret_why)
{
    struct client *client = entry->client;
    bool lends_body = options->body_kind == REQUEST_BODY_INLINE && !options->body_memory;

    if (take_charges(entry, options, ret_why) < 0) {
        release_charges(entry);
        return -EDQUOT;
    }
    int r = map_add(&client->requests, &entry->node,
                    (struct span){(const char *)&entry->number, sizeof(entry->number)});
    if (r == 0) {
        r = request_new(&entry->request, client->service->fetcher, options,
                        &client_request_events, entry);
        if (r < 0)
            map_remove(&client->requests, &entry->node);
    }
    if (r == 0) {
        if (lends_body)
            request_own_body(entry->request, session_take_frame(client->session));
        list_append(&client->request_list, &entry->link);
        client->requests_total++;
        client->counters->started++;
        note_started(entry);
        return 0;
    }
    release_charges(entry);
    failure_set(ret_why, FAILURE_INTERNAL, "the request could not be set up: %s",
                strerrordesc_np(-r));
    return r;
}

static int refuse_drained(struct failure *ret_why)
{
    failure_set(ret_why, FAILURE_SHUTDOWN,
                "the daemon is being drained: it finishes what runs and takes nothing new");
    return -ESHUTDOWN;
}

static int open_request(struct client *client,
                        const Xhrd__V1__OpenRequest *message,
                        struct failure *ret_why)
{
    struct request_options options;
    struct client_request *entry = mem_zalloc(sizeof(*entry));
    request_options_init(&options);
    int r = fetch_options_of_message(client, message, &options, ret_why);
    if (client->service->draining) /* its descriptors are taken, or nobody would */
        r = refuse_drained(ret_why);
    if (r == 0 && !entry) {
        failure_set(ret_why, FAILURE_INTERNAL, "out of memory");
        r = -ENOMEM;
    }
    if (r == 0) {
        entry->client = client;
        link_init(&entry->flow);
        entry->number = message->request_id;
        entry->tell_sent = message->tell_sent_headers;
        entry->tell_hops = message->tell_hops;
        r = begin(entry, &options, ret_why);
    }
    request_options_done(&options);
    if (r < 0)
        mem_free(entry);
    return r;
}

/* Return: whether the client is sent away for it. */
static bool refuse_number(struct client *client, uint32_t request_id)
{
    if (request_id != 0 && !find(client, request_id))
        return false;
    client_refuse(client, XHRD__V1__SESSION_ERROR__KIND__KIND_PROTOCOL,
                  request_id == 0 ? "request_id: wants a number above 0"
                                  : "request_id: is in use on this connection");
    return true;
}

static void tell_refused(struct client *client, uint32_t request_id, const struct failure *why)
{
    client->counters->refused++;
    client->service->requests_refused++;
    client_request_send_failed(client, request_id, why, NULL);
}

void fetch_service_refuse(struct client *client, uint32_t request_id, const struct failure *why)
{
    if (!refuse_number(client, request_id))
        tell_refused(client, request_id, why);
}

void fetch_service_open(struct client *client, const Xhrd__V1__OpenRequest *message)
{
    struct failure why;

    if (!refuse_number(client, message->request_id) && open_request(client, message, &why) < 0)
        tell_refused(client, message->request_id, &why);
}

void fetch_service_body(struct client *client, uint32_t request_id, struct span bytes)
{
    struct client_request *entry = find(client, request_id);

    if (!entry)
        return; /* it ended meanwhile */
    int r = request_write_body(entry->request, bytes);
    if (r == 0)
        return;
    struct failure why;
    if (r == -ENOMEM)
        failure_set(&why, FAILURE_INTERNAL, "out of memory");
    else if (r == -EDQUOT)
        failure_set(&why, FAILURE_QUOTA, "too many bytes of this user are held");
    else
        failure_set(&why, FAILURE_BODY_READ,
                    r == -EINVAL
                        ? "body bytes for a request without a streamed body"
                        : "more body bytes than announced, or than there was credit for");
    request_fail(entry->request, &why);
}

void fetch_service_body_end(struct client *client, const Xhrd__V1__BodyEnd *message)
{
    struct client_request *entry = find(client, message->request_id);

    if (!entry)
        return;
    int r = request_end_body(entry->request);
    if (r == 0)
        return;
    struct failure why;
    failure_set(&why, FAILURE_BODY_READ,
                r == -EINVAL ? "the end of a body that is not streamed or has ended"
                             : "the body ended before its announced length");
    request_fail(entry->request, &why);
}

void fetch_service_credit(struct client *client, const Xhrd__V1__Credit *message)
{
    struct client_request *entry = find(client, message->request_id);

    if (entry)
        request_add_credit(entry->request, message->bytes);
}

static int give_to_fd(struct client_request *entry,
                      const Xhrd__V1__ResponseFd *to,
                      int fd,
                      struct failure *ret_why)
{
    if (fd == -EDQUOT ||
        (fd >= 0 && charge_take(&entry->fds, &entry->client->user->quota, QUOTA_FDS, 1) < 0)) {
        failure_set(ret_why, FAILURE_QUOTA, "too many descriptors of this user are held");
        if (fd >= 0)
            close(fd);
        return -EDQUOT;
    }
    struct response_place place = {
        .offset = to->offset,
        .sync = to->sync,
        .at_position = to->at_position,
        .has_size_max = to->limit_case == XHRD__V1__RESPONSE_FD__LIMIT_SIZE_MAX,
        .size_max = to->size_max,
    };

    return request_give_to_fd(entry->request, fd, &place, ret_why);
}

/* The descriptor leaves the session's queue whatever has become of the request. */
void fetch_service_body_to_fd(struct client *client, const Xhrd__V1__BodyToFd *message)
{
    struct client_request *entry = find(client, message->request_id);
    int fd = message->to ? session_take_fd(client->session) : -1;
    struct failure why;

    if (!message->to) {
        client_refuse(client, XHRD__V1__SESSION_ERROR__KIND__KIND_PROTOCOL,
                      "body_to_fd: wants `to`");
        return;
    }
    if (!entry) {
        if (fd >= 0)
            close(fd);
        return;
    }
    if (give_to_fd(entry, message->to, fd, &why) < 0)
        request_fail(entry->request, &why);
}

void fetch_service_fail(struct client *client, uint32_t request_id, const struct failure *why)
{
    struct client_request *entry = find(client, request_id);

    if (entry)
        request_fail(entry->request, why);
}

void fetch_service_abort(struct client *client, uint32_t request_id)
{
    struct failure why;

    failure_set(&why, FAILURE_ABORTED, "aborted by the client");
    fetch_service_fail(client, request_id, &why);
}

static int answer_challenge(struct client_request *entry,
                            const Xhrd__V1__ChallengeAnswer *answer)
{
    struct request_credentials login = {
        .user = span_of_bytes(answer->user),
        .password = span_of_bytes(answer->password),
        .domain = span_of_bytes(answer->domain),
        .token = span_of_bytes(answer->bearer_token),
    };
    struct client *client = entry->client;
    struct failure why;

    if (charge_take_spare(&entry->bytes, &client->user->quota, QUOTA_BYTES,
                          client->message_bytes) < 0) {
        failure_set(&why, FAILURE_QUOTA, "too many bytes of this user are held");
        request_fail(entry->request, &why);
        return 0;
    }
    int r = request_answer_challenge(entry->request, answer->cancel ? NULL : &login, &why);

    if (r < 0 && why.kind != FAILURE_NONE)
        request_fail(entry->request, &why);
    return r < 0 && why.kind != FAILURE_NONE ? 0 : r;
}

void fetch_service_answer(struct client *client, const Xhrd__V1__Answer *message)
{
    struct client_request *entry = find(client, message->request_id);
    int r = 0;

    if (!entry)
        return;
    switch (message->what_case) {
    case XHRD__V1__ANSWER__WHAT_FOLLOW:
        r = request_answer_redirect(entry->request, message->follow);
        break;
    case XHRD__V1__ANSWER__WHAT_CHALLENGE:
        r = answer_challenge(entry, message->challenge);
        break;
    case XHRD__V1__ANSWER__WHAT_REWOUND:
        r = request_answer_rewind(entry->request, message->rewound);
        break;
    case XHRD__V1__ANSWER__WHAT_TRUSTED:
        r = request_answer_verdict(entry->request, message->trusted);
        break;
    case XHRD__V1__ANSWER__WHAT__NOT_SET:
    case _XHRD__V1__ANSWER__WHAT__CASE_IS_INT_SIZE:
        client_refuse(client, XHRD__V1__SESSION_ERROR__KIND__KIND_PROTOCOL,
                      "answer: none of follow, challenge, rewound and trusted is set");
        return;
    }
    if (r == 0)
        return;
    struct failure why;
    failure_set(&why, FAILURE_ARGUMENT, "an answer to what was not asked");
    request_fail(entry->request, &why);
}

/* ---- when the client does not keep up
 * ------------------------------------------------------------------- */

/* A request is told when it begins to tell, when the session is full and when it may go on:
 * each time once. Of ten thousand that wait for room only those that get some are looked at. */
static void set_flow(struct client_request *entry, bool stalls)
{
    struct client *client = entry->client;

    link_remove(&entry->flow);
    list_append(stalls ? &client->stalled : &client->flowing, &entry->flow);
    request_set_congested(entry->request, stalls);
}

void client_request_begin_flow(struct client_request *entry)
{
    set_flow(entry, session_is_congested(entry->client->session));
}

void fetch_service_stall(struct client *client)
{
    LIST_FOREACH (at, &client->flowing)
        set_flow(CONTAINER_OF(at, struct client_request, flow), true);
}

void fetch_service_wake(struct client *client)
{
    struct link *first;

    for (int i = 0; i < WAKE_BATCH && !session_is_congested(client->session); i++) {
        first = list_first(&client->stalled);
        if (!first)
            return;
        set_flow(CONTAINER_OF(first, struct client_request, flow), false);
    }
    if (!list_is_empty(&client->stalled) && !session_is_congested(client->session))
        loop_defer_next(client->service->loop, &client->wake);
}

void fetch_service_end_of_input(struct client *client)
{
    struct failure why;

    failure_set(&why, FAILURE_BODY_READ, "the client closed before the body's end");
    LIST_FOREACH (at, &client->request_list) {
        struct request *request = CONTAINER_OF(at, struct client_request, link)->request;

        if (request_awaits_body(request))
            request_fail(request, &why);
        else
            request_owner_is_mute(request);
    }
}

void fetch_service_close_all(struct client *client)
{
    while (!list_is_empty(&client->request_list)) {
        struct client_request *entry =
            CONTAINER_OF(list_first(&client->request_list), struct client_request, link);

        note_closed(entry);
        request_close(entry->request);
        client_request_forget(entry);
    }
}

void fetch_service_fail_all(struct client *client, const struct failure *why)
{
    LIST_FOREACH (at, &client->request_list)
        request_fail(CONTAINER_OF(at, struct client_request, link)->request, why);
}

struct client *fetch_service_client_of(void *request_owner)
{
    return ((struct client_request *)request_owner)->client;
}
