/* SPDX-License-Identifier: MIT */
/*
 * A part: the beginning of a download, and beside it a few lines that say of what. They name
 * the part by its inode and are written only when it is there, so that lines of an older part
 * never speak for a newer one, whenever the process is killed.
 */
#include "part.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define INFO_BYTES_MAX 16384
#define LOCK_TRIES     25 /* of 10 ms: a daemon that just lost its client lets go at once */
#define HEAD           "xhr-part 1"

static int
name_of(const struct xhr_savefile *save, const char *what, char ret[XHR_SAVE_NAME_BYTES])
{
    int n = snprintf(ret, XHR_SAVE_NAME_BYTES, ".%s.xhr-%s", save->name, what);

    return n < 0 || n >= XHR_SAVE_NAME_BYTES ? -ENAMETOOLONG : 0;
}

void xhr_part_forget_info(const struct xhr_savefile *save)
{
    char name[XHR_SAVE_NAME_BYTES];

    if (name_of(save, "info", name) == 0)
        (void)unlinkat(save->dir_fd, name, 0);
}

void xhr_savefile_forget_part(struct xhr_savefile *save)
{
    char name[XHR_SAVE_NAME_BYTES];

    xhr_part_forget_info(save);
    if (name_of(save, "part", name) == 0)
        (void)unlinkat(save->dir_fd, name, 0);
}

/* ---- what is said of it ------------------------------------------------------------------ */

static int write_text(int fd, const char *text, size_t len)
{
    while (len > 0) {
        ssize_t n = write(fd, text, len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : -EIO;
        text += n;
        len -= (size_t)n;
    }
    return 0;
}

/* Whole or not at all, under its name. */
static int write_info(const struct xhr_savefile *save, const char *text, size_t len)
{
    char name[XHR_SAVE_NAME_BYTES];
    char temp[XHR_SAVE_NAME_BYTES];
    int r = name_of(save, "info", name);

    r = r < 0 ? r : xhr_part_random_name(temp);
    if (r < 0)
        return r;
    int fd = openat(save->dir_fd, temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return -errno;
    r = write_text(fd, text, len);
    if (close(fd) < 0 && r == 0)
        r = -errno;
    if (r == 0 && renameat(save->dir_fd, temp, save->dir_fd, name) < 0)
        r = -errno;
    if (r < 0)
        (void)unlinkat(save->dir_fd, temp, 0);
    return r;
}

static int note(const struct xhr_savefile *save, const struct xhr_part_info *info)
{
    struct stat status;
    char *text = NULL;
    char total[24] = "-";

    if (fstat(save->fd, &status) < 0)
        return -errno;
    if (info->has_total)
        (void)snprintf(total, sizeof(total), "%llu", (unsigned long long)info->total_bytes);
    int n = asprintf(&text, "%s\nfile %llu %llu\nurl %s\nvalidator %s\ntotal %s\n", HEAD,
                     (unsigned long long)status.st_dev, (unsigned long long)status.st_ino,
                     info->url, info->validator, total);
    if (n < 0)
        return -ENOMEM;
    int r = n <= INFO_BYTES_MAX ? write_info(save, text, (size_t)n) : -ENAMETOOLONG;
    free(text);
    return r;
}

static ssize_t read_info(const struct xhr_savefile *save, char text[INFO_BYTES_MAX + 1])
{
    char name[XHR_SAVE_NAME_BYTES];
    ssize_t n = -1;

    if (name_of(save, "info", name) < 0)
        return -1;
    int fd = openat(save->dir_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0)
        return -1;
    do
        n = read(fd, text, INFO_BYTES_MAX);
    while (n < 0 && errno == EINTR);
    (void)close(fd);
    if (n >= 0)
        text[n] = '\0';
    return n;
}

/* The rest of the line that begins with @key, which is the next. NULL: it does not. */
static char *next_line(char **at, const char *key)
{
    size_t len = strlen(key);
    char *line = *at;
    char *end = strchr(line, '\n');

    if (!end || strncmp(line, key, len) != 0)
        return NULL;
    *end = '\0';
    *at = end + 1;
    return line + len;
}

static bool parse_number(const char *text, uint64_t *ret)
{
    uint64_t value = 0;

    if (*text == '\0')
        return false;
    for (; *text; text++) {
        if (*text < '0' || *text > '9' || value > (UINT64_MAX - 9) / 10)
            return false;
        value = value * 10 + (uint64_t)(*text - '0');
    }
    *ret = value;
    return true;
}

static bool is_of_file(char *line, const struct stat *part)
{
    char *gap = line ? strchr(line, ' ') : NULL;
    uint64_t dev = 0;
    uint64_t ino = 0;

    if (!gap)
        return false;
    *gap = '\0';
    return parse_number(line, &dev) && parse_number(gap + 1, &ino) &&
           dev == (uint64_t)part->st_dev && ino == (uint64_t)part->st_ino;
}

/* Return: 1; 0: it says nothing we could use; -ENOMEM. */
static int take_info(const struct xhr_savefile *save,
                     const struct stat *part,
                     const char *url,
                     struct xhr_part_info *ret)
{
    char text[INFO_BYTES_MAX + 1];
    char *at = text;
    struct xhr_part_info info = {0};

    if (read_info(save, text) < 0 || !next_line(&at, HEAD) ||
        !is_of_file(next_line(&at, "file "), part))
        return 0;
    const char *of = next_line(&at, "url ");
    const char *validator = next_line(&at, "validator ");
    const char *total = next_line(&at, "total ");
    if (!of || !validator || !total || strcmp(of, url) != 0 || validator[0] == '\0')
        return 0;
    info.has_total = parse_number(total, &info.total_bytes);
    if (info.has_total && (uint64_t)part->st_size > info.total_bytes)
        return 0;
    info.validator = strdup(validator);
    if (!info.validator)
        return -ENOMEM;
    *ret = info;
    return 1;
}

/* ---- the part -------------------------------------------------------------------------------
 */

/* A file system without locks goes without. Return: 0 or -EBUSY. */
static int lock(int fd)
{
    for (int i = 0; i < LOCK_TRIES; i++) {
        if (flock(fd, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK)
            return 0;
        (void)poll(NULL, 0, 10);
    }
    return -EBUSY;
}

int xhr_savefile_make_part(struct xhr_savefile *save, const struct xhr_part_info *info)
{
    char name[XHR_SAVE_NAME_BYTES];
    int r = name_of(save, "part", name);

    r = r < 0 ? r : lock(save->fd);
    r = r < 0 ? r : xhr_part_give_name(save);
    if (r < 0)
        return r;
    xhr_part_forget_info(save);
    if (renameat(save->dir_fd, save->temp, save->dir_fd, name) < 0)
        return -errno;
    save->kind = XHR_SAVE_PART;
    memcpy(save->temp, name, sizeof(name));
    return note(save, info);
}

/* Under the lock, is it still what has the name? */
static bool
is_in_place(const struct xhr_savefile *save, const char *name, const struct stat *part)
{
    struct stat now;

    return fstatat(save->dir_fd, name, &now, AT_SYMLINK_NOFOLLOW) == 0 &&
           now.st_dev == part->st_dev && now.st_ino == part->st_ino;
}

static int judge_part(struct xhr_savefile *save,
                      int fd,
                      const char *name,
                      const char *url,
                      struct xhr_part_info *ret_info)
{
    struct stat part;

    if (fstat(fd, &part) < 0)
        return -errno;
    if (!S_ISREG(part.st_mode) || part.st_uid != geteuid() || part.st_nlink != 1)
        return 0;
    int r = lock(fd);
    if (r < 0)
        return r;
    if (fstat(fd, &part) < 0)
        return -errno;
    return is_in_place(save, name, &part) && part.st_size > 0
               ? take_info(save, &part, url, ret_info)
               : 0;
}

int xhr_savefile_open_part(struct xhr_savefile *save,
                           const char *url,
                           uint64_t *ret_size,
                           struct xhr_part_info *ret_info)
{
    char name[XHR_SAVE_NAME_BYTES];
    int r = name_of(save, "part", name);

    if (r < 0)
        return r;
    int fd = openat(save->dir_fd, name, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0)
        return 0; /* none, or nothing to go on with */
    r = judge_part(save, fd, name, url, ret_info);
    if (r <= 0) {
        (void)close(fd);
        return r;
    }
    *ret_size = (uint64_t)lseek(fd, 0, SEEK_END);
    save->fd = fd;
    save->kind = XHR_SAVE_PART;
    memcpy(save->temp, name, sizeof(name));
    return 1;
}
