/* SPDX-License-Identifier: MIT */
#include "ipc/listener.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/message_id.h"
#include "loop/loop.h"
#include "loop/timer.h"
#include "loop/turns.h"
#include "loop/watch.h"

#define ACCEPT_BATCH     64                 /* per round: running sessions get their turn too */
#define EXHAUSTED_US     (250 * 1000)       /* how long to leave the socket alone */
#define COMPLAIN_EACH_US (60 * 1000 * 1000) /* one line a minute, however long it lasts */

struct listener {
    struct loop *loop;
    const struct listener_events *events;
    void *owner;
    struct watch watch;
    struct timer pause;
    int64_t complained_us;
    const struct turns *turns; /* NULL: alone */
    int fd;
};

static void complain(struct listener *listener, int err)
{
    int64_t now_us = loop_now_us(listener->loop);

    if (listener->complained_us && now_us - listener->complained_us < COMPLAIN_EACH_US)
        return;
    listener->complained_us = now_us;
    errno = err;
    log_at_id(LOG_LEVEL_WARNING, NULL, MESSAGE_DESCRIPTORS_OUT,
              "cannot accept a client: %m; trying again four times a second "
              "(raise LimitNOFILE= if this lasts)");
}

static void pause_listening(struct listener *listener, int err)
{
    complain(listener, err);
    if (watch_set(&listener->watch, 0) < 0 || timer_arm(&listener->pause, EXHAUSTED_US) < 0)
        log_err(NULL, "cannot put off accepting clients: out of memory");
}

static void listener_on_pause_over(void *owner)
{
    struct listener *listener = owner;

    if (watch_set(&listener->watch, WATCH_READ) < 0)
        pause_listening(listener, ENOMEM);
}

static void accepted(struct listener *listener, int fd)
{
    struct peer peer;
    int r = peer_of_socket(fd, &peer);

    if (r < 0) {
        log_warning(NULL, "a client without credentials was sent away");
        close(fd);
        return;
    }
    listener->events->on_accept(listener->owner, fd, &peer);
}

static int batch(struct listener *listener)
{
    bool shared =
        listener->turns && turns_are_shared(listener->turns, loop_now_us(listener->loop));

    return shared ? TURNS_ACCEPTS : ACCEPT_BATCH;
}

static void listener_on_ready(void *owner, unsigned ready)
{
    struct listener *listener = owner;

    (void)ready;
    for (int i = 0; i < batch(listener); i++) {
        int fd = accept4(listener->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

        if (fd >= 0) {
            accepted(listener, fd);
            continue;
        }
        if (errno == EAGAIN)
            return;
        if (errno == EINTR || errno == ECONNABORTED)
            continue;
        pause_listening(listener, errno);
        return;
    }
}

int listener_new(struct listener **ret,
                 struct loop *loop,
                 int fd,
                 const struct listener_events *events,
                 void *owner)
{
    CLEANUP(listener_free) struct listener *listener = mem_zalloc(sizeof(*listener));

    if (!listener)
        return fault(-ENOMEM);
    listener->fd = -1; /* the caller's until all is well */
    listener->loop = loop;
    listener->events = events;
    listener->owner = owner;
    timer_init(&listener->pause, loop, listener_on_pause_over, listener);
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
        return fault(-errno);
    int r = watch_init(&listener->watch, loop, fd, listener_on_ready, listener);
    if (r < 0)
        return r;
    r = watch_set(&listener->watch, WATCH_READ);
    if (r < 0)
        return r;

    listener->fd = fd;
    *ret = TAKE(listener);
    return 0;
}

struct listener *listener_free(struct listener *listener)
{
    if (!listener)
        return NULL;
    timer_disarm(&listener->pause);
    watch_done(&listener->watch);
    if (listener->fd >= 0)
        close(listener->fd);
    return mem_free(listener);
}

void listener_share(struct listener *listener, const struct turns *turns)
{
    listener->turns = turns;
}

int listener_fd(const struct listener *listener)
{
    return listener->fd;
}
