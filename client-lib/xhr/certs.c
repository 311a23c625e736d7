/* SPDX-License-Identifier: MIT */
#include "certs.h"

#include <string.h>

#define PEM_LINE_BYTES 48 /* 64 digits */
#define NAMES_SHOWN    10 /* by -v */
#define DAY_S          86400
#define ERA_DAYS       146097 /* of 400 years */

/* The proleptic Gregorian calendar, years that begin in March: no leap day in the middle. */
struct date {
    int64_t year;
    unsigned month; /* 1 to 12 */
    unsigned day;
};

static struct date date_of(int64_t days)
{
    int64_t shifted = days + 719468; /* since 0000-03-01 */
    int64_t era = (shifted >= 0 ? shifted : shifted - (ERA_DAYS - 1)) / ERA_DAYS;
    unsigned of_era = (unsigned)(shifted - era * ERA_DAYS);
    unsigned year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    unsigned of_year = of_era - (365 * year + year / 4 - year / 100);
    unsigned month = (5 * of_year + 2) / 153;

    return (struct date){
        .year = (int64_t)year + era * 400 + (month >= 10),
        .month = month < 10 ? month + 3 : month - 9,
        .day = of_year - (153 * month + 2) / 5 + 1,
    };
}

void certs_add_date(struct strbuf *out, int64_t seconds)
{
    static const char months[][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                     "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

    if (seconds == INT64_MIN) {
        strbuf_add_text(out, "no date");
        return;
    }
    int64_t days = seconds / DAY_S - (seconds % DAY_S < 0);
    uint64_t of_day = (uint64_t)(seconds - days * DAY_S);
    struct date date = date_of(days);
    strbuf_add_text(out, months[date.month - 1]);
    strbuf_add_char(out, ' ');
    if (date.day < 10)
        strbuf_add_char(out, ' ');
    strbuf_add_u64(out, date.day);
    strbuf_add_char(out, ' ');
    strbuf_add_padded(out, of_day / 3600, 2);
    strbuf_add_char(out, ':');
    strbuf_add_padded(out, of_day / 60 % 60, 2);
    strbuf_add_char(out, ':');
    strbuf_add_padded(out, of_day % 60, 2);
    strbuf_add_char(out, ' ');
    strbuf_add_i64(out, date.year);
    strbuf_add_text(out, " GMT");
}

void certs_add_base64(struct strbuf *out, const unsigned char *bytes, size_t len)
{
    static const char digits[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

    for (size_t i = 0; i < len; i += 3) {
        size_t n = len - i < 3 ? len - i : 3;
        unsigned bits = (unsigned)bytes[i] << 16 | (n > 1 ? (unsigned)bytes[i + 1] << 8 : 0) |
                        (n > 2 ? bytes[i + 2] : 0);

        strbuf_add_char(out, digits[bits >> 18]);
        strbuf_add_char(out, digits[bits >> 12 & 63]);
        strbuf_add_char(out, n > 1 ? digits[bits >> 6 & 63] : '=');
        strbuf_add_char(out, n > 2 ? digits[bits & 63] : '=');
    }
}

static void add_line(struct strbuf *out, const char *label, const char *text)
{
    strbuf_add_text(out, label);
    strbuf_add_shown(out, text, strlen(text));
    strbuf_add_char(out, '\n');
}

static void add_date_line(struct strbuf *out, const char *label, int64_t seconds)
{
    strbuf_add_text(out, label);
    certs_add_date(out, seconds);
    strbuf_add_char(out, '\n');
}

static void add_names(struct strbuf *out, const struct xhr_certificate *cert, size_t max)
{
    size_t n = cert->n_names < max ? cert->n_names : max;
    size_t left_out = cert->n_names - n + cert->n_names_left_out;

    for (size_t i = 0; i < n; i++) {
        if (i > 0)
            strbuf_add_text(out, ", ");
        strbuf_add_shown(out, cert->names[i], strlen(cert->names[i]));
    }
    if (left_out > 0) {
        strbuf_add_text(out, " and ");
        strbuf_add_u64(out, left_out);
        strbuf_add_text(out, " more");
    }
}

static void add_pin(struct strbuf *out, const struct xhr_certificate *cert)
{
    strbuf_add_text(out, "sha256//");
    certs_add_base64(out, cert->spki_sha256, sizeof(cert->spki_sha256));
}

void certs_add_report(struct strbuf *out, const struct xhr_tls_info *tls)
{
    const struct xhr_certificate *cert = tls->certificates;

    if (tls->n_certificates == 0)
        return;
    strbuf_add_text(out, "* Server certificate:\n");
    add_line(out, "*  subject: ", cert->subject);
    add_date_line(out, "*  start date: ", cert->not_before);
    add_date_line(out, "*  expire date: ", cert->not_after);
    strbuf_add_text(out, "*  subjectAltName: ");
    if (cert->n_names > 0)
        add_names(out, cert, NAMES_SHOWN);
    else
        strbuf_add_text(out, "none");
    add_line(out, "\n*  issuer: ", cert->issuer);
    strbuf_add_text(out, "*  public key: ");
    add_pin(out, cert);
    if (tls->verify_result == 0) {
        strbuf_add_text(out, "\n*  SSL certificate verify ok.\n");
        return;
    }
    strbuf_add_text(out, "\n*  SSL certificate verify result: ");
    strbuf_add_u64(out, tls->verify_result);
    strbuf_add_text(out, ", continuing anyway.\n");
}

static void add_object(struct json *json, const struct xhr_certificate *cert)
{
    struct strbuf pin = {0};

    add_pin(&pin, cert);
    json_object_begin(json, NULL);
    json_text(json, "subject", cert->subject);
    json_text(json, "issuer", cert->issuer);
    json_text(json, "serial", cert->serial);
    json_i64(json, "not_before", cert->not_before);
    json_i64(json, "not_after", cert->not_after);
    json_array_begin(json, "names");
    for (size_t i = 0; i < cert->n_names; i++)
        json_text(json, NULL, cert->names[i]);
    json_array_end(json);
    json_u64(json, "names_left_out", cert->n_names_left_out);
    json_text(json, "public_key", strbuf_text(&pin));
    json_text(json, "key", cert->key);
    json_text(json, "signature", cert->signature);
    json_object_end(json);
    json->out->failed |= pin.failed;
    strbuf_done(&pin);
}

void certs_add_json(struct json *json, const struct xhr_tls_info *tls)
{
    json_array_begin(json, "certificates");
    for (size_t i = 0; i < tls->n_certificates; i++)
        add_object(json, &tls->certificates[i]);
    json_array_end(json);
}

static void add_pem(struct strbuf *out, const struct xhr_certificate *cert)
{
    const unsigned char *der = cert->der;

    strbuf_add_text(out, "Cert:-----BEGIN CERTIFICATE-----\n");
    for (size_t i = 0; i < cert->der_len; i += PEM_LINE_BYTES) {
        size_t n = cert->der_len - i < PEM_LINE_BYTES ? cert->der_len - i : PEM_LINE_BYTES;

        certs_add_base64(out, der + i, n);
        strbuf_add_char(out, '\n');
    }
    strbuf_add_text(out, "-----END CERTIFICATE-----\n");
}

void certs_add_text(struct strbuf *out, const struct xhr_tls_info *tls)
{
    for (size_t i = 0; i < tls->n_certificates; i++) {
        const struct xhr_certificate *cert = &tls->certificates[i];

        add_line(out, "Subject:", cert->subject);
        add_line(out, "Issuer:", cert->issuer);
        add_line(out, "Serial Number:", cert->serial);
        add_line(out, "Signature Algorithm:", cert->signature);
        add_line(out, "Public Key Algorithm:", cert->key);
        strbuf_add_text(out, "X509v3 Subject Alternative Name:");
        add_names(out, cert, cert->n_names);
        add_date_line(out, "\nStart date:", cert->not_before);
        add_date_line(out, "Expire date:", cert->not_after);
        strbuf_add_text(out, "Public Key Pin:");
        add_pin(out, cert);
        strbuf_add_char(out, '\n');
        add_pem(out, cert);
    }
}
