/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * What the kinds of io share. io.c keeps the promises of io.h (when calls are allowed, that
 * trouble is told once, what a dead io says); a kind only moves bytes.
 */

#include "loop/loop.h"
#include "net/io.h"

enum io_state {
    IO_CONNECTING, /* or shaking hands */
    IO_OPEN,
    IO_FAILED, /* told; waits to be closed */
    IO_CLOSED, /* waits for the end of the round */
};

struct io_ops {
    ssize_t (*read)(struct io *io, char *buf, size_t len); /* IO_OPEN only; len > 0 */
    ssize_t (*writev)(struct io *io, const struct iovec *iov, int n); /* IO_OPEN only */
    void (*expect)(struct io *io, uint64_t bytes); /* IO_OPEN only; NULL: it makes no odds */
    void (*update_interest)(struct io *io);        /* io->interest is new */
    void (*close)(struct io *io, enum io_state before);
    void (*free)(struct io *io);
    const struct address *(*local)(const struct io *io);
    const struct address *(*remote)(const struct io *io);
    const struct tls_info *(*tls_info)(const struct io *io);
    /* NULL: never any. *ret is NULL before. */
    int (*certificates)(const struct io *io, enum io_chain which, struct certificates **ret);
    bool (*covers_host)(const struct io *io, struct span host); /* NULL: never */
    uint64_t (*unacked)(const struct io *io); /* NULL: nothing is ever on its way */
};

struct io {
    struct reap reap; /* first */
    struct loop *loop;
    const struct io_ops *ops;
    const struct io_events *events;
    void *owner;
    enum io_state state;
    unsigned interest;
    int error; /* IO_FAILED: what reads and writes give */
    struct failure failure;
};

void io_init(struct io *io, struct loop *loop, const struct io_ops *ops);

/* Each looks whether the owner is still interested; after each the io may be closed. */
void io_tell_connected(struct io *io);
void io_tell_readable(struct io *io);
void io_tell_writable(struct io *io);

/* From read and writev: io->failure has been filled. Return: @error. */
ssize_t io_fail(struct io *io, int error);
/* Where no call is there to answer: the same, and on_failed. */
void io_tell_failed(struct io *io, int error);

/* io->failure for an errno of a socket; @kind FAILURE_RECEIVE or FAILURE_SEND. */
void io_set_sys_failure(struct io *io, enum failure_kind kind, int err);

extern const struct address io_no_address;
