/* SPDX-License-Identifier: MIT */
#pragma once

/* The inside of a session: session.c has its life and what goes out, session_in.c what comes
 * in. */

#include "base/buf.h"
#include "ipc/session.h"
#include "loop/loop.h"
#include "loop/timer.h"
#include "loop/watch.h"
#include "wire/skim.h"

#define SESSION_FDS_MAX 16 /* room in the control buffer; options.fds_max is below */

enum session_state {
    SESSION_OPEN,
    SESSION_HALF,    /* the client sends no more */
    SESSION_ENDED,   /* on_end told; nothing moves */
    SESSION_LEAVING, /* close_after_flush */
    SESSION_CLOSED,
};

struct session {
    struct reap reap; /* first */
    struct loop *loop;
    struct quota *quota;
    const struct session_events *events;
    void *owner;
    struct session_options options;
    struct watch watch;
    struct timer deadline; /* first frame, rest of a frame, half-closed poll, last word */
    struct timer linger;
    struct timer rest; /* others are at work, and much has been done for its user */
    struct deferred flush;
    struct buf in; /* the beginning of a frame */
    struct buf out;
    struct charge in_charge;
    struct charge out_charge;
    struct charge fd_charge;
    int fds[SESSION_FDS_MAX];
    unsigned n_fds;
    int fd;
    volatile uint8_t *busy; /* NULL: nobody wants to know */
    enum session_state state;
    bool shared; /* the socket is somebody else's, too */
    bool congested;
    bool lingers;      /* all that is queued was told lazily, and the timer runs */
    bool blocked;      /* the socket takes no more for now */
    bool yielded;      /* other tasks of this round go first */
    bool tells;        /* a frame */
    bool tells_all;    /* the frame that is being told is all there is in @in */
    bool spoke;        /* something has been written */
    bool write_failed; /* on_end is to be told from the round's end */
    bool held;         /* not read from before it has read */
    int skims;         /* 0, or why the frame that comes is not kept */
    struct wire_skim skim;
    uint64_t turn;         /* when it was read from last, where turns are shared */
    size_t work;           /* bytes, of messages and answers, since it was read from */
    size_t leaving_bytes;  /* its part of what waits for those who leave */
    unsigned gathered;     /* rounds that the queue has waited for more */
    size_t gathered_bytes; /* what it was in the last of them */
};

/* session.c */
void session_end(struct session *session, enum session_end why);
void session_stop_reading(struct session *session);
void session_set_busy(struct session *session);
/* A deadline for the rest of the frame; the very first has one from the start. */
MUST_CHECK int session_watch_the_clock(struct session *session);

/* session_in.c */
void session_read(struct session *session); /* it is readable */
void session_on_rested(void *owner);
void session_drop_fds(struct session *session);
bool session_client_is_gone(const struct session *session);
