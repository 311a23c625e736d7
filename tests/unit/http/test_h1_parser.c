/* SPDX-License-Identifier: MIT */
#include <errno.h>

#include "http/h1_parser.h"
#include "http/story.h"
#include "support/test.h"

#define OK_LINE "HTTP/1.1 200 OK\r\n"
#define CHUNKED OK_LINE "Transfer-Encoding: chunked\r\n\r\n"

struct row {
    const char *bytes;
    const char *story; /* all of it */
    enum response_to to;
    enum story_end end;
};

static char *tell(struct story_input in)
{
    CLEANUP_BUF struct buf out = BUF_INIT(0);
    struct h1_parser parser;

    h1_parser_init(&parser, &in.options, in.to);
    story_tell(&parser, &in, &out);
    h1_parser_done(&parser);
    char *text = mem_dup(buf_span(&out));
    assert_non_null(text);
    return text;
}

static void tell_and_compare(struct story_input in, const char *want)
{
    CLEANUP_MEM char *got = tell(in);

    if (strcmp(got, want) != 0)
        print_message("cut %d at %zu of: %.*s\n", (int)in.cut, in.arg,
                      (int)(in.bytes.len < 200 ? in.bytes.len : 200), in.bytes.ptr);
    assert_string_equal(got, want);
}

/* Every input, cut in every way, tells the same: that is H114. */
static void check_input(struct story_input in, const char *want)
{
    in.cut = STORY_WHOLE;
    tell_and_compare(in, want);
    in.cut = STORY_BYTEWISE;
    tell_and_compare(in, want);
    in.cut = STORY_SPLIT;
    size_t stride = in.bytes.len / 512 + 1;
    for (in.arg = 1; in.arg < in.bytes.len; in.arg += stride)
        tell_and_compare(in, want);
    in.cut = STORY_RANDOM;
    for (in.arg = 1; in.arg <= 16; in.arg++)
        tell_and_compare(in, want);
}

static void check_rows(const struct row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++)
        check_input((struct story_input){.bytes = span_of(rows[i].bytes),
                                         .to = rows[i].to,
                                         .options = h1_parser_options_default(),
                                         .end = rows[i].end},
                    rows[i].story);
}

#define CHECK(rows) check_rows(rows, sizeof(rows) / sizeof((rows)[0]))

static void check_text(const char *bytes, const char *want)
{
    struct row row = {bytes, want, RESPONSE_TO_OTHER, STORY_OPEN};

    check_rows(&row, 1);
}

static void test_h114_every_cut_of_every_response_tells_the_same_story(void **state)
{
    static const struct row rows[] = {
        /* RFC 9112 §2.1, with the body its length speaks of */
        {"HTTP/1.1 200 OK\r\n"
         "Date: Mon, 27 Jul 2009 12:28:53 GMT\r\n"
         "Server: Apache\r\n"
         "ETag: \"34aa387-d-1568eb00\"\r\n"
         "Content-Length: 14\r\n"
         "Vary: Accept-Encoding\r\n"
         "Content-Type: text/plain\r\n"
         "\r\n"
         "Hello World!\r\n",
         "head 11 200 'OK' length 14 keep [Date=Mon, 27 Jul 2009 12:28:53 GMT] [Server=Apache] "
         "[ETag=\"34aa387-d-1568eb00\"] [Content-Length=14] [Vary=Accept-Encoding] "
         "[Content-Type=text/plain] 169\nbody Hello World!\r\n\ndone +0",
         0, 0},
        /* chunks, extensions, trailers */
        {CHUNKED "4\r\nWiki\r\n7;a=b;c=\"d\";e\r\npedia i\r\nB \t;x\r\nn \r\nchunks.\r\n"
                 "0;last\r\nX-Sum: 1\r\nX-Fold: a\r\n \tb\r\n\r\n",
         "head 11 200 'OK' chunked keep [Transfer-Encoding=chunked] 47\n"
         "body Wikipedia in \r\nchunks.\ntrailers [X-Sum=1] [X-Fold=a b]\ndone +0",
         0, 0},
        {CHUNKED "0\r\n\r\n",
         "head 11 200 'OK' chunked keep [Transfer-Encoding=chunked] 47\ndone +0", 0, 0},
        {CHUNKED "00000000000000a\r\n0123456789\r\n0000000000000000\r\n\r\n",
         "head 11 200 'OK' chunked keep [Transfer-Encoding=chunked] 47\n"
         "body 0123456789\ndone +0",
         0, 0},
        {CHUNKED "3  \r\nabc\r\n0\r\n\r\n", /* white space, as old servers pad */
         "head 11 200 'OK' chunked keep [Transfer-Encoding=chunked] 47\nbody abc\ndone +0", 0,
         0},
        /* 1xx first */
        {"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" OK_LINE
         "Content-Length: 0\r\n\r\n",
         "info 11 100 'Continue' none shut 25\n"
         "info 11 103 'Early Hints' none shut [Link=</a>] 40\n"
         "head 11 200 'OK' length 0 keep [Content-Length=0] 38\ndone +0",
         0, 0},
        /* until close */
        {OK_LINE "\r\nabc", "head 11 200 'OK' close shut 19\nbody abc\ndone +0", 0,
         STORY_CLEAN_EOF},
        {"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 3\r\n\r\nabc",
         "head 10 200 'OK' length 3 keep [Connection=keep-alive] [Content-Length=3] 62\n"
         "body abc\ndone +0",
         0, 0},
        {"HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\nabc",
         "head 10 200 'OK' length 3 shut [Content-Length=3] 38\nbody abc\ndone +0", 0, 0},
        /* a tunnel: what follows is not ours */
        {OK_LINE "Content-Length: 9\r\n\r\n\x16\x03\x01",
         "head 11 200 'OK' tunnel shut [Content-Length=9] 38\ndone +3", RESPONSE_TO_CONNECT, 0},
        {"HTTP/1.1 407 Auth\r\nContent-Length: 2\r\n\r\nno",
         "head 11 407 'Auth' length 2 keep [Content-Length=2] 40\nbody no\ndone +0",
         RESPONSE_TO_CONNECT, 0},
        {"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n\x81\x05",
         "head 11 101 'Switching Protocols' tunnel shut [Upgrade=websocket] 56\ndone +2",
         RESPONSE_TO_UPGRADE, 0},
        /* repeats stay apart, empty values stay, bytes above 0x7f stay, OWS goes */
        {OK_LINE "Set-Cookie: a=1, b\r\nset-cookie:c=2\r\nX:\r\nY: \t \r\nZ:\t\xc3\xa9 z\t \r\n"
                 "Content-Length:0\r\n\r\n",
         "head 11 200 'OK' length 0 keep [Set-Cookie=a=1, b] [set-cookie=c=2] [X=] [Y=] "
         "[Z=\xc3\xa9 z] [Content-Length=0] 95\ndone +0",
         0, 0},
    };

    (void)state;
    CHECK(rows);
}

static void test_what_a_user_agent_may_be_lenient_about(void **state)
{
    static const struct row rows[] = {
        /* no reason, and not even its space */
        {"HTTP/1.1 204 \r\n\r\n", "head 11 204 '' none keep 17\ndone +0", 0, 0},
        {"HTTP/1.1 204\r\n\r\n", "head 11 204 '' none keep 16\ndone +0", 0, 0},
        /* LF alone ends a line of the head, and the connection with it */
        {"HTTP/1.1 204 No\nA: b\n\n", "head 11 204 'No' none shut [A=b] 22\ndone +0", 0, 0},
        {"HTTP/1.1 204 No\r\nA: b\n\r\n", "head 11 204 'No' none shut [A=b] 24\ndone +0", 0, 0},
        /* of a 1xx it ends nothing: the final head speaks for itself */
        {"HTTP/1.1 100 C\n\nHTTP/1.1 204 No\r\n\r\n",
         "info 11 100 'C' none shut 16\nhead 11 204 'No' none keep 19\ndone +0", 0, 0},
        /* RFC 9110 §2.5: a higher minor version is read as the one we know */
        {"HTTP/1.7 204 No\r\n\r\n", "head 11 204 'No' none keep 19\ndone +0", 0, 0},
        /* RFC 9110 §15: three digits are a status */
        {"HTTP/1.1 999 Denied\r\nContent-Length: 0\r\n\r\n",
         "head 11 999 'Denied' length 0 keep [Content-Length=0] 42\ndone +0", 0, 0},
        /* control bytes other than NUL, CR and LF do no harm here */
        {"HTTP/1.1 204 N\x01o\r\nA: \x02 \x7f\r\n\r\n",
         "head 11 204 'N\x01o' none keep [A=\x02 \x7f] 28\ndone +0", 0, 0},
    };

    (void)state;
    CHECK(rows);
}

static void test_h101_a_fold_joins_its_line_and_never_makes_a_field(void **state)
{
    static const struct row rows[] = {
        {"HTTP/1.1 204 No\r\nA: b \t\r\n \t c\r\n\td\r\nE: f\r\n\r\n",
         "head 11 204 'No' none keep [A=b c d] [E=f] 43\ndone +0", 0, 0},
        {"HTTP/1.1 204 No\r\nA: b\r\n Set-Cookie: x=y\r\n\r\n",
         "head 11 204 'No' none keep [A=b Set-Cookie: x=y] 43\ndone +0", 0, 0},
        {"HTTP/1.1 204 No\r\nA:\r\n b\r\n\r\n", "head 11 204 'No' none keep [A=b] 27\ndone +0",
         0, 0},
        {"HTTP/1.1 204 No\r\nA: b\r\n \r\n\r\n", "head 11 204 'No' none keep [A=b] 28\ndone +0",
         0, 0},
        {"HTTP/1.1 204 No\r\nA: b  c\r\n d  e\r\n\r\n",
         "head 11 204 'No' none keep [A=b  c d  e] 35\ndone +0", 0, 0},
        /* no field before it: refused (RFC 9112 §2.2) */
        {"HTTP/1.1 204 No\r\n A: b\r\n\r\n", "malformed field line", 0, 0},
        {"HTTP/1.1 204 No\r\n \r\n\r\n", "malformed field line", 0, 0},
        /* not where it could hide a length */
        {"HTTP/1.1 200 OK\r\nContent-Length:\r\n 5\r\n\r\n", "a folded framing field", 0, 0},
        {"HTTP/1.1 200 OK\r\ntransfer-encoding: \r\n\tchunked\r\n\r\n",
         "a folded framing field", 0, 0},
        {"HTTP/1.1 200 OK\r\nA: b\r\n Content-Length: 5\r\n\r\nx",
         "head 11 200 'OK' close shut [A=b Content-Length: 5] 45\nbody x\nmore", 0, 0},
    };

    (void)state;
    CHECK(rows);
}

static void test_h101_bad_field_lines_are_refused(void **state)
{
    static const struct row rows[] = {
        {OK_LINE "A : b\r\n\r\n", "a field name is not a token", 0, 0},
        {OK_LINE "A\t: b\r\n\r\n", "a field name is not a token", 0, 0},
        {OK_LINE "A b: c\r\n\r\n", "a field name is not a token", 0, 0},
        {OK_LINE ": b\r\n\r\n", "a field name is not a token", 0, 0},
        {OK_LINE "A\x80: b\r\n\r\n", "a field name is not a token", 0, 0},
        {OK_LINE "(A): b\r\n\r\n", "a field name is not a token", 0, 0},
        {OK_LINE "AB\r\n\r\n", "malformed field line", 0, 0},
        {OK_LINE "A: b\rC: d\r\n\r\n", "NUL or a lone CR in the head", 0, 0},
        {OK_LINE "A: b\r\r\n\r\n", "NUL or a lone CR in the head", 0, 0},
        {OK_LINE "A: b\r\r\n c\n\r\n", "NUL or a lone CR in the head", 0, 0},
        {OK_LINE "A\r: b\r\n\r\n", "NUL or a lone CR in the head", 0, 0},
        {OK_LINE "\r\r\nA", "NUL or a lone CR in the head", 0, 0},
        {"HTTP/1.1 200 O\rK\r\n\r\n", "NUL or a lone CR in the head", 0, 0},
    };
    static const char nul_value[] = OK_LINE "A: b\0c\r\n\r\n";
    static const char nul_name[] = OK_LINE "A\0: b\r\n\r\n";
    static const char nul_reason[] = "HTTP/1.1 200 O\0K\r\n\r\n";
    static const struct span nuls[] = {{nul_value, sizeof(nul_value) - 1},
                                       {nul_name, sizeof(nul_name) - 1},
                                       {nul_reason, sizeof(nul_reason) - 1}};

    (void)state;
    CHECK(rows);
    for (size_t i = 0; i < sizeof(nuls) / sizeof(nuls[0]); i++)
        check_input(
            (struct story_input){.bytes = nuls[i], .options = h1_parser_options_default()},
            "NUL or a lone CR in the head");
}

static void test_h102_chunked_and_content_length_closes_the_connection(void **state)
{
    (void)state;
    check_text(
        OK_LINE "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n"
                "1\r\na\r\n0\r\n\r\nHTTP/1.1 200 Smuggled\r\n",
        "head 11 200 'OK' chunked shut [Content-Length=3] [Transfer-Encoding=chunked] 66\n"
        "body a\ndone +23");
}

static void test_h103_bad_content_lengths_are_refused(void **state)
{
    static const char *const bad[] = {"5, 6", "+5", "0x5", "-1", "18446744073709551616", "5,"};

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        CLEANUP_MEM char *bytes = mem_format(OK_LINE "Content-Length: %s\r\n\r\nabc", bad[i]);

        assert_non_null(bytes);
        check_text(bytes, "bad Content-Length");
    }
    check_text(OK_LINE "Content-Length: 5, 5\r\n\r\nabcde",
               "head 11 200 'OK' length 5 keep [Content-Length=5, 5] 41\nbody abcde\ndone +0");
}

static void test_h104_other_transfer_encodings_are_refused(void **state)
{
    static const char *const bad[] = {"xchunked", "chunked, identity", "\vchunked",
                                      "gzip, chunked"};

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        CLEANUP_MEM char *bytes =
            mem_format(OK_LINE "Transfer-Encoding: %s\r\n\r\n0\r\n\r\n", bad[i]);

        assert_non_null(bytes);
        check_text(bytes, "Transfer-Encoding other than chunked");
    }
}

#define CHUNKED_HEAD "head 11 200 'OK' chunked keep [Transfer-Encoding=chunked] 47\n"

static void test_h105_chunk_lines_are_read_to_the_letter(void **state)
{
    static const struct row rows[] = {
        {CHUNKED "00000000000000001\r\na\r\n0\r\n\r\n", CHUNKED_HEAD "bad chunk size", 0, 0},
        {CHUNKED "8000000000000000\r\na", CHUNKED_HEAD "bad chunk size", 0, 0},
        {CHUNKED "-1\r\na\r\n", CHUNKED_HEAD "bad chunk size", 0, 0},
        {CHUNKED "+1\r\na\r\n", CHUNKED_HEAD "bad chunk size", 0, 0},
        {CHUNKED " 1\r\na\r\n", CHUNKED_HEAD "bad chunk size", 0, 0},
        {CHUNKED "\r\na\r\n", CHUNKED_HEAD "bad chunk size", 0, 0},
        {CHUNKED ";a=b\r\na\r\n", CHUNKED_HEAD "bad chunk size", 0, 0},
        {CHUNKED "0x1\r\na\r\n", CHUNKED_HEAD "malformed chunk line", 0, 0},
        {CHUNKED "1_0\r\na\r\n", CHUNKED_HEAD "malformed chunk line", 0, 0},
        {CHUNKED "1 1\r\na\r\n", CHUNKED_HEAD "malformed chunk line", 0, 0},
        {CHUNKED "1\na\r\n0\r\n\r\n", CHUNKED_HEAD "malformed chunk line", 0, 0},
        {CHUNKED "1\r\r\na\r\n", CHUNKED_HEAD "malformed chunk line", 0, 0},
        {CHUNKED "1;a=b\na\r\n0\r\n\r\n", CHUNKED_HEAD "malformed chunk line", 0, 0},
        {CHUNKED "1;a=\"\n\"\r\na\r\n", CHUNKED_HEAD "malformed chunk line", 0, 0},
        {CHUNKED "1;a=\rb\r\na\r\n", CHUNKED_HEAD "malformed chunk line", 0, 0},
        {CHUNKED "1;a=\x7f\r\na\r\n", CHUNKED_HEAD "malformed chunk line", 0, 0},
        {CHUNKED "1\r\nab\r\n", CHUNKED_HEAD "body a\nchunk data longer than its size", 0, 0},
        {CHUNKED "1\r\na\n0\r\n", CHUNKED_HEAD "body a\nchunk data longer than its size", 0, 0},
        {CHUNKED "1\r\na\r0\r\n", CHUNKED_HEAD "body a\nchunk data longer than its size", 0, 0},
        {CHUNKED "0\r\n\n", CHUNKED_HEAD "malformed chunk line", 0, 0},
        {CHUNKED "0\r\nA: b\n\r\n", CHUNKED_HEAD "malformed chunk line", 0, 0},
        {CHUNKED "0\r\nA : b\r\n\r\n", CHUNKED_HEAD "a field name is not a token", 0, 0},
    };

    (void)state;
    CHECK(rows);
}

/* @count times @unit. */
static void append_times(struct buf *buf, const char *unit, size_t count)
{
    for (size_t i = 0; i < count; i++)
        assert_int_equal(buf_append_str(buf, unit), 0);
}

static void check_end(const struct buf *buf, struct h1_parser_options options, const char *end)
{
    for (enum story_cut cut = STORY_WHOLE; cut <= STORY_RANDOM; cut++) {
        CLEANUP_MEM char *got = tell((struct story_input){
            .bytes = buf_span(buf), .options = options, .cut = cut, .arg = 1000});
        size_t len = strlen(got);

        assert_true(len >= strlen(end));
        assert_string_equal(got + len - strlen(end), end);
    }
}

static void
test_h114_a_limit_reached_within_the_version_is_the_same_error_however_cut(void **state)
{
    struct h1_parser_options options = h1_parser_options_default();

    (void)state;
    options.head_bytes_max = 29; /* the interim answer's 25 bytes, and "HTTP" */
    check_input((struct story_input){.bytes = SPAN_LIT("HTTP/1.1 100 Continue\r\n\r\nHTTPS"),
                                     .options = options},
                "info 11 100 'Continue' none shut 25\nthe head is too long");
    check_input((struct story_input){.bytes = SPAN_LIT("HTTP/1.1 100 Continue\r\n\r\nHTTX"),
                                     .options = options},
                "info 11 100 'Continue' none shut 25\nthe answer is not HTTP");
}

static void test_h106_chunk_extensions_are_paid_for_with_data(void **state)
{
    CLEANUP_BUF struct buf fat = BUF_INIT(0);
    CLEANUP_BUF struct buf honest = BUF_INIT(0);
    CLEANUP_BUF struct buf edge = BUF_INIT(0);
    struct h1_parser_options options = h1_parser_options_default();

    (void)state;
    /* 16 KiB of extension for one byte: the second one is too much */
    append_times(&fat, CHUNKED, 1);
    for (int i = 0; i < 2; i++) {
        append_times(&fat, "1;", 1);
        append_times(&fat, "x", (size_t)16 * 1024 - 1);
        append_times(&fat, "\r\na\r\n", 1);
    }
    check_end(&fat, options, "body a\ntoo much in chunk extensions");

    /* a signature on each of many chunks that carry as much is fine for ever */
    append_times(&honest, CHUNKED, 1);
    append_times(&honest, "10;s=0123456789abcde\r\n0123456789abcdef\r\n", 4096);
    append_times(&honest, "0\r\n\r\n", 1);
    check_end(&honest, options, "\ndone +0");

    options.chunk_extension_bytes_max = 4;
    append_times(&edge, CHUNKED "1;abc\r\na\r\n0;\r\n\r\n", 1);
    check_end(&edge, options, "body a\ndone +0");
    buf_clear(&edge);
    append_times(&edge, CHUNKED "1;abcd\r\na\r\n0\r\n\r\n", 1);
    check_end(&edge, options, "\ntoo much in chunk extensions");
}

static void test_h107_trailers_cannot_say_what_belongs_in_the_head(void **state)
{
    CLEANUP_BUF struct buf endless = BUF_INIT(0);

    (void)state;
    check_text(CHUNKED
               "0\r\nSet-Cookie: a=b\r\nAuthorization: x\r\nContent-Length: 9\r\n"
               "transfer-encoding: x\r\nHost: x\r\nLocation: /\r\nX-Checksum: 1\r\n\r\n",
               CHUNKED_HEAD "trailers [X-Checksum=1]\ndone +0");
    check_text(CHUNKED "0\r\nSet-Cookie: a=b\r\n\r\n", CHUNKED_HEAD "done +0");

    append_times(&endless, CHUNKED "0\r\n", 1);
    append_times(
        &endless,
        "X-Trailer: 0123456789012345678901234567890123456789012345678901234567890123456789\r\n",
        800); /* 64 KiB and a little */
    check_end(&endless, h1_parser_options_default(), "the trailers are too long");
}

static void test_h108_what_is_not_http_1_is_refused_at_once(void **state)
{
    static const struct row rows[] = {
        {"HTTP/1.1 99999\r\n\r\n", "malformed status line", 0, 0},
        {"HTTP/1.1 2000 OK\r\n\r\n", "malformed status line", 0, 0},
        {"HTTP/1.1 20 OK\r\n\r\n", "malformed status line", 0, 0},
        {"HTTP/1.1 099 OK\r\n\r\n", "malformed status line", 0, 0},
        {"HTTP/1.1 -20 OK\r\n\r\n", "malformed status line", 0, 0},
        {"HTTP/1.1 2x0 OK\r\n\r\n", "malformed status line", 0, 0},
        {"HTTP/1.1  200 OK\r\n\r\n", "malformed status line", 0, 0},
        {"HTTP/1.1\t200 OK\r\n\r\n", "malformed status line", 0, 0},
        {"HTTP/1.1 200\tOK\r\n\r\n", "malformed status line", 0, 0},
        {"HTTP/1.1\r\n\r\n", "malformed status line", 0, 0},
        {"HTTP/1.\r\n\r\n", "malformed status line", 0, 0},
        {"HTTP/1.10 200 OK\r\n\r\n", "malformed status line", 0, 0},
        {"HTTP/9.9 200 OK\r\n\r\n", "the answer's HTTP version is not 1.x", 0, 0},
        {"HTTP/2.0 200 OK\r\n\r\n", "the answer's HTTP version is not 1.x", 0, 0},
        {"HTTP/2 200\r\n\r\n", "the answer's HTTP version is not 1.x", 0, 0},
        {"HTTP/0.9 200 OK\r\n\r\n", "the answer's HTTP version is not 1.x", 0, 0},
        {"http/1.1 200 OK\r\n\r\n", "the answer is not HTTP", 0, 0},
        {"HTTPS/1.1 200 OK\r\n\r\n", "the answer is not HTTP", 0, 0},
        {"ICY 200 OK\r\n\r\n", "the answer is not HTTP", 0, 0},
        {"\r\nHTTP/1.1 200 OK\r\n\r\n", "the answer is not HTTP", 0, 0},
        {"<html>", "the answer is not HTTP", 0, 0},
        {"HTTP/1.1 100 C\r\n\r\nicy", "info 11 100 'C' none shut 18\nthe answer is not HTTP", 0,
         0},
    };
    CLEANUP_BUF struct buf junk = BUF_INIT(0);

    (void)state;
    CHECK(rows);
    append_times(&junk, "junkjunkjunkjunk", 65536);
    check_end(&junk, h1_parser_options_default(), "the answer is not HTTP");
}

static void test_h109_informational_heads_count_in_the_head_budget(void **state)
{
    CLEANUP_BUF struct buf many = BUF_INIT(0);
    struct h1_parser_options options = h1_parser_options_default();

    (void)state;
    for (int i = 0; i < 40; i++) {
        append_times(&many, i % 2 ? "HTTP/1.1 103 Hints\r\nA: " : "HTTP/1.1 100 C\r\nA: ", 1);
        append_times(&many, "0123456789abcdef", 512);
        append_times(&many, "\r\n\r\n", 1);
    }
    check_end(&many, options, "the head is too long");

    /* at the limit, and one past it */
    static const char three[] =
        "HTTP/1.1 100 C\r\n\r\nHTTP/1.1 103 H\r\n\r\nHTTP/1.1 204 N\r\n\r\n";
    buf_clear(&many);
    append_times(&many, three, 1);
    options.head_bytes_max = sizeof(three) - 1;
    check_end(&many, options, "head 11 204 'N' none keep 18\ndone +0");
    options.head_bytes_max--;
    check_end(&many, options, "the head is too long");
}

static void test_h110_an_unasked_101_is_refused(void **state)
{
    static const struct row rows[] = {
        {"HTTP/1.1 101 Switching\r\nUpgrade: x\r\n\r\n", "101 to a request without Upgrade", 0,
         0},
        {"HTTP/1.1 101 Switching\r\n\r\n", "101 to a request without Upgrade",
         RESPONSE_TO_CONNECT, 0},
        {"HTTP/1.1 101 Switching\r\n\r\n", "101 to a request without Upgrade", RESPONSE_TO_HEAD,
         0},
    };

    (void)state;
    CHECK(rows);
}

static void test_h111_bodiless_responses_give_no_body_and_leave_its_bytes(void **state)
{
    static const struct row rows[] = {
        {OK_LINE "Content-Length: 3\r\n\r\nabc",
         "head 11 200 'OK' none 3 keep [Content-Length=3] 38\ndone +3", RESPONSE_TO_HEAD, 0},
        {OK_LINE "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
         "head 11 200 'OK' none keep [Transfer-Encoding=chunked] 47\ndone +5", RESPONSE_TO_HEAD,
         0},
        {OK_LINE "\r\n", "head 11 200 'OK' none keep 19\ndone +0", RESPONSE_TO_HEAD, 0},
        {"HTTP/1.1 204 No\r\nContent-Length: 3\r\n\r\nabc",
         "head 11 204 'No' none 3 keep [Content-Length=3] 38\ndone +3", 0, 0},
        {"HTTP/1.1 304 Same\r\nContent-Length: 3\r\n\r\nabc",
         "head 11 304 'Same' none 3 keep [Content-Length=3] 40\ndone +3", 0, 0},
    };

    (void)state;
    CHECK(rows);
}

static void test_h112_what_ends_early_is_truncated(void **state)
{
    static const struct row rows[] = {
        {"", "the connection ended before an answer", 0, STORY_CLEAN_EOF},
        {"", "the connection ended before an answer", 0, STORY_DIRTY_EOF},
        {"H", "the answer ended early", 0, STORY_CLEAN_EOF},
        {OK_LINE, "the answer ended early", 0, STORY_CLEAN_EOF},
        {OK_LINE "A: b\r\n", "the answer ended early", 0, STORY_CLEAN_EOF},
        {"HTTP/1.1 100 C\r\n\r\n", "info 11 100 'C' none shut 18\nthe answer ended early", 0,
         STORY_CLEAN_EOF},
        {OK_LINE "Content-Length: 100\r\n\r\n"
                 "012345678901234567890123456789012345678901234567890123456789",
         "head 11 200 'OK' length 100 keep [Content-Length=100] 40\n"
         "body 012345678901234567890123456789012345678901234567890123456789\n"
         "the answer ended early",
         0, STORY_CLEAN_EOF},
        {CHUNKED "5\r\nab", CHUNKED_HEAD "body ab\nthe answer ended early", 0, STORY_CLEAN_EOF},
        {CHUNKED "2\r\nab\r\n", CHUNKED_HEAD "body ab\nthe answer ended early", 0,
         STORY_CLEAN_EOF},
        {CHUNKED "2\r\nab\r\n0\r\n", CHUNKED_HEAD "body ab\nthe answer ended early", 0,
         STORY_CLEAN_EOF},
        {CHUNKED "2\r\nab\r\n0\r\nA: b\r\n", CHUNKED_HEAD "body ab\nthe answer ended early", 0,
         STORY_CLEAN_EOF},
        {OK_LINE "\r\nabc", "head 11 200 'OK' close shut 19\nbody abc\nthe answer ended early",
         0, STORY_DIRTY_EOF},
        {OK_LINE "\r\n", "head 11 200 'OK' close shut 19\ndone +0", 0, STORY_CLEAN_EOF},
        /* whole without the connection's help: how it ends does not matter */
        {OK_LINE "Content-Length: 1\r\n\r\na",
         "head 11 200 'OK' length 1 keep [Content-Length=1] 38\nbody a\ndone +0", 0,
         STORY_DIRTY_EOF},
    };

    (void)state;
    CHECK(rows);
}

static void test_h113_bytes_after_the_end_are_not_the_next_response(void **state)
{
    struct h1_parser_options options = h1_parser_options_default();
    struct span input =
        SPAN_LIT(OK_LINE "Content-Length: 1\r\n\r\naHTTP/1.1 200 Smuggled\r\n\r\n");
    struct h1_parser parser;
    struct h1_event event;

    (void)state;
    h1_parser_init(&parser, &options, RESPONSE_TO_OTHER);
    do {
        assert_int_equal(h1_parser_feed(&parser, &input, &event), 0);
        assert_true(!h1_parser_may_reuse(&parser, 0) || event.kind == H1_BODY ||
                    event.kind == H1_DONE);
    } while (event.kind != H1_DONE);
    assert_int_equal(input.len, 25);
    assert_false(h1_parser_may_reuse(&parser, input.len));
    assert_true(h1_parser_may_reuse(&parser, 0));
    assert_int_equal(h1_parser_feed(&parser, &input, &event), 0);
    assert_int_equal(event.kind, H1_DONE);
    assert_int_equal(input.len, 25);
    h1_parser_done(&parser);
}

static void test_ex01_an_endless_head_ends_at_its_limit_and_costs_little(void **state)
{
    struct h1_parser_options options = h1_parser_options_default();
    struct h1_parser parser;
    struct h1_event event;
    struct span input = SPAN_LIT(OK_LINE);
    size_t sent = 0;
    int r = 0;

    (void)state;
    h1_parser_init(&parser, &options, RESPONSE_TO_OTHER);
    while (r == 0 && sent < (size_t)1 << 20) {
        r = h1_parser_feed(&parser, &input, &event);
        /* 1,000 of them are shorter than the budget, so it is the budget that ends it. */
        static char field[1000];
        memset(field, 'v', sizeof(field));
        field[0] = 'X';
        field[1] = ':';
        field[sizeof(field) - 2] = '\r';
        field[sizeof(field) - 1] = '\n';
        input = (struct span){field, sizeof(field)};
        sent += sizeof(field);
    }
    assert_int_equal(r, H1_E_HEAD_LIMIT);
    assert_int_equal(h1_error_kind(r), FAILURE_LIMIT);
    assert_true(h1_parser_header_bytes(&parser) <= options.head_bytes_max);
    assert_true(parser.headers.arena_capacity + parser.lines.kept.capacity <= (size_t)1 << 20);
    assert_int_equal(h1_parser_feed(&parser, &input, &event), H1_E_HEAD_LIMIT);
    h1_parser_done(&parser);
}

static void test_ex02_an_endless_line_ends_at_its_limit(void **state)
{
    CLEANUP_BUF struct buf line = BUF_INIT(0);
    struct h1_parser_options options = h1_parser_options_default();

    (void)state;
    append_times(&line, OK_LINE "X: ", 1);
    append_times(&line, "0123456789abcdef", 4096);
    check_end(&line, options, "a line is too long");
    buf_clear(&line);
    append_times(&line, OK_LINE "X: ", 1); /* by folding */
    append_times(&line, "0123456789abcd\r\n ", 4096);
    check_end(&line, options, "a line is too long");
    buf_clear(&line);
    append_times(&line, "HTTP/1.1 200 ", 1);
    append_times(&line, "0123456789abcdef", 4096);
    check_end(&line, options, "a line is too long");

    /* at the limit, and one past it: "ABCD: e" with its line end */
    buf_clear(&line);
    append_times(&line, "HTTP/1.1 204\r\nABCDEFGH: ijkl\r\n\r\n", 1);
    options.line_bytes_max = 16;
    check_end(&line, options, "[ABCDEFGH=ijkl] 32\ndone +0");
    options.line_bytes_max = 15;
    check_end(&line, options, "a line is too long");
}

/* One connection, several owners: each exchange is held to its owner's limits. */
static void test_each_exchange_has_limits_of_its_own(void **state)
{
    static const char answer[] =
        "HTTP/1.1 204\r\nABCDEFGH: ijkl\r\nX: y\r\n\r\n"; /* 38 bytes */
    static const struct {
        struct head_limits limits;
        int outcome;
    } rows[] = {
        {{38, 16, 2}, H1_OK},
        {{37, 16, 2}, H1_E_HEAD_LIMIT},
        {HEAD_LIMITS_DEFAULT, H1_OK},
        {{38, 15, 2}, H1_E_LINE_LIMIT},
        {{38, 16, 1}, H1_E_FIELDS_LIMIT},
        {HEAD_LIMITS_DEFAULT, H1_OK},
    };
    struct h1_parser_options options = h1_parser_options_default();
    struct h1_parser parser;

    (void)state;
    h1_parser_init(&parser, &options, RESPONSE_TO_OTHER);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct span input = SPAN_LIT(answer);
        struct h1_event event;

        h1_parser_reset(&parser, RESPONSE_TO_OTHER);
        h1_parser_set_limits(&parser, &rows[i].limits);
        assert_int_equal(h1_parser_feed(&parser, &input, &event), rows[i].outcome);
        if (rows[i].outcome == H1_OK)
            assert_int_equal(event.kind, H1_HEAD);
    }
    h1_parser_done(&parser);
}

static void test_ex03_one_field_too_many_is_refused(void **state)
{
    CLEANUP_BUF struct buf head = BUF_INIT(0);

    (void)state;
    append_times(&head, "HTTP/1.1 204 No\r\n", 1);
    append_times(&head, "A: b\r\n", 1000);
    append_times(&head, "\r\n", 1);
    check_end(&head, h1_parser_options_default(), " 6019\ndone +0");
    buf_clear(&head);
    append_times(&head, "HTTP/1.1 204 No\r\n", 1);
    append_times(&head, "A: b\r\n", 1001);
    append_times(&head, "\r\n", 1);
    check_end(&head, h1_parser_options_default(), "too many fields");
}

static void test_a_connection_serves_one_exchange_after_another(void **state)
{
    struct h1_parser_options options = h1_parser_options_default();
    CLEANUP_BUF struct buf big = BUF_INIT(0);
    struct h1_parser parser;

    (void)state;
    append_times(&big, CHUNKED "1;x\r\na\r\n0\r\nT: ", 1);
    append_times(&big, "0123456789abcdef", 2000);
    append_times(&big, "\r\n\r\n", 1);
    h1_parser_init(&parser, &options, RESPONSE_TO_HEAD);
    for (int i = 0; i < 6; i++) {
        CLEANUP_BUF struct buf out = BUF_INIT(0);
        struct span head = SPAN_LIT(OK_LINE "A: b\n\r\n");
        struct story_input in = {.bytes = i % 2 ? buf_span(&big) : head,
                                 .cut = i < 4 ? STORY_BYTEWISE : STORY_WHOLE};

        story_tell(&parser, &in, &out);
        if (i % 2) {
            assert_true(span_starts_with(
                buf_span(&out), SPAN_LIT(CHUNKED_HEAD "body a\ntrailers [T=0123456789abcdef")));
            assert_true(span_ends_with(buf_span(&out), SPAN_LIT("]\ndone +0")));
            assert_true(h1_parser_may_reuse(&parser, 0));
        } else {
            assert_string_equal(buf_c_str(&out),
                                "head 11 200 'OK' none shut [A=b] 24\ndone +0");
            assert_false(h1_parser_may_reuse(&parser, 0));
        }
        h1_parser_reset(&parser, i % 2 ? RESPONSE_TO_HEAD : RESPONSE_TO_OTHER);
        assert_int_equal(h1_parser_header_bytes(&parser), 0);
        /* an idle connection holds little */
        assert_true(parser.lines.kept.capacity + parser.headers.arena_capacity +
                        parser.trailers.arena_capacity <
                    (size_t)32 * 1024);
    }
    h1_parser_done(&parser);
}

static void test_every_failed_allocation_fails_the_response_and_nothing_else(void **state)
{
    struct h1_parser_options options = h1_parser_options_default();
    struct span bytes = SPAN_LIT(CHUNKED "1\r\na\r\n0\r\nA: b\r\n c\r\n\r\n");
    unsigned failed = 0;

    (void)state;
    for (unsigned n = 1; n < 100; n++) {
        struct h1_parser parser;
        struct h1_event event = {0};
        struct span rest = bytes;
        int r = 0;

        h1_parser_init(&parser, &options, RESPONSE_TO_OTHER);
        mem_fail_at(n);
        for (size_t i = 0; i < bytes.len && r == 0; i++) {
            struct span piece = span_take(rest, 1);

            rest = span_drop(rest, 1);
            do
                r = h1_parser_feed(&parser, &piece, &event);
            while (r == 0 && event.kind != H1_NEED_MORE && event.kind != H1_DONE);
        }
        mem_fail_at(0);
        h1_parser_done(&parser);
        if (r == 0) {
            assert_int_equal(event.kind, H1_DONE);
            break;
        }
        assert_int_equal(r, -ENOMEM);
        failed++;
    }
    assert_in_range(failed, 3, 20);
}

static void test_every_error_has_a_text_and_a_class(void **state)
{
    (void)state;
    for (int error = 1; error < H1_ERROR_COUNT; error++) {
        assert_non_null(h1_error_text(error));
        assert_int_not_equal(h1_error_kind(error), FAILURE_NONE);
    }
    assert_int_equal(h1_error_kind(-ENOMEM), FAILURE_INTERNAL);
    assert_string_equal(h1_error_text(-ENOMEM), "internal error");
    assert_int_equal(h1_error_kind(H1_ERROR_COUNT), FAILURE_INTERNAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_h114_every_cut_of_every_response_tells_the_same_story),
        cmocka_unit_test(
            test_h114_a_limit_reached_within_the_version_is_the_same_error_however_cut),
        cmocka_unit_test(test_what_a_user_agent_may_be_lenient_about),
        cmocka_unit_test(test_h101_a_fold_joins_its_line_and_never_makes_a_field),
        cmocka_unit_test(test_h101_bad_field_lines_are_refused),
        cmocka_unit_test(test_h102_chunked_and_content_length_closes_the_connection),
        cmocka_unit_test(test_h103_bad_content_lengths_are_refused),
        cmocka_unit_test(test_h104_other_transfer_encodings_are_refused),
        cmocka_unit_test(test_h105_chunk_lines_are_read_to_the_letter),
        cmocka_unit_test(test_h106_chunk_extensions_are_paid_for_with_data),
        cmocka_unit_test(test_h107_trailers_cannot_say_what_belongs_in_the_head),
        cmocka_unit_test(test_h108_what_is_not_http_1_is_refused_at_once),
        cmocka_unit_test(test_h109_informational_heads_count_in_the_head_budget),
        cmocka_unit_test(test_h110_an_unasked_101_is_refused),
        cmocka_unit_test(test_h111_bodiless_responses_give_no_body_and_leave_its_bytes),
        cmocka_unit_test(test_h112_what_ends_early_is_truncated),
        cmocka_unit_test(test_h113_bytes_after_the_end_are_not_the_next_response),
        cmocka_unit_test(test_ex01_an_endless_head_ends_at_its_limit_and_costs_little),
        cmocka_unit_test(test_ex02_an_endless_line_ends_at_its_limit),
        cmocka_unit_test(test_each_exchange_has_limits_of_its_own),
        cmocka_unit_test(test_ex03_one_field_too_many_is_refused),
        cmocka_unit_test(test_a_connection_serves_one_exchange_after_another),
        cmocka_unit_test(test_every_failed_allocation_fails_the_response_and_nothing_else),
        cmocka_unit_test(test_every_error_has_a_text_and_a_class),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
