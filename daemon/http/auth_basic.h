/* SPDX-License-Identifier: MIT */
#pragma once

/* The value of Authorization and Proxy-Authorization for the Basic scheme: RFC 7617. */

#include "base/buf.h"

#define AUTH_BASIC_PART_MAX 4096 /* bytes of a user-id or of a password */

enum auth_basic_outcome {
    AUTH_BASIC_OK = 0,
    AUTH_BASIC_E_COLON,    /* a ':' in the user-id: the server would cut it there */
    AUTH_BASIC_E_CTL,      /* a control character: RFC 7617 §2 */
    AUTH_BASIC_E_TOO_LONG, /* longer than AUTH_BASIC_PART_MAX */
};

/**
 * auth_basic_format() - append "Basic dXNlcjpwYXNz"
 * @user, @password: UTF-8, sent as they are
 *
 * Return: AUTH_BASIC_OK, another of enum auth_basic_outcome, or -ENOMEM / -EMSGSIZE.
 * @out is unchanged unless AUTH_BASIC_OK.
 */
MUST_CHECK int auth_basic_format(struct buf *out, struct span user, struct span password);

/* What was wrong and what would be right. */
const char *auth_basic_outcome_text(int outcome);
