/* SPDX-License-Identifier: MIT */
#include "app/credentials.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/mem.h"

#define PATH_SIZE 4096

static int refuse(const struct access_policy *policy,
                  const struct access_credential *credential,
                  const char *what,
                  struct buf *error)
{
    int r = buf_append_format(error, "%s:%u: Credential=%s: %s: %s", policy->path,
                              credential->line, credential->host, credential->path, what);

    return r < 0 ? r : -EINVAL;
}

/* Return: whether there is a place for it. */
static bool find_path(const struct access_credential *credential, char ret[PATH_SIZE])
{
    const char *folder = getenv("CREDENTIALS_DIRECTORY");
    int n;

    if (credential->path[0] == '/')
        n = snprintf(ret, PATH_SIZE, "%s", credential->path);
    else if (folder && folder[0] == '/')
        n = snprintf(ret, PATH_SIZE, "%s/%s", folder, credential->path);
    else
        return false;
    return n > 0 && n < PATH_SIZE;
}

/* Return: how many bytes, at most @size; -errno. */
static ssize_t read_whole(const char *path, char *to, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    size_t have = 0;
    ssize_t n = 1;

    if (fd < 0)
        return -errno;
    while (n > 0 && have < size) {
        n = read(fd, to + have, size - have);
        if (n > 0)
            have += (size_t)n;
    }
    int err = n < 0 ? errno : 0;
    close(fd);
    return err ? -err : (ssize_t)have;
}

static int read_one(const struct access_policy *policy,
                    struct access_credential *credential,
                    char *room,
                    struct buf *notes,
                    struct buf *error)
{
    bool is_named = credential->path[0] != '/';
    char path[PATH_SIZE];
    bool has_path = find_path(credential, path);
    ssize_t n = has_path ? read_whole(path, room, ACCESS_SECRET_MAX + 2) : -ENOENT;

    if (n < 0 && is_named && notes) /* systemd 252 hides it from ExecReload= */
        return buf_append_format(notes,
                                 "%s:%u: Credential=%s: %s is shown to the daemon alone "
                                 "(LoadCredential= of its unit) and was not looked at\n",
                                 policy->path, credential->line, credential->host,
                                 credential->path);
    if (!has_path)
        return refuse(policy, credential,
                      "wants $CREDENTIALS_DIRECTORY (LoadCredential= of the unit), or an "
                      "absolute path",
                      error);
    if (n < 0)
        return refuse(policy, credential, strerrordesc_np((int)-n), error);
    int r = access_credential_take(credential, (struct span){room, (size_t)n});
    if (r == -EINVAL)
        return refuse(policy, credential,
                      credential->is_basic
                          ? "wants user:password in it, on one line below 64 KiB"
                          : "wants a token in it, without blanks, on one line below 64 KiB",
                      error);
    return r;
}

int credentials_read(struct access_policy *policy, struct buf *ret_notes, struct buf *ret_error)
{
    char *room = mem_alloc(ACCESS_SECRET_MAX + 2);
    int r = room ? 0 : fault(-ENOMEM);

    for (size_t i = 0; policy && r == 0 && i < policy->n; i++) {
        struct access_section *section = policy->sections[i];

        for (size_t k = 0; r == 0 && k < section->n_credentials; k++)
            r = read_one(policy, &section->credentials[k], room, ret_notes, ret_error);
    }
    if (room)
        mem_free_secret(room, ACCESS_SECRET_MAX + 2);
    return r;
}
