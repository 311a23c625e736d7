/* SPDX-License-Identifier: MIT */
#include "base/failure.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/mem.h"
#include "base/utf8.h"

static const char *const kinds[FAILURE_KIND_COUNT] = {
    [FAILURE_NONE] = "none",
    [FAILURE_ARGUMENT] = "argument",
    [FAILURE_URL] = "url",
    [FAILURE_POLICY] = "policy",
    [FAILURE_QUOTA] = "quota",
    [FAILURE_DNS] = "dns",
    [FAILURE_CONNECT] = "connect",
    [FAILURE_PROXY] = "proxy",
    [FAILURE_TLS] = "tls",
    [FAILURE_TLS_VERIFY] = "tls-verify",
    [FAILURE_TLS_VERSION] = "tls-version",
    [FAILURE_TLS_PIN] = "tls-pin",
    [FAILURE_TIMEOUT_CONNECT] = "timeout-connect",
    [FAILURE_TIMEOUT_IDLE] = "timeout-idle",
    [FAILURE_TIMEOUT_TOTAL] = "timeout-total",
    [FAILURE_SEND] = "send",
    [FAILURE_RECEIVE] = "receive",
    [FAILURE_EMPTY_REPLY] = "empty-reply",
    [FAILURE_PROTOCOL] = "protocol",
    [FAILURE_TRUNCATED] = "truncated",
    [FAILURE_LIMIT] = "limit",
    [FAILURE_CODING] = "coding",
    [FAILURE_REDIRECT] = "redirect",
    [FAILURE_REWIND] = "rewind",
    [FAILURE_BODY_READ] = "body-read",
    [FAILURE_WRITE] = "write",
    [FAILURE_COOKIE_STORE] = "cookie-store",
    [FAILURE_ABORTED] = "aborted",
    [FAILURE_SHUTDOWN] = "shutdown",
    [FAILURE_INTERNAL] = "internal",
    [FAILURE_TLS_STATUS] = "tls-status",
    [FAILURE_TLS_VERDICT] = "tls-verdict",
};

static const char *const phases[PHASE_COUNT] = {
    [PHASE_NONE] = "none",       [PHASE_QUEUED] = "queued", [PHASE_DNS] = "dns",
    [PHASE_CONNECT] = "connect", [PHASE_PROXY] = "proxy",   [PHASE_TLS] = "tls",
    [PHASE_SEND] = "send",       [PHASE_WAIT] = "wait",     [PHASE_HEAD] = "head",
    [PHASE_BODY] = "body",
};

static const struct failure no_memory = {.kind = FAILURE_INTERNAL, .text = "out of memory"};

const struct failure *failure_keep(const struct failure *old, const struct failure *why)
{
    struct failure *kept = mem_alloc(sizeof(*kept));

    if (kept)
        *kept = *why; /* which may be @old */
    failure_drop(old);
    return kept ? kept : &no_memory;
}

const struct failure *failure_drop(const struct failure *kept)
{
    if (kept != &no_memory)
        mem_free((void *)(uintptr_t)kept);
    return NULL;
}

const char *failure_kind_name(enum failure_kind kind)
{
    return kinds[kind] ? kinds[kind] : "unknown"; /* a number nobody has taken yet */
}

const char *failure_phase_name(enum failure_phase phase)
{
    return phases[phase];
}

void failure_set(struct failure *ret, enum failure_kind kind, const char *fmt, ...)
{
    va_list args;

    *ret = (struct failure){.kind = kind};
    va_start(args, fmt);
    // NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized): clang 14 does not see va_start()
    if (vsnprintf(ret->text, sizeof(ret->text), fmt, args) < 0)
        ret->text[0] = '\0';
    va_end(args);
    utf8_make_presentable(ret->text);
}
