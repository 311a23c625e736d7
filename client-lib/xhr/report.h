/* SPDX-License-Identifier: MIT */
#pragma once

/* The header of an answer as text: for -i, -D and -v. */

#include "strbuf.h"
#include "xhr/xhr.h"

/* "HTTP/1.1 200 OK\r\n", the fields as they came, an empty line. */
/* Fields that came behind the body, as curl shows them. */
void report_trailers(struct strbuf *out, const struct xhr_request *request);
void report_head(struct strbuf *out, const struct xhr_request *request);

/* curl's -v: "* Connected …", "> GET …", "< HTTP/1.1 …". @url: that was asked for. */
void report_exchange(struct strbuf *out, const struct xhr_request *request, const char *url);

/* A step down, when it is taken. */
void report_rung(struct strbuf *out, const struct xhr_tls_rung *rung);

void report_redirect(struct strbuf *out, const struct xhr_redirect *redirect);
