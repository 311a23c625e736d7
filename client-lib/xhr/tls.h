/* SPDX-License-Identifier: MIT */
#pragma once

/* Versions of TLS, pinned keys and client certificates: curl's flags for them. */

#include "options.h"
#include "strbuf.h"

/* "1.0" … "1.3". Return: 0x0301 … 0x0304, or 0: none of these. */
unsigned tls_version_of(const char *text);

/* "sha256//BASE64", joined by ";": added to @options->pins. Return: 0 or an exit code. */
int tls_add_pins(struct cli_options *options, const char *text, struct trouble *why);

/* The files of -E and --key, one behind the other. Return: 0 or an exit code. */
int tls_load_identity(const struct cli_options *options,
                      struct strbuf *ret,
                      struct trouble *why);
