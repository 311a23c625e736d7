/* SPDX-License-Identifier: MIT */
#include "service/tls_convert.h"

/* As OpenSSL spells them; empty: whatever there is. */
static const char *version_name(uint16_t version)
{
    switch (version) {
    case 0x0301: return "TLSv1";
    case 0x0302: return "TLSv1.1";
    case 0x0303: return "TLSv1.2";
    default: return "";
    }
}

void tls_rung_to_pb(const struct tls_rung *rung, Xhrd__V1__TlsRung *ret)
{
    const struct failure *cause = &rung->cause;

    xhrd__v1__tls_rung__init(ret);
    ret->version = bytes_of_span(span_of(version_name(rung->version)));
    if (cause->kind == FAILURE_NONE)
        return;
    ret->cause = bytes_of_span(span_of(cause->text));
    if (cause->kind == FAILURE_TLS || cause->kind == FAILURE_TLS_VERSION)
        ret->alert = cause->code;
}

Xhrd__V1__EarlyData request_early_to_pb(enum request_early early)
{
    switch (early) {
    case REQUEST_EARLY_NONE: break;
    case REQUEST_EARLY_SENT: return XHRD__V1__EARLY_DATA__EARLY_DATA_SENT;
    case REQUEST_EARLY_ACCEPTED: return XHRD__V1__EARLY_DATA__EARLY_DATA_ACCEPTED;
    case REQUEST_EARLY_REJECTED: return XHRD__V1__EARLY_DATA__EARLY_DATA_REJECTED;
    case REQUEST_EARLY_TOO_EARLY: return XHRD__V1__EARLY_DATA__EARLY_DATA_TOO_EARLY;
    case REQUEST_EARLY_FORBIDDEN: return XHRD__V1__EARLY_DATA__EARLY_DATA_FORBIDDEN;
    }
    return XHRD__V1__EARLY_DATA__EARLY_DATA_UNSPECIFIED;
}

Xhrd__V1__EarlyData early_data_to_pb(enum early_data early)
{
    switch (early) {
    case EARLY_DATA_NONE: break;
    case EARLY_DATA_SENT: return XHRD__V1__EARLY_DATA__EARLY_DATA_SENT;
    case EARLY_DATA_ACCEPTED: return XHRD__V1__EARLY_DATA__EARLY_DATA_ACCEPTED;
    case EARLY_DATA_REJECTED: return XHRD__V1__EARLY_DATA__EARLY_DATA_REJECTED;
    }
    return XHRD__V1__EARLY_DATA__EARLY_DATA_UNSPECIFIED;
}

void tls_info_to_pb(const struct request_head *head, struct tls_message *ret)
{
    const struct exchange_info *info = head->exchange;
    Xhrd__V1__TlsInfo *tls = &ret->info;

    xhrd__v1__tls_info__init(tls);
    tls->version = bytes_of_span(info->tls_version);
    tls->cipher = bytes_of_span(info->tls_cipher);
    tls->alpn = bytes_of_span(info->tls_alpn);
    tls->resumed = info->tls_resumed;
    tls->verify_result = info->tls_verify_result;
    tls->old = head->is_old_tls;
    tls->early_data = request_early_to_pb(head->early);
    if (!head->rungs)
        return;
    for (unsigned i = 0; i < head->rungs->n; i++) {
        tls_rung_to_pb(&head->rungs->at[i], &ret->rungs[i]);
        ret->list[i] = &ret->rungs[i];
    }
    tls->rungs = ret->list;
    tls->n_rungs = head->rungs->n;
}
