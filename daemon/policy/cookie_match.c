/* SPDX-License-Identifier: MIT */
#include "policy/cookie_match.h"

#include "http/host.h"

bool cookie_domain_matches(struct span host, struct span domain)
{
    if (span_eq(host, domain))
        return true;
    return domain.len > 0 && host.len > domain.len && span_ends_with(host, domain) &&
           host.ptr[host.len - domain.len - 1] == '.' && !host_is_ip_literal(host);
}

bool cookie_path_matches(struct span request_path, struct span cookie_path)
{
    if (request_path.len == 0)
        request_path = SPAN_LIT("/");
    if (!span_starts_with(request_path, cookie_path) || cookie_path.len == 0)
        return false;
    return request_path.len == cookie_path.len || cookie_path.ptr[cookie_path.len - 1] == '/' ||
           request_path.ptr[cookie_path.len] == '/';
}

struct span cookie_default_path(struct span url_path)
{
    size_t end = url_path.len;

    if (end == 0 || url_path.ptr[0] != '/')
        return SPAN_LIT("/");
    while (url_path.ptr[end - 1] != '/')
        end--;
    return end == 1 ? span_take(url_path, 1) : span_take(url_path, end - 1);
}
