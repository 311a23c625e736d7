/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The three string rules of RFC 6265bis §5.1: whether a host belongs to a cookie's domain,
 * whether a path lies under a cookie's path, and what path a cookie gets that names none.
 *
 * Hosts and domains are canonical (lower case, no trailing dot); addresses never match as a
 * domain, only as the same host.
 */

#include <stdbool.h>

#include "base/cleanup.h"
#include "base/span.h"

/* RFC 6265bis §5.1.3. */
bool cookie_domain_matches(struct span host, struct span domain);

/* RFC 6265bis §5.1.4. An empty @request_path is "/". */
bool cookie_path_matches(struct span request_path, struct span cookie_path);

/* RFC 6265bis §5.1.4: a part of @url_path up to its last '/', or "/". */
struct span cookie_default_path(struct span url_path);
