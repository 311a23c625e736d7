/* SPDX-License-Identifier: MIT */
#include "http/hsts_header.h"

#include <errno.h>

#include "base/ascii.h"
#include "base/num.h"

struct directive {
    struct span name;
    struct span value; /* without its quotes */
    bool has_value;
};

static void skip_ows(struct span *rest)
{
    while (rest->len > 0 && (rest->ptr[0] == ' ' || rest->ptr[0] == '\t'))
        *rest = span_drop(*rest, 1);
}

static struct span take_token(struct span *rest)
{
    size_t len = 0;

    while (len < rest->len && ascii_is_tchar(rest->ptr[len]))
        len++;
    struct span token = span_take(*rest, len);
    *rest = span_drop(*rest, len);
    return token;
}

/* qdtext and quoted-pair of RFC 9110 §5.6.4 leave out the controls. */
static bool is_quotable(char c)
{
    return c == '\t' || ((unsigned char)c >= 0x20 && c != 0x7f);
}

/* @rest begins behind the opening quote. Return: whether there is a closing one. */
static bool take_quoted(struct span *rest, struct span *ret)
{
    for (size_t i = 0; i < rest->len && is_quotable(rest->ptr[i]); i++) {
        if (rest->ptr[i] == '"') {
            *ret = span_take(*rest, i);
            *rest = span_drop(*rest, i + 1);
            return true;
        }
        if (rest->ptr[i] == '\\' && (++i == rest->len || !is_quotable(rest->ptr[i])))
            return false;
    }
    return false;
}

static bool take_value(struct span *rest, struct directive *ret)
{
    skip_ows(rest);
    ret->has_value = true;
    if (rest->len > 0 && rest->ptr[0] == '"') {
        *rest = span_drop(*rest, 1);
        return take_quoted(rest, &ret->value);
    }
    ret->value = take_token(rest);
    return ret->value.len > 0;
}

/* One [ directive ] and the ";" behind it, if there is one. Return: whether that is what stands
 * there; an empty one has no name. */
static bool take_directive(struct span *rest, struct directive *ret)
{
    *ret = (struct directive){0};
    skip_ows(rest);
    ret->name = take_token(rest);
    skip_ows(rest);
    if (ret->name.len > 0 && rest->len > 0 && rest->ptr[0] == '=') {
        *rest = span_drop(*rest, 1);
        if (!take_value(rest, ret))
            return false;
        skip_ows(rest);
    }
    if (rest->len == 0)
        return true;
    bool is_end = rest->ptr[0] == ';';
    *rest = span_drop(*rest, 1);
    return is_end;
}

/* Return: whether it is digits alone; what is too great for 64 bits is only too great. */
static bool parse_max_age(struct span text, int64_t *ret)
{
    uint64_t seconds = 0;

    for (size_t i = 0; i < text.len; i++) { /* also behind where it is too great */
        if (!ascii_is_digit(text.ptr[i]))
            return false;
    }
    int r = num_parse_u64(text, HSTS_MAX_AGE_MAX, &seconds);
    if (r == -EINVAL)
        return false;
    *ret = r == -ERANGE ? HSTS_MAX_AGE_MAX : (int64_t)seconds;
    return true;
}

static int
take_known(const struct directive *directive, struct hsts_header *header, bool *has_max_age)
{
    if (span_ieq(directive->name, SPAN_LIT("max-age"))) {
        if (*has_max_age)
            return HSTS_HEADER_E_REPEATED;
        *has_max_age = true;
        return parse_max_age(directive->value, &header->max_age_s) ? HSTS_HEADER_OK
                                                                   : HSTS_HEADER_E_SYNTAX;
    }
    if (span_ieq(directive->name, SPAN_LIT("includeSubDomains"))) {
        if (header->include_subdomains)
            return HSTS_HEADER_E_REPEATED;
        header->include_subdomains = true;
        return directive->has_value ? HSTS_HEADER_E_SYNTAX : HSTS_HEADER_OK;
    }
    return HSTS_HEADER_OK;
}

int hsts_header_parse(struct span field, struct hsts_header *ret)
{
    struct hsts_header header = {0};
    bool has_max_age = false;

    while (field.len > 0) {
        struct directive directive;

        if (!take_directive(&field, &directive))
            return HSTS_HEADER_E_SYNTAX;
        int r = take_known(&directive, &header, &has_max_age);
        if (r != HSTS_HEADER_OK)
            return r;
    }
    if (!has_max_age)
        return HSTS_HEADER_E_NO_MAX_AGE;
    *ret = header;
    return HSTS_HEADER_OK;
}

const char *hsts_header_outcome_text(int outcome)
{
    switch (outcome) {
    case HSTS_HEADER_OK: return "fine";
    case HSTS_HEADER_E_REPEATED: return "a directive came twice";
    case HSTS_HEADER_E_NO_MAX_AGE: return "max-age is missing";
    default: return "not of the form max-age=N; includeSubDomains";
    }
}
