/* SPDX-License-Identifier: MIT */
#include "netrc.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct reader {
    const char *at;
    unsigned line;
    bool at_line_start;
    bool is_quoted; /* the last token was: no keyword */
    char token[NETRC_TOKEN_MAX + 1];
};

struct entry {
    bool fits;
    bool has_user;
    bool has_password;
    char user[NETRC_TOKEN_MAX + 1];
    char password[NETRC_TOKEN_MAX + 1];
};

static void skip_line(struct reader *reader)
{
    reader->at += strcspn(reader->at, "\n");
}

static void skip_blanks(struct reader *reader)
{
    for (; *reader->at; reader->at++) {
        if (*reader->at == '\n') {
            reader->line++;
            reader->at_line_start = true;
        } else if (!strchr(" \t\r,", *reader->at)) {
            return;
        }
    }
}

static bool add(struct reader *reader, size_t *len, char c)
{
    if (*len == NETRC_TOKEN_MAX)
        return false;
    reader->token[(*len)++] = c;
    return true;
}

static char escaped(char c)
{
    return c == 'n' ? '\n' : c == 'r' ? '\r' : c == 't' ? '\t' : c;
}

static bool take_quoted(struct reader *reader)
{
    size_t len = 0;

    for (reader->at++; *reader->at != '"'; reader->at++) {
        char c = *reader->at;

        if (c == '\\' && reader->at[1])
            c = escaped(*++reader->at);
        else if (c == '\0' || c == '\n')
            return false;
        if (!add(reader, &len, c))
            return false;
    }
    reader->at++;
    reader->token[len] = '\0';
    return true;
}

static bool take_plain(struct reader *reader)
{
    size_t len = 0;

    for (; *reader->at && !strchr(" \t\r\n", *reader->at); reader->at++) {
        if (!add(reader, &len, *reader->at))
            return false;
    }
    reader->token[len] = '\0';
    return true;
}

/* Return: 1 a token, 0 the end, -EINVAL. */
static int next(struct reader *reader)
{
    skip_blanks(reader);
    while (*reader->at == '#' && reader->at_line_start) {
        skip_line(reader);
        skip_blanks(reader);
    }
    if (!*reader->at)
        return 0;
    reader->at_line_start = false;
    reader->is_quoted = *reader->at == '"';
    return (reader->is_quoted ? take_quoted(reader) : take_plain(reader)) ? 1 : -EINVAL;
}

/* Up to an empty line. */
static void skip_macro(struct reader *reader)
{
    do {
        skip_line(reader);
        if (!*reader->at)
            return;
        reader->at++;
        reader->line++;
    } while (*reader->at && *reader->at != '\n' && *reader->at != '\r');
    reader->at_line_start = true;
}

static bool is_word(const struct reader *reader, const char *word)
{
    return !reader->is_quoted && strcasecmp(reader->token, word) == 0;
}

static void keep(const struct reader *reader, char *to, bool *has)
{
    memcpy(to, reader->token, strlen(reader->token) + 1);
    *has = true;
}

/* login, password, account: a word and its value. Return: 0 or -EINVAL. */
static int take_value(struct reader *reader, struct entry *entry)
{
    bool is_login = is_word(reader, "login");
    bool is_password = is_word(reader, "password");

    if (!is_login && !is_password && !is_word(reader, "account"))
        return -EINVAL;
    if (next(reader) != 1)
        return -EINVAL;
    if (entry->fits && is_login)
        keep(reader, entry->user, &entry->has_user);
    else if (entry->fits && is_password)
        keep(reader, entry->password, &entry->has_password);
    return 0;
}

/* Return: 1 the entry before this one is it; 0; -EINVAL. */
static int take_word(struct reader *reader, const char *host, struct entry *entry)
{
    bool is_machine = is_word(reader, "machine");

    if (is_machine || is_word(reader, "default")) {
        if (entry->fits)
            return 1;
        if (is_machine && next(reader) != 1)
            return -EINVAL;
        entry->fits = !is_machine || strcasecmp(reader->token, host) == 0;
        return 0;
    }
    if (is_word(reader, "macdef")) {
        skip_macro(reader);
        return 0;
    }
    return take_value(reader, entry);
}

static int find(struct reader *reader, const char *host, struct entry *entry)
{
    int r = 0;
    int more = next(reader);

    while (more == 1 && r == 0) {
        r = take_word(reader, host, entry);
        if (r == 0)
            more = next(reader);
    }
    return more < 0 ? more : r;
}

int netrc_find(const char *text,
               const char *host,
               char **ret_user,
               char **ret_password,
               unsigned *ret_line)
{
    struct reader reader = {.at = text, .line = 1, .at_line_start = true};
    struct entry entry = {0};
    int r = find(&reader, host, &entry);

    *ret_line = reader.line;
    if (r < 0)
        r = NETRC_E_SYNTAX;
    else if (!entry.fits || (!entry.has_user && !entry.has_password))
        r = NETRC_NONE;
    else
        r = NETRC_FOUND;
    if (r == NETRC_FOUND) {
        *ret_user = strdup(entry.user);
        *ret_password = strdup(entry.password);
        if (!*ret_user || !*ret_password)
            r = -ENOMEM;
    }
    explicit_bzero(&entry, sizeof(entry));
    explicit_bzero(reader.token, sizeof(reader.token));
    return r;
}
