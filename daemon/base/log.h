/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Log lines with journal fields. The first argument is whom the line is about: it brings its
 * fields with it, NULL brings none. Where stderr is the journal the lines go there by its own
 * protocol, else to stderr as text. Nobody waits for a journal that hangs, or a pipe that is
 * full: a line that is not taken is counted, and the next one that is says how many are
 * missing.
 *
 * err: an operator must act; warning: we cope, and say how; notice: start, stop, reload;
 * info: one line per finished request; debug: state steps. Never: cookie values, credentials,
 * bodies; query strings only at debug. Control characters are escaped on the way out.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"

enum log_level {
    LOG_LEVEL_ERR = 3,
    LOG_LEVEL_WARNING,
    LOG_LEVEL_NOTICE,
    LOG_LEVEL_INFO,
    LOG_LEVEL_DEBUG
};

/* Embedded in what one may log about. Strings are borrowed and may be NULL. */
struct log_subject {
    uint64_t request_id; /* XHRD_REQUEST=, 0: none */
    uint32_t uid;        /* XHRD_UID=, read only if has_uid */
    bool has_uid;
    const char *origin; /* XHRD_ORIGIN= */
    const char *jar;    /* XHRD_JAR= */
    const char *unit;   /* XHRD_UNIT=, unless it is "" */
};

void log_set_level(enum log_level level);
enum log_level log_get_level(void);

/* "err" … "debug" or "3" … "7". Return: 0 or -EINVAL. */
MUST_CHECK int log_level_parse(const char *text, enum log_level *ret);
const char *log_level_name(enum log_level level);

/* @message_id: 32 hexadecimal digits of an entry in systemd/xhrd.catalog (base/message_id.h),
 * or NULL. */
void log_write(enum log_level level,
               const struct log_subject *about,
               const char *message_id,
               const char *fmt,
               ...) PRINTF_LIKE(4, 5);

#define log_at_id(level, about, message_id, ...)                                               \
    do {                                                                                       \
        if ((level) <= log_get_level())                                                        \
            log_write((level), (about), (message_id), __VA_ARGS__);                            \
    } while (0)
#define log_at(level, about, ...) log_at_id(level, about, NULL, __VA_ARGS__)

#define log_err(about, ...)       log_at(LOG_LEVEL_ERR, about, __VA_ARGS__)
#define log_warning(about, ...)   log_at(LOG_LEVEL_WARNING, about, __VA_ARGS__)
#define log_notice(about, ...)    log_at(LOG_LEVEL_NOTICE, about, __VA_ARGS__)
#define log_info(about, ...)      log_at(LOG_LEVEL_INFO, about, __VA_ARGS__)
#define log_debug(about, ...)     log_at(LOG_LEVEL_DEBUG, about, __VA_ARGS__)
