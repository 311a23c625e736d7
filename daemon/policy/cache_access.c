/* SPDX-License-Identifier: MIT */
#include "policy/cache_access.h"

#include "base/mem.h"

struct cache_hit *cache_hit_free(struct cache_hit *hit)
{
    if (!hit)
        return NULL;
    cache_entry_done(&hit->entry);
    hit->close_body(hit);
    return mem_free(hit);
}
