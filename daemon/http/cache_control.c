/* SPDX-License-Identifier: MIT */
#include "http/cache_control.h"

#include <errno.h>

#include "base/ascii.h"
#include "base/num.h"
#include "http/field.h"

bool cache_seconds_parse(struct span text, int64_t *ret)
{
    uint64_t seconds = 0;

    for (size_t i = 0; i < text.len; i++) { /* also behind where it is too great */
        if (!ascii_is_digit(text.ptr[i]))
            return false;
    }
    int r = num_parse_u64(text, (uint64_t)CACHE_SECONDS_MAX, &seconds);
    if (r == -EINVAL)
        return false;
    *ret = r == -ERANGE ? CACHE_SECONDS_MAX : (int64_t)seconds;
    return true;
}

/* §5.2: token and quoted-string are the same; quoted digits need no unescaping. */
static struct span without_quotes(struct span value)
{
    if (value.len >= 2 && value.ptr[0] == '"' && value.ptr[value.len - 1] == '"')
        return (struct span){value.ptr + 1, value.len - 2};
    return value;
}

/* @wrong: what a value that is no number counts as. */
static void take_seconds(struct cache_seconds *to, struct span value, int64_t wrong)
{
    if (to->is_given)
        return;
    to->is_given = true;
    to->seconds = wrong;
    (void)cache_seconds_parse(without_quotes(value), &to->seconds);
}

static struct cache_seconds *seconds_of(struct cache_control *control, struct span name)
{
    if (span_ieq(name, SPAN_LIT("max-age")))
        return &control->max_age;
    if (span_ieq(name, SPAN_LIT("s-maxage")))
        return &control->s_maxage;
    if (span_ieq(name, SPAN_LIT("min-fresh")))
        return &control->min_fresh;
    if (span_ieq(name, SPAN_LIT("stale-if-error")))
        return &control->stale_if_error;
    return NULL;
}

static bool *flag_of(struct cache_control *control, struct span name)
{
    if (span_ieq(name, SPAN_LIT("no-store")))
        return &control->no_store;
    if (span_ieq(name, SPAN_LIT("no-cache")))
        return &control->no_cache;
    if (span_ieq(name, SPAN_LIT("public")))
        return &control->is_public;
    if (span_ieq(name, SPAN_LIT("must-revalidate")))
        return &control->must_revalidate;
    if (span_ieq(name, SPAN_LIT("must-understand")))
        return &control->must_understand;
    if (span_ieq(name, SPAN_LIT("only-if-cached")))
        return &control->only_if_cached;
    return NULL;
}

static bool has_open_quote(struct span value)
{
    return value.len > 0 && value.ptr[0] == '"' &&
           (value.len == 1 || value.ptr[value.len - 1] != '"');
}

static void take_directive(struct cache_control *control, struct span name, struct span value)
{
    bool *flag = flag_of(control, name);
    struct cache_seconds *seconds = seconds_of(control, name);

    if (has_open_quote(value)) /* it may have swallowed anything */
        control->no_store = true;
    if (flag)
        *flag = true;
    else if (seconds == &control->min_fresh) /* asks for more: never met is the careful side */
        take_seconds(seconds, value, CACHE_SECONDS_MAX);
    else if (seconds)
        take_seconds(seconds, value, 0);
    else if (span_ieq(name, SPAN_LIT("max-stale")))
        take_seconds(&control->max_stale, value, value.len == 0 ? CACHE_SECONDS_MAX : 0);
}

void cache_control_add(struct cache_control *control, struct span value)
{
    struct span item;

    while (field_list_next(&value, &item)) {
        struct span name;
        struct span argument = {0};

        if (span_split(&item, '=', &name))
            argument = span_trim_ows(item);
        take_directive(control, span_trim_ows(name), argument);
    }
}

void cache_control_of(const struct headers *headers, struct cache_control *ret)
{
    struct span value;
    size_t cursor = 0;

    *ret = (struct cache_control){0};
    while (headers_find_next(headers, SPAN_LIT("Cache-Control"), &cursor, &value))
        cache_control_add(ret, value);
    if (!headers_has(headers, SPAN_LIT("Cache-Control")))
        ret->no_cache = headers_list_has(headers, SPAN_LIT("Pragma"), SPAN_LIT("no-cache"));
}
