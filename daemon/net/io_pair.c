/* SPDX-License-Identifier: MIT */
#include "net/io_pair.h"

#include <errno.h>

#include "base/buf.h"
#include "base/fault.h"
#include "base/mem.h"
#include "net/io_priv.h"

struct io_pair {
    struct io io;          /* first */
    struct io_pair *other; /* NULL when it has been closed */
    struct buf inbox;      /* what the other end wrote */
    bool peer_is_done;     /* the end follows the inbox */
    int broken;            /* positive errno */
    size_t write_max;
    size_t read_max;
    struct deferred task;
};

static struct io_pair *pair_of(struct io *io)
{
    return (struct io_pair *)(void *)io;
}

static bool is_readable(const struct io_pair *end)
{
    return end->inbox.len > 0 || end->peer_is_done || end->broken;
}

static bool is_writable(const struct io_pair *end)
{
    return !end->other || end->broken || end->other->inbox.len < end->other->inbox.max;
}

static void schedule(struct io_pair *end)
{
    bool ready = ((end->io.interest & IO_READ) && is_readable(end)) ||
                 ((end->io.interest & IO_WRITE) && is_writable(end));

    if (end->io.state == IO_OPEN && ready)
        loop_defer_next(end->io.loop, &end->task);
}

static void pair_on_task(void *owner)
{
    struct io_pair *end = owner;

    if (is_readable(end))
        io_tell_readable(&end->io);
    if (end->io.state == IO_OPEN && is_writable(end))
        io_tell_writable(&end->io);
    schedule(end);
}

static ssize_t pair_fail(struct io_pair *end, enum failure_kind kind, int err)
{
    io_set_sys_failure(&end->io, kind, err);
    return io_fail(&end->io, -err);
}

static ssize_t pair_read(struct io *io, char *buf, size_t len)
{
    struct io_pair *end = pair_of(io);
    struct span bytes = span_take(buf_span(&end->inbox), len);

    if (end->broken)
        return pair_fail(end, FAILURE_RECEIVE, end->broken);
    if (end->read_max > 0)
        bytes = span_take(bytes, end->read_max);
    if (bytes.len == 0)
        return end->peer_is_done ? 0 : -EAGAIN;
    memcpy(buf, bytes.ptr, bytes.len);
    buf_consume(&end->inbox, bytes.len);
    if (end->other)
        schedule(end->other);
    return (ssize_t)bytes.len;
}

static ssize_t pair_writev(struct io *io, const struct iovec *iov, int n)
{
    struct io_pair *end = pair_of(io);
    size_t taken = 0;

    if (end->broken)
        return pair_fail(end, FAILURE_SEND, end->broken);
    if (!end->other || end->other->peer_is_done) {
        io_set_sys_failure(io, FAILURE_SEND, EPIPE);
        return -EPIPE; /* what the other end had said can still be read */
    }

    struct buf *inbox = &end->other->inbox;
    size_t room = inbox->max > inbox->len ? inbox->max - inbox->len : 0;
    if (end->write_max > 0 && room > end->write_max)
        room = end->write_max;
    for (int i = 0; i < n && taken < room; i++) {
        struct span piece = {iov[i].iov_base, iov[i].iov_len};

        piece = span_take(piece, room - taken);
        if (buf_append(inbox, piece) < 0)
            return pair_fail(end, FAILURE_INTERNAL, ENOMEM);
        taken += piece.len;
    }
    schedule(end->other);
    return taken > 0 || n == 0 ? (ssize_t)taken : -EAGAIN;
}

static void pair_update_interest(struct io *io)
{
    schedule(pair_of(io));
}

static void pair_close(struct io *io, enum io_state before)
{
    struct io_pair *end = pair_of(io);

    (void)before;
    loop_defer_cancel(io->loop, &end->task);
    if (!end->other)
        return;
    end->other->other = NULL;
    end->other->peer_is_done = true;
    schedule(end->other);
    end->other = NULL;
}

static void pair_free(struct io *io)
{
    buf_done(&pair_of(io)->inbox);
    mem_free(io);
}

/* In memory what has been read is acknowledged. */
static uint64_t pair_unacked(const struct io *io)
{
    const struct io_pair *end = (const struct io_pair *)(const void *)io;

    return end->other ? end->other->inbox.len : 0;
}

static const struct io_ops pair_ops = {
    .read = pair_read,
    .writev = pair_writev,
    .update_interest = pair_update_interest,
    .close = pair_close,
    .free = pair_free,
    .unacked = pair_unacked,
};

static void end_init(struct io_pair *end, struct loop *loop, struct io_pair *other)
{
    io_init(&end->io, loop, &pair_ops);
    end->io.state = IO_OPEN;
    end->other = other;
    end->inbox = BUF_INIT(IO_PAIR_CAPACITY_BYTES);
    end->task = (struct deferred){.fn = pair_on_task, .owner = end};
}

int io_pair_new(struct loop *loop, struct io **ret_a, struct io **ret_b)
{
    CLEANUP_MEM struct io_pair *a = mem_zalloc(sizeof(*a));
    CLEANUP_MEM struct io_pair *b = mem_zalloc(sizeof(*b));

    if (!a || !b)
        return fault(-ENOMEM);
    end_init(a, loop, b);
    end_init(b, loop, a);
    *ret_a = &TAKE(a)->io;
    *ret_b = &TAKE(b)->io;
    return 0;
}

void io_pair_set_write_max(struct io *io, size_t bytes)
{
    pair_of(io)->write_max = bytes;
}

void io_pair_set_read_max(struct io *io, size_t bytes)
{
    pair_of(io)->read_max = bytes;
}

void io_pair_set_capacity(struct io *io, size_t bytes)
{
    struct io_pair *end = pair_of(io);

    INVARIANT(end->other && bytes > 0); /* a buf without a cap has none */
    end->other->inbox.max = bytes;
    schedule(end);
}

void io_pair_send_eof(struct io *io)
{
    struct io_pair *end = pair_of(io);

    if (!end->other)
        return;
    end->other->peer_is_done = true;
    schedule(end->other);
}

void io_pair_break(struct io *io, int err)
{
    struct io_pair *end = pair_of(io);

    end->broken = err;
    schedule(end);
    if (!end->other)
        return;
    end->other->broken = err;
    schedule(end->other);
}

size_t io_pair_in_flight(const struct io *io)
{
    const struct io_pair *end = (const struct io_pair *)(const void *)io;

    return end->other ? end->other->inbox.len : 0;
}
