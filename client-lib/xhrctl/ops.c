/* SPDX-License-Identifier: MIT */
/* What an administrator asks of the daemon in one word: metrics, drain, reload, log-level, and
 * what it uses. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "files.h"
#include "internal.h"
#include "listing.h"
#include "show.h"

struct ops {
    const struct ctl_options *options;
    struct strbuf *out;
    struct trouble *why;
    struct strbuf text;
    struct listing listing;
    int result;
};

/* ---- what it uses ---- */

static void add_usage(struct ops *ops, const Xhrd__V1__UsageRow *row)
{
    bool memory = ops->options->command == CTL_SHOW_MEMORY;
    enum cell_kind kind = memory ? CELL_BYTES : CELL_NUMBER;
    const struct cell cells[] = {
        {.key = "uid",
         .kind = CELL_NUMBER,
         .flags = row->of_daemon ? CELL_NONE : 0,
         .number = row->uid},
        {.key = "what", .kind = CELL_TEXT, .bytes = row->what.data, .len = row->what.len},
        {.key = "used", .kind = kind, .number = (int64_t)row->used},
        {.key = "limit",
         .kind = kind,
         .flags = row->max == 0 ? CELL_NONE : 0,
         .number = (int64_t)row->max},
    };

    if (row->is_memory == memory)
        listing_add(&ops->listing, cells, sizeof(cells) / sizeof(cells[0]));
}

/* The daemon first, then users by number. */
static int by_uid(const void *a, const void *b)
{
    const Xhrd__V1__UsageRow *one = *(Xhrd__V1__UsageRow *const *)a;
    const Xhrd__V1__UsageRow *other = *(Xhrd__V1__UsageRow *const *)b;

    if (one->of_daemon != other->of_daemon)
        return one->of_daemon ? -1 : 1;
    return (one->uid > other->uid) - (one->uid < other->uid);
}

/* ---- replies ---- */

static void
on_reply(const Xhrd__V1__AdminReply *reply, const struct xhr_error *error, void *user)
{
    struct ops *ops = user;

    if (reply)
        strbuf_add(&ops->text, reply->text.data, reply->text.len);
    if (error && ops->text.len > 0 && ops->options->command == CTL_RELOAD)
        ops->result = trouble_set(ops->why, EXIT_USAGE, "not reloaded, going on as before: %s",
                                  strbuf_text(&ops->text));
    else if (error)
        ops->result = ctl_trouble(error, ops->why);
    if (!reply || error)
        return;
    if (reply->n_usage > 0)
        // NOLINTNEXTLINE(bugprone-sizeof-expression): pointers they are
        qsort(reply->usage, reply->n_usage, sizeof(*reply->usage), by_uid);
    for (size_t i = 0; i < reply->n_usage; i++)
        add_usage(ops, reply->usage[i]);
}

/* A new one is for all to read: it is another user's program that collects it. */
static int write_textfile(const char *name, const struct strbuf *text, struct trouble *why)
{
    int fd = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);

    if (fd >= 0)
        (void)close(fd);
    int r = replace_file(name, text->bytes, text->len);
    return r < 0 ? trouble_set(why, EXIT_WRITE, "--textfile %s: %s", name, strerror(-r)) : 0;
}

static void show_done(struct ops *ops, const char *key, const char *text)
{
    struct json json = {.out = ops->out};

    if (!ops->options->json) {
        strbuf_add_text(ops->out, text);
        strbuf_add_char(ops->out, '\n');
        return;
    }
    json_object_begin(&json, NULL);
    json_text(&json, key, text);
    json_object_end(&json);
    strbuf_add_char(ops->out, '\n');
}

static void show_result(struct ops *ops)
{
    const struct ctl_options *options = ops->options;

    switch ((int)options->command) {
    case CTL_METRICS:
        if (options->textfile)
            ops->result = write_textfile(options->textfile, &ops->text, ops->why);
        else
            strbuf_add(ops->out, ops->text.bytes, ops->text.len);
        return;
    case CTL_LOG_LEVEL: show_done(ops, "log_level", strbuf_text(&ops->text)); return;
    case CTL_RELOAD: show_done(ops, "result", "reloaded"); return;
    case CTL_DRAIN:
        show_done(ops, "result",
                  options->off    ? "takes requests again"
                  : options->exit ? "takes no new request, and leaves after the last"
                                  : "takes no new request");
        return;
    default: listing_end(&ops->listing, "nothing", ops->out); return;
    }
}

static Xhrd__V1__AdminTopic topic_of(enum ctl_command command)
{
    switch ((int)command) {
    case CTL_METRICS: return XHRD__V1__ADMIN_TOPIC__ADMIN_TOPIC_METRICS;
    case CTL_LOG_LEVEL: return XHRD__V1__ADMIN_TOPIC__ADMIN_TOPIC_LOG_LEVEL;
    case CTL_RELOAD: return XHRD__V1__ADMIN_TOPIC__ADMIN_TOPIC_RELOAD;
    case CTL_DRAIN: return XHRD__V1__ADMIN_TOPIC__ADMIN_TOPIC_DRAIN;
    default: return XHRD__V1__ADMIN_TOPIC__ADMIN_TOPIC_USAGE;
    }
}

int ops_run(struct xhr_client *client,
            const struct ctl_options *options,
            struct strbuf *out,
            struct trouble *why)
{
    static const struct xhr_admin_events events = {.on_reply = on_reply};
    struct ops ops = {.options = options, .out = out, .why = why};
    Xhrd__V1__AdminCommand what = XHRD__V1__ADMIN_COMMAND__INIT;

    if (options->off && options->exit)
        return trouble_set(why, EXIT_USAGE, "--off does not go with --exit");
    what.topic = topic_of(options->command);
    what.drain_off = options->off;
    what.drain_exit = options->exit;
    if (options->command == CTL_LOG_LEVEL && options->argument)
        what.level = (ProtobufCBinaryData){strlen(options->argument),
                                           (uint8_t *)(uintptr_t)options->argument};
    listing_begin(&ops.listing, options->json);
    int r = xhr_admin_ask_for(client, &what, &events, &ops);
    if (ops.result == 0 && r < 0)
        ops.result = trouble_set(why, EXIT_DAEMON, "%s", strerror(-r));
    if (ops.result == 0 && ops.text.failed)
        ops.result = trouble_set(why, EXIT_RESOURCES, "out of memory");
    if (ops.result == 0)
        show_result(&ops);
    listing_done(&ops.listing);
    strbuf_done(&ops.text);
    return ops.result;
}
