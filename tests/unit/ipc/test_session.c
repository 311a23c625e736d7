/* SPDX-License-Identifier: MIT */
/*
 * A session over a socketpair, with the test as the client. What the owner is told is written
 * down as a story, one word an event: frames as "<length:first byte>".
 */
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"
#include "ipc/session.h"
#include "loop/loop.h"
#include "loop/turns.h"
#include "loop/watch.h"
#include "support/fd_count.h"
#include "support/test.h"
#include "wire/frame.h"
#include "wire/skim.h"

enum act { ACT_NONE, ACT_CLOSE, ACT_CLOSE_AFTER_FLUSH, ACT_SEND };

struct world {
    struct fake_clock clock;
    struct loop *loop;
    struct quota quota;
    struct session *session; /* NULL: closed */
    int peer;
    char story[1024];
    size_t story_len;
    struct buf heard; /* by the client */
    enum act act;     /* in the event numbered act_at, from 0 */
    int act_at;
    int n_events;
    int n_ends;
    unsigned take_fds; /* in every frame, so many */
    int taken[16];
    unsigned n_taken;
    uint8_t busy; /* shared */
    bool expects_more;
    size_t work; /* each frame is */
    bool take_frames;
    char *frame; /* taken */
    size_t frame_len;
};

static void say(struct world *world, const char *word)
{
    int n = snprintf(world->story + world->story_len, sizeof(world->story) - world->story_len,
                     "%s", word);

    assert_true(n >= 0 && world->story_len + (size_t)n < sizeof(world->story));
    world->story_len += (size_t)n;
}

static void
send_frame_by(struct world *world, size_t len, void (*commit)(struct session *, size_t))
{
    uint8_t prefix[WIRE_FRAME_PREFIX_MAX];
    size_t n = wire_frame_prefix(prefix, len);
    char *to;

    assert_int_equal(session_reserve(world->session, n + len, SESSION_ROOM_SPARE, &to), 0);
    memcpy(to, prefix, n);
    memset(to + n, 'f', len);
    commit(world->session, n + len);
}

static void send_frame(struct world *world, size_t len)
{
    send_frame_by(world, len, session_commit);
}

static void send_lazily(struct world *world, size_t len)
{
    send_frame_by(world, len, session_commit_lazily);
}

static void act_now(struct world *world)
{
    if (world->n_events++ != world->act_at)
        return;
    switch (world->act) {
    case ACT_NONE: return;
    case ACT_CLOSE: session_close(TAKE(world->session)); return;
    case ACT_CLOSE_AFTER_FLUSH: session_close_after_flush(TAKE(world->session)); return;
    case ACT_SEND: send_frame(world, 10); return;
    }
}

/* What is borrowed stays where it is. */
static void take_frame(struct world *world, const struct wire_frame *frame)
{
    struct span part = {(const char *)frame->bytes, frame->len};

    if (!world->take_frames || !session_frame_holds(world->session, part))
        return;
    assert_false(session_frame_holds(world->session, SPAN_LIT("elsewhere")));
    assert_null(world->frame);
    world->frame = session_take_frame(world->session);
    world->frame_len = frame->frame_len;
    assert_ptr_equal(world->frame + frame->frame_len - frame->len, frame->bytes);
    say(world, " taken");
}

static void on_frame(void *owner, const struct wire_frame *frame)
{
    struct world *world = owner;
    char word[32];

    assert_non_null(world->session);
    (void)snprintf(word, sizeof(word), "<%zu:%c>", frame->len,
                   frame->len ? frame->bytes[0] : '-');
    say(world, word);
    for (unsigned i = 0; i < world->take_fds; i++) {
        int fd = session_take_fd(world->session);

        if (fd >= 0)
            world->taken[world->n_taken++] = fd;
    }
    take_frame(world, frame);
    session_note_work(world->session, world->work);
    act_now(world);
}

static void on_unkept(void *owner, const struct wire_skim *what, int why)
{
    struct world *world = owner;
    char word[48];

    assert_non_null(world->session);
    assert_true(wire_skim_is_whole(what));
    if (what->is_broken)
        (void)snprintf(word, sizeof(word), "<broken>");
    else
        (void)snprintf(word, sizeof(word), "<%s %u:%llu>", why == -EDQUOT ? "quota" : "memory",
                       what->kind, (unsigned long long)what->id);
    say(world, word);
    act_now(world);
}

static void on_congested(void *owner)
{
    struct world *world = owner;

    assert_non_null(world->session);
    say(world, " congested");
    act_now(world);
}

static void on_drained(void *owner)
{
    struct world *world = owner;

    assert_non_null(world->session);
    say(world, " drained");
    act_now(world);
}

static void on_end(void *owner, enum session_end end)
{
    static const char *const words[] = {
        [SESSION_END_EOF] = " eof",     [SESSION_END_ERROR] = " error",
        [SESSION_END_FRAME] = " frame", [SESSION_END_TIMEOUT] = " timeout",
        [SESSION_END_FDS] = " fds",
    };
    struct world *world = owner;

    assert_non_null(world->session);
    say(world, words[end]);
    world->n_ends++;
    act_now(world);
}

static void on_quiet(void *owner)
{
    struct world *world = owner;

    assert_true(session_is_quiet(world->session));
    say(world, " quiet");
    world->busy = 0;
}

static bool expects_more(void *owner)
{
    return ((struct world *)owner)->expects_more;
}

static const struct session_events events = {
    .expects_more = expects_more,
    .on_frame = on_frame,
    .on_unkept = on_unkept,
    .on_congested = on_congested,
    .on_drained = on_drained,
    .on_end = on_end,
    .on_quiet = on_quiet,
};

static void world_init(struct world *world, const struct session_options *options)
{
    struct session_options defaults = session_options_default();
    int pair[2];

    *world = (struct world){.act_at = -1};
    fake_clock_init(&world->clock, 1700000000);
    quota_init(&world->quota);
    assert_int_equal(loop_new(&world->loop, &world->clock.clock), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair),
                     0);
    world->peer = pair[1];
    assert_int_equal(session_new(&world->session, world->loop, pair[0],
                                 options ? options : &defaults, &world->quota, &events, world),
                     0);
}

static void turn(struct world *world)
{
    assert_int_equal(loop_turn(world->loop, false), 0);
}

static void world_done(struct world *world)
{
    if (world->session)
        session_close(world->session);
    turn(world);
    for (int slot = 0; slot < QUOTA_SLOT_COUNT; slot++)
        assert_int_equal(world->quota.used[slot], 0); /* nothing stays charged */
    for (unsigned i = 0; i < world->n_taken; i++)
        close(world->taken[i]);
    if (world->peer >= 0)
        close(world->peer);
    mem_free(world->frame);
    buf_done(&world->heard);
    loop_free(world->loop);
}

static void assert_story(struct world *world, const char *expected)
{
    assert_string_equal(world->story, expected);
}

static void put(struct world *world, const void *bytes, size_t len)
{
    assert_int_equal(send(world->peer, bytes, len, MSG_NOSIGNAL), len);
}

/* Rounds until nothing more is to be read. */
static void settle(struct world *world)
{
    for (int i = 0; i < 4; i++)
        turn(world);
}

/* The client reads all there is. Return: bytes of this call. */
static size_t hear(struct world *world)
{
    size_t before = world->heard.len;

    for (;;) {
        assert_int_equal(buf_reserve(&world->heard, 65536), 0);
        ssize_t n = recv(world->peer, buf_tail(&world->heard), 65536, 0);
        if (n <= 0)
            break;
        buf_commit(&world->heard, (size_t)n);
    }
    return world->heard.len - before;
}

static bool peer_sees_end(const struct world *world)
{
    char byte;

    return recv(world->peer, &byte, 1, 0) == 0;
}

/* A frame of @len bytes @fill behind what @to holds. */
static void add_frame(struct buf *to, size_t len, char fill)
{
    uint8_t prefix[WIRE_FRAME_PREFIX_MAX];
    size_t n = wire_frame_prefix(prefix, len);

    assert_int_equal(buf_append(to, (struct span){(const char *)prefix, n}), 0);
    assert_int_equal(buf_reserve(to, len), 0);
    memset(buf_tail(to), fill, len);
    buf_commit(to, len);
}

static void
send_with_fds(struct world *world, const void *bytes, size_t len, unsigned n, int fd)
{
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(int) * 253)];
    } control = {0};
    struct iovec iov = {(void *)(uintptr_t)bytes, len};
    struct msghdr message = {.msg_iov = &iov,
                             .msg_iovlen = 1,
                             .msg_control = control.bytes,
                             .msg_controllen = CMSG_SPACE(sizeof(int) * n)};
    struct cmsghdr *part = CMSG_FIRSTHDR(&message);

    part->cmsg_level = SOL_SOCKET;
    part->cmsg_type = SCM_RIGHTS;
    part->cmsg_len = CMSG_LEN(sizeof(int) * n);
    for (unsigned i = 0; i < n; i++)
        memcpy(CMSG_DATA(part) + i * sizeof(int), &fd, sizeof(int));
    assert_int_equal(sendmsg(world->peer, &message, MSG_NOSIGNAL), len);
}

/* ---- frames in -------------------------------------------------------------------------- */

static unsigned next_random(unsigned *seed)
{
    *seed = *seed * 1103515245U + 12345U;
    return *seed >> 16;
}

static void test_ip10_frames_arrive_the_same_whole_bytewise_or_in_any_slices(void **state)
{
    static const size_t sizes[] = {0, 1, 2, 127, 128, 300, 0, 16383, 16384, 90000, 5};
    CLEANUP_BUF struct buf all = BUF_INIT(0);
    CLEANUP_BUF struct buf expected = BUF_INIT(0);

    (void)state;
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        add_frame(&all, sizes[i], (char)('a' + i));
        assert_int_equal(buf_append_format(&expected, "<%zu:%c>", sizes[i],
                                           sizes[i] ? (char)('a' + i) : '-'),
                         0);
    }
    for (unsigned how = 0; how < 22; how++) { /* whole, bytewise, twenty seeds */
        struct world world;
        struct span rest = buf_span(&all);
        unsigned seed = how;

        world_init(&world, NULL);
        while (rest.len > 0) {
            size_t n = how == 0 ? 60000 : how == 1 ? 1 : 1 + next_random(&seed) % 40000;

            if (how == 1 && rest.len > 6000 && rest.len < all.len - 2000)
                n = 997; /* the middle of the long ones: a byte at a time proves no more */
            n = n < rest.len ? n : rest.len;
            put(&world, rest.ptr, n);
            rest = span_drop(rest, n);
            turn(&world);
        }
        settle(&world);
        assert_story(&world, buf_c_str(&expected));
        assert_int_equal(world.quota.used[QUOTA_BYTES], 0);
        world_done(&world);
    }
}

static void test_ip07_a_length_above_the_cap_ends_at_once_with_nothing_allocated(void **state)
{
    static const struct {
        const char *bytes;
        size_t len;
    } rows[] = {
        {"\xff\xff\xff\xff\x0f", 5},     /* 2^32 - 1 */
        {"\x80\x80\x80\x80\x08", 5},     /* 2^31 */
        {"\x81\x80\x40", 3},             /* the cap and one */
        {"\x80\x80\x80\x80\x80\x01", 6}, /* a length of six bytes */
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct world world;

        world_init(&world, NULL);
        turn(&world);
        mem_fail_at(UINT64_MAX); /* counts */
        put(&world, rows[i].bytes, rows[i].len);
        turn(&world);
        assert_int_equal(world.n_ends, 1);
        assert_int_equal(mem_alloc_count(), 0);
        mem_fail_at(0);
        assert_story(&world, " frame");
        world_done(&world);
    }
}

static void test_the_largest_frame_is_taken(void **state)
{
    CLEANUP_BUF struct buf all = BUF_INIT(0);
    struct world world;
    struct span rest;

    (void)state;
    world_init(&world, NULL);
    add_frame(&all, WIRE_FRAME_BYTES_MAX, 'm');
    rest = buf_span(&all);
    while (rest.len > 0) {
        ssize_t n = send(world.peer, rest.ptr, rest.len, MSG_NOSIGNAL);

        assert_true(n > 0 || errno == EAGAIN);
        rest = span_drop(rest, n > 0 ? (size_t)n : 0);
        turn(&world);
    }
    settle(&world);
    assert_story(&world, "<1048576:m>");
    world_done(&world);
}

static void put_all(struct world *world, const struct buf *bytes)
{
    struct span rest = buf_span(bytes);

    while (rest.len > 0) {
        ssize_t n = send(world->peer, rest.ptr, rest.len, MSG_NOSIGNAL);

        assert_true(n > 0 || errno == EAGAIN);
        rest = span_drop(rest, n > 0 ? (size_t)n : 0);
        turn(world);
    }
    settle(world);
}

static void test_the_memory_of_a_long_frame_may_be_taken_and_is_charged_no_more(void **state)
{
    CLEANUP_BUF struct buf all = BUF_INIT(0);
    struct world world;

    (void)state;
    world_init(&world, NULL);
    world.take_frames = true;
    add_frame(&all, 1000000, 'm');
    add_frame(&all, 7, 'n'); /* which shares its memory */
    put_all(&world, &all);
    assert_story(&world, "<1000000:m> taken<7:n>");
    assert_int_equal(world.quota.used[QUOTA_BYTES], 0);
    for (size_t i = world.frame_len - 1000000; i < world.frame_len; i++)
        assert_int_equal(world.frame[i], 'm');
    world_done(&world);
}

static void test_a_frame_may_be_taken_and_the_session_closed(void **state)
{
    CLEANUP_BUF struct buf all = BUF_INIT(0);

    (void)state;
    for (int act = ACT_CLOSE; act <= ACT_SEND; act++) {
        struct world world;

        world_init(&world, NULL);
        world.take_frames = true;
        world.act = (enum act)act;
        world.act_at = 0;
        buf_clear(&all);
        add_frame(&all, 300000, 'm');
        put_all(&world, &all);
        assert_story(&world, "<300000:m> taken");
        assert_int_equal(world.frame[world.frame_len - 1], 'm');
        world_done(&world);
    }
}

static void test_ip09_silence_ends_after_5_s_before_the_first_frame(void **state)
{
    struct world world;

    (void)state;
    for (int with_half = 0; with_half < 2; with_half++) {
        world_init(&world, NULL);
        if (with_half)
            put(&world,
                "\x05"
                "ab",
                3);
        turn(&world);
        fake_clock_advance_ms(&world.clock, 4999);
        turn(&world);
        assert_story(&world, "");
        fake_clock_advance_ms(&world.clock, 1);
        turn(&world);
        assert_story(&world, " timeout");
        fake_clock_advance_ms(&world.clock, 600000);
        settle(&world);
        assert_story(&world, " timeout"); /* once */
        world_done(&world);
    }
}

static void test_ip09_half_a_frame_then_a_drip_ends_after_30_s(void **state)
{
    struct world world;

    (void)state;
    world_init(&world, NULL);
    put(&world,
        "\x01"
        "a\x40",
        3);
    turn(&world);
    assert_story(&world, "<1:a>");
    for (int s = 0; s < 29; s++) { /* a byte a second does not put it off */
        fake_clock_advance_ms(&world.clock, 1000);
        put(&world, "b", 1);
        turn(&world);
    }
    assert_story(&world, "<1:a>");
    fake_clock_advance_ms(&world.clock, 1000);
    turn(&world);
    assert_story(&world, "<1:a> timeout");
    world_done(&world);
}

static void test_a_client_that_is_silent_between_frames_is_left_alone(void **state)
{
    struct world world;

    (void)state;
    world_init(&world, NULL);
    put(&world,
        "\x02"
        "a",
        2);
    turn(&world);
    put(&world, "a", 1);
    turn(&world);
    fake_clock_advance_ms(&world.clock, 86400000);
    settle(&world);
    assert_story(&world, "<2:a>");
    world_done(&world);
}

/* A request (field 2 of the envelope) of @len bytes whose number stands at its beginning or at
 * its very end. */
static void add_request(struct buf *to, size_t len, uint8_t number, bool number_last)
{
    uint8_t prefix[WIRE_FRAME_PREFIX_MAX];
    size_t inner = len - 4;
    size_t rest = inner - 2 - 4;
    const char id[2] = {8, (char)number};
    const char outer[] = {0x12, (char)(inner | 0x80), (char)((inner >> 7) | 0x80),
                          (char)(inner >> 14)};
    const char url[] = {0x1a, (char)(rest | 0x80), (char)((rest >> 7) | 0x80),
                        (char)(rest >> 14)};
    size_t n = wire_frame_prefix(prefix, len);

    assert_true(inner >= 1 << 14 && inner < 1 << 21 && rest >= 1 << 14);
    assert_int_equal(buf_append(to, (struct span){(const char *)prefix, n}), 0);
    assert_int_equal(buf_append(to, (struct span){outer, sizeof(outer)}), 0);
    if (!number_last)
        assert_int_equal(buf_append(to, (struct span){id, sizeof(id)}), 0);
    assert_int_equal(buf_append(to, (struct span){url, sizeof(url)}), 0);
    assert_int_equal(buf_reserve(to, rest), 0);
    memset(buf_tail(to), 'u', rest);
    buf_commit(to, rest);
    if (number_last)
        assert_int_equal(buf_append(to, (struct span){id, sizeof(id)}), 0);
}

/* Who has little room is read from a little at a time. */
static void settle_slowly(struct world *world)
{
    for (int i = 0; i < 400; i++)
        turn(world);
}

/* The client writes all of @bytes, @piece of them at a time; the quota holds at every moment.
 */
static void put_pieces(struct world *world, struct span bytes, size_t piece)
{
    while (bytes.len > 0 && world->session) {
        struct span part = span_take(bytes, piece);
        ssize_t n = send(world->peer, part.ptr, part.len, MSG_NOSIGNAL);

        if (n > 0)
            bytes = span_drop(bytes, (size_t)n);
        turn(world);
        assert_true(world->quota.used[QUOTA_BYTES] <= world->quota.max[QUOTA_BYTES]);
    }
    settle_slowly(world);
}

static void
test_ip20_bytes_of_a_half_frame_are_charged_and_what_does_not_fit_goes_by(void **state)
{
    static const char part[60000] = {0};
    CLEANUP_BUF struct buf frame = BUF_INIT(0);
    struct world world;

    (void)state;
    world_init(&world, NULL);
    world.quota.max[QUOTA_BYTES] = 100000;
    add_request(&frame, 200000, 7, false);
    put(&world, buf_span(&frame).ptr, sizeof(part));
    settle(&world);
    assert_int_equal(world.quota.used[QUOTA_BYTES], sizeof(part));
    assert_story(&world, "");
    put_pieces(&world, span_drop(buf_span(&frame), sizeof(part)), 50000);
    assert_story(&world, "<quota 2:7>");
    assert_int_equal(world.quota.used[QUOTA_BYTES], 0);
    put(&world,
        "\x01"
        "a",
        2);
    settle(&world);
    assert_story(&world, "<quota 2:7><1:a>");
    world_done(&world);
}

/* 0 where a sanitizer has the memory. */
static size_t allocated_bytes(void)
{
    struct mallinfo2 info = mallinfo2();

    return info.uordblks + info.hblkhd;
}

static void count_allocated(void *arg)
{
    *(size_t *)arg = allocated_bytes();
}

/* Else the next sessions of the round had what it had paid for, beside it. */
static void test_what_a_closed_session_kept_is_free_before_its_round_ends(void **state)
{
    (void)state;
    for (int act = ACT_NONE; act <= ACT_CLOSE_AFTER_FLUSH; act++) {
        CLEANUP_BUF struct buf all = BUF_INIT(0);
        struct world world;
        size_t while_closed = SIZE_MAX;
        struct deferred probe = {.fn = count_allocated, .owner = &while_closed};

        world_init(&world, NULL);
        world.act = (enum act)act;
        world.act_at = 0;
        add_frame(&all, 1000000, 'm');
        size_t before = allocated_bytes();
        put_pieces(&world, span_take(buf_span(&all), all.len - 1), 65536);
        assert_true(before == 0 || allocated_bytes() >= before + 1000000);
        loop_defer(world.loop, &probe);
        if (act == ACT_NONE) /* in the middle of it */
            session_close(TAKE(world.session));
        else
            put(&world, "m", 1); /* when it is told */
        turn(&world);
        assert_true(while_closed < before + 100000);
        assert_null(world.session);
        world_done(&world);
    }
}

static void test_ip20_a_frame_without_room_is_told_by_its_number_however_it_comes(void **state)
{
    static const size_t sizes[] = {20000, 70000, 1 << 20};
    static const size_t pieces[] = {1 << 20, 65536, 4097, 700, 1};

    (void)state;
    for (size_t at = 0; at < 2 * 3 * 5; at++) {
        size_t len = sizes[at % 3];
        size_t piece = pieces[at / 3 % 5];
        CLEANUP_BUF struct buf bytes = BUF_INIT(0);
        struct charge full = CHARGE_NONE;
        struct world world;

        world_init(&world, NULL);
        world.quota.max[QUOTA_BYTES] = 100000;
        if (at % 2) /* all is held; else the long ones are more than all there is */
            charge_take_anyway(&full, &world.quota, QUOTA_BYTES, 100000);
        else if (len < 100000)
            charge_take_anyway(&full, &world.quota, QUOTA_BYTES, 92000);
        add_request(&bytes, len, 9, at >= 15);
        add_frame(&bytes, 3, 'b');
        add_request(&bytes, len, 10, at < 15);
        add_frame(&bytes, 5, 'c');
        if (piece == 1) { /* a byte at a time where it matters */
            put_pieces(&world, span_take(buf_span(&bytes), 40), 1);
            put_pieces(&world, span_drop(buf_span(&bytes), 40), 9999);
        } else {
            put_pieces(&world, buf_span(&bytes), piece);
        }
        if (len == 20000 && piece >= 65536) /* they came whole, and were not kept */
            assert_null(strstr(world.story, "broken"));
        else
            assert_story(&world, "<quota 2:9><3:b><quota 2:10><5:c>");
        assert_int_equal(world.quota.used[QUOTA_BYTES], full.amount);
        charge_release(&full);
        world_done(&world);
    }
}

static void test_ip20_short_frames_get_in_whatever_their_user_holds(void **state)
{
    CLEANUP_BUF struct buf frames = BUF_INIT(0);
    struct charge full = CHARGE_NONE;
    struct world world;

    (void)state;
    world_init(&world, NULL);
    charge_take_anyway(&full, &world.quota, QUOTA_BYTES, world.quota.max[QUOTA_BYTES]);
    add_frame(&frames, 4094, 'a'); /* 4,096 with its length */
    add_frame(&frames, 300, 'b');
    put_pieces(&world, buf_span(&frames), 1000);
    assert_story(&world, "<4094:a><300:b>");
    charge_release(&full);
    world_done(&world);
}

static void
test_ip20_descriptors_of_a_frame_without_room_are_closed_and_the_next_ones_are_not(void **state)
{
    int before = count_fds();
    CLEANUP_BUF struct buf frame = BUF_INIT(0);
    struct charge full = CHARGE_NONE;
    struct world world;

    (void)state;
    world_init(&world, NULL);
    world.take_fds = 2;
    charge_take_anyway(&full, &world.quota, QUOTA_BYTES, world.quota.max[QUOTA_BYTES]);
    add_request(&frame, 90000, 3, false);
    send_with_fds(&world, buf_span(&frame).ptr, 70000, 2, 0);
    settle(&world);
    assert_int_equal(world.quota.used[QUOTA_FDS], 0);
    put(&world, buf_span(&frame).ptr + 70000, frame.len - 70000); /* and at once the next */
    send_with_fds(&world,
                  "\x01"
                  "a",
                  2, 1, 0);
    settle_slowly(&world);
    assert_story(&world, "<quota 2:3><1:a>");
    assert_int_equal(world.n_taken, 1);
    close(world.taken[--world.n_taken]);
    charge_release(&full);
    world_done(&world);
    assert_int_equal(count_fds(), before);
}

static void test_a_frame_that_memory_fails_for_goes_by_and_is_told(void **state)
{
    static const size_t come[] = {1, 2, 10000}; /* the length takes three */

    (void)state;
    for (size_t i = 0; i < sizeof(come) / sizeof(come[0]); i++) {
        CLEANUP_BUF struct buf frame = BUF_INIT(0);
        struct world world;

        world_init(&world, NULL);
        add_request(&frame, 90000, 3, false);
        put(&world, buf_span(&frame).ptr, come[i]);
        mem_fail_at(1);
        turn(&world);
        mem_fail_at(0);
        put_pieces(&world, span_drop(buf_span(&frame), come[i]), 40000);
        assert_story(&world, "<memory 2:3>");
        world_done(&world);
    }
}

static void test_a_frame_that_goes_by_has_to_come_in_time_like_any(void **state)
{
    CLEANUP_BUF struct buf frame = BUF_INIT(0);
    struct charge full = CHARGE_NONE;
    struct world world;

    (void)state;
    world_init(&world, NULL);
    charge_take_anyway(&full, &world.quota, QUOTA_BYTES, world.quota.max[QUOTA_BYTES]);
    put(&world,
        "\x01"
        "a",
        2);
    settle(&world);
    add_request(&frame, 90000, 3, false);
    put(&world, buf_span(&frame).ptr, 50000);
    settle(&world);
    fake_clock_advance_ms(&world.clock, 29999);
    settle(&world);
    assert_story(&world, "<1:a>");
    fake_clock_advance_ms(&world.clock, 1);
    settle(&world);
    assert_story(&world, "<1:a> timeout");
    charge_release(&full);
    world_done(&world);
}

/* Answers that must be told go out whatever is held; so questions must end. */
static void
test_ip20_who_does_not_read_is_not_read_from_while_its_user_has_no_room(void **state)
{
    struct charge full = CHARGE_NONE;
    struct world world;

    (void)state;
    world_init(&world, NULL);
    put(&world,
        "\x01"
        "a",
        2);
    settle(&world);
    while (session_queued_bytes(world.session) == 0) { /* more than the socket takes */
        send_frame(&world, 65536);
        turn(&world);
    }
    charge_take_anyway(&full, &world.quota, QUOTA_BYTES, world.quota.max[QUOTA_BYTES]);
    put(&world,
        "\x01"
        "b\x09"
        "half",
        7);
    settle(&world);
    assert_story(&world, "<1:a>");
    fake_clock_advance_ms(&world.clock, 3600000); /* it is not the client that is late */
    settle(&world);
    assert_story(&world, "<1:a>");
    for (int i = 0; i < 10; i++) {
        (void)hear(&world);
        turn(&world);
    }
    assert_story(&world, "<1:a><1:b>");
    fake_clock_advance_ms(&world.clock, 30000); /* now it is */
    settle(&world);
    assert_story(&world, "<1:a><1:b> timeout");
    charge_release(&full);
    world_done(&world);
}

static void test_who_is_not_read_from_and_leaves_is_noticed(void **state)
{
    struct charge full = CHARGE_NONE;
    struct world world;

    (void)state;
    world_init(&world, NULL);
    while (session_queued_bytes(world.session) == 0) {
        send_frame(&world, 65536);
        turn(&world);
    }
    charge_take_anyway(&full, &world.quota, QUOTA_BYTES, world.quota.max[QUOTA_BYTES]);
    put(&world,
        "\x01"
        "b",
        2);
    settle(&world);
    close(world.peer);
    world.peer = -1;
    settle(&world);
    assert_story(&world, " error");
    charge_release(&full);
    world_done(&world);
}

static void test_what_must_be_told_is_queued_and_charged_above_the_quota(void **state)
{
    struct charge full = CHARGE_NONE;
    struct world world;
    char *to;

    (void)state;
    world_init(&world, NULL);
    charge_take_anyway(&full, &world.quota, QUOTA_BYTES, world.quota.max[QUOTA_BYTES]);
    assert_int_equal(session_reserve(world.session, 4, SESSION_ROOM_SPARE, &to), -EDQUOT);
    assert_int_equal(session_reserve(world.session, 4, SESSION_ROOM_ANYWAY, &to), 0);
    memcpy(to,
           "\x03"
           "end",
           4);
    session_commit(world.session, 4);
    assert_int_equal(world.quota.used[QUOTA_BYTES], world.quota.max[QUOTA_BYTES] + 4);
    settle(&world);
    assert_int_equal(hear(&world), 4);
    charge_release(&full);
    world_done(&world);
}

/* ---- the end ---------------------------------------------------------------------------- */

static void test_a_half_close_is_told_once_answers_go_out_and_the_real_end_follows(void **state)
{
    struct world world;

    (void)state;
    world_init(&world, NULL);
    put(&world,
        "\x01"
        "a",
        2);
    assert_int_equal(shutdown(world.peer, SHUT_WR), 0);
    settle(&world);
    assert_story(&world, "<1:a> eof");
    send_frame(&world, 100);
    fake_clock_advance_ms(&world.clock, 3600000);
    settle(&world);
    assert_int_equal(hear(&world), 101);
    assert_story(&world, "<1:a> eof");
    close(world.peer);
    world.peer = -1;
    fake_clock_advance_ms(&world.clock, 1000);
    settle(&world);
    assert_story(&world, "<1:a> eof error");
    fake_clock_advance_ms(&world.clock, 3600000);
    settle(&world);
    assert_int_equal(world.n_ends, 2);
    world_done(&world);
}

static void test_a_client_that_is_gone_altogether_is_told_as_such_at_once(void **state)
{
    struct world world;

    (void)state;
    world_init(&world, NULL);
    put(&world,
        "\x01"
        "a",
        2);
    close(world.peer);
    world.peer = -1;
    settle(&world);
    assert_story(&world, "<1:a> error");
    world_done(&world);
}

static void test_writing_to_a_client_that_left_ends_with_an_error_not_a_signal(void **state)
{
    struct world world;

    (void)state;
    world_init(&world, NULL);
    assert_int_equal(shutdown(world.peer, SHUT_WR), 0);
    settle(&world);
    close(world.peer);
    world.peer = -1;
    send_frame(&world, 100000);
    settle(&world);
    assert_story(&world, " eof error");
    send_frame(&world, 100); /* into nowhere, and nothing stays charged */
    settle(&world);
    assert_int_equal(world.quota.used[QUOTA_BYTES], 0);
    world_done(&world);
}

static void test_close_tries_what_is_queued_once_more(void **state)
{
    struct world world;

    (void)state;
    world_init(&world, NULL);
    send_frame(&world, 100);
    session_close(TAKE(world.session));
    assert_int_equal(hear(&world), 101);
    assert_true(peer_sees_end(&world));
    world_done(&world);
}

static void test_close_after_flush_waits_for_a_slow_reader_and_then_closes(void **state)
{
    struct world world;
    size_t total = 0;

    (void)state;
    world_init(&world, NULL);
    send_frame(&world, 1000000);
    session_close_after_flush(TAKE(world.session));
    assert_int_equal(world.quota.used[QUOTA_BYTES], 0); /* the owner and its quota may go */
    for (int i = 0; i < 100 && total < 1000003; i++) {
        turn(&world);
        total += hear(&world);
    }
    assert_int_equal(total, 1000003);
    settle(&world);
    assert_true(peer_sees_end(&world));
    assert_story(&world, " congested");
    world_done(&world);
}

static void test_close_after_flush_gives_up_on_a_client_that_never_reads(void **state)
{
    struct world world;
    int before = count_fds();

    (void)state;
    world_init(&world, NULL);
    send_frame(&world, 1000000);
    session_close_after_flush(TAKE(world.session));
    settle(&world);
    fake_clock_advance_ms(&world.clock, 30000);
    settle(&world);
    (void)hear(&world);
    assert_true(peer_sees_end(&world));
    assert_int_equal(world.quota.used[QUOTA_BYTES], 0);
    world_done(&world);
    assert_int_equal(count_fds(), before);
}

#define UNHEARD 40

/* They are nobody's connections any more and cost nobody's quota: so they keep little. */
static void test_those_who_do_not_hear_their_last_word_are_bounded(void **state)
{
    struct session_options options = session_options_default();
    int before = count_fds();
    int peers[UNHEARD];
    struct world world;

    (void)state;
    world_init(&world, NULL);
    session_close(TAKE(world.session));
    turn(&world);
    int base = count_fds();
    for (int i = 0; i < UNHEARD; i++) {
        int pair[2];

        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
        peers[i] = pair[1];
        assert_int_equal(session_new(&world.session, world.loop, pair[0], &options,
                                     &world.quota, &events, &world),
                         0);
        send_frame(&world, 1000000);
        session_close_after_flush(TAKE(world.session));
        turn(&world);
    }
    int left = count_fds() - base - UNHEARD; /* our ends */
    assert_true(left >= 4 && left <= 6);     /* of which the socket has a quarter: 4 MiB */
    assert_int_equal(world.quota.used[QUOTA_BYTES], 0);
    fake_clock_advance_ms(&world.clock, 30000);
    settle(&world);
    assert_int_equal(count_fds() - base, UNHEARD);
    for (int i = 0; i < UNHEARD; i++)
        close(peers[i]);
    world_done(&world);
    assert_int_equal(count_fds(), before);
}

static void test_who_shares_the_loop_is_read_from_a_little_at_a_time(void **state)
{
    struct session_options options = session_options_default();
    struct turns turns = {0};
    struct world world;
    struct buf frames = {0};

    (void)state;
    options.turns = &turns;
    world_init(&world, &options);
    for (int i = 0; i < 100; i++)
        add_frame(&frames, 100, 'a');
    put(&world, frames.storage + frames.start, frames.len);
    turns_note(&turns, turns_user(1000), loop_now_us(world.loop));
    turn(&world);
    assert_story(&world, "<100:a><100:a><100:a><100:a><100:a>");
    turn(&world);
    assert_story(&world, "<100:a><100:a><100:a><100:a><100:a>"
                         "<100:a><100:a><100:a><100:a><100:a>");
    assert_int_equal(world.n_events, 10);
    fake_clock_advance_ms(&world.clock, 11); /* the other is at rest */
    world.story_len = 0;
    turn(&world);
    assert_int_equal(world.n_events, 100);
    buf_done(&frames);
    world_done(&world);
}

static void test_who_shares_the_loop_has_the_rest_of_a_long_frame_in_pieces(void **state)
{
    struct session_options options = session_options_default();
    struct turns turns = {0};
    struct world world;
    struct buf frame = {0};

    (void)state;
    options.turns = &turns;
    world_init(&world, &options);
    add_frame(&frame, 60000, 'a');
    put(&world, frame.storage + frame.start, frame.len);
    turns_note(&turns, turns_user(1000), loop_now_us(world.loop));
    turn(&world);
    assert_int_equal(world.quota.used[QUOTA_BYTES], TURNS_READ_BYTES);
    for (unsigned i = 1; i <= 7; i++) {
        turn(&world);
        assert_int_equal(world.quota.used[QUOTA_BYTES],
                         TURNS_READ_BYTES + i * TURNS_REST_BYTES);
    }
    assert_int_equal(world.n_events, 0);
    turn(&world);
    assert_int_equal(world.n_events, 1);
    assert_int_equal(world.quota.used[QUOTA_BYTES], 0);
    buf_done(&frame);
    world_done(&world);
}

/* @work: of each message. Of a hundred, how many are told in the rounds of a second in which
 * somebody else is at work, too. */
static int told_beside_another(size_t work)
{
    struct session_options options = session_options_default();
    struct turns turns = {0};
    struct world world;
    struct buf frames = {0};

    options.turns = &turns;
    world_init(&world, &options);
    world.work = work;
    for (int i = 0; i < 100; i++)
        add_frame(&frames, 7, 'a');
    put(&world, frames.storage + frames.start, frames.len);
    for (int ms = 0; ms < 1000; ms++) {
        turns_note(&turns, turns_user(1000), loop_now_us(world.loop));
        turn(&world);
        world.story_len = 0;
        fake_clock_advance_ms(&world.clock, 1);
    }
    int told = world.n_events;
    buf_done(&frames);
    world_done(&world);
    return told;
}

static void test_who_has_much_done_is_told_of_one_at_a_time_and_waits_between(void **state)
{
    (void)state;
    assert_int_equal(told_beside_another(100), 100);
    /* 64 in the first read, then two after each wait, as many as 16 bytes hold: half a second
     * for the first, 200 ms for each of the others. */
    assert_int_equal(told_beside_another(100000), 64 + 3 * 2);
    assert_int_equal(told_beside_another(1000), 64 + 36);
}

/* ---- out -------------------------------------------------------------------------------- */

static void test_frames_of_a_round_leave_with_one_write(void **state)
{
    struct world world;
    char bytes[4096];

    (void)state;
    world_init(&world, NULL);
    for (int i = 0; i < 5; i++)
        send_frame(&world, 20);
    assert_int_equal(recv(world.peer, bytes, sizeof(bytes), 0), -1); /* not before its end */
    turn(&world);
    assert_int_equal(recv(world.peer, bytes, sizeof(bytes), 0), 5 * 21);
    world_done(&world);
}

struct late {
    struct deferred task;
    struct world *world;
    size_t heard; /* before it */
};

static void send_late(void *owner)
{
    struct late *late = owner;

    late->heard = hear(late->world);
    send_frame(late->world, 20);
}

static void test_what_later_tasks_of_a_round_say_leaves_with_the_same_write(void **state)
{
    (void)state;
    for (int greeted = 0; greeted < 2; greeted++) {
        struct world world;
        struct late late = {.task = {.fn = send_late, .owner = &late}, .world = &world};

        world_init(&world, NULL);
        send_frame(&world, 10);
        if (greeted) {
            turn(&world);
            assert_int_equal(hear(&world), 11);
            send_frame(&world, 20);
        }
        loop_defer(world.loop, &late.task);
        turn(&world);
        assert_int_equal(late.heard, greeted ? 0 : 11); /* hello stands before all deeds */
        assert_int_equal(hear(&world), greeted ? 42 : 21);
        world_done(&world);
    }
}

static void on_other(void *owner, unsigned ready)
{
    (void)owner;
    (void)ready;
}

/* @n descriptors that are ready in every round. */
static void keep_busy(struct world *world, struct watch *others, int *fds, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        fds[i] = eventfd(1, EFD_CLOEXEC);
        assert_return_code(fds[i], errno);
        assert_int_equal(watch_init(&others[i], world->loop, fds[i], on_other, NULL), 0);
        assert_int_equal(watch_set(&others[i], WATCH_READ), 0);
    }
}

static size_t rounds_until_heard(struct world *world)
{
    size_t rounds = 0;
    char byte;

    while (recv(world->peer, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0) {
        assert_true(++rounds < 100);
        turn(world);
    }
    return rounds;
}

static void test_answers_gather_for_some_rounds_when_the_loop_is_busy(void **state)
{
    struct watch others[8];
    struct world world;
    int fds[8];

    (void)state;
    world_init(&world, NULL);
    keep_busy(&world, others, fds, 8);
    turn(&world);
    send_frame(&world, 10); /* nothing else is under way for the client */
    assert_int_equal(rounds_until_heard(&world), 1);
    (void)hear(&world);
    world.expects_more = true;
    send_frame(&world, 10);
    assert_int_equal(rounds_until_heard(&world), 4); /* not at once, but soon */
    (void)hear(&world);
    send_frame(&world, 40000); /* that is enough to go alone */
    assert_int_equal(rounds_until_heard(&world), 1);
    (void)hear(&world);
    for (size_t i = 0; i < 8; i++) {
        watch_done(&others[i]);
        (void)close(fds[i]);
    }
    world_done(&world);
}

static void test_answers_gather_as_long_as_each_round_brings_one(void **state)
{
    struct world world;
    size_t rounds;

    (void)state;
    world_init(&world, NULL);
    world.expects_more = true;
    send_frame(&world, 10);
    assert_int_equal(rounds_until_heard(&world),
                     1); /* hello: the first word waits for nobody */
    assert_int_equal(hear(&world), 11);
    send_frame(&world, 10);
    assert_int_equal(rounds_until_heard(&world), 2); /* the next one brought nothing */
    assert_int_equal(hear(&world), 11);
    for (rounds = 0; hear(&world) == 0; rounds++) {
        assert_true(rounds < 100);
        send_frame(&world, 10);
        turn(&world);
    }
    assert_int_equal(rounds, 9); /* and then it is enough */
    assert_int_equal(world.heard.len, 11 * 11);
    world.expects_more = false; /* the last of them waits for nobody */
    send_frame(&world, 10);
    assert_int_equal(rounds_until_heard(&world), 1);
    world_done(&world);
}

static void test_what_is_told_lazily_goes_along_with_the_next_frame_in_order(void **state)
{
    struct world world;
    char bytes[64];

    (void)state;
    world_init(&world, NULL);
    for (int i = 0; i < 3; i++) { /* again and again: the timer of the first may still run */
        send_lazily(&world, 5);
        send_lazily(&world, 6);
        settle(&world);
        assert_int_equal(hear(&world), 0);
        send_frame(&world, 7);
        turn(&world);
        assert_int_equal(recv(world.peer, bytes, sizeof(bytes), 0), 6 + 7 + 8);
        assert_int_equal(bytes[0], 5);
        assert_int_equal(bytes[6], 6);
        assert_int_equal(bytes[13], 7);
        fake_clock_advance_ms(&world.clock, 2);
    }
    fake_clock_advance_ms(&world.clock, 1000);
    settle(&world);
    assert_int_equal(hear(&world), 0);
    world_done(&world);
}

static void test_what_is_told_lazily_goes_alone_after_some_milliseconds(void **state)
{
    struct world world;

    (void)state;
    world_init(&world, NULL);
    session_share(world.session, &world.busy);
    send_lazily(&world, 5);
    settle(&world);
    put(&world, "\x01z", 2); /* what is read brings nothing of it forward */
    settle(&world);
    assert_int_equal(hear(&world), 0);
    assert_int_equal(world.busy, 1);
    assert_story(&world, "<1:z>");
    fake_clock_advance_ms(&world.clock, 5);
    settle(&world);
    assert_int_equal(hear(&world), 6);
    assert_story(&world, "<1:z> quiet");
    world_done(&world);
}

static void test_what_is_told_lazily_is_the_last_word_too(void **state)
{
    struct world world;

    (void)state;
    for (int after_flush = 0; after_flush < 2; after_flush++) {
        world_init(&world, NULL);
        send_lazily(&world, 5);
        settle(&world);
        if (after_flush)
            session_close_after_flush(TAKE(world.session));
        else
            session_close(TAKE(world.session));
        settle(&world);
        assert_int_equal(hear(&world), 6);
        assert_true(peer_sees_end(&world));
        world_done(&world);
    }
}

static void test_a_client_that_does_not_read_is_congested_once_and_drained_once(void **state)
{
    struct world world;
    size_t sent = 0;

    (void)state;
    world_init(&world, NULL);
    while (!session_is_congested(world.session)) {
        send_frame(&world, 65536);
        sent += 65536 + 3;
        turn(&world);
        assert_true(sent < 2 << 20); /* the kernel's part, the high-water mark, and no more */
    }
    assert_story(&world, " congested");
    send_frame(&world, 65536);
    sent += 65536 + 3;
    settle(&world);
    assert_story(&world, " congested");
    for (int i = 0; i < 200 && world.heard.len < sent; i++) {
        (void)hear(&world);
        turn(&world);
    }
    assert_story(&world, " congested drained");
    assert_int_equal(world.heard.len, sent);
    assert_int_equal(session_queued_bytes(world.session), 0);
    world_done(&world);
}

/* Payloads of any size against a reader of any speed: what arrives is what was sent. */
static void test_payloads_arrive_whole_however_little_the_socket_takes(void **state)
{
    static char payload[200000];

    (void)state;
    for (size_t i = 0; i < sizeof(payload); i++)
        payload[i] = (char)(i * 31 + (i >> 9));
    for (unsigned seed = 1; seed < 8; seed++) {
        struct world world;
        CLEANUP_BUF struct buf expected = BUF_INIT(0);
        int small = 4096;

        world_init(&world, NULL);
        world.quota.max[QUOTA_BYTES] = 1 << 30;
        (void)setsockopt(world.peer, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
        unsigned dice = seed;
        for (int i = 0; i < 40; i++) {
            size_t head_len = 1 + next_random(&dice) % 20;
            size_t len = next_random(&dice) % (i % 2 ? sizeof(payload) : 6000);
            struct span head = {"0123456789abcdefghij", head_len};

            assert_int_equal(
                session_send_payload(world.session, head, (struct span){payload, len}), 0);
            assert_int_equal(buf_append(&expected, head), 0);
            assert_int_equal(buf_append(&expected, (struct span){payload, len}), 0);
            if (next_random(&dice) % 3 == 0)
                turn(&world);
            if (next_random(&dice) % 4 == 0)
                (void)hear(&world);
        }
        for (int i = 0; i < 2000 && world.heard.len < expected.len; i++) {
            turn(&world);
            (void)hear(&world);
        }
        assert_int_equal(world.heard.len, expected.len);
        assert_memory_equal(buf_span(&world.heard).ptr, buf_span(&expected).ptr, expected.len);
        assert_int_equal(world.quota.used[QUOTA_BYTES], 0);
        world_done(&world);
    }
}

static void test_what_does_not_fit_the_quota_is_refused_and_changes_nothing(void **state)
{
    static const char payload[3000] = {0};
    struct world world;
    char *to;

    (void)state;
    world_init(&world, NULL);
    world.quota.max[QUOTA_BYTES] = 4000;
    assert_int_equal(session_reserve(world.session, 4001, SESSION_ROOM_SPARE, &to), -EDQUOT);
    assert_int_equal(session_send_payload(world.session, SPAN_LIT("head"),
                                          (struct span){payload, sizeof(payload)}),
                     0);
    assert_int_equal(session_send_payload(world.session, SPAN_LIT("head"),
                                          (struct span){payload, sizeof(payload)}),
                     -EDQUOT);
    assert_int_equal(session_queued_bytes(world.session), sizeof(payload) + 4);
    settle(&world);
    assert_int_equal(hear(&world), sizeof(payload) + 4);
    assert_story(&world, "");
    world_done(&world);
}

/* Half a frame is out and the rest may not be kept: nothing can follow it on this stream. */
static void
test_a_payload_that_cannot_be_kept_after_its_first_half_went_ends_the_session(void **state)
{
    static char payload[1 << 20];
    struct world world;
    int r = 0;

    (void)state;
    world_init(&world, NULL);
    mem_fail_at(1);
    r = session_send_payload(world.session, SPAN_LIT("head"),
                             (struct span){payload, sizeof(payload) - 8});
    mem_fail_at(0);
    assert_int_equal(r, -ENOMEM);
    settle(&world);
    assert_story(&world, " error");
    world_done(&world);
}

/* ---- acts inside events ----------------------------------------------------------------- */

static void play_all_events(struct world *world)
{
    CLEANUP_BUF struct buf frames = BUF_INIT(0);

    add_frame(&frames, 3, 'a');
    add_frame(&frames, 4, 'b');
    put(world, buf_span(&frames).ptr, frames.len - 1); /* the second in two pieces */
    settle(world);
    if (world->session)
        put(world, "b", 1);
    settle(world);
    for (int i = 0; world->session && i < 30 && !session_is_congested(world->session); i++) {
        send_frame(world, 65536);
        turn(world);
    }
    for (int i = 0; i < 30; i++) {
        (void)hear(world);
        turn(world);
    }
    (void)shutdown(world->peer, SHUT_WR);
    settle(world);
    close(world->peer);
    world->peer = -1;
    fake_clock_advance_ms(&world->clock, 60000);
    settle(world);
}

static void test_lb04_a_session_may_be_closed_or_written_inside_every_event(void **state)
{
    static const enum act acts[] = {ACT_NONE, ACT_CLOSE, ACT_CLOSE_AFTER_FLUSH, ACT_SEND};
    int before = count_fds();

    (void)state;
    for (size_t a = 0; a < sizeof(acts) / sizeof(acts[0]); a++) {
        for (int at = 0; at < 6; at++) {
            struct world world;

            world_init(&world, NULL);
            world.act = acts[a];
            world.act_at = at;
            play_all_events(&world);
            if (world.session)
                assert_story(&world, "<3:a><4:b> congested drained eof error");
            else
                assert_int_equal(world.n_events, at + 1); /* and no event after it */
            world_done(&world);
        }
    }
    assert_int_equal(count_fds(), before);
}

/* ---- descriptors ------------------------------------------------------------------------ */

static void test_descriptors_come_in_order_and_are_charged_until_taken(void **state)
{
    struct world world;
    int files[2];
    struct stat;

    (void)state;
    world_init(&world, NULL);
    assert_int_equal(pipe(files), 0);
    send_with_fds(&world,
                  "\x02"
                  "a",
                  2, 1, files[0]);
    turn(&world);
    assert_int_equal(world.quota.used[QUOTA_FDS], 1);
    send_with_fds(&world, "a", 1, 1, files[1]);
    world.take_fds = 8;
    settle(&world);
    assert_story(&world, "<2:a>");
    assert_int_equal(world.n_taken, 2);
    assert_int_equal(fcntl(world.taken[0], F_GETFL) & O_ACCMODE, O_RDONLY);
    assert_int_equal(fcntl(world.taken[1], F_GETFL) & O_ACCMODE, O_WRONLY);
    assert_true(fcntl(world.taken[0], F_GETFD) & FD_CLOEXEC);
    assert_int_equal(world.quota.used[QUOTA_FDS], 0);
    close(files[0]);
    close(files[1]);
    world_done(&world);
}

static void test_ip13_too_many_descriptors_are_closed_and_told(void **state)
{
    int before = count_fds();

    (void)state;
    for (unsigned n = 9; n <= 253; n += 61) {
        struct world world;

        world_init(&world, NULL);
        send_with_fds(&world,
                      "\x02"
                      "a",
                      2, n, 0);
        settle(&world);
        assert_story(&world, " fds");
        world_done(&world);
        assert_int_equal(count_fds(), before);
    }
}

static void test_ip13_descriptors_that_no_frame_takes_end_the_session(void **state)
{
    int before = count_fds();
    struct world world;

    (void)state;
    world_init(&world, NULL);
    send_with_fds(&world,
                  "\x01"
                  "a",
                  2, 1, 0);
    settle(&world);
    assert_story(&world, "<1:a> fds");
    world_done(&world);
    assert_int_equal(count_fds(), before);
}

static void
test_ip20_descriptors_above_the_quota_are_closed_and_their_frame_is_told(void **state)
{
    int before = count_fds();
    struct world world;

    (void)state;
    world_init(&world, NULL);
    world.quota.max[QUOTA_FDS] = 3;
    world.take_fds = 3;
    send_with_fds(&world,
                  "\x02"
                  "a",
                  2, 4, 0);
    settle(&world);
    assert_int_equal(world.quota.used[QUOTA_FDS], 3);
    send_with_fds(&world, "b", 1, 1, 0);
    settle(&world);
    assert_story(&world, "<2:a> fds"); /* two were not taken */
    assert_int_equal(world.n_taken, 3);
    assert_int_equal(session_take_fd(world.session), -EDQUOT);
    assert_int_equal(session_take_fd(world.session), -EDQUOT);
    assert_int_equal(session_take_fd(world.session), -1);
    for (unsigned i = 0; i < world.n_taken; i++)
        close(world.taken[i]);
    world.n_taken = 0;
    world_done(&world);
    assert_int_equal(count_fds(), before);
}

static void test_a_frame_that_sends_the_client_away_may_still_take_descriptors(void **state)
{
    int before = count_fds();
    struct world world;

    (void)state;
    world_init(&world, NULL);
    world.act = ACT_CLOSE_AFTER_FLUSH;
    world.act_at = 0;
    send_with_fds(&world,
                  "\x01"
                  "a",
                  2, 2, 0);
    turn(&world);
    assert_null(world.session);
    world_done(&world);
    assert_int_equal(count_fds(), before);
}

/* ---- memory ----------------------------------------------------------------------------- */

static void test_every_failing_allocation_is_survived(void **state)
{
    int before = count_fds();

    (void)state;
    for (uint64_t n = 1; n < 40; n++) {
        struct world world;

        world_init(&world, NULL);
        mem_fail_at(n);
        CLEANUP_BUF struct buf frames = BUF_INIT(0);
        char *to;
        int r = session_reserve(world.session, 70000, SESSION_ROOM_SPARE, &to);
        if (r == 0) {
            memset(to, 'x', 70000);
            session_commit(world.session, 70000);
        }
        put(&world,
            "\x05"
            "ab",
            3);
        settle(&world);
        (void)send(world.peer, "cdefg", 4, MSG_NOSIGNAL);
        settle(&world);
        bool ran_out = mem_alloc_count() >= n;
        mem_fail_at(0);
        assert_true(world.n_ends <= 1);
        world_done(&world);
        if (!ran_out)
            break;
        assert_true(n < 39);
    }
    assert_int_equal(count_fds(), before);
}

/* ---- shared with another process --------------------------------------------------------- */

static void test_it_is_busy_from_before_a_read_until_all_is_said(void **state)
{
    CLEANUP_BUF struct buf frame = BUF_INIT(0);
    struct world world;

    (void)state;
    world_init(&world, NULL);
    session_share(world.session, &world.busy);
    add_frame(&frame, 100, 'a');
    put(&world, frame.storage, 50);
    settle(&world);
    assert_int_equal(world.busy, 1); /* half a frame is nobody else's to go on with */
    assert_story(&world, "");
    put(&world, frame.storage + 50, frame.len - 50);
    settle(&world);
    assert_story(&world, "<100:a> quiet");
    assert_int_equal(world.busy, 0);
    send_frame(&world, 10);
    assert_int_equal(world.busy, 1); /* what is queued would be lost */
    settle(&world);
    assert_story(&world, "<100:a> quiet quiet");
    assert_int_equal(world.busy, 0);
    world_done(&world);
}

static void test_a_queue_that_is_stuck_keeps_it_busy(void **state)
{
    struct world world;

    (void)state;
    world_init(&world, NULL);
    session_share(world.session, &world.busy);
    send_frame(&world, 1000000);
    settle(&world);
    assert_int_equal(world.busy, 1);
    while (world.heard.len < 1000000) {
        (void)hear(&world);
        turn(&world);
    }
    settle(&world);
    assert_int_equal(world.busy, 0);
    world_done(&world);
}

static void test_closing_ends_it_for_all_who_have_the_socket_and_leaving_does_not(void **state)
{
    (void)state;
    for (int leave = 0; leave < 2; leave++) {
        struct world world;
        int pair[2];

        world_init(&world, NULL);
        session_close(world.session);
        turn(&world);
        assert_int_equal(
            socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair), 0);
        int other = dup(pair[0]);
        struct session_options options = session_options_default();
        assert_int_equal(session_new(&world.session, world.loop, pair[0], &options,
                                     &world.quota, &events, &world),
                         0);
        session_share(world.session, &world.busy);
        if (leave)
            session_leave(TAKE(world.session));
        else
            session_close(TAKE(world.session));
        turn(&world);
        char byte;
        ssize_t n = recv(pair[1], &byte, 1, MSG_DONTWAIT);
        assert_int_equal(n, leave ? -1 : 0);
        close(pair[1]);
        close(other);
        world_done(&world);
    }
}

static void test_a_client_that_was_greeted_before_has_no_hello_to_send(void **state)
{
    struct world world;

    (void)state;
    world_init(&world, NULL);
    session_skip_hello(world.session);
    fake_clock_advance_ms(&world.clock, 60000);
    settle(&world);
    assert_story(&world, "");
    world_done(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ip10_frames_arrive_the_same_whole_bytewise_or_in_any_slices),
        cmocka_unit_test(test_ip07_a_length_above_the_cap_ends_at_once_with_nothing_allocated),
        cmocka_unit_test(test_the_largest_frame_is_taken),
        cmocka_unit_test(test_the_memory_of_a_long_frame_may_be_taken_and_is_charged_no_more),
        cmocka_unit_test(test_a_frame_may_be_taken_and_the_session_closed),
        cmocka_unit_test(test_what_a_closed_session_kept_is_free_before_its_round_ends),
        cmocka_unit_test(test_ip09_silence_ends_after_5_s_before_the_first_frame),
        cmocka_unit_test(test_ip09_half_a_frame_then_a_drip_ends_after_30_s),
        cmocka_unit_test(test_a_client_that_is_silent_between_frames_is_left_alone),
        cmocka_unit_test(
            test_ip20_bytes_of_a_half_frame_are_charged_and_what_does_not_fit_goes_by),
        cmocka_unit_test(test_ip20_a_frame_without_room_is_told_by_its_number_however_it_comes),
        cmocka_unit_test(test_ip20_short_frames_get_in_whatever_their_user_holds),
        cmocka_unit_test(
            test_ip20_descriptors_of_a_frame_without_room_are_closed_and_the_next_ones_are_not),
        cmocka_unit_test(test_a_frame_that_memory_fails_for_goes_by_and_is_told),
        cmocka_unit_test(test_a_frame_that_goes_by_has_to_come_in_time_like_any),
        cmocka_unit_test(
            test_ip20_who_does_not_read_is_not_read_from_while_its_user_has_no_room),
        cmocka_unit_test(test_who_is_not_read_from_and_leaves_is_noticed),
        cmocka_unit_test(test_what_must_be_told_is_queued_and_charged_above_the_quota),
        cmocka_unit_test(
            test_a_half_close_is_told_once_answers_go_out_and_the_real_end_follows),
        cmocka_unit_test(test_a_client_that_is_gone_altogether_is_told_as_such_at_once),
        cmocka_unit_test(test_writing_to_a_client_that_left_ends_with_an_error_not_a_signal),
        cmocka_unit_test(test_close_tries_what_is_queued_once_more),
        cmocka_unit_test(test_close_after_flush_waits_for_a_slow_reader_and_then_closes),
        cmocka_unit_test(test_close_after_flush_gives_up_on_a_client_that_never_reads),
        cmocka_unit_test(test_those_who_do_not_hear_their_last_word_are_bounded),
        cmocka_unit_test(test_who_shares_the_loop_is_read_from_a_little_at_a_time),
        cmocka_unit_test(test_who_shares_the_loop_has_the_rest_of_a_long_frame_in_pieces),
        cmocka_unit_test(test_who_has_much_done_is_told_of_one_at_a_time_and_waits_between),
        cmocka_unit_test(test_frames_of_a_round_leave_with_one_write),
        cmocka_unit_test(test_what_later_tasks_of_a_round_say_leaves_with_the_same_write),
        cmocka_unit_test(test_answers_gather_for_some_rounds_when_the_loop_is_busy),
        cmocka_unit_test(test_answers_gather_as_long_as_each_round_brings_one),
        cmocka_unit_test(test_what_is_told_lazily_goes_along_with_the_next_frame_in_order),
        cmocka_unit_test(test_what_is_told_lazily_goes_alone_after_some_milliseconds),
        cmocka_unit_test(test_what_is_told_lazily_is_the_last_word_too),
        cmocka_unit_test(test_a_client_that_does_not_read_is_congested_once_and_drained_once),
        cmocka_unit_test(test_payloads_arrive_whole_however_little_the_socket_takes),
        cmocka_unit_test(test_what_does_not_fit_the_quota_is_refused_and_changes_nothing),
        cmocka_unit_test(
            test_a_payload_that_cannot_be_kept_after_its_first_half_went_ends_the_session),
        cmocka_unit_test(test_lb04_a_session_may_be_closed_or_written_inside_every_event),
        cmocka_unit_test(test_descriptors_come_in_order_and_are_charged_until_taken),
        cmocka_unit_test(test_ip13_too_many_descriptors_are_closed_and_told),
        cmocka_unit_test(test_ip13_descriptors_that_no_frame_takes_end_the_session),
        cmocka_unit_test(
            test_ip20_descriptors_above_the_quota_are_closed_and_their_frame_is_told),
        cmocka_unit_test(test_a_frame_that_sends_the_client_away_may_still_take_descriptors),
        cmocka_unit_test(test_every_failing_allocation_is_survived),
        cmocka_unit_test(test_it_is_busy_from_before_a_read_until_all_is_said),
        cmocka_unit_test(test_a_queue_that_is_stuck_keeps_it_busy),
        cmocka_unit_test(test_closing_ends_it_for_all_who_have_the_socket_and_leaving_does_not),
        cmocka_unit_test(test_a_client_that_was_greeted_before_has_no_hello_to_send),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
