/* SPDX-License-Identifier: MIT */
/* Looking into and changing a cookie jar. */
#include <stdlib.h>
#include <string.h>

#include "xhr_priv.h"

#define COOKIES_MAX 65536 /* of one list: a jar holds 3,000 */

struct xhr_cookies {
    struct xhr_slot slot; /* first */
    struct xhr_client *client;
    void (*done)(const struct xhr_cookies *cookies, void *user);
    void *user;
    struct xhr_sync *sync; /* of a _wait function, which takes the result over */
    struct xhr_cookie *at;
    char **texts; /* of each: name, value, domain, path, partition key */
    size_t count;
    size_t capacity;
    uint64_t changed;
    bool not_persisted;
    bool has_error;
    struct xhr_error error;
};

/* ---- the result ---- */

size_t xhr_cookies_count(const struct xhr_cookies *cookies)
{
    return cookies->count;
}

const struct xhr_cookie *xhr_cookies_at(const struct xhr_cookies *cookies, size_t index)
{
    return index < cookies->count ? &cookies->at[index] : NULL;
}

uint64_t xhr_cookies_changed(const struct xhr_cookies *cookies)
{
    return cookies->changed;
}

bool xhr_cookies_not_persisted(const struct xhr_cookies *cookies)
{
    return cookies->not_persisted;
}

const struct xhr_error *xhr_cookies_error(const struct xhr_cookies *cookies)
{
    return cookies->has_error ? &cookies->error : NULL;
}

struct xhr_cookies *xhr_cookies_free(struct xhr_cookies *cookies)
{
    if (!cookies)
        return NULL;
    for (size_t i = 0; i < cookies->count; i++)
        free(cookies->texts[i]);
    free(cookies->texts);
    free(cookies->at);
    free(cookies);
    return NULL;
}

/* ---- the answer ---- */

static void finish(struct xhr_cookies *cookies)
{
    if (cookies->slot.failure.kind != XHR_ERROR_NONE) {
        xhr_failure_show(&cookies->slot.failure, &cookies->error);
        cookies->has_error = true;
    }
    if (cookies->sync) {
        cookies->sync->is_done = true;
        cookies->sync->result = cookies->has_error ? xhr_error_errno(&cookies->error) : 0;
        return;
    }
    if (cookies->done)
        cookies->done(cookies, cookies->user);
    (void)xhr_cookies_free(cookies);
}

static void on_slot_fail(struct xhr_slot *slot)
{
    finish((struct xhr_cookies *)(void *)slot);
}

const struct xhr_slot_ops xhr_cookies_ops = {.fail = on_slot_fail};

static const char *put(char **at, const ProtobufCBinaryData *bytes)
{
    char *text = *at;

    if (bytes->len > 0)
        memcpy(text, bytes->data, bytes->len);
    text[bytes->len] = '\0';
    *at = text + bytes->len + 1;
    return text;
}

static int grow(struct xhr_cookies *cookies, size_t more)
{
    size_t capacity = cookies->count + more;

    if (capacity > COOKIES_MAX)
        return -EMSGSIZE;
    if (capacity <= cookies->capacity)
        return 0;
    if (capacity < cookies->capacity * 2)
        capacity = cookies->capacity * 2;
    struct xhr_cookie *at = realloc(cookies->at, capacity * sizeof(*at));
    if (at)
        cookies->at = at;
    char **texts = realloc(cookies->texts, capacity * sizeof(*texts));
    if (texts)
        cookies->texts = texts;
    if (!at || !texts)
        return -ENOMEM;
    cookies->capacity = capacity;
    return 0;
}

static int take_cookie(struct xhr_cookies *cookies, const Xhrd__V1__Cookie *from)
{
    size_t size = from->name.len + from->value.len + from->domain.len + from->path.len +
                  from->partition_key.len + 5;
    char *at = malloc(size);

    if (!at)
        return -ENOMEM;
    cookies->texts[cookies->count] = at;
    struct xhr_cookie *cookie = &cookies->at[cookies->count++];
    *cookie = (struct xhr_cookie){
        .size = sizeof(*cookie),
        .secure = from->secure,
        .http_only = from->http_only,
        .host_only = from->host_only,
        .same_site = (enum xhr_same_site)from->same_site,
        .persistent = from->expiry_case == XHRD__V1__COOKIE__EXPIRY_EXPIRES_S,
        .created_s = from->created_s,
        .last_access_s = from->last_access_s,
    };
    cookie->expires_s = cookie->persistent ? from->expires_s : 0;
    cookie->name = put(&at, &from->name);
    cookie->value = put(&at, &from->value);
    cookie->domain = put(&at, &from->domain);
    cookie->path = put(&at, &from->path);
    cookie->partition_key = put(&at, &from->partition_key);
    return 0;
}

static int take_reply(struct xhr_cookies *cookies, const Xhrd__V1__CookieReply *reply)
{
    int r = grow(cookies, reply->n_cookies);

    for (size_t i = 0; r == 0 && i < reply->n_cookies; i++)
        r = take_cookie(cookies, reply->cookies[i]);
    cookies->changed += reply->changed;
    cookies->not_persisted |= reply->not_persisted;
    return r;
}

int xhr_cookies_on_reply(struct xhr_slot *slot,
                         const Xhrd__V1__CookieReply *reply,
                         struct xhr_failure *why)
{
    struct xhr_cookies *cookies = (struct xhr_cookies *)(void *)slot;
    struct xhr_failure failure = {0};

    if (reply->failure && xhr_failure_of_wire(reply->failure, &failure) < 0) {
        xhr_failure_set(why, XHR_ERROR_DAEMON_PROTOCOL,
                        "the daemon sent a failure without a kind");
        return -EPROTO;
    }
    int r = take_reply(cookies, reply);
    if (r == -EMSGSIZE)
        xhr_failure_set(&failure, XHR_ERROR_LIMIT, "more than %d cookies", COOKIES_MAX);
    else if (r < 0)
        xhr_failure_set(&failure, XHR_ERROR_MEMORY, "no memory for the cookies");
    if (reply->more && failure.kind == XHR_ERROR_NONE)
        return 0;
    slot->failure = failure;
    xhr_client_remove_slot(cookies->client, slot);
    finish(cookies);
    return 0;
}

/* ---- the command ---- */

static ProtobufCBinaryData borrow(const char *text)
{
    return (ProtobufCBinaryData){text ? strlen(text) : 0, xhr_unconst(text)};
}

struct command {
    Xhrd__V1__ClientMessage message;
    Xhrd__V1__CookieCommand cookie;
    Xhrd__V1__CookieFilter filter;
    Xhrd__V1__CookieList list;
    Xhrd__V1__CookieSet set;
    Xhrd__V1__CookieRemove remove;
    Xhrd__V1__Cookie value;
};

static void command_init(struct command *command, const char *jar)
{
    xhrd__v1__client_message__init(&command->message);
    xhrd__v1__cookie_command__init(&command->cookie);
    xhrd__v1__cookie_filter__init(&command->filter);
    xhrd__v1__cookie_list__init(&command->list);
    xhrd__v1__cookie_set__init(&command->set);
    xhrd__v1__cookie_remove__init(&command->remove);
    xhrd__v1__cookie__init(&command->value);
    command->message.kind_case = XHRD__V1__CLIENT_MESSAGE__KIND_COOKIE;
    command->message.cookie = &command->cookie;
    command->cookie.filter = &command->filter;
    if (jar)
        command->cookie.jar = xhr_unconst(jar);
}

static int put_filter(struct command *command, const struct xhr_cookie_filter *filter)
{
    struct xhr_cookie_filter given = {0};

    if (filter && xhr_take_sized(&given, sizeof(given), filter) < 0)
        return -EINVAL;
    command->filter.domain = borrow(given.domain);
    command->filter.path = borrow(given.path);
    command->filter.name = borrow(given.name);
    command->filter.host = borrow(given.host);
    return given.domain || given.path || given.name || given.host ? 1 : 0;
}

static int put_cookie(struct command *command, const struct xhr_cookie *cookie, const char *url)
{
    struct xhr_cookie given;
    Xhrd__V1__Cookie *value = &command->value;

    if (!cookie || !url || xhr_take_sized(&given, sizeof(given), cookie) < 0 ||
        given.same_site < XHR_SAME_SITE_UNSPECIFIED || given.same_site > XHR_SAME_SITE_STRICT)
        return -EINVAL;
    value->name = borrow(given.name);
    value->value = borrow(given.value);
    value->domain = borrow(given.domain);
    value->path = borrow(given.path);
    value->partition_key = borrow(given.partition_key);
    value->secure = given.secure;
    value->http_only = given.http_only;
    value->host_only = given.host_only;
    value->same_site = (Xhrd__V1__SameSite)given.same_site;
    if (given.persistent) {
        value->expiry_case = XHRD__V1__COOKIE__EXPIRY_EXPIRES_S;
        value->expires_s = given.expires_s;
    }
    command->set.cookie = value;
    command->set.url = borrow(url);
    command->cookie.operation_case = XHRD__V1__COOKIE_COMMAND__OPERATION_SET;
    command->cookie.set = &command->set;
    return 0;
}

static int send_command(struct xhr_cookies *cookies, struct command *command)
{
    int r = xhr_client_add_slot(cookies->client, &cookies->slot);

    if (r < 0)
        return r;
    command->cookie.command_id = cookies->slot.id;
    r = xhr_link_queue(cookies->client, &command->message, &cookies->slot, NULL);
    if (r < 0)
        xhr_client_remove_slot(cookies->client, &cookies->slot);
    return r;
}

struct asker {
    void (*done)(const struct xhr_cookies *cookies, void *user);
    void *user;
    struct xhr_sync *sync;
};

/* Return: 0 and, for a _wait function, the object that will hold the result. */
static int start(struct xhr_client *client,
                 struct command *command,
                 const struct asker *asker,
                 struct xhr_cookies **ret)
{
    struct xhr_cookies *cookies;
    int r;

    if (client->is_freed)
        return -ENOTCONN;
    if (asker->sync && client->is_dispatching)
        return -EDEADLK;
    cookies = calloc(1, sizeof(*cookies));
    if (!cookies)
        return -ENOMEM;
    cookies->slot.ops = &xhr_cookies_ops;
    cookies->client = client;
    cookies->done = asker->done;
    cookies->user = asker->user;
    cookies->sync = asker->sync;
    r = send_command(cookies, command);
    if (r < 0) {
        free(cookies);
        return r;
    }
    if (ret)
        *ret = cookies;
    xhr_client_hold(client);
    xhr_client_kick(client);
    xhr_client_release(client);
    return 0;
}

static int
wait_for(struct xhr_client *client, struct command *command, struct xhr_cookies **ret)
{
    struct xhr_sync sync = {0};
    const struct asker asker = {.sync = &sync};
    struct xhr_cookies *cookies = NULL;
    int r;

    *ret = NULL;
    r = start(client, command, &asker, &cookies);
    if (r < 0)
        return r;
    xhr_client_hold(client);
    r = xhr_sync_wait(client, &sync.is_done);
    if (!sync.is_done)
        xhr_client_remove_slot(client, &cookies->slot);
    xhr_client_release(client);
    if (!sync.is_done) {
        (void)xhr_cookies_free(cookies);
        return r;
    }
    cookies->sync = NULL;
    *ret = cookies;
    return sync.result;
}

static int
make_list(struct command *command, const char *jar, const struct xhr_cookie_filter *filter)
{
    int r;

    command_init(command, jar);
    r = put_filter(command, filter);
    command->cookie.operation_case = XHRD__V1__COOKIE_COMMAND__OPERATION_LIST;
    command->cookie.list = &command->list;
    return r < 0 ? r : 0;
}

static int make_set(struct command *command,
                    const char *jar,
                    const struct xhr_cookie *cookie,
                    const char *url)
{
    command_init(command, jar);
    return put_cookie(command, cookie, url);
}

/* @filter NULL here: everything. */
static int
make_remove(struct command *command, const char *jar, const struct xhr_cookie_filter *filter)
{
    int r;

    command_init(command, jar);
    r = put_filter(command, filter);
    command->cookie.operation_case = XHRD__V1__COOKIE_COMMAND__OPERATION_REMOVE;
    command->cookie.remove = &command->remove;
    return r < 0 || (filter && r == 0) ? -EINVAL : 0;
}

int xhr_cookies_list(struct xhr_client *client,
                     const char *jar,
                     const struct xhr_cookie_filter *filter,
                     void (*done)(const struct xhr_cookies *cookies, void *user),
                     void *user)
{
    struct command command;
    const struct asker asker = {.done = done, .user = user};
    int r = make_list(&command, jar, filter);

    return r < 0 ? r : start(client, &command, &asker, NULL);
}

int xhr_cookies_set(struct xhr_client *client,
                    const char *jar,
                    const struct xhr_cookie *cookie,
                    const char *url,
                    void (*done)(const struct xhr_cookies *cookies, void *user),
                    void *user)
{
    struct command command;
    const struct asker asker = {.done = done, .user = user};
    int r = make_set(&command, jar, cookie, url);

    return r < 0 ? r : start(client, &command, &asker, NULL);
}

int xhr_cookies_remove(struct xhr_client *client,
                       const char *jar,
                       const struct xhr_cookie_filter *filter,
                       void (*done)(const struct xhr_cookies *cookies, void *user),
                       void *user)
{
    struct command command;
    const struct asker asker = {.done = done, .user = user};
    int r = filter ? make_remove(&command, jar, filter) : -EINVAL;

    return r < 0 ? r : start(client, &command, &asker, NULL);
}

int xhr_cookies_clear(struct xhr_client *client,
                      const char *jar,
                      void (*done)(const struct xhr_cookies *cookies, void *user),
                      void *user)
{
    struct command command;
    const struct asker asker = {.done = done, .user = user};
    int r = make_remove(&command, jar, NULL);

    return r < 0 ? r : start(client, &command, &asker, NULL);
}

int xhr_cookies_list_wait(struct xhr_client *client,
                          const char *jar,
                          const struct xhr_cookie_filter *filter,
                          struct xhr_cookies **ret)
{
    struct command command;
    int r = make_list(&command, jar, filter);

    *ret = NULL;
    return r < 0 ? r : wait_for(client, &command, ret);
}

int xhr_cookies_set_wait(struct xhr_client *client,
                         const char *jar,
                         const struct xhr_cookie *cookie,
                         const char *url,
                         struct xhr_cookies **ret)
{
    struct command command;
    int r = make_set(&command, jar, cookie, url);

    *ret = NULL;
    return r < 0 ? r : wait_for(client, &command, ret);
}

int xhr_cookies_remove_wait(struct xhr_client *client,
                            const char *jar,
                            const struct xhr_cookie_filter *filter,
                            struct xhr_cookies **ret)
{
    struct command command;
    int r = filter ? make_remove(&command, jar, filter) : -EINVAL;

    *ret = NULL;
    return r < 0 ? r : wait_for(client, &command, ret);
}

int xhr_cookies_clear_wait(struct xhr_client *client, const char *jar, struct xhr_cookies **ret)
{
    struct command command;
    int r = make_remove(&command, jar, NULL);

    *ret = NULL;
    return r < 0 ? r : wait_for(client, &command, ret);
}
