/* SPDX-License-Identifier: MIT */
#include "net/io.h"

#include <errno.h>
#include <string.h>

#include "base/fault.h"
#include "net/io_priv.h"

const struct address io_no_address = {.sa = {.sa_family = AF_UNSPEC}};

static const struct io_events no_events = {0};

void io_init(struct io *io, struct loop *loop, const struct io_ops *ops)
{
    io->loop = loop;
    io->ops = ops;
    io->events = &no_events;
    io->state = IO_CONNECTING;
}

ssize_t io_read(struct io *io, char *buf, size_t len)
{
    INVARIANT(io->state != IO_CLOSED && len > 0);
    if (io->state == IO_FAILED)
        return io->error;
    return io->state == IO_OPEN ? io->ops->read(io, buf, len) : -EAGAIN;
}

void io_expect(struct io *io, uint64_t bytes)
{
    if (io->state == IO_OPEN && io->ops->expect)
        io->ops->expect(io, bytes);
}

ssize_t io_writev(struct io *io, const struct iovec *iov, int n)
{
    INVARIANT(io->state != IO_CLOSED);
    if (io->state == IO_FAILED)
        return io->error;
    return io->state == IO_OPEN ? io->ops->writev(io, iov, n) : -EAGAIN;
}

void io_set_interest(struct io *io, unsigned interest)
{
    INVARIANT(io->state != IO_CLOSED);
    if (io->interest == interest)
        return;
    io->interest = interest;
    if (io->state == IO_OPEN)
        io->ops->update_interest(io);
}

void io_set_events(struct io *io, const struct io_events *events, void *owner)
{
    INVARIANT(io->state != IO_CLOSED);
    io->events = events ? events : &no_events;
    io->owner = owner;
}

static void io_reap(struct reap *self)
{
    struct io *io = (struct io *)(void *)self;

    io->ops->free(io);
}

struct io *io_close(struct io *io)
{
    if (!io)
        return NULL;
    INVARIANT(io->state != IO_CLOSED);

    enum io_state before = io->state;
    io->state = IO_CLOSED;
    io->events = &no_events;
    io->owner = NULL;
    io->ops->close(io, before);
    loop_defer_free(io->loop, &io->reap, io_reap);
    return NULL;
}

bool io_is_connected(const struct io *io)
{
    return io->state == IO_OPEN;
}

const struct address *io_local(const struct io *io)
{
    return io->ops->local ? io->ops->local(io) : &io_no_address;
}

const struct address *io_remote(const struct io *io)
{
    return io->ops->remote ? io->ops->remote(io) : &io_no_address;
}

const struct tls_info *io_tls_info(const struct io *io)
{
    return io->ops->tls_info ? io->ops->tls_info(io) : NULL;
}

uint64_t io_unacked(const struct io *io)
{
    return io->ops->unacked ? io->ops->unacked(io) : 0;
}

bool io_covers_host(const struct io *io, struct span host)
{
    return io->ops->covers_host && io->ops->covers_host(io, host);
}

int io_certificates(const struct io *io, enum io_chain which, struct certificates **ret)
{
    *ret = NULL;
    return io->ops->certificates ? io->ops->certificates(io, which, ret) : 0;
}

const struct failure *io_last_failure(const struct io *io)
{
    return &io->failure;
}

struct loop *io_loop(const struct io *io)
{
    return io->loop;
}

void io_tell_connected(struct io *io)
{
    io->state = IO_OPEN;
    io->ops->update_interest(io);
    if (io->state == IO_OPEN && io->events->on_connected)
        io->events->on_connected(io->owner);
}

void io_tell_readable(struct io *io)
{
    if (io->state == IO_OPEN && (io->interest & IO_READ) && io->events->on_readable)
        io->events->on_readable(io->owner);
}

void io_tell_writable(struct io *io)
{
    if (io->state == IO_OPEN && (io->interest & IO_WRITE) && io->events->on_writable)
        io->events->on_writable(io->owner);
}

ssize_t io_fail(struct io *io, int error)
{
    INVARIANT(error < 0 && io->failure.kind != FAILURE_NONE);
    io->state = IO_FAILED;
    io->error = error;
    io->interest = 0;
    io->ops->update_interest(io);
    return error;
}

void io_tell_failed(struct io *io, int error)
{
    if (io->state == IO_FAILED || io->state == IO_CLOSED)
        return;
    (void)io_fail(io, error);
    if (io->events->on_failed)
        io->events->on_failed(io->owner, &io->failure);
}

void io_set_sys_failure(struct io *io, enum failure_kind kind, int err)
{
    char text[ADDRESS_TEXT_MAX];
    char reason[64];

    failure_set(&io->failure, kind, "%s %s: %s",
                kind == FAILURE_SEND ? "cannot send to" : "cannot receive from",
                address_format(io_remote(io), text), strerror_r(err, reason, sizeof(reason)));
    io->failure.sys_errno = err;
}
