/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The certificates of a peer, read for people and programs: made in net/, passed on by the
 * rooms between, told by service/. Everything in them is the maker's word, so all text is
 * printable ASCII (what else there was is escaped with a backslash) and all of it is bounded.
 */

#include <stdint.h>

#include "base/cleanup.h"
#include "base/span.h"

#define CERTIFICATES_MAX      20   /* of a chain; no server needs half of it */
#define CERTIFICATE_TEXT_MAX  1024 /* bytes of a subject or issuer; longer ones are cut */
#define CERTIFICATE_NAMES_MAX 100  /* alternative names of one certificate */
#define CERTIFICATE_NAME_MAX  256  /* bytes of one of them */
#define CERTIFICATE_SPKI_SIZE 32   /* SHA-256 */

struct certificate {
    struct span der;
    struct span subject; /* as RFC 2253 writes it: "CN=a.example,O=Example" */
    struct span issuer;
    struct span serial;    /* hexadecimal */
    struct span signature; /* how it is signed: "ecdsa-with-SHA256" */
    struct span key;       /* what key it has: "EC, 256 bits" */
    const struct span *names; /* "DNS:a.example", "IP:192.0.2.1", "email:…", "URI:…", "other" */
    size_t n_names;
    size_t n_names_left_out; /* beyond CERTIFICATE_NAMES_MAX */
    int64_t not_before_s;    /* since 1970; of what is no date the earliest there is */
    int64_t not_after_s;     /* the same */
    uint8_t spki_sha256[CERTIFICATE_SPKI_SIZE]; /* of its public key: what a pin is */
};

/* One piece of memory. */
struct certificates {
    size_t count;
    size_t n_left_out; /* beyond CERTIFICATES_MAX */
    struct certificate at[];
};

struct certificates *certificates_free(struct certificates *certificates); /* returns NULL */
DEFINE_CLEANUP(certificates, certificates_free)
