/* SPDX-License-Identifier: MIT */
#include "ipc/turns.h"

#include <stddef.h>

void turns_note(struct turns *turns, const struct quota *user, int64_t now_us)
{
    if (turns->recent[0].user != user) {
        turns->recent[1] = turns->recent[0];
        turns->recent[0].user = user;
    }
    turns->recent[0].at_us = now_us;
}

bool turns_are_shared(const struct turns *turns, int64_t now_us)
{
    return turns->recent[1].user && now_us - turns->recent[1].at_us < TURNS_RECENT_US;
}

bool turns_take(struct turns *turns,
                const struct quota *user,
                uint64_t round,
                uint64_t *ret_pass)
{
    size_t place = ((uintptr_t)user >> 5) % TURNS_USERS;
    typeof(turns->users[0]) *mine = &turns->users[place];

    if (mine->user != user || mine->round != round) {
        /* All who wanted have had their turn, or nobody remembers. */
        if (mine->user != user || !mine->denied)
            mine->pass = ++turns->passes;
        mine->user = user;
        mine->round = round;
        mine->reads = 0;
        mine->denied = false;
    }
    if (*ret_pass == mine->pass)
        return false;
    if (mine->reads == TURNS_READS) {
        mine->denied = true;
        return false;
    }
    mine->reads++;
    *ret_pass = mine->pass;
    return true;
}
