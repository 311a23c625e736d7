/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Happy Eyeballs (RFC 8305): tries addresses one after another without waiting for each to
 * fail. Families take turns; a new attempt begins when the one before has failed or has been
 * at it for 250 ms. The first to connect wins, the others are closed.
 *
 * How long all of it may take is the caller's timer and dialer_cancel().
 */

#include "net/io.h"
#include "net/io_tcp.h"

struct dialer;

#define DIALER_ADDRESSES_MAX 16 /* tried at most: RFC 8305 leaves it open; bounds sockets */

/* As io_tcp_connect(). */
typedef int dialer_connect_fn(struct loop *loop,
                              const struct address *address,
                              const struct io_tcp_options *options,
                              const struct io_events *events,
                              void *owner,
                              struct io **ret);

struct dialer_options {
    int64_t attempt_delay_us; /* RFC 8305 §5: 250 ms recommended, 10 ms at least */
    struct io_tcp_options tcp;
    dialer_connect_fn *connect; /* NULL: io_tcp_connect. For tests */
    /* Whether an address is not to be tried; then *ret_why says so. NULL: none is. */
    bool (*refuses)(const void *rules, const struct address *address, struct failure *ret_why);
    const void *rules; /* outlives the dialer */
};

static inline struct dialer_options dialer_options_default(void)
{
    return (struct dialer_options){.attempt_delay_us = 250000, .tcp = io_tcp_options_default()};
}

/* Exactly one, once, never from inside dialer_start(). The dialer is gone with it: forget the
 * pointer. */
struct dialer_events {
    void (*on_connected)(void *owner, struct io *io); /* the owner's from now on */
    void (*on_failed)(void *owner, const struct failure *why);
};

/**
 * dialer_start() - begin to connect
 * @addresses: in the order of preference, at least one; copied
 * @options:   NULL for the defaults; copied
 * @events:    borrowed until the end
 * Return: 0 (one of @events follows), -EINVAL for an empty list, -ENOMEM.
 */
MUST_CHECK int dialer_start(struct loop *loop,
                            struct address_list addresses,
                            const struct dialer_options *options,
                            const struct dialer_events *events,
                            void *owner,
                            struct dialer **ret);

/* Closes every attempt; no event follows. NULL is fine. Return: NULL. */
struct dialer *dialer_cancel(struct dialer *dialer);
DEFINE_CLEANUP(dialer, dialer_cancel)

/* RFC 8305 §4: families in turns, the first address's family first, order kept within one.
 * @ret takes min(n, max) of them. Return: how many. */
size_t dialer_interleave(struct address_list addresses, struct address *ret, size_t max);
