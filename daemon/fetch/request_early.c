/* SPDX-License-Identifier: MIT */
/*
 * Early data (RFC 8470): the request goes with the TLS hello. Whoever hears it can say it to
 * the same server once more, so it goes that way only if its owner wants it so, the
 * administrator does not mind, and it is a GET or HEAD without a body: what a server may answer
 * twice. A login of the administrator's never does.
 *
 * However it comes out, the owner gets one answer. A server that does not look at early data
 * gets the same bytes behind the handshake, on the same connection (net/io_tls_early.c). If the
 * handshake comes to nothing the request goes once more, on another connection, and not early;
 * so does one that is answered 425 (Too Early), on the same one.
 */
#include "fetch/request_priv.h"
#include "http/status.h"

/* As far as the owner has a word in it. */
static bool is_wanted(const struct request *request)
{
    const struct request_options *options = &request->options;
    struct span method = span_of(request->options.method);

    return options->early_data && request->origin->is_https && !request->has_body &&
           options->verdict_timeout_us == 0 && !options->tls.answerer &&
           (span_eq(method, SPAN_LIT("GET")) || span_eq(method, SPAN_LIT("HEAD")));
}

static bool is_forbidden(const struct request *request)
{
    return request_defaults(request)->forbids_early_data;
}

bool request_may_go_early(const struct request *request)
{
    return is_wanted(request) && !request->early.is_over && !is_forbidden(request) &&
           !request_gets_credential(request);
}

bool request_early_on_lease(struct request *request)
{
    if (!lease_is_early(request->lease) || request_may_go_early(request))
        return true;
    request->early.is_over = true; /* other rules came between */
    request_drop_connection(request);
    request_begin_hop(request);
    return false;
}

/* The handshake belongs to what the connect timeout is for, whatever has gone already. */
void request_early_arm(struct request *request)
{
    struct lease_timing timing;
    int64_t idle_us = request->options.idle_timeout_us;

    if (!lease_is_early(request->lease))
        return;
    lease_timing(request->lease, &timing);
    int64_t left_us = timing.deadline_us - loop_now_us(request->fetcher->loop);
    if (timing.deadline_us == 0 || (idle_us != 0 && idle_us <= left_us))
        return;
    request->early.is_timed = timer_arm(&request->phase, left_us > 0 ? left_us : 0) == 0;
}

bool request_early_on_timer(struct request *request)
{
    struct failure why;

    if (!request->early.is_timed)
        return false;
    request->early.is_timed = false;
    if (!request->lease || !lease_is_early(request->lease)) {
        request_touch(request);
        return true;
    }
    failure_set(&why, FAILURE_TIMEOUT_CONNECT, "timed out while shaking hands for TLS (%s)",
                request->origin->host);
    why.phase = PHASE_TLS;
    request_finish(request, &why);
    return true;
}

void request_early_failed(struct request *request)
{
    request->early.is_over = true;
    request->early.outcome = REQUEST_EARLY_REJECTED;
}

int request_early_on_head(struct request *request)
{
    struct exchange_info info;

    request->early.is_timed = false;
    if (!request->options.early_data)
        return 0;
    exchange_info(request->exchange, &info);
    if (info.early_data == EARLY_DATA_ACCEPTED)
        request->early.outcome = REQUEST_EARLY_ACCEPTED;
    if (info.early_data != EARLY_DATA_REJECTED)
        return 0;
    request->early.outcome = REQUEST_EARLY_REJECTED;
    return request_note_certificates(request); /* perhaps others than those of the session */
}

/* RFC 8470 §5.2. Of what was not early 425 is an answer like any other. */
bool request_is_too_early(struct request *request, const struct response_head *head)
{
    if (head->status != STATUS_TOO_EARLY || request->early.is_over ||
        request->early.outcome != REQUEST_EARLY_ACCEPTED)
        return false;
    request->early.is_over = true;
    request->early.outcome = REQUEST_EARLY_TOO_EARLY;
    return true;
}

enum request_early request_early_outcome(const struct request *request)
{
    if (request->early.outcome == REQUEST_EARLY_NONE && is_wanted(request) &&
        is_forbidden(request))
        return REQUEST_EARLY_FORBIDDEN;
    return (enum request_early)request->early.outcome;
}

enum request_early request_early_now(const struct request *request)
{
    enum request_early outcome = request_early_outcome(request);

    if (outcome != REQUEST_EARLY_NONE || !request->exchange)
        return outcome;
    switch (request->info.early_data) {
    case EARLY_DATA_NONE: break;
    case EARLY_DATA_SENT: return REQUEST_EARLY_SENT;
    case EARLY_DATA_ACCEPTED: return REQUEST_EARLY_ACCEPTED;
    case EARLY_DATA_REJECTED: return REQUEST_EARLY_REJECTED;
    }
    return REQUEST_EARLY_NONE;
}
