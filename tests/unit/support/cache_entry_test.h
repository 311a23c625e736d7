/* SPDX-License-Identifier: MIT */
#pragma once

/* A stored answer such as they are. Include after support/test.h. */

#include "base/mem.h"
#include "policy/cache_entry.h"
#include "support/headers_test.h"

static inline void entry_make(struct cache_entry *entry, const char *url, const char *fields)
{
    cache_entry_init(entry);
    headers_read(&entry->headers, fields);
    entry->url = mem_dup(span_of(url));
    entry->vary = mem_dup(SPAN_LIT(""));
    entry->reason = mem_dup(SPAN_LIT("OK"));
    assert_true(entry->url && entry->vary && entry->reason);
    entry->status = 200;
    entry->http_version = 11;
    entry->request_time_s = 1000;
    entry->response_time_s = 1001;
    assert_int_equal(sha256_of(SPAN_LIT(""), entry->vary_digest), 0);
    assert_int_equal(sha256_of(SPAN_LIT(""), entry->body_digest), 0);
}
