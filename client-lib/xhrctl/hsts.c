/* SPDX-License-Identifier: MIT */
/* hsts list and rm. */
#include <string.h>

#include "internal.h"
#include "listing.h"
#include "show.h"

struct hsts_show {
    const struct ctl_options *options;
    struct strbuf *out;
    struct trouble *why;
    struct listing listing;
    int result;
};

static void add_host(struct listing *listing, const Xhrd__V1__HstsRow *row)
{
    const struct cell cells[] = {
        {.key = "host", .kind = CELL_TEXT, .bytes = row->host.data, .len = row->host.len},
        {.key = listing->json ? "include_subdomains" : "subdomains",
         .kind = CELL_BOOL,
         .number = row->include_subdomains},
        {.key = listing->json ? "expires_s" : "expires",
         .kind = CELL_DATE,
         .number = row->expires_s},
    };

    listing_add(listing, cells, sizeof(cells) / sizeof(cells[0]));
}

static void show_removed(const Xhrd__V1__AdminReply *reply, bool as_json, struct strbuf *out)
{
    struct json json = {.out = out};

    if (as_json) {
        json_object_begin(&json, NULL);
        json_u64(&json, "removed", reply->removed);
        json_bool(&json, "not_persisted", reply->not_persisted);
        json_object_end(&json);
        strbuf_add_char(out, '\n');
        return;
    }
    strbuf_add_u64(out, reply->removed);
    strbuf_add_text(out, reply->removed == 1 ? " host removed" : " hosts removed");
    strbuf_add_text(out, reply->not_persisted ? ", from memory only: the disk did not take it\n"
                                              : "\n");
}

static void
on_reply(const Xhrd__V1__AdminReply *reply, const struct xhr_error *error, void *user)
{
    struct hsts_show *show = user;

    if (error) {
        show->result = ctl_trouble(error, show->why);
        return;
    }
    if (show->options->command == CTL_HSTS_RM) {
        show_removed(reply, show->options->json, show->out);
        return;
    }
    for (size_t i = 0; i < reply->n_hsts; i++)
        add_host(&show->listing, reply->hsts[i]);
}

int hsts_run(struct xhr_client *client,
             const struct ctl_options *options,
             struct strbuf *out,
             struct trouble *why)
{
    static const struct xhr_admin_events events = {.on_reply = on_reply};
    struct hsts_show show = {.options = options, .out = out, .why = why};
    bool lists = options->command == CTL_HSTS_LIST;

    listing_begin(&show.listing, options->json);
    int r = xhr_admin_ask(client,
                          lists ? XHRD__V1__ADMIN_TOPIC__ADMIN_TOPIC_HSTS
                                : XHRD__V1__ADMIN_TOPIC__ADMIN_TOPIC_HSTS_REMOVE,
                          options->argument, &events, &show);
    if (show.result == 0 && r < 0)
        show.result = trouble_set(why, EXIT_DAEMON, "%s", strerror(-r));
    if (show.result == 0 && lists)
        listing_end(&show.listing, "no hosts", out);
    listing_done(&show.listing);
    return show.result;
}
