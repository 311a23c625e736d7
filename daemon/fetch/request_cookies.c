/* SPDX-License-Identifier: MIT */
/*
 * What a request has to do with its jar: it is opened before the first hop, asked when the
 * connection of a hop is there, and told of the head of each answer. On whose behalf a hop is
 * made is judged anew for each: where a redirect leads may be another site.
 */
#include <errno.h>

#include "fetch/request_priv.h"
#include "http/method.h"
#include "policy/cookie_jar.h"

static struct cookie_origin origin_of(const struct url *url)
{
    if (!url || !url->href)
        return (struct cookie_origin){0};
    return (struct cookie_origin){
        .host = url->host,
        .is_https = span_eq(url->scheme, SPAN_LIT("https")),
    };
}

/* This hop, as the jar sees it. */
static struct cookie_request hop_of(const struct request *request)
{
    const struct request_options *options = &request->options;
    const struct request_sites *sites = options->sites;

    return (struct cookie_request){
        .host = request->options.url.host,
        .path = request->options.url.path,
        .site = origin_of(sites ? &sites->site : NULL),
        .top_level = origin_of(sites ? &sites->top_level : NULL),
        .now_s = loop_wall_s(request->fetcher->loop),
        .is_secure = request->origin->is_https,
        .is_navigation = options->top_level_navigation,
        .is_unsafe = !method_is_safe(span_of(request->options.method)),
    };
}

/* ---- opening ----------------------------------------------------------------------------- */

static void request_on_cookies_ready(void *owner)
{
    request_later(owner, REQUEST_STEP_DECIDE);
}

#define TLS_1_2 0x0303

/* Cookies one may not see must not be led to where one sees them: to a server of one's own, or
 * past the certificates, or over an old TLS where the server has a better one. Pins, a status
 * that is wanted and a lowest version only narrow; a client certificate tells the server who
 * asks, and leads nowhere; an address to leave from is the machine's own. Return: what is in
 * the way, or NULL. */
const char *request_way_around(const struct request_options *options)
{
    if (options->n_resolve > 0)
        return "resolve";
    if (options->n_connect_to > 0)
        return "connect-to";
    if (options->proxies && (options->proxies->http.kind != PROXY_NONE ||
                             options->proxies->https.kind != PROXY_NONE))
        return "proxy";
    if (options->tls.insecure)
        return "insecure";
    if (options->tls.ca_pem.len > 0)
        return "ca";
    if (options->tls.max_version != 0 && options->tls.max_version < TLS_1_2)
        return "max-version";
    return NULL;
}

/* Return: whether to go on; else the request has failed. */
static bool may_go_with_jar(struct request *request)
{
    struct failure why;
    const char *around =
        request->jar.right < JAR_RIGHT_WRITE ? request_way_around(&request->options) : NULL;

    if (!around)
        return true;
    failure_set(&why, FAILURE_POLICY,
                "%s: not with a jar of which you may not see every cookie", around);
    request_finish(request, &why);
    return false;
}

bool request_open_jar(struct request *request)
{
    const struct cookie_access *cookies = &request->fetcher->cookies;

    const struct jar_asker asker = {
        .partition = &request->options.partition,
        .gids = request->options.gids,
        .n_gids = request->options.n_gids,
    };

    if (request->options.cookies == REQUEST_COOKIES_NONE || request->has_jar)
        return true;
    if (request->options.private_jar) {
        request->jar = (struct jar_lease){
            .jar = request->options.private_jar,
            .right = JAR_RIGHT_WRITE,
            .owner_uid = request->options.partition.uid,
        };
        request->has_jar = true;
        return true;
    }
    request->cookie_wait.on_ready = request_on_cookies_ready;
    request->cookie_wait.owner = request;
    int r = cookies->open(cookies->owner, &asker, span_of(request->options.jar),
                          &request->cookie_wait, &request->jar);
    request->has_jar = r == COOKIE_OPEN_READY;
    if (r == COOKIE_OPEN_READY)
        return may_go_with_jar(request);
    if (r == COOKIE_OPEN_DENIED)
        request_finish_kind(request, FAILURE_POLICY,
                            "jar: there is none of that name that you may use");
    else if (r == -EINVAL)
        request_finish_kind(request, FAILURE_ARGUMENT, JAR_REF_WANTS);
    else if (r == -EDQUOT)
        request_finish_kind(request, FAILURE_QUOTA, "too many cookie jars");
    else if (r < 0)
        request_finish_kind(request, FAILURE_INTERNAL, "the cookie jar cannot be opened");
    return false;
}

enum jar_right request_jar_right(const struct request *request, uint32_t *ret_owner)
{
    *ret_owner = request->has_jar ? request->jar.owner_uid : request->options.partition.uid;
    return request->has_jar ? request->jar.right : JAR_RIGHT_WRITE;
}

/* ---- sending ----------------------------------------------------------------------------- */

/* The caller's own behind the jar's: there is one Cookie field (RFC 6265bis §5.8.1). */
static int append_own(struct request *request, struct buf *value)
{
    struct span own;
    size_t cursor = 0;
    int r = 0;

    while (r == 0 && headers_find_next(&request->sent, SPAN_LIT("Cookie"), &cursor, &own)) {
        if (own.len == 0)
            continue;
        r = value->len > 0 ? buf_append_str(value, "; ") : 0;
        if (r == 0)
            r = buf_append(value, own);
    }
    return r;
}

int request_add_cookies(struct request *request)
{
    CLEANUP_BUF struct buf value = BUF_INIT(0);

    if (!request->jar.jar)
        return 0;
    struct cookie_request asked = hop_of(request);
    int r = cookie_jar_header_for(request->jar.jar, &asked, &value);
    if (r <= 0)
        return r;
    r = append_own(request, &value);
    return r < 0 ? r : headers_set(&request->sent, SPAN_LIT("Cookie"), buf_span(&value));
}

/* ---- storing ----------------------------------------------------------------------------- */

static void request_on_cookie_refused(void *owner, struct span field, int outcome)
{
    const struct request *request = owner;

    (void)field; /* never a value in the log */
    log_debug(&request->log, "cookie refused: %s", cookie_outcome_text(outcome));
}

int request_store_cookies(struct request *request, const struct headers *headers)
{
    CLEANUP_BUF struct buf url = BUF_INIT(0);
    struct cookie_refusals refusals = {request_on_cookie_refused, request};
    struct cookie_summary summary = {0};

    if (!request->jar.jar || request->options.cookies != REQUEST_COOKIES_SEND_AND_STORE ||
        !headers_has(headers, SPAN_LIT("Set-Cookie")))
        return 0;
    struct cookie_request from = hop_of(request);
    int r = url_format(&request->options.url,
                       URL_WITHOUT_USERINFO | URL_WITHOUT_QUERY | URL_WITHOUT_FRAGMENT, &url);
    if (r < 0)
        return r;
    from.url = buf_span(&url);
    r = cookie_jar_store_response(request->jar.jar, &from, headers, &refusals, &summary);
    if (request->options.private_jar)
        return r; /* never on disk */
    request->must_commit |= summary.must_be_saved ? REQUEST_COMMIT_JAR : 0;
    request->has_new_cookies |= summary.must_be_saved;
    return r;
}
