/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The table of flags: parser, --help and the check of the manual page read this and nothing
 * else.
 */

#include "options.h"

enum flag_group {
    GROUP_REQUEST,
    GROUP_BODY,
    GROUP_OUTPUT,
    GROUP_EVENTS,
    GROUP_COOKIES,
    GROUP_AUTH,
    GROUP_TLS,
    GROUP_NETWORK,
    GROUP_REDIRECTS,
    GROUP_TIME,
    GROUP_DAEMON,
    GROUP_OTHER,
    GROUP_COUNT,
};

struct flag {
    enum flag_group group;
    char letter;       /* 0: none */
    bool off;          /* a switch that clears its bool */
    bool equals;       /* its value is optional, and comes as --name=VALUE */
    const char *name;  /* without the dashes */
    const char *value; /* what --help calls its value; NULL: it takes none */
    const char *help;
    size_t offset; /* of the bool it sets, or of the const char * that keeps its value */
    /* More than keeping a pointer. Return: 0 or an exit code with *why filled. */
    int (*take)(struct cli_options *options,
                const struct flag *flag,
                const char *value,
                struct trouble *why);
};

extern const struct flag flags[];
extern const size_t n_flags;

const struct flag *flag_find_letter(char letter);
const struct flag *flag_find_name(const char *name);
const char *flag_group_name(enum flag_group group);

/* The flag whose name is most like @name; NULL: none is near. */
const struct flag *flag_nearest(const char *name);

/* A flag of curl's that xhr does not have. Return: what to do instead, or NULL. */
const char *flag_instead(char letter, const char *name);
