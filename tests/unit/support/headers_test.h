/* SPDX-License-Identifier: MIT */
#pragma once

/* Field lines from a text, "Name: value\n" each. Include after support/test.h. */

#include <stdio.h>

#include "http/headers.h"
#include "support/span_test.h"

static inline void headers_read(struct headers *headers, const char *text)
{
    struct span rest = span_of(text);

    headers_init(headers, HEADERS_BYTES_MAX, HEADERS_COUNT_MAX);
    while (rest.len > 0) {
        struct span line;
        struct span name;

        (void)span_split(&rest, '\n', &line);
        assert_true(span_split(&line, ':', &name));
        assert_int_equal(headers_add(headers, name, span_trim_ows(line)), 0);
    }
}

/* The same the other way round; the text lives until the next call. */
static inline const char *headers_text(const struct headers *headers)
{
    static char text[4096];
    size_t n = 0;

    text[0] = '\0';
    for (size_t i = 0; i < headers_count(headers); i++) {
        struct header header = headers_at(headers, i);

        n += (size_t)snprintf(text + n, sizeof(text) - n, "%.*s: %.*s\n", (int)header.name.len,
                              header.name.ptr, (int)header.value.len, header.value.ptr);
        assert_true(n < sizeof(text));
    }
    return text;
}
