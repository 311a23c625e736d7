/* SPDX-License-Identifier: MIT */
/* Many cookies at once, and what the daemon says of each of many. */
#include <stdlib.h>
#include <string.h>

#include "cookies_priv.h"

/* ---- what is said ---- */

static char *copy_text(const ProtobufCBinaryData *bytes)
{
    char *text = malloc(bytes->len + 1);

    if (!text)
        return NULL;
    if (bytes->len > 0)
        memcpy(text, bytes->data, bytes->len);
    text[bytes->len] = '\0';
    return text;
}

/* Return: the next one, with a copy of @text; NULL for lack of memory. */
static struct xhr_remark *add(struct xhr_remark_list *list, const ProtobufCBinaryData *text)
{
    struct xhr_remark *remark = &list->at[list->n_refused + list->n_verdicts];

    *remark = (struct xhr_remark){.text = copy_text(text)};
    return remark->text ? remark : NULL;
}

static int grow(struct xhr_remark_list *list, size_t more)
{
    size_t count = list->n_refused + list->n_verdicts + more;

    if (count > XHR_COOKIES_MAX)
        return -EMSGSIZE;
    struct xhr_remark *at = realloc(list->at, count * sizeof(*at));
    if (!at)
        return -ENOMEM;
    list->at = at;
    return 0;
}

static int take_refusals(struct xhr_remark_list *list, const Xhrd__V1__CookieReply *reply)
{
    for (size_t i = 0; i < reply->n_refused; i++) {
        struct xhr_remark *remark = add(list, &reply->refused[i]->text);

        if (!remark)
            return -ENOMEM;
        remark->refusal = (struct xhr_cookie_refusal){reply->refused[i]->index, remark->text};
        list->n_refused++;
    }
    return 0;
}

static int take_verdicts(struct xhr_remark_list *list, const Xhrd__V1__CookieReply *reply)
{
    for (size_t i = 0; i < reply->n_verdicts; i++) {
        struct xhr_remark *remark = add(list, &reply->verdicts[i]->text);

        if (!remark)
            return -ENOMEM;
        remark->verdict = (struct xhr_cookie_verdict){reply->verdicts[i]->goes, remark->text};
        list->n_verdicts++;
    }
    return 0;
}

int xhr_remark_list_take(struct xhr_remark_list *list, const Xhrd__V1__CookieReply *reply)
{
    if (reply->n_refused == 0 && reply->n_verdicts == 0)
        return 0;
    if (list->n_refused + reply->n_refused > 0 && list->n_verdicts + reply->n_verdicts > 0)
        return -EMSGSIZE; /* never of one command */
    int r = grow(list, reply->n_refused + reply->n_verdicts);
    if (r == 0)
        r = take_refusals(list, reply);
    return r == 0 ? take_verdicts(list, reply) : r;
}

void xhr_remark_list_done(struct xhr_remark_list *list)
{
    for (size_t i = 0; i < list->n_refused + list->n_verdicts; i++)
        free(list->at[i].text);
    free(list->at);
    *list = (struct xhr_remark_list){0};
}

size_t xhr_cookies_refused_count(const struct xhr_cookies *answer)
{
    return answer->remarks.n_refused;
}

const struct xhr_cookie_refusal *xhr_cookies_refused_at(const struct xhr_cookies *answer,
                                                        size_t index)
{
    return index < answer->remarks.n_refused ? &answer->remarks.at[index].refusal : NULL;
}

const struct xhr_cookie_verdict *xhr_cookies_verdict_at(const struct xhr_cookies *answer,
                                                        size_t index)
{
    return index < answer->remarks.n_verdicts ? &answer->remarks.at[index].verdict : NULL;
}

/* ---- what is asked ---- */

/* Return: the cookies as the wire has them, one block with the pointers in front; NULL. */
static Xhrd__V1__Cookie **wire_cookies(const struct xhr_cookie *cookies, size_t n, int *ret_why)
{
    size_t pointers = n * sizeof(Xhrd__V1__Cookie *);
    char *block = malloc(pointers + n * sizeof(Xhrd__V1__Cookie));
    Xhrd__V1__Cookie **at = (Xhrd__V1__Cookie **)(void *)block;

    *ret_why = -ENOMEM;
    if (!block)
        return NULL;
    for (size_t i = 0; i < n; i++) {
        at[i] = (Xhrd__V1__Cookie *)(void *)(block + pointers) + i;
        xhrd__v1__cookie__init(at[i]);
        *ret_why = xhr_cookie_to_wire(&cookies[i], at[i]);
        if (*ret_why < 0) {
            free(block);
            return NULL;
        }
    }
    return at;
}

int xhr_cookies_import(struct xhr_client *client,
                       const struct xhr_cookie_call *given,
                       const struct xhr_cookie *cookies,
                       size_t n_cookies,
                       struct xhr_cookies **ret)
{
    struct xhr_cookie_command command;
    struct xhr_cookie_call call;
    int r = xhr_cookie_command_begin(&command, given, &call, ret);

    if (r < 0 || !cookies || n_cookies == 0 || n_cookies > XHR_COOKIES_IMPORT_MAX)
        return -EINVAL;
    Xhrd__V1__Cookie **at = wire_cookies(cookies, n_cookies, &r);
    if (!at)
        return r;
    xhrd__v1__cookie_add_all__init(&command.operation.add_all);
    command.operation.add_all.cookies = at;
    command.operation.add_all.n_cookies = n_cookies;
    command.cookie.operation_case = XHRD__V1__COOKIE_COMMAND__OPERATION_ADD_ALL;
    command.cookie.add_all = &command.operation.add_all;
    r = xhr_cookie_command_run(client, &command, &call, ret);
    free(at);
    return r;
}

int xhr_cookies_why(struct xhr_client *client,
                    const struct xhr_cookie_call *given,
                    const struct xhr_cookie_filter *filter,
                    const char *url,
                    struct xhr_cookies **ret)
{
    struct xhr_cookie_command command;
    struct xhr_cookie_call call;
    int r = xhr_cookie_command_begin(&command, given, &call, ret);

    if (r < 0 || !url || !url[0] || xhr_cookie_command_filter(&command, filter) < 0)
        return -EINVAL;
    xhrd__v1__cookie_explain__init(&command.operation.explain);
    command.operation.explain.url = xhr_borrow_text(url);
    command.cookie.operation_case = XHRD__V1__COOKIE_COMMAND__OPERATION_EXPLAIN;
    command.cookie.explain = &command.operation.explain;
    command.cookie.filter = &command.filter;
    return xhr_cookie_command_run(client, &command, &call, ret);
}
