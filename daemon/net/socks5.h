/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The grammar of SOCKS5 (RFC 1928) and of its login (RFC 1929): what is sent, and how what
 * comes back is read. No descriptor, no waiting: transport/tunnel.c does that.
 *
 * Reading asks for no byte too many, so that the first byte of what the tunnel leads to is
 * never taken for a part of the proxy's words.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/span.h"

#define SOCKS5_NAME_MAX  255 /* bytes: RFC 1928 §4, a length has one byte */
#define SOCKS5_LOGIN_MAX 255 /* bytes of a user and of a password: RFC 1929 §2 */
#define SOCKS5_REPLY_MAX 262 /* bytes of the longest reply: 4, 1 + 255, 2 */

enum socks5_method {
    SOCKS5_METHOD_NONE = 0x00,
    SOCKS5_METHOD_LOGIN = 0x02,
    SOCKS5_METHOD_REFUSED = 0xff, /* none of those offered */
};

/* What we say. Return: 0, -EINVAL (longer than the grammar allows, or empty), -ENOMEM. */
MUST_CHECK int socks5_format_hello(struct buf *out, bool with_login);
MUST_CHECK int socks5_format_login(struct buf *out, struct span user, struct span password);
/* @host: a name, or an address literal, with or without brackets. */
MUST_CHECK int socks5_format_connect(struct buf *out, struct span host, uint16_t port);

enum socks5_outcome {
    SOCKS5_OK = 0,
    SOCKS5_MORE,      /* *ret_need bytes are needed in all to go on */
    SOCKS5_E_VERSION, /* another protocol, or another version of it */
    SOCKS5_E_METHOD,  /* one that was not offered */
    SOCKS5_E_ADDRESS, /* a type of address that there is not */
};

/*
 * What the proxy says. @have: all that has come of it so far, never more than was asked for.
 * Return: SOCKS5_OK, SOCKS5_MORE with *ret_need set, or one of SOCKS5_E_….
 */
MUST_CHECK int socks5_parse_method(struct span have,
                                   bool with_login,
                                   enum socks5_method *ret_method,
                                   size_t *ret_need);
/* *ret_status: 0: logged in. */
MUST_CHECK int socks5_parse_login(struct span have, uint8_t *ret_status, size_t *ret_need);
/* *ret_reply: 0: connected; else there may be no more than these first bytes of the reply. */
MUST_CHECK int socks5_parse_reply(struct span have, uint8_t *ret_reply, size_t *ret_need);

const char *socks5_reply_text(uint8_t reply); /* "connection refused" */
const char *socks5_outcome_text(int outcome); /* what was wrong */
