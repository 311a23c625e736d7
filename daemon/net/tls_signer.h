/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * A client certificate whose key stays with the client, as ssh-agent's do: what has to be
 * signed is asked for while the handshake rests.
 *
 * OpenSSL 3.0 can rest in a signature only on a stack of its own (async jobs), too small for
 * TLS in TLS. It can rest in a write, though. So the message before CertificateVerify is not
 * let through (a callback on the BIO that gathers the handshake's flight); by then all that
 * will be signed is known: the handshake so far, which is written down here. When the answer
 * has come, and is right, the write goes on, and the signature that OpenSSL makes next is the
 * client's. RSA and EC keys, TLS 1.2 and 1.3.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/failure.h"
#include "base/span.h"

struct answerer;
struct bio_st;
struct loop;
struct ssl_st;
struct tls_signer;

struct tls_signer_options {
    struct answerer *answerer; /* the signer holds on to it */
    uint64_t handle;           /* the client's name for the key */
    struct span host;          /* lives as long as the signer */
    uint16_t port;
    void (*on_ready)(void *owner); /* go on with the handshake, or look at the failure */
    void *owner;
};

/* @ssl: its context shows a certificate (tls_identity.h); it outlives the signer. Return: 0,
 * -EINVAL for a key of another kind than RSA and EC, or -ENOMEM. */
MUST_CHECK int tls_signer_new(struct tls_signer **ret,
                              struct ssl_st *ssl,
                              const struct tls_signer_options *options);
struct tls_signer *tls_signer_free(struct tls_signer *signer); /* on_ready is not called */
DEFINE_CLEANUP(tls_signer, tls_signer_free)

/* A handshake message went by, with its head. */
void tls_signer_saw(struct tls_signer *signer, struct span message);

/* @above: what gathers the flight; see tls_wire.h. */
void tls_signer_hold(struct tls_signer *signer, struct bio_st *above);

/* After OpenSSL wanted to write: asks, if that is why and nobody is asked yet. */
void tls_signer_ask(struct tls_signer *signer);
/* The client is being asked: nothing is to be read. */
bool tls_signer_rests(const struct tls_signer *signer);

/* NULL: nothing went wrong here. */
const struct failure *tls_signer_failure(const struct tls_signer *signer);
