/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * A file that is not there until it is whole: what is written lies beside it, in the same
 * folder, and takes its name at the end. Until then what had that name before is untouched.
 *
 * The temporary has no name where the file system can do that (O_TMPFILE), so that nothing
 * remains however the process ends. A part is a temporary that is meant to remain: it is called
 * .NAME.xhr-part, and .NAME.xhr-info beside it says what it is the beginning of. Who works on
 * one holds a lock on it, and so does whoever was passed its descriptor.
 *
 * The way to the target goes through symbolic links, as open() would: what a link points to is
 * replaced, the link stays. In a folder where anybody may write (/tmp) only links of our own or
 * of the folder's owner are followed.
 */

#include <stdbool.h>
#include <stdint.h>

enum xhr_save_kind {
    XHR_SAVE_NONE = 0,
    XHR_SAVE_NAMELESS,
    XHR_SAVE_NAMED,
    XHR_SAVE_PART,
    XHR_SAVE_TARGET, /* the target itself, to be written behind its end */
};

#define XHR_SAVE_NAME_BYTES 256

struct xhr_savefile {
    enum xhr_save_kind kind;
    int dir_fd;
    int fd;                         /* what is written */
    char name[XHR_SAVE_NAME_BYTES]; /* of the target in its folder */
    char temp[XHR_SAVE_NAME_BYTES]; /* of what is written; "" without a name */
    bool is_exclusive;              /* there must be no target */
    bool has_target;
    uint32_t mode; /* of the target there was */
    uint32_t uid;
    uint32_t gid;
};

#define XHR_SAVEFILE_NONE ((struct xhr_savefile){.dir_fd = -1, .fd = -1})

/* What a part is the beginning of. */
struct xhr_part_info {
    const char *url;
    const char *validator; /* a strong entity-tag or a date, as If-Range wants it */
    bool has_total;
    uint64_t total_bytes;
};

/**
 * xhr_savefile_init() - find the target's folder and judge what has its name
 * Return: 0; -EISDIR; -ESPIPE for what is no regular file; -EACCES for a target that could not
 * be written, or a link that is not to be trusted; -EEXIST; any other -errno.
 */
int xhr_savefile_init(struct xhr_savefile *ret, const char *path, bool is_exclusive);

/* A new, empty temporary in place of whatever there was. Return: 0 or -errno. */
int xhr_savefile_create(struct xhr_savefile *save);

/* It becomes a part, replacing an older one. Return: 0 or -errno. */
int xhr_savefile_make_part(struct xhr_savefile *save, const struct xhr_part_info *info);

/**
 * xhr_savefile_open_part() - go on with an earlier part
 * @url:           it must be of
 * @ret_size:      bytes that are there
 * @ret_info:      url is not set; the validator is the caller's to free
 * Return: 1; 0 when there is none that could be gone on with; -EBUSY when somebody does;
 * another -errno.
 */
int xhr_savefile_open_part(struct xhr_savefile *save,
                           const char *url,
                           uint64_t *ret_size,
                           struct xhr_part_info *ret_info);

/* The target itself, to be written behind its end. Return: 1; 0 when there is none, or an empty
 * one; -errno. */
int xhr_savefile_open_target(struct xhr_savefile *save, uint64_t *ret_size);

/* What is brought to the disk before the end is told. */
enum xhr_save_sync {
    XHR_SAVE_LAZY,   /* nothing: there was no target that could be lost */
    XHR_SAVE_FOLDER, /* the name; somebody did it with the bytes */
    XHR_SAVE_ALL,
};

/**
 * xhr_savefile_commit() - what was written takes the target's place
 * @size: that it must have; what lies behind it is cut off
 * Return: 0 or -errno, and the target is as it was.
 */
int xhr_savefile_commit(struct xhr_savefile *save, uint64_t size, enum xhr_save_sync sync);

/* Closes. A temporary goes, a part of more than nothing stays. */
void xhr_savefile_done(struct xhr_savefile *save);

/* The part and what it says of itself go. */
void xhr_savefile_forget_part(struct xhr_savefile *save);
