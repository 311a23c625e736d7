/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Cookies as rows: read all, write a batch, and find again in the pages of a damaged file. On a
 * worker thread; what goes in and comes out are copies that belong to no jar.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/partition.h"
#include "base/span.h"
#include "policy/cookie_jar.h"
#include "store/cookie_store.h"
#include "store/db.h"
#include "store/hsts_rows.h"
#include "store/jar_rows.h"

/* A cookie with whose it is; one allocation. */
struct saved_cookie {
    struct saved_cookie *next;
    struct cookie cookie; /* .order is the row's id */
    char profile[PARTITION_PROFILE_MAX];
    char jar[JAR_NAME_MAX + 1];
    bool is_deleted; /* only the id counts */
    char text[];
};

struct saved_list {
    struct saved_cookie *first;
    struct saved_cookie **end; /* where the next one is linked; NULL while empty */
    size_t count;
    struct saved_hosts hosts; /* what goes the same way in the same transaction */
    struct saved_jars jars;   /* likewise */
};

void saved_list_append(struct saved_list *list, struct saved_cookie *saved);
void saved_list_done(struct saved_list *list); /* empty again */

/* @profile and @jar are of valid shape. NULL for lack of memory. */
MUST_CHECK struct saved_cookie *
saved_cookie_new(const struct cookie *cookie, const char *profile, const char *jar);
MUST_CHECK struct saved_cookie *saved_cookie_new_deleted(uint64_t id);
struct saved_cookie *saved_cookie_free(struct saved_cookie *saved);

/* The columns of a row, wherever they were read; borrowed. */
struct row_view {
    int64_t id;
    struct span profile;
    struct span jar;
    struct span domain;
    struct span path;
    struct span name;
    struct span value;
    int64_t flags;
    int64_t expires_s;
    int64_t created_s;
    int64_t last_access_s;
    int64_t checksum;
    struct span extra; /* partition key, comment, version, URL; empty: none of them */
};

enum row_outcome { ROW_OK = 0, ROW_BAD };

/* Return: ROW_OK, ROW_BAD (not what was written once), or -ENOMEM. */
MUST_CHECK int row_decode(const struct row_view *view, struct saved_cookie **ret);

struct cookie_rows; /* the statements on one open db */

/* @db is borrowed. Return: as db_open(). */
MUST_CHECK int
cookie_rows_new(struct cookie_rows **ret, struct db *db, struct db_error *ret_error);
struct cookie_rows *cookie_rows_free(struct cookie_rows *rows);
DEFINE_CLEANUP(cookie_rows, cookie_rows_free)

/**
 * cookie_rows_read() - all rows, least recently used first; all known hosts and jars
 * @ret:     appended to
 * @ret_bad: rows whose checksum is wrong; they are deleted
 * Return: as db_open().
 */
MUST_CHECK int cookie_rows_read(struct cookie_rows *rows,
                                struct saved_list *ret,
                                size_t *ret_bad,
                                struct db_error *ret_error);

/**
 * cookie_rows_write() - all of @changes, or none
 * @wipe: delete every row first
 * Return: as db_open().
 */
MUST_CHECK int cookie_rows_write(struct cookie_rows *rows,
                                 const struct saved_list *changes,
                                 bool wipe,
                                 struct db_error *ret_error);

/**
 * cookie_rows_salvage() - what is still whole in a damaged file and its -wal
 * @path: the file that was set aside
 * @ret:  appended to; in no particular order
 *
 * Goes by pages, not through SQLite, so that neither the header nor the tree has to be right.
 *
 * Return: 0, -ENOMEM, or -errno when the file cannot be read.
 */
MUST_CHECK int cookie_rows_salvage(const char *path, struct saved_list *ret);
