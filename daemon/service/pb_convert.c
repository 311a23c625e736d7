/* SPDX-License-Identifier: MIT */
/* Plain values of base/ to their messages; the numbers are the same by design, and checked. */
#include "service/service_priv.h"

_Static_assert((int)FAILURE_INTERNAL == (int)XHRD__V1__FAILURE_KIND__FAILURE_KIND_INTERNAL,
               "enum failure_kind and FailureKind count alike");
_Static_assert((int)FAILURE_REDIRECT == (int)XHRD__V1__FAILURE_KIND__FAILURE_KIND_REDIRECT,
               "enum failure_kind and FailureKind count alike");
_Static_assert((int)FAILURE_SEND == (int)XHRD__V1__FAILURE_KIND__FAILURE_KIND_SEND,
               "enum failure_kind and FailureKind count alike");
_Static_assert((int)PHASE_BODY == (int)XHRD__V1__PHASE__PHASE_BODY,
               "enum failure_phase and Phase count alike");

Xhrd__V1__FailureKind failure_kind_to_pb(enum failure_kind kind)
{
    return (Xhrd__V1__FailureKind)kind;
}

Xhrd__V1__AuthScheme scheme_to_pb(enum auth_scheme scheme)
{
    switch (scheme) {
    case AUTH_SCHEME_BASIC: return XHRD__V1__AUTH_SCHEME__AUTH_SCHEME_BASIC;
    case AUTH_SCHEME_DIGEST: return XHRD__V1__AUTH_SCHEME__AUTH_SCHEME_DIGEST;
    case AUTH_SCHEME_ANY: return XHRD__V1__AUTH_SCHEME__AUTH_SCHEME_ANY;
    case AUTH_SCHEME_BEARER: return XHRD__V1__AUTH_SCHEME__AUTH_SCHEME_BEARER;
    case AUTH_SCHEME_NONE: break;
    }
    return XHRD__V1__AUTH_SCHEME__AUTH_SCHEME_UNSPECIFIED;
}

void failure_to_pb(const struct failure *why, Xhrd__V1__Failure *ret)
{
    xhrd__v1__failure__init(ret);
    ret->kind = failure_kind_to_pb(why->kind);
    ret->phase = (Xhrd__V1__Phase)why->phase;
    ret->sys_errno = (uint32_t)why->sys_errno;
    ret->code = why->code;
    ret->text = bytes_of_span(span_of(why->text));
}
