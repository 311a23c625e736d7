/* SPDX-License-Identifier: MIT */
/* policy check: what the rules would say of a request, word by word. */
#include <string.h>

#include "internal.h"
#include "json.h"
#include "show.h"

struct policy_show {
    const struct ctl_options *options;
    struct strbuf *out;
    struct trouble *why;
    bool refused;
    int result;
};

static const char *word_of(Xhrd__V1__PolicyWord word)
{
    switch (word) {
    case XHRD__V1__POLICY_WORD__POLICY_WORD_ALLOWS: return "allows";
    case XHRD__V1__POLICY_WORD__POLICY_WORD_REFUSES: return "refuses";
    case XHRD__V1__POLICY_WORD__POLICY_WORD_UNSPECIFIED:
    case _XHRD__V1__POLICY_WORD_IS_INT_SIZE: break;
    }
    return "silent";
}

static void json_of(struct json *json, const char *key, ProtobufCBinaryData bytes)
{
    json_bytes(json, key, (const char *)bytes.data, bytes.len);
}

static void show_json(const Xhrd__V1__PolicyVerdict *verdict, struct strbuf *out)
{
    struct json json = {.out = out};

    json_object_begin(&json, NULL);
    json_bool(&json, "allowed", verdict->allowed);
    json_u64(&json, "uid", verdict->uid);
    json_array_begin(&json, "steps");
    for (size_t i = 0; i < verdict->n_steps; i++) {
        const Xhrd__V1__PolicyStep *step = verdict->steps[i];

        json_object_begin(&json, NULL);
        json_text(&json, "word", word_of(step->word));
        json_of(&json, "text", step->text);
        json_of(&json, "section", step->section);
        json_of(&json, "key", step->key);
        json_u64(&json, "line", step->line);
        json_object_end(&json);
    }
    json_array_end(&json);
    json_object_end(&json);
    strbuf_add_char(out, '\n');
}

/* What a server or a file wrote goes to no terminal as it is. */
static void add_plain(struct strbuf *out, ProtobufCBinaryData bytes)
{
    for (size_t i = 0; i < bytes.len; i++)
        strbuf_add_char(
            out, bytes.data[i] < 0x20 || bytes.data[i] == 0x7f ? '?' : (char)bytes.data[i]);
}

static void show_text(const Xhrd__V1__PolicyVerdict *verdict, struct strbuf *out)
{
    for (size_t i = 0; i < verdict->n_steps; i++) {
        const char *word = word_of(verdict->steps[i]->word);

        strbuf_add_text(out, word);
        for (size_t len = strlen(word); len < 9; len++)
            strbuf_add_char(out, ' ');
        add_plain(out, verdict->steps[i]->text);
        strbuf_add_char(out, '\n');
    }
    strbuf_add_text(out, verdict->allowed ? "allowed\n" : "refused\n");
}

static void
on_reply(const Xhrd__V1__AdminReply *reply, const struct xhr_error *error, void *user)
{
    struct policy_show *show = user;

    if (error) {
        show->result = ctl_trouble(error, show->why);
    } else if (!reply->policy) {
        show->result = trouble_set(show->why, EXIT_DAEMON, "the daemon says nothing about it");
    } else {
        show->refused = !reply->policy->allowed;
        if (show->options->json)
            show_json(reply->policy, show->out);
        else
            show_text(reply->policy, show->out);
    }
}

static ProtobufCBinaryData bytes_of(const char *text)
{
    return (ProtobufCBinaryData){text ? strlen(text) : 0, (uint8_t *)(uintptr_t)text};
}

int policy_run(struct xhr_client *client,
               const struct ctl_options *options,
               struct strbuf *out,
               struct trouble *why)
{
    static const struct xhr_admin_events events = {.on_reply = on_reply};
    struct policy_show show = {.options = options, .out = out, .why = why};
    Xhrd__V1__AdminCommand what = XHRD__V1__ADMIN_COMMAND__INIT;
    Xhrd__V1__PolicyQuestion question = XHRD__V1__POLICY_QUESTION__INIT;

    question.url = bytes_of(options->argument);
    question.user = bytes_of(options->as);
    question.method = bytes_of(options->method);
    question.insecure = options->insecure;
    what.topic = XHRD__V1__ADMIN_TOPIC__ADMIN_TOPIC_POLICY;
    what.policy = &question;
    int r = xhr_admin_ask_for(client, &what, &events, &show);
    if (show.result == 0 && r < 0)
        show.result = trouble_set(why, EXIT_DAEMON, "%s", strerror(-r));
    return show.result;
}
