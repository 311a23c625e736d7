/* SPDX-License-Identifier: MIT */
#include "store/session_region.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/log.h"

#define MAGIC         "xhrd sessions\n"
#define FORMAT        1
#define HEADER_BYTES  4096
#define GROW_MIN      ((size_t)64 << 10)
#define GROW_MAX      ((size_t)1 << 20)
#define GIVE_BACK_MIN ((size_t)64 << 10)

struct region_header {
    char magic[16];
    uint32_t format; /* not the program's version: logins outlast an upgrade */
    uint32_t header_bytes;
    uint64_t start; /* of the window: each moves by one store, and any two of them are true */
    uint64_t end;
    int64_t touched_us;
};

static uint64_t page_bytes(void)
{
    static uint64_t bytes;

    if (bytes == 0)
        bytes = (uint64_t)sysconf(_SC_PAGESIZE);
    return bytes;
}

static uint64_t page_down(uint64_t at)
{
    return at & ~(page_bytes() - 1);
}

static uint64_t page_up(uint64_t at)
{
    return page_down(at + page_bytes() - 1);
}

/* Where windows may begin. */
static uint64_t front(void)
{
    return page_up(HEADER_BYTES);
}

static int take_pages(int fd, uint64_t at, uint64_t bytes)
{
    int r;

    do
        r = fallocate(fd, 0, (off_t)at, (off_t)bytes);
    while (r < 0 && errno == EINTR);
    return r < 0 ? fault(-errno) : 0;
}

static void give_pages_back(int fd, uint64_t at, uint64_t bytes)
{
    if (bytes > 0)
        (void)fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)at,
                        (off_t)bytes);
}

/* Whole pages, already taken. */
static void *map_pages(int fd, uint64_t at, size_t bytes)
{
    void *map = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t)at);

    if (map == MAP_FAILED)
        return NULL;
    (void)madvise(map, bytes, MADV_DONTDUMP);
    return map;
}

static int map_header(struct session_region *region)
{
    int r = take_pages(region->fd, 0, front());

    if (r < 0)
        return r;
    region->header = map_pages(region->fd, 0, front());
    return region->header ? 0 : fault(-ENOMEM);
}

static int map_window(struct session_region *region)
{
    uint64_t at = page_down(region->start);
    size_t bytes = (size_t)(page_up(region->end) - at);

    if (bytes < GROW_MIN)
        bytes = (size_t)page_up(GROW_MIN);
    int r = take_pages(region->fd, at, bytes);
    if (r < 0)
        return r;
    region->map = map_pages(region->fd, at, bytes);
    if (!region->map)
        return fault(-ENOMEM);
    region->map_at = at;
    region->map_bytes = bytes;
    return 0;
}

static bool is_believed(struct session_region *region, uint64_t file_bytes, size_t window_max)
{
    const struct region_header *header = region->header;

    if (memcmp(header->magic, MAGIC, sizeof(MAGIC)) != 0 || header->format != FORMAT ||
        header->header_bytes != HEADER_BYTES)
        return false;
    uint64_t start = header->start;
    uint64_t end = header->end;
    if (start < front() || start % sizeof(uint64_t) != 0 || end < start ||
        end - start > window_max || end > file_bytes || end > INT64_MAX / 2)
        return false;
    region->start = start;
    region->end = end;
    return true;
}

/* What a process that was killed meanwhile was about to write, or to give back. */
static int wipe_rest(struct session_region *region)
{
    uint64_t map_end = region->map_at + region->map_bytes;

    give_pages_back(region->fd, front(), region->map_at - front());
    session_region_cut(region, region->end);
    return ftruncate(region->fd, (off_t)map_end) < 0 ? fault(-errno) : 0;
}

static int begin_anew(struct session_region *region)
{
    struct region_header *header = region->header;

    memset(header, 0, HEADER_BYTES);
    if (ftruncate(region->fd, (off_t)front()) < 0)
        return fault(-errno);
    region->start = region->end = front();
    int r = map_window(region);
    if (r < 0)
        return r;
    header->format = FORMAT;
    header->header_bytes = HEADER_BYTES;
    header->start = region->start;
    header->end = region->end;
    __atomic_thread_fence(__ATOMIC_RELEASE);
    memcpy(header->magic, MAGIC, sizeof(MAGIC));
    return 0;
}

static int open_region(struct session_region *region, size_t window_max)
{
    struct stat st;

    if (fstat(region->fd, &st) < 0)
        return fault(-errno);
    int r = map_header(region);
    if (r < 0)
        return r;
    if (st.st_size > 0 && is_believed(region, (uint64_t)st.st_size, window_max)) {
        r = map_window(region);
        if (r == 0)
            r = wipe_rest(region);
        return r < 0 ? r : SESSION_REGION_TAKEN_OVER;
    }
    r = begin_anew(region);
    if (r < 0)
        return r;
    return st.st_size > 0 ? SESSION_REGION_REFUSED : SESSION_REGION_NEW;
}

int session_region_open(struct session_region *ret, int fd, size_t window_max)
{
    *ret = (struct session_region){.fd = fd};
    int r = open_region(ret, window_max);
    if (r < 0)
        session_region_discard(ret);
    return r;
}

void session_region_discard(struct session_region *region)
{
    if (ftruncate(region->fd, 0) < 0)
        log_warning(NULL, "session cookies of before may come back: %m");
    session_region_done(region);
}

void session_region_done(struct session_region *region)
{
    if (region->map)
        (void)munmap(region->map, region->map_bytes);
    if (region->header)
        (void)munmap(region->header, (size_t)front());
    if (region->fd >= 0)
        close(region->fd);
    *region = (struct session_region){.fd = -1};
}

static int grow(struct session_region *region, size_t bytes)
{
    size_t more = bytes - region->map_bytes;
    int r = take_pages(region->fd, region->map_at + region->map_bytes, more);

    if (r < 0)
        return r;
    void *map = mremap(region->map, region->map_bytes, bytes, MREMAP_MAYMOVE);
    if (map == MAP_FAILED)
        return fault(-errno);
    region->map = map;
    region->map_bytes = bytes;
    return 0;
}

int session_region_make_room(struct session_region *region, size_t bytes)
{
    size_t needed = (size_t)page_up(region->end + bytes - region->map_at);

    if (needed <= region->map_bytes)
        return 0;
    size_t ahead = region->map_bytes < GROW_MAX ? region->map_bytes : GROW_MAX;
    if (needed < region->map_bytes + ahead && grow(region, region->map_bytes + ahead) == 0)
        return 0;
    return grow(region, needed);
}

void session_region_publish(struct session_region *region, size_t bytes)
{
    struct region_header *header = region->header;

    region->end += bytes;
    __atomic_store_n(&header->end, region->end, __ATOMIC_RELEASE);
}

void session_region_cut(struct session_region *region, uint64_t end)
{
    struct region_header *header = region->header;

    region->end = end;
    __atomic_store_n(&header->end, end, __ATOMIC_RELEASE);
    explicit_bzero(session_region_at(region, end),
                   (size_t)(region->map_at + region->map_bytes - end));
}

void session_region_advance(struct session_region *region, uint64_t start, bool now)
{
    size_t behind = (size_t)(page_down(start) - region->map_at);

    region->start = start;
    __atomic_store_n(&region->header->start, start, __ATOMIC_RELEASE);
    if (behind >= region->map_bytes) /* something of it stays mapped */
        behind = region->map_bytes - (size_t)page_bytes();
    if (behind == 0 || (behind < GIVE_BACK_MIN && !now))
        return;
    (void)munmap(region->map, behind);
    give_pages_back(region->fd, region->map_at, behind);
    region->map += behind;
    region->map_at += behind;
    region->map_bytes -= behind;
}

void session_region_touch(struct session_region *region, int64_t now_us)
{
    __atomic_store_n(&region->header->touched_us, now_us, __ATOMIC_RELAXED);
}

int64_t session_region_touched_us(const struct session_region *region)
{
    return region->header->touched_us;
}
