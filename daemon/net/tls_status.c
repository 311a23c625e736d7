/* SPDX-License-Identifier: MIT */
#include "net/tls_status.h"

#include <openssl/err.h>
#include <openssl/ocsp.h>
#include <openssl/ssl.h>

#include "net/tls_verify.h"

struct status_check {
    int64_t now_s;
    X509 *cert;
    X509 *issuer;
    char subject[TLS_NAME_TEXT_MAX];
    struct failure *why;
};

static bool refuse(const struct status_check *check, const char *what)
{
    failure_set(check->why, FAILURE_TLS_STATUS, "certificate %s (depth 0): %s", check->subject,
                what);
    return false;
}

/* Who vouches for the leaf, in the chain that was verified; an authority that is its own leaf
 * vouches for itself. NULL: nobody. */
static X509 *find_issuer(SSL *ssl, X509 *cert)
{
    STACK_OF(X509) *chain = SSL_get0_verified_chain(ssl);

    if (sk_X509_num(chain) > 1)
        return sk_X509_value(chain, 1);
    return X509_check_issued(cert, cert) == X509_V_OK ? cert : NULL;
}

/* The issuer is trusted, for the handshake has verified it: so it is the only anchor. The
 * signer is the issuer, or a certificate that the issuer made for signing responses
 * (RFC 6960 §4.2.2.2). */
static bool signature_holds(const struct status_check *check, OCSP_BASICRESP *basic)
{
    X509_STORE *anchor = X509_STORE_new();
    STACK_OF(X509) *signers = sk_X509_new_null();
    bool holds = false;

    if (anchor && signers && X509_STORE_add_cert(anchor, check->issuer) == 1 &&
        sk_X509_push(signers, check->issuer) > 0) {
        X509_VERIFY_PARAM_set_time(X509_STORE_get0_param(anchor), (time_t)check->now_s);
        holds = OCSP_basic_verify(basic, signers, anchor,
                                  OCSP_TRUSTOTHER | OCSP_PARTIAL_CHAIN | OCSP_NOEXPLICIT) == 1;
    }
    sk_X509_free(signers);
    X509_STORE_free(anchor);
    return holds;
}

/* The responder chose the hash of its names. */
static bool is_about(const struct status_check *check, OCSP_SINGLERESP *single)
{
    OCSP_CERTID *id = (OCSP_CERTID *)(uintptr_t)OCSP_SINGLERESP_get0_id(single);
    ASN1_OBJECT *algorithm = NULL;

    if (OCSP_id_get0_info(NULL, &algorithm, NULL, NULL, id) != 1)
        return false;
    const EVP_MD *digest = EVP_get_digestbyobj(algorithm);
    OCSP_CERTID *ours = digest ? OCSP_cert_to_id(digest, check->cert, check->issuer) : NULL;
    bool is = ours && OCSP_id_cmp(ours, id) == 0;
    OCSP_CERTID_free(ours);
    return is;
}

static OCSP_SINGLERESP *find_response(const struct status_check *check, OCSP_BASICRESP *basic)
{
    int n = OCSP_resp_count(basic);

    for (int i = 0; i < n && i < TLS_STATUS_RESPONSES_MAX; i++) {
        OCSP_SINGLERESP *single = OCSP_resp_get0(basic, i);

        if (is_about(check, single))
            return single;
    }
    return NULL;
}

/* X509_cmp_time() gives 0 for what is no time: then it is not fresh. */
static bool is_before(const ASN1_GENERALIZEDTIME *time, int64_t when_s)
{
    time_t when = (time_t)when_s;

    return time && X509_cmp_time(time, &when) < 0;
}

static bool is_after(const ASN1_GENERALIZEDTIME *time, int64_t when_s)
{
    time_t when = (time_t)when_s;

    return time && X509_cmp_time(time, &when) > 0;
}

static bool is_fresh(const struct status_check *check,
                     const ASN1_GENERALIZEDTIME *made,
                     const ASN1_GENERALIZEDTIME *next)
{
    if (!is_before(made, check->now_s + TLS_STATUS_SKEW_S))
        return refuse(check, "its stapled OCSP response is from the future; check this clock");
    if (next && !is_after(next, check->now_s - TLS_STATUS_SKEW_S))
        return refuse(check, "its stapled OCSP response is out of date; the server must fetch "
                             "a new one");
    if (!next && !is_after(made, check->now_s - TLS_STATUS_AGE_MAX_S))
        return refuse(check, "its stapled OCSP response is more than a week old; the server "
                             "must fetch a new one");
    return true;
}

static bool
refuse_revoked(const struct status_check *check, const ASN1_GENERALIZEDTIME *when, int reason)
{
    char text[TLS_NAME_TEXT_MAX];

    tls_time_text(when, text);
    failure_set(check->why, FAILURE_TLS_STATUS,
                "certificate %s (depth 0) was revoked by its issuer on %s (%s); the site needs "
                "a new one",
                check->subject, text,
                reason < 0 ? "no reason given" : OCSP_crl_reason_str(reason));
    check->why->code = X509_V_ERR_CERT_REVOKED;
    return false;
}

static bool judge(const struct status_check *check, OCSP_BASICRESP *basic)
{
    ASN1_GENERALIZEDTIME *revoked = NULL;
    ASN1_GENERALIZEDTIME *made = NULL;
    ASN1_GENERALIZEDTIME *next = NULL;
    int reason = -1;

    if (!signature_holds(check, basic))
        return refuse(check, "its stapled OCSP response is not signed by its issuer");
    OCSP_SINGLERESP *single = find_response(check, basic);
    if (!single)
        return refuse(check, "its stapled OCSP response is about another certificate");
    int status = OCSP_single_get0_status(single, &reason, &revoked, &made, &next);
    if (!is_fresh(check, made, next))
        return false;
    if (status == V_OCSP_CERTSTATUS_REVOKED)
        return refuse_revoked(check, revoked, reason);
    if (status != V_OCSP_CERTSTATUS_GOOD)
        return refuse(check, "its issuer does not know it (OCSP status unknown)");
    return true;
}

static bool
judge_staple(const struct status_check *check, const unsigned char *staple, long len)
{
    const unsigned char *at = staple;
    OCSP_RESPONSE *response = d2i_OCSP_RESPONSE(NULL, &at, len);
    OCSP_BASICRESP *basic = NULL;
    bool good = false;

    if (!response || at != staple + len) {
        (void)refuse(check, "its stapled OCSP response cannot be read");
    } else if (OCSP_response_status(response) != OCSP_RESPONSE_STATUS_SUCCESSFUL) {
        failure_set(check->why, FAILURE_TLS_STATUS,
                    "certificate %s (depth 0): the responder answered its server %s, and no "
                    "status",
                    check->subject, OCSP_response_status_str(OCSP_response_status(response)));
    } else {
        basic = OCSP_response_get1_basic(response);
        good = basic ? judge(check, basic)
                     : refuse(check, "its stapled OCSP response cannot be read");
    }
    OCSP_BASICRESP_free(basic);
    OCSP_RESPONSE_free(response);
    return good;
}

bool tls_status_holds(SSL *ssl, int64_t now_s, struct failure *ret_why)
{
    struct status_check check = {
        .now_s = now_s, .cert = SSL_get0_peer_certificate(ssl), .why = ret_why};
    const unsigned char *staple = NULL;
    long len = SSL_get_tlsext_status_ocsp_resp(ssl, &staple);
    bool good = false;

    tls_name_text(check.cert ? X509_get_subject_name(check.cert) : NULL, check.subject);
    check.issuer = check.cert ? find_issuer(ssl, check.cert) : NULL;
    if (!staple || len <= 0)
        (void)refuse(&check, "the server proves no status for it (no OCSP response stapled); "
                             "it must be set up to, or leave --cert-status out");
    else if (!check.issuer)
        (void)refuse(&check, "its status cannot be judged without its issuer");
    else
        good = judge_staple(&check, staple, len);
    ret_why->phase = PHASE_TLS;
    ERR_clear_error();
    return good;
}
