/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Servers that were seen at TLS 1.2 or better: one set for each partition, kept like the hosts
 * that want https, in a struct hsts of their own. An entry is a host with its port, since what
 * listens on another port is another server; addresses count like names.
 */

#include <stdbool.h>
#include <stdint.h>

#include "http/origin.h"
#include "policy/hsts.h"

#define TLS_SEEN_LIFETIME_S (90 * 86400)

struct hsts_options tls_seen_options(void);

/* The server has just been reached. Return: as hsts_note(). */
MUST_CHECK int tls_seen_note(struct hsts *set, const struct origin *origin, int64_t now_s);

/* By the user's hand: every port of a host. @host: canonical. Return: how many went. */
size_t tls_seen_forget(struct hsts *set, struct span host);

bool tls_seen_has(struct hsts *set, const struct origin *origin, int64_t now_s);
