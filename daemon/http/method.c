/* SPDX-License-Identifier: MIT */
#include "http/method.h"

#include "http/headers.h"

static bool is_one_of(struct span method, const struct span *list, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (span_eq(method, list[i]))
            return true;
    }
    return false;
}

bool method_is_token(struct span method)
{
    return method.len <= METHOD_BYTES_MAX && header_name_is_token(method);
}

bool method_is_safe(struct span method)
{
    /* QUERY is safe too once it is an RFC; until then unknown servers decide. */
    static const struct span safe[] = {
        {"GET", 3}, {"HEAD", 4}, {"OPTIONS", 7}, {"PROPFIND", 8}, {"REPORT", 6}, {"TRACE", 5},
    };

    return is_one_of(method, safe, sizeof(safe) / sizeof(safe[0]));
}

bool method_is_idempotent(struct span method)
{
    static const struct span also[] = {
        {"DELETE", 6}, {"PUT", 3},       {"COPY", 4},   {"MKCOL", 5},
        {"MOVE", 4},   {"PROPPATCH", 9}, {"UNLOCK", 6},
    };

    return method_is_safe(method) || is_one_of(method, also, sizeof(also) / sizeof(also[0]));
}

bool method_is_forbidden(struct span method)
{
    return span_ieq(method, SPAN_LIT("CONNECT")) || span_ieq(method, SPAN_LIT("TRACE")) ||
           span_ieq(method, SPAN_LIT("TRACK"));
}

struct span method_normalise(struct span method)
{
    static const struct span normal[] = {
        {"DELETE", 6}, {"GET", 3}, {"HEAD", 4}, {"OPTIONS", 7}, {"POST", 4}, {"PUT", 3},
    };

    for (size_t i = 0; i < sizeof(normal) / sizeof(normal[0]); i++) {
        if (span_ieq(method, normal[i]))
            return normal[i];
    }
    return method;
}
