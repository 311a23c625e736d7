/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Rows of things, shown in one of two ways: as a table with aligned columns for people, or as
 * a JSON array with one object a line for programs. Whoever has a row describes it once, as
 * cells.
 */

#include "json.h"

enum cell_kind {
    CELL_TEXT, /* bytes from anywhere: shown with control characters escaped */
    CELL_NUMBER,
    CELL_BYTES,
    CELL_SECONDS,
    CELL_MICROSECONDS,
    CELL_BOOL,
    CELL_DATE,   /* Unix time */
    CELL_HIDDEN, /* there is a value, and it is not shown: **** and null */
};

#define CELL_OF_JSON 1u /* not shown in the table: there is not room for everything */
#define CELL_NONE    2u /* no value: "-" and null */

struct cell {
    const char *key; /* in JSON; in capitals the title of the column */
    enum cell_kind kind;
    unsigned flags;
    const void *bytes; /* TEXT */
    size_t len;
    int64_t number; /* of all others */
};

struct listing {
    bool json;
    size_t n_rows;
    struct json writer;
    struct strbuf text; /* JSON, or NUL-separated cells of the table */
    size_t n_columns;   /* of the table */
    const char *titles[16];
    bool right[16];
};

void listing_begin(struct listing *listing, bool json);
void listing_add(struct listing *listing, const struct cell *cells, size_t n);

/* Adds the finished listing to @out; @empty is what a table says that has no rows. */
void listing_end(struct listing *listing, const char *empty, struct strbuf *out);

/* One object: {"key": …} or lines of "key  value". */
void listing_show_one(const struct cell *cells, size_t n, bool json, struct strbuf *out);

void listing_add_duration(struct strbuf *out, uint64_t seconds); /* 1h02m */

void listing_done(struct listing *listing);
