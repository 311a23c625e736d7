/* SPDX-License-Identifier: MIT */
/*
 * Preloaded into a daemon: the n-th allocation, or the n-th call of the system, fails, once.
 * What and which stands in the file $FAIL_PLAN, which is mapped: a test counts the calls that a
 * request takes, then lets each of them fail in turn, in one and the same daemon. Calls of
 * libraries count like the daemon's own. Which one it was is written to standard error.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum kind {
    NONE = 0,
    ALLOCATIONS = 1,
    CALLS = 2,       /* fail */
    INTERRUPTED = 3, /* are cut short: EINTR */
    /* As long as it says so, and not once: */
    NO_DESCRIPTORS = 4, /* ENFILE */
    NO_MEMORY = 5,      /* for each at-th allocation */
    NO_SPACE = 6,       /* ENOSPC */
    STALLED = 7,        /* what goes to the disk waits for the end of it */
    OTHER_TIME = 8,     /* the wall clock is `at` seconds off */
};

struct plan {
    _Atomic uint32_t kind;
    _Atomic uint32_t failed; /* this time */
    _Atomic uint64_t at;
    _Atomic uint64_t count;
    char what[64];
};

static struct plan nobody;
static struct plan *plan = &nobody;
static __thread int inside __attribute__((tls_model("initial-exec")));

static void *real(const char *name)
{
    inside++;
    void *found = dlsym(RTLD_NEXT, name);
    inside--;
    return found;
}

#define REAL(name, ...)                                                                        \
    static __typeof__(name) *next;                                                             \
    if (!next) {                                                                               \
        void *found = real(#name);                                                             \
        memcpy(&next, &found, sizeof(next));                                                   \
    }                                                                                          \
    (void)0

static void tell(const char *what)
{
    void *frames[24];
    char line[96];

    inside++;
    int n = snprintf(line, sizeof(line), "--- fails: %s (%llu)\n", what,
                     (unsigned long long)plan->at);
    (void)!syscall(1, 2, line, (size_t)n);
    backtrace_symbols_fd(frames, backtrace(frames, 24), 2);
    inside--;
}

static int is_now(enum kind kind)
{
    return !inside && atomic_load_explicit(&plan->kind, memory_order_relaxed) == kind;
}

/* Return: whether the call that is beginning is the one. */
static int is_the_one(enum kind kind, const char *what)
{
    if (kind == ALLOCATIONS && is_now(NO_MEMORY))
        return (atomic_fetch_add(&plan->count, 1) + 1) % plan->at == 0;
    if (inside || atomic_load_explicit(&plan->kind, memory_order_relaxed) != kind)
        return 0;
    if (atomic_fetch_add(&plan->count, 1) + 1 != plan->at)
        return 0;
    atomic_store(&plan->failed, 1);
    (void)snprintf(plan->what, sizeof(plan->what), "%s", what);
    tell(what);
    return 1;
}

/* An error that stands for a want, which lasts. */
static int lasts(int error)
{
    return (error == EMFILE && is_now(NO_DESCRIPTORS)) || (error == ENOSPC && is_now(NO_SPACE));
}

static void wait_for_the_disk(void)
{
    while (is_now(STALLED)) {
        atomic_store(&plan->failed, 1);
        (void)poll(NULL, 0, 2);
    }
}

__attribute__((constructor)) static void set_up(void)
{
    const char *path = getenv("FAIL_PLAN");
    void *frames[2];

    inside++;
    (void)backtrace(frames, 2); /* loads what it needs */
    int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    if (fd >= 0) {
        void *mapped = mmap(NULL, sizeof(*plan), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (mapped != MAP_FAILED)
            plan = mapped;
        (void)close(fd);
    }
    inside--;
}

/* ---- memory: a sanitizer has an allocator of its own, which must be the first ---- */

#ifndef WITHOUT_MEMORY

/* What dlsym() asks for before it can answer. */
static char early[16384];
static size_t early_used;

static void *early_alloc(size_t size)
{
    size_t at = (early_used + 15) & ~(size_t)15;

    if (size > sizeof(early) - at)
        return NULL;
    early_used = at + size;
    return early + at;
}

static int is_early(const void *ptr)
{
    return (const char *)ptr >= early && (const char *)ptr < early + sizeof(early);
}

#define NO_MEMORY                                                                              \
    if (is_the_one(ALLOCATIONS, __func__)) {                                                   \
        errno = ENOMEM;                                                                        \
        return NULL;                                                                           \
    }                                                                                          \
    (void)0

static int looking; /* up the allocator itself: single threaded, before main() */

#define REAL_MEMORY(name, size)                                                                \
    static __typeof__(name) *next;                                                             \
    if (!next) {                                                                               \
        if (looking)                                                                           \
            return early_alloc(size);                                                          \
        looking = 1;                                                                           \
        void *found = real(#name);                                                             \
        memcpy(&next, &found, sizeof(next));                                                   \
        looking = 0;                                                                           \
    }                                                                                          \
    (void)0

void *malloc(size_t size)
{
    REAL_MEMORY(malloc, size);
    NO_MEMORY;
    return next(size);
}

void *calloc(size_t n, size_t size)
{
    REAL_MEMORY(calloc, n * size);
    NO_MEMORY;
    return next(n, size);
}

void *realloc(void *old, size_t size)
{
    if (is_early(old)) {
        void *copy = malloc(size);
        size_t most = (size_t)(early + sizeof(early) - (char *)old);
        return copy ? memcpy(copy, old, size < most ? size : most) : NULL;
    }
    REAL_MEMORY(realloc, size);
    NO_MEMORY;
    return next(old, size);
}

void free(void *ptr)
{
    static __typeof__(free) *next;

    if (is_early(ptr))
        return;
    if (!next) {
        void *found = real("free");
        memcpy(&next, &found, sizeof(next));
    }
    next(ptr);
}

int posix_memalign(void **ret, size_t alignment, size_t size)
{
    REAL(posix_memalign);
    return is_the_one(ALLOCATIONS, __func__) ? ENOMEM : next(ret, alignment, size);
}

#endif

/* ---- calls ---- */

#define FAILS(error)                                                                           \
    do {                                                                                       \
        if ((error) == ENOSPC)                                                                 \
            wait_for_the_disk();                                                               \
        if (is_the_one(CALLS, __func__) || lasts(error)) {                                     \
            errno = (error);                                                                   \
            return -1;                                                                         \
        }                                                                                      \
    } while (0)

/* Those that a signal may cut short. */
#define FAILS_OR_IS_CUT(error)                                                                 \
    do {                                                                                       \
        FAILS(error);                                                                          \
        if (is_the_one(INTERRUPTED, __func__)) {                                               \
            errno = EINTR;                                                                     \
            return -1;                                                                         \
        }                                                                                      \
    } while (0)

#define CALL(type, name, error, parameters, arguments)                                         \
    type name parameters                                                                       \
    {                                                                                          \
        REAL(name);                                                                            \
        FAILS(error);                                                                          \
        return next arguments;                                                                 \
    }

#define CALL_OR_CUT(type, name, error, parameters, arguments)                                  \
    type name parameters                                                                       \
    {                                                                                          \
        REAL(name);                                                                            \
        FAILS_OR_IS_CUT(error);                                                                \
        return next arguments;                                                                 \
    }

CALL_OR_CUT(ssize_t, read, EIO, (int fd, void *to, size_t size), (fd, to, size))
CALL_OR_CUT(ssize_t, write, EIO, (int fd, const void *from, size_t size), (fd, from, size))
CALL_OR_CUT(ssize_t, readv, EIO, (int fd, const struct iovec *to, int n), (fd, to, n))
CALL_OR_CUT(ssize_t, writev, EIO, (int fd, const struct iovec *from, int n), (fd, from, n))
CALL_OR_CUT(ssize_t, pread, EIO, (int fd, void *to, size_t size, off_t at), (fd, to, size, at))
CALL_OR_CUT(
    ssize_t, pread64, EIO, (int fd, void *to, size_t size, off64_t at), (fd, to, size, at))
CALL_OR_CUT(ssize_t,
            pwrite,
            ENOSPC,
            (int fd, const void *from, size_t size, off_t at),
            (fd, from, size, at))
CALL_OR_CUT(ssize_t,
            pwrite64,
            ENOSPC,
            (int fd, const void *from, size_t size, off64_t at),
            (fd, from, size, at))
CALL_OR_CUT(ssize_t,
            recv,
            ECONNRESET,
            (int fd, void *to, size_t size, int flags),
            (fd, to, size, flags))
CALL_OR_CUT(
    ssize_t, recvmsg, ECONNRESET, (int fd, struct msghdr *to, int flags), (fd, to, flags))
CALL_OR_CUT(ssize_t,
            send,
            ENOBUFS,
            (int fd, const void *from, size_t size, int flags),
            (fd, from, size, flags))
CALL_OR_CUT(ssize_t,
            sendmsg,
            ENOBUFS,
            (int fd, const struct msghdr *from, int flags),
            (fd, from, flags))
CALL(int, socket, EMFILE, (int family, int type, int protocol), (family, type, protocol))
CALL(int,
     setsockopt,
     ENOMEM,
     (int fd, int level, int name, const void *value, socklen_t size),
     (fd, level, name, value, size))
CALL(int,
     epoll_ctl,
     ENOMEM,
     (int fd, int what, int of, struct epoll_event *event),
     (fd, what, of, event))
CALL(int, fsync, ENOSPC, (int fd), (fd))
CALL(int, fdatasync, ENOSPC, (int fd), (fd))
CALL(int, ftruncate, EIO, (int fd, off_t size), (fd, size))
CALL(int, ftruncate64, EIO, (int fd, off64_t size), (fd, size))
CALL(int, rename, ENOSPC, (const char *from, const char *to), (from, to))
CALL(int, unlink, EIO, (const char *path), (path))
CALL(int, mkdir, ENOSPC, (const char *path, mode_t mode), (path, mode))
CALL(int, mkdirat, ENOSPC, (int folder, const char *path, mode_t mode), (folder, path, mode))
CALL(int, unlinkat, EIO, (int folder, const char *path, int flags), (folder, path, flags))
CALL(int,
     renameat,
     ENOSPC,
     (int from_folder, const char *from, int to_folder, const char *to),
     (from_folder, from, to_folder, to))
CALL(int, fstat, EIO, (int fd, struct stat *ret), (fd, ret))
CALL(int, stat, EIO, (const char *path, struct stat *ret), (path, ret))
CALL(int,
     fstatat,
     EIO,
     (int folder, const char *path, struct stat *ret, int flags),
     (folder, path, ret, flags))
CALL(int, fchmod, EIO, (int fd, mode_t mode), (fd, mode))
CALL(int, flock, ENOLCK, (int fd, int what), (fd, what))
CALL(int, pipe2, EMFILE, (int fds[2], int flags), (fds, flags))
CALL(int, eventfd, EMFILE, (unsigned value, int flags), (value, flags))
CALL(off_t, lseek, EIO, (int fd, off_t to, int whence), (fd, to, whence))
CALL(int,
     getsockopt,
     ENOBUFS,
     (int fd, int level, int name, void *ret, socklen_t *size),
     (fd, level, name, ret, size))

/* What it should have closed is closed: so a real close() that fails leaves it, too. */
int close(int fd)
{
    REAL(close);
    int result = next(fd);
    FAILS(EIO);
    return result;
}

int getsockname(int fd, __SOCKADDR_ARG ret, socklen_t *size)
{
    REAL(getsockname);
    FAILS(ENOBUFS);
    return next(fd, ret, size);
}

int getpeername(int fd, __SOCKADDR_ARG ret, socklen_t *size)
{
    REAL(getpeername);
    FAILS(ENOBUFS);
    return next(fd, ret, size);
}

/* glibc gives these their addresses as a union of pointers, which a header of its own knows. */
int connect(int fd, __CONST_SOCKADDR_ARG to, socklen_t size)
{
    REAL(connect);
    FAILS(ENETUNREACH);
    return next(fd, to, size);
}

int accept4(int fd, __SOCKADDR_ARG from, socklen_t *size, int flags)
{
    REAL(accept4);
    FAILS_OR_IS_CUT(EMFILE);
    return next(fd, from, size, flags);
}

int epoll_wait(int fd, struct epoll_event *events, int n, int timeout_ms)
{
    REAL(epoll_wait);
    if (is_the_one(INTERRUPTED, __func__)) {
        errno = EINTR;
        return -1;
    }
    return next(fd, events, n, timeout_ms);
}

static mode_t mode_of(int flags, va_list *more)
{
    return flags & (O_CREAT | O_TMPFILE) ? va_arg(*more, mode_t) : 0;
}

#define OPENS(name)                                                                            \
    va_list more;                                                                              \
                                                                                               \
    REAL(name);                                                                                \
    va_start(more, flags);                                                                     \
    mode_t mode = mode_of(flags, &more);                                                       \
    va_end(more);                                                                              \
    FAILS_OR_IS_CUT(EMFILE)

int open(const char *path, int flags, ...)
{
    OPENS(open);
    return next(path, flags, mode);
}

int open64(const char *path, int flags, ...)
{
    OPENS(open64);
    return next(path, flags, mode);
}

int openat(int folder, const char *path, int flags, ...)
{
    OPENS(openat);
    return next(folder, path, flags, mode);
}

int fcntl(int fd, int what, ...)
{
    va_list more;

    REAL(fcntl);
    va_start(more, what);
    void *argument =
        va_arg(more, void *); /* an int, too, arrives whole on the ABIs we run on */
    va_end(more);
    FAILS(ENOLCK);
    return next(fd, what, argument);
}

int fcntl64(int fd, int what, ...)
{
    va_list more;

    REAL(fcntl64);
    va_start(more, what);
    void *argument = va_arg(more, void *);
    va_end(more);
    FAILS(ENOLCK);
    return next(fd, what, argument);
}

int pthread_create(pthread_t *ret,
                   const pthread_attr_t *attributes,
                   void *(*run)(void *),
                   void *argument)
{
    REAL(pthread_create);
    return is_the_one(CALLS, __func__) ? EAGAIN : next(ret, attributes, run, argument);
}

int clock_gettime(clockid_t which, struct timespec *ret)
{
    REAL(clock_gettime);
    int result = next(which, ret);

    if (which == CLOCK_REALTIME && is_now(OTHER_TIME))
        ret->tv_sec += (time_t)(int64_t)plan->at;
    return result;
}
