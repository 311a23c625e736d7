/* SPDX-License-Identifier: MIT */
#include "app/session_memory.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "app/manager.h"
#include "app/sockets.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/mem.h"
#include "loop/loop.h"
#include "loop/timer.h"
#include "store/session_log.h"

#define NAME         "sessions"
#define SUFFIX       ".sessions"
#define LOCK_POLL_MS 5
#define LOCK_POLLS   100 /* a daemon that was killed just now may still be going */
#define AGAIN_US     INT64_C(100000)

struct session_memory {
    struct session_log *log;
    char *path; /* of the file beside the socket; NULL: there is none */
    uint64_t device;
    uint64_t inode;
    struct manager manager;
    struct timer again;
    int unheld_fd; /* the manager is to hold it; -1: it does, or there is none */
};

bool session_memory_is_name(const char *name)
{
    return strcmp(name, NAME) == 0;
}

struct session_log *session_memory_log(const struct session_memory *memory)
{
    return memory ? memory->log : NULL;
}

/* ---- held by systemd ------------------------------------------------------------------------
 */

/* Return: the descriptor, -1: systemd has none of us. */
static int find_passed(const struct passed *passed)
{
    int found = -1;

    for (int i = 0; i < passed->n; i++) {
        if (!session_memory_is_name(passed->names[i]))
            continue;
        if (found < 0)
            found = SD_LISTEN_FDS_START + i;
        else
            close(SD_LISTEN_FDS_START + i);
    }
    return found;
}

/* Return: a descriptor of memory, or -errno. */
static int make_memory(struct session_memory *memory)
{
    int fd = memfd_create("xhrd-sessions", MFD_CLOEXEC);

    if (fd < 0)
        return fault(-errno);
    memory->unheld_fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (memory->unheld_fd >= 0)
        return fd;
    int r = fault(-errno);
    close(fd);
    return r;
}

static void stop_asking(struct session_memory *memory)
{
    if (memory->unheld_fd >= 0)
        close(memory->unheld_fd);
    memory->unheld_fd = -1;
    manager_done(&memory->manager);
}

static void give_up(struct session_memory *memory, int r)
{
    log_warning(NULL, "session cookies will not outlive this process: %s", strerrordesc_np(-r));
    stop_asking(memory);
}

static void ask_to_hold(void *owner)
{
    struct session_memory *memory = owner;
    int r = manager_tell(&memory->manager, "FDSTORE=1\nFDNAME=" NAME, memory->unheld_fd);

    if (r == -EAGAIN && timer_arm(&memory->again, AGAIN_US) == 0)
        return;
    if (r < 0)
        give_up(memory, r);
    else
        stop_asking(memory);
}

void session_memory_attach(struct session_memory *memory, struct loop *loop)
{
    if (!memory || memory->unheld_fd < 0)
        return;
    timer_init(&memory->again, loop, ask_to_hold, memory);
    int r = manager_init(&memory->manager);
    if (r == 0)
        ask_to_hold(memory);
    else
        give_up(memory, r);
}

/* ---- a file beside the socket ---------------------------------------------------------------
 */

/* Return: whether nobody else can put a file there, and none of it meets a disk. */
static bool is_safe_folder(int fd)
{
    struct stat st;
    struct statfs fs;

    return fstat(fd, &st) == 0 && st.st_uid == geteuid() && (st.st_mode & 022) == 0 &&
           fstatfs(fd, &fs) == 0 && fs.f_type == TMPFS_MAGIC;
}

/* Return: 1, 0: there is no such folder, -ENOMEM. */
static int has_safe_folder(const char *socket_path)
{
    const char *slash = strrchr(socket_path, '/');
    CLEANUP_MEM char *folder =
        mem_dup((struct span){socket_path, (size_t)(slash - socket_path) + 1});

    if (!folder)
        return fault(-ENOMEM);
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    bool is_safe = is_safe_folder(fd);
    close(fd);
    return is_safe;
}

static bool is_at_path(const struct session_memory *memory)
{
    struct stat st;

    return lstat(memory->path, &st) == 0 && st.st_dev == memory->device &&
           st.st_ino == memory->inode;
}

/* Return: 0 or -errno; -EWOULDBLOCK: another daemon has it. */
static int lock(int fd)
{
    for (int i = 0; i < LOCK_POLLS; i++) {
        if (flock(fd, LOCK_EX | LOCK_NB) == 0)
            return 0;
        if (errno != EWOULDBLOCK && errno != EINTR)
            return fault(-errno);
        (void)poll(NULL, 0, LOCK_POLL_MS);
    }
    return -EWOULDBLOCK;
}

/* Return: the descriptor, or -errno; -ESTALE: who had it has taken it away. */
static int open_file(struct session_memory *memory)
{
    struct stat st;
    int fd = open(memory->path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);

    if (fd < 0)
        return fault(-errno);
    int r = lock(fd);
    if (r == 0 && fstat(fd, &st) < 0)
        r = fault(-errno);
    if (r == 0 && (!S_ISREG(st.st_mode) || st.st_uid != geteuid() || st.st_nlink > 1 ||
                   (st.st_mode & 077) != 0))
        r = fault(-EPERM);
    if (r == 0) {
        memory->device = st.st_dev;
        memory->inode = st.st_ino;
        r = is_at_path(memory) ? 0 : -ESTALE;
    }
    if (r < 0) {
        close(fd);
        return r;
    }
    return fd;
}

/* Return: the descriptor, -ENOENT: the socket is not where one could be, -errno. */
static int find_file(struct session_memory *memory, const char *socket_path)
{
    int r = has_safe_folder(socket_path);

    if (r <= 0)
        return r < 0 ? r : -ENOENT;
    memory->path = mem_format("%s" SUFFIX, socket_path);
    if (!memory->path)
        return fault(-ENOMEM);
    r = open_file(memory);
    return r == -ESTALE ? open_file(memory) : r;
}

/* ---- life ----------------------------------------------------------------------------------
 */

/* Return: the descriptor, -ENOENT: there is no such memory, -errno. */
static int find_memory(struct session_memory *memory,
                       const struct passed *passed,
                       const struct sockets *of)
{
    int fd = find_passed(passed);

    if (fd >= 0)
        return fd;
    if (of->is_ours && of->path[0] == '/')
        return find_file(memory, of->path);
    return getenv("NOTIFY_SOCKET") && passed->n > 0 ? make_memory(memory) : -ENOENT;
}

int session_memory_open(struct session_memory **ret,
                        const struct passed *passed,
                        const struct sockets *sockets)
{
    CLEANUP(session_memory_free) struct session_memory *memory = mem_zalloc(sizeof(*memory));
    const struct session_log_options options = session_log_options_default();

    *ret = NULL;
    if (!memory)
        return fault(-ENOMEM);
    memory->manager.fd = memory->unheld_fd = -1;
    int fd = find_memory(memory, passed, sockets);
    if (fd < 0)
        return fd == -ENOENT ? 0 : fd;
    int r = session_log_open(&memory->log, fd, &options);
    if (r < 0)
        return r;
    *ret = TAKE(memory);
    return 0;
}

struct session_memory *session_memory_free(struct session_memory *memory)
{
    if (!memory)
        return NULL;
    session_log_free(memory->log);
    stop_asking(memory);
    mem_free(memory->path);
    return mem_free(memory);
}

void session_memory_detach(struct session_memory *memory)
{
    if (memory && memory->unheld_fd >= 0)
        timer_disarm(&memory->again);
}

void session_memory_leave(const struct session_memory *memory)
{
    if (memory && memory->path && is_at_path(memory))
        (void)unlink(memory->path);
}
