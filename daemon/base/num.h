/* SPDX-License-Identifier: MIT */
#pragma once

/* Strict numbers: digits only, no sign, no space, no overflow. */

#include <stdint.h>

#include "base/cleanup.h"
#include "base/span.h"

/* Return: 0, or -EINVAL (not a plain number) / -ERANGE (greater than @max). */
MUST_CHECK int num_parse_u64(struct span text, uint64_t max, uint64_t *ret);
MUST_CHECK int num_parse_hex_u64(struct span text, uint64_t max, uint64_t *ret);
