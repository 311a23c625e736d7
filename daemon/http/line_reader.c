/* SPDX-License-Identifier: MIT */
#include "http/line_reader.h"

void line_reader_init(struct line_reader *reader, size_t line_bytes_max)
{
    *reader = (struct line_reader){.line_bytes_max = line_bytes_max};
}

void line_reader_done(struct line_reader *reader)
{
    buf_done(&reader->kept);
}

void line_reader_reset(struct line_reader *reader, size_t kept_max)
{
    if (reader->kept.capacity > kept_max)
        buf_done(&reader->kept);
    else
        buf_clear(&reader->kept);
    *reader = (struct line_reader){
        .line_bytes_max = reader->line_bytes_max,
        .kept = reader->kept,
    };
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t';
}

static void begin(struct line_reader *reader)
{
    buf_clear(&reader->kept);
    reader->line_bytes = 0;
    reader->is_given = false;
    reader->is_pending = false;
    reader->is_folded = false;
    reader->skips_space = false;
}

static bool kept_ends_with(const struct line_reader *reader, char c)
{
    struct span kept = buf_span(&reader->kept);

    return kept.len > 0 && kept.ptr[kept.len - 1] == c;
}

/* The line end and the white space on both its sides become one space. */
static int fold(struct line_reader *reader)
{
    while (kept_ends_with(reader, ' ') || kept_ends_with(reader, '\t'))
        reader->kept.len--;
    reader->is_pending = false;
    reader->is_folded = true;
    reader->skips_space = true;
    return buf_append_char(&reader->kept, ' ');
}

static int keep(struct line_reader *reader, struct span piece)
{
    if (reader->skips_space) {
        while (piece.len > 0 && is_space(piece.ptr[0]))
            piece = span_drop(piece, 1);
        reader->skips_space = piece.len == 0;
    }
    return buf_append(&reader->kept, piece);
}

static int end_without_cr(struct line_reader *reader, const struct line_section *section)
{
    if (section->strict)
        return LINE_READER_E_BARE_LF;
    reader->saw_bare_lf = true;
    return LINE_READER_OK;
}

/* Takes what there is of the line from the input. *ret_piece is without the LF. */
static int take(struct line_reader *reader,
                const struct line_section *section,
                struct span *input,
                struct span *ret_piece,
                bool *ret_has_lf)
{
    size_t line_room = reader->line_bytes_max - reader->line_bytes;
    size_t section_room = section->bytes_max - *section->bytes;
    struct span window = span_take(*input, line_room < section_room ? line_room : section_room);
    const char *lf = window.len > 0 ? memchr(window.ptr, '\n', window.len) : NULL;

    if (!lf && window.len < input->len)
        return section_room <= line_room ? LINE_READER_E_SECTION_LIMIT
                                         : LINE_READER_E_LINE_LIMIT;
    size_t n = lf ? (size_t)(lf - window.ptr) + 1 : window.len;
    *input = (struct span){input->ptr + n, input->len - n};
    reader->line_bytes += n;
    *section->bytes += n;
    *ret_piece = span_take(window, lf ? n - 1 : n);
    *ret_has_lf = lf != NULL;
    return LINE_READER_OK;
}

/* @line: a whole line that lies in the input, without its LF. */
static int end_in_place(struct line_reader *reader,
                        const struct line_section *section,
                        const struct span *input,
                        struct span *line)
{
    if (line->len > 0 && line->ptr[line->len - 1] == '\r') {
        line->len--;
    } else {
        int r = end_without_cr(reader, section);
        if (r != LINE_READER_OK)
            return r;
    }
    bool is_whole =
        line->len == 0 || !section->may_fold || (input->len > 0 && !is_space(input->ptr[0]));
    reader->is_given = is_whole;
    reader->is_pending = !is_whole;
    return is_whole ? LINE_READER_OK : buf_append(&reader->kept, *line);
}

/* @piece: the last of a line whose beginning is kept, without its LF. */
static int
end_kept(struct line_reader *reader, const struct line_section *section, struct span piece)
{
    int r = keep(reader, piece);

    if (r < 0)
        return r;
    if (kept_ends_with(reader, '\r'))
        reader->kept.len--;
    else
        r = end_without_cr(reader, section);
    reader->is_pending = section->may_fold && reader->kept.len > 0;
    reader->is_given = !reader->is_pending;
    return r;
}

static int read_on(struct line_reader *reader,
                   const struct line_section *section,
                   struct span *input,
                   struct span *ret_line)
{
    bool is_in_place = reader->line_bytes == 0;
    struct span piece;
    bool has_lf;

    int r = take(reader, section, input, &piece, &has_lf);
    if (r != LINE_READER_OK)
        return r;
    if (!has_lf)
        return keep(reader, piece);
    if (is_in_place) {
        r = end_in_place(reader, section, input, &piece);
        *ret_line = piece;
    } else {
        r = end_kept(reader, section, piece);
        *ret_line = buf_span(&reader->kept);
    }
    return r;
}

int line_reader_next(struct line_reader *reader,
                     const struct line_section *section,
                     struct span *input,
                     struct span *ret_line,
                     bool *ret_found)
{
    struct span line = {0};

    if (reader->is_given)
        begin(reader);
    while (input->len > 0 && !reader->is_given) {
        int r = 0;

        if (reader->is_pending && !is_space(input->ptr[0])) {
            line = buf_span(&reader->kept);
            reader->is_given = true;
            break;
        }
        if (reader->is_pending)
            r = fold(reader);
        if (r == 0)
            r = read_on(reader, section, input, &line);
        if (r != 0)
            return r;
    }
    *ret_line = line;
    *ret_found = reader->is_given;
    return LINE_READER_OK;
}
