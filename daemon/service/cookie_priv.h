/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * What the commands about cookies share:
 *
 *   cookie_service.c  one command, from the message to its answer; those that wait
 *   cookie_convert.c  cookies as messages, and lists of them
 *   cookie_many.c     many cookies at once, and why each goes along or stays
 *   cookie_jars.c     jars as a whole, and sessions
 *   cookie_watch.c    who wants to hear of every change
 */

#include "policy/cookie_jar.h"
#include "service/service_priv.h"

/* So many of what has a dozen fields fit a frame's WIRE_FIELDS_MAX. */
#define COOKIE_REPLY_MAX 300

/* A command, while it is carried out with its jar in hand. */
struct cookie_turn {
    struct client *client;
    const Xhrd__V1__CookieCommand *command;
    struct jar_lease lease;
    uint64_t sequence; /* to be told with the last reply to a list; 0: none */
};

/* ---- cookie_service.c --------------------------------------------------------------------
 */

void cookie_send_reply(struct client *client, Xhrd__V1__CookieReply *reply); /* a short one */
/* Return: 0, or -EDQUOT: it was not sent. */
MUST_CHECK int cookie_send_rows(struct client *client, Xhrd__V1__CookieReply *reply);
void cookie_send_failure(struct client *client,
                         uint32_t command_id,
                         enum failure_kind kind,
                         const char *text);
void cookie_send_trouble(struct client *client, uint32_t command_id, int r); /* -EDQUOT … */

/* Why a jar is not in hand: what opening it said. */
void cookie_send_refusal(struct client *client, uint32_t command_id, int r);

struct jar_asker cookie_asker_of(const struct client *client);

struct cookie_job;

/* What may have to wait for the store, and then is asked again: between the two calls the store
 * is asked. Return: 0, or the refusal was sent. */
MUST_CHECK int cookie_ask_begin(struct client *client,
                                const Xhrd__V1__CookieCommand *command,
                                struct cookie_job **ret,
                                struct cookie_wait **ret_wait);
/* @r: what the store said. Return: whether there is an answer now; else it comes later, or was
 * a refusal and was sent. */
bool cookie_ask_end(struct cookie_job *job, const Xhrd__V1__CookieCommand *command, int r);

/* The last reply to a command that changed something of the lease's owner, when the disk has it
 * as safe as the command asks for. */
void cookie_answer_when_saved(const struct cookie_turn *turn, uint64_t changed);

/* ---- cookie_convert.c --------------------------------------------------------------------
 */

/* All borrow. */
void cookie_to_pb(const struct cookie *from, enum jar_right right, Xhrd__V1__Cookie *to);
void cookie_draft_of_pb(const Xhrd__V1__Cookie *from, struct cookie *ret);
void cookie_filter_of_message(const Xhrd__V1__CookieFilter *from, struct cookie_filter *ret);

/* About, when it is told. */
size_t cookie_message_bytes(const struct cookie *cookie);

/* A list, in pieces that fit a message each. */
struct cookie_pages {
    const struct cookie_list *list;
    enum jar_right right; /* of who is told */
    size_t at;            /* of the list: what comes behind this piece */
    Xhrd__V1__Cookie *cookies;
    Xhrd__V1__Cookie **pointers;
    size_t n; /* in this piece */
};

/* The next piece; an empty list has one. Return: 0 or -ENOMEM. */
MUST_CHECK int cookie_pages_next(struct cookie_pages *pages);
void cookie_pages_done(struct cookie_pages *pages);

/* As replies. Return: 0, -ENOMEM, or -EDQUOT: so much waits for this user already. */
MUST_CHECK int cookie_send_list(const struct cookie_turn *turn, const struct cookie_list *list);

/* ---- the others -------------------------------------------------------------------------- */

void cookie_add_all(const struct cookie_turn *turn);
void cookie_explain(const struct cookie_turn *turn);

void cookie_jars_list(struct client *client, const Xhrd__V1__CookieCommand *command);
void cookie_jars_do_deed(struct client *client, const Xhrd__V1__CookieCommand *command);

void cookie_watch_begin(const struct cookie_turn *turn);
