/* SPDX-License-Identifier: MIT */
/*
 * A daemon that answers every request with 200 and its own pid, for tests of finding and
 * starting one. Takes its listening socket as systemd would pass it; checks that it came alone.
 *
 * XHRD_FAKE says how it misbehaves: "exit" ends before anything; "hangup" closes every
 * connection without a word; "once" leaves behind its first client. XHRD_FAKE_COUNT names a
 * file that gets one line per start.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "wire/frame.h"
#include "xhrd/v1/envelope.pb-c.h"

enum { LISTEN_FD = 3, CLIENTS_MAX = 256, IDLE_MS = 3000, BYTES_MAX = 65536 };

struct session {
    int fd;
    uint8_t in[BYTES_MAX];
    size_t len;
};

static struct session *sessions[CLIENTS_MAX];
static unsigned n_sessions;
static unsigned served;

static void send_message(int fd, const Xhrd__V1__ServerMessage *message)
{
    uint8_t bytes[1024];
    size_t len = xhrd__v1__server_message__get_packed_size(message);
    size_t prefix = wire_frame_prefix(bytes, len);

    xhrd__v1__server_message__pack(message, bytes + prefix);
    if (send(fd, bytes, prefix + len, MSG_NOSIGNAL) < 0)
        _exit(1);
}

static void say_hello(int fd)
{
    Xhrd__V1__ServerMessage message = XHRD__V1__SERVER_MESSAGE__INIT;
    Xhrd__V1__ServerHello hello = XHRD__V1__SERVER_HELLO__INIT;

    hello.protocol = 1;
    hello.upload_credit_bytes = 65536;
    message.kind_case = XHRD__V1__SERVER_MESSAGE__KIND_HELLO;
    message.hello = &hello;
    send_message(fd, &message);
}

static void answer(int fd, uint32_t id)
{
    Xhrd__V1__ServerMessage message = XHRD__V1__SERVER_MESSAGE__INIT;
    Xhrd__V1__ResponseHead head = XHRD__V1__RESPONSE_HEAD__INIT;
    Xhrd__V1__RequestDone done = XHRD__V1__REQUEST_DONE__INIT;
    uint8_t bytes[WIRE_BODY_HEAD_MAX + 32];
    char pid[32];
    size_t pid_len = (size_t)snprintf(pid, sizeof(pid), "%d", (int)getpid());

    head.request_id = done.request_id = id;
    head.status = 200;
    message.kind_case = XHRD__V1__SERVER_MESSAGE__KIND_HEAD;
    message.head = &head;
    send_message(fd, &message);
    size_t head_len = wire_body_head(bytes, WIRE_CLIENT, id, pid_len);
    memcpy(bytes + head_len, pid, pid_len);
    if (send(fd, bytes, head_len + pid_len, MSG_NOSIGNAL) < 0)
        _exit(1);
    done.body_bytes = pid_len;
    message.kind_case = XHRD__V1__SERVER_MESSAGE__KIND_DONE;
    message.done = &done;
    send_message(fd, &message);
    served++;
}

static void take_frames(struct session *session)
{
    struct wire_frame frame;

    while (wire_frame_next(session->in, session->len, &frame) == WIRE_READY) {
        Xhrd__V1__ClientMessage *message =
            xhrd__v1__client_message__unpack(NULL, frame.len, frame.bytes);

        if (!message)
            _exit(1);
        if (message->kind_case == XHRD__V1__CLIENT_MESSAGE__KIND_HELLO)
            say_hello(session->fd);
        if (message->kind_case == XHRD__V1__CLIENT_MESSAGE__KIND_OPEN)
            answer(session->fd, message->open->request_id);
        xhrd__v1__client_message__free_unpacked(message, NULL);
        session->len -= frame.frame_len;
        memmove(session->in, session->in + frame.frame_len, session->len);
    }
}

static void drop(unsigned index)
{
    close(sessions[index]->fd);
    free(sessions[index]);
    sessions[index] = sessions[--n_sessions];
}

static void read_session(unsigned index)
{
    struct session *session = sessions[index];
    ssize_t n = read(session->fd, session->in + session->len, BYTES_MAX - session->len);

    if (n <= 0) {
        drop(index);
        return;
    }
    session->len += (size_t)n;
    take_frames(session);
}

static void accept_one(const char *how)
{
    int fd = accept4(LISTEN_FD, NULL, NULL, SOCK_CLOEXEC);

    if (fd < 0)
        return;
    if (strcmp(how, "hangup") == 0 || n_sessions == CLIENTS_MAX) {
        close(fd);
        return;
    }
    sessions[n_sessions] = calloc(1, sizeof(**sessions));
    if (!sessions[n_sessions])
        _exit(1);
    sessions[n_sessions++]->fd = fd;
}

/* Nothing of the program that started it may have come along. */
static int inherited_too_much(void)
{
    sigset_t blocked;
    DIR *dir = opendir("/proc/self/fd");
    const struct dirent *entry;
    int count = 0;

    while (dir && (entry = readdir(dir)))
        count += entry->d_name[0] != '.';
    if (dir)
        closedir(dir);
    sigprocmask(SIG_BLOCK, NULL, &blocked);
    return count != 5 /* 0 to 3 and the directory */ || sigismember(&blocked, SIGUSR1) ||
           signal(SIGPIPE, SIG_DFL) == SIG_IGN || getenv("SECRET_OF_PROGRAM") ||
           getsid(0) == getpid();
}

static void count_start(void)
{
    const char *path = getenv("XHRD_FAKE_COUNT");
    int fd = path ? open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600) : -1;
    char line[32];
    int n = snprintf(line, sizeof(line), "%d\n", (int)getpid());

    if (fd >= 0 && write(fd, line, (size_t)n) < 0)
        _exit(1);
    if (fd >= 0)
        close(fd);
}

static int turn(const char *how)
{
    struct pollfd watches[CLIENTS_MAX + 1] = {{.fd = LISTEN_FD, .events = POLLIN}};
    unsigned n = n_sessions;

    for (unsigned i = 0; i < n; i++)
        watches[i + 1] = (struct pollfd){.fd = sessions[i]->fd, .events = POLLIN};
    int r = poll(watches, n + 1, IDLE_MS);
    for (unsigned i = n; i-- > 0;)
        if (watches[i + 1].revents)
            read_session(i);
    if (watches[0].revents)
        accept_one(how);
    return r;
}

int main(int argc, char **argv)
{
    const char *how = getenv("XHRD_FAKE") ? getenv("XHRD_FAKE") : "";
    const char *pid = getenv("LISTEN_PID");
    char own[32];

    (void)snprintf(own, sizeof(own), "%d", (int)getpid());
    count_start();
    if (strcmp(how, "exit") == 0)
        return 1;
    if (argc != 2 || strcmp(argv[1], "--user") != 0 || !pid || strcmp(pid, own) != 0 ||
        inherited_too_much()) {
        (void)fprintf(stderr, "started in a wrong way\n");
        return 2;
    }
    while (turn(how) > 0)
        if (strcmp(how, "once") == 0 && served > 0 && n_sessions == 0)
            break;
    while (n_sessions > 0)
        drop(0);
    return 0;
}
