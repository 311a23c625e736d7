/* SPDX-License-Identifier: MIT */
#include "base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <systemd/sd-journal.h>
#include <unistd.h>

#include "base/utf8.h"

#define LINE_MAX_BYTES 2048 /* a longer line is cut: server text ends up in some of them */
#define FIELDS_MAX     10

static atomic_int current = LOG_LEVEL_NOTICE;

static const char *const names[] = {
    [LOG_LEVEL_ERR] = "err",   [LOG_LEVEL_WARNING] = "warning", [LOG_LEVEL_NOTICE] = "notice",
    [LOG_LEVEL_INFO] = "info", [LOG_LEVEL_DEBUG] = "debug",
};

void log_set_level(enum log_level level)
{
    atomic_store(&current, (int)level);
}

enum log_level log_get_level(void)
{
    return (enum log_level)atomic_load_explicit(&current, memory_order_relaxed);
}

const char *log_level_name(enum log_level level)
{
    return names[level];
}

int log_level_parse(const char *text, enum log_level *ret)
{
    for (int i = LOG_LEVEL_ERR; i <= LOG_LEVEL_DEBUG; i++) {
        char digit[2] = {(char)('0' + i), '\0'};

        if (strcmp(text, names[i]) == 0 || strcmp(text, digit) == 0) {
            *ret = (enum log_level)i;
            return 0;
        }
    }
    return -EINVAL;
}

/* JOURNAL_STREAM names the device and inode of the journal's socket: systemd.exec(5). */
static bool stderr_is_journal(void)
{
    static atomic_int known; /* 0: not asked, 1: no, 2: yes */
    int is = atomic_load(&known);

    if (is == 0) {
        const char *stream = getenv("JOURNAL_STREAM");
        char own[64] = "";
        struct stat st;

        if (stream && fstat(STDERR_FILENO, &st) == 0)
            (void)snprintf(own, sizeof(own), "%lu:%lu", (unsigned long)st.st_dev,
                           (unsigned long)st.st_ino);
        is = stream && strcmp(stream, own) == 0 ? 2 : 1;
        atomic_store(&known, is);
    }
    return is == 2;
}

struct fields {
    struct iovec iov[FIELDS_MAX];
    char text[FIELDS_MAX][LINE_MAX_BYTES + 16];
    int n;
};

static void add_field(struct fields *fields, const char *fmt, ...) PRINTF_LIKE(2, 3);
static void add_field(struct fields *fields, const char *fmt, ...)
{
    char *text = fields->text[fields->n];
    va_list args;

    va_start(args, fmt);
    // NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized): clang 14 does not see va_start()
    int n = vsnprintf(text, sizeof(fields->text[0]), fmt, args);
    va_end(args);
    if (n < 0)
        return;
    fields->iov[fields->n++] = (struct iovec){text, strlen(text)};
}

static void add_subject(struct fields *fields, const struct log_subject *about)
{
    if (about->request_id)
        add_field(fields, "XHRD_REQUEST=%llu", (unsigned long long)about->request_id);
    if (about->has_uid)
        add_field(fields, "XHRD_UID=%u", about->uid);
    if (about->origin)
        add_field(fields, "XHRD_ORIGIN=%s", about->origin);
    if (about->jar)
        add_field(fields, "XHRD_JAR=%s", about->jar);
    if (about->unit)
        add_field(fields, "XHRD_UNIT=%s", about->unit);
}

static void write_journal(enum log_level level,
                          const struct log_subject *about,
                          const char *message_id,
                          const char *line)
{
    struct fields fields = {.n = 0};

    add_field(&fields, "MESSAGE=%s", line);
    add_field(&fields, "PRIORITY=%d", (int)level);
    if (message_id)
        add_field(&fields, "MESSAGE_ID=%s", message_id);
    if (about)
        add_subject(&fields, about);
    (void)sd_journal_sendv(fields.iov, fields.n);
}

static void
write_stderr(enum log_level level, const struct log_subject *about, const char *line)
{
    char text[LINE_MAX_BYTES + 128];
    char request[32] = "";
    char uid[24] = "";

    if (about && about->request_id)
        (void)snprintf(request, sizeof(request), " request %llu",
                       (unsigned long long)about->request_id);
    if (about && about->has_uid)
        (void)snprintf(uid, sizeof(uid), " uid %u", about->uid);
    int n =
        snprintf(text, sizeof(text), "xhrd: %s:%s%s %s\n", names[level], uid, request, line);
    if (n > 0 && write(STDERR_FILENO, text, strlen(text)) < 0)
        return; /* nobody is left to tell */
}

void log_write(enum log_level level,
               const struct log_subject *about,
               const char *message_id,
               const char *fmt,
               ...)
{
    char line[LINE_MAX_BYTES];
    int saved = errno;
    va_list args;

    if (level > log_get_level())
        return;
    va_start(args, fmt);
    // NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized): clang 14 does not see va_start()
    int n = vsnprintf(line, sizeof(line), fmt, args);
    va_end(args);
    if (n >= 0) {
        utf8_make_presentable(line); /* what a server wrote must not start a line of its own */
        if (stderr_is_journal())
            write_journal(level, about, message_id, line);
        else
            write_stderr(level, about, line);
    }
    errno = saved;
}
