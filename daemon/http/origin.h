/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Scheme, host and port of an http or https URL (RFC 9110 §4.3.1) as a value that can be
 * copied, compared and used as a key: unused bytes are zero.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/span.h"
#include "http/url.h"

/* A trailing dot, the NUL, even alignment. */
#define ORIGIN_HOST_SIZE (HOST_NAME_BYTES_MAX + 3)
#define ORIGIN_TEXT_SIZE (ORIGIN_HOST_SIZE + 16) /* "https://" and ":65535" */

struct origin {
    uint16_t port; /* never 0 */
    bool is_https;
    bool is_ip;                  /* an address, no name */
    char host[ORIGIN_HOST_SIZE]; /* canonical, IPv6 in brackets, zero-padded */
};

enum origin_outcome {
    ORIGIN_OK = 0,
    ORIGIN_E_SCHEME,    /* neither http nor https */
    ORIGIN_E_HOST_LONG, /* a label of more than 63 bytes or none, or more than 253 in all */
    ORIGIN_E_PORT_ZERO, /* nothing can be connected to there */
};

/**
 * origin_of_url() - whom a request for @url goes to
 *
 * Every URL that is to be fetched passes here, so what WHATWG lets a URL say and no network
 * can do is refused here too.
 *
 * Return: ORIGIN_OK or another of enum origin_outcome.
 */
MUST_CHECK int origin_of_url(const struct url *url, struct origin *ret);

/* What was wrong and what would be right. */
const char *origin_outcome_text(int outcome);

bool origin_eq(const struct origin *a, const struct origin *b);

static inline struct span origin_host(const struct origin *origin)
{
    return span_of(origin->host);
}

static inline bool origin_has_default_port(const struct origin *origin)
{
    return origin->port == (origin->is_https ? 443 : 80);
}

/* "https://h:8443", "http://[::1]"; the scheme's own port is left out. Return: the length. */
size_t origin_format(const struct origin *origin, char ret[ORIGIN_TEXT_SIZE]);

/* "h:8443": what Host and :authority say; the scheme's own port is left out. Return: length. */
size_t origin_format_authority(const struct origin *origin, char ret[ORIGIN_TEXT_SIZE]);
