/* SPDX-License-Identifier: MIT */
/*
 * Bodies that are streamed: read from the program when there is credit and nothing else waits
 * to be written, one piece a turn for each, so that memory stays constant and no upload starves
 * another. Nothing is read before the request itself has left: until then it may have to go
 * over another connection.
 */
#include <stdlib.h>
#include <string.h>

#include "form.h"

static void
link_upload(struct xhr_client *client, struct xhr_upload *upload, struct xhr_request *own)
{
    struct xhr_request *first = client->uploads;

    if (!first) {
        upload->prev = upload->next = own;
        client->uploads = own;
        return;
    }
    upload->next = first;
    upload->prev = first->upload.prev;
    upload->prev->upload.next = own;
    first->upload.prev = own;
}

void xhr_upload_start(struct xhr_request *request, struct xhr_outgoing *out)
{
    const struct xhr_body *body = &out->body;
    struct xhr_client *client = request->client;

    request->upload = (struct xhr_upload){0};
    if (body->kind != XHR_BODY_STREAM)
        return;
    request->upload = (struct xhr_upload){
        .read = body->read,
        .read_user = body->read_user,
        .rewind = body->rewind,
        .form = out->form,
        .length = body->length,
        .left = body->length,
        .credit = client->is_hello_read ? client->upload_credit : XHR_UPLOAD_CREDIT,
        .is_active = true,
    };
    out->form = NULL;
    link_upload(client, &request->upload, request);
}

static void unlink_upload(struct xhr_request *request)
{
    struct xhr_upload *upload = &request->upload;
    struct xhr_client *client = request->client;

    if (!upload->is_active)
        return;
    upload->is_active = false;
    if (upload->next == request) {
        client->uploads = NULL;
        return;
    }
    upload->next->upload.prev = upload->prev;
    upload->prev->upload.next = upload->next;
    if (client->uploads == request)
        client->uploads = upload->next;
}

void xhr_upload_stop(struct xhr_request *request)
{
    unlink_upload(request);
    xhr_form_body_free(request->upload.form);
    request->upload.form = NULL;
}

static bool is_ready(const struct xhr_client *client, const struct xhr_request *request)
{
    return request->upload.credit > 0 && !request->upload.is_paused &&
           !xhr_link_is_unsent(client, &request->slot);
}

bool xhr_upload_wants_write(const struct xhr_client *client)
{
    const struct xhr_request *at = client->uploads;

    if (!at)
        return false;
    do {
        if (is_ready(client, at))
            return true;
        at = at->upload.next;
    } while (at != client->uploads);
    return false;
}

/* The daemon began counting at what its hello says; we had to guess. */
void xhr_upload_on_hello(struct xhr_client *client)
{
    struct xhr_request *at = client->uploads;

    if (!at)
        return;
    do {
        at->upload.credit += client->upload_credit - XHR_UPLOAD_CREDIT;
        at = at->upload.next;
    } while (at != client->uploads);
}

/* Those that are left have sent nothing: over the next connection it is as at first. */
void xhr_upload_on_lost(struct xhr_client *client)
{
    struct xhr_request *at = client->uploads;

    if (!at)
        return;
    do {
        at->upload.credit = XHR_UPLOAD_CREDIT;
        at = at->upload.next;
    } while (at != client->uploads);
}

static void fail(struct xhr_request *request, const char *what, int error)
{
    struct xhr_failure why;

    xhr_failure_set(&why, XHR_ERROR_BODY_READ, "the request's body %s", what);
    why.phase = XHR_PHASE_SEND;
    why.sys_errno = error;
    xhr_request_cut(request, &why);
}

static void end(struct xhr_request *request)
{
    if (request->upload.left != XHR_LENGTH_UNKNOWN && request->upload.left > 0) {
        fail(request, "ended before the length that was announced", 0);
        return;
    }
    unlink_upload(request); /* what reads it stays: it may be wanted again */
    if (xhr_encode_simple(request->client, XHRD__V1__CLIENT_MESSAGE__KIND_BODY_END,
                          request->slot.id, 0) < 0)
        fail(request, "could not be sent: no memory", ENOMEM);
}

static void send_piece(struct xhr_request *request, size_t len)
{
    struct xhr_upload *upload = &request->upload;
    struct xhr_client *client = request->client;

    if (upload->left != XHR_LENGTH_UNKNOWN) {
        if (len > upload->left) {
            fail(request, "is longer than was announced", 0);
            return;
        }
        upload->left -= len;
    }
    upload->credit -= len;
    if (xhr_link_write_body(client, request->slot.id, client->upload_buffer, len) < 0)
        fail(request, "could not be sent: no memory", ENOMEM);
}

/* Reading failed, or gave @n bytes, more than it was asked for. */
static void fail_reading(struct xhr_request *request, ssize_t n)
{
    const struct xhr_form_body *form = request->upload.form;
    const char *what = form ? xhr_form_body_trouble(form) : NULL;
    int error = n < 0 ? (int)-n : 0;

    if (!what)
        what = n < 0 ? xhr_errno_text(error) : "was read past its buffer";
    fail(request, what, error);
}

static void read_piece(struct xhr_request *request)
{
    struct xhr_upload *upload = &request->upload;
    uint64_t max = upload->credit < WIRE_BODY_DATA_MAX ? upload->credit : WIRE_BODY_DATA_MAX;
    uint32_t epoch = request->epoch;

    xhr_request_hold(request);
    ssize_t n =
        upload->read(request, request->client->upload_buffer, (size_t)max, upload->read_user);
    bool same = !request->is_freed && request->epoch == epoch && upload->is_active;

    if (!same)
        n = XHR_READ_PAUSE; /* it is nobody's any more */
    if (same && n == XHR_READ_PAUSE)
        upload->is_paused = true;
    else if (n == 0)
        end(request);
    else if (n > 0 && (uint64_t)n <= max)
        send_piece(request, (size_t)n);
    else if (same)
        fail_reading(request, n);
    xhr_request_release(request);
}

void xhr_upload_pump(struct xhr_client *client)
{
    struct xhr_request *at;

    if (!client->upload_buffer)
        client->upload_buffer = malloc(WIRE_BODY_DATA_MAX);
    if (!client->upload_buffer)
        return; /* asked again with the next dispatch */
    while (!client->is_freed && client->link == XHR_LINK_UP && !client->is_write_dead &&
           client->out.len < XHR_OUT_HIGH_BYTES && xhr_upload_wants_write(client)) {
        at = client->uploads;
        client->uploads = at->upload.next;
        if (is_ready(client, at))
            read_piece(at);
        if (!client->is_freed)
            xhr_link_flush(client);
        if (client->out_sent < client->out.len)
            return;
    }
}

/* The program's word. Return: whether the request is still the same. */
static bool ask_program(struct xhr_request *request, bool *ret_rewound)
{
    struct xhr_upload *upload = &request->upload;
    uint32_t epoch = request->epoch;

    xhr_request_hold(request);
    *ret_rewound = upload->rewind(request, upload->read_user) == 0;
    return xhr_request_is_same(request, epoch);
}

int xhr_upload_rewind(struct xhr_request *request, struct xhr_failure *why)
{
    struct xhr_upload *upload = &request->upload;
    struct xhr_client *client = request->client;
    bool rewound = false;

    if (!upload->rewind || request->state != XHR_OPENED || request->answer.has_head) {
        xhr_failure_set(why, XHR_ERROR_DAEMON_PROTOCOL,
                        "the daemon sent a wish for a body that cannot come twice");
        return -EPROTO;
    }
    if (!ask_program(request, &rewound))
        return 0;
    if (xhr_answer_rewound(request, rewound) < 0) {
        fail(request, "could not be sent again: no memory", ENOMEM);
        return 0;
    }
    if (!rewound)
        return 0; /* the daemon says how it ends */
    upload->left = upload->length;
    upload->credit = client->upload_credit;
    upload->is_paused = false;
    if (!upload->is_active) {
        upload->is_active = true;
        link_upload(client, upload, request);
    }
    client->needs_dispatch = true; /* to read it */
    return 0;
}
