/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * One client's connection: bytes to frames, frames to bytes. It knows nothing of what the
 * frames say.
 *
 * Out: frames are put together in a queue and written once at the end of the round, after all
 * else that is due in it; a large body payload is written straight from the caller's memory
 * behind what is queued, and only what the socket does not take is copied. Above the high-water
 * mark on_congested tells the owner to stop producing, at the low-water mark on_drained to go
 * on.
 *
 * In: a frame is borrowed for the call. Descriptors that came along wait in order until the
 * owner takes them; those that no frame took end the session.
 *
 * A frame that comes in pieces is kept until it is whole, and its user pays; one whose user has
 * no room goes by unkept, with its descriptors, and the owner is told what it was about. Short
 * ones are paid with the connection: hello, credit and abort get in whatever is held. Who does
 * not read what he is told is not read from either while his user has no room, so that
 * questions alone make nobody hold more and more answers.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/quota.h"
#include "base/span.h"
#include "ipc/peer.h"

struct loop;
struct session;
struct turns;
struct wire_frame;
struct wire_skim;

#define SESSION_SHORT_FRAME_BYTES 4096 /* with its length: kept at the connection's cost */

struct session_options {
    uint32_t high_water_bytes; /* 512 KiB: on_congested */
    uint32_t low_water_bytes;  /* 128 KiB: on_drained */
    uint32_t direct_bytes_min; /* 4 KiB: larger payloads are not copied into the queue */
    uint32_t fds_max;          /* 8 received and not yet taken */
    int64_t first_frame_us;    /* 5 s from accept to the first whole frame */
    int64_t rest_of_frame_us;  /* 30 s from a frame's first byte to its last */
    int64_t linger_us;         /* 5 ms that what is told lazily waits for company; 0: none */
    struct turns *turns;       /* with whose clients it shares the loop; NULL: with none */
    uint64_t user;             /* whose turn it is */
};

struct session_options session_options_default(void);

enum session_end {
    SESSION_END_EOF,     /* the client left */
    SESSION_END_ERROR,   /* the socket failed */
    SESSION_END_FRAME,   /* a length that is no length, or above the cap */
    SESSION_END_TIMEOUT, /* half a frame, and then nothing */
    SESSION_END_FDS,     /* more descriptors than any frame took */
};

struct session_events {
    /* One frame, borrowed for the call. May close the session. */
    void (*on_frame)(void *owner, const struct wire_frame *frame);
    /* In place of on_frame, for a frame that could not be kept; borrowed for the call.
     * @why: -EDQUOT: its user has no room; -ENOMEM: nobody has. */
    void (*on_unkept)(void *owner, const struct wire_skim *what, int why);
    void (*on_congested)(void *owner);
    void (*on_drained)(void *owner);
    /* The client can send nothing more. After SESSION_END_EOF, a half-close, answers still go
     * out, and another end follows when the client has gone altogether; after any other end
     * there is nothing left but session_close(). */
    void (*on_end)(void *owner, enum session_end end);
    /* Only after session_share(): session_is_quiet(), from the end of a round in which it was
     * not. */
    void (*on_quiet)(void *owner);
    /* Whether more may come for the client soon, so that what is queued may wait some rounds,
     * none of which sleeps. */
    bool (*expects_more)(void *owner);
};

/**
 * session_new() - serve a client
 * @fd:      connected, non-blocking; taken on success
 * @quota:   charged for queued bytes and held descriptors; outlives the session
 * Return: 0 or -errno.
 */
MUST_CHECK int session_new(struct session **ret,
                           struct loop *loop,
                           int fd,
                           const struct session_options *options,
                           struct quota *quota,
                           const struct session_events *events,
                           void *owner);

/* The client was greeted by another process: no hello has to come. */
void session_skip_hello(struct session *session);

/* Nothing of the client's is half read, and nothing for it is unsent. */
bool session_is_quiet(const struct session *session);

/**
 * session_share() - somebody else has the client's socket, too
 * @busy: set to 1 before anything is read from it and when something is queued for it; back to
 * 0 is the owner's to say. Not touched any more after closing.
 * Closing then ends the connection for whoever has it, but for session_leave().
 */
void session_share(struct session *session, volatile uint8_t *busy);

/* Closes our descriptor alone: who else has the socket goes on with it. No event after it. */
void session_leave(struct session *session);

/* No event after it. What is queued is tried once more, without waiting. Memory goes at the
 * end of the round. */
void session_close(struct session *session);

/* Write what is queued, then close; for a last word. Gives up after rest_of_frame_us. No event
 * after it. */
void session_close_after_flush(struct session *session);

enum session_room {
    SESSION_ROOM_SPARE,  /* a sixteenth of what the uid may hold stays free */
    SESSION_ROOM_ANYWAY, /* a short frame that must be told whatever is held: an end, a refusal
                          */
};

/**
 * session_reserve() - room in the queue for a frame to be written in place
 * @size: bytes of the frame with its length prefix
 * Return: 0 and where to write; -ENOMEM; -EDQUOT when the uid holds too much.
 * session_commit() or session_commit_lazily() must follow with the bytes really written.
 */
MUST_CHECK int
session_reserve(struct session *session, size_t size, enum session_room room, char **ret);
void session_commit(struct session *session, size_t size);

/* As session_commit(), for what nobody waits for: it goes along with the next frame, and alone
 * only if there is none for some milliseconds. The order stays. */
void session_commit_lazily(struct session *session, size_t size);

/**
 * session_send_payload() - a frame whose head is given and whose payload follows uncopied
 * @head:    length prefix and everything before the payload
 * @payload: borrowed for the call
 * Return: 0, -ENOMEM, -EDQUOT. A socket that failed is told by on_end, not here.
 */
MUST_CHECK int
session_send_payload(struct session *session, struct span head, struct span payload);

size_t session_queued_bytes(const struct session *session);
bool session_is_congested(const struct session *session);

/* For who shares it. */
int session_fd(const struct session *session);

/* From on_frame: whether the frame has memory of its own, and @part lies in it. */
bool session_frame_holds(const struct session *session, struct span part);

/**
 * session_take_frame() - that memory becomes the caller's, so that a long body is not copied
 * From on_frame, once, if session_frame_holds(). What borrows from the frame stays good.
 * Return: what to give to mem_free() when on_frame is over.
 */
MUST_CHECK char *session_take_frame(struct session *session);

/* From on_frame: the frame was so much work, in bytes; what is answered counts by itself. Who
 * has much done is put behind others (loop/turns.h). */
void session_note_work(struct session *session, size_t bytes);

/* The next descriptor that came along, the caller's to close; -1: there is none; -EDQUOT: it
 * was one more than the uid may hold, and is closed. */
int session_take_fd(struct session *session);
