/* SPDX-License-Identifier: MIT */
/*
 * The alerts of TLS (RFC 8446 §6, and the registry of IANA) as words: what the server says, and
 * what would help where anything can be done from here.
 */
#include "net/tls_alert.h"

#include <stddef.h>

static const struct alert {
    unsigned number;
    const char *name;  /* as the RFC writes it */
    const char *says;  /* behind the host's name */
    const char *helps; /* NULL: nothing that could be done here */
} alerts[] = {
    {0, "close_notify", "has ended the connection in the handshake", NULL},
    {10, "unexpected_message", "does not expect what is said in the handshake",
     "an old server may with --tls-max 1.2"},
    {20, "bad_record_mac", "got other bytes than were sent",
     "something between here and there changes them"},
    {21, "decryption_failed", "got other bytes than were sent",
     "something between here and there changes them"},
    {22, "record_overflow", "finds a record too long",
     "something between here and there may change them"},
    {30, "decompression_failure", "cannot unpack what it got", NULL},
    {40, "handshake_failure",
     "refused the TLS handshake: no version, cipher or certificate in common",
     "or it wants a client certificate (-E)"},
    {41, "no_certificate", "misses a client certificate", "give one with -E"},
    {42, "bad_certificate", "does not take the client certificate, or misses one",
     "give one with -E that is good for it, and valid already"},
    {43, "unsupported_certificate", "has no use for this kind of client certificate",
     "give one for clients (clientAuth), or with another kind of key"},
    {44, "certificate_revoked", "says that the client certificate is revoked",
     "a new one is needed"},
    {45, "certificate_expired", "says that the client certificate has expired",
     "a new one is needed, unless a clock is wrong"},
    {46, "certificate_unknown", "does not take the client certificate, and does not say why",
     "its log may"},
    {47, "illegal_parameter", "finds fault with the handshake",
     "an old server may do with --tls-max 1.2"},
    {48, "unknown_ca", "does not know who issued the client certificate",
     "give the whole chain with -E, or one of an authority that it trusts"},
    {49, "access_denied", "knows who asks, and does not let him in", NULL},
    {50, "decode_error", "cannot read the handshake", "an old server may with --tls-max 1.2"},
    {51, "decrypt_error", "finds a signature or a checksum wrong",
     "something between here and there changes bytes, or the client's key is another's"},
    {60, "export_restriction", "wants the weak ciphers of long ago", NULL},
    {70, "protocol_version", "speaks none of the TLS versions allowed here",
     "--tlsv1.0 allows the oldest, as far as xhrd.conf does"},
    {71, "insufficient_security", "wants stronger ciphers or keys than are offered", NULL},
    {80, "internal_error", "has trouble of its own", "later it may do, its log says more"},
    {86, "inappropriate_fallback", "can do better than it was asked for",
     "something between here and there may have pushed it down"},
    {90, "user_canceled", "was told to end the handshake", NULL},
    {100, "no_renegotiation", "does not begin anew", NULL},
    {109, "missing_extension", "misses something in the handshake",
     "something between here and there may have taken it out"},
    {110, "unsupported_extension", "was offered what it had not asked for", NULL},
    {111, "certificate_unobtainable", "could not fetch the client certificate", NULL},
    {112, "unrecognized_name", "is a name the server does not serve",
     "is it spelled right, and is this the right server for it?"},
    {113, "bad_certificate_status_response", "does not take the proof that was stapled", NULL},
    {114, "bad_certificate_hash_value", "got another client certificate than it was told of",
     NULL},
    {115, "unknown_psk_identity", "does not know the session", "the next try is in full"},
    {116, "certificate_required", "wants a client certificate", "give one with -E"},
    {120, "no_application_protocol", "speaks none of the protocols that were offered (ALPN)",
     "--http1.1 or --http2 may be too narrow"},
};

static const struct alert *find(unsigned number)
{
    static const struct alert unknown = {
        .name = "unknown", .says = "ended TLS with a word that is not in the book"};

    for (size_t i = 0; i < sizeof(alerts) / sizeof(*alerts); i++) {
        if (alerts[i].number == number)
            return &alerts[i];
    }
    return &unknown;
}

void tls_alert_describe(struct failure *ret, const char *host, unsigned alert)
{
    const struct alert *entry = find(alert);

    failure_set(ret, alert == 70 ? FAILURE_TLS_VERSION : FAILURE_TLS,
                "%.64s %s (TLS alert %u, %s)%s%s", host, entry->says, alert, entry->name,
                entry->helps ? "; " : "", entry->helps ? entry->helps : "");
    ret->code = alert;
}
