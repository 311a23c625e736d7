/* SPDX-License-Identifier: MIT */
#include "loop/turns.h"

typedef typeof(((struct turns *)0)->users[0]) place_of_user;

static size_t place_of(uint64_t user)
{
    return (size_t)(user % TURNS_USERS);
}

/* Forgets whoever had the place. */
static place_of_user *take_place(struct turns *turns, uint64_t user)
{
    place_of_user *mine = &turns->users[place_of(user)];

    if (mine->user != user && mine->most > 0)
        turns->n_slowed--;
    if (mine->user != user)
        *mine =
            (place_of_user){.user = user, .pass = ++turns->passes, .down_pass = turns->passes};
    return mine;
}

size_t turns_most_of(const struct turns *turns, uint64_t user, size_t most)
{
    const place_of_user *mine = &turns->users[place_of(user)];

    return mine->user == user && mine->most > 0 && mine->most < most ? mine->most : most;
}

int64_t turns_wait_us(const struct turns *turns, uint64_t user, int64_t now_us)
{
    const place_of_user *mine = &turns->users[place_of(user)];

    return mine->user == user && mine->waits_until_us > now_us ? mine->waits_until_us - now_us
                                                               : 0;
}

size_t turns_take(struct turns *turns, uint64_t user, uint64_t round, uint64_t *ret_pass)
{
    place_of_user *mine = take_place(turns, user);

    if (mine->round != round) {
        if (!mine->denied) /* all who wanted have had their turn */
            mine->pass = ++turns->passes;
        mine->round = round;
        mine->reads = 0;
        mine->denied = false;
    }
    if (*ret_pass == mine->pass)
        return 0;
    if (mine->reads == TURNS_READS) {
        mine->denied = true;
        return 0;
    }
    mine->reads++;
    *ret_pass = mine->pass;
    return turns_most(turns, user, TURNS_READ_BYTES);
}

void turns_spend_by(struct turns *turns, uint64_t user, size_t work, int64_t now_us)
{
    place_of_user *mine = &turns->users[place_of(user)];

    if (work <= TURNS_MUCH_BYTES) {
        if (mine->user != user || mine->most == 0)
            return;
        mine->most = mine->most < TURNS_READ_BYTES ? 2 * mine->most : 0;
        turns->n_slowed -= mine->most == 0;
        return;
    }
    mine = take_place(turns, user);
    turns->n_slowed += mine->most == 0;
    mine->most = TURNS_LEAST_BYTES;
    mine->waits_until_us =
        now_us + (int64_t)(work < TURNS_WAIT_US_MAX ? work : TURNS_WAIT_US_MAX);
}

size_t turns_take_down(struct turns *turns, uint64_t user, uint64_t round, uint64_t *ret_pass)
{
    place_of_user *mine = take_place(turns, user);

    if (mine->down_round != round) {
        if (!mine->down_denied)
            mine->down_pass = ++turns->passes;
        mine->down_round = round;
        mine->down_bytes = 0;
        mine->down_denied = false;
    }
    if (*ret_pass == mine->down_pass)
        return 0;
    if (mine->down_bytes > TURNS_DOWN_BYTES - TURNS_DOWN_LEAST) {
        mine->down_denied = true;
        return 0;
    }
    *ret_pass = mine->down_pass;
    return TURNS_DOWN_BYTES - mine->down_bytes;
}

void turns_took_down(struct turns *turns, uint64_t user, size_t bytes)
{
    place_of_user *mine = &turns->users[place_of(user)];

    if (mine->user == user)
        mine->down_bytes += bytes;
}
