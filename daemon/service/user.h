/* SPDX-License-Identifier: MIT */
#pragma once

/* What is charged to one uid, however many connections it has. */

#include <stdint.h>

#include "base/cleanup.h"
#include "base/map.h"
#include "base/quota.h"

struct user {
    struct map_node node;
    struct map *users;
    uint32_t uid;
    unsigned n_refs; /* sessions, and what outlives them */
    struct quota quota;
};

/* Found or made; user_unref() when done. Return: 0 or -ENOMEM. */
MUST_CHECK int
user_get(struct map *users, uint32_t uid, const struct quota *limits, struct user **ret);
void user_unref(struct user *user);
