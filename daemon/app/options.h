/* SPDX-License-Identifier: MIT */
#pragma once

/* The command line of xhrd, and what follows from it and from the environment. */

#include "app/daemon.h"

struct options {
    struct daemon_options daemon;
    const char *socket_path; /* NULL: not given */
    char config_path[CONFIG_TEXT_MAX];
    char default_socket[SOCKET_PATH_BYTES];
};

enum options_outcome {
    OPTIONS_RUN = 0,
    OPTIONS_LEAVE = 1, /* --help, --version, --check-config: all is said */
};

/* Return: enum options_outcome; -EINVAL: a usage error, said on stderr; -errno. */
MUST_CHECK int options_parse(struct options *ret, int argc, char **argv);
