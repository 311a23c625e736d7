/* SPDX-License-Identifier: MIT */
#include "http/idna.h"

#include <errno.h>
#include <idn2.h>

#include "base/ascii.h"
#include "base/fault.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "http/host.h"

static bool is_ascii(struct span text)
{
    for (size_t i = 0; i < text.len; i++) {
        if ((unsigned char)text.ptr[i] >= 0x80)
            return false;
    }
    return true;
}

static bool is_plain(struct span domain)
{
    if (!is_ascii(domain))
        return false;
    for (bool more = true; more;) {
        struct span label;

        more = span_split(&domain, '.', &label);
        if (span_ieq(span_take(label, 4), SPAN_LIT("xn--")))
            return false;
    }
    return true;
}

static int append_lower(struct buf *out, struct span text)
{
    int r = buf_reserve(out, text.len);

    if (r < 0)
        return r;
    for (size_t i = 0; i < text.len; i++)
        buf_tail(out)[i] = ascii_lower(text.ptr[i]);
    buf_commit(out, text.len);
    return 0;
}

/* UTS #46, and IDNA2008's repertoire for what is left after its mapping. */
#define FLAGS_IDNA2008 (IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL)
/* UTS #46 only. Of "xn--" labels libidn2 then checks mapping and normal form, but neither
 * joiners nor direction. */
#define FLAGS_UTS46 (FLAGS_IDNA2008 | IDN2_NO_ALABEL_ROUNDTRIP)

/* Appends what libidn2 makes of @text. Return: 0 or a negative errno, else an IDN2 code < 0 in
 * *ret_idn2 with nothing appended. */
static int convert(struct span text, int flags, struct buf *out, int *ret_idn2)
{
    CLEANUP_MEM char *input = mem_dup(text);
    char *ascii = NULL;

    if (!input)
        return fault(-ENOMEM);
    *ret_idn2 = idn2_to_ascii_8z(input, &ascii, flags);
    if (*ret_idn2 == IDN2_MALLOC)
        return fault(-ENOMEM);
    if (*ret_idn2 != IDN2_OK)
        return 0;
    int r = append_lower(out, span_of(ascii));
    idn2_free(ascii);
    return r;
}

/* ---- symbols ---------------------------------------------------------------------------- */

enum { BASE = 36, T_MIN = 1, T_MAX = 26, SKEW = 38, DAMP = 700, BIAS = 72, FIRST_CODE = 128 };

static uint32_t adapt(uint32_t delta, uint32_t n_points, bool is_first)
{
    uint32_t k = 0;

    delta = is_first ? delta / DAMP : delta / 2;
    delta += delta / n_points;
    for (; delta > (BASE - T_MIN) * T_MAX / 2; k += BASE)
        delta /= BASE - T_MIN;
    return k + (BASE - T_MIN + 1) * delta / (delta + SKEW);
}

static int append_delta(struct buf *out, uint32_t delta, uint32_t bias)
{
    int r = 0;

    for (uint32_t k = BASE; r == 0; k += BASE) {
        uint32_t t = k <= bias ? T_MIN : k >= bias + T_MAX ? T_MAX : k - bias;
        bool is_last = delta < t;
        uint32_t digit = is_last ? delta : t + (delta - t) % (BASE - t);

        r = buf_append_char(out, (char)(digit < 26 ? 'a' + digit : '0' + digit - 26));
        if (is_last)
            break;
        delta = (delta - t) / (BASE - t);
    }
    return r;
}

/* RFC 3492 §6.3; no overflow is possible with at most HOST_LABEL_MAX points. */
static int append_punycode(struct buf *out, const uint32_t *points, uint32_t count)
{
    uint32_t done = 0;
    uint32_t code = FIRST_CODE;
    uint32_t delta = 0;
    uint32_t bias = BIAS;
    int r = 0;

    for (uint32_t i = 0; i < count && r == 0; i++) {
        if (points[i] >= FIRST_CODE)
            continue;
        r = buf_append_char(out, ascii_lower((char)points[i]));
        done++;
    }
    uint32_t n_basic = done;
    if (n_basic > 0 && r == 0)
        r = buf_append_char(out, '-');
    while (done < count && r == 0) {
        uint32_t next = UINT32_MAX;

        for (uint32_t i = 0; i < count; i++)
            next = points[i] >= code && points[i] < next ? points[i] : next;
        delta += (next - code) * (done + 1);
        code = next;
        for (uint32_t i = 0; i < count && r == 0; i++) {
            delta += points[i] < code;
            if (points[i] != code)
                continue;
            r = append_delta(out, delta, bias);
            bias = adapt(delta, done + 1, done == n_basic);
            done++;
            delta = 0;
        }
        delta++;
        code++;
    }
    return r;
}

/* Joiners, and the blocks of scripts written from right to left. */
static bool needs_context(uint32_t c)
{
    return c == 0x200c || c == 0x200d || (c >= 0x0590 && c <= 0x08ff) ||
           (c >= 0xfb1d && c <= 0xfdff) || (c >= 0xfe70 && c <= 0xfeff) ||
           (c >= 0x10800 && c <= 0x10fff) || (c >= 0x1e800 && c <= 0x1efff);
}

static bool a_label_needs_context(const char *a_label)
{
    uint32_t *points = NULL;
    bool found = false;

    if (idn2_to_unicode_8z4z(a_label, &points, IDN2_NONTRANSITIONAL) != IDN2_OK)
        return true;
    for (size_t i = 0; points[i] && !found; i++)
        found = needs_context(points[i]);
    idn2_free(points);
    return found;
}

/* The "xn--" form of a label that needs no mapping, or of one that is in it already. */
static int make_a_label(struct span label, struct buf *ret)
{
    uint32_t points[HOST_LABEL_MAX];
    uint32_t count = 0;

    if (is_ascii(label))
        return append_lower(ret, label);
    while (label.len > 0 && count < HOST_LABEL_MAX) {
        bool is_bad;

        points[count++] = utf8_next(&label, &is_bad);
    }
    if (label.len > 0)
        return DOMAIN_E_REFUSED;
    int r = buf_append(ret, SPAN_LIT("xn--"));
    return r == 0 ? append_punycode(ret, points, count) : r;
}

/*
 * A label that libidn2 refuses because IDNA2008 leaves symbols out (a snowman, emoji). UTS #46
 * allows them, and libidn2 says so when it is shown the label in its "xn--" form. What it does
 * not check there, joiners and direction, is then refused whole.
 */
static int symbol_label(struct span label, struct buf *out)
{
    CLEANUP_BUF struct buf a_label = BUF_INIT(0);
    int idn2 = IDN2_OK;

    int r = make_a_label(label, &a_label);
    if (r != 0)
        return r;
    const char *text = buf_c_str(&a_label);
    if (!text)
        return fault(-ENOMEM);
    if (a_label_needs_context(text))
        return DOMAIN_E_REFUSED;
    r = convert(buf_span(&a_label), FLAGS_UTS46, out, &idn2);
    return r == 0 && idn2 != IDN2_OK ? DOMAIN_E_REFUSED : r;
}

static int each_label(struct span domain, struct buf *out)
{
    for (bool more = true; more;) {
        struct span label;
        int idn2 = IDN2_OK;
        int r = 0;

        more = span_split(&domain, '.', &label);
        if (is_plain(label))
            r = append_lower(out, label);
        else
            r = convert(label, FLAGS_IDNA2008, out, &idn2);
        if (r == 0 && idn2 == IDN2_DISALLOWED)
            r = symbol_label(label, out);
        else if (r == 0 && idn2 != IDN2_OK)
            r = DOMAIN_E_REFUSED;
        if (r == 0 && more)
            r = buf_append_char(out, '.');
        if (r != 0)
            return r;
    }
    return 0;
}

int idna_to_ascii(struct span domain, struct buf *out)
{
    size_t before = out->len;
    int idn2 = IDN2_OK;

    /* UTS #46 would say the same, save that libidn2 knows a length and rules for hyphens,
     * which WHATWG switches off: "r4---sn-x.example" is a name in use. */
    if (is_plain(domain))
        return append_lower(out, domain);

    int r = convert(domain, FLAGS_IDNA2008, out, &idn2);
    if (r == 0 && idn2 != IDN2_OK)
        r = each_label(domain, out);
    if (r != DOMAIN_OK)
        out->len = before;
    return r;
}
