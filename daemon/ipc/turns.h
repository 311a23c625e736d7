/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Whose turn it is. Where one user is at work, his clients are read from as much as comes;
 * where several are, each user is read from a few times in a round of the loop, a little each
 * time, whatever he has sent: what one wants costs the others microseconds and not a round of
 * his. A user's own clients come in rotation.
 *
 * A user is known by his quota, which is only compared, never looked into.
 */

#include <stdbool.h>
#include <stdint.h>

struct quota;

#define TURNS_USERS      64    /* remembered at once; who is forgotten loses nothing */
#define TURNS_READS      2     /* of a user in a round */
#define TURNS_READ_BYTES 512   /* of each */
#define TURNS_REST_BYTES 8192  /* of the rest of a frame, which is of one piece of work */
#define TURNS_ACCEPTS    1     /* clients taken in a round */
#define TURNS_RECENT_US  10000 /* so long ago is at work */

struct turns {
    struct {
        const struct quota *user;
        int64_t at_us;
    } recent[2]; /* different ones, the last first */
    struct {
        const struct quota *user;
        uint64_t round;
        uint64_t pass; /* in which each of his clients has its turn once */
        unsigned reads;
        bool denied; /* somebody, in this round */
    } users[TURNS_USERS];
    uint64_t passes;
};

/* @user is at work. */
void turns_note(struct turns *turns, const struct quota *user, int64_t now_us);
/* Whether others are, too. */
bool turns_are_shared(const struct turns *turns, int64_t now_us);

/**
 * turns_take() - may a client of @user be read from in this round?
 * @ret_pass: the client's own, 0 in the beginning: when it had its last turn
 * For when turns are shared. One that is denied stays readable and asks again.
 */
bool turns_take(struct turns *turns,
                const struct quota *user,
                uint64_t round,
                uint64_t *ret_pass);
