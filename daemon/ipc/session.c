/* SPDX-License-Identifier: MIT */
#include "ipc/session.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/mem.h"
#include "ipc/session_priv.h"
#include "loop/turns.h"

#define GONE_POLL_US    (500 * 1000) /* how often a half-closed client is looked at */
#define KEEP_BUFFER_MAX 65536        /* larger buffers are given back when empty, … */
#define KEEP_BUFFER_MIN 8192         /* … and those of the many clients that rest */
#define GATHER_BYTES    32768        /* a shorter queue may wait for more to come */
#define GATHER_ROUNDS   8            /* so long at most, none of which sleeps */
#define BUSY_ROUNDS     3            /* so long although nothing came, when much goes on */

/* Of all who are sent away: their last words may wait for so many that do not read them. */
#define LEAVING_MAX       256
#define LEAVING_BYTES_MAX (4 << 20)

static unsigned n_leaving;
static size_t leaving_bytes;

struct session_options session_options_default(void)
{
    return (struct session_options){
        .high_water_bytes = 512 * 1024,
        .low_water_bytes = 128 * 1024,
        .direct_bytes_min = 4096,
        .fds_max = 8,
        .first_frame_us = INT64_C(5000000),
        .rest_of_frame_us = INT64_C(30000000),
        .linger_us = 5000,
    };
}

/* Dropping interest allocates nothing; were it to fail, the state keeps us from reading. */
void session_stop_reading(struct session *session)
{
    if (watch_set(&session->watch, session->watch.interest & ~WATCH_READ) < 0)
        session->write_failed = true;
}

void session_end(struct session *session, enum session_end why)
{
    if (session->state >= SESSION_ENDED)
        return;
    session->state = why == SESSION_END_EOF ? SESSION_HALF : SESSION_ENDED;
    session_stop_reading(session);
    timer_disarm(&session->deadline);
    if (session->state == SESSION_HALF && timer_arm(&session->deadline, GONE_POLL_US) < 0)
        session->state = SESSION_ENDED;
    session->events->on_end(session->owner, why);
}

/* A deadline for the rest of the frame; the very first has one from the start. */
int session_watch_the_clock(struct session *session)
{
    if ((session->in.len == 0 && !session->skims) || timer_is_armed(&session->deadline))
        return 0;
    return timer_arm(&session->deadline, session->options.rest_of_frame_us);
}

/* ---- out ------------------------------------------------------------------------------- */

static void took(struct session *session, size_t n)
{
    buf_consume(&session->out, n);
    session->spoke |= n > 0;
    if (session->out_charge.quota) /* none any more while the last word goes out */
        charge_give_back(&session->out_charge, n);
    /* Between the two it is a client that is sent much, and soon again. */
    if (session->out.len == 0 &&
        (session->out.capacity <= KEEP_BUFFER_MIN || session->out.capacity > KEEP_BUFFER_MAX))
        buf_done(&session->out);
}

/* Return: bytes the socket took; 0 when it is full or has failed. */
static size_t send_some(struct session *session, const struct iovec *iov, size_t n)
{
    struct msghdr message = {.msg_iov = (struct iovec *)(uintptr_t)iov, .msg_iovlen = n};
    ssize_t sent;

    do
        sent = n == 1 ? send(session->fd, iov->iov_base, iov->iov_len, MSG_NOSIGNAL)
                      : sendmsg(session->fd, &message, MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR);
    if (sent >= 0)
        return (size_t)sent;
    if (errno != EAGAIN) {
        session->write_failed = true;
        loop_defer(session->loop, &session->flush);
    }
    return 0;
}

/* Return: WATCH_READ, if there is anything to be read for. */
static unsigned let_go(struct session *session)
{
    session->held = false;
    if (session->state != SESSION_OPEN)
        return 0;
    if (session_watch_the_clock(session) < 0)
        session->write_failed = true;
    return WATCH_READ;
}

static void want_write(struct session *session, bool on)
{
    unsigned interest = session->watch.interest & ~WATCH_WRITE;

    session->blocked = on;
    if (!on && session->held)
        interest |= let_go(session);
    if (watch_set(&session->watch, on ? interest | WATCH_WRITE : interest) < 0) {
        session->write_failed = true;
        loop_defer(session->loop, &session->flush);
    }
}

static void drained(struct session *session)
{
    if (!session->congested || session->out.len > session->options.low_water_bytes)
        return;
    session->congested = false;
    if (session->state <= SESSION_HALF)
        session->events->on_drained(session->owner);
}

static void write_queue(struct session *session)
{
    while (session->out.len > 0 && !session->write_failed) {
        struct span queued = buf_span(&session->out);
        struct iovec iov = {(void *)(uintptr_t)queued.ptr, queued.len};
        size_t n = send_some(session, &iov, 1);

        took(session, n);
        if (n < queued.len)
            break;
    }
    bool block = session->out.len > 0 && !session->write_failed;
    if (block != session->blocked)
        want_write(session, block);
}

bool session_is_quiet(const struct session *session)
{
    return session->state == SESSION_OPEN && !session->write_failed && session->in.len == 0 &&
           !session->skims && session->out.len == 0 && session->n_fds == 0;
}

void session_set_busy(struct session *session)
{
    if (session->busy)
        *session->busy = 1;
}

/*
 * While answers of other requests are on their way, those of the next round, which does not
 * sleep, go along: a client that is woken for each few of them costs both sides more than it
 * wins, and takes the core that the server wants. A round that brought nothing ends it.
 */
static bool may_gather(struct session *session)
{
    size_t before = session->gathered_bytes;

    if (session->gathered == GATHER_ROUNDS || session->state > SESSION_HALF ||
        !session->spoke || session->blocked || session->out.len == 0 ||
        session->out.len >= GATHER_BYTES || !session->events->expects_more(session->owner))
        return false;
    session->gathered_bytes = session->out.len;
    return session->gathered == 0 || session->out.len > before ||
           (session->gathered < BUSY_ROUNDS && loop_is_busy(session->loop));
}

/* Return: whether it is put off, and will be called again. */
static bool waits_for_more(struct session *session)
{
    /* Others may have more for us. Not before the first word, hello: that stands before all
     * that is done for the client, which repeats what no hello has answered. */
    if (!session->yielded && session->spoke && loop_has_tasks(session->loop)) {
        session->yielded = true;
        loop_defer(session->loop, &session->flush);
        return true;
    }
    session->yielded = false;
    if (may_gather(session)) {
        session->gathered++;
        loop_defer_next(session->loop, &session->flush);
        return true;
    }
    session->gathered = 0;
    return false;
}

static void session_on_flush(void *owner)
{
    struct session *session = owner;

    if (session->state == SESSION_CLOSED || (session->lingers && !session->write_failed) ||
        waits_for_more(session))
        return;
    if (!session->blocked)
        write_queue(session);
    if (session->state == SESSION_LEAVING && (session->out.len == 0 || session->write_failed)) {
        session_close(session);
    } else if (session->write_failed) {
        took(session, session->out.len);
        session_end(session, SESSION_END_ERROR);
    } else {
        drained(session);
        if (session->busy && session_is_quiet(session))
            session->events->on_quiet(session->owner);
    }
}

static void pay(struct session *session, size_t size)
{
    charge_take_anyway(&session->out_charge, session->quota, QUOTA_BYTES, size);
}

/* Return: whether it may wait; without memory for the timer it may not. */
static bool begin_to_linger(struct session *session, size_t size)
{
    int64_t linger_us = session->options.linger_us;
    bool is_first = session->out.len == size && session->state <= SESSION_HALF;

    if (is_first && linger_us > 0 && !session->lingers && !session->blocked)
        session->lingers = timer_arm(&session->linger, linger_us) == 0;
    return session->lingers;
}

static void stop_lingering(struct session *session)
{
    session->lingers = false;
    loop_defer(session->loop, &session->flush);
}

/* The timer of what went out in company is left to run: the next one moves it. */
static void session_on_linger(void *owner)
{
    struct session *session = owner;

    if (session->lingers)
        stop_lingering(session);
}

static void queued(struct session *session)
{
    session_set_busy(session);
    if (session->congested || session->out.len <= session->options.high_water_bytes)
        return;
    session->congested = true;
    if (session->state <= SESSION_HALF)
        session->events->on_congested(session->owner);
}

int session_reserve(struct session *session, size_t size, enum session_room room, char **ret)
{
    if (room == SESSION_ROOM_SPARE && !quota_has_spare(session->quota, QUOTA_BYTES, size))
        return -EDQUOT;
    int r = buf_reserve(&session->out, size);
    if (r < 0)
        return r;
    *ret = buf_tail(&session->out);
    return 0;
}

static void commit(struct session *session, size_t size)
{
    pay(session, size);
    buf_commit(&session->out, size);
    session->work += size;
}

void session_commit(struct session *session, size_t size)
{
    commit(session, size);
    stop_lingering(session);
    queued(session);
}

void session_commit_lazily(struct session *session, size_t size)
{
    commit(session, size);
    if (!begin_to_linger(session, size))
        loop_defer(session->loop, &session->flush);
    queued(session);
}

/* What is queued, the head and the payload in one system call. */
static size_t send_direct(struct session *session, struct span head, struct span payload)
{
    struct span before = buf_span(&session->out);
    struct iovec iov[3] = {
        {(void *)(uintptr_t)before.ptr, before.len},
        {(void *)(uintptr_t)head.ptr, head.len},
        {(void *)(uintptr_t)payload.ptr, payload.len},
    };
    size_t n = before.len ? send_some(session, iov, 3) : send_some(session, iov + 1, 2);
    size_t of_queue = n < before.len ? n : before.len;

    took(session, of_queue);
    return n - of_queue;
}

int session_send_payload(struct session *session, struct span head, struct span payload)
{
    size_t sent = 0;

    if (!quota_has_spare(session->quota, QUOTA_BYTES, head.len + payload.len))
        return -EDQUOT;
    if (payload.len >= session->options.direct_bytes_min && !session->blocked &&
        !session->write_failed)
        sent = send_direct(session, head, payload);
    if (sent == head.len + payload.len)
        return 0;

    struct span rest_of_head = span_drop(head, sent);
    struct span rest = span_drop(payload, sent > head.len ? sent - head.len : 0);
    int r = buf_reserve(&session->out, rest_of_head.len + rest.len);
    if (r < 0 && sent == 0)
        return r;
    if (r < 0) { /* half a frame is out: the stream cannot be mended */
        session->write_failed = true;
        loop_defer(session->loop, &session->flush);
        return r;
    }
    pay(session, rest_of_head.len + rest.len);
    INVARIANT(buf_append(&session->out, rest_of_head) == 0); /* reserved above */
    INVARIANT(buf_append(&session->out, rest) == 0);
    stop_lingering(session);
    queued(session);
    return 0;
}

size_t session_queued_bytes(const struct session *session)
{
    return session->out.len;
}

bool session_is_congested(const struct session *session)
{
    return session->congested;
}

int session_fd(const struct session *session)
{
    return session->fd;
}

/* ---- readiness ------------------------------------------------------------------------- */

static void session_on_ready(void *owner, unsigned ready)
{
    struct session *session = owner;

    if (session->state == SESSION_CLOSED)
        return;
    if (ready & WATCH_WRITE) {
        write_queue(session);
        session_on_flush(session);
    } else if (session->state == SESSION_OPEN) {
        session_read(session);
    }
}

static void session_on_deadline(void *owner)
{
    struct session *session = owner;

    if (session->state == SESSION_LEAVING) {
        session_close(session);
    } else if (session->state == SESSION_HALF) {
        if (session_client_is_gone(session) || timer_arm(&session->deadline, GONE_POLL_US) < 0)
            session_end(session, SESSION_END_ERROR);
    } else {
        session_end(session, SESSION_END_TIMEOUT);
    }
}

/* ---- life ------------------------------------------------------------------------------ */

// NOLINTNEXTLINE(readability-function-size): seven, each of another type
int session_new(struct session **ret,
                struct loop *loop,
                int fd,
                const struct session_options *options,
                struct quota *quota,
                const struct session_events *events,
                void *owner)
{
    struct session *session = mem_zalloc(sizeof(*session));

    if (!session)
        return fault(-ENOMEM);
    *session = (struct session){.loop = loop,
                                .quota = quota,
                                .events = events,
                                .owner = owner,
                                .options = *options,
                                .fd = fd};
    session->flush = (struct deferred){.fn = session_on_flush, .owner = session};
    timer_init(&session->deadline, loop, session_on_deadline, session);
    timer_init(&session->linger, loop, session_on_linger, session);
    timer_init(&session->rest, loop, session_on_rested, session);
    int r = watch_init(&session->watch, loop, fd, session_on_ready, session);
    if (r == 0)
        r = watch_set(&session->watch, WATCH_READ);
    if (r == 0)
        r = timer_arm(&session->deadline, options->first_frame_us);
    if (options->turns)
        turns_note(options->turns, options->user, loop_now_us(loop));
    if (r < 0) {
        watch_done(&session->watch);
        mem_free(session);
        return r;
    }
    *ret = session;
    return 0;
}

static void session_reap(struct reap *reap)
{
    struct session *session = (struct session *)(void *)reap;

    buf_done(&session->in);
    buf_done(&session->out);
    mem_free(session);
}

/* With the memory they pay for, or others would take as much within the round; a frame that is
 * being told stays until that is done. */
static void release_charges(struct session *session)
{
    if (!session->tells)
        buf_done(&session->in);
    charge_release(&session->in_charge);
    charge_release(&session->out_charge);
    charge_release(&session->fd_charge);
}

void session_skip_hello(struct session *session)
{
    timer_disarm(&session->deadline);
}

void session_share(struct session *session, volatile uint8_t *busy)
{
    session->busy = busy;
    session->shared = true;
}

void session_leave(struct session *session)
{
    session->shared = false;
    session_close(session);
}

static void end_leaving(struct session *session)
{
    if (session->state != SESSION_LEAVING)
        return;
    n_leaving--;
    leaving_bytes -= session->leaving_bytes;
}

void session_close(struct session *session)
{
    if (session->state == SESSION_CLOSED)
        return;
    if (!session->blocked && !session->write_failed && session->out.len > 0)
        write_queue(session);
    if (session->shared)
        (void)shutdown(session->fd, SHUT_RDWR);
    end_leaving(session);
    session->busy = NULL;
    session->state = SESSION_CLOSED;
    loop_defer_cancel(session->loop, &session->flush);
    timer_disarm(&session->deadline);
    timer_disarm(&session->linger);
    timer_disarm(&session->rest);
    watch_done(&session->watch);
    close(session->fd);
    session_drop_fds(session);
    release_charges(session);
    loop_defer_free(session->loop, &session->reap, session_reap);
}

/*
 * From here on nobody pays for it: it is no user's connection any more, and its queue no user's
 * bytes. So there are few of them, whoever's they were, and what they keep is little; who reads
 * what he is sent is not concerned.
 */
static bool may_leave_slowly(struct session *session)
{
    if (n_leaving >= LEAVING_MAX || leaving_bytes + session->out.len > LEAVING_BYTES_MAX)
        return false;
    return timer_arm(&session->deadline, session->options.rest_of_frame_us) == 0;
}

void session_close_after_flush(struct session *session)
{
    if (session->state >= SESSION_LEAVING)
        return;
    session->busy = NULL;
    session_stop_reading(session);
    session_drop_fds(session);
    release_charges(session); /* the owner and its quota need not outlive this call */
    if (!session->blocked && !session->write_failed)
        write_queue(session);
    if (!may_leave_slowly(session)) {
        session_close(session);
        return;
    }
    session->state = SESSION_LEAVING;
    session->leaving_bytes = session->out.len;
    n_leaving++;
    leaving_bytes += session->leaving_bytes;
    stop_lingering(session);
}
