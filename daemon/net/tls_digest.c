/* SPDX-License-Identifier: MIT */
#include "net/tls_digest.h"

#include <errno.h>
#include <openssl/evp.h>

#include "base/fault.h"

int tls_sha256(struct span bytes, uint8_t ret[32])
{
    if (EVP_Digest(bytes.ptr ? bytes.ptr : "", bytes.len, ret, NULL, EVP_sha256(), NULL) != 1)
        return fault(-ENOMEM);
    return 0;
}
