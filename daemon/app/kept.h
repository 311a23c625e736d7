/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Connections of clients that outlive the daemon. systemd holds their sockets for us
 * (FileDescriptorStoreMax=) and gives them to the next process, after a crash as after a
 * restart. With them it holds a table of ours, in memory that both processes map: what must be
 * known of each client, and whether something was under way with it, up to the very last
 * moment. A client that had nothing under way does not notice; one that had is cut off, and so
 * told that its requests are lost.
 *
 * What a client closes, systemd lets go of by itself; session_close() shuts down what is
 * shared.
 *
 * Not held: what systemd's store has no room for. Such a client is cut off as without a store.
 */

#include "base/cleanup.h"
#include "service/service.h"

#define KEPT_CLIENTS_MAX 4096 /* their names fit into one variable of the environment */

struct kept;
struct passed;

/**
 * kept_open() - begin to keep, with what the process before left
 *
 * Before sockets_open(), and before anything that may fail: whoever had something under way
 * with the process before must not wait for a configuration to be mended. Return: 0; *ret is
 * NULL where no service manager could hold anything. -errno.
 */
MUST_CHECK int kept_open(struct kept **ret, const struct passed *passed);

/* What was not adopted stays with systemd, and so does all the rest. */
struct kept *kept_free(struct kept *kept);
DEFINE_CLEANUP(kept, kept_free)

/* For the service. NULL: nothing is kept. */
const struct client_keeper *kept_keeper(const struct kept *kept);

/* Hands over the clients that were left to us, once. @kept may be NULL. */
void kept_adopt(struct kept *kept, struct service *service);

/* Whether a descriptor that systemd passed under this name is one of ours. */
bool kept_is_name(const char *name);
