/* SPDX-License-Identifier: MIT */
/* rc: client of relay. Silent for N=1 without -c (fresh process); else prints latency and rate.
 *   rc [-c CASE] -s SOCKET [-n N] [-p OUTSTANDING] [-m copy|shm|fd|sock|pipe] [-o FILE] [-T
 * FILE]
 *      [-d DAEMONPID] [-H] [-S] PATH
 * -n 1 -c CASE on a large PATH prints GB/s.  -T uploads (copy, or fd: passes the descriptor).
 * -S spins for the answer instead of sleeping. */
#include <sys/mman.h>
#include <sys/stat.h>

#include "bench.h"
#include "relay.h"
#include "relay.pb-c.h"

static int s, mode, ofd = -1, pass = -1;
static const char *path, *upload;
static char ob[1 << 18], *ib, *shm;
static size_t on;

static void xwrite(int fd, const char *b, size_t n)
{
    while (n) {
        ssize_t w = write(fd, b, n);
        if (w <= 0)
            die("write");
        b += w;
        n -= (size_t)w;
    }
}
static void flush(void)
{
    xwrite(s, ob, on);
    on = 0;
}
static void frame(int t, uint32_t id, const void *p, size_t n)
{
    struct frame f = {(uint32_t)n, id, (uint8_t)t};
    if (on + sizeof f + n > sizeof ob)
        flush();
    memcpy(ob + on, &f, sizeof f);
    if (n)
        memcpy(ob + on + sizeof f, p, n);
    on += sizeof f + n;
}
static void send_fd(int fd)
{
    struct iovec v = {ob, on};
    union {
        struct cmsghdr h;
        char b[CMSG_SPACE(sizeof(int))];
    } u = {0};
    struct msghdr m = {
        .msg_iov = &v, .msg_iovlen = 1, .msg_control = u.b, .msg_controllen = sizeof u.b};
    u.h = (struct cmsghdr){
        .cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
    memcpy(CMSG_DATA(&u.h), &fd, sizeof(int));
    if (sendmsg(s, &m, 0) != (ssize_t)on)
        die("sendmsg");
    on = 0;
}
static void request(uint32_t id, uint64_t up)
{
    static char *names[3] = {"Accept", "User-Agent", "X-Request-Id"},
                *vals[3] = {"*/*", "bench/1.0", "0123456789abcdef"};
    Hdr h[3], *p[3];
    Req r = REQ__INIT;
    uint8_t b[4096];
    for (int i = 0; i < 3; i++) {
        hdr__init(&h[i]);
        h[i].name = names[i];
        h[i].value = vals[i];
        p[i] = &h[i];
    }
    r.id = id;
    r.method = up ? "PUT" : "GET";
    r.path = (char *)path;
    r.hdr = p;
    r.n_hdr = 3;
    r.mode = (uint32_t)mode;
    r.length = up;
    frame(F_REQ, id, b, req__pack(&r, b));
    if (pass >= 0)
        send_fd(pass);
}
static void body(const char *b, size_t n)
{
    if (ofd >= 0)
        xwrite(ofd, b, n);
}
static void head(const char *b, size_t n)
{
    Rsp *r = rsp__unpack(NULL, n, (const uint8_t *)b);
    if (!r || r->status != 200)
        die("status %d", r ? (int)r->status : -1);
    rsp__free_unpacked(r, NULL);
}
int main(int ac, char **av)
{
    const char *sock = NULL, *md = "copy";
    int n = 1, p = 1, hold = 0, label = 0, dpid = 0, spin = 0, o, aux = -1;
    while ((o = getopt(ac, av, "c:s:n:p:m:o:T:d:HS")) != -1)
        switch (o) {
        case 'c':
            bench_case = optarg;
            label = 1;
            break;
        case 's': sock = optarg; break;
        case 'n': n = number(optarg); break;
        case 'p': p = number(optarg); break;
        case 'm': md = optarg; break;
        case 'o': ofd = open(optarg, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600); break;
        case 'T': upload = optarg; break;
        case 'd': dpid = number(optarg); break;
        case 'H': hold = 1; break;
        case 'S': spin = MSG_DONTWAIT; break;
        default: return 2;
        }
    path = av[optind];
    if (!sock || !path)
        die("usage");
    uint64_t *lat = calloc((size_t)n, 8), *t0 = calloc((size_t)n, 8), left = 0;
    int warm = label && n > 1 ? p : 0, sent = 0, done = 0;
    mode = *md == 'c' ? M_COPY : !strcmp(md, "shm") ? M_SHM : *md == 'f' ? M_FD : M_SOCK;
    s = uds_connect(sock);
    if (mode == M_FD && !upload)
        pass = ofd >= 0 ? ofd : open("/dev/null", O_WRONLY);
    if (mode == M_SOCK) {
        int f[2];
        if (*md == 'p' ? pipe2(f, O_CLOEXEC)
                       : socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, f))
            die("pipe");
        if (*md == 'p')
            fcntl(f[1], F_SETPIPE_SZ, 1 << 20);
        aux = f[0];
        pass = f[1];
    }
    if (upload) {
        struct stat st;
        int uf = open(upload, O_RDONLY | O_CLOEXEC);
        if (uf < 0 || fstat(uf, &st))
            die("open %s", upload);
        left = (uint64_t)st.st_size;
        if (mode == M_FD)
            pass = uf;
        else
            aux = uf;
    }
    size_t cap = label && n == 1 ? 1 << 18 : 16384, have = 0;
    if (!(ib = malloc(cap)))
        die("malloc");
    uint64_t start = now_ns(), cpu0 = cpu_ns(), dcpu = dpid ? proc_cpu_ns(dpid) : 0,
             bytes = left;
    for (; sent < p && sent < n + warm; sent++) {
        if (sent >= warm)
            t0[sent - warm] = now_ns();
        request((uint32_t)sent, left);
    }
    flush();
    if (upload && mode == M_COPY) {
        static char b[sizeof(struct frame) + (1 << 18)];
        ssize_t r;
        while ((r = read(aux, b + sizeof(struct frame), 1 << 18)) > 0) {
            struct frame f = {(uint32_t)r, 0, F_UP};
            memcpy(b, &f, sizeof f);
            xwrite(s, b, sizeof f + (size_t)r);
        }
    }
    if (mode == M_SOCK) { /* body arrives on its own descriptor, unframed */
        close(pass);
        char *b = malloc(1 << 18);
        int null = open("/dev/null", O_WRONLY);
        for (ssize_t r;; bytes += (size_t)r) {
            if (*md == 'p')
                r = splice(aux, NULL, ofd >= 0 ? ofd : null, NULL, 1 << 20, SPLICE_F_MOVE);
            else if ((r = read(aux, b, 1 << 18)) > 0)
                body(b, (size_t)r);
            if (r <= 0)
                break;
        }
    }
    struct frame f;
    size_t part = 0; /* rest of a F_DATA payload still to come */
    while (done < n + warm) {
        union {
            struct cmsghdr h;
            char b[CMSG_SPACE(sizeof(int))];
        } u;
        struct iovec v = {ib + have, cap - have};
        struct msghdr m = {
            .msg_iov = &v, .msg_iovlen = 1, .msg_control = u.b, .msg_controllen = sizeof u.b};
        ssize_t r;
        do
            r = mode == M_SHM ? recvmsg(s, &m, 0) : recv(s, ib + have, cap - have, spin);
        while (r < 0 && errno == EAGAIN);
        if (r <= 0)
            die("relay closed");
        struct cmsghdr *h = mode == M_SHM ? CMSG_FIRSTHDR(&m) : NULL;
        if (h && h->cmsg_type == SCM_RIGHTS) {
            int fd;
            memcpy(&fd, CMSG_DATA(h), sizeof fd);
            shm = mmap(NULL, SHM_SIZE, PROT_READ, MAP_SHARED, fd, 0);
        }
        char *q = ib, *end = ib + have + r;
        while (q < end) {
            size_t k = (size_t)(end - q);
            if (part) {
                if (k > part)
                    k = part;
                body(q, k);
                bytes += k;
                part -= k;
                q += k;
                continue;
            }
            if (k < sizeof f)
                break;
            memcpy(&f, q, sizeof f);
            if (f.type == F_DATA) {
                part = f.len;
                q += sizeof f;
                continue;
            }
            if (k < sizeof f + f.len)
                break;
            q += sizeof f;
            if (f.type == F_HEAD)
                head(q, f.len);
            else if (f.type == F_DESC && f.len) {
                uint32_t d[2];
                memcpy(d, q, sizeof d);
                body(shm + d[0], d[1]);
                bytes += d[1];
                frame(F_ACK, f.id, &d[1], 4);
            } else if (f.type == F_END) {
                if ((int)f.id >= warm)
                    lat[(int)f.id - warm] = now_ns() - t0[(int)f.id - warm];
                if (++done == warm) {
                    start = now_ns();
                    cpu0 = cpu_ns();
                    dcpu = dpid ? proc_cpu_ns(dpid) : 0;
                }
                if (sent < n + warm) {
                    if (sent >= warm)
                        t0[sent - warm] = now_ns();
                    request((uint32_t)sent, 0);
                    sent++;
                }
            }
            q += f.len;
        }
        have = (size_t)(end - q);
        if (have)
            memmove(ib, q, have);
        if (on)
            flush();
    }
    uint64_t w = now_ns() - start;
    if (hold) {
        if (write(1, "x", 1) != 1)
            return 1;
        char b;
        if (read(0, &b, 1))
            return 1;
    }
    if (!label)
        return 0;
    if (n > 1) {
        emit_lat(lat, (size_t)n);
        emit("req_s", n / ((double)w / 1e9));
        emit("cpu_us", (double)(cpu_ns() - cpu0) / 1e3 / n);
        if (dpid)
            emit("daemon_cpu_us", (double)(proc_cpu_ns(dpid) - dcpu) / 1e3 / n);
    } else {
        if (mode == M_FD && !upload)
            bytes = 1u << 30;
        emit("GB_s", (double)bytes / (double)w);
        emit("cpu_s", (double)(cpu_ns() - cpu0) / 1e9);
        if (dpid)
            emit("daemon_cpu_s", (double)(proc_cpu_ns(dpid) - dcpu) / 1e9);
    }
    return 0;
}
