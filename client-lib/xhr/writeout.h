/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * -w: curl's little language. %{variable}, %header{name}, \n \r \t, %%; %{stdout} and %{stderr}
 * say where the rest goes, %{onerror} shows the rest only after a failure.
 */

#include "strbuf.h"
#include "trouble.h"

/* One finished transfer, as far as xhr_request does not know it itself. */
struct writeout_view {
    struct xhr_request *request;
    const char *url;               /* as given */
    const char *effective_url;     /* as asked for: what curl says when there was no answer */
    const char *file;              /* written to; NULL: standard output */
    const char *referer;           /* NULL: none */
    uint64_t number;               /* of the URL, from 0 */
    uint64_t redirect_us;          /* spent on redirects */
    uint64_t retries;              /* tries before this one */
    const struct xhr_error *error; /* NULL: none */
    const struct trouble *trouble;
};

/* @format: as given; "@file" is read into *ret, everything else copied. Unknown variables are
 * refused here, before anything is sent. Return: 0 or an exit code with *why filled. */
int writeout_load(const char *format, struct strbuf *ret, struct trouble *why);

/* Whether it shows the server's certificates, which must be asked for. */
bool writeout_wants_certificates(const char *format);

/* What goes to either stream. */
void writeout_format(const char *format,
                     const struct writeout_view *view,
                     struct strbuf *out,
                     struct strbuf *err);
