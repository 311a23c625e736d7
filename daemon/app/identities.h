/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Names of users and groups, for rules that go by names. The user database may be a network's,
 * and dynamic users come and go with their services: it is asked on a thread, when somebody
 * connects, and what it said is kept for a minute. Who connects is not served before.
 */

#include "base/cleanup.h"
#include "ipc/peer.h"
#include "policy/access_rules.h"

struct identities;
struct loop;
struct worker_pool;

struct identities_events {
    /* @fd is the owner's again. @who: NULL: the user database could not say. */
    void (*on_known)(void *owner,
                     int fd,
                     const struct peer *peer,
                     const struct access_person *who);
};

MUST_CHECK int identities_new(struct identities **ret,
                              struct loop *loop,
                              const struct identities_events *events,
                              void *owner);
/* Whoever waits is sent away. */
struct identities *identities_free(struct identities *identities);
DEFINE_CLEANUP(identities, identities_free)

/* @fd is taken; on_known follows, from inside this call when all names are known. */
void identities_ask(struct identities *identities, int fd, const struct peer *peer);
bool identities_are_asked(const struct identities *identities); /* does anybody wait? */

/* Blocks as long as the user database does. @names: zeroed, room for each of @n gids. Return:
 * 0; -errno when it could not say. */
MUST_CHECK int identity_names(uint32_t uid,
                              char ret_name[ACCESS_NAME_MAX],
                              struct access_group *groups,
                              size_t n);

/* Somebody looked up by name or number, with all his groups. */
struct identity {
    uint32_t uid;
    char name[ACCESS_NAME_MAX];
    struct access_group groups[PEER_GROUPS_MAX];
    size_t n_groups;
};

/* Blocks. Return: 0; -ENOENT: there is no such user; another -errno: it could not be said. */
MUST_CHECK int identity_of_user(const char *name_or_number, struct identity *ret);

struct worker_pool *identities_threads(struct identities *identities);
