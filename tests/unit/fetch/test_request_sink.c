/* SPDX-License-Identifier: MIT */
/* Answers that are written to a passed descriptor. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/quota.h"
#include "fetch/request.h"
#include "support/fetch_world.h"
#include "support/test.h"

static char pattern[3 << 20];
static struct fetch_rights rights; /* .quota: who pays; NULL: nobody */
static uint64_t fail_at;           /* the allocation of request_new() that fails; 0: none */

static int prepare(void **state)
{
    (void)state;
    (void)signal(SIGPIPE, SIG_IGN); /* as the daemon does */
    (void)signal(SIGXFSZ, SIG_IGN);
    for (size_t i = 0; i < sizeof(pattern); i++)
        pattern[i] = (char)('a' + (i * 7 + i / 251) % 26);
    return 0;
}

static int try_to(struct teller *teller, int fd, uint64_t offset, int64_t total_us)
{
    struct request_options options;
    struct failure why;

    teller->into_fd = true;
    options_get(&options, "http://a.com/");
    options.rights = &rights;
    options.response_credit = 0; /* means nothing here */
    options.response_offset = offset;
    options.total_timeout_us = total_us;
    assert_int_equal(request_options_set_response_fd(&options, fd, &why), 0);
    mem_fail_at(fail_at);
    int r = teller_try(teller, &options);
    mem_fail_at(0);
    request_options_done(&options);
    if (r == 0)
        world_turn(teller->world);
    return r;
}

static void get_to(struct teller *teller, int fd, uint64_t offset)
{
    assert_int_equal(try_to(teller, fd, offset, 0), 0);
}

static void server_begins(struct fetch_world *world, size_t length)
{
    char head[64];

    (void)snprintf(head, sizeof(head), "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n",
                   length);
    server_says(world, head);
}

static void test_cd02_an_answer_goes_to_a_file_at_the_offset_asked_for(void **state)
{
    static const struct {
        size_t size;
        uint64_t offset;
    } cases[] = {{0, 0}, {1, 0}, {5, 100}, {sizeof(pattern), 0}, {262144, 7}, {524288, 0}};
    static char got[sizeof(pattern)];
    int before = count_fds();

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct fetch_world world;
        struct teller teller;
        char story[64];
        int fd = memfd_create("answer", MFD_CLOEXEC);
        int kept = dup(fd);
        size_t said = 0;

        world_init(&world);
        teller_init(&teller, &world);
        get_to(&teller, fd, cases[i].offset);
        server_begins(&world, cases[i].size);
        while (said < cases[i].size) {
            said += server_says_bytes(&world, world_server(&world),
                                      (struct span){pattern + said, cases[i].size - said});
            world_settle_files(&world);
        }
        world_settle_files(&world);
        (void)snprintf(story, sizeof(story), "head(200,%zu)  done", cases[i].size);
        assert_story(&teller, story);
        assert_int_equal(teller.totals.body_bytes, cases[i].size);
        assert_int_equal(teller.last_down.done_bytes, cases[i].size);
        assert_int_equal(lseek(kept, 0, SEEK_END),
                         cases[i].size ? cases[i].size + cases[i].offset : 0);
        assert_int_equal(pread(kept, got, sizeof(got), (off_t)cases[i].offset), cases[i].size);
        assert_memory_equal(got, pattern, cases[i].size);
        close(kept);
        world_done(&world);
    }
    assert_int_equal(count_fds(), before);
}

/* An answer comes as fast as it is taken. Return: the most its user held. */
static uint64_t pour(struct fetch_world *world, struct quota *quota)
{
    uint64_t most = 0;
    size_t said = 0;

    server_begins(world, sizeof(pattern));
    while (said < sizeof(pattern)) {
        said += server_says_bytes(world, world_server(world),
                                  (struct span){pattern + said, sizeof(pattern) - said});
        world_turn(world);
        if (quota->used[QUOTA_BYTES] > most)
            most = quota->used[QUOTA_BYTES];
        world_settle_files(world);
    }
    for (int i = 0; i < 300; i++)
        world_settle_files(world);
    return most;
}

static void test_ip20_a_file_is_written_by_as_much_memory_as_its_user_has_room_for(void **state)
{
    static const struct {
        uint64_t max;
        uint64_t used;
        uint64_t least; /* that it may hold */
        uint64_t most;  /* and what was read and waits to be written */
    } cases[] = {
        {12 << 20, 0, 2 * 131072, 8 * 131072}, /* the whole ring */
        {600000, 0, 2 * 131072, 4 * 131072},   /* as much of it as fits */
        {600000, 540000, 16384, 22500},        /* small blocks */
        {600000, 599000, 16384, 16384},        /* one of them, whatever is held */
    };
    static char got[sizeof(pattern)];

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct fetch_world world;
        struct teller teller;
        static struct quota quota;
        struct charge held = CHARGE_NONE;
        char story[64];
        int fd = memfd_create("answer", MFD_CLOEXEC);
        int kept = dup(fd);

        quota_init(&quota);
        quota.max[QUOTA_BYTES] = cases[i].max;
        charge_take_anyway(&held, &quota, QUOTA_BYTES, cases[i].used);
        rights.quota = &quota;
        world_init(&world);
        teller_init(&teller, &world);
        get_to(&teller, fd, 0);
        uint64_t most = pour(&world, &quota) - cases[i].used;
        if (most < cases[i].least || most > cases[i].most + FETCH_SCRATCH_BYTES)
            fail_msg("case %zu: %llu bytes", i, (unsigned long long)most);
        (void)snprintf(story, sizeof(story), "head(200,%zu)  done", sizeof(pattern));
        assert_story(&teller, story);
        assert_int_equal(pread(kept, got, sizeof(got), 0), sizeof(got));
        assert_memory_equal(got, pattern, sizeof(got));
        assert_int_equal(quota.used[QUOTA_BYTES], cases[i].used);
        close(kept);
        world_done(&world);
        rights.quota = NULL;
    }
}

static void
test_ip20_a_stream_gets_its_answer_through_as_much_as_its_user_has_room_for(void **state)
{
    static const uint64_t used[] = {0, 599000};
    static char got[sizeof(pattern)];

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct fetch_world world;
        struct teller teller;
        static struct quota quota;
        struct charge held = CHARGE_NONE;
        size_t said = 0;
        size_t n_got = 0;
        int ends[2];

        quota_init(&quota);
        quota.max[QUOTA_BYTES] = 600000;
        charge_take_anyway(&held, &quota, QUOTA_BYTES, used[i]);
        rights.quota = &quota;
        world_init(&world);
        teller_init(&teller, &world);
        assert_int_equal(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
        get_to(&teller, ends[1], 0);
        assert_int_equal(quota.used[QUOTA_BYTES] - used[i], i == 0 ? 262144 : 16384);
        server_begins(&world, sizeof(pattern));
        while (n_got < sizeof(pattern)) {
            said += server_says_bytes(&world, world_server(&world),
                                      (struct span){pattern + said, sizeof(pattern) - said});
            world_turn(&world);
            ssize_t n = read(ends[0], got + n_got, sizeof(got) - n_got);
            n_got += n > 0 ? (size_t)n : 0;
        }
        for (int n = 0; n < 5; n++)
            world_turn(&world);
        assert_int_equal(teller.n_done, 1);
        assert_memory_equal(got, pattern, sizeof(got));
        assert_int_equal(quota.used[QUOTA_BYTES], used[i]);
        close(ends[0]);
        world_done(&world);
        rights.quota = NULL;
    }
}

/* A file given when the head is known, as libxhr does it. */
static void begin_without_credit(struct fetch_world *world, struct teller *teller)
{
    struct request_options options;

    options_get(&options, "http://a.com/");
    options.response_credit = 0;
    assert_int_equal(teller_try(teller, &options), 0);
    request_options_done(&options);
    world_turn(world);
    teller->into_fd = true;
    server_begins(world, 10);
}

static int
give(struct teller *teller, int fd, uint64_t offset, bool sync, struct failure *ret_why)
{
    struct response_place place = {.offset = offset, .sync = sync};

    return request_give_to_fd(teller->request, fd, &place, ret_why);
}

static void
test_cd02_a_file_given_after_the_head_gets_what_has_come_and_what_comes(void **state)
{
    static const bool syncs[] = {false, true};
    int before = count_fds();

    (void)state;
    for (size_t i = 0; i < sizeof(syncs); i++) {
        struct fetch_world world;
        struct teller teller;
        struct failure why;
        char got[32] = "";
        int fd = memfd_create("answer", MFD_CLOEXEC);
        int kept = dup(fd);

        world_init(&world);
        teller_init(&teller, &world);
        begin_without_credit(&world, &teller);
        server_says(&world, "HELLO");
        assert_story(&teller, "head(200,10) ");
        assert_int_equal(give(&teller, fd, 3, syncs[i], &why), 0);
        world_turn(&world);
        server_says(&world, "WORLD");
        world_settle_files(&world);
        assert_story(&teller, "head(200,10)  done");
        assert_int_equal(pread(kept, got, sizeof(got), 0), 13);
        assert_memory_equal(got, "\0\0\0HELLOWORLD", 13);
        assert_int_equal(teller.last_down.done_bytes, 10);
        close(kept);
        world_done(&world);
    }
    assert_int_equal(count_fds(), before);
}

static void test_an_answer_that_is_whole_already_waits_for_its_file(void **state)
{
    struct fetch_world world;
    struct teller teller;
    struct failure why;
    char got[16] = "";
    int fd = memfd_create("answer", MFD_CLOEXEC);
    int kept = dup(fd);

    (void)state;
    world_init(&world);
    teller_init(&teller, &world);
    begin_without_credit(&world, &teller);
    server_says(&world, "HELLOWORLD");
    world_pass_ms(&world, 600000); /* it is the client's turn: nobody is timed out */
    assert_story(&teller, "head(200,10) ");
    assert_int_equal(give(&teller, fd, 0, true, &why), 0);
    world_turn(&world);
    world_settle_files(&world);
    assert_story(&teller, "head(200,10)  done");
    assert_int_equal(pread(kept, got, sizeof(got), 0), 10);
    close(kept);
    world_done(&world);
}

static void test_a_file_comes_too_early_too_late_or_twice(void **state)
{
    struct fetch_world world;
    struct teller teller;
    struct failure why;
    int before = count_fds();

    (void)state;
    world_init(&world);
    teller_init(&teller, &world);
    teller_get(&teller, "http://a.com/");
    assert_int_equal(give(&teller, memfd_create("a", 0), 0, false, &why), -EINVAL);
    assert_non_null(strstr(why.text, "after the head"));
    server_begins(&world, 10);
    server_says(&world, "HELLO");
    assert_int_equal(give(&teller, memfd_create("a", 0), 0, false, &why), -EINVAL);
    assert_non_null(strstr(why.text, "response_credit_bytes 0"));
    server_says(&world, "WORLD");
    assert_false(teller.has_failed);

    teller_init(&teller, &world);
    begin_without_credit(&world, &teller);
    assert_int_equal(give(&teller, open("/dev/zero", O_WRONLY), 0, false, &why), -EINVAL);
    assert_non_null(
        strstr(why.text, "wants a regular file, a pipe, the null device or a connected"));
    assert_int_equal(give(&teller, memfd_create("a", 0), 0, false, &why), 0);
    assert_int_equal(give(&teller, memfd_create("b", 0), 0, false, &why), -EINVAL);
    assert_non_null(strstr(why.text, "already"));
    server_says(&world, "HELLOWORLD");
    world_settle_files(&world);
    assert_false(teller.has_failed);
    assert_int_equal(teller.n_done, 1);
    world_done(&world);
    assert_int_equal(count_fds(), before);
}

static int give_rest(struct teller *teller, int fd, struct failure *ret_why)
{
    struct response_place place = {.at_position = true};

    return request_give_to_fd(teller->request, fd, &place, ret_why);
}

/* As a program does that has written the beginning itself. */
static void begin_with_credit(struct fetch_world *world,
                              struct teller *teller,
                              size_t credit,
                              size_t length)
{
    struct request_options options;

    teller_init(teller, world);
    options_get(&options, "http://a.com/");
    options.response_credit = credit;
    assert_int_equal(teller_try(teller, &options), 0);
    request_options_done(&options);
    world_turn(world);
    server_begins(world, length);
}

static void test_the_rest_of_an_answer_is_written_where_the_descriptor_stands(void **state)
{
    static const int flags[] = {O_RDWR, O_RDWR | O_APPEND};
    int before = count_fds();

    (void)state;
    for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
        struct fetch_world world;
        struct teller teller;
        struct failure why;
        char got[32] = "";
        int fd = open("/tmp", O_TMPFILE | O_CLOEXEC | flags[i], 0600);
        int kept = dup(fd); /* the same description: one position for both */

        world_init(&world);
        begin_with_credit(&world, &teller, 5, 15);
        assert_int_equal(give_rest(&teller, memfd_create("b", 0), &why), -EINVAL);
        assert_non_null(strstr(why.text, "all credit"));
        assert_int_equal(write(kept, "before ", 7), 7);
        server_says(&world, "HELLOWORLD");
        assert_story(&teller, "head(200,15) HELLO");
        assert_int_equal(write(kept, "HELLO", 5), 5);
        teller.into_fd = true;
        assert_int_equal(give_rest(&teller, fd, &why), 0);
        world_turn(&world);
        server_says(&world, "AGAIN");
        world_settle_files(&world);
        assert_int_equal(teller.n_done, 1);
        assert_false(teller.has_failed);
        assert_int_equal(teller.totals.body_bytes, 15);
        assert_int_equal(write(kept, " behind", 7), 7);
        assert_int_equal(pread(kept, got, sizeof(got), 0), 29);
        assert_string_equal(got, "before HELLOWORLDAGAIN behind");
        close(kept);
        world_done(&world);
    }
    assert_int_equal(count_fds(), before);
}

static void test_what_goes_to_the_null_device_is_counted_and_gone(void **state)
{
    struct fetch_world world;
    struct teller teller;
    struct failure why;
    size_t said = 0;
    int before = count_fds();

    (void)state;
    world_init(&world);
    begin_with_credit(&world, &teller, 5, sizeof(pattern));
    said += server_says_bytes(&world, world_server(&world), (struct span){pattern, 5});
    teller.into_fd = true;
    assert_int_equal(give_rest(&teller, open("/dev/null", O_WRONLY | O_CLOEXEC), &why), 0);
    world_turn(&world);
    while (said < sizeof(pattern))
        said += server_says_bytes(&world, world_server(&world),
                                  (struct span){pattern + said, sizeof(pattern) - said});
    world_turn(&world);
    assert_int_equal(teller.n_done, 1);
    assert_false(teller.has_failed);
    assert_int_equal(teller.totals.body_bytes, sizeof(pattern));
    world_done(&world);
    assert_int_equal(count_fds(), before);
}

static void test_an_answer_that_says_itself_that_it_is_too_long_is_not_fetched(void **state)
{
    static const struct {
        size_t length;
        const char *story;
    } cases[] = {{10, "head(200,10)  done"}, {11, " failed:limit"}};

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct fetch_world world;
        struct teller teller;
        struct request_options options;
        struct failure why;

        world_init(&world);
        teller_init(&teller, &world);
        teller.into_fd = true;
        options_get(&options, "http://a.com/");
        options.has_response_max = true;
        options.response_max = 10;
        assert_int_equal(request_options_set_response_fd(
                             &options, memfd_create("answer", MFD_CLOEXEC), &why),
                         0);
        assert_int_equal(teller_try(&teller, &options), 0);
        request_options_done(&options);
        world_turn(&world);
        server_begins(&world, cases[i].length);
        if (i == 0)
            server_says(&world, "HELLOWORLD");
        world_settle_files(&world);
        assert_story(&teller, cases[i].story);
        world_done(&world);
    }
}

enum stream_sort { PIPE, SOCKET, N_SORTS };

/* @ends: as pipe2() has them. */
static void make_stream(enum stream_sort sort, int flags, int ends[2])
{
    if (sort == PIPE)
        assert_int_equal(pipe2(ends, flags), 0);
    else
        assert_int_equal(socketpair(AF_UNIX,
                                    SOCK_STREAM | (flags & O_NONBLOCK ? SOCK_NONBLOCK : 0), 0,
                                    ends),
                         0);
}

static void gets_what_has_come(enum stream_sort sort)
{
    struct fetch_world world;
    struct teller teller;
    int ends[2];
    char got[16] = "";

    world_init(&world);
    teller_init(&teller, &world);
    make_stream(sort, O_CLOEXEC | O_NONBLOCK, ends);
    get_to(&teller, ends[1], 0);
    server_begins(&world, 10);
    server_says(&world, "HELLO");
    world_settle_files(&world);
    assert_int_equal(read(ends[0], got, sizeof(got)), 5);
    server_says(&world, "WORLD");
    world_settle_files(&world);
    assert_int_equal(read(ends[0], got, sizeof(got)), 5);
    assert_story(&teller, "head(200,10)  done");
    assert_int_equal(read(ends[0], got, sizeof(got)), 0); /* and we let go of it */
    close(ends[0]);
    world_done(&world);
}

static void test_a_stream_gets_what_has_come_without_waiting_for_more(void **state)
{
    (void)state;
    for (enum stream_sort sort = PIPE; sort < N_SORTS; sort++)
        gets_what_has_come(sort);
}

static void full_halts_the_server(enum stream_sort sort)
{
    enum { PIPES = 6 };
    struct fetch_world world;
    struct teller tellers[PIPES];
    int readers[PIPES];
    size_t said = 0;
    size_t got = 0;
    static char bytes[65536];
    int before = count_fds();

    world_init(&world);
    for (int i = 0; i < PIPES; i++) {
        int ends[2];

        teller_init(&tellers[i], &world);
        make_stream(sort, O_CLOEXEC, ends);
        assert_int_equal(fcntl(ends[0], F_SETFL, O_NONBLOCK), 0);
        readers[i] = ends[0];
        get_to(&tellers[i], ends[1], 0);
        server_begins(&world, sizeof(pattern));
        said = server_says_bytes(&world, world_server(&world),
                                 (struct span){pattern, sizeof(pattern)});
        assert_true(said < 1500000);
        world_pass_ms(&world, 600000); /* nobody is timed out for a reader of his own */
        assert_int_equal(tellers[i].n_done, 0);
    }
    while (tellers[PIPES - 1].n_done == 0) { /* the last one is read after all */
        ssize_t n = read(readers[PIPES - 1], bytes, sizeof(bytes));

        if (n > 0)
            assert_memory_equal(bytes, pattern + got, n);
        got += n > 0 ? (size_t)n : 0;
        world_turn(&world);
        if (said < sizeof(pattern))
            said += server_says_bytes(&world, world_server(&world),
                                      (struct span){pattern + said, sizeof(pattern) - said});
    }
    for (ssize_t n; (n = read(readers[PIPES - 1], bytes, sizeof(bytes))) > 0;)
        got += (size_t)n;
    assert_int_equal(got, sizeof(pattern));
    assert_false(tellers[PIPES - 1].has_failed);
    for (int i = 0; i < PIPES; i++) {
        if (tellers[i].request)
            request_close(tellers[i].request);
        close(readers[i]);
    }
    world_done(&world);
    assert_int_equal(count_fds(), before);
}

static void test_a_full_stream_halts_the_server_and_holds_no_thread(void **state)
{
    (void)state;
    for (enum stream_sort sort = PIPE; sort < N_SORTS; sort++)
        full_halts_the_server(sort);
}

static void test_cd03_a_stream_without_reader_fails_that_request_only(void **state)
{
    for (int i = 0; i < 2 * N_SORTS; i++) {
        int when = i % 2; /* from the start; while it is full */
        struct fetch_world world;
        struct teller teller;
        int ends[2];

        (void)state;
        world_init(&world);
        teller_init(&teller, &world);
        make_stream(i / 2 ? SOCKET : PIPE, O_CLOEXEC, ends);
        get_to(&teller, ends[1], 0);
        if (when == 0)
            close(ends[0]);
        server_begins(&world, sizeof(pattern));
        (void)server_says_bytes(&world, world_server(&world),
                                (struct span){pattern, sizeof(pattern)});
        if (when == 1)
            close(ends[0]);
        world_settle_files(&world);
        assert_int_equal(teller.n_done, 1);
        assert_int_equal(teller.failure.kind, FAILURE_WRITE);
        assert_int_equal(teller.failure.sys_errno, EPIPE);
        world_done(&world);
    }
}

static void test_cd03_a_file_that_takes_no_more_fails_that_request_only(void **state)
{
    struct fetch_world world;
    struct teller teller;
    struct rlimit limit;
    struct rlimit tight;
    char path[] = "/tmp/xhrd-sink-XXXXXX";
    int fd = mkstemp(path);

    (void)state;
    assert_true(fd >= 0);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    tight = (struct rlimit){100000, limit.rlim_max};
    world_init(&world);
    teller_init(&teller, &world);
    get_to(&teller, fd, 0);
    server_begins(&world, sizeof(pattern));
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &tight), 0);
    (void)server_says_bytes(&world, world_server(&world),
                            (struct span){pattern, sizeof(pattern)});
    world_settle_files(&world);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    assert_int_equal(teller.n_done, 1);
    assert_int_equal(teller.failure.kind, FAILURE_WRITE);
    assert_int_equal(teller.failure.sys_errno, EFBIG);
    world_done(&world);
}

static void test_who_follows_the_file_sees_it_grow_as_the_answer_does(void **state)
{
    struct fetch_world world;
    struct teller teller;
    int fd = memfd_create("answer", MFD_CLOEXEC);
    int kept = dup(fd);

    (void)state;
    world_init(&world);
    teller_init(&teller, &world);
    get_to(&teller, fd, 0);
    server_begins(&world, 20);
    server_says(&world, "HELLO");
    world_pass_ms(&world, 2);
    world_settle_files(&world);
    assert_int_equal(lseek(kept, 0, SEEK_END), 5);
    server_says(&world, "AGAIN");
    world_settle_files(&world);
    world_pass_ms(&world, 2);
    world_settle_files(&world);
    assert_int_equal(lseek(kept, 0, SEEK_END), 10);
    server_says(&world, "ANDTHEREST");
    world_settle_files(&world);
    assert_int_equal(lseek(kept, 0, SEEK_END), 20);
    assert_int_equal(teller.n_done, 1);
    close(kept);
    world_done(&world);
}

/* Blocks are made as they are needed. */
static void test_no_memory_for_more_of_a_fast_answer_fails_that_request_only(void **state)
{
    int before = count_fds();

    (void)state;
    for (uint64_t n = 1; n < 4; n++) {
        struct fetch_world world;
        struct teller teller;
        size_t said = 0;

        world_init(&world);
        teller_init(&teller, &world);
        get_to(&teller, memfd_create("answer", MFD_CLOEXEC), 0);
        server_begins(&world, sizeof(pattern));
        while (said < sizeof(pattern) && teller.n_done == 0) {
            mem_fail_at(said > 100000 ? n : 0);
            said += server_says_bytes(&world, world_server(&world),
                                      (struct span){pattern + said, sizeof(pattern) - said});
            world_turn(&world);
            mem_fail_at(0);
        }
        world_settle_files(&world);
        assert_int_equal(teller.n_done, 1);
        world_done(&world);
    }
    assert_int_equal(count_fds(), before);
}

static void test_a_file_grows_to_the_clients_limit_and_no_further(void **state)
{
    static const struct {
        uint64_t offset;
        size_t size;
        bool fits;
    } cases[] = {{3, 7, true}, {3, 8, false}, {10, 1, false}, {11, 1, false}};

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct fetch_world world;
        struct teller teller;
        struct failure why;
        int fd = memfd_create("answer", MFD_CLOEXEC);
        int kept = dup(fd);
        struct response_place place = {
            .offset = cases[i].offset, .has_size_max = true, .size_max = 10};

        world_init(&world);
        begin_with_credit(&world, &teller, 0, cases[i].size);
        teller.into_fd = true;
        assert_int_equal(request_give_to_fd(teller.request, fd, &place, &why), 0);
        (void)server_says_bytes(&world, world_server(&world),
                                (struct span){pattern, cases[i].size});
        world_settle_files(&world);
        assert_int_equal(teller.n_done, 1);
        assert_int_equal(teller.has_failed, !cases[i].fits);
        if (!cases[i].fits)
            assert_int_equal(teller.failure.sys_errno, EFBIG);
        assert_int_equal(lseek(kept, 0, SEEK_END), cases[i].offset == 3 ? 10 : 0);
        close(kept);
        world_done(&world);
    }
}

static void test_an_offset_that_no_file_has_fails(void **state)
{
    struct fetch_world world;
    struct teller teller;

    (void)state;
    world_init(&world);
    teller_init(&teller, &world);
    get_to(&teller, memfd_create("answer", MFD_CLOEXEC), UINT64_MAX - 1);
    server_begins(&world, 5);
    server_says(&world, "HELLO");
    world_settle_files(&world);
    assert_int_equal(teller.failure.kind, FAILURE_WRITE);
    world_done(&world);
}

static void test_an_answer_that_ends_early_fails_and_keeps_what_came(void **state)
{
    struct fetch_world world;
    struct teller teller;

    (void)state;
    world_init(&world);
    teller_init(&teller, &world);
    int fd = memfd_create("answer", MFD_CLOEXEC);
    int kept = dup(fd);
    get_to(&teller, fd, 0);
    server_begins(&world, 10);
    server_says(&world, "HELLO");
    server_ends(&world);
    world_settle_files(&world);
    assert_story(&teller, "head(200,10)  failed:truncated");
    assert_int_equal(teller.failure.phase, PHASE_BODY);
    assert_int_equal(lseek(kept, 0, SEEK_END), 5);
    close(kept);
    world_done(&world);
}

static void test_an_answer_that_stands_still_fails_and_keeps_what_came(void **state)
{
    struct fetch_world world;
    struct teller teller;
    int fd = memfd_create("answer", MFD_CLOEXEC);
    int kept = dup(fd);

    (void)state;
    world_init(&world);
    teller_init(&teller, &world);
    get_to(&teller, fd, 0);
    server_begins(&world, 10);
    server_says(&world, "HELLO");
    world_pass_ms(&world, 600000);
    world_settle_files(&world);
    assert_int_equal(teller.failure.kind, FAILURE_TIMEOUT_IDLE);
    assert_int_equal(lseek(kept, 0, SEEK_END), 5);
    close(kept);
    world_done(&world);
}

static void test_the_total_timeout_ends_what_a_full_pipe_blocks(void **state)
{
    struct fetch_world world;
    struct teller teller;
    int ends[2];

    (void)state;
    world_init(&world);
    teller_init(&teller, &world);
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    assert_int_equal(try_to(&teller, ends[1], 0, 5000000), 0);
    server_begins(&world, sizeof(pattern));
    (void)server_says_bytes(&world, world_server(&world),
                            (struct span){pattern, sizeof(pattern)});
    world_pass_ms(&world, 4999);
    assert_int_equal(teller.n_done, 0);
    world_pass_ms(&world, 1);
    assert_int_equal(teller.failure.kind, FAILURE_TIMEOUT_TOTAL);
    close(ends[0]);
    world_done(&world);
}

static void test_lb04_a_request_that_writes_a_file_may_end_at_any_time(void **state)
{
    int before = count_fds();

    (void)state;
    for (int at = 0; at < 8; at++) {
        for (int how = 0; how < 2; how++) {
            struct fetch_world world;
            struct teller teller;
            struct failure why;
            size_t said = 0;

            world_init(&world);
            teller_init(&teller, &world);
            get_to(&teller, memfd_create("answer", MFD_CLOEXEC), 0);
            server_begins(&world, sizeof(pattern));
            for (int i = 0; i < at; i++)
                said += server_says_bytes(
                    &world, world_server(&world),
                    span_take((struct span){pattern + said, sizeof(pattern) - said}, 500000));
            failure_set(&why, FAILURE_ABORTED, "aborted");
            if (teller.request && how)
                request_fail(teller.request, &why);
            else if (teller.request)
                request_close(TAKE(teller.request));
            world_turn(&world);
            assert_int_equal(teller.n_done, how);
            world_done(&world);
        }
    }
    assert_int_equal(count_fds(), before);
}

static void test_no_memory_or_descriptor_for_it_is_an_error_of_the_call(void **state)
{
    int before = count_fds();

    (void)state;
    for (uint64_t n = 1; n < 12; n++) {
        struct fetch_world world;
        struct teller teller;
        int ends[2];

        world_init(&world);
        teller_init(&teller, &world);
        assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
        fail_at = n;
        int r = try_to(&teller, n % 2 ? ends[1] : memfd_create("answer", MFD_CLOEXEC), 0, 0);
        fail_at = 0;
        assert_true(n > 3 ? r == 0 || r == -ENOMEM : r == -ENOMEM);
        if (r == 0 && teller.request)
            request_close(teller.request);
        close(ends[0]);
        if (n % 2 == 0)
            close(ends[1]);
        world_done(&world);
    }
    assert_int_equal(count_fds(), before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cd02_an_answer_goes_to_a_file_at_the_offset_asked_for),
        cmocka_unit_test(
            test_cd02_a_file_given_after_the_head_gets_what_has_come_and_what_comes),
        cmocka_unit_test(test_an_answer_that_is_whole_already_waits_for_its_file),
        cmocka_unit_test(
            test_ip20_a_file_is_written_by_as_much_memory_as_its_user_has_room_for),
        cmocka_unit_test(
            test_ip20_a_stream_gets_its_answer_through_as_much_as_its_user_has_room_for),
        cmocka_unit_test(test_a_file_comes_too_early_too_late_or_twice),
        cmocka_unit_test(test_the_rest_of_an_answer_is_written_where_the_descriptor_stands),
        cmocka_unit_test(test_what_goes_to_the_null_device_is_counted_and_gone),
        cmocka_unit_test(test_an_answer_that_says_itself_that_it_is_too_long_is_not_fetched),
        cmocka_unit_test(test_a_stream_gets_what_has_come_without_waiting_for_more),
        cmocka_unit_test(test_a_full_stream_halts_the_server_and_holds_no_thread),
        cmocka_unit_test(test_cd03_a_stream_without_reader_fails_that_request_only),
        cmocka_unit_test(test_cd03_a_file_that_takes_no_more_fails_that_request_only),
        cmocka_unit_test(test_who_follows_the_file_sees_it_grow_as_the_answer_does),
        cmocka_unit_test(test_no_memory_for_more_of_a_fast_answer_fails_that_request_only),
        cmocka_unit_test(test_a_file_grows_to_the_clients_limit_and_no_further),
        cmocka_unit_test(test_an_offset_that_no_file_has_fails),
        cmocka_unit_test(test_an_answer_that_ends_early_fails_and_keeps_what_came),
        cmocka_unit_test(test_an_answer_that_stands_still_fails_and_keeps_what_came),
        cmocka_unit_test(test_the_total_timeout_ends_what_a_full_pipe_blocks),
        cmocka_unit_test(test_lb04_a_request_that_writes_a_file_may_end_at_any_time),
        cmocka_unit_test(test_no_memory_or_descriptor_for_it_is_an_error_of_the_call),
    };
    return cmocka_run_group_tests(tests, prepare, NULL);
}
