/* SPDX-License-Identifier: MIT */
/* A script of lines "+name:value", "=name:value", "-name"; limits and sums must always agree.
 */
#include <assert.h>
#include <stdint.h>

#include "http/field.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct headers *headers)
{
    CLEANUP_BUF struct buf out = BUF_INIT(0);
    size_t bytes = 0;

    for (size_t i = 0; i < headers_count(headers); i++) {
        struct header line = headers_at(headers, i);

        bytes += line.name.len + line.value.len;
        assert(headers_has(headers, line.name) && headers_join(headers, line.name, &out) > 0);
        (void)headers_list_has(headers, line.name, SPAN_LIT("close"));
    }
    assert(bytes == headers->live_bytes && bytes <= 512 && headers_count(headers) <= 20);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span script = {(const char *)data, size};
    struct headers headers;

    headers_init(&headers, 512, 20);
    for (struct span line; script.len > 0; check(&headers)) {
        (void)span_split(&script, '\n', &line);
        char op = line.len ? line.ptr[0] : 0;
        struct span value = span_drop(line, 1);
        struct span name;
        (void)span_split(&value, ':', &name);
        if (op == '+')
            (void)!headers_add(&headers, name, value);
        else if (op == '=' && headers_set(&headers, name, value) == 0)
            assert(headers_remove(&headers, name) == 1);
        else if (op == '-')
            assert(headers_remove(&headers, name) <= 20 && !headers_has(&headers, name));
    }
    headers_done(&headers);
    return 0;
}
