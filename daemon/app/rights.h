/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * What each client is held to: the rules of policy/access_rules.h that are about it, and the
 * limits, times, proxies and TLS versions its sections set otherwise. People about whom the
 * same sections are share one answer; all answers go with the configuration they came from.
 */

#include "app/config.h"
#include "base/cleanup.h"
#include "service/service.h"

struct rights;

MUST_CHECK int rights_new(struct rights **ret);
struct rights *rights_free(struct rights *rights);
DEFINE_CLEANUP(rights, rights_free)

/* @config: borrowed until the next call; every answer given so far is gone. */
void rights_set_config(struct rights *rights, const struct config *config);

/* *ret keeps what it holds where nothing is otherwise. *ret_config: what is configured for
 * them, borrowed like the answer. Return: 0, -ENOMEM, -E2BIG. */
MUST_CHECK int rights_find(struct rights *rights,
                           const struct access_person *who,
                           struct service_rights *ret,
                           const struct config **ret_config);

/* The rules that hold for somebody; NULL: there are none. Return: the same. */
MUST_CHECK int rights_find_view(struct rights *rights,
                                const struct access_person *who,
                                const struct access_view **ret);

/* What a configuration says in the terms of other rooms. */
void rights_quota(const struct config *config, struct quota *ret);
struct fetch_options rights_fetch_options(const struct config *config,
                                          const struct proxy *proxy);
