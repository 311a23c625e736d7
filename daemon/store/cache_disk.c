/* SPDX-License-Identifier: MIT */
#include "store/cache_disk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/ascii.h"
#include "base/fault.h"
#include "base/mem.h"
#include "base/num.h"

#define ID_DIGITS  16
#define NAME_SIZE  32 /* "0123456789abcdef.body.new" */
#define READ_BYTES 65536

enum file_kind { FILE_META, FILE_BODY, FILE_META_NEW, FILE_BODY_NEW, FILE_KIND_COUNT };

static const char *const suffixes[FILE_KIND_COUNT] = {".meta", ".body", ".meta.new",
                                                      ".body.new"};

struct file_name {
    char text[NAME_SIZE];
};

static struct file_name name_of(uint64_t id, enum file_kind kind)
{
    struct file_name name;

    (void)snprintf(name.text, sizeof(name.text), "%016llx%s", (unsigned long long)id,
                   suffixes[kind]);
    return name;
}

/* Return: whether this is one of our names. */
static bool name_parse(const char *text, uint64_t *ret_id, enum file_kind *ret_kind)
{
    struct span name = span_of(text);

    for (size_t i = 0; i < name.len && i < ID_DIGITS; i++) {
        if (ascii_is_upper(name.ptr[i])) /* or two names were one */
            return false;
    }
    if (num_parse_hex_u64(span_take(name, ID_DIGITS), UINT64_MAX, ret_id) < 0)
        return false;
    for (unsigned i = 0; i < FILE_KIND_COUNT; i++) {
        *ret_kind = (enum file_kind)i;
        if (span_eq(span_drop(name, ID_DIGITS), span_of(suffixes[i])))
            return true;
    }
    return false;
}

bool cache_body_mark_eq(const struct cache_body_mark *a, const struct cache_body_mark *b)
{
    return a->inode == b->inode && a->bytes == b->bytes && a->changed_s == b->changed_s &&
           a->changed_ns == b->changed_ns;
}

static void remove_file(struct cache_disk *disk, uint64_t id, enum file_kind kind)
{
    (void)unlinkat(disk->fd, name_of(id, kind).text, 0);
}

/* ---- the folder ------------------------------------------------------------------------ */

static int check_folder(int fd)
{
    struct stat st;

    if (fstat(fd, &st) < 0)
        return -errno;
    if (st.st_uid != geteuid())
        return -EPERM;
    return (st.st_mode & 07777) != 0700 && fchmod(fd, 0700) < 0 ? -errno : 0;
}

/* The folder in @parent, which is closed. Return: its descriptor or -errno. */
static int step_into(int parent, const char *name, bool make)
{
    int r = 0;

    if (make && mkdirat(parent, name, 0700) < 0 && errno != EEXIST)
        r = -errno;
    int fd = r < 0 ? -1 : openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (r == 0 && fd < 0)
        r = errno == ENOENT ? -ENOENT : errno == ELOOP || errno == ENOTDIR ? -EPERM : -errno;
    close(parent);
    if (r == 0)
        r = check_folder(fd);
    if (r < 0 && fd >= 0)
        close(fd);
    return r < 0 ? r : fd;
}

static int claim(struct cache_disk *disk);

int cache_disk_open(struct cache_disk *disk, bool make)
{
    if (disk->fd >= 0)
        return 0;
    int fd = open(disk->state_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        fd = -errno;
    for (size_t i = 0; fd >= 0 && i < CACHE_DISK_PARTS && disk->parts[i]; i++)
        fd = step_into(fd, disk->parts[i], make);
    disk->fd = fd < 0 ? -1 : fd;
    int r = fd < 0 ? fd : claim(disk);
    if (r < 0 && fd >= 0) {
        close(fd);
        disk->fd = -1;
    }
    return r;
}

void cache_disk_close(struct cache_disk *disk)
{
    if (disk->fd >= 0)
        close(disk->fd);
    disk->fd = -1;
    disk->state_dir = mem_free(disk->state_dir);
    for (size_t i = 0; i < CACHE_DISK_PARTS; i++)
        disk->parts[i] = mem_free(disk->parts[i]);
}

/* ---- reading --------------------------------------------------------------------------- */

/* A plain file, ours, by one name. Return: its descriptor or -errno. */
static int open_file(struct cache_disk *disk, uint64_t id, enum file_kind kind, struct stat *st)
{
    int fd = openat(disk->fd, name_of(id, kind).text,
                    O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);

    if (fd < 0)
        return errno == ELOOP ? -EPERM : -errno;
    int r = fstat(fd, st) < 0 ? -errno : 0;
    if (r == 0 && (!S_ISREG(st->st_mode) || st->st_uid != geteuid() || st->st_nlink != 1))
        r = -EPERM;
    if (r < 0)
        close(fd);
    return r < 0 ? r : fd;
}

static ssize_t read_some(int fd, char *to, size_t size)
{
    ssize_t n;

    do
        n = read(fd, to, size);
    while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : n;
}

static int read_all(int fd, struct buf *to)
{
    for (;;) {
        int r = buf_reserve(to, 4096);
        if (r < 0)
            return r;
        ssize_t n = read_some(fd, buf_tail(to), 4096);
        if (n <= 0)
            return (int)n;
        buf_commit(to, (size_t)n);
    }
}

/* Return: 0, CACHE_ENTRY_E_DAMAGED, -errno. */
static int read_meta(struct cache_disk *disk,
                     uint64_t id,
                     struct cache_entry *entry,
                     int64_t *ret_used_s,
                     bool touch)
{
    CLEANUP_BUF struct buf bytes = BUF_INIT(CACHE_META_BYTES_MAX + 8192);
    struct stat st = {0};
    int fd = open_file(disk, id, FILE_META, &st);

    if (fd < 0)
        return fd == -EPERM ? CACHE_ENTRY_E_DAMAGED : fd;
    int r = st.st_size > CACHE_META_BYTES_MAX ? CACHE_ENTRY_E_DAMAGED : read_all(fd, &bytes);
    if (r == -EMSGSIZE)
        r = CACHE_ENTRY_E_DAMAGED;
    if (r == 0)
        r = cache_entry_decode(buf_span(&bytes), entry);
    if (r == 0 && touch)
        (void)futimens(fd,
                       NULL); /* its time is that of the last use; a lost one costs little */
    close(fd);
    *ret_used_s = st.st_mtim.tv_sec;
    return r;
}

/* Return: 0, CACHE_ENTRY_E_DAMAGED, -errno. */
static int check_body(int fd, const struct cache_entry *entry)
{
    CLEANUP_MEM char *block = mem_alloc(READ_BYTES);
    uint8_t digest[SHA256_BYTES];
    struct sha256 sha;
    ssize_t n = 0;

    if (!block || sha256_begin(&sha) < 0)
        return fault(-ENOMEM);
    while ((n = read_some(fd, block, READ_BYTES)) > 0)
        sha256_add(&sha, (struct span){block, (size_t)n});
    int r = sha256_end(&sha, digest);
    if (n < 0)
        return n == -EIO ? CACHE_ENTRY_E_DAMAGED : (int)n;
    if (r == 0 && memcmp(digest, entry->body_digest, SHA256_BYTES) != 0)
        return CACHE_ENTRY_E_DAMAGED;
    return r == 0 && lseek(fd, 0, SEEK_SET) < 0 ? -errno : r;
}

static struct cache_body_mark mark_of(const struct stat *st)
{
    return (struct cache_body_mark){.inode = st->st_ino,
                                    .bytes = (uint64_t)st->st_size,
                                    .changed_s = st->st_ctim.tv_sec,
                                    .changed_ns = st->st_ctim.tv_nsec};
}

static int open_body(struct cache_disk *disk,
                     uint64_t id,
                     const struct cache_entry *entry,
                     struct cache_body_mark *known,
                     int *ret_fd)
{
    struct stat st;
    int fd = open_file(disk, id, FILE_BODY, &st);

    if (fd < 0)
        return fd == -EPERM || fd == -ENOENT ? CACHE_ENTRY_E_DAMAGED : fd;
    struct cache_body_mark mark = mark_of(&st);
    int r = mark.bytes == entry->body_bytes ? 0 : CACHE_ENTRY_E_DAMAGED;
    if (r == 0 && !cache_body_mark_eq(&mark, known))
        r = check_body(fd, entry);
    if (r != 0) {
        close(fd);
        return r;
    }
    *known = mark;
    *ret_fd = fd;
    return 0;
}

int cache_disk_read(struct cache_disk *disk,
                    uint64_t id,
                    struct cache_entry *entry,
                    struct cache_body_mark *known,
                    int *ret_fd)
{
    int64_t used_s;
    int r = cache_disk_open(disk, false);

    if (r == 0)
        r = read_meta(disk, id, entry, &used_s, true);
    return r == 0 ? open_body(disk, id, entry, known, ret_fd) : r;
}

static int write_all(int fd, struct span bytes)
{
    while (bytes.len > 0) {
        ssize_t n = write(fd, bytes.ptr, bytes.len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : -EIO;
        bytes = span_drop(bytes, (size_t)n);
    }
    return 0;
}

/* ---- whose it was ---------------------------------------------------------------------- */

#define OWNER     ".owner"
#define OWNER_NEW ".owner.new"

/* Calls @fn for each name. Return: 0 or -errno. */
static int each_name(struct cache_disk *disk,
                     int (*fn)(struct cache_disk *disk, const char *name, void *arg),
                     void *arg)
{
    int copy = openat(disk->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (copy < 0)
        return fault(-errno);
    DIR *dir = fdopendir(copy);
    if (!dir) {
        close(copy);
        return fault(-ENOMEM);
    }
    struct dirent *file;
    int r = 0;
    while (r == 0 && (file = readdir(dir)))
        r = fn(disk, file->d_name, arg);
    (void)closedir(dir);
    return r;
}

static int remove_name(struct cache_disk *disk, const char *name, void *arg)
{
    enum file_kind kind;
    uint64_t id;

    (void)arg;
    if (name_parse(name, &id, &kind))
        remove_file(disk, id, kind);
    return 0;
}

/* Return: 0 with *ret empty when nobody has claimed it, or -errno. */
static int read_owner(struct cache_disk *disk, char ret[CACHE_OWNER_SIZE])
{
    int fd = openat(disk->fd, OWNER, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);

    ret[0] = '\0';
    if (fd < 0)
        return errno == ENOENT ? 0 : -errno;
    ssize_t n = read_some(fd, ret, CACHE_OWNER_SIZE - 1);
    close(fd);
    ret[n > 0 ? n : 0] = '\0';
    return n < 0 ? (int)n : 0;
}

static int write_owner(struct cache_disk *disk)
{
    int fd = openat(disk->fd, OWNER_NEW, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC,
                    0600);

    if (fd < 0)
        return -errno;
    int r = write_all(fd, span_of(disk->owner));
    close(fd);
    if (r == 0 && renameat(disk->fd, OWNER_NEW, disk->fd, OWNER) < 0)
        r = -errno;
    return r;
}

/* A name that nobody knows, now or then, says nothing. */
static int claim(struct cache_disk *disk)
{
    char then[CACHE_OWNER_SIZE];

    if (disk->owner[0] == '\0')
        return 0;
    int r = read_owner(disk, then);
    if (r < 0 || strcmp(then, disk->owner) == 0)
        return r;
    if (then[0])
        r = each_name(disk, remove_name, NULL);
    return r == 0 ? write_owner(disk) : r;
}

/* ---- scanning -------------------------------------------------------------------------- */

static bool body_is_there(struct cache_disk *disk, uint64_t id, uint64_t bytes)
{
    struct stat st;

    return fstatat(disk->fd, name_of(id, FILE_BODY).text, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
           S_ISREG(st.st_mode) && (uint64_t)st.st_size == bytes;
}

static bool meta_is_there(struct cache_disk *disk, uint64_t id)
{
    return faccessat(disk->fd, name_of(id, FILE_META).text, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

/* Return: 0, or -ENOMEM: what cannot be read now may be good. */
static int scan_meta(struct cache_disk *disk, uint64_t id, cache_disk_on_entry *fn, void *arg)
{
    struct cache_entry entry;
    int64_t used_s = 0;

    cache_entry_init(&entry);
    int r = read_meta(disk, id, &entry, &used_s, false);
    if (r == 0 &&
        (!body_is_there(disk, id, entry.body_bytes) || fn(arg, id, &entry, used_s) != 0))
        r = CACHE_ENTRY_E_DAMAGED;
    cache_entry_done(&entry);
    if (r == CACHE_ENTRY_E_DAMAGED)
        cache_disk_remove(disk, id);
    return r == -ENOMEM ? r : 0;
}

struct scan {
    cache_disk_on_entry *fn;
    void *arg;
};

static int scan_name(struct cache_disk *disk, const char *name, void *arg)
{
    const struct scan *scan = arg;
    enum file_kind kind;
    uint64_t id;

    if (!name_parse(name, &id, &kind))
        return 0;
    switch (kind) {
    case FILE_META: return scan_meta(disk, id, scan->fn, scan->arg);
    case FILE_BODY:
        if (!meta_is_there(disk, id))
            remove_file(disk, id, FILE_BODY);
        break;
    case FILE_META_NEW:
    case FILE_BODY_NEW: remove_file(disk, id, kind); break;
    case FILE_KIND_COUNT: break;
    }
    return 0;
}

int cache_disk_scan(struct cache_disk *disk, cache_disk_on_entry *fn, void *arg)
{
    struct scan scan = {fn, arg};
    int r = cache_disk_open(disk, false);

    return r < 0 ? r : each_name(disk, scan_name, &scan);
}

/* ---- writing --------------------------------------------------------------------------- */

static int create(struct cache_disk *disk, uint64_t id, enum file_kind kind)
{
    int fd = openat(disk->fd, name_of(id, kind).text,
                    O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);

    return fd < 0 ? -errno : fd;
}

int cache_disk_create(struct cache_disk *disk, uint64_t id)
{
    int r = cache_disk_open(disk, true);

    if (r == 0)
        r = create(disk, id, FILE_BODY_NEW);
    if (r != -ENOENT)
        return r;
    close(disk->fd); /* somebody took the folder away */
    disk->fd = -1;
    r = cache_disk_open(disk, true);
    return r < 0 ? r : create(disk, id, FILE_BODY_NEW);
}

static int
give_name(struct cache_disk *disk, uint64_t id, enum file_kind from, enum file_kind to)
{
    return renameat(disk->fd, name_of(id, from).text, disk->fd, name_of(id, to).text) < 0
               ? -errno
               : 0;
}

int cache_disk_freshen(struct cache_disk *disk, uint64_t id, struct span meta)
{
    int r = cache_disk_open(disk, false);

    if (r < 0)
        return r;
    remove_file(disk, id, FILE_META_NEW); /* of a write that failed */
    int fd = create(disk, id, FILE_META_NEW);
    if (fd < 0)
        return fd;
    r = write_all(fd, meta);
    close(fd);
    if (r == 0)
        r = give_name(disk, id, FILE_META_NEW, FILE_META);
    if (r < 0)
        remove_file(disk, id, FILE_META_NEW);
    return r;
}

int cache_disk_commit(struct cache_disk *disk,
                      uint64_t id,
                      struct span meta,
                      struct cache_body_mark *ret_mark)
{
    struct stat st;
    int r = cache_disk_open(disk, false);

    if (r < 0)
        return r;
    r = give_name(disk, id, FILE_BODY_NEW, FILE_BODY);
    if (r == 0)
        r = cache_disk_freshen(disk, id, meta);
    if (r == 0 && fstatat(disk->fd, name_of(id, FILE_BODY).text, &st, AT_SYMLINK_NOFOLLOW) < 0)
        r = -errno;
    if (r < 0) {
        cache_disk_remove(disk, id);
        return r;
    }
    *ret_mark = mark_of(&st);
    return 0;
}

/* The meta first: a body without one is nothing. */
void cache_disk_remove(struct cache_disk *disk, uint64_t id)
{
    static const enum file_kind order[] = {FILE_META, FILE_META_NEW, FILE_BODY, FILE_BODY_NEW};

    if (cache_disk_open(disk, false) < 0)
        return;
    for (size_t i = 0; i < sizeof(order) / sizeof(order[0]); i++)
        remove_file(disk, id, order[i]);
}
