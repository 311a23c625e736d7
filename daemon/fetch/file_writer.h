/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Writes to a passed regular file on a worker thread: a disk may take its time, and the loop
 * must not. A ring of blocks lies between the two: the loop fills one while the thread writes
 * those before it, and as long as each finds something to do neither wakes the other. Blocks
 * are made when they are needed: a slow answer has one or two, a fast one all of them, if its
 * user has room for them. He pays for each. Who has none gets one that is small, and all of his
 * file goes through it: that is slow, and waits for nobody.
 *
 * What has come is on its way into the file when the round ends, unless the thread is busy: who
 * follows the file sees it grow as the answer does.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/span.h"

struct fd_sink_events;
struct fd_sink_options;
struct file_writer;

#define FILE_WRITER_BLOCK_BYTES 131072
#define FILE_WRITER_LEAST_BYTES                                                                \
    16384 /* of each block of a writer that began with little room */
#define FILE_WRITER_BLOCKS                                                                     \
    8 /* a power of two; with 128 KiB each more than a time slice lasts */

/**
 * file_writer_new() - for fd_sink
 * @fd: taken if it succeeds
 * Return: 0 or -ENOMEM.
 */
MUST_CHECK int file_writer_new(struct file_writer **ret,
                               int fd,
                               const struct fd_sink_options *options,
                               const struct fd_sink_events *events,
                               void *owner);

/* These as their namesakes of fd_sink. */
size_t file_writer_room(const struct file_writer *writer);
void file_writer_write(struct file_writer *writer, struct span bytes);
void file_writer_flush(struct file_writer *writer);
void file_writer_close(struct file_writer *writer);
