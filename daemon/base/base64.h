/* SPDX-License-Identifier: MIT */
#pragma once

/* Base64 with padding, RFC 4648 §4. */

#include "base/buf.h"

MUST_CHECK int base64_encode(struct buf *out, struct span bytes);
