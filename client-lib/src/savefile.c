/* SPDX-License-Identifier: MIT */
#include "savefile.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "part.h"

#define LINKS_MAX 40 /* as the kernel */
#define TRIES_MAX 100

/* ---- the way to the target ----------------------------------------------------------------
 */

static int open_folder(int at, const char *path)
{
    int fd = openat(at, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0 && errno == EACCES) /* one can write there and not list it; no fsync then */
        fd = openat(at, path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

/* One step: the folder and the last name of @path, seen from @at. */
static int split(struct xhr_savefile *save, int at, const char *path)
{
    const char *slash = strrchr(path, '/');
    const char *name = slash ? slash + 1 : path;
    size_t folder_len = slash ? (size_t)(slash - path) : 0;
    char folder[PATH_MAX];
    int fd;

    if (path[0] == '\0')
        return -ENOENT;
    if (name[0] == '\0' || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
        return -EISDIR;
    if (folder_len >= sizeof(folder) || strlen(name) >= sizeof(save->name))
        return -ENAMETOOLONG;
    memcpy(folder, path, folder_len);
    folder[folder_len] = '\0';
    fd = open_folder(at, folder_len > 0 ? folder : slash ? "/" : ".");
    if (fd < 0)
        return fd;
    if (save->dir_fd >= 0)
        (void)close(save->dir_fd);
    save->dir_fd = fd;
    memcpy(save->name, name, strlen(name) + 1);
    return 0;
}

/* As fs.protected_symlinks has it, whatever the machine's setting. */
static bool is_trusted_link(const struct xhr_savefile *save, const struct stat *link)
{
    struct stat folder;

    if (fstat(save->dir_fd, &folder) < 0)
        return false;
    bool is_shared = (folder.st_mode & S_ISVTX) && (folder.st_mode & S_IWOTH);

    return !is_shared || link->st_uid == geteuid() || link->st_uid == folder.st_uid;
}

/* In a sticky folder a name is its owner's. */
static bool is_ours_to_replace(const struct xhr_savefile *save, const struct stat *target)
{
    struct stat folder;
    uid_t us = geteuid();

    return us == 0 || target->st_uid == us || fstat(save->dir_fd, &folder) < 0 ||
           !(folder.st_mode & S_ISVTX) || folder.st_uid == us;
}

static int follow(struct xhr_savefile *save, const struct stat *link)
{
    char text[PATH_MAX];
    ssize_t n = readlinkat(save->dir_fd, save->name, text, sizeof(text) - 1);

    if (n < 0)
        return -errno;
    if (!is_trusted_link(save, link))
        return -EACCES;
    text[n] = '\0';
    return split(save, save->dir_fd, text);
}

static int judge(struct xhr_savefile *save, const struct stat *target)
{
    if (S_ISDIR(target->st_mode))
        return -EISDIR;
    if (!S_ISREG(target->st_mode))
        return -ESPIPE;
    if (save->is_exclusive)
        return -EEXIST;
    /* A rename would replace it all the same; who may not write it may not. */
    if (faccessat(save->dir_fd, save->name, W_OK, AT_EACCESS) < 0)
        return -errno;
    if (!is_ours_to_replace(save, target))
        return -EPERM;
    save->has_target = true;
    save->mode = target->st_mode & 0777;
    save->uid = target->st_uid;
    save->gid = target->st_gid;
    return 0;
}

static int find_target(struct xhr_savefile *save, const char *path)
{
    int r = split(save, AT_FDCWD, path);

    for (int links = 0; r == 0; links++) {
        struct stat target;

        if (fstatat(save->dir_fd, save->name, &target, AT_SYMLINK_NOFOLLOW) < 0)
            return errno == ENOENT ? 0 : -errno;
        if (!S_ISLNK(target.st_mode))
            return judge(save, &target);
        r = links < LINKS_MAX ? follow(save, &target) : -ELOOP;
    }
    return r;
}

int xhr_savefile_init(struct xhr_savefile *ret, const char *path, bool is_exclusive)
{
    struct xhr_savefile save = XHR_SAVEFILE_NONE;
    int r;

    save.is_exclusive = is_exclusive;
    r = find_target(&save, path);
    if (r < 0) {
        xhr_savefile_done(&save);
        return r;
    }
    *ret = save;
    return 0;
}

/* ---- the temporary --------------------------------------------------------------------------
 */

int xhr_part_random_name(char name[XHR_SAVE_NAME_BYTES])
{
    unsigned char bytes[8];
    size_t at = 0;

    if (getrandom(bytes, sizeof(bytes), 0) != (ssize_t)sizeof(bytes))
        return -EIO;
    at += (size_t)snprintf(name, XHR_SAVE_NAME_BYTES, ".xhr-");
    for (size_t i = 0; i < sizeof(bytes); i++)
        at += (size_t)snprintf(name + at, XHR_SAVE_NAME_BYTES - at, "%02x", bytes[i]);
    return 0;
}

/* A name is given by way of /proc. */
static int create_nameless(const struct xhr_savefile *save)
{
    int fd = access("/proc/self/fd", X_OK) == 0
                 ? openat(save->dir_fd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0666)
                 : -1;

    return fd;
}

static int create_named(struct xhr_savefile *save, char name[XHR_SAVE_NAME_BYTES])
{
    for (int i = 0; i < TRIES_MAX; i++) {
        int r = xhr_part_random_name(name);

        if (r < 0)
            return r;
        int fd = openat(save->dir_fd, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW,
                        0666);
        if (fd >= 0)
            return fd;
        if (errno != EEXIST)
            return -errno;
    }
    return -EEXIST;
}

/* Like the target it is going to replace, as far as we may: its owner may be another. */
static void take_after(const struct xhr_savefile *save, int fd)
{
    struct stat status;

    if (!save->has_target || fstat(fd, &status) < 0)
        return;
    bool is_other = status.st_uid != save->uid || status.st_gid != save->gid;
    if (is_other && fchown(fd, save->uid, save->gid) < 0 &&
        fchown(fd, (uid_t)-1, save->gid) < 0)
        return; /* the owner of a new file, and its mode */
    if ((status.st_mode & 0777) != save->mode && fchmod(fd, save->mode) < 0)
        return; /* then it has the mode of a new file */
}

static void close_temporary(struct xhr_savefile *save)
{
    struct stat status;

    if (save->kind == XHR_SAVE_NAMED)
        (void)unlinkat(save->dir_fd, save->temp, 0);
    if (save->kind == XHR_SAVE_PART && fstat(save->fd, &status) == 0 && status.st_size == 0)
        xhr_savefile_forget_part(save);
    if (save->fd >= 0)
        (void)close(save->fd);
    save->fd = -1;
    save->kind = XHR_SAVE_NONE;
    save->temp[0] = '\0';
}

int xhr_savefile_create(struct xhr_savefile *save)
{
    char name[XHR_SAVE_NAME_BYTES] = "";
    int fd = create_nameless(save);

    if (fd < 0) /* the file system cannot; what else is wrong shows again */
        fd = create_named(save, name);
    if (fd < 0)
        return fd;
    take_after(save, fd);
    close_temporary(save);
    save->fd = fd;
    save->kind = name[0] ? XHR_SAVE_NAMED : XHR_SAVE_NAMELESS;
    memcpy(save->temp, name, sizeof(name));
    return 0;
}

/* A name for what has none. Return: 0 or -errno. */
static int link_as(struct xhr_savefile *save, const char *name)
{
    char path[64];

    (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", save->fd);
    return linkat(AT_FDCWD, path, save->dir_fd, name, AT_SYMLINK_FOLLOW) < 0 ? -errno : 0;
}

int xhr_part_give_name(struct xhr_savefile *save)
{
    int r = -EEXIST;

    if (save->kind != XHR_SAVE_NAMELESS)
        return 0;
    for (int i = 0; i < TRIES_MAX && r == -EEXIST; i++) {
        r = xhr_part_random_name(save->temp);
        r = r < 0 ? r : link_as(save, save->temp);
    }
    if (r == 0)
        save->kind = XHR_SAVE_NAMED;
    return r;
}

int xhr_savefile_open_target(struct xhr_savefile *save, uint64_t *ret_size)
{
    struct stat status;
    int fd;

    if (!save->has_target)
        return 0;
    fd = openat(save->dir_fd, save->name, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return -errno;
    if (fstat(fd, &status) < 0 || !S_ISREG(status.st_mode) || status.st_size == 0) {
        (void)close(fd);
        return 0;
    }
    close_temporary(save);
    save->fd = fd;
    save->kind = XHR_SAVE_TARGET;
    *ret_size = (uint64_t)status.st_size;
    return 1;
}

/* ---- the end
 * --------------------------------------------------------------------------------- */

static int cut_to(int fd, uint64_t size)
{
    struct stat status;

    if (fstat(fd, &status) < 0)
        return -errno;
    if ((uint64_t)status.st_size < size)
        return -EIO; /* somebody else has cut it */
    if ((uint64_t)status.st_size > size && ftruncate(fd, (off_t)size) < 0)
        return -errno;
    return 0;
}

static int put_in_place(struct xhr_savefile *save)
{
    int r;

    if (save->is_exclusive && save->kind == XHR_SAVE_NAMELESS)
        return link_as(save, save->name);
    r = xhr_part_give_name(save);
    if (r < 0)
        return r;
    if (!save->is_exclusive)
        return renameat(save->dir_fd, save->temp, save->dir_fd, save->name) < 0 ? -errno : 0;
    if (linkat(save->dir_fd, save->temp, save->dir_fd, save->name, 0) < 0)
        return -errno;
    return unlinkat(save->dir_fd, save->temp, 0) < 0 ? -errno : 0;
}

/* Some file systems know no such thing for folders, and neither does O_PATH. */
static int sync_folder(const struct xhr_savefile *save)
{
    return fsync(save->dir_fd) < 0 && errno != EINVAL && errno != EBADF ? -errno : 0;
}

int xhr_savefile_commit(struct xhr_savefile *save, uint64_t size, enum xhr_save_sync sync)
{
    int r = cut_to(save->fd, size);

    if (r == 0 && sync == XHR_SAVE_ALL && fsync(save->fd) < 0)
        r = -errno;
    if (r < 0 || save->kind == XHR_SAVE_TARGET)
        return r;
    r = put_in_place(save);
    if (r < 0)
        return r;
    if (save->kind == XHR_SAVE_PART)
        xhr_part_forget_info(save);
    save->kind = XHR_SAVE_NONE; /* its name is not ours to take away any more */
    return sync == XHR_SAVE_LAZY ? 0 : sync_folder(save);
}

void xhr_savefile_done(struct xhr_savefile *save)
{
    close_temporary(save);
    if (save->dir_fd >= 0)
        (void)close(save->dir_fd);
    *save = XHR_SAVEFILE_NONE;
}
