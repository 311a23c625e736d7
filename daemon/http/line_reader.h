/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The lines of a head or a trailer section, out of input that is cut anywhere. A line that lies
 * in the input in one piece is given from there; one that is cut or folded is put together in a
 * buffer. A line that may fold (RFC 9112 §5.2) is whole only once the byte after it is known.
 */

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/span.h"

struct line_reader {
    size_t line_bytes_max;
    struct buf kept;   /* what is known of a line that is not in one piece */
    size_t line_bytes; /* of the line at hand so far, with its line ends */
    bool is_given;     /* the line at hand was given: the next read begins anew */
    bool is_pending;   /* kept is a whole line that may yet be folded */
    bool is_folded;    /* the line at hand was */
    bool skips_space;  /* at the beginning of a fold */
    bool saw_bare_lf;  /* some line ended without CR; the owner resets it */
};

/* What the lines are part of. */
struct line_section {
    size_t *bytes; /* counts every byte eaten */
    size_t bytes_max;
    bool may_fold;
    bool strict; /* a line ends with CR LF, never with LF alone */
};

enum line_reader_outcome {
    LINE_READER_OK = 0,
    LINE_READER_E_SECTION_LIMIT, /* bytes_max of the section */
    LINE_READER_E_LINE_LIMIT,    /* line_bytes_max */
    LINE_READER_E_BARE_LF,       /* in a strict section */
};

void line_reader_init(struct line_reader *reader, size_t line_bytes_max);
void line_reader_done(struct line_reader *reader);

/* Nothing read yet; storage over @kept_max bytes is given back. */
void line_reader_reset(struct line_reader *reader, size_t kept_max);

/**
 * line_reader_next() - eat from @input up to the end of a line
 * @ret_line:  without its end, folds joined by one space; valid until the next call, and as
 * long as the input
 * @ret_found: whether there is one; if not, all input is eaten
 *
 * Return: LINE_READER_OK, one of enum line_reader_outcome, or -ENOMEM.
 */
MUST_CHECK int line_reader_next(struct line_reader *reader,
                                const struct line_section *section,
                                struct span *input,
                                struct span *ret_line,
                                bool *ret_found);

/* How much of a line whose end has not been seen is kept. */
static inline size_t line_reader_kept(const struct line_reader *reader)
{
    return reader->is_given ? 0 : reader->kept.len;
}
