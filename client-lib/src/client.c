/* SPDX-License-Identifier: MIT */
/* A client: its life, who waits for an answer on it, and the turn of its wheel. */
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "xhr_priv.h"

#define PROFILE_MAX     31
#define TABLE_MIN       8
#define TABLE_MAX       (1u << 20)
#define GENERATION_BITS 12
#define GENERATION_MAX  ((1u << GENERATION_BITS) - 1)

/* ---- slots ---- */

static void list_append(struct xhr_slot_list *list, struct xhr_slot *slot)
{
    slot->prev = list->last;
    slot->next = NULL;
    if (list->last)
        list->last->next = slot;
    else
        list->first = slot;
    list->last = slot;
}

static void list_remove(struct xhr_slot_list *list, struct xhr_slot *slot)
{
    if (slot->prev)
        slot->prev->next = slot->next;
    else
        list->first = slot->next;
    if (slot->next)
        slot->next->prev = slot->prev;
    else
        list->last = slot->prev;
    slot->prev = slot->next = NULL;
}

static int grow_table(struct xhr_client *client)
{
    uint32_t capacity = client->table_capacity ? client->table_capacity * 2 : TABLE_MIN;

    if (capacity > TABLE_MAX)
        return -EMFILE;
    struct xhr_table_entry *table = realloc(client->table, capacity * sizeof(*table));
    if (!table)
        return -ENOMEM;
    for (uint32_t i = capacity; i > client->table_capacity; i--) {
        table[i - 1] =
            (struct xhr_table_entry){.next_free = client->table_free, .generation = 1};
        client->table_free = i;
    }
    client->table = table;
    client->table_capacity = capacity;
    return 0;
}

int xhr_client_add_slot(struct xhr_client *client, struct xhr_slot *slot)
{
    if (client->table_free == 0) {
        int r = grow_table(client);

        if (r < 0)
            return r;
    }
    uint32_t index = client->table_free - 1;
    struct xhr_table_entry *entry = &client->table[index];

    client->table_free = entry->next_free;
    entry->slot = slot;
    slot->id = index << GENERATION_BITS | entry->generation;
    list_append(&client->live, slot);
    client->in_flight++;
    return 0;
}

static struct xhr_table_entry *entry_of(const struct xhr_client *client, uint32_t id)
{
    uint32_t index = id >> GENERATION_BITS;

    return index < client->table_capacity ? &client->table[index] : NULL;
}

struct xhr_slot *xhr_client_find_slot(const struct xhr_client *client, uint32_t id)
{
    const struct xhr_table_entry *entry = entry_of(client, id);

    return entry && entry->generation == (id & GENERATION_MAX) ? entry->slot : NULL;
}

bool xhr_client_knows_id(const struct xhr_client *client, uint32_t id)
{
    return entry_of(client, id) && (id & GENERATION_MAX) != 0;
}

/* The number is not another's before 4,095 more have been given out at its place. */
static void free_number(struct xhr_client *client, struct xhr_slot *slot)
{
    struct xhr_table_entry *entry = entry_of(client, slot->id);

    entry->slot = NULL;
    entry->generation = entry->generation % GENERATION_MAX + 1;
    entry->next_free = client->table_free;
    client->table_free = (slot->id >> GENERATION_BITS) + 1;
}

void xhr_client_remove_slot(struct xhr_client *client, struct xhr_slot *slot)
{
    struct xhr_table_entry *entry;

    if (slot->id == 0)
        return;
    entry = entry_of(client, slot->id);
    if (entry->slot == slot && entry->generation == (slot->id & GENERATION_MAX)) {
        list_remove(&client->live, slot);
        free_number(client, slot);
    } else {
        list_remove(&client->dying, slot);
    }
    slot->id = 0;
    if (--client->in_flight == 0)
        client->guard_at_us = 0;
}

void xhr_client_doom(struct xhr_client *client,
                     struct xhr_slot *slot,
                     const struct xhr_failure *failure)
{
    list_remove(&client->live, slot);
    free_number(client, slot);
    slot->failure = *failure;
    list_append(&client->dying, slot);
}

void xhr_client_doom_all(struct xhr_client *client, const struct xhr_failure *failure)
{
    while (client->live.first)
        xhr_client_doom(client, client->live.first, failure);
}

static void fire_dying(struct xhr_client *client)
{
    while (client->dying.first) {
        struct xhr_slot *slot = client->dying.first;

        xhr_client_remove_slot(client, slot);
        slot->ops->fail(slot);
    }
}

/* ---- life ---- */

static bool is_profile(const char *profile)
{
    size_t len = strlen(profile);

    return len <= PROFILE_MAX &&
           strspn(profile, "abcdefghijklmnopqrstuvwxyz0123456789_-") == len;
}

static void destroy(struct xhr_client *client)
{
    free(client->socket_path);
    free(client->daemon_path);
    free(client->program);
    free(client->profile);
    free(client->daemon_version);
    free(client->table);
    free(client->marks);
    free(client->upload_buffer);
    xhr_bytes_done(&client->in);
    xhr_bytes_done(&client->out);
    free(client);
}

static int take_options(struct xhr_client *client, const struct xhr_client_options *options)
{
    struct xhr_client_options given = {0};
    int r = options ? xhr_take_sized(&given, sizeof(given), options) : 0;

    if (r == 0 && ((given.profile && !is_profile(given.profile)) ||
                   !xhr_is_body_types(given.body_types) || !xhr_is_cache_mode(given.cache)))
        r = -EINVAL;
    r = r < 0 ? r : xhr_dup_string(given.socket_path, &client->socket_path);
    r = r < 0 ? r : xhr_dup_string(given.daemon_path, &client->daemon_path);
    r = r < 0 ? r : xhr_dup_string(given.program, &client->program);
    r = r < 0 ? r : xhr_dup_string(given.profile, &client->profile);
    client->no_start = given.no_start;
    client->body_types = given.body_types;
    client->cache = given.cache;
    return r;
}

int xhr_client_new(const struct xhr_client_options *options, struct xhr_client **ret)
{
    struct xhr_client *client = calloc(1, sizeof(*client));
    int r;

    if (!client)
        return -ENOMEM;
    client->fd = -1;
    client->told_fd = -1;
    client->told_timeout = -1;
    client->upload_credit = XHR_UPLOAD_CREDIT;
    r = take_options(client, options);
    if (r < 0) {
        destroy(client);
        return r;
    }
    *ret = client;
    return 0;
}

int xhr_client_new_fd(int fd, const struct xhr_client_options *options, struct xhr_client **ret)
{
    int r = xhr_client_new(options, ret);

    if (r == 0) {
        (*ret)->fd = fd;
        (*ret)->link = XHR_LINK_UP;
        (*ret)->is_given = true;
    }
    return r;
}

void xhr_client_hold(struct xhr_client *client)
{
    client->depth++;
}

static void tell_watcher(struct xhr_client *client)
{
    int fd = client->fd;
    bool wants_write = xhr_client_wants_write(client);
    int timeout = xhr_client_timeout_ms(client);

    if (!client->changed || (fd == client->told_fd && wants_write == client->told_wants_write &&
                             timeout == client->told_timeout))
        return;
    client->told_fd = fd;
    client->told_wants_write = wants_write;
    client->told_timeout = timeout;
    client->changed(client, client->changed_user);
}

void xhr_client_release(struct xhr_client *client)
{
    if (client->depth == 1 && !client->is_freed)
        tell_watcher(client);
    if (--client->depth == 0 && client->is_freed)
        destroy(client);
}

struct xhr_client *xhr_client_free(struct xhr_client *client)
{
    struct xhr_failure aborted;

    if (!client || client->is_freed)
        return NULL;
    xhr_client_hold(client);
    client->is_freed = true;
    xhr_link_close(client);
    xhr_failure_set(&aborted, XHR_ERROR_ABORTED, "the client was freed");
    xhr_client_doom_all(client, &aborted);
    fire_dying(client);
    while (client->requests)
        xhr_request_leave_client(client->requests);
    for (size_t i = 0; i < client->n_marks; i++)
        for (unsigned j = 0; j < client->marks[i].count; j++)
            (void)close(client->marks[i].fds[j]);
    client->n_marks = 0;
    if (client->changed) { /* the fd is closed: a loop must not watch it any longer */
        client->changed(client, client->changed_user);
        client->changed = NULL;
    }
    xhr_client_release(client);
    return NULL;
}

/* ---- the wheel ---- */

int xhr_client_fd(const struct xhr_client *client)
{
    return client->fd;
}

bool xhr_client_wants_write(const struct xhr_client *client)
{
    if (client->link != XHR_LINK_UP || client->is_write_dead)
        return false;
    return client->out_sent < client->out.len || xhr_upload_wants_write(client);
}

static int ms_until(uint64_t at_us)
{
    uint64_t now_us = xhr_now_us();
    uint64_t ms = at_us > now_us ? (at_us - now_us + 999) / 1000 : 0;

    return ms > INT_MAX ? INT_MAX : (int)ms;
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
    if (a == 0 || b == 0)
        return a + b;
    return a < b ? a : b;
}

int xhr_client_timeout_ms(const struct xhr_client *client)
{
    uint64_t at_us = client->guard_at_us;

    if (client->is_freed)
        return -1;
    if (client->dying.first || client->needs_dispatch)
        return 0;
    if (client->link == XHR_LINK_DOWN && client->out.len > 0) {
        if (client->retry_at_us == 0)
            return 0;
        at_us = earlier(at_us, client->retry_at_us);
    } else if (client->in_flight > 0) {
        at_us = earlier(at_us, client->hello_by_us);
    }
    return at_us ? ms_until(at_us) : -1;
}

void xhr_client_guard(struct xhr_client *client, uint64_t at_us)
{
    client->guard_at_us = earlier(client->guard_at_us, at_us);
}

void xhr_client_set_watcher(struct xhr_client *client,
                            void (*changed)(struct xhr_client *client, void *user),
                            void *user)
{
    client->changed = changed;
    client->changed_user = user;
    client->told_fd = client->fd;
    client->told_wants_write = xhr_client_wants_write(client);
    client->told_timeout = xhr_client_timeout_ms(client);
}

static void check_hello(struct xhr_client *client)
{
    struct xhr_failure why;

    if (client->link != XHR_LINK_UP || client->is_hello_read || client->hello_by_us == 0 ||
        xhr_now_us() < client->hello_by_us)
        return;
    xhr_failure_set(&why, XHR_ERROR_DAEMON_UNREACHABLE,
                    "a daemon took the connection and said nothing for %u s",
                    XHR_HELLO_MS / 1000u);
    xhr_link_lost(client, &why, false);
}

/* The first request in flight that is late, or NULL; *ret_next when the next one may be. */
static struct xhr_request *
find_late(const struct xhr_client *client, uint64_t now_us, uint64_t *ret_next)
{
    *ret_next = 0;
    for (struct xhr_slot *slot = client->live.first; slot; slot = slot->next) {
        struct xhr_request *request;

        if (slot->ops != &xhr_request_ops)
            continue;
        request = xhr_request_of_slot(slot);
        if (request->late_at_us && request->late_at_us <= now_us)
            return request;
        *ret_next = earlier(*ret_next, request->late_at_us);
    }
    return NULL;
}

/* Timeouts are the daemon's to keep. One that is stopped or stuck keeps none. */
static void cut_late(struct xhr_client *client)
{
    struct xhr_request *request;
    struct xhr_failure why;
    uint64_t now_us;

    if (client->guard_at_us == 0)
        return;
    now_us = xhr_now_us();
    while (client->guard_at_us && client->guard_at_us <= now_us &&
           (request = find_late(client, now_us, &client->guard_at_us))) {
        client->guard_at_us = now_us;
        xhr_failure_set(&why, XHR_ERROR_TIMEOUT_TOTAL,
                        "took too long; the daemon did not say so");
        xhr_request_cut(request, &why);
    }
}

int xhr_client_dispatch(struct xhr_client *client)
{
    if (client->is_dispatching)
        return -EBUSY;
    xhr_client_hold(client);
    client->is_dispatching = true;
    client->needs_dispatch = false;
    xhr_link_connect(client);
    xhr_link_read(client);
    check_hello(client);
    cut_late(client);
    fire_dying(client);
    if (!client->is_freed)
        xhr_link_connect(client);
    xhr_link_flush(client);
    if (client->uploads)
        xhr_upload_pump(client);
    client->is_dispatching = false;
    xhr_client_release(client);
    return 0;
}

void xhr_client_kick(struct xhr_client *client)
{
    /* Several requests in a row share a write: only the first is sent at once. */
    if (client->is_dispatching || client->is_freed)
        return;
    if (client->in_flight > 1)
        return;
    xhr_link_connect(client);
    xhr_link_flush(client);
}

size_t xhr_client_in_flight(const struct xhr_client *client)
{
    return client->in_flight;
}

const struct xhr_daemon_info *xhr_client_daemon(const struct xhr_client *client)
{
    return client->daemon_version ? &client->daemon : NULL;
}
