/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Why a request failed, as a value: written once, where the trouble is known, and only copied
 * after. The kinds map one to one to FailureKind in proto/xhrd/v1/failure.proto.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"

enum failure_kind {
    FAILURE_NONE = 0,
    FAILURE_ARGUMENT,        /* the request itself is wrong: method, header, option */
    FAILURE_URL,             /* not a URL, or not one of http and https */
    FAILURE_POLICY,          /* refused by rule */
    FAILURE_QUOTA,           /* the uid holds too much already */
    FAILURE_DNS,             /* code: EAI_ value */
    FAILURE_CONNECT,         /* sys_errno */
    FAILURE_PROXY,           /* the proxy refused or failed */
    FAILURE_TLS,             /* code: alert number, or 0 */
    FAILURE_TLS_VERIFY,      /* code: X509_V_ERR_ value */
    FAILURE_TLS_VERSION,     /* no version in common */
    FAILURE_TLS_PIN,         /* verified, but not the pinned key */
    FAILURE_TIMEOUT_CONNECT, /* not connected in time */
    FAILURE_TIMEOUT_IDLE,    /* nothing moved for too long */
    FAILURE_TIMEOUT_TOTAL,   /* the whole took too long */
    FAILURE_SEND,            /* sys_errno; while the request went out */
    FAILURE_RECEIVE,         /* sys_errno; reset while waiting for or reading the answer */
    FAILURE_EMPTY_REPLY,     /* the connection ended before the first byte of an answer */
    FAILURE_PROTOCOL,        /* the answer is not HTTP */
    FAILURE_TRUNCATED,       /* the answer ended early */
    FAILURE_LIMIT,           /* more than we take: headers, codings, body */
    FAILURE_CODING,          /* gzip, br or zstd data that does not decode */
    FAILURE_REDIRECT,        /* too many, or to where we do not go */
    FAILURE_REWIND,          /* the body would have to be sent again and cannot be */
    FAILURE_BODY_READ,       /* the client's body ended early, or its fd failed */
    FAILURE_WRITE,           /* the client's fd did not take the answer */
    FAILURE_COOKIE_STORE,    /* cookies could not be kept as the client demanded */
    FAILURE_ABORTED,         /* by the client */
    FAILURE_SHUTDOWN,        /* the daemon is leaving */
    FAILURE_INTERNAL,        /* our own trouble: memory, descriptors */
    FAILURE_TLS_STATUS =
        33, /* revoked, or not proved not to be; code: X509_V_ERR_ value or 0 */
    FAILURE_TLS_VERDICT = 34, /* the client did not say that it trusts the certificate */
    FAILURE_KIND_COUNT,
};

/* How far the request had come. */
enum failure_phase {
    PHASE_NONE = 0,
    PHASE_QUEUED,
    PHASE_DNS,
    PHASE_CONNECT,
    PHASE_PROXY,
    PHASE_TLS,
    PHASE_SEND,
    PHASE_WAIT,
    PHASE_HEAD,
    PHASE_BODY,
    PHASE_COUNT,
};

#define FAILURE_TEXT_MAX 240

struct failure {
    enum failure_kind kind;
    enum failure_phase phase;
    int sys_errno;               /* positive errno, 0: none */
    uint32_t code;               /* see the kinds */
    char text[FAILURE_TEXT_MAX]; /* for people; never parsed */
};

/* Fills *ret; text that does not fit is cut. Control characters become '?'. */
void failure_set(struct failure *ret, enum failure_kind kind, const char *fmt, ...)
    PRINTF_LIKE(3, 4);

/*
 * Most things never fail, so a failure that is to last is kept in a block of its own.
 * failure_keep() gives the copy, in place of @old, which is dropped; without memory for one it
 * is a failure that says so. failure_drop() returns NULL; NULL is fine.
 */
MUST_CHECK const struct failure *failure_keep(const struct failure *old,
                                              const struct failure *why);
const struct failure *failure_drop(const struct failure *kept);

const char *failure_kind_name(enum failure_kind kind); /* "timeout-connect" */
const char *failure_phase_name(enum failure_phase phase);
