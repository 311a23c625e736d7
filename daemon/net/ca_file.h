/* SPDX-License-Identifier: MIT */
#pragma once

/* Whether a file is still the one that was read: replaced, written to or touched, it is not. */

#include <stdbool.h>
#include <stdint.h>

struct ca_file_mark {
    uint64_t device;
    uint64_t inode;
    int64_t size;
    int64_t written_ns; /* mtime */
    int64_t changed_ns; /* ctime: nobody sets that back */
};

/* Return: whether it could be looked at. */
bool ca_file_mark_of_fd(int fd, struct ca_file_mark *ret);
bool ca_file_mark_of_path(const char *path, struct ca_file_mark *ret);

bool ca_file_mark_eq(const struct ca_file_mark *a, const struct ca_file_mark *b);
