/* SPDX-License-Identifier: MIT */
#include "proxy.h"

#include <stdlib.h>

/* The first that is there and not empty; NULL: none. */
static const char *from_environment(const char *first, const char *second)
{
    const char *value = getenv(first);

    if ((!value || !*value) && second)
        value = getenv(second);
    return value && *value ? value : NULL;
}

static void take_environment(struct xhr_request_options *ret)
{
    const char *http = from_environment("http_proxy", NULL);
    const char *https = from_environment("https_proxy", "HTTPS_PROXY");
    const char *all = from_environment("all_proxy", "ALL_PROXY");

    http = http ? http : all;
    https = https ? https : all;
    if (!http && !https)
        return; /* as the daemon is configured */
    ret->proxy = http ? http : "";
    ret->https_proxy = https ? https : "";
}

int proxy_choose(const struct cli_options *options,
                 struct xhr_request_options *ret,
                 struct trouble *why)
{
    if (options->proxy)
        ret->proxy = options->proxy;
    else
        take_environment(ret);
    ret->no_proxy =
        options->noproxy ? options->noproxy : from_environment("no_proxy", "NO_PROXY");
    ret->proxy_tunnel = options->proxy_tunnel;
    ret->proxy_auth_scheme = options->proxy_anyauth  ? XHR_AUTH_ANY
                             : options->proxy_digest ? XHR_AUTH_DIGEST
                                                     : XHR_AUTH_BASIC;
    bool wants_login = options->proxy_user || options->proxy_digest || options->proxy_anyauth ||
                       options->proxy_basic;
    if (wants_login && !ret->proxy)
        return trouble_set(why, EXIT_USAGE,
                           "-U and --proxy-basic, -digest, -anyauth are for a proxy that is "
                           "named: add -x PROXY, or set http_proxy");
    return 0;
}
