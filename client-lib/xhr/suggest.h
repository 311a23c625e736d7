/* SPDX-License-Identifier: MIT */
#pragma once

#include <stddef.h>

/* How many insertions, deletions, replacements and swaps of neighbours make @a into @b; more
 * than any when one of them is too long for a name. */
size_t name_distance(const char *a, const char *b);
