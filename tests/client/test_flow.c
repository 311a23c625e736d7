/* SPDX-License-Identifier: MIT */
/* Credit both ways, bodies up, limits. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "support/fd_count.h"
#include "support/peer.h"

#define HEADERS XHRD__V1__READY_STATE__READY_STATE_HEADERS_RECEIVED
#define LOADING XHRD__V1__READY_STATE__READY_STATE_LOADING
#define CREDIT  XHRD__V1__CLIENT_MESSAGE__KIND_CREDIT
#define ABORT   XHRD__V1__CLIENT_MESSAGE__KIND_ABORT
#define END     XHRD__V1__CLIENT_MESSAGE__KIND_BODY_END
#define BODY    XHRD__V1__CLIENT_MESSAGE__KIND_BODY

enum { CHUNK = 65536 };
static uint8_t chunk[CHUNK];

struct scene {
    struct peer peer;
    struct record record;
    struct xhr_request *request;
    uint32_t id;
    Xhrd__V1__OpenRequest *open; /* of the last send; the peer's */
};

static void make(struct scene *scene, const struct xhr_request_options *options)
{
    memset(scene, 0, sizeof(*scene));
    peer_init(&scene->peer, false);
    scene->request =
        new_request(scene->peer.client, &scene->record, &record_streaming_callbacks);
    assert_int_equal(xhr_request_set_options(scene->request, options), 0);
}

static void send_it(struct scene *scene, const struct xhr_body *body)
{
    assert_int_equal(xhr_request_send(scene->request, body), 0);
    scene->open = peer_expect(&scene->peer, XHRD__V1__CLIENT_MESSAGE__KIND_OPEN)->open;
    scene->id = scene->open->request_id;
}

static void give_head(struct scene *scene)
{
    peer_head(&scene->peer, scene->id, 200);
    peer_ready_state(&scene->peer, scene->id, HEADERS);
    peer_ready_state(&scene->peer, scene->id, LOADING);
}

static void end(struct scene *scene, const char *expected)
{
    peer_turn(&scene->peer);
    assert_string_equal(scene->record.text, expected);
    assert_int_equal(xhr_client_in_flight(scene->peer.client), 0);
    xhr_request_free(scene->request);
    peer_done(&scene->peer);
}

/* Credit given back since the last call. */
static uint64_t credit_given(struct scene *scene)
{
    const Xhrd__V1__ClientMessage *message;
    uint64_t sum = 0;

    peer_turn(&scene->peer);
    while ((message = peer_next(&scene->peer))) {
        assert_int_equal(message->kind_case, CREDIT);
        assert_int_equal(message->credit->request_id, scene->id);
        sum += message->credit->bytes;
    }
    return sum;
}

static void test_consumed_bytes_are_given_back_in_batches_of_256_kib(void **state)
{
    struct scene scene;

    (void)state;
    make(&scene, NULL);
    send_it(&scene, NULL);
    assert_int_equal(scene.open->response_credit_bytes, 1048576);
    give_head(&scene);
    for (unsigned i = 1; i <= 32; i++) {
        peer_body(&scene.peer, scene.id, chunk, CHUNK);
        assert_int_equal(credit_given(&scene), i % 4 == 0 ? 4 * CHUNK : 0);
    }
    peer_finish(&scene.peer, scene.id, 32 * CHUNK);
    end(&scene, "1 2 headers 3 down(2097152) 4 load");
}

static void test_a_paused_request_gives_no_credit_until_it_is_resumed(void **state)
{
    struct scene scene;

    (void)state;
    make(&scene, NULL);
    send_it(&scene, NULL);
    give_head(&scene);
    assert_int_equal(xhr_request_pause(scene.request), 0);
    for (unsigned i = 0; i < 16; i++) {
        peer_body(&scene.peer, scene.id, chunk, CHUNK);
        assert_int_equal(credit_given(&scene), 0);
    }
    assert_int_equal(xhr_request_resume(scene.request), 0);
    assert_int_equal(credit_given(&scene), 16 * CHUNK);
    peer_finish(&scene.peer, scene.id, 16 * CHUNK);
    end(&scene, "1 2 headers 3 down(1048576) 4 load");
}

#define TO_FD XHRD__V1__CLIENT_MESSAGE__KIND_BODY_TO_FD

static void test_the_rest_goes_to_a_descriptor_when_credit_is_used_up(void **state)
{
    struct xhr_request_options options = {.size = sizeof(options), .credit_bytes = 10};
    int file = memfd_create("rest", MFD_CLOEXEC);
    struct scene scene;
    char got[16] = "";

    (void)state;
    make(&scene, &options);
    assert_int_equal(xhr_request_set_rest_fd(scene.request, file), -EINVAL); /* not in flight */
    send_it(&scene, NULL);
    give_head(&scene);
    peer_body(&scene.peer, scene.id, "01234", 5);
    peer_turn(&scene.peer);
    assert_int_equal(peer_expect(&scene.peer, CREDIT)->credit->bytes, 5);
    assert_int_equal(xhr_request_set_rest_fd(scene.request, file), 0);
    assert_int_equal(xhr_request_pause(scene.request), 0);
    peer_body(&scene.peer, scene.id, "5678901", 7);
    assert_int_equal(credit_given(&scene), 0); /* 3 are on their way */
    peer_body(&scene.peer, scene.id, "234", 3);
    assert_int_equal(credit_given(&scene), 0); /* paused */
    assert_int_equal(xhr_request_resume(scene.request), 0);
    const Xhrd__V1__ClientMessage *message = peer_expect(&scene.peer, TO_FD);
    int passed = peer_take_fd(&scene.peer);
    assert_int_equal(message->body_to_fd->request_id, scene.id);
    assert_true(message->body_to_fd->to->at_position);
    assert_false(message->body_to_fd->to->sync);
    assert_int_equal(message->body_to_fd->to->offset, 0);
    assert_int_equal(write(passed, "rest", 4), 4);
    assert_int_equal(pread(file, got, sizeof(got), 0), 4);
    assert_string_equal(got, "rest");
    close(passed);
    assert_int_equal(xhr_request_set_rest_fd(scene.request, file), -EINVAL); /* twice */
    peer_finish(&scene.peer, scene.id, 19);
    end(&scene, "1 2 headers 3 down(19) 4 load");
    close(file);
}

static void test_a_short_answer_hands_no_descriptor_over(void **state)
{
    int before = count_fds();
    int file = memfd_create("rest", MFD_CLOEXEC);
    struct scene scene;

    (void)state;
    make(&scene, NULL);
    send_it(&scene, NULL);
    give_head(&scene);
    peer_body(&scene.peer, scene.id, "01234", 5);
    peer_turn(&scene.peer);
    assert_int_equal(xhr_request_set_rest_fd(scene.request, file), 0);
    assert_int_equal(xhr_request_set_rest_fd(scene.request, file), 0);
    assert_int_equal(credit_given(&scene), 0);
    peer_finish(&scene.peer, scene.id, 5);
    end(&scene, "1 2 headers 3 down(5) 4 load");
    close(file);
    assert_int_equal(count_fds(), before);
}

static void test_the_rest_goes_to_files_and_the_null_device_alone(void **state)
{
    struct scene scene;
    int ends[2];

    (void)state;
    assert_int_equal(pipe(ends), 0);
    make(&scene, NULL);
    send_it(&scene, NULL);
    give_head(&scene);
    peer_turn(&scene.peer);
    const struct {
        int fd;
        int result;
    } rows[] = {
        {ends[1], -ESPIPE},
        {ends[0], -EBADF},
        {open("/dev/zero", O_WRONLY), -ESPIPE},
        {open("/dev/null", O_RDONLY), -EBADF},
        {open("/tmp", O_PATH), -EBADF},
        {-1, -EBADF},
        {open("/dev/null", O_WRONLY), 0},
        {open("/tmp", O_TMPFILE | O_WRONLY | O_APPEND, 0600), 0},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_int_equal(xhr_request_set_rest_fd(scene.request, rows[i].fd), rows[i].result);
        if (rows[i].fd >= 0)
            close(rows[i].fd);
    }
    close(ends[0]);
    peer_finish(&scene.peer, scene.id, 0);
    end(&scene, "1 2 headers 3 4 load");
}

static void test_a_small_credit_never_runs_dry(void **state)
{
    struct xhr_request_options options = {.size = sizeof(options), .credit_bytes = 3};
    struct scene scene;
    uint64_t credit = 3;

    (void)state;
    make(&scene, &options);
    send_it(&scene, NULL);
    assert_int_equal(scene.open->response_credit_bytes, 3);
    give_head(&scene);
    for (unsigned i = 0; i < 100; i++) {
        assert_true(credit > 0);
        peer_body(&scene.peer, scene.id, "b", 1);
        credit += credit_given(&scene) - 1;
    }
    peer_finish(&scene.peer, scene.id, 100);
    end(&scene, "1 2 headers 3 down(100) 4 load");
}

static void test_a_daemon_that_sends_past_its_credit_is_hung_up_on(void **state)
{
    struct xhr_request_options options = {.size = sizeof(options), .credit_bytes = 10};
    struct scene scene;

    (void)state;
    make(&scene, &options);
    assert_int_equal(xhr_request_pause(scene.request), 0);
    send_it(&scene, NULL);
    assert_int_equal(xhr_request_pause(scene.request), 0);
    give_head(&scene);
    peer_body(&scene.peer, scene.id, "0123456789", 10);
    peer_turn(&scene.peer);
    assert_int_equal(xhr_client_in_flight(scene.peer.client), 1);
    peer_body(&scene.peer, scene.id, "x", 1);
    end(&scene, "1 2 headers 3 4 error(daemon-protocol)");
}

static void test_an_end_that_counts_another_body_is_not_believed(void **state)
{
    struct xhr_request_options options = {.size = sizeof(options), .credit_bytes = 10};
    struct scene scene;

    (void)state;
    make(&scene, &options);
    assert_int_equal(xhr_request_pause(scene.request), 0);
    send_it(&scene, NULL);
    give_head(&scene);
    peer_body(&scene.peer, scene.id, "0123456789", 10); /* all the credit there is */
    peer_finish(&scene.peer, scene.id, 11);
    end(&scene, "1 2 headers 3 4 error(daemon-protocol)");
}

static void test_an_answer_past_the_memory_limit_fails_and_is_stopped(void **state)
{
    struct xhr_request_options options = {.size = sizeof(options), .memory_bytes_max = 5};
    struct scene scene;

    (void)state;
    make(&scene, &options);
    assert_int_equal(xhr_request_set_callbacks(scene.request, &record_callbacks, &scene.record),
                     0);
    send_it(&scene, NULL);
    give_head(&scene);
    peer_body(&scene.peer, scene.id, "12345", 5);
    peer_turn(&scene.peer);
    assert_int_equal(xhr_client_in_flight(scene.peer.client), 1);
    peer_body(&scene.peer, scene.id, "6", 1);
    assert_int_equal(peer_expect(&scene.peer, ABORT)->abort->request_id, scene.id);
    end(&scene, "1 2 headers 3 4 error(limit)");
}

static void test_a_large_answer_in_memory_is_whole(void **state)
{
    enum { BYTES = 5000000 };
    struct scene scene;
    uint64_t credit = 1048576;
    uint64_t sent = 0;
    size_t len = 0;

    (void)state;
    make(&scene, NULL);
    assert_int_equal(xhr_request_set_callbacks(scene.request, &record_callbacks, &scene.record),
                     0);
    send_it(&scene, NULL);
    give_head(&scene);
    for (size_t i = 0; i < CHUNK; i++)
        chunk[i] = (uint8_t)(i * 7 + i / 256);
    while (sent < BYTES) {
        uint64_t n = BYTES - sent < CHUNK ? BYTES - sent : CHUNK;

        assert_true(credit >= n);
        peer_body(&scene.peer, scene.id, chunk, n);
        sent += n;
        credit += credit_given(&scene) - n;
    }
    peer_finish(&scene.peer, scene.id, BYTES);
    peer_turn(&scene.peer);
    const uint8_t *body = xhr_request_response_body(scene.request, &len);
    assert_int_equal(len, BYTES);
    for (size_t i = 0; i < BYTES; i += CHUNK)
        assert_memory_equal(body + i, chunk, BYTES - i < CHUNK ? BYTES - i : CHUNK);
    end(&scene, "1 2 headers 3 down(5000000) 4 load");
}

/* ---- up ---- */

struct source {
    uint64_t left;
    uint64_t read;
    size_t piece; /* 0: whatever is asked for */
    int error;    /* once nothing is left */
    unsigned pauses;
};

static ssize_t read_source(struct xhr_request *request, void *buffer, size_t len, void *user)
{
    struct source *source = user;
    size_t n = source->piece && source->piece < len ? source->piece : len;

    (void)request;
    if (source->pauses > 0) {
        source->pauses--;
        return XHR_READ_PAUSE;
    }
    if (n > source->left)
        n = (size_t)source->left;
    if (n == 0 && source->error)
        return source->error;
    for (size_t i = 0; i < n; i++)
        ((uint8_t *)buffer)[i] = (uint8_t)(source->read + i);
    source->left -= n;
    source->read += n;
    return (ssize_t)n;
}

static struct xhr_body stream_of(struct source *source, uint64_t length)
{
    return (struct xhr_body){.size = sizeof(struct xhr_body),
                             .kind = XHR_BODY_STREAM,
                             .read = read_source,
                             .read_user = source,
                             .length = length};
}

/* Takes what has come of the body; checks it. Return: bytes; *ret_ended whether BodyEnd came.
 */
static uint64_t take_upload(struct scene *scene, uint64_t at, bool *ret_ended)
{
    const Xhrd__V1__ClientMessage *message;
    uint64_t n = 0;
    uint64_t before;

    *ret_ended = false;
    do {
        before = n;
        peer_turn(&scene->peer);
        while ((message = peer_next(&scene->peer))) {
            assert_false(*ret_ended);
            if (message->kind_case == END) {
                *ret_ended = true;
                continue;
            }
            assert_int_equal(message->kind_case, BODY);
            for (size_t i = 0; i < message->body->data.len; i++)
                assert_int_equal(message->body->data.data[i], (uint8_t)(at + n + i));
            n += message->body->data.len;
        }
    } while (n > before);
    return n;
}

static void test_an_upload_sends_what_it_has_credit_for_and_no_more(void **state)
{
    struct source source = {.left = 200000};
    struct xhr_body body = stream_of(&source, 200000);
    struct scene scene;
    bool ended;

    (void)state;
    make(&scene, NULL);
    send_it(&scene, &body);
    assert_int_equal(scene.open->body->stream->length_bytes, 200000);
    assert_int_equal(take_upload(&scene, 0, &ended), 65536);
    assert_false(xhr_client_wants_write(scene.peer.client));
    peer_credit(&scene.peer, scene.id, 100000);
    assert_int_equal(take_upload(&scene, 65536, &ended), 100000);
    assert_false(ended);
    peer_credit(&scene.peer, scene.id, 100000);
    assert_int_equal(take_upload(&scene, 165536, &ended), 34464);
    assert_true(ended);
    peer_answer(&scene.peer, scene.id, 200, "");
    end(&scene, "1 2 headers 4 load");
}

static void test_the_credit_of_a_hello_that_comes_later_is_added(void **state)
{
    struct source source = {.left = 200000, .piece = 1000};
    struct xhr_body body = stream_of(&source, XHR_LENGTH_UNKNOWN);
    struct scene scene = {0};
    bool ended;

    (void)state;
    peer_init(&scene.peer, true);
    scene.request = new_request(scene.peer.client, &scene.record, &record_callbacks);
    send_it(&scene, &body);
    assert_int_equal(scene.open->body->stream->length_case, 0);
    assert_int_equal(take_upload(&scene, 0, &ended), 65536);
    peer_hello(&scene.peer, 100000);
    assert_int_equal(take_upload(&scene, 65536, &ended), 100000 - 65536);
    peer_credit(&scene.peer, scene.id, 1000000);
    assert_int_equal(take_upload(&scene, 100000, &ended), 100000);
    assert_true(ended);
    peer_answer(&scene.peer, scene.id, 200, "");
    end(&scene, "1 2 headers 4 load");
}

static void test_lb02_fewer_bytes_than_announced_fail(void **state)
{
    struct source source = {.left = 99};
    struct xhr_body body = stream_of(&source, 100);
    struct scene scene;

    (void)state;
    make(&scene, NULL);
    send_it(&scene, &body);
    assert_int_equal(peer_expect(&scene.peer, ABORT)->abort->request_id, scene.id);
    assert_int_equal(scene.record.error.kind, XHR_ERROR_BODY_READ);
    end(&scene, "1 4 error(body-read)");
}

static void test_lb02_more_bytes_than_announced_fail(void **state)
{
    static const size_t pieces[] = {0, 1, 100};

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        struct source source = {.left = 101, .piece = pieces[i]};
        struct xhr_body body = stream_of(&source, 100);
        struct scene scene;

        make(&scene, NULL);
        send_it(&scene, &body);
        assert_int_equal(peer_expect(&scene.peer, ABORT)->abort->request_id, scene.id);
        end(&scene, "1 4 error(body-read)");
    }
}

static void test_a_source_that_fails_fails_the_request_with_its_errno(void **state)
{
    struct source source = {.left = 10, .error = -EIO};
    struct xhr_body body = stream_of(&source, XHR_LENGTH_UNKNOWN);
    struct scene scene;

    (void)state;
    make(&scene, NULL);
    send_it(&scene, &body);
    (void)peer_expect(&scene.peer, ABORT);
    assert_int_equal(scene.record.error.sys_errno, EIO);
    end(&scene, "1 4 error(body-read)");
}

static void test_a_source_may_pause_and_be_asked_again(void **state)
{
    struct source source = {.left = 10, .pauses = 1};
    struct xhr_body body = stream_of(&source, XHR_LENGTH_UNKNOWN);
    struct scene scene;
    bool ended;

    (void)state;
    make(&scene, NULL);
    send_it(&scene, &body);
    assert_int_equal(take_upload(&scene, 0, &ended), 0);
    assert_false(xhr_client_wants_write(scene.peer.client));
    assert_int_equal(xhr_request_resume_upload(scene.request), 0);
    assert_int_equal(take_upload(&scene, 0, &ended), 10);
    assert_true(ended);
    peer_answer(&scene.peer, scene.id, 200, "");
    end(&scene, "1 2 headers 4 load");
}

static ssize_t abort_in_read(struct xhr_request *request, void *buffer, size_t len, void *user)
{
    (void)user;
    memset(buffer, 'x', len);
    assert_int_equal(xhr_request_abort(request), 0);
    return (ssize_t)len;
}

static ssize_t free_in_read(struct xhr_request *request, void *buffer, size_t len, void *user)
{
    struct scene *scene = user;

    (void)buffer;
    (void)len;
    scene->request = xhr_request_free(request);
    return 0;
}

static ssize_t
free_client_in_read(struct xhr_request *request, void *buffer, size_t len, void *user)
{
    struct scene *scene = user;

    (void)request;
    (void)buffer;
    scene->peer.client = xhr_client_free(scene->peer.client);
    return (ssize_t)len;
}

static void test_lb04_the_source_may_end_everything(void **state)
{
    ssize_t (*const reads[])(struct xhr_request *, void *, size_t,
                             void *) = {abort_in_read, free_in_read, free_client_in_read};
    static const char *const expected[] = {"1 4 abort", "1", "1 4 abort"};

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        struct scene scene;
        struct xhr_body body = stream_of(NULL, XHR_LENGTH_UNKNOWN);

        make(&scene, NULL);
        body.read = reads[i];
        body.read_user = &scene;
        assert_int_equal(xhr_request_send(scene.request, &body), 0);
        peer_turn(&scene.peer);
        if (scene.peer.client) {
            while (peer_next(&scene.peer))
                continue;
            peer_turn(&scene.peer);
        }
        assert_string_equal(scene.record.text, expected[i]);
        xhr_request_free(scene.request);
        peer_done(&scene.peer);
    }
}

static void test_two_uploads_take_turns(void **state)
{
    struct source sources[2] = {{.left = 60000, .piece = 1000}, {.left = 60000, .piece = 1000}};
    struct xhr_body bodies[2] = {stream_of(&sources[0], 60000), stream_of(&sources[1], 60000)};
    struct peer peer;
    struct record records[2] = {{.len = 0}, {.len = 0}};
    struct xhr_request *requests[2];
    const Xhrd__V1__ClientMessage *message;
    uint64_t got[2] = {0};
    uint32_t ids[2];

    (void)state;
    peer_init(&peer, false);
    for (unsigned i = 0; i < 2; i++) {
        requests[i] = new_request(peer.client, &records[i], &record_callbacks);
        assert_int_equal(xhr_request_send(requests[i], &bodies[i]), 0);
    }
    ids[0] = peer_expect_open(&peer);
    ids[1] = peer_expect_open(&peer);
    while ((message = peer_next(&peer))) {
        if (message->kind_case != BODY)
            continue;
        unsigned which = message->body->request_id == ids[1];

        got[which] += message->body->data.len;
        assert_true(got[which] < got[!which] + 3000);
        peer_turn(&peer);
    }
    assert_int_equal(got[0], 60000);
    assert_int_equal(got[1], 60000);
    for (unsigned i = 0; i < 2; i++)
        xhr_request_free(requests[i]);
    peer_done(&peer);
}

/* ---- bodies that are not streamed, and descriptors ---- */

static void test_a_string_is_form_encoded_unless_a_type_is_set(void **state)
{
    static const struct {
        enum xhr_body_kind kind;
        const char *set;
        const char *expected;
    } rows[] = {
        {XHR_BODY_STRING, NULL, "application/x-www-form-urlencoded"},
        {XHR_BODY_BYTES, NULL, "application/x-www-form-urlencoded"},
        {XHR_BODY_JSON, NULL, "application/json"},
        {XHR_BODY_JSON, "text/x", "text/x"},
        {XHR_BODY_STRING, "text/x", "text/x"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct xhr_body body = {
            .size = sizeof(body), .kind = rows[i].kind, .bytes = "a=1", .length = 3};
        struct scene scene;

        make(&scene, NULL);
        if (rows[i].set)
            assert_int_equal(xhr_request_set_header(scene.request, "content-TYPE", rows[i].set),
                             0);
        send_it(&scene, &body);
        assert_int_equal(scene.open->n_headers, 1);
        assert_int_equal(scene.open->headers[0]->value.len, strlen(rows[i].expected));
        assert_memory_equal(scene.open->headers[0]->value.data, rows[i].expected,
                            strlen(rows[i].expected));
        assert_int_equal(scene.open->body->inline_bytes.len, 3);
        xhr_request_free(scene.request);
        peer_done(&scene.peer);
    }
}

static void test_a_long_body_goes_as_a_file_that_can_be_read_again(void **state)
{
    enum { BYTES = 3000000 };
    struct xhr_body body = {.size = sizeof(body), .kind = XHR_BODY_BYTES, .length = BYTES};
    struct scene scene;
    char *bytes = malloc(BYTES);

    (void)state;
    assert_non_null(bytes);
    memset(bytes, 'm', BYTES);
    body.bytes = bytes;
    make(&scene, NULL);
    send_it(&scene, &body);
    memset(bytes, 'x', BYTES); /* it was copied */
    assert_int_equal(scene.open->body->fd->length_bytes, BYTES);
    int fd = peer_take_fd(&scene.peer);
    char *mapped = mmap(NULL, BYTES, PROT_READ, MAP_SHARED, fd, 0);
    assert_true(mapped != MAP_FAILED);
    for (size_t i = 0; i < BYTES; i++)
        if (mapped[i] != 'm')
            fail_msg("byte %zu", i);
    munmap(mapped, BYTES);
    close(fd);
    free(bytes);
    xhr_request_free(scene.request);
    peer_done(&scene.peer);
}

static void test_descriptors_arrive_with_the_request_that_takes_them(void **state)
{
    struct peer peer;
    struct record records[3];
    struct xhr_request *requests[3];
    struct xhr_body body = {
        .size = sizeof(body), .kind = XHR_BODY_FD, .length = XHR_LENGTH_UNKNOWN, .offset = 7};
    int files[3];

    (void)state;
    memset(records, 0, sizeof(records));
    peer_init(&peer, false);
    for (unsigned i = 0; i < 3; i++) {
        files[i] = memfd_create("test", MFD_CLOEXEC);
        assert_true(files[i] >= 0);
        assert_int_equal(ftruncate(files[i], 100 + i), 0);
        requests[i] = new_request(peer.client, &records[i], &record_callbacks);
        body.fd = files[i];
        if (i > 0)
            assert_int_equal(xhr_request_set_response_fd(requests[i], files[0], 3), 0);
        assert_int_equal(xhr_request_send(requests[i], &body), 0);
    }
    for (unsigned i = 0; i < 3; i++) {
        const Xhrd__V1__OpenRequest *open =
            peer_expect(&peer, XHRD__V1__CLIENT_MESSAGE__KIND_OPEN)->open;
        int fd = peer_take_fd(&peer);

        assert_int_equal(open->body->fd->offset, 7);
        assert_int_equal(open->body->fd->length_case, 0);
        assert_int_equal(lseek(fd, 0, SEEK_END), 100 + i);
        close(fd);
        if (i > 0) {
            assert_int_equal(open->response_fd->offset, 3);
            fd = peer_take_fd(&peer);
            assert_int_equal(lseek(fd, 0, SEEK_END), 100);
            close(fd);
        }
        uint32_t id = open->request_id;
        peer_head(&peer, id, 200);
        peer_ready_state(&peer, id, HEADERS);
        if (i > 0) { /* the daemon wrote 9 bytes there itself */
            peer_ready_state(&peer, id, LOADING);
            peer_progress(&peer, id, false, 9, 9, 1);
        }
        peer_finish(&peer, id, i > 0 ? 9 : 0);
        peer_turn(&peer);
        assert_string_equal(records[i].text,
                            i > 0 ? "1 2 headers 3 down(9) 4 load" : "1 2 headers 4 load");
        xhr_request_free(requests[i]);
        if (i > 0)
            close(files[i]);
    }
    close(files[0]);
    peer_done(&peer);
}

static void test_bodies_that_make_no_sense_are_refused_and_nothing_is_sent(void **state)
{
    const struct {
        struct xhr_body body;
        int expected;
    } rows[] = {
        {{.size = sizeof(struct xhr_body), .kind = XHR_BODY_STRING}, -EINVAL},
        {{.size = sizeof(struct xhr_body), .kind = XHR_BODY_STREAM}, -EINVAL},
        {{.size = sizeof(struct xhr_body), .kind = XHR_BODY_FD, .fd = -1}, -EBADF},
        {{.size = sizeof(struct xhr_body), .kind = XHR_BODY_FD, .fd = 9999}, -EBADF},
        {{.size = sizeof(struct xhr_body), .kind = (enum xhr_body_kind)9}, -EINVAL},
        {{.size = 1}, -EINVAL},
    };
    struct scene scene;

    (void)state;
    make(&scene, NULL);
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
        assert_int_equal(xhr_request_send(scene.request, &rows[i].body), rows[i].expected);
    peer_turn(&scene.peer);
    assert_int_equal(xhr_client_in_flight(scene.peer.client), 0);
    send_it(&scene, NULL);
    peer_answer(&scene.peer, scene.id, 200, "");
    end(&scene, "1 2 headers 4 load");
}

static void test_a_request_that_fits_no_message_is_refused(void **state)
{
    struct scene scene;
    char *value = malloc(1100000);

    (void)state;
    assert_non_null(value);
    memset(value, 'v', 1099999);
    value[1099999] = '\0';
    make(&scene, NULL);
    assert_int_equal(xhr_request_set_header(scene.request, "X-Large", value), 0);
    assert_int_equal(xhr_request_send(scene.request, NULL), -EMSGSIZE);
    assert_int_equal(xhr_client_in_flight(scene.peer.client), 0);
    free(value);
    xhr_request_free(scene.request);
    peer_done(&scene.peer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_consumed_bytes_are_given_back_in_batches_of_256_kib),
        cmocka_unit_test(test_a_paused_request_gives_no_credit_until_it_is_resumed),
        cmocka_unit_test(test_the_rest_goes_to_a_descriptor_when_credit_is_used_up),
        cmocka_unit_test(test_a_short_answer_hands_no_descriptor_over),
        cmocka_unit_test(test_the_rest_goes_to_files_and_the_null_device_alone),
        cmocka_unit_test(test_a_small_credit_never_runs_dry),
        cmocka_unit_test(test_a_daemon_that_sends_past_its_credit_is_hung_up_on),
        cmocka_unit_test(test_an_end_that_counts_another_body_is_not_believed),
        cmocka_unit_test(test_an_answer_past_the_memory_limit_fails_and_is_stopped),
        cmocka_unit_test(test_a_large_answer_in_memory_is_whole),
        cmocka_unit_test(test_an_upload_sends_what_it_has_credit_for_and_no_more),
        cmocka_unit_test(test_the_credit_of_a_hello_that_comes_later_is_added),
        cmocka_unit_test(test_lb02_fewer_bytes_than_announced_fail),
        cmocka_unit_test(test_lb02_more_bytes_than_announced_fail),
        cmocka_unit_test(test_a_source_that_fails_fails_the_request_with_its_errno),
        cmocka_unit_test(test_a_source_may_pause_and_be_asked_again),
        cmocka_unit_test(test_lb04_the_source_may_end_everything),
        cmocka_unit_test(test_two_uploads_take_turns),
        cmocka_unit_test(test_a_string_is_form_encoded_unless_a_type_is_set),
        cmocka_unit_test(test_a_long_body_goes_as_a_file_that_can_be_read_again),
        cmocka_unit_test(test_descriptors_arrive_with_the_request_that_takes_them),
        cmocka_unit_test(test_bodies_that_make_no_sense_are_refused_and_nothing_is_sent),
        cmocka_unit_test(test_a_request_that_fits_no_message_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
