/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * How much of a uid's cookies no disk has: counted from when a persistent cookie comes or
 * changes until the batch it went in is told to be saved. While the disk takes nothing there is
 * a limit, and jars let go of the least recently used of what was not saved.
 *
 * A batch has a number, and a cookie the number of the batch that will take it; so nobody walks
 * over cookies when a batch is done.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define COOKIE_UNSAVED_MAX ((size_t)4 << 20) /* bytes of memory */

struct cookie_unsaved {
    size_t bytes_max;
    bool is_bounded; /* the disk takes nothing */
    bool has_batch;  /* one is under way: those before .batch are in it */
    uint64_t batch;  /* that collects; 1 is the first */
    uint64_t saved;  /* those before it are on disk */
    size_t bytes;    /* in what no batch that is under way has */
    size_t bytes_of_batch;
};

static inline void cookie_unsaved_init(struct cookie_unsaved *unsaved)
{
    *unsaved = (struct cookie_unsaved){.bytes_max = COOKIE_UNSAVED_MAX, .batch = 1, .saved = 1};
}

static inline size_t cookie_unsaved_bytes(const struct cookie_unsaved *unsaved)
{
    return unsaved->bytes + unsaved->bytes_of_batch;
}

/* Whether a cookie of that batch is not on disk; 0 is of none. */
static inline bool cookie_unsaved_has(const struct cookie_unsaved *unsaved, uint64_t batch)
{
    return batch >= unsaved->saved;
}

/* A cookie of so many bytes comes. Return: the batch it is of. */
static inline uint64_t cookie_unsaved_add(struct cookie_unsaved *unsaved, size_t bytes)
{
    unsaved->bytes += bytes;
    return unsaved->batch;
}

/* A cookie of that batch goes, or is replaced. */
static inline void
cookie_unsaved_remove(struct cookie_unsaved *unsaved, uint64_t batch, size_t bytes)
{
    if (!cookie_unsaved_has(unsaved, batch))
        return;
    if (unsaved->has_batch && batch < unsaved->batch)
        unsaved->bytes_of_batch -= bytes;
    else
        unsaved->bytes -= bytes;
}

/* All there is goes to the disk. No other batch may be under way. */
static inline void cookie_unsaved_begin(struct cookie_unsaved *unsaved)
{
    unsaved->bytes_of_batch = unsaved->bytes;
    unsaved->bytes = 0;
    unsaved->has_batch = true;
    unsaved->batch++;
}

/* It is there. */
static inline void cookie_unsaved_end(struct cookie_unsaved *unsaved)
{
    unsaved->bytes_of_batch = 0;
    unsaved->has_batch = false;
    unsaved->saved = unsaved->batch;
}

/* The disk took it not, or cannot even be asked. */
static inline void cookie_unsaved_fail(struct cookie_unsaved *unsaved)
{
    unsaved->bytes += unsaved->bytes_of_batch;
    unsaved->bytes_of_batch = 0;
    unsaved->has_batch = false;
    unsaved->is_bounded = true;
}
