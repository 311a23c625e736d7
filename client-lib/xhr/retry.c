/* SPDX-License-Identifier: MIT */
#include "retry.h"

#include <errno.h>
#include <string.h>
#include <time.h>

void retry_start(struct retry *retry, const struct cli_options *options, uint64_t now_us)
{
    *retry = (struct retry){
        .left = options->retries,
        .wait_ms = options->retry_delay_ms > 0 ? options->retry_delay_ms : RETRY_WAIT_FIRST_MS,
        .start_us = now_us,
    };
}

void retry_count(struct retry *retry, const struct cli_options *options)
{
    retry->left--;
    retry->done++;
    if (options->retry_delay_ms > 0)
        return;
    retry->wait_ms =
        retry->wait_ms < RETRY_WAIT_MAX_MS / 2 ? retry->wait_ms * 2 : RETRY_WAIT_MAX_MS;
}

/* curl's list. */
static bool is_passing_status(int status)
{
    switch (status) {
    case 408:
    case 429:
    case 500:
    case 502:
    case 503:
    case 504: return true;
    default: return false;
    }
}

/* What no repetition mends: it is ours, not the network's. */
static bool is_our_own(int exit_code)
{
    switch (exit_code) {
    case EXIT_USAGE:
    case EXIT_URL:
    case EXIT_WRITE:
    case EXIT_READ:
    case EXIT_ABORTED:
    case EXIT_CA_FILE:
    case EXIT_POLICY: return true;
    default: return false;
    }
}

static bool is_passing(const struct cli_options *options, const struct retry_outcome *outcome)
{
    if (outcome->exit_code == EXIT_OK || outcome->exit_code == EXIT_HTTP_STATUS)
        return is_passing_status(outcome->status) ||
               (outcome->exit_code != EXIT_OK && options->retry_all_errors);
    if (is_our_own(outcome->exit_code))
        return false;
    if (options->retry_all_errors || outcome->daemon_leaves ||
        outcome->exit_code == EXIT_TIMEOUT || outcome->exit_code == EXIT_DNS)
        return true;
    return options->retry_connrefused && outcome->exit_code == EXIT_CONNECT &&
           outcome->sys_errno == ECONNREFUSED;
}

static int64_t parse_delay(const char *value)
{
    int64_t seconds = 0;

    if (value[0] == '\0')
        return -1;
    for (; *value >= '0' && *value <= '9'; value++) {
        if (seconds < INT32_MAX)
            seconds = seconds * 10 + (*value - '0');
    }
    return *value == '\0' ? seconds : -1;
}

int64_t retry_after_seconds(const char *value, int64_t now_s)
{
    /* RFC 9110 §5.6.7: what is sent today, and the two of old. */
    static const char *const formats[] = {
        "%a, %d %b %Y %H:%M:%S GMT",
        "%A, %d-%b-%y %H:%M:%S GMT",
        "%a %b %e %H:%M:%S %Y",
    };
    int64_t delay = parse_delay(value);

    for (size_t i = 0; delay < 0 && i < sizeof(formats) / sizeof(formats[0]); i++) {
        struct tm tm = {0};
        const char *end = strptime(value, formats[i], &tm);

        if (end && *end == '\0') {
            int64_t date = timegm(&tm);

            return date > now_s ? date - now_s : 0;
        }
    }
    return delay;
}

int64_t retry_wait(const struct retry *retry,
                   const struct cli_options *options,
                   const struct retry_outcome *outcome)
{
    int64_t wait_ms = retry->wait_ms;

    if (retry->left == 0 || !is_passing(options, outcome))
        return -1;
    if (outcome->retry_after) {
        int64_t wanted = retry_after_seconds(outcome->retry_after, outcome->now_s);

        if (wanted > RETRY_AFTER_MAX_S)
            return -1;
        if (wanted * 1000 > wait_ms)
            wait_ms = wanted * 1000;
    }
    if (options->retry_max_time_ms > 0) {
        int64_t spent_ms = (int64_t)((outcome->now_us - retry->start_us) / 1000);

        if (spent_ms + wait_ms > options->retry_max_time_ms)
            return -1;
    }
    return wait_ms;
}
