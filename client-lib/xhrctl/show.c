/* SPDX-License-Identifier: MIT */
/* What the daemon says of itself, as cells. */
#include "show.h"

#include <string.h>

#include "internal.h"
#include "listing.h"

#define CELLS_MAX 32

struct cells {
    struct cell at[CELLS_MAX];
    size_t n;
};

static void
add(struct cells *cells, const char *key, enum cell_kind kind, uint64_t number, unsigned flags)
{
    int64_t shown = number > INT64_MAX ? INT64_MAX : (int64_t)number;

    if (cells->n < CELLS_MAX)
        cells->at[cells->n++] =
            (struct cell){.key = key, .kind = kind, .flags = flags, .number = shown};
}

static void add_number(struct cells *cells, const char *key, uint64_t number)
{
    add(cells, key, CELL_NUMBER, number, 0);
}

static void add_bytes(struct cells *cells, const char *key, const ProtobufCBinaryData *text)
{
    if (cells->n < CELLS_MAX)
        cells->at[cells->n++] =
            (struct cell){.key = key, .kind = CELL_TEXT, .bytes = text->data, .len = text->len};
}

static void add_string(struct cells *cells, const char *key, const char *text)
{
    if (cells->n < CELLS_MAX)
        cells->at[cells->n++] =
            (struct cell){.key = key, .kind = CELL_TEXT, .bytes = text, .len = strlen(text)};
}

static struct cells cells_of_status(const Xhrd__V1__Status *row)
{
    struct cells cells = {0};

    add_bytes(&cells, "version", &row->version);
    add_number(&cells, "pid", row->pid);
    add(&cells, "uptime_s", CELL_SECONDS, row->uptime_s, 0);
    add(&cells, "per_user", CELL_BOOL, row->per_user, 0);
    add_bytes(&cells, "socket_path", &row->socket_path);
    add_bytes(&cells, "state_dir", &row->state_dir);
    add_number(&cells, "clients", row->clients);
    add_number(&cells, "requests_active", row->requests_active);
    add_number(&cells, "requests_total", row->requests_total);
    add_number(&cells, "requests_failed", row->requests_failed);
    add_number(&cells, "connections_open", row->connections_open);
    add_number(&cells, "connections_opened", row->connections_opened);
    add_number(&cells, "connections_reused", row->connections_reused);
    add_number(&cells, "tls_handshakes_full", row->tls_handshakes_full);
    add_number(&cells, "tls_handshakes_resumed", row->tls_handshakes_resumed);
    add(&cells, "bytes_down", CELL_BYTES, row->bytes_down, 0);
    add(&cells, "bytes_up", CELL_BYTES, row->bytes_up, 0);
    add_number(&cells, "cookies", row->cookies);
    add(&cells, "persistence_lost", CELL_BOOL, row->persistence_lost, 0);
    add(&cells, "draining", CELL_BOOL, row->draining, 0);
    add_number(&cells, "requests_refused", row->requests_refused);
    add_number(&cells, "monitors", row->monitors);
    add_bytes(&cells, "log_level", &row->log_level);
    add(&cells, "shows_all", CELL_BOOL, row->shows_all, 0);
    return cells;
}

static struct cells cells_of_client(const Xhrd__V1__ClientRow *row)
{
    struct cells cells = {0};

    add_number(&cells, "client", row->client_id);
    add_number(&cells, "uid", row->uid);
    add_number(&cells, "pid", row->pid);
    add_bytes(&cells, "program", &row->program);
    add_string(&cells, "profile", row->profile);
    add_number(&cells, "active", row->requests_active);
    add_number(&cells, "requests", row->requests_total);
    add(&cells, "queued_bytes", CELL_BYTES, row->queued_bytes, 0);
    add(&cells, "connected_s", CELL_SECONDS, row->connected_s, 0);
    return cells;
}

static struct cells cells_of_request(const Xhrd__V1__RequestRow *row)
{
    struct cells cells = {0};

    add_number(&cells, "request", row->request);
    add_number(&cells, "client", row->client_id);
    add_number(&cells, "uid", row->uid);
    add_bytes(&cells, "method", &row->method);
    add_bytes(&cells, "state", &row->state);
    add(&cells, "age_us", CELL_MICROSECONDS, row->age_us, 0);
    add(&cells, "body_bytes", CELL_BYTES, row->body_bytes, 0);
    add(&cells, "connection", CELL_NUMBER, row->connection_id,
        row->connection_id == 0 ? CELL_NONE : 0);
    add_string(&cells, "early_data", xhr_early_data_name((enum xhr_early_data)row->early_data));
    add_bytes(&cells, "url", &row->url);
    return cells;
}

static struct cells cells_of_connection(const Xhrd__V1__ConnectionRow *row)
{
    struct cells cells = {0};

    add_number(&cells, "connection", row->connection_id);
    add_number(&cells, "uid", row->uid);
    add_string(&cells, "profile", row->profile);
    add_bytes(&cells, "origin", &row->origin);
    add_bytes(&cells, "remote_address", &row->remote_address);
    add_bytes(&cells, "proxy", &row->proxy);
    add_bytes(&cells, "state", &row->state);
    add_number(&cells, "exchanges", row->exchanges);
    add(&cells, "age_s", CELL_SECONDS, row->age_s, 0);
    add(&cells, "idle_s", CELL_SECONDS, row->idle_s, 0);
    add_bytes(&cells, "tls", &row->tls);
    add_string(&cells, "early_data", xhr_early_data_name((enum xhr_early_data)row->early_data));
    return cells;
}

static struct cells cells_of_pool(const Xhrd__V1__PoolRow *row)
{
    struct cells cells = {0};

    add_number(&cells, "uid", row->uid);
    add_string(&cells, "profile", row->profile);
    add_bytes(&cells, "origin", &row->origin);
    add_bytes(&cells, "proxy", &row->proxy);
    add_number(&cells, "connecting", row->connecting);
    add_number(&cells, "busy", row->busy);
    add_number(&cells, "idle", row->idle);
    add_number(&cells, "waiting", row->waiting);
    add_number(&cells, "limit", row->limit);
    return cells;
}

static struct cells cells_of_tls_session(const Xhrd__V1__TlsSessionRow *row)
{
    struct cells cells = {0};

    add_number(&cells, "uid", row->uid);
    add_string(&cells, "profile", row->profile);
    add_bytes(&cells, "origin", &row->origin);
    add_bytes(&cells, "tls", &row->version);
    add_bytes(&cells, "cipher", &row->cipher);
    add(&cells, "age_s", CELL_SECONDS, row->age_s, 0);
    add(&cells, "left_s", CELL_SECONDS, row->left_s, 0);
    add_number(&cells, "uses", row->uses);
    add(&cells, "persistent", CELL_BOOL, row->persistent, CELL_OF_JSON);
    return cells;
}

/* The titles of a table do without units, which JSON needs. */
static void shorten_titles(struct cells *cells, bool json)
{
    static const struct {
        const char *key, *title;
    } table[] = {
        {"uptime_s", "uptime"}, {"queued_bytes", "queued"}, {"connected_s", "connected"},
        {"age_us", "age"},      {"age_s", "age"},           {"idle_s", "idle"},
        {"left_s", "left"},     {"body_bytes", "body"},     {"remote_address", "address"},
    };

    for (size_t i = 0; i < cells->n && !json; i++) {
        for (size_t j = 0; j < sizeof(table) / sizeof(table[0]); j++) {
            if (strcmp(cells->at[i].key, table[j].key) == 0)
                cells->at[i].key = table[j].title;
        }
    }
}

struct show {
    const struct ctl_options *options;
    struct strbuf *out;
    struct trouble *why;
    struct listing listing;
    int result;
};

static void add_row(struct listing *listing, struct cells cells)
{
    shorten_titles(&cells, listing->json);
    listing_add(listing, cells.at, cells.n);
}

void show_add_rows(struct listing *listing, const Xhrd__V1__AdminReply *reply)
{
    for (size_t i = 0; i < reply->n_clients; i++)
        add_row(listing, cells_of_client(reply->clients[i]));
    for (size_t i = 0; i < reply->n_requests; i++)
        add_row(listing, cells_of_request(reply->requests[i]));
    for (size_t i = 0; i < reply->n_connections; i++)
        add_row(listing, cells_of_connection(reply->connections[i]));
    for (size_t i = 0; i < reply->n_pools; i++)
        add_row(listing, cells_of_pool(reply->pools[i]));
    for (size_t i = 0; i < reply->n_tls_sessions; i++)
        add_row(listing, cells_of_tls_session(reply->tls_sessions[i]));
}

int ctl_trouble(const struct xhr_error *error, struct trouble *why)
{
    if (error->kind == XHR_ERROR_DAEMON_UNREACHABLE)
        return trouble_set(why, EXIT_DAEMON, "%s; see xhrd(8)",
                           error->text ? error->text : "the daemon cannot be reached");
    return trouble_of_error(why, error, "the daemon");
}

static void take_failure(struct show *show, const Xhrd__V1__Failure *failure)
{
    struct strbuf text = {0};

    strbuf_add(&text, failure->text.data, failure->text.len);
    struct xhr_error error = {
        .kind = (enum xhr_error_class)failure->kind, /* the numbers are the same */
        .sys_errno = (int)failure->sys_errno,
        .text = strbuf_text(&text),
    };
    show->result = ctl_trouble(&error, show->why);
    strbuf_done(&text);
}

static void
on_reply(const Xhrd__V1__AdminReply *reply, const struct xhr_error *error, void *user)
{
    struct show *show = user;

    if (!reply) {
        show->result = ctl_trouble(error, show->why);
        return;
    }
    if (reply->failure) {
        take_failure(show, reply->failure);
        return;
    }
    if (reply->status) {
        struct cells cells = cells_of_status(reply->status);

        shorten_titles(&cells, show->options->json);
        listing_show_one(cells.at, cells.n, show->options->json, show->out);
    }
    show_add_rows(&show->listing, reply);
}

static const struct {
    enum ctl_command command;
    Xhrd__V1__AdminTopic topic;
    const char *empty;
} topics[] = {
    {CTL_STATUS, XHRD__V1__ADMIN_TOPIC__ADMIN_TOPIC_STATUS, ""},
    {CTL_SHOW_CLIENTS, XHRD__V1__ADMIN_TOPIC__ADMIN_TOPIC_CLIENTS, "no clients"},
    {CTL_SHOW_REQUESTS, XHRD__V1__ADMIN_TOPIC__ADMIN_TOPIC_REQUESTS, "no requests"},
    {CTL_SHOW_CONNECTIONS, XHRD__V1__ADMIN_TOPIC__ADMIN_TOPIC_CONNECTIONS, "no connections"},
    {CTL_SHOW_POOLS, XHRD__V1__ADMIN_TOPIC__ADMIN_TOPIC_POOLS, "no pools"},
    {CTL_SHOW_TLS_SESSIONS, XHRD__V1__ADMIN_TOPIC__ADMIN_TOPIC_TLS_SESSIONS, "no TLS sessions"},
};

int show_run(struct xhr_client *client,
             const struct ctl_options *options,
             struct strbuf *out,
             struct trouble *why)
{
    static const struct xhr_admin_events events = {.on_reply = on_reply};
    struct show show = {.options = options, .out = out, .why = why};
    size_t i = 0;

    while (topics[i].command != options->command)
        i++;
    listing_begin(&show.listing, options->json);
    int r = xhr_admin_ask(client, topics[i].topic, NULL, &events, &show);
    if (show.result == 0 && r < 0)
        show.result = trouble_set(why, EXIT_DAEMON, "%s", strerror(-r));
    if (show.result == 0 && options->command != CTL_STATUS)
        listing_end(&show.listing, topics[i].empty, out);
    listing_done(&show.listing);
    return show.result;
}
