/* SPDX-License-Identifier: MIT */
/*
 * The words of a form: boundary, names, types. Escapes are those of the HTML standard
 * ("multipart form data", 4.10.21.8), which RFC 7578 left open and every browser follows.
 */
#include <string.h>
#include <sys/random.h>

#include "form.h"

#define RANDOM_BYTES 16
#define DEFAULT_TYPE "application/octet-stream"

int xhr_boundary_new(char ret[XHR_BOUNDARY_BYTES])
{
    static const char prefix[] = XHR_BOUNDARY_PREFIX;
    static const char hex[] = "0123456789abcdef";
    uint8_t random[RANDOM_BYTES];
    char *at = ret + sizeof(prefix) - 1;
    ssize_t n;

    do
        n = getrandom(random, sizeof(random), 0);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return -errno;
    if (n != RANDOM_BYTES) /* not for so few bytes: random(7) */
        return -EIO;
    memcpy(ret, prefix, sizeof(prefix));
    for (size_t i = 0; i < RANDOM_BYTES; i++) {
        *at++ = hex[random[i] >> 4];
        *at++ = hex[random[i] & 0xF];
    }
    *at = '\0';
    return 0;
}

static int add_text(struct xhr_bytes *out, const char *text)
{
    return xhr_bytes_append(out, text, strlen(text));
}

/* Return: how many bytes of @at the escape in *ret stands for; 0: the byte stands for itself.
 */
static size_t escape_of(const uint8_t *at, size_t left, bool normalises, const char **ret)
{
    bool is_pair = left > 1 && at[0] == '\r' && at[1] == '\n';

    if (at[0] == '"') {
        *ret = "%22";
        return 1;
    }
    if (at[0] != '\r' && at[0] != '\n')
        return 0;
    if (normalises) {
        *ret = "%0D%0A";
        return is_pair ? 2 : 1;
    }
    *ret = at[0] == '\r' ? "%0D" : "%0A";
    return 1;
}

static int add_escaped(struct xhr_bytes *out, const char *text, bool normalises)
{
    struct xhr_bytes utf8 = {0};
    int r = xhr_utf8_append(&utf8, text);
    const char *escape = NULL;

    for (size_t i = 0, n; r == 0 && i < utf8.len; i += n) {
        const uint8_t *at = xhr_bytes_at(&utf8) + i;

        n = escape_of(at, utf8.len - i, normalises, &escape);
        r = n > 0 ? add_text(out, escape) : xhr_bytes_append(out, at, 1);
        n = n > 0 ? n : 1;
    }
    xhr_bytes_done(&utf8);
    return r;
}

int xhr_form_add_name(struct xhr_bytes *out, const char *name)
{
    return add_escaped(out, name, true);
}

int xhr_form_add_filename(struct xhr_bytes *out, const char *filename)
{
    return add_escaped(out, filename, false);
}

static bool is_plain(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           c == '*' || c == '-' || c == '.' || c == '_';
}

/* URL standard: application/x-www-form-urlencoded percent-encode set, space as plus. */
int xhr_form_add_urlencoded(struct xhr_bytes *out, const void *bytes, size_t len)
{
    static const char hex[] = "0123456789ABCDEF";
    const uint8_t *at = bytes;
    int r = 0;

    for (size_t i = 0; r == 0 && i < len; i++) {
        const char encoded[] = {'%', hex[at[i] >> 4], hex[at[i] & 0xF]};

        if (at[i] == ' ')
            r = xhr_bytes_append(out, "+", 1);
        else
            r = is_plain(at[i]) ? xhr_bytes_append(out, &at[i], 1)
                                : xhr_bytes_append(out, encoded, sizeof(encoded));
    }
    return r;
}

/* NULL: says nothing. */
static const char *type_of_ending(const char *filename)
{
    static const struct {
        char ending[8]; /* no pointers: those would have to be relocated */
        char type[20];
    } types[] = {
        {"txt", "text/plain"},      {"htm", "text/html"},         {"html", "text/html"},
        {"css", "text/css"},        {"csv", "text/csv"},          {"js", "text/javascript"},
        {"xml", "application/xml"}, {"json", "application/json"}, {"pdf", "application/pdf"},
        {"zip", "application/zip"}, {"gz", "application/gzip"},   {"gif", "image/gif"},
        {"jpg", "image/jpeg"},      {"jpeg", "image/jpeg"},       {"png", "image/png"},
        {"svg", "image/svg+xml"},   {"webp", "image/webp"},       {"mp3", "audio/mpeg"},
        {"mp4", "video/mp4"},       {"webm", "video/webm"},
    };
    const char *dot = strrchr(filename, '.');

    for (size_t i = 0; dot && i < sizeof(types) / sizeof(*types); i++)
        if (xhr_name_eq(dot + 1, types[i].ending))
            return types[i].type;
    return NULL;
}

const char *xhr_form_guess_type(const char *filename, const char *path)
{
    const char *type = type_of_ending(filename);

    if (!type && path)
        type = type_of_ending(path);
    return type ? type : DEFAULT_TYPE;
}
