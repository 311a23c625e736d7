/* SPDX-License-Identifier: MIT */
#include "base/process.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/log.h"
#include "base/num.h"
#include "base/span.h"

static void count_link(struct process_fds *fds, struct span target)
{
    if (span_starts_with(target, SPAN_LIT("socket:")))
        fds->sockets++;
    else if (span_starts_with(target, SPAN_LIT("pipe:")))
        fds->pipes++;
    else if (span_starts_with(target, SPAN_LIT("/")))
        fds->files++;
    else
        fds->others++;
}

static void count_all(DIR *folder, struct process_fds *fds)
{
    const struct dirent *entry;
    char target[64];

    while ((entry = readdir(folder)) != NULL) {
        if (entry->d_name[0] == '.')
            continue;
        ssize_t n = readlinkat(dirfd(folder), entry->d_name, target, sizeof(target));

        if (n > 0)
            count_link(fds, (struct span){target, (size_t)n});
    }
    if (fds->files > 0)
        fds->files--; /* the folder itself */
}

int process_fds(struct process_fds *ret)
{
    DIR *folder = opendir("/proc/self/fd");
    struct process_fds fds = {0};
    struct rlimit limit;

    if (!folder)
        return fault(-errno);
    count_all(folder, &fds);
    (void)closedir(folder);
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY)
        fds.max = limit.rlim_cur;
    *ret = fds;
    return 0;
}

void process_raise_fds_max(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur == limit.rlim_max)
        return;
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
        log_warning(NULL, "the limit of descriptors stays as it is: %m");
}

/* "size resident …", in pages. */
static int read_resident(uint64_t *ret)
{
    char text[256];
    int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text));
    int saved = errno;
    uint64_t pages = 0;

    if (fd >= 0)
        (void)close(fd);
    if (n < 0)
        return fault(-saved);
    struct span rest = {text, (size_t)n};
    struct span word;
    (void)span_split(&rest, ' ', &word);
    (void)span_split(&rest, ' ', &word);
    if (num_parse_u64(word, UINT64_MAX / 65536, &pages) < 0)
        return fault(-EIO);
    *ret = pages * (uint64_t)sysconf(_SC_PAGESIZE);
    return 0;
}

int process_memory(struct process_memory *ret)
{
    struct mallinfo2 heap = mallinfo2();
    struct process_memory memory = {
        .heap_bytes = heap.uordblks + heap.hblkhd,
        .heap_free_bytes = heap.fordblks,
    };
    int r = read_resident(&memory.resident_bytes);

    if (r < 0)
        return r;
    *ret = memory;
    return 0;
}
