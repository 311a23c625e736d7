/* SPDX-License-Identifier: MIT */
/* Certificates of a server as messages, in one piece of the arena. */
#include <errno.h>

#include "base/certificate.h"
#include "base/fault.h"
#include "service/service_priv.h"

static size_t count_names(const struct certificates *from)
{
    size_t n = 0;

    for (size_t i = 0; i < from->count; i++)
        n += from->at[i].n_names;
    return n;
}

static void
fill(const struct certificate *from, ProtobufCBinaryData *names, Xhrd__V1__Certificate *to)
{
    xhrd__v1__certificate__init(to);
    to->der = bytes_of_span(from->der);
    to->subject = bytes_of_span(from->subject);
    to->issuer = bytes_of_span(from->issuer);
    to->serial = bytes_of_span(from->serial);
    to->not_before = from->not_before_s;
    to->not_after = from->not_after_s;
    to->names_left_out = (uint32_t)from->n_names_left_out;
    to->spki_sha256 =
        bytes_of_span((struct span){(const char *)from->spki_sha256, CERTIFICATE_SPKI_SIZE});
    to->signature = bytes_of_span(from->signature);
    to->key = bytes_of_span(from->key);
    to->n_names = from->n_names;
    to->names = names;
    for (size_t i = 0; i < from->n_names; i++)
        names[i] = bytes_of_span(from->names[i]);
}

int certificates_to_pb(struct arena *arena,
                       const struct certificates *from,
                       Xhrd__V1__Certificate ***ret,
                       size_t *ret_count)
{
    if (!from || from->count == 0)
        return 0;
    size_t n = from->count;
    // NOLINTNEXTLINE(bugprone-sizeof-expression): pointers they are
    size_t list_size = n * sizeof(Xhrd__V1__Certificate *);
    size_t names_size = count_names(from) * sizeof(ProtobufCBinaryData);
    char *block =
        arena_alloc(arena, list_size + n * sizeof(Xhrd__V1__Certificate) + names_size);
    if (!block)
        return fault(-ENOMEM);
    Xhrd__V1__Certificate **list = (Xhrd__V1__Certificate **)(void *)block;
    Xhrd__V1__Certificate *messages = (Xhrd__V1__Certificate *)(void *)(block + list_size);
    ProtobufCBinaryData *names = (ProtobufCBinaryData *)(void *)(messages + n);
    for (size_t i = 0; i < n; i++) {
        fill(&from->at[i], names, &messages[i]);
        list[i] = &messages[i];
        names += from->at[i].n_names;
    }
    *ret = list;
    *ret_count = n;
    return 0;
}
