/* SPDX-License-Identifier: MIT */
/* cookies watch: a line for each cookie there is, then one for each change, until somebody ends
 * it. */
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "cookie_rows.h"
#include "files.h"
#include "show.h"

struct watching {
    bool json;
    bool masked;
    bool is_over;
    int code;
    struct trouble *why;
    struct strbuf line;
};

static const char *cause_name(const struct xhr_cookie_change *change)
{
    switch (change->cause) {
    case XHR_COOKIE_EXPLICIT: return change->removed ? "removed" : "added";
    case XHR_COOKIE_OVERWRITE: return "replaced";
    case XHR_COOKIE_EXPIRED: return "expired";
    case XHR_COOKIE_EVICTED: return "evicted";
    }
    return "changed";
}

static void write_line(struct watching *watching)
{
    struct strbuf *line = &watching->line;

    strbuf_add_char(line, '\n');
    int r = line->failed ? -ENOMEM : write_all(STDOUT_FILENO, line->bytes, line->len);
    strbuf_clear(line);
    if (r < 0) {
        watching->code = trouble_set(watching->why, EXIT_WRITE, "could not write to stdout");
        watching->is_over = true;
    }
}

/* "+ 5 replaced example.com / name=****" */
static void add_text(struct watching *watching,
                     const char *sign,
                     uint64_t sequence,
                     const char *cause,
                     const struct xhr_cookie *cookie)
{
    struct strbuf *line = &watching->line;
    const char *value = watching->masked || cookie->value_withheld ? "****" : cookie->value;

    strbuf_add_text(line, sign);
    strbuf_add_u64(line, sequence);
    strbuf_add_char(line, ' ');
    strbuf_add_text(line, cause);
    strbuf_add_char(line, ' ');
    strbuf_add_shown(line, cookie->domain, strlen(cookie->domain));
    strbuf_add_char(line, ' ');
    strbuf_add_shown(line, cookie->path, strlen(cookie->path));
    strbuf_add_char(line, ' ');
    strbuf_add_shown(line, cookie->name, strlen(cookie->name));
    strbuf_add_char(line, '=');
    strbuf_add_shown(line, value, strlen(value));
}

static void add_json(struct watching *watching,
                     const struct xhr_cookie_change *change,
                     const char *cause,
                     const struct xhr_cookie *cookie)
{
    struct json json = {.out = &watching->line};

    json_object_begin(&json, NULL);
    json_u64(&json, "sequence", change->sequence);
    json_text(&json, "cause", cause);
    json_bool(&json, "removed", change->removed);
    json_u64(&json, "merged", change->merged);
    cookie_rows_json(&json, cookie, watching->masked);
    json_object_end(&json);
}

static void say(struct watching *watching,
                const struct xhr_cookie_change *change,
                const char *cause,
                const struct xhr_cookie *cookie)
{
    if (watching->is_over)
        return;
    if (watching->json)
        add_json(watching, change, cause, cookie);
    else
        add_text(watching, change->removed ? "- " : "+ ", change->sequence, cause, cookie);
    write_line(watching);
}

static void on_snapshot(struct xhr_cookie_watch *watch,
                        const struct xhr_cookies *cookies,
                        uint64_t sequence,
                        void *user)
{
    const struct xhr_cookie_change there = {.sequence = sequence};

    (void)watch;
    for (size_t i = 0; i < xhr_cookies_count(cookies); i++)
        say(user, &there, "there", xhr_cookies_at(cookies, i));
}

static void
on_change(struct xhr_cookie_watch *watch, const struct xhr_cookie_change *change, void *user)
{
    (void)watch;
    say(user, change, cause_name(change), change->cookie);
}

static void on_end(struct xhr_cookie_watch *watch, const struct xhr_error *error, void *user)
{
    struct watching *watching = user;

    (void)watch;
    watching->is_over = true;
    if (watching->code == 0)
        watching->code = ctl_trouble(error, watching->why);
}

/* Until the watch is over or a signal ends the program. */
static void wait_for_changes(struct xhr_client *client, struct watching *watching)
{
    while (!watching->is_over) {
        struct pollfd ready = {.fd = xhr_client_fd(client), .events = POLLIN};

        if (xhr_client_wants_write(client))
            ready.events |= POLLOUT;
        if (poll(&ready, 1, xhr_client_timeout_ms(client)) < 0 && errno != EINTR) {
            watching->code =
                trouble_set(watching->why, EXIT_RESOURCES, "poll: %s", strerror(errno));
            return;
        }
        (void)xhr_client_dispatch(client); /* what goes wrong is told to on_end() */
    }
}

int watch_run(struct xhr_client *client,
              const struct ctl_options *options,
              bool masked,
              struct trouble *why)
{
    static const struct xhr_cookie_watch_events events = {
        .size = sizeof(events), .snapshot = on_snapshot, .change = on_change, .end = on_end};
    struct watching watching = {.json = options->json, .masked = masked, .why = why};
    struct xhr_cookie_watch *watch = NULL;
    int r = xhr_cookie_watch_new(client, options->jar, &events, &watching, &watch);

    if (r < 0)
        return trouble_set(why, r == -EINVAL ? EXIT_USAGE : EXIT_DAEMON, "%s", strerror(-r));
    wait_for_changes(client, &watching);
    (void)xhr_cookie_watch_free(watch);
    strbuf_done(&watching.line);
    return watching.code;
}
