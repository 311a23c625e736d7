/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Whose turn it is. Where one user is at work, his clients are read from as much as comes;
 * where several are, each user is read from a few times in a round of the loop, a little each
 * time, whatever he has sent: what one wants costs the others microseconds and not a round of
 * his. A user's own clients come in rotation.
 *
 * A few bytes may ask for much work: a list of thousands of cookies. That is only known when it
 * is done. Work is counted in bytes, of messages and of answers, for these can be told and
 * repeated, where time also measures who else runs. Who had much done is read from by so few
 * bytes next that there is one such message in them, and where others are at work he waits a
 * hundred times as long as it took, so that not one in a hundred of their requests meets it.
 *
 * What servers send has turns, too: so many bytes of a user in a round, his connections in
 * rotation.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define TURNS_USERS      64    /* remembered at once; who is forgotten loses nothing */
#define TURNS_READS      2     /* of a user in a round */
#define TURNS_READ_BYTES 512   /* of each */
#define TURNS_REST_BYTES 8192  /* of the rest of a frame, which is of one piece of work */
#define TURNS_DOWN_BYTES 8192  /* of a user's servers in a round */
#define TURNS_DOWN_LEAST 2048  /* a shorter read is not worth it */
#define TURNS_ACCEPTS    1     /* clients taken in a round */
#define TURNS_RECENT_US  10000 /* so long ago is at work */
#define TURNS_MUCH_BYTES 16384 /* of work in one read: some 150 us */
#define TURNS_LEAST_BYTES                                                                      \
    16 /* read after that; twice as much after each read of little work                        \
        */
#define TURNS_WAIT_US_MAX                                                                      \
    500000 /* else a microsecond for each byte, of which 100 take that long */

struct turns {
    struct {
        uint64_t user;
        int64_t at_us;
    } recent[2]; /* different ones, the last first */
    struct {
        uint64_t user;
        uint64_t round;
        uint64_t pass; /* in which each of his clients has its turn once */
        unsigned reads;
        unsigned most; /* bytes of the next read; 0: as anybody's */
        bool denied;   /* somebody, in this round */
        int64_t waits_until_us;
        uint64_t down_round;
        uint64_t down_pass; /* in which each of his servers has its turn once */
        size_t down_bytes;
        bool down_denied;
    } users[TURNS_USERS];
    uint64_t passes;
    unsigned n_slowed; /* users with .most */
};

/* Whose turn it is: 0 is nobody. */
static inline uint64_t turns_user(uid_t uid)
{
    return (uint64_t)uid + 1;
}

/* @user is at work. */
static inline void turns_note(struct turns *turns, uint64_t user, int64_t now_us)
{
    if (turns->recent[0].user != user) {
        turns->recent[1] = turns->recent[0];
        turns->recent[0].user = user;
    }
    turns->recent[0].at_us = now_us;
}

/* Whether others are, too. */
static inline bool turns_are_shared(const struct turns *turns, int64_t now_us)
{
    return turns->recent[1].user && now_us - turns->recent[1].at_us < TURNS_RECENT_US;
}

size_t turns_most_of(const struct turns *turns, uint64_t user, size_t most);

/* Bytes that may be read of @user when turns are not shared: at most @most. */
static inline size_t turns_most(const struct turns *turns, uint64_t user, size_t most)
{
    return turns->n_slowed ? turns_most_of(turns, user, most) : most;
}

/* How long @user has to wait yet, since so much was done for him; 0: not at all. For when turns
 * are shared. */
int64_t turns_wait_us(const struct turns *turns, uint64_t user, int64_t now_us);

/**
 * turns_take() - may a client of @user be read from in this round?
 * @ret_pass: the client's own, 0 in the beginning: when it had its last turn
 * For when turns are shared. One that is denied stays readable and asks again.
 * Return: so many bytes at most; 0: not in this round.
 */
size_t turns_take(struct turns *turns, uint64_t user, uint64_t round, uint64_t *ret_pass);

void turns_spend_by(struct turns *turns, uint64_t user, size_t work, int64_t now_us);

/* What has been read of @user was @work bytes of work. */
static inline void turns_spend(struct turns *turns, uint64_t user, size_t work, int64_t now_us)
{
    if (work > TURNS_MUCH_BYTES || turns->n_slowed)
        turns_spend_by(turns, user, work, now_us);
}

/**
 * turns_take_down() - may a server of @user be read from in this round?
 * @ret_pass: the connection's own, as in turns_take()
 * For when turns are shared. Return: so many bytes at most, to be told by turns_took_down(); 0:
 * not in this round.
 */
size_t turns_take_down(struct turns *turns, uint64_t user, uint64_t round, uint64_t *ret_pass);
void turns_took_down(struct turns *turns, uint64_t user, size_t bytes);
