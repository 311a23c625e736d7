/* SPDX-License-Identifier: MIT */
/* Forms: their words, and their way to the daemon. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "form.h"
#include "support/peer.h"

#define LEN(array) (sizeof(array) / sizeof(*(array)))
#define PREFIX     "multipart/form-data; boundary="

ssize_t __real_getrandom(void *buffer, size_t len, unsigned flags);
ssize_t __wrap_getrandom(void *buffer, size_t len, unsigned flags);

static unsigned zero_draws; /* the next ones give nothing but zeros */

ssize_t __wrap_getrandom(void *buffer, size_t len, unsigned flags)
{
    if (zero_draws == 0)
        return __real_getrandom(buffer, len, flags);
    zero_draws--;
    memset(buffer, 0, len);
    return (ssize_t)len;
}

struct scene {
    struct peer peer;
    struct record record;
    struct xhr_request *request;
    struct xhr_form *form;
    Xhrd__V1__OpenRequest *open; /* the peer's, until it takes the next message */
    uint32_t id;
    struct xhr_bytes body; /* what came, streamed or not */
    bool ended;
};

static void make(struct scene *scene)
{
    memset(scene, 0, sizeof(*scene));
    peer_init(&scene->peer, false);
    scene->request =
        new_request(scene->peer.client, &scene->record, &record_streaming_callbacks);
    assert_int_equal(xhr_form_new(&scene->form), 0);
}

static void drop(struct scene *scene)
{
    assert_null(xhr_form_free(scene->form));
    xhr_request_free(scene->request);
    xhr_bytes_done(&scene->body);
    peer_done(&scene->peer);
}

static void send_form(struct scene *scene)
{
    assert_int_equal(xhr_request_send_form(scene->request, scene->form), 0);
    assert_string_equal(xhr_form_error_text(scene->form), "");
    scene->open = peer_expect(&scene->peer, XHRD__V1__CLIENT_MESSAGE__KIND_OPEN)->open;
    scene->id = scene->open->request_id;
}

/* As text, until the next message. */
static const char *type_of(const struct scene *scene)
{
    static char type[256];

    for (size_t i = 0; i < scene->open->n_headers; i++) {
        const Xhrd__V1__Header *header = scene->open->headers[i];

        if (header->name.len == 12 && memcmp(header->name.data, "Content-Type", 12) == 0) {
            (void)snprintf(type, sizeof(type), "%.*s", (int)header->value.len,
                           (const char *)header->value.data);
            return type;
        }
    }
    return "";
}

/* Every random boundary of the body becomes "B". */
static char *settled(const struct scene *scene)
{
    const char *boundary = strstr(type_of(scene), "boundary=");
    const char *at = (const char *)scene->open->body->inline_bytes.data;
    size_t left = scene->open->body->inline_bytes.len;
    char *text = calloc(1, left + 1);
    size_t len = 0;

    assert_non_null(boundary);
    boundary += strlen("boundary=");
    for (size_t n = strlen(boundary); left > 0;) {
        bool is_it = left >= n && memcmp(at, boundary, n) == 0;
        size_t step = is_it ? n : 1;

        text[len++] = *(is_it ? "B" : at);
        at += step;
        left -= step;
    }
    return text;
}

static void expect_body(struct scene *scene, const char *expected)
{
    assert_int_equal(scene->open->body->source_case,
                     XHRD__V1__REQUEST_BODY__SOURCE_INLINE_BYTES);
    char *text = settled(scene);
    assert_string_equal(text, expected);
    free(text);
}

/* Takes what is streamed, giving credit as it comes. */
static void take_stream(struct scene *scene)
{
    const Xhrd__V1__ClientMessage *message;
    size_t before;

    do {
        before = scene->body.len;
        peer_turn(&scene->peer);
        while ((message = peer_next(&scene->peer))) {
            if (message->kind_case == XHRD__V1__CLIENT_MESSAGE__KIND_BODY_END)
                scene->ended = true;
            if (message->kind_case != XHRD__V1__CLIENT_MESSAGE__KIND_BODY)
                continue;
            size_t n = message->body->data.len;
            assert_int_equal(xhr_bytes_append(&scene->body, message->body->data.data, n), 0);
            peer_credit(&scene->peer, scene->id, (uint32_t)n);
        }
    } while (scene->body.len > before);
}

static int new_file(char path[32], uint64_t size)
{
    (void)snprintf(path, 32, "/tmp/xhr-form-XXXXXX");
    int fd = mkstemp(path);

    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, (off_t)size), 0);
    return fd;
}

/* ---- words ---- */

static void test_names_are_escaped_as_html_says(void **state)
{
    static const struct {
        const char *given;
        const char *name;
        const char *filename;
    } rows[] = {
        {"", "", ""},
        {"plain", "plain", "plain"},
        {"a\"b", "a%22b", "a%22b"},
        {"a\nb", "a%0D%0Ab", "a%0Ab"},
        {"a\rb", "a%0D%0Ab", "a%0Db"},
        {"a\r\nb", "a%0D%0Ab", "a%0D%0Ab"},
        {"a\n\rb", "a%0D%0A%0D%0Ab", "a%0A%0Db"},
        {"\r\r\n", "%0D%0A%0D%0A", "%0D%0D%0A"},
        {"a\\b;c=d%22", "a\\b;c=d%22", "a\\b;c=d%22"},
        {"\xC3\xBC\xF0\x9F\x98\x80", "\xC3\xBC\xF0\x9F\x98\x80", "\xC3\xBC\xF0\x9F\x98\x80"},
        {"\xFC!", "\xEF\xBF\xBD!", "\xEF\xBF\xBD!"},
        {"\xE2\x82", "\xEF\xBF\xBD", "\xEF\xBF\xBD"},
    };

    (void)state;
    for (size_t i = 0; i < LEN(rows); i++) {
        struct xhr_bytes name = {0};
        struct xhr_bytes filename = {0};

        assert_int_equal(xhr_form_add_name(&name, rows[i].given), 0);
        assert_int_equal(xhr_form_add_filename(&filename, rows[i].given), 0);
        assert_int_equal(xhr_bytes_append(&name, "", 1), 0);
        assert_int_equal(xhr_bytes_append(&filename, "", 1), 0);
        assert_string_equal((char *)xhr_bytes_at(&name), rows[i].name);
        assert_string_equal((char *)xhr_bytes_at(&filename), rows[i].filename);
        xhr_bytes_done(&name);
        xhr_bytes_done(&filename);
    }
}

static void test_a_type_is_guessed_by_the_last_ending(void **state)
{
    static const struct {
        const char *filename;
        const char *type;
    } rows[] = {
        {"a.txt", "text/plain"},
        {"a.tar.gz", "application/gzip"},
        {"A.JPG", "image/jpeg"},
        {"a.htm", "text/html"},
        {"a.html", "text/html"},
        {"a.xml", "application/xml"},
        {"a", "application/octet-stream"},
        {"", "application/octet-stream"},
        {"a.txt~", "application/octet-stream"},
        {"txt", "application/octet-stream"},
        {".txt", "text/plain"},
        {"a.", "application/octet-stream"},
    };

    (void)state;
    for (size_t i = 0; i < LEN(rows); i++)
        assert_string_equal(xhr_form_guess_type(rows[i].filename, NULL), rows[i].type);
    assert_string_equal(xhr_form_guess_type("a.png", "b.txt"), "image/png");
    assert_string_equal(xhr_form_guess_type("a.bin", "b.txt"), "text/plain");
}

static int compare_boundaries(const void *a, const void *b)
{
    return memcmp(a, b, XHR_BOUNDARY_BYTES);
}

static void test_lb11_a_million_boundaries_do_not_repeat(void **state)
{
    enum { COUNT = 1000000 };
    char(*all)[XHR_BOUNDARY_BYTES] = malloc(COUNT * XHR_BOUNDARY_BYTES);

    (void)state;
    assert_non_null(all);
    for (size_t i = 0; i < COUNT; i++)
        assert_true(xhr_boundary_new(all[i]) == 0);
    qsort(all, COUNT, XHR_BOUNDARY_BYTES, compare_boundaries);
    for (size_t i = 1; i < COUNT; i++)
        if (memcmp(all[i - 1], all[i], XHR_BOUNDARY_BYTES) == 0)
            fail_msg("%s came twice", all[i]);
    /* RFC 2046: up to 70 of these characters. */
    assert_int_equal(strlen(all[0]), XHR_BOUNDARY_BYTES - 1);
    _Static_assert(XHR_BOUNDARY_BYTES - 1 <= 70, "RFC 2046, section 5.1.1");
    assert_int_equal(strspn(all[0], "-abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                    "0123456789"),
                     strlen(all[0]));
    free(all);
}

static void test_a_boundary_that_stands_in_a_part_is_not_taken(void **state)
{
    static const char zeros[] = XHR_BOUNDARY_PREFIX "00000000000000000000000000000000";
    static const struct {
        const char *name;
        const char *value;
        const char *filename;
        const char *type;
    } rows[] = {
        {"n", zeros, NULL, NULL},
        {zeros, "v", NULL, NULL},
        {"n", "v", zeros, NULL},
        {"n", "v", "f", zeros},
    };

    (void)state;
    for (size_t i = 0; i < LEN(rows); i++) {
        struct xhr_form_part part = {.size = sizeof(part),
                                     .name = rows[i].name,
                                     .bytes = rows[i].value,
                                     .length = strlen(rows[i].value),
                                     .filename = rows[i].filename,
                                     .content_type = rows[i].type};
        struct scene scene;

        make(&scene);
        assert_int_equal(xhr_form_add(scene.form, "other", "value", 5), 0);
        assert_int_equal(xhr_form_add_part(scene.form, &part), 0);
        zero_draws = 2;
        send_form(&scene);
        assert_int_equal(zero_draws, 0);
        assert_null(strstr(type_of(&scene), zeros));
        drop(&scene);
    }
}

/* ---- bodies ---- */

static void test_a_small_form_is_one_message(void **state)
{
    struct scene scene;
    char path[32];
    char expected[512];
    int fd = new_file(path, 0);

    (void)state;
    assert_int_equal(write(fd, "file\n", 5), 5);
    make(&scene);
    assert_int_equal(xhr_form_add(scene.form, "a\"\n", "1\r\n\0z", 5), 0);
    assert_int_equal(xhr_form_add(scene.form, "empty", NULL, 0), 0);
    assert_int_equal(xhr_form_add_file(scene.form, "f", path, NULL, NULL), 0);
    assert_int_equal(xhr_form_add_file(scene.form, "f", path, "x\".TXT", NULL), 0);
    assert_int_equal(xhr_form_add_file(scene.form, "f", path, "x", "text/x; charset=u"), 0);
    send_form(&scene);
    assert_memory_equal(type_of(&scene), PREFIX "----xhrFormBoundary",
                        strlen(PREFIX "----xhrFormBoundary"));
    /* The value's NUL is one byte of many. */
    const uint8_t *nul =
        memchr(scene.open->body->inline_bytes.data, 0, scene.open->body->inline_bytes.len);
    assert_non_null(nul);
    assert_int_equal(nul[1], 'z');
    *(uint8_t *)xhr_unconst(nul) = '0';
    (void)snprintf(
        expected, sizeof(expected),
        "--B\r\nContent-Disposition: form-data; name=\"a%%22%%0D%%0A\"\r\n\r\n1\r\n0z"
        "\r\n--B\r\nContent-Disposition: form-data; name=\"empty\"\r\n\r\n\r\n"
        "--B\r\nContent-Disposition: form-data; name=\"f\"; filename=\"%s\"\r\n"
        "Content-Type: application/octet-stream\r\n\r\nfile\n\r\n"
        "--B\r\nContent-Disposition: form-data; name=\"f\"; filename=\"x%%22.TXT\"\r\n"
        "Content-Type: text/plain\r\n\r\nfile\n\r\n",
        strrchr(path, '/') + 1);
    char *text = settled(&scene);
    assert_memory_equal(text, expected, strlen(expected));
    assert_string_equal(text + strlen(expected),
                        "--B\r\nContent-Disposition: form-data; name=\"f\"; filename=\"x\"\r\n"
                        "Content-Type: text/x; charset=u\r\n\r\nfile\n\r\n--B--\r\n");
    free(text);
    (void)close(fd);
    (void)unlink(path);
    drop(&scene);
}

static void test_an_empty_form_is_its_last_delimiter(void **state)
{
    struct scene scene;

    (void)state;
    make(&scene);
    send_form(&scene);
    expect_body(&scene, "--B--\r\n");
    drop(&scene);
}

static void test_an_urlencoded_form_holds_values_alone(void **state)
{
    struct scene scene;

    (void)state;
    make(&scene);
    assert_int_equal(xhr_form_set_encoding(scene.form, XHR_FORM_URLENCODED), 0);
    assert_int_equal(xhr_form_set_encoding(scene.form, (enum xhr_form_encoding)2), -EINVAL);
    assert_int_equal(xhr_form_add(scene.form, "a b", "*-._&=+~\xC3\xBC\r\n", 12), 0);
    assert_int_equal(xhr_form_add(scene.form, "", "", 0), 0);
    send_form(&scene);
    assert_string_equal(type_of(&scene), "application/x-www-form-urlencoded");
    static const char expected[] = "a+b=*-._%26%3D%2B%7E%C3%BC%0D%0A&=";
    assert_int_equal(scene.open->body->inline_bytes.len, strlen(expected));
    assert_memory_equal(scene.open->body->inline_bytes.data, expected, strlen(expected));
    xhr_request_abort(scene.request);
    assert_int_equal(xhr_request_open(scene.request, "POST", "http://a.test/", true), 0);
    assert_int_equal(xhr_form_add_file(scene.form, "f", "/dev/null", NULL, NULL), 0);
    assert_int_equal(xhr_request_send_form(scene.request, scene.form), -EINVAL);
    assert_string_equal(xhr_form_error_text(scene.form),
                        "/dev/null is a file, which only a multipart form can hold");
    drop(&scene);
}

static void test_values_of_any_size_can_be_sent_again(void **state)
{
    enum { SIZE = 3 << 20 };
    char *value = calloc(1, SIZE);
    struct scene scene;
    struct stat status;

    (void)state;
    make(&scene);
    assert_int_equal(xhr_form_add(scene.form, "v", value, SIZE), 0);
    send_form(&scene);
    assert_int_equal(scene.open->body->source_case, XHRD__V1__REQUEST_BODY__SOURCE_FD);
    int fd = peer_take_fd(&scene.peer);
    assert_int_equal(fstat(fd, &status), 0);
    assert_int_equal(status.st_size, scene.open->body->fd->length_bytes);
    assert_true(status.st_size > SIZE);
    (void)close(fd);
    free(value);
    drop(&scene);
}

static void test_files_of_a_mebibyte_are_kept_and_larger_ones_streamed(void **state)
{
    static const struct {
        uint64_t size;
        Xhrd__V1__RequestBody__SourceCase source;
    } rows[] = {
        {0, XHRD__V1__REQUEST_BODY__SOURCE_INLINE_BYTES},
        {200000, XHRD__V1__REQUEST_BODY__SOURCE_INLINE_BYTES},
        {1000000, XHRD__V1__REQUEST_BODY__SOURCE_FD},
        {XHR_FORM_SPOOL_BYTES, XHRD__V1__REQUEST_BODY__SOURCE_STREAM},
        {5ull << 30, XHRD__V1__REQUEST_BODY__SOURCE_STREAM},
    };

    (void)state;
    for (size_t i = 0; i < LEN(rows); i++) {
        struct scene scene;
        char path[32];

        (void)close(new_file(path, rows[i].size));
        make(&scene);
        assert_int_equal(xhr_form_add_file(scene.form, "f", path, "n", NULL), 0);
        send_form(&scene);
        assert_int_equal(scene.open->body->source_case, rows[i].source);
        if (rows[i].source == XHRD__V1__REQUEST_BODY__SOURCE_STREAM) {
            uint64_t around = 2 * (XHR_BOUNDARY_BYTES - 1) +
                              strlen("--\r\nContent-Disposition: form-data; name=\"f\"; "
                                     "filename=\"n\"\r\nContent-Type: "
                                     "application/octet-stream\r\n\r\n\r\n----\r\n");
            assert_true(scene.open->body->stream->length_bytes == rows[i].size + around);
        }
        (void)unlink(path);
        drop(&scene);
    }
}

static void test_a_streamed_form_is_whole_and_the_form_may_go_meanwhile(void **state)
{
    enum { SIZE = 1500000 };
    struct scene scene;
    char path[32];
    int fd = new_file(path, SIZE);

    (void)state;
    assert_int_equal(pwrite(fd, "first", 5, 0), 5);
    assert_int_equal(pwrite(fd, "last", 4, SIZE - 4), 4);
    make(&scene);
    struct xhr_form_part part = {
        .size = sizeof(part), .kind = XHR_PART_FD, .name = "f", .fd = fd, .offset = 0};
    assert_int_equal(xhr_form_add(scene.form, "before", "1", 1), 0);
    assert_int_equal(xhr_form_add_part(scene.form, &part), 0);
    assert_int_equal(xhr_form_add(scene.form, "after", "2", 1), 0);
    (void)close(fd);
    (void)unlink(path);
    send_form(&scene);
    scene.form = xhr_form_free(scene.form);
    uint64_t length = scene.open->body->stream->length_bytes;
    take_stream(&scene);
    assert_true(scene.ended);
    assert_int_equal(scene.body.len, length);
    const char *body = (char *)xhr_bytes_at(&scene.body);
    const char *head = "filename=\"blob\"\r\nContent-Type: application/octet-stream\r\n\r\n";
    const char *file = memmem(body, scene.body.len, head, strlen(head));
    assert_non_null(file);
    file += strlen(head);
    assert_memory_equal(file, "first", 5);
    assert_memory_equal(file + SIZE - 4, "last\r\n--", 8);
    assert_memory_equal(body + scene.body.len - 4, "--\r\n", 4);
    drop(&scene);
}

static void test_a_file_that_becomes_shorter_is_an_error(void **state)
{
    struct scene scene;
    char path[32];
    int fd = new_file(path, 2000000);

    (void)state;
    make(&scene);
    assert_int_equal(xhr_form_add_file(scene.form, "f", path, NULL, NULL), 0);
    send_form(&scene);
    assert_int_equal(ftruncate(fd, 300000), 0);
    take_stream(&scene);
    assert_false(scene.ended);
    assert_string_equal(scene.record.text, "1 4 error(body-read)");
    const struct xhr_error *error = xhr_request_error(scene.request);
    assert_non_null(strstr(error->text, "the request's body ended early: "));
    assert_non_null(strstr(error->text, path));
    (void)close(fd);
    (void)unlink(path);
    drop(&scene);
}

static void test_what_a_file_has_gained_is_left_out(void **state)
{
    struct scene scene;
    char path[32];
    int fd = new_file(path, 2000000);

    (void)state;
    make(&scene);
    assert_int_equal(xhr_form_add_file(scene.form, "f", path, NULL, NULL), 0);
    send_form(&scene);
    uint64_t length = scene.open->body->stream->length_bytes;
    assert_int_equal(ftruncate(fd, 3000000), 0);
    take_stream(&scene);
    assert_true(scene.ended);
    assert_int_equal(scene.body.len, length);
    (void)close(fd);
    (void)unlink(path);
    drop(&scene);
}

static void test_an_unreadable_file_is_refused_and_nothing_is_sent(void **state)
{
    static const struct {
        const char *path;
        int error;
        const char *text;
    } rows[] = {
        {"/nonexistent/x", -ENOENT, "cannot read /nonexistent/x: No such file or directory"},
        {"/tmp", -EISDIR, "cannot read /tmp: Is a directory"},
        {"/dev/null", -ESPIPE,
         "cannot read /dev/null: not a regular file, whose bytes are for a callback to read"},
    };
    struct scene scene;

    (void)state;
    for (size_t i = 0; i < LEN(rows); i++) {
        make(&scene);
        assert_int_equal(xhr_form_add(scene.form, "v", "1", 1), 0);
        assert_int_equal(xhr_form_add_file(scene.form, "f", rows[i].path, NULL, NULL), 0);
        assert_int_equal(xhr_request_send_form(scene.request, scene.form), rows[i].error);
        assert_string_equal(xhr_form_error_text(scene.form), rows[i].text);
        assert_int_equal(xhr_client_in_flight(scene.peer.client), 0);
        peer_turn(&scene.peer);
        assert_null(peer_next(&scene.peer));
        assert_int_equal(xhr_request_ready_state(scene.request), XHR_OPENED);
        drop(&scene);
    }
}

static void test_a_file_without_a_size_is_sent_to_its_end(void **state)
{
    struct scene scene;

    (void)state;
    make(&scene);
    assert_int_equal(xhr_form_add_file(scene.form, "f", "/proc/self/stat", NULL, NULL), 0);
    send_form(&scene);
    assert_int_equal(scene.open->body->source_case, XHRD__V1__REQUEST_BODY__SOURCE_STREAM);
    assert_int_equal(scene.open->body->stream->length_case, 0);
    take_stream(&scene);
    assert_true(scene.ended);
    assert_non_null(memmem(xhr_bytes_at(&scene.body), scene.body.len, "(client_test_form", 10));
    drop(&scene);
}

/* ---- callbacks ---- */

struct source {
    const char *text;
    unsigned pauses;
    int error;
    bool frees;
};

static ssize_t read_source(struct xhr_request *request, void *buffer, size_t len, void *user)
{
    struct source *source = user;
    size_t n = strlen(source->text);

    if (source->frees) {
        xhr_request_free(request);
        return 1;
    }
    if (source->pauses > 0) {
        source->pauses--;
        return XHR_READ_PAUSE;
    }
    if (n == 0)
        return source->error;
    assert_true(n < len);
    memcpy(buffer, source->text, n);
    source->text += n;
    return (ssize_t)n;
}

static void add_source(struct scene *scene, struct source *source)
{
    struct xhr_form_part part = {.size = sizeof(part),
                                 .kind = XHR_PART_STREAM,
                                 .name = "s",
                                 .read = read_source,
                                 .read_user = source,
                                 .no_filename = true};

    assert_int_equal(xhr_form_add_part(scene->form, &part), 0);
}

static void test_a_callback_may_pause_in_the_middle_of_a_form(void **state)
{
    struct source source = {.text = "streamed", .pauses = 3};
    struct scene scene;

    (void)state;
    make(&scene);
    assert_int_equal(xhr_form_add(scene.form, "v", "1", 1), 0);
    add_source(&scene, &source);
    send_form(&scene);
    assert_int_equal(scene.open->body->stream->length_case, 0);
    for (unsigned i = 0; i < 3; i++) {
        assert_false(scene.ended);
        take_stream(&scene);
        assert_int_equal(xhr_request_resume_upload(scene.request), 0);
    }
    take_stream(&scene);
    assert_true(scene.ended);
    assert_non_null(memmem(xhr_bytes_at(&scene.body), scene.body.len,
                           "name=\"s\"\r\n\r\nstreamed\r\n--", 24));
    drop(&scene);
}

static void test_a_callback_that_fails_fails_the_request(void **state)
{
    struct source source = {.text = "", .error = -ENODATA};
    struct scene scene;

    (void)state;
    make(&scene);
    add_source(&scene, &source);
    send_form(&scene);
    take_stream(&scene);
    assert_false(scene.ended);
    assert_string_equal(scene.record.text, "1 4 error(body-read)");
    assert_int_equal(xhr_request_error(scene.request)->sys_errno, ENODATA);
    drop(&scene);
}

static void test_a_request_may_be_freed_by_its_forms_callback(void **state)
{
    struct source source = {.text = "", .frees = true};
    struct scene scene;

    (void)state;
    make(&scene);
    add_source(&scene, &source);
    send_form(&scene);
    take_stream(&scene);
    scene.request = NULL;
    assert_int_equal(xhr_client_in_flight(scene.peer.client), 0);
    drop(&scene);
}

/* ---- types ---- */

static void test_a_content_type_of_the_programs_own_goes_first(void **state)
{
    static const struct {
        const char *set;
        const char *begins;
        bool has_boundary;
    } rows[] = {
        {NULL, PREFIX "----xhr", true},
        {"multipart/mixed", "multipart/mixed; boundary=----xhr", true},
        {"Multipart/related; type=a", "Multipart/related; type=a; boundary=----xhr", true},
        {"multipart/form-data; boundary=mine", "multipart/form-data; boundary=mine", false},
        {"text/plain", "text/plain", false},
    };

    (void)state;
    for (size_t i = 0; i < LEN(rows); i++) {
        struct scene scene;

        make(&scene);
        if (rows[i].set)
            assert_int_equal(xhr_request_set_header(scene.request, "Content-Type", rows[i].set),
                             0);
        send_form(&scene);
        assert_memory_equal(type_of(&scene), rows[i].begins, strlen(rows[i].begins));
        if (!rows[i].has_boundary)
            assert_string_equal(type_of(&scene), rows[i].begins);
        drop(&scene);
    }
}

static void test_text_has_the_type_of_its_platform(void **state)
{
    static const struct {
        enum xhr_body_types client;
        enum xhr_body_types request;
        enum xhr_body_kind kind;
        const char *type;
    } rows[] = {
        {0, 0, XHR_BODY_STRING, "application/x-www-form-urlencoded"},
        {0, XHR_BODY_TYPES_IOS, XHR_BODY_STRING, ""},
        {0, XHR_BODY_TYPES_IOS, XHR_BODY_BYTES, ""},
        {0, XHR_BODY_TYPES_IOS, XHR_BODY_JSON, "application/json"},
        {XHR_BODY_TYPES_IOS, 0, XHR_BODY_BYTES, ""},
        {XHR_BODY_TYPES_IOS, XHR_BODY_TYPES_ANDROID, XHR_BODY_STRING,
         "application/x-www-form-urlencoded"},
        {XHR_BODY_TYPES_ANDROID, 0, XHR_BODY_BYTES, "application/x-www-form-urlencoded"},
    };

    (void)state;
    for (size_t i = 0; i < LEN(rows); i++) {
        struct xhr_request_options options = {.size = sizeof(options),
                                              .body_types = rows[i].request};
        struct xhr_body body = {.size = sizeof(body), .kind = rows[i].kind, .bytes = "x"};
        struct scene scene;

        body.length = 1;
        make(&scene);
        scene.peer.client->body_types = rows[i].client;
        assert_int_equal(xhr_request_set_options(scene.request, &options), 0);
        assert_int_equal(xhr_request_send(scene.request, &body), 0);
        scene.open = peer_expect(&scene.peer, XHRD__V1__CLIENT_MESSAGE__KIND_OPEN)->open;
        assert_string_equal(type_of(&scene), rows[i].type);
        drop(&scene);
    }
    struct xhr_client_options wrong = {.size = sizeof(wrong), .body_types = 3};
    struct xhr_client *client = NULL;
    assert_int_equal(xhr_client_new(&wrong, &client), -EINVAL);
}

static void test_parts_that_make_no_sense_are_refused(void **state)
{
    const struct xhr_form_part rows[] = {
        {.size = sizeof(*rows), .name = NULL, .bytes = ""},
        {.size = sizeof(*rows), .name = "n", .bytes = NULL, .length = 1},
        {.size = sizeof(*rows), .name = "n", .kind = XHR_PART_PATH},
        {.size = sizeof(*rows), .name = "n", .kind = XHR_PART_PATH, .path = ""},
        {.size = sizeof(*rows), .name = "n", .kind = XHR_PART_FD, .fd = -1},
        {.size = sizeof(*rows), .name = "n", .kind = XHR_PART_STREAM},
        {.size = sizeof(*rows), .name = "n", .kind = (enum xhr_part_kind)9},
        {.size = sizeof(*rows), .name = "n", .bytes = "", .content_type = ""},
        {.size = sizeof(*rows), .name = "n", .bytes = "", .content_type = "a/b\r\nX: y"},
        {.size = sizeof(*rows), .name = "n", .bytes = "", .filename = "f", .no_filename = true},
        {.size = 1, .name = "n", .bytes = ""},
    };
    struct xhr_form *form = NULL;

    (void)state;
    assert_int_equal(xhr_form_new(&form), 0);
    for (size_t i = 0; i < LEN(rows); i++)
        assert_int_equal(xhr_form_add_part(form, &rows[i]), -EINVAL);
    assert_int_equal(xhr_form_add_part(form, NULL), -EINVAL);
    for (unsigned i = 0; i < XHR_FORM_PARTS_MAX; i++)
        assert_int_equal(xhr_form_add(form, "n", "", 0), 0);
    assert_int_equal(xhr_form_add(form, "n", "", 0), -E2BIG);
    xhr_form_free(form);
    assert_null(xhr_form_free(NULL));
}

static void test_a_form_is_sent_from_opened_alone_and_as_often_as_one_likes(void **state)
{
    struct scene scene;

    (void)state;
    make(&scene);
    assert_int_equal(xhr_form_add(scene.form, "a", "b", 1), 0);
    assert_int_equal(xhr_request_send_form(scene.request, NULL), -EINVAL);
    for (unsigned i = 0; i < 2; i++) {
        send_form(&scene);
        expect_body(&scene, "--B\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nb\r\n"
                            "--B--\r\n");
        assert_int_equal(xhr_request_send_form(scene.request, scene.form), -EBUSY);
        xhr_request_abort(scene.request);
        assert_int_equal(xhr_request_send_form(scene.request, scene.form), -EINVAL);
        assert_int_equal(xhr_request_open(scene.request, "POST", "http://a.test/", true), 0);
    }
    drop(&scene);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names_are_escaped_as_html_says),
        cmocka_unit_test(test_a_type_is_guessed_by_the_last_ending),
        cmocka_unit_test(test_lb11_a_million_boundaries_do_not_repeat),
        cmocka_unit_test(test_a_boundary_that_stands_in_a_part_is_not_taken),
        cmocka_unit_test(test_a_small_form_is_one_message),
        cmocka_unit_test(test_an_empty_form_is_its_last_delimiter),
        cmocka_unit_test(test_an_urlencoded_form_holds_values_alone),
        cmocka_unit_test(test_values_of_any_size_can_be_sent_again),
        cmocka_unit_test(test_files_of_a_mebibyte_are_kept_and_larger_ones_streamed),
        cmocka_unit_test(test_a_streamed_form_is_whole_and_the_form_may_go_meanwhile),
        cmocka_unit_test(test_a_file_that_becomes_shorter_is_an_error),
        cmocka_unit_test(test_what_a_file_has_gained_is_left_out),
        cmocka_unit_test(test_an_unreadable_file_is_refused_and_nothing_is_sent),
        cmocka_unit_test(test_a_file_without_a_size_is_sent_to_its_end),
        cmocka_unit_test(test_a_callback_may_pause_in_the_middle_of_a_form),
        cmocka_unit_test(test_a_callback_that_fails_fails_the_request),
        cmocka_unit_test(test_a_request_may_be_freed_by_its_forms_callback),
        cmocka_unit_test(test_a_content_type_of_the_programs_own_goes_first),
        cmocka_unit_test(test_text_has_the_type_of_its_platform),
        cmocka_unit_test(test_parts_that_make_no_sense_are_refused),
        cmocka_unit_test(test_a_form_is_sent_from_opened_alone_and_as_often_as_one_likes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
