/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Keeps TLS sessions beyond the daemon's life: reads a uid's when he first connects, writes
 * them a second after they changed, on a thread of its own. A ticket that was taken must not be
 * used again after a kill: the file goes first, at once, and comes back with the next write.
 *
 * Trouble costs handshakes and nothing else. It is said once for each uid.
 */

#include "base/list.h"
#include "net/tls_session_folder.h"

struct loop;
struct tls_session_disk;

struct tls_session_disk_options {
    const char *state_dir; /* borrowed; "": nothing is kept */
    bool per_user;         /* of the daemon's own uid only */
    bool (*is_kept)(uint32_t uid);
    bool (*name_of)(uint32_t uid, char *ret, size_t size); /* see tls_session_folder.h */
};

/* @sessions: borrowed, and observed from now on. Return: 0 or -ENOMEM. */
MUST_CHECK int tls_session_disk_new(struct tls_session_disk **ret,
                                    struct loop *loop,
                                    struct tls_sessions *sessions,
                                    const struct tls_session_disk_options *options);

/* Waits until the disk has everything. Every wait must have ended or been cancelled. */
struct tls_session_disk *tls_session_disk_free(struct tls_session_disk *disk);
DEFINE_CLEANUP(tls_session_disk, tls_session_disk_free)

/* Embedded in whoever waits; set on_ready and owner, the rest is ours. */
struct tls_session_wait {
    void (*on_ready)(void *owner); /* never from inside the call that made it wait */
    void *owner;
    struct link link;
    bool is_waiting;
};

/* @uid's sessions are wanted. Return: whether they are there already, or cannot be; else
 * on_ready follows, after a second at most. */
bool tls_session_disk_open(struct tls_session_disk *disk,
                           uint32_t uid,
                           struct tls_session_wait *wait);

enum tls_session_forget_outcome {
    TLS_SESSION_FORGET_DONE = 0, /* nothing of his is ever on disk */
    TLS_SESSION_FORGET_WAIT,     /* on_ready follows when his file is gone */
};

/* @uid's sessions go, from memory and disk; what cannot be removed is in the journal. Return:
 * enum tls_session_forget_outcome, or -ENOMEM: they are gone from memory only. */
MUST_CHECK int tls_session_disk_forget(struct tls_session_disk *disk,
                                       uint32_t uid,
                                       struct tls_session_wait *wait);

/* An idle wait is fine. */
void tls_session_disk_cancel(struct tls_session_wait *wait);
