/* SPDX-License-Identifier: MIT */
/*
 * Where a request waits for the program: redirects it may veto, logins it may give. The answer
 * goes out at once or later; the body that has to go up once more is upload.c's.
 */
#include <stdlib.h>
#include <string.h>

#include "xhr_priv.h"

#define STEPS_MAX  1000 /* of a chain that are kept */
#define STEPS_MIN  4
#define OFFERS_MAX 64

static int refuse(struct xhr_failure *why, const char *what)
{
    xhr_failure_set(why, XHR_ERROR_DAEMON_PROTOCOL, "the daemon sent %s", what);
    return -EPROTO;
}

static void cut(struct xhr_request *request, enum xhr_error_class kind, const char *text)
{
    struct xhr_failure why;

    xhr_failure_set(&why, kind, "%s", text);
    xhr_request_cut(request, &why);
}

static int send_answer(struct xhr_request *request, Xhrd__V1__Answer *answer)
{
    Xhrd__V1__ClientMessage message = XHRD__V1__CLIENT_MESSAGE__INIT;

    answer->request_id = request->slot.id;
    message.kind_case = XHRD__V1__CLIENT_MESSAGE__KIND_ANSWER;
    message.answer = answer;
    return xhr_link_queue(request->client, &message, NULL, NULL);
}

int xhr_answer_rewound(struct xhr_request *request, bool rewound)
{
    Xhrd__V1__Answer answer = XHRD__V1__ANSWER__INIT;

    answer.what_case = XHRD__V1__ANSWER__WHAT_REWOUND;
    answer.rewound = rewound;
    return send_answer(request, &answer);
}

/* ---- redirects --------------------------------------------------------------------------- */

void xhr_steps_done(struct xhr_steps *steps)
{
    for (size_t i = 0; i < steps->count; i++) {
        free(xhr_unconst(steps->at[i].url));
        free(xhr_unconst(steps->at[i].method));
    }
    free(steps->at);
    *steps = (struct xhr_steps){0};
}

static int reserve_step(struct xhr_steps *steps)
{
    if (steps->count < steps->capacity)
        return 0;
    size_t capacity = steps->capacity ? steps->capacity * 2 : STEPS_MIN;
    struct xhr_redirect *at = realloc(steps->at, capacity * sizeof(*at));

    if (!at)
        return -ENOMEM;
    steps->at = at;
    steps->capacity = capacity;
    return 0;
}

/* Beyond STEPS_MAX the last one is the one that is kept. */
static int add_step(struct xhr_steps *steps, const Xhrd__V1__Redirected *message)
{
    struct xhr_redirect step = {.status = (int)message->status, .is_upgrade = message->upgrade};
    int r = reserve_step(steps);

    if (r < 0)
        return r;
    step.url = xhr_dup(message->url.data, message->url.len);
    step.method = xhr_dup(message->method.data, message->method.len);
    if (!step.url || !step.method) {
        free(xhr_unconst(step.url));
        free(xhr_unconst(step.method));
        return -ENOMEM;
    }
    if (steps->count == STEPS_MAX) {
        steps->count--;
        free(xhr_unconst(steps->at[steps->count].url));
        free(xhr_unconst(steps->at[steps->count].method));
    }
    steps->at[steps->count++] = step;
    return 0;
}

static void tell_step(struct xhr_request *request)
{
    const struct xhr_steps *steps = &request->answer.steps;

    if (!request->callbacks.on_redirected)
        return;
    xhr_request_hold(request);
    request->callbacks.on_redirected(request, &steps->at[steps->count - 1], request->user);
    xhr_request_release(request);
}

static void follow(struct xhr_request *request, bool asks)
{
    Xhrd__V1__Answer answer = XHRD__V1__ANSWER__INIT;

    answer.what_case = XHRD__V1__ANSWER__WHAT_FOLLOW;
    answer.follow = true;
    if (asks && send_answer(request, &answer) < 0)
        cut(request, XHR_ERROR_MEMORY, "no memory to follow a redirect");
    else
        tell_step(request);
}

static void judge_step(struct xhr_request *request, bool asks)
{
    const struct xhr_steps *steps = &request->answer.steps;
    uint32_t epoch = request->epoch;

    request->asked = asks ? XHR_ASKED_REDIRECT : XHR_ASKED_NOTHING;
    request->may_defer = asks && request->is_async;
    request->is_deferred = false;
    xhr_request_hold(request);
    bool goes_on =
        request->callbacks.onredirect(request, &steps->at[steps->count - 1], request->user);
    if (!xhr_request_is_same(request, epoch))
        return;
    request->may_defer = false;
    if (request->is_deferred)
        return;
    request->asked = XHR_ASKED_NOTHING;
    if (goes_on)
        follow(request, asks);
    else
        cut(request, XHR_ERROR_REDIRECT, "the program vetoed a redirect");
}

int xhr_request_on_redirected(struct xhr_request *request,
                              const Xhrd__V1__Redirected *message,
                              struct xhr_failure *why)
{
    struct xhr_answer *answer = &request->answer;

    if (request->state != XHR_OPENED || answer->has_head)
        return refuse(why, "a redirect behind the head");
    if (request->asked != XHR_ASKED_NOTHING)
        return refuse(why, "a redirect before the answer to its last question");
    if (message->asks && !request->callbacks.onredirect)
        return refuse(why, "a question nobody wanted to hear");
    char *url = xhr_dup(message->url.data, message->url.len);
    char *method = xhr_dup(message->method.data, message->method.len);
    if (!url || !method || add_step(&answer->steps, message) < 0) {
        free(url);
        free(method);
        cut(request, XHR_ERROR_MEMORY, "no memory for a redirect");
        return 0;
    }
    free(answer->url);
    free(answer->method);
    answer->url = url;
    answer->method = method;
    if (!message->upgrade)
        answer->redirects++;
    if (request->callbacks.onredirect)
        judge_step(request, message->asks);
    else
        tell_step(request);
    return 0;
}

int xhr_request_defer_redirect(struct xhr_request *request)
{
    if (!request->may_defer)
        return -EINVAL;
    request->is_deferred = true;
    return 0;
}

int xhr_request_answer_redirect(struct xhr_request *request, bool goes_on)
{
    struct xhr_client *client = request->client;

    if (request->asked != XHR_ASKED_REDIRECT || !request->is_deferred || !client)
        return -EINVAL;
    request->asked = XHR_ASKED_NOTHING;
    if (!goes_on) {
        cut(request, XHR_ERROR_REDIRECT, "the program vetoed a redirect");
        return 0;
    }
    xhr_client_hold(client);
    follow(request, true);
    xhr_client_kick(client);
    xhr_client_release(client);
    return 0;
}

bool xhr_request_redirect_at(const struct xhr_request *request,
                             size_t index,
                             struct xhr_redirect *ret)
{
    if (index >= request->answer.steps.count)
        return false;
    *ret = request->answer.steps.at[index];
    return true;
}

/* ---- logins ------------------------------------------------------------------------------ */

/* The strings of a challenge, one behind the other. */
struct challenge_text {
    char *text;
    struct xhr_offer *offers;
    struct xhr_challenge challenge;
};

static const char *put(char **at, ProtobufCBinaryData from)
{
    char *text = *at;

    if (from.len > 0)
        memcpy(text, from.data, from.len);
    text[from.len] = '\0';
    *at += from.len + 1;
    xhr_make_printable(text);
    return text;
}

static size_t text_size(const Xhrd__V1__Challenge *from)
{
    size_t size = from->origin.len + from->realm.len + 2;

    for (size_t i = 0; i < from->n_offers; i++)
        size += from->offers[i]->name.len + from->offers[i]->realm.len + 2;
    return size;
}

static const char *name_of(Xhrd__V1__AuthScheme scheme)
{
    if (scheme == XHRD__V1__AUTH_SCHEME__AUTH_SCHEME_DIGEST)
        return "Digest";
    return scheme == XHRD__V1__AUTH_SCHEME__AUTH_SCHEME_BASIC ? "Basic" : NULL;
}

static int take_challenge(const Xhrd__V1__Challenge *from, struct challenge_text *ret)
{
    struct xhr_challenge *to = &ret->challenge;
    char *at = malloc(text_size(from));

    ret->text = at;
    ret->offers = calloc(from->n_offers + 1, sizeof(*ret->offers));
    if (!at || !ret->offers)
        return -ENOMEM;
    *to = (struct xhr_challenge){
        .scheme = name_of(from->scheme),
        .origin = put(&at, from->origin),
        .realm = put(&at, from->realm),
        .is_proxy = from->proxy,
        .attempt = from->attempt,
        .offers = ret->offers,
        .n_offers = from->n_offers,
    };
    for (size_t i = 0; i < from->n_offers; i++)
        ret->offers[i] = (struct xhr_offer){.scheme = put(&at, from->offers[i]->name),
                                            .realm = put(&at, from->offers[i]->realm)};
    return 0;
}

static ProtobufCBinaryData borrow_text(const char *text)
{
    return (ProtobufCBinaryData){text ? strlen(text) : 0, xhr_unconst(text)};
}

static int give_login(struct xhr_request *request, const struct xhr_login *login)
{
    Xhrd__V1__Answer answer = XHRD__V1__ANSWER__INIT;
    Xhrd__V1__ChallengeAnswer said = XHRD__V1__CHALLENGE_ANSWER__INIT;

    answer.what_case = XHRD__V1__ANSWER__WHAT_CHALLENGE;
    answer.challenge = &said;
    said.cancel = !login;
    if (login) {
        said.user = borrow_text(login->username);
        said.password = borrow_text(login->password);
        said.domain = borrow_text(login->domain);
        said.bearer_token = borrow_text(login->bearer_token);
    }
    return send_answer(request, &answer);
}

static void tell_challenge(struct xhr_request *request, const struct xhr_challenge *challenge)
{
    uint32_t epoch = request->epoch;

    request->asked = XHR_ASKED_CHALLENGE;
    xhr_request_hold(request);
    request->callbacks.on_challenge(request, challenge, request->user);
    if (!xhr_request_is_same(request, epoch))
        return;
    /* While it blocks nobody could answer any more. */
    if (!request->is_async && request->asked == XHR_ASKED_CHALLENGE)
        (void)xhr_request_answer_challenge(request, NULL);
}

int xhr_request_on_challenge(struct xhr_request *request,
                             const Xhrd__V1__Challenge *from,
                             struct xhr_failure *why)
{
    struct challenge_text to = {0};

    if (request->state != XHR_OPENED || request->answer.has_head)
        return refuse(why, "a challenge behind the head");
    if (request->asked != XHR_ASKED_NOTHING || !request->callbacks.on_challenge)
        return refuse(why, "a question nobody wanted to hear");
    if (from->n_offers > OFFERS_MAX)
        return refuse(why, "more challenges than anybody reads");
    if (take_challenge(from, &to) < 0)
        cut(request, XHR_ERROR_MEMORY, "no memory for a challenge");
    else
        tell_challenge(request, &to.challenge);
    free(to.text);
    free(to.offers);
    return 0;
}

static bool is_sane_login(const struct xhr_login *login)
{
    if (login->bearer_token)
        return !login->username && !login->password && !login->domain;
    return login->username && *login->username;
}

int xhr_request_answer_challenge(struct xhr_request *request, const struct xhr_login *login)
{
    struct xhr_client *client = request->client;
    struct xhr_login given = {0};

    if (request->asked != XHR_ASKED_CHALLENGE || !client)
        return -EINVAL;
    if (login && (xhr_take_sized(&given, sizeof(given), login) < 0 || !is_sane_login(&given)))
        return -EINVAL;
    xhr_client_hold(client);
    int r = give_login(request, login ? &given : NULL);
    if (r == 0)
        request->asked = XHR_ASKED_NOTHING;
    xhr_client_kick(client);
    xhr_client_release(client);
    return r;
}

/* ---- verdicts ---------------------------------------------------------------------------- */

static int send_verdict(struct xhr_request *request, bool trusted)
{
    Xhrd__V1__Answer answer = XHRD__V1__ANSWER__INIT;

    answer.what_case = XHRD__V1__ANSWER__WHAT_TRUSTED;
    answer.trusted = trusted;
    return send_answer(request, &answer);
}

static void tell_verdict(struct xhr_request *request, const struct xhr_verdict *verdict)
{
    uint32_t epoch = request->epoch;

    request->asked = XHR_ASKED_VERDICT;
    xhr_request_hold(request);
    request->callbacks.on_verdict(request, verdict, request->user);
    if (!xhr_request_is_same(request, epoch))
        return;
    /* While it blocks nobody could answer any more. */
    if (!request->is_async && request->asked == XHR_ASKED_VERDICT)
        (void)xhr_request_answer_verdict(request, false);
}

int xhr_request_on_verdict(struct xhr_request *request,
                           const Xhrd__V1__VerdictQuestion *from,
                           struct xhr_failure *why)
{
    struct xhr_verdict to = {.n_certificates = from->n_certificates,
                             .is_verified = !from->unverified,
                             .deadline_ms = from->deadline_ms};
    struct xhr_certificate *certificates = NULL;

    if (request->state != XHR_OPENED || request->answer.has_head)
        return refuse(why, "a question about certificates behind the head");
    if (request->asked != XHR_ASKED_NOTHING || !request->callbacks.on_verdict)
        return refuse(why, "a question nobody wanted to hear");
    if (from->n_certificates == 0 ||
        !xhr_certificates_are_sane(from->certificates, from->n_certificates))
        return refuse(why, "certificates that cannot be");
    char *origin = xhr_dup(from->origin.data, from->origin.len);
    if (!origin ||
        xhr_certificates_take(from->certificates, from->n_certificates, &certificates) < 0) {
        cut(request, XHR_ERROR_MEMORY, "no memory to judge certificates");
    } else {
        xhr_make_printable(origin);
        to.origin = origin;
        to.certificates = certificates;
        tell_verdict(request, &to);
    }
    free(origin);
    free(certificates);
    return 0;
}

int xhr_request_answer_verdict(struct xhr_request *request, bool trusted)
{
    struct xhr_client *client = request->client;

    if (request->asked != XHR_ASKED_VERDICT || !client)
        return -EINVAL;
    xhr_client_hold(client);
    int r = send_verdict(request, trusted);
    if (r == 0)
        request->asked = XHR_ASKED_NOTHING;
    xhr_client_kick(client);
    xhr_client_release(client);
    return r;
}
