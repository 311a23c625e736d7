/* SPDX-License-Identifier: MIT */
/*
 * Signatures that connections in the making ask for. What is asked belongs to the program until
 * it answers; the client only knows who is still waited for.
 */
#include "xhr/signing.h"

#include <stdlib.h>
#include <string.h>

#include "xhr_priv.h"

#define ANSWER_MAX  16384
#define PENDING_MAX 256 /* the daemon asks at most 64 at once */

struct xhr_signing {
    struct xhr_signing *next;  /* in client->signings */
    struct xhr_client *client; /* NULL: nobody waits any more */
    uint64_t question_id;
    uint64_t key;
    char *host;
    unsigned port;
    unsigned scheme;
    size_t len;
    unsigned char data[];
};

void xhr_client_set_signer(struct xhr_client *client,
                           void (*sign)(struct xhr_signing *signing, void *user),
                           void *user)
{
    client->sign = sign;
    client->sign_user = user;
}

uint64_t xhr_signing_key(const struct xhr_signing *signing)
{
    return signing->key;
}

const char *xhr_signing_host(const struct xhr_signing *signing)
{
    return signing->host;
}

unsigned xhr_signing_port(const struct xhr_signing *signing)
{
    return signing->port;
}

unsigned xhr_signing_scheme(const struct xhr_signing *signing)
{
    return signing->scheme;
}

const void *xhr_signing_data(const struct xhr_signing *signing, size_t *ret_len)
{
    *ret_len = signing->len;
    return signing->data;
}

/* ---- answers ----------------------------------------------------------------------------- */

static int
send_answer(struct xhr_client *client, uint64_t question_id, const void *signature, size_t len)
{
    Xhrd__V1__ClientMessage message = XHRD__V1__CLIENT_MESSAGE__INIT;
    Xhrd__V1__ConnectionAnswer answer = XHRD__V1__CONNECTION_ANSWER__INIT;

    answer.question_id = question_id;
    if (len > 0) {
        answer.what_case = XHRD__V1__CONNECTION_ANSWER__WHAT_SIGNATURE;
        answer.signature = (ProtobufCBinaryData){len, xhr_unconst(signature)};
    } else {
        answer.what_case = XHRD__V1__CONNECTION_ANSWER__WHAT_REFUSE;
        answer.refuse = true;
    }
    message.kind_case = XHRD__V1__CLIENT_MESSAGE__KIND_CONNECTION_ANSWER;
    message.connection_answer = &answer;
    int r = xhr_link_queue(client, &message, NULL, NULL);
    xhr_client_hold(client);
    xhr_client_kick(client);
    xhr_client_release(client);
    return r;
}

/* The program keeps it until it answers, which then means nothing. */
static void leave(struct xhr_signing *signing)
{
    struct xhr_signing **at = &signing->client->signings;

    while (*at != signing)
        at = &(*at)->next;
    *at = signing->next;
    signing->client->n_signings--;
    signing->client = NULL;
}

int xhr_signing_answer(struct xhr_signing *signing, const void *signature, size_t len)
{
    struct xhr_client *client = signing->client;
    bool fits = len <= ANSWER_MAX;
    int r = -ESTALE;

    if (client) {
        leave(signing);
        r = send_answer(client, signing->question_id, signature, signature && fits ? len : 0);
        if (r == 0 && !fits)
            r = -EMSGSIZE;
    }
    free(signing->host);
    free(signing);
    return r;
}

/* ---- questions --------------------------------------------------------------------------- */

static int refuse(struct xhr_failure *why, const char *what)
{
    xhr_failure_set(why, XHR_ERROR_DAEMON_PROTOCOL, "the daemon sent %s", what);
    return -EPROTO;
}

/* NULL for lack of memory. */
static struct xhr_signing *signing_of(struct xhr_client *client,
                                      const Xhrd__V1__ConnectionQuestion *question)
{
    const ProtobufCBinaryData *data = &question->sign->data;
    struct xhr_signing *signing = malloc(sizeof(*signing) + data->len);

    if (!signing)
        return NULL;
    *signing = (struct xhr_signing){
        .next = client->signings,
        .client = client,
        .question_id = question->question_id,
        .key = question->handle,
        .port = question->port,
        .scheme = question->sign->scheme,
        .len = data->len,
        .host = xhr_dup(question->host.data, question->host.len),
    };
    if (!signing->host) {
        free(signing);
        return NULL;
    }
    if (data->len > 0)
        memcpy(signing->data, data->data, data->len);
    client->signings = signing;
    client->n_signings++;
    return signing;
}

static void ask(struct xhr_client *client, const Xhrd__V1__ConnectionQuestion *question)
{
    struct xhr_signing *signing =
        client->sign && client->n_signings < PENDING_MAX ? signing_of(client, question) : NULL;

    if (signing)
        client->sign(signing, client->sign_user);
    else
        (void)send_answer(client, question->question_id, NULL, 0); /* or the deadline passes */
}

static void withdraw(struct xhr_client *client, uint64_t question_id)
{
    for (struct xhr_signing *at = client->signings; at; at = at->next) {
        if (at->question_id == question_id) {
            leave(at);
            return;
        }
    }
}

int xhr_signing_on_question(struct xhr_client *client,
                            const Xhrd__V1__ConnectionQuestion *question,
                            struct xhr_failure *why)
{
    switch (question->what_case) {
    case XHRD__V1__CONNECTION_QUESTION__WHAT_SIGN: ask(client, question); return 0;
    case XHRD__V1__CONNECTION_QUESTION__WHAT_WITHDRAWN:
        withdraw(client, question->question_id);
        return 0;
    case XHRD__V1__CONNECTION_QUESTION__WHAT__NOT_SET:
    default: return refuse(why, "a question of a connection about nothing");
    }
}

void xhr_signing_leave_all(struct xhr_client *client)
{
    for (struct xhr_signing *at = client->signings; at; at = at->next)
        at->client = NULL;
    client->signings = NULL;
    client->n_signings = 0;
}
