/* SPDX-License-Identifier: MIT */
/* What an administrator does to the daemon: drain, reload, log level; and what it uses. */
#include <unistd.h>

#include "base/fault.h"
#include "base/log.h"
#include "base/process.h"
#include "service/metrics.h"
#include "service/monitor.h"
#include "service/service_priv.h"

#define TEXT_PER_REPLY 131072

bool client_sees_all(const struct client *client)
{
    const struct service_options *options = &client->service->options;
    const struct jar_person person = {
        .uid = client->peer.uid, .gids = client->peer.gids, .n_gids = client->peer.n_gids};

    if (client->peer.uid == 0 || (options->per_user && client->peer.uid == getuid()))
        return true;
    return options->administrators &&
           jar_grants_right(options->administrators, &person) > JAR_RIGHT_NONE;
}

/* ---- text ----------------------------------------------------------------------------------
 */

static void send_text(struct client *client, uint32_t command_id, struct span text)
{
    do {
        Xhrd__V1__AdminReply reply = XHRD__V1__ADMIN_REPLY__INIT;
        struct span part = span_take(text, TEXT_PER_REPLY);

        text = span_drop(text, part.len);
        reply.command_id = command_id;
        reply.text = bytes_of_span(part);
        reply.more = text.len > 0;
        if (!admin_send_or_fail(client, &reply))
            return;
    } while (text.len > 0);
}

static void send_metrics(struct client *client, uint32_t command_id)
{
    CLEANUP_BUF struct buf text = BUF_INIT(0);

    if (metrics_format(client, &text) < 0)
        admin_send_failure(client, command_id, FAILURE_INTERNAL, "out of memory");
    else
        send_text(client, command_id, buf_span(&text));
}

/* ---- deeds ---------------------------------------------------------------------------------
 */

static bool refuse_others(struct client *client, uint32_t command_id)
{
    if (client_sees_all(client))
        return false;
    admin_send_failure(client, command_id, FAILURE_POLICY,
                       "only root and who Administrators= in xhrd.conf names may do that");
    return true;
}

static void send_done(struct client *client, uint32_t command_id)
{
    Xhrd__V1__AdminReply reply = XHRD__V1__ADMIN_REPLY__INIT;

    reply.command_id = command_id;
    admin_send(client, &reply);
}

static void service_on_drained(void *owner)
{
    struct service *service = owner;

    if (service->drain_exits && service->fetcher->n_requests == 0)
        service->events->on_drained(service->owner);
}

void ops_check_drained(struct service *service)
{
    service->drained.fn = service_on_drained;
    service->drained.owner = service;
    if (service->fetcher->n_requests == 0)
        loop_defer(service->loop, &service->drained);
}

static void drain(struct client *client, const Xhrd__V1__AdminCommand *message)
{
    struct service *service = client->service;

    if (refuse_others(client, message->command_id))
        return;
    if (message->drain_off && message->drain_exit) {
        admin_send_failure(client, message->command_id, FAILURE_ARGUMENT,
                           "drain_exit: does not go with drain_off");
        return;
    }
    log_notice(&client->log, "%s%s, asked by uid %u",
               message->drain_off ? "takes requests again" : "draining: takes no new request",
               message->drain_exit ? ", and leaves after the last" : "", client->peer.uid);
    service->draining = !message->drain_off;
    service->drain_exits = message->drain_exit;
    send_done(client, message->command_id);
    if (service->drain_exits)
        ops_check_drained(service);
}

static void reload(struct client *client, uint32_t command_id)
{
    CLEANUP_BUF struct buf error = BUF_INIT(0);
    struct service *service = client->service;
    Xhrd__V1__AdminReply reply = XHRD__V1__ADMIN_REPLY__INIT;
    Xhrd__V1__Failure failure;
    struct failure why;

    if (refuse_others(client, command_id))
        return;
    if (service->events->reload(service->owner, &error) == 0) {
        send_done(client, command_id);
        return;
    }
    failure_set(&why, FAILURE_ARGUMENT, "not reloaded, going on as before");
    failure_to_pb(&why, &failure);
    reply.command_id = command_id;
    reply.failure = &failure;
    reply.text = bytes_of_span(buf_span(&error)); /* file, line, key */
    admin_send(client, &reply);
}

static void set_log_level(struct client *client, const Xhrd__V1__AdminCommand *message)
{
    CLEANUP_BUF struct buf name = BUF_INIT(16);
    enum log_level level = log_get_level();

    if (message->level.len > 0 && refuse_others(client, message->command_id))
        return;
    if (message->level.len > 0 &&
        (buf_append(&name, span_of_bytes(message->level)) < 0 || !buf_c_str(&name) ||
         log_level_parse(buf_c_str(&name), &level) < 0)) {
        admin_send_failure(client, message->command_id, FAILURE_ARGUMENT,
                           "level: wants err, warning, notice, info or debug");
        return;
    }
    if (level != log_get_level()) {
        log_notice(&client->log, "log level %s, asked by uid %u", log_level_name(level),
                   client->peer.uid);
        log_set_level(level);
    }
    send_text(client, message->command_id, span_of(log_level_name(level)));
}

/* ---- descriptors and memory ----------------------------------------------------------------
 */

#define USAGE_ROWS_MAX 512

struct usage {
    struct client *client;
    size_t n;
    Xhrd__V1__UsageRow rows[USAGE_ROWS_MAX];
    Xhrd__V1__UsageRow *list[USAGE_ROWS_MAX];
};

static Xhrd__V1__UsageRow *
add_usage(struct usage *usage, const char *what, bool is_memory, uint64_t used, uint64_t max)
{
    static Xhrd__V1__UsageRow left_out; /* beyond the last: written, never read */
    bool fits = usage->n < USAGE_ROWS_MAX;
    Xhrd__V1__UsageRow *row = fits ? &usage->rows[usage->n] : &left_out;

    if (fits)
        usage->list[usage->n++] = row;
    xhrd__v1__usage_row__init(row);
    row->what = bytes_of_span(span_of(what));
    row->is_memory = is_memory;
    row->used = used;
    row->max = max;
    return row;
}

static bool add_user(struct map_node *node, void *arg)
{
    const struct user *user = CONTAINER_OF(node, struct user, node);
    struct usage *usage = arg;
    const struct quota *quota = &user->quota;
    struct client *client = usage->client;

    if (user->uid != client->peer.uid && !client_sees_all(client))
        return true;
    add_usage(usage, "clients", false, quota->used[QUOTA_CLIENTS], quota->max[QUOTA_CLIENTS])
        ->uid = user->uid;
    add_usage(usage, "passed descriptors", false, quota->used[QUOTA_FDS], quota->max[QUOTA_FDS])
        ->uid = user->uid;
    add_usage(usage, "queued", true, quota->used[QUOTA_BYTES], quota->max[QUOTA_BYTES])->uid =
        user->uid;
    add_usage(usage, "last requests", true,
              history_bytes(&client->service->histories, user->uid), 0)
        ->uid = user->uid;
    return true;
}

static void add_daemon(struct usage *usage)
{
    struct process_fds fds;
    struct process_memory memory;

    if (process_fds(&fds) == 0) {
        add_usage(usage, "all", false, process_fds_open(&fds), fds.max)->of_daemon = true;
        add_usage(usage, "sockets", false, fds.sockets, 0)->of_daemon = true;
        add_usage(usage, "pipes", false, fds.pipes, 0)->of_daemon = true;
        add_usage(usage, "files", false, fds.files, 0)->of_daemon = true;
        add_usage(usage, "others", false, fds.others, 0)->of_daemon = true;
    }
    if (process_memory(&memory) == 0) {
        add_usage(usage, "resident", true, memory.resident_bytes, 0)->of_daemon = true;
        add_usage(usage, "heap", true, memory.heap_bytes, 0)->of_daemon = true;
        add_usage(usage, "heap, free", true, memory.heap_free_bytes, 0)->of_daemon = true;
    }
}

static void send_usage(struct client *client, uint32_t command_id)
{
    CLEANUP_MEM struct usage *usage = mem_zalloc(sizeof(*usage));
    Xhrd__V1__AdminReply reply = XHRD__V1__ADMIN_REPLY__INIT;

    if (!usage) {
        admin_send_failure(client, command_id, FAILURE_INTERNAL, "out of memory");
        return;
    }
    usage->client = client;
    if (client_sees_all(client))
        add_daemon(usage);
    map_each(&client->service->users, add_user, usage);
    reply.command_id = command_id;
    reply.usage = usage->list;
    reply.n_usage = usage->n;
    (void)admin_send_or_fail(client, &reply);
}

bool ops_service_command(struct client *client, const Xhrd__V1__AdminCommand *message)
{
    switch ((int)message->topic) {
    case XHRD__V1__ADMIN_TOPIC__ADMIN_TOPIC_METRICS:
        send_metrics(client, message->command_id);
        return true;
    case XHRD__V1__ADMIN_TOPIC__ADMIN_TOPIC_MONITOR:
        monitor_begin(client, message);
        return true;
    case XHRD__V1__ADMIN_TOPIC__ADMIN_TOPIC_HISTORY:
        history_service_command(client, message);
        return true;
    case XHRD__V1__ADMIN_TOPIC__ADMIN_TOPIC_DRAIN: drain(client, message); return true;
    case XHRD__V1__ADMIN_TOPIC__ADMIN_TOPIC_RELOAD:
        reload(client, message->command_id);
        return true;
    case XHRD__V1__ADMIN_TOPIC__ADMIN_TOPIC_LOG_LEVEL:
        set_log_level(client, message);
        return true;
    case XHRD__V1__ADMIN_TOPIC__ADMIN_TOPIC_USAGE:
        send_usage(client, message->command_id);
        return true;
    default: return false;
    }
}
