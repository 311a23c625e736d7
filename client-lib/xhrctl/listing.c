/* SPDX-License-Identifier: MIT */
#include "listing.h"

#include <string.h>
#include <time.h>

void listing_add_duration(struct strbuf *out, uint64_t seconds)
{
    uint64_t big = seconds, small = 0;
    char big_unit = 's', small_unit = 0;

    if (seconds >= 86400) {
        big = seconds / 86400, small = seconds / 3600 % 24;
        big_unit = 'd', small_unit = 'h';
    } else if (seconds >= 3600) {
        big = seconds / 3600, small = seconds / 60 % 60;
        big_unit = 'h', small_unit = 'm';
    } else if (seconds >= 60) {
        big = seconds / 60, small = seconds % 60;
        big_unit = 'm', small_unit = 's';
    }
    strbuf_add_u64(out, big);
    strbuf_add_char(out, big_unit);
    if (small_unit) {
        strbuf_add_padded(out, small, 2);
        strbuf_add_char(out, small_unit);
    }
}

static void add_short_duration(struct strbuf *out, uint64_t us)
{
    if (us >= UINT64_C(60) * 1000000) {
        listing_add_duration(out, us / 1000000);
    } else if (us >= 1000000) {
        strbuf_add_u64(out, us / 1000000);
        strbuf_add_char(out, '.');
        strbuf_add_u64(out, us / 100000 % 10);
        strbuf_add_char(out, 's');
    } else {
        strbuf_add_u64(out, us / 1000);
        strbuf_add_text(out, "ms");
    }
}

/* 2026-10-03T12:00:00Z; what no calendar has is shown as a number. */
static void add_date(struct strbuf *out, int64_t unix_s)
{
    time_t time = (time_t)unix_s;
    struct tm tm;
    char text[40];

    if (gmtime_r(&time, &tm) && strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm) > 0)
        strbuf_add_text(out, text);
    else
        strbuf_add_i64(out, unix_s);
}

static void add_shown(struct strbuf *out, const struct cell *cell)
{
    uint64_t number = cell->number < 0 ? 0 : (uint64_t)cell->number;

    if ((cell->flags & CELL_NONE) || (cell->kind == CELL_TEXT && cell->len == 0)) {
        strbuf_add_char(out, '-');
        return;
    }
    switch (cell->kind) {
    case CELL_TEXT: strbuf_add_shown(out, cell->bytes, cell->len); break;
    case CELL_NUMBER: strbuf_add_i64(out, cell->number); break;
    case CELL_BYTES: strbuf_add_size(out, number); break;
    case CELL_SECONDS: listing_add_duration(out, number); break;
    case CELL_MICROSECONDS: add_short_duration(out, number); break;
    case CELL_BOOL: strbuf_add_text(out, cell->number ? "yes" : "no"); break;
    case CELL_DATE: add_date(out, cell->number); break;
    case CELL_HIDDEN: strbuf_add_text(out, "****"); break;
    }
}

static void add_json_value(struct json *json, const struct cell *cell)
{
    if (cell->flags & CELL_NONE) {
        json_null(json, cell->key);
        return;
    }
    switch (cell->kind) {
    case CELL_TEXT: json_bytes(json, cell->key, cell->bytes, cell->len); break;
    case CELL_BOOL: json_bool(json, cell->key, cell->number != 0); break;
    case CELL_HIDDEN: json_null(json, cell->key); break;
    case CELL_NUMBER:
    case CELL_BYTES:
    case CELL_SECONDS:
    case CELL_MICROSECONDS:
    case CELL_DATE: json_i64(json, cell->key, cell->number); break;
    }
}

static void add_object(struct json *json, const struct cell *cells, size_t n)
{
    json_object_begin(json, NULL);
    for (size_t i = 0; i < n; i++)
        add_json_value(json, &cells[i]);
    json_object_end(json);
}

void listing_begin(struct listing *listing, bool json)
{
    *listing = (struct listing){.json = json};
    listing->writer.out = &listing->text;
    if (json)
        json_array_begin(&listing->writer, NULL);
}

static bool is_right(const struct cell *cell)
{
    return cell->kind != CELL_TEXT && cell->kind != CELL_BOOL && cell->kind != CELL_DATE &&
           cell->kind != CELL_HIDDEN;
}

static void add_table_row(struct listing *listing, const struct cell *cells, size_t n)
{
    const size_t columns_max = sizeof(listing->titles) / sizeof(listing->titles[0]);
    size_t column = 0;

    for (size_t i = 0; i < n && column < columns_max; i++) {
        if (cells[i].flags & CELL_OF_JSON)
            continue;
        listing->titles[column] = cells[i].key;
        listing->right[column++] = is_right(&cells[i]);
        add_shown(&listing->text, &cells[i]);
        strbuf_add_char(&listing->text, '\0');
    }
    listing->n_columns = column;
}

void listing_add(struct listing *listing, const struct cell *cells, size_t n)
{
    listing->n_rows++;
    if (listing->json) {
        strbuf_add_text(&listing->text, listing->n_rows > 1 ? ",\n" : "\n");
        listing->writer.comma = false; /* it stands there, before the line's end */
        add_object(&listing->writer, cells, n);
    } else {
        add_table_row(listing, cells, n);
    }
}

/* Characters, not bytes; good enough for what stands in a table. */
static size_t width_of(const char *text)
{
    size_t width = 0;

    for (; *text; text++)
        width += ((unsigned char)*text & 0xC0) != 0x80;
    return width;
}

static void add_title(struct strbuf *out, const char *key)
{
    for (; *key; key++) {
        if (*key == '_')
            strbuf_add_char(out, ' ');
        else
            strbuf_add_char(out, (char)(*key >= 'a' && *key <= 'z' ? *key & ~0x20 : *key));
    }
}

static void add_spaces(struct strbuf *out, size_t n)
{
    while (n-- > 0)
        strbuf_add_char(out, ' ');
}

struct widths {
    size_t of[16];
};

static struct widths measure(const struct listing *listing)
{
    const char *cell = strbuf_text(&listing->text);
    struct widths widths = {0};

    for (size_t i = 0; i < listing->n_columns; i++)
        widths.of[i] = width_of(listing->titles[i]);
    for (size_t i = 0; i < listing->n_rows * listing->n_columns; i++) {
        size_t *width = &widths.of[i % listing->n_columns];
        size_t own = width_of(cell);

        *width = own > *width ? own : *width;
        cell += strlen(cell) + 1;
    }
    return widths;
}

static void add_table_cell(struct strbuf *out,
                           const struct listing *listing,
                           const struct widths *widths,
                           size_t column,
                           const char *text)
{
    size_t gap = widths->of[column] - width_of(text);
    bool last = column + 1 == listing->n_columns;

    if (listing->right[column])
        add_spaces(out, gap);
    strbuf_add_text(out, text);
    if (!listing->right[column] && !last)
        add_spaces(out, gap);
    strbuf_add_text(out, last ? "\n" : "  ");
}

static void add_table(const struct listing *listing, struct strbuf *out)
{
    struct widths widths = measure(listing);
    const char *cell = strbuf_text(&listing->text);
    struct strbuf title = {0};

    for (size_t i = 0; i < listing->n_columns; i++) {
        strbuf_clear(&title);
        add_title(&title, listing->titles[i]);
        add_table_cell(out, listing, &widths, i, strbuf_text(&title));
    }
    for (size_t i = 0; i < listing->n_rows * listing->n_columns; i++) {
        add_table_cell(out, listing, &widths, i % listing->n_columns, cell);
        cell += strlen(cell) + 1;
    }
    strbuf_done(&title);
}

void listing_end(struct listing *listing, const char *empty, struct strbuf *out)
{
    if (listing->json) {
        strbuf_add_text(&listing->text, listing->n_rows > 0 ? "\n" : "");
        json_array_end(&listing->writer);
        strbuf_add_char(&listing->text, '\n');
        strbuf_add(out, listing->text.bytes, listing->text.len);
    } else if (listing->n_rows == 0) {
        strbuf_add_text(out, empty);
        strbuf_add_char(out, '\n');
    } else if (!listing->text.failed) {
        add_table(listing, out);
    }
    out->failed |= listing->text.failed;
}

void listing_done(struct listing *listing)
{
    strbuf_done(&listing->text);
}

void listing_show_one(const struct cell *cells, size_t n, bool json, struct strbuf *out)
{
    struct json writer = {.out = out};

    if (json) {
        add_object(&writer, cells, n);
        strbuf_add_char(out, '\n');
        return;
    }
    for (size_t i = 0; i < n; i++) {
        size_t start = out->len;

        if (cells[i].flags & CELL_OF_JSON)
            continue;
        for (const char *c = cells[i].key; *c; c++)
            strbuf_add_char(out, (char)(*c == '_' ? ' ' : *c));
        strbuf_add_char(out, ':');
        while (out->len - start < 26 && !out->failed)
            strbuf_add_char(out, ' ');
        add_shown(out, &cells[i]);
        strbuf_add_char(out, '\n');
    }
}
