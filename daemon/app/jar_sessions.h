/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * How long session cookies last: as long as somebody is there who uses the jars of a uid, and a
 * while longer, so that one command after the other finds them.
 */

#include <stdint.h>

#include "base/map.h"

struct loop;

struct jar_sessions {
    struct map by_uid;
    struct loop *loop;
    void (*on_end)(void *owner, uint32_t uid);
    void *owner;
};

void jar_sessions_init(struct jar_sessions *sessions,
                       struct loop *loop,
                       void (*on_end)(void *owner, uint32_t uid),
                       void *owner);
void jar_sessions_done(struct jar_sessions *sessions); /* ends none */

/* Without memory to count with, the session lasts as long as the daemon. */
void jar_sessions_hold(struct jar_sessions *sessions, uint32_t uid);
/* @grace_us: how long the session goes on if this was the last of them. */
void jar_sessions_release(struct jar_sessions *sessions, uint32_t uid, int64_t grace_us);
/* Those of the process before may come back within @grace_us; else the session ends. */
void jar_sessions_await(struct jar_sessions *sessions, uint32_t uid, int64_t grace_us);
