/* SPDX-License-Identifier: MIT */
#include "http/field.h"

/* Cuts *rest at the first @sep outside quoted strings. Return: the part before it. */
static struct span cut(struct span *rest, char sep)
{
    bool in_quotes = false;
    size_t i = 0;

    for (; i < rest->len; i++) {
        char c = rest->ptr[i];

        if (c == '"')
            in_quotes = !in_quotes;
        else if (c == '\\' && in_quotes)
            i++;
        else if (c == sep && !in_quotes)
            break;
    }

    struct span part = span_take(*rest, i);
    *rest = span_drop(*rest, i + 1);
    return part;
}

bool field_list_next(struct span *rest, struct span *ret_item)
{
    while (rest->len > 0) {
        struct span item = span_trim_ows(cut(rest, ','));

        if (item.len > 0) {
            *ret_item = item;
            return true;
        }
    }
    return false;
}

bool field_param_next(struct span *rest, struct span *ret_name, struct span *ret_value)
{
    while (rest->len > 0) {
        struct span value = span_trim_ows(cut(rest, ';'));
        struct span name;

        if (value.len == 0)
            continue;
        if (!span_split(&value, '=', &name))
            value = (struct span){0};
        *ret_name = span_trim_ows(name);
        *ret_value = span_trim_ows(value);
        return true;
    }
    return false;
}

bool field_list_has(struct span list, struct span token)
{
    struct span item;

    while (field_list_next(&list, &item)) {
        if (span_ieq(item, token))
            return true;
    }
    return false;
}

bool headers_list_has(const struct headers *headers, struct span name, struct span token)
{
    struct span value;

    for (size_t cursor = 0; headers_find_next(headers, name, &cursor, &value);) {
        if (field_list_has(value, token))
            return true;
    }
    return false;
}
