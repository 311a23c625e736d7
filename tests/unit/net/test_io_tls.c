/* SPDX-License-Identifier: MIT */

/*
 * TLS from the client's side against a server of our own, which does as each test says. The
 * bytes go through io_pair; one test uses real sockets.
 */
#include <errno.h>
#include <malloc.h>
#include <openssl/err.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "loop/loop.h"
#include "loop/worker.h"
#include "net/io_pair.h"
#include "net/io_tcp.h"
#include "net/io_tls.h"
#include "net/io_tls_priv.h"
#include "net/tls_context.h"
#include "net/tls_session.h"
#include "support/test.h"
#include "support/tls_peer.h"

/* Made once: keys take time. */
static struct test_cert ca;
static struct test_cert other_ca;
static struct test_cert localhost; /* localhost, *.example.com, 127.0.0.1; signed by ca */
static char *ca_pem;
static char *other_ca_pem;

static int make_certs(void **state)
{
    (void)state;
    test_cert_make(&ca, &(struct test_cert_spec){.common_name = "Test CA", .is_ca = true});
    test_cert_make(&other_ca, &(struct test_cert_spec){.common_name = "Other", .is_ca = true});
    test_cert_make(&localhost,
                   &(struct test_cert_spec){.common_name = "server",
                                            .san = "DNS:localhost,DNS:*.example.com,"
                                                   "IP:127.0.0.1,IP:::1",
                                            .issuer = &ca});
    ca_pem = test_cert_pem(&ca);
    other_ca_pem = test_cert_pem(&other_ca);
    return 0;
}

static int drop_certs(void **state)
{
    (void)state;
    mem_free(ca_pem);
    mem_free(other_ca_pem);
    test_cert_done(&ca);
    test_cert_done(&other_ca);
    test_cert_done(&localhost);
    return 0;
}

struct net {
    struct fake_clock clock;
    struct loop *loop;
    struct worker_pool *workers;
    struct tls_contexts *contexts;
    struct tls_sessions *sessions;
    struct tls_context *context; /* trusts ca */
    SSL_CTX *server;             /* localhost's, every version */
};

static void wait_on_done(void *owner, struct tls_context *context, const struct failure *why)
{
    assert_null(why);
    *(struct tls_context **)owner = tls_context_ref(context);
}

static struct tls_context *context_for(struct net *net, const struct tls_config *config)
{
    struct tls_context *context = NULL;
    struct tls_context_wait wait = {.on_done = wait_on_done, .owner = &context};

    assert_int_equal(tls_contexts_get(net->contexts, config, &wait), 0);
    while (!context)
        assert_int_equal(loop_turn(net->loop, true), 0);
    return context;
}

static int setup(void **state)
{
    struct net *net = calloc(1, sizeof(*net));
    struct tls_contexts_options options = tls_contexts_options_default();
    struct tls_sessions_options sessions = tls_sessions_options_default();

    assert_non_null(net);
    fake_clock_init(&net->clock, (int64_t)time(NULL));
    assert_int_equal(loop_new(&net->loop, &net->clock.clock), 0);
    assert_int_equal(worker_pool_new(&net->workers, net->loop, 1), 0);
    assert_int_equal(tls_contexts_new(&net->contexts, net->loop, net->workers, &options), 0);
    assert_int_equal(tls_sessions_new(&net->sessions, &sessions), 0);
    net->context = context_for(net, &(struct tls_config){.ca_pem = span_of(ca_pem)});
    net->server = test_server_ctx(&localhost, TLS1_VERSION, TLS1_3_VERSION);
    *state = net;
    return 0;
}

static int teardown(void **state)
{
    struct net *net = *state;

    SSL_CTX_free(net->server);
    tls_context_unref(net->context);
    worker_pool_free(net->workers);
    tls_contexts_free(net->contexts);
    loop_free(net->loop);
    tls_sessions_free(net->sessions);
    free(net);
    return 0;
}

enum where { NOWHERE, IN_CONNECTED, IN_READABLE, IN_WRITABLE, IN_FAILED };

struct client {
    struct net *net;
    struct io *io;
    struct tls_peer peer;
    int n_connected, n_readable, n_writable, n_failed;
    enum where closes;
    struct failure why;
};

static void called(struct client *client, int *count, enum where where)
{
    ++*count;
    if (client->closes == where)
        client->io = io_close(client->io);
}

static void client_on_connected(void *owner)
{
    struct client *client = owner;

    called(client, &client->n_connected, IN_CONNECTED);
}

static void client_on_readable(void *owner)
{
    struct client *client = owner;

    called(client, &client->n_readable, IN_READABLE);
}

static void client_on_writable(void *owner)
{
    struct client *client = owner;

    called(client, &client->n_writable, IN_WRITABLE);
}

static void client_on_failed(void *owner, const struct failure *why)
{
    struct client *client = owner;

    client->why = *why;
    called(client, &client->n_failed, IN_FAILED);
}

static const struct io_events client_events = {
    .on_connected = client_on_connected,
    .on_readable = client_on_readable,
    .on_writable = client_on_writable,
    .on_failed = client_on_failed,
};

static struct io_tls_options options_for(struct net *net, const char *host)
{
    return (struct io_tls_options){.context = net->context,
                                   .host = span_of(host),
                                   .port = 443,
                                   .alpn = SPAN_LIT("http/1.1"),
                                   .sessions = net->sessions};
}

/* @server: NULL for a raw peer. Return: what io_tls_new() says. */
static int begin(struct net *net,
                 struct client *client,
                 const struct io_tls_options *options,
                 SSL_CTX *server)
{
    struct io *a;
    struct io *b;

    client->net = net;
    assert_int_equal(io_pair_new(net->loop, &a, &b), 0);
    int r = io_tls_new(a, options, &client_events, client, &client->io);
    if (r < 0) {
        io_close(a);
        io_close(b);
        return r;
    }
    assert_int_equal(client->n_connected + client->n_failed, 0);
    tls_peer_init(&client->peer, b, server);
    return 0;
}

static void turn(struct net *net, int n)
{
    for (int i = 0; i < n; i++)
        assert_int_equal(loop_turn(net->loop, false), 0);
}

/* Everything in memory moves within this many rounds; nothing needs time. */
#define SETTLED 40

static void end(struct client *client)
{
    struct net *net = client->net;

    io_close(client->io);
    turn(net, 3);
    if (client->peer.io)
        tls_peer_done(&client->peer);
    turn(net, 1);
}

static void connect_with(struct net *net,
                         struct client *client,
                         const struct io_tls_options *options,
                         SSL_CTX *server)
{
    assert_int_equal(begin(net, client, options, server), 0);
    turn(net, SETTLED);
    if (client->n_failed)
        print_message("%s\n", client->why.text);
    assert_int_equal(client->n_connected, 1);
    assert_int_equal(client->n_failed, 0);
    assert_true(client->peer.handshake_done);
}

static void connect_ok(struct net *net, struct client *client)
{
    struct io_tls_options options = options_for(net, "localhost");

    connect_with(net, client, &options, net->server);
}

static struct iovec iov_of(struct span s)
{
    return (struct iovec){(void *)(uintptr_t)s.ptr, s.len};
}

/* --- handshakes ----------------------------------------------------------------------------
 */

static int choose_http(SSL *ssl,
                       const unsigned char **out,
                       unsigned char *out_len,
                       const unsigned char *in,
                       unsigned in_len,
                       void *arg)
{
    (void)ssl;
    (void)in;
    (void)in_len;
    *out = arg;
    *out_len = (unsigned char)strlen(arg);
    return SSL_TLSEXT_ERR_OK;
}

static void test_the_best_common_version_is_taken_and_told(void **state)
{
    struct net *net = *state;
    static const struct {
        int max;
        int version;
        const char *name;
        const char *cipher;
    } rows[] = {
        {TLS1_3_VERSION, TLS_VERSION_1_3, "TLSv1.3", "TLS_AES_128_GCM_SHA256"},
        {TLS1_2_VERSION, TLS_VERSION_1_2, "TLSv1.2", "ECDHE-ECDSA-AES128-GCM-SHA256"},
    };

    SSL_CTX_set_alpn_select_cb(net->server, choose_http, (void *)(uintptr_t) "http/1.1");
    for (int i = 0; i < 2; i++) {
        struct client client = {0};

        SSL_CTX_set_max_proto_version(net->server, rows[i].max);
        connect_ok(net, &client);
        const struct tls_info *info = io_tls_info(client.io);
        assert_int_equal(info->version, rows[i].version);
        assert_string_equal(info->version_name, rows[i].name);
        assert_string_equal(info->cipher, rows[i].cipher);
        assert_string_equal(info->alpn, "http/1.1");
        assert_false(info->resumed);
        assert_true(io_is_connected(client.io));
        end(&client);
        tls_sessions_clear(net->sessions);
    }
}

static void test_a_server_without_a_version_in_common_is_a_version_failure(void **state)
{
    struct net *net = *state;
    struct io_tls_options options = options_for(net, "localhost");
    struct client client = {0};

    SSL_CTX_set_max_proto_version(net->server, TLS1_1_VERSION);
    assert_int_equal(begin(net, &client, &options, net->server), 0);
    turn(net, SETTLED);
    assert_int_equal(client.n_failed, 1);
    assert_int_equal(client.why.kind, FAILURE_TLS_VERSION);
    assert_int_equal(client.why.phase, PHASE_TLS);
    end(&client);
}

static void test_a_version_set_by_the_client_is_kept_to(void **state)
{
    struct net *net = *state;
    struct io_tls_options options = options_for(net, "localhost");
    struct client client = {0};
    struct tls_config config = {.ca_pem = span_of(ca_pem), .max_version = TLS_VERSION_1_2};

    options.context = context_for(net, &config);
    connect_with(net, &client, &options, net->server);
    assert_int_equal(io_tls_info(client.io)->version, TLS_VERSION_1_2);
    end(&client);
    tls_context_unref(options.context);
}

static void test_ts01_old_versions_are_spoken_in_one_handshake_where_asked_for(void **state)
{
    struct net *net = *state;
    static const int rows[] = {TLS_VERSION_1_0, TLS_VERSION_1_1, TLS_VERSION_1_2,
                               TLS_VERSION_1_3};
    struct test_cert rsa;

    test_cert_make(&rsa, &(struct test_cert_spec){.common_name = "rsa",
                                                  .san = "DNS:localhost",
                                                  .issuer = &ca,
                                                  .rsa_bits = 2048});
    struct io_tls_options options = options_for(net, "localhost");
    options.min_version = TLS_VERSION_1_0;
    for (int i = 0; i < 8; i++) {
        struct client client = {0};
        int version = rows[i % 4];
        SSL_CTX *server = test_server_ctx(i < 4 ? &localhost : &rsa, version, version);

        tls_sessions_clear(net->sessions);
        connect_with(net, &client, &options, server);
        assert_int_equal(io_tls_info(client.io)->version, version);
        if (version < TLS_VERSION_1_2) /* nothing that could be resumed is left */
            assert_int_equal(tls_sessions_count(net->sessions), 0);
        end(&client);
        SSL_CTX_free(server);
    }
    test_cert_done(&rsa);
}

static void test_ts08_with_old_versions_allowed_what_is_weak_stays_refused(void **state)
{
    struct net *net = *state;
    static const struct {
        struct test_cert_spec cert;
        int version;
        const char *ciphers;
        const char *sigalgs; /* of the server's own signature */
    } rows[] = {
        {{.rsa_bits = 1024}, TLS1_2_VERSION, NULL, NULL},
        {{.rsa_bits = 1024}, TLS1_VERSION, NULL, NULL},
        {{.digest = NULL, .rsa_bits = 2048}, TLS1_2_VERSION, NULL, "RSA+SHA1"},
        {{.rsa_bits = 2048}, TLS1_1_VERSION, "ADH:AECDH:@SECLEVEL=0", NULL},
        {{.rsa_bits = 2048}, TLS1_2_VERSION, "eNULL:@SECLEVEL=0", NULL},
    };
    struct io_tls_options options = options_for(net, "localhost");

    options.min_version = TLS_VERSION_1_0;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct test_cert_spec spec = rows[i].cert;
        struct client client = {0};
        struct test_cert cert;

        spec.common_name = "weak";
        spec.san = "DNS:localhost";
        spec.issuer = &ca;
        test_cert_make(&cert, &spec);
        SSL_CTX *server = test_server_ctx(&cert, rows[i].version, rows[i].version);
        if (rows[i].ciphers)
            assert_int_equal(SSL_CTX_set_cipher_list(server, rows[i].ciphers), 1);
        if (rows[i].sigalgs)
            assert_int_equal(SSL_CTX_set1_sigalgs_list(server, rows[i].sigalgs), 1);
        assert_int_equal(begin(net, &client, &options, server), 0);
        turn(net, SETTLED);
        assert_int_equal(client.n_connected, 0);
        assert_int_equal(client.n_failed, 1);
        end(&client);
        SSL_CTX_free(server);
        test_cert_done(&cert);
    }
}

/* CBC with SHA-1 is all there is; RC4, 3DES, export, anonymous and unencrypted ones are not
 * among it, nor are static DH and DSS. */
static void test_ts08_below_1_2_aes_cbc_sha_is_all_that_is_offered(void **state)
{
    struct net *net = *state;
    static const char *const allowed[] = {
        "ECDHE-ECDSA-AES128-SHA", "ECDHE-RSA-AES128-SHA", "DHE-RSA-AES128-SHA", "AES128-SHA",
        "ECDHE-ECDSA-AES256-SHA", "ECDHE-RSA-AES256-SHA", "DHE-RSA-AES256-SHA", "AES256-SHA"};
    SSL *ssl = SSL_new(tls_context_ssl_ctx(net->context));

    assert_int_equal(SSL_set_min_proto_version(ssl, TLS1_VERSION), 1);
    assert_int_equal(SSL_set_max_proto_version(ssl, TLS1_1_VERSION), 1);
    STACK_OF(SSL_CIPHER) *offered = SSL_get1_supported_ciphers(ssl);
    assert_int_equal(sk_SSL_CIPHER_num(offered), 8);
    for (int i = 0; i < sk_SSL_CIPHER_num(offered); i++) {
        const char *name = SSL_CIPHER_get_name(sk_SSL_CIPHER_value(offered, i));
        bool found = false;

        for (size_t k = 0; k < sizeof(allowed) / sizeof(*allowed); k++)
            found |= strcmp(name, allowed[k]) == 0;
        assert_true(found);
    }
    assert_true(SSL_get_options(ssl) & SSL_OP_NO_RENEGOTIATION);
    assert_true(SSL_get_options(ssl) & SSL_OP_NO_COMPRESSION);
    sk_SSL_CIPHER_free(offered);
    SSL_free(ssl);
}

static void test_ts05_a_rung_is_refused_by_a_server_that_can_do_better(void **state)
{
    struct net *net = *state;
    struct io_tls_options options = options_for(net, "localhost");
    struct tls_config rung = {.ca_pem = span_of(ca_pem),
                              .min_version = TLS_VERSION_1_0,
                              .max_version = TLS_VERSION_1_1};
    struct client plain = {0};
    struct client marked = {0};

    /* a rung against a server that can do better: it says so, by SCSV's alert */
    options.context = context_for(net, &rung);
    options.is_fallback = true;
    assert_int_equal(begin(net, &marked, &options, net->server), 0);
    turn(net, SETTLED);
    assert_int_equal(marked.n_failed, 1);
    assert_int_equal(marked.why.code, SSL_AD_INAPPROPRIATE_FALLBACK);
    assert_true(io_tls_trouble(marked.io).in_first_flight);
    assert_int_equal(io_tls_trouble(marked.io).alert, SSL_AD_INAPPROPRIATE_FALLBACK);
    assert_int_equal(tls_sessions_count(net->sessions), 0);
    end(&marked);
    /* the same version, because the client asked for no more: no fallback, no harm */
    options.is_fallback = false;
    connect_with(net, &plain, &options, net->server);
    assert_int_equal(io_tls_info(plain.io)->version, TLS_VERSION_1_1);
    end(&plain);
    tls_context_unref(options.context);
}

/* A server that does not know SCSV but marks its random, before anything is proved. */
static void test_ts06_a_marked_random_after_a_rung_is_a_downgrade(void **state)
{
    struct net *net = *state;
    static const char hello[] = "\x16\x03\x02\0\x2c\x02\0\0\x28\x03\x02"
                                "........................DOWNGRD\0"
                                "\0\xc0\x09\0"
                                "\x15\x03\x02\0\x02\x02\x28";

    for (int fallback = 0; fallback < 2; fallback++) {
        struct io_tls_options options = options_for(net, "localhost");
        struct client client = {0};

        options.min_version = TLS_VERSION_1_0;
        options.max_version = TLS_VERSION_1_1;
        options.is_fallback = fallback;
        assert_int_equal(begin(net, &client, &options, NULL), 0);
        turn(net, 5);
        tls_peer_write(&client.peer, (struct span){hello, sizeof(hello) - 1});
        turn(net, 5);
        assert_int_equal(client.n_failed, 1);
        assert_false(io_tls_trouble(client.io).in_first_flight);
        assert_int_equal(io_tls_trouble(client.io).was_pushed_down, fallback);
        if (fallback) {
            assert_int_equal(client.why.kind, FAILURE_TLS_VERSION);
            assert_non_null(strstr(client.why.text, "pushes it down"));
        }
        end(&client);
    }
}

static void test_ts06_the_mark_of_a_downgrade_is_known(void **state)
{
    static const struct {
        const char *tail;
        bool marked;
    } rows[] = {{"DOWNGRD\x00", true},  {"DOWNGRD\x01", true},  {"DOWNGRD\x02", false},
                {"downgrd\x01", false}, {"DOWNGRE\x00", false}, {"\0\0\0\0\0\0\0", false}};
    unsigned char random[32];

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        memset(random, 'D', sizeof(random));
        memcpy(random + 24, rows[i].tail, 8);
        assert_int_equal(io_tls_random_is_marked(random), rows[i].marked);
    }
}

static void test_ur15_only_a_dns_name_is_sent_as_sni(void **state)
{
    struct net *net = *state;
    static const struct {
        const char *host;
        const char *sni; /* NULL: none; "-": refused before anything is sent */
    } rows[] = {
        {"localhost", "localhost"},
        {"localhost.", "localhost"},
        {"A.Example.COM", "a.example.com"},
        {"127.0.0.1", NULL},
        {"[::1]", NULL},
        {"pass@word@localhost", "-"},
        {"user:pass@localhost", "-"},
        {"localhost:443", "-"},
        {"local host", "-"},
        {".example.com", "-"},
        {"", "-"},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct client client = {0};
        struct io_tls_options options = options_for(net, rows[i].host);

        if (rows[i].sni && rows[i].sni[0] == '-') {
            assert_int_equal(begin(net, &client, &options, net->server), -EINVAL);
            turn(net, 1);
            continue;
        }
        connect_with(net, &client, &options, net->server);
        const char *sni = SSL_get_servername(client.peer.ssl, TLSEXT_NAMETYPE_host_name);
        if (rows[i].sni)
            assert_string_equal(sni, rows[i].sni);
        else
            assert_null(sni);
        end(&client);
    }
}

static void test_h215_alpn_offers_are_checked_before_and_after(void **state)
{
    struct net *net = *state;
    struct io_tls_options options = options_for(net, "localhost");
    static const char *const bad[] = {",", "h2,", ",h2", "h2,,http/1.1",
                                      "0123456789012345678901234567890123456789"
                                      "0123456789012345678901234567890123456789"};
    struct client client = {0};

    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        options.alpn = span_of(bad[i]);
        assert_int_equal(begin(net, &client, &options, net->server), -EINVAL);
        turn(net, 1);
    }
    options.alpn = SPAN_LIT("h2,http/1.1");
    SSL_CTX_set_alpn_select_cb(net->server, choose_http, (void *)(uintptr_t) "http");
    assert_int_equal(begin(net, &client, &options, net->server), 0);
    turn(net, SETTLED);
    assert_int_equal(client.n_failed, 1);
    assert_int_equal(client.n_connected, 0);
    assert_int_equal(client.why.kind, FAILURE_TLS);
    /* by OpenSSL where it compares, else by us */
    end(&client);
}

/* --- trust ---------------------------------------------------------------------------------
 */

struct trust_row {
    const char *host;
    struct test_cert_spec cert;
    int code; /* X509_V_ERR_ value; 0: fine */
    const char *text;
};

static void check_trust(struct net *net, const struct trust_row *row)
{
    struct io_tls_options options = options_for(net, row->host);
    struct client client = {0};
    struct test_cert cert;

    test_cert_make(&cert, &row->cert);
    SSL_CTX *server = test_server_ctx(&cert, TLS1_2_VERSION, TLS1_3_VERSION);
    assert_int_equal(begin(net, &client, &options, server), 0);
    turn(net, SETTLED);
    assert_int_equal(client.n_connected, row->code == 0);
    assert_int_equal(client.n_failed, row->code != 0);
    if (row->code) {
        assert_int_equal(client.why.kind, FAILURE_TLS_VERIFY);
        assert_int_equal(client.why.code, row->code);
        assert_int_equal(client.why.phase, PHASE_TLS);
        if (!strstr(client.why.text, row->text))
            print_message("wanted '%s' in '%s'\n", row->text, client.why.text);
        assert_non_null(strstr(client.why.text, row->text));
        /* 0 request bytes: nothing can be written any more, nothing was read there */
        assert_true(io_writev(client.io, &(struct iovec){(char[]){'x'}, 1}, 1) < 0);
        assert_int_equal(client.peer.received.len, 0);
        assert_int_equal(tls_sessions_count(net->sessions), 0);
        assert_int_equal(io_tls_trouble(client.io).alert, 0);
        assert_false(io_tls_trouble(client.io).in_first_flight);
    }
    end(&client);
    SSL_CTX_free(server);
    test_cert_done(&cert);
    tls_sessions_clear(net->sessions);
}

static void check_all(struct net *net, const struct trust_row *rows, size_t n)
{
    for (size_t i = 0; i < n; i++)
        check_trust(net, &rows[i]);
}

static void test_tv01_to_tv04_who_signed_it_and_when(void **state)
{
    const struct trust_row rows[] = {
        {"localhost",
         {.common_name = "self", .san = "DNS:localhost"},
         X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT,
         "self-signed certificate CN=self (depth 0) is not trusted; pass --cacert"},
        {"localhost",
         {.common_name = "old", .san = "DNS:localhost", .issuer = &ca, .not_after_s = -3600},
         X509_V_ERR_CERT_HAS_EXPIRED,
         "certificate CN=old (depth 0) expired on "},
        {"localhost",
         {.common_name = "new", .san = "DNS:localhost", .issuer = &ca, .not_before_s = 3600},
         X509_V_ERR_CERT_NOT_YET_VALID,
         "certificate CN=new (depth 0) is not valid before "},
        {"localhost",
         {.common_name = "stranger", .san = "DNS:localhost", .issuer = &other_ca},
         X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY,
         "issuer CN=Other of certificate CN=stranger (depth 0) is not known; pass --cacert"},
    };

    check_all(*state, rows, sizeof(rows) / sizeof(*rows));
}

#define MISMATCH X509_V_ERR_HOSTNAME_MISMATCH

static void
test_tv05_tv06_tv07_tv10_tv11_names_come_from_the_san_and_wildcards_are_whole(void **state)
{
    const struct trust_row rows[] = {
        {"localhost", {.common_name = "localhost", .issuer = &ca}, MISMATCH, "no name at all"},
        {"localhost",
         {.common_name = "localhost", .san = "DNS:other.example", .issuer = &ca},
         MISMATCH,
         "is for other.example, not for localhost"},
        {"foo.example.com",
         {.common_name = "x", .san = "DNS:f*.example.com", .issuer = &ca},
         MISMATCH,
         "f*.example.com"},
        {"example.com", {.common_name = "x", .san = "DNS:*.com", .issuer = &ca}, MISMATCH, ""},
        {"a.b.com", {.common_name = "x", .san = "DNS:a.*.com", .issuer = &ca}, MISMATCH, ""},
        {"a.b.example.com",
         {.common_name = "x", .san = "DNS:*.example.com", .issuer = &ca},
         MISMATCH,
         ""},
        {"example.com",
         {.common_name = "x", .san = "DNS:*.example.com", .issuer = &ca},
         MISMATCH,
         ""},
        {"xn--rger-koa.example.com",
         {.common_name = "x", .san = "DNS:x*.example.com", .issuer = &ca},
         MISMATCH,
         ""},
        {"a.example.com",
         {.common_name = "x", .san = "DNS:*.EXAMPLE.com", .issuer = &ca},
         0,
         ""},
        {"localhost",
         {.common_name = "x", .raw_dns = {"localhost\0.evil.test", 20}, .issuer = &ca},
         MISMATCH,
         "localhost"},
    };

    check_all(*state, rows, sizeof(rows) / sizeof(*rows));
}

static void test_tv08_an_address_needs_an_ip_san(void **state)
{
    const struct trust_row rows[] = {
        {"127.0.0.1",
         {.common_name = "127.0.0.1", .san = "DNS:127.0.0.1", .issuer = &ca},
         X509_V_ERR_IP_ADDRESS_MISMATCH,
         "not for 127.0.0.1"},
        {"127.0.0.1",
         {.common_name = "x", .san = "DNS:*.0.0.1", .issuer = &ca},
         X509_V_ERR_IP_ADDRESS_MISMATCH,
         ""},
        {"127.0.0.1",
         {.common_name = "x", .san = "IP:127.0.0.2,IP:::1", .issuer = &ca},
         X509_V_ERR_IP_ADDRESS_MISMATCH,
         "is for 127.0.0.2, [::1], not for 127.0.0.1"},
        {"127.0.0.1", {.common_name = "x", .san = "IP:127.0.0.1", .issuer = &ca}, 0, ""},
        {"[::1]", {.common_name = "x", .san = "IP:::1", .issuer = &ca}, 0, ""},
    };

    check_all(*state, rows, sizeof(rows) / sizeof(*rows));
}

static void test_tv09_a_trailing_dot_is_no_part_of_the_name(void **state)
{
    const struct trust_row rows[] = {
        {"localhost.", {.common_name = "x", .san = "DNS:localhost", .issuer = &ca}, 0, ""},
        {"other.", {.common_name = "x", .san = "DNS:localhost", .issuer = &ca}, MISMATCH, ""},
    };

    check_all(*state, rows, sizeof(rows) / sizeof(*rows)); /* ".example.com": see UR15 */
}

static void test_tv12_ts08_what_a_certificate_may_not_be_used_for_and_weak_ones(void **state)
{
    const struct trust_row rows[] = {
        {"localhost",
         {.common_name = "client",
          .san = "DNS:localhost",
          .issuer = &ca,
          .extended_key_usage = "clientAuth"},
         X509_V_ERR_INVALID_PURPOSE,
         "not meant for TLS servers"},
        {"localhost",
         {.common_name = "child", .san = "DNS:localhost", .issuer = &localhost},
         X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY,
         "issuer CN=server"},
        {"localhost",
         {.common_name = "short", .san = "DNS:localhost", .issuer = &ca, .rsa_bits = 1024},
         X509_V_ERR_EE_KEY_TOO_SMALL,
         "too short"},
        {"localhost",
         {.common_name = "sha1", .san = "DNS:localhost", .issuer = &ca, .digest = EVP_sha1()},
         X509_V_ERR_CA_MD_TOO_WEAK,
         "broken hash"},
    };

    check_all(*state, rows, sizeof(rows) / sizeof(*rows));
}

static void test_tv12_constraints_and_ca_bit_of_an_intermediate_count(void **state)
{
    struct net *net = *state;
    static const struct {
        bool is_ca;
        const char *constraints;
        int code;
    } rows[] = {
        {true, NULL, 0},
        {false, NULL, X509_V_ERR_INVALID_CA},
        {true, "critical,permitted;DNS:example.org", X509_V_ERR_PERMITTED_VIOLATION},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct io_tls_options options = options_for(net, "localhost");
        struct client client = {0};
        struct test_cert middle;
        struct test_cert leaf;

        test_cert_make(&middle,
                       &(struct test_cert_spec){.common_name = "middle",
                                                .issuer = &ca,
                                                .is_ca = rows[i].is_ca,
                                                .name_constraints = rows[i].constraints});
        test_cert_make(&leaf, &(struct test_cert_spec){.common_name = "leaf",
                                                       .san = "DNS:localhost",
                                                       .issuer = &middle});
        SSL_CTX *server = test_server_ctx(&leaf, TLS1_2_VERSION, TLS1_3_VERSION);
        assert_int_equal(SSL_CTX_add1_chain_cert(server, middle.cert), 1);
        assert_int_equal(begin(net, &client, &options, server), 0);
        turn(net, SETTLED);
        assert_int_equal(client.n_connected, rows[i].code == 0);
        if (rows[i].code)
            assert_int_equal(client.why.code, rows[i].code);
        end(&client);
        SSL_CTX_free(server);
        test_cert_done(&middle);
        test_cert_done(&leaf);
    }
}

static void test_tv14_insecure_takes_anything_but_only_where_it_was_asked_for(void **state)
{
    struct net *net = *state;
    struct io_tls_options options = options_for(net, "wrong.example");
    struct client trusting = {0};
    struct client strict = {0};

    options.context = context_for(net, &(struct tls_config){.insecure = true});
    connect_with(net, &trusting, &options, net->server);
    end(&trusting);
    tls_context_unref(options.context);
    options.context = net->context;
    assert_int_equal(begin(net, &strict, &options, net->server), 0);
    turn(net, SETTLED);
    assert_int_equal(strict.n_failed, 1);
    assert_int_equal(strict.why.kind, FAILURE_TLS_VERIFY);
    end(&strict);
}

static void test_ur16_hostile_names_in_a_certificate_are_escaped_and_cut(void **state)
{
    struct net *net = *state;
    struct client client = {0};
    struct io_tls_options options = options_for(net, "localhost");
    struct test_cert cert;

    test_cert_make(&cert,
                   &(struct test_cert_spec){
                       .common_name = "\x1b[31m\r\nSet-Cookie: a=b; \xc3\xa4 and on and on and",
                       .san = "DNS:localhost"});
    SSL_CTX *server = test_server_ctx(&cert, TLS1_2_VERSION, TLS1_3_VERSION);
    assert_int_equal(begin(net, &client, &options, server), 0);
    turn(net, SETTLED);
    assert_int_equal(client.n_failed, 1);
    for (const char *at = client.why.text; *at; at++)
        assert_true(*at >= 0x20 && *at < 0x7f);
    assert_non_null(strstr(client.why.text, "pass --cacert"));
    end(&client);
    SSL_CTX_free(server);
    test_cert_done(&cert);
}

/* --- a handshake that goes wrong ------------------------------------------------------------
 */

static void test_alerts_and_what_is_no_tls_become_failures_one_understands(void **state)
{
    struct net *net = *state;
    static const struct {
        struct span bytes;
        enum failure_kind kind;
        uint32_t code;
        const char *text;
        int alert;
        bool is_foreign;
    } rows[] = {
        {{"\x15\x03\x03\0\x02\x02\x28", 7}, FAILURE_TLS, 40, "in common", 40, false},
        {{"\x15\x03\x01\0\x02\x02\x46", 7}, FAILURE_TLS_VERSION, 70, "versions", 70, false},
        {{"\x15\x03\x03\0\x02\x02\x70", 7}, FAILURE_TLS, 112, "does not serve", 112, false},
        {{"\x15\x03\x03\0\x02\x02\x50", 7},
         FAILURE_TLS,
         80,
         "TLS alert 80, internal_error",
         80,
         false},
        {{"\x15\x03\x03\0\x02\x02\x78", 7}, FAILURE_TLS, 120, "ALPN", 120, false},
        {{"HTTP/1.1 400 Bad Request\r\n\r\n", 28}, FAILURE_TLS, 0, "plain HTTP?", 0, false},
        {{"\x16\x03\x03\xff\xff", 5}, FAILURE_TLS, 0, "TLS", 0, false},
        {{"\x15\x04\x01\0\x02\x02\x28", 7}, FAILURE_TLS, 0, "not TLS", 0, true},
        {{"\x16\x02\0\0\x02\x02\x28", 7}, FAILURE_TLS, 0, "not TLS", 0, true},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct io_tls_options options = options_for(net, "localhost");
        struct client client = {0};

        assert_int_equal(begin(net, &client, &options, NULL), 0);
        turn(net, 5);
        assert_true(client.peer.received.len > 100); /* the hello */
        tls_peer_write(&client.peer, rows[i].bytes);
        turn(net, 5);
        assert_int_equal(client.n_failed, 1);
        assert_int_equal(client.why.kind, rows[i].kind);
        assert_int_equal(client.why.code, rows[i].code);
        if (!strstr(client.why.text, rows[i].text))
            print_message("'%s'\n", client.why.text);
        assert_non_null(strstr(client.why.text, rows[i].text));
        assert_true(io_tls_trouble(client.io).in_first_flight);
        assert_int_equal(io_tls_trouble(client.io).alert, rows[i].alert);
        assert_int_equal(io_tls_trouble(client.io).is_foreign_record, rows[i].is_foreign);
        end(&client);
    }
}

static void test_an_end_or_a_reset_in_the_handshake_is_a_tls_failure(void **state)
{
    struct net *net = *state;

    for (int reset = 0; reset < 2; reset++) {
        struct io_tls_options options = options_for(net, "localhost");
        struct client client = {0};

        assert_int_equal(begin(net, &client, &options, NULL), 0);
        turn(net, 5);
        if (reset)
            io_pair_break(client.peer.io, ECONNRESET);
        else
            io_pair_send_eof(client.peer.io);
        turn(net, 5);
        assert_int_equal(client.n_failed, 1);
        assert_int_equal(client.why.kind, FAILURE_TLS);
        assert_int_equal(client.why.phase, PHASE_TLS);
        assert_int_equal(client.why.sys_errno, reset ? ECONNRESET : 0);
        assert_false(io_tls_trouble(client.io).in_first_flight);
        end(&client);
    }
}

/* --- bytes ----------------------------------------------------------------------------------
 */

static void test_small_pieces_travel_in_one_record(void **state)
{
    struct net *net = *state;
    struct client client = {0};
    struct iovec iov[3] = {iov_of(SPAN_LIT("POST / HTTP/1.1\r\n")), iov_of((struct span){0}),
                           iov_of(SPAN_LIT("\r\nbody"))};

    connect_ok(net, &client);
    assert_int_equal(io_writev(client.io, iov, 3), 23);
    turn(net, 5);
    assert_int_equal(client.peer.received.len, 23);
    assert_int_equal(client.peer.first_record, 23);
    assert_memory_equal(buf_span(&client.peer.received).ptr, "POST / HTTP/1.1\r\n\r\nbody", 23);
    assert_int_equal(io_writev(client.io, iov, 0), 0);
    end(&client);
}

/* Bytes that differ at every place where a piece could be lost or doubled. */
static void fill(char *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++)
        bytes[i] = (char)((i * 7 + i / 251) & 0xff);
}

static void test_lb09_bytes_arrive_whole_through_a_lower_stream_of_tiny_writes(void **state)
{
    struct net *net = *state;
    static char bytes[150000];
    struct client client = {0};
    size_t sent = 0;

    fill(bytes, sizeof(bytes));
    struct io_tls_options options = options_for(net, "localhost");
    assert_int_equal(begin(net, &client, &options, net->server), 0);
    io_pair_set_capacity(client.peer.io, 97); /* both ways: handshake in crumbs */
    io_pair_set_read_max(client.peer.io, 5);
    while (!client.n_connected)
        turn(net, 1);
    struct io *peer_io = client.peer.io;
    io_pair_set_capacity(peer_io, 1000);
    io_pair_set_read_max(peer_io, 0);
    io_set_interest(client.io, IO_WRITE);
    while (client.peer.received.len < sizeof(bytes)) {
        /* odd pieces, and after "again" other ones than before: no repeated arguments */
        size_t piece = 1 + sent % 40000;
        struct iovec iov[2] = {
            iov_of(span_take((struct span){bytes + sent, sizeof(bytes) - sent}, piece)),
            iov_of(span_drop((struct span){bytes + sent, sizeof(bytes) - sent}, piece))};
        ssize_t n = sent < sizeof(bytes) ? io_writev(client.io, iov, 2) : 0;

        assert_true(n >= 0 || n == -EAGAIN);
        if (n > 0)
            sent += (size_t)n;
        turn(net, 1);
    }
    assert_int_equal(client.peer.received.len, sizeof(bytes));
    assert_memory_equal(buf_span(&client.peer.received).ptr, bytes, sizeof(bytes));
    end(&client);
}

static void test_a_blocked_stream_says_again_and_tells_when_there_is_room(void **state)
{
    struct net *net = *state;
    static char bytes[65536];
    struct client client = {0};
    struct iovec iov = {bytes, sizeof(bytes)};
    size_t sent = 0;
    ssize_t n;

    connect_ok(net, &client);
    io_set_interest(client.peer.io, 0);
    while ((n = io_writev(client.io, &iov, 1)) > 0)
        sent += (size_t)n;
    assert_int_equal(n, -EAGAIN);
    io_set_interest(client.io, IO_WRITE);
    turn(net, 3);
    assert_int_equal(client.n_writable, 0);
    assert_true(sent < IO_PAIR_CAPACITY_BYTES + 16384);
    io_set_interest(client.peer.io, IO_READ);
    turn(net, 5);
    assert_true(client.n_writable > 0);
    assert_int_equal(client.peer.received.len, sent);
    end(&client);
}

static void test_buffered_records_are_readable_though_the_socket_is_silent(void **state)
{
    struct net *net = *state;
    struct client client = {0};
    char buf[64];

    connect_ok(net, &client);
    for (int i = 0; i < 3; i++)
        tls_peer_write(&client.peer, SPAN_LIT("0123456789"));
    turn(net, 3);
    assert_int_equal(client.n_readable, 0); /* no interest yet */
    io_set_interest(client.io, IO_READ);
    turn(net, 1);
    assert_true(client.n_readable > 0);
    assert_int_equal(io_read(client.io, buf, 4), 4); /* all three records are in by now */
    io_set_interest(client.io, 0);
    int before = client.n_readable;
    turn(net, 3);
    assert_int_equal(client.n_readable, before); /* paused */
    io_set_interest(client.io, IO_READ);
    turn(net, 2);
    assert_true(client.n_readable > before);
    before = client.n_readable;
    turn(net, 2);
    assert_true(client.n_readable > before); /* level: again each round */
    assert_int_equal(io_read(client.io, buf, sizeof(buf)), 26);
    assert_memory_equal(buf, "45678901234567890123456789", 26);
    assert_int_equal(io_read(client.io, buf, sizeof(buf)), -EAGAIN);
    turn(net, 3);
    before = client.n_readable;
    turn(net, 3);
    assert_int_equal(client.n_readable, before); /* nothing left: silent */
    end(&client);
}

static void test_a_clean_end_a_cut_one_and_a_reset_differ(void **state)
{
    struct net *net = *state;
    static const struct {
        bool close_notify;
        int reset;
        ssize_t result;
        enum failure_kind kind;
    } rows[] = {
        {true, 0, 0, FAILURE_NONE},
        {false, 0, IO_TRUNCATED, FAILURE_TRUNCATED},
        {false, ECONNRESET, -ECONNRESET, FAILURE_RECEIVE},
    };

    for (size_t i = 0; i < 3; i++) {
        struct client client = {0};
        char buf[64];

        connect_ok(net, &client);
        tls_peer_write(&client.peer, SPAN_LIT("last words"));
        if (rows[i].close_notify)
            tls_peer_close_notify(&client.peer);
        else if (rows[i].reset == 0)
            io_pair_send_eof(client.peer.io);
        io_set_interest(client.io, IO_READ);
        turn(net, 3);
        assert_true(client.n_readable > 0);
        assert_int_equal(io_read(client.io, buf, sizeof(buf)), 10);
        if (rows[i].reset)
            io_pair_break(client.peer.io, rows[i].reset);
        client.n_readable = 0;
        turn(net, 3);
        assert_true(client.n_readable > 0); /* the end can be read */
        assert_int_equal(io_read(client.io, buf, sizeof(buf)), rows[i].result);
        assert_int_equal(io_read(client.io, buf, sizeof(buf)), rows[i].result);
        assert_int_equal(io_last_failure(client.io)->kind, rows[i].kind);
        assert_int_equal(client.n_failed, 0); /* told once, as the result */
        end(&client);
    }
}

static void test_closing_sends_close_notify(void **state)
{
    struct net *net = *state;
    struct client client = {0};

    connect_ok(net, &client);
    client.io = io_close(client.io);
    turn(net, 3);
    assert_true(client.peer.got_close_notify);
    assert_true(client.peer.got_eof);
    end(&client);
}

static void test_a_failure_behind_the_owners_back_is_told_by_on_failed(void **state)
{
    struct net *net = *state;
    static char bytes[65536];
    struct client client = {0};
    struct iovec iov = {bytes, sizeof(bytes)};

    connect_ok(net, &client);
    io_set_interest(client.peer.io, 0);
    while (io_writev(client.io, &iov, 1) > 0)
        ;
    io_pair_break(client.peer.io, ETIMEDOUT); /* while the backlog waits to be flushed */
    turn(net, 3);
    assert_int_equal(client.n_failed, 1);
    assert_int_equal(client.why.kind, FAILURE_SEND);
    assert_int_equal(client.why.sys_errno, ETIMEDOUT);
    assert_true(io_writev(client.io, &iov, 1) < 0);
    end(&client);
}

static void test_an_answer_is_read_though_the_server_has_hung_up(void **state)
{
    struct net *net = *state;
    static char bytes[65536];

    for (int blocked = 0; blocked < 2; blocked++) { /* at once, or from the backlog */
        struct client client = {0};
        struct iovec iov = {bytes, sizeof(bytes)};
        char buf[64];

        connect_ok(net, &client);
        io_set_interest(client.peer.io, 0);
        while (blocked && io_writev(client.io, &iov, 1) > 0)
            ;
        assert_int_equal(SSL_write(client.peer.ssl, "413", 3), 3);
        tls_peer_close_notify(&client.peer);
        client.peer.io = io_close(client.peer.io);
        turn(net, 3);
        assert_int_equal(io_writev(client.io, &iov, 1), -EPIPE);
        assert_int_equal(io_writev(client.io, &iov, 1), -EPIPE);
        assert_int_equal(io_last_failure(client.io)->kind, FAILURE_SEND);
        io_set_interest(client.io, IO_READ);
        turn(net, 3);
        assert_true(client.n_readable > 0);
        assert_int_equal(client.n_failed, 0);
        assert_int_equal(io_read(client.io, buf, sizeof(buf)), 3);
        assert_memory_equal(buf, "413", 3);
        assert_int_equal(io_read(client.io, buf, sizeof(buf)), 0);
        tls_peer_done(&client.peer);
        end(&client);
    }
}

static void test_lb04_tls_may_be_closed_in_every_callback_and_at_every_step(void **state)
{
    struct net *net = *state;
    static const enum where rows[] = {IN_CONNECTED, IN_READABLE, IN_WRITABLE, IN_FAILED};

    for (size_t i = 0; i < 4; i++) {
        struct client client = {.closes = rows[i]};
        struct io_tls_options options =
            options_for(net, rows[i] == IN_FAILED ? "no" : "localhost");

        assert_int_equal(begin(net, &client, &options, net->server), 0);
        io_set_interest(client.io, rows[i] == IN_READABLE   ? IO_READ
                                   : rows[i] == IN_WRITABLE ? IO_WRITE
                                                            : 0);
        turn(net, SETTLED);
        if (rows[i] == IN_READABLE)
            tls_peer_write(&client.peer, SPAN_LIT("x"));
        turn(net, SETTLED);
        assert_null(client.io);
        assert_int_equal(client.n_connected, rows[i] != IN_FAILED);
        end(&client);
    }
    for (int rounds = 0; rounds < 12; rounds++) {
        struct client client = {0};
        struct io_tls_options options = options_for(net, "localhost");

        assert_int_equal(begin(net, &client, &options, net->server), 0);
        turn(net, rounds);
        int before = client.n_connected;
        client.io = io_close(client.io);
        turn(net, SETTLED);
        assert_int_equal(client.n_connected, before);
        assert_int_equal(client.n_failed, 0);
        end(&client);
    }
}

/* What an HTTPS proxy does after CONNECT: hands on what is inside of the outer stream. */
static void relay(struct tls_peer *proxy, struct io *to_origin)
{
    char buf[32768];
    struct iovec iov = io_piece(buf_span(&proxy->received));
    ssize_t n = io_writev(to_origin, &iov, 1);

    if (n > 0)
        buf_consume(&proxy->received, (size_t)n);
    n = io_read(to_origin, buf, sizeof(buf));
    if (n > 0)
        tls_peer_write(proxy, (struct span){buf, (size_t)n});
}

static void test_tls_travels_inside_tls(void **state)
{
    struct net *net = *state;
    static char bytes[300000];
    struct io_tls_options to_proxy = options_for(net, "localhost");
    struct io_tls_options to_origin = options_for(net, "a.example.com");
    struct client outer = {0};
    struct client inner = {.net = net};
    struct io *relay_end;
    struct io *origin_end;
    size_t sent = 0;
    size_t got = 0;
    char buf[4096];

    fill(bytes, sizeof(bytes));
    connect_with(net, &outer, &to_proxy, net->server);
    assert_int_equal(io_pair_new(net->loop, &relay_end, &origin_end), 0);
    assert_int_equal(io_tls_new(outer.io, &to_origin, &client_events, &inner, &inner.io), 0);
    tls_peer_init(&inner.peer, origin_end, net->server);
    while (!inner.n_connected) {
        assert_int_equal(inner.n_failed, 0);
        turn(net, 1);
        relay(&outer.peer, relay_end);
    }
    io_set_interest(inner.io, IO_READ);
    while (inner.peer.received.len < sizeof(bytes)) {
        struct iovec iov = io_piece(span_drop((struct span){bytes, sizeof(bytes)}, sent));
        ssize_t n = io_writev(inner.io, &iov, 1);

        sent += n > 0 ? (size_t)n : 0;
        turn(net, 1);
        relay(&outer.peer, relay_end);
    }
    assert_memory_equal(buf_span(&inner.peer.received).ptr, bytes, sizeof(bytes));
    tls_peer_write(&inner.peer, (struct span){bytes, sizeof(bytes)});
    while (got < sizeof(bytes)) {
        inner.n_readable = 0;
        turn(net, 1);
        relay(&outer.peer, relay_end);
        if (inner.n_readable == 0)
            continue; /* told of everything, though both layers buffer */
        ssize_t n = io_read(inner.io, buf, sizeof(buf));
        assert_true(n > 0 || n == -EAGAIN);
        if (n > 0)
            assert_memory_equal(buf, bytes + got, (size_t)n);
        got += n > 0 ? (size_t)n : 0;
    }
    end(&inner); /* and the outer one with it */
    tls_peer_done(&outer.peer);
    io_close(relay_end);
}

/* --- sessions -------------------------------------------------------------------------------
 */

static bool
is_resumed_with(struct net *net, const struct io_tls_options *options, SSL_CTX *server)
{
    struct client client = {0};

    connect_with(net, &client, options, server);
    bool resumed = io_tls_info(client.io)->resumed;
    assert_int_equal(SSL_session_reused(client.peer.ssl), resumed);
    io_set_interest(client.io, IO_READ); /* the tickets */
    turn(net, 3);
    if (client.n_readable > 0)
        assert_int_equal(io_read(client.io, &(char){0}, 1), -EAGAIN);
    end(&client);
    return resumed;
}

static bool is_resumed(struct net *net, const struct io_tls_options *options)
{
    return is_resumed_with(net, options, net->server);
}

static void test_a_second_connection_under_the_same_key_resumes(void **state)
{
    struct net *net = *state;
    struct io_tls_options options = options_for(net, "localhost");

    for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
        SSL_CTX_set_max_proto_version(net->server, version);
        tls_sessions_clear(net->sessions);
        assert_false(is_resumed(net, &options));
        assert_true(tls_sessions_count(net->sessions) > 0);
        assert_true(is_resumed(net, &options));
        assert_true(is_resumed(net, &options)); /* new tickets came with the resumption */
    }
    options.sessions = NULL;
    assert_false(is_resumed(net, &options));
}

static void test_a_tls_1_3_ticket_is_used_once(void **state)
{
    struct net *net = *state;
    struct io_tls_options options = options_for(net, "localhost");

    SSL_CTX_set_num_tickets(net->server, 1);
    assert_false(is_resumed(net, &options));
    assert_int_equal(tls_sessions_count(net->sessions), 1);
    SSL_CTX_set_num_tickets(net->server, 0);
    SSL_CTX *silent = net->server;
    assert_true(is_resumed_with(net, &options, silent));
    assert_int_equal(tls_sessions_count(net->sessions), 0);
    assert_false(is_resumed(net, &options));
}

static void test_ts09_pl01_pl03_pl04_nothing_is_resumed_under_another_key(void **state)
{
    struct net *net = *state;
    struct io_tls_options base = options_for(net, "localhost");
    CLEANUP_MEM char *both = mem_format("%s%s", ca_pem, other_ca_pem);
    struct tls_config insecure_config = {.insecure = true};
    struct tls_config both_config = {.ca_pem = span_of(both)};
    struct tls_config capped_config = {.ca_pem = span_of(ca_pem), .min_version = 0x0304};
    struct io_tls_options rows[9];
    size_t n = 0;

    assert_non_null(both);
    rows[n] = base; /* another user */
    rows[n++].partition.uid = 1001;
    rows[n] = base; /* another profile of his */
    rows[n++].partition.profile[0] = 'p';
    rows[n] = base; /* another jar: another login of his */
    rows[n++].jar = SPAN_LIT("work");
    rows[n] = base; /* one that ends with its client */
    rows[n++].private_jar = 1;
    rows[n] = base;
    rows[n++].port = 8443;
    rows[n] = base;
    rows[n++].host = SPAN_LIT("a.example.com");
    rows[n] = base; /* nothing verified */
    rows[n++].context = context_for(net, &insecure_config);
    rows[n] = base; /* other CAs, though the one needed is among them */
    rows[n++].context = context_for(net, &both_config);
    rows[n] = base;
    rows[n++].context = context_for(net, &capped_config);

    for (size_t i = 0; i < n; i++) {
        tls_sessions_clear(net->sessions);
        assert_false(is_resumed(net, &base));
        assert_false(is_resumed(net, &rows[i])); /* not base's */
        tls_sessions_clear(net->sessions);
        assert_false(is_resumed(net, &rows[i]));
        assert_false(is_resumed(net, &base)); /* nor the other way round */
        assert_true(is_resumed(net, &base));
    }
    for (size_t i = 0; i < n; i++) {
        if (rows[i].context != net->context)
            tls_context_unref(rows[i].context);
    }
}

static void test_a_session_outlived_by_its_certificate_or_lifetime_is_not_resumed(void **state)
{
    struct net *net = *state;
    struct io_tls_options options = options_for(net, "localhost");
    struct test_cert brief;

    assert_false(is_resumed(net, &options));
    net->clock.now_wall_s += 86400 + 1; /* our own limit */
    assert_false(is_resumed(net, &options));
    net->clock.now_wall_s -= 86400 + 1;

    tls_sessions_clear(net->sessions);
    test_cert_make(&brief, &(struct test_cert_spec){.common_name = "brief",
                                                    .san = "DNS:localhost",
                                                    .issuer = &ca,
                                                    .not_after_s = 600});
    SSL_CTX *server = test_server_ctx(&brief, TLS1_2_VERSION, TLS1_3_VERSION);
    assert_false(is_resumed_with(net, &options, server));
    net->clock.now_wall_s += 700;
    struct client client = {0};
    assert_int_equal(begin(net, &client, &options, server), 0);
    turn(net, SETTLED);
    assert_int_equal(client.why.code, X509_V_ERR_CERT_HAS_EXPIRED); /* so it was looked at */
    end(&client);
    SSL_CTX_free(server);
    test_cert_done(&brief);
}

static void test_a_cut_connection_does_not_cost_its_tickets(void **state)
{
    struct net *net = *state;
    struct io_tls_options options = options_for(net, "localhost");
    struct client client = {0};

    connect_with(net, &client, &options, net->server);
    io_set_interest(client.io, IO_READ);
    io_pair_send_eof(client.peer.io);
    turn(net, 3);
    assert_int_equal(io_read(client.io, &(char){0}, 1), IO_TRUNCATED);
    end(&client);
    assert_true(tls_sessions_count(net->sessions) > 0);
    assert_true(is_resumed(net, &options));
}

static void test_ts10_tickets_on_their_way_when_the_io_is_closed_harm_nobody(void **state)
{
    struct net *net = *state;

    for (int rounds = 0; rounds < 4; rounds++) {
        struct client client = {.closes = IN_CONNECTED};
        struct io_tls_options options = options_for(net, "localhost");

        assert_int_equal(begin(net, &client, &options, net->server), 0);
        while (!client.n_connected)
            turn(net, 1);
        for (int i = 0; i < rounds; i++) { /* more of them to a client that has gone */
            (void)SSL_new_session_ticket(client.peer.ssl);
            (void)SSL_do_handshake(client.peer.ssl);
            tls_peer_flush(&client.peer);
        }
        turn(net, 5);
        assert_null(client.io);
        end(&client);
    }
}

/* --- after the handshake --------------------------------------------------------------------
 */

static void flood(struct client *client, bool with_tickets, int n)
{
    for (int i = 0; i < n && !client->peer.failed; i++) {
        int r = with_tickets ? SSL_new_session_ticket(client->peer.ssl)
                             : SSL_key_update(client->peer.ssl, SSL_KEY_UPDATE_REQUESTED);
        if (r == 1)
            r = SSL_do_handshake(client->peer.ssl);
        ERR_clear_error();
        tls_peer_flush(&client->peer);
        if (r != 1)
            break;
        turn(client->net, 1);
        char c;
        if (io_read(client->io, &c, 1) != -EAGAIN)
            break;
    }
}

/* Under a sanitizer, whose allocator tells nothing, always true. */
static void test_a_connection_that_waits_keeps_no_buffers_after_its_tickets(void **state)
{
    enum { MANY = 16 }; /* more than are kept at hand */
    static struct client clients[MANY];
    struct net *net = *state;

    for (int i = 0; i < MANY; i++) {
        clients[i] = (struct client){0};
        connect_ok(net, &clients[i]);
    }
    size_t before = mallinfo2().uordblks;
    for (int i = 0; i < MANY; i++) {
        io_set_interest(clients[i].io, IO_READ);
        turn(net, 3);
        assert_int_equal(io_read(clients[i].io, &(char){0}, 1), -EAGAIN);
    }
    size_t after = mallinfo2().uordblks;
    assert_true(after < before + MANY * 8192);
    for (int i = 0; i < MANY; i++) { /* and goes on as before */
        tls_peer_write(&clients[i].peer, SPAN_LIT("!"));
        turn(net, 3);
        assert_int_equal(io_read(clients[i].io, &(char){0}, 1), 1);
        end(&clients[i]);
    }
}

static void test_ts12_floods_of_tickets_and_key_updates_end_the_connection(void **state)
{
    struct net *net = *state;

    for (int with_tickets = 0; with_tickets < 2; with_tickets++) {
        struct client few = {0};
        struct client many = {0};
        char c;

        connect_ok(net, &few);
        io_set_interest(few.io, IO_READ);
        flood(&few, with_tickets, 20);
        assert_int_equal(io_read(few.io, &c, 1), -EAGAIN);
        tls_peer_write(&few.peer, SPAN_LIT("!"));
        turn(net, 3);
        assert_int_equal(io_read(few.io, &c, 1), 1);
        end(&few);

        connect_ok(net, &many);
        io_set_interest(many.io, IO_READ);
        flood(&many, with_tickets, 1000);
        assert_true(io_read(many.io, &c, 1) < 0);
        assert_false(io_is_connected(many.io));
        assert_non_null(strstr(io_last_failure(many.io)->text, "tickets and key updates"));
        assert_true(tls_sessions_count(net->sessions) <= 4);
        end(&many);
    }
}

static void test_ts13_renegotiation_is_refused(void **state)
{
    struct net *net = *state;
    struct client client = {0};
    char c;

    SSL_CTX_set_max_proto_version(net->server, TLS1_2_VERSION);
    connect_ok(net, &client);
    io_set_interest(client.io, IO_READ);
    assert_int_equal(SSL_renegotiate(client.peer.ssl), 1);
    (void)SSL_do_handshake(client.peer.ssl);
    tls_peer_flush(&client.peer);
    turn(net, 3);
    assert_int_equal(io_read(client.io, &c, 1), -EAGAIN);
    turn(net, 5);
    assert_int_equal(SSL_num_renegotiations(client.peer.ssl), 1); /* asked for */
    assert_true(SSL_in_init(client.peer.ssl));                    /* and never answered */
    end(&client);
}

/* --- a crowd -------------------------------------------------------------------------------
 */

#define CROWD 40

struct crowd {
    struct client clients[CROWD];
    struct deferred ready; /* somebody who always has something to do */
    struct loop *loop;
    uint64_t served;
};

static void serve_ready(void *owner)
{
    struct crowd *crowd = owner;

    crowd->served++;
    loop_defer_next(crowd->loop, &crowd->ready);
}

struct progress {
    int hellos;
    int connected;
};

static struct progress progress_of(const struct crowd *crowd)
{
    struct progress progress = {0};

    for (int i = 0; i < CROWD; i++) {
        progress.hellos += !SSL_in_before(crowd->clients[i].peer.ssl);
        progress.connected += crowd->clients[i].n_connected;
    }
    return progress;
}

/* Counted, not timed: whoever is ready is served in every round, and between two times there is
 * one step of one handshake. A step is less than a handshake, so that is the most it costs. */
static void test_a_crowd_that_shakes_hands_costs_a_ready_one_a_step_a_round(void **state)
{
    struct net *net = *state;
    struct io_tls_options options = options_for(net, "localhost");
    struct crowd *crowd = mem_zalloc(sizeof(*crowd));
    uint64_t rounds = 0;

    assert_non_null(crowd);
    crowd->loop = net->loop;
    crowd->ready = (struct deferred){.fn = serve_ready, .owner = crowd};
    options.sessions = NULL; /* in full, each */
    for (int i = 0; i < CROWD; i++)
        assert_int_equal(begin(net, &crowd->clients[i], &options, net->server), 0);
    loop_defer(net->loop, &crowd->ready);
    uint64_t turns_before = loop_stats(net->loop).turns;
    struct progress before = {0};
    while (before.connected < CROWD) {
        struct loop_stats stats = loop_stats(net->loop);

        turn(net, 1);
        rounds++;
        struct progress now = progress_of(crowd);
        assert_true(loop_stats(net->loop).turns - stats.turns <= 1);
        assert_int_equal(loop_stats(net->loop).rounds, stats.rounds + 1);
        assert_true(now.hellos - before.hellos <= 1);
        assert_true(now.connected - before.connected <= 1);
        assert_int_equal(crowd->served, rounds);
        assert_true(rounds < CROWD * 20);
        before = now;
    }
    struct loop_stats stats = loop_stats(net->loop);
    assert_int_equal(before.hellos, CROWD);
    assert_true(stats.turns - turns_before >= 2 * CROWD);
    assert_true(stats.turn_cpu_ns > 0 && stats.turn_cpu_ns_max <= stats.turn_cpu_ns);
    loop_defer_cancel(net->loop, &crowd->ready);
    for (int i = 0; i < CROWD; i++)
        end(&crowd->clients[i]);
    mem_free(crowd);
}

/* --- the rest -------------------------------------------------------------------------------
 */

static void test_every_failed_allocation_of_a_tls_stream_is_survived(void **state)
{
    struct net *net = *state;
    struct io_tls_options options = options_for(net, "localhost");
    bool clean = false;

    for (uint64_t n = 1; !clean; n++) {
        struct client client = {.net = net};
        struct io *a;
        struct io *b;
        char c;

        tls_sessions_clear(net->sessions);
        assert_int_equal(io_pair_new(net->loop, &a, &b), 0);
        mem_fail_at(n);
        int r = io_tls_new(a, &options, &client_events, &client, &client.io);
        if (r < 0) {
            assert_int_equal(r, -ENOMEM);
            mem_fail_at(0);
            io_close(a);
            io_close(b);
            turn(net, 1);
            continue;
        }
        io_set_interest(client.io, IO_READ);
        mem_fail_at(0);
        tls_peer_init(&client.peer, b, net->server);
        turn(net, SETTLED - 20);
        mem_fail_at(n); /* tickets: kept or not, nobody fails for it */
        assert_true(io_read(client.io, &c, 1) == -EAGAIN);
        clean = mem_alloc_count() < n;
        mem_fail_at(0);
        assert_int_equal(client.n_connected, 1);
        assert_int_equal(client.n_failed, 0);
        end(&client);
    }
}

struct tcp_server {
    int fd;
    SSL_CTX *ctx;
    size_t n_bytes;
    bool ok;
};

static void *tcp_server_main(void *arg)
{
    struct tcp_server *server = arg;
    static char bytes[65536];
    char request[64];
    int fd = accept(server->fd, NULL, NULL);
    SSL *ssl = SSL_new(server->ctx);

    fill(bytes, sizeof(bytes));
    SSL_set_fd(ssl, fd);
    server->ok = SSL_accept(ssl) == 1 && SSL_read(ssl, request, sizeof(request)) == 4;
    for (size_t sent = 0; server->ok && sent < server->n_bytes; sent += sizeof(bytes))
        server->ok = SSL_write(ssl, bytes, sizeof(bytes)) == (int)sizeof(bytes);
    SSL_shutdown(ssl);
    SSL_free(ssl);
    close(fd);
    return NULL;
}

static void test_megabytes_come_over_real_sockets(void **state)
{
    struct net *net = *state;
    struct io_tls_options options = options_for(net, "127.0.0.1");
    struct tcp_server server = {.ctx = net->server, .n_bytes = 4 << 20};
    struct client client = {.net = net};
    struct address address;
    socklen_t len = sizeof(address);
    struct io *tcp;
    pthread_t thread;
    static char buf[65536];
    char pattern[65536];
    size_t got = 0;
    ssize_t n = -EAGAIN;

    fill(pattern, sizeof(pattern));
    server.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(address_parse(SPAN_LIT("127.0.0.1"), 0, &address), 0);
    assert_int_equal(bind(server.fd, &address.sa, address_len(&address)), 0);
    assert_int_equal(listen(server.fd, 1), 0);
    assert_int_equal(getsockname(server.fd, &address.sa, &len), 0);
    assert_int_equal(pthread_create(&thread, NULL, tcp_server_main, &server), 0);

    assert_int_equal(io_tcp_connect(net->loop, &address, NULL, NULL, NULL, &tcp), 0);
    assert_int_equal(io_tls_new(tcp, &options, &client_events, &client, &client.io), 0);
    while (!client.n_connected) {
        assert_int_equal(client.n_failed, 0);
        assert_int_equal(loop_turn(net->loop, true), 0);
    }
    assert_int_equal(address_compare(io_remote(client.io), &address), 0);
    struct iovec iov = iov_of(SPAN_LIT("GET\n"));
    assert_int_equal(io_writev(client.io, &iov, 1), 4);
    io_set_interest(client.io, IO_READ);
    while (n != 0) {
        n = io_read(client.io, buf, sizeof(buf));
        if (n == -EAGAIN) {
            assert_int_equal(loop_turn(net->loop, true), 0);
            continue;
        }
        assert_true(n >= 0);
        for (size_t i = 0; i < (size_t)n; i++)
            assert_int_equal(buf[i], pattern[(got + i) % sizeof(pattern)]);
        got += (size_t)n;
    }
    assert_int_equal(got, server.n_bytes);
    pthread_join(thread, NULL);
    assert_true(server.ok);
    close(server.fd);
    end(&client);
}

static void test_a_lower_stream_that_cannot_connect_passes_its_failure_on(void **state)
{
    struct net *net = *state;
    struct io_tls_options options = options_for(net, "127.0.0.1");
    struct client client = {.net = net};
    struct address address;
    socklen_t len = sizeof(address);
    struct io *tcp;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_int_equal(address_parse(SPAN_LIT("127.0.0.1"), 0, &address), 0);
    assert_int_equal(bind(fd, &address.sa, address_len(&address)), 0); /* nobody listens */
    assert_int_equal(getsockname(fd, &address.sa, &len), 0);
    int r = io_tcp_connect(net->loop, &address, NULL, NULL, NULL, &tcp);
    if (r == 0) {
        assert_int_equal(io_tls_new(tcp, &options, &client_events, &client, &client.io), 0);
        while (!client.n_failed)
            assert_int_equal(loop_turn(net->loop, true), 0);
        assert_int_equal(client.why.kind, FAILURE_CONNECT);
        assert_int_equal(client.why.sys_errno, ECONNREFUSED);
        end(&client);
    } else {
        assert_int_equal(r, -ECONNREFUSED);
    }
    close(fd);
}

#define WITH_NET(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_NET(test_the_best_common_version_is_taken_and_told),
        WITH_NET(test_a_server_without_a_version_in_common_is_a_version_failure),
        WITH_NET(test_a_version_set_by_the_client_is_kept_to),
        WITH_NET(test_ts01_old_versions_are_spoken_in_one_handshake_where_asked_for),
        WITH_NET(test_ts08_with_old_versions_allowed_what_is_weak_stays_refused),
        WITH_NET(test_ts08_below_1_2_aes_cbc_sha_is_all_that_is_offered),
        WITH_NET(test_ts05_a_rung_is_refused_by_a_server_that_can_do_better),
        WITH_NET(test_ts06_a_marked_random_after_a_rung_is_a_downgrade),
        cmocka_unit_test(test_ts06_the_mark_of_a_downgrade_is_known),
        WITH_NET(test_ur15_only_a_dns_name_is_sent_as_sni),
        WITH_NET(test_h215_alpn_offers_are_checked_before_and_after),
        WITH_NET(test_tv01_to_tv04_who_signed_it_and_when),
        WITH_NET(test_tv05_tv06_tv07_tv10_tv11_names_come_from_the_san_and_wildcards_are_whole),
        WITH_NET(test_tv08_an_address_needs_an_ip_san),
        WITH_NET(test_tv09_a_trailing_dot_is_no_part_of_the_name),
        WITH_NET(test_tv12_ts08_what_a_certificate_may_not_be_used_for_and_weak_ones),
        WITH_NET(test_tv12_constraints_and_ca_bit_of_an_intermediate_count),
        WITH_NET(test_tv14_insecure_takes_anything_but_only_where_it_was_asked_for),
        WITH_NET(test_ur16_hostile_names_in_a_certificate_are_escaped_and_cut),
        WITH_NET(test_alerts_and_what_is_no_tls_become_failures_one_understands),
        WITH_NET(test_an_end_or_a_reset_in_the_handshake_is_a_tls_failure),
        WITH_NET(test_small_pieces_travel_in_one_record),
        WITH_NET(test_lb09_bytes_arrive_whole_through_a_lower_stream_of_tiny_writes),
        WITH_NET(test_a_blocked_stream_says_again_and_tells_when_there_is_room),
        WITH_NET(test_buffered_records_are_readable_though_the_socket_is_silent),
        WITH_NET(test_a_clean_end_a_cut_one_and_a_reset_differ),
        WITH_NET(test_closing_sends_close_notify),
        WITH_NET(test_a_failure_behind_the_owners_back_is_told_by_on_failed),
        WITH_NET(test_an_answer_is_read_though_the_server_has_hung_up),
        WITH_NET(test_lb04_tls_may_be_closed_in_every_callback_and_at_every_step),
        WITH_NET(test_tls_travels_inside_tls),
        WITH_NET(test_a_second_connection_under_the_same_key_resumes),
        WITH_NET(test_a_tls_1_3_ticket_is_used_once),
        WITH_NET(test_ts09_pl01_pl03_pl04_nothing_is_resumed_under_another_key),
        WITH_NET(test_a_session_outlived_by_its_certificate_or_lifetime_is_not_resumed),
        WITH_NET(test_a_cut_connection_does_not_cost_its_tickets),
        WITH_NET(test_ts10_tickets_on_their_way_when_the_io_is_closed_harm_nobody),
        WITH_NET(test_a_connection_that_waits_keeps_no_buffers_after_its_tickets),
        WITH_NET(test_ts12_floods_of_tickets_and_key_updates_end_the_connection),
        WITH_NET(test_ts13_renegotiation_is_refused),
        WITH_NET(test_a_crowd_that_shakes_hands_costs_a_ready_one_a_step_a_round),
        WITH_NET(test_every_failed_allocation_of_a_tls_stream_is_survived),
        WITH_NET(test_megabytes_come_over_real_sockets),
        WITH_NET(test_a_lower_stream_that_cannot_connect_passes_its_failure_on),
    };

    return cmocka_run_group_tests_name("net/io_tls", tests, make_certs, drop_certs);
}
