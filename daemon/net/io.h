/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * A byte stream: TCP, TLS on top of any io, or two ends in memory. It says when it is ready;
 * its owner pulls and pushes. Nothing is read ahead of the owner but what TLS must, so not
 * reading is all there is to backpressure.
 *
 * Life: an io is made connecting (io_tcp_connect, io_tls_new) or connected (io_pair_new).
 * Exactly one of on_connected and on_failed follows the first kind, never from inside the
 * function that made it. From then on readiness is level-triggered: as long as the interest
 * is set and there is something to read (the end and an error included) or room to write, the
 * call comes again in the next round. It may come in vain: then the result is -EAGAIN.
 *
 * Trouble is told once: as the result of io_read() or io_writev() where there was a call to
 * answer, else by on_failed (connecting, handshake, background flush of TLS). After either the
 * io is silent and fit only for io_last_failure() and io_close(). io_close() may be called at
 * any time, from any callback; no call back comes after it.
 */

#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "base/cleanup.h"
#include "base/early_data.h"
#include "base/failure.h"
#include "base/span.h"
#include "net/address.h"

struct certificates;
struct loop;
struct io;

#define IO_READ  1U
#define IO_WRITE 2U

/* Result of io_read(): the peer is gone without close_notify (TLS only; plain TCP cannot tell).
 * No errno has this value. */
#define IO_TRUNCATED (-4097)

/* Any member may be NULL if its call is of no interest. */
struct io_events {
    void (*on_connected)(void *owner);
    void (*on_readable)(void *owner);
    void (*on_writable)(void *owner);
    void (*on_failed)(void *owner, const struct failure *why); /* at most once; borrowed */
    /* Of a stream that was connected early (see struct tls_info): the handshake is done, and
     * io_tls_info() another. */
    void (*on_settled)(void *owner);
};

/* How TLS came out. The strings live as long as the io. */
struct tls_info {
    uint16_t version; /* 0x0301: TLS 1.0 … 0x0304: TLS 1.3 */
    bool resumed;
    const char *version_name; /* "TLSv1.3" */
    const char *cipher;       /* "TLS_AES_128_GCM_SHA256" */
    const char *alpn;         /* "http/1.1", "h2", or "" when the server chose none */
    uint32_t verify_result;   /* X509_V_ERR_…; not 0 only where nothing had to be verified */
    enum early_data early;
    /* on_connected came before the handshake was done, and it is not done yet: what is said
     * here was so the last time. on_settled or on_failed will tell. */
    bool is_early;
};

/**
 * io_read() - what is there, at most @len bytes, straight into @buf
 *
 * A read that fills less than @len has emptied the stream; the next one says -EAGAIN without
 * asking the kernel, until on_readable has come. Ask for 64 KiB at a time.
 *
 * Return: > 0 bytes; 0 clean end (FIN, or close_notify); -EAGAIN; IO_TRUNCATED; other -errno
 * (see io_last_failure()).
 */
MUST_CHECK ssize_t io_read(struct io *io, char *buf, size_t len);

/**
 * io_expect() - at least so many bytes more are announced, and all that came has been read
 *
 * The io may let them gather for a moment before it says that it is readable. 0, which is what
 * it begins with: each byte is told. A promise that is not kept costs a few milliseconds.
 */
void io_expect(struct io *io, uint64_t bytes);

/**
 * io_writev() - hand over the first bytes of @iov
 *
 * What was taken is never asked for again. TLS puts small pieces together into one record, so
 * hand over head and body in one call.
 *
 * Return: > 0 bytes taken, maybe fewer than given; 0 if nothing was given; -EAGAIN (set
 * IO_WRITE and wait); other -errno (see io_last_failure()). After -EPIPE and -ECONNRESET, and
 * only then, reading goes on until it ends too: the peer may have answered before it hung up.
 */
MUST_CHECK ssize_t io_writev(struct io *io, const struct iovec *iov, int n);

/* A piece for io_writev(), which reads it only: what a cast would say, and -Wcast-qual forbids.
 */
static inline struct iovec io_piece(struct span bytes)
{
    struct iovec piece = {.iov_len = bytes.len};

    memcpy(&piece.iov_base, &bytes.ptr, sizeof(piece.iov_base));
    return piece;
}

/* @interest: IO_READ, IO_WRITE, both or 0. Takes effect on connection if set before. If the
 * kernel refuses, on_failed follows. Cheap when nothing changes. */
void io_set_interest(struct io *io, unsigned interest);

/* Passes the io to another owner; interest is kept. */
void io_set_events(struct io *io, const struct io_events *events, void *owner);

/* Now: no call back comes any more, the peer sees the end (TLS: close_notify, best effort).
 * The memory goes at the end of the round. NULL is fine. Return: NULL. */
struct io *io_close(struct io *io);
DEFINE_CLEANUP(io, io_close)

bool io_is_connected(const struct io *io); /* has been, and has not failed since */

/* Family AF_UNSPEC where there is none (io_pair, before connection). */
const struct address *io_local(const struct io *io);
const struct address *io_remote(const struct io *io);

/* Bytes that were taken and that the peer has not acknowledged yet: in our kernel, on the way,
 * or in the backlog of TLS, as they go over the wire. */
uint64_t io_unacked(const struct io *io);

/* NULL for plain streams, and before the handshake is done. */
const struct tls_info *io_tls_info(const struct io *io);

enum io_chain {
    IO_CHAIN_PRESENTED, /* as the peer sent it */
    IO_CHAIN_VERIFIED,  /* from the leaf to what is trusted; none when resumed, or not verified
                         */
};

/**
 * io_certificates() - the certificates of the peer, read anew for each call
 * @ret: the caller's; NULL when there are none
 * Return: 0 or -ENOMEM.
 */
MUST_CHECK int
io_certificates(const struct io *io, enum io_chain which, struct certificates **ret);

/* The peer has proved who it is, and its certificate is good for the name @host as well. */
bool io_covers_host(const struct io *io, struct span host);

/* Never NULL; kind FAILURE_NONE as long as nothing went wrong. */
const struct failure *io_last_failure(const struct io *io);

/* The loop it lives on. */
struct loop *io_loop(const struct io *io);
