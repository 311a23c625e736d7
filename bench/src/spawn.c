/* SPDX-License-Identifier: MIT */
/*
 * Starts a command over and over, and tells wall time, CPU, page faults and memory.
 *
 *   spawn [-n RUNS] [-p AT_ONCE] [-r REQUESTS_EACH] [-d DAEMON_PID] [-b BYTES] [-HV] COMMAND…
 *
 * -d  tells CPU, and with -H memory, of this process as well
 * -b  each run moves so many bytes: tells the rate
 * -H  all at once; each writes a byte to stdout when its work is done and stays until stdin
 * ends. The time is that until all are done, memory is taken while they are all there. -V  the
 * command's "%d" is replaced by the number of the run
 */
#include <fcntl.h>
#include <spawn.h>
#include <stdbool.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "measure.h"

extern char **environ;

struct options {
    size_t runs;
    size_t at_once;
    size_t requests_each;
    long daemon_pid;
    double bytes;
    bool hold;
    bool number_runs;
    char **command;
};

struct child {
    pid_t pid; /* 0: no process */
    uint64_t start_ns;
};

struct totals {
    uint64_t *latency_ns;
    size_t done;
    size_t failed;
    double cpu_us;
    double user_us;
    long page_faults;
    struct memory memory;
    struct memory daemon_memory;
};

struct pipes {
    int to_children[2];
    int from_children[2];
};

static void make_actions(const struct options *options,
                         struct pipes *pipes,
                         posix_spawn_file_actions_t *ret)
{
    (void)posix_spawn_file_actions_init(ret);
    if (!options->hold) {
        (void)posix_spawn_file_actions_addopen(ret, 0, "/dev/null", O_RDONLY, 0);
        (void)posix_spawn_file_actions_addopen(ret, 1, "/dev/null", O_WRONLY, 0);
        return;
    }
    if (pipe2(pipes->to_children, O_CLOEXEC) < 0 || pipe2(pipes->from_children, O_CLOEXEC) < 0)
        die("pipe");
    (void)posix_spawn_file_actions_adddup2(ret, pipes->to_children[0], 0);
    (void)posix_spawn_file_actions_adddup2(ret, pipes->from_children[1], 1);
}

/* Puts the number of the run into the command's last word. */
static char *numbered(const char *word, size_t run)
{
    const char *mark = strstr(word, "%d");
    char *text = NULL;

    if (!mark)
        die("no %%d in %s", word);
    if (asprintf(&text, "%.*s%zu%s", (int)(mark - word), word, run, mark + 2) < 0)
        die("asprintf");
    return text;
}

static void start_child(const struct options *options,
                        const posix_spawn_file_actions_t *actions,
                        size_t run,
                        struct child *child)
{
    char **last = options->command;
    char *word = NULL;

    while (last[1])
        last++;
    char *pattern = *last;
    if (options->number_runs)
        *last = word = numbered(pattern, run);
    child->start_ns = now_ns();
    int err = posix_spawnp(&child->pid, options->command[0], actions, NULL, options->command,
                           environ);
    errno = err;
    if (err)
        die("cannot start %s", options->command[0]);
    *last = pattern;
    free(word);
}

static void wait_for_child(struct child *children, size_t n, struct totals *totals)
{
    int status = 0;
    struct rusage usage;
    pid_t pid = wait4(-1, &status, 0, &usage);
    uint64_t end_ns = now_ns();

    if (pid < 0)
        die("wait4");
    for (size_t i = 0; i < n; i++) {
        if (children[i].pid != pid)
            continue;
        totals->latency_ns[totals->done] = end_ns - children[i].start_ns;
        children[i].pid = 0;
    }
    totals->failed += status != 0;
    double user_us = (double)usage.ru_utime.tv_sec * 1e6 + (double)usage.ru_utime.tv_usec;
    totals->user_us += user_us;
    totals->cpu_us +=
        user_us + (double)usage.ru_stime.tv_sec * 1e6 + (double)usage.ru_stime.tv_usec;
    totals->page_faults += usage.ru_minflt;
    totals->done++;
}

/* Return: when the last of the children had done its work. */
static uint64_t meet_all(const struct options *options,
                         const struct pipes *pipes,
                         const struct child *children,
                         struct totals *totals)
{
    char bytes[256];

    (void)close(pipes->from_children[1]);
    for (size_t met = 0; met < options->runs;) {
        ssize_t n = read(pipes->from_children[0], bytes, sizeof(bytes));

        if (n <= 0)
            die("a child ended early");
        met += (size_t)n;
    }
    uint64_t met_ns = now_ns();
    for (size_t i = 0; i < options->at_once; i++)
        add_memory(children[i].pid, &totals->memory);
    if (options->daemon_pid)
        add_memory(options->daemon_pid, &totals->daemon_memory);
    (void)close(pipes->to_children[0]);
    (void)close(pipes->to_children[1]);
    return met_ns;
}

/* Return: wall time in nanoseconds. */
static uint64_t run_all(const struct options *options, struct totals *totals)
{
    struct child *children = calloc(options->at_once, sizeof(*children));
    struct pipes pipes;
    posix_spawn_file_actions_t actions;
    size_t started = 0;
    uint64_t end_ns = 0;

    if (!children)
        die("calloc");
    make_actions(options, &pipes, &actions);
    uint64_t start_ns = now_ns();
    while (totals->done < options->runs) {
        for (size_t i = 0; i < options->at_once && started < options->runs; i++)
            if (children[i].pid == 0)
                start_child(options, &actions, started++, &children[i]);
        if (options->hold && end_ns == 0)
            end_ns = meet_all(options, &pipes, children, totals);
        wait_for_child(children, options->at_once, totals);
    }
    if (end_ns == 0)
        end_ns = now_ns();
    (void)posix_spawn_file_actions_destroy(&actions);
    free(children);
    return end_ns - start_ns;
}

static void
report(const struct options *options, struct totals *totals, double wall_ns, double daemon_ns)
{
    double requests = (double)(options->runs * options->requests_each);

    if (!options->hold && options->bytes == 0)
        emit_latencies(totals->latency_ns, options->runs);
    emit("wall_ms", wall_ns / 1e6);
    if (options->bytes > 0)
        emit("GB_s", options->bytes * (double)options->runs / wall_ns);
    emit("cpu_us", totals->cpu_us / requests);
    emit("user_us", totals->user_us / requests);
    emit("page_faults", (double)totals->page_faults / requests);
    if (options->daemon_pid)
        emit("daemon_cpu_us", daemon_ns / 1e3 / requests);
    if (totals->memory.pss_kb == 0)
        return;
    emit("processes_pss_kb", (double)totals->memory.pss_kb);
    emit("daemon_pss_kb", (double)totals->daemon_memory.pss_kb);
    emit("pss_kb", (double)(totals->memory.pss_kb + totals->daemon_memory.pss_kb));
}

static void parse(int argc, char **argv, struct options *ret)
{
    *ret = (struct options){.runs = 1, .at_once = 1, .requests_each = 1};
    for (int option; (option = getopt(argc, argv, "+n:p:r:d:b:HV")) != -1;) {
        switch (option) {
        case 'n': ret->runs = (size_t)number(optarg); break;
        case 'p': ret->at_once = (size_t)number(optarg); break;
        case 'r': ret->requests_each = (size_t)number(optarg); break;
        case 'd': ret->daemon_pid = number(optarg); break;
        case 'b': ret->bytes = (double)number(optarg); break;
        case 'H': ret->hold = true; break;
        case 'V': ret->number_runs = true; break;
        default: exit(2);
        }
    }
    ret->command = argv + optind;
    if (!ret->command[0])
        die("no command");
    if (ret->hold)
        ret->at_once = ret->runs;
}

int main(int argc, char **argv)
{
    struct options options;
    struct totals totals = {0};

    parse(argc, argv, &options);
    totals.latency_ns = calloc(options.runs, sizeof(*totals.latency_ns));
    if (!totals.latency_ns)
        die("calloc");
    uint64_t daemon_ns = options.daemon_pid ? process_cpu_ns(options.daemon_pid) : 0;
    double wall_ns = (double)run_all(&options, &totals);
    if (options.daemon_pid)
        daemon_ns = process_cpu_ns(options.daemon_pid) - daemon_ns;
    if (totals.failed > 0) { /* a fast failure must not pass for a fast run */
        (void)fprintf(stderr, "%zu of %zu runs failed\n", totals.failed, options.runs);
        return 1;
    }
    report(&options, &totals, wall_ns, (double)daemon_ns);
    free(totals.latency_ns);
    return 0;
}
