/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Which charset a text is in: the names and labels are those of the WHATWG Encoding Standard,
 * its tables are made from charsets/encodings.txt.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum xhr_charset_kind {
    XHR_CHARSET_UTF8,
    XHR_CHARSET_UTF16LE,
    XHR_CHARSET_UTF16BE,
    XHR_CHARSET_TABLE, /* a byte is a character */
    XHR_CHARSET_ICONV,
    XHR_CHARSET_USER_DEFINED,
    XHR_CHARSET_REPLACEMENT, /* what must not be decoded: ISO-2022-KR and its like */
};

/* No pointers: what needs no relocation costs a fresh process no page of its own. */
struct xhr_charset {
    char name[16];
    enum xhr_charset_kind kind;
    uint8_t table;       /* in xhr_charset_tables, of XHR_CHARSET_TABLE */
    char iconv_name[12]; /* libc's word for it */
};

struct xhr_charset_label {
    char label[20];  /* lower case */
    uint8_t charset; /* in xhr_charsets */
};

extern const uint16_t xhr_charset_tables[][128]; /* of 0x80 to 0xff */
extern const struct xhr_charset xhr_charsets[];
extern const struct xhr_charset_label xhr_charset_labels[];
extern const size_t xhr_n_charset_labels;

/* By one of its labels, in any case, blanks around it. NULL: nobody knows it. */
const struct xhr_charset *xhr_charset_find(const char *label, size_t len);

/* By the byte order mark at the front of a text, whose length is *ret_len; NULL: there is none.
 */
const struct xhr_charset *xhr_charset_of_mark(const uint8_t *text, size_t len, size_t *ret_len);

/* By the charset parameter of a Content-Type; NULL: it has none that is known. */
const struct xhr_charset *xhr_charset_of_type(const char *type);

/* By what the text says of itself at its top: an XML declaration, or a meta element as HTML's
 * prescan finds it. NULL: nothing, or it is neither by its type. */
const struct xhr_charset *
xhr_charset_of_text(const char *type, const uint8_t *text, size_t len);
