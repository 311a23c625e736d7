/* SPDX-License-Identifier: MIT */
#include "app/manager.h"

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fault.h"

/* "/path", or "@name" of an abstract one. Return: whether it is one of the two, and fits. */
static bool take_name(struct manager *manager, const char *text)
{
    size_t len = strlen(text);

    if ((text[0] != '/' && text[0] != '@') || len < 2 || len >= sizeof(manager->name.sun_path))
        return false;
    manager->name.sun_family = AF_UNIX;
    memcpy(manager->name.sun_path, text, len + 1);
    if (text[0] == '@')
        manager->name.sun_path[0] = '\0';
    size_t end = text[0] == '/'; /* of a path the NUL belongs to it */
    manager->name_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len + end);
    return true;
}

int manager_init(struct manager *manager)
{
    const char *text = getenv("NOTIFY_SOCKET");

    *manager = (struct manager){.fd = -1};
    if (!text || !text[0])
        return 0;
    if (!take_name(manager, text))
        return fault(-EINVAL);
    manager->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    return manager->fd < 0 ? fault(-errno) : 0;
}

void manager_done(struct manager *manager)
{
    if (manager->fd >= 0)
        close(manager->fd);
    manager->fd = -1;
}

int manager_tell(const struct manager *manager, const char *state, int fd)
{
    struct iovec text = {(void *)(uintptr_t)state, strlen(state)};
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control = {0};
    struct msghdr message = {
        .msg_name = (void *)(uintptr_t)&manager->name,
        .msg_namelen = manager->name_len,
        .msg_iov = &text,
        .msg_iovlen = 1,
    };

    if (!manager_is_there(manager))
        return -ENOTCONN;
    if (fd >= 0) {
        control.header = (struct cmsghdr){CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS};
        memcpy(CMSG_DATA(&control.header), &fd, sizeof(fd));
        message.msg_control = control.bytes;
        message.msg_controllen = sizeof(control.bytes);
    }
    if (sendmsg(manager->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0)
        return 0;
    /* ENOBUFS: what was said before lies there unread */
    return errno == ENOBUFS ? -EAGAIN : -errno;
}
