/* SPDX-License-Identifier: MIT */
/* Blocking TLS client connect to 127.0.0.1, verified against a CA file. */
#ifndef TLS_H
#define TLS_H
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
static SSL_CTX *tls_ctx(const char *ca)
{
    SSL_CTX *c = SSL_CTX_new(TLS_client_method());
    if (!c || !SSL_CTX_load_verify_locations(c, ca, NULL))
        die("CA file %s", ca);
    SSL_CTX_set_verify(c, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_mode(c, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                            SSL_MODE_RELEASE_BUFFERS);
    return c;
}
__attribute__((unused)) static int tcp_connect(int port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int s = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;
    if (s < 0 || connect(s, (struct sockaddr *)&a, sizeof a))
        die("connect port %d", port);
    setsockopt(s, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    return s;
}
__attribute__((unused)) static SSL *tls_connect(SSL_CTX *x, int port, SSL_SESSION *resume)
{
    SSL *s = SSL_new(x);
    SSL_set_fd(s, tcp_connect(port));
    SSL_set_tlsext_host_name(s, "localhost");
    SSL_set1_host(s, "localhost");
    if (resume)
        SSL_set_session(s, resume);
    if (SSL_connect(s) != 1) {
        ERR_print_errors_fp(stderr);
        die("TLS handshake");
    }
    return s;
}
#endif
