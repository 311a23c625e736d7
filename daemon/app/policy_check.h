/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * What the rules would say of a request, word by word, without making it: who is judged (on a
 * thread, names are looked up), each rule in the order of asking, and each address that the
 * name has now.
 */

#include "app/identities.h"
#include "app/rights.h"
#include "net/deny_networks.h"
#include "net/resolver.h"
#include "service/service.h"

/* Borrowed, and outlive every check. */
struct policy_checks {
    const struct config *config;
    struct rights *rights;
    struct identities *identities;
    struct resolver *resolver;
    const struct deny_networks *deny;
    const struct fetch_options *options; /* of who has none of his own */
    bool per_user;                       /* the daemon serves its own user and root alone */
};

/* Members of struct service_events. @checks outlives the check. */
MUST_CHECK int policy_check_start(struct policy_checks *checks, struct policy_check *check);
void policy_check_cancel(struct policy_check *check);
