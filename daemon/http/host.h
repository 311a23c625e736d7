/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Hosts by the WHATWG URL standard §3: a name goes through UTS #46 (libidn2), what ends in a
 * number is an IPv4 address in any of its spellings, brackets hold an IPv6 address. What comes
 * out is the one spelling that connect, TLS, cookies and policy all use.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/span.h"

#define HOST_INPUT_MAX      4096 /* bytes of a name before UTS #46, which is not linear */
#define HOST_NAME_BYTES_MAX 253  /* bytes of a name DNS can carry: RFC 1035 §2.3.4 */
#define HOST_LABEL_MAX      63   /* bytes of one label: RFC 1035 §2.3.4 */

enum host_kind {
    HOST_NONE = 0, /* no host, or an empty one */
    HOST_DOMAIN,   /* ASCII, lower case, perhaps with one trailing dot */
    HOST_IPV4,     /* dotted decimal */
    HOST_IPV6,     /* in brackets, as RFC 5952 writes it */
    HOST_OPAQUE,   /* of a scheme that is not special; percent-encoded */
};

enum host_outcome {
    HOST_OK = 0,
    HOST_E_EMPTY,
    HOST_E_TOO_LONG,  /* longer than HOST_INPUT_MAX */
    HOST_E_CHARACTER, /* one that no host can hold */
    HOST_E_IDNA,      /* UTS #46 refuses it */
    HOST_E_IPV4,      /* ends in a number and is no IPv4 address */
    HOST_E_IPV6,      /* brackets without an IPv6 address in them */
};

/**
 * host_parse() - the host parser
 * @text:       as it stands in a URL, percent-encoding and all; valid UTF-8
 * @is_special: of an http, https, ws, wss, ftp or file URL
 * @out:        the canonical spelling is appended
 *
 * Return: HOST_OK, another of enum host_outcome, or -ENOMEM / -EMSGSIZE. @out is unchanged
 * unless HOST_OK.
 */
MUST_CHECK int
host_parse(struct span text, bool is_special, struct buf *out, enum host_kind *ret_kind);

/* What was wrong and what would be right. */
const char *host_outcome_text(int outcome);

/* A host as cookies and certificates know it: canonical, without a trailing dot or brackets. */
struct host_name {
    enum host_kind kind;                /* HOST_DOMAIN, HOST_IPV4 or HOST_IPV6 */
    char text[HOST_NAME_BYTES_MAX + 1]; /* "example.com", "127.0.0.1", "::1" */
};

/**
 * host_name_parse() - canonicalise a host that people or servers wrote (RFC 6265bis §5.1.2)
 * @text: a name, an IPv4 address, an IPv6 address with or without brackets; one trailing dot
 *        is stripped
 *
 * Return: HOST_OK, another of enum host_outcome (HOST_E_TOO_LONG also for what DNS cannot
 * carry), or -ENOMEM.
 */
MUST_CHECK int host_name_parse(struct span text, struct host_name *ret);

/* An address, or a name of letters, digits, "-", "_" and dots. URLs may have more in names that
 * no name server knows; who writes such a thing down as a rule means something else. */
bool host_name_is_plain(const struct host_name *name);

/* Helpers on hosts that are canonical already (url.host, origin.host); they borrow. */
struct span host_strip_dot(struct span host);      /* one trailing dot, if there is one */
struct span host_strip_brackets(struct span host); /* "[::1]" is "::1" */

/* Whether a canonical host is an address and no name; brackets may be there or not. */
bool host_is_ip_literal(struct span host);

/* Labels of 1 to 63 bytes, 253 in all, one trailing dot allowed: what can be asked of DNS. */
bool host_fits_dns(struct span host);
