/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * What the files of a TLS stream share. io_tls.c: the handshake, reading, writing.
 * io_tls_early.c: the bytes that go before the handshake is done.
 */

#include <stdbool.h>

#include "loop/loop.h"
#include "net/io_priv.h"
#include "net/io_tls.h"
#include "net/tls_session.h"
#include "net/tls_verify.h"
#include "net/tls_wire.h"

struct ssl_session_st;
struct ssl_st;
struct tls_context;
struct tls_signer;

/*
 * The io is open for its owner while the handshake still goes on (RFC 8446 §2.3). What he
 * writes goes with the hello, as far as the session allows, and a copy of it is kept: a server
 * that does not take it gets it once more behind the handshake.
 */
struct tls_early {
    bool (*goes_early)(void *owner); /* NULL: never */
    bool is_pending;                 /* open, and the handshake is not done */
    bool is_shut;                    /* nothing more goes early */
    uint8_t rounds;                  /* that the owner has had */
    size_t room;                     /* bytes the session still allows */
    struct buf sent;
};

struct io_tls {
    struct io io;         /* first */
    struct tls_wire wire; /* to the lower io, which is ours */
    SSL *ssl;
    struct tls_context *context;
    struct tls_sessions *sessions; /* NULL: nothing is kept */
    struct tls_session_key key;
    struct tls_session_past past; /* of the session that is resumed, if it is */
    struct tls_host host;
    struct deferred task; /* begins the handshake; later: more is buffered */
    struct deferred turn; /* a step of the handshake, when others have had theirs */
    bool waits_long;      /* for its turn: more than a round */
    bool eof;             /* close_notify came */
    bool dry;             /* OpenSSL has asked for more bytes than there are */
    bool wrong;           /* TLS itself failed: no close_notify, no reuse */
    int late_error;       /* came after bytes that were given out; the next read gives it */
    struct tls_signer *signer; /* NULL: nobody has to be asked for a signature */
    bool is_fallback;
    bool got_record;    /* in the handshake: a record has begun to come */
    bool got_handshake; /* and a message in one */
    struct io_tls_trouble trouble;
    struct tls_early early;
    unsigned n_post_handshake;
    unsigned n_released_for; /* of them: those whose buffers were given back */
    struct tls_info info;
    char offers[IO_TLS_ALPN_MAX];
    char alpn[IO_TLS_ALPN_MAX];
};

/* What a context tells the io whose session it is: see SSL_CTX_sess_set_new_cb(3). */
int io_tls_on_new_session(struct ssl_st *ssl, struct ssl_session_st *session);

/* RFC 8446 §4.1.3: the mark a server leaves in its 32 bytes of random when it could have done
 * better than the version agreed upon. */
bool io_tls_random_is_marked(const unsigned char random[32]);

/* io_tls.c */
/* Whether the protocol is one of those that were offered. */
bool tls_alpn_was_offered(const struct io_tls *tls, struct span chosen);
void tls_follow_up(struct io_tls *tls);
void tls_refuse_handshake(struct io_tls *tls, enum failure_kind kind, const char *what);
/* After SSL_connect(), SSL_write_early_data() … failed for good. Return: what a write gives. */
int tls_explain(struct io_tls *tls, enum failure_kind kind);

/* io_tls_early.c */
/* Opens the stream to its owner before the handshake, if session and owner want it so. Return:
 * whether it did; the owner has been told. */
bool tls_early_opens(struct io_tls *tls);
/* @ret_written: what may go early of it; the rest waits for the handshake. Return: 0, or an
 * error that io->failure explains. */
int tls_early_write(struct io_tls *tls, struct span record, size_t *ret_written);
/* The owner may write yet, or has: whatever comes of it is told by the lower io. */
bool tls_early_waits(struct io_tls *tls);
/* The handshake is done, and its certificate good. Tells the owner. */
void tls_early_settle(struct io_tls *tls);
