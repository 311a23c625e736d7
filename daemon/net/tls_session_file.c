/* SPDX-License-Identifier: MIT */
#include "net/tls_session_file.h"

#include <errno.h>
#include <limits.h>
#include <openssl/err.h>
#include <openssl/evp.h>

#include "base/fault.h"
#include "base/rand.h"

#define MAGIC         "xhrd-tls"
#define MAGIC_BYTES   8
#define VERSION       1
#define HEAD_BYTES    (MAGIC_BYTES + 4)
#define NONCE_BYTES   12
#define TAG_BYTES     16
#define PREFIX_BYTES  (HEAD_BYTES + NONCE_BYTES + TAG_BYTES)
#define ROW_MAX_BYTES (TLS_SESSION_DER_MAX_BYTES + 1024)

/* ---- rows ---------------------------------------------------------------------------------
 */

static int add_number(struct buf *to, uint64_t value, unsigned bytes)
{
    char text[8];

    for (unsigned i = 0; i < bytes; i++)
        text[i] = (char)(value >> (8 * (bytes - 1 - i)));
    return buf_append(to, (struct span){text, bytes});
}

static int add_piece(struct buf *to, struct span piece)
{
    int r = add_number(to, piece.len, 2);

    return r < 0 ? r : buf_append(to, piece);
}

/* Return: whether there was one. */
static bool take_number(struct span *from, unsigned bytes, uint64_t *ret)
{
    uint64_t value = 0;

    if (from->len < bytes)
        return false;
    for (unsigned i = 0; i < bytes; i++)
        value = value << 8 | (uint8_t)from->ptr[i];
    *from = span_drop(*from, bytes);
    *ret = value;
    return true;
}

static bool take_piece(struct span *from, struct span *ret)
{
    uint64_t len = 0;

    if (!take_number(from, 2, &len) || len > from->len)
        return false;
    *ret = span_take(*from, (size_t)len);
    *from = span_drop(*from, (size_t)len);
    return true;
}

int tls_session_file_add(struct buf *rows, const struct tls_session_row *row)
{
    const struct tls_session_key *key = row->key;
    size_t before = rows->len;

    if (row->der.len == 0 || row->der.len > TLS_SESSION_DER_MAX_BYTES ||
        rows->len + ROW_MAX_BYTES > TLS_SESSION_FILE_MAX_BYTES - PREFIX_BYTES)
        return -EMSGSIZE;
    int r = buf_append(rows, (struct span){(const char *)key->digest, sizeof(key->digest)});
    if (r == 0)
        r = add_number(rows, key->partition.uid, 4);
    if (r == 0)
        r = add_piece(rows, span_of(key->partition.profile));
    if (r == 0)
        r = add_piece(rows, span_of(key->host));
    if (r == 0)
        r = add_number(rows, key->port, 2);
    if (r == 0)
        r = add_number(rows, (uint64_t)row->past.verified_s, 8);
    if (r == 0)
        r = add_number(rows, row->past.uses, 4);
    if (r == 0)
        r = add_piece(rows, row->der);
    if (r < 0)
        rows->len = before;
    return r;
}

static bool take_key(struct span *rows, struct tls_session_key *ret)
{
    struct span profile;
    struct span host;
    uint64_t uid = 0;
    uint64_t port = 0;

    if (rows->len < sizeof(ret->digest))
        return false;
    memcpy(ret->digest, rows->ptr, sizeof(ret->digest));
    *rows = span_drop(*rows, sizeof(ret->digest));
    if (!take_number(rows, 4, &uid) || !take_piece(rows, &profile) ||
        !take_piece(rows, &host) || !take_number(rows, 2, &port))
        return false;
    if (partition_init(&ret->partition, (uint32_t)uid, profile) < 0 || host.len == 0 ||
        host.len > TLS_HOST_MAX || memchr(host.ptr, '\0', host.len))
        return false;
    memcpy(ret->host, host.ptr, host.len);
    ret->port = (uint16_t)port;
    ret->may_be_kept = true;
    return true;
}

int tls_session_file_next(struct span *rows, uint32_t uid, struct tls_session_saved *ret)
{
    struct tls_session_saved saved = {0};
    uint64_t verified_s = 0;
    uint64_t uses = 0;

    if (!take_key(rows, &saved.key) || saved.key.partition.uid != uid ||
        !take_number(rows, 8, &verified_s) || !take_number(rows, 4, &uses) ||
        !take_piece(rows, &saved.der) || saved.der.len > TLS_SESSION_DER_MAX_BYTES ||
        verified_s > INT64_MAX)
        return TLS_SESSION_FILE_E_DAMAGED;
    saved.past.verified_s = (int64_t)verified_s;
    saved.past.uses = (uint32_t)uses;
    *ret = saved;
    return TLS_SESSION_FILE_OK;
}

/* ---- sealed -------------------------------------------------------------------------------
 */

static bool begin(EVP_CIPHER_CTX *ctx, bool seals, const uint8_t *key, const uint8_t *nonce)
{
    return EVP_CipherInit_ex(ctx, EVP_aes_256_gcm(), NULL, key, nonce, seals ? 1 : 0) == 1;
}

/* What is not encrypted: the head, and whose it is. */
static bool authenticate(EVP_CIPHER_CTX *ctx, struct span bytes)
{
    int n = 0;

    return bytes.len == 0 || EVP_CipherUpdate(ctx, NULL, &n, (const unsigned char *)bytes.ptr,
                                              (int)bytes.len) == 1;
}

static bool run(EVP_CIPHER_CTX *ctx, struct span in, char *out)
{
    unsigned char rest[16];
    int n = 0;

    return (in.len == 0 || EVP_CipherUpdate(ctx, (unsigned char *)out, &n,
                                            (const unsigned char *)in.ptr, (int)in.len) == 1) &&
           EVP_CipherFinal_ex(ctx, rest, &n) == 1;
}

int tls_session_file_seal(struct buf *file,
                          const uint8_t key[TLS_SESSION_FILE_KEY_BYTES],
                          struct span owner,
                          struct span rows)
{
    char prefix[PREFIX_BYTES] = MAGIC;
    struct span head = {prefix, HEAD_BYTES};
    char *nonce = prefix + HEAD_BYTES;

    if (rows.len > TLS_SESSION_FILE_MAX_BYTES - PREFIX_BYTES)
        return -EMSGSIZE;
    int r = buf_reserve(file, PREFIX_BYTES + rows.len);
    EVP_CIPHER_CTX *ctx = r < 0 ? NULL : EVP_CIPHER_CTX_new();
    if (!ctx)
        return r < 0 ? r : fault(-ENOMEM);
    prefix[HEAD_BYTES - 1] = VERSION;
    rand_bytes(nonce, NONCE_BYTES);
    bool sealed =
        begin(ctx, true, key, (const uint8_t *)nonce) && authenticate(ctx, head) &&
        authenticate(ctx, owner) && run(ctx, rows, buf_tail(file) + PREFIX_BYTES) &&
        EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, TAG_BYTES, nonce + NONCE_BYTES) == 1;
    EVP_CIPHER_CTX_free(ctx);
    ERR_clear_error();
    if (!sealed)
        return fault(-ENOMEM);
    memcpy(buf_tail(file), prefix, PREFIX_BYTES);
    buf_commit(file, PREFIX_BYTES + rows.len);
    return 0;
}

/* Return: enum tls_session_file_outcome. */
static int judge_head(struct span file)
{
    struct span version = span_drop(span_take(file, HEAD_BYTES), MAGIC_BYTES);
    uint64_t number = 0;

    if (!span_eq(span_take(file, MAGIC_BYTES), SPAN_LIT(MAGIC)) ||
        !take_number(&version, 4, &number))
        return TLS_SESSION_FILE_E_DAMAGED;
    if (number > VERSION)
        return TLS_SESSION_FILE_E_NEWER;
    return number == VERSION && file.len >= PREFIX_BYTES &&
                   file.len <= TLS_SESSION_FILE_MAX_BYTES
               ? TLS_SESSION_FILE_OK
               : TLS_SESSION_FILE_E_DAMAGED;
}

int tls_session_file_open(struct span file,
                          const uint8_t key[TLS_SESSION_FILE_KEY_BYTES],
                          struct span owner,
                          struct buf *rows)
{
    char tag[TAG_BYTES];
    int r = judge_head(file);

    if (r != TLS_SESSION_FILE_OK)
        return r;
    struct span sealed = span_drop(file, PREFIX_BYTES);
    r = buf_reserve(rows, sealed.len + 1);
    EVP_CIPHER_CTX *ctx = r < 0 ? NULL : EVP_CIPHER_CTX_new();
    if (!ctx)
        return r < 0 ? r : fault(-ENOMEM);
    memcpy(tag, file.ptr + HEAD_BYTES + NONCE_BYTES, TAG_BYTES);
    bool opened = begin(ctx, false, key, (const uint8_t *)file.ptr + HEAD_BYTES) &&
                  EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, TAG_BYTES, tag) == 1 &&
                  authenticate(ctx, span_take(file, HEAD_BYTES)) && authenticate(ctx, owner) &&
                  run(ctx, sealed, buf_tail(rows));
    EVP_CIPHER_CTX_free(ctx);
    ERR_clear_error();
    if (!opened)
        return TLS_SESSION_FILE_E_DAMAGED;
    buf_commit(rows, sealed.len);
    return TLS_SESSION_FILE_OK;
}
