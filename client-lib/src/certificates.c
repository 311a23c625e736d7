/* SPDX-License-Identifier: MIT */
/* The server's certificates, as the daemon read them: one piece of memory for all of a chain.
 */
#include <stdlib.h>
#include <string.h>

#include "xhr_priv.h"

#define CERTIFICATES_MAX 64 /* of a chain */
#define NAMES_MAX        1024

bool xhr_certificates_are_sane(Xhrd__V1__Certificate *const *from, size_t count)
{
    if (count > CERTIFICATES_MAX)
        return false;
    for (size_t i = 0; i < count; i++) {
        if (from[i]->spki_sha256.len != XHR_PIN_BYTES || from[i]->n_names > NAMES_MAX)
            return false;
    }
    return true;
}

static size_t size_of(const Xhrd__V1__Certificate *from)
{
    size_t size = sizeof(struct xhr_certificate) + from->n_names * sizeof(char *) +
                  from->der.len + from->subject.len + from->issuer.len + from->serial.len +
                  from->signature.len + from->key.len + 5;

    for (size_t i = 0; i < from->n_names; i++)
        size += from->names[i].len + 1;
    return size;
}

static const char *put(char **at, const ProtobufCBinaryData *bytes)
{
    char *text = *at;

    if (bytes->len > 0)
        memcpy(text, bytes->data, bytes->len);
    text[bytes->len] = '\0';
    *at = text + bytes->len + 1;
    xhr_make_printable(text);
    return text;
}

static void take(const Xhrd__V1__Certificate *from,
                 struct xhr_certificate *to,
                 const char **names,
                 char **at)
{
    *to = (struct xhr_certificate){
        .der = *at,
        .der_len = from->der.len,
        .not_before = from->not_before,
        .not_after = from->not_after,
        .names = names,
        .n_names = from->n_names,
        .n_names_left_out = from->names_left_out,
    };
    if (from->der.len > 0)
        memcpy(*at, from->der.data, from->der.len);
    *at += from->der.len;
    to->subject = put(at, &from->subject);
    to->issuer = put(at, &from->issuer);
    to->serial = put(at, &from->serial);
    to->signature = put(at, &from->signature);
    to->key = put(at, &from->key);
    for (size_t i = 0; i < from->n_names; i++)
        names[i] = put(at, &from->names[i]);
    memcpy(to->spki_sha256, from->spki_sha256.data, XHR_PIN_BYTES);
}

int xhr_certificates_take(Xhrd__V1__Certificate *const *from,
                          size_t count,
                          struct xhr_certificate **ret)
{
    size_t n_names = 0;
    size_t size = 0;

    if (count == 0)
        return 0;
    for (size_t i = 0; i < count; i++) {
        size += size_of(from[i]);
        n_names += from[i]->n_names;
    }
    struct xhr_certificate *to = malloc(size);
    if (!to)
        return -ENOMEM;
    const char **names = (const char **)(void *)(to + count);
    char *at = (char *)(void *)(names + n_names);
    for (size_t i = 0; i < count; i++) {
        take(from[i], &to[i], names, &at);
        names += from[i]->n_names;
    }
    *ret = to;
    return 0;
}
