/* SPDX-License-Identifier: MIT */
/* What comes in: bytes to frames. Bytes of a body chunk are passed on as they arrive, so that
 * no buffer has to hold a frame of them; every other frame is read whole. */
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "xhr_priv.h"

static void lost(struct xhr_client *client, int error)
{
    struct xhr_failure why;

    if (client->is_hello_read)
        xhr_failure_set(&why, XHR_ERROR_DAEMON_LOST, "the daemon is gone: %s",
                        error ? xhr_errno_text(error) : "it closed the connection");
    else
        xhr_failure_set(&why, XHR_ERROR_DAEMON_UNREACHABLE, "the daemon %s",
                        client->is_started ? "was started and ended at once: see the file log "
                                             "beside its socket"
                                           : "closed the connection without a word");
    why.sys_errno = error;
    xhr_link_lost(client, &why, true);
}

static void broken(struct xhr_client *client, const char *what)
{
    struct xhr_failure why;

    xhr_failure_set(&why, XHR_ERROR_DAEMON_PROTOCOL, "the daemon sent %s", what);
    xhr_link_lost(client, &why, false);
}

static bool is_alive(const struct xhr_client *client)
{
    return !client->is_freed && client->link == XHR_LINK_UP;
}

/* Return: whether the link still stands. */
static bool take_body_bytes(struct xhr_client *client)
{
    const uint8_t *data = xhr_bytes_at(&client->in);
    size_t len = client->in.len < client->body_left ? client->in.len : client->body_left;
    struct xhr_failure why;

    /* Before it is passed on: a callback may end everything. The bytes stay where they are. */
    xhr_bytes_consume(&client->in, len);
    client->body_left -= len;
    int r = xhr_message_take_body(client, client->body_id, data, len, &why);
    if (r < 0 && is_alive(client))
        xhr_link_lost(client, &why, false);
    return is_alive(client);
}

static bool take_frame(struct xhr_client *client, const struct wire_frame *frame)
{
    struct xhr_failure why;

    xhr_bytes_consume(&client->in, frame->frame_len);
    int r = xhr_message_take(client, frame, &why);
    if (r < 0 && is_alive(client)) {
        /* A daemon that leaves, or tires of us, before hello has done nothing for us yet. */
        bool leaves = why.kind == XHR_ERROR_SHUTDOWN || why.kind == XHR_ERROR_DAEMON_LOST;

        if (leaves && client->is_hello_read)
            why.kind = XHR_ERROR_DAEMON_LOST;
        xhr_link_lost(client, &why, leaves);
    }
    return is_alive(client);
}

/* Return: whether there was a whole frame, or bytes of a body, and the link still stands. */
static bool take_next(struct xhr_client *client)
{
    struct wire_frame frame;
    struct wire_body body;
    const uint8_t *bytes = xhr_bytes_at(&client->in);

    if (client->in.len == 0)
        return false;
    if (client->body_left > 0)
        return take_body_bytes(client);
    enum wire_outcome outcome = wire_body_begin(bytes, client->in.len, WIRE_CLIENT, &body);
    if (outcome == WIRE_READY && client->is_hello_read) {
        xhr_bytes_consume(&client->in, body.head_len);
        client->body_id = body.request_id;
        client->body_left = body.data_len;
        return true;
    }
    if (outcome == WIRE_OTHER || outcome == WIRE_READY)
        outcome = wire_frame_next(bytes, client->in.len, &frame);
    if (outcome == WIRE_READY)
        return take_frame(client, &frame);
    if (outcome != WIRE_MORE)
        broken(client, "a frame of more than 1 MiB, or no frame at all");
    return false;
}

/* Room for what is known to come, else for a buffer full; more if the last one was filled. */
static int make_room(struct xhr_client *client, bool was_full)
{
    struct wire_frame frame;
    size_t wanted = XHR_IN_BYTES;

    if (client->in.len == 0 && client->in.capacity > XHR_IN_BYTES_MAX)
        xhr_bytes_done(&client->in);
    if (client->in.len > 0) {
        /* What is left is a piece of a frame: few bytes, or one that has to be held whole. */
        memmove(client->in.storage, xhr_bytes_at(&client->in), client->in.len);
        client->in.start = 0;
        if (wire_frame_next(client->in.storage, client->in.len, &frame) == WIRE_MORE &&
            frame.frame_len > wanted)
            wanted = frame.frame_len;
    }
    if (was_full && wanted < XHR_IN_BYTES_MAX)
        wanted = client->in.capacity < XHR_IN_BYTES_MAX ? client->in.capacity * 2 : wanted;
    if (wanted <= client->in.capacity)
        return client->in.capacity > client->in.len
                   ? 0
                   : xhr_bytes_reserve(&client->in, XHR_IN_BYTES);
    uint8_t *storage = realloc(client->in.storage, wanted);
    if (!storage)
        return -ENOMEM;
    client->in.storage = storage;
    client->in.capacity = wanted;
    return 0;
}

/* Return: whether there may be more to read at once. */
static bool read_once(struct xhr_client *client, bool *full)
{
    size_t room;
    ssize_t n;

    if (make_room(client, *full) < 0) {
        struct xhr_failure why;

        xhr_failure_set(&why, XHR_ERROR_MEMORY, "no memory for what the daemon sends");
        xhr_link_lost(client, &why, false);
        return false;
    }
    room = client->in.capacity - client->in.start - client->in.len;
    do {
        n = recv(client->fd, xhr_bytes_end(&client->in), room, MSG_DONTWAIT);
    } while (n < 0 && errno == EINTR);
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
        return false;
    if (n <= 0) {
        lost(client, n < 0 ? errno : 0);
        return false;
    }
    client->in.len += (size_t)n;
    *full = (size_t)n == room;
    while (take_next(client))
        continue;
    return is_alive(client) && *full;
}

void xhr_link_read(struct xhr_client *client)
{
    bool full = false;
    unsigned left = XHR_READS_MAX;

    while (client->link == XHR_LINK_UP && left > 0 && read_once(client, &full))
        left--;
    if (left == 0)
        client->needs_dispatch = true;
    if (client->is_write_dead && client->link == XHR_LINK_UP && left > 0 && !full) {
        /* Nothing to write to and nothing to read: it shut one half only. */
        lost(client, EPIPE);
    }
}
