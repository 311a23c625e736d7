/* SPDX-License-Identifier: MIT */
#pragma once

/* All parts of the daemon, made, joined and ended in the right order. */

#include <stdbool.h>

#include "app/config.h"
#include "app/kept.h"
#include "app/session_memory.h"
#include "app/sockets.h"
#include "base/cleanup.h"

struct daemon;

struct daemon_options {
    struct config config;
    const char *config_path; /* read again on reload; NULL: none */
    bool config_is_optional;
    bool per_user;
    int64_t idle_exit_us; /* of the command line; -1: the configuration's */
    int log_level;        /* the same */
    char state_dir[CONFIG_TEXT_MAX];
};

/* @options: its configuration is taken, whatever the result. @sockets: its descriptors are
 * taken on success; @kept, @sessions: borrowed, may be NULL. Return: 0 or -errno; the reason is
 * logged. */
MUST_CHECK int daemon_new(struct daemon **ret,
                          const struct daemon_options *options,
                          struct sockets *sockets,
                          struct kept *kept,
                          struct session_memory *sessions);
struct daemon *daemon_free(struct daemon *daemon);
DEFINE_CLEANUP(daemon, daemon_free)

/* Serves until told to leave. Return: 0 or -errno. */
MUST_CHECK int daemon_run(struct daemon *daemon);
