/* SPDX-License-Identifier: MIT */
#pragma once

/* The files that Credential= names, read at the start and with each reload. */

#include "base/buf.h"
#include "base/cleanup.h"
#include "policy/access_rules.h"

/* @policy: NULL is fine. Return: 0; -errno with *ret_error filled: which line, what was wrong.
 */
MUST_CHECK int credentials_read(struct access_policy *policy, struct buf *ret_error);
