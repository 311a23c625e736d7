/* SPDX-License-Identifier: MIT */
/* Requests as a client sees them: every refusal of an OpenRequest, bodies, credit, quotas. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "net/io_pair.h"
#include "service/service.h"
#include "support/service_world.h"
#include "support/test.h"

#define OK_5 "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nHELLO"

static void test_a_request_is_told_in_the_order_of_the_wire(void **state)
{
    struct service_world world;
    struct fake_client client;
    Xhrd__V1__OpenRequest open;

    (void)state;
    service_world_init(&world);
    client_ready(&client, &world, 1000);
    open_message_init(&open, 7);
    open.url = pb_bytes("http://u:p@a.com/1#f");
    client_open(&client, &open);
    client_hears(&client);
    server_says(&world.net, "HTTP/1.1 302 Go\r\nLocation: http://x:y@a.com/2#g\r\n"
                            "Content-Length: 0\r\n\r\n");
    server_says(&world.net, "HTTP/1.1 200 Fine\r\nContent-Length: 5\r\nA: b\r\n\r\n");
    client_hears(&client);
    assert_int_equal(client.last->kind_case, XHRD__V1__SERVER_MESSAGE__KIND_READY_STATE);
    assert_string_equal(client.story, "state(7,1) redirected(7,302,http://a.com/2#g,GET) "
                                      "head(7,200) state(7,2) ");
    client_clear(&client);
    server_says(&world.net, "HELLO");
    client_hears(&client);
    assert_string_equal(client.story, "state(7,3) body(7,5) done(7,5) ");
    assert_int_equal(client.last->done->wire_bytes, 5);
    client_get(&client, 7); /* the number is free again */
    assert_string_equal(client.story, "state(7,3) body(7,5) done(7,5) ");
    client_done(&client);
    service_world_done(&world);
}

static void test_a_hop_is_told_before_the_redirect_without_its_login(void **state)
{
    struct service_world world;
    struct fake_client client;
    Xhrd__V1__OpenRequest open;

    (void)state;
    service_world_init(&world);
    client_ready(&client, &world, 1000);
    open_message_init(&open, 7);
    open.tell_hops = true;
    open.url = pb_bytes("http://a.com/1");
    client_open(&client, &open);
    client_hears(&client);
    client_clear(&client);
    server_says(&world.net, "HTTP/1.1 302 Go\r\nLocation: http://x:y@b.com/2\r\n"
                            "Content-Length: 0\r\n\r\n");
    client_hears(&client);
    assert_string_equal(client.story, "hop(7,302,2) redirected(7,302,http://b.com/2,GET) "
                                      "state(7,1) ");
    client_done(&client);
    service_world_done(&world);
}

static void test_a_head_tells_url_connection_and_what_was_sent_but_no_secret(void **state)
{
    struct service_world world;
    struct fake_client client;
    Xhrd__V1__OpenRequest open;
    Xhrd__V1__Header cookie = XHRD__V1__HEADER__INIT;
    Xhrd__V1__Header *headers[] = {&cookie};

    (void)state;
    service_world_init(&world);
    client_ready(&client, &world, 1000);
    open_message_init(&open, 1);
    open.url = pb_bytes("http://u:p@a.com/1#f");
    open.tell_sent_headers = true;
    cookie.name = pb_bytes("Cookie");
    cookie.value = pb_bytes("secret=1");
    open.headers = headers;
    open.n_headers = 1;
    client_open(&client, &open);
    client_hears(&client);
    server_says(&world.net, "HTTP/1.1 200 Fine\r\nContent-Length: 0\r\nA: b\r\n\r\n");
    client_hears(&client);
    assert_string_equal(client.sent, "Host;User-Agent;Accept;Accept-Encoding;");
    client_done(&client);
    service_world_done(&world);
}

/* ---- refusals -----------------------------------------------------------------------------
 */

static void no_method(Xhrd__V1__OpenRequest *open)
{
    open->method = pb_bytes("");
}

static void bad_method(Xhrd__V1__OpenRequest *open)
{
    open->method = pb_bytes("GET /x");
}

static void connect_method(Xhrd__V1__OpenRequest *open)
{
    open->method = pb_bytes("CONNECT");
}

static void bad_url(Xhrd__V1__OpenRequest *open)
{
    open->url = pb_bytes("http://[::1");
}

static void no_url(Xhrd__V1__OpenRequest *open)
{
    open->url = pb_bytes("");
}

static void file_url(Xhrd__V1__OpenRequest *open)
{
    open->url = pb_bytes("file:///etc/passwd");
}

static void url_not_as_given(Xhrd__V1__OpenRequest *open)
{
    open->url = pb_bytes("http://a.com/a b");
    open->url_as_given = true;
}

static void no_redirect_mode(Xhrd__V1__OpenRequest *open)
{
    open->redirect = XHRD__V1__REDIRECT_MODE__REDIRECT_MODE_UNSPECIFIED;
}

static void no_cookie_mode(Xhrd__V1__OpenRequest *open)
{
    open->cookies = XHRD__V1__COOKIE_MODE__COOKIE_MODE_UNSPECIFIED;
}

static void long_jar(Xhrd__V1__OpenRequest *open)
{
    static char name[] = "0123456789012345678901234567890123456789012345678901234567890123456";

    open->jar = name;
}

static void body_without_source(Xhrd__V1__OpenRequest *open)
{
    static Xhrd__V1__RequestBody body = XHRD__V1__REQUEST_BODY__INIT;

    open->body = &body;
}

static void fd_that_did_not_come(Xhrd__V1__OpenRequest *open)
{
    static Xhrd__V1__FdBody fd = XHRD__V1__FD_BODY__INIT;
    static Xhrd__V1__RequestBody body = XHRD__V1__REQUEST_BODY__INIT;

    body.source_case = XHRD__V1__REQUEST_BODY__SOURCE_FD;
    body.fd = &fd;
    open->body = &body;
}

static void response_fd_that_did_not_come(Xhrd__V1__OpenRequest *open)
{
    static Xhrd__V1__ResponseFd fd = XHRD__V1__RESPONSE_FD__INIT;

    open->response_fd = &fd;
}

static void with_header(Xhrd__V1__OpenRequest *open, const char *name, const char *value)
{
    static Xhrd__V1__Header header = XHRD__V1__HEADER__INIT;
    static Xhrd__V1__Header *headers[] = {&header};

    header.name = pb_bytes(name);
    header.value = pb_bytes(value);
    open->headers = headers;
    open->n_headers = 1;
}

static void header_name_with_blank(Xhrd__V1__OpenRequest *open)
{
    with_header(open, "A b", "x");
}

static void header_value_with_line_break(Xhrd__V1__OpenRequest *open)
{
    with_header(open, "A", "x\r\nB: y");
}

static void header_of_the_engine(Xhrd__V1__OpenRequest *open)
{
    with_header(open, "cOnTeNt-LeNgTh", "5");
}

static void host_left_out(Xhrd__V1__OpenRequest *open)
{
    static ProtobufCBinaryData names[1];

    names[0] = pb_bytes("Host");
    open->suppressed_headers = names;
    open->n_suppressed_headers = 1;
}

static void no_scheme_of_credentials(Xhrd__V1__OpenRequest *open)
{
    static Xhrd__V1__Credentials credentials = XHRD__V1__CREDENTIALS__INIT;

    open->credentials = &credentials;
}

static void user_with_colon(Xhrd__V1__OpenRequest *open)
{
    static Xhrd__V1__Credentials credentials = XHRD__V1__CREDENTIALS__INIT;

    credentials.scheme = XHRD__V1__AUTH_SCHEME__AUTH_SCHEME_BASIC;
    credentials.user = pb_bytes("a:b");
    open->credentials = &credentials;
}

static void with_connect_to(Xhrd__V1__OpenRequest *open, const char *host, uint32_t port)
{
    static Xhrd__V1__ConnectTo to = XHRD__V1__CONNECT_TO__INIT;
    static Xhrd__V1__ConnectTo *list[] = {&to};
    static Xhrd__V1__NetworkOptions network = XHRD__V1__NETWORK_OPTIONS__INIT;

    to.to_host = host ? pb_bytes(host) : (ProtobufCBinaryData){0};
    to.to_port = port;
    network.connect_to = list;
    network.n_connect_to = 1;
    open->network = &network;
}

static void connect_to_port_too_high(Xhrd__V1__OpenRequest *open)
{
    with_connect_to(open, NULL, 65536);
}

static void connect_to_no_host_name(Xhrd__V1__OpenRequest *open)
{
    with_connect_to(open, "a b", 0);
}

static void with_resolve(
    Xhrd__V1__OpenRequest *open, const char *host, uint32_t port, const char *address, size_t n)
{
    static Xhrd__V1__ResolveOverride resolve = XHRD__V1__RESOLVE_OVERRIDE__INIT;
    static Xhrd__V1__ResolveOverride *list[] = {&resolve};
    static Xhrd__V1__NetworkOptions network = XHRD__V1__NETWORK_OPTIONS__INIT;
    static ProtobufCBinaryData addresses[16];

    resolve.host = pb_bytes(host);
    resolve.port = port;
    for (size_t i = 0; i < n; i++)
        addresses[i] = pb_bytes(address);
    resolve.addresses = addresses;
    resolve.n_addresses = n;
    network.resolve = list;
    network.n_resolve = 1;
    open->network = &network;
}

static void resolve_without_address(Xhrd__V1__OpenRequest *open)
{
    with_resolve(open, "a.com", 80, "", 0);
}

static void resolve_with_nine_addresses(Xhrd__V1__OpenRequest *open)
{
    with_resolve(open, "a.com", 80, "::1", 9);
}

static void resolve_to_a_name(Xhrd__V1__OpenRequest *open)
{
    with_resolve(open, "a.com", 80, "b.com", 1);
}

static void resolve_without_port(Xhrd__V1__OpenRequest *open)
{
    with_resolve(open, "a.com", 0, "::1", 1);
}

static void
with_proxy(Xhrd__V1__OpenRequest *open, const char *url, Xhrd__V1__AuthScheme scheme)
{
    static Xhrd__V1__Proxy proxy = XHRD__V1__PROXY__INIT;
    static Xhrd__V1__ProxyOptions proxies = XHRD__V1__PROXY_OPTIONS__INIT;
    static Xhrd__V1__NetworkOptions network = XHRD__V1__NETWORK_OPTIONS__INIT;

    proxy.url = pb_bytes(url);
    proxy.scheme = scheme;
    proxies.http = &proxy;
    network.proxy = &proxies;
    open->network = &network;
}

static void proxy_of_no_scheme_we_have(Xhrd__V1__OpenRequest *open)
{
    with_proxy(open, "ftp://p:1", XHRD__V1__AUTH_SCHEME__AUTH_SCHEME_UNSPECIFIED);
}

static void proxy_with_bearer(Xhrd__V1__OpenRequest *open)
{
    with_proxy(open, "http://p:1", XHRD__V1__AUTH_SCHEME__AUTH_SCHEME_BEARER);
}

static void proxy_with_colon_in_user(Xhrd__V1__OpenRequest *open)
{
    with_proxy(open, "http://a%3Ab:c@p:1", XHRD__V1__AUTH_SCHEME__AUTH_SCHEME_UNSPECIFIED);
}

static const struct refusal {
    const char *name;
    void (*spoil)(Xhrd__V1__OpenRequest *open);
    const char *kind;
    const char *says; /* what would be right */
} refusals[] = {
    {"UR03", no_method, "argument", "wants 1 to"},
    {"UR03", bad_method, "argument", "wants 1 to"},
    {"UR03", connect_method, "argument", "CONNECT"},
    {"UR09", bad_url, "url", "http://[::1"},
    {"no URL", no_url, "url", ""},
    {"UR11", file_url, "policy", "http and https"},
    {"as given", url_not_as_given, "url", "http://a.com/a%20b"},
    {"redirect", no_redirect_mode, "argument", "REDIRECT_MODE_FOLLOW"},
    {"cookies", no_cookie_mode, "argument", "COOKIE_MODE"},
    {"jar", long_jar, "argument", "64"},
    {"body", body_without_source, "argument", "inline_bytes"},
    {"IP14", fd_that_did_not_come, "argument", "did not come along"},
    {"IP14", response_fd_that_did_not_come, "argument", "did not come along"},
    {"UR02", header_name_with_blank, "argument", "wants letters"},
    {"UR02", header_value_with_line_break, "argument", "line break"},
    {"UR13", header_of_the_engine, "argument", "engine's"},
    {"UR13", host_left_out, "argument", "Host"},
    {"credentials", no_scheme_of_credentials, "argument", "AUTH_SCHEME"},
    {"AU02", user_with_colon, "argument", ":"},
    {"connect-to", connect_to_port_too_high, "argument", "65535"},
    {"connect-to", connect_to_no_host_name, "argument", "host name"},
    {"proxy", proxy_of_no_scheme_we_have, "argument", "http, https, socks5"},
    {"proxy", proxy_with_bearer, "argument", "AUTH_SCHEME_BASIC"},
    {"proxy", proxy_with_colon_in_user, "argument", "':'"},
    {"resolve", resolve_without_address, "argument", "1 to 8"},
    {"resolve", resolve_with_nine_addresses, "argument", "1 to 8"},
    {"resolve", resolve_to_a_name, "argument", "127.0.0.1"},
    {"resolve", resolve_without_port, "argument", "65535"},
};

static void
test_ur02_ur03_ur11_ur13_what_is_wrong_is_told_with_what_would_be_right(void **state)
{
    struct service_world world;
    struct fake_client client;

    (void)state;
    service_world_init(&world);
    client_ready(&client, &world, 1000);
    for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
        Xhrd__V1__OpenRequest open;
        char story[64];

        client_clear(&client);
        open_message_init(&open, 1);
        refusals[i].spoil(&open);
        client_open(&client, &open);
        client_hears(&client);
        (void)snprintf(story, sizeof(story), "failed(1,%s) ", refusals[i].kind);
        assert_string_equal(client.story, story);
        if (!strstr(client.last_text, refusals[i].says))
            fail_msg("%s: \"%s\" does not say \"%s\"", refusals[i].name, client.last_text,
                     refusals[i].says);
        assert_false(client.is_over); /* the connection stays */
    }
    assert_int_equal(world.net.n_servers, 0);
    client_done(&client);
    service_world_done(&world);
}

static void test_overrides_may_leave_open_what_they_do_not_change(void **state)
{
    struct service_world world;
    struct fake_client client;
    Xhrd__V1__OpenRequest open;

    (void)state;
    service_world_init(&world);
    client_ready(&client, &world, 1000);
    open_message_init(&open, 1);
    with_connect_to(&open, NULL, 81); /* no bytes at all where there is no host */
    client_open(&client, &open);
    client_hears(&client);
    server_says(&world.net, OK_5);
    client_hears(&client);
    assert_non_null(strstr(client.story, "done(1,5) "));
    client_done(&client);
    service_world_done(&world);
}

static void test_numbers_of_requests_must_be_free_and_not_zero(void **state)
{
    for (int zero = 0; zero < 2; zero++) {
        struct service_world world;
        struct fake_client client;

        (void)state;
        service_world_init(&world);
        client_ready(&client, &world, 1000);
        if (!zero)
            client_get(&client, 3);
        client_clear(&client);
        client_get(&client, zero ? 0 : 3);
        assert_string_equal(client.story, "error(protocol) ");
        assert_true(client.is_over);
        client_done(&client);
        service_world_done(&world);
    }
}

/* ---- streamed bodies ----------------------------------------------------------------------
 */

static void open_stream(struct fake_client *client, uint32_t id, int64_t length)
{
    Xhrd__V1__OpenRequest open;
    Xhrd__V1__RequestBody body = XHRD__V1__REQUEST_BODY__INIT;
    Xhrd__V1__StreamBody stream = XHRD__V1__STREAM_BODY__INIT;

    open_message_init(&open, id);
    open.method = pb_bytes("POST");
    body.source_case = XHRD__V1__REQUEST_BODY__SOURCE_STREAM;
    body.stream = &stream;
    if (length >= 0) {
        stream.length_case = XHRD__V1__STREAM_BODY__LENGTH_LENGTH_BYTES;
        stream.length_bytes = (uint64_t)length;
    }
    open.body = &body;
    client_open(client, &open);
}

static void send_body(struct fake_client *client, uint32_t id, const char *bytes, size_t len)
{
    Xhrd__V1__ClientMessage message = XHRD__V1__CLIENT_MESSAGE__INIT;
    Xhrd__V1__BodyChunk chunk = XHRD__V1__BODY_CHUNK__INIT;

    chunk.request_id = id;
    chunk.data = (ProtobufCBinaryData){len, (uint8_t *)(uintptr_t)bytes};
    message.kind_case = XHRD__V1__CLIENT_MESSAGE__KIND_BODY;
    message.body = &chunk;
    client_tell(client, &message);
}

static void send_body_end(struct fake_client *client, uint32_t id)
{
    Xhrd__V1__ClientMessage message = XHRD__V1__CLIENT_MESSAGE__INIT;
    Xhrd__V1__BodyEnd end = XHRD__V1__BODY_END__INIT;

    end.request_id = id;
    message.kind_case = XHRD__V1__CLIENT_MESSAGE__KIND_BODY_END;
    message.body_end = &end;
    client_tell(client, &message);
}

static void send_abort(struct fake_client *client, uint32_t id)
{
    Xhrd__V1__ClientMessage message = XHRD__V1__CLIENT_MESSAGE__INIT;
    Xhrd__V1__AbortRequest abort_request = XHRD__V1__ABORT_REQUEST__INIT;

    abort_request.request_id = id;
    message.kind_case = XHRD__V1__CLIENT_MESSAGE__KIND_ABORT;
    message.abort = &abort_request;
    client_tell(client, &message);
}

static void send_credit(struct fake_client *client, uint32_t id, uint32_t bytes)
{
    Xhrd__V1__ClientMessage message = XHRD__V1__CLIENT_MESSAGE__INIT;
    Xhrd__V1__Credit credit = XHRD__V1__CREDIT__INIT;

    credit.request_id = id;
    credit.bytes = bytes;
    message.kind_case = XHRD__V1__CLIENT_MESSAGE__KIND_CREDIT;
    message.credit = &credit;
    client_tell(client, &message);
}

static void test_a_streamed_body_in_one_write_with_its_request(void **state)
{
    struct service_world world;
    struct fake_client client;

    (void)state;
    service_world_init(&world);
    client_ready(&client, &world, 1000);
    client.tell_progress = true;
    open_stream(&client, 1, 4);
    send_body(&client, 1, "bo", 2);
    send_body(&client, 1, "dy", 2);
    send_body_end(&client, 1);
    client_hears(&client);
    assert_non_null(strstr(server_hears(&world.net, world_server(&world.net)), "\r\n\r\nbody"));
    server_says(&world.net, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    client_hears(&client);
    assert_non_null(strstr(client.story, "up(1,4) head(1,200) state(1,2) done(1,0) "));
    assert_int_equal(client.credit, 4);
    client_done(&client);
    service_world_done(&world);
}

static void test_lb02_a_body_that_is_not_as_announced_fails_and_hangs_up(void **state)
{
    for (int too_many = 0; too_many < 2; too_many++) {
        struct service_world world;
        struct fake_client client;

        (void)state;
        service_world_init(&world);
        client_ready(&client, &world, 1000);
        open_stream(&client, 1, 4);
        send_body(&client, 1, "abc", 3);
        client_clear(&client);
        if (too_many)
            send_body(&client, 1, "de", 2);
        else
            send_body_end(&client, 1);
        client_hears(&client);
        assert_string_equal(client.story, "failed(1,body-read) ");
        (void)server_hears(&world.net, world_server(&world.net));
        assert_true(world_server(&world.net)->is_over);
        client_done(&client);
        service_world_done(&world);
    }
}

static void test_more_body_than_there_is_credit_for_fails(void **state)
{
    static char bytes[65537];
    struct service_world world;
    struct fake_client client;

    (void)state;
    service_world_init(&world);
    world.net.hold_connects = true;
    client_ready(&client, &world, 1000);
    open_stream(&client, 1, -1);
    client_clear(&client);
    send_body(&client, 1, bytes, sizeof(bytes));
    client_hears(&client);
    assert_string_equal(client.story, "failed(1,body-read) ");
    client_done(&client);
    service_world_done(&world);
}

static void test_what_crosses_the_end_of_a_request_is_ignored(void **state)
{
    struct service_world world;
    struct fake_client client;

    (void)state;
    service_world_init(&world);
    client_ready(&client, &world, 1000);
    open_stream(&client, 1, -1);
    client_hears(&client);
    server_says(&world.net, "HTTP/1.1 413 Big\r\nContent-Length: 0\r\n\r\n");
    client_clear(&client);
    send_body(&client, 1, "late", 4);
    send_credit(&client, 1, 100);
    send_body_end(&client, 1);
    send_abort(&client, 1);
    client_hears(&client);
    assert_string_equal(client.story, "");
    assert_false(client.is_over);
    client_done(&client);
    service_world_done(&world);
}

static void test_body_messages_for_a_request_without_a_streamed_body_fail_it(void **state)
{
    for (int end = 0; end < 2; end++) {
        struct service_world world;
        struct fake_client client;

        (void)state;
        service_world_init(&world);
        client_ready(&client, &world, 1000);
        client_get(&client, 1);
        client_clear(&client);
        if (end)
            send_body_end(&client, 1);
        else
            send_body(&client, 1, "x", 1);
        client_hears(&client);
        assert_string_equal(client.story, "failed(1,body-read) ");
        client_done(&client);
        service_world_done(&world);
    }
}

static void test_a_stream_whose_client_closed_its_writing_half_fails(void **state)
{
    struct service_world world;
    struct fake_client client;

    (void)state;
    service_world_init(&world);
    client_ready(&client, &world, 1000);
    open_stream(&client, 1, -1);
    send_body(&client, 1, "part", 4);
    client_clear(&client);
    assert_int_equal(shutdown(client.fd, SHUT_WR), 0);
    client_hears(&client);
    assert_string_equal(client.story, "failed(1,body-read) ");
    assert_true(client.is_over);
    client_done(&client);
    service_world_done(&world);
}

/* ---- abort --------------------------------------------------------------------------------
 */

static void test_abort_is_answered_once_and_races_with_nothing(void **state)
{
    struct service_world world;
    struct fake_client client;

    (void)state;
    service_world_init(&world);
    client_ready(&client, &world, 1000);
    client_get(&client, 1);
    client_clear(&client);
    send_abort(&client, 1);
    send_abort(&client, 1);
    client_hears(&client);
    assert_string_equal(client.story, "failed(1,aborted) ");
    client_clear(&client);

    Xhrd__V1__OpenRequest open; /* in one read with its own open */
    open_message_init(&open, 2);
    client_open(&client, &open);
    send_abort(&client, 2);
    client_hears(&client);
    assert_string_equal(client.story, "failed(2,aborted) ");
    client_clear(&client);

    open_message_init(&open, 3); /* in one round with the whole answer */
    client_open(&client, &open);
    client_hears(&client);
    client_clear(&client);
    struct iovec piece = io_piece(span_of(OK_5));
    assert_true(io_writev(world_server(&world.net)->io, &piece, 1) > 0);
    send_abort(&client, 3);
    client_hears(&client);
    size_t len = strlen(client.story);
    assert_true(len > 0);
    const char *first = strstr(client.story, "(3,");
    assert_non_null(first);
    int ends =
        (strstr(client.story, "done(3") != NULL) + (strstr(client.story, "failed(3") != NULL);
    assert_int_equal(ends, 1);
    client_done(&client);
    service_world_done(&world);
}

/* ---- credit and congestion ----------------------------------------------------------------
 */

static void test_a_body_waits_for_credit(void **state)
{
    struct service_world world;
    struct fake_client client;
    Xhrd__V1__OpenRequest open;

    (void)state;
    service_world_init(&world);
    client_ready(&client, &world, 1000);
    open_message_init(&open, 1);
    open.response_credit_bytes = 0;
    client_open(&client, &open);
    client_hears(&client);
    server_says(&world.net, OK_5);
    client_clear(&client);
    assert_int_equal(client.body_bytes, 0);
    send_credit(&client, 1, 2);
    client_hears(&client);
    assert_string_equal(client.story, "state(1,3) body(1,2) ");
    send_credit(&client, 1, UINT32_MAX);
    client_hears(&client);
    assert_string_equal(client.story, "state(1,3) body(1,2) body(1,3) done(1,5) ");
    client_done(&client);
    service_world_done(&world);
}

static void
test_ip05_a_client_that_does_not_read_halts_its_servers_and_nobody_elses(void **state)
{
    static char body[4 << 20];
    struct service_world world;
    struct fake_client slow;
    struct fake_client quick;
    Xhrd__V1__OpenRequest open;
    char head[64];

    (void)state;
    service_world_init(&world);
    client_ready(&slow, &world, 1000);
    client_ready(&quick, &world, 1000);
    open_message_init(&open, 1);
    open.response_credit_bytes = UINT32_MAX;
    client_open(&slow, &open);
    world_turn(&world.net);
    struct fake_server *server = world_server(&world.net);
    (void)snprintf(head, sizeof(head), "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n",
                   sizeof(body));
    (void)server_says_bytes(&world.net, server, span_of(head));
    size_t said = server_says_bytes(&world.net, server, (struct span){body, sizeof(body)});
    assert_true(said <
                1600000); /* kernel 233 KB, queue 512 KiB, the pair's 256 KiB, one read */
    client_get(&quick, 1);
    server_says(&world.net, OK_5);
    client_hears(&quick);
    assert_non_null(strstr(quick.story, "done(1,5) "));
    world_pass_ms(&world.net, 3600000);
    while (slow.body_bytes < sizeof(body)) { /* it reads after all */
        size_t before = slow.body_bytes;

        slow.story_len = 0;
        client_hears(&slow);
        said += server_says_bytes(&world.net, server,
                                  span_drop((struct span){body, sizeof(body)}, said));
        assert_true(slow.body_bytes > before || said == sizeof(body));
    }
    client_hears(&slow);
    assert_non_null(strstr(slow.story, "done(1,4194304) "));
    client_done(&slow);
    client_done(&quick);
    service_world_done(&world);
}

/* ---- quotas -------------------------------------------------------------------------------
 */

static void test_ip20_one_request_too_many_fails_and_the_connection_stays(void **state)
{
    struct service_world world;
    struct fake_client client;
    struct fake_client other;

    (void)state;
    service_world_init(&world);
    world.options.limits.max[QUOTA_REQUESTS] = 2;
    service_world_restart(&world);
    client_ready(&client, &world, 1000);
    client_ready(&other, &world, 1000);
    client_get(&client, 1);
    client_get(&other, 1);
    client_clear(&client);
    client_get(&client, 2);
    assert_string_equal(client.story, "failed(2,quota) ");
    send_abort(&client, 1);
    client_clear(&client);
    client_get(&client, 3);
    assert_string_equal(client.story, "state(3,1) ");
    client_done(&client);
    client_done(&other);
    service_world_done(&world);
}

static void test_a_wait_wakes_no_client_before_some_milliseconds_have_passed(void **state)
{
    struct service_world world;
    struct fake_client client;

    (void)state;
    service_world_init(&world);
    world.net.hold_connects = true;
    world.options.session.linger_us = session_options_default().linger_us;
    service_world_restart(&world);
    client_ready(&client, &world, 1000);
    client_get(&client, 1);
    client_hears(&client);
    assert_string_equal(client.story, "");
    fake_clock_advance_ms(&world.net.clock, 5);
    client_hears(&client);
    assert_string_equal(client.story, "state(1,1) ");
    client_get(&client, 2); /* and in its place when something else is told */
    send_abort(&client, 2);
    client_hears(&client);
    assert_string_equal(client.story, "state(1,1) state(2,1) failed(2,aborted) ");
    client_done(&client);
    service_world_done(&world);
}

static void test_ip20_bodies_held_for_a_user_are_bounded(void **state)
{
    static char bytes[300000];
    struct service_world world;
    struct fake_client client;
    Xhrd__V1__OpenRequest open;
    Xhrd__V1__RequestBody body = XHRD__V1__REQUEST_BODY__INIT;

    (void)state;
    service_world_init(&world);
    world.net.hold_connects = true;
    world.options.limits.max[QUOTA_BYTES] = 1000000;
    service_world_restart(&world);
    client_ready(&client, &world, 1000);
    body.source_case = XHRD__V1__REQUEST_BODY__SOURCE_INLINE_BYTES;
    body.inline_bytes = (ProtobufCBinaryData){sizeof(bytes), (uint8_t *)bytes};
    for (uint32_t id = 1; id <= 3; id++) {
        open_message_init(&open, id);
        open.method = pb_bytes("PUT");
        open.body = &body;
        client_open(&client, &open);
        client_hears(&client);
    }
    assert_string_equal(client.story, "state(1,1) state(2,1) failed(3,quota) ");
    assert_false(client.is_over);
    send_abort(&client, 1);
    client_clear(&client);
    open_message_init(&open, 4);
    open.method = pb_bytes("PUT");
    open.body = &body;
    client_open(&client, &open);
    client_hears(&client);
    assert_string_equal(client.story, "state(4,1) ");
    client_done(&client);
    service_world_done(&world);
}

static void open_into_fd(struct fake_client *client, uint32_t id, int fd)
{
    Xhrd__V1__ClientMessage message = XHRD__V1__CLIENT_MESSAGE__INIT;
    Xhrd__V1__OpenRequest open;
    Xhrd__V1__ResponseFd response_fd = XHRD__V1__RESPONSE_FD__INIT;
    CLEANUP_BUF struct buf frame = BUF_INIT(0);

    open_message_init(&open, id);
    open.response_fd = &response_fd;
    message.kind_case = XHRD__V1__CLIENT_MESSAGE__KIND_OPEN;
    message.open = &open;
    frame_message(&frame, &message);
    client_send_with_fds(client, frame.storage, frame.len, &fd, 1);
}

static void
test_ip20_descriptors_held_for_a_user_are_bounded_until_the_request_ends(void **state)
{
    struct service_world world;
    struct fake_client client;
    int fd = memfd_create("answer", MFD_CLOEXEC);
    int before = count_fds();

    (void)state;
    service_world_init(&world);
    world.options.limits.max[QUOTA_FDS] = 2;
    service_world_restart(&world);
    client_ready(&client, &world, 1000);
    for (uint32_t id = 1; id <= 3; id++) {
        open_into_fd(&client, id, fd);
        client_hears(&client);
    }
    assert_non_null(strstr(client.story, "failed(3,quota) "));
    assert_false(client.is_over);
    send_abort(&client, 1);
    client_clear(&client);
    open_into_fd(&client, 4, fd);
    client_hears(&client);
    assert_null(strstr(client.story, "failed"));
    server_says(&world.net, OK_5);
    world_settle_files(&world.net);
    client_hears(&client);
    assert_non_null(strstr(client.story, "done(4,5) "));
    assert_null(strstr(client.story, "body("));
    client_done(&client);
    service_world_done(&world);
    assert_int_equal(count_fds(), before);
    close(fd);
}

static void
body_to_fd(struct fake_client *client, uint32_t id, const Xhrd__V1__ResponseFd *to, int fd)
{
    Xhrd__V1__ClientMessage message = XHRD__V1__CLIENT_MESSAGE__INIT;
    Xhrd__V1__BodyToFd body_to_fd = XHRD__V1__BODY_TO_FD__INIT;
    Xhrd__V1__ResponseFd copy = XHRD__V1__RESPONSE_FD__INIT;
    CLEANUP_BUF struct buf frame = BUF_INIT(0);

    if (to) {
        copy = *to;
        body_to_fd.to = &copy;
    }
    body_to_fd.request_id = id;
    message.kind_case = XHRD__V1__CLIENT_MESSAGE__KIND_BODY_TO_FD;
    message.body_to_fd = &body_to_fd;
    frame_message(&frame, &message);
    client_send_with_fds(client, frame.storage, frame.len, &fd, fd >= 0);
}

static void test_cd02_a_descriptor_may_come_when_the_head_is_known(void **state)
{
    struct service_world world;
    struct fake_client client;
    Xhrd__V1__OpenRequest open;
    Xhrd__V1__ResponseFd to = XHRD__V1__RESPONSE_FD__INIT;
    int fd = memfd_create("answer", MFD_CLOEXEC);
    int before = count_fds();
    char got[16] = "";

    (void)state;
    service_world_init(&world);
    client_ready(&client, &world, 1000);
    to.offset = 2;
    to.sync = true;
    open_message_init(&open, 1);
    open.response_credit_bytes = 0;
    client_open(&client, &open);
    client_hears(&client);
    server_says(&world.net, OK_5);
    client_hears(&client);
    assert_null(strstr(client.story, "body("));
    body_to_fd(&client, 7, &to, fd); /* of a request that is over: closed */
    body_to_fd(&client, 1, &to, fd);
    world_settle_files(&world.net);
    client_hears(&client);
    assert_non_null(strstr(client.story, "done(1,5) "));
    assert_null(strstr(client.story, "body("));
    assert_int_equal(pread(fd, got, sizeof(got), 0), 7);
    assert_memory_equal(got, "\0\0HELLO", 7);

    client_clear(&client);
    open_message_init(&open, 2);
    open.response_credit_bytes = 0;
    client_open(&client, &open);
    client_hears(&client);
    server_says(&world.net, OK_5);
    client_hears(&client);
    body_to_fd(&client, 2, &to, -1); /* none came along */
    client_hears(&client);
    assert_non_null(strstr(client.story, "failed(2,argument) "));
    body_to_fd(&client, 2, NULL, -1);
    client_hears(&client);
    assert_true(client.is_over);
    client_done(&client);
    service_world_done(&world);
    assert_int_equal(count_fds(), before);
    close(fd);
}

static void test_ip14_descriptors_of_the_wrong_sort_are_refused_and_closed(void **state)
{
    struct service_world world;
    struct fake_client client;
    int before = count_fds();

    (void)state;
    service_world_init(&world);
    client_ready(&client, &world, 1000);
    int fds[] = {open("/tmp", O_RDONLY | O_DIRECTORY), open("/etc/passwd", O_RDONLY),
                 open("/tmp", O_PATH), open("/dev/zero", O_WRONLY),
                 socket(AF_UNIX, SOCK_STREAM, 0)};
    for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++) {
        client_clear(&client);
        assert_true(fds[i] >= 0);
        open_into_fd(&client, 1, fds[i]);
        close(fds[i]);
        client_hears(&client);
        assert_string_equal(client.story, "failed(1,argument) ");
        assert_non_null(strstr(client.last_text, "connected stream socket, open for writing"));
    }
    client_done(&client);
    service_world_done(&world);
    assert_int_equal(count_fds(), before);
}

static void test_ip13_a_descriptor_that_no_message_names_ends_the_session(void **state)
{
    struct service_world world;
    struct fake_client client;
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    int before = count_fds();

    (void)state;
    service_world_init(&world);
    client_ready(&client, &world, 1000);
    client_send_with_fds(&client, "\x06\x42\x04\x08\x01\x10\x01", 7, &null, 1);
    client_hears(&client);
    assert_string_equal(client.story, "admin(1) error(limit) ");
    client_done(&client);
    service_world_done(&world);
    assert_int_equal(count_fds(), before);
    close(null);
}

/* ---- memory -------------------------------------------------------------------------------
 */

static void test_every_failing_allocation_fails_one_request_at_most(void **state)
{
    int before = count_fds();
    uint64_t n;

    (void)state;
    for (n = 1; n < 400; n++) {
        struct service_world world;
        struct fake_client client;
        Xhrd__V1__ClientMessage message = XHRD__V1__CLIENT_MESSAGE__INIT;
        Xhrd__V1__OpenRequest open;
        CLEANUP_BUF struct buf frame = BUF_INIT(0);

        service_world_init(&world);
        client_ready(&client, &world, 1000);
        open_message_init(&open, 1);
        open.tell_sent_headers = true;
        message.kind_case = XHRD__V1__CLIENT_MESSAGE__KIND_OPEN;
        message.open = &open;
        frame_message(&frame, &message);
        mem_fail_at(n);
        client_send_bytes(&client, frame.storage, frame.len);
        world_turn(&world.net);
        static const char answer[] =
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nA: 1\r\nB: 2\r\n\r\nHELLO";
        size_t said =
            world.net.n_servers > 0
                ? server_says_bytes(&world.net, world_server(&world.net), span_of(answer))
                : 0;
        bool ran_out = mem_alloc_count() >= n;
        mem_fail_at(0);
        if (said == 0 && world.net.n_servers > 0) /* it was the server's memory */
            world_server(&world.net)->io = io_close(world_server(&world.net)->io);
        client_hears(&client);
        assert_int_equal((strstr(client.story, "done(1,5)") != NULL) +
                             (strstr(client.story, "failed(1,") != NULL) + client.is_over,
                         1); /* one end, or none because the client had to go */
        client_done(&client);
        service_world_done(&world);
        if (!ran_out)
            break;
    }
    assert_true(n > 10 && n < 399);
    assert_int_equal(count_fds(), before);
}

/* ---- questions ----------------------------------------------------------------------------
 */

static void client_answer(struct fake_client *client, Xhrd__V1__Answer *answer)
{
    Xhrd__V1__ClientMessage message = XHRD__V1__CLIENT_MESSAGE__INIT;

    message.kind_case = XHRD__V1__CLIENT_MESSAGE__KIND_ANSWER;
    message.answer = answer;
    client_tell(client, &message);
    client_hears(client);
}

static void test_a_client_that_wants_to_be_asked_is_and_its_answer_counts(void **state)
{
    struct service_world world;
    struct fake_client client;
    Xhrd__V1__OpenRequest open;
    Xhrd__V1__RedirectOptions redirects = XHRD__V1__REDIRECT_OPTIONS__INIT;
    Xhrd__V1__Answer follow = XHRD__V1__ANSWER__INIT;
    Xhrd__V1__Answer login = XHRD__V1__ANSWER__INIT;
    Xhrd__V1__ChallengeAnswer said = XHRD__V1__CHALLENGE_ANSWER__INIT;

    (void)state;
    service_world_init(&world);
    client_ready(&client, &world, 1000);
    open_message_init(&open, 1);
    redirects.ask = true;
    open.redirect_options = &redirects;
    open.ask_challenges = true;
    client_open(&client, &open);
    client_hears(&client);
    server_says(&world.net, "HTTP/1.1 302 Go\r\nLocation: /2\r\nContent-Length: 0\r\n\r\n");
    client_hears(&client);
    assert_string_equal(client.story, "state(1,1) redirect(1,302,http://a.com/2,GET) ");
    client_clear(&client);
    follow.request_id = login.request_id = 1;
    follow.what_case = XHRD__V1__ANSWER__WHAT_FOLLOW;
    follow.follow = true;
    client_answer(&client, &follow);
    server_says(&world.net, "HTTP/1.1 401 No\r\nContent-Length: 0\r\n"
                            "WWW-Authenticate: Basic realm=r\r\n\r\n");
    client_hears(&client);
    assert_string_equal(client.story, "state(1,1) challenge(1,1,http://a.com,Basic:r) ");
    client_clear(&client);
    login.what_case = XHRD__V1__ANSWER__WHAT_CHALLENGE;
    login.challenge = &said;
    said.user = pb_bytes("u");
    said.password = pb_bytes("p");
    client_answer(&client, &login);
    assert_non_null(strstr(server_hears(&world.net, world_server(&world.net)), "Basic dTpw"));
    server_says(&world.net, OK_5);
    client_hears(&client);
    assert_string_equal(client.story, "head(1,200) state(1,2) state(1,3) body(1,5) done(1,5) ");
    client_answer(&client, &follow); /* it crossed the end */
    assert_false(client.is_over);
    client_done(&client);
    service_world_done(&world);
}

static void test_answers_to_what_was_not_asked_fail_the_request(void **state)
{
    struct service_world world;
    struct fake_client client;

    (void)state;
    service_world_init(&world);
    client_ready(&client, &world, 1000);
    for (uint32_t i = 1; i <= 4; i++) {
        Xhrd__V1__Answer answer = XHRD__V1__ANSWER__INIT;
        Xhrd__V1__ChallengeAnswer said = XHRD__V1__CHALLENGE_ANSWER__INIT;

        client_clear(&client);
        client_get(&client, i);
        answer.request_id = i;
        answer.challenge = &said;
        answer.what_case = i == 1   ? XHRD__V1__ANSWER__WHAT_FOLLOW
                           : i == 2 ? XHRD__V1__ANSWER__WHAT_CHALLENGE
                           : i == 3 ? XHRD__V1__ANSWER__WHAT_REWOUND
                                    : XHRD__V1__ANSWER__WHAT__NOT_SET;
        client_answer(&client, &answer);
        assert_non_null(strstr(client.story, i < 4 ? "argument" : "error(protocol)"));
    }
    client_done(&client);
    service_world_done(&world);
}

static void test_au02_a_login_that_cannot_be_sent_fails_the_request(void **state)
{
    struct service_world world;
    struct fake_client client;
    Xhrd__V1__OpenRequest open;
    Xhrd__V1__Answer answer = XHRD__V1__ANSWER__INIT;
    Xhrd__V1__ChallengeAnswer said = XHRD__V1__CHALLENGE_ANSWER__INIT;

    (void)state;
    service_world_init(&world);
    client_ready(&client, &world, 1000);
    open_message_init(&open, 1);
    open.ask_challenges = true;
    client_open(&client, &open);
    client_hears(&client);
    server_says(&world.net, "HTTP/1.1 401 No\r\nContent-Length: 0\r\n"
                            "WWW-Authenticate: Basic realm=r\r\n\r\n");
    answer.request_id = 1;
    answer.what_case = XHRD__V1__ANSWER__WHAT_CHALLENGE;
    answer.challenge = &said;
    said.user = pb_bytes("a:b");
    client_answer(&client, &answer);
    assert_non_null(strstr(client.story, "failed(1,argument)"));
    assert_non_null(strstr(client.last_text, "':'"));
    client_done(&client);
    service_world_done(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_request_is_told_in_the_order_of_the_wire),
        cmocka_unit_test(test_a_hop_is_told_before_the_redirect_without_its_login),
        cmocka_unit_test(test_a_head_tells_url_connection_and_what_was_sent_but_no_secret),
        cmocka_unit_test(
            test_ur02_ur03_ur11_ur13_what_is_wrong_is_told_with_what_would_be_right),
        cmocka_unit_test(test_overrides_may_leave_open_what_they_do_not_change),
        cmocka_unit_test(test_numbers_of_requests_must_be_free_and_not_zero),
        cmocka_unit_test(test_a_streamed_body_in_one_write_with_its_request),
        cmocka_unit_test(test_lb02_a_body_that_is_not_as_announced_fails_and_hangs_up),
        cmocka_unit_test(test_more_body_than_there_is_credit_for_fails),
        cmocka_unit_test(test_what_crosses_the_end_of_a_request_is_ignored),
        cmocka_unit_test(test_body_messages_for_a_request_without_a_streamed_body_fail_it),
        cmocka_unit_test(test_a_stream_whose_client_closed_its_writing_half_fails),
        cmocka_unit_test(test_abort_is_answered_once_and_races_with_nothing),
        cmocka_unit_test(test_a_body_waits_for_credit),
        cmocka_unit_test(
            test_ip05_a_client_that_does_not_read_halts_its_servers_and_nobody_elses),
        cmocka_unit_test(test_ip20_one_request_too_many_fails_and_the_connection_stays),
        cmocka_unit_test(test_a_wait_wakes_no_client_before_some_milliseconds_have_passed),
        cmocka_unit_test(test_ip20_bodies_held_for_a_user_are_bounded),
        cmocka_unit_test(
            test_ip20_descriptors_held_for_a_user_are_bounded_until_the_request_ends),
        cmocka_unit_test(test_cd02_a_descriptor_may_come_when_the_head_is_known),
        cmocka_unit_test(test_ip14_descriptors_of_the_wrong_sort_are_refused_and_closed),
        cmocka_unit_test(test_ip13_a_descriptor_that_no_message_names_ends_the_session),
        cmocka_unit_test(test_a_client_that_wants_to_be_asked_is_and_its_answer_counts),
        cmocka_unit_test(test_answers_to_what_was_not_asked_fail_the_request),
        cmocka_unit_test(test_au02_a_login_that_cannot_be_sent_fails_the_request),
        cmocka_unit_test(test_every_failing_allocation_fails_one_request_at_most),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
