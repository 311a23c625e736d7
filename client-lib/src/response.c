/* SPDX-License-Identifier: MIT */
/* What came back, and the questions about it. */
#include <stdlib.h>
#include <string.h>

#include "xhr_priv.h"

static void free_head(struct xhr_answer *answer)
{
    free(answer->status_text);
    free(answer->content_coding);
    free(answer->connection_text);
    free(answer->certificates);
    free(answer->joined);
    free(answer->all_headers);
    xhr_lines_done(&answer->headers);
    xhr_lines_done(&answer->sent);
}

void xhr_answer_forget_head(struct xhr_answer *answer)
{
    struct xhr_answer kept = {
        .steps = answer->steps,
        .url = answer->url,
        .method = answer->method,
        .totals = answer->totals,
        .redirects = answer->redirects,
    };

    free_head(answer);
    xhr_rungs_done(&answer->rungs);
    *answer = kept;
}

void xhr_answer_clear(struct xhr_answer *answer)
{
    free_head(answer);
    xhr_steps_done(&answer->steps);
    xhr_rungs_done(&answer->rungs);
    free(answer->url);
    free(answer->method);
    free(answer->text);
    xhr_lines_done(&answer->trailers);
    xhr_bytes_done(&answer->body);
    xhr_spill_done(&answer->spill);
    *answer = (struct xhr_answer){0};
}

static const char *put(char **at, const ProtobufCBinaryData *bytes)
{
    char *text = *at;

    if (bytes->len > 0)
        memcpy(text, bytes->data, bytes->len);
    text[bytes->len] = '\0';
    *at = text + bytes->len + 1;
    return text;
}

static enum xhr_early_data early_data_of(Xhrd__V1__EarlyData early)
{
    switch (early) {
    case XHRD__V1__EARLY_DATA__EARLY_DATA_SENT: return XHR_EARLY_DATA_SENT;
    case XHRD__V1__EARLY_DATA__EARLY_DATA_ACCEPTED: return XHR_EARLY_DATA_ACCEPTED;
    case XHRD__V1__EARLY_DATA__EARLY_DATA_REJECTED: return XHR_EARLY_DATA_REJECTED;
    case XHRD__V1__EARLY_DATA__EARLY_DATA_TOO_EARLY: return XHR_EARLY_DATA_TOO_EARLY;
    case XHRD__V1__EARLY_DATA__EARLY_DATA_FORBIDDEN: return XHR_EARLY_DATA_FORBIDDEN;
    case XHRD__V1__EARLY_DATA__EARLY_DATA_UNSPECIFIED:
    case _XHRD__V1__EARLY_DATA_IS_INT_SIZE: break;
    }
    return XHR_EARLY_DATA_NONE;
}

static int take_connection(struct xhr_answer *answer, const Xhrd__V1__ConnectionInfo *info)
{
    const Xhrd__V1__TlsInfo no_tls = XHRD__V1__TLS_INFO__INIT;
    const Xhrd__V1__TlsInfo *tls = info->tls ? info->tls : &no_tls;
    size_t size = info->remote_address.len + info->local_address.len + tls->version.len +
                  tls->cipher.len + tls->alpn.len + info->proxy.len + 6;
    char *at = malloc(size);

    if (!at)
        return -ENOMEM;
    answer->connection_text = at;
    answer->connection = (struct xhr_connection_info){
        .connection_id = info->connection_id,
        .reused = info->reused,
        .remote_address = put(&at, &info->remote_address),
        .remote_port = (uint16_t)info->remote_port,
        .local_port = (uint16_t)info->local_port,
        .tls = info->tls ? &answer->tls : NULL,
    };
    answer->connection.local_address = put(&at, &info->local_address);
    answer->connection.proxy = put(&at, &info->proxy);
    answer->connection.proxy_tunnel = info->proxy_tunnel;
    answer->tls.version = put(&at, &tls->version);
    answer->tls.cipher = put(&at, &tls->cipher);
    answer->tls.alpn = put(&at, &tls->alpn);
    answer->tls.resumed = tls->resumed;
    answer->tls.verify_result = tls->verify_result;
    answer->tls.old = tls->old;
    answer->tls.early_data = early_data_of(tls->early_data);
    answer->tls.rungs = (unsigned)tls->n_rungs;
    answer->has_connection = true;
    int r =
        xhr_certificates_take(tls->certificates, tls->n_certificates, &answer->certificates);
    if (r < 0)
        return r;
    answer->tls.certificates = answer->certificates;
    answer->tls.n_certificates = tls->n_certificates;
    answer->tls.n_certificates_left_out = tls->certificates_left_out;
    return xhr_rungs_replace(&answer->rungs, tls);
}

static enum xhr_from_cache from_cache_of(Xhrd__V1__FromCache from)
{
    switch (from) {
    case XHRD__V1__FROM_CACHE__FROM_CACHE_HIT: return XHR_FROM_CACHE_HIT;
    case XHRD__V1__FROM_CACHE__FROM_CACHE_REVALIDATED: return XHR_FROM_CACHE_REVALIDATED;
    case XHRD__V1__FROM_CACHE__FROM_CACHE_STALE: return XHR_FROM_CACHE_STALE;
    case XHRD__V1__FROM_CACHE__FROM_CACHE_UNSPECIFIED:
    case _XHRD__V1__FROM_CACHE_IS_INT_SIZE: break;
    }
    return XHR_FROM_CACHE_NO;
}

int xhr_answer_take_head(struct xhr_answer *answer, const Xhrd__V1__ResponseHead *head)
{
    char *url = head->url.len > 0 ? xhr_dup(head->url.data, head->url.len) : NULL;
    int r = 0;

    if (url) {
        free(answer->url);
        answer->url = url;
    }
    answer->status_text = xhr_dup(head->reason.data, head->reason.len);
    answer->content_coding = xhr_dup(head->content_coding.data, head->content_coding.len);
    if ((head->url.len > 0 && !url) || !answer->status_text || !answer->content_coding)
        return -ENOMEM;
    r = xhr_lines_take(&answer->headers, head->headers, head->n_headers);
    if (r == 0)
        r = xhr_lines_take(&answer->sent, head->sent_headers, head->n_sent_headers);
    if (r == 0 && head->connection)
        r = take_connection(answer, head->connection);
    if (r < 0)
        return r;
    answer->has_head = true;
    answer->status = head->status <= 999 ? (int)head->status : 0;
    answer->http_version = head->http_version <= 99 ? (int)head->http_version : 0;
    answer->redirects = head->redirects;
    answer->from_cache = from_cache_of(head->from_cache);
    answer->age_s = head->age_s;
    answer->is_size_known =
        head->body_size_case == XHRD__V1__RESPONSE_HEAD__BODY_SIZE_BODY_BYTES;
    answer->size_bytes = answer->is_size_known ? head->body_bytes : 0;
    return 0;
}

void xhr_answer_take_timing(struct xhr_answer *answer, const Xhrd__V1__Timing *timing)
{
    if (!timing)
        return;
    answer->timing = (struct xhr_timing){
        .queued_us = timing->queued_us,
        .name_lookup_us = timing->name_lookup_us,
        .connect_us = timing->connect_us,
        .tls_us = timing->tls_us,
        .sent_us = timing->sent_us,
        .first_byte_us = timing->first_byte_us,
        .total_us = timing->total_us,
    };
}

enum xhr_ready_state xhr_request_ready_state(const struct xhr_request *request)
{
    return request->state;
}

int xhr_request_status(const struct xhr_request *request)
{
    return request->answer.status;
}

static const char *or_empty(const char *text)
{
    return text ? text : "";
}

const char *xhr_request_status_text(const struct xhr_request *request)
{
    return or_empty(request->answer.status_text);
}

int xhr_request_http_version(const struct xhr_request *request)
{
    return request->answer.http_version;
}

const char *xhr_request_location(const struct xhr_request *request)
{
    return or_empty(request->answer.url ? request->answer.url : request->url);
}

const char *xhr_request_method(const struct xhr_request *request)
{
    return or_empty(request->answer.method ? request->answer.method : request->method);
}

unsigned xhr_request_redirect_count(const struct xhr_request *request)
{
    return request->answer.redirects;
}

const char *xhr_request_content_coding(const struct xhr_request *request)
{
    return or_empty(request->answer.content_coding);
}

bool xhr_request_body_size(const struct xhr_request *request, uint64_t *ret_bytes)
{
    if (!request->answer.is_size_known)
        return false;
    *ret_bytes = request->answer.size_bytes;
    return true;
}

const char *xhr_request_response_header(struct xhr_request *request, const char *name)
{
    struct xhr_answer *answer = &request->answer;
    char *joined = NULL;

    if (xhr_lines_join(&answer->headers, name, &joined) < 0)
        return NULL;
    free(answer->joined);
    answer->joined = joined;
    return joined;
}

const char *xhr_request_all_response_headers(struct xhr_request *request)
{
    struct xhr_answer *answer = &request->answer;

    if (!answer->has_head)
        return "";
    if (!answer->all_headers && xhr_lines_all(&answer->headers, &answer->all_headers) < 0)
        return NULL;
    return answer->all_headers;
}

bool xhr_request_response_header_at(const struct xhr_request *request,
                                    size_t index,
                                    const char **ret_name,
                                    const char **ret_value)
{
    return xhr_lines_at(&request->answer.headers, index, ret_name, ret_value);
}

bool xhr_request_sent_header_at(const struct xhr_request *request,
                                size_t index,
                                const char **ret_name,
                                const char **ret_value)
{
    return xhr_lines_at(&request->answer.sent, index, ret_name, ret_value);
}

bool xhr_request_trailer_at(const struct xhr_request *request,
                            size_t index,
                            const char **ret_name,
                            const char **ret_value)
{
    return xhr_lines_at(&request->answer.trailers, index, ret_name, ret_value);
}

const uint8_t *xhr_answer_body(struct xhr_answer *answer, size_t *ret_len)
{
    if (answer->spill.is_open) {
        const uint8_t *view = xhr_spill_view(&answer->spill);

        *ret_len = view ? answer->spill.view_len : 0;
        return view;
    }
    *ret_len = answer->body.len;
    return answer->body.len > 0 ? xhr_bytes_at(&answer->body) : (const uint8_t *)"";
}

/* What is asked for does not change the answer: the view is made when it is wanted. */
const void *xhr_request_response_body(const struct xhr_request *request, size_t *ret_len)
{
    struct xhr_request *self = xhr_unconst(request);
    size_t len = 0;
    const uint8_t *body = xhr_answer_body(&self->answer, &len);

    if (ret_len)
        *ret_len = len;
    return body ? (const void *)body : "";
}

int xhr_request_response_file(const struct xhr_request *request, uint64_t *ret_len)
{
    const struct xhr_spill *spill = &request->answer.spill;

    if (!spill->is_open)
        return -1;
    *ret_len = spill->len;
    return spill->fd;
}

const struct xhr_error *xhr_request_error(const struct xhr_request *request)
{
    return request->has_error ? &request->error : NULL;
}

const struct xhr_connection_info *xhr_request_connection(const struct xhr_request *request)
{
    return request->answer.has_connection ? &request->answer.connection : NULL;
}

const struct xhr_timing *xhr_request_timing(const struct xhr_request *request)
{
    return &request->answer.timing;
}

const struct xhr_totals *xhr_request_totals(const struct xhr_request *request)
{
    return &request->answer.totals;
}

enum xhr_from_cache xhr_request_from_cache(const struct xhr_request *request)
{
    return request->answer.from_cache;
}

const char *xhr_from_cache_name(enum xhr_from_cache from)
{
    switch (from) {
    case XHR_FROM_CACHE_HIT: return "hit";
    case XHR_FROM_CACHE_REVALIDATED: return "revalidated";
    case XHR_FROM_CACHE_STALE: return "stale";
    case XHR_FROM_CACHE_NO: break;
    }
    return "";
}

uint64_t xhr_request_age_s(const struct xhr_request *request)
{
    return request->answer.age_s;
}

bool xhr_request_cookies_not_persisted(const struct xhr_request *request)
{
    return request->answer.cookies_not_persisted;
}

struct xhr_client *xhr_request_client(const struct xhr_request *request)
{
    return request->client;
}
