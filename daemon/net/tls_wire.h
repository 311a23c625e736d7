/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The encrypted side of a TLS stream: a BIO over the lower io, so that bytes are copied only
 * by en- and decryption itself.
 *
 * OpenSSL is never told that a write must be tried again: what the lower io does not take at
 * once waits in the backlog. Thereby SSL_write() need not be repeated with the same bytes,
 * which no owner of an io could promise. Nothing more should be encrypted while there is a
 * backlog.
 */

#include <stdbool.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "net/io.h"

struct bio_st;

#define TLS_WIRE_BACKLOG_MAX 131072 /* bytes: a record, and answers to KeyUpdates (TS12) */

struct tls_wire {
    struct io *lower;
    struct buf backlog;
    int error;       /* reading is over: -errno or IO_TRUNCATED; 0: it is not */
    int write_error; /* nothing goes out any more; reading goes on (see io_writev()) */
    bool eof;        /* the lower io has ended */
    bool is_stopped; /* by us: OpenSSL gets no more to read */
    /* What gathers the handshake's flights was put above our BIO. May be NULL */
    void (*on_above)(void *owner, struct bio_st *above);
    void *owner;
};

void tls_wire_init(struct tls_wire *wire, struct io *lower);
void tls_wire_done(struct tls_wire *wire); /* the lower io is not touched */

/* Return: a BIO to give to SSL_set_bio(), or NULL for lack of memory. It uses @wire. */
MUST_CHECK struct bio_st *tls_wire_bio(struct tls_wire *wire);

/* Sends what it can of the backlog; afterwards look at backlog.len and write_error. */
void tls_wire_flush(struct tls_wire *wire);

/* Writing failed because the peer left, who may have said something before. */
bool tls_wire_has_hung_up(const struct tls_wire *wire);
