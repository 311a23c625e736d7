/* SPDX-License-Identifier: MIT */
/*
 * What a request asks its owner, and how it goes on when he answers: at once, later, or never.
 *
 * No connection is held meanwhile but for the one whose certificate is judged, and for a 401
 * whose body is long: what there is of it is kept up to HOLD_BYTES, for should nobody log in,
 * it is the answer.
 */
#include <errno.h>

#include "base/fault.h"
#include "fetch/request_priv.h"

#define HOLD_BYTES 65536

static void describe_mute(const struct request *request,
                          enum request_question question,
                          struct failure *ret)
{
    if (question == QUESTION_VERDICT)
        request_describe_mute_verdict(request, ret);
    else if (question == QUESTION_REDIRECT || question == QUESTION_UPGRADE)
        failure_set(ret, FAILURE_REDIRECT,
                    "a redirect, and the client is not there to say whether to follow");
    else
        failure_set(ret, FAILURE_REWIND,
                    "the body is wanted again, and the client sends no more");
}

bool request_ask(struct request *request, enum request_question question)
{
    struct failure why;

    if (request->asking.is_mute && question != QUESTION_CHALLENGE) {
        describe_mute(request, question, &why);
        request_finish(request, &why);
        return false;
    }
    if (request->state != REQUEST_ASKING)
        request_enter_state(request, REQUEST_ASKING);
    request->asking.question = question;
    request->asking.is_whole = false;
    request->asking.broken = failure_drop(request->asking.broken);
    if (question == QUESTION_CHALLENGE)
        request_rest(request); /* people type slowly */
    else
        request_touch(request);
    return true;
}

/* ---- while a 401 waits ------------------------------------------------------------------- */

void request_hold_body(struct request *request, struct span bytes)
{
    if (body_pipeline_keep(&request->pipeline, bytes) < 0)
        request_finish_kind(request, FAILURE_INTERNAL, "out of memory");
    else if (request->pipeline.rest.len >= HOLD_BYTES)
        exchange_pause(request->exchange);
}

void request_hold_end(struct request *request, const struct failure *why)
{
    request->asking.is_whole = !why;
    if (why)
        request->asking.broken = failure_keep(request->asking.broken, why);
}

/* Nobody logs in. */
static void deliver_challenge(struct request *request)
{
    if (request->asking.broken) {
        request_finish(request, request->asking.broken);
        return;
    }
    if (request->asking.is_whole) {
        body_pipeline_end(&request->pipeline);
        request->exchange_whole = true;
    }
    request_take_head(request);
    if (request->state != REQUEST_RECEIVING)
        return;
    request_later(request, REQUEST_STEP_UPLOAD);
    request_later(request, REQUEST_STEP_DELIVER);
}

static void drop_challenge(struct request *request)
{
    size_t held = request->pipeline.rest.len;

    headers_clear(&request->kept->headers); /* which is there since it was asked */
    headers_clear(&request->kept->trailers);
    buf_clear(&request->kept->reason);
    buf_done(&request->pipeline.rest);
    request_pay_for_rest(request);
    request_drain(request);
    if (!request->exchange || held >= HOLD_BYTES)
        request_next_hop(request);
}

static void on_login(struct request *request)
{
    if (!request->asking.yes) {
        deliver_challenge(request);
        return;
    }
    request_take_login(request);
    if (request->state != REQUEST_DONE)
        drop_challenge(request);
}

/* ---- the others -------------------------------------------------------------------------- */

static void on_redirect_answer(struct request *request)
{
    if (!request->asking.yes)
        request_finish_kind(request, FAILURE_REDIRECT, "the client vetoed the redirect");
    else
        request_take_redirect(request);
}

static void on_upgrade_answer(struct request *request)
{
    if (!request->asking.yes) {
        request_finish_kind(request, FAILURE_REDIRECT, "the client vetoed the step to https");
        return;
    }
    request_enter_state(request, REQUEST_DECIDING);
    request_decide(request);
}

static void on_rewind_answer(struct request *request, bool is_retry)
{
    if (!request->asking.yes) {
        request_finish_kind(request, FAILURE_REWIND,
                            "the body is wanted again, and the client cannot send it twice");
    } else if (is_retry) {
        request_acquire(request, true);
    } else {
        request_enter_state(request, REQUEST_DECIDING);
        request_decide(request);
    }
}

void request_on_answer(struct request *request)
{
    enum request_question answered = request->asking.answered;

    request->asking.answered = QUESTION_NONE;
    if (request->state != REQUEST_ASKING)
        return;
    request_rest(request);
    switch (answered) {
    case QUESTION_NONE: return;
    case QUESTION_REDIRECT: on_redirect_answer(request); return;
    case QUESTION_UPGRADE: on_upgrade_answer(request); return;
    case QUESTION_CHALLENGE: on_login(request); return;
    case QUESTION_REWIND: on_rewind_answer(request, false); return;
    case QUESTION_RETRY: on_rewind_answer(request, true); return;
    case QUESTION_VERDICT: request_on_verdict(request); return;
    }
}

/* ---- answers ----------------------------------------------------------------------------- */

static void take_answer(struct request *request, bool yes)
{
    request->asking.answered = request->asking.question;
    request->asking.question = QUESTION_NONE;
    request->asking.yes = yes;
    request_later(request, REQUEST_STEP_ANSWER);
}

static bool is_asked(const struct request *request, enum request_question question)
{
    return request->state == REQUEST_ASKING && request->asking.question == question &&
           !request_is_failing(request);
}

int request_answer_redirect(struct request *request, bool follow)
{
    if (!is_asked(request, QUESTION_REDIRECT) && !is_asked(request, QUESTION_UPGRADE))
        return -EINVAL;
    take_answer(request, follow);
    return 0;
}

int request_answer_verdict(struct request *request, bool trusted)
{
    if (!is_asked(request, QUESTION_VERDICT))
        return -EINVAL;
    take_answer(request, trusted);
    return 0;
}

int request_answer_rewind(struct request *request, bool rewound)
{
    if (!is_asked(request, QUESTION_REWIND) && !is_asked(request, QUESTION_RETRY))
        return -EINVAL;
    request->upload->rewinds = false; /* what comes now is the body */
    take_answer(request, rewound);
    return 0;
}

int request_answer_challenge(struct request *request,
                             const struct request_credentials *login,
                             struct failure *ret_why)
{
    *ret_why = (struct failure){0};
    if (!is_asked(request, QUESTION_CHALLENGE))
        return -EINVAL;
    int r = login ? request_keep_login(request, login, ret_why) : 0;
    if (r == 0)
        take_answer(request, login != NULL);
    return r;
}

void request_owner_is_mute(struct request *request)
{
    struct request_asking *asking = &request->asking;
    struct failure why;

    asking->is_mute = true;
    if (request->state != REQUEST_ASKING || asking->question == QUESTION_NONE)
        return;
    if (asking->question == QUESTION_CHALLENGE) {
        take_answer(request, false);
        return;
    }
    describe_mute(request, asking->question, &why);
    request_fail(request, &why);
}
