/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * cookies.txt, the file that Netscape's browser kept and curl and wget still do: one cookie a
 * line, seven fields with a tab between. What a line says is read here; whether there may be
 * such a cookie is the daemon's to judge.
 *
 * The format has no SameSite and no partitions: they are lost in it. Of a nameless cookie, or a
 * value with a tab in it, curl would make another one: such are not written.
 */

#include "strbuf.h"
#include "xhr/xhr.h"

#define COOKIES_TXT_LINE_MAX                                                                   \
    8192 /* bytes: a name, a value, a domain and a path, and to spare */

enum cookies_txt_outcome {
    COOKIES_TXT_END = 0,
    COOKIES_TXT_COOKIE,
    COOKIES_TXT_REFUSED, /* a line that is no cookie; .why says so */
};

struct cookies_txt {
    const char *at, *end;
    size_t line;              /* of the last entry, counted from 1 */
    struct xhr_cookie cookie; /* borrowed until the next call */
    const char *why;          /* "the expiry is no number" */
    char text[COOKIES_TXT_LINE_MAX + 1];
};

/* @bytes are borrowed. */
void cookies_txt_begin(struct cookies_txt *txt, const char *bytes, size_t len);

/* The next line that says something: comments and empty lines are passed over.
 * Return: one of enum cookies_txt_outcome. */
enum cookies_txt_outcome cookies_txt_next(struct cookies_txt *txt);

/* Whether what begins like this can be one: text, and no NUL before its first line's end. */
bool cookies_txt_is_text(const char *bytes, size_t len);

void cookies_txt_add_head(struct strbuf *out);

/* Return: whether the format can hold it; else a comment stands in its place. */
bool cookies_txt_add(struct strbuf *out, const struct xhr_cookie *cookie);
