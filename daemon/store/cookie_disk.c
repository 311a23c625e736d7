/* SPDX-License-Identifier: MIT */
#include "store/cookie_disk.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/list.h"
#include "base/mem.h"

void cookie_disk_close(struct cookie_disk *disk)
{
    disk->statements = cookie_rows_free(disk->statements);
    disk->db = db_free(disk->db);
}

/* Opens, and begins anew where the damage shows only to who wants to use it. */
static int open_rows(struct cookie_disk *disk)
{
    int r = db_open(&disk->db, disk->path, disk->sync_power, &disk->error);
    if (r == DB_OK)
        r = cookie_rows_new(&disk->statements, disk->db, &disk->error);
    if (r == DB_CORRUPT && disk->db)
        r = db_replace(disk->db, &disk->error);
    if (r == DB_OK && !disk->statements)
        r = cookie_rows_new(&disk->statements, disk->db, &disk->error);
    return r;
}

/* The damage shows only when rows are read. */
static int replace(struct cookie_disk *disk)
{
    disk->statements = cookie_rows_free(disk->statements);
    saved_list_done(&disk->rows);
    int r = db_replace(disk->db, &disk->error);
    return r == DB_OK ? cookie_rows_new(&disk->statements, disk->db, &disk->error) : r;
}

/* Rows out of the file set aside, and into the new one, so that they are safe before anything
 * else is done. */
static int salvage(struct cookie_disk *disk)
{
    int r = cookie_rows_salvage(disk->aside, &disk->rows);

    if (r == -ENOMEM)
        return r;
    disk->n_salvaged = disk->rows.count; /* 0 when the file cannot even be opened */
    return cookie_rows_write(disk->statements, &disk->rows, true, &disk->error);
}

/* What was kept for a user of another name is not for this one. A name that nobody knows, now
 * or then, says nothing. */
static int check_owner(struct cookie_disk *disk)
{
    char then[DB_NOTE_MAX + 1];
    char now[DB_NOTE_MAX + 1] = "";

    if (!disk->name_of || !disk->name_of(disk->uid, now, sizeof(now)) || now[0] == '\0')
        return DB_OK;
    int r = db_read_note(disk->db, "-owner", then, &disk->error);
    if (r != DB_OK || strcmp(then, now) == 0)
        return r;
    if (then[0] && !disk->db->is_new) {
        disk->is_former = true;
        disk->statements = cookie_rows_free(disk->statements);
        r = db_begin_anew(disk->db, &disk->error);
        if (r == DB_OK)
            r = cookie_rows_new(&disk->statements, disk->db, &disk->error);
    }
    return r == DB_OK ? db_write_note(disk->db, "-owner", now, &disk->error) : r;
}

static int load(struct cookie_disk *disk)
{
    cookie_disk_close(disk);
    int r = open_rows(disk);
    if (r == DB_OK)
        r = check_owner(disk);
    if (r != DB_OK)
        return r;
    disk->is_lost = disk->db->had_rows && disk->db->is_new && !disk->db->aside;
    if (!disk->skip_rows && !disk->db->aside) {
        r = cookie_rows_read(disk->statements, &disk->rows, &disk->n_bad, &disk->error);
        if (r == DB_CORRUPT)
            r = replace(disk);
    }
    if (r != DB_OK || !disk->db->aside)
        return r;
    disk->aside = mem_dup(span_of(disk->db->aside));
    if (!disk->aside)
        return -ENOMEM;
    return disk->skip_rows ? DB_OK : salvage(disk);
}

static int commit(struct cookie_disk *disk)
{
    int r = cookie_rows_write(disk->statements, &disk->rows, disk->wipe, &disk->error);

    if (r == DB_FULL && db_release_reserve(disk->db))
        r = cookie_rows_write(disk->statements, &disk->rows, disk->wipe, &disk->error);
    else if (r == DB_OK)
        db_take_reserve(disk->db);
    if (r == DB_OK && disk->scrub)
        r = db_exec(disk->db, "PRAGMA wal_checkpoint(TRUNCATE)", "emptying its -wal",
                    &disk->error);
    return r;
}

static void disk_run(struct job *job)
{
    struct cookie_disk *disk = CONTAINER_OF(job, struct cookie_disk, job);

    disk->outcome = disk->task == COOKIE_DISK_LOAD ? load(disk) : commit(disk);
    if (disk->outcome == DB_OK)
        return;
    cookie_disk_close(disk); /* the next attempt begins from nothing */
    if (disk->task == COOKIE_DISK_LOAD)
        saved_list_done(&disk->rows);
}

static void disk_done(struct job *job)
{
    struct cookie_disk *disk = CONTAINER_OF(job, struct cookie_disk, job);

    disk->is_busy = false;
    disk->on_done(disk->owner);
}

void cookie_disk_start(struct cookie_disk *disk, struct worker_pool *pool)
{
    disk->job.run = disk_run;
    disk->job.done = disk_done;
    disk->outcome = DB_FAILED; /* unless run() says otherwise */
    (void)snprintf(disk->error.text, sizeof(disk->error.text), "%s: no thread to write with",
                   disk->path);
    disk->n_bad = 0;
    disk->n_salvaged = 0;
    disk->is_lost = false;
    disk->is_former = false;
    disk->is_busy = true;
    if (worker_submit(pool, &disk->job) < 0)
        disk_done(&disk->job);
}
