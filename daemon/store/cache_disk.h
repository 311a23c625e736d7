/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The stored answers of a partition as files: <id>.meta (policy/cache_entry.h) and <id>.body in
 * a folder of their own. Everything here blocks and runs on a thread.
 *
 * A body is written under a name that ends with ".new" and gets its own when it is whole, then
 * the meta the same way: the meta's rename is the moment at which the answer is stored. What a
 * kill leaves behind is one of ".new" or a body without meta, and the next cache_disk_scan()
 * takes it away. Nothing is synced: what a loss of power tears does not have the digest it
 * should have, and is no answer.
 *
 * Folders are 0700, files 0600, ours, and no links of either kind: anything else is not used.
 * The file ".owner" holds the name of the user whose uid it was; under another name all goes.
 */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "policy/cache_entry.h"

#define CACHE_DISK_PARTS 3
#define CACHE_OWNER_SIZE 64 /* of a user's name with its NUL */

/* Where; and the folder itself once it is open. Used by one thread at a time. */
struct cache_disk {
    char *state_dir;               /* owned; may be a link, as systemd makes it */
    char *parts[CACHE_DISK_PARTS]; /* owned; folders in folders below it; NULL: no more */
    char owner[CACHE_OWNER_SIZE];  /* whose it must have been; "": nobody asks */
    int fd;                        /* -1: not open */
};

/* What tells a body that was read to its end from one that was changed since. */
struct cache_body_mark {
    uint64_t inode;
    uint64_t bytes;
    int64_t changed_s;
    int64_t changed_ns;
};

bool cache_body_mark_eq(const struct cache_body_mark *a, const struct cache_body_mark *b);

/* @make: folders that are missing. Return: 0, -ENOENT, -EPERM (not ours alone), -errno. */
MUST_CHECK int cache_disk_open(struct cache_disk *disk, bool make);
void cache_disk_close(struct cache_disk *disk); /* what it holds of its path, too */

/* What the scan finds. Return: 0 to keep it, else its files go. */
typedef int
cache_disk_on_entry(void *arg, uint64_t id, struct cache_entry *entry, int64_t used_s);

/* Every stored answer, and leftovers away. A file with a name that is none of ours stays.
 * Return: 0 or -errno. */
MUST_CHECK int cache_disk_scan(struct cache_disk *disk, cache_disk_on_entry *fn, void *arg);

/**
 * cache_disk_read() - one answer, for use
 * @entry: initialised and empty; filled
 * @known: the mark of a body that was read to its end before; if it is another now, all of it
 *         is read and its digest compared. Set to what it is.
 * @ret_fd: the body, at its beginning
 *
 * Return: 0; CACHE_ENTRY_E_DAMAGED; -errno.
 */
MUST_CHECK int cache_disk_read(struct cache_disk *disk,
                               uint64_t id,
                               struct cache_entry *entry,
                               struct cache_body_mark *known,
                               int *ret_fd);

/* A new body to be written. Return: its descriptor or -errno. */
MUST_CHECK int cache_disk_create(struct cache_disk *disk, uint64_t id);
/* The body is whole; @meta is its file. Return: 0 with *ret_mark, or -errno: nothing is left.
 */
MUST_CHECK int cache_disk_commit(struct cache_disk *disk,
                                 uint64_t id,
                                 struct span meta,
                                 struct cache_body_mark *ret_mark);
/* Another meta for a body that stays. Return: 0 or -errno. */
MUST_CHECK int cache_disk_freshen(struct cache_disk *disk, uint64_t id, struct span meta);
void cache_disk_remove(struct cache_disk *disk, uint64_t id);
