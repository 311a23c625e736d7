/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * An HTTP/1.1 connection (RFC 9112) and the one exchange it may carry at a time.
 *
 * Two halves that know little of each other: h1_send.c brings the request out, h1_receive.c
 * takes the answer in, h1_conn.c opens and ends. Each half is an enum with a table of legal
 * steps and one door. A third, small one is whether the stream is still there (io != NULL).
 *
 * Whatever comes out of a call of the owner's is told later, from `task`; whatever comes from
 * the stream is told at once. After each event `serial` says whether the exchange is still the
 * one it was: the owner may have closed it or, after its end, opened the next one.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/quota.h"
#include "http/h1_parser.h"
#include "loop/loop.h"
#include "loop/timer.h"
#include "net/io.h"
#include "transport/conn.h"
#include "transport/transport_priv.h"

enum h1_send {
    H1_SEND_IDLE,    /* no exchange */
    H1_SEND_EXPECT,  /* the head is out or on its way; the body waits for 100 or a second */
    H1_SEND_BODY,    /* body is taken from the owner */
    H1_SEND_FLUSH,   /* all of the request is here, not all of it taken by the stream */
    H1_SEND_DONE,    /* the stream has taken all of it */
    H1_SEND_STOPPED, /* given up: the answer or a broken stream came first */
    H1_SEND_COUNT,
};

enum h1_receive {
    H1_RECEIVE_IDLE, /* no exchange: nothing may come */
    H1_RECEIVE_HEAD, /* the final head is still to come */
    H1_RECEIVE_BODY,
    H1_RECEIVE_CLOSED, /* no exchange, and the stream is gone */
    H1_RECEIVE_COUNT,
};

/* What the task is to do, in this order. */
#define H1_DUE_FAIL     1U  /* fail with h1->trouble */
#define H1_DUE_WANT     2U  /* on_want_body */
#define H1_DUE_FLUSH    4U  /* write what is in h1->out */
#define H1_DUE_PROGRESS 8U  /* on_body_sent */
#define H1_DUE_RECEIVE  16U /* go on with what was kept, and with the stream */

/* A head with as many fields as headers.h allows, and a chunk behind it. */
#define H1_OUT_BYTES_MAX 1048576

/* Failures that arise in a call of the owner's; told by the task. */
enum h1_trouble {
    H1_TROUBLE_NONE,
    H1_TROUBLE_GONE,       /* the connection had broken before the request */
    H1_TROUBLE_BODY_SHORT, /* less body than announced */
    H1_TROUBLE_BODY_LONG,  /* more */
    H1_TROUBLE_MEMORY,
    H1_TROUBLE_QUOTA, /* no room to keep what the paused owner does not take */
};

struct h1_conn {
    struct conn conn; /* first */
    struct reap reap;
    struct exchange exchange;
    struct transport *transport;
    struct io *io; /* NULL: closed */

    enum h1_send send;
    enum h1_receive receive;
    uint64_t serial;      /* counts openings and ends of exchanges */
    uint64_t id;          /* of the connection */
    uint64_t opened;      /* exchanges */
    bool is_open;         /* an exchange is */
    bool is_paused;       /* by the owner */
    bool is_resuming;     /* not paused any more, but what was kept comes first */
    bool is_owners_doing; /* failed by the owner's own fault: no use trying again */
    bool must_close;      /* nothing may follow this exchange */
    bool is_delivering;   /* an event with borrowed bytes is being told */

    /* Sending. out holds head, framing and small pieces of payload in the order of the wire. */
    struct buf out;
    size_t out_payload; /* how much of out is payload */
    enum exchange_body body;
    uint64_t body_left;          /* of EXCHANGE_BODY_KNOWN: not taken from the owner yet */
    bool is_blocked;             /* the stream is full: IO_WRITE is set */
    bool wants_body;             /* tell the owner when there is room */
    bool body_has_ended;         /* in H1_SEND_EXPECT: exchange_end_body() came early */
    struct failure send_failure; /* why H1_SEND_STOPPED, if the stream broke */
    struct timer expect_timer;

    /* Receiving. */
    struct h1_parser parser;
    struct quota *quota;  /* of the exchange's owner: pays for what is kept; NULL: nobody */
    struct charge charge; /* of that */
    struct buf kept;      /* read, but not delivered: the exchange was paused */
    unsigned status;      /* of the final head, 0: not yet */

    struct deferred task;
    bool is_in_task;
    unsigned due;
    enum h1_trouble trouble;

    uint64_t request_bytes;
    uint64_t request_body_bytes;
    uint64_t request_body_told;
    uint64_t response_head_bytes;
    uint64_t response_body_bytes;
    int64_t sent_us;
    int64_t first_byte_us;
    struct conn_ends ends;
};

static inline struct h1_conn *h1_of_conn(struct conn *conn)
{
    return (struct h1_conn *)(void *)conn;
}

const char *h1_send_name(enum h1_send send);
const char *h1_receive_name(enum h1_receive receive);
bool h1_send_may_follow(enum h1_send from, enum h1_send to);
bool h1_receive_may_follow(enum h1_receive from, enum h1_receive to);

/* The doors. */
void h1_enter_send(struct h1_conn *h1, enum h1_send next);
void h1_enter_receive(struct h1_conn *h1, enum h1_receive next);

/* h1_conn.c */
void h1_set_due(struct h1_conn *h1, unsigned due);
void h1_update_interest(struct h1_conn *h1);
void h1_trouble_later(struct h1_conn *h1, enum h1_trouble trouble);
void h1_close_stream(struct h1_conn *h1);
/* No exchange is open: pool/ shall know at once. */
void h1_broke_idle(struct h1_conn *h1);
/* The last event of the exchange. @why: NULL: complete. @may_reuse: the answer allows another
 * exchange. The owner may have done anything after it: return. */
void h1_finish(struct h1_conn *h1, const struct failure *why, bool may_reuse);
void h1_fail(struct h1_conn *h1, enum failure_kind kind, const char *text);
/* With what the stream says about itself. */
void h1_fail_stream(struct h1_conn *h1, const struct failure *why);
enum failure_phase h1_phase(const struct h1_conn *h1);

/* h1_send.c */
MUST_CHECK int h1_send_begin(struct h1_conn *h1, const struct exchange_request *request);
void h1_send_flush(struct h1_conn *h1);
void h1_send_body_may_begin(struct h1_conn *h1); /* 100 has come, or nobody waits for it */
void h1_send_stop(struct h1_conn *h1);
void h1_send_on_writable(struct h1_conn *h1);
void h1_send_tell_progress(struct h1_conn *h1);
void h1_send_tell_want(struct h1_conn *h1);
void h1_send_end(struct h1_conn *h1); /* the exchange is over: release what it held */
size_t h1_send_write(struct h1_conn *h1, struct span bytes);
void h1_send_end_body(struct h1_conn *h1);

/* h1_receive.c */
void h1_receive_begin(struct h1_conn *h1, const struct exchange_request *request);
void h1_receive_on_readable(struct h1_conn *h1);
void h1_receive_kept(struct h1_conn *h1);
void h1_receive_end(struct h1_conn *h1);
