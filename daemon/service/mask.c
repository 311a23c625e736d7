/* SPDX-License-Identifier: MIT */
#include "service/mask.h"

#define STARS 3

/* What has been looked at, and what has been kept of it. */
struct masking {
    char *text;
    size_t len;
    size_t at;
    size_t kept;
};

// NOLINTNEXTLINE(readability-non-const-parameter): it is written to through the struct
static struct masking begin(char *text, size_t len)
{
    return (struct masking){text, len, 0, 0};
}

static void keep_to(struct masking *masking, size_t end)
{
    if (masking->kept != masking->at)
        memmove(masking->text + masking->kept, masking->text + masking->at, end - masking->at);
    masking->kept += end - masking->at;
    masking->at = end;
}

static void hide_to(struct masking *masking, size_t end)
{
    size_t n = end - masking->at < STARS ? end - masking->at : STARS;

    memset(masking->text + masking->kept, '*', n);
    masking->kept += n;
    masking->at = end;
}

static size_t find(const struct masking *masking, struct span any_of)
{
    size_t at = masking->at;

    while (at < masking->len && !memchr(any_of.ptr, masking->text[at], any_of.len))
        at++;
    return at;
}

static size_t finish(struct masking *masking)
{
    keep_to(masking, masking->len);
    memset(masking->text + masking->kept, 0, masking->len - masking->kept);
    return masking->kept;
}

static void keep_next(struct masking *masking)
{
    if (masking->at < masking->len)
        keep_to(masking, masking->at + 1);
}

/* "name=value; name=value": of Set-Cookie only the first, the others are attributes. What has
 * no '=' is all value. */
static size_t mask_pairs(char *text, size_t len, bool only_first)
{
    struct masking masking = begin(text, len);

    while (masking.at < len) {
        while (masking.at < len && (text[masking.at] == ' ' || text[masking.at] == ';'))
            keep_next(&masking);
        size_t equals = find(&masking, SPAN_LIT("=;"));
        if (equals < len && text[equals] == '=')
            keep_to(&masking, equals + 1);
        hide_to(&masking, find(&masking, SPAN_LIT(";")));
        if (only_first)
            break;
    }
    return finish(&masking);
}

/* "Basic dXNlcjpw": the scheme stays; a lone word is all secret. */
static size_t mask_login(char *text, size_t len)
{
    struct masking masking = begin(text, len);
    size_t blank = find(&masking, SPAN_LIT(" "));

    if (blank < len)
        keep_to(&masking, blank + 1);
    hide_to(&masking, len);
    return finish(&masking);
}

static size_t mask_all(char *text, size_t len)
{
    struct masking masking = begin(text, len);

    hide_to(&masking, len);
    return finish(&masking);
}

/* "user:password@", where a host would stand behind "//". */
static void hide_userinfo(struct masking *masking)
{
    struct masking ahead = *masking;
    size_t slashes = find(&ahead, SPAN_LIT("/?#"));

    if (slashes + 1 >= masking->len || masking->text[slashes] != '/' ||
        masking->text[slashes + 1] != '/')
        return;
    ahead.at = slashes + 2;
    size_t end = find(&ahead, SPAN_LIT("/?#"));
    size_t login = end;
    while (login > ahead.at && masking->text[login - 1] != '@')
        login--;
    if (login == ahead.at)
        return;
    keep_to(masking, ahead.at);
    hide_to(masking, login - 1);
}

size_t mask_url(char *url, size_t len)
{
    struct masking masking = begin(url, len);

    hide_userinfo(&masking);
    keep_to(&masking, find(&masking, SPAN_LIT("?#")));
    while (masking.at < len && url[masking.at] != '#') {
        keep_next(&masking); /* '?' or '&' */
        size_t equals = find(&masking, SPAN_LIT("=&#"));
        if (equals < len && url[equals] == '=') {
            keep_to(&masking, equals + 1);
            hide_to(&masking, find(&masking, SPAN_LIT("&#")));
        } else { /* a lone word: perhaps a token */
            hide_to(&masking, equals);
        }
    }
    if (masking.at < len) { /* fragments have carried tokens, too */
        keep_next(&masking);
        hide_to(&masking, len);
    }
    return finish(&masking);
}

static size_t mask_set_cookie(char *text, size_t len)
{
    return mask_pairs(text, len, true);
}

static size_t mask_cookie(char *text, size_t len)
{
    return mask_pairs(text, len, false);
}

/* All of a length end with the same letter; '2' has that bit already. */
const unsigned char mask_finals[MASK_NAME_MAX + 1] = {
    [6] = 'e',  /* Cookie */
    [7] = 'r',  /* Referer */
    [8] = 'n',  /* Location */
    [10] = 'e', /* Set-Cookie */
    [11] = '2', /* Set-Cookie2 */
    [13] = 'n', /* Authorization */
    [16] = 'n', /* Content-Location */
    [19] = 'n', /* Proxy-Authorization */
};

/* X-Api-Key, Private-Token, X-Amz-Security-Token: there are too many to know them all. */
static bool is_called_a_secret(struct span name)
{
    static const struct span ends[] = {SPAN_LIT("token"),  SPAN_LIT("-key"),
                                       SPAN_LIT("_key"),   SPAN_LIT("apikey"),
                                       SPAN_LIT("secret"), SPAN_LIT("password")};

    for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
        if (name.len >= ends[i].len &&
            span_ieq(span_drop(name, name.len - ends[i].len), ends[i]))
            return true;
    }
    return false;
}

size_t mask_field(struct span name, char *value, size_t len)
{
    static const struct {
        struct span name;
        size_t (*mask)(char *text, size_t len);
    } secrets[] = {
        {SPAN_LIT("cookie"), mask_cookie},
        {SPAN_LIT("set-cookie"), mask_set_cookie},
        {SPAN_LIT("set-cookie2"), mask_set_cookie},
        {SPAN_LIT("authorization"), mask_login},
        {SPAN_LIT("proxy-authorization"), mask_login},
        {SPAN_LIT("location"), mask_url},
        {SPAN_LIT("content-location"), mask_url},
        {SPAN_LIT("referer"), mask_url},
    };

    if (!mask_may_concern(name.ptr, name.len))
        return len;
    for (size_t i = 0; i < sizeof(secrets) / sizeof(secrets[0]); i++) {
        if (span_ieq(name, secrets[i].name))
            return secrets[i].mask(value, len);
    }
    return is_called_a_secret(name) ? mask_all(value, len) : len;
}
