/* SPDX-License-Identifier: MIT */
#pragma once

/* --resolve and --connect-to: curl's colon-separated words. */

#include "options.h"

/* "[+]host:port:addr[,addr]…". Return: 0 or an exit code with *why filled. */
int network_add_resolve(struct cli_options *options, const char *text, struct trouble *why);

/* "host1:port1:host2:port2", each may be empty. Return: the same. */
int network_add_connect_to(struct cli_options *options, const char *text, struct trouble *why);
