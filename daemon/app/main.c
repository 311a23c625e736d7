/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app/daemon.h"
#include "app/options.h"
#include "app/session_memory.h"
#include "app/signals.h"
#include "base/log.h"
#include "base/message_id.h"
#include "base/process.h"
#include "loop/worker.h"
#include "net/tls_memory.h"

/* Freed buffers are kept: giving them back to the kernel after each reply costs more CPU than
 * everything else that is done to it. What is larger than a piece of a body (a long frame that
 * has begun to come, a block of a file) comes seldom, and would leave holes that nobody could
 * give back. Few arenas: the worker threads allocate little. */
static void tune_malloc(void)
{
    (void)mallopt(M_MMAP_THRESHOLD, 128 << 10);
    (void)mallopt(M_TRIM_THRESHOLD, 2 << 20);
    (void)mallopt(M_ARENA_MAX, 2);
}

static int serve(struct options *options,
                 struct sockets *sockets,
                 struct kept *kept,
                 struct session_memory *sessions)
{
    struct daemon *daemon = NULL;
    int r = daemon_new(&daemon, &options->daemon, sockets, kept, sessions);

    if (r < 0)
        return r;
    r = daemon_run(daemon);
    for (unsigned i = 0; i < sockets->count; i++)
        sockets->fds[i] = -1; /* the listeners' */
    daemon_free(daemon);
    return r;
}

/* Return: 0, or -ENOTCONN when it was said why not. */
static int
open_sockets(struct sockets *ret, const struct passed *passed, const struct options *options)
{
    const char *path = options->socket_path;
    int r = sockets_open(ret, passed, path, !options->daemon.per_user);

    if (r == 0)
        return 0;
    if (r == -EADDRINUSE)
        log_at_id(LOG_LEVEL_ERR, NULL, MESSAGE_CANNOT_START,
                  "%s: a daemon listens there already", path);
    else if (r == -ENOENT)
        log_at_id(LOG_LEVEL_ERR, NULL, MESSAGE_CANNOT_START,
                  "no socket: give --socket PATH, set XDG_RUNTIME_DIR or pass one");
    else
        log_at_id(LOG_LEVEL_ERR, NULL, MESSAGE_CANNOT_START, "%s: %s", path ? path : "socket",
                  strerrordesc_np(-r));
    return -ENOTCONN;
}

int main(int argc, char **argv)
{
    CLEANUP(kept_free) struct kept *kept = NULL;
    CLEANUP(session_memory_free) struct session_memory *sessions = NULL;
    struct options options = {0};
    struct sockets sockets;
    struct passed passed = {0};

    tune_malloc();
    process_raise_fds_max();
    tls_memory_init();
    (void)umask(0077);
    (void)signal(SIGPIPE, SIG_IGN);
    int r = signals_block();
    if (r == 0)
        r = passed_take(&passed);
    if (kept_open(&kept, &passed) < 0)
        log_warning(NULL, "clients' connections will not outlive this process");
    if (r == 0)
        r = options_parse(&options, argc, argv);
    if (r == 0)
        r = open_sockets(&sockets, &passed, &options);
    if (r == 0 && session_memory_open(&sessions, &passed, &sockets) < 0)
        log_warning(NULL, "session cookies will not outlive this process");
    passed_done(&passed);
    if (r == OPTIONS_LEAVE || r < 0)
        config_done(&options.daemon.config);
    if (r == OPTIONS_LEAVE)
        return EXIT_SUCCESS;
    if (r < 0)
        return r == -EINVAL ? 2 : EXIT_FAILURE;

    r = serve(&options, &sockets, kept, sessions);
    sockets_done(&sockets);
    if (worker_has_left_any())
        _exit(r < 0 ? EXIT_FAILURE : EXIT_SUCCESS);
    return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
