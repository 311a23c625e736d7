/* SPDX-License-Identifier: MIT */
#include "net/network_probe.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/span.h"

/* A root name server: where a route leads to it, one leads out. It is sent nothing. */
#define OUT_V4         "198.41.0.4"
#define OUT_V6         "2001:503:ba3e::2:30"

#define PORT_ANY       53
#define INTERFACES_MAX 64
#define FILE_BYTES_MAX 16384

/* Return: 0 with *ret_local where packets would leave from; -errno. */
static int route_to(const struct address *to, struct address *ret_local)
{
    struct address target = *to;
    int fd = socket(address_family(to), SOCK_DGRAM | SOCK_CLOEXEC, 0);
    socklen_t len = sizeof(*ret_local);
    int r = 0;

    if (fd < 0)
        return -errno;
    if (address_port(&target) == 0)
        address_set_port(&target, PORT_ANY);
    if (connect(fd, &target.sa, address_len(&target)) < 0 ||
        getsockname(fd, &ret_local->sa, &len) < 0)
        r = -errno;
    close(fd);
    return r;
}

bool network_probe_route(const struct address *to)
{
    struct address local;

    switch (-route_to(to, &local)) {
    case ENETUNREACH:
    case EHOSTUNREACH:
    case ENETDOWN:
    case EADDRNOTAVAIL:
    case EAFNOSUPPORT: return false;
    default: return true; /* a route, or no answer: out of descriptors, say */
    }
}

/* ---- the interface ------------------------------------------------------------------------
 */

static bool read_file(const char *path, char *buf, size_t size, struct span *ret)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    size_t len = 0;
    ssize_t n = 1;

    if (fd < 0)
        return false;
    while (n > 0 && len < size) {
        n = read(fd, buf + len, size - len);
        len += n > 0 ? (size_t)n : 0;
    }
    close(fd);
    *ret = (struct span){buf, len};
    return n >= 0;
}

static bool name_of_v4(int fd, const struct address *local, char name[IFNAMSIZ])
{
    struct ifreq all[INTERFACES_MAX];
    struct ifconf list = {.ifc_len = sizeof(all), .ifc_req = all};

    if (ioctl(fd, SIOCGIFCONF, &list) < 0)
        return false;
    for (size_t i = 0; i < (size_t)list.ifc_len / sizeof(all[0]); i++) {
        struct sockaddr_in of;

        memcpy(&of, &all[i].ifr_addr, sizeof(of));
        if (of.sin_addr.s_addr != local->in.sin_addr.s_addr)
            continue;
        memcpy(name, all[i].ifr_name, IFNAMSIZ);
        name[IFNAMSIZ - 1] = '\0';
        return true;
    }
    return false;
}

bool network_name_of_v6(struct span lines, const struct address *local, struct span *ret_name)
{
    char wanted[2 * sizeof(local->in6.sin6_addr) + 1];
    struct span line;

    for (size_t i = 0; i < sizeof(local->in6.sin6_addr); i++)
        (void)snprintf(wanted + 2 * i, 3, "%02x", local->in6.sin6_addr.s6_addr[i]);
    while (lines.len > 0) {
        (void)span_split(&lines, '\n', &line);
        const char *space = line.len > 0 ? memrchr(line.ptr, ' ', line.len) : NULL;

        if (!space || !span_starts_with(line, span_of(wanted)))
            continue;
        *ret_name = span_drop(line, (size_t)(space + 1 - line.ptr));
        return ret_name->len > 0;
    }
    return false;
}

static bool name_of(int fd, const struct address *local, char name[IFNAMSIZ])
{
    char text[FILE_BYTES_MAX];
    struct span lines;
    struct span found;

    if (address_family(local) == AF_INET)
        return name_of_v4(fd, local, name);
    if (!read_file("/proc/self/net/if_inet6", text, sizeof(text), &lines) ||
        !network_name_of_v6(lines, local, &found) || found.len >= IFNAMSIZ)
        return false;
    memcpy(name, found.ptr, found.len);
    name[found.len] = '\0';
    return true;
}

static bool has_word(struct span text, struct span word)
{
    return text.len > 0 && memmem(text.ptr, text.len, word.ptr, word.len);
}

enum network_type network_type_of_uevent(struct span uevent, bool is_ethernet)
{
    if (has_word(uevent, SPAN_LIT("DEVTYPE=wlan")))
        return NETWORK_WIFI;
    if (has_word(uevent, SPAN_LIT("DEVTYPE=wwan")))
        return NETWORK_MOBILE;
    if (has_word(uevent, SPAN_LIT("DEVTYPE=wireguard")) || !is_ethernet)
        return NETWORK_UNKNOWN;
    return NETWORK_LAN;
}

static enum network_type type_of(int fd, const char *name)
{
    struct ifreq request = {0};
    char path[64];
    char text[FILE_BYTES_MAX];
    struct span uevent;

    (void)snprintf(path, sizeof(path), "/sys/class/net/%s/uevent", name);
    (void)snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", name);
    if (!read_file(path, text, sizeof(text), &uevent) || ioctl(fd, SIOCGIFHWADDR, &request) < 0)
        return NETWORK_UNKNOWN;
    return network_type_of_uevent(uevent, request.ifr_hwaddr.sa_family == ARPHRD_ETHER);
}

/* A route over an interface without a carrier leads nowhere. */
static bool is_running(int fd, const char *name)
{
    struct ifreq request = {0};

    (void)snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", name);
    return ioctl(fd, SIOCGIFFLAGS, &request) < 0 || (request.ifr_flags & IFF_RUNNING) != 0;
}

static bool leads_out(const char *literal, struct network_state *ret)
{
    struct address out = {0};
    struct address local = {0};
    char name[IFNAMSIZ];

    if (address_parse(span_of(literal), PORT_ANY, &out) < 0 || route_to(&out, &local) < 0)
        return false;
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    *ret = (struct network_state){true, NETWORK_UNKNOWN};
    if (fd < 0)
        return true;
    if (name_of(fd, &local, name)) {
        ret->type = type_of(fd, name);
        ret->is_online = is_running(fd, name);
    }
    close(fd);
    return ret->is_online;
}

struct network_state network_probe_state(void)
{
    struct network_state state;

    if (leads_out(OUT_V4, &state) || leads_out(OUT_V6, &state))
        return state;
    return (struct network_state){false, NETWORK_NONE};
}
