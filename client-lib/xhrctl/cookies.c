/* SPDX-License-Identifier: MIT */
/* cookies and session: looking into a jar, changing it, bringing in and taking out. */
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "browser.h"
#include "cookie_import.h"
#include "cookie_rows.h"
#include "cookies_txt.h"
#include "files.h"
#include "show.h"

#define FILE_BYTES_MAX (512u << 20)

struct asking {
    struct xhr_client *client;
    const struct ctl_options *options;
    struct xhr_cookie_call call;
    struct xhr_cookie_filter filter;
    bool has_filter;
    struct cookie_look look;
    struct strbuf *out;
    struct trouble *why;
};

static void asking_init(struct asking *asking, const struct ctl_options *options)
{
    const char *name = options->command == CTL_COOKIES_GET || options->command == CTL_COOKIES_RM
                           ? options->argument
                           : options->name;

    asking->call = (struct xhr_cookie_call){.size = sizeof(asking->call), .jar = options->jar};
    asking->filter = (struct xhr_cookie_filter){
        .size = sizeof(asking->filter),
        .domain = options->domain,
        .path = options->path,
        .name = name,
        .host = options->host,
    };
    asking->has_filter = options->domain || options->path || name || options->host;
}

/* Return: 0 or an exit code. */
static int code_of(const struct asking *asking, int r, const struct xhr_cookies *answer)
{
    const struct xhr_error *error = answer ? xhr_cookies_error(answer) : NULL;

    if (error)
        return ctl_trouble(error, asking->why);
    if (r == -EINVAL)
        return trouble_set(asking->why, EXIT_USAGE,
                           "a jar's name is 1 to 64 of letters, digits, '.', '_' and '-', or "
                           "UID/NAME; a filter is not empty");
    return r < 0 ? trouble_set(asking->why, EXIT_DAEMON, "%s", strerror(-r)) : 0;
}

/* ---- saying what changed ---- */

static void show_change(const struct asking *asking,
                        const struct xhr_cookies *answer,
                        const char *key,
                        const char *what)
{
    uint64_t n = xhr_cookies_changed(answer);
    bool lost = xhr_cookies_not_persisted(answer);
    struct json json = {.out = asking->out};

    if (asking->options->json) {
        json_object_begin(&json, NULL);
        json_u64(&json, key, n);
        json_bool(&json, "not_persisted", lost);
        json_object_end(&json);
        strbuf_add_char(asking->out, '\n');
        return;
    }
    strbuf_add_u64(asking->out, n);
    strbuf_add_text(asking->out, n == 1 ? " cookie " : " cookies ");
    strbuf_add_text(asking->out, key);
    strbuf_add_text(asking->out, lost ? what : "\n");
}

#define FROM_MEMORY ", from memory only: the disk did not take it\n"
#define IN_MEMORY   ", in memory only: the disk did not take it\n"

/* ---- looking ---- */

static int list(const struct asking *asking, struct xhr_cookies **ret)
{
    return xhr_cookies_list_wait(asking->client, asking->options->jar,
                                 asking->has_filter ? &asking->filter : NULL, ret);
}

static int run_list(const struct asking *asking, struct xhr_cookies **answer)
{
    const char *url = asking->options->why;
    int r = url ? xhr_cookies_why(asking->client, &asking->call,
                                  asking->has_filter ? &asking->filter : NULL, url, answer)
                : list(asking, answer);
    int code = url && r == -EINVAL && !*answer
                   ? trouble_set(asking->why, EXIT_USAGE, "--why '': the URL is missing")
                   : code_of(asking, r, *answer);

    if (code == 0 && url)
        cookie_rows_why(*answer, asking->look.json, asking->out);
    else if (code == 0)
        cookie_rows_list(*answer, &asking->look, asking->out);
    return code;
}

/* Values alone, for scripts: one a line. */
static int run_get(const struct asking *asking, struct xhr_cookies **answer)
{
    int code = code_of(asking, list(asking, answer), *answer);

    if (code != 0)
        return code;
    if (xhr_cookies_count(*answer) == 0)
        return trouble_set(asking->why, EXIT_NO_SUCH_COOKIE, "no cookie of the name %s",
                           asking->options->argument);
    if (asking->look.json) {
        cookie_rows_list(*answer, &asking->look, asking->out);
        return 0;
    }
    for (size_t i = 0; i < xhr_cookies_count(*answer); i++) {
        const struct xhr_cookie *cookie = xhr_cookies_at(*answer, i);

        strbuf_add_text(asking->out,
                        asking->look.masked || cookie->value_withheld ? "****" : cookie->value);
        strbuf_add_char(asking->out, '\n');
    }
    return 0;
}

/* ---- changing ---- */

static int parse_same_site(const char *text, enum xhr_same_site *ret)
{
    static const char *const names[] = {"none", "lax", "strict"};

    for (size_t i = 0; text && i < 3; i++) {
        if (strcasecmp(text, names[i]) == 0) {
            *ret = (enum xhr_same_site)(i + 1);
            return 0;
        }
    }
    return text ? -EINVAL : 0;
}

/* Return: 0 or -EINVAL. */
static int parse_max_age(const char *text, struct xhr_cookie *ret)
{
    int64_t seconds = 0;

    if (!text)
        return 0;
    if (text[0] == '\0' || strlen(text) > 12 || text[strspn(text, "0123456789")] != '\0')
        return -EINVAL;
    for (; *text; text++)
        seconds = seconds * 10 + (*text - '0');
    ret->persistent = true;
    ret->expires_s = (int64_t)time(NULL) + seconds;
    return 0;
}

/* @name: room for all of the argument. */
static int make_cookie(const struct asking *asking, char *name, struct xhr_cookie *ret)
{
    const struct ctl_options *options = asking->options;
    char *equals = strchr(name, '=');

    if (!equals)
        return trouble_set(asking->why, EXIT_USAGE, "cookies set wants NAME=VALUE, not %s",
                           name);
    if (!options->url + !options->domain + !options->host != 2)
        return trouble_set(asking->why, EXIT_USAGE,
                           "cookies set wants to know where: one of --url URL, --host HOST "
                           "(that host alone) and --domain DOMAIN (hosts below it, too)");
    *equals = '\0';
    *ret = (struct xhr_cookie){
        .size = sizeof(*ret),
        .name = name,
        .value = equals + 1,
        .domain = options->host ? options->host : options->domain,
        .path = options->path,
        .host_only = options->host != NULL,
        .secure = options->secure,
        .http_only = options->http_only,
    };
    if (parse_same_site(options->same_site, &ret->same_site) < 0)
        return trouble_set(asking->why, EXIT_USAGE, "--same-site %s: write none, lax or strict",
                           options->same_site);
    if (parse_max_age(options->max_age, ret) < 0)
        return trouble_set(asking->why, EXIT_USAGE, "--max-age '%s': write a number of seconds",
                           options->max_age);
    return 0;
}

static int run_set(const struct asking *asking, struct xhr_cookies **answer)
{
    struct strbuf name = {0};
    struct xhr_cookie cookie;

    strbuf_add_text(&name, asking->options->argument);
    int code = name.bytes
                   ? make_cookie(asking, name.bytes, &cookie)
                   : trouble_set(asking->why, EXIT_USAGE, "cookies set wants NAME=VALUE");
    if (code == 0) {
        int r = xhr_http_cookie_add(asking->client, &asking->call, &cookie,
                                    asking->options->url, answer);

        code = code_of(asking, r, *answer);
    }
    if (code == 0)
        show_change(asking, *answer, "set", IN_MEMORY);
    strbuf_done(&name);
    return code;
}

static int run_remove(const struct asking *asking, struct xhr_cookies **answer)
{
    int r = asking->has_filter
                ? xhr_cookies_remove_wait(asking->client, asking->options->jar, &asking->filter,
                                          answer)
                : xhr_cookies_clear_wait(asking->client, asking->options->jar, answer);
    int code = code_of(asking, r, *answer);

    if (code == 0)
        show_change(asking, *answer, "removed", FROM_MEMORY);
    return code;
}

static int run_session_end(const struct asking *asking, struct xhr_cookies **answer)
{
    int code = code_of(asking, xhr_session_end(asking->client, &asking->call, answer), *answer);

    if (code == 0)
        show_change(asking, *answer, "removed", FROM_MEMORY);
    return code;
}

/* ---- bringing in ---- */

static void on_refused(void *user, size_t where, const char *why)
{
    const struct asking *asking = user;
    struct strbuf text = {0};

    strbuf_add_text(&text, "xhrctl: ");
    strbuf_add_shown(&text, asking->options->argument, strlen(asking->options->argument));
    strbuf_add_text(&text, ":");
    strbuf_add_u64(&text, where);
    strbuf_add_text(&text, ": ");
    strbuf_add_text(&text, why);
    strbuf_add_char(&text, '\n');
    (void)write_all(STDERR_FILENO, text.bytes, text.len); /* it is only a remark */
    strbuf_done(&text);
}

static void show_import(const struct asking *asking, const struct cookie_import *import)
{
    struct json json = {.out = asking->out};

    if (asking->options->json) {
        json_object_begin(&json, NULL);
        json_u64(&json, "imported", import->n_imported);
        json_u64(&json, "refused", import->n_refused);
        json_bool(&json, "not_persisted", import->not_persisted);
        json_object_end(&json);
        strbuf_add_char(asking->out, '\n');
        return;
    }
    strbuf_add_u64(asking->out, import->n_imported);
    strbuf_add_text(asking->out,
                    import->n_imported == 1 ? " cookie imported, " : " cookies imported, ");
    strbuf_add_u64(asking->out, import->n_refused);
    strbuf_add_text(asking->out, " refused");
    strbuf_add_text(asking->out, import->not_persisted ? IN_MEMORY : "\n");
}

static int import_file(const struct asking *asking, struct cookie_import *import)
{
    const char *file = asking->options->argument;
    struct strbuf text = {0};
    int code = 0;

    if (browser_is_store(file))
        return browser_import(file, import, asking->why);
    int r = read_file(file, FILE_BYTES_MAX, &text);
    if (r < 0)
        code = trouble_set(asking->why, EXIT_READ, "%s: %s", file, strerror(-r));
    else if (!cookies_txt_is_text(strbuf_text(&text), text.len))
        code =
            trouble_set(asking->why, EXIT_READ,
                        "%s: neither a cookies.txt nor a store of Firefox or Chromium", file);
    else
        code = cookie_import_text(import, strbuf_text(&text), text.len, false, asking->why);
    strbuf_done(&text);
    return code;
}

static int run_import(struct asking *asking)
{
    static struct cookie_import import;

    cookie_import_begin(&import, asking->client, asking->options->jar, on_refused, asking);
    int code = import_file(asking, &import);
    cookie_import_done(&import);
    if (code == 0)
        show_import(asking, &import);
    return code;
}

/* ---- taking out ---- */

/* Return: how many the format cannot hold. */
static size_t
make_export(const struct asking *asking, const struct xhr_cookies *cookies, struct strbuf *out)
{
    size_t left_out = 0;

    if (asking->options->json) {
        cookie_rows_list(cookies, &(struct cookie_look){.json = true}, out);
        return 0;
    }
    cookies_txt_add_head(out);
    for (size_t i = 0; i < xhr_cookies_count(cookies); i++)
        left_out += !cookies_txt_add(out, xhr_cookies_at(cookies, i));
    return left_out;
}

static bool any_withheld(const struct xhr_cookies *cookies)
{
    bool any = false;

    for (size_t i = 0; i < xhr_cookies_count(cookies); i++)
        any |= xhr_cookies_at(cookies, i)->value_withheld;
    return any;
}

static int run_export(const struct asking *asking, struct xhr_cookies **answer)
{
    const char *file = asking->options->argument;
    struct strbuf text = {0};

    if (!file && asking->look.masked)
        return trouble_set(
            asking->why, EXIT_USAGE,
            "an export holds the values of cookies: name a file, or add --values to "
            "see them on this terminal");
    int code = code_of(asking, list(asking, answer), *answer);
    if (code == 0 && any_withheld(*answer))
        code = trouble_set(asking->why, EXIT_POLICY,
                           "values are withheld: your right on this jar is not to write");
    if (code != 0)
        return code;
    size_t left_out = make_export(asking, *answer, &text);
    int r = text.failed ? -ENOMEM : replace_file(file ? file : "-", text.bytes, text.len);
    strbuf_done(&text);
    if (r < 0)
        return trouble_set(asking->why, EXIT_WRITE, "%s: %s", file ? file : "stdout",
                           strerror(-r));
    if (left_out > 0)
        on_refused((void *)(uintptr_t)asking, left_out,
                   "so many cookies have no name or a tab in them, and are left out");
    return 0;
}

int cookies_run(struct xhr_client *client,
                const struct ctl_options *options,
                bool masked,
                struct strbuf *out,
                struct trouble *why)
{
    struct asking asking = {.client = client,
                            .options = options,
                            .look = {.json = options->json, .masked = masked},
                            .out = out,
                            .why = why};
    struct xhr_cookies *answer = NULL;
    int code;

    asking_init(&asking, options);
    if (options->command == CTL_COOKIES_LIST)
        code = run_list(&asking, &answer);
    else if (options->command == CTL_COOKIES_GET)
        code = run_get(&asking, &answer);
    else if (options->command == CTL_COOKIES_SET)
        code = run_set(&asking, &answer);
    else if (options->command == CTL_COOKIES_IMPORT)
        code = run_import(&asking);
    else if (options->command == CTL_COOKIES_EXPORT)
        code = run_export(&asking, &answer);
    else if (options->command == CTL_SESSION_END)
        code = run_session_end(&asking, &answer);
    else
        code = run_remove(&asking, &answer);
    (void)xhr_cookies_free(answer);
    return code;
}
