/* SPDX-License-Identifier: MIT */
#include "ipc/peer_unit.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

/* Linux 6.5 and 6.13; Debian 12 has older headers. */
#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77
#endif
struct pidfd_info_v0 {
    uint64_t mask;
    uint64_t cgroup_id;
    uint32_t ids[11];
    int32_t exit_code;
};
#define PIDFD_INFO_CGROUP_ID UINT64_C(4)
#define PIDFD_ASK            _IOWR(0xff, 11, struct pidfd_info_v0)

#define GROUPS_MAX           1024 /* control groups looked at for one name */
#define DEPTH_MAX            12
#define LOOK_EACH_US         (100 * 1000)
#define KNOWN_MAX            32 /* names found, the oldest is forgotten */
#define CGROUP_BYTES         1024
#define CGROUP_ROOT          "/sys/fs/cgroup"
#define CGROUP_UNIFIED       "/sys/fs/cgroup/unified" /* beside the old hierarchies */

static struct {
    uint64_t id;
    char unit[PEER_UNIT_BYTES];
} known[KNOWN_MAX];
static unsigned next_known;
static int64_t looked_us;

struct span peer_unit_of_path(struct span path)
{
    struct span unit = {path.ptr, 0};
    struct span part;

    while (path.len > 0) {
        (void)span_split(&path, '/', &part);
        if (span_ends_with(part, span_of(".service")) ||
            span_ends_with(part, span_of(".scope")))
            unit = part;
    }
    return unit;
}

static void take_unit(struct span path, char ret[PEER_UNIT_BYTES])
{
    struct span unit = peer_unit_of_path(path);

    if (unit.len < PEER_UNIT_BYTES)
        (void)snprintf(ret, PEER_UNIT_BYTES, "%.*s", (int)unit.len, unit.ptr);
}

/* ---- by the process --------------------------------------------------------------------- */

/* Of the line of systemd's own hierarchy, where there is one, else of the unified one. */
static struct span systemd_path(struct span text)
{
    static const char own[] = ":name=systemd:";
    struct span path = {text.ptr, 0};
    struct span line;

    while (text.len > 0) {
        (void)span_split(&text, '\n', &line);
        const char *found = memmem(line.ptr, line.len, own, strlen(own));

        if (found)
            return span_drop(line, (size_t)(found - line.ptr) + strlen(own));
        if (span_starts_with(line, span_of("0::")))
            path = span_drop(line, 3);
    }
    return path;
}

/* Return: whether the process could be looked at. */
static bool ask_proc(int32_t pid, char ret[PEER_UNIT_BYTES])
{
    char path[32];
    char text[CGROUP_BYTES];

    (void)snprintf(path, sizeof(path), "/proc/%d/cgroup", pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    ssize_t n = read(fd, text, sizeof(text));
    close(fd);
    if (n > 0)
        take_unit(systemd_path((struct span){text, (size_t)n}), ret);
    return n > 0;
}

/* ---- by the control group ---------------------------------------------------------------- */

struct search {
    uint64_t id;
    unsigned n_left; /* to be looked at */
    char path[CGROUP_BYTES];
};

/* @search->path: of @folder, with the name found put behind it. Return: whether it was. */
// NOLINTNEXTLINE(misc-no-recursion): DEPTH_MAX
static bool look(struct search *search, int folder, size_t len, unsigned depth)
{
    DIR *dir = fdopendir(folder);
    bool found = false;
    const struct dirent *entry;

    if (!dir) {
        close(folder);
        return false;
    }
    // NOLINTNEXTLINE(concurrency-mt-unsafe): this directory is ours
    while (!found && search->n_left > 0 && (entry = readdir(dir))) {
        if (entry->d_type != DT_DIR || entry->d_name[0] == '.')
            continue;
        int n = snprintf(search->path + len, sizeof(search->path) - len, "/%s", entry->d_name);
        if (n < 0 || (size_t)n >= sizeof(search->path) - len)
            continue;
        search->n_left--;
        found = entry->d_ino == search->id;
        int below = found || depth == 0
                        ? -1
                        : openat(dirfd(dir), entry->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (below >= 0)
            found = look(search, below, len + (size_t)n, depth - 1);
    }
    (void)closedir(dir);
    return found;
}

static void search_groups(uint64_t id, char ret[PEER_UNIT_BYTES])
{
    struct search search = {.id = id, .n_left = GROUPS_MAX};
    int root = open(CGROUP_UNIFIED, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (root < 0)
        root = open(CGROUP_ROOT, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (root >= 0 && look(&search, root, 0, DEPTH_MAX))
        take_unit(span_of(search.path), ret);
}

static void name_of_group(uint64_t id, int64_t now_us, char ret[PEER_UNIT_BYTES])
{
    for (unsigned i = 0; i < KNOWN_MAX; i++) {
        if (known[i].id == id) {
            memcpy(ret, known[i].unit, PEER_UNIT_BYTES);
            return;
        }
    }
    if (looked_us && now_us - looked_us < LOOK_EACH_US)
        return;
    looked_us = now_us;
    search_groups(id, ret);
    unsigned at = next_known++ % KNOWN_MAX;
    known[at].id = id;
    memcpy(known[at].unit, ret, PEER_UNIT_BYTES);
}

static void ask_group(int pidfd, int64_t now_us, char ret[PEER_UNIT_BYTES])
{
    struct pidfd_info_v0 info = {.mask = PIDFD_INFO_CGROUP_ID};

    if (ioctl(pidfd, PIDFD_ASK, &info) == 0 && (info.mask & PIDFD_INFO_CGROUP_ID))
        name_of_group(info.cgroup_id, now_us, ret);
}

void peer_unit_find(int fd, int32_t pid, int64_t now_us, char ret[PEER_UNIT_BYTES])
{
    int pidfd = -1;
    socklen_t len = sizeof(pidfd);

    memset(ret, 0, PEER_UNIT_BYTES);
    if (getsockopt(fd, SOL_SOCKET, SO_PEERPIDFD, &pidfd, &len) < 0)
        pidfd = -1;
    if (!ask_proc(pid, ret) && pidfd >= 0)
        ask_group(pidfd, now_us, ret);
    if (pidfd < 0)
        return;
    struct pollfd ask = {.fd = pidfd, .events = POLLIN};
    if (poll(&ask, 1, 0) > 0) /* it has gone, and its number may be another's */
        ret[0] = '\0';
    close(pidfd);
}
