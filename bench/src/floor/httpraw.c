/* SPDX-License-Identifier: MIT */
/* httpraw [-c CASE] [-n N] [-d DAEMONPID] [-u SOCKET | -p PORT] URL-OR-PATH
 * Plain HTTP/1.1 keep-alive client with no library: the lightest client a local proxy can have.
 * With an absolute https:// URL it asks a forward proxy to do the TLS. Silent for N=1 without
 * -c. */
#include <arpa/inet.h>
#include <netinet/tcp.h>

#include "bench.h"

int main(int ac, char **av)
{
    int n = 1, label = 0, port = 0, dpid = 0, o, s;
    const char *us = NULL;
    while ((o = getopt(ac, av, "c:n:d:u:p:")) != -1)
        switch (o) {
        case 'c':
            bench_case = optarg;
            label = 1;
            break;
        case 'n': n = number(optarg); break;
        case 'd': dpid = number(optarg); break;
        case 'u': us = optarg; break;
        case 'p': port = number(optarg); break;
        default: return 2;
        }
    if (us)
        s = uds_connect(us);
    else {
        struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
        int one = 1;
        a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        s = socket(AF_INET, SOCK_STREAM, 0);
        if (connect(s, (struct sockaddr *)&a, sizeof a))
            die("connect");
        setsockopt(s, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    }
    char q[512];
    static char b[1 << 18];
    const char *h = strstr(av[optind], "://");
    int host = h ? (int)strcspn(h + 3, "/") : 0;
    size_t ql = (size_t)snprintf(q, sizeof q, "GET %s HTTP/1.1\r\nHost: %.*s\r\n\r\n",
                                 av[optind], host ? host : 9, host ? h + 3 : "localhost");
    uint64_t *lat = calloc((size_t)n, 8), w = now_ns(), c = cpu_ns(),
             d = dpid ? proc_cpu_ns(dpid) : 0;
    for (int i = label ? -1 : 0; i < n; i++) {
        if (i == 0) {
            w = now_ns();
            c = cpu_ns();
            d = dpid ? proc_cpu_ns(dpid) : 0;
        }
        uint64_t t = now_ns();
        if (write(s, q, ql) != (ssize_t)ql)
            die("write");
        size_t have = 0;
        char *e = NULL, *l;
        do {
            ssize_t r = read(s, b + have, 65536);
            if (r <= 0)
                die("read");
            b[have += (size_t)r] = 0;
        } while (!(e = strstr(b, "\r\n\r\n")));
        if (strncmp(b + 9, "200", 3) || !(l = strcasestr(b, "content-length:")))
            die("bad reply %.300s", b);
        size_t len = (size_t)number(l + 15), got = have - (size_t)(e + 4 - b);
        while (got < len) {
            ssize_t r = read(s, b, sizeof b);
            if (r <= 0)
                die("body");
            got += (size_t)r;
        }
        if (i >= 0)
            lat[i] = now_ns() - t;
    }
    w = now_ns() - w;
    if (!label)
        return 0;
    emit_lat(lat, (size_t)n);
    emit("req_s", n / ((double)w / 1e9));
    emit("cpu_us", (double)(cpu_ns() - c) / 1e3 / n);
    if (dpid)
        emit("daemon_cpu_us", (double)(proc_cpu_ns(dpid) - d) / 1e3 / n);
    return 0;
}
