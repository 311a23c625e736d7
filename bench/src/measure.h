/* SPDX-License-Identifier: MIT */
#pragma once

/* What the measuring programs share: clocks, memory of a process, results.
 * Every result is one line on stdout: metric, tab, value. bench/run reads them. */

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static inline uint64_t clock_ns(clockid_t which)
{
    struct timespec now;

    (void)clock_gettime(which, &now);
    return (uint64_t)now.tv_sec * 1000000000U + (uint64_t)now.tv_nsec;
}

static inline uint64_t now_ns(void)
{
    return clock_ns(CLOCK_MONOTONIC);
}

static inline uint64_t cpu_ns(void)
{
    return clock_ns(CLOCK_PROCESS_CPUTIME_ID);
}

__attribute__((noreturn, format(printf, 1, 2), unused)) static void die(const char *format, ...)
{
    int err = errno;
    va_list arguments;

    va_start(arguments, format);
    (void)vfprintf(stderr, format, arguments);
    va_end(arguments);
    (void)fprintf(stderr, " (%s)\n", strerror(err));
    exit(1);
}

__attribute__((unused)) static void emit(const char *metric, double value)
{
    (void)printf("%s\t%.6g\n", metric, value);
}

static int compare_u64(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

__attribute__((unused)) static void emit_latencies(uint64_t *ns, size_t n)
{
    if (n == 0)
        return;
    qsort(ns, n, sizeof(*ns), compare_u64);
    emit("p50_us", (double)ns[n / 2] / 1e3);
    emit("p99_us", (double)ns[n * 99 / 100] / 1e3);
    emit("min_us", (double)ns[0] / 1e3);
}

/* A positive number, or the end of the program. */
__attribute__((unused)) static long number(const char *text)
{
    char *end = NULL;
    uintmax_t value = strtoumax(text, &end, 10);

    if (end == text || *end != '\0' || value == 0 || value > INT32_MAX)
        die("not a positive number: %s", text);
    return (long)value;
}

/* Nanoseconds on CPU of all threads of a process, from schedstat. */
__attribute__((unused)) static uint64_t process_cpu_ns(long pid)
{
    char path[300];
    uint64_t sum = 0;
    DIR *threads;

    (void)snprintf(path, sizeof(path), "/proc/%ld/task", pid);
    threads = opendir(path);
    if (!threads)
        return 0;
    for (struct dirent *entry; (entry = readdir(threads));) {
        unsigned long long ns = 0;
        FILE *file;

        if (entry->d_name[0] == '.')
            continue;
        (void)snprintf(path, sizeof(path), "/proc/%ld/task/%.20s/schedstat", pid,
                       entry->d_name);
        file = fopen(path, "re");
        if (!file)
            continue;
        if (fscanf(file, "%llu", &ns) == 1)
            sum += ns;
        (void)fclose(file);
    }
    (void)closedir(threads);
    return sum;
}

struct memory {
    long rss_kb;
    long pss_kb;
};

/* Adds what @pid holds; one that is gone adds nothing. */
__attribute__((unused)) static void add_memory(long pid, struct memory *memory)
{
    char path[64], line[256];
    FILE *file;

    (void)snprintf(path, sizeof(path), "/proc/%ld/smaps_rollup", pid);
    file = fopen(path, "re");
    if (!file)
        return;
    while (fgets(line, sizeof(line), file)) {
        long kb = 0;

        if (sscanf(line, "Rss: %ld", &kb) == 1)
            memory->rss_kb += kb;
        else if (sscanf(line, "Pss: %ld", &kb) == 1)
            memory->pss_kb += kb;
    }
    (void)fclose(file);
}

/* Tells bench/run's spawn -H that the work is done, and waits to be let go. */
__attribute__((unused)) static void hold_still(void)
{
    char byte;

    if (write(STDOUT_FILENO, "x", 1) != 1)
        die("write");
    while (read(STDIN_FILENO, &byte, 1) > 0) {
    }
}
