/* SPDX-License-Identifier: MIT */
#include "net/socks5.h"

#include <errno.h>

#include "base/fault.h"
#include "net/address.h"

#define VERSION       0x05
#define LOGIN_VERSION 0x01
#define CMD_CONNECT   0x01

enum { ATYP_IPV4 = 0x01, ATYP_NAME = 0x03, ATYP_IPV6 = 0x04 };

static uint8_t byte_at(struct span bytes, size_t i)
{
    return (uint8_t)bytes.ptr[i];
}

static int put_byte(struct buf *out, uint8_t byte)
{
    return buf_append_char(out, (char)byte);
}

static int put_bytes(struct buf *out, const void *bytes, size_t len)
{
    return buf_append(out, (struct span){bytes, len});
}

int socks5_format_hello(struct buf *out, bool with_login)
{
    static const uint8_t plain[] = {VERSION, 1, SOCKS5_METHOD_NONE};
    static const uint8_t both[] = {VERSION, 2, SOCKS5_METHOD_NONE, SOCKS5_METHOD_LOGIN};

    return with_login ? put_bytes(out, both, sizeof(both))
                      : put_bytes(out, plain, sizeof(plain));
}

/* The length in one byte, then the bytes. */
static int put_counted(struct buf *out, struct span text)
{
    int r = put_byte(out, (uint8_t)text.len);

    return r < 0 ? r : buf_append(out, text);
}

int socks5_format_login(struct buf *out, struct span user, struct span password)
{
    if (user.len == 0 || user.len > SOCKS5_LOGIN_MAX || password.len > SOCKS5_LOGIN_MAX)
        return fault(-EINVAL);
    /* Reserved in one piece: growing would leave copies of the password behind. */
    int r = buf_reserve(out, 3 + user.len + password.len);
    if (r == 0)
        r = put_byte(out, LOGIN_VERSION);
    if (r == 0)
        r = put_counted(out, user);
    return r < 0 ? r : put_counted(out, password);
}

static int put_address(struct buf *out, const struct address *address)
{
    bool is_ipv4 = address_family(address) == AF_INET;
    int r = put_byte(out, is_ipv4 ? ATYP_IPV4 : ATYP_IPV6);

    if (r < 0)
        return r;
    return is_ipv4 ? put_bytes(out, &address->in.sin_addr, sizeof(address->in.sin_addr))
                   : put_bytes(out, &address->in6.sin6_addr, sizeof(address->in6.sin6_addr));
}

static int put_host(struct buf *out, struct span host, uint16_t port)
{
    struct address address;

    if (host.len == 0 || host.len > SOCKS5_NAME_MAX || memchr(host.ptr, '%', host.len))
        return fault(-EINVAL); /* a zone means nothing to another machine */
    if (address_parse(host, port, &address) == 0)
        return put_address(out, &address);
    int r = put_byte(out, ATYP_NAME);
    return r < 0 ? r : put_counted(out, host);
}

int socks5_format_connect(struct buf *out, struct span host, uint16_t port)
{
    static const uint8_t head[] = {VERSION, CMD_CONNECT, 0};
    size_t before = out->len;
    int r = put_bytes(out, head, sizeof(head));

    if (r == 0)
        r = put_host(out, host, port);
    if (r == 0)
        r = put_byte(out, (uint8_t)(port >> 8));
    if (r == 0)
        r = put_byte(out, (uint8_t)port);
    if (r < 0)
        out->len = before;
    return r;
}

static int more(size_t need, size_t *ret_need)
{
    *ret_need = need;
    return SOCKS5_MORE;
}

int socks5_parse_method(struct span have,
                        bool with_login,
                        enum socks5_method *ret_method,
                        size_t *ret_need)
{
    if (have.len > 0 && byte_at(have, 0) != VERSION)
        return SOCKS5_E_VERSION;
    if (have.len < 2)
        return more(2, ret_need);
    uint8_t method = byte_at(have, 1);
    if (method != SOCKS5_METHOD_NONE && method != SOCKS5_METHOD_REFUSED &&
        !(with_login && method == SOCKS5_METHOD_LOGIN))
        return SOCKS5_E_METHOD;
    *ret_method = (enum socks5_method)method;
    return SOCKS5_OK;
}

int socks5_parse_login(struct span have, uint8_t *ret_status, size_t *ret_need)
{
    if (have.len > 0 && byte_at(have, 0) != LOGIN_VERSION)
        return SOCKS5_E_VERSION;
    if (have.len < 2)
        return more(2, ret_need);
    *ret_status = byte_at(have, 1);
    return SOCKS5_OK;
}

int socks5_parse_reply(struct span have, uint8_t *ret_reply, size_t *ret_need)
{
    size_t need = 0;

    if (have.len > 0 && byte_at(have, 0) != VERSION)
        return SOCKS5_E_VERSION;
    if (have.len < 2)
        return more(2, ret_need);
    if (byte_at(have, 1) != 0) { /* many say no more than this, and hang up */
        *ret_reply = byte_at(have, 1);
        return SOCKS5_OK;
    }
    if (have.len < 5)
        return more(5, ret_need);
    switch (byte_at(have, 3)) {
    case ATYP_IPV4: need = 4 + 4 + 2; break;
    case ATYP_IPV6: need = 4 + 16 + 2; break;
    case ATYP_NAME: need = 4 + 1 + (size_t)byte_at(have, 4) + 2; break;
    default: return SOCKS5_E_ADDRESS;
    }
    if (have.len < need)
        return more(need, ret_need);
    *ret_reply = 0;
    return SOCKS5_OK;
}

const char *socks5_reply_text(uint8_t reply)
{
    static const char *const texts[] = {
        "connected",           "general failure",       "not allowed by its rules",
        "network unreachable", "host unreachable",      "connection refused",
        "TTL expired",         "command not supported", "type of address not supported",
    };

    return reply < sizeof(texts) / sizeof(texts[0]) ? texts[reply] : "for an unknown reason";
}

const char *socks5_outcome_text(int outcome)
{
    switch (outcome) {
    case SOCKS5_OK: return "fine";
    case SOCKS5_MORE: return "not complete";
    case SOCKS5_E_VERSION: return "its version is not that of SOCKS5";
    case SOCKS5_E_METHOD: return "it chose a login that was not offered";
    case SOCKS5_E_ADDRESS: return "it names a type of address that does not exist";
    default: return "not SOCKS5";
    }
}
