/* SPDX-License-Identifier: MIT */
#pragma once

/* UTF-8 by the rules of Unicode table 3-7: no overlongs, no surrogates, nothing past U+10FFFF.
 */

#include <stdint.h>

#include "base/buf.h"

#define UTF8_REPLACEMENT 0xFFFD

/**
 * utf8_next() - decode one code point
 * @text: moved past what was read; must not be empty
 *
 * A malformed sequence yields U+FFFD for each maximal subpart (WHATWG Encoding, "UTF-8
 * decoder") and is reported in *ret_bad.
 */
uint32_t utf8_next(struct span *text, bool *ret_bad);
bool utf8_is_valid(struct span text);

/* For a text in which a peer's words stand, cut anywhere: what is no whole character, or one
 * that steers a terminal, becomes '?'. It grows no longer. */
void utf8_make_presentable(char *text);

/* Appends 1 to 4 bytes. @code_point must be a scalar value. */
MUST_CHECK int utf8_append(struct buf *out, uint32_t code_point);
