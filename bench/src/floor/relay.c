/* SPDX-License-Identifier: MIT */
/* relay: floor of a connection-owning daemon. One thread, epoll, protobuf requests over a Unix
 * stream socket, CONNS warm verified TLS 1.x connections to one origin, HTTP/1.1, up to DEPTH
 * pipelined each. No cookies, cache, redirects, timeouts or retries: what a real daemon adds
 * costs extra. relay [-u] [-r] [-e] [-m] SOCKET CA PORT CONNS DEPTH -u: no batching, one write
 * per message    -r: no TLS read-ahead (3 reads per record) -e: EPOLLOUT always armed,
 * edge-triggered, as simple event loops do -m: malloc's own settings, so that freed buffers go
 * back to the kernel and fault in again */
#include "relay.h"

#include <malloc.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/mman.h>

#include "bench.h"
#include "relay.pb-c.h"
#include "tls.h"

#define HIWAT (1u << 18)
enum evt { E_LISTEN, E_CLIENT, E_CONN, E_OUT };
struct ev {
    enum evt t;
};
struct out {
    struct ev ev;
    void *self;
    int fd, dirty, want;
    char *b;
    size_t off, len, cap;
    struct conn *waiter;
    struct out *nextd;
};
struct client {
    struct ev ev;
    struct out o;
    int fds[4], nfds, dead, refs, memfd;
    char *carry, *shm;
    size_t ncarry, up_left, shm_head, shm_used;
    struct conn *up, *shm_waiter;
    struct ucred cred; /* read once per connection */
    struct client *nextdead;
};
struct req {
    struct req *next;
    struct client *cl;
    struct out *so;
    Req *pb;
    int fd;
    uint64_t left, up;
};
struct conn {
    struct ev ev;
    struct out w;
    SSL *s;
    struct req *q, **qt;
    int n, excl, listed, in_body, ready;
    char *carry;
    size_t ncarry;
    struct conn *nextf, *nextr;
};
static int ep, depth, unbatched, armed;
static struct conn *freec, *readyc;
static struct req *pend, **pendt = &pend;
static struct out *dirty;
static struct client *deadc;
static char rb[HIWAT + 65536];

static void add(int fd, void *p)
{
    struct epoll_event e = {.events = EPOLLIN | EPOLLET | (armed ? EPOLLOUT : 0),
                            .data.ptr = p};
    if (epoll_ctl(ep, EPOLL_CTL_ADD, fd, &e))
        die("epoll_ctl");
}
/* EPOLLOUT only while blocked: on a Unix socket it fires each time the peer reads a message. */
static void want(struct out *o, int fd, int on)
{
    struct epoll_event e = {.events = EPOLLET | EPOLLIN | (on ? EPOLLOUT : 0),
                            .data.ptr = o->self};
    if (!armed && o->want != on && epoll_ctl(ep, EPOLL_CTL_MOD, fd, &e))
        die("epoll_ctl");
    o->want = on;
}
static char *room(struct out *o, size_t n)
{
    if (!o->len)
        o->off = 0;
    if (o->off + o->len + n > o->cap) {
        if (o->off) {
            memmove(o->b, o->b + o->off, o->len);
            o->off = 0;
        }
        if (o->len + n > o->cap) {
            o->cap = (o->len + n) * 3 / 2 + 1024;
            if (!(o->b = realloc(o->b, o->cap)))
                die("realloc");
        }
    }
    return o->b + o->off + o->len;
}
static void client_read(struct client *c);
static void conn_read(struct conn *c);
static void conn_flush(struct conn *c);
static void assign(void);

static void out_flush(struct out *o)
{
    while (o->len && o->fd >= 0) {
        ssize_t w = o->ev.t == E_OUT ? write(o->fd, o->b + o->off, o->len)
                                     : send(o->fd, o->b + o->off, o->len, MSG_NOSIGNAL);
        if (w < 0) {
            if (errno != EAGAIN)
                o->len = 0;
            else
                want(o, o->fd, 1);
            break;
        }
        o->off += (size_t)w;
        o->len -= (size_t)w;
    }
    if (!o->len && o->want && o->fd >= 0)
        want(o, o->fd, 0);
    if (!o->len && o->cap > 65536 && !o->waiter) {
        free(o->b);
        o->b = NULL;
        o->cap = 0;
    }
    if (o->waiter && o->len < HIWAT / 2) {
        struct conn *k = o->waiter;
        o->waiter = NULL;
        conn_read(k);
    }
}
static void mark(struct out *o)
{
    if (unbatched) {
        if (o->ev.t == E_CONN)
            conn_flush((struct conn *)((char *)o - offsetof(struct conn, w)));
        else
            out_flush(o);
        return;
    }
    if (o->dirty)
        return;
    o->dirty = 1;
    o->nextd = dirty;
    dirty = o;
}
static void put(struct client *c, int type, uint32_t id, const void *p, size_t n)
{
    struct frame f = {(uint32_t)n, id, (uint8_t)type};
    if (c->dead)
        return;
    char *b = room(&c->o, sizeof f + n);
    memcpy(b, &f, sizeof f);
    if (n)
        memcpy(b + sizeof f, p, n);
    c->o.len += sizeof f + n;
    mark(&c->o);
}
static void unref(struct client *c)
{
    if (--c->refs)
        return;
    if (c->shm) {
        munmap(c->shm, SHM_SIZE);
        close(c->memfd);
    }
    free(c->carry);
    free(c->o.b);
    free(c);
}
static void give(struct client *c, uint32_t id)
{ /* hand the memfd over once */
    c->memfd = memfd_create("body", MFD_CLOEXEC);
    if (c->memfd < 0 || ftruncate(c->memfd, SHM_SIZE))
        die("memfd");
    c->shm = mmap(NULL, SHM_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, c->memfd, 0);
    out_flush(&c->o);
    struct frame f = {0, id, F_DESC};
    struct iovec v = {&f, sizeof f};
    union {
        struct cmsghdr h;
        char b[CMSG_SPACE(sizeof(int))];
    } u = {0};
    struct msghdr m = {
        .msg_iov = &v, .msg_iovlen = 1, .msg_control = u.b, .msg_controllen = sizeof u.b};
    u.h = (struct cmsghdr){
        .cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
    memcpy(CMSG_DATA(&u.h), &c->memfd, sizeof(int));
    if (c->o.len || sendmsg(c->o.fd, &m, MSG_NOSIGNAL) != (ssize_t)sizeof f)
        die("memfd send");
}
static void head(struct req *r, const char *b, const char *e)
{
    Hdr h[32], *p[32];
    char tmp[8192];
    Rsp m = RSP__INIT;
    size_t n = (size_t)(e - b), hn = 0;
    uint8_t o[9000];
    if (n >= sizeof tmp)
        die("large response header");
    memcpy(tmp, b, n);
    tmp[n] = 0;
    m.id = r->pb->id;
    m.status = (uint32_t)number(tmp + 9);
    char *rest = tmp, *l = strsep(&rest, "\n");
    while ((l = strsep(&rest, "\n")) && hn < 32) {
        l[strcspn(l, "\r")] = 0;
        char *c = strchr(l, ':');
        if (!c)
            continue;
        *c++ = 0;
        while (*c == ' ')
            c++;
        if (!strcasecmp(l, "content-length"))
            r->left = number(c);
        hdr__init(&h[hn]);
        h[hn].name = l;
        h[hn].value = c;
        p[hn] = &h[hn];
        hn++;
    }
    m.length = r->left;
    m.hdr = p;
    m.n_hdr = hn;
    n = rsp__pack(&m, o);
    put(r->cl, F_HEAD, m.id, o, n);
}
static void finish(struct conn *c)
{
    struct req *r = c->q;
    if (r->so) { /* end of stream for the raw socket or pipe: write what is left, close */
        fcntl(r->so->fd, F_SETFL, 0);
        out_flush(r->so);
        for (struct out **d = &dirty; *d; d = &(*d)->nextd)
            if (*d == r->so) {
                *d = r->so->nextd;
                break;
            }
        close(r->so->fd);
        free(r->so->b);
        free(r->so);
    } else if (r->fd >= 0)
        close(r->fd);
    put(r->cl, F_END, r->pb->id, NULL, 0);
    if (!(c->q = r->next))
        c->qt = &c->q;
    c->n--;
    c->in_body = c->excl = 0;
    if (!c->listed) {
        c->listed = 1;
        c->nextf = freec;
        freec = c;
    }
    req__free_unpacked(r->pb, NULL);
    unref(r->cl);
    free(r);
    if (pend)
        assign();
}
/* Where the next body bytes go: a pointer with room for *n bytes, or NULL to wait. */
static char *target(struct conn *c, struct req *r, size_t *n)
{
    size_t max = r->left < HIWAT ? (size_t)r->left : HIWAT;
    *n = max;
    if (r->cl->dead)
        return rb;
    switch (r->pb->mode) {
    case M_SHM: {
        struct client *k = r->cl;
        size_t gap = SHM_SIZE - k->shm_used, end = SHM_SIZE - k->shm_head;
        if (gap > end)
            gap = end;
        if (!gap) {
            k->shm_waiter = c;
            return NULL;
        }
        if (*n > gap)
            *n = gap;
        return k->shm + k->shm_head;
    }
    case M_FD: return rb;
    case M_SOCK:
        if (r->so->len > HIWAT) {
            r->so->waiter = c;
            return NULL;
        }
        return room(r->so, max);
    default:
        if (r->cl->o.len > HIWAT) {
            r->cl->o.waiter = c;
            return NULL;
        }
        return room(&r->cl->o, sizeof(struct frame) + max) + sizeof(struct frame);
    }
}
static void commit(struct req *r, const char *at, size_t n)
{
    struct client *k = r->cl;
    r->left -= n;
    if (k->dead)
        return;
    switch (r->pb->mode) {
    case M_SHM: {
        uint32_t d[2] = {(uint32_t)k->shm_head, (uint32_t)n};
        put(k, F_DESC, r->pb->id, d, sizeof d);
        k->shm_used += n;
        k->shm_head = (k->shm_head + n) % SHM_SIZE;
        break;
    }
    case M_FD:
        for (ssize_t w; n && (w = write(r->fd, at, n)) > 0; at += w)
            n -= (size_t)w;
        break;
    case M_SOCK:
        r->so->len += n;
        mark(r->so);
        break;
    default: {
        struct frame f = {(uint32_t)n, r->pb->id, F_DATA};
        memcpy(k->o.b + k->o.off + k->o.len, &f, sizeof f);
        k->o.len += sizeof f + n;
        mark(&k->o);
    }
    }
}
static void conn_read(struct conn *c)
{
    size_t budget = HIWAT;
    for (;;) {
        struct req *r = c->q;
        if (c->in_body && !r->left) {
            finish(c);
            if (!c->q)
                return; /* nothing asked, nothing to read: saves a read that would say EAGAIN */
            continue;
        }
        if (c->in_body && !c->ncarry) { /* decrypt straight into the place the body goes to */
            size_t max, n = 0;
            char *t = target(c, r, &max);
            if (!t)
                return;
            int e = 1;
            while (n < max && (e = SSL_read(c->s, t + n, (int)(max - n))) > 0)
                n += (size_t)e;
            if (n)
                commit(r, t, n);
            if (e <= 0) {
                if (SSL_get_error(c->s, e) != SSL_ERROR_WANT_READ)
                    die("origin closed");
                return;
            }
            if (r->left && (budget -= n < budget ? n : budget) == 0) { /* let others run */
                if (!c->ready) {
                    c->ready = 1;
                    c->nextr = readyc;
                    readyc = c;
                }
                return;
            }
            continue;
        }
        size_t n = c->ncarry;
        int e = 1;
        if (n) {
            memcpy(rb, c->carry, n);
            free(c->carry);
            c->carry = NULL;
            c->ncarry = 0;
        }
        char *p = rb, *end, *h;
        if (!c->in_body || !n) {
            e = SSL_read(c->s, rb + n, 65536);
            if (e <= 0 && SSL_get_error(c->s, e) != SSL_ERROR_WANT_READ)
                die("origin closed");
            if (e > 0)
                n += (size_t)e;
        }
        end = rb + n;
        while (p < end) {
            if (!c->in_body) {
                if (!(h = memmem(p, (size_t)(end - p), "\r\n\r\n", 4)))
                    break;
                if (!c->q)
                    die("unasked response");
                if (c->q->pb->mode == M_SHM && !c->q->cl->shm && !c->q->cl->dead)
                    give(c->q->cl, c->q->pb->id);
                head(c->q, p, h);
                p = h + 4;
                c->in_body = 1;
            }
            while (c->q && c->in_body && (p < end || !c->q->left)) {
                size_t have = (size_t)(end - p), m;
                if (!c->q->left) {
                    finish(c);
                    break;
                }
                char *t = target(c, c->q, &m);
                if (!t)
                    goto carry;
                if (m > have)
                    m = have;
                if (t == rb)
                    t = p; /* M_FD: straight from where it is */
                else
                    memcpy(t, p, m);
                commit(c->q, t, m);
                p += m;
            }
        }
carry:
        if (p < end) {
            c->ncarry = (size_t)(end - p);
            if (!(c->carry = malloc(c->ncarry)))
                die("malloc");
            memcpy(c->carry, p, c->ncarry);
            if (c->in_body)
                return; /* target full: resumed by its waiter */
        }
        if (e <= 0 || !c->q)
            return;
    }
}
static void conn_flush(struct conn *c)
{
    struct out *w = &c->w;
    for (;;) {
        while (w->len) {
            int n = SSL_write(c->s, w->b + w->off, (int)w->len);
            if (n <= 0) {
                if (SSL_get_error(c->s, n) != SSL_ERROR_WANT_WRITE)
                    die("origin write");
                want(w, SSL_get_fd(c->s), 1);
                return;
            }
            w->off += (size_t)n;
            w->len -= (size_t)n;
        }
        struct req *r = c->q;
        if (!r || !r->up)
            break;
        if (r->pb->mode == M_FD) { /* upload from the client's file descriptor */
            size_t max = r->up < 131072 ? (size_t)r->up : 131072;
            ssize_t n = read(r->fd, room(w, max), max);
            if (n <= 0)
                die("upload read");
            w->len += (size_t)n;
            r->up -= (size_t)n;
        } else {
            client_read(r->cl);
            if (!w->len)
                break;
        }
    }
    if (w->want)
        want(w, SSL_get_fd(c->s), 0);
    if (w->cap > 65536) {
        free(w->b);
        w->b = NULL;
        w->cap = 0;
    }
}
static void assign(void)
{
    struct req *r;
    while ((r = pend) && freec) {
        struct conn *c = freec;
        if (r->up && c->n)
            return;
        if (!(pend = r->next))
            pendt = &pend;
        r->next = NULL;
        *c->qt = r;
        c->qt = &r->next;
        c->excl = r->up > 0;
        if (++c->n >= depth || c->excl) {
            c->listed = 0;
            freec = c->nextf;
        }
        char *b = room(&c->w, 16384);
        size_t n = (size_t)snprintf(b, 16384, "%s %.2000s HTTP/1.1\r\nHost: localhost\r\n",
                                    r->pb->method, r->pb->path);
        for (size_t i = 0; i < r->pb->n_hdr && n < 12000; i++)
            n += (size_t)snprintf(b + n, 16384 - n, "%.300s: %.1000s\r\n", r->pb->hdr[i]->name,
                                  r->pb->hdr[i]->value);
        if (r->up) {
            n += (size_t)snprintf(b + n, 16384 - n, "Content-Length: %llu\r\n",
                                  (unsigned long long)r->up);
            r->cl->up = r->pb->mode == M_FD ? NULL : c;
        }
        memcpy(b + n, "\r\n", 2);
        c->w.len += n + 2;
        mark(&c->w);
    }
}
static void client_gone(struct client *c)
{
    if (c->dead)
        return;
    c->dead = 1;
    close(c->o.fd);
    c->o.fd = -1;
    c->o.len = 0;
    c->nextdead = deadc;
    deadc = c;
    struct conn *k = c->o.waiter ? c->o.waiter : c->shm_waiter;
    c->o.waiter = c->shm_waiter = NULL;
    if (k)
        conn_read(k);
}
static void frame(struct client *c, struct frame *f, char *p)
{
    if (f->type == F_ACK) {
        uint32_t n;
        memcpy(&n, p, 4);
        c->shm_used -= n;
        struct conn *k = c->shm_waiter;
        c->shm_waiter = NULL;
        if (k)
            conn_read(k);
    } else if (f->type == F_REQ) {
        struct req *r = calloc(1, sizeof *r);
        if (!r || !(r->pb = req__unpack(NULL, f->len, (uint8_t *)p)))
            die("bad request");
        r->cl = c;
        r->fd = -1;
        r->up = r->pb->length;
        c->refs++;
        if (r->pb->mode >= M_FD && c->nfds) {
            r->fd = c->fds[0];
            memmove(c->fds, c->fds + 1, (size_t)--c->nfds * sizeof(int));
        }
        if (r->pb->mode == M_SOCK) {
            r->so = calloc(1, sizeof *r->so);
            r->so->ev.t = E_OUT;
            r->so->self = r->so;
            r->so->fd = r->fd;
            fcntl(r->fd, F_SETFL, O_NONBLOCK);
            add(r->fd, r->so);
        }
        *pendt = r;
        pendt = &r->next;
        assign();
    }
}
static void client_read(struct client *c)
{
    union {
        struct cmsghdr h;
        char b[CMSG_SPACE(4 * sizeof(int))];
    } u;
    while (!c->dead) {
        if (c->up_left) { /* upload by copy: client socket straight into the TLS write buffer */
            struct out *w = &c->up->w;
            if (w->len > HIWAT)
                return;
            size_t max = c->up_left < HIWAT ? c->up_left : HIWAT;
            ssize_t n = read(c->o.fd, room(w, max), max);
            if (n < 0 && errno == EAGAIN)
                return;
            if (n <= 0) {
                client_gone(c);
                return;
            }
            w->len += (size_t)n;
            c->up_left -= (size_t)n;
            c->up->q->up -= (size_t)n;
            if (!c->up->q->up)
                c->up = NULL;
            mark(w);
            continue;
        }
        size_t n = c->ncarry;
        if (n) {
            memcpy(rb, c->carry, n);
            free(c->carry);
            c->carry = NULL;
            c->ncarry = 0;
        }
        /* while an upload streams in, take headers singly so that bodies land in place */
        struct iovec v = {rb + n, c->up ? sizeof(struct frame) - n : 65536};
        struct msghdr m = {
            .msg_iov = &v, .msg_iovlen = 1, .msg_control = u.b, .msg_controllen = sizeof u.b};
        ssize_t e = recvmsg(c->o.fd, &m, MSG_CMSG_CLOEXEC);
        int again = e < 0 && errno == EAGAIN, full = e == (ssize_t)v.iov_len;
        if (e <= 0 && !again) {
            client_gone(c);
            return;
        }
        if (e > 0)
            n += (size_t)e;
        for (struct cmsghdr *h = e > 0 ? CMSG_FIRSTHDR(&m) : NULL; h; h = CMSG_NXTHDR(&m, h))
            if (h->cmsg_type == SCM_RIGHTS && c->nfds < 4)
                memcpy(&c->fds[c->nfds++], CMSG_DATA(h), sizeof(int));
        char *p = rb, *end = rb + n, tmp[65536];
        while ((size_t)(end - p) >= sizeof(struct frame)) {
            struct frame f;
            memcpy(&f, p, sizeof f);
            if (f.type == F_UP && c->up) {
                size_t k = (size_t)(end - p) - sizeof f;
                p += sizeof f;
                if (k > f.len)
                    k = f.len;
                memcpy(room(&c->up->w, k), p, k);
                c->up->w.len += k;
                c->up->q->up -= k;
                mark(&c->up->w);
                p += k;
                c->up_left = f.len - k;
                if (!c->up->q->up)
                    c->up = NULL;
                continue;
            }
            if (f.type == F_UP)
                die("upload without a connection");
            if ((size_t)(end - p) < sizeof f + f.len)
                break;
            if (f.len > sizeof tmp)
                die("frame too large");
            memcpy(tmp, p + sizeof f, f.len); /* rb is reused below us */
            size_t rest = (size_t)(end - p) - sizeof f - f.len;
            char *keep = NULL;
            if (f.type == F_ACK && rest) {
                keep = malloc(rest);
                memcpy(keep, p + sizeof f + f.len, rest);
            }
            frame(c, &f, tmp);
            p += sizeof f + f.len;
            if (keep) {
                memcpy(p, keep, rest);
                free(keep);
            }
        }
        if (p < end) {
            c->ncarry = (size_t)(end - p);
            if (!(c->carry = malloc(c->ncarry)))
                die("malloc");
            memcpy(c->carry, p, c->ncarry);
        }
        if (again || (!full && !c->up_left))
            return;
    }
}
int main(int ac, char **av)
{
    bench_case = "relay";
    int ahead = 1, keep = 1, o;
    while ((o = getopt(ac, av, "urem")) != -1) {
        if (o == 'u')
            unbatched = 1;
        else if (o == 'e')
            armed = 1;
        else if (o == 'r')
            ahead = 0;
        else
            keep = 0;
    }
    if (keep) {
        mallopt(M_TRIM_THRESHOLD, 32 << 20);
        mallopt(M_MMAP_THRESHOLD, 32 << 20);
    }
    av += optind - 1;
    if (ac - optind < 5)
        die("usage: relay [-u] [-r] [-e] [-m] SOCKET CA PORT CONNS DEPTH");
    signal(SIGPIPE, SIG_IGN);
    ep = epoll_create1(EPOLL_CLOEXEC);
    depth = number(av[5]);
    SSL_CTX *x = tls_ctx(av[2]);
    if (ahead) {
        SSL_CTX_set_read_ahead(x, 1);
        SSL_CTX_set_default_read_buffer_len(x, 66000);
    }
    for (int i = (int)number(av[4]); i--;) {
        struct conn *c = calloc(1, sizeof *c);
        c->ev.t = c->w.ev.t = E_CONN;
        c->s = tls_connect(x, number(av[3]), NULL);
        fcntl(SSL_get_fd(c->s), F_SETFL, O_NONBLOCK);
        c->w.fd = -2;
        c->w.self = c;
        c->qt = &c->q;
        c->listed = 1;
        c->nextf = freec;
        freec = c;
        add(SSL_get_fd(c->s), c);
    }
    struct ev le = {E_LISTEN};
    int l = uds_listen(av[1]);
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = &le}, evs[256];
    epoll_ctl(ep, EPOLL_CTL_ADD, l, &e);
    for (;;) {
        int n = epoll_wait(ep, evs, 256, readyc ? 0 : -1);
        for (int i = 0; i < n; i++) {
            struct ev *v = evs[i].data.ptr;
            uint32_t m = evs[i].events;
            switch (v->t) {
            case E_LISTEN: {
                int fd = accept4(l, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
                struct client *c = fd < 0 ? NULL : calloc(1, sizeof *c);
                if (!c)
                    break;
                socklen_t cl = sizeof c->cred;
                getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &c->cred, &cl);
                c->ev.t = c->o.ev.t = E_CLIENT;
                c->o.fd = fd;
                c->o.self = c;
                c->refs = 1;
                add(fd, c);
                break;
            }
            case E_CLIENT: {
                struct client *c = (struct client *)v;
                if ((m & EPOLLOUT) && c->o.len)
                    out_flush(&c->o);
                if (m & (EPOLLIN | EPOLLHUP | EPOLLERR))
                    client_read(c);
                break;
            }
            case E_CONN: {
                struct conn *c = (struct conn *)v;
                if ((m & EPOLLOUT) && (c->w.len || (c->q && c->q->up)))
                    conn_flush(c);
                if (m & ~(uint32_t)EPOLLOUT)
                    conn_read(c);
                break;
            }
            case E_OUT: out_flush((struct out *)v); break;
            }
        }
        struct conn *k = readyc;
        readyc = NULL;
        while (k) {
            struct conn *nx = k->nextr;
            k->ready = 0;
            conn_read(k);
            k = nx;
        }
        while (dirty) {
            struct out *o = dirty;
            dirty = o->nextd;
            o->dirty = 0;
            if (o->ev.t == E_CONN)
                conn_flush((struct conn *)((char *)o - offsetof(struct conn, w)));
            else
                out_flush(o);
        }
        while (deadc) {
            struct client *d = deadc;
            deadc = d->nextdead;
            unref(d);
        }
    }
}
