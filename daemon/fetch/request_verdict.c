/* SPDX-License-Identifier: MIT */
/*
 * The owner judges the server's certificates, before the first byte of the request goes to it.
 * He is asked again for each connection that a request of his is to go over, whoever made it:
 * so one owner's leave is never another's, and every hop and every second try has its own. The
 * connection is held meanwhile.
 *
 * No word is a refusal: a deadline that passes, an owner that left.
 */
#include <errno.h>

#include "base/certificate.h"
#include "base/fault.h"
#include "fetch/request_priv.h"

static void set_refusal(const struct request *request, const char *what, struct failure *ret)
{
    failure_set(ret, FAILURE_TLS_VERDICT, "%.80s: %s", request->origin->host, what);
    ret->phase = PHASE_TLS;
}

static void refuse(struct request *request, const char *what)
{
    struct failure why;

    set_refusal(request, what, &why);
    request_finish(request, &why);
}

void request_describe_mute_verdict(const struct request *request, struct failure *ret)
{
    set_refusal(request, "its certificate was to be judged by the client, who has left", ret);
}

void request_on_verdict_deadline(struct request *request)
{
    refuse(request, "its certificate was to be judged by the client, who has not done it in "
                    "time");
}

static void wait_for_verdict(struct request *request)
{
    request_tell_wait(request, REQUEST_WAIT_VERDICT);
    if (request->state != REQUEST_ASKING)
        return;
    if (timer_arm(&request->phase, request->options.verdict_timeout_us) < 0)
        request_finish_kind(request, FAILURE_INTERNAL, "out of memory");
}

static void ask(struct request *request, const struct certificates *chain)
{
    struct request_verdict verdict = {
        .certificates = chain,
        .origin = known_origin_text(request->origin),
        .is_verified = !request->options.tls.insecure,
        .deadline_us = request->options.verdict_timeout_us,
    };

    if (!request_ask(request, QUESTION_VERDICT))
        return;
    wait_for_verdict(request);
    if (request->state == REQUEST_ASKING)
        request->events->on_verdict(request->owner, &verdict);
}

bool request_asks_verdict(struct request *request)
{
    bool is_verified = !request->options.tls.insecure;
    CLEANUP(certificates_free) struct certificates *chain = NULL;

    if (request->options.verdict_timeout_us == 0 || !request->origin->is_https)
        return false;
    if (lease_certificates(request->lease, is_verified, &chain) < 0)
        request_finish_kind(request, FAILURE_INTERNAL, "out of memory");
    else if (!chain || chain->count == 0 || chain->n_left_out > 0)
        refuse(request, "its certificates cannot be shown to the client, who was to judge "
                        "them: there are none, or more than 20");
    else
        ask(request, chain);
    return true;
}

void request_on_verdict(struct request *request)
{
    if (!request->asking.yes) {
        lease_retire_connection(request->lease);
        refuse(request, "the client does not trust its certificate");
        return;
    }
    if (lease_is_usable(request->lease)) {
        request_send_on_lease(request);
        return;
    }
    log_debug(&request->log, "the connection broke while its certificate was judged");
    request_drop_connection(request);
    request_acquire(request, false);
}
