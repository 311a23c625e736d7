/* SPDX-License-Identifier: MIT */
/* purge-user. */
#include <string.h>

#include "internal.h"
#include "json.h"
#include "show.h"

struct purge_show {
    bool json;
    struct strbuf *out;
    struct trouble *why;
    int result;
};

static void add_count(struct strbuf *out, uint64_t n, const char *one, const char *many)
{
    strbuf_add_u64(out, n);
    strbuf_add_text(out, n == 1 ? one : many);
}

static void
on_reply(const Xhrd__V1__AdminReply *reply, const struct xhr_error *error, void *user)
{
    struct purge_show *show = user;
    struct json json = {.out = show->out};

    if (error || !reply->purged) {
        show->result = error ? ctl_trouble(error, show->why)
                             : trouble_set(show->why, EXIT_DAEMON,
                                           "the daemon said nothing of what it purged");
        return;
    }
    if (show->json) {
        json_object_begin(&json, NULL);
        json_u64(&json, "cookies", reply->purged->cookies);
        json_u64(&json, "hosts", reply->purged->hosts);
        json_u64(&json, "answers", reply->purged->answers);
        json_bool(&json, "not_persisted", reply->not_persisted);
        json_object_end(&json);
        strbuf_add_char(show->out, '\n');
    } else {
        add_count(show->out, reply->purged->cookies, " cookie, ", " cookies, ");
        add_count(show->out, reply->purged->hosts, " known host, ", " known hosts, ");
        add_count(show->out, reply->purged->answers, " stored answer purged\n",
                  " stored answers purged\n");
    }
    if (reply->not_persisted)
        show->result = trouble_set(show->why, EXIT_WRITE,
                                   "purged from memory only: the disk did not take it; the "
                                   "daemon's log says why");
}

int purge_run(struct xhr_client *client,
              const struct ctl_options *options,
              struct strbuf *out,
              struct trouble *why)
{
    static const struct xhr_admin_events events = {.on_reply = on_reply};
    struct purge_show show = {.json = options->json, .out = out, .why = why};
    Xhrd__V1__AdminCommand what = XHRD__V1__ADMIN_COMMAND__INIT;

    what.topic = XHRD__V1__ADMIN_TOPIC__ADMIN_TOPIC_PURGE_USER;
    if (!ctl_find_user(options->argument, &what.uid))
        return trouble_set(why, EXIT_USAGE,
                           "%s: no such user; of one who is gone name the number",
                           options->argument);
    int r = xhr_admin_ask_for(client, &what, &events, &show);
    if (show.result == 0 && r < 0)
        show.result = trouble_set(why, EXIT_DAEMON, "%s", strerror(-r));
    return show.result;
}
