/* SPDX-License-Identifier: MIT */
#pragma once

/* Addresses as text: the IPv4 and IPv6 parsers and serialisers of the WHATWG URL standard §3.
 */

#include <stdint.h>

#include "base/cleanup.h"
#include "base/span.h"

#define IPV4_TEXT_SIZE 16 /* "255.255.255.255" and its NUL */
#define IPV6_TEXT_SIZE 40 /* eight groups of four and its NUL */

/* Whether the last label is a number: then the host is an IPv4 address or nothing. */
bool ipv4_is_meant(struct span host);

/* Decimal, octal (0…) and hexadecimal (0x…) numbers, one to four of them, the last filling the
 * bytes that are left: "0x7f.1" is 127.0.0.1. Return: 0, or -EINVAL. */
MUST_CHECK int ipv4_parse(struct span text, uint32_t *ret);
size_t ipv4_format(uint32_t address, char ret[IPV4_TEXT_SIZE]); /* Return: the length */

/* RFC 4291 §2.2, no zone. Return: 0, or -EINVAL. */
MUST_CHECK int ipv6_parse(struct span text, uint16_t ret[8]);
size_t ipv6_format(const uint16_t groups[8], char ret[IPV6_TEXT_SIZE]); /* RFC 5952 */
