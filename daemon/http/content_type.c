/* SPDX-License-Identifier: MIT */
#include "http/content_type.h"

#include <errno.h>

#include "base/ascii.h"
#include "http/field.h"
#include "http/headers.h"

/* Copies a token or the inside of a quoted string, in lower case. Return: whether it fits and
 * there is something. */
static bool copy_charset(struct span value, char ret[CONTENT_TYPE_CHARSET_MAX + 1])
{
    bool is_quoted = value.len > 0 && value.ptr[0] == '"';
    size_t n = 0;

    for (size_t i = is_quoted ? 1 : 0; i < value.len; i++) {
        char c = value.ptr[i];

        if (is_quoted && c == '"')
            break;
        if (is_quoted && c == '\\' && i + 1 < value.len)
            c = value.ptr[++i];
        if (n == CONTENT_TYPE_CHARSET_MAX || (unsigned char)c <= ' ' || c == '\x7f')
            return false;
        ret[n++] = ascii_lower(c);
    }
    ret[n] = '\0';
    return n > 0;
}

int content_type_parse(struct span field, struct content_type *ret)
{
    struct content_type found = {0};
    struct span name;
    struct span value;

    (void)span_split(&field, ';', &value);
    value = span_trim_ows(value);
    if (!span_split(&value, '/', &found.type) || !header_name_is_token(found.type) ||
        !header_name_is_token(value))
        return -EINVAL;
    found.subtype = value;
    while (field_param_next(&field, &name, &value)) {
        char charset[CONTENT_TYPE_CHARSET_MAX + 1];

        /* The first one counts (MIME Sniffing §4.4). */
        if (!span_ieq(name, SPAN_LIT("charset")) || !copy_charset(value, charset))
            continue;
        memcpy(found.charset, charset, sizeof(charset));
        break;
    }
    *ret = found;
    return 0;
}

bool content_type_is(const struct content_type *ct, struct span type, struct span subtype)
{
    return span_ieq(ct->type, type) && span_ieq(ct->subtype, subtype);
}
