/* SPDX-License-Identifier: MIT */
/* The cookie functions of the public header: each says what the daemon is asked. */
#include <string.h>

#include "cookies_priv.h"

#define SYSTEM_JAR "system"

int xhr_cookie_command_begin(struct xhr_cookie_command *command,
                             const struct xhr_cookie_call *given,
                             struct xhr_cookie_call *call,
                             struct xhr_cookies **ret)
{
    *call = (struct xhr_cookie_call){0};
    if (ret)
        *ret = NULL;
    if (given && xhr_take_sized(call, sizeof(*call), given) < 0)
        return -EINVAL;
    xhr_cookie_command_init(command, call->jar);
    return 0;
}

/* The same for the functions of the system jar, whose call names none. */
static int begin_system(const struct xhr_cookie_call *given, struct xhr_cookie_call *call)
{
    *call = (struct xhr_cookie_call){0};
    if (given && xhr_take_sized(call, sizeof(*call), given) < 0)
        return -EINVAL;
    if (call->jar && strcmp(call->jar, SYSTEM_JAR) != 0)
        return -EINVAL;
    call->size = sizeof(*call);
    call->jar = SYSTEM_JAR;
    return 0;
}

static bool is_given(const char *text)
{
    return text && text[0];
}

static void make_list(struct xhr_cookie_command *command)
{
    xhrd__v1__cookie_list__init(&command->operation.list);
    command->cookie.operation_case = XHRD__V1__COOKIE_COMMAND__OPERATION_LIST;
    command->cookie.list = &command->operation.list;
    command->cookie.filter = &command->filter;
}

static void make_remove(struct xhr_cookie_command *command)
{
    xhrd__v1__cookie_remove__init(&command->operation.remove);
    command->cookie.operation_case = XHRD__V1__COOKIE_COMMAND__OPERATION_REMOVE;
    command->cookie.remove = &command->operation.remove;
    command->cookie.filter = &command->filter;
}

int xhr_cookie_to_wire(const struct xhr_cookie *cookie, Xhrd__V1__Cookie *ret)
{
    struct xhr_cookie given;

    if (!cookie || xhr_take_sized(&given, sizeof(given), cookie) < 0 ||
        given.same_site < XHR_SAME_SITE_UNSPECIFIED || given.same_site > XHR_SAME_SITE_STRICT)
        return -EINVAL;
    ret->name = xhr_borrow_text(given.name);
    ret->value = xhr_borrow_text(given.value);
    ret->domain = xhr_borrow_text(given.domain);
    ret->path = xhr_borrow_text(given.path);
    ret->partition_key = xhr_borrow_text(given.partition_key);
    ret->comment = xhr_borrow_text(given.comment);
    ret->original_url = xhr_borrow_text(given.original_url);
    ret->version = given.version;
    ret->secure = given.secure;
    ret->http_only = given.http_only;
    ret->host_only = given.host_only;
    ret->same_site = (Xhrd__V1__SameSite)given.same_site;
    if (given.persistent) {
        ret->expiry_case = XHRD__V1__COOKIE__EXPIRY_EXPIRES_S;
        ret->expires_s = given.expires_s;
    }
    return 0;
}

/* Return: 0 or -EINVAL. */
static int
make_set(struct xhr_cookie_command *command, const struct xhr_cookie *cookie, const char *url)
{
    struct xhr_cookie given;

    if (xhr_cookie_to_wire(cookie, &command->value) < 0 ||
        xhr_take_sized(&given, sizeof(given), cookie) < 0)
        return -EINVAL;
    xhrd__v1__cookie_set__init(&command->operation.set);
    command->operation.set.cookie = &command->value;
    command->operation.set.url = xhr_borrow_text(url);
    command->operation.set.partitioned = given.partitioned;
    command->cookie.operation_case = XHRD__V1__COOKIE_COMMAND__OPERATION_SET;
    command->cookie.set = &command->operation.set;
    return 0;
}

int xhr_cookie_command_filter(struct xhr_cookie_command *command,
                              const struct xhr_cookie_filter *filter)
{
    struct xhr_cookie_filter given = {0};

    if (filter && xhr_take_sized(&given, sizeof(given), filter) < 0)
        return -EINVAL;
    command->filter.domain = xhr_borrow_text(given.domain);
    command->filter.path = xhr_borrow_text(given.path);
    command->filter.name = xhr_borrow_text(given.name);
    command->filter.host = xhr_borrow_text(given.host);
    command->filter.request_path = xhr_borrow_text(given.request_path);
    command->filter.partition_key = xhr_borrow_text(given.partition_key);
    return is_given(given.domain) || is_given(given.path) || is_given(given.name) ||
           is_given(given.host) || is_given(given.request_path) ||
           is_given(given.partition_key);
}

/* ---- HTTPClient and Network ---- */

int xhr_http_cookie_add(struct xhr_client *client,
                        const struct xhr_cookie_call *given,
                        const struct xhr_cookie *cookie,
                        const char *url,
                        struct xhr_cookies **ret)
{
    struct xhr_cookie_command command;
    struct xhr_cookie_call call;
    int r = xhr_cookie_command_begin(&command, given, &call, ret);

    if (r == 0)
        r = make_set(&command, cookie, url);
    return r < 0 ? r : xhr_cookie_command_run(client, &command, &call, ret);
}

int xhr_http_cookies_get(struct xhr_client *client,
                         const struct xhr_cookie_call *given,
                         const char *domain,
                         const char *path,
                         const char *name,
                         struct xhr_cookies **ret)
{
    struct xhr_cookie_command command;
    struct xhr_cookie_call call;
    int r = xhr_cookie_command_begin(&command, given, &call, ret);

    if (r < 0 || !is_given(domain))
        return -EINVAL;
    make_list(&command);
    command.filter.host = xhr_borrow_text(domain);
    command.filter.request_path = xhr_borrow_text(path);
    command.filter.name = xhr_borrow_text(name);
    return xhr_cookie_command_run(client, &command, &call, ret);
}

int xhr_http_cookies_get_for_domain(struct xhr_client *client,
                                    const struct xhr_cookie_call *call,
                                    const char *domain,
                                    struct xhr_cookies **ret)
{
    return xhr_http_cookies_get(client, call, domain, NULL, NULL, ret);
}

int xhr_http_cookie_remove(struct xhr_client *client,
                           const struct xhr_cookie_call *given,
                           const char *domain,
                           const char *path,
                           const char *name,
                           struct xhr_cookies **ret)
{
    struct xhr_cookie_command command;
    struct xhr_cookie_call call;
    int r = xhr_cookie_command_begin(&command, given, &call, ret);

    if (r < 0 || !is_given(domain) || !path || !is_given(name))
        return -EINVAL;
    make_remove(&command);
    command.filter.domain = xhr_borrow_text(domain);
    command.filter.path = xhr_borrow_text(path[0] ? path : "/");
    command.filter.name = xhr_borrow_text(name);
    return xhr_cookie_command_run(client, &command, &call, ret);
}

int xhr_http_cookies_remove_for_domain(struct xhr_client *client,
                                       const struct xhr_cookie_call *given,
                                       const char *domain,
                                       struct xhr_cookies **ret)
{
    struct xhr_cookie_command command;
    struct xhr_cookie_call call;
    int r = xhr_cookie_command_begin(&command, given, &call, ret);

    if (r < 0 || !is_given(domain))
        return -EINVAL;
    make_remove(&command);
    command.filter.host = xhr_borrow_text(domain);
    return xhr_cookie_command_run(client, &command, &call, ret);
}

int xhr_http_cookies_remove_all(struct xhr_client *client,
                                const struct xhr_cookie_call *given,
                                struct xhr_cookies **ret)
{
    struct xhr_cookie_command command;
    struct xhr_cookie_call call;
    int r = xhr_cookie_command_begin(&command, given, &call, ret);

    if (r < 0)
        return r;
    make_remove(&command);
    return xhr_cookie_command_run(client, &command, &call, ret);
}

int xhr_http_cookies_all(struct xhr_client *client,
                         const struct xhr_cookie_call *given,
                         struct xhr_cookies **ret)
{
    struct xhr_cookie_command command;
    struct xhr_cookie_call call;
    int r = xhr_cookie_command_begin(&command, given, &call, ret);

    if (r < 0)
        return r;
    make_list(&command);
    return xhr_cookie_command_run(client, &command, &call, ret);
}

int xhr_system_cookie_add(struct xhr_client *client,
                          const struct xhr_cookie_call *given,
                          const struct xhr_cookie *cookie,
                          const char *url,
                          struct xhr_cookies **ret)
{
    struct xhr_cookie_call call;
    int r = begin_system(given, &call);

    return r < 0 ? r : xhr_http_cookie_add(client, &call, cookie, url, ret);
}

int xhr_system_cookies_get(struct xhr_client *client,
                           const struct xhr_cookie_call *given,
                           const char *domain,
                           const char *path,
                           const char *name,
                           struct xhr_cookies **ret)
{
    struct xhr_cookie_call call;
    int r = begin_system(given, &call);

    return r < 0 ? r : xhr_http_cookies_get(client, &call, domain, path, name, ret);
}

int xhr_system_cookie_remove(struct xhr_client *client,
                             const struct xhr_cookie_call *given,
                             const char *domain,
                             const char *path,
                             const char *name,
                             struct xhr_cookies **ret)
{
    struct xhr_cookie_call call;
    int r = begin_system(given, &call);

    return r < 0 ? r : xhr_http_cookie_remove(client, &call, domain, path, name, ret);
}

int xhr_system_cookies_remove_all(struct xhr_client *client,
                                  const struct xhr_cookie_call *given,
                                  struct xhr_cookies **ret)
{
    struct xhr_cookie_call call;
    int r = begin_system(given, &call);

    return r < 0 ? r : xhr_http_cookies_remove_all(client, &call, ret);
}

int xhr_clear_cookies(struct xhr_client *client,
                      const struct xhr_cookie_call *call,
                      const char *host,
                      struct xhr_cookies **ret)
{
    return xhr_http_cookies_remove_for_domain(client, call, host, ret);
}

/* ---- sessions and jars ---- */

int xhr_session_end(struct xhr_client *client,
                    const struct xhr_cookie_call *given,
                    struct xhr_cookies **ret)
{
    struct xhr_cookie_command command;
    struct xhr_cookie_call call;
    int r = xhr_cookie_command_begin(&command, given, &call, ret);

    if (r < 0)
        return r;
    xhrd__v1__session_end__init(&command.operation.end_session);
    command.cookie.operation_case = XHRD__V1__COOKIE_COMMAND__OPERATION_END_SESSION;
    command.cookie.end_session = &command.operation.end_session;
    return xhr_cookie_command_run(client, &command, &call, ret);
}

int xhr_jars_list(struct xhr_client *client,
                  const struct xhr_cookie_call *given,
                  const uint32_t *owner_uid,
                  struct xhr_cookies **ret)
{
    struct xhr_cookie_command command;
    struct xhr_cookie_call call;
    int r = xhr_cookie_command_begin(&command, given, &call, ret);

    if (r < 0 || call.jar)
        return -EINVAL;
    xhrd__v1__jar_list__init(&command.operation.jar_list);
    if (owner_uid) {
        command.operation.jar_list.of_case = XHRD__V1__JAR_LIST__OF_OWNER_UID;
        command.operation.jar_list.owner_uid = *owner_uid;
    }
    command.cookie.operation_case = XHRD__V1__COOKIE_COMMAND__OPERATION_JAR_LIST;
    command.cookie.jar_list = &command.operation.jar_list;
    return xhr_cookie_command_run(client, &command, &call, ret);
}

int xhr_jar_create(struct xhr_client *client,
                   const struct xhr_cookie_call *given,
                   struct xhr_cookies **ret)
{
    struct xhr_cookie_command command;
    struct xhr_cookie_call call;
    int r = xhr_cookie_command_begin(&command, given, &call, ret);

    if (r < 0 || !is_given(call.jar))
        return -EINVAL;
    xhrd__v1__jar_create__init(&command.operation.jar_create);
    command.cookie.operation_case = XHRD__V1__COOKIE_COMMAND__OPERATION_JAR_CREATE;
    command.cookie.jar_create = &command.operation.jar_create;
    return xhr_cookie_command_run(client, &command, &call, ret);
}

int xhr_jar_remove(struct xhr_client *client,
                   const struct xhr_cookie_call *given,
                   struct xhr_cookies **ret)
{
    struct xhr_cookie_command command;
    struct xhr_cookie_call call;
    int r = xhr_cookie_command_begin(&command, given, &call, ret);

    if (r < 0 || !is_given(call.jar))
        return -EINVAL;
    xhrd__v1__jar_remove__init(&command.operation.jar_remove);
    command.cookie.operation_case = XHRD__V1__COOKIE_COMMAND__OPERATION_JAR_REMOVE;
    command.cookie.jar_remove = &command.operation.jar_remove;
    return xhr_cookie_command_run(client, &command, &call, ret);
}

/* Return: 0 or -EINVAL. */
static int put_grant(struct xhr_cookie_command *command, const struct xhr_jar_grant *grant)
{
    struct xhr_jar_grant given;

    if (!grant || xhr_take_sized(&given, sizeof(given), grant) < 0 ||
        given.right < XHR_JAR_NONE || given.right > XHR_JAR_WRITE)
        return -EINVAL;
    command->grant.right = (Xhrd__V1__JarRight)given.right;
    command->grant.whom_case =
        given.is_group ? XHRD__V1__JAR_GRANT__WHOM_GID : XHRD__V1__JAR_GRANT__WHOM_UID;
    if (given.is_group)
        command->grant.gid = given.id;
    else
        command->grant.uid = given.id;
    return 0;
}

int xhr_jar_grant_right(struct xhr_client *client,
                        const struct xhr_cookie_call *given,
                        const struct xhr_jar_grant *grant,
                        struct xhr_cookies **ret)
{
    struct xhr_cookie_command command;
    struct xhr_cookie_call call;
    int r = xhr_cookie_command_begin(&command, given, &call, ret);

    if (r == 0)
        r = put_grant(&command, grant);
    if (r < 0 || command.grant.right == XHRD__V1__JAR_RIGHT__JAR_RIGHT_UNSPECIFIED)
        return -EINVAL;
    xhrd__v1__jar_give__init(&command.operation.jar_grant);
    command.operation.jar_grant.grant = &command.grant;
    command.cookie.operation_case = XHRD__V1__COOKIE_COMMAND__OPERATION_JAR_GRANT;
    command.cookie.jar_grant = &command.operation.jar_grant;
    return xhr_cookie_command_run(client, &command, &call, ret);
}

int xhr_jar_revoke_right(struct xhr_client *client,
                         const struct xhr_cookie_call *given,
                         const struct xhr_jar_grant *grant,
                         struct xhr_cookies **ret)
{
    struct xhr_cookie_command command;
    struct xhr_cookie_call call;
    int r = xhr_cookie_command_begin(&command, given, &call, ret);

    if (r == 0)
        r = put_grant(&command, grant);
    if (r < 0)
        return r;
    xhrd__v1__jar_revoke__init(&command.operation.jar_revoke);
    command.operation.jar_revoke.grant = &command.grant;
    command.cookie.operation_case = XHRD__V1__COOKIE_COMMAND__OPERATION_JAR_REVOKE;
    command.cookie.jar_revoke = &command.operation.jar_revoke;
    return xhr_cookie_command_run(client, &command, &call, ret);
}

/* ---- the same, plainly ---- */

static int list(struct xhr_client *client,
                const struct xhr_cookie_call *call,
                const struct xhr_cookie_filter *filter,
                struct xhr_cookies **ret)
{
    struct xhr_cookie_command command;

    xhr_cookie_command_init(&command, call->jar);
    int r = xhr_cookie_command_filter(&command, filter);
    make_list(&command);
    return r < 0 ? r : xhr_cookie_command_run(client, &command, call, ret);
}

static int set(struct xhr_client *client,
               const struct xhr_cookie_call *call,
               const struct xhr_cookie *cookie,
               const char *url,
               struct xhr_cookies **ret)
{
    struct xhr_cookie_command command;

    xhr_cookie_command_init(&command, call->jar);
    int r = url ? make_set(&command, cookie, url) : -EINVAL;
    return r < 0 ? r : xhr_cookie_command_run(client, &command, call, ret);
}

/* @filter NULL here: everything. */
static int take_out(struct xhr_client *client,
                    const struct xhr_cookie_call *call,
                    const struct xhr_cookie_filter *filter,
                    struct xhr_cookies **ret)
{
    struct xhr_cookie_command command;

    xhr_cookie_command_init(&command, call->jar);
    int r = xhr_cookie_command_filter(&command, filter);
    make_remove(&command);
    if (r < 0 || (filter && r == 0))
        return -EINVAL;
    return xhr_cookie_command_run(client, &command, call, ret);
}

int xhr_cookies_list(struct xhr_client *client,
                     const char *jar,
                     const struct xhr_cookie_filter *filter,
                     void (*done)(const struct xhr_cookies *cookies, void *user),
                     void *user)
{
    const struct xhr_cookie_call call = {.jar = jar, .done = done, .user = user};

    return list(client, &call, filter, NULL);
}

int xhr_cookies_set(struct xhr_client *client,
                    const char *jar,
                    const struct xhr_cookie *cookie,
                    const char *url,
                    void (*done)(const struct xhr_cookies *cookies, void *user),
                    void *user)
{
    const struct xhr_cookie_call call = {.jar = jar, .done = done, .user = user};

    return set(client, &call, cookie, url, NULL);
}

int xhr_cookies_remove(struct xhr_client *client,
                       const char *jar,
                       const struct xhr_cookie_filter *filter,
                       void (*done)(const struct xhr_cookies *cookies, void *user),
                       void *user)
{
    const struct xhr_cookie_call call = {.jar = jar, .done = done, .user = user};

    return filter ? take_out(client, &call, filter, NULL) : -EINVAL;
}

int xhr_cookies_clear(struct xhr_client *client,
                      const char *jar,
                      void (*done)(const struct xhr_cookies *cookies, void *user),
                      void *user)
{
    const struct xhr_cookie_call call = {.jar = jar, .done = done, .user = user};

    return take_out(client, &call, NULL, NULL);
}

int xhr_cookies_list_wait(struct xhr_client *client,
                          const char *jar,
                          const struct xhr_cookie_filter *filter,
                          struct xhr_cookies **ret)
{
    const struct xhr_cookie_call call = {.jar = jar};

    *ret = NULL;
    return list(client, &call, filter, ret);
}

int xhr_cookies_set_wait(struct xhr_client *client,
                         const char *jar,
                         const struct xhr_cookie *cookie,
                         const char *url,
                         struct xhr_cookies **ret)
{
    const struct xhr_cookie_call call = {.jar = jar};

    *ret = NULL;
    return set(client, &call, cookie, url, ret);
}

int xhr_cookies_remove_wait(struct xhr_client *client,
                            const char *jar,
                            const struct xhr_cookie_filter *filter,
                            struct xhr_cookies **ret)
{
    const struct xhr_cookie_call call = {.jar = jar};

    *ret = NULL;
    return filter ? take_out(client, &call, filter, ret) : -EINVAL;
}

int xhr_cookies_clear_wait(struct xhr_client *client, const char *jar, struct xhr_cookies **ret)
{
    const struct xhr_cookie_call call = {.jar = jar};

    *ret = NULL;
    return take_out(client, &call, NULL, ret);
}
