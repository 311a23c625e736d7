/* SPDX-License-Identifier: MIT */
#include "spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define ENV_MAX        48
#define LISTEN_FD      3 /* SD_LISTEN_FDS_START */
#define REPORT_FD      4
#define FIRST_FREE_FD  5
#define SPARE_FD_MIN   16 /* moved up here first, so that no dup2() below hits another */
#define PID_DIGITS     12
#define LISTEN_PID_KEY "LISTEN_PID="

/* What a process that outlives the program by far may inherit from it: where things are, how
 * tests watch it; none of the program's secrets, and no loader tricks. */
static const char kept[][20] = {
    "HOME=",
    "PATH=",
    "USER=",
    "LOGNAME=",
    "TZ=",
    "XDG_",
    "XHRD_",
    "SSL_CERT_FILE=",
    "SSL_CERT_DIR=",
    "RES_OPTIONS=",
    "LOCALDOMAIN=",
    "LD_LIBRARY_PATH=",
    "ASAN_OPTIONS=",
    "UBSAN_OPTIONS=",
    "LSAN_OPTIONS=",
    "TSAN_OPTIONS=",
    "GCOV_PREFIX=",
    "GCOV_PREFIX_STRIP=",
    "LLVM_PROFILE_FILE=",
};

struct plan {
    const struct xhr_spawn *spawn;
    char *argv[3];
    char *envp[ENV_MAX + 4];
    char listen_pid[sizeof(LISTEN_PID_KEY) + PID_DIGITS];
    int report;
    int null;
};

static bool is_kept(const char *variable)
{
    for (size_t i = 0; i < sizeof(kept) / sizeof(*kept); i++)
        if (strncmp(variable, kept[i], strlen(kept[i])) == 0)
            return true;
    return false;
}

static void plan_environment(struct plan *plan)
{
    static char listen_fds[] = "LISTEN_FDS=1";
    static char listen_names[] = "LISTEN_FDNAMES=xhrd";
    size_t n = 0;

    for (char **at = environ; at && *at && n < ENV_MAX; at++)
        if (is_kept(*at))
            plan->envp[n++] = *at;
    plan->envp[n++] = listen_fds;
    plan->envp[n++] = listen_names;
    plan->envp[n++] = plan->listen_pid;
    plan->envp[n] = NULL;
}

/* From here on in the new process: only what is safe after fork() in a threaded program. */

static void put_pid(char *at)
{
    char digits[PID_DIGITS];
    size_t n = 0;

    for (long pid = getpid(); pid > 0; pid /= 10)
        digits[n++] = (char)('0' + pid % 10);
    memcpy(at, LISTEN_PID_KEY, sizeof(LISTEN_PID_KEY) - 1);
    at += sizeof(LISTEN_PID_KEY) - 1;
    while (n > 0)
        *at++ = digits[--n];
    *at = '\0';
}

static _Noreturn void report(int fd)
{
    int error = errno;
    ssize_t n = write(fd, &error, sizeof(error));

    _exit(n == (ssize_t)sizeof(error) ? 126 : 127);
}

static void default_signals(void)
{
    const struct sigaction by_default = {.sa_handler = SIG_DFL};
    sigset_t none;

    for (int signal = 1; signal < NSIG; signal++)
        (void)sigaction(signal, &by_default, NULL); /* fails for those that have no choice */
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
}

/* Return: 0 or -1 with errno. */
static int place_descriptors(const struct plan *plan)
{
    int spare_report = fcntl(plan->report, F_DUPFD, SPARE_FD_MIN);
    int spare_listen = fcntl(plan->spawn->listen_fd, F_DUPFD, SPARE_FD_MIN);
    int spare_null = fcntl(plan->null, F_DUPFD, SPARE_FD_MIN);
    int log = plan->spawn->log_fd < 0 ? plan->null : plan->spawn->log_fd;
    int spare_log = fcntl(log, F_DUPFD, SPARE_FD_MIN);

    if (spare_report < 0 || spare_listen < 0 || spare_null < 0 || spare_log < 0)
        return -1;
    if (dup2(spare_null, 0) < 0 || dup2(spare_null, 1) < 0 || dup2(spare_log, 2) < 0 ||
        dup2(spare_listen, LISTEN_FD) < 0 || dup3(spare_report, REPORT_FD, O_CLOEXEC) < 0)
        return -1;
    /* Without close_range() (before Linux 5.9) the kernel's own CLOEXEC marks must do. */
    if (syscall(SYS_close_range, FIRST_FREE_FD, ~0U, 0) < 0 && errno != ENOSYS)
        return -1;
    return 0;
}

static _Noreturn void become_daemon(struct plan *plan)
{
    default_signals();
    if (place_descriptors(plan) < 0)
        report(plan->report);
    if (chdir("/") < 0)
        report(REPORT_FD);
    (void)umask(077);
    put_pid(plan->listen_pid);
    (void)execve(plan->spawn->path, plan->argv, plan->envp);
    report(REPORT_FD);
}

/* A child that sends no signal when it ends: the program may wait for children of its own. */
static pid_t fork_quietly(void)
{
    return (pid_t)syscall(SYS_clone, 0UL, 0UL, 0UL, 0UL, 0UL);
}

static _Noreturn void leave_session(struct plan *plan)
{
    if (setsid() < 0)
        report(plan->report);
    pid_t pid = fork_quietly();
    if (pid < 0)
        report(plan->report);
    if (pid == 0)
        become_daemon(plan);
    _exit(0);
}

/* Back in the program: nothing on the pipe means that it was executed. */
static int read_report(int fd)
{
    int error = 0;
    ssize_t n;

    do {
        n = read(fd, &error, sizeof(error));
    } while (n < 0 && errno == EINTR);
    if (n < 0)
        return -errno;
    return n == (ssize_t)sizeof(error) ? -error : 0;
}

static int run(struct plan *plan)
{
    int pipe_fds[2];
    int status = 0;
    int r = 0;

    if (pipe2(pipe_fds, O_CLOEXEC) < 0)
        return -errno;
    plan->report = pipe_fds[1];
    pid_t pid = fork_quietly();
    if (pid == 0)
        leave_session(plan);
    if (pid < 0)
        r = -errno;
    (void)close(pipe_fds[1]);
    if (pid > 0) {
        while (waitpid(pid, &status, __WALL) < 0 && errno == EINTR)
            continue;
        r = read_report(pipe_fds[0]);
    }
    (void)close(pipe_fds[0]);
    return r;
}

int xhr_spawn_daemon(const struct xhr_spawn *spawn)
{
    static char user[] = "--user";
    struct plan plan = {.spawn = spawn, .null = open("/dev/null", O_RDWR | O_CLOEXEC)};
    char *path = strdup(spawn->path);
    int r = path ? 0 : -ENOMEM;

    if (r == 0 && plan.null < 0)
        r = -errno;
    if (r == 0) {
        plan.argv[0] = path;
        plan.argv[1] = user;
        plan_environment(&plan);
        r = run(&plan);
    }
    if (plan.null >= 0)
        (void)close(plan.null);
    free(path);
    return r;
}
