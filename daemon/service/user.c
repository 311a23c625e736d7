/* SPDX-License-Identifier: MIT */
#include "service/user.h"

#include <errno.h>

#include "base/fault.h"
#include "base/list.h"
#include "base/mem.h"

int user_get(struct map *users, uint32_t uid, const struct quota *limits, struct user **ret)
{
    struct map_node *node = map_find(users, (struct span){(const char *)&uid, sizeof(uid)});

    if (node) {
        *ret = CONTAINER_OF(node, struct user, node);
        (*ret)->n_refs++;
        return 0;
    }
    struct user *user = mem_zalloc(sizeof(*user));
    if (!user)
        return fault(-ENOMEM);
    *user = (struct user){.users = users, .uid = uid, .n_refs = 1, .quota = *limits};
    int r = map_add(users, &user->node, (struct span){(const char *)&user->uid, sizeof(uid)});
    if (r < 0) {
        mem_free(user);
        return r;
    }
    *ret = user;
    return 0;
}

void user_unref(struct user *user)
{
    if (--user->n_refs > 0)
        return;
    map_remove(user->users, &user->node);
    mem_free(user);
}
