/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * One session cookie as a record of the session log: a head that says how long it is and
 * whether it counts, then what a checksum covers. Everything is read as if somebody else had
 * written it, for the process before may have died of writing where it should not.
 *
 * Pure but for the one word that says whether the record counts, which changes in place.
 */

#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/span.h"
#include "policy/cookie_jar.h"

#define SESSION_RECORD_ALIGN 8

enum session_state {
    SESSION_LIVE = 1,
    SESSION_SUPERSEDED, /* a persistent cookie took its place: it counts until the disk has
                           that one */
    SESSION_DEAD,
    SESSION_REMOVAL, /* not a cookie: those before it with its order are gone */
};

/* Borrowed. Cookies that are persistent are none of the log's. */
struct session_row {
    uint32_t uid;
    struct span profile;
    struct span jar;
    struct cookie cookie;
};

/* Bytes, a multiple of SESSION_RECORD_ALIGN; 0: a cookie that no jar takes. */
size_t session_record_size(const struct session_row *row);

/* @at: aligned, of session_record_size(); the record is live. */
void session_record_write(char *at, size_t size, const struct session_row *row);

/* The same of a removal: session_record_removal_size(), and nothing of a cookie but its order.
 */
size_t session_record_removal_size(void);
void session_record_write_removal(char *at, uint32_t uid, uint64_t order);

/* One store: before it the record counts as it did, after it as @state says. What is dead is
 * wiped. */
void session_record_set_state(char *at, enum session_state state);

/* What a record of ours says of itself; @ret_order counts unless it is dead. */
enum session_state
session_record_peek(const char *at, size_t *ret_size, uint32_t *ret_uid, uint64_t *ret_order);

enum session_record_outcome {
    SESSION_RECORD_OK = 0,
    SESSION_RECORD_DEAD, /* or damaged: the next one is behind it */
    SESSION_RECORD_CUT,  /* nobody can say where the next one begins */
};

/**
 * session_record_read()
 * @bytes:     from the record on; aligned
 * @ret_size:  but for SESSION_RECORD_CUT: how long it is
 * @ret_state: of SESSION_RECORD_OK: live, superseded, or a removal
 * @ret:       of SESSION_RECORD_OK; borrows from @bytes
 *
 * Return: enum session_record_outcome.
 */
MUST_CHECK int session_record_read(struct span bytes,
                                   size_t *ret_size,
                                   enum session_state *ret_state,
                                   struct session_row *ret);
