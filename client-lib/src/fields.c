/* SPDX-License-Identifier: MIT */
/* Header fields: what a request collects (combining rules of XMLHttpRequest and Titanium), and
 * what an answer brought. */
#include <stdlib.h>
#include <string.h>

#include "xhr_priv.h"

#define FIELDS_MAX       1000
#define FIELDS_CHUNK     8
#define TOKEN_MARKS      "!#$%&'*+-.^_`|~"
#define LEN(array)       (sizeof(array) / sizeof(*(array)))
#define SEPARATOR        ", "
#define COOKIE_SEPARATOR "; "

#define NAME_SIZE        20 /* texts, not pointers: those would have to be relocated */

/* Hold one value: a second one replaces the first. */
static const char single[][NAME_SIZE] = {
    "authorization",
    "content-encoding",
    "content-language",
    "content-location",
    "content-type",
    "date",
    "expires",
    "from",
    "if-modified-since",
    "if-range",
    "if-unmodified-since",
    "last-modified",
    "max-forwards",
    "origin",
    "proxy-authorization",
    "range",
    "referer",
    "user-agent",
};

/* Say how the message is framed and to whom it goes: the engine's. */
static const char engines[][NAME_SIZE] = {
    "connection", "content-length",    "host",    "keep-alive", "proxy-connection", "te",
    "trailer",    "transfer-encoding", "upgrade",
};

bool xhr_name_eq(const char *a, const char *b)
{
    while (*a && xhr_lower(*a) == xhr_lower(*b)) {
        a++;
        b++;
    }
    return *a == '\0' && *b == '\0';
}

static bool is_token_char(char c)
{
    char lower = xhr_lower(c);

    return (lower >= 'a' && lower <= 'z') || (c >= '0' && c <= '9') ||
           (c != '\0' && strchr(TOKEN_MARKS, c));
}

bool xhr_is_token(const char *text)
{
    if (!*text)
        return false;
    while (is_token_char(*text))
        text++;
    return *text == '\0';
}

static bool is_listed(const char (*names)[NAME_SIZE], size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (xhr_name_eq(names[i], name))
            return true;
    return false;
}

static struct xhr_field *find(const struct xhr_fields *fields, const char *name)
{
    for (size_t i = 0; i < fields->count; i++)
        if (xhr_name_eq(fields->at[i].name, name))
            return &fields->at[i];
    return NULL;
}

const struct xhr_field *xhr_fields_find(const struct xhr_fields *fields, const char *name)
{
    return find(fields, name);
}

/* "normalize" of the Fetch standard: white space around a value means nothing. */
static const char *trim(const char *value, size_t *ret_len)
{
    size_t len;

    value += strspn(value, " \t");
    len = strlen(value);
    while (len > 0 && (value[len - 1] == ' ' || value[len - 1] == '\t'))
        len--;
    *ret_len = len;
    return value;
}

static char *combine(const char *old, const char *separator, const char *value, size_t len)
{
    size_t old_len = strlen(old);
    size_t separator_len = old_len > 0 ? strlen(separator) : 0;
    char *joined = malloc(old_len + separator_len + len + 1);

    if (!joined)
        return NULL;
    memcpy(joined, old, old_len);
    memcpy(joined + old_len, separator, separator_len);
    memcpy(joined + old_len + separator_len, value, len);
    joined[old_len + separator_len + len] = '\0';
    return joined;
}

static int add(struct xhr_fields *fields,
               const char *name,
               char *value) /* NOLINT(readability-non-const-parameter): kept */
{
    if (fields->count == FIELDS_MAX)
        return -EMSGSIZE;
    if (fields->count == fields->capacity) {
        size_t capacity = fields->capacity ? fields->capacity * 2 : FIELDS_CHUNK;
        struct xhr_field *at = realloc(fields->at, capacity * sizeof(*at));

        if (!at)
            return -ENOMEM;
        fields->at = at;
        fields->capacity = capacity;
    }
    char *copy = xhr_dup(name, strlen(name));
    if (!copy)
        return -ENOMEM;
    fields->at[fields->count++] = (struct xhr_field){copy, value};
    return 0;
}

int xhr_fields_set(struct xhr_fields *fields, const char *name, const char *value)
{
    struct xhr_field *field;
    char *text = NULL;
    int r;

    if (!xhr_is_token(name) || (value && strpbrk(value, "\r\n")))
        return -EINVAL;
    if (is_listed(engines, LEN(engines), name))
        return -EPERM;

    field = find(fields, name);
    if (value) {
        bool replaces = !field || !field->value || is_listed(single, LEN(single), name);
        size_t len = 0;

        value = trim(value, &len);
        text = combine(replaces ? "" : field->value,
                       xhr_name_eq(name, "cookie") ? COOKIE_SEPARATOR : SEPARATOR, value, len);
        if (!text)
            return -ENOMEM;
    }
    if (field) {
        free(field->value);
        field->value = text;
        return 0;
    }
    r = add(fields, name, text);
    if (r < 0)
        free(text);
    return r;
}

void xhr_fields_done(struct xhr_fields *fields)
{
    for (size_t i = 0; i < fields->count; i++) {
        free(fields->at[i].name);
        free(fields->at[i].value);
    }
    free(fields->at);
    *fields = (struct xhr_fields){0};
}

/* ---- of an answer ---- */

static char *put(char *at, const ProtobufCBinaryData *bytes)
{
    if (bytes->len > 0)
        memcpy(at, bytes->data, bytes->len);
    at[bytes->len] = '\0';
    return at + bytes->len + 1;
}

int xhr_lines_take(struct xhr_lines *lines, Xhrd__V1__Header *const *headers, size_t count)
{
    size_t size = 0;

    xhr_lines_done(lines);
    if (count == 0)
        return 0;
    for (size_t i = 0; i < count; i++)
        size += headers[i]->name.len + headers[i]->value.len + 2;
    lines->at = calloc(count, sizeof(*lines->at));
    lines->text = malloc(size);
    if (!lines->at || !lines->text) {
        xhr_lines_done(lines);
        return -ENOMEM;
    }
    char *end = lines->text;
    for (size_t i = 0; i < count; i++) {
        lines->at[i].name = end;
        end = put(end, &headers[i]->name);
        lines->at[i].value = end;
        end = put(end, &headers[i]->value);
    }
    lines->count = count;
    return 0;
}

void xhr_lines_done(struct xhr_lines *lines)
{
    free(lines->at);
    free(lines->text);
    *lines = (struct xhr_lines){0};
}

bool xhr_lines_at(const struct xhr_lines *lines,
                  size_t index,
                  const char **ret_name,
                  const char **ret_value)
{
    if (index >= lines->count)
        return false;
    *ret_name = lines->at[index].name;
    *ret_value = lines->at[index].value;
    return true;
}

static int append_text(struct xhr_bytes *to, const char *text)
{
    return xhr_bytes_append(to, text, strlen(text));
}

/* Values are joined but for Set-Cookie, where a comma means something else (RFC 6265 §3). */
int xhr_lines_join(const struct xhr_lines *lines, const char *name, char **ret)
{
    struct xhr_bytes joined = {0};
    bool found = false;
    int r = 0;

    for (size_t i = 0; r == 0 && i < lines->count; i++) {
        if (!xhr_name_eq(lines->at[i].name, name))
            continue;
        if (found && xhr_name_eq(name, "set-cookie"))
            break;
        if (found)
            r = append_text(&joined, SEPARATOR);
        if (r == 0)
            r = append_text(&joined, lines->at[i].value);
        found = true;
    }
    if (r == 0 && found)
        r = xhr_bytes_append(&joined, "", 1);
    if (r < 0) {
        xhr_bytes_done(&joined);
        return r;
    }
    *ret = (char *)joined.storage;
    return 0;
}

static int compare_names(const char *a, const char *b)
{
    while (*a && xhr_lower(*a) == xhr_lower(*b)) {
        a++;
        b++;
    }
    return (unsigned char)xhr_lower(*a) - (unsigned char)xhr_lower(*b);
}

/* By name, equal names in the order they came. */
static int compare_lines(const void *a, const void *b)
{
    const struct xhr_line *left = a;
    const struct xhr_line *right = b;
    int order = compare_names(left->name, right->name);

    if (order != 0)
        return order;
    return left->name < right->name ? -1 : left->name > right->name;
}

static int append_lower(struct xhr_bytes *to, const char *text)
{
    int r = 0;

    for (; r == 0 && *text; text++) {
        char c = xhr_lower(*text);

        r = xhr_bytes_append(to, &c, 1);
    }
    return r;
}

static int append_sorted(struct xhr_bytes *to, const struct xhr_line *lines, size_t count)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < count; i++) {
        bool joins = i > 0 && compare_names(lines[i - 1].name, lines[i].name) == 0 &&
                     !xhr_name_eq(lines[i].name, "set-cookie");

        if (joins) {
            r = append_text(to, SEPARATOR);
        } else {
            r = i > 0 ? append_text(to, "\r\n") : 0;
            r = r < 0 ? r : append_lower(to, lines[i].name);
            r = r < 0 ? r : append_text(to, ": ");
        }
        r = r < 0 ? r : append_text(to, lines[i].value);
    }
    return r < 0 || count == 0 ? r : append_text(to, "\r\n");
}

int xhr_lines_all(const struct xhr_lines *lines, char **ret)
{
    struct xhr_bytes all = {0};
    struct xhr_line *sorted = calloc(lines->count + 1, sizeof(*sorted));
    int r = sorted ? 0 : -ENOMEM;

    if (r == 0 && lines->count > 0) {
        memcpy(sorted, lines->at, lines->count * sizeof(*sorted));
        qsort(sorted, lines->count, sizeof(*sorted), compare_lines);
        r = append_sorted(&all, sorted, lines->count);
    }
    r = r < 0 ? r : xhr_bytes_append(&all, "", 1);
    free(sorted);
    if (r < 0) {
        xhr_bytes_done(&all);
        return r;
    }
    *ret = (char *)all.storage;
    return 0;
}
