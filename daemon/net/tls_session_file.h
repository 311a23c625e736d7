/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * TLS sessions of a user as bytes: rows, and rows sealed for the disk (AES-256-GCM). What was
 * not sealed with this key for this user does not open, and is no different from damage.
 *
 * File: "xhrd-tls", version (4 bytes), nonce, tag, the encrypted rows. Numbers are big-endian.
 */

#include <stdint.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/span.h"
#include "net/tls_session.h"

#define TLS_SESSION_FILE_KEY_BYTES 32
#define TLS_SESSION_FILE_MAX_BYTES (4U << 20)
#define TLS_SESSION_DER_MAX_BYTES  16384 /* a ticket, keys, the server's certificate */
#define TLS_SESSION_OWNER_MAX      96    /* bytes */

enum tls_session_file_outcome {
    TLS_SESSION_FILE_OK = 0,
    TLS_SESSION_FILE_E_DAMAGED, /* or of another user, or sealed with another key */
    TLS_SESSION_FILE_E_NEWER,   /* of a later version of the daemon */
};

/* A row that was read; der is borrowed from what was read. */
struct tls_session_saved {
    struct tls_session_key key;
    struct tls_session_past past;
    struct span der;
};

/**
 * tls_session_file_add() - append a row to what will be sealed
 * Return: 0, -ENOMEM, or -EMSGSIZE when the session or all of them are too large: left out.
 */
MUST_CHECK int tls_session_file_add(struct buf *rows, const struct tls_session_row *row);

/**
 * tls_session_file_next() - the next row of @rows, which it is taken from
 * @uid: whose they must be
 * Return: TLS_SESSION_FILE_OK, or E_DAMAGED; do not ask when @rows is empty.
 */
MUST_CHECK int
tls_session_file_next(struct span *rows, uint32_t uid, struct tls_session_saved *ret);

/**
 * tls_session_file_seal() - append a whole file to @file
 * @owner: whose it is, at most TLS_SESSION_OWNER_MAX bytes; not written, but needed to open it
 * Return: 0, -ENOMEM or -EMSGSIZE.
 */
MUST_CHECK int tls_session_file_seal(struct buf *file,
                                     const uint8_t key[TLS_SESSION_FILE_KEY_BYTES],
                                     struct span owner,
                                     struct span rows);

/* Return: enum tls_session_file_outcome with the rows appended to @rows, or -ENOMEM. */
MUST_CHECK int tls_session_file_open(struct span file,
                                     const uint8_t key[TLS_SESSION_FILE_KEY_BYTES],
                                     struct span owner,
                                     struct buf *rows);
