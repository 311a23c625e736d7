/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Known hosts as rows, in the file and the transactions of the cookies. On a worker thread;
 * what goes in and comes out are copies that belong to no set.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/partition.h"
#include "base/span.h"
#include "policy/hsts.h"
#include "store/db.h"

/* A known host with whose it is; one allocation. Named by profile and host. */
struct saved_host {
    struct saved_host *next;
    struct hsts_host host;
    char profile[PARTITION_PROFILE_MAX];
    bool is_deleted; /* only the name counts */
    bool of_tls;     /* one of policy/tls_seen.h: "host:port" */
    char text[];
};

struct saved_hosts {
    struct saved_host *first;
    struct saved_host **end; /* where the next one is linked; NULL while empty */
    size_t count;
};

void saved_hosts_append(struct saved_hosts *list, struct saved_host *saved);
void saved_hosts_done(struct saved_hosts *list); /* empty again */

/* NULL for lack of memory. */
MUST_CHECK struct saved_host *
saved_host_new(const struct hsts_host *host, const char *profile, bool is_deleted);

/* The columns of a row but its id, wherever they were read; borrowed. */
struct host_view {
    struct span profile;
    struct span host;
    int64_t flags;
    int64_t expires_s;
    int64_t checksum;
};

/* Return: ROW_OK, ROW_BAD (not what was written once) as in store/cookie_rows.h, or -ENOMEM. */
MUST_CHECK int host_decode(const struct host_view *view, struct saved_host **ret);

struct hsts_rows; /* the statements on one open db */

/* @db is borrowed. Return: as db_open(). */
MUST_CHECK int hsts_rows_new(struct hsts_rows **ret, struct db *db, struct db_error *ret_error);
struct hsts_rows *hsts_rows_free(struct hsts_rows *rows);
DEFINE_CLEANUP(hsts_rows, hsts_rows_free)

/**
 * hsts_rows_read() - all rows, least recently changed first
 * @ret:     appended to
 * @ret_bad: how many were not what was written once; they are deleted
 * Return: as db_open().
 */
MUST_CHECK int hsts_rows_read(struct hsts_rows *rows,
                              struct saved_hosts *ret,
                              size_t *ret_bad,
                              struct db_error *ret_error);

/* Inside the caller's transaction. @wipe: delete every row first. Return: as db_open(). */
MUST_CHECK int hsts_rows_write(struct hsts_rows *rows,
                               const struct saved_hosts *changes,
                               bool wipe,
                               struct db_error *ret_error);
