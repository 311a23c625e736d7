/* SPDX-License-Identifier: MIT */
/* The answer to a cookie command, and the way of a command to the daemon. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cookies_priv.h"

/* ---- the result ---- */

size_t xhr_cookies_count(const struct xhr_cookies *cookies)
{
    return cookies->list.count;
}

const struct xhr_cookie *xhr_cookies_at(const struct xhr_cookies *cookies, size_t index)
{
    return index < cookies->list.count ? &cookies->list.at[index] : NULL;
}

uint64_t xhr_cookies_changed(const struct xhr_cookies *cookies)
{
    return cookies->changed;
}

bool xhr_cookies_not_persisted(const struct xhr_cookies *cookies)
{
    return cookies->not_persisted;
}

enum xhr_durability xhr_cookies_durability(const struct xhr_cookies *cookies)
{
    return cookies->durability;
}

const struct xhr_error *xhr_cookies_error(const struct xhr_cookies *cookies)
{
    return cookies->has_error ? &cookies->error : NULL;
}

size_t xhr_jars_count(const struct xhr_cookies *answer)
{
    return answer->jars.count;
}

const struct xhr_jar_info *xhr_jars_at(const struct xhr_cookies *answer, size_t index)
{
    return index < answer->jars.count ? &answer->jars.at[index] : NULL;
}

bool xhr_cookie_is_valid(const struct xhr_cookie *cookie)
{
    return !cookie->persistent || cookie->expires_s > (int64_t)time(NULL);
}

struct xhr_cookies *xhr_cookies_free(struct xhr_cookies *cookies)
{
    if (!cookies)
        return NULL;
    xhr_cookie_list_done(&cookies->list);
    xhr_jar_list_done(&cookies->jars);
    xhr_remark_list_done(&cookies->remarks);
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

void xhr_cookies_explain(int r, struct xhr_failure *ret)
{
    if (r == -EMSGSIZE)
        xhr_failure_set(ret, XHR_ERROR_LIMIT, "more than %d cookies", XHR_COOKIES_MAX);
    else
        xhr_failure_set(ret, XHR_ERROR_MEMORY, "no memory for the cookies");
}

static enum xhr_durability durability_of(const Xhrd__V1__CookieReply *reply)
{
    if (reply->not_persisted || reply->durability == XHRD__V1__DURABILITY__DURABILITY_MEMORY)
        return XHR_DURABILITY_MEMORY;
    return reply->durability == XHRD__V1__DURABILITY__DURABILITY_SYNCED ? XHR_DURABILITY_SYNCED
                                                                        : XHR_DURABILITY_STORED;
}

static int take_reply(struct xhr_cookies *cookies, const Xhrd__V1__CookieReply *reply)
{
    int r = xhr_cookie_list_take(&cookies->list, reply->cookies, reply->n_cookies);

    if (r == 0)
        r = xhr_jar_list_take(&cookies->jars, reply->jars, reply->n_jars);
    if (r == 0)
        r = xhr_remark_list_take(&cookies->remarks, reply);
    cookies->changed += reply->changed;
    cookies->not_persisted |= reply->not_persisted;
    cookies->durability = durability_of(reply);
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
    if (r < 0)
        xhr_cookies_explain(r, &failure);
    if (reply->more && failure.kind == XHR_ERROR_NONE)
        return 0;
    slot->failure = failure;
    xhr_client_remove_slot(cookies->client, slot);
    finish(cookies);
    return 0;
}

/* ---- the command ---- */

ProtobufCBinaryData xhr_borrow_text(const char *text)
{
    return (ProtobufCBinaryData){text ? strlen(text) : 0, xhr_unconst(text)};
}

void xhr_cookie_command_init(struct xhr_cookie_command *command, const char *jar)
{
    xhrd__v1__client_message__init(&command->message);
    xhrd__v1__cookie_command__init(&command->cookie);
    xhrd__v1__cookie_filter__init(&command->filter);
    xhrd__v1__cookie__init(&command->value);
    xhrd__v1__jar_grant__init(&command->grant);
    command->message.kind_case = XHRD__V1__CLIENT_MESSAGE__KIND_COOKIE;
    command->message.cookie = &command->cookie;
    if (jar)
        command->cookie.jar = xhr_unconst(jar);
}

int xhr_cookie_command_send(struct xhr_client *client,
                            struct xhr_slot *slot,
                            struct xhr_cookie_command *command)
{
    int r = xhr_client_add_slot(client, slot);

    if (r < 0)
        return r;
    command->cookie.command_id = slot->id;
    r = xhr_link_queue(client, &command->message, slot, NULL);
    if (r < 0)
        xhr_client_remove_slot(client, slot);
    return r;
}

static int start(struct xhr_client *client,
                 struct xhr_cookie_command *command,
                 const struct xhr_cookie_call *call,
                 struct xhr_sync *sync,
                 struct xhr_cookies **ret)
{
    struct xhr_cookies *cookies;

    if (client->is_freed)
        return -ENOTCONN;
    if (sync && client->is_dispatching)
        return -EDEADLK;
    cookies = calloc(1, sizeof(*cookies));
    if (!cookies)
        return -ENOMEM;
    cookies->slot.ops = &xhr_cookies_ops;
    cookies->client = client;
    cookies->sync = sync;
    cookies->done = call->done;
    cookies->user = call->user;
    int r = xhr_cookie_command_send(client, &cookies->slot, command);
    if (r < 0) {
        free(cookies);
        return r;
    }
    *ret = cookies;
    xhr_client_hold(client);
    xhr_client_kick(client);
    xhr_client_release(client);
    return 0;
}

static int wait_for(struct xhr_client *client,
                    struct xhr_cookie_command *command,
                    const struct xhr_cookie_call *call,
                    struct xhr_cookies **ret)
{
    struct xhr_sync sync = {0};
    struct xhr_cookies *cookies = NULL;
    int r = start(client, command, call, &sync, &cookies);

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

int xhr_cookie_command_run(struct xhr_client *client,
                           struct xhr_cookie_command *command,
                           const struct xhr_cookie_call *call,
                           struct xhr_cookies **ret)
{
    static const Xhrd__V1__Durability durabilities[] = {
        [XHR_DURABILITY_STORED] = XHRD__V1__DURABILITY__DURABILITY_STORED,
        [XHR_DURABILITY_SYNCED] = XHRD__V1__DURABILITY__DURABILITY_SYNCED,
    };
    struct xhr_cookies *unused;

    if (call->durability != XHR_DURABILITY_STORED && call->durability != XHR_DURABILITY_SYNCED)
        return -EINVAL;
    if (call->durability != XHR_DURABILITY_STORED)
        command->cookie.durability = durabilities[call->durability];
    return ret ? wait_for(client, command, call, ret)
               : start(client, command, call, NULL, &unused);
}
