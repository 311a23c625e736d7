/* SPDX-License-Identifier: MIT */
/* HTTPClient objects: what the program does to one. What comes for it is in events.c. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "xhr_priv.h"

/* WHATWG Fetch, "normalize a method". */
static const char normalized[][8] = {"DELETE", "GET", "HEAD", "OPTIONS", "POST", "PUT"};

static void on_slot_fail(struct xhr_slot *slot)
{
    xhr_request_finish(xhr_request_of_slot(slot));
}

const struct xhr_slot_ops xhr_request_ops = {.fail = on_slot_fail};

int xhr_request_new(struct xhr_client *client, struct xhr_request **ret)
{
    struct xhr_request *request = calloc(1, sizeof(*request));

    if (!request)
        return -ENOMEM;
    request->slot.ops = &xhr_request_ops;
    request->options.set.size = sizeof(request->options.set);
    request->response_fd = -1;
    request->rest_fd = -1;
    request->client = client;
    request->next = client->requests;
    if (request->next)
        request->next->prev = request;
    client->requests = request;
    *ret = request;
    return 0;
}

void xhr_request_hold(struct xhr_request *request)
{
    request->depth++;
}

static void close_response_fd(struct xhr_request *request)
{
    if (request->response_fd >= 0)
        (void)close(request->response_fd);
    request->response_fd = -1;
}

static void destroy(struct xhr_request *request)
{
    xhr_answer_clear(&request->answer);
    xhr_fields_done(&request->fields);
    xhr_options_done(&request->options);
    close_response_fd(request);
    xhr_rest_end(request);
    xhr_download_done(request);
    free(request->method);
    free(request->url);
    free(request);
}

void xhr_request_release(struct xhr_request *request)
{
    if (--request->depth == 0 && request->is_freed)
        destroy(request);
}

void xhr_request_leave_client(struct xhr_request *request)
{
    struct xhr_client *client = request->client;

    if (!client)
        return;
    if (request->prev)
        request->prev->next = request->next;
    else
        client->requests = request->next;
    if (request->next)
        request->next->prev = request->prev;
    request->prev = request->next = NULL;
    request->client = NULL;
}

/* A request it has not heard of yet is heard and aborted. */
void xhr_request_disown(struct xhr_request *request)
{
    struct xhr_client *client = request->client;

    if (!client || client->is_freed || request->slot.id == 0)
        return;
    uint32_t id = request->slot.id;
    bool is_live = xhr_client_find_slot(client, id) == &request->slot;

    xhr_client_remove_slot(client, &request->slot);
    /* Without memory for the message the daemon goes on until it is done: harmless. */
    if (is_live)
        (void)xhr_encode_simple(client, XHRD__V1__CLIENT_MESSAGE__KIND_ABORT, id, 0);
}

void xhr_request_cut(struct xhr_request *request, const struct xhr_failure *failure)
{
    struct xhr_client *client = request->client;

    xhr_request_disown(request);
    request->slot.failure = *failure;
    xhr_client_hold(client);
    xhr_request_finish(request);
    xhr_client_kick(client);
    xhr_client_release(client);
}

struct xhr_request *xhr_request_free(struct xhr_request *request)
{
    struct xhr_client *client;

    if (!request || request->is_freed)
        return NULL;
    client = request->client;
    xhr_request_hold(request);
    request->is_freed = true;
    request->epoch++;
    if (request->sync) {
        *request->sync = (struct xhr_sync){.is_done = true, .result = -ECANCELED};
        request->sync = NULL;
    }
    if (client) {
        xhr_client_hold(client);
        xhr_upload_stop(request);
        xhr_request_disown(request);
        xhr_download_end(request);
        xhr_client_kick(client);
        xhr_request_leave_client(request);
        xhr_client_release(client);
    }
    xhr_request_release(request);
    return NULL;
}

int xhr_request_set_callbacks(struct xhr_request *request,
                              const struct xhr_callbacks *callbacks,
                              void *user)
{
    struct xhr_callbacks given = {.size = sizeof(given)};

    if (request->is_sent)
        return -EBUSY;
    if (callbacks && xhr_take_sized(&given, sizeof(given), callbacks) < 0)
        return -EINVAL;
    request->callbacks = given;
    request->user = user;
    return 0;
}

int xhr_request_set_options(struct xhr_request *request,
                            const struct xhr_request_options *options)
{
    return request->is_sent ? -EBUSY : xhr_options_take(&request->options, options);
}

int xhr_request_set_response_fd(struct xhr_request *request, int fd, uint64_t offset)
{
    int copy = -1;

    if (request->is_sent)
        return -EBUSY;
    if (fd >= 0) {
        copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);
        if (copy < 0)
            return -errno;
    }
    close_response_fd(request);
    request->response_fd = copy;
    request->response_offset = offset;
    return 0;
}

static char *dup_method(const char *method)
{
    for (size_t i = 0; i < sizeof(normalized) / sizeof(*normalized); i++)
        if (xhr_name_eq(normalized[i], method))
            return xhr_dup(normalized[i], strlen(normalized[i]));
    return xhr_dup(method, strlen(method));
}

static void forget_answer(struct xhr_request *request)
{
    xhr_answer_clear(&request->answer);
    xhr_fields_done(&request->fields);
    request->credit = request->consumed = request->received = 0;
    request->has_data_progress = request->has_send_progress = false;
    request->data_progress = request->send_progress = (struct xhr_progress){0};
    request->has_error = false;
    request->is_paused = false;
    request->reason = XHR_WAIT_NONE;
    request->slot.failure = (struct xhr_failure){0};
}

int xhr_request_open(struct xhr_request *request,
                     const char *method,
                     const char *url,
                     bool async)
{
    struct xhr_client *client = request->client;

    if (!client || client->is_freed)
        return -ENOTCONN;
    if (request->is_sent)
        return -EBUSY;
    if (!method || !url || !xhr_is_token(method) || !*url)
        return -EINVAL;
    char *method_copy = dup_method(method);
    char *url_copy = xhr_dup(url, strlen(url));
    if (!method_copy || !url_copy) {
        free(method_copy);
        free(url_copy);
        return -ENOMEM;
    }
    forget_answer(request);
    free(request->method);
    free(request->url);
    request->method = method_copy;
    request->url = url_copy;
    request->is_async = async;
    request->epoch++;
    if (request->state == XHR_OPENED)
        return 0;
    request->state = XHR_UNSENT;
    xhr_client_hold(client);
    (void)xhr_request_enter_state(request, XHR_OPENED, xhr_now_us());
    xhr_client_release(client);
    return 0;
}

int xhr_request_set_header(struct xhr_request *request, const char *name, const char *value)
{
    if (request->state != XHR_OPENED || request->is_sent || !name)
        return -EINVAL;
    return xhr_fields_set(&request->fields, name, value);
}

static int wait_for_end(struct xhr_client *client, struct xhr_request *request)
{
    struct xhr_sync sync = {0};
    int r;

    request->sync = &sync;
    xhr_request_hold(request);
    r = xhr_sync_wait(client, &sync.is_done);
    if (!sync.is_done) { /* poll() itself failed: nobody is going to tell us */
        request->sync = NULL;
        (void)xhr_request_abort(request);
    }
    xhr_request_release(request);
    return sync.is_done ? sync.result : r;
}

static void arm_guard(struct xhr_request *request)
{
    uint32_t total_ms = request->options.set.timeout_for_resource_ms;

    request->late_at_us = 0;
    if (total_ms == 0 || total_ms == XHR_NO_TIMEOUT)
        return;
    request->late_at_us = xhr_now_us() + ((uint64_t)total_ms + XHR_GRACE_MS) * 1000u;
    xhr_client_guard(request->client, request->late_at_us);
}

int xhr_request_may_send(const struct xhr_request *request)
{
    const struct xhr_client *client = request->client;

    if (!client || client->is_freed)
        return -ENOTCONN;
    if (request->is_sent)
        return -EBUSY;
    if (request->state != XHR_OPENED)
        return -EINVAL;
    return !request->is_async && client->is_dispatching ? -EDEADLK : 0;
}

int xhr_request_begin(struct xhr_request *request, struct xhr_outgoing *out)
{
    struct xhr_client *client = request->client;
    int r = xhr_download_begin(request, out);

    if (r < 0)
        return r;
    r = xhr_client_add_slot(client, &request->slot);
    if (r == 0) {
        r = xhr_encode_open(request, out);
        if (r < 0)
            xhr_client_remove_slot(client, &request->slot);
    }
    if (r < 0) {
        xhr_download_end(request);
        return r;
    }
    request->response_fd = -1; /* the link's */
    request->is_sent = true;
    arm_guard(request);
    xhr_upload_start(request, out);
    return 0;
}

int xhr_request_run(struct xhr_request *request)
{
    struct xhr_client *client = request->client;
    int r = 0;

    xhr_client_hold(client);
    xhr_client_kick(client);
    if (!request->is_async)
        r = wait_for_end(client, request);
    xhr_client_release(client);
    return r;
}

int xhr_request_send(struct xhr_request *request, const struct xhr_body *body)
{
    struct xhr_outgoing out = {.body.size = sizeof(out.body)};
    int r = xhr_request_may_send(request);

    if (r == 0 && body && xhr_take_sized(&out.body, sizeof(out.body), body) < 0)
        r = -EINVAL;
    r = r < 0 ? r : xhr_request_begin(request, &out);
    return r < 0 ? r : xhr_request_run(request);
}

int xhr_request_abort(struct xhr_request *request)
{
    struct xhr_failure aborted;

    if (request->is_sent && request->state != XHR_DONE && request->client) {
        xhr_failure_set(&aborted, XHR_ERROR_ABORTED, "aborted by the program");
        xhr_request_cut(request, &aborted);
        return 0;
    }
    if (!request->is_sent)
        request->state = XHR_UNSENT;
    return 0;
}

int xhr_request_pause(struct xhr_request *request)
{
    request->is_paused = true;
    return 0;
}

int xhr_request_resume(struct xhr_request *request)
{
    struct xhr_client *client = request->client;

    request->is_paused = false;
    if (client && request->is_sent) {
        xhr_client_hold(client);
        xhr_request_grant(request);
        xhr_client_kick(client);
        xhr_client_release(client);
    }
    return 0;
}

int xhr_request_resume_upload(struct xhr_request *request)
{
    struct xhr_client *client = request->client;

    request->upload.is_paused = false;
    if (client && request->upload.is_active) {
        xhr_client_hold(client);
        client->needs_dispatch = true;
        xhr_client_release(client);
    }
    return 0;
}
