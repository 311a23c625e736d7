/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The worker's half of a cookie store: a job that loads or commits. One at a time; while it is
 * with the worker everything in here is the worker's, else the loop's.
 */

#include <stdbool.h>
#include <stddef.h>

#include "base/cleanup.h"
#include "loop/worker.h"
#include "store/cookie_rows.h"
#include "store/db.h"

enum cookie_disk_task {
    COOKIE_DISK_LOAD,   /* opens, and reads unless skip_rows */
    COOKIE_DISK_COMMIT, /* writes changes */
};

struct cookie_disk {
    struct job job;
    bool is_busy;                 /* the worker has it; the loop's to read */
    void (*on_done)(void *owner); /* on the loop */
    void *owner;
    const char *path; /* borrowed */
    bool sync_power;
    uint32_t uid;
    bool (*name_of)(uint32_t uid, char *ret, size_t size); /* NULL: nobody looks */

    enum cookie_disk_task task;
    bool skip_rows; /* LOAD: what is in memory is newer than any row */
    bool wipe;      /* COMMIT: of everything, instead of what is there */
    bool scrub;     /* COMMIT: nothing of what was there stays in the -wal */
    struct saved_list
        rows; /* COMMIT: what to write; LOAD: what was read. The loop empties it */

    int outcome; /* enum db_outcome or -ENOMEM; unless DB_OK, the file is closed */
    struct db_error error;
    size_t n_bad;      /* LOAD: rows whose checksum was wrong */
    size_t n_salvaged; /* LOAD: rows found in a damaged file */
    bool is_lost;      /* LOAD: there had been rows and there was no file */
    bool is_former;    /* LOAD: there was a file, of somebody who had the uid before */
    char *aside;       /* LOAD: where the damaged file is, error says why; NULL: none. The loop
                          frees it */

    struct db *db;
    struct cookie_rows *statements;
};

/* Submits the task that was filled in. Always answered by on_done(), at once when there is no
 * thread to do it. */
void cookie_disk_start(struct cookie_disk *disk, struct worker_pool *pool);

static inline bool cookie_disk_is_busy(const struct cookie_disk *disk)
{
    return disk->is_busy;
}

/* Checkpoints and closes; blocks. Not while it is busy. */
void cookie_disk_close(struct cookie_disk *disk);
