/* SPDX-License-Identifier: MIT */
/* The file of a stored answer, as it is and with its digest made right: what is believed has
 * fields that can be sent on, and is written as it was read. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "policy/cache_entry.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_headers(const struct headers *headers)
{
    for (size_t i = 0; i < headers_count(headers); i++) {
        struct header header = headers_at(headers, i);

        assert(header_name_is_token(header.name));
        assert(header_value_is_valid(header.value));
    }
}

static void decode(struct span file)
{
    CLEANUP_BUF struct buf again = BUF_INIT(0);
    struct cache_entry entry;

    cache_entry_init(&entry);
    int r = cache_entry_decode(file, &entry);
    assert(r == CACHE_ENTRY_OK || r == CACHE_ENTRY_E_DAMAGED);
    if (r == CACHE_ENTRY_OK) {
        check_headers(&entry.headers);
        r = cache_entry_encode(&entry, &again);
        assert(r == 0 && span_eq(buf_span(&again), file));
    }
    cache_entry_done(&entry);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    decode((struct span){(const char *)data, size});
    if (size < SHA256_BYTES)
        return 0;
    char *sealed = malloc(size);
    assert(sealed);
    memcpy(sealed, data, size);
    int r = sha256_of((struct span){sealed, size - SHA256_BYTES},
                      (uint8_t *)sealed + size - SHA256_BYTES);
    assert(r == 0);
    decode((struct span){sealed, size});
    free(sealed);
    return 0;
}
