/* SPDX-License-Identifier: MIT */
#pragma once

/* Reading and writing whole pieces through descriptors, without stdio. */

#include "strbuf.h"

/* Set by the signal handler of main(): stop waiting, clean up, leave. */
extern volatile int interrupted;

/**
 * write_all() - write every byte, waiting where the descriptor does not block
 * Return: 0; -EINTR when a signal that ends the program came; -errno.
 */
int write_all(int fd, const void *bytes, size_t len);

/**
 * read_all() - add what @fd has until its end to @out
 * Return: 0, -EFBIG when it is more than @max, -EINTR as above, -errno.
 */
int read_all(int fd, size_t max, struct strbuf *out);

/* The same of a file by name; "-" is standard input. */
int read_file(const char *name, size_t max, struct strbuf *out);

/**
 * replace_file() - give a file a new content, whole or not at all
 * @name: "-" is standard output; what is no regular file is written to as it is
 *
 * A new file is for its owner alone; an old one keeps who may read it, and a link what it
 * leads to.
 *
 * Return: 0, -EINTR as above, -errno.
 */
int replace_file(const char *name, const void *bytes, size_t len);
