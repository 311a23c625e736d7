/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * What the commands about cookies share:
 *
 *   cookie_service.c  one command, from the message to its answer; those that wait
 *   cookie_many.c     many cookies at once, and why each goes along or stays
 */

#include "policy/cookie_jar.h"
#include "service/service_priv.h"

/* So many of what has a dozen fields fit a frame's WIRE_FIELDS_MAX. */
#define COOKIE_REPLY_MAX 300

void cookie_send_reply(struct client *client, Xhrd__V1__CookieReply *reply);
void cookie_send_failure(struct client *client,
                         uint32_t command_id,
                         enum failure_kind kind,
                         const char *text);
void cookie_send_trouble(struct client *client, uint32_t command_id, int r); /* -EDQUOT … */

/* The last reply to a command that changed something, when the disk has it. */
void cookie_answer_when_saved(struct client *client,
                              uint32_t command_id,
                              const struct cookie_jar *jar,
                              uint64_t changed);

/* All borrow. */
void cookie_to_pb(const struct cookie *from, Xhrd__V1__Cookie *to);
void cookie_draft_of_pb(const Xhrd__V1__Cookie *from, struct cookie *ret);
void cookie_filter_of_message(const Xhrd__V1__CookieFilter *from, struct cookie_filter *ret);

void cookie_add_all(struct client *client,
                    const Xhrd__V1__CookieCommand *command,
                    struct cookie_jar *jar);
void cookie_explain(struct client *client,
                    const Xhrd__V1__CookieCommand *command,
                    struct cookie_jar *jar);
