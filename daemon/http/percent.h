/* SPDX-License-Identifier: MIT */
#pragma once

/* Percent-encoding, and the sets of the WHATWG URL standard §1.3. */

#include "base/buf.h"

/* Each holds the one above it, save that PERCENT_QUERY lacks the '`' of PERCENT_FRAGMENT. */
enum percent_set {
    PERCENT_C0_CONTROL, /* and everything that is not ASCII */
    PERCENT_FRAGMENT,
    PERCENT_QUERY,
    PERCENT_SPECIAL_QUERY,
    PERCENT_PATH,
    PERCENT_USERINFO,
    PERCENT_COMPONENT, /* encodeURIComponent */
};

/* Appends @text; bytes of the set as %XX, the others as they are. '%' is
 * only in PERCENT_COMPONENT: what is encoded already stays so. */
MUST_CHECK int percent_encode(struct buf *out, struct span text, enum percent_set set);

/* Appends @text with each %XX turned into its byte; what is no %XX stays. */
MUST_CHECK int percent_decode(struct buf *out, struct span text);
