/* SPDX-License-Identifier: MIT */
/* The file of TLS sessions, as it is and sealed with the right key: no row is believed that
 * would not be written as it was read, and what is no session is not restored. */
#include <assert.h>
#include <openssl/ssl.h>
#include <stdint.h>

#include "net/tls_session_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const uint8_t key[TLS_SESSION_FILE_KEY_BYTES] = {1};

static void write_again(const struct tls_session_saved *saved, struct span read)
{
    CLEANUP_BUF struct buf again = BUF_INIT(0);
    struct tls_session_row row = {.key = &saved->key, .past = saved->past, .der = saved->der};

    if (saved->der.len == 0)
        return;
    int r = tls_session_file_add(&again, &row);
    assert(r == 0 && span_eq(buf_span(&again), read));
}

static void read_rows(struct span rest)
{
    struct tls_session_saved saved;

    while (rest.len > 0) {
        struct span before = rest;

        if (tls_session_file_next(&rest, 1, &saved) != TLS_SESSION_FILE_OK)
            return;
        write_again(&saved, span_take(before, before.len - rest.len));
        const unsigned char *at = (const unsigned char *)saved.der.ptr;
        SSL_SESSION_free(d2i_SSL_SESSION(NULL, &at, (long)saved.der.len));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP_BUF struct buf rows = BUF_INIT(0);
    CLEANUP_BUF struct buf file = BUF_INIT(0);
    struct span bytes = {(const char *)data, size};
    int r = tls_session_file_open(bytes, key, SPAN_LIT("1"), &rows);

    assert(r == TLS_SESSION_FILE_OK || r == TLS_SESSION_FILE_E_DAMAGED ||
           r == TLS_SESSION_FILE_E_NEWER);
    read_rows(bytes);
    r = tls_session_file_seal(&file, key, SPAN_LIT("1"), bytes);
    assert(r == 0);
    buf_clear(&rows);
    r = tls_session_file_open(buf_span(&file), key, SPAN_LIT("1"), &rows);
    assert(r == TLS_SESSION_FILE_OK && span_eq(buf_span(&rows), bytes));
    return 0;
}
