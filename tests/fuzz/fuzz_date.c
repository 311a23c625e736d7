/* SPDX-License-Identifier: MIT */
/* Whatever is taken for a date lies in range and survives being formatted. */
#include <assert.h>
#include <stdint.h>

#include "http/date.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(int64_t date_s)
{
    char text[HTTP_DATE_SIZE];
    int64_t again;

    assert(date_s >= DATE_MIN_S && date_s <= DATE_MAX_S);
    http_date_format(date_s, text);
    assert(http_date_parse(span_of(text), 0, &again) == 0 && again == date_s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span text = {(const char *)data, size};
    int64_t date_s;

    if (cookie_date_parse(text, &date_s) == 0)
        check(date_s);
    if (http_date_parse(text, INT64_C(1790000000), &date_s) == 0)
        check(date_s);
    return 0;
}
