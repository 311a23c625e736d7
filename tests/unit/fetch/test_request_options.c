/* SPDX-License-Identifier: MIT */
/* What a caller may ask for; and that a refusal says what was wrong and what would be right. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "fetch/request_options.h"
#include "support/fd_count.h"
#include "support/test.h"

static struct request_options options;
static struct failure why;

static int begin(void **state)
{
    (void)state;
    request_options_init(&options);
    why = (struct failure){0};
    return 0;
}

static int end(void **state)
{
    (void)state;
    request_options_done(&options);
    return 0;
}

static void anew(void)
{
    request_options_done(&options);
    why = (struct failure){0};
}

static void assert_refused(int r, enum failure_kind kind, const char *says)
{
    assert_int_equal(r, -EINVAL);
    assert_int_equal(why.kind, kind);
    if (!strstr(why.text, says))
        fail_msg("\"%s\" does not say \"%s\"", why.text, says);
    for (const char *at = why.text; *at; at++)
        assert_true((unsigned char)*at >= 0x20 && *at != 0x7f);
}

static void test_ur03_a_method_is_a_token_and_not_one_of_the_engines(void **state)
{
    static const char longest[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEFGHIJKLMNOPQRSTUVWXYZABCDEFGHIJKL";
    static const char *const wrong[] = {"",     "GET ",  "G ET",  "GET\r\n", "G\xc3\x89T",
                                        "GET:", "(GET)", longest, NULL};
    static const char *const right[][2] = {
        {"get", "GET"}, {"PATCH", "PATCH"}, {"patch", "patch"}, {"M-SEARCH", "M-SEARCH"}};

    (void)state;
    assert_int_equal(request_options_set_method(&options, (struct span){"G\0T", 3}, &why),
                     -EINVAL);
    char too_long[METHOD_BYTES_MAX + 2];
    memset(too_long, 'X', sizeof(too_long));
    assert_refused(request_options_set_method(
                       &options, (struct span){too_long, METHOD_BYTES_MAX + 1}, &why),
                   FAILURE_ARGUMENT, "1 to 64");
    assert_int_equal(
        request_options_set_method(&options, (struct span){too_long, METHOD_BYTES_MAX}, &why),
        0);
    for (size_t i = 0; wrong[i]; i++) {
        if (wrong[i] == longest && sizeof(longest) - 1 <= METHOD_BYTES_MAX)
            continue;
        assert_refused(request_options_set_method(&options, span_of(wrong[i]), &why),
                       FAILURE_ARGUMENT, "wants 1 to 64 letters");
    }
    static const char *const forbidden[] = {"CONNECT", "trace", "Track"};
    for (size_t i = 0; i < 3; i++)
        assert_refused(request_options_set_method(&options, span_of(forbidden[i]), &why),
                       FAILURE_ARGUMENT, forbidden[i]);
    for (size_t i = 0; i < sizeof(right) / sizeof(right[0]); i++) {
        assert_int_equal(request_options_set_method(&options, span_of(right[i][0]), &why), 0);
        assert_string_equal(options.method, right[i][1]);
    }
}

static void test_ur11_only_http_and_https_are_fetched(void **state)
{
    static const struct {
        const char *url;
        enum failure_kind kind;
        const char *says;
    } wrong[] = {
        {"file:///etc/passwd", FAILURE_POLICY, "only http and https"},
        {" FILE:///etc/passwd", FAILURE_POLICY, "only http and https"},
        {"fTp://a.com/", FAILURE_POLICY, "\"ftp\""},
        {"gopher://a.com/", FAILURE_POLICY, "only http and https"},
        {"data:text/plain,x", FAILURE_POLICY, "only http and https"},
        {"unix:/run/x", FAILURE_POLICY, "only http and https"},
        {"javascript:alert(1)", FAILURE_POLICY, "only http and https"},
        {"", FAILURE_URL, "\"\""},
        {"a.com", FAILURE_URL, "a.com"},
        {"//a.com/", FAILURE_URL, "//a.com/"},
        {"http://", FAILURE_URL, "http://"},
        {"http://a b/", FAILURE_URL, "http://a b/"},
        {"http://a.com:65536/", FAILURE_URL, "65536"},
        {"http://[1.2.3.4]/", FAILURE_URL, "[1.2.3.4]"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        anew();
        assert_refused(request_options_set_url(&options, span_of(wrong[i].url), false, &why),
                       wrong[i].kind, wrong[i].says);
    }
    anew();
    assert_int_equal(
        request_options_set_url(&options, SPAN_LIT(" HTTP://A.com:80/\t b"), false, &why), 0);
    assert_string_equal(options.url.href, "http://a.com/%20b");
    assert_int_equal(request_options_check(&options, &why), 0);
}

static void test_a_url_is_taken_as_given_only_if_parsing_leaves_it(void **state)
{
    static const char *const changed[][2] = {
        {"http://a.com", "http://a.com/"},
        {"http://a.com/a b", "http://a.com/a%20b"},
        {"HTTP://a.com/", "http://a.com/"},
        {"http://a.com/../x", "http://a.com/x"},
    };

    (void)state;
    assert_int_equal(
        request_options_set_url(&options, SPAN_LIT("http://a.com/a%20b?c#d"), true, &why), 0);
    for (size_t i = 0; i < sizeof(changed) / sizeof(changed[0]); i++) {
        anew();
        assert_refused(request_options_set_url(&options, span_of(changed[i][0]), true, &why),
                       FAILURE_URL, changed[i][1]);
    }
}

static void test_ur02_ur13_fields_are_the_callers_to_set_or_refused(void **state)
{
    static const struct {
        const char *name, *value, *says;
    } wrong[] = {
        {"", "x", "wants letters"},
        {"A b", "x", "wants letters"},
        {"A:", "x", "wants letters"},
        {"A\r\nB", "x", "wants letters"},
        {"A", "x\ry", "line break or NUL"},
        {"A", "x\nB: y", "line break or NUL"},
        {"Host", "b.com", "engine's"},
        {"hOsT", "b.com", "engine's"},
        {"Content-Length", "0", "engine's"},
        {"TRANSFER-ENCODING", "chunked", "engine's"},
        {"Connection", "close", "engine's"},
        {"Keep-Alive", "1", "engine's"},
        {"Proxy-Connection", "close", "engine's"},
        {"Proxy-Authorization", "Basic eDp5", "engine's"},
        {"TE", "trailers", "engine's"},
        {"Trailer", "X", "engine's"},
        {"Upgrade", "h2c", "engine's"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        assert_refused(request_options_add_header(&options, span_of(wrong[i].name),
                                                  span_of(wrong[i].value), &why),
                       FAILURE_ARGUMENT, wrong[i].says);
    assert_refused(
        request_options_add_header(&options, SPAN_LIT("A"), (struct span){"x\0y", 3}, &why),
        FAILURE_ARGUMENT, "line break or NUL");
    assert_int_equal(headers_count(&options.headers), 0);
    assert_int_equal(
        request_options_add_header(&options, SPAN_LIT("a"), SPAN_LIT(" \t1 \t"), &why), 0);
    assert_int_equal(request_options_add_header(&options, SPAN_LIT("A"), SPAN_LIT(""), &why),
                     0);
    assert_true(span_eq(headers_at(&options.headers, 0).value, SPAN_LIT("1")));
    assert_int_equal(headers_count(&options.headers), 2); /* repeated names are his business */
}

static void test_ex03_fields_are_counted(void **state)
{
    static char value[HEADERS_BYTES_MAX];

    (void)state;
    for (int i = 0; i < HEADERS_COUNT_MAX; i++)
        assert_int_equal(
            request_options_add_header(&options, SPAN_LIT("A"), SPAN_LIT("b"), &why), 0);
    assert_refused(request_options_add_header(&options, SPAN_LIT("A"), SPAN_LIT("b"), &why),
                   FAILURE_LIMIT, "1000 headers");
    anew();
    memset(value, 'v', sizeof(value));
    assert_refused(request_options_add_header(&options, SPAN_LIT("A"),
                                              (struct span){value, sizeof(value)}, &why),
                   FAILURE_LIMIT, "262144 bytes");
}

static void test_only_defaults_can_be_left_out(void **state)
{
    (void)state;
    assert_int_equal(request_options_omit_header(&options, SPAN_LIT("accept"), &why), 0);
    assert_int_equal(request_options_omit_header(&options, SPAN_LIT("User-Agent"), &why), 0);
    assert_int_equal(request_options_omit_header(&options, SPAN_LIT("X-Own"), &why), 0);
    assert_int_equal(options.omit, REQUEST_OMIT_ACCEPT | REQUEST_OMIT_USER_AGENT);
    assert_refused(request_options_omit_header(&options, SPAN_LIT("HOST"), &why),
                   FAILURE_ARGUMENT, "\"HOST\" cannot be left out");
}

/* ---- descriptors --------------------------------------------------------------------------
 */

static void
test_ip14_cd03_descriptors_are_files_pipes_or_sockets_open_the_right_way(void **state)
{
    int before = count_fds();
    int sockets[2], packets[2], datagrams[2];
    int pipes[2];
    int listening = socket(AF_INET, SOCK_STREAM, 0);

    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, packets), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM, 0, datagrams), 0);
    assert_int_equal(listen(listening, 1), 0);
    assert_int_equal(pipe(pipes), 0);
    const struct {
        int fd;
        bool reads, writes;
    } rows[] = {
        {memfd_create("f", 0), true, true},
        {open("/etc/passwd", O_RDONLY), true, false},
        {open("/tmp", O_TMPFILE | O_WRONLY, 0600), false, true},
        {open("/tmp", O_TMPFILE | O_WRONLY | O_APPEND, 0600), false, true},
        {pipes[0], true, false},
        {pipes[1], false, true},
        {sockets[0], true, true},
        {packets[0], false, false},
        {datagrams[0], false, false},
        {listening, false, false},
        {socket(AF_INET, SOCK_STREAM, 0), false, false}, /* connected to nobody */
        {socket(AF_UNIX, SOCK_STREAM, 0), false, false},
        {open("/tmp", O_RDONLY | O_DIRECTORY), false, false},
        {open("/etc/passwd", O_PATH), false, false},
        {open("/dev/null", O_RDWR), false, true},
        {open("/dev/null", O_RDONLY), false, false},
        {open("/dev/zero", O_RDWR), false, false},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_true(rows[i].fd >= 0);
        anew();
        int r = request_options_set_fd_body(&options, dup(rows[i].fd), &why);
        assert_int_equal(r, rows[i].reads ? 0 : -EINVAL);
        if (r < 0)
            assert_refused(r, FAILURE_ARGUMENT, "connected stream socket, open for reading");
        r = request_options_set_response_fd(&options, dup(rows[i].fd), &why);
        assert_int_equal(r, rows[i].writes ? 0 : -EINVAL);
        if (r < 0)
            assert_refused(r, FAILURE_ARGUMENT, "connected stream socket, open for writing");
        close(rows[i].fd);
    }
    close(sockets[1]);
    close(packets[1]);
    close(datagrams[1]);
    anew();
    assert_refused(request_options_set_fd_body(&options, -1, &why), FAILURE_ARGUMENT,
                   "did not come along");
    assert_refused(request_options_set_response_fd(&options, -1, &why), FAILURE_ARGUMENT,
                   "did not come along");
    anew();
    assert_int_equal(count_fds(), before); /* taken, whatever the result */
}

/* What would be ignored is refused. */
static void test_cd03_only_a_file_has_an_offset_and_none_that_appends(void **state)
{
    int pipes[2];

    (void)state;
    assert_int_equal(pipe(pipes), 0);
    anew();
    options.body_offset = 1;
    assert_refused(request_options_set_fd_body(&options, dup(pipes[0]), &why), FAILURE_ARGUMENT,
                   "wants offset 0");
    options.response_offset = 1;
    assert_refused(request_options_set_response_fd(&options, dup(pipes[1]), &why),
                   FAILURE_ARGUMENT, "wants offset 0, no sync");
    int appending = open("/tmp", O_TMPFILE | O_WRONLY | O_APPEND, 0600);
    assert_refused(request_options_set_response_fd(&options, appending, &why), FAILURE_ARGUMENT,
                   "O_APPEND");
    options.response_offset = 0;
    options.response_sync = true;
    assert_refused(request_options_set_response_fd(&options, dup(pipes[1]), &why),
                   FAILURE_ARGUMENT, "wants offset 0, no sync");
    options.response_sync = false;
    options.response_at_position = true;
    assert_refused(request_options_set_response_fd(&options, dup(pipes[1]), &why),
                   FAILURE_ARGUMENT, "at_position");
    int file = open("/tmp", O_TMPFILE | O_WRONLY, 0600);
    options.response_offset = 1;
    assert_refused(request_options_set_response_fd(&options, dup(file), &why), FAILURE_ARGUMENT,
                   "at_position");
    options.response_offset = 0;
    assert_int_equal(request_options_set_response_fd(&options, file, &why), 0);
    anew();
    close(pipes[0]);
    close(pipes[1]);
}

static void test_the_length_of_a_file_is_what_lies_behind_the_offset(void **state)
{
    static const struct {
        uint64_t offset;
        bool has_length;
        uint64_t length, expected;
    } rows[] = {{0, false, 0, 100}, {40, false, 0, 60},        {100, false, 0, 0},
                {101, false, 0, 0}, {UINT64_MAX, false, 0, 0}, {0, true, 7, 7},
                {0, true, 500, 500} /* a promise that will not be kept */};

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        int fd = memfd_create("f", MFD_CLOEXEC);

        assert_int_equal(ftruncate(fd, 100), 0);
        anew();
        options.body_offset = rows[i].offset;
        options.body_has_length = rows[i].has_length;
        options.body_length = rows[i].length;
        assert_int_equal(request_options_set_fd_body(&options, fd, &why), 0);
        assert_true(options.body_has_length);
        assert_int_equal(options.body_length, rows[i].expected);
    }
    int pipes[2];
    assert_int_equal(pipe(pipes), 0);
    anew();
    assert_int_equal(request_options_set_fd_body(&options, pipes[0], &why), 0);
    assert_false(options.body_has_length); /* nobody knows */
    close(pipes[1]);
}

/* ---- credentials, TLS, routes -------------------------------------------------------------
 */

static void test_basic_credentials_must_be_what_basic_can_carry(void **state)
{
    static const struct {
        struct span user, password;
        bool right;
    } rows[] = {
        {SPAN_LIT("user"), SPAN_LIT("pass:word"), true},
        {SPAN_LIT("us:er"), SPAN_LIT("p"), false},
        {SPAN_LIT("us\ner"), SPAN_LIT("p"), false},
        {SPAN_LIT("user"), SPAN_LIT("p\x7f"), false},
        {SPAN_LIT("user"), {"p\0q", 3}, false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct request_credentials from = {
            .scheme = AUTH_SCHEME_BASIC, .user = rows[i].user, .password = rows[i].password};

        anew();
        int r = request_options_set_credentials(&options, &from, &why);
        if (rows[i].right)
            assert_int_equal(r, 0);
        else
            assert_refused(r, FAILURE_ARGUMENT, "credentials");
        assert_null(strstr(why.text, "pass:word")); /* never shown */
    }
}

static void test_a_ca_bundle_has_a_limit(void **state)
{
    char *pem = calloc(1, REQUEST_CA_PEM_MAX + 1);

    (void)state;
    assert_non_null(pem);
    assert_int_equal(
        request_options_set_tls(&options, true, (struct span){pem, REQUEST_CA_PEM_MAX}, &why),
        0);
    assert_true(options.tls.insecure);
    assert_int_equal(options.tls.ca_pem.len, REQUEST_CA_PEM_MAX);
    anew();
    assert_refused(request_options_set_tls(&options, false,
                                           (struct span){pem, REQUEST_CA_PEM_MAX + 1}, &why),
                   FAILURE_LIMIT, "2097152");
    free(pem);
}

static void test_routes_are_canonical_and_counted(void **state)
{
    struct span addresses[] = {SPAN_LIT("127.0.0.1"), SPAN_LIT("::1"), SPAN_LIT("[::2]")};
    struct request_connect_to to = {.host = (char[]){"A.com"}, .to_host = (char[]){""}};

    (void)state;
    assert_int_equal(
        request_options_add_resolve(&options, SPAN_LIT("A.COM."), 80, addresses, 2, &why), 0);
    assert_int_equal(options.resolve[0].n_addresses, 2);
    assert_string_equal(options.resolve[0].addresses[0], "127.0.0.1");
    assert_refused(
        request_options_add_resolve(&options, SPAN_LIT("a b"), 80, addresses, 1, &why),
        FAILURE_ARGUMENT, "host name");
    assert_refused(
        request_options_add_resolve(&options, SPAN_LIT("a"), 65536, addresses, 1, &why),
        FAILURE_ARGUMENT, "1 to 65535");
    anew();
    for (int i = 0; i < REQUEST_ROUTES_MAX; i++) {
        assert_int_equal(
            request_options_add_resolve(&options, SPAN_LIT("a.com"), 80, addresses, 1, &why),
            0);
        assert_int_equal(request_options_add_connect_to(&options, &to, &why), 0);
    }
    assert_string_equal(options.connect_to[0].host, "a.com");
    assert_refused(
        request_options_add_resolve(&options, SPAN_LIT("a.com"), 80, addresses, 1, &why),
        FAILURE_ARGUMENT, "64");
    assert_refused(request_options_add_connect_to(&options, &to, &why), FAILURE_ARGUMENT, "64");
}

static void fill_everything(int *ret_failed)
{
    struct span address = SPAN_LIT("127.0.0.1");
    struct request_connect_to to = {.host = (char[]){"a.com"}, .to_host = (char[]){"b.com"}};
    struct request_credentials credentials = {
        .scheme = AUTH_SCHEME_BASIC, .user = SPAN_LIT("u"), .password = SPAN_LIT("p")};
    int r = request_options_set_url(&options, SPAN_LIT("http://a.com/"), false, &why);

    if (r == 0)
        r = request_options_add_header(&options, SPAN_LIT("A"), SPAN_LIT("b"), &why);
    if (r == 0)
        r = request_options_set_inline_body(&options, SPAN_LIT("body"), &why);
    if (r == 0)
        r = request_options_set_credentials(&options, &credentials, &why);
    if (r == 0)
        r = request_options_set_tls(&options, false, SPAN_LIT("PEM"), &why);
    if (r == 0)
        r = request_options_add_resolve(&options, SPAN_LIT("a.com"), 80, &address, 1, &why);
    if (r == 0)
        r = request_options_add_connect_to(&options, &to, &why);
    *ret_failed = r;
}

static void test_every_failing_allocation_is_told_and_leaks_nothing(void **state)
{
    uint64_t n;

    (void)state;
    for (n = 1; n < 100; n++) {
        int r;

        anew();
        mem_fail_at(n);
        fill_everything(&r);
        bool ran_out = mem_alloc_count() >= n;
        mem_fail_at(0);
        if (!ran_out) {
            assert_int_equal(r, 0);
            break;
        }
        assert_true(r < 0);
        assert_true(why.kind == FAILURE_INTERNAL || why.kind == FAILURE_URL ||
                    why.kind == FAILURE_ARGUMENT);
        assert_true(why.text[0] != '\0');
    }
    assert_true(n > 8 && n < 99);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)
    const struct CMUnitTest tests[] = {
        TEST(test_ur03_a_method_is_a_token_and_not_one_of_the_engines),
        TEST(test_ur11_only_http_and_https_are_fetched),
        TEST(test_a_url_is_taken_as_given_only_if_parsing_leaves_it),
        TEST(test_ur02_ur13_fields_are_the_callers_to_set_or_refused),
        TEST(test_ex03_fields_are_counted),
        TEST(test_only_defaults_can_be_left_out),
        TEST(test_ip14_cd03_descriptors_are_files_pipes_or_sockets_open_the_right_way),
        TEST(test_cd03_only_a_file_has_an_offset_and_none_that_appends),
        TEST(test_the_length_of_a_file_is_what_lies_behind_the_offset),
        TEST(test_basic_credentials_must_be_what_basic_can_carry),
        TEST(test_a_ca_bundle_has_a_limit),
        TEST(test_routes_are_canonical_and_counted),
        TEST(test_every_failing_allocation_is_told_and_leaks_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
