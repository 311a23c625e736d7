/* SPDX-License-Identifier: MIT */
/* Seconds stay within their bounds, and a field cut into two lines at a comma says the same. */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "http/cache_control.h"
#include "http/field.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct cache_seconds *seconds)
{
    assert(seconds->seconds >= 0 && seconds->seconds <= CACHE_SECONDS_MAX);
    assert(seconds->is_given || seconds->seconds == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span field = {(const char *)data, size};
    struct cache_control whole = {0};
    struct cache_control parts = {0};
    struct span item;

    cache_control_add(&whole, field);
    check(&whole.max_age);
    check(&whole.s_maxage);
    check(&whole.max_stale);
    check(&whole.min_fresh);
    check(&whole.stale_if_error);
    for (struct span rest = field; field_list_next(&rest, &item);)
        cache_control_add(&parts, item);
    /* NOLINTNEXTLINE(bugprone-suspicious-memory-comparison): zeros between members, in both */
    assert(memcmp(&whole, &parts, sizeof(whole)) == 0);
    return 0;
}
