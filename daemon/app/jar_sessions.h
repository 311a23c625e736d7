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
    int64_t grace_us;
    void (*on_end)(void *owner, uint32_t uid);
    void *owner;
};

void jar_sessions_init(struct jar_sessions *sessions,
                       struct loop *loop,
                       void (*on_end)(void *owner, uint32_t uid),
                       void *owner);
void jar_sessions_done(struct jar_sessions *sessions); /* ends none */

/* From the next leave on. */
void jar_sessions_set_grace(struct jar_sessions *sessions, int64_t grace_us);

/* Without memory to count with, the session lasts as long as the daemon. */
void jar_sessions_hold(struct jar_sessions *sessions, uint32_t uid);
void jar_sessions_release(struct jar_sessions *sessions, uint32_t uid);
