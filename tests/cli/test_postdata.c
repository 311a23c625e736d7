/* SPDX-License-Identifier: MIT */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "postdata.h"
#include "support/test.h"

static char folder[] = "/tmp/xhr-postdata-XXXXXX";
static char file[64];

static int make_file(void **state)
{
    static const char bytes[] = "a=1&\r\nb=\0\xff 2\n";

    (void)state;
    if (!mkdtemp(folder))
        return -1;
    (void)snprintf(file, sizeof(file), "%s/data", folder);
    int fd = open(file, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0 || write(fd, bytes, sizeof(bytes) - 1) != (ssize_t)sizeof(bytes) - 1)
        return -1;
    return close(fd);
}

static int remove_file(void **state)
{
    (void)state;
    return unlink(file) == 0 && rmdir(folder) == 0 ? 0 : -1;
}

struct row {
    struct data_piece pieces[3];
    const char *want;
    size_t len; /* 0: strlen */
};

/* "@" or "name@" stand for the file. */
static const char *with_file(const char *text, char *buffer, size_t max)
{
    size_t len = strlen(text);

    if (len == 0 || text[len - 1] != '@')
        return text;
    (void)snprintf(buffer, max, "%s%s", text, file);
    return buffer;
}

/* Each as curl 7.88 sends it. */
static void test_pieces_become_what_curl_makes_of_them(void **state)
{
    static const struct row rows[] = {
        {{{DATA_PLAIN, "a=1"}}, "a=1", 0},
        {{{DATA_PLAIN, "a=1"}, {DATA_PLAIN, "b"}}, "a=1&b", 0},
        {{{DATA_PLAIN, ""}}, "", 0},
        {{{DATA_PLAIN, ""}, {DATA_PLAIN, "b"}}, "&b", 0},
        {{{DATA_PLAIN, "@"}}, "a=1&b=\xff 2", 0},
        {{{DATA_PLAIN, "@"}, {DATA_RAW, "@"}}, "a=1&b=\xff 2&@", 0},
        {{{DATA_RAW, "@x"}}, "@x", 0},
        {{{DATA_BINARY, "x"}, {DATA_BINARY, "@"}}, "x&a=1&\r\nb=\0\xff 2\n", 15},
        {{{DATA_URLENCODE, "a b&c/~-._"}}, "a+b%26c%2F~-._", 0},
        {{{DATA_URLENCODE, "=a=b"}}, "a%3Db", 0},
        {{{DATA_URLENCODE, "n m=a b"}}, "n m=a+b", 0},
        {{{DATA_URLENCODE, "n@"}}, "n=a%3D1%26%0D%0Ab%3D%00%FF+2%0A", 0},
        {{{DATA_URLENCODE, "@"}}, "a%3D1%26%0D%0Ab%3D%00%FF+2%0A", 0},
        {{{DATA_JSON, "{"}, {DATA_JSON, "}"}}, "{}", 0},
        {{{DATA_PLAIN, "a"}, {DATA_JSON, "{}"}, {DATA_PLAIN, "b"}}, "a{}&b", 0},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct data_piece pieces[3];
        char names[3][96];
        struct cli_options options = {.data = pieces};
        struct postdata data;
        struct trouble why = {0};

        for (; options.n_data < 3 && rows[i].pieces[options.n_data].text; options.n_data++) {
            size_t n = options.n_data;

            pieces[n] = rows[i].pieces[n];
            if (pieces[n].kind != DATA_RAW)
                pieces[n].text = with_file(pieces[n].text, names[n], sizeof(names[n]));
        }
        if (postdata_load(&options, &data, &why) != 0)
            fail_msg("%zu: %s", i, why.text);
        size_t len = rows[i].len ? rows[i].len : strlen(rows[i].want);
        assert_int_equal(data.kind, POSTDATA_BYTES);
        if (data.bytes.len != len || memcmp(strbuf_text(&data.bytes), rows[i].want, len) != 0)
            fail_msg("%zu: %s", i, strbuf_text(&data.bytes));
        postdata_done(&data);
    }
}

static void test_one_binary_file_goes_as_a_descriptor(void **state)
{
    char name[96];
    struct data_piece piece = {DATA_BINARY, with_file("@", name, sizeof(name))};
    const char *url = "http://a/";
    struct cli_options options = {.data = &piece, .n_data = 1, .urls = {&url, 1}};
    struct postdata data;
    struct xhr_body body;
    struct trouble why;

    (void)state;
    assert_int_equal(postdata_load(&options, &data, &why), 0);
    assert_int_equal(data.kind, POSTDATA_FILE);
    postdata_body(&data, false, &body);
    assert_int_equal(body.kind, XHR_BODY_FD);
    assert_int_equal(body.length, 13);
    assert_string_equal(body.content_type, "application/x-www-form-urlencoded");
    postdata_done(&data);

    piece.kind = DATA_JSON;
    assert_int_equal(postdata_load(&options, &data, &why), 0);
    postdata_body(&data, false, &body);
    assert_string_equal(body.content_type, "application/json");
    postdata_body(&data, true, &body); /* -H gave a type: that one holds */
    assert_null(body.content_type);
    postdata_done(&data);
}

static void test_a_short_pipe_becomes_bytes_and_a_long_one_is_streamed(void **state)
{
    const char *url = "http://a/";
    char name[32];
    struct data_piece piece = {DATA_BINARY, name};
    struct cli_options options = {.data = &piece, .n_data = 1, .urls = {&url, 1}};
    struct postdata data;
    struct xhr_body body;
    struct trouble why;
    int fds[2];

    (void)state;
    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    (void)snprintf(name, sizeof(name), "@/dev/fd/%d", fds[0]);
    assert_int_equal(write(fds[1], "x\n", 2), 2);
    assert_int_equal(close(fds[1]), 0);
    assert_int_equal(postdata_load(&options, &data, &why), 0);
    assert_int_equal(data.kind, POSTDATA_BYTES);
    assert_int_equal(data.bytes.len, 2);
    postdata_done(&data);
    assert_int_equal(close(fds[0]), 0);

    (void)snprintf(name, sizeof(name), "@/dev/zero");
    assert_int_equal(postdata_load(&options, &data, &why), 0);
    assert_int_equal(data.kind, POSTDATA_PIPE);
    assert_true(data.bytes.len >= POSTDATA_PEEK_BYTES);
    assert_true(data.bytes.len < 2 * POSTDATA_PEEK_BYTES);
    postdata_body(&data, false, &body);
    assert_int_equal(body.kind, XHR_BODY_STREAM);
    assert_true(body.length == XHR_LENGTH_UNKNOWN);

    char part[4096];
    uint64_t given = 0;
    while (given < data.bytes.len + sizeof(part)) { /* past what was read before */
        ssize_t n = body.read(NULL, part, sizeof(part), body.read_user);

        assert_true(n > 0);
        given += (uint64_t)n;
    }
    postdata_done(&data);
}

static void test_a_pipe_without_bytes_pauses_and_goes_on(void **state)
{
    struct postdata data = {.kind = POSTDATA_PIPE};
    struct xhr_body body;
    char part[16];
    int fds[2];

    (void)state;
    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    data.fd = fds[0];
    postdata_body(&data, false, &body);
    assert_int_equal(body.read(NULL, part, sizeof(part), body.read_user), XHR_READ_PAUSE);
    assert_true(data.waiting);
    assert_int_equal(write(fds[1], "abc", 3), 3);
    assert_int_equal(body.read(NULL, part, sizeof(part), body.read_user), 3);
    assert_int_equal(close(fds[1]), 0);
    assert_int_equal(body.read(NULL, part, sizeof(part), body.read_user), 0);
    postdata_done(&data);
}

static void test_what_cannot_be_read_is_exit_26(void **state)
{
    static const enum data_kind kinds[] = {DATA_PLAIN, DATA_BINARY, DATA_URLENCODE, DATA_JSON};
    const char *url = "http://a/";

    (void)state;
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        struct data_piece piece = {kinds[i], "@/nonexistent/x"};
        struct cli_options options = {.data = &piece, .n_data = 1, .urls = {&url, 1}};
        struct postdata data;
        struct trouble why;

        assert_int_equal(postdata_load(&options, &data, &why), EXIT_READ);
        assert_non_null(strstr(why.text, "/nonexistent/x: No such file"));
        postdata_done(&data);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pieces_become_what_curl_makes_of_them),
        cmocka_unit_test(test_one_binary_file_goes_as_a_descriptor),
        cmocka_unit_test(test_a_short_pipe_becomes_bytes_and_a_long_one_is_streamed),
        cmocka_unit_test(test_a_pipe_without_bytes_pauses_and_goes_on),
        cmocka_unit_test(test_what_cannot_be_read_is_exit_26),
    };

    return cmocka_run_group_tests(tests, make_file, remove_file);
}
