/* SPDX-License-Identifier: MIT */
#pragma once

/* A process of its own: the daemon, started from within any program without a trace in it. */

struct xhr_spawn {
    const char *path;
    int listen_fd; /* becomes descriptor 3 there */
    int log_fd;    /* becomes its stderr; negative: none */
};

/**
 * xhr_spawn_daemon() - run `PATH --user` with the listening socket, by systemd's protocol
 *
 * Detached (own session, not our child for more than a moment, no descriptor of ours, signals
 * as they are by default, a small environment). Returns when the program has been executed.
 *
 * Return: 0, or -errno of what went wrong, execve() in the new process included.
 */
int xhr_spawn_daemon(const struct xhr_spawn *spawn);
