/* SPDX-License-Identifier: MIT */
/*
 * An origin that answers when it is told to: many requests are in flight, and as many
 * connections open, for as long as somebody wants to look at them.
 *
 *   hold_origin CERTIFICATE KEY ADDRESSES
 *
 * Listens on 127.0.0.1 and the ADDRESSES - 1 after it, on one port for TLS and one without, and
 * prints both. Every request is answered with 1 KiB; one for /hold is kept until the next
 * "release". A line on stdin is answered with one: "count" and "release" with the number of
 * connections, and of requests that are held. Ends with stdin.
 */
#define _GNU_SOURCE /* accept4 */
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define HEAD_BYTES 1024
#define BODY_BYTES 1024
#define PORT_TRIES 20
#define BATCH      256

struct connection {
    struct connection *prev; /* of those that are held; points to itself when it is not */
    struct connection *next;
    SSL *tls; /* NULL: without */
    int fd;
    bool is_ready; /* its handshake is over */
    size_t len;
    char head[HEAD_BYTES];
};

struct listener {
    int fd;
    bool is_tls;
};

struct origin {
    int epoll;
    SSL_CTX *tls;
    struct listener *listeners;
    size_t n_listeners;
    struct connection held; /* the ring's head */
    size_t n_held;
    size_t n_open;
};

__attribute__((noreturn)) static void die(const char *what)
{
    (void)fprintf(stderr, "hold_origin: %s (%s)\n", what, strerror(errno));
    exit(1);
}

static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 1024\r\n\r\n";

static void watch(const struct origin *origin, int fd, uint32_t events, void *what)
{
    struct epoll_event event = {.events = events, .data.ptr = what};

    if (epoll_ctl(origin->epoll, EPOLL_CTL_ADD, fd, &event) < 0)
        die("epoll_ctl");
}

static int listen_at(unsigned number, uint16_t port)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons(port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK + number)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int on = 1;

    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0)
        die("socket");
    if (bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0 && listen(fd, 4096) == 0)
        return fd;
    (void)close(fd);
    return -1;
}

static uint16_t port_of(int fd)
{
    struct sockaddr_in address = {0};
    socklen_t len = sizeof(address);

    if (getsockname(fd, (struct sockaddr *)&address, &len) < 0)
        die("getsockname");
    return ntohs(address.sin_port);
}

/* The kernel's choice for the first address, if it is free on the others, too. */
static bool try_listening(struct listener *listeners, size_t n)
{
    uint16_t port = 0;

    for (size_t i = 0; i < n; i++) {
        listeners[i].fd = listen_at((unsigned)i, port);
        if (listeners[i].fd < 0) {
            while (i-- > 0)
                (void)close(listeners[i].fd);
            return false;
        }
        port = port_of(listeners[0].fd);
    }
    return true;
}

static void start_listening(struct origin *origin, bool is_tls, size_t n)
{
    struct listener *first = origin->listeners + origin->n_listeners;
    int tries = PORT_TRIES;

    while (!try_listening(first, n))
        if (--tries == 0)
            die("no port that is free on all addresses");
    for (size_t i = 0; i < n; i++) {
        first[i].is_tls = is_tls;
        watch(origin, first[i].fd, EPOLLIN, &first[i]);
    }
    origin->n_listeners += n;
    (void)printf("%u\n", port_of(first[0].fd));
}

static void close_connection(struct origin *origin, struct connection *connection)
{
    if (connection->next != connection)
        origin->n_held--;
    connection->prev->next = connection->next;
    connection->next->prev = connection->prev;
    if (connection->is_ready)
        origin->n_open--;
    SSL_free(connection->tls);
    (void)close(connection->fd);
    free(connection);
}

static void accept_all(struct origin *origin, const struct listener *listener)
{
    for (;;) {
        int fd = accept4(listener->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        int on = 1;

        if (fd < 0 && (errno == EAGAIN || errno == ECONNABORTED))
            return;
        struct connection *connection = calloc(1, sizeof(*connection));
        if (fd < 0 || !connection)
            die("accept");
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
        connection->prev = connection->next = connection;
        connection->fd = fd;
        connection->is_ready = !listener->is_tls;
        origin->n_open += connection->is_ready;
        if (listener->is_tls) {
            connection->tls = SSL_new(origin->tls);
            if (!connection->tls || SSL_set_fd(connection->tls, fd) != 1)
                die("SSL_new");
        }
        watch(origin, fd, EPOLLIN | EPOLLET, connection);
    }
}

static bool send_answer(const struct connection *connection)
{
    char bytes[sizeof(answer) - 1 + BODY_BYTES];

    memcpy(bytes, answer, sizeof(answer) - 1);
    memset(bytes + sizeof(answer) - 1, 'x', BODY_BYTES);
    if (connection->tls)
        return SSL_write(connection->tls, bytes, sizeof(bytes)) == (int)sizeof(bytes);
    return write(connection->fd, bytes, sizeof(bytes)) == (ssize_t)sizeof(bytes);
}

static void hold(struct origin *origin, struct connection *connection)
{
    connection->prev = origin->held.prev;
    connection->next = &origin->held;
    connection->prev->next = connection;
    origin->held.prev = connection;
    origin->n_held++;
}

/* Return: whether the connection goes on. One request at a time comes on it. */
static bool take_request(struct origin *origin, struct connection *connection)
{
    bool is_whole = connection->len >= 4 &&
                    memcmp(connection->head + connection->len - 4, "\r\n\r\n", 4) == 0;

    if (!is_whole)
        return connection->len < HEAD_BYTES;
    connection->len = 0;
    if (strncmp(connection->head, "GET /hold", 9) == 0) {
        hold(origin, connection);
        return true;
    }
    return send_answer(connection);
}

/* Return: bytes read; 0: none for now; -1: the connection is over. */
static int read_some(struct connection *connection)
{
    char *to = connection->head + connection->len;
    size_t room = HEAD_BYTES - connection->len;

    if (!connection->tls) {
        ssize_t n = read(connection->fd, to, room);

        return n > 0 ? (int)n : n < 0 && errno == EAGAIN ? 0 : -1;
    }
    ERR_clear_error();
    int n = SSL_read(connection->tls, to, (int)room);
    return n > 0 ? n : SSL_get_error(connection->tls, n) == SSL_ERROR_WANT_READ ? 0 : -1;
}

static bool shake_hands(struct origin *origin, struct connection *connection)
{
    ERR_clear_error();
    int r = SSL_accept(connection->tls);

    if (r != 1)
        return SSL_get_error(connection->tls, r) == SSL_ERROR_WANT_READ;
    connection->is_ready = true;
    origin->n_open++;
    return true;
}

static bool serve(struct origin *origin, struct connection *connection)
{
    if (!connection->is_ready && !shake_hands(origin, connection))
        return false;
    while (connection->is_ready) {
        int n = read_some(connection);

        if (n <= 0)
            return n == 0;
        connection->len += (size_t)n;
        if (!take_request(origin, connection))
            return false;
    }
    return true;
}

static void release_all(struct origin *origin)
{
    while (origin->held.next != &origin->held) {
        struct connection *connection = origin->held.next;

        connection->prev->next = connection->next;
        connection->next->prev = connection->prev;
        connection->prev = connection->next = connection;
        origin->n_held--;
        if (!send_answer(connection))
            close_connection(origin, connection);
    }
}

static void obey(struct origin *origin)
{
    char word[64];
    ssize_t n = read(STDIN_FILENO, word, sizeof(word) - 1);

    if (n <= 0)
        exit(0);
    size_t n_held = origin->n_held;
    if (strncmp(word, "release", 7) == 0)
        release_all(origin);
    (void)printf("%zu %zu\n", origin->n_open, n_held);
}

static bool is_listener(const struct origin *origin, const void *what)
{
    const struct listener *one = what;

    return one >= origin->listeners && one < origin->listeners + origin->n_listeners;
}

static void run(struct origin *origin)
{
    struct epoll_event events[BATCH];

    for (;;) {
        int n = epoll_wait(origin->epoll, events, BATCH, -1);

        if (n < 0 && errno != EINTR)
            die("epoll_wait");
        for (int i = 0; i < n; i++) {
            void *what = events[i].data.ptr;

            if (!what)
                obey(origin);
            else if (is_listener(origin, what))
                accept_all(origin, what);
            else if (!serve(origin, what))
                close_connection(origin, what);
        }
    }
}

int main(int argc, char **argv)
{
    struct origin origin = {.held = {.prev = &origin.held, .next = &origin.held}};

    size_t n = argc == 4 ? strtoumax(argv[3], NULL, 10) : 0;
    if (n < 1 || n > 100)
        die("wants CERTIFICATE KEY ADDRESSES, 1 to 100 of them");
    (void)setvbuf(stdout, NULL, _IOLBF, 0);
    origin.epoll = epoll_create1(EPOLL_CLOEXEC);
    origin.listeners = calloc(2 * n, sizeof(*origin.listeners));
    origin.tls = SSL_CTX_new(TLS_server_method());
    if (origin.epoll < 0 || !origin.listeners || !origin.tls)
        die("epoll_create1, or no memory");
    if (SSL_CTX_use_certificate_chain_file(origin.tls, argv[1]) != 1 ||
        SSL_CTX_use_PrivateKey_file(origin.tls, argv[2], SSL_FILETYPE_PEM) != 1)
        die("the certificate, or its key");
    (void)SSL_CTX_set_mode(origin.tls, SSL_MODE_RELEASE_BUFFERS);
    watch(&origin, STDIN_FILENO, EPOLLIN, NULL);
    start_listening(&origin, true, n);
    start_listening(&origin, false, n);
    run(&origin);
}
