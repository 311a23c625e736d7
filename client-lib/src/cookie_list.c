/* SPDX-License-Identifier: MIT */
/* Cookies and jars as the daemon tells them, copied: each with all its texts in one piece. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cookies_priv.h"

#define JARS_MAX 4096 /* of one answer: a user has 256 */

static const char *put(char **at, const ProtobufCBinaryData *bytes)
{
    char *text = *at;

    if (bytes->len > 0)
        memcpy(text, bytes->data, bytes->len);
    text[bytes->len] = '\0';
    *at = text + bytes->len + 1;
    return text;
}

static int grow(struct xhr_cookie_list *list, size_t more)
{
    size_t capacity = list->count + more;

    if (more > XHR_COOKIES_MAX || capacity > XHR_COOKIES_MAX)
        return -EMSGSIZE;
    if (capacity <= list->capacity)
        return 0;
    if (capacity < list->capacity * 2)
        capacity = list->capacity * 2;
    struct xhr_cookie *at = realloc(list->at, capacity * sizeof(*at));
    if (at)
        list->at = at;
    char **texts = realloc(list->texts, capacity * sizeof(*texts));
    if (texts)
        list->texts = texts;
    if (!at || !texts)
        return -ENOMEM;
    list->capacity = capacity;
    return 0;
}

static size_t text_size(const Xhrd__V1__Cookie *from)
{
    return from->name.len + from->value.len + from->domain.len + from->path.len +
           from->partition_key.len + from->comment.len + from->original_url.len + 7;
}

static void take_lifetime(struct xhr_cookie *cookie, const Xhrd__V1__Cookie *from)
{
    int64_t now_s = (int64_t)time(NULL);

    cookie->persistent = from->expiry_case == XHRD__V1__COOKIE__EXPIRY_EXPIRES_S;
    if (!cookie->persistent)
        return;
    cookie->expires_s = from->expires_s;
    cookie->max_age_s = from->expires_s > now_s ? from->expires_s - now_s : 0;
}

static int take_one(struct xhr_cookie_list *list, const Xhrd__V1__Cookie *from)
{
    char *at = malloc(text_size(from));

    if (!at)
        return -ENOMEM;
    list->texts[list->count] = at;
    struct xhr_cookie *cookie = &list->at[list->count++];
    *cookie = (struct xhr_cookie){
        .size = sizeof(*cookie),
        .secure = from->secure,
        .http_only = from->http_only,
        .host_only = from->host_only,
        .same_site = (enum xhr_same_site)from->same_site,
        .created_s = from->created_s,
        .last_access_s = from->last_access_s,
        .partitioned = from->partition_key.len > 0,
        .value_withheld = from->value_withheld,
        .version = from->version,
    };
    take_lifetime(cookie, from);
    cookie->name = put(&at, &from->name);
    cookie->value = put(&at, &from->value);
    cookie->domain = put(&at, &from->domain);
    cookie->path = put(&at, &from->path);
    cookie->partition_key = put(&at, &from->partition_key);
    cookie->comment = put(&at, &from->comment);
    cookie->original_url = put(&at, &from->original_url);
    return 0;
}

int xhr_cookie_list_take(struct xhr_cookie_list *list,
                         Xhrd__V1__Cookie *const *cookies,
                         size_t count)
{
    int r = grow(list, count);

    for (size_t i = 0; r == 0 && i < count; i++)
        r = take_one(list, cookies[i]);
    return r;
}

void xhr_cookie_list_done(struct xhr_cookie_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        free(list->texts[i]);
    free(list->texts);
    free(list->at);
    *list = (struct xhr_cookie_list){0};
}

/* ---- jars ---- */

static void
take_grants(struct xhr_jar_grant *at, const Xhrd__V1__JarInfo *from, struct xhr_jar_info *info)
{
    for (size_t i = 0; i < from->n_grants; i++) {
        const Xhrd__V1__JarGrant *grant = from->grants[i];
        bool is_group = grant->whom_case == XHRD__V1__JAR_GRANT__WHOM_GID;

        at[i] = (struct xhr_jar_grant){
            .size = sizeof(*at),
            .is_group = is_group,
            .id = is_group ? grant->gid : grant->uid,
            .right = (enum xhr_jar_right)grant->right,
        };
    }
    info->grants = at;
    info->n_grants = from->n_grants;
}

/* Grants first, they want to be aligned; the texts behind them. */
static char *take_jar(struct xhr_jar_info *info, const Xhrd__V1__JarInfo *from)
{
    const ProtobufCBinaryData profile = xhr_borrow_text(from->profile);
    size_t grants_size = from->n_grants * sizeof(struct xhr_jar_grant);
    char *block = malloc(grants_size + from->name.len + profile.len + 2);

    if (!block)
        return NULL;
    char *at = block + grants_size;
    *info = (struct xhr_jar_info){
        .owner_uid = from->owner_uid,
        .right = (enum xhr_jar_right)from->right,
        .cookies = from->cookies,
        .created_s = from->created_s,
    };
    info->name = put(&at, &from->name);
    info->profile = put(&at, &profile);
    take_grants((struct xhr_jar_grant *)(void *)block, from, info);
    return block;
}

int xhr_jar_list_take(struct xhr_jar_list *list, Xhrd__V1__JarInfo *const *jars, size_t count)
{
    if (count == 0)
        return 0;
    if (count > JARS_MAX || list->count + count > JARS_MAX)
        return -EMSGSIZE;
    struct xhr_jar_info *at = realloc(list->at, (list->count + count) * sizeof(*at));
    if (at)
        list->at = at;
    char **texts = realloc(list->texts, (list->count + count) * sizeof(*texts));
    if (texts)
        list->texts = texts;
    if (!at || !texts)
        return -ENOMEM;
    for (size_t i = 0; i < count; i++) {
        texts[list->count] = take_jar(&at[list->count], jars[i]);
        if (!texts[list->count])
            return -ENOMEM;
        list->count++;
    }
    return 0;
}

void xhr_jar_list_done(struct xhr_jar_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        free(list->texts[i]);
    free(list->texts);
    free(list->at);
    *list = (struct xhr_jar_list){0};
}
