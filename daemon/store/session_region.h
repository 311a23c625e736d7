/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Memory that outlives the process: a descriptor of a file that is none on any disk, and of it
 * a window that is mapped and counts. What is written behind the window's end is not there
 * until the end is moved, by one store; a process that is killed leaves a whole window.
 *
 * Pages are taken from the file system before they are touched: a mapped hole of a full one
 * would be the end of us (SIGBUS).
 *
 * The window moves through the file: what comes is written behind its end, what no longer
 * counts is left behind its start, given back, and so wiped by the kernel.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/span.h"

struct region_header;

struct session_region {
    int fd;
    struct region_header *header;
    char *map;
    uint64_t map_at;  /* its place in the file */
    size_t map_bytes; /* all of it taken from the file system */
    uint64_t start;   /* of the window, in the file */
    uint64_t end;
};

enum session_region_fate {
    SESSION_REGION_NEW = 0,
    SESSION_REGION_TAKEN_OVER,
    SESSION_REGION_REFUSED, /* another format, or damaged: begun anew */
};

/**
 * session_region_open() - take over what @fd holds, or begin anew
 * @fd: of memory (a memfd, tmpfs); the region's from here on, and closed on failure
 * @window_max: a longer one is not believed
 *
 * Return: enum session_region_fate, or -errno: then nothing is left in it for the next.
 */
MUST_CHECK int session_region_open(struct session_region *ret, int fd, size_t window_max);
void session_region_done(struct session_region *region); /* what is in it stays */
/* Not to be touched any more; for the next it is empty. */
void session_region_discard(struct session_region *region);

/* Of the window, until something is made room for or moved. */
static inline char *session_region_at(const struct session_region *region, uint64_t at)
{
    return region->map + (at - region->map_at);
}

static inline size_t session_region_used(const struct session_region *region)
{
    return (size_t)(region->end - region->start);
}

/* So many bytes behind the end may be written. Return: 0 or -errno (ENOSPC, ENOMEM). */
MUST_CHECK int session_region_make_room(struct session_region *region, size_t bytes);

/* What was written behind the end counts now. */
void session_region_publish(struct session_region *region, size_t bytes);

/* Nothing from @end on counts; it is wiped. */
void session_region_cut(struct session_region *region, uint64_t end);

/* Nothing before @start counts. @now: all whole pages of it are given back, else many at once.
 */
void session_region_advance(struct session_region *region, uint64_t start, bool now);

/* On a clock that all processes share: when somebody was known to be alive. */
void session_region_touch(struct session_region *region, int64_t now_us);
int64_t session_region_touched_us(const struct session_region *region);
