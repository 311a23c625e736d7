/* SPDX-License-Identifier: MIT */
#pragma once

/* The command line of xhrctl: a command of one or two words, perhaps something it is about, and
 * flags anywhere. */

#include <stdbool.h>
#include <stddef.h>

#include "strbuf.h"
#include "trouble.h"

enum ctl_command {
    CTL_NONE,
    CTL_STATUS,
    CTL_SHOW_CLIENTS,
    CTL_SHOW_REQUESTS,
    CTL_SHOW_CONNECTIONS,
    CTL_SHOW_POOLS,
    CTL_COOKIES_LIST,
    CTL_COOKIES_CLEAR,
    CTL_HSTS_LIST,
    CTL_HSTS_RM,
    CTL_CACHE_SHOW,
    CTL_CACHE_CLEAR,
};

struct ctl_options {
    enum ctl_command command;
    const char *argument; /* what the command wants behind its words: a host, a URL */
    const char *socket_path;
    bool json;
    const char *jar;
    const char *domain;
    const char *name;
    const char *path;
    const char *host;
    bool values;
    bool help;
    bool version;
};

/* Return: 0 or EXIT_USAGE with *why filled. */
int ctl_options_parse(char **argv, struct ctl_options *ret, struct trouble *why);

void ctl_options_help(struct strbuf *out);
