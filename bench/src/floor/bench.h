/* SPDX-License-Identifier: MIT */
/* Small helpers shared by the benchmark programs. */
#ifndef BENCH_H
#define BENCH_H
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

static const char *bench_case = "?";

__attribute__((unused)) static unsigned long long number(const char *text)
{
    unsigned long long value = 0;

    (void)sscanf(text, "%llu", &value);
    return value;
}
static inline uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}
static inline uint64_t cpu_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}
__attribute__((noreturn, format(printf, 1, 2), unused)) static void die(const char *f, ...)
{
    va_list a;
    va_start(a, f);
    fprintf(stderr, "%s: ", bench_case);
    vfprintf(stderr, f, a);
    fprintf(stderr, " (errno: %s)\n", strerror(errno));
    va_end(a);
    exit(1);
}
/* Every result is one line: case, metric, value. */
__attribute__((unused)) static void emit(const char *metric, double v)
{
    printf("%s\t%s\t%.6g\n", bench_case, metric, v);
}
static int cmp_u64(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}
__attribute__((unused)) static void emit_lat(uint64_t *v, size_t n)
{
    if (!n)
        return;
    qsort(v, n, sizeof *v, cmp_u64);
    emit("p50_us", (double)v[n / 2] / 1e3);
    emit("p99_us", (double)v[n * 99 / 100] / 1e3);
    emit("min_us", (double)v[0] / 1e3);
}
/* Nanoseconds on CPU of all threads of a process, from schedstat. */
__attribute__((unused)) static uint64_t proc_cpu_ns(int pid)
{
    char p[300];
    uint64_t sum = 0;
    snprintf(p, sizeof p, "/proc/%d/task", pid);
    DIR *d = opendir(p);
    if (!d)
        return 0;
    for (struct dirent *e; (e = readdir(d));) {
        if (e->d_name[0] == '.')
            continue;
        snprintf(p, sizeof p, "/proc/%d/task/%.20s/schedstat", pid, e->d_name);
        FILE *f = fopen(p, "r");
        unsigned long long x;
        if (f && fscanf(f, "%llu", &x) == 1)
            sum += x;
        if (f)
            fclose(f);
    }
    closedir(d);
    return sum;
}
struct mem {
    long rss, pss, priv;
};
__attribute__((unused)) static int proc_mem(int pid, struct mem *m)
{ /* adds kB */
    char p[64], line[256];
    long v;
    snprintf(p, sizeof p, "/proc/%d/smaps_rollup", pid);
    FILE *f = fopen(p, "r");
    if (!f)
        return -1;
    while (fgets(line, sizeof line, f)) {
        if (sscanf(line, "Rss: %ld", &v) == 1)
            m->rss += v;
        else if (sscanf(line, "Pss: %ld", &v) == 1)
            m->pss += v;
        else if (sscanf(line, "Private_Clean: %ld", &v) == 1)
            m->priv += v;
        else if (sscanf(line, "Private_Dirty: %ld", &v) == 1)
            m->priv += v;
    }
    fclose(f);
    return 0;
}
__attribute__((unused)) static int uds_connect(const char *path)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    int s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    snprintf(a.sun_path, sizeof a.sun_path, "%s", path);
    if (s < 0 || connect(s, (struct sockaddr *)&a, sizeof a))
        die("connect %s", path);
    return s;
}
__attribute__((unused)) static int uds_listen(const char *path)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    int s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    snprintf(a.sun_path, sizeof a.sun_path, "%s", path);
    unlink(path);
    if (s < 0 || bind(s, (struct sockaddr *)&a, sizeof a) || listen(s, 4096))
        die("listen %s", path);
    chmod(path, 0666); /* nginx workers run as another user */
    return s;
}
#endif
