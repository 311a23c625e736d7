/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Two connected ends in memory, for tests: what one writes the other reads. Both live on one
 * loop; readiness comes in the round after.
 */

#include "net/io.h"

#define IO_PAIR_CAPACITY_BYTES 262144 /* in flight, each way, unless set otherwise */

/* Events: io_set_events(). Return: 0 or -ENOMEM. Each end is closed by itself; the other sees
 * the end of the stream. */
MUST_CHECK int io_pair_new(struct loop *loop, struct io **ret_a, struct io **ret_b);

/* One write takes at most this much, one read gives at most this much; 0: no limit. */
void io_pair_set_write_max(struct io *io, size_t bytes);
void io_pair_set_read_max(struct io *io, size_t bytes);

/* Bytes that may wait for the other end to read them. */
void io_pair_set_capacity(struct io *io, size_t bytes);

/* @io has nothing more to say: the other end reads what is left, then 0. @io still reads. */
void io_pair_send_eof(struct io *io);

/* Both ends fail at their next call: reads and writes give -@err. What was in flight is lost.
 */
void io_pair_break(struct io *io, int err);

/* Bytes written by @io that the other end has not read. */
size_t io_pair_in_flight(const struct io *io);
