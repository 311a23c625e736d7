/* SPDX-License-Identifier: MIT */
#include "net/ca_file.h"

#include <sys/stat.h>

static int64_t ns_of(const struct timespec *time)
{
    return (int64_t)time->tv_sec * 1000000000 + time->tv_nsec;
}

static struct ca_file_mark mark_of(const struct stat *st)
{
    return (struct ca_file_mark){.device = st->st_dev,
                                 .inode = st->st_ino,
                                 .size = st->st_size,
                                 .written_ns = ns_of(&st->st_mtim),
                                 .changed_ns = ns_of(&st->st_ctim)};
}

bool ca_file_mark_of_fd(int fd, struct ca_file_mark *ret)
{
    struct stat st;

    if (fstat(fd, &st) < 0)
        return false;
    *ret = mark_of(&st);
    return true;
}

bool ca_file_mark_of_path(const char *path, struct ca_file_mark *ret)
{
    struct stat st;

    if (stat(path, &st) < 0)
        return false;
    *ret = mark_of(&st);
    return true;
}

bool ca_file_mark_eq(const struct ca_file_mark *a, const struct ca_file_mark *b)
{
    return a->device == b->device && a->inode == b->inode && a->size == b->size &&
           a->written_ns == b->written_ns && a->changed_ns == b->changed_ns;
}
