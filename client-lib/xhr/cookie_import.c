/* SPDX-License-Identifier: MIT */
#include "cookie_import.h"

#include <stdlib.h>
#include <string.h>

#include "cookies_txt.h"

#define BYTES_AIM (256u << 10) /* of one message */

void cookie_import_begin(struct cookie_import *import,
                         struct xhr_client *client,
                         const char *jar,
                         void (*on_refused)(void *user, size_t where, const char *why),
                         void *user)
{
    import->client = client;
    import->jar = jar;
    import->on_refused = on_refused;
    import->user = user;
    import->n_imported = 0;
    import->n_refused = 0;
    import->not_persisted = false;
    import->n = 0;
    import->bytes = 0;
}

static void forget(struct cookie_import *import)
{
    for (size_t i = 0; i < import->n; i++) {
        explicit_bzero(import->texts[i], strlen(import->texts[i]));
        free(import->texts[i]);
    }
    import->n = 0;
    import->bytes = 0;
}

void cookie_import_done(struct cookie_import *import)
{
    forget(import);
}

void cookie_import_refuse(struct cookie_import *import, size_t where, const char *why)
{
    import->n_refused++;
    import->on_refused(import->user, where, why);
}

int cookie_answer_code(int r, const struct xhr_cookies *answer, struct trouble *why)
{
    const struct xhr_error *error = answer ? xhr_cookies_error(answer) : NULL;

    if (error && error->kind == XHR_ERROR_DAEMON_UNREACHABLE)
        return trouble_set(why, EXIT_DAEMON, "no daemon is running: %s",
                           error->text ? error->text : "it cannot be reached");
    if (error)
        return trouble_of_error(why, error, "the daemon");
    return r < 0 ? trouble_set(why, EXIT_DAEMON, "%s", strerror(-r)) : 0;
}

static void take_answer(struct cookie_import *import, const struct xhr_cookies *answer)
{
    import->n_imported += xhr_cookies_changed(answer);
    import->not_persisted |= xhr_cookies_not_persisted(answer);
    for (size_t i = 0; i < xhr_cookies_refused_count(answer); i++) {
        const struct xhr_cookie_refusal *refusal = xhr_cookies_refused_at(answer, i);

        if (refusal->index < import->n)
            cookie_import_refuse(import, import->where[refusal->index], refusal->text);
    }
}

int cookie_import_flush(struct cookie_import *import, struct trouble *why)
{
    const struct xhr_cookie_call call = {.size = sizeof(call), .jar = import->jar};
    struct xhr_cookies *answer = NULL;

    if (import->n == 0)
        return 0;
    int r = xhr_cookies_import(import->client, &call, import->at, import->n, &answer);
    int code = cookie_answer_code(r, answer, why);
    if (code == 0)
        take_answer(import, answer);
    (void)xhr_cookies_free(answer);
    forget(import);
    return code;
}

static const char *put(char **at, const char *text)
{
    const char *copy = *at;
    size_t size = strlen(text) + 1;

    memcpy(*at, text, size);
    *at += size;
    return copy;
}

int cookie_import_add(struct cookie_import *import,
                      const struct xhr_cookie *cookie,
                      size_t where,
                      struct trouble *why)
{
    size_t size = strlen(cookie->name) + strlen(cookie->value) + strlen(cookie->domain) +
                  strlen(cookie->path) + 4;
    char *text = malloc(size);
    char *at = text;

    if (!text)
        return trouble_set(why, EXIT_RESOURCES, "out of memory");
    struct xhr_cookie *copy = &import->at[import->n];
    *copy = *cookie;
    copy->value = put(&at, cookie->value); /* first: it is what has to be wiped */
    copy->name = put(&at, cookie->name);
    copy->domain = put(&at, cookie->domain);
    copy->path = put(&at, cookie->path);
    import->texts[import->n] = text;
    import->where[import->n++] = where;
    import->bytes += size;
    if (import->n < XHR_COOKIES_IMPORT_MAX && import->bytes < BYTES_AIM)
        return 0;
    return cookie_import_flush(import, why);
}

int cookie_import_text(struct cookie_import *import,
                       const char *bytes,
                       size_t len,
                       bool no_session,
                       struct trouble *why)
{
    struct cookies_txt *txt = malloc(sizeof(*txt));
    enum cookies_txt_outcome outcome;
    int code = 0;

    if (!txt)
        return trouble_set(why, EXIT_RESOURCES, "out of memory");
    cookies_txt_begin(txt, bytes, len);
    while (code == 0 && (outcome = cookies_txt_next(txt)) != COOKIES_TXT_END) {
        if (outcome == COOKIES_TXT_REFUSED)
            cookie_import_refuse(import, txt->line, txt->why);
        else if (txt->cookie.persistent || !no_session)
            code = cookie_import_add(import, &txt->cookie, txt->line, why);
    }
    explicit_bzero(txt->text, sizeof(txt->text));
    free(txt);
    return code == 0 ? cookie_import_flush(import, why) : code;
}
