/* SPDX-License-Identifier: MIT */
#include "net/tls_session_folder.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/mem.h"
#include "base/rand.h"

#define FILE_NAME "tls-sessions"
#define KEY_NAME  "tls-sessions.key"
#define NEW       ".new"

static int say(char *text, int outcome, const char *what, const char *why)
{
    (void)snprintf(text, TLS_SESSION_TEXT_SIZE, "%s: %s", what, why);
    return outcome;
}

static int say_errno(char *text, const char *what, int r)
{
    char reason[64];

    return say(text, TLS_SESSION_FOLDER_REFUSED, what, strerror_r(-r, reason, sizeof(reason)));
}

/* ---- plain files of ours ------------------------------------------------------------------
 */

static int open_state_dir(const struct tls_session_folder *folder)
{
    int fd = open(folder->state_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    return fd < 0 ? -errno : fd;
}

static int check_own(int fd)
{
    struct stat st;

    if (fstat(fd, &st) < 0)
        return -errno;
    if (st.st_uid != geteuid())
        return -EPERM;
    return (st.st_mode & 07777) != 0700 && fchmod(fd, 0700) < 0 ? -errno : 0;
}

/* The folder of @uid. Return: its descriptor, or -errno; -ENOENT only if not @make. */
static int open_folder(const struct tls_session_folder *folder, uint32_t uid, bool make)
{
    char name[16];
    int parent = open_state_dir(folder);

    if (parent < 0 || folder->per_user)
        return parent;
    (void)snprintf(name, sizeof(name), "%u", uid);
    int r = make && mkdirat(parent, name, 0700) < 0 && errno != EEXIST ? -errno : 0;
    int fd = r < 0 ? r : openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (r == 0 && fd < 0)
        fd = errno == ELOOP || errno == ENOTDIR ? -EPERM : -errno;
    close(parent);
    r = fd < 0 ? fd : check_own(fd);
    if (r < 0 && fd >= 0)
        close(fd);
    return r < 0 ? r : fd;
}

/* Return: a descriptor, -ENOENT, -EPERM (a link, or not ours alone), -errno. */
static int open_plain(int dir, const char *name, struct stat *st)
{
    int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);

    if (fd < 0)
        return errno == ELOOP || errno == ENXIO ? -EPERM : -errno;
    int r = fstat(fd, st) < 0 ? -errno : 0;
    if (r == 0 && (!S_ISREG(st->st_mode) || st->st_uid != geteuid() || st->st_nlink != 1))
        r = -EPERM;
    if (r < 0)
        close(fd);
    return r < 0 ? r : fd;
}

/* All of it, @max bytes at most. Return: 0, -EMSGSIZE, -errno. */
static int read_all(int fd, size_t max, struct buf *ret)
{
    ssize_t n = 1;

    while (n > 0) {
        int r = ret->len > max ? -EMSGSIZE : buf_reserve(ret, 16384);
        if (r < 0)
            return r;
        n = read(fd, buf_tail(ret), 16384);
        if (n < 0)
            return -errno;
        buf_commit(ret, (size_t)n);
    }
    return 0;
}

static int write_all(int fd, struct span bytes)
{
    while (bytes.len > 0) {
        ssize_t n = write(fd, bytes.ptr, bytes.len);

        if (n < 0)
            return -errno;
        bytes = span_drop(bytes, (size_t)n);
    }
    return 0;
}

/* Under another name first: whoever looks sees the old one or the whole new one. */
static int replace(int dir, const char *name, const char *new_name, struct span bytes)
{
    if (unlinkat(dir, new_name, 0) < 0 && errno != ENOENT)
        return -errno;
    int fd = openat(dir, new_name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return -errno;
    int r = write_all(fd, bytes);
    if (close(fd) < 0 && r == 0)
        r = -errno;
    if (r == 0 && renameat(dir, new_name, dir, name) < 0)
        r = -errno;
    if (r < 0)
        (void)unlinkat(dir, new_name, 0);
    return r;
}

/* ---- the key ------------------------------------------------------------------------------
 */

/* Return: whether there is one that can go on being used. */
static int read_key(struct tls_session_folder *folder, int dir)
{
    CLEANUP_BUF struct buf bytes = BUF_INIT(0);
    struct stat st = {0};
    int fd = open_plain(dir, KEY_NAME, &st);

    if (fd < 0)
        return fd;
    int r = read_all(fd, sizeof(folder->key), &bytes);
    close(fd);
    if (r == -EMSGSIZE || (r == 0 && bytes.len != sizeof(folder->key)) ||
        (st.st_mode & 07077) != 0)
        return -ENOENT; /* cut off, or seen by others: as good as none */
    if (r < 0)
        return r;
    memcpy(folder->key, buf_span(&bytes).ptr, sizeof(folder->key));
    folder->has_key = true;
    explicit_bzero(bytes.storage, bytes.capacity);
    return 0;
}

static int make_key(struct tls_session_folder *folder, int dir)
{
    rand_bytes(folder->key, sizeof(folder->key));
    int r = replace(dir, KEY_NAME, KEY_NAME NEW,
                    (struct span){(const char *)folder->key, sizeof(folder->key)});
    folder->has_key = r == 0;
    return r;
}

/* Return: 0, -EPERM, -errno. */
static int need_key(struct tls_session_folder *folder)
{
    if (folder->has_key)
        return 0;
    int dir = open_state_dir(folder);
    if (dir < 0)
        return dir;
    int r = read_key(folder, dir);
    if (r == -ENOENT)
        r = make_key(folder, dir);
    close(dir);
    return r;
}

/* ---- the file -----------------------------------------------------------------------------
 */

struct owner {
    char text[TLS_SESSION_OWNER_MAX];
};

static struct owner owner_of(const struct tls_session_folder *folder, uint32_t uid)
{
    struct owner owner;
    char name[64] = "";

    if (folder->name_of && !folder->name_of(uid, name, sizeof(name)))
        name[0] = '\0';
    (void)snprintf(owner.text, sizeof(owner.text), "%u %s", uid, name);
    return owner;
}

static int refuse(char *text, int r)
{
    if (r == -EPERM || r == -EISDIR || r == -ENOTDIR)
        return say(text, TLS_SESSION_FOLDER_REFUSED, FILE_NAME " or " KEY_NAME,
                   "a link, a folder or somebody else's; TLS sessions are not kept");
    return say_errno(text, "TLS sessions are not kept", r);
}

static int unseal(struct tls_session_folder *folder,
                  uint32_t uid,
                  struct span file,
                  struct buf *rows,
                  char *text)
{
    struct owner owner = owner_of(folder, uid);

    switch (tls_session_file_open(file, folder->key, span_of(owner.text), rows)) {
    case TLS_SESSION_FILE_OK: return TLS_SESSION_FOLDER_OK;
    case TLS_SESSION_FILE_E_NEWER:
        return say(text, TLS_SESSION_FOLDER_REFUSED, FILE_NAME,
                   "written by a later version; TLS sessions are not kept until it is gone");
    case TLS_SESSION_FILE_E_DAMAGED:
        return say(text, TLS_SESSION_FOLDER_IGNORED, FILE_NAME,
                   "damaged, or sealed with another key; beginning anew");
    default: return say(text, TLS_SESSION_FOLDER_IGNORED, FILE_NAME, "no memory to read it");
    }
}

int tls_session_folder_read(struct tls_session_folder *folder,
                            uint32_t uid,
                            struct buf *rows,
                            char text[TLS_SESSION_TEXT_SIZE])
{
    CLEANUP_BUF struct buf file = BUF_INIT(0);
    struct stat st;
    int dir = open_folder(folder, uid, false);
    int fd = dir < 0 ? dir : open_plain(dir, FILE_NAME, &st);

    if (dir >= 0)
        close(dir);
    if (fd == -ENOENT)
        return TLS_SESSION_FOLDER_OK;
    if (fd < 0)
        return refuse(text, fd);
    int r = read_all(fd, TLS_SESSION_FILE_MAX_BYTES, &file);
    close(fd);
    if (r == -EMSGSIZE)
        return say(text, TLS_SESSION_FOLDER_IGNORED, FILE_NAME, "too long; beginning anew");
    if (r == 0)
        r = need_key(folder);
    return r < 0 ? refuse(text, r) : unseal(folder, uid, buf_span(&file), rows, text);
}

int tls_session_folder_write(struct tls_session_folder *folder,
                             uint32_t uid,
                             struct span rows,
                             char text[TLS_SESSION_TEXT_SIZE])
{
    CLEANUP_BUF struct buf file = BUF_INIT(0);
    struct owner owner = owner_of(folder, uid);
    int r = need_key(folder);

    if (r == 0)
        r = tls_session_file_seal(&file, folder->key, span_of(owner.text), rows);
    int dir = r < 0 ? r : open_folder(folder, uid, true);
    if (dir < 0)
        return refuse(text, dir);
    r = replace(dir, FILE_NAME, FILE_NAME NEW, buf_span(&file));
    close(dir);
    return r < 0 ? refuse(text, r) : TLS_SESSION_FOLDER_OK;
}

int tls_session_folder_remove(struct tls_session_folder *folder,
                              uint32_t uid,
                              char text[TLS_SESSION_TEXT_SIZE])
{
    int dir = open_folder(folder, uid, false);
    int r = dir < 0 ? dir : 0;

    if (dir >= 0 && unlinkat(dir, FILE_NAME, 0) < 0)
        r = -errno;
    if (dir >= 0)
        close(dir);
    return r == 0 || r == -ENOENT ? TLS_SESSION_FOLDER_OK : refuse(text, r);
}
