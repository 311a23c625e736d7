/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * One SQLite file, held by one daemon at a time: opened, migrated and used on a worker thread
 * only. Everything that may be wrong with the file is an outcome with a text that says what to
 * do; nothing here stops the daemon.
 *
 * The file is ours alone: 0600 in a folder of 0700, no symbolic or hard links, our own uid.
 * Next to it lie "-wal" (SQLite's), "-lock" (held while it is open; not empty once there were
 * rows) and "-reserve", bytes to let go of when the disk is full, so that deletes still fit.
 */

#include <sqlite3.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"

enum db_outcome {
    DB_OK = 0,
    DB_LOCKED,  /* another daemon has it */
    DB_NEWER,   /* written by a later version; left as it is */
    DB_UNSAFE,  /* a link, a folder, someone else's, or no database of ours; left as it is */
    DB_CORRUPT, /* the file is damaged */
    DB_FULL,    /* no space */
    DB_FAILED,  /* anything else; transient, as far as anyone knows */
};

#define DB_TEXT_MAX 320

struct db_error {
    char text[DB_TEXT_MAX]; /* for people, with the file's name */
};

struct db {
    sqlite3 *handle;
    char *path;  /* without symbolic links */
    char *aside; /* where the damaged file that was here is now; NULL: none was */
    int dir_fd;
    int lock_fd;
    bool sync_power;
    bool had_rows;    /* the marker is set */
    bool is_new;      /* it was missing or empty, or was set aside */
    bool has_reserve; /* there are bytes to let go of */
};

/**
 * db_open() - check, lock, open and migrate
 * @path:       its folder is made if missing
 * @sync_power: every commit reaches the medium, not only the kernel
 * @ret_error:  filled unless DB_OK; also when a damaged file was set aside
 *
 * A damaged file is renamed, with its -wal, to PATH.corrupt-N and a new one is begun. The tenth
 * replaces the first: a disk that goes on breaking files must not fill up.
 *
 * Return: DB_OK, another of enum db_outcome, or -ENOMEM.
 */
MUST_CHECK int
db_open(struct db **ret, const char *path, bool sync_power, struct db_error *ret_error);
struct db *db_free(struct db *db); /* checkpoints and closes */
DEFINE_CLEANUP(db, db_free)

/* Damage was found later: sets the file aside and begins a new one. No statement of the old one
 * may be left. Return: as db_open(); unless DB_OK, db_free() is all that is left to do. */
MUST_CHECK int db_replace(struct db *db, struct db_error *ret_error);

/* It is of somebody else: sets it aside as PATH.former-N and begins a new one; what was in it
 * is not lost but not theirs. Else as db_replace(). */
MUST_CHECK int db_begin_anew(struct db *db, struct db_error *ret_error);

/* A line of text in a file of its own beside the database. One that is not there is empty.
 * Return: as db_open(). */
#define DB_NOTE_MAX 255
MUST_CHECK int db_read_note(const struct db *db,
                            const char *suffix,
                            char ret[DB_NOTE_MAX + 1],
                            struct db_error *ret_error);
MUST_CHECK int db_write_note(const struct db *db,
                             const char *suffix,
                             const char *text,
                             struct db_error *ret_error);

/* SQLite's last word on @db as an outcome, with a text. @what: "commit". */
int db_outcome(const struct db *db, int rc, const char *what, struct db_error *ret_error);

/* @what: as for db_outcome(). Return: DB_OK or what db_outcome() makes of it. */
MUST_CHECK int
db_exec(const struct db *db, const char *sql, const char *what, struct db_error *ret_error);

/* There are rows now: should the file be gone one day, that is a loss and is reported. */
void db_mark_rows(struct db *db);

/* Gives the disk the reserve back. Return: whether there was one: trying again may help. */
bool db_release_reserve(struct db *db);
/* Takes it again, where there is space. */
void db_take_reserve(struct db *db);

/* Flushes what was committed so far to the medium. Any thread, also while the db is in use.
 * Return: 0 or -errno. */
MUST_CHECK int db_flush(const char *path);
