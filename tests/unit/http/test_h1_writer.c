/* SPDX-License-Identifier: MIT */
#include <errno.h>

#include "base/num.h"
#include "http/h1_writer.h"
#include "http/headers.h"
#include "http/method.h"
#include "support/test.h"

struct field {
    const char *name;
    const char *value;
};

static void fill(struct headers *headers, const struct field *fields, size_t count)
{
    headers_init(headers, HEADERS_BYTES_MAX, HEADERS_COUNT_MAX);
    for (size_t i = 0; i < count && fields[i].name; i++)
        assert_int_equal(
            headers_add(headers, span_of(fields[i].name), span_of(fields[i].value)), 0);
}

static struct h1_request_head get_head(void)
{
    return (struct h1_request_head){
        .method = SPAN_LIT("GET"), .target = SPAN_LIT("/"), .host = SPAN_LIT("example.com")};
}

static void check_written(const struct h1_request_head *head, const char *want)
{
    CLEANUP_BUF struct buf buf = BUF_INIT(0);

    assert_int_equal(h1_write_request_head(&buf, head), H1_WRITE_OK);
    assert_string_equal(buf_c_str(&buf), want);
}

static void test_a_head_is_written_in_the_order_of_rfc_9110(void **state)
{
    /* RFC 9112 §2.1's request, and what else a head may hold */
    static const struct field fields[] = {
        {"User-Agent", "curl/7.64.1"}, {"Accept-Language", "en, mi"}, {"X-Empty", ""}};
    struct headers headers;
    struct h1_request_head head = {.method = SPAN_LIT("GET"),
                                   .target = SPAN_LIT("/hello.txt"),
                                   .host = SPAN_LIT("www.example.com"),
                                   .headers = &headers};

    (void)state;
    fill(&headers, fields, 3);
    check_written(&head,
                  "GET /hello.txt HTTP/1.1\r\nHost: www.example.com\r\n"
                  "User-Agent: curl/7.64.1\r\nAccept-Language: en, mi\r\nX-Empty: \r\n\r\n");
    head.connection = SPAN_LIT("close");
    head.method = SPAN_LIT("POST");
    head.framing = framing_of_request(head.method, true, true, CONTENT_LENGTH_MAX);
    check_written(&head,
                  "POST /hello.txt HTTP/1.1\r\nHost: www.example.com\r\nConnection: close\r\n"
                  "User-Agent: curl/7.64.1\r\nAccept-Language: en, mi\r\nX-Empty: \r\n"
                  "Content-Length: 9223372036854775807\r\n\r\n");
    head.headers = NULL;
    head.connection = (struct span){0};
    head.framing = framing_of_request(head.method, false, false, 0);
    check_written(
        &head,
        "POST /hello.txt HTTP/1.1\r\nHost: www.example.com\r\nContent-Length: 0\r\n\r\n");
    head.framing = framing_of_request(head.method, true, false, 0);
    check_written(&head, "POST /hello.txt HTTP/1.1\r\nHost: www.example.com\r\n"
                         "Transfer-Encoding: chunked\r\n\r\n");
    head.method = SPAN_LIT("CONNECT");
    head.target = SPAN_LIT("[::1]:443");
    head.host = SPAN_LIT("[::1]:443");
    head.framing = (struct framing){0};
    check_written(&head, "CONNECT [::1]:443 HTTP/1.1\r\nHost: [::1]:443\r\n\r\n");
    headers_done(&headers);
}

static void check_refused(const struct h1_request_head *head, int outcome)
{
    CLEANUP_BUF struct buf buf = BUF_INIT(0);

    assert_int_equal(buf_append_str(&buf, "before"), 0);
    assert_int_equal(h1_write_request_head(&buf, head), outcome);
    assert_string_equal(buf_c_str(&buf), "before");
}

static void test_start_lines_that_could_end_early_are_refused(void **state)
{
    static const struct span methods[] = {{"", 0},         {"G T", 3},   {"GET\r", 4},
                                          {"GET\n", 4},    {"GE\0T", 4}, {"GET/", 4},
                                          {"G\xc3\xa9", 3}};
    static const struct span targets[] = {{"", 0},      {"/ ", 2},       {"/\r\nA: b", 7},
                                          {"/\n", 2},   {"/\0", 2},      {"/\t", 2},
                                          {"/\x7f", 2}, {"/\xc3\xa9", 3}};
    struct h1_request_head head = get_head();

    (void)state;
    for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++) {
        head.method = methods[i];
        check_refused(&head, H1_WRITE_E_METHOD);
    }
    for (size_t i = 0; i < sizeof(targets) / sizeof(targets[0]); i++) {
        head = get_head();
        head.target = targets[i];
        check_refused(&head, H1_WRITE_E_TARGET);
        head = get_head();
        head.host = targets[i];
        check_refused(&head, H1_WRITE_E_HOST);
    }
    head = get_head();
    head.connection = SPAN_LIT("close\r\nA: b");
    check_refused(&head, H1_WRITE_E_FIELD);
}

static void test_fields_that_could_end_early_or_frame_are_refused(void **state)
{
    static const struct {
        struct span name;
        struct span value;
        int outcome;
    } rows[] = {
        {{"", 0}, {"a", 1}, H1_WRITE_E_FIELD},
        {{"A ", 2}, {"a", 1}, H1_WRITE_E_FIELD},
        {{"A:", 2}, {"a", 1}, H1_WRITE_E_FIELD},
        {{"A\r\nB", 4}, {"a", 1}, H1_WRITE_E_FIELD},
        {{"A", 1}, {"a\r\nB: c", 7}, H1_WRITE_E_FIELD},
        {{"A", 1}, {"a\r", 2}, H1_WRITE_E_FIELD},
        {{"A", 1}, {"a\nb", 3}, H1_WRITE_E_FIELD},
        {{"A", 1}, {"a\0b", 3}, H1_WRITE_E_FIELD},
        {{"host", 4}, {"a", 1}, H1_WRITE_E_FRAMING_FIELD},
        {{"Connection", 10}, {"close", 5}, H1_WRITE_E_FRAMING_FIELD},
        {{"CONTENT-LENGTH", 14}, {"1", 1}, H1_WRITE_E_FRAMING_FIELD},
        {{"Transfer-Encoding", 17}, {"chunked", 7}, H1_WRITE_E_FRAMING_FIELD},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        CLEANUP_BUF struct buf buf = BUF_INIT(0);
        struct h1_request_head head = get_head();
        struct headers headers;

        headers_init(&headers, HEADERS_BYTES_MAX, HEADERS_COUNT_MAX);
        assert_int_equal(headers_add(&headers, SPAN_LIT("Fine"), SPAN_LIT("yes")), 0);
        assert_int_equal(headers_add(&headers, rows[i].name, rows[i].value), 0);
        head.headers = &headers;
        check_refused(&head, rows[i].outcome);
        assert_int_equal(h1_write_last_chunk(&buf, &headers), rows[i].outcome);
        assert_int_equal(buf.len, 0);
        headers_done(&headers);
    }
}

static void test_framings_no_request_can_have_are_refused(void **state)
{
    struct h1_request_head head = get_head();

    (void)state;
    head.framing.kind = BODY_UNTIL_CLOSE;
    check_refused(&head, H1_WRITE_E_FRAMING_FIELD);
    head.framing.kind = BODY_TUNNEL;
    check_refused(&head, H1_WRITE_E_FRAMING_FIELD);
}

static void test_a_full_buffer_or_no_memory_changes_nothing(void **state)
{
    struct h1_request_head head = get_head();
    CLEANUP_BUF struct buf small = BUF_INIT(10);
    CLEANUP_BUF struct buf none = BUF_INIT(0);

    (void)state;
    assert_int_equal(h1_write_request_head(&small, &head), -EMSGSIZE);
    assert_int_equal(small.len, 0);
    mem_fail_at(1);
    assert_int_equal(h1_write_request_head(&none, &head), -ENOMEM);
    mem_fail_at(0);
    assert_int_equal(none.len, 0);
}

static void test_chunks_are_written_as_rfc_9112_7_1_says(void **state)
{
    static const struct {
        uint64_t size;
        const char *text;
    } rows[] = {{1, "1\r\n"},
                {15, "f\r\n"},
                {16, "10\r\n"},
                {65536, "10000\r\n"},
                {UINT64_MAX, "ffffffffffffffff\r\n"}};
    static const struct field trailers[] = {{"X-Sum", "1"}, {"X-More", "2"}};
    struct headers headers;

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        CLEANUP_BUF struct buf buf = BUF_INIT(0);

        assert_int_equal(h1_write_chunk_head(&buf, rows[i].size), 0);
        assert_string_equal(buf_c_str(&buf), rows[i].text);
        assert_int_equal(h1_write_chunk_end(&buf), 0);
        assert_true(buf.len <= H1_CHUNK_OVERHEAD_MAX);
    }

    CLEANUP_BUF struct buf last = BUF_INIT(0);
    assert_int_equal(h1_write_last_chunk(&last, NULL), 0);
    assert_string_equal(buf_c_str(&last), "0\r\n\r\n");
    buf_clear(&last);
    fill(&headers, trailers, 2);
    assert_int_equal(h1_write_last_chunk(&last, &headers), 0);
    assert_string_equal(buf_c_str(&last), "0\r\nX-Sum: 1\r\nX-More: 2\r\n\r\n");
    headers_done(&headers);
}

/*
 * The strictest reader of requests one could meet: RFC 9112's grammar to the letter, written
 * without a look at our own parser.
 */
struct read_request {
    struct span method, target, host;
    bool has_length, is_chunked;
    uint64_t length;
    size_t fields;
};

static bool read_line(struct span *rest, struct span *ret)
{
    if (!span_split(rest, '\n', ret) || ret->len == 0 || ret->ptr[ret->len - 1] != '\r')
        return false;
    ret->len--;
    return ret->len == 0 ||
           (!memchr(ret->ptr, '\r', ret->len) && !memchr(ret->ptr, 0, ret->len));
}

static bool read_start(struct span line, struct read_request *ret)
{
    if (!span_split(&line, ' ', &ret->method) || !span_split(&line, ' ', &ret->target))
        return false;
    for (size_t i = 0; i < ret->target.len; i++) {
        if (ret->target.ptr[i] < 0x21 || ret->target.ptr[i] > 0x7e)
            return false;
    }
    return method_is_token(ret->method) && ret->target.len > 0 &&
           span_eq(line, SPAN_LIT("HTTP/1.1"));
}

static bool read_field(struct span line, struct read_request *ret)
{
    struct span name;

    if (!span_split(&line, ':', &name) || !header_name_is_token(name))
        return false;
    struct span value = span_trim_ows(line);
    ret->fields++;
    if (span_ieq(name, SPAN_LIT("Host"))) {
        bool first = ret->host.len == 0;
        ret->host = value;
        return first && value.len > 0;
    }
    if (span_ieq(name, SPAN_LIT("Content-Length"))) {
        bool first = !ret->has_length;
        ret->has_length = true;
        return first && num_parse_u64(value, CONTENT_LENGTH_MAX, &ret->length) == 0;
    }
    if (span_ieq(name, SPAN_LIT("Transfer-Encoding"))) {
        bool first = !ret->is_chunked;
        ret->is_chunked = true;
        return first && span_eq(value, SPAN_LIT("chunked"));
    }
    return true;
}

static bool read_strictly(struct span bytes, struct read_request *ret)
{
    struct span line;

    *ret = (struct read_request){0};
    if (!read_line(&bytes, &line) || !read_start(line, ret))
        return false;
    while (read_line(&bytes, &line)) {
        if (line.len == 0)
            return bytes.len == 0 && ret->host.len > 0 && !(ret->has_length && ret->is_chunked);
        if (!read_field(line, ret))
            return false;
    }
    return false;
}

static unsigned next_random(unsigned *seed)
{
    *seed = *seed * 1103515245U + 12345U;
    return *seed >> 16 & 0x7fff;
}

/* Mostly what belongs in a request, now and then any byte at all. */
static struct span random_text(unsigned *seed, char *room, size_t room_size)
{
    static const char usual[] = "abcXYZ019-_./:=?&%[] \t";
    size_t len = next_random(seed) % room_size;

    for (size_t i = 0; i < len; i++) {
        if (next_random(seed) % 100 == 0)
            room[i] = (char)next_random(seed);
        else
            room[i] = usual[next_random(seed) % (sizeof(usual) - 1 - next_random(seed) % 3)];
    }
    return (struct span){room, len};
}

static void test_what_is_written_a_strict_reader_reads_back(void **state)
{
    unsigned seed = 1;
    unsigned written = 0;

    (void)state;
    for (unsigned round = 0; round < 20000; round++) {
        static const char *const methods[] = {"GET", "POST", "PUT", "X-ODD", "M\n"};
        CLEANUP_BUF struct buf buf = BUF_INIT(0);
        char rooms[10][12];
        struct headers headers;
        size_t fields = next_random(&seed) % 4;
        struct h1_request_head head = {
            .method = span_of(methods[next_random(&seed) % 5]),
            .target = random_text(&seed, rooms[0], 12),
            .host = random_text(&seed, rooms[1], 12),
            .connection = next_random(&seed) % 2 ? SPAN_LIT("close") : (struct span){0},
            .headers = &headers,
            .framing = framing_of_request(SPAN_LIT("POST"), next_random(&seed) % 2,
                                          next_random(&seed) % 2, next_random(&seed)),
        };

        headers_init(&headers, HEADERS_BYTES_MAX, HEADERS_COUNT_MAX);
        for (size_t i = 0; i < fields; i++) {
            struct span value = random_text(&seed, rooms[2 + i], 12);
            struct span name = random_text(&seed, rooms[6 + i], 4);

            assert_int_equal(headers_add(&headers, name.len ? name : SPAN_LIT("Host"), value),
                             0);
        }
        if (h1_write_request_head(&buf, &head) == H1_WRITE_OK) {
            struct read_request got;

            assert_true(read_strictly(buf_span(&buf), &got));
            assert_true(span_eq(got.method, head.method));
            assert_true(span_eq(got.target, head.target));
            assert_true(span_eq(got.host, head.host));
            assert_int_equal(got.fields, fields + 2 + (head.connection.len > 0));
            assert_int_equal(got.is_chunked, head.framing.kind == BODY_CHUNKED);
            assert_int_equal(got.has_length, head.framing.kind == BODY_LENGTH);
            assert_int_equal(got.length, head.framing.content_length);
            written++;
        }
        headers_done(&headers);
    }
    assert_in_range(written, 100, 20000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_head_is_written_in_the_order_of_rfc_9110),
        cmocka_unit_test(test_start_lines_that_could_end_early_are_refused),
        cmocka_unit_test(test_fields_that_could_end_early_or_frame_are_refused),
        cmocka_unit_test(test_framings_no_request_can_have_are_refused),
        cmocka_unit_test(test_a_full_buffer_or_no_memory_changes_nothing),
        cmocka_unit_test(test_chunks_are_written_as_rfc_9112_7_1_says),
        cmocka_unit_test(test_what_is_written_a_strict_reader_reads_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
