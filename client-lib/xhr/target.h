/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * What xhr itself must know of a URL: a scheme to put in front, a query to add to, the host for
 * a message, the name of a file. The URL is judged by the daemon.
 */

#include "strbuf.h"

/* Without "scheme://" it gets curl's guess, http://; @query is appended to its query when
 * there is one to append (NULL: none), before the fragment. */
void target_make(struct strbuf *out, const char *url, const char *query);

/* "example.com:443" of a URL with a scheme, without userinfo; the whole when it has no host. */
void target_add_authority(struct strbuf *out, const char *url);

/* The same without the port. */
void target_add_host(struct strbuf *out, const char *url);

bool target_has_userinfo(const char *url);

/* "/path?query" as it stands in the request line. */
void target_add_path(struct strbuf *out, const char *url);

/* The scheme in capitals: "HTTPS". */
void target_add_scheme(struct strbuf *out, const char *url);

/* The last segment of the path, without query; may be empty. */
void target_add_file_name(struct strbuf *out, const char *url);

/* -T: a URL whose path ends in "/" gets the file's name, as curl does it. */
void target_add_upload_name(struct strbuf *url, const char *file);

/* What a Location of @reference means to a page at @base: RFC 3986 §5.2, without a check. */
void target_add_resolved(struct strbuf *out, const char *base, const char *reference);
