/* SPDX-License-Identifier: MIT */
/*
 * The connection to the daemon: a stream out, a stream in.
 *
 * What has been written is kept until the daemon's hello has been read. A daemon says hello
 * before it does anything, so a connection that ends before that has done nothing: everything
 * is sent again over the next one. After hello, only requests of which no byte has left are
 * carried over; the others are told that the daemon is lost.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "wire/codec.h"
#include "xhr_priv.h"

#define MARKS_MIN    4
#define PROTOCOL     1
#define PROGRAM_MAX  64
#define PACKED_BYTES 1024 /* of the stack; a larger message is put straight into the queue */

static uint64_t out_end(const struct xhr_client *client)
{
    return client->out_at + client->out.len;
}

bool xhr_link_is_unsent(const struct xhr_client *client, const struct xhr_slot *slot)
{
    return slot->frame_at >= client->out_at + client->out_sent;
}

/* ---- descriptors that travel with a frame ---- */

static void drop_marks(struct xhr_client *client, size_t count)
{
    for (size_t i = 0; i < count; i++)
        for (unsigned j = 0; j < client->marks[i].count; j++)
            (void)close(client->marks[i].fds[j]);
    client->n_marks -= count;
    if (client->n_marks > 0)
        memmove(client->marks, client->marks + count, client->n_marks * sizeof(*client->marks));
    client->next_mark -= client->next_mark < count ? client->next_mark : count;
}

static int reserve_mark(struct xhr_client *client)
{
    if (client->n_marks < client->marks_capacity)
        return 0;
    size_t capacity = client->marks_capacity ? client->marks_capacity * 2 : MARKS_MIN;
    struct xhr_fd_mark *marks = realloc(client->marks, capacity * sizeof(*marks));

    if (!marks)
        return -ENOMEM;
    client->marks = marks;
    client->marks_capacity = capacity;
    return 0;
}

static void put_mark(struct xhr_client *client, uint64_t at, const struct xhr_frame_fds *fds)
{
    struct xhr_fd_mark *mark = &client->marks[client->n_marks++];

    *mark = (struct xhr_fd_mark){.at = at, .count = fds->count};
    memcpy(mark->fds, fds->fds, sizeof(mark->fds));
}

/* ---- out ---- */

static int put_message(struct xhr_client *client, const Xhrd__V1__ClientMessage *message)
{
    uint8_t prefix[WIRE_FRAME_PREFIX_MAX];
    uint8_t block[PACKED_BYTES];
    uint8_t *packed = NULL;
    size_t len = wire_pack(&message->base, block, sizeof(block), &packed);

    if (len == 0) /* a large one */
        len = xhrd__v1__client_message__get_packed_size(message);
    if (len > WIRE_FRAME_BYTES_MAX)
        return -EMSGSIZE;
    size_t prefix_len = wire_frame_prefix(prefix, len);
    int r = xhr_bytes_reserve(&client->out, prefix_len + len);
    if (r < 0)
        return r;
    uint8_t *at = xhr_bytes_end(&client->out);
    memcpy(at, prefix, prefix_len);
    if (packed)
        memcpy(at + prefix_len, packed, len);
    else
        (void)xhrd__v1__client_message__pack(message, at + prefix_len);
    client->out.len += prefix_len + len;
    return 0;
}

static int queue_hello(struct xhr_client *client)
{
    Xhrd__V1__ClientMessage message = XHRD__V1__CLIENT_MESSAGE__INIT;
    Xhrd__V1__ClientHello hello = XHRD__V1__CLIENT_HELLO__INIT;
    const char *program = client->program ? client->program : program_invocation_short_name;
    static char no_profile[] = "";
    int r;

    if (client->is_hello_queued)
        return 0;
    hello.protocol = PROTOCOL;
    hello.program.data = xhr_unconst(program);
    hello.program.len = strnlen(program, PROGRAM_MAX);
    hello.profile = client->profile ? client->profile : no_profile;
    message.kind_case = XHRD__V1__CLIENT_MESSAGE__KIND_HELLO;
    message.hello = &hello;
    r = put_message(client, &message);
    client->is_hello_queued = r == 0;
    return r;
}

int xhr_link_queue(struct xhr_client *client,
                   const Xhrd__V1__ClientMessage *message,
                   struct xhr_slot *slot,
                   const struct xhr_frame_fds *fds)
{
    bool has_fds = fds && fds->count > 0;
    int r = queue_hello(client);

    if (r == 0 && has_fds)
        r = reserve_mark(client);
    uint64_t at = out_end(client);
    if (r == 0)
        r = put_message(client, message);
    if (r < 0)
        return r;
    if (has_fds)
        put_mark(client, at, fds);
    if (slot) {
        slot->frame_at = at;
        slot->frame_len = (size_t)(out_end(client) - at);
    }
    return 0;
}

static void consume_sent(struct xhr_client *client)
{
    if (!client->is_hello_read)
        return;
    xhr_bytes_consume(&client->out, client->out_sent);
    client->out_at += client->out_sent;
    client->out_sent = 0;
    if (client->next_mark > 0)
        drop_marks(client, client->next_mark);
}

void xhr_link_on_hello(struct xhr_client *client)
{
    client->is_hello_read = true;
    client->hello_by_us = 0;
    client->repeats = 0;
    consume_sent(client);
}

static ssize_t send_fds(int fd, struct iovec *iov, size_t n_iov, const struct xhr_fd_mark *mark)
{
    union {
        char bytes[CMSG_SPACE(2 * sizeof(int))];
        struct cmsghdr align;
    } control = {0};
    struct msghdr msg = {.msg_iov = iov, .msg_iovlen = n_iov};

    if (mark) {
        size_t len = mark->count * sizeof(int);

        msg.msg_control = control.bytes;
        msg.msg_controllen = CMSG_SPACE(len);
        struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);
        cmsg->cmsg_level = SOL_SOCKET;
        cmsg->cmsg_type = SCM_RIGHTS;
        cmsg->cmsg_len = CMSG_LEN(len);
        memcpy(CMSG_DATA(cmsg), mark->fds, len);
    }
    return sendmsg(fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* Return: bytes written; 0 when it would block or the daemon reads no more. */
static size_t write_some(struct xhr_client *client,
                         struct iovec *iov,
                         size_t n_iov,
                         const struct xhr_fd_mark *mark)
{
    for (;;) {
        ssize_t n = send_fds(client->fd, iov, n_iov, mark);

        if (n > 0)
            return (size_t)n;
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != ENOBUFS &&
            errno != ETOOMANYREFS) {
            /* It may have told why before it left: let reading find the end. */
            client->is_write_dead = true;
            client->needs_dispatch = true;
        }
        return 0;
    }
}

void xhr_link_flush(struct xhr_client *client)
{
    while (client->link == XHR_LINK_UP && !client->is_write_dead &&
           client->out_sent < client->out.len) {
        uint64_t at = client->out_at + client->out_sent;
        size_t len = client->out.len - client->out_sent;
        const struct xhr_fd_mark *mark = NULL;

        if (client->next_mark < client->n_marks && client->marks[client->next_mark].at == at)
            mark = &client->marks[client->next_mark];
        /* Descriptors ride with the first byte of the frame that takes them. */
        size_t next = client->next_mark + (mark ? 1 : 0);
        if (next < client->n_marks && client->marks[next].at - at < len)
            len = (size_t)(client->marks[next].at - at);

        struct iovec iov = {xhr_bytes_at(&client->out) + client->out_sent, len};
        size_t n = write_some(client, &iov, 1, mark);
        if (n == 0)
            return;
        client->next_mark = next;
        client->out_sent += n;
        consume_sent(client);
    }
}

int xhr_link_write_body(struct xhr_client *client,
                        uint32_t request_id,
                        const void *data,
                        size_t len)
{
    uint8_t head[WIRE_BODY_HEAD_MAX];
    size_t head_len = wire_body_head(head, WIRE_DAEMON, request_id, len);
    size_t written = 0;
    int r;

    if (client->link == XHR_LINK_UP && client->is_hello_read && !client->is_write_dead &&
        client->out.len == 0) {
        struct iovec iov[2] = {{head, head_len}, {xhr_unconst(data), len}};

        written = write_some(client, iov, 2, NULL);
        client->out_at += written;
    }
    size_t of_head = written < head_len ? written : head_len;
    r = xhr_bytes_reserve(&client->out, head_len + len - written);
    if (r < 0)
        return r;
    (void)xhr_bytes_append(&client->out, head + of_head, head_len - of_head);
    (void)xhr_bytes_append(&client->out, (const uint8_t *)data + (written - of_head),
                           len - (written - of_head));
    return 0;
}

/* ---- making and losing it ---- */

void xhr_link_close(struct xhr_client *client)
{
    if (client->fd >= 0)
        (void)close(client->fd);
    client->fd = -1;
    client->link = XHR_LINK_DOWN;
    client->is_hello_read = false;
    client->is_write_dead = false;
    client->hello_by_us = 0;
    client->body_left = 0;
    xhr_signing_leave_all(client);
    /* The storage stays: an on_body further down the stack may be looking at it. */
    client->in.start = 0;
    client->in.len = 0;
}

static void clear_out(struct xhr_client *client)
{
    client->out_at = out_end(client);
    xhr_bytes_done(&client->out);
    client->out_sent = 0;
    client->is_hello_queued = false;
    drop_marks(client, client->n_marks);
}

/* Copies one frame, and its descriptors' mark, from what was to go out over the old link. */
static int
carry_over(struct xhr_client *client, const struct xhr_client *old, struct xhr_slot *slot)
{
    const uint8_t *frame = xhr_bytes_at(&old->out) + (slot->frame_at - old->out_at);
    int r = queue_hello(client);

    if (r == 0)
        r = reserve_mark(client);
    uint64_t at = out_end(client);
    if (r == 0)
        r = xhr_bytes_append(&client->out, frame, slot->frame_len);
    if (r < 0)
        return r;
    for (size_t i = 0; i < old->n_marks; i++) {
        if (old->marks[i].at != slot->frame_at)
            continue;
        client->marks[client->n_marks] = old->marks[i];
        client->marks[client->n_marks++].at = at;
        old->marks[i].count = 0; /* they are the new one's now */
    }
    slot->frame_at = at;
    return 0;
}

/* Keeps those of whom the daemon has not seen a byte; dooms the others. */
static void keep_unsent(struct xhr_client *client, const struct xhr_failure *why)
{
    struct xhr_client old = *client;
    struct xhr_slot *next;

    client->out = (struct xhr_bytes){0};
    client->out_at = out_end(&old);
    client->out_sent = 0;
    client->is_hello_queued = false;
    client->marks = NULL;
    client->n_marks = client->marks_capacity = client->next_mark = 0;
    for (struct xhr_slot *slot = client->live.first; slot; slot = next) {
        bool unsent = xhr_link_is_unsent(&old, slot);

        next = slot->next;
        if (!unsent || carry_over(client, &old, slot) < 0)
            xhr_client_doom(client, slot, why);
    }
    xhr_upload_on_lost(client);
    drop_marks(&old, old.n_marks);
    free(old.marks);
    xhr_bytes_done(&old.out);
}

void xhr_link_lost(struct xhr_client *client, const struct xhr_failure *why, bool may_repeat)
{
    bool heard = client->is_hello_read;

    xhr_link_close(client);
    client->needs_dispatch |= !client->is_dispatching; /* a dispatch goes on from here itself */
    may_repeat = may_repeat && !client->is_given;
    if (may_repeat && !heard && client->repeats < XHR_REPEATS_MAX) {
        client->repeats++;
        client->out_sent = 0;
        client->next_mark = 0;
        return;
    }
    if (may_repeat && heard) {
        keep_unsent(client, why);
        return;
    }
    client->repeats = 0;
    xhr_client_doom_all(client, why);
    clear_out(client);
}

static void wait_to_retry(struct xhr_client *client, uint64_t now_us)
{
    if (client->give_up_at_us == 0)
        client->give_up_at_us = now_us + (uint64_t)XHR_START_MS * 1000u;
    client->retry_ms = client->retry_ms ? client->retry_ms * 2 : 1;
    if (client->retry_ms > XHR_RETRY_MS_MAX)
        client->retry_ms = XHR_RETRY_MS_MAX;
    client->retry_at_us = now_us + (uint64_t)client->retry_ms * 1000u;
}

void xhr_link_connect(struct xhr_client *client)
{
    struct xhr_failure why;
    uint64_t now_us;
    int fd;

    if (client->link != XHR_LINK_DOWN || client->out.len == 0)
        return;
    now_us = xhr_now_us();
    if (client->retry_at_us > now_us)
        return;
    if (client->is_given) {
        fd = -ENOTCONN;
        xhr_failure_set(&why, XHR_ERROR_DAEMON_LOST, "the connection given is over");
    } else {
        fd = xhr_start_connect(client, &client->is_started, &why);
    }
    if (fd == -EAGAIN && (client->give_up_at_us == 0 || now_us < client->give_up_at_us)) {
        wait_to_retry(client, now_us);
        return;
    }
    client->retry_at_us = 0;
    client->retry_ms = 0;
    client->give_up_at_us = 0;
    if (fd >= 0) {
        client->fd = fd;
        client->link = XHR_LINK_UP;
        client->hello_by_us = now_us + (uint64_t)XHR_HELLO_MS * 1000u;
        return;
    }
    if (fd == -EAGAIN)
        xhr_failure_set(&why, XHR_ERROR_DAEMON_UNREACHABLE,
                        "the daemon takes no connection, or its lock is held, for %u s",
                        XHR_START_MS / 1000u);
    xhr_client_doom_all(client, &why);
    clear_out(client);
}
