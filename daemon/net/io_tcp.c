/* SPDX-License-Identifier: MIT */
#include "net/io_tcp.h"

#include <errno.h>
#include <linux/sockios.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/mem.h"
#include "loop/watch.h"
#include "net/io_priv.h"
#include "net/tcp_flow.h"

#define IOV_ONCE_MAX 64 /* pieces per system call; the rest is "not taken" */

struct io_tcp {
    struct io io; /* first */
    int fd;
    bool dry;          /* the kernel had nothing more; until the watch says otherwise */
    bool cannot_watch; /* the task tells it */
    struct watch watch;
    struct tcp_flow *flow; /* of a long body; NULL: none */
    struct deferred task;  /* what came out inside a call of the owner's */
    struct address remote;
    struct address local;
};

static struct io_tcp *tcp_of(struct io *io)
{
    return (struct io_tcp *)(void *)io;
}

static ssize_t tcp_read(struct io *io, char *buf, size_t len)
{
    struct io_tcp *tcp = tcp_of(io);
    ssize_t n;

    if (tcp->dry)
        return -EAGAIN;
    do
        n = recv(tcp->fd, buf, len, 0);
    while (n < 0 && errno == EINTR);
    if (n > 0) {
        if (tcp->flow)
            tcp_flow_on_bytes(tcp->flow, (uint64_t)n);
        tcp->dry = (size_t)n < len && (io->interest & IO_READ);
        return n;
    }
    if (n == 0)
        return 0;
    if (errno == EAGAIN)
        return -EAGAIN;
    int err = errno;
    io_set_sys_failure(io, FAILURE_RECEIVE, err);
    return io_fail(io, -err);
}

static ssize_t tcp_writev(struct io *io, const struct iovec *iov, int n)
{
    struct msghdr msg = {.msg_iovlen = (size_t)(n < IOV_ONCE_MAX ? n : IOV_ONCE_MAX)};
    int fd = tcp_of(io)->fd;
    ssize_t sent;

    memcpy(&msg.msg_iov, &iov, sizeof(void *)); /* sendmsg() only reads it */
    do /* one piece, as TLS always has, is cheaper without a header around it */
        sent = n == 1 ? send(fd, iov->iov_base, iov->iov_len, MSG_NOSIGNAL)
                      : sendmsg(fd, &msg, MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR);
    if (sent >= 0)
        return sent;
    if (errno == EAGAIN)
        return -EAGAIN;
    int err = errno;
    io_set_sys_failure(io, FAILURE_SEND, err);
    /* the peer hung up, maybe after an answer, which the kernel still holds */
    return err == EPIPE || err == ECONNRESET ? -err : io_fail(io, -err);
}

static void tcp_on_late(void *owner)
{
    struct io_tcp *tcp = owner;

    tcp->dry = false;
    io_tell_readable(&tcp->io);
}

static void tcp_expect(struct io *io, uint64_t bytes)
{
    struct io_tcp *tcp = tcp_of(io);

    if (bytes == 0)
        tcp->flow = tcp_flow_free(tcp->flow);
    else if (tcp->flow)
        tcp_flow_expect(tcp->flow, bytes);
    else if (bytes >= TCP_FLOW_BYTES_MIN &&
             tcp_flow_new(&tcp->flow, io->loop, tcp->fd, tcp_on_late, tcp) < 0)
        tcp->flow = NULL; /* it goes without */
}

static void tcp_update_interest(struct io *io)
{
    struct io_tcp *tcp = tcp_of(io);
    unsigned wanted = ((io->interest & IO_READ) ? WATCH_READ : 0) |
                      ((io->interest & IO_WRITE) ? WATCH_WRITE : 0);

    tcp->dry = false;
    if (watch_set(&tcp->watch, wanted) == 0)
        return;
    tcp->cannot_watch = true;
    loop_defer(io->loop, &tcp->task);
}

static void tcp_close(struct io *io, enum io_state before)
{
    struct io_tcp *tcp = tcp_of(io);

    (void)before;
    loop_defer_cancel(io->loop, &tcp->task);
    tcp->flow = tcp_flow_free(tcp->flow);
    watch_done(&tcp->watch);
    close(tcp->fd);
}

static void tcp_free(struct io *io)
{
    mem_free(tcp_of(io));
}

static const struct address *tcp_local(const struct io *io)
{
    return &((const struct io_tcp *)(const void *)io)->local;
}

static const struct address *tcp_remote(const struct io *io)
{
    return &((const struct io_tcp *)(const void *)io)->remote;
}

/* tcp(7): what the peer has not acknowledged, sent or not. */
static uint64_t tcp_unacked(const struct io *io)
{
    int bytes = 0;

    if (ioctl(((const struct io_tcp *)(const void *)io)->fd, SIOCOUTQ, &bytes) < 0 || bytes < 0)
        return 0;
    return (uint64_t)bytes;
}

static const struct io_ops tcp_ops = {
    .read = tcp_read,
    .writev = tcp_writev,
    .expect = tcp_expect,
    .update_interest = tcp_update_interest,
    .close = tcp_close,
    .free = tcp_free,
    .local = tcp_local,
    .remote = tcp_remote,
    .unacked = tcp_unacked,
};

void io_tcp_connect_failure(struct failure *ret, int err, const struct address *address)
{
    char where[ADDRESS_TEXT_MAX];
    char reason[64];
    bool ours = err == EMFILE || err == ENFILE || err == ENOMEM || err == ENOBUFS;

    (void)address_format(address, where);
    if (err == ECONNREFUSED)
        failure_set(ret, FAILURE_CONNECT, "connection refused at %s; is the server running?",
                    where);
    else if (err == EADDRNOTAVAIL)
        failure_set(ret, FAILURE_CONNECT,
                    "cannot connect to %s from the local address asked for: %s", where,
                    strerror_r(err, reason, sizeof(reason)));
    else
        failure_set(ret, ours ? FAILURE_INTERNAL : FAILURE_CONNECT, "cannot connect to %s: %s",
                    where, strerror_r(err, reason, sizeof(reason)));
    ret->phase = PHASE_CONNECT;
    ret->sys_errno = err;
}

static void connect_failed(struct io_tcp *tcp, int err)
{
    io_tcp_connect_failure(&tcp->io.failure, err, &tcp->remote);
    io_tell_failed(&tcp->io, -err);
}

static void finish_connect(struct io_tcp *tcp)
{
    int err = 0;
    socklen_t len = sizeof(err);

    if (getsockopt(tcp->fd, SOL_SOCKET, SO_ERROR, &err, &len) < 0)
        err = errno;
    if (err != 0) {
        connect_failed(tcp, err);
        return;
    }
    len = sizeof(tcp->local);
    if (getsockname(tcp->fd, &tcp->local.sa, &len) < 0)
        tcp->local = io_no_address;
    io_tell_connected(&tcp->io);
}

static void tcp_on_ready(void *owner, unsigned ready)
{
    struct io_tcp *tcp = owner;

    if (tcp->io.state == IO_CONNECTING) {
        finish_connect(tcp);
    } else if (ready == WATCH_READ) {
        if (tcp->flow)
            tcp_flow_on_ready(tcp->flow);
        tcp->dry = false;
        io_tell_readable(&tcp->io);
    } else {
        io_tell_writable(&tcp->io);
    }
}

static void tcp_on_task(void *owner)
{
    struct io_tcp *tcp = owner;

    if (tcp->cannot_watch) {
        failure_set(&tcp->io.failure, FAILURE_INTERNAL, "cannot watch a socket");
        tcp->io.failure.sys_errno = ENOMEM;
        io_tell_failed(&tcp->io, -ENOMEM);
    } else if (tcp->io.state == IO_CONNECTING) {
        finish_connect(tcp);
    }
}

static int set_int(int fd, int level, int name, int value)
{
    return setsockopt(fd, level, name, &value, sizeof(value));
}

/* None of these is worth a failed request: a kernel that lacks one works slower, not wrong. */
static void set_options(int fd, const struct io_tcp_options *options)
{
    (void)set_int(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    if (options->user_timeout_ms > 0)
        (void)set_int(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, options->user_timeout_ms);
    if (options->keepalive_idle_s <= 0)
        return;
    (void)set_int(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
    (void)set_int(fd, IPPROTO_TCP, TCP_KEEPIDLE, options->keepalive_idle_s);
    if (options->keepalive_interval_s > 0)
        (void)set_int(fd, IPPROTO_TCP, TCP_KEEPINTVL, options->keepalive_interval_s);
    if (options->keepalive_probes > 0)
        (void)set_int(fd, IPPROTO_TCP, TCP_KEEPCNT, options->keepalive_probes);
}

/* The port is chosen with the peer's address known, so that local ones do not run out. Return:
 * 0, -EADDRNOTAVAIL, also without an address of the family. */
static int bind_local(struct io_tcp *tcp, const struct io_tcp_options *options)
{
    bool is_v6 = address_family(&tcp->remote) == AF_INET6;
    const struct address *local = is_v6 ? &options->local_v6 : &options->local_v4;

    if (!options->is_bound)
        return 0;
    if (address_family(local) == AF_UNSPEC)
        return -EADDRNOTAVAIL;
    (void)set_int(tcp->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1);
    return bind(tcp->fd, &local->sa, address_len(local)) < 0 ? -errno : 0;
}

static int begin_connect(struct io_tcp *tcp)
{
    if (connect(tcp->fd, &tcp->remote.sa, address_len(&tcp->remote)) == 0) {
        loop_defer(tcp->io.loop, &tcp->task); /* loopback: at once */
        return 0;
    }
    if (errno != EINPROGRESS && errno != EINTR)
        return -errno; /* no route, nobody there: the network's, so no fault */
    return watch_set(&tcp->watch, WATCH_WRITE);
}

int io_tcp_connect(struct loop *loop,
                   const struct address *address,
                   const struct io_tcp_options *options,
                   const struct io_events *events,
                   void *owner,
                   struct io **ret)
{
    struct io_tcp_options chosen = options ? *options : io_tcp_options_default();
    CLEANUP_MEM struct io_tcp *tcp = mem_zalloc(sizeof(*tcp));

    if (!tcp)
        return fault(-ENOMEM);
    io_init(&tcp->io, loop, &tcp_ops);
    tcp->task = (struct deferred){.fn = tcp_on_task, .owner = tcp};
    tcp->remote = *address;
    tcp->fd = socket(address_family(address), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (tcp->fd < 0)
        return fault(-errno);
    set_options(tcp->fd, &chosen);
    int r = watch_init(&tcp->watch, loop, tcp->fd, tcp_on_ready, tcp);
    if (r == 0)
        r = bind_local(tcp, &chosen);
    if (r == 0)
        r = begin_connect(tcp);
    if (r < 0) {
        watch_done(&tcp->watch);
        close(tcp->fd);
        return r;
    }

    io_set_events(&tcp->io, events, owner);
    *ret = &TAKE(tcp)->io;
    return 0;
}
