/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Jars as rows: those that were made on purpose, and what others may do with them. In the file
 * and the transactions of the cookies. On a worker thread; what goes in and comes out are
 * copies that belong to no jar.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/partition.h"
#include "base/span.h"
#include "policy/jar_rights.h"
#include "store/db.h"

/* Named by profile and name. */
struct saved_jar {
    struct saved_jar *next;
    char profile[PARTITION_PROFILE_MAX];
    char name[JAR_NAME_MAX + 1];
    int64_t created_s;
    struct jar_grants grants;
    bool is_deleted; /* only profile and name count */
};

struct saved_jars {
    struct saved_jar *first;
    struct saved_jar **end; /* where the next one is linked; NULL while empty */
    size_t count;
};

void saved_jars_append(struct saved_jars *list, struct saved_jar *saved);
void saved_jars_done(struct saved_jars *list); /* empty again */

/* Without grants; @profile and @name are of valid shape. NULL for lack of memory. */
MUST_CHECK struct saved_jar *saved_jar_new(const char *profile, const char *name);
struct saved_jar *saved_jar_free(struct saved_jar *saved);

/* The columns of a row but its id, wherever they were read; borrowed. */
struct jar_view {
    struct span profile;
    struct span name;
    int64_t flags; /* 0, for later */
    int64_t created_s;
    struct span grants;
    int64_t checksum;
};

/* Return: ROW_OK, ROW_BAD (not what was written once) as in store/cookie_rows.h, or -ENOMEM. */
MUST_CHECK int jar_decode(const struct jar_view *view, struct saved_jar **ret);

struct jar_rows; /* the statements on one open db */

/* @db is borrowed. Return: as db_open(). */
MUST_CHECK int jar_rows_new(struct jar_rows **ret, struct db *db, struct db_error *ret_error);
struct jar_rows *jar_rows_free(struct jar_rows *rows);
DEFINE_CLEANUP(jar_rows, jar_rows_free)

/**
 * jar_rows_read() - all rows
 * @ret:     appended to
 * @ret_bad: how many were not what was written once; they are deleted
 * Return: as db_open().
 */
MUST_CHECK int jar_rows_read(struct jar_rows *rows,
                             struct saved_jars *ret,
                             size_t *ret_bad,
                             struct db_error *ret_error);

/* Inside the caller's transaction. @wipe: delete every row first. Return: as db_open(). */
MUST_CHECK int jar_rows_write(struct jar_rows *rows,
                              const struct saved_jars *changes,
                              bool wipe,
                              struct db_error *ret_error);
