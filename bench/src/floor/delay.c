/* SPDX-License-Identifier: MIT */
/* delay PORT TARGETPORT RTT_MS: TCP proxy on 127.0.0.1 that adds RTT_MS round trip, also to the
 * TCP handshake: the first flight of a connection is held one further round trip, as if
 * connect() had taken one. Does not model slow start or loss. */
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>

#include "bench.h"

struct chunk {
    struct chunk *next;
    uint64_t due;
    size_t n, off;
    char b[];
};
struct half {
    struct conn *c;
    int in, out, eof, shut;
    struct chunk *head, **tail;
    size_t queued;
};
struct conn {
    struct half h[2];
    uint64_t born;
    struct conn *next, *prev;
    int dead;
};
static struct conn all = {.next = &all, .prev = &all};
static uint64_t one_way;

static int tcp(int port, int listening)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int s = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), one = 1;
    setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (listening) {
        if (bind(s, (struct sockaddr *)&a, sizeof a) || listen(s, 4096))
            die("bind %d", port);
    } else if (connect(s, (struct sockaddr *)&a, sizeof a) && errno != EINPROGRESS)
        die("connect %d", port);
    setsockopt(s, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    return s;
}
static void pull(struct half *h)
{
    static char b[262144];
    while (h->queued < 64u << 20) {
        ssize_t r = read(h->in, b, sizeof b);
        if (r < 0 && (errno == EAGAIN || errno == EINTR || errno == ENOTCONN))
            return;
        if (r <= 0)
            r = 0;
        struct chunk *k = malloc(sizeof *k + (size_t)r);
        if (!k)
            die("malloc");
        k->next = NULL;
        k->n = (size_t)r;
        k->off = 0;
        k->due = now_ns() + one_way;
        if (h == &h->c->h[0] && k->due < h->c->born + 3 * one_way)
            k->due = h->c->born + 3 * one_way;
        if (r)
            memcpy(k->b, b, (size_t)r);
        *h->tail = k;
        h->tail = &k->next;
        h->queued += (size_t)r;
        if (!r) {
            h->eof = 1;
            return;
        }
    }
}
static void push(struct half *h, uint64_t t)
{
    while (h->head && h->head->due <= t) {
        struct chunk *k = h->head;
        if (k->n) {
            ssize_t w = send(h->out, k->b + k->off, k->n - k->off, MSG_NOSIGNAL);
            if (w < 0 && (errno == EAGAIN || errno == ENOTCONN))
                return;
            if (w < 0) {
                h->c->dead = 1;
                return;
            }
            k->off += (size_t)w;
            if (k->off < k->n)
                return;
        } else {
            shutdown(h->out, SHUT_WR);
            h->shut = 1;
        }
        h->queued -= k->n;
        if (!(h->head = k->next))
            h->tail = &h->head;
        free(k);
    }
}
int main(int ac, char **av)
{
    bench_case = "delay";
    if (ac < 4)
        die("usage: delay PORT TARGETPORT RTT_MS");
    one_way = (uint64_t)(atof(av[3]) * 5e5);
    int l = tcp(number(av[1]), 1), ep = epoll_create1(EPOLL_CLOEXEC),
        tf = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    struct epoll_event ev = {.events = EPOLLIN}, evs[256];
    epoll_ctl(ep, EPOLL_CTL_ADD, l, &ev);
    ev.data.ptr = &tf;
    epoll_ctl(ep, EPOLL_CTL_ADD, tf, &ev);
    for (;;) {
        int n = epoll_wait(ep, evs, 256, -1);
        for (int i = 0; i < n; i++) {
            struct half *h = evs[i].data.ptr;
            if (evs[i].data.ptr == &tf) {
                uint64_t x;
                if (read(tf, &x, sizeof x) < 0)
                    continue;
            } else if (!h) {
                int fd = accept4(l, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK), one = 1;
                struct conn *c = fd < 0 ? NULL : calloc(1, sizeof *c);
                if (!c)
                    continue;
                setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
                int up = tcp(number(av[2]), 0);
                c->born = now_ns();
                for (int k = 0; k < 2; k++)
                    c->h[k] = (struct half){
                        .c = c, .in = k ? up : fd, .out = k ? fd : up, .tail = NULL};
                for (int k = 0; k < 2; k++) {
                    c->h[k].tail = &c->h[k].head;
                    ev.events = EPOLLIN | EPOLLET;
                    ev.data.ptr = &c->h[k];
                    epoll_ctl(ep, EPOLL_CTL_ADD, c->h[k].in, &ev);
                }
                c->next = all.next;
                c->prev = &all;
                all.next->prev = c;
                all.next = c;
            } else if (!h->eof)
                pull(h);
        }
        uint64_t t = now_ns(), next = UINT64_MAX;
        for (struct conn *c = all.next, *nx; c != &all; c = nx) {
            nx = c->next;
            for (int k = 0; k < 2; k++) {
                struct half *h = &c->h[k];
                push(h, t);
                if (!h->eof && h->queued < 1u << 20)
                    pull(h);
                if (h->head) {
                    uint64_t d = h->head->due > t ? h->head->due : t + 1000000;
                    if (d < next)
                        next = d;
                }
            }
            if (c->dead || (c->h[0].shut && c->h[1].shut)) {
                close(c->h[0].in);
                close(c->h[1].in);
                for (int k = 0; k < 2; k++)
                    while (c->h[k].head) {
                        struct chunk *q = c->h[k].head;
                        c->h[k].head = q->next;
                        free(q);
                    }
                c->next->prev = c->prev;
                c->prev->next = c->next;
                free(c);
            }
        }
        struct itimerspec its = {0};
        if (next != UINT64_MAX) {
            its.it_value.tv_sec = (time_t)(next / 1000000000u);
            its.it_value.tv_nsec = (long)(next % 1000000000u);
        }
        timerfd_settime(tf, TFD_TIMER_ABSTIME, &its, NULL);
    }
}
