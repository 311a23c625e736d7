/* SPDX-License-Identifier: MIT */
/*
 * Logins of the administrator's (Credential=). They go along to exactly the host and port they
 * are for, over https, and the caller is not to see them: he may not lead the request to where
 * he would, his own login gives way, and a field of the answer that holds one is masked before
 * anybody looks at it. What a server writes into a body cannot be told from anything else.
 *
 * Looked up for each hop and again when it is sent: a reload may have come between.
 */
#include <errno.h>

#include "base/fault.h"
#include "base/mem.h"
#include "fetch/request_priv.h"
#include "policy/access_rules.h"

#define MASK SPAN_LIT("****")

static const struct access_credential *find(const struct request *request)
{
    const struct fetch_rights *rights = request->options.rights;

    return rights && rights->access ? access_view_credential(rights->access, request->origin)
                                    : NULL;
}

bool request_gets_credential(const struct request *request)
{
    return find(request) && !request_way_around(&request->options);
}

bool request_may_have_credential(struct request *request)
{
    const struct access_credential *credential = find(request);
    const char *around = credential ? request_way_around(&request->options) : NULL;
    struct failure why;

    if (!credential)
        return true;
    request->options.cache = false; /* what was told to the administrator's login */
    if (!around)
        return true;
    access_credential_refuse(credential, around, &why);
    request_finish(request, &why);
    return false;
}

/* All that went along so far: an answer to a later hop may tell it as well. */
static int keep_secrets(struct request *request, const struct access_credential *credential)
{
    size_t len = request->secrets_len + credential->secrets_len;
    char *all = mem_alloc(len);

    if (!all)
        return fault(-ENOMEM);
    if (request->secrets_len > 0)
        memcpy(all, request->secrets, request->secrets_len);
    memcpy(all + request->secrets_len, credential->secrets, credential->secrets_len);
    request_credential_done(request);
    request->secrets = all;
    request->secrets_len = len;
    return 0;
}

static bool is_kept(const struct request *request, const struct access_credential *credential)
{
    size_t len = credential->secrets_len;

    return len == 0 ||
           (request->secrets_len >= len &&
            memmem(request->secrets, request->secrets_len, credential->secrets, len));
}

int request_add_credential(struct request *request)
{
    const struct access_credential *credential = find(request);

    request->has_credential = request_gets_credential(request);
    if (!request->has_credential)
        return 0;
    int r = is_kept(request, credential) ? 0 : keep_secrets(request, credential);
    if (r == 0)
        r = headers_set(&request->sent, SPAN_LIT("Authorization"), span_of(credential->value));
    return r < 0 ? r : 1;
}

static struct span secrets_of(const struct request *request)
{
    return (struct span){request->secrets, request->secrets_len};
}

static bool fields_tell(const struct request *request, const struct headers *fields)
{
    for (size_t i = 0; i < headers_count(fields); i++) {
        struct header line = headers_at(fields, i);

        if (access_secrets_are_in(secrets_of(request), line.value) ||
            access_secrets_are_in(secrets_of(request), line.name))
            return true;
    }
    return false;
}

int request_mask_fields(const struct request *request,
                        const struct headers *from,
                        struct headers *to)
{
    int r = 0;

    if (!request->secrets)
        return headers_add_all(to, from);
    for (size_t i = 0; r == 0 && i < headers_count(from); i++) {
        struct header line = headers_at(from, i);

        if (access_secrets_are_in(secrets_of(request), line.name))
            continue;
        r = headers_add(to, line.name,
                        access_secrets_are_in(secrets_of(request), line.value) ? MASK
                                                                               : line.value);
    }
    return r;
}

int request_mask_head(struct request *request,
                      const struct response_head *head,
                      struct response_head *ret)
{
    *ret = *head;
    if (!request->secrets)
        return 0;
    if (access_secrets_are_in(secrets_of(request), head->reason))
        ret->reason = (struct span){0};
    if (!fields_tell(request, head->headers))
        return 0;
    struct kept_answer *kept = request_keep(request);
    if (!kept)
        return fault(-ENOMEM);
    headers_clear(&kept->masked);
    ret->headers = &kept->masked;
    return request_mask_fields(request, head->headers, &kept->masked);
}

bool request_location_is_masked(const struct request *request, const struct response_head *head)
{
    struct span location;

    return request->kept && head->headers == &request->kept->masked &&
           headers_find(head->headers, SPAN_LIT("Location"), &location) &&
           span_eq(location, MASK);
}

void request_credential_done(struct request *request)
{
    if (request->secrets)
        mem_free_secret(request->secrets, request->secrets_len);
    request->secrets = NULL;
    request->secrets_len = 0;
}
