/* SPDX-License-Identifier: MIT */
/* Blocking: poll() and dispatch until something is done; and a whole request in one call. */
#include <limits.h>
#include <poll.h>
#include <stdlib.h>

#include "xhr_priv.h"

static int min_timeout(int a, int b)
{
    if (a < 0 || b < 0)
        return a < 0 ? b : a;
    return a < b ? a : b;
}

/* Return: 1 after a dispatch, 0 when @timeout_ms passed first, -errno of poll(). */
static int wait_once(struct xhr_client *client, int timeout_ms)
{
    struct pollfd watch = {.events = POLLIN};
    int own;
    int r;

    if (!client->needs_dispatch) { /* else the dispatch does it */
        xhr_link_connect(client);
        xhr_link_flush(client);
    }
    own = xhr_client_timeout_ms(client);
    if (own != 0) {
        watch.fd = xhr_client_fd(client);
        if (xhr_client_wants_write(client))
            watch.events |= POLLOUT;
        r = poll(&watch, 1, min_timeout(own, timeout_ms));
        if (r < 0)
            return -errno;
        if (r == 0 && xhr_client_timeout_ms(client) != 0)
            return 0;
    }
    r = xhr_client_dispatch(client);
    return r < 0 ? r : 1;
}

int xhr_client_wait(struct xhr_client *client, int timeout_ms)
{
    int r;

    if (client->is_dispatching)
        return -EDEADLK;
    if (client->in_flight == 0 && client->out_sent == client->out.len)
        return 0;
    xhr_client_hold(client);
    r = wait_once(client, timeout_ms);
    xhr_client_release(client);
    return r;
}

int xhr_sync_wait(struct xhr_client *client, const bool *done)
{
    int r = 0;

    if (client->is_dispatching)
        return -EDEADLK;
    xhr_client_hold(client);
    while (!*done && !client->is_freed && (r >= 0 || r == -EINTR))
        r = wait_once(client, -1);
    xhr_client_release(client);
    return *done || r >= 0 ? 0 : r;
}

/* ---- fetch ---- */

struct xhr_response {
    struct xhr_request *request;
    struct xhr_client *own; /* made for this call */
};

struct xhr_response *xhr_response_free(struct xhr_response *response)
{
    if (!response)
        return NULL;
    (void)xhr_request_free(response->request);
    (void)xhr_client_free(response->own);
    free(response);
    return NULL;
}

static int send_fetch(struct xhr_response *response, const struct xhr_fetch_options *options)
{
    struct xhr_request_options set = {.size = sizeof(set)};
    struct xhr_request *request = response->request;
    int r = options->request ? xhr_take_sized(&set, sizeof(set), options->request) : 0;

    set.size = sizeof(set);
    set.http_errors_as_load = true;
    r = r < 0 ? r : xhr_request_set_options(request, &set);
    r = r < 0 ? r
              : xhr_request_open(request, options->method ? options->method : "GET",
                                 options->url, false);
    for (size_t i = 0; r == 0 && i < options->n_headers; i++)
        r = xhr_request_set_header(request, options->headers[i].name,
                                   options->headers[i].value);
    if (r == 0 && options->form && options->body)
        r = -EINVAL;
    if (r == 0 && options->file)
        r = xhr_request_set_file(request, options->file);
    if (r < 0)
        return r;
    return options->form ? xhr_request_send_form(request, options->form)
                         : xhr_request_send(request, options->body);
}

int xhr_fetch(const struct xhr_fetch_options *options, struct xhr_response **ret)
{
    struct xhr_fetch_options given;
    struct xhr_response *response;
    int r;

    *ret = NULL;
    if (!options || xhr_take_sized(&given, sizeof(given), options) < 0)
        return -EINVAL;
    response = calloc(1, sizeof(*response));
    if (!response)
        return -ENOMEM;
    r = given.client ? 0 : xhr_client_new(given.client_options, &response->own);
    if (r == 0)
        r = xhr_request_new(given.client ? given.client : response->own, &response->request);
    if (r == 0)
        r = send_fetch(response, &given);
    if (r < 0 && !(response->request && response->request->has_error)) {
        (void)xhr_response_free(response);
        return r;
    }
    *ret = response;
    return r;
}

int xhr_response_status(const struct xhr_response *response)
{
    return xhr_request_status(response->request);
}

const char *xhr_response_header(struct xhr_response *response, const char *name)
{
    return xhr_request_response_header(response->request, name);
}

const void *xhr_response_body(const struct xhr_response *response, size_t *ret_len)
{
    return xhr_request_response_body(response->request, ret_len);
}

const char *xhr_response_text(struct xhr_response *response, size_t *ret_len)
{
    return xhr_request_response_text(response->request, ret_len);
}

const struct xhr_error *xhr_response_error(const struct xhr_response *response)
{
    return xhr_request_error(response->request);
}

struct xhr_request *xhr_response_request(struct xhr_response *response)
{
    return response->request;
}
