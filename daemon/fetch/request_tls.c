/* SPDX-License-Identifier: MIT */
/*
 * How old a TLS a request may have: from 1.0 on, unless the administrator or the caller wants
 * better, and never below 1.2 for what is worth more than an answer from an old server: a host
 * that wants https or was seen at 1.2, a pinned key, a client certificate, a login.
 *
 * The pool is asked for 1.2 first and asks back (request_oldest_tls()) when it has none. What
 * came of it is looked at once more before the first byte of the request goes.
 */
#include <errno.h>

#include "base/fault.h"
#include "base/mem.h"
#include "base/message_id.h"
#include "fetch/request_priv.h"
#include "policy/tls_seen.h"

#define TLS_1_0          0x0301
#define TLS_1_2          0x0303
#define WARN_EVERY_S     86400
#define WARNED_HOSTS_MAX 1000

/* ---- what is wanted -------------------------------------------------------------------- */

/* The machine's floor, raised by the caller. */
static uint16_t least_version(const struct request *request)
{
    uint16_t wanted = request->options.tls.min_version;
    uint16_t floor = request_defaults(request)->tls_min_version;

    wanted = wanted ? wanted : TLS_1_0;
    return floor > wanted ? floor : wanted;
}

/* The caller wants nothing newer than 1.1. */
static bool is_old_only(const struct request *request)
{
    uint16_t max = request->options.tls.max_version;

    return max && max < TLS_1_2;
}

struct pool_tls request_pool_tls(const struct request *request)
{
    struct pool_tls tls = request->options.tls;
    uint16_t least = least_version(request);

    tls.min_version = least > TLS_1_2 || is_old_only(request) ? least : 0;
    return tls;
}

static bool has_authorization(const struct request *request)
{
    return request_has_login(request) ||
           headers_has(&request->options.headers, SPAN_LIT("Authorization"));
}

/* Without memory to look there is none of which nothing is known. */
static bool was_seen(const struct request *request)
{
    const struct cookie_access *cookies = &request->fetcher->cookies;
    struct hsts *seen = NULL;

    if (cookies->open_seen(cookies->owner, &request->options.partition, &seen) < 0)
        return true;
    return tls_seen_has(seen, request->origin, loop_wall_s(request->fetcher->loop));
}

/* Why the connection for this hop must be 1.2 or better; NULL: it need not. */
static const char *why_modern(const struct request *request)
{
    const struct pool_tls *tls = &request->options.tls;

    if (tls->identity.len > 0 || tls->answerer)
        return "a client certificate goes along";
    if (request->options.http == POOL_HTTP_2)
        return "HTTP/2 wants it";
    if (tls->pins.len > 0)
        return "its key is pinned";
    if (has_authorization(request))
        return "a login goes along";
    if (request->hosts && hsts_is_secure(request->hosts, origin_host(request->origin),
                                         loop_wall_s(request->fetcher->loop)))
        return "the host wants https (HSTS)";
    return was_seen(request) ? "it was seen at 1.2 or better" : NULL;
}

uint16_t request_oldest_tls(void *owner)
{
    const struct request *request = owner;
    uint16_t least = least_version(request);

    return least >= TLS_1_2 || is_old_only(request) || why_modern(request) ? 0 : least;
}

bool request_tls_can_be(struct request *request)
{
    uint16_t max = request->options.tls.max_version;
    struct failure why;

    if (!request->origin->is_https || !max)
        return true;
    if (max < request_defaults(request)->tls_min_version) {
        request_finish_kind(request, FAILURE_TLS_VERSION,
                            "the administrator allows newer versions of TLS only "
                            "(MinimumTLSVersion=)");
        return false;
    }
    const char *modern = is_old_only(request) ? why_modern(request) : NULL;
    if (!modern)
        return true;
    failure_set(&why, FAILURE_TLS_VERSION, "%.60s is not asked below TLS 1.2: %s",
                request->origin->host, modern);
    why.phase = PHASE_TLS;
    request_finish(request, &why);
    return false;
}

void request_tls_explain(const struct request *request, struct failure *why)
{
    const char *modern = why->kind == FAILURE_TLS_VERSION && request->origin->is_https
                             ? why_modern(request)
                             : NULL;
    struct failure copy = *why;

    if (!modern)
        return;
    failure_set(&copy, why->kind, "%.100s; not below 1.2: %s", why->text, modern);
    memcpy(why->text, copy.text, sizeof(why->text));
}

/* ---- what came of it ------------------------------------------------------------------- */

/* Nobody waits for the disk: it goes with the next transaction. */
static void note_seen(struct request *request)
{
    const struct cookie_access *cookies = &request->fetcher->cookies;
    struct hsts *seen = NULL;

    if (request->options.tls.insecure)
        return;
    int r = cookies->open_seen(cookies->owner, &request->options.partition, &seen);
    if (r == 0)
        r = tls_seen_note(seen, request->origin, loop_wall_s(request->fetcher->loop));
    if (r < 0)
        log_debug(&request->log, "not remembered as a server of TLS 1.2: out of memory");
}

/* Return: whether nobody was warned of the host today. */
static bool warning_is_due(struct request *request)
{
    struct fetcher *fetcher = request->fetcher;
    struct hsts_options options = {
        .hosts_max = WARNED_HOSTS_MAX, .all_max = WARNED_HOSTS_MAX, .any_text = true};
    struct span host = origin_host(request->origin);
    int64_t now_s = loop_wall_s(fetcher->loop);

    if (!fetcher->warned_of_tls && hsts_new(&fetcher->warned_of_tls, &options) < 0)
        return true;
    if (hsts_has(fetcher->warned_of_tls, host, now_s))
        return false;
    if (hsts_note(fetcher->warned_of_tls, host, WARN_EVERY_S, false, now_s) < 0)
        log_debug(&request->log, "the next warning comes early: out of memory");
    return true;
}

static void warn_of_old(struct request *request, uint16_t version)
{
    if (warning_is_due(request))
        log_at_id(
            LOG_LEVEL_WARNING, &request->log, MESSAGE_OLD_TLS,
            "%s is reached with TLS 1.%u only, which protects little (RFC 8996), going on",
            request->origin->host, (unsigned)(version - TLS_1_0));
}

static void keep_rungs(struct request *request)
{
    const struct tls_rungs *rungs = lease_rungs(request->lease);

    request->rungs = mem_free(request->rungs);
    if (!rungs)
        return;
    request->rungs = mem_alloc(sizeof(*rungs));
    if (request->rungs)
        *request->rungs = *rungs;
}

bool request_tls_on_lease(struct request *request)
{
    uint16_t version = lease_tls_version(request->lease);
    struct failure why;

    request->tls_version = version;
    if (request->rungs || lease_rungs(request->lease))
        keep_rungs(request);
    if (version == 0 || (version >= TLS_1_2 && lease_is_reused(request->lease)))
        return true;
    if (version >= TLS_1_2) {
        note_seen(request);
        return true;
    }
    const char *modern = why_modern(request);
    if (modern) {
        failure_set(&why, FAILURE_TLS_VERSION, "%.60s offers TLS 1.%u; not below 1.2: %s",
                    request->origin->host, (unsigned)(version - TLS_1_0), modern);
        why.phase = PHASE_TLS;
        request_finish(request, &why);
        return false;
    }
    if (!lease_is_reused(request->lease))
        warn_of_old(request, version);
    return true;
}
