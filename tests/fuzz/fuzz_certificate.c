/* SPDX-License-Identifier: MIT */
/*
 * The input is DER, one certificate behind the other, as a server might send them. What is told
 * of them is printable and within its limits, and the DER is what came.
 */
#include <assert.h>
#include <openssl/x509.h>
#include <stdint.h>

#include "net/tls_cert.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_text(struct span text, size_t max)
{
    assert(text.len <= max);
    for (size_t i = 0; i < text.len; i++)
        assert(text.ptr[i] >= 0x20 && text.ptr[i] < 0x7f);
}

static void check(const struct certificate *cert)
{
    const unsigned char *at = (const unsigned char *)cert->der.ptr;

    check_text(cert->subject, CERTIFICATE_TEXT_MAX);
    check_text(cert->issuer, CERTIFICATE_TEXT_MAX);
    check_text(cert->serial, CERTIFICATE_NAME_MAX);
    check_text(cert->signature, CERTIFICATE_NAME_MAX);
    check_text(cert->key, CERTIFICATE_NAME_MAX);
    assert(cert->n_names <= CERTIFICATE_NAMES_MAX);
    assert(cert->n_names_left_out == 0 || cert->n_names == CERTIFICATE_NAMES_MAX);
    for (size_t i = 0; i < cert->n_names; i++)
        check_text(cert->names[i], CERTIFICATE_NAME_MAX);
    X509 *again = d2i_X509(NULL, &at, (long)cert->der.len);
    assert(again && at == (const unsigned char *)cert->der.ptr + cert->der.len);
    X509_free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    STACK_OF(X509) *chain = sk_X509_new_null();
    struct certificates *certificates = NULL;
    const unsigned char *at = data;
    X509 *cert;

    while (chain && at < data + size &&
           (cert = d2i_X509(NULL, &at, (long)(size - (size_t)(at - data))))) {
        if (sk_X509_push(chain, cert) == 0)
            X509_free(cert);
    }
    if (tls_certificates_of(chain, &certificates) == 0) {
        assert((int)(certificates->count + certificates->n_left_out) == sk_X509_num(chain));
        for (size_t i = 0; i < certificates->count; i++)
            check(&certificates->at[i]);
    }
    certificates_free(certificates);
    sk_X509_pop_free(chain, X509_free);
    return 0;
}
