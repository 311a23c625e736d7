/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * What is known of a stored answer, and its form in a file. The body is a file of its own; its
 * length and digest are in here.
 *
 * The form: magic, numbers (little-endian), texts with their lengths, fields, and at last the
 * SHA-256 of all that. A file is believed when the digest is right AND everything in it is what
 * we would have written: a whole URL, a status that is kept, fields with neither CR, LF nor
 * NUL. Anything else is damage, whoever did it, and damage is never an answer.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "http/headers.h"
#include "http/sha256.h"

#define CACHE_JAR_BYTES_MAX    64
#define CACHE_REASON_BYTES_MAX 256
#define CACHE_META_BYTES_MAX   65536 /* of the file */

struct cache_entry {
    char *url;                     /* owned; as cache_key_of() makes it */
    char *vary;                    /* owned; names, "" for none */
    char *reason;                  /* owned */
    uint8_t context[SHA256_BYTES]; /* over which kind of connection it came */
    uint8_t vary_digest[SHA256_BYTES];
    char jar[CACHE_JAR_BYTES_MAX + 1]; /* whose cookies went or came with it; "": nobody's */
    unsigned status;
    unsigned http_version;
    bool had_credentials;
    int64_t request_time_s;
    int64_t response_time_s;
    uint64_t body_bytes; /* as on the wire, codings and all, without chunks */
    uint8_t body_digest[SHA256_BYTES];
    struct headers headers;
};

void cache_entry_init(struct cache_entry *entry);
void cache_entry_done(struct cache_entry *entry); /* usable again */

enum cache_entry_outcome {
    CACHE_ENTRY_OK = 0,
    CACHE_ENTRY_E_DAMAGED, /* not what cache_entry_encode() writes */
};

/* Appends the file. Return: 0, -ENOMEM, or -EMSGSIZE: longer than CACHE_META_BYTES_MAX. */
MUST_CHECK int cache_entry_encode(const struct cache_entry *entry, struct buf *out);

/**
 * cache_entry_decode() - the file back again
 * @ret: initialised and empty; filled on CACHE_ENTRY_OK, to be ended either way
 * Return: CACHE_ENTRY_OK, CACHE_ENTRY_E_DAMAGED, or -ENOMEM.
 */
MUST_CHECK int cache_entry_decode(struct span bytes, struct cache_entry *ret);

/* Into the empty @to. Return: 0 or -ENOMEM. */
MUST_CHECK int cache_entry_copy(const struct cache_entry *from, struct cache_entry *to);
