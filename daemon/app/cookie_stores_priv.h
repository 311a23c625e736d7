/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The inside of the cookie stores: cookie_stores.c has the stores, what waits for them and for
 * the disk; jar_access.c says who gets which jar of them into his hands.
 */

#include "app/cookie_stores.h"
#include "app/jar_sessions.h"
#include "base/list.h"
#include "base/map.h"
#include "loop/timer.h"
#include "store/cookie_store.h"

struct uid_store {
    struct map_node node;
    uint32_t uid;
    struct cookie_store *store;
    struct cookie_store_wait wait;
    struct link waiters;  /* struct cookie_wait */
    size_t private_bytes; /* in all jars that access_make_private() made */
};

struct cookie_stores {
    struct loop *loop;
    struct worker_pool *disk;
    const struct suffix_rules *rules;
    struct cookie_stores_options options;
    struct map by_uid;
    struct jar_sessions sessions;
    cookie_stores_on_stranger_gone *on_stranger_gone; /* NULL: nobody wants to know */
    void *owner;
    struct timer alive; /* says so in options.sessions */
    uint64_t last_tag;  /* of private jars */
};

/* NULL: it is not open. */
struct uid_store *stores_find(const struct cookie_stores *stores, uint32_t uid);
/* Found or opened. Return: 0 or -errno. */
MUST_CHECK int stores_get(struct cookie_stores *stores, uint32_t uid, struct uid_store **ret);
/* Whether it is open, or there is something to open. */
bool stores_have(const struct cookie_stores *stores, uint32_t uid);
int stores_wait(struct uid_store *of_uid, struct cookie_wait *wait); /* COOKIE_OPEN_WAIT */

/* jar_access.c: who has the machine's jar in hand and may no longer, loses it */
void jar_access_check_system(struct cookie_stores *stores);

/* jar_access.c: members of struct cookie_access */
int jar_access_open(void *owner,
                    const struct jar_asker *asker,
                    struct span jar,
                    struct cookie_wait *wait,
                    struct jar_lease *ret);
int jar_access_do_deed(void *owner,
                       const struct jar_asker *asker,
                       struct jar_deed *deed,
                       struct cookie_wait *wait);
int jar_access_list(void *owner,
                    const struct jar_asker *asker,
                    const uint32_t *of_uid,
                    struct cookie_wait *wait,
                    const struct jar_listener *listener);
