/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Session cookies of all uids in memory that outlives the process (session_region.h), so that a
 * killed daemon logs nobody out, and never on a disk. Who holds the memory's descriptor is
 * another's matter.
 *
 * A cookie is a record that is written, then made to count by one store; no system call but
 * when more memory is needed. What takes its place is written before it is struck out, and of
 * two the later one counts. What is struck out is wiped; when more than half has been, each
 * that comes has a few of the oldest written anew behind it. So the log is true at every
 * moment, which is what a kill leaves, and nobody waits for all of it to be put in order.
 *
 * Where there is no room, or no memory, a cookie is in its jar alone, as all of them would be
 * without the log; that is said once.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/span.h"
#include "policy/cookie_jar.h"

struct saved_cookie;
struct session_book; /* those of one uid */
struct session_log;

struct session_log_options {
    size_t bytes_max;      /* 16 MiB of cookies; with what was struck out at most twice */
    size_t book_bytes_max; /* 1 MiB of one uid */
    size_t fair_bytes;     /* 64 KiB of one uid while more than half of all is taken */
};

struct session_log_options session_log_options_default(void);

/**
 * session_log_open() - with what the process before left
 * @fd: of memory; the log's from here on, and closed on failure
 *
 * Return: 0, or -errno: then what was in it has ended, for nobody would hear of its end.
 */
MUST_CHECK int
session_log_open(struct session_log **ret, int fd, const struct session_log_options *options);
struct session_log *session_log_free(struct session_log *log); /* what is in it stays */
DEFINE_CLEANUP(session_log, session_log_free)

/* Of a uid, made if it is missing; lives as long as the log. Return: 0 or -ENOMEM. */
MUST_CHECK int
session_log_book(struct session_log *log, uint32_t uid, struct session_book **ret);

/* NULL: there is none. */
struct session_book *session_log_find_book(const struct session_log *log, uint32_t uid);

/* All that have cookies. */
void session_log_each_book(struct session_log *log,
                           void (*fn)(void *arg, uint32_t uid, struct session_book *book),
                           void *arg);

/* When somebody was last known to be alive, on the clock that a touch was given. 0: never. */
void session_log_touch(struct session_log *log, int64_t now_us);
int64_t session_log_touched_us(const struct session_log *log);

size_t
session_log_bytes(const struct session_log *log); /* of memory, with what was struck out */

/**
 * session_book_put() - a session cookie, in place of the one with its order
 *
 * Return: 0; -EDQUOT, -ENOSPC, -ENOMEM: it is not kept, and neither is the one before it.
 */
int session_book_put(struct session_book *book,
                     const char *profile,
                     const char *jar,
                     const struct cookie *cookie);

/* It is gone; one that there is not, too. */
void session_book_drop(struct session_book *book, uint64_t order);

/* A persistent cookie has taken its place: it counts until session_book_settle() is told that
 * all up to @ticket is on disk. Tickets do not fall. */
void session_book_supersede(struct session_book *book, uint64_t order, uint64_t ticket);
void session_book_settle(struct session_book *book, uint64_t ticket);

/* What is put and dropped between the two counts by one store, or not at all. */
void session_book_group(struct session_book *book, bool begins);

void session_book_clear(struct session_book *book);
void session_book_clear_present(struct session_book *book); /* but for what waits */
void session_book_clear_superseded(struct session_book *book);
bool session_book_is_empty(const struct session_book *book);

/**
 * session_book_take_waiting() - one that the process before left, oldest first
 * @superseded: those, or the others
 * @ret: a copy; NULL: there is none left
 *
 * It is the caller's from here on to keep (a superseded one) or to drop. Return: 0, or -ENOMEM
 * and it waits on.
 */
MUST_CHECK int session_book_take_waiting(struct session_book *book,
                                         bool superseded,
                                         struct saved_cookie **ret);
/* What was superseded counts again: nothing has taken its place after all. */
void session_book_keep(struct session_book *book, uint64_t order);
bool session_book_has_waiting(const struct session_book *book);
