/* SPDX-License-Identifier: MIT */
/*
 * What connections in the making ask a client: the questions go out with numbers of this
 * connection to the daemon, and every answer is for one of them. An answer to what is not asked
 * any more is nothing: it crossed the deadline on its way.
 */
#include "loop/answerer.h"
#include "service/service_priv.h"

static int send_question(struct client *client, Xhrd__V1__ConnectionQuestion *question)
{
    Xhrd__V1__ServerMessage message = XHRD__V1__SERVER_MESSAGE__INIT;

    message.kind_case = XHRD__V1__SERVER_MESSAGE__KIND_CONNECTION_QUESTION;
    message.connection_question = question;
    if (question->what_case != XHRD__V1__CONNECTION_QUESTION__WHAT_WITHDRAWN)
        return client_send_if_room(client, &message);
    client_send(client, &message);
    return 0;
}

static int client_on_ask(void *owner, const struct ask *ask)
{
    struct client *client = owner;
    Xhrd__V1__ConnectionQuestion question = XHRD__V1__CONNECTION_QUESTION__INIT;
    Xhrd__V1__SignQuestion sign = XHRD__V1__SIGN_QUESTION__INIT;

    question.question_id = ask->id;
    question.handle = ask->handle;
    question.host = bytes_of_span(ask->host);
    question.port = ask->port;
    switch (ask->kind) {
    case ASK_SIGNATURE:
        sign.scheme = ask->scheme;
        sign.data = bytes_of_span(ask->bytes);
        question.what_case = XHRD__V1__CONNECTION_QUESTION__WHAT_SIGN;
        question.sign = &sign;
        break;
    }
    return send_question(client, &question);
}

static void client_on_withdraw(void *owner, const struct ask *ask)
{
    Xhrd__V1__ConnectionQuestion question = XHRD__V1__CONNECTION_QUESTION__INIT;

    question.question_id = ask->id;
    question.handle = ask->handle;
    question.what_case = XHRD__V1__CONNECTION_QUESTION__WHAT_WITHDRAWN;
    question.withdrawn = true;
    (void)send_question(owner, &question);
}

static const struct answerer_ops client_answerer_ops = {
    .send = client_on_ask,
    .withdraw = client_on_withdraw,
};

int client_answerer(struct client *client, struct answerer **ret)
{
    if (!client->answerer) {
        int r = answerer_new(&client->answerer, client->service->loop, &client_answerer_ops,
                             client);
        if (r < 0)
            return r;
        if (client->half_closed)
            answerer_leave(client->answerer);
    }
    *ret = client->answerer;
    return 0;
}

static void refuse_unasked(struct client *client)
{
    client_refuse(client, XHRD__V1__SESSION_ERROR__KIND__KIND_PROTOCOL,
                  "connection_answer: nothing was asked on this connection");
}

void answer_service_refuse(struct client *client, uint64_t question_id)
{
    if (!client->answerer)
        refuse_unasked(client);
    else if (answerer_refuse(client->answerer, question_id) < 0)
        log_debug(&client->log, "an answer to question %llu, which is not asked any more",
                  (unsigned long long)question_id);
}

void answer_service_answer(struct client *client, const Xhrd__V1__ConnectionAnswer *message)
{
    uint64_t id = message->question_id;
    int r = 0;

    if (!client->answerer) {
        refuse_unasked(client);
        return;
    }
    switch (message->what_case) {
    case XHRD__V1__CONNECTION_ANSWER__WHAT_SIGNATURE:
        r = answerer_answer(client->answerer, id, span_of_bytes(message->signature));
        break;
    case XHRD__V1__CONNECTION_ANSWER__WHAT_REFUSE:
        r = answerer_refuse(client->answerer, id);
        break;
    case XHRD__V1__CONNECTION_ANSWER__WHAT__NOT_SET:
    case _XHRD__V1__CONNECTION_ANSWER__WHAT__CASE_IS_INT_SIZE:
        client_refuse(client, XHRD__V1__SESSION_ERROR__KIND__KIND_PROTOCOL,
                      "connection_answer: wants signature or refuse");
        return;
    }
    if (r < 0)
        log_debug(&client->log, "an answer to question %llu, which is not asked any more",
                  (unsigned long long)id);
}

void answer_service_leave(struct client *client)
{
    if (!client->answerer)
        return;
    answerer_leave(client->answerer);
    if (client->closed)
        client->answerer = answerer_unref(client->answerer);
}
