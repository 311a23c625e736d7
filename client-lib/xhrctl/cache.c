/* SPDX-License-Identifier: MIT */
/* cache show and clear. */
#include <string.h>

#include "internal.h"
#include "listing.h"
#include "show.h"

struct cache_show {
    const struct ctl_options *options;
    struct strbuf *out;
    struct trouble *why;
    struct listing listing;
    int result;
};

static void add_answer(struct listing *listing, const Xhrd__V1__CacheRow *row)
{
    bool json = listing->json;
    bool is_fresh = row->age_s < row->lifetime_s;
    const struct cell cells[] = {
        {.key = "url", .kind = CELL_TEXT, .bytes = row->url.data, .len = row->url.len},
        {.key = "status", .kind = CELL_NUMBER, .number = row->status},
        {.key = json ? "body_bytes" : "size",
         .kind = CELL_BYTES,
         .number = (int64_t)row->body_bytes},
        {.key = json ? "age_s" : "age", .kind = CELL_SECONDS, .number = (int64_t)row->age_s},
        {.key = json ? "lifetime_s" : "lifetime",
         .kind = CELL_SECONDS,
         .number = (int64_t)row->lifetime_s},
        {.key = "fresh", .kind = CELL_BOOL, .number = is_fresh},
        {.key = json ? "used_s" : "used", .kind = CELL_DATE, .number = row->used_s},
        {.key = "vary",
         .kind = CELL_TEXT,
         .flags = CELL_OF_JSON,
         .bytes = row->vary.data,
         .len = row->vary.len},
    };

    listing_add(listing, cells, sizeof(cells) / sizeof(cells[0]));
}

static void show_removed(const Xhrd__V1__AdminReply *reply, bool as_json, struct strbuf *out)
{
    struct json json = {.out = out};

    if (as_json) {
        json_object_begin(&json, NULL);
        json_u64(&json, "removed", reply->removed);
        json_object_end(&json);
        strbuf_add_char(out, '\n');
        return;
    }
    strbuf_add_u64(out, reply->removed);
    strbuf_add_text(out, reply->removed == 1 ? " answer removed\n" : " answers removed\n");
}

static void
on_reply(const Xhrd__V1__AdminReply *reply, const struct xhr_error *error, void *user)
{
    struct cache_show *show = user;

    if (error) {
        show->result = ctl_trouble(error, show->why);
        return;
    }
    if (show->options->command == CTL_CACHE_CLEAR) {
        show_removed(reply, show->options->json, show->out);
        return;
    }
    for (size_t i = 0; i < reply->n_cache; i++)
        add_answer(&show->listing, reply->cache[i]);
}

int cache_run(struct xhr_client *client,
              const struct ctl_options *options,
              struct strbuf *out,
              struct trouble *why)
{
    static const struct xhr_admin_events events = {.on_reply = on_reply};
    struct cache_show show = {.options = options, .out = out, .why = why};
    bool lists = options->command == CTL_CACHE_SHOW;

    listing_begin(&show.listing, options->json);
    int r = xhr_admin_ask(client,
                          lists ? XHRD__V1__ADMIN_TOPIC__ADMIN_TOPIC_CACHE
                                : XHRD__V1__ADMIN_TOPIC__ADMIN_TOPIC_CACHE_CLEAR,
                          options->argument, &events, &show);
    if (show.result == 0 && r < 0)
        show.result = trouble_set(why, EXIT_DAEMON, "%s", strerror(-r));
    if (show.result == 0 && lists)
        listing_end(&show.listing, "no stored answers", out);
    listing_done(&show.listing);
    return show.result;
}
