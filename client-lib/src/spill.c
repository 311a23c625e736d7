/* SPDX-License-Identifier: MIT */
#include "spill.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

static int open_in(const char *folder)
{
    char path[PATH_MAX];
    int fd = open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC | O_EXCL, 0600);

    if (fd >= 0)
        return fd;
    int n = snprintf(path, sizeof(path), "%s/xhr-XXXXXX", folder);
    if (n < 0 || (size_t)n >= sizeof(path))
        return -ENAMETOOLONG;
    fd = mkostemp(path, O_CLOEXEC);
    if (fd < 0)
        return -errno;
    (void)unlink(path);
    return fd;
}

int xhr_spill_open(struct xhr_spill *spill)
{
    const char *wanted = secure_getenv("TMPDIR");
    int fd = wanted && *wanted ? open_in(wanted) : open_in("/var/tmp");

    if (fd < 0)
        fd = open_in("/tmp");
    if (fd < 0)
        return fd;
    *spill = (struct xhr_spill){.is_open = true, .fd = fd};
    return 0;
}

static void drop_view(struct xhr_spill *spill)
{
    if (spill->view)
        (void)munmap(spill->view, spill->view_len + 1);
    spill->view = NULL;
}

int xhr_spill_append(struct xhr_spill *spill, const void *from, size_t len)
{
    const char *at = from;

    drop_view(spill);
    while (len > 0) {
        ssize_t n = pwrite(spill->fd, at, len, (off_t)spill->len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : -EIO;
        at += n;
        len -= (size_t)n;
        spill->len += (uint64_t)n;
    }
    return 0;
}

const void *xhr_spill_view(struct xhr_spill *spill)
{
    if (spill->view)
        return spill->view;
    /* The file is a byte longer, so that the NUL is there even at the end of a page. */
    if (spill->len >= SIZE_MAX || ftruncate(spill->fd, (off_t)spill->len + 1) < 0)
        return NULL;
    void *view = mmap(NULL, (size_t)spill->len + 1, PROT_READ, MAP_SHARED, spill->fd, 0);
    if (view == MAP_FAILED)
        return NULL;
    spill->view = view;
    spill->view_len = (size_t)spill->len;
    return view;
}

void xhr_spill_done(struct xhr_spill *spill)
{
    if (!spill->is_open)
        return;
    drop_view(spill);
    (void)close(spill->fd);
    *spill = (struct xhr_spill){0};
}
