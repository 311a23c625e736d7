/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * An IPv4 or IPv6 address with its port: a small value, copied freely.
 *
 * No names here: text that is not an address literal is refused, never looked up.
 */

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "base/span.h"

/* "[" 39 digits and colons "%" zone "]:65535" and the NUL */
#define ADDRESS_TEXT_MAX 80

struct address {
    union {
        struct sockaddr sa; /* sa_family AF_UNSPEC: no address */
        struct sockaddr_in in;
        struct sockaddr_in6 in6;
    };
};

/* Borrowed. */
struct address_list {
    const struct address *at;
    size_t n;
};

/**
 * address_parse() - an address literal, with or without the brackets of IPv6
 * @text: "192.0.2.1", "2001:db8::1", "[2001:db8::1]", "fe80::1%eth0"; IPv4 only in its
 *        four-part decimal form
 * @port: host byte order
 * Return: 0, or -EINVAL when it is something else, a name for example.
 */
MUST_CHECK int address_parse(struct span text, uint16_t port, struct address *ret);

/* Return: 0, or -EAFNOSUPPORT for families other than AF_INET and AF_INET6. */
MUST_CHECK int
address_from_sockaddr(const struct sockaddr *sa, socklen_t len, struct address *ret);

/* "192.0.2.1:443", "[2001:db8::1]:443", "-" for none. Return: @ret. */
const char *address_format(const struct address *address, char ret[ADDRESS_TEXT_MAX]);

/* Family, address, scope and port. Order is total, but means nothing. */
int address_compare(const struct address *a, const struct address *b);

int address_family(const struct address *address);
uint16_t address_port(const struct address *address);
void address_set_port(struct address *address, uint16_t port);
socklen_t address_len(const struct address *address);

/* 127.0.0.0/8, ::1 and ::ffff:127.0.0.0/104. */
bool address_is_loopback(const struct address *address);
