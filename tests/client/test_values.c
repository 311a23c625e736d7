/* SPDX-License-Identifier: MIT */
/* Request header rules, options, text of an answer: tables. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "support/peer.h"

static void test_header_fields_combine_replace_and_go(void **state)
{
    static const struct {
        const char *name;
        const char *value;
        int expected;
    } rows[] = {
        {"X-List", "one", 0},
        {"x-LIST", " two\t", 0},
        {"Cookie", "a=1", 0},
        {"cookie", "b=2", 0},
        {"User-Agent", "first", 0},
        {"user-agent", "second", 0},
        {"Accept", "text/html", 0},
        {"Accept", NULL, 0},
        {"X-Gone", "x", 0},
        {"X-Gone", NULL, 0},
        {"X-Gone", "back", 0},
        {"X-Empty", "", 0},
        {"Referer", NULL, 0},
        {"", "x", -EINVAL},
        {"Bad Name", "x", -EINVAL},
        {"Bad:", "x", -EINVAL},
        {"N\xc3\xa4me", "x", -EINVAL},
        {NULL, "x", -EINVAL},
        {"X", "a\r\nB: c", -EINVAL},
        {"X", "a\nb", -EINVAL},
        {"Host", "x", -EPERM},
        {"content-length", "1", -EPERM},
        {"Transfer-Encoding", "chunked", -EPERM},
        {"CONNECTION", "close", -EPERM},
        {"Keep-Alive", "1", -EPERM},
        {"Proxy-Connection", "close", -EPERM},
        {"TE", "trailers", -EPERM},
        {"Trailer", "x", -EPERM},
        {"Upgrade", NULL, -EPERM},
    };
    static const char *const expected[][2] = {{"X-List", "one, two"},
                                              {"Cookie", "a=1; b=2"},
                                              {"User-Agent", "second"},
                                              {"X-Gone", "back"},
                                              {"X-Empty", ""}};
    struct peer peer;
    struct record record = {0};
    const Xhrd__V1__OpenRequest *open;

    (void)state;
    peer_init(&peer, false);
    struct xhr_request *request = new_request(peer.client, &record, &record_callbacks);
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
        if (xhr_request_set_header(request, rows[i].name, rows[i].value) != rows[i].expected)
            fail_msg("row %zu: %s", i, rows[i].name ? rows[i].name : "NULL");
    assert_int_equal(xhr_request_send(request, NULL), 0);
    open = peer_expect(&peer, XHRD__V1__CLIENT_MESSAGE__KIND_OPEN)->open;
    assert_int_equal(open->n_headers, sizeof(expected) / sizeof(*expected));
    for (size_t i = 0; i < open->n_headers; i++) {
        assert_int_equal(open->headers[i]->name.len, strlen(expected[i][0]));
        assert_memory_equal(open->headers[i]->name.data, expected[i][0],
                            strlen(expected[i][0]));
        assert_int_equal(open->headers[i]->value.len, strlen(expected[i][1]));
        assert_memory_equal(open->headers[i]->value.data, expected[i][1],
                            strlen(expected[i][1]));
    }
    assert_int_equal(open->n_suppressed_headers, 2);
    assert_memory_equal(open->suppressed_headers[0].data, "Accept", 6);
    assert_memory_equal(open->suppressed_headers[1].data, "Referer", 7);
    xhr_request_free(request);
    peer_done(&peer);
}

static void test_methods_and_urls_are_judged_by_open(void **state)
{
    static const struct {
        const char *method;
        const char *url;
        int expected;
        const char *sent;
    } rows[] = {
        {"get", "http://a.test/", 0, "GET"},
        {"Post", "http://a.test/", 0, "POST"},
        {"patch", "http://a.test/", 0, "patch"},
        {"X-Own", "http://a.test/", 0, "X-Own"},
        {"", "http://a.test/", -EINVAL, NULL},
        {"GE T", "http://a.test/", -EINVAL, NULL},
        {"GET", "", -EINVAL, NULL},
        {NULL, "http://a.test/", -EINVAL, NULL},
        {"GET", NULL, -EINVAL, NULL},
    };
    struct peer peer;
    struct xhr_request *request = NULL;

    (void)state;
    peer_init(&peer, false);
    assert_int_equal(xhr_request_new(peer.client, &request), 0);
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        assert_int_equal(xhr_request_open(request, rows[i].method, rows[i].url, true),
                         rows[i].expected);
        if (rows[i].sent)
            assert_string_equal(xhr_request_method(request), rows[i].sent);
    }
    assert_int_equal(xhr_request_set_header(request, "A", "b"), 0);
    xhr_request_free(request);
    peer_done(&peer);
}

static void test_schemes_of_logins_travel(void **state)
{
    static const struct {
        struct xhr_request_options set;
        int taken;
        bool sent;
        Xhrd__V1__AuthScheme scheme;
    } rows[] = {
        {{.username = "u"}, 0, true, XHRD__V1__AUTH_SCHEME__AUTH_SCHEME_BASIC},
        {{.auth_scheme = XHR_AUTH_DIGEST, .username = "u", .password = "p"},
         0,
         true,
         XHRD__V1__AUTH_SCHEME__AUTH_SCHEME_DIGEST},
        {{.auth_scheme = XHR_AUTH_ANY}, 0, true, XHRD__V1__AUTH_SCHEME__AUTH_SCHEME_ANY},
        {{.auth_scheme = XHR_AUTH_BEARER, .bearer_token = "t"},
         0,
         true,
         XHRD__V1__AUTH_SCHEME__AUTH_SCHEME_BEARER},
        {{.auth_scheme = XHR_AUTH_BASIC}, 0, false, 0},
        {{.auth_scheme = (enum xhr_auth_scheme)4}, -EINVAL, false, 0},
        {{.auth_scheme = XHR_AUTH_BEARER}, -EINVAL, false, 0},
        {{.auth_scheme = XHR_AUTH_BEARER, .bearer_token = "t", .username = "u"},
         -EINVAL,
         false,
         0},
        {{.bearer_token = "t"}, -EINVAL, false, 0},
        {{.auth_scheme = XHR_AUTH_DIGEST, .username = "u", .preemptive_auth = true},
         -EINVAL,
         false,
         0},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct xhr_request_options options = rows[i].set;
        struct record record = {0};
        struct peer peer;

        options.size = sizeof(options);
        peer_init(&peer, false);
        struct xhr_request *request = new_request(peer.client, &record, &record_callbacks);
        assert_int_equal(xhr_request_set_options(request, &options), rows[i].taken);
        assert_int_equal(xhr_request_send(request, NULL), 0);
        const Xhrd__V1__OpenRequest *open =
            peer_expect(&peer, XHRD__V1__CLIENT_MESSAGE__KIND_OPEN)->open;
        assert_int_equal(open->credentials != NULL, rows[i].sent);
        if (rows[i].sent) {
            assert_int_equal(open->credentials->scheme, rows[i].scheme);
            assert_int_equal(open->credentials->bearer_token.len,
                             rows[i].set.bearer_token ? 1 : 0);
        }
        xhr_request_free(request);
        peer_done(&peer);
    }
}

static void assert_proxy(const Xhrd__V1__Proxy *proxy, const char *url)
{
    assert_int_equal(proxy != NULL, url != NULL);
    if (!url)
        return;
    assert_int_equal(proxy->url.len, strlen(url));
    assert_memory_equal(proxy->url.data, url, strlen(url));
}

static void test_proxies_travel_or_are_refused(void **state)
{
    static const struct {
        struct xhr_request_options set;
        int taken;
        bool sent;
        const char *http, *https;
        bool direct;
        size_t no_proxy_len;
    } rows[] = {
        {{.proxy = "p:1"}, 0, true, "p:1", "p:1", false, 0},
        {{.proxy = "p:1", .https_proxy = "q:1"}, 0, true, "p:1", "q:1", false, 0},
        {{.proxy = "p:1", .https_proxy = ""}, 0, true, "p:1", NULL, false, 0},
        {{.https_proxy = "q:1"}, 0, true, NULL, "q:1", false, 0},
        {{.proxy = "", .no_proxy = "x", .proxy_tunnel = true}, 0, true, NULL, NULL, true, 0},
        {{.proxy = "p:1", .no_proxy = "a,b"}, 0, true, "p:1", "p:1", false, 3},
        {{.no_proxy = "*"}, 0, true, NULL, NULL, false, 1}, /* of the daemon's */
        {{.no_proxy = ""}, 0, false, NULL, NULL, false, 0},
        {{.proxy = "p:1", .proxy_username = "u"}, 0, true, "p:1", "p:1", false, 0},
        {{.proxy_username = "u"}, -EINVAL, false, NULL, NULL, false, 0},
        {{.proxy = "", .proxy_username = "u"}, -EINVAL, false, NULL, NULL, false, 0},
        {{.proxy = "p:1", .proxy_password = "p"}, -EINVAL, false, NULL, NULL, false, 0},
        {{.proxy = "p:1", .proxy_auth_scheme = XHR_AUTH_BEARER},
         -EINVAL,
         false,
         NULL,
         NULL,
         false,
         0},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct xhr_request_options options = rows[i].set;
        struct record record = {0};
        struct peer peer;

        options.size = sizeof(options);
        peer_init(&peer, false);
        struct xhr_request *request = new_request(peer.client, &record, &record_callbacks);
        assert_int_equal(xhr_request_set_options(request, &options), rows[i].taken);
        assert_int_equal(xhr_request_send(request, NULL), 0);
        const Xhrd__V1__OpenRequest *open =
            peer_expect(&peer, XHRD__V1__CLIENT_MESSAGE__KIND_OPEN)->open;
        assert_int_equal(open->network != NULL, rows[i].sent);
        if (rows[i].sent) {
            const Xhrd__V1__ProxyOptions *proxies = open->network->proxy;

            assert_proxy(proxies->http, rows[i].http);
            assert_proxy(proxies->https, rows[i].https);
            assert_int_equal(proxies->direct, rows[i].direct);
            assert_int_equal(proxies->no_proxy.len, rows[i].no_proxy_len);
            if (rows[i].set.proxy_username)
                assert_int_equal(proxies->http->scheme,
                                 XHRD__V1__AUTH_SCHEME__AUTH_SCHEME_BASIC);
        }
        xhr_request_free(request);
        peer_done(&peer);
    }
}

static void test_options_travel(void **state)
{
    const char *const addresses[] = {"127.0.0.1", "::1"};
    const struct xhr_resolve resolve = {"a.test", 443, addresses, 2};
    const struct xhr_connect_to connect_to = {NULL, 0, "b.test", 8443};
    struct xhr_request_options options = {
        .size = sizeof(options),
        .timeout_ms = 1000,
        .timeout_idle_ms = XHR_NO_TIMEOUT,
        .timeout_for_resource_ms = 5000,
        .no_redirect = true,
        .redirects_max = XHR_NO_REDIRECTS,
        .username = "u",
        .password = "p",
        .preemptive_auth = true,
        .insecure = true,
        .ca_pem = "PEM",
        .ca_pem_len = 3,
        .jar = "work",
        .cookies = XHR_COOKIES_SEND_ONLY,
        .family = 6,
        .resolve = &resolve,
        .n_resolve = 1,
        .connect_to = &connect_to,
        .n_connect_to = 1,
        .raw = true,
        .no_keep_alive = true,
        .url_as_given = true,
        .sent_headers = true,
        .response_bytes_max = 99,
    };
    struct peer peer;
    struct record record = {0};
    const Xhrd__V1__OpenRequest *open;

    (void)state;
    peer_init(&peer, false);
    struct xhr_request *request = new_request(peer.client, &record, &record_callbacks);
    assert_int_equal(xhr_request_set_options(request, &options), 0);
    memset(&options, 0xff, sizeof(options)); /* copied */
    assert_int_equal(xhr_request_send(request, NULL), 0);
    open = peer_expect(&peer, XHRD__V1__CLIENT_MESSAGE__KIND_OPEN)->open;
    assert_int_equal(open->timeouts->connect_ms, 1000);
    assert_int_equal(open->timeouts->idle_case, XHRD__V1__TIMEOUTS__IDLE_IDLE_MS);
    assert_int_equal(open->timeouts->idle_ms, 0);
    assert_int_equal(open->timeouts->total_ms, 5000);
    assert_int_equal(open->redirect, XHRD__V1__REDIRECT_MODE__REDIRECT_MODE_STOP);
    assert_int_equal(open->redirects_case, XHRD__V1__OPEN_REQUEST__REDIRECTS_REDIRECTS_MAX);
    assert_int_equal(open->redirects_max, 0);
    assert_int_equal(open->credentials->scheme, XHRD__V1__AUTH_SCHEME__AUTH_SCHEME_BASIC);
    assert_int_equal(open->credentials->password.len, 1);
    assert_true(open->credentials->preemptive);
    assert_true(open->tls->insecure);
    assert_int_equal(open->tls->ca_pem.len, 3);
    assert_string_equal(open->jar, "work");
    assert_int_equal(open->cookies, XHRD__V1__COOKIE_MODE__COOKIE_MODE_SEND_ONLY);
    assert_int_equal(open->network->family, XHRD__V1__ADDRESS_FAMILY__ADDRESS_FAMILY_IPV6);
    assert_int_equal(open->network->resolve[0]->port, 443);
    assert_int_equal(open->network->resolve[0]->n_addresses, 2);
    assert_memory_equal(open->network->resolve[0]->addresses[1].data, "::1", 3);
    assert_int_equal(open->network->connect_to[0]->host.len, 0);
    assert_int_equal(open->network->connect_to[0]->to_port, 8443);
    assert_true(open->raw && open->no_keep_alive && open->url_as_given);
    assert_true(open->tell_sent_headers);
    assert_int_equal(open->response_bytes_max, 99);
    xhr_request_free(request);
    peer_done(&peer);
}

static void test_no_options_are_the_defaults_said_aloud(void **state)
{
    struct peer peer;
    struct record record = {0};
    const Xhrd__V1__OpenRequest *open;

    (void)state;
    peer_init(&peer, false);
    struct xhr_request *request = new_request(peer.client, &record, &record_callbacks);
    assert_int_equal(xhr_request_send(request, NULL), 0);
    open = peer_expect(&peer, XHRD__V1__CLIENT_MESSAGE__KIND_OPEN)->open;
    assert_int_equal(open->redirect, XHRD__V1__REDIRECT_MODE__REDIRECT_MODE_FOLLOW);
    assert_int_equal(open->redirects_case, 0);
    assert_int_equal(open->cookies, XHRD__V1__COOKIE_MODE__COOKIE_MODE_SEND_AND_STORE);
    assert_false(open->tell_sent_headers);
    assert_null(open->timeouts);
    assert_null(open->tls);
    assert_null(open->credentials);
    assert_null(open->network);
    assert_null(open->body);
    assert_null(open->response_fd);
    assert_string_equal(open->jar, "");
    xhr_request_free(request);
    peer_done(&peer);
}

static void test_options_outside_their_range_change_nothing(void **state)
{
    const struct xhr_resolve no_address = {"a.test", 443, NULL, 0};
    const struct {
        struct xhr_request_options options;
    } rows[] = {
        {{.size = 3}},
        {{.size = sizeof(struct xhr_request_options), .family = 5}},
        {{.size = sizeof(struct xhr_request_options), .cookies = (enum xhr_cookie_mode)3}},
        {{.size = sizeof(struct xhr_request_options), .password = "p"}},
        {{.size = sizeof(struct xhr_request_options), .ca_pem_len = 1}},
        {{.size = sizeof(struct xhr_request_options), .resolve = &no_address, .n_resolve = 1}},
    };
    struct {
        struct xhr_request_options known;
        char later;
    } longer = {.known = {.size = sizeof(longer)}};
    struct peer peer;
    struct xhr_request *request = NULL;

    (void)state;
    peer_init(&peer, false);
    assert_int_equal(xhr_request_new(peer.client, &request), 0);
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
        if (xhr_request_set_options(request, &rows[i].options) != -EINVAL)
            fail_msg("row %zu", i);
    assert_int_equal(xhr_request_set_options(request, &longer.known), 0);
    longer.later = 1; /* something that this version does not know, and is asked for */
    assert_int_equal(xhr_request_set_options(request, &longer.known), -EINVAL);
    xhr_request_free(request);
    peer_done(&peer);
}

/* A pipe that holds @len bytes and ends. Return: where it is read. */
static int pipe_of(size_t len, char with)
{
    char bytes[4096];
    int ends[2];

    memset(bytes, with, sizeof(bytes));
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(write(ends[1], bytes, len), len);
    close(ends[1]);
    return ends[0];
}

static void test_authorities_and_a_certificate_may_be_given_as_descriptors(void **state)
{
    struct xhr_request_options options = {.size = sizeof(options), .passphrase = "p"};
    struct record record = {0};
    struct peer peer;

    (void)state;
    peer_init(&peer, false);
    struct xhr_request *request = new_request(peer.client, &record, &record_callbacks);
    options.ca_fd = pipe_of(4000, 'a');
    options.client_certificate_fd = pipe_of(3000, 'c');
    assert_int_equal(xhr_request_set_options(request, &options), 0);
    close(options.ca_fd); /* ours still */
    close(options.client_certificate_fd);
    assert_int_equal(xhr_request_send(request, NULL), 0);
    const Xhrd__V1__TlsOptions *tls =
        peer_expect(&peer, XHRD__V1__CLIENT_MESSAGE__KIND_OPEN)->open->tls;
    assert_int_equal(tls->ca_pem.len, 4000);
    assert_int_equal(tls->ca_pem.data[3999], 'a');
    assert_int_equal(tls->client_certificate.len, 3000);
    assert_int_equal(tls->client_certificate.data[0], 'c');
    xhr_request_free(request);
    peer_done(&peer);
}

static void test_descriptors_that_hold_nothing_or_too_much_are_refused(void **state)
{
    struct xhr_request_options options = {.size = sizeof(options)};
    struct xhr_request *request = NULL;
    struct peer peer;

    (void)state;
    peer_init(&peer, false);
    assert_int_equal(xhr_request_new(peer.client, &request), 0);
    options.ca_fd = -1;
    assert_int_equal(xhr_request_set_options(request, &options), -EINVAL);
    options.ca_fd = pipe_of(0, 'a');
    assert_int_equal(xhr_request_set_options(request, &options), -ENODATA);
    options.ca_pem = "PEM";
    options.ca_pem_len = 3;
    assert_int_equal(xhr_request_set_options(request, &options), -EINVAL); /* which of them? */
    close(options.ca_fd);
    options = (struct xhr_request_options){.size = sizeof(options)};
    options.ca_fd = open("/dev/zero", O_RDONLY | O_CLOEXEC);
    assert_true(options.ca_fd > 0);
    assert_int_equal(xhr_request_set_options(request, &options), -EMSGSIZE);
    close(options.ca_fd);
    assert_int_equal(xhr_request_set_options(request, &options), -EBADF);
    xhr_request_free(request);
    peer_done(&peer);
}

static void test_client_options_are_checked(void **state)
{
    static const char *const bad[] = {"Upper", "a b", "0123456789abcdef0123456789abcdef",
                                      "../x"};
    struct xhr_client_options options = {.size = sizeof(options)};
    struct xhr_client *client = NULL;

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        options.profile = bad[i];
        assert_int_equal(xhr_client_new(&options, &client), -EINVAL);
    }
    options.profile = "work-1_x";
    assert_int_equal(xhr_client_new(&options, &client), 0);
    assert_int_equal(xhr_client_fd(client), -1);
    assert_int_equal(xhr_client_timeout_ms(client), -1);
    assert_null(xhr_client_daemon(client));
    xhr_client_free(client);
    assert_null(xhr_client_free(NULL));
    assert_null(xhr_request_free(NULL));
}

static void test_every_class_has_a_name_a_number_and_an_errno(void **state)
{
    (void)state;
    for (int kind = XHR_ERROR_ARGUMENT; kind <= XHR_ERROR_MEMORY; kind++) {
        struct xhr_error error = {.kind = (enum xhr_error_class)kind};

        if (kind > XHR_ERROR_INTERNAL && kind < XHR_ERROR_HTTP_STATUS &&
            strcmp(xhr_error_name(error.kind), "unknown") == 0)
            continue; /* a number nobody has taken yet */
        assert_string_not_equal(xhr_error_name(error.kind), "unknown");
        assert_true(xhr_error_errno(&error) < 0);
    }
    assert_string_equal(xhr_error_name((enum xhr_error_class)9999), "unknown");
    assert_string_equal(xhr_error_name(XHR_ERROR_TLS_STATUS), "tls-status");
    assert_string_equal(xhr_phase_name(XHR_PHASE_BODY), "body");
    assert_string_equal(xhr_from_cache_name(XHR_FROM_CACHE_NO), "");
    assert_string_equal(xhr_from_cache_name(XHR_FROM_CACHE_HIT), "hit");
    assert_string_equal(xhr_from_cache_name(XHR_FROM_CACHE_REVALIDATED), "revalidated");
    assert_string_equal(xhr_from_cache_name(XHR_FROM_CACHE_STALE), "stale");
    assert_string_equal(xhr_from_cache_name((enum xhr_from_cache)99), "");
    assert_string_equal(xhr_phase_name((enum xhr_phase)99), "unknown");
    assert_string_equal(xhr_ready_state_name(XHR_HEADERS_RECEIVED), "HEADERS_RECEIVED");
}

/* ---- text ---- */

struct text_row {
    const char *name;
    const char *type; /* Content-Type, NULL: none */
    const char *body;
    size_t len;
    const char *expected;
    const char *charset;
};
#define BYTES(literal) literal, sizeof(literal) - 1
#define LONG           "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
/* A page in Latin script, whose charset is in its head. */
#define PAGE(name, head, charset)                                                              \
    {                                                                                          \
        name, "text/html", BYTES(head "\xE4"), head "\xC3\xA4", charset                        \
    }
#define NOTHING_IN(name, head)                                                                 \
    {                                                                                          \
        name, "text/html", BYTES(head "\xE4"), head "\xEF\xBF\xBD", "UTF-8"                    \
    }

static const struct text_row text_rows[] = {
    {"plain", "text/plain", BYTES("hello"), "hello", "UTF-8"},
    {"empty", NULL, BYTES(""), "", "UTF-8"},
    {"utf-8 bom", "text/plain; charset=latin1", BYTES("\xEF\xBB\xBF\xC3\xA4"), "\xC3\xA4",
     "UTF-8"},
    {"utf-16 bom", NULL, BYTES("\xFF\xFE\xE4\x00\x3D\xD8\x00\xDE"), "\xC3\xA4\xF0\x9F\x98\x80",
     "UTF-16LE"},
    {"utf-16be bom", NULL, BYTES("\xFE\xFF\x00\xE4"), "\xC3\xA4", "UTF-16BE"},
    {"utf-16 lone", "text/plain; charset=utf-16", BYTES("\x00\xD8\x41\x00\x42"),
     "\xEF\xBF\xBD"
     "A\xEF\xBF\xBD",
     "UTF-16LE"},
    {"latin", "text/plain; charset=ISO-8859-1", BYTES("\xE4\x80"), "\xC3\xA4\xE2\x82\xAC",
     "windows-1252"},
    {"quoted", "text/plain; charset=\"us-ascii\"", BYTES("\xE4"), "\xC3\xA4", "windows-1252"},
    {"koi8", "text/plain;charset=koi8-r", BYTES("\xC1"), "\xD0\xB0", "KOI8-R"},
    {"shift_jis bad", "text/plain;charset=shift_jis", BYTES("a\x81"), "a\xEF\xBF\xBD",
     "Shift_JIS"},
    {"shift_jis", "text/plain;charset=x-sjis", BYTES("\x93\xFA\x87\x40\xB1"),
     "\xE6\x97\xA5\xE2\x91\xA0\xEF\xBD\xB1", "Shift_JIS"},
    {"euc-jp", "text/plain;charset=euc-jp", BYTES("\xC6\xFC"), "\xE6\x97\xA5", "EUC-JP"},
    {"iso-2022-jp", "text/plain;charset=iso-2022-jp", BYTES("\x1B$BF|\x1B(Bx"), "\xE6\x97\xA5x",
     "ISO-2022-JP"},
    {"gbk", "text/plain;charset=gb2312", BYTES("\xD6\xD0\x80"), "\xE4\xB8\xAD\xEF\xBF\xBD",
     "GBK"},
    {"gb18030", "text/plain;charset=gb18030", BYTES("\x94\x39\xDA\x33"), "\xF0\x9F\x92\xA9",
     "gb18030"},
    {"big5", "text/plain;charset=big5-hkscs", BYTES("\xA4\xA4"), "\xE4\xB8\xAD", "Big5"},
    {"euc-kr", "text/plain;charset=ks_c_5601-1987", BYTES("\xB0\xA1\x81\x41"),
     "\xEA\xB0\x80\xEA\xB0\x82", "EUC-KR"},
    {"table", "text/plain;charset=windows-1251", BYTES("\xCF\x98"), "\xD0\x9F\xC2\x98",
     "windows-1251"},
    {"hole in a table", "text/plain;charset=windows-1253", BYTES("\xAA\xC1"),
     "\xEF\xBF\xBD\xCE\x91", "windows-1253"},
    {"macintosh", "text/plain;charset=mac", BYTES("\xF0"), "\xEF\xA3\xBF", "macintosh"},
    {"user-defined", "text/plain;charset=x-user-defined", BYTES("a\x80\xFF"),
     "a\xEF\x9E\x80\xEF\x9F\xBF", "x-user-defined"},
    {"replacement", "text/plain;charset=iso-2022-kr", BYTES("abc"), "\xEF\xBF\xBD",
     "replacement"},
    {"replacement of nothing", "text/plain;charset=hz-gb-2312", BYTES(""), "", "replacement"},
    {"blanks around", "text/plain; charset=\" KOI8-R \"", BYTES("\xC1"), "\xD0\xB0", "KOI8-R"},
    {"escaped", "text/plain; charset=\"koi8\\-r\"", BYTES("\xC1"), "\xD0\xB0", "KOI8-R"},
    {"case", "text/plain; CharSet=KOI8-R; x=y", BYTES("\xC1"), "\xD0\xB0", "KOI8-R"},
    {"first one", "text/plain;charset=koi8-r;charset=utf-8", BYTES("\xC1"), "\xD0\xB0",
     "KOI8-R"},
    {"other parameter", "text/plain;xcharset=koi8-r; x=\";charset=koi8-r\"", BYTES("\xC3\xA4"),
     "\xC3\xA4", "UTF-8"},
    {"too long", "text/plain;charset=" LONG "koi8-r", BYTES("a"), "a", "UTF-8"},
    {"unheard of", "text/plain;charset=none-such", BYTES("a\xC3\xA4"), "a\xC3\xA4", "UTF-8"},
    {"html meta", "text/html", BYTES("<html><META charset='latin1'>\xE4"),
     "<html><META charset='latin1'>\xC3\xA4", "windows-1252"},
    PAGE("meta unquoted", "<meta charset=latin1>", "windows-1252"),
    PAGE("meta slash", "<meta/charset=latin1>", "windows-1252"),
    PAGE("meta late attribute", "<META name=x a b = 'c' charset = \"l1\" >", "windows-1252"),
    PAGE("meta pragma",
         "<meta content='text/html; charset=latin1' http-equiv=Content-Type>",
         "windows-1252"),
    PAGE("pragma unquoted",
         "<meta http-equiv=content-type content=a;charset=latin1;b>",
         "windows-1252"),
    PAGE("pragma quoted",
         "<meta http-equiv=content-type content='charset charset=\"latin1\"'>",
         "windows-1252"),
    PAGE("second meta", "<meta charset=none><meta charset=latin1>", "windows-1252"),
    PAGE("behind a comment",
         "<!-- <meta charset=koi8-r> --><meta charset=latin1>",
         "windows-1252"),
    PAGE("behind a short comment", "<!--><meta charset=latin1>", "windows-1252"),
    PAGE("behind a doctype",
         "<!DOCTYPE html><?x <meta ?><p x='<meta charset=koi8-r>'>"
         "<meta charset=latin1>",
         "windows-1252"),
    PAGE("user-defined is Latin", "<meta charset=x-user-defined>", "windows-1252"),
    PAGE("xml declaration in html", "<?xml encoding='latin1'?>", "windows-1252"),
    NOTHING_IN("no pragma", "<meta content='charset=latin1'>"),
    NOTHING_IN("pragma without an end",
               "<meta http-equiv=content-type content='charset=\"latin1'>"),
    NOTHING_IN("another element", "<metal charset=latin1><metacharset=latin1>"),
    NOTHING_IN("in a comment", "<!-- <meta charset=latin1>"),
    NOTHING_IN("in an attribute", "<p title='<meta charset=latin1>'>"),
    NOTHING_IN("cut", "<meta charset="),
    NOTHING_IN("nothing", "<meta"),
    NOTHING_IN("tag", "<"),
    {"utf-16 that can be read", "text/html", BYTES("<meta charset=utf-16>\xC3\xA4"),
     "<meta charset=utf-16>\xC3\xA4", "UTF-8"},
    {"xml with blanks", "image/svg+xml",
     BYTES("<?xml version='1.0' encoding = 'koi8-r' ?>\xC1"),
     "<?xml version='1.0' encoding = 'koi8-r' ?>\xD0\xB0", "KOI8-R"},
    {"xml behind its declaration", "text/xml", BYTES("<?xml version='1.0'?> encoding='latin1'"),
     "<?xml version='1.0'?> encoding='latin1'", "UTF-8"},
    {"no meta in xml", "text/xml", BYTES("<meta charset='latin1'/>\xC3\xA4"),
     "<meta charset='latin1'/>\xC3\xA4", "UTF-8"},
    {"meta is for html", "text/plain", BYTES("<meta charset=latin1>\xE4"),
     "<meta charset=latin1>\xEF\xBF\xBD", "UTF-8"},
    {"header over meta", "text/html; charset=utf-8", BYTES("<meta charset=latin1>\xC3\xA4"),
     "<meta charset=latin1>\xC3\xA4", "UTF-8"},
    {"xml", "application/xml", BYTES("<?xml version='1.0' encoding=\"latin1\"?>\xE4"),
     "<?xml version='1.0' encoding=\"latin1\"?>\xC3\xA4", "windows-1252"},
    {"maximal subparts", NULL, BYTES("a\xF1\x80\x80\xE1\x80\xC2z"),
     "a\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBDz", "UTF-8"},
    {"surrogate in utf-8", NULL, BYTES("\xED\xA0\x80"), "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD",
     "UTF-8"},
    {"overlong", NULL, BYTES("\xC0\xAF\xF4\x90"),
     "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD", "UTF-8"},
    {"cut", NULL, BYTES("x\xE2\x82"), "x\xEF\xBF\xBD", "UTF-8"},
};

static void answer_text(struct peer *peer, uint32_t id, const struct text_row *row)
{
    Xhrd__V1__ServerMessage message = XHRD__V1__SERVER_MESSAGE__INIT;
    Xhrd__V1__ResponseHead head = XHRD__V1__RESPONSE_HEAD__INIT;
    Xhrd__V1__Header header = XHRD__V1__HEADER__INIT;
    Xhrd__V1__Header *list = &header;

    if (row->type) {
        header.name = (ProtobufCBinaryData){12, (uint8_t *)(uintptr_t) "content-type"};
        header.value =
            (ProtobufCBinaryData){strlen(row->type), (uint8_t *)(uintptr_t)row->type};
        head.n_headers = 1;
        head.headers = &list;
    }
    head.request_id = id;
    head.status = 200;
    message.kind_case = XHRD__V1__SERVER_MESSAGE__KIND_HEAD;
    message.head = &head;
    peer_send(peer, &message);
    if (row->len > 0)
        peer_body(peer, id, row->body, row->len);
    peer_finish(peer, id, row->len);
    peer_turn(peer);
}

static void test_text_is_decoded_and_never_fails(void **state)
{
    struct peer peer;

    (void)state;
    peer_init(&peer, false);
    for (size_t i = 0; i < sizeof(text_rows) / sizeof(*text_rows); i++) {
        const struct text_row *row = &text_rows[i];
        struct record record = {0};
        struct xhr_request *request = new_request(peer.client, &record, &record_callbacks);
        size_t len = 0;

        assert_int_equal(xhr_request_send(request, NULL), 0);
        answer_text(&peer, peer_expect_open(&peer), row);
        if (strcmp(xhr_request_response_charset(request), row->charset) != 0)
            fail_msg("%s: %s", row->name, xhr_request_response_charset(request));
        const char *text = xhr_request_response_text(request, &len);
        if (len != strlen(row->expected) || strcmp(text, row->expected) != 0)
            fail_msg("%s: '%s'", row->name, text);
        assert_ptr_equal(xhr_request_response_text(request, NULL), text);
        assert_string_equal(xhr_request_response_charset(request), row->charset);
        xhr_request_free(request);
    }
    peer_done(&peer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_header_fields_combine_replace_and_go),
        cmocka_unit_test(test_methods_and_urls_are_judged_by_open),
        cmocka_unit_test(test_schemes_of_logins_travel),
        cmocka_unit_test(test_proxies_travel_or_are_refused),
        cmocka_unit_test(test_options_travel),
        cmocka_unit_test(test_no_options_are_the_defaults_said_aloud),
        cmocka_unit_test(test_options_outside_their_range_change_nothing),
        cmocka_unit_test(test_authorities_and_a_certificate_may_be_given_as_descriptors),
        cmocka_unit_test(test_descriptors_that_hold_nothing_or_too_much_are_refused),
        cmocka_unit_test(test_client_options_are_checked),
        cmocka_unit_test(test_every_class_has_a_name_a_number_and_an_errno),
        cmocka_unit_test(test_text_is_decoded_and_never_fails),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
