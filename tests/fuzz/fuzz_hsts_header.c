/* SPDX-License-Identifier: MIT */
/* What is read stays within its bounds, and means the same when it is written down plainly. */
#include <assert.h>
#include <stdint.h>
#include <stdio.h>

#include "http/hsts_header.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span field = {(const char *)data, size};
    struct hsts_header header;
    struct hsts_header again;
    char plain[64];

    int r = hsts_header_parse(field, &header);
    assert(hsts_header_outcome_text(r)[0] != '\0');
    if (r != HSTS_HEADER_OK)
        return 0;
    assert(header.max_age_s >= 0 && header.max_age_s <= HSTS_MAX_AGE_MAX);
    int n = snprintf(plain, sizeof(plain), "max-age=%lld%s", (long long)header.max_age_s,
                     header.include_subdomains ? "; includeSubDomains" : "");
    assert(n > 0 && (size_t)n < sizeof(plain));
    assert(hsts_header_parse(span_of(plain), &again) == HSTS_HEADER_OK);
    assert(again.max_age_s == header.max_age_s);
    assert(again.include_subdomains == header.include_subdomains);
    return 0;
}
