/* SPDX-License-Identifier: MIT */
#pragma once

/* Spans against literals. Include after support/test.h. */

#include <stdlib.h>

#include "base/span.h"
#include "support/test.h"

#define COUNT_OF(rows) (sizeof(rows) / sizeof((rows)[0]))

/* Says both texts when they differ. */
#define assert_span(got, want) assert_span_at((got), (want), __FILE__, __LINE__)

static inline void assert_span_at(struct span got, const char *want, const char *file, int line)
{
    if (span_eq(got, span_of(want)))
        return;
    print_error("got <%.*s>, want <%s>\n", (int)got.len, got.len ? got.ptr : "", want);
    _fail(file, line);
}

/* @n bytes of @c in a block of exactly that size, so that ASan sees a read past its end. */
static inline char *repeat(char c, size_t n)
{
    char *text = malloc(n ? n : 1);

    assert_non_null(text);
    memset(text, c, n);
    return text;
}
