/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * An HTTP/2 connection (RFC 9113) and the exchanges it carries, each a stream. nghttp2 knows
 * frames, HPACK, windows and the rules of messages; here is what it tells turned into what an
 * owner is told, and who may hold how many bytes.
 *
 * h2_conn.c opens and ends, h2_session.c is what nghttp2 calls, h2_stream.c one exchange,
 * h2_send.c the way out. Whatever comes out of a call of an owner's is told later, from the
 * task; whatever comes from the stream is told at once. Neither a stream nor the connection is
 * freed before the end of the round, so after each event a look at `is_open` and at `session`
 * is enough.
 *
 * Windows. Bytes count against the connection's window only until they are here: a reader that
 * has stopped holds up to its stream's window in memory and nobody else. Above
 * H2_KEPT_BYTES_MAX for all readers of a connection they count until they are told.
 */

#include <nghttp2/nghttp2.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/list.h"
#include "base/quota.h"
#include "http/headers.h"
#include "loop/loop.h"
#include "loop/timer.h"
#include "net/io.h"
#include "transport/conn.h"
#include "transport/transport_priv.h"

#define H2_STREAM_WINDOW_BYTES (256 * 1024)
#define H2_WIDE_WINDOW_BYTES   (1024 * 1024) /* of a stream whose reader keeps up */
#define H2_CONN_WINDOW_BYTES   (16 * 1024 * 1024)
#define H2_KEPT_BYTES_MAX      (4 * 1024 * 1024)
#define H2_OUT_BYTES_MAX       (64 * 1024) /* frames waiting for the stream */
#define H2_UPLOAD_BYTES_MAX    (64 * 1024) /* of one exchange, not yet in frames */
#define H2_STREAMS_UNTIL_TOLD  100         /* before the server's SETTINGS */
#define H2_FRAMES_IN_VAIN_MAX  1000        /* in a row that move nothing */
#define H2_PING_AFTER_US       30000000    /* of silence */
#define H2_PING_ANSWER_US      10000000
#define H2_EXPECT_WAIT_US      1000000 /* RFC 9110 §10.1.1 */

enum h2_send {
    H2_SEND_EXPECT,  /* the body waits for 100 or a second */
    H2_SEND_BODY,    /* body is taken from the owner */
    H2_SEND_FLUSH,   /* all of the request is here, not all of it in frames */
    H2_SEND_DONE,    /* END_STREAM is out */
    H2_SEND_STOPPED, /* given up: the answer came first */
    H2_SEND_COUNT,
};

/* How far the server's half has come; the owner may have been told less. */
enum h2_receive {
    H2_RECEIVE_HEAD, /* the final head is still to come */
    H2_RECEIVE_BODY,
    H2_RECEIVE_ENDED, /* END_STREAM */
    H2_RECEIVE_COUNT,
};

/* What the task is to do for a stream, in this order. */
#define H2_DUE_FAIL     1U /* fail with stream->trouble */
#define H2_DUE_WANT     2U /* on_want_body */
#define H2_DUE_PROGRESS 4U /* on_body_sent */
#define H2_DUE_RECEIVE  8U /* tell what was kept */

enum h2_trouble {
    H2_TROUBLE_NONE,
    H2_TROUBLE_GONE,       /* the connection had broken, or takes no more, before the request */
    H2_TROUBLE_BODY_SHORT, /* less body than announced */
    H2_TROUBLE_BODY_LONG,  /* more */
    H2_TROUBLE_MEMORY,
    H2_TROUBLE_QUOTA, /* no room to keep what came while the owner had paused */
};

struct h2_conn {
    struct conn conn; /* first */
    struct reap reap;
    struct transport *transport;
    struct io *io;            /* NULL: closed */
    nghttp2_session *session; /* lives until the connection is freed */
    struct link streams;      /* open ones, the oldest first */
    struct link due;          /* those the task has something to do for */
    size_t n_streams;
    uint64_t id;
    uint64_t opened; /* exchanges */
    uint32_t streams_max;
    bool is_closed;   /* conn_close(): nothing calls out any more */
    bool is_inside;   /* nghttp2 reads or sends: it must not be called to do either */
    bool is_leaving;  /* GOAWAY came or went: no new streams */
    bool must_close;  /* after the exchanges that are open */
    bool has_changed; /* tell on_changed */
    bool is_blocked;  /* the stream is full: IO_WRITE is set */
    bool is_mute;     /* cannot be written to any more; what the server said is still read */
    bool is_calming;  /* ENHANCE_YOUR_CALM was heard */
    bool ping_is_out;
    unsigned frames_in_vain;
    size_t kept_bytes;         /* of all streams */
    struct failure *violation; /* what the server did wrong, NULL: nothing */
    struct buf out;
    struct deferred task;
    struct timer ping_timer;
    int64_t heard_us;
    struct conn_ends ends;
};

struct h2_stream {
    struct exchange exchange; /* first */
    struct reap reap;
    struct h2_conn *h2;
    struct link link;   /* in h2->streams; not linked: over */
    struct link in_due; /* in h2->due */
    int32_t id;         /* 0: never submitted */
    enum h2_send send;
    enum h2_receive receive;
    enum h2_trouble trouble;
    unsigned due;
    bool is_open;         /* events may be told */
    bool is_paused;       /* by the owner */
    bool was_paused;      /* ever: its window is not widened */
    bool is_telling;      /* kept things first: nothing is told around them */
    bool is_wide;         /* has H2_WIDE_WINDOW_BYTES */
    bool is_reused;       /* not the connection's first exchange */
    bool is_head_request; /* HEAD */
    bool is_owners_doing; /* failed by the owner's own fault: no use trying again */
    bool is_refused;      /* the server says that it did nothing with it */
    bool is_sent;         /* the request's head went into a frame */
    bool head_is_here;
    bool head_is_told;
    bool trailers_are_here;
    bool trailers_are_told;
    bool is_resetting; /* RST_STREAM came from the server */
    bool saw_end_flag; /* END_STREAM was on the last frame */
    bool wants_body;
    bool is_deferred; /* nghttp2 waits for nghttp2_session_resume_data() */
    bool body_has_ended;
    enum exchange_body body;
    uint64_t body_left; /* of EXCHANGE_BODY_KNOWN: not taken from the owner yet */
    struct buf upload;  /* taken from the owner, not in frames yet */
    struct timer expect_timer;

    unsigned status; /* of the final head, 0: not yet */
    bool has_length;
    uint64_t length;         /* announced */
    uint64_t received_bytes; /* of DATA */
    uint32_t line_bytes_max; /* of one field line; the other limits are the lists' own */
    struct headers fields;
    struct headers trailers;
    struct buf kept;      /* body that came while the owner had paused */
    struct quota *quota;  /* who pays for it; NULL: nobody */
    struct charge charge; /* of it */
    size_t unconsumed;    /* of kept: still counts against the connection's window */

    uint64_t request_bytes;
    uint64_t request_body_bytes;
    uint64_t request_body_told;
    uint64_t response_head_bytes;
    uint64_t response_body_bytes; /* told */
    int64_t sent_us;
    int64_t first_byte_us;
};

static inline struct h2_conn *h2_of_conn(struct conn *conn)
{
    return (struct h2_conn *)(void *)conn;
}

const char *h2_send_name(enum h2_send send);
const char *h2_receive_name(enum h2_receive receive);
bool h2_send_may_follow(enum h2_send from, enum h2_send to);
bool h2_receive_may_follow(enum h2_receive from, enum h2_receive to);

/* The doors. */
void h2_enter_send(struct h2_stream *stream, enum h2_send next);
void h2_enter_receive(struct h2_stream *stream, enum h2_receive next);

/* h2_conn.c */
void h2_wake(struct h2_conn *h2); /* the task runs at the end of the round */
void h2_update_interest(struct h2_conn *h2);
/* No new exchanges; those that are open go on. */
void h2_stop_opening(struct h2_conn *h2);
/* The stream is gone: every exchange fails, then the pool is told. */
void h2_break(struct h2_conn *h2, const struct failure *why);

/* h2_session.c */
/* The first thing that the server did wrong is what every exchange fails with. */
void h2_violated(struct h2_conn *h2, enum failure_kind kind, const char *text);
MUST_CHECK int h2_session_new(struct h2_conn *h2);
/* Reads what there is. */
void h2_session_read(struct h2_conn *h2);

/* h2_send.c */
/* Gives the request to nghttp2. */
MUST_CHECK int h2_send_begin(struct h2_stream *stream, const struct exchange_request *request);
/* Frames out, as far as the windows and the stream allow. */
void h2_send_flush(struct h2_conn *h2);
void h2_send_body_may_begin(struct h2_stream *stream);
size_t h2_send_write(struct h2_stream *stream, struct span bytes);
void h2_send_end_body(struct h2_stream *stream);
void h2_send_stop(struct h2_stream *stream);
void h2_send_tell_want(struct h2_stream *stream);
void h2_send_tell_progress(struct h2_stream *stream);
void h2_send_set_callbacks(nghttp2_session_callbacks *callbacks);

/* h2_stream.c */
MUST_CHECK int h2_stream_new(struct h2_conn *h2,
                             const struct exchange_request *request,
                             const struct exchange_events *events,
                             void *owner,
                             struct h2_stream **ret);
void h2_stream_set_due(struct h2_stream *stream, unsigned due);
void h2_stream_trouble_later(struct h2_stream *stream, enum h2_trouble trouble);
void h2_stream_do(struct h2_stream *stream, unsigned due);
/* Tells what is here until the owner pauses or it is over. */
void h2_stream_tell(struct h2_stream *stream);
void h2_stream_on_head(struct h2_stream *stream, bool is_last);
void h2_stream_on_data(struct h2_stream *stream, struct span bytes);
void h2_stream_on_end(struct h2_stream *stream);
/* The stream is closed in both directions, by @error_code of RFC 9113 §7. */
void h2_stream_on_close(struct h2_stream *stream, uint32_t error_code);
void h2_stream_fail(struct h2_stream *stream, enum failure_kind kind, const char *text);
/* With what the connection died of. */
void h2_stream_fail_as(struct h2_stream *stream, const struct failure *why);
/* Over: no event comes any more. @reset: tell the server that nobody listens. */
void h2_stream_end(struct h2_stream *stream, bool reset);
