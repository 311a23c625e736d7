/* SPDX-License-Identifier: MIT */
#include "base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/uio.h>

#include "base/log_sink.h"
#include "base/message_id.h"
#include "base/utf8.h"

#define LINE_MAX_BYTES 2048 /* a longer line is cut: server text ends up in some of them */
#define FIELDS_MAX     10

static atomic_int current = LOG_LEVEL_NOTICE;

/* Lines that nobody took, and how many of those were warnings or worse. */
static atomic_uint lost, lost_grave;

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

struct fields {
    struct iovec iov[FIELDS_MAX];
    char text[FIELDS_MAX][LINE_MAX_BYTES + 16];
    size_t n;
};

static void add_field(struct fields *fields, const char *fmt, ...) PRINTF_LIKE(2, 3);
static void add_field(struct fields *fields, const char *fmt, ...)
{
    char *text = fields->text[fields->n];
    va_list args;

    va_start(args, fmt);
    // NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized): clang 14 does not see va_start()
    int n = vsnprintf(text, sizeof(fields->text[0]) - 1, fmt, args);
    va_end(args);
    if (n < 0)
        return;
    utf8_make_presentable(text); /* a line feed would end the field */
    size_t length = strlen(text);
    text[length++] = '\n';
    fields->iov[fields->n++] = (struct iovec){text, length};
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
    if (about->unit && about->unit[0])
        add_field(fields, "XHRD_UNIT=%s", about->unit);
}

static bool write_journal(enum log_level level,
                          const struct log_subject *about,
                          const char *message_id,
                          const char *line)
{
    struct fields fields = {.n = 0};

    add_field(&fields, "MESSAGE=%s", line);
    add_field(&fields, "PRIORITY=%d", (int)level);
    add_field(&fields, "SYSLOG_IDENTIFIER=xhrd");
    if (message_id)
        add_field(&fields, "MESSAGE_ID=%s", message_id);
    if (about)
        add_subject(&fields, about);
    return log_sink_send(fields.iov, fields.n);
}

static bool
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

    return n > 0 && log_sink_write(text, strlen(text));
}

static bool write_line(enum log_level level,
                       const struct log_subject *about,
                       const char *message_id,
                       const char *line)
{
    if (log_sink_is_journal())
        return write_journal(level, about, message_id, line);
    return write_stderr(level, about, line);
}

/* Return: whether who reads the lines knows of all that are missing. */
static bool tell_lost(void)
{
    unsigned n = atomic_exchange(&lost, 0);
    unsigned n_grave = atomic_exchange(&lost_grave, 0);
    char line[160];

    if (n == 0)
        return true;
    (void)snprintf(line, sizeof(line),
                   "%u lines are missing before this one, %u of them warnings or errors: "
                   "nobody took them, and nothing waits for that",
                   n, n_grave);
    if (write_line(LOG_LEVEL_WARNING, NULL, MESSAGE_LINES_LOST, line))
        return true;
    atomic_fetch_add(&lost, n);
    atomic_fetch_add(&lost_grave, n_grave);
    return false;
}

static void write_or_count(enum log_level level,
                           const struct log_subject *about,
                           const char *message_id,
                           const char *line)
{
    if (tell_lost() && write_line(level, about, message_id, line))
        return;
    atomic_fetch_add(&lost, 1);
    if (level <= LOG_LEVEL_WARNING)
        atomic_fetch_add(&lost_grave, 1);
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
        write_or_count(level, about, message_id, line);
    }
    errno = saved;
}
