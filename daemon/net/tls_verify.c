/* SPDX-License-Identifier: MIT */
#include "net/tls_verify.h"

#include <errno.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <string.h>

#include "base/ascii.h"
#include "base/fault.h"
#include "net/address.h"

#define LABEL_MAX     63 /* bytes: RFC 1035 §2.3.4 */
#define SAN_SHOWN_MAX 3  /* names a certificate is told to be for */

/* Letters, digits, hyphens; underscores too, which resolvers and certificates do allow. */
static bool is_dns_name(struct span name)
{
    size_t label = 0;

    for (size_t i = 0; i < name.len; i++) {
        char c = name.ptr[i];

        if (c == '.') {
            if (label == 0)
                return false;
            label = 0;
        } else if ((!ascii_is_alnum(c) && c != '-' && c != '_') || ++label > LABEL_MAX) {
            return false;
        }
    }
    return label > 0;
}

static void copy_lower(struct tls_host *ret, struct span name, bool is_ip)
{
    *ret = (struct tls_host){.is_ip = is_ip};
    for (size_t i = 0; i < name.len; i++)
        ret->name[i] = ascii_lower(name.ptr[i]);
}

int tls_host_parse(struct span host, struct tls_host *ret)
{
    struct address literal;
    struct span zone = host;
    struct span name;

    if (host.len == 0 || host.len > TLS_HOST_MAX + 1)
        return fault(-EINVAL);
    if (address_parse(host, 0, &literal) == 0) {
        if (host.ptr[0] == '[')
            zone = (struct span){host.ptr + 1, host.len - 2};
        (void)span_split(&zone, '%', &name); /* the zone is no part of the address */
        copy_lower(ret, name, true);
        return 0;
    }
    name = host;
    if (name.ptr[name.len - 1] == '.')
        name.len--;
    if (name.len > TLS_HOST_MAX || !is_dns_name(name))
        return fault(-EINVAL);
    copy_lower(ret, name, false);
    return 0;
}

#define HOST_FLAGS (X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT)

bool tls_verify_covers(const SSL *ssl, const struct tls_host *host)
{
    X509 *leaf = SSL_get0_peer_certificate(ssl);

    if (!leaf)
        return false;
    return (host->is_ip ? X509_check_ip_asc(leaf, host->name, HOST_FLAGS)
                        : X509_check_host(leaf, host->name, 0, HOST_FLAGS, NULL)) == 1;
}

int tls_verify_setup(SSL *ssl, const struct tls_host *host, int64_t now_s)
{
    X509_VERIFY_PARAM *param = SSL_get0_param(ssl);

    X509_VERIFY_PARAM_set_hostflags(param, HOST_FLAGS);
    X509_VERIFY_PARAM_set_time(param, (time_t)now_s);
    if (host->is_ip)
        return X509_VERIFY_PARAM_set1_ip_asc(param, host->name) == 1 ? 0 : fault(-ENOMEM);
    if (X509_VERIFY_PARAM_set1_host(param, host->name, 0) != 1 ||
        SSL_set_tlsext_host_name(ssl, host->name) != 1)
        return fault(-ENOMEM);
    return 0;
}

/* What is left in @bio as text that fits, "?" for what has none. */
static void read_text(BIO *bio, char ret[TLS_NAME_TEXT_MAX])
{
    int n = BIO_read(bio, ret, TLS_NAME_TEXT_MAX - 1);

    if (n <= 0) {
        (void)memcpy(ret, "?", 2);
        return;
    }
    ret[n] = '\0';
    if (n == TLS_NAME_TEXT_MAX - 1)
        (void)memcpy(ret + n - 3, "...", 3);
}

void tls_name_text(const X509_NAME *name, char ret[TLS_NAME_TEXT_MAX])
{
    BIO *bio = name ? BIO_new(BIO_s_mem()) : NULL;

    if (bio)
        (void)X509_NAME_print_ex(bio, name, 0, XN_FLAG_RFC2253);
    if (bio)
        read_text(bio, ret);
    else
        (void)memcpy(ret, "?", 2);
    BIO_free(bio);
}

void tls_time_text(const ASN1_TIME *time, char ret[TLS_NAME_TEXT_MAX])
{
    struct tm tm;

    if (!time || ASN1_TIME_to_tm(time, &tm) != 1 ||
        strftime(ret, TLS_NAME_TEXT_MAX, "%Y-%m-%d %H:%M UTC", &tm) == 0)
        (void)memcpy(ret, "?", 2);
}

static void print_san(BIO *bio, const GENERAL_NAME *name)
{
    char text[ADDRESS_TEXT_MAX];

    if (name->type == GEN_DNS) {
        (void)ASN1_STRING_print_ex(bio, name->d.dNSName, ASN1_STRFLGS_RFC2253);
    } else if (name->type == GEN_IPADD) {
        const unsigned char *ip = ASN1_STRING_get0_data(name->d.iPAddress);
        struct address address = {0};

        if (ASN1_STRING_length(name->d.iPAddress) == 4) {
            address.in.sin_family = AF_INET;
            memcpy(&address.in.sin_addr, ip, 4);
        } else if (ASN1_STRING_length(name->d.iPAddress) == 16) {
            address.in6.sin6_family = AF_INET6;
            memcpy(&address.in6.sin6_addr, ip, 16);
        }
        (void)address_format(&address, text);
        char *port = strrchr(text, ':');
        if (port)
            *port = '\0';
        (void)BIO_puts(bio, text);
    }
}

/* "a.example, b.example, ..."; "no name" for a certificate without any. */
static void san_text(const X509 *cert, char ret[TLS_NAME_TEXT_MAX])
{
    GENERAL_NAMES *names = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
    BIO *bio = BIO_new(BIO_s_mem());
    int n_shown = 0;

    for (int i = 0; bio && i < sk_GENERAL_NAME_num(names); i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);

        if (name->type != GEN_DNS && name->type != GEN_IPADD)
            continue;
        if (n_shown++ > 0)
            (void)BIO_puts(bio, ", ");
        if (n_shown > SAN_SHOWN_MAX) {
            (void)BIO_puts(bio, "...");
            break;
        }
        print_san(bio, name);
    }
    if (n_shown > 0)
        read_text(bio, ret);
    else
        (void)memcpy(ret, "no name at all", 15);
    BIO_free(bio);
    GENERAL_NAMES_free(names);
}

/* The certificate that failed: "CN=a.example (depth 0)"; 0 is the server's own. */
struct culprit {
    const X509 *cert;
    int depth;
    char subject[TLS_NAME_TEXT_MAX];
};

static void set_name_mismatch(struct failure *ret,
                              const struct culprit *culprit,
                              const struct tls_host *host)
{
    char names[TLS_NAME_TEXT_MAX];

    san_text(culprit->cert, names);
    failure_set(ret, FAILURE_TLS_VERIFY,
                "the certificate is for %s, not for %.64s: its subject alternative names lack "
                "it; ask for a name it has, or the site needs another one (%s)",
                names, host->name, culprit->subject);
}

static long days_since(const ASN1_TIME *when, time_t now)
{
    ASN1_TIME *today = ASN1_TIME_set(NULL, now);
    int days = 0;
    int seconds = 0;

    if (!today || ASN1_TIME_diff(&days, &seconds, when, today) != 1)
        days = 0;
    ASN1_TIME_free(today);
    return days;
}

static void set_expired(struct failure *ret, const struct culprit *culprit, time_t now)
{
    const ASN1_TIME *end = X509_get0_notAfter(culprit->cert);
    char when[TLS_NAME_TEXT_MAX];

    tls_time_text(end, when);
    failure_set(ret, FAILURE_TLS_VERIFY,
                "certificate %s (depth %d) expired on %s, %ld days ago; it must be renewed, or "
                "this machine's clock is wrong",
                culprit->subject, culprit->depth, when, days_since(end, now));
}

static void set_not_yet_valid(struct failure *ret, const struct culprit *culprit)
{
    char when[TLS_NAME_TEXT_MAX];

    tls_time_text(X509_get0_notBefore(culprit->cert), when);
    failure_set(ret, FAILURE_TLS_VERIFY,
                "certificate %s (depth %d) is not valid before %s; wait, or this machine's "
                "clock is wrong",
                culprit->subject, culprit->depth, when);
}

static void set_self_signed(struct failure *ret, const struct culprit *culprit)
{
    failure_set(
        ret, FAILURE_TLS_VERIFY,
        culprit->depth == 0
            ? "self-signed certificate %s (depth %d) is not trusted; pass --cacert with "
              "it, or install it"
            : "self-signed authority %s (depth %d) is not trusted; pass --cacert with "
              "it, or install it",
        culprit->subject, culprit->depth);
}

static void set_unknown_issuer(struct failure *ret, const struct culprit *culprit)
{
    char issuer[TLS_NAME_TEXT_MAX];

    tls_name_text(X509_get_issuer_name(culprit->cert), issuer);
    failure_set(ret, FAILURE_TLS_VERIFY,
                "issuer %s of certificate %s (depth %d) is not known; pass --cacert with it, "
                "install it, or have the server send what is between",
                issuer, culprit->subject, culprit->depth);
}

struct rule {
    int error;
    const char *text; /* which rule, and behind the semicolon what would be right */
};

static const char *rule_of(int error)
{
    static const struct rule rules[] = {
        {X509_V_ERR_EE_KEY_TOO_SMALL,
         "its key is too short; RSA needs 2048 bits, EC 224: the site needs a new one"},
        {X509_V_ERR_CA_KEY_TOO_SMALL,
         "its key is too short; RSA needs 2048 bits, EC 224: its authority must renew it"},
        {X509_V_ERR_CA_MD_TOO_WEAK,
         "it is signed with a broken hash, SHA-1 or MD5; it must be signed anew"},
        {X509_V_ERR_INVALID_PURPOSE, "it is not meant for TLS servers (extended key usage); "
                                     "the site needs one that is"},
        {X509_V_ERR_INVALID_CA, "it signed another one, but is no CA; the site needs one "
                                "from an authority"},
        {X509_V_ERR_KEYUSAGE_NO_CERTSIGN, "it signed another one, but may not (key usage); "
                                          "the site needs one from an authority"},
        {X509_V_ERR_PATH_LENGTH_EXCEEDED,
         "more CAs follow it than it allows (path length); the authorities must mend that"},
        {X509_V_ERR_CERT_CHAIN_TOO_LONG,
         "the chain is longer than 16; the server must send a shorter one"},
        {X509_V_ERR_PERMITTED_VIOLATION, "its CA may not certify this name (name "
                                         "constraints); the site needs another CA"},
        {X509_V_ERR_EXCLUDED_VIOLATION, "its CA may not certify this name (name "
                                        "constraints); the site needs another CA"},
        {X509_V_ERR_CERT_SIGNATURE_FAILURE,
         "its signature is wrong; somebody between may have changed it"},
        {X509_V_ERR_CERT_REVOKED, "it was revoked; the site needs a new one"},
        {X509_V_ERR_ERROR_IN_CERT_NOT_AFTER_FIELD,
         "what says until when it is valid is no date; the site needs a new one"},
        {X509_V_ERR_ERROR_IN_CERT_NOT_BEFORE_FIELD,
         "what says from when on it is valid is no date; the site needs a new one"},
    };

    for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
        if (rules[i].error == error)
            return rules[i].text;
    }
    return X509_verify_cert_error_string(error);
}

static void set_why(struct failure *ret,
                    const struct culprit *culprit,
                    X509_STORE_CTX *store,
                    const struct tls_host *host)
{
    int error = X509_STORE_CTX_get_error(store);

    switch (error) {
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH: set_name_mismatch(ret, culprit, host); return;
    case X509_V_ERR_CERT_HAS_EXPIRED:
        set_expired(ret, culprit, X509_VERIFY_PARAM_get_time(X509_STORE_CTX_get0_param(store)));
        return;
    case X509_V_ERR_CERT_NOT_YET_VALID: set_not_yet_valid(ret, culprit); return;
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN: set_self_signed(ret, culprit); return;
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE: set_unknown_issuer(ret, culprit); return;
    default:
        failure_set(ret, FAILURE_TLS_VERIFY, "certificate %s (depth %d) refused: %s",
                    culprit->subject, culprit->depth, rule_of(error));
        return;
    }
}

void tls_verify_failure(struct failure *ret, X509_STORE_CTX *store, const struct tls_host *host)
{
    int error = X509_STORE_CTX_get_error(store);
    struct culprit culprit = {.cert = X509_STORE_CTX_get_current_cert(store),
                              .depth = X509_STORE_CTX_get_error_depth(store)};

    if (culprit.cert) {
        tls_name_text(X509_get_subject_name(culprit.cert), culprit.subject);
        set_why(ret, &culprit, store, host);
    } else {
        failure_set(ret, FAILURE_TLS_VERIFY, "%s", X509_verify_cert_error_string(error));
    }
    ret->phase = PHASE_TLS;
    ret->code = (uint32_t)error;
}
