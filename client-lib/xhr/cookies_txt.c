/* SPDX-License-Identifier: MIT */
#include "cookies_txt.h"

#include <string.h>

#define HTTP_ONLY "#HttpOnly_"
#define N_FIELDS  7

enum { DOMAIN, TAIL_MATCH, PATH, SECURE, EXPIRES, NAME, VALUE };

void cookies_txt_begin(struct cookies_txt *txt, const char *bytes, size_t len)
{
    txt->at = bytes;
    txt->end = bytes + len;
    txt->line = 0;
    txt->why = NULL;
}

/* Takes the next line, without what ends it. Return: whether there was one. */
static bool take_line(struct cookies_txt *txt, const char **ret, size_t *ret_len)
{
    if (txt->at == txt->end)
        return false;
    const char *start = txt->at;
    const char *stop = memchr(start, '\n', (size_t)(txt->end - start));

    txt->at = stop ? stop + 1 : txt->end;
    stop = stop ? stop : txt->end;
    while (stop > start && stop[-1] == '\r')
        stop--;
    txt->line++;
    *ret = start;
    *ret_len = (size_t)(stop - start);
    return true;
}

/* Whether a line is about a cookie at all. */
static bool says_something(const char *line, size_t len)
{
    size_t blank = 0;

    while (blank < len && (line[blank] == ' ' || line[blank] == '\t'))
        blank++;
    if (blank == len)
        return false;
    return line[0] != '#' ||
           (len > strlen(HTTP_ONLY) && memcmp(line, HTTP_ONLY, strlen(HTTP_ONLY)) == 0);
}

/* Splits at tabs; the last field is what is left. Return: how many there are. */
static size_t split(char *text, char *fields[N_FIELDS])
{
    size_t n = 0;

    for (char *at = text; at && n < N_FIELDS; n++) {
        fields[n] = at;
        at = n + 1 < N_FIELDS ? strchr(at, '\t') : NULL;
        if (at)
            *at++ = '\0';
    }
    return n;
}

static bool parse_bool(const char *text, bool *ret)
{
    *ret = strcmp(text, "TRUE") == 0;
    return *ret || strcmp(text, "FALSE") == 0;
}

/* A date past what any clock has is as good as the last one. */
static bool parse_expires(const char *text, int64_t *ret)
{
    uint64_t number = 0;

    if (text[0] == '\0' || text[strspn(text, "0123456789")] != '\0')
        return false;
    for (; *text; text++) {
        if (number > (uint64_t)INT64_MAX / 10 - 1)
            number = (uint64_t)INT64_MAX / 10 - 1;
        number = number * 10 + (uint64_t)(*text - '0');
    }
    *ret = (int64_t)number;
    return true;
}

static const char *read_fields(char *fields[N_FIELDS], struct xhr_cookie *cookie)
{
    bool tail_match;

    if (!parse_bool(fields[TAIL_MATCH], &tail_match))
        return "the second field, whether it is for sub-domains, is neither TRUE nor FALSE";
    if (!parse_bool(fields[SECURE], &cookie->secure))
        return "the fourth field, whether it is Secure, is neither TRUE nor FALSE";
    if (!parse_expires(fields[EXPIRES], &cookie->expires_s))
        return "the fifth field, the expiry, is no number of seconds";
    if (fields[DOMAIN][0] == '.')
        fields[DOMAIN]++;
    if (fields[DOMAIN][0] == '\0')
        return "the domain is missing";
    cookie->host_only = !tail_match;
    cookie->persistent = cookie->expires_s > 0;
    cookie->domain = fields[DOMAIN];
    cookie->path = fields[PATH][0] ? fields[PATH] : "/";
    cookie->name = fields[NAME];
    cookie->value = fields[VALUE];
    return NULL;
}

/* Return: NULL, or what is wrong. */
static const char *read_line(struct cookies_txt *txt, const char *line, size_t len)
{
    char *fields[N_FIELDS];
    char *text = txt->text;
    static char none[] = "";

    txt->cookie = (struct xhr_cookie){.size = sizeof(txt->cookie)};
    if (len > COOKIES_TXT_LINE_MAX)
        return "the line is longer than any cookie can be";
    if (memchr(line, '\0', len))
        return "there is a NUL byte in the line";
    memcpy(text, line, len);
    text[len] = '\0';
    if (line[0] == '#') {
        text += strlen(HTTP_ONLY);
        txt->cookie.http_only = true;
    }
    size_t n = split(text, fields);
    if (n == N_FIELDS - 1) /* some write no tab where the value is empty */
        fields[n++] = none;
    if (n < N_FIELDS && strncmp(txt->text, "Set-Cookie:", 11) == 0)
        return "a Set-Cookie header is no line of a cookies.txt";
    if (n < N_FIELDS)
        return "there are not seven fields with a tab between";
    return read_fields(fields, &txt->cookie);
}

enum cookies_txt_outcome cookies_txt_next(struct cookies_txt *txt)
{
    const char *line;
    size_t len;

    do {
        if (!take_line(txt, &line, &len))
            return COOKIES_TXT_END;
    } while (!says_something(line, len));
    txt->why = read_line(txt, line, len);
    return txt->why ? COOKIES_TXT_REFUSED : COOKIES_TXT_COOKIE;
}

bool cookies_txt_is_text(const char *bytes, size_t len)
{
    const char *stop = memchr(bytes, '\n', len);

    return !memchr(bytes, '\0', stop ? (size_t)(stop - bytes) : len);
}

void cookies_txt_add_head(struct strbuf *out)
{
    strbuf_add_text(out, "# Netscape HTTP Cookie File\n"
                         "# Written by xhrd. Read it with xhr -b or curl -b.\n\n");
}

/* A name or an address; nothing that would make the line a comment, or another cookie. */
static bool is_plain_domain(const char *domain)
{
    return domain[0] && domain[0] != '.' &&
           domain[strspn(domain, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                 "0123456789.-_:[]")] == '\0';
}

static bool can_hold(const struct xhr_cookie *cookie)
{
    size_t len = strlen(cookie->domain) + strlen(cookie->path) + strlen(cookie->name) +
                 strlen(cookie->value);

    return len < COOKIES_TXT_LINE_MAX - 64 && is_plain_domain(cookie->domain) &&
           cookie->name[0] && !strchr(cookie->name, '\t') && !strchr(cookie->value, '\t') &&
           !strchr(cookie->path, '\t');
}

static void add_left_out(struct strbuf *out, const struct xhr_cookie *cookie)
{
    strbuf_add_text(out, "# left out: a cookie of ");
    strbuf_add_shown(out, cookie->domain, strlen(cookie->domain));
    strbuf_add_text(out, cookie->name[0] ? " that no line can hold\n" : " without a name\n");
}

bool cookies_txt_add(struct strbuf *out, const struct xhr_cookie *cookie)
{
    if (!can_hold(cookie)) {
        add_left_out(out, cookie);
        return false;
    }
    strbuf_add_text(out, cookie->http_only ? HTTP_ONLY : "");
    strbuf_add_text(out, cookie->host_only ? "" : ".");
    strbuf_add_text(out, cookie->domain);
    strbuf_add_text(out, cookie->host_only ? "\tFALSE\t" : "\tTRUE\t");
    strbuf_add_text(out, cookie->path);
    strbuf_add_text(out, cookie->secure ? "\tTRUE\t" : "\tFALSE\t");
    strbuf_add_i64(out, cookie->persistent ? cookie->expires_s : 0);
    strbuf_add_char(out, '\t');
    strbuf_add_text(out, cookie->name);
    strbuf_add_char(out, '\t');
    strbuf_add_text(out, cookie->value);
    strbuf_add_char(out, '\n');
    return true;
}
