/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * What xhr and xhrctl may use beside the public header: for xhrctl commands in the wire's own
 * types. Not exported from libxhr.so; both link its objects.
 */

#include <stdbool.h>
#include <stddef.h>

#include "xhr/xhr.h"
#include "xhrd/v1/envelope.pb-c.h"

/**
 * xhr_client_find_daemon_by() - where to look for the daemon, should one have to be started
 * @find: asked only then, and only where neither daemon_path nor XHRD_DAEMON says it; writes to
 *        @path, @size bytes, and returns whether it is there
 */
void xhr_client_find_daemon_by(struct xhr_client *client,
                               bool (*find)(char *path, size_t size));

/* The answer to a raw command, one call per message of it; the last has reply->more false.
 * NULL: there will be none, @error says why. Borrowed for the call. */
struct xhr_admin_events {
    void (*on_reply)(const Xhrd__V1__AdminReply *reply,
                     const struct xhr_error *error,
                     void *user);
};

/**
 * xhr_admin_send() - ask; the answer comes from xhr_client_dispatch()
 * @what: with its topic; borrowed for the call, its command_id is the library's
 * Return: 0 or -errno; then @events are never called.
 */
int xhr_admin_send(struct xhr_client *client,
                   const Xhrd__V1__AdminCommand *what,
                   const struct xhr_admin_events *events,
                   void *user);

/**
 * xhr_admin_ask_for() - the same, blocking
 * Return: 0 when the last reply came (it may hold a failure: on_reply has seen it), else
 * xhr_error_errno() of what on_reply was told.
 */
int xhr_admin_ask_for(struct xhr_client *client,
                      const Xhrd__V1__AdminCommand *what,
                      const struct xhr_admin_events *events,
                      void *user);

/* The same for a topic alone, with @host where it wants one, else NULL. */
int xhr_admin_ask(struct xhr_client *client,
                  Xhrd__V1__AdminTopic topic,
                  const char *host,
                  const struct xhr_admin_events *events,
                  void *user);
