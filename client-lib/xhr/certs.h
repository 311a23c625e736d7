/* SPDX-License-Identifier: MIT */
#pragma once

/* The server's certificates, for -v, --events and -w. */

#include "json.h"
#include "strbuf.h"
#include "xhr/xhr.h"

/* "* Server certificate:" and what curl tells under it. Nothing for none. */
void certs_add_report(struct strbuf *out, const struct xhr_tls_info *tls);

/* As an array of objects, "certificates". */
void certs_add_json(struct json *json, const struct xhr_tls_info *tls);

/* %{certs}: each in some lines of text, then as PEM. */
void certs_add_text(struct strbuf *out, const struct xhr_tls_info *tls);

/* "Nov 23 12:11:57 2026 GMT"; "no date" for INT64_MIN. */
void certs_add_date(struct strbuf *out, int64_t seconds);

void certs_add_base64(struct strbuf *out, const unsigned char *bytes, size_t len);
