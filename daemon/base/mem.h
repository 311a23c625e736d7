/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Allocation. Every caller checks for NULL; a unit test can make the n-th allocation fail and
 * so walk every such check.
 */

#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/span.h"

MUST_CHECK void *mem_alloc(size_t size);               /* not cleared; size 0 is 1 */
MUST_CHECK void *mem_zalloc(size_t size);              /* cleared */
MUST_CHECK void *mem_array(size_t count, size_t size); /* cleared; checks the product */
MUST_CHECK void *mem_realloc(void *old, size_t size);  /* old stays valid on NULL */
MUST_CHECK char *mem_dup(struct span s);               /* adds a NUL */
MUST_CHECK char *mem_format(const char *fmt, ...) PRINTF_LIKE(1, 2);
void *mem_free(void *ptr); /* NULL is fine; returns NULL */

/* Overwrites before freeing: keys, passwords. */
void *mem_free_secret(void *ptr, size_t size);

/* Tests: the n-th allocation from now on (1 is the next) fails, once. 0 switches it off. */
void mem_fail_at(uint64_t n);
uint64_t mem_alloc_count(void);

static inline void mem_free_p(void *slot)
{
    mem_free(*(void **)slot);
}
/* CLEANUP_MEM char *text = NULL; */
#define CLEANUP_MEM __attribute__((cleanup(mem_free_p)))
