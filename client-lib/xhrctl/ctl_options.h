/* SPDX-License-Identifier: MIT */
#pragma once

/* The command line of xhrctl: a command of one or two words, perhaps up to three about what,
 * and flags anywhere. */

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
    CTL_SHOW_TLS_SESSIONS,
    CTL_COOKIES_LIST,
    CTL_COOKIES_CLEAR,
    CTL_COOKIES_GET,
    CTL_COOKIES_SET,
    CTL_COOKIES_RM,
    CTL_COOKIES_IMPORT,
    CTL_COOKIES_EXPORT,
    CTL_COOKIES_WATCH,
    CTL_JAR_LIST,
    CTL_JAR_CREATE,
    CTL_JAR_RM,
    CTL_JAR_GRANT,
    CTL_JAR_REVOKE,
    CTL_SESSION_END,
    CTL_HSTS_LIST,
    CTL_HSTS_RM,
    CTL_CACHE_SHOW,
    CTL_CACHE_CLEAR,
    CTL_PURGE_USER,
    CTL_METRICS,
    CTL_DRAIN,
    CTL_RELOAD,
    CTL_LOG_LEVEL,
    CTL_SHOW_FDS,
    CTL_SHOW_MEMORY,
    CTL_MONITOR,
    CTL_HAR,
    CTL_TOP,
    CTL_POLICY_CHECK,
};

#define CTL_ARGUMENTS_MAX 3

struct ctl_options {
    enum ctl_command command;
    const char *argument; /* what the command wants behind its words: a host, a URL */
    const char *arguments[CTL_ARGUMENTS_MAX]; /* the first of them is .argument */
    const char *socket_path;
    bool json;
    const char *jar;
    const char *domain;
    const char *name;
    const char *path;
    const char *host;
    bool values;
    const char *why; /* a URL */
    const char *url;
    const char *same_site;
    const char *max_age; /* seconds */
    const char *profile;
    const char *textfile;
    const char *har;
    bool exit;
    bool off;
    const char *as; /* a user */
    const char *method;
    bool insecure;
    bool secure;
    bool http_only;
    bool help;
    bool version;
};

/* Return: 0 or EXIT_USAGE with *why filled. */
int ctl_options_parse(char **argv, struct ctl_options *ret, struct trouble *why);

void ctl_options_help(struct strbuf *out);
