/* SPDX-License-Identifier: MIT */
/*
 * Preloaded into a daemon: name servers and a sandbox as a test wants them. "held.test" is not
 * answered as long as the file $HELD_NAMES exists, and is 127.0.0.1 then. Any other name is the
 * C library's. With $DENY_NETLINK there is no AF_NETLINK, as under RestrictAddressFamilies=.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

typedef int look_up(const char *host,
                    const char *port,
                    const struct addrinfo *hints,
                    struct addrinfo **ret);

static int is_held(void)
{
    const char *path = getenv("HELD_NAMES");

    return path && access(path, F_OK) == 0;
}

int getaddrinfo(const char *host,
                const char *port,
                const struct addrinfo *hints,
                struct addrinfo **ret)
{
    void *found = dlsym(RTLD_NEXT, "getaddrinfo");
    look_up *next;
    const char *answer = host;

    memcpy(&next, &found, sizeof(next));
    if (host && strcmp(host, "held.test") == 0)
        answer = "127.0.0.1";
    while (answer != host && is_held())
        (void)poll(NULL, 0, 5);
    return next(answer, port, hints, ret);
}

int socket(int family, int type, int protocol)
{
    void *found = dlsym(RTLD_NEXT, "socket");
    int (*next)(int, int, int);

    memcpy(&next, &found, sizeof(next));
    if (family == AF_NETLINK && getenv("DENY_NETLINK")) {
        errno = EAFNOSUPPORT;
        return -1;
    }
    return next(family, type, protocol);
}
