/* SPDX-License-Identifier: MIT */
#pragma once

/* The files that Credential= names, read at the start and with each reload. */

#include "base/buf.h"
#include "base/cleanup.h"
#include "policy/access_rules.h"

/**
 * credentials_read() - take what the files hold
 * @policy:    NULL is fine
 * @ret_notes: gets a line for each that only the unit could show; NULL: all must be there
 * @ret_error: which line, what was wrong
 *
 * Return: 0; -errno with *ret_error filled.
 */
MUST_CHECK int
credentials_read(struct access_policy *policy, struct buf *ret_notes, struct buf *ret_error);
