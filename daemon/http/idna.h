/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Domain to ASCII (WHATWG URL standard §3.3) by libidn2's UTS #46, the only place that knows
 * of libidn2. Where the two differ RFCs.md says so.
 */

#include "base/buf.h"

enum domain_outcome {
    DOMAIN_OK = 0,
    DOMAIN_E_REFUSED, /* UTS #46 has no ASCII form for it */
};

/**
 * idna_to_ascii() - append the ASCII form of a name
 * @domain: UTF-8 without NUL
 *
 * Return: DOMAIN_OK, DOMAIN_E_REFUSED, or -ENOMEM / -EMSGSIZE. @out is unchanged unless
 * DOMAIN_OK.
 */
MUST_CHECK int idna_to_ascii(struct span domain, struct buf *out);
