/* SPDX-License-Identifier: MIT */
#include "http/sha256.h"

#include <errno.h>
#include <openssl/evp.h>

#include "base/fault.h"

int sha256_begin(struct sha256 *sha)
{
    EVP_MD_CTX *context = EVP_MD_CTX_new();

    if (context && EVP_DigestInit_ex(context, EVP_sha256(), NULL) != 1) {
        EVP_MD_CTX_free(context);
        context = NULL;
    }
    sha->context = context;
    return context ? 0 : fault(-ENOMEM);
}

void sha256_add(struct sha256 *sha, struct span bytes)
{
    if (sha->context && bytes.len > 0 &&
        EVP_DigestUpdate(sha->context, bytes.ptr, bytes.len) != 1)
        sha256_drop(sha);
}

int sha256_end(struct sha256 *sha, uint8_t ret[SHA256_BYTES])
{
    int done = sha->context ? EVP_DigestFinal_ex(sha->context, ret, NULL) : 0;

    sha256_drop(sha);
    return done == 1 ? 0 : fault(-ENOMEM);
}

void sha256_drop(struct sha256 *sha)
{
    EVP_MD_CTX_free(sha->context);
    sha->context = NULL;
}

int sha256_of(struct span bytes, uint8_t ret[SHA256_BYTES])
{
    struct sha256 sha;
    int r = sha256_begin(&sha);

    if (r < 0)
        return r;
    sha256_add(&sha, bytes);
    return sha256_end(&sha, ret);
}
