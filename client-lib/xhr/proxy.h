/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Which proxy: -x, else the environment as curl reads it. http_proxy counts in lower case only,
 * for in a CGI program HTTP_PROXY is what a stranger wrote into a header (CVE-2016-5386).
 */

#include "options.h"
#include "trouble.h"
#include "xhr/xhr.h"

/**
 * proxy_choose() - fill what is said of proxies; everything is borrowed
 * @ret: username and password of the proxy are there already
 * Return: 0 or EXIT_USAGE with *why filled.
 */
int proxy_choose(const struct cli_options *options,
                 struct xhr_request_options *ret,
                 struct trouble *why);
