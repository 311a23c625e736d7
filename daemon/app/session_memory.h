/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Where session cookies lie so that a crash, a kill or a restart of the daemon ends no login,
 * and that never is a disk (store/session_log.h writes there):
 *
 * Under systemd with a store for descriptors, in a memfd that systemd holds. It lets go of it
 * when the service is stopped, and the session ends with that.
 *
 * For a daemon that owns its socket, in a file beside it where that is memory (tmpfs) and
 * nobody else may put files. Who leaves takes it along: only a death leaves it to the next.
 *
 * Else nowhere: session cookies end with the process.
 */

#include <stdbool.h>

#include "base/cleanup.h"

struct loop;
struct passed;
struct session_log;
struct session_memory;
struct sockets;

/**
 * session_memory_open() - with what the process before left
 * Return: 0; *ret is NULL where there is no such memory, which is not worth a word. -errno.
 */
MUST_CHECK int session_memory_open(struct session_memory **ret,
                                   const struct passed *passed,
                                   const struct sockets *sockets);
/* What is in it stays. */
struct session_memory *session_memory_free(struct session_memory *memory);
DEFINE_CLEANUP(session_memory, session_memory_free)

/* From here on @memory may be NULL. NULL: there is none. */
struct session_log *session_memory_log(const struct session_memory *memory);

/* Asks systemd to hold it, again and again while it does not listen. */
void session_memory_attach(struct session_memory *memory, struct loop *loop);
void session_memory_detach(struct session_memory *memory); /* before the loop ends */

/* We leave of our own will: where that is the end of the session, nobody finds it any more. */
void session_memory_leave(const struct session_memory *memory);

/* Whether a descriptor that systemd passed under this name is one of ours. */
bool session_memory_is_name(const char *name);
