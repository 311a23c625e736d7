/* SPDX-License-Identifier: MIT */
#include "ipc/session.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/fault.h"
#include "base/mem.h"
#include "ipc/turns.h"
#include "loop/loop.h"
#include "loop/timer.h"
#include "loop/watch.h"
#include "wire/frame.h"

#define READ_BYTES      65536
#define FDS_MAX         16           /* room in the control buffer; options.fds_max is below */
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

/* Shared by all sessions: what is read is eaten, or copied to the session, before the next
 * one reads. */
static char scratch[READ_BYTES];

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
    struct deferred flush;
    struct buf in; /* the beginning of a frame */
    struct buf out;
    struct charge in_charge;
    struct charge out_charge;
    struct charge fd_charge;
    int fds[FDS_MAX];
    unsigned n_fds;
    int fd;
    volatile uint8_t *busy; /* NULL: nobody wants to know */
    enum session_state state;
    bool shared; /* the socket is somebody else's, too */
    bool congested;
    bool lingers;          /* all that is queued was told lazily, and the timer runs */
    bool blocked;          /* the socket takes no more for now */
    bool yielded;          /* other tasks of this round go first */
    bool tells_all;        /* the frame that is being told is all there is in @in */
    bool spoke;            /* something has been written */
    bool write_failed;     /* on_end is to be told from the round's end */
    uint64_t turn;         /* when it was read from last, where turns are shared */
    size_t leaving_bytes;  /* its part of what waits for those who leave */
    unsigned gathered;     /* rounds that the queue has waited for more */
    size_t gathered_bytes; /* what it was in the last of them */
};

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
static void stop_reading(struct session *session)
{
    if (watch_set(&session->watch, session->watch.interest & ~WATCH_READ) < 0)
        session->write_failed = true;
}

static void end(struct session *session, enum session_end why)
{
    if (session->state >= SESSION_ENDED)
        return;
    session->state = why == SESSION_END_EOF ? SESSION_HALF : SESSION_ENDED;
    stop_reading(session);
    timer_disarm(&session->deadline);
    if (session->state == SESSION_HALF && timer_arm(&session->deadline, GONE_POLL_US) < 0)
        session->state = SESSION_ENDED;
    session->events->on_end(session->owner, why);
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

static void want_write(struct session *session, bool on)
{
    unsigned interest = session->watch.interest & ~WATCH_WRITE;

    session->blocked = on;
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
           session->out.len == 0 && session->n_fds == 0;
}

static void set_busy(struct session *session)
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
    if (session->state == SESSION_LEAVING)
        buf_done(&session->in); /* what was told of it is done with by now */
    if (!session->blocked)
        write_queue(session);
    if (session->state == SESSION_LEAVING && (session->out.len == 0 || session->write_failed)) {
        session_close(session);
    } else if (session->write_failed) {
        took(session, session->out.len);
        end(session, SESSION_END_ERROR);
    } else {
        drained(session);
        if (session->busy && session_is_quiet(session))
            session->events->on_quiet(session->owner);
    }
}

static int queue(struct session *session, size_t size)
{
    int r = charge_take(&session->out_charge, session->quota, QUOTA_BYTES, size);

    if (r < 0)
        return r;
    r = buf_reserve(&session->out, size);
    if (r < 0)
        charge_give_back(&session->out_charge, size);
    return r;
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
    set_busy(session);
    if (session->congested || session->out.len <= session->options.high_water_bytes)
        return;
    session->congested = true;
    if (session->state <= SESSION_HALF)
        session->events->on_congested(session->owner);
}

int session_reserve(struct session *session, size_t size, char **ret)
{
    int r = queue(session, size);

    if (r < 0)
        return r;
    charge_give_back(&session->out_charge, size); /* charged for what is written */
    *ret = buf_tail(&session->out);
    return 0;
}

static void commit(struct session *session, size_t size)
{
    /* It fitted a moment ago, in session_reserve(). */
    INVARIANT(charge_take(&session->out_charge, session->quota, QUOTA_BYTES, size) == 0);
    buf_commit(&session->out, size);
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
    int r = queue(session, rest_of_head.len + rest.len);
    if (r < 0 && sent == 0)
        return r;
    if (r < 0) { /* half a frame is out: the stream cannot be mended */
        session->write_failed = true;
        loop_defer(session->loop, &session->flush);
        return r;
    }
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

/* ---- in -------------------------------------------------------------------------------- */

static void keep_fds(struct session *session, const struct cmsghdr *part, bool *ret_too_many)
{
    size_t n = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);

    for (size_t i = 0; i < n; i++) {
        int fd;

        memcpy(&fd, CMSG_DATA(part) + i * sizeof(int), sizeof(int));
        if (session->n_fds == session->options.fds_max || session->n_fds == FDS_MAX) {
            close(fd);
            *ret_too_many = true;
            continue;
        }
        if (charge_take(&session->fd_charge, session->quota, QUOTA_FDS, 1) < 0) {
            close(fd);
            fd = -EDQUOT; /* keeps its place: the frame that takes it is told */
        }
        session->fds[session->n_fds++] = fd;
    }
}

/* Return: bytes read, 0 at the end, -EAGAIN, -EMFILE for too many descriptors, -errno. */
// NOLINTNEXTLINE(readability-non-const-parameter): the iovec writes to it
static ssize_t receive(struct session *session, char *to, size_t size)
{
    union {
        struct cmsghdr header; /* aligns the bytes */
        char bytes[CMSG_SPACE(sizeof(int) * FDS_MAX)];
    } control;
    struct iovec iov = {to, size};
    struct msghdr message = {.msg_iov = &iov,
                             .msg_iovlen = 1,
                             .msg_control = control.bytes,
                             .msg_controllen = sizeof(control.bytes)};
    bool too_many = false;
    ssize_t n;

    do
        n = recvmsg(session->fd, &message, MSG_CMSG_CLOEXEC);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return -errno;
    for (struct cmsghdr *part = CMSG_FIRSTHDR(&message); part;
         part = CMSG_NXTHDR(&message, part))
        if (part->cmsg_level == SOL_SOCKET && part->cmsg_type == SCM_RIGHTS)
            keep_fds(session, part, &too_many);
    return too_many || (message.msg_flags & MSG_CTRUNC) ? -EMFILE : n;
}

/* Tells of the whole frames in *bytes and eats them. Return: 0, or -EPROTO. */
static int tell_frames(struct session *session, struct span *bytes)
{
    while (session->state == SESSION_OPEN && bytes->len > 0) {
        struct wire_frame frame;
        enum wire_outcome outcome =
            wire_frame_next((const uint8_t *)bytes->ptr, bytes->len, &frame);

        if (outcome == WIRE_MORE)
            break;
        if (outcome != WIRE_READY)
            return -EPROTO;
        *bytes = span_drop(*bytes, frame.frame_len);
        timer_disarm(&session->deadline);
        session->tells_all = session->in.len == frame.frame_len;
        session->events->on_frame(session->owner, &frame);
        session->tells_all = false;
    }
    return 0;
}

bool session_frame_holds(const struct session *session, struct span part)
{
    struct span frame = buf_span(&session->in);
    uintptr_t at = (uintptr_t)part.ptr;
    uintptr_t begin = (uintptr_t)frame.ptr;

    return session->tells_all && at >= begin && at - begin <= frame.len &&
           part.len <= frame.len - (at - begin);
}

char *session_take_frame(struct session *session)
{
    INVARIANT(session->tells_all);
    char *memory = session->in.storage;
    size_t size = session->in.len;

    session->in = (struct buf){.max = session->in.max};
    session->tells_all = false;
    if (session->in_charge.quota) /* none any more where it was closed meanwhile */
        charge_give_back(&session->in_charge, size);
    return memory;
}

/* A deadline for the rest of the frame; the very first has one from the start. */
static int watch_the_clock(struct session *session)
{
    if (session->in.len == 0 || timer_is_armed(&session->deadline))
        return 0;
    return timer_arm(&session->deadline, session->options.rest_of_frame_us);
}

static size_t missing_bytes(const struct session *session, size_t more)
{
    struct span have = buf_span(&session->in);
    struct wire_frame frame = {0};

    (void)wire_frame_next((const uint8_t *)have.ptr, have.len, &frame);
    if (frame.frame_len > have.len + more)
        return frame.frame_len - have.len;
    return more;
}

/* Keeps the beginning of a frame, with room for all of it: to move a long one when more of it
 * comes would leave a hole. Room is addresses; memory it has as its bytes come. */
static int keep_rest(struct session *session, struct span rest)
{
    struct wire_frame frame = {0};
    int r = charge_take(&session->in_charge, session->quota, QUOTA_BYTES, rest.len);

    (void)wire_frame_next((const uint8_t *)rest.ptr, rest.len, &frame);
    if (r == 0 && frame.frame_len > 0)
        r = buf_reserve(&session->in, frame.frame_len);
    return r < 0 ? r : buf_append(&session->in, rest);
}

static int eat_scratch(struct session *session, size_t n)
{
    struct span bytes = {scratch, n};
    int r = tell_frames(session, &bytes);

    if (r < 0 || session->state != SESSION_OPEN)
        return r;
    return bytes.len ? keep_rest(session, bytes) : 0;
}

static int eat_kept(struct session *session, size_t n)
{
    int r = charge_take(&session->in_charge, session->quota, QUOTA_BYTES, n);

    if (r < 0)
        return r;
    buf_commit(&session->in, n);
    struct span bytes = buf_span(&session->in);
    r = tell_frames(session, &bytes);
    if (session->state != SESSION_OPEN) /* its charges are released already */
        return 0;
    if (!session->in.storage) /* somebody took it */
        return r;
    size_t eaten = session->in.len - bytes.len;
    buf_consume(&session->in, eaten);
    charge_give_back(&session->in_charge, eaten);
    if (session->in.len == 0)
        buf_done(&session->in);
    return r;
}

static bool client_is_gone(const struct session *session)
{
    struct pollfd ask = {.fd = session->fd, .events = 0};

    return poll(&ask, 1, 0) > 0 && (ask.revents & (POLLHUP | POLLERR));
}

static void tell_end(struct session *session, ssize_t r)
{
    if (r == 0)
        end(session, client_is_gone(session) ? SESSION_END_ERROR : SESSION_END_EOF);
    else if (r == -EPROTO)
        end(session, SESSION_END_FRAME);
    else if (r == -EMFILE)
        end(session, SESSION_END_FDS);
    else if (r == -EDQUOT)
        end(session, SESSION_END_QUOTA);
    else
        end(session, SESSION_END_ERROR);
}

/* Descriptors ride with the first byte of the frame that takes them: when no part of a frame is
 * left, nobody is going to take those that are. */
static void read_some(struct session *session, size_t most)
{
    if (session->busy) { /* from here on its bytes are in our memory alone */
        set_busy(session);
        loop_defer(session->loop, &session->flush);
    }
    bool kept = session->in.len > 0;
    size_t want = kept ? missing_bytes(session, most) : most;
    int r = kept ? buf_reserve(&session->in, want) : 0;
    if (most == TURNS_READ_BYTES && want > TURNS_REST_BYTES)
        want = TURNS_REST_BYTES;

    if (r < 0) {
        end(session, SESSION_END_QUOTA);
        return;
    }
    ssize_t n = receive(session, kept ? buf_tail(&session->in) : scratch, want);
    if (n == -EAGAIN)
        return;
    if (n <= 0) {
        tell_end(session, n);
        return;
    }
    r = kept ? eat_kept(session, (size_t)n) : eat_scratch(session, (size_t)n);
    if (r == 0 && session->state == SESSION_OPEN)
        r = session->in.len == 0 && session->n_fds > 0 ? -EMFILE : watch_the_clock(session);
    if (r == -EDQUOT) { /* no frame of it was told: its memory goes with its charge */
        buf_done(&session->in);
        charge_release(&session->in_charge);
    }
    if (r < 0 && session->state == SESSION_OPEN)
        tell_end(session, r);
}

/* A socket that is left alone is still readable in the next round. */
static void session_read(struct session *session)
{
    struct turns *turns = session->options.turns;
    size_t most = sizeof(scratch);

    if (turns) {
        int64_t now_us = loop_now_us(session->loop);

        turns_note(turns, session->quota, now_us);
        if (turns_are_shared(turns, now_us)) {
            most = TURNS_READ_BYTES;
            if (!turns_take(turns, session->quota, loop_round(session->loop), &session->turn))
                return;
        }
    }
    read_some(session, most);
}

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
        if (client_is_gone(session) || timer_arm(&session->deadline, GONE_POLL_US) < 0)
            end(session, SESSION_END_ERROR);
    } else {
        end(session, SESSION_END_TIMEOUT);
    }
}

int session_take_fd(struct session *session)
{
    if (session->n_fds == 0)
        return -1;

    int fd = session->fds[0];
    session->n_fds--;
    memmove(session->fds, session->fds + 1, session->n_fds * sizeof(int));
    if (fd >= 0 && session->fd_charge.quota) /* none any more while the last word goes out */
        charge_give_back(&session->fd_charge, 1);
    return fd;
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
    int r = watch_init(&session->watch, loop, fd, session_on_ready, session);
    if (r == 0)
        r = watch_set(&session->watch, WATCH_READ);
    if (r == 0)
        r = timer_arm(&session->deadline, options->first_frame_us);
    if (options->turns)
        turns_note(options->turns, quota, loop_now_us(loop));
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

static void release_charges(struct session *session)
{
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

static void drop_fds(struct session *session)
{
    for (unsigned i = 0; i < session->n_fds; i++) {
        if (session->fds[i] >= 0)
            close(session->fds[i]);
    }
    session->n_fds = 0;
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
    watch_done(&session->watch);
    close(session->fd);
    drop_fds(session);
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
    stop_reading(session);
    drop_fds(session);
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
