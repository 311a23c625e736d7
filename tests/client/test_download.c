/* SPDX-License-Identifier: MIT */
/* Answers that become files, or are too long for memory: what is told, and what is left when
 * the program frees its objects, or memory ends, at any moment. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "support/fd_count.h"
#include "support/peer.h"

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);

static unsigned fail_at; /* 0: never */
static unsigned count;
static bool is_counting; /* only inside the library's calls */
static char folder[] = "/tmp/xhr-download-XXXXXX";

static bool fails(void)
{
    return is_counting && ++count == fail_at;
}

void *__wrap_malloc(size_t size)
{
    return fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size)
{
    return fails() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *old, size_t size)
{
    return fails() ? NULL : __real_realloc(old, size);
}

static const char *in_folder(const char *name)
{
    static char path[300];

    (void)snprintf(path, sizeof(path), "%s/%s", folder, name);
    return path;
}

static unsigned names_in_folder(void)
{
    DIR *all = opendir(folder);
    unsigned n = 0;

    assert_non_null(all);
    while (readdir(all))
        n++;
    closedir(all);
    return n - 2;
}

static void write_file(const char *name, const char *text)
{
    FILE *file = fopen(in_folder(name), "w");

    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static void assert_file(const char *name, const char *text)
{
    char got[64] = "";
    int fd = open(in_folder(name), O_RDONLY);

    assert_true(fd >= 0);
    assert_int_equal(read(fd, got, sizeof(got) - 1), strlen(text));
    assert_string_equal(got, text);
    close(fd);
}

static void remove_all(void)
{
    static const char *const names[] = {"a", "b", ".a.xhr-part", ".a.xhr-info"};

    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
        (void)unlink(in_folder(names[i]));
    assert_int_equal(names_in_folder(), 0);
}

static int set_file(struct xhr_request *request, struct xhr_file file)
{
    file.size = sizeof(file);
    file.path = in_folder("a");
    return xhr_request_set_file(request, &file);
}

/* A head with a field more. */
static void
say_head(struct peer *peer, uint32_t id, unsigned status, const char *name, const char *value)
{
    Xhrd__V1__ServerMessage message = XHRD__V1__SERVER_MESSAGE__INIT;
    Xhrd__V1__ResponseHead head = XHRD__V1__RESPONSE_HEAD__INIT;
    Xhrd__V1__Header header = XHRD__V1__HEADER__INIT;
    Xhrd__V1__Header *list = &header;

    header.name = (ProtobufCBinaryData){strlen(name), (uint8_t *)(uintptr_t)name};
    header.value = (ProtobufCBinaryData){strlen(value), (uint8_t *)(uintptr_t)value};
    head.request_id = id;
    head.status = status;
    head.n_headers = 1;
    head.headers = &list;
    message.kind_case = XHRD__V1__SERVER_MESSAGE__KIND_HEAD;
    message.head = &head;
    peer_send(peer, &message);
    peer_ready_state(peer, id, XHRD__V1__READY_STATE__READY_STATE_HEADERS_RECEIVED);
}

/* What the daemon does when it is given a descriptor. */
static void write_body(struct peer *peer, uint32_t id, const char *body)
{
    const Xhrd__V1__ClientMessage *message =
        peer_expect(peer, XHRD__V1__CLIENT_MESSAGE__KIND_BODY_TO_FD);
    size_t len = strlen(body);
    int fd = peer_take_fd(peer);

    assert_int_equal(message->body_to_fd->request_id, id);
    assert_true(message->body_to_fd->to->sync);
    assert_int_equal(pwrite(fd, body, len, (off_t)message->body_to_fd->to->offset), len);
    close(fd);
    peer_progress(peer, id, false, len, len, 60000);
    peer_finish(peer, id, len);
    peer_turn(peer);
}

static void test_every_state_is_told_though_the_body_is_not_seen(void **state)
{
    struct peer peer;
    struct record record = {0};
    struct xhr_file file = {0};

    (void)state;
    peer_init(&peer, false);
    struct xhr_request *request = new_request(peer.client, &record, &record_callbacks);
    assert_int_equal(set_file(request, file), 0);
    assert_int_equal(xhr_request_send(request, NULL), 0);
    assert_int_equal(set_file(request, file), -EBUSY);
    uint32_t id = peer_expect_open(&peer);
    peer_head(&peer, id, 200);
    peer_ready_state(&peer, id, XHRD__V1__READY_STATE__READY_STATE_HEADERS_RECEIVED);
    peer_turn(&peer);
    write_body(&peer, id, "hello");
    assert_string_equal(record.text, "1 2 headers 3 down(5) 4 load");
    assert_file("a", "hello");
    assert_string_equal(xhr_request_file_path(request), in_folder("a"));
    assert_int_equal(xhr_request_set_file(request, NULL), 0);
    assert_null(xhr_request_file_path(request));
    xhr_request_free(request);
    peer_done(&peer);
    remove_all();
}

static void test_credit_comes_with_the_head_when_it_is_no_file_after_all(void **state)
{
    struct peer peer;
    struct record record = {0};
    struct xhr_file file = {0};

    (void)state;
    peer_init(&peer, false);
    write_file("a", "old");
    struct xhr_request *request = new_request(peer.client, &record, &record_callbacks);
    assert_int_equal(set_file(request, file), 0);
    assert_int_equal(xhr_request_send(request, NULL), 0);
    const Xhrd__V1__ClientMessage *open =
        peer_expect(&peer, XHRD__V1__CLIENT_MESSAGE__KIND_OPEN);
    uint32_t id = open->open->request_id;
    assert_int_equal(open->open->response_credit_bytes, 0);
    peer_head(&peer, id, 404);
    peer_turn(&peer);
    assert_int_equal(peer_expect(&peer, XHRD__V1__CLIENT_MESSAGE__KIND_CREDIT)->credit->bytes,
                     1 << 20);
    peer_ready_state(&peer, id, XHRD__V1__READY_STATE__READY_STATE_HEADERS_RECEIVED);
    peer_body(&peer, id, "sorry", 5);
    peer_finish(&peer, id, 5);
    peer_turn(&peer);
    assert_string_equal(record.text, "1 2 headers 3 down(5) 4 error(http-status)");
    assert_string_equal(xhr_request_response_text(request, NULL), "sorry");
    assert_file("a", "old");
    xhr_request_free(request);
    peer_done(&peer);
    remove_all();
}

static const char *choose_by_ending_all(struct xhr_request *request, void *user)
{
    if (user)
        xhr_client_free(user);
    xhr_request_free(request);
    return NULL;
}

static const char *choose_by_aborting(struct xhr_request *request, void *user)
{
    (void)user;
    (void)xhr_request_abort(request);
    return "/nowhere";
}

static void test_choosing_a_path_may_end_everything(void **state)
{
    int before = count_fds();

    (void)state;
    for (int how = 0; how < 3; how++) {
        struct peer peer;
        struct record record = {0};

        peer_init(&peer, false);
        struct xhr_request *request = new_request(peer.client, &record, &record_callbacks);
        struct xhr_file file = {.choose_path =
                                    how == 2 ? choose_by_aborting : choose_by_ending_all,
                                .choose_user = how == 1 ? peer.client : NULL};
        assert_int_equal(set_file(request, file), 0);
        assert_int_equal(xhr_request_send(request, NULL), 0);
        uint32_t id = peer_expect_open(&peer);
        peer_head(&peer, id, 200);
        (void)xhr_client_dispatch(peer.client);
        assert_string_equal(record.text, how == 2 ? "1 4 abort" : how == 1 ? "1 4 abort" : "1");
        if (how == 2)
            xhr_request_free(request);
        if (how == 1)
            peer.client = NULL;
        peer_done(&peer);
        assert_int_equal(names_in_folder(), 0);
    }
    assert_int_equal(count_fds(), before);
}

/* Return: whether all went as if nothing had failed. */
static bool resume(unsigned n)
{
    struct peer peer;
    struct record record = {0};
    struct xhr_file file = {.resume = true};
    bool fine = false;

    peer_init(&peer, false);
    struct xhr_request *request = new_request(peer.client, &record, &record_callbacks);
    count = 0;
    fail_at = n;
    is_counting = true;
    int r = set_file(request, file);
    r = r < 0 ? r : xhr_request_send(request, NULL);
    is_counting = false;
    assert_true(r == 0 || r == -ENOMEM);
    if (r == 0) {
        bool goes_on = false;
        const Xhrd__V1__OpenRequest *open =
            peer_expect(&peer, XHRD__V1__CLIENT_MESSAGE__KIND_OPEN)->open;
        uint32_t id = open->request_id;

        for (size_t i = 0; i < open->n_headers; i++)
            goes_on |= open->headers[i]->name.len == 5;
        if (goes_on)
            say_head(&peer, id, 206, "Content-Range", "bytes 3-7/8");
        else
            say_head(&peer, id, 200, "ETag", "\"x\"");
        is_counting = true;
        (void)xhr_client_dispatch(peer.client);
        (void)xhr_client_dispatch(peer.client);
        is_counting = false;
        fine = !strstr(record.text, "error");
        if (fine && goes_on)
            write_body(&peer, id, "56789");
        else if (fine)
            xhr_request_abort(request);
        if (goes_on)
            assert_true(!fine || strstr(record.text, "load"));
    }
    fine &= count < fail_at;
    fail_at = 0;
    xhr_request_free(request);
    peer_done(&peer);
    return fine;
}

static void make_part(void)
{
    remove_all();
    assert_true(resume(1000)); /* aborted when nothing was written: nothing is left */
    assert_int_equal(names_in_folder(), 0);

    struct peer peer;
    struct record record = {0};
    struct xhr_file file = {.resume = true};

    peer_init(&peer, false);
    struct xhr_request *request = new_request(peer.client, &record, &record_callbacks);
    assert_int_equal(set_file(request, file), 0);
    assert_int_equal(xhr_request_send(request, NULL), 0);
    uint32_t id = peer_expect_open(&peer);
    say_head(&peer, id, 200, "ETag", "\"x\"");
    peer_turn(&peer);
    (void)peer_expect(&peer, XHRD__V1__CLIENT_MESSAGE__KIND_BODY_TO_FD);
    int fd = peer_take_fd(&peer);
    assert_int_equal(write(fd, "123", 3), 3);
    close(fd);
    peer_fail(&peer, id, XHRD__V1__FAILURE_KIND__FAILURE_KIND_TRUNCATED);
    peer_turn(&peer);
    xhr_request_free(request);
    peer_done(&peer);
    assert_int_equal(names_in_folder(), 2);
}

static void test_every_allocation_for_a_file_may_fail(void **state)
{
    int before = count_fds();
    unsigned n = 1;

    (void)state;
    make_part();
    while (!resume(n)) {
        assert_int_equal(names_in_folder(), 2); /* the part is still good */
        n++;
        assert_true(n < 200);
    }
    assert_true(n > 8);
    assert_int_equal(names_in_folder(), 1);
    assert_file("a", "12356789");
    remove_all();
    assert_int_equal(count_fds(), before);
}

/* ---- too long for memory ------------------------------------------------------------------
 */

static struct xhr_request *
spilled(struct peer *peer, struct record *record, size_t size, size_t memory, bool early)
{
    struct xhr_request_options options = {
        .size = sizeof(options), .memory_bytes_max = memory, .spill = true};
    char *body = malloc(size);

    assert_non_null(body);
    memset(body, 'x', size);
    struct xhr_request *request = new_request(peer->client, record, &record_callbacks);
    assert_int_equal(xhr_request_set_options(request, &options), 0);
    assert_int_equal(xhr_request_send(request, NULL), 0);
    uint32_t id = peer_expect_open(peer);
    peer_head(peer, id, 200);
    for (size_t done = 0; done < size;) {
        size_t n = size - done < 1500 ? size - done : 1500;
        size_t len = 0;

        peer_body(peer, id, body + done, n);
        peer_turn(peer);
        done += n;
        if (early) { /* who looks in between sees what has come */
            const char *seen = xhr_request_response_body(request, &len);
            assert_int_equal(len, done);
            assert_memory_equal(seen, body, len);
            assert_int_equal(seen[len], 0);
        }
    }
    peer_finish(peer, id, size);
    peer_turn(peer);
    free(body);
    return request;
}

static void test_long_body_goes_on_in_a_file_without_a_name(void **state)
{
    static const struct {
        size_t size;
        size_t memory;
    } rows[] = {{10, 10},  {11, 10},  {4096, 4095}, {4096, 4096},
                {8192, 1}, {8191, 1}, {8193, 4096}, {20000, 3000}};
    int before = count_fds();

    (void)state;
    for (size_t i = 0; i < 2 * sizeof(rows) / sizeof(*rows); i++) {
        size_t size = rows[i / 2].size;
        struct peer peer;
        struct record record = {0};
        uint64_t file_len = 0;
        size_t len = 0;

        peer_init(&peer, false);
        struct xhr_request *request = spilled(&peer, &record, size, rows[i / 2].memory, i % 2);
        bool is_in_file = size > rows[i / 2].memory;
        int fd = xhr_request_response_file(request, &file_len);
        assert_int_equal(fd >= 0, is_in_file);
        if (is_in_file) {
            struct stat status;

            assert_int_equal(fstat(fd, &status), 0);
            assert_int_equal(status.st_nlink, 0);
            assert_int_equal(file_len, size);
        }
        const char *body = xhr_request_response_body(request, &len);
        assert_int_equal(len, size);
        assert_int_equal(strlen(body), size);
        const char *text = xhr_request_response_text(request, &len);
        assert_int_equal(strlen(text), size);
        assert_int_equal(xhr_request_open(request, "GET", "http://a.test/", true), 0);
        assert_int_equal(xhr_request_response_file(request, &file_len), -1);
        xhr_request_free(request);
        peer_done(&peer);
    }
    assert_int_equal(count_fds(), before);
}

static void test_without_spill_or_a_folder_for_it_the_request_fails(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct xhr_request_options options = {
            .size = sizeof(options), .memory_bytes_max = 3, .spill = i == 1};
        struct peer peer;
        struct record record = {0};

        peer_init(&peer, false);
        struct xhr_request *request = new_request(peer.client, &record, &record_callbacks);
        assert_int_equal(xhr_request_set_options(request, &options), 0);
        assert_int_equal(xhr_request_send(request, NULL), 0);
        uint32_t id = peer_expect_open(&peer);
        peer_head(&peer, id, 200);
        peer_turn(&peer);
        /* No descriptor is left for it. */
        int last = -1;
        if (i == 1)
            for (int fd; (fd = dup(0)) >= 0;)
                last = fd;
        peer_body(&peer, id, "hello", 5);
        (void)xhr_client_dispatch(peer.client);
        for (int fd = last; fd > 2 && i == 1; fd--)
            if (fd != peer.fd && fd != xhr_client_fd(peer.client))
                close(fd);
        assert_non_null(strstr(record.text, i == 0 ? "error(limit)" : "error(write)"));
        if (i == 1)
            assert_int_equal(record.error.sys_errno, EMFILE);
        xhr_request_free(request);
        peer_done(&peer);
    }
}

static int prepare(void **state)
{
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}

static int clean_up(void **state)
{
    (void)state;
    return rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_state_is_told_though_the_body_is_not_seen),
        cmocka_unit_test(test_credit_comes_with_the_head_when_it_is_no_file_after_all),
        cmocka_unit_test(test_choosing_a_path_may_end_everything),
        cmocka_unit_test(test_every_allocation_for_a_file_may_fail),
        cmocka_unit_test(test_long_body_goes_on_in_a_file_without_a_name),
        cmocka_unit_test(test_without_spill_or_a_folder_for_it_the_request_fails),
    };

    return cmocka_run_group_tests(tests, prepare, clean_up);
}
