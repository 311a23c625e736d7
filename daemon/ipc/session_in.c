/* SPDX-License-Identifier: MIT */
/*
 * What comes in: bytes to frames. They are read into memory that all sessions share; the
 * beginning of a frame that is not whole is kept, and paid for by its user. Who cannot pay has
 * it go by (wire/skim.h).
 */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fault.h"
#include "ipc/session_priv.h"
#include "loop/turns.h"
#include "wire/frame.h"

#define READ_BYTES   65536
#define ANSWER_RATIO 64 /* bytes of answers at most for a byte that is read */

/* Shared by all sessions: what is read is eaten, or copied to the session, before the next
 * one reads. */
static char scratch[READ_BYTES];

void session_drop_fds(struct session *session)
{
    for (unsigned i = 0; i < session->n_fds; i++) {
        if (session->fds[i] >= 0)
            close(session->fds[i]);
    }
    session->n_fds = 0;
    charge_release(&session->fd_charge);
}

static void keep_fds(struct session *session, const struct cmsghdr *part, bool *ret_too_many)
{
    size_t n = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);

    for (size_t i = 0; i < n; i++) {
        int fd;

        memcpy(&fd, CMSG_DATA(part) + i * sizeof(int), sizeof(int));
        if (session->n_fds == session->options.fds_max || session->n_fds == SESSION_FDS_MAX) {
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
        char bytes[CMSG_SPACE(sizeof(int) * SESSION_FDS_MAX)];
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
        session->tells = true;
        session->events->on_frame(session->owner, &frame);
        session->tells = session->tells_all = false;
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

    session->in = (struct buf){.max = session->in.max};
    session->tells_all = false;
    charge_release(&session->in_charge);
    return memory;
}

static bool is_between_frames(const struct session *session)
{
    return session->in.len == 0 && !session->skims;
}

static size_t missing_bytes(const struct session *session, size_t more)
{
    struct span have = buf_span(&session->in);
    struct wire_frame frame = {0};

    (void)wire_frame_next((const uint8_t *)have.ptr, have.len, &frame);
    if (frame.frame_len > have.len + more || frame.frame_len > SESSION_SHORT_FRAME_BYTES)
        return frame.frame_len - have.len;
    return more;
}

/* Of a frame that has begun its rest, of one that goes by no more than that. */
static size_t how_much(const struct session *session, size_t most)
{
    size_t want = most;

    if (session->in.len > 0)
        want = missing_bytes(session, most);
    else if (session->skims)
        want = (size_t)wire_skim_missing(&session->skim);
    else
        return most;
    if (want == 0) /* its length is still to come */
        return 1;
    if (most <= TURNS_READ_BYTES && want > TURNS_REST_BYTES)
        want = TURNS_REST_BYTES;
    return session->skims && want > sizeof(scratch) ? sizeof(scratch) : want;
}

/* What is kept of a long frame is the user's to pay; nobody knows yet how long one is of which
 * the length has not come. Return: 0 or -EDQUOT. */
static int pay_for_kept(struct session *session, size_t frame_len)
{
    size_t kept = frame_len > SESSION_SHORT_FRAME_BYTES ? session->in.len : 0;
    size_t paid = (size_t)session->in_charge.amount;

    if (kept <= paid)
        return 0;
    return charge_take_spare(&session->in_charge, session->quota, QUOTA_BYTES, kept - paid);
}

/* Keeps the beginning of a frame, with room for all of it: to move a long one when more of it
 * comes would leave a hole. Room is addresses; memory it has as its bytes come. */
static int keep(struct session *session, struct span rest)
{
    struct wire_frame frame = {0};

    (void)wire_frame_next((const uint8_t *)rest.ptr, rest.len, &frame);
    int r = buf_reserve(&session->in, frame.frame_len > 0 ? frame.frame_len : rest.len);
    if (r < 0)
        return r;
    r = buf_append(&session->in, rest);
    return r < 0 ? r : pay_for_kept(session, frame.frame_len);
}

static void forget_kept(struct session *session)
{
    buf_done(&session->in);
    charge_release(&session->in_charge);
}

/* The frame that begins with @have goes by, and its descriptors with it: they rode with its
 * first byte. @why as on_unkept has it. */
static void begin_to_skim(struct session *session, struct span have, int why)
{
    session->skims = why;
    session->skim = (struct wire_skim){0};
    (void)wire_skim_feed(&session->skim, (const uint8_t *)have.ptr, have.len);
    forget_kept(session);
    session_drop_fds(session);
}

static int eat_scratch(struct session *session, struct span bytes)
{
    int r = tell_frames(session, &bytes);

    if (r < 0 || session->state != SESSION_OPEN || bytes.len == 0)
        return r;
    r = keep(session, bytes);
    if (r < 0)
        begin_to_skim(session, bytes, r);
    return 0;
}

static void end_skim(struct session *session)
{
    struct wire_skim skim = session->skim;
    int why = session->skims;

    session->skims = 0;
    session->skim = (struct wire_skim){0};
    timer_disarm(&session->deadline);
    session->events->on_unkept(session->owner, &skim, why);
}

/* All but its descriptors: those that came with its last piece may be the next one's. */
static int eat_skimmed(struct session *session, struct span bytes)
{
    size_t n = wire_skim_feed(&session->skim, (const uint8_t *)bytes.ptr, bytes.len);

    if (!wire_skim_is_whole(&session->skim)) {
        session_drop_fds(session);
        return 0;
    }
    end_skim(session);
    return session->state == SESSION_OPEN ? eat_scratch(session, span_drop(bytes, n)) : 0;
}

/* The rest of it stays kept, if it is paid for; nothing is where somebody took it. */
static int keep_on(struct session *session, struct span rest)
{
    struct wire_frame frame = {0};

    buf_consume(&session->in, session->in.len - rest.len);
    charge_release(&session->in_charge);
    if (rest.len == 0) {
        buf_done(&session->in);
        return 0;
    }
    (void)wire_frame_next((const uint8_t *)rest.ptr, rest.len, &frame);
    return pay_for_kept(session, frame.frame_len);
}

/* It is paid for until it has been told. */
static int eat_kept(struct session *session, size_t n)
{
    struct wire_frame frame = {0};
    struct span bytes;

    buf_commit(&session->in, n);
    bytes = buf_span(&session->in);
    (void)wire_frame_next((const uint8_t *)bytes.ptr, bytes.len, &frame);
    int r = pay_for_kept(session, frame.frame_len);
    if (r == 0) {
        if (tell_frames(session, &bytes) < 0)
            return -EPROTO;
        if (session->state != SESSION_OPEN) { /* nobody pays for it any more */
            forget_kept(session);
            return 0;
        }
        r = keep_on(session, bytes);
    }
    if (r < 0)
        begin_to_skim(session, buf_span(&session->in), r);
    if (session->skims && wire_skim_is_whole(&session->skim))
        end_skim(session);
    return 0;
}

bool session_client_is_gone(const struct session *session)
{
    struct pollfd ask = {.fd = session->fd, .events = 0};

    return poll(&ask, 1, 0) > 0 && (ask.revents & (POLLHUP | POLLERR));
}

static void tell_end(struct session *session, ssize_t r)
{
    if (r == 0)
        session_end(session,
                    session_client_is_gone(session) ? SESSION_END_ERROR : SESSION_END_EOF);
    else if (r == -EPROTO)
        session_end(session, SESSION_END_FRAME);
    else if (r == -EMFILE)
        session_end(session, SESSION_END_FDS);
    else
        session_end(session, SESSION_END_ERROR);
}

/* Descriptors ride with the first byte of the frame that takes them: when no part of a frame is
 * left, nobody is going to take those that are. */
static void read_some(struct session *session, size_t most)
{
    if (session->busy) { /* from here on its bytes are in our memory alone */
        session_set_busy(session);
        loop_defer(session->loop, &session->flush);
    }
    bool kept = session->in.len > 0;
    size_t want = how_much(session, most);
    int r = kept ? buf_reserve(&session->in, want) : 0;
    if (r < 0) {
        begin_to_skim(session, buf_span(&session->in), r);
        kept = false;
        want = how_much(session, most);
    }
    ssize_t n = receive(session, kept ? buf_tail(&session->in) : scratch, want);
    if (n == -EAGAIN)
        return;
    if (n <= 0) {
        tell_end(session, n);
        return;
    }
    struct span bytes = {scratch, (size_t)n};
    if (kept)
        r = eat_kept(session, (size_t)n);
    else
        r = session->skims ? eat_skimmed(session, bytes) : eat_scratch(session, bytes);
    if (r == 0 && session->state == SESSION_OPEN)
        r = is_between_frames(session) && session->n_fds > 0 ? -EMFILE
                                                             : session_watch_the_clock(session);
    if (r < 0 && session->state == SESSION_OPEN)
        tell_end(session, r);
}

/* While its user has no room it answers for what is queued before it asks for more; for lack of
 * memory to stop it goes on. */
static bool must_read_first(struct session *session)
{
    if (!session->blocked || quota_has_spare(session->quota, QUOTA_BYTES, 0))
        return false;
    session->held = true;
    timer_disarm(&session->deadline); /* it is us who make it wait */
    session_stop_reading(session);
    return true;
}

/* Of a user with little room so much that the answers find it. */
static size_t bounded_by_room(const struct session *session, size_t most)
{
    uint64_t room = quota_left(session->quota, QUOTA_BYTES) / ANSWER_RATIO;

    if (room >= most)
        return most;
    return room > TURNS_READ_BYTES ? (size_t)room : TURNS_READ_BYTES;
}

void session_on_rested(void *owner)
{
    struct session *session = owner;

    if (session->state != SESSION_OPEN)
        return;
    if (watch_set(&session->watch, session->watch.interest | WATCH_READ) < 0) {
        session->write_failed = true;
        loop_defer(session->loop, &session->flush);
    }
}

/* Return: bytes that may be read; 0: not now. A socket that is left alone is still readable in
 * the next round, but for one that rests, since rounds that find nothing to do cost others the
 * processor. */
static size_t take_turn(struct session *session, int64_t now_us, size_t most)
{
    struct turns *turns = session->options.turns;

    turns_note(turns, session->options.user, now_us);
    if (!turns_are_shared(turns, now_us))
        return turns_most(turns, session->options.user, most);
    int64_t wait_us = turns_wait_us(turns, session->options.user, now_us);
    if (wait_us == 0)
        return turns_take(turns, session->options.user, loop_round(session->loop),
                          &session->turn);
    if (timer_arm(&session->rest, wait_us) == 0)
        session_stop_reading(session);
    return 0;
}

void session_read(struct session *session)
{
    struct turns *turns = session->options.turns;
    size_t most = bounded_by_room(session, sizeof(scratch));

    if (must_read_first(session))
        return;
    if (!turns) {
        read_some(session, most);
        return;
    }
    int64_t now_us = loop_now_us(session->loop);
    most = take_turn(session, now_us, most);
    if (most == 0)
        return;
    session->work = 0;
    read_some(session, most);
    turns_spend(turns, session->options.user, session->work, now_us);
}

void session_note_work(struct session *session, size_t bytes)
{
    session->work += bytes;
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
