/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Strict-Transport-Security grammar (RFC 6797 §6.1): one field value in, what it asks for out.
 *
 * Pure. Whether it may be believed (over TLS, with a certificate that was verified, not from an
 * address) is the business of fetch/ and policy/hsts; so is that only the first field of an
 * answer counts (§8.1).
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/span.h"

/* A greater max-age is this one: RFC 9111 §1.2.2 names the number for delta-seconds. 68 years.
 */
#define HSTS_MAX_AGE_MAX INT64_C(2147483648)

struct hsts_header {
    int64_t max_age_s; /* 0: forget the host */
    bool include_subdomains;
};

enum hsts_header_outcome {
    HSTS_HEADER_OK = 0,
    HSTS_HEADER_E_SYNTAX,     /* not the grammar, or max-age is no number */
    HSTS_HEADER_E_REPEATED,   /* a directive that we know came twice: §6.1 requirement 2 */
    HSTS_HEADER_E_NO_MAX_AGE, /* the one directive that must be there */
};

/**
 * hsts_header_parse() - parse one Strict-Transport-Security value
 * @field: the value, without the field name; any bytes
 * @ret:   filled on HSTS_HEADER_OK, untouched otherwise
 *
 * Directives come in any order and case; unknown ones are skipped, whatever their number.
 *
 * Return: one of enum hsts_header_outcome. All but OK: the field is to be ignored (§8.1).
 */
MUST_CHECK int hsts_header_parse(struct span field, struct hsts_header *ret);

const char *hsts_header_outcome_text(int outcome);
