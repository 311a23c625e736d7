/* SPDX-License-Identifier: MIT */
#include "net/tls_failure.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdbool.h>

#include "net/tls_alert.h"

static bool is_version(int reason)
{
    return reason == SSL_R_UNSUPPORTED_PROTOCOL || reason == SSL_R_WRONG_SSL_VERSION ||
           reason == SSL_R_VERSION_TOO_LOW || reason == SSL_R_VERSION_TOO_HIGH ||
           reason == SSL_R_NO_PROTOCOLS_AVAILABLE || reason == SSL_R_UNKNOWN_PROTOCOL ||
           reason == SSL_R_BAD_PROTOCOL_VERSION_NUMBER ||
           reason == SSL_R_INAPPROPRIATE_FALLBACK;
}

static bool is_no_tls(int reason)
{
    return reason == SSL_R_WRONG_VERSION_NUMBER || reason == SSL_R_HTTP_REQUEST ||
           reason == SSL_R_PACKET_LENGTH_TOO_LONG || reason == SSL_R_UNKNOWN_PROTOCOL;
}

void tls_failure_take(struct failure *ret, const char *host)
{
    unsigned long error = ERR_get_error();
    int reason = ERR_GET_REASON(error);
    const char *text = ERR_reason_error_string(error);

    ERR_clear_error();
    if (ERR_GET_LIB(error) == ERR_LIB_SSL && reason > SSL_AD_REASON_OFFSET)
        tls_alert_describe(ret, host, (unsigned)(reason - SSL_AD_REASON_OFFSET));
    else if (ERR_GET_LIB(error) == ERR_LIB_SSL && is_no_tls(reason))
        failure_set(ret, FAILURE_TLS,
                    "what %s answers is not TLS; is the port one of plain HTTP?", host);
    else if (ERR_GET_LIB(error) == ERR_LIB_SSL && reason == SSL_R_EXCESSIVE_MESSAGE_SIZE)
        failure_set(ret, FAILURE_TLS,
                    "what %s sends in the handshake is too long; its certificates may have 100 "
                    "KiB in all",
                    host);
    else if (ERR_GET_LIB(error) == ERR_LIB_SSL && is_version(reason))
        failure_set(ret, FAILURE_TLS_VERSION,
                    "%s speaks none of the TLS versions allowed here (%s)", host,
                    text ? text : "?");
    else if (reason == ERR_R_MALLOC_FAILURE)
        failure_set(ret, FAILURE_INTERNAL, "out of memory in TLS with %s", host);
    else
        failure_set(ret, FAILURE_TLS, "TLS with %s failed: %s", host, text ? text : "?");
    ret->phase = PHASE_TLS;
}
