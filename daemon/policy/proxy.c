/* SPDX-License-Identifier: MIT */
#include "policy/proxy.h"

#include <errno.h>

#include "base/fault.h"
#include "base/mem.h"
#include "http/percent.h"

#define PORT_DEFAULT 1080 /* curl's */

static const struct {
    const char *scheme;
    enum proxy_kind kind;
    const char *parsed_as; /* for the URL parser, to which SOCKS means nothing */
} schemes[] = {
    {"http", PROXY_HTTP, "http://"},
    {"https", PROXY_HTTPS, "https://"},
    {"socks5", PROXY_SOCKS5, "http://"},
    {"socks5h", PROXY_SOCKS5, "http://"},
};

static struct span trim(struct span text)
{
    return span_trim_ows(text);
}

/* Cuts "scheme://" off. Return: the row, or NULL with *ret_outcome set. */
static int find_scheme(struct span *text, size_t *ret_row)
{
    size_t len = 0;

    while (len + 3 <= text->len && memcmp(text->ptr + len, "://", 3) != 0)
        len++;
    if (len + 3 > text->len) { /* no scheme: http */
        *ret_row = 0;
        return PROXY_OK;
    }
    struct span scheme = span_take(*text, len);
    if (span_ieq(scheme, SPAN_LIT("socks4")) || span_ieq(scheme, SPAN_LIT("socks4a")))
        return PROXY_E_SOCKS4;
    for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++) {
        if (span_ieq(scheme, span_of(schemes[i].scheme))) {
            *text = span_drop(*text, len + 3);
            *ret_row = i;
            return PROXY_OK;
        }
    }
    return PROXY_E_SCHEME;
}

/* The URL parser leaves out the scheme's own port; here ":80" and nothing are not the same. */
static bool says_port(struct span authority)
{
    size_t end = 0;
    size_t colon = 0;

    /* NOLINTNEXTLINE(bugprone-not-null-terminated-result): a NUL is none of the four */
    while (end < authority.len && !memchr("/?#\\", authority.ptr[end], 4))
        end++;
    for (size_t i = 0; i < end; i++) {
        char c = authority.ptr[i];

        if (c == '@' || c == ']')
            colon = 0;
        else if (c == ':')
            colon = i + 1;
    }
    return colon > 0 && colon < end;
}

static uint16_t port_of(const struct url *url, enum proxy_kind kind, struct span authority)
{
    if (url->port != URL_PORT_NONE)
        return (uint16_t)url->port;
    if (kind == PROXY_HTTPS)
        return 443;
    return says_port(authority) ? 80 : PORT_DEFAULT;
}

static bool has_ctl(struct span text)
{
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];

        if (c < 0x20 || c == 0x7f)
            return true;
    }
    return false;
}

static int check_login(const struct proxy *proxy, struct span user, struct span password)
{
    size_t max = proxy->kind == PROXY_SOCKS5 ? PROXY_SOCKS_LOGIN_MAX : PROXY_LOGIN_MAX;

    if (user.len > max || password.len > max)
        return PROXY_E_LOGIN;
    if (proxy->kind == PROXY_SOCKS5 && user.len == 0)
        return PROXY_E_LOGIN;
    if (has_ctl(user) || has_ctl(password))
        return PROXY_E_LOGIN_CHARACTER;
    if (proxy->kind != PROXY_SOCKS5 && user.len > 0 && memchr(user.ptr, ':', user.len))
        return PROXY_E_LOGIN_CHARACTER; /* Basic would cut it there, and Digest mix it up */
    return PROXY_OK;
}

static char *free_text(char *text)
{
    return text ? mem_free_secret(text, strlen(text)) : NULL;
}

static int take_login(struct proxy *proxy, struct span user, struct span password)
{
    int r = check_login(proxy, user, password);

    if (r != PROXY_OK)
        return r;
    char *user_copy = mem_dup(user);
    char *password_copy = user_copy ? mem_dup(password) : NULL;
    if (!password_copy) {
        mem_free(user_copy);
        return fault(-ENOMEM);
    }
    free_text(proxy->user);
    free_text(proxy->password);
    proxy->user = user_copy;
    proxy->password = password_copy;
    return PROXY_OK;
}

static void wipe(struct buf *buf)
{
    if (buf->storage)
        explicit_bzero(buf->storage, buf->capacity);
    buf_done(buf);
}

static int take_url_login(struct proxy *proxy, const struct url *url)
{
    struct buf decoded = BUF_INIT(0);
    /* Reserved in one piece: growing would leave copies of the password behind. */
    int r = buf_reserve(&decoded, url->username.len + url->password.len);

    if (r == 0)
        r = percent_decode(&decoded, url->username);
    size_t user_len = decoded.len;
    if (r == 0)
        r = percent_decode(&decoded, url->password);
    if (r == 0)
        r = take_login(proxy, span_take(buf_span(&decoded), user_len),
                       span_drop(buf_span(&decoded), user_len));
    wipe(&decoded);
    if (r == PROXY_OK)
        proxy->scheme = AUTH_SCHEME_BASIC;
    return r;
}

static int fill(struct proxy *proxy, const struct url *url, struct span authority)
{
    int r = origin_of_url(url, &proxy->origin);

    if (r != ORIGIN_OK)
        return PROXY_E_URL;
    if (url->path.len > 1 || url->has_query || url->has_fragment)
        return PROXY_E_PATH;
    proxy->origin.port = port_of(url, proxy->kind, authority);
    return url_has_credentials(url) ? take_url_login(proxy, url) : PROXY_OK;
}

int proxy_parse(struct span text, struct proxy *ret)
{
    struct buf full = BUF_INIT(0);
    struct proxy proxy = {0};
    struct url url;
    size_t row;

    text = trim(text);
    if (text.len > PROXY_URL_MAX)
        return PROXY_E_TOO_LONG;
    int r = find_scheme(&text, &row);
    if (r != PROXY_OK)
        return r;
    proxy.kind = schemes[row].kind;
    r = buf_reserve(&full, text.len + 8);
    if (r == 0)
        r = buf_append_str(&full, schemes[row].parsed_as);
    if (r == 0)
        r = buf_append(&full, text);
    if (r == 0)
        r = url_parse(buf_span(&full), NULL, &url);
    if (r == URL_OK) {
        r = fill(&proxy, &url, text);
        explicit_bzero(url.href, url.href_len);
        url_done(&url);
    } else if (r > 0) {
        r = PROXY_E_URL;
    }
    wipe(&full);
    if (r == PROXY_OK)
        *ret = proxy;
    else
        proxy_done(&proxy);
    return r;
}

int proxy_set_login(struct proxy *proxy,
                    enum auth_scheme scheme,
                    struct span user,
                    struct span password)
{
    if (proxy->kind == PROXY_SOCKS5 && scheme == AUTH_SCHEME_DIGEST)
        return PROXY_E_SCHEME_OF_LOGIN;
    if (user.len + password.len > 0) {
        int r = take_login(proxy, user, password);

        if (r != PROXY_OK)
            return r;
    }
    proxy->scheme = proxy->user ? scheme : AUTH_SCHEME_NONE;
    return PROXY_OK;
}

void proxy_done(struct proxy *proxy)
{
    free_text(proxy->user);
    free_text(proxy->password);
    *proxy = (struct proxy){0};
}

struct proxy *proxy_free(struct proxy *proxy)
{
    if (proxy)
        proxy_done(proxy);
    return mem_free(proxy);
}

int proxy_copy(const struct proxy *proxy, struct proxy *ret)
{
    struct proxy copy = *proxy;

    copy.user = copy.password = NULL;
    if (proxy->user) {
        int r = take_login(&copy, span_of(proxy->user), span_of(proxy->password));

        if (r < 0)
            return r;
    }
    *ret = copy;
    return 0;
}

const char *proxy_outcome_text(int outcome)
{
    switch (outcome) {
    case PROXY_OK: return "a proxy";
    case PROXY_E_TOO_LONG: return "the proxy's URL is longer than 4096 bytes";
    case PROXY_E_URL: return "that is no proxy; write http://host:port";
    case PROXY_E_SCHEME:
        return "a proxy's scheme is http, https, socks5 or socks5h; write http://host:port";
    case PROXY_E_SOCKS4: return "SOCKS4 is not spoken; use a socks5:// proxy";
    case PROXY_E_PATH: return "nothing may follow a proxy's port; write http://host:port";
    case PROXY_E_LOGIN:
        return "the proxy's user or password cannot be sent: 4096 bytes each at most, to a "
               "SOCKS5 proxy 1 to 255";
    case PROXY_E_LOGIN_CHARACTER:
        return "the proxy's user holds a ':', or user or password a control character, which "
               "no "
               "login can carry";
    case PROXY_E_SCHEME_OF_LOGIN:
        return "a SOCKS5 proxy has no Digest; log in by Basic, which is user and password";
    default: return "not a proxy";
    }
}

static size_t put(char *ret, size_t at, struct span text)
{
    memcpy(ret + at, text.ptr, text.len);
    return at + text.len;
}

size_t
proxy_format(enum proxy_kind kind, const struct origin *origin, char ret[PROXY_TEXT_SIZE])
{
    static const char *const prefixes[] = {
        [PROXY_NONE] = "",
        [PROXY_HTTP] = "http://",
        [PROXY_HTTPS] = "https://",
        [PROXY_SOCKS5] = "socks5://",
    };
    char digits[6];
    size_t n = sizeof(digits);
    size_t at = 0;

    if (kind != PROXY_NONE) {
        for (unsigned port = origin->port; port > 0; port /= 10)
            digits[--n] = (char)('0' + port % 10);
        digits[--n] = ':';
        at = put(ret, at, span_of(prefixes[kind]));
        at = put(ret, at, origin_host(origin));
        at = put(ret, at, (struct span){digits + n, sizeof(digits) - n});
    }
    ret[at] = '\0';
    return at;
}

const struct proxy *proxy_choose(const struct proxy_rules *rules, const struct origin *origin)
{
    const struct proxy *proxy = origin->is_https ? rules->https : rules->http;

    if (!proxy || proxy->kind == PROXY_NONE || no_proxy_matches(rules->no_proxy, origin))
        return NULL;
    return proxy;
}

enum proxy_way
proxy_way_for(const struct proxy *proxy, const struct origin *origin, bool tunnel)
{
    if (!proxy || proxy->kind == PROXY_NONE)
        return PROXY_WAY_DIRECT;
    if (proxy->kind == PROXY_SOCKS5)
        return PROXY_WAY_SOCKS5;
    return origin->is_https || tunnel ? PROXY_WAY_CONNECT : PROXY_WAY_FORWARD;
}
