/* SPDX-License-Identifier: MIT */
/* Classes of failure: names, Titanium's numbers (NSURLError of iOS), errno, and from the wire.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "xhr_priv.h"

/* The same words whatever the language, from any thread. */
#ifdef __GLIBC__
#define ERRNO_TEXT strerrordesc_np
#else
#define ERRNO_TEXT strerror
#endif

static const struct {
    char name[20];
    int titanium;
    int error;
} classes[] = {
    [XHR_ERROR_NONE] = {"none", 0, -EIO},
    [XHR_ERROR_ARGUMENT] = {"argument", -1000, -EINVAL},
    [XHR_ERROR_URL] = {"url", -1000, -EINVAL},
    [XHR_ERROR_POLICY] = {"policy", -1013, -EACCES},
    [XHR_ERROR_QUOTA] = {"quota", -1, -EDQUOT},
    [XHR_ERROR_DNS] = {"dns", -1003, -EADDRNOTAVAIL},
    [XHR_ERROR_CONNECT] = {"connect", -1004, -ECONNREFUSED},
    [XHR_ERROR_PROXY] = {"proxy", -1004, -ECONNREFUSED},
    [XHR_ERROR_TLS] = {"tls", -1200, -EPROTO},
    [XHR_ERROR_TLS_VERIFY] = {"tls-verify", -1202, -EKEYREJECTED},
    [XHR_ERROR_TLS_VERSION] = {"tls-version", -1200, -EPROTONOSUPPORT},
    [XHR_ERROR_TLS_PIN] = {"tls-pin", -1202, -EKEYREJECTED},
    [XHR_ERROR_TIMEOUT_CONNECT] = {"timeout-connect", -1001, -ETIMEDOUT},
    [XHR_ERROR_TIMEOUT_IDLE] = {"timeout-idle", -1001, -ETIMEDOUT},
    [XHR_ERROR_TIMEOUT_TOTAL] = {"timeout-total", -1001, -ETIMEDOUT},
    [XHR_ERROR_SEND] = {"send", -1005, -EPIPE},
    [XHR_ERROR_RECEIVE] = {"receive", -1005, -ECONNRESET},
    [XHR_ERROR_EMPTY_REPLY] = {"empty-reply", -1005, -ENODATA},
    [XHR_ERROR_PROTOCOL] = {"protocol", -1011, -EBADMSG},
    [XHR_ERROR_TRUNCATED] = {"truncated", -1005, -ENODATA},
    [XHR_ERROR_LIMIT] = {"limit", -1103, -EMSGSIZE},
    [XHR_ERROR_CODING] = {"coding", -1015, -EILSEQ},
    [XHR_ERROR_REDIRECT] = {"redirect", -1007, -ELOOP},
    [XHR_ERROR_REWIND] = {"rewind", -1021, -ESPIPE},
    [XHR_ERROR_BODY_READ] = {"body-read", -1021, -EIO},
    [XHR_ERROR_WRITE] = {"write", -3003, -EIO},
    [XHR_ERROR_COOKIE_STORE] = {"cookie-store", -3003, -EIO},
    [XHR_ERROR_ABORTED] = {"aborted", -999, -ECANCELED},
    [XHR_ERROR_SHUTDOWN] = {"shutdown", -1005, -ESHUTDOWN},
    [XHR_ERROR_INTERNAL] = {"internal", -1, -EIO},
    [XHR_ERROR_TLS_VERDICT] = {"tls-verdict", -1202, -EKEYREJECTED},
    [XHR_ERROR_TLS_STATUS] = {"tls-status", -1202, -EKEYREVOKED},
    [XHR_ERROR_HTTP_STATUS] = {"http-status", 0, -EREMOTEIO},
    [XHR_ERROR_DAEMON_LOST] = {"daemon-lost", -1005, -ECONNRESET},
    [XHR_ERROR_DAEMON_UNREACHABLE] = {"daemon-unreachable", -1004, -EHOSTDOWN},
    [XHR_ERROR_DAEMON_REFUSED] = {"daemon-refused", -1004, -EPERM},
    [XHR_ERROR_DAEMON_PROTOCOL] = {"daemon-protocol", -1011, -EPROTO},
    [XHR_ERROR_MEMORY] = {"memory", -1, -ENOMEM},
    [XHR_ERROR_RANGE] = {"range", -1, -ERANGE},
};
#define N_CLASSES (sizeof(classes) / sizeof(*classes))

static const char phases[][12] = {
    [XHR_PHASE_NONE] = "none",       [XHR_PHASE_QUEUED] = "queued", [XHR_PHASE_DNS] = "dns",
    [XHR_PHASE_CONNECT] = "connect", [XHR_PHASE_PROXY] = "proxy",   [XHR_PHASE_TLS] = "tls",
    [XHR_PHASE_SEND] = "send",       [XHR_PHASE_WAIT] = "wait",     [XHR_PHASE_HEAD] = "head",
    [XHR_PHASE_BODY] = "body",
};
static const char states[][20] = {"UNSENT", "OPENED", "HEADERS_RECEIVED", "LOADING", "DONE"};
static const char reasons[][16] = {
    [XHR_WAIT_NONE] = "none",
    [XHR_WAIT_QUEUED] = "queued",
    [XHR_WAIT_DNS] = "dns",
    [XHR_WAIT_CONNECT] = "connect",
    [XHR_WAIT_TLS] = "tls",
    [XHR_WAIT_AUTH] = "auth",
    [XHR_WAIT_BACKPRESSURE] = "backpressure",
    [XHR_WAIT_CONNECTIVITY] = "connectivity",
    [XHR_WAIT_TLS_RUNG] = "tls-rung",
    [XHR_WAIT_VERDICT] = "verdict",
};

static const char earlies[][12] = {
    [XHR_EARLY_DATA_NONE] = "none",           [XHR_EARLY_DATA_SENT] = "sent",
    [XHR_EARLY_DATA_ACCEPTED] = "accepted",   [XHR_EARLY_DATA_REJECTED] = "rejected",
    [XHR_EARLY_DATA_TOO_EARLY] = "too-early", [XHR_EARLY_DATA_FORBIDDEN] = "forbidden",
};

#define NAME_OF(names, value)                                                                  \
    ((size_t)(value) < sizeof(names) / sizeof(*(names)) && (names)[value][0] ? (names)[value]  \
                                                                             : "unknown")

const char *xhr_error_name(enum xhr_error_class kind)
{
    return (size_t)kind < N_CLASSES && classes[kind].name[0] ? classes[kind].name : "unknown";
}

const char *xhr_phase_name(enum xhr_phase phase)
{
    return NAME_OF(phases, phase);
}

const char *xhr_ready_state_name(enum xhr_ready_state state)
{
    return NAME_OF(states, state);
}

const char *xhr_early_data_name(enum xhr_early_data early)
{
    return NAME_OF(earlies, early);
}

const char *xhr_wait_reason_name(enum xhr_wait_reason reason)
{
    return NAME_OF(reasons, reason);
}

int xhr_error_errno(const struct xhr_error *error)
{
    if (error->kind == XHR_ERROR_WRITE || error->kind == XHR_ERROR_CONNECT)
        return error->sys_errno > 0 ? -error->sys_errno : classes[error->kind].error;
    return (size_t)error->kind < N_CLASSES && classes[error->kind].error
               ? classes[error->kind].error
               : -EIO;
}

const char *xhr_errno_text(int error)
{
    const char *text = ERRNO_TEXT(error);

    return text ? text : "unknown error";
}

void xhr_failure_set(struct xhr_failure *ret, enum xhr_error_class kind, const char *fmt, ...)
{
    va_list args;

    *ret = (struct xhr_failure){.kind = kind};
    va_start(args, fmt);
    /* NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized): clang 14 loses sight of args */
    (void)vsnprintf(ret->text, sizeof(ret->text), fmt, args);
    va_end(args);
    xhr_make_printable(ret->text); /* it may quote a server */
}

void xhr_failure_show(const struct xhr_failure *failure, struct xhr_error *ret)
{
    *ret = (struct xhr_error){
        .kind = failure->kind,
        .code = failure->kind == XHR_ERROR_HTTP_STATUS ? failure->status
                                                       : classes[failure->kind].titanium,
        .phase = failure->phase,
        .sys_errno = failure->sys_errno,
        .detail = failure->detail,
        .name = classes[failure->kind].name,
        .text = failure->text,
    };
}

/* What the daemon wrote is for a terminal or a log: one line, no control characters. */
/* Bytes of a character that a terminal only shows: no control, C1's included. 0: it is none. */
static size_t shown_bytes(const unsigned char *at)
{
    static const unsigned least[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t n = at[0] < 0x80 ? 1 : at[0] < 0xc2 ? 0 : at[0] < 0xe0 ? 2 : at[0] < 0xf0 ? 3 : 4;
    unsigned code = n > 1 ? at[0] & (0x7fu >> n) : at[0];

    if (n == 0 || at[0] > 0xf4)
        return 0;
    for (size_t i = 1; i < n; i++) {
        if ((at[i] & 0xc0) != 0x80)
            return 0;
        code = code << 6 | (at[i] & 0x3fu);
    }
    if (code < least[n] || code > 0x10ffff || (code >= 0xd800 && code < 0xe000))
        return 0;
    return code < 0x20 || (code >= 0x7f && code < 0xa0) ? 0 : n;
}

void xhr_make_printable(char *text)
{
    while (*text) {
        size_t n = shown_bytes((const unsigned char *)text);

        if (n == 0)
            *text = '?';
        text += n ? n : 1;
    }
}

static void take_text(struct xhr_failure *failure, const ProtobufCBinaryData *text)
{
    size_t len = text->len < XHR_TEXT_MAX - 1 ? text->len : XHR_TEXT_MAX - 1;

    if (len > 0)
        memcpy(failure->text, text->data, len);
    failure->text[len] = '\0';
    xhr_make_printable(failure->text);
}

int xhr_failure_of_wire(const Xhrd__V1__Failure *wire, struct xhr_failure *ret)
{
    size_t kind = (size_t)wire->kind;

    if (kind == XHR_ERROR_NONE || kind >= XHR_ERROR_HTTP_STATUS || !classes[kind].name[0] ||
        (size_t)wire->phase >= sizeof(phases) / sizeof(*phases))
        return -EPROTO;
    *ret = (struct xhr_failure){
        .kind = (enum xhr_error_class)wire->kind,
        .phase = (enum xhr_phase)wire->phase,
        .sys_errno = wire->sys_errno <= 4095 ? (int)wire->sys_errno : 0,
        .detail = wire->code,
    };
    take_text(ret, &wire->text);
    return 0;
}
