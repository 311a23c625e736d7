/* SPDX-License-Identifier: MIT */
/* What is read of SOCKS5 asks for more than it has and never for more than there can be; what a
 * cut answer says is never taken back by its rest. */
#include <assert.h>
#include <stdint.h>

#include "net/socks5.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef int parse_fn(struct span have, uint8_t *ret, size_t *ret_need);

static int parse_method(struct span have, uint8_t *ret, size_t *ret_need)
{
    enum socks5_method method = SOCKS5_METHOD_REFUSED;
    int r = socks5_parse_method(have, true, &method, ret_need);

    *ret = (uint8_t)method;
    return r;
}

static void check(parse_fn *parse, struct span all)
{
    size_t need = 0;
    uint8_t byte = 0;
    uint8_t whole = 0;
    int r;

    for (size_t have = 0;; have = need) {
        r = parse(span_take(all, have), &byte, &need);
        if (r != SOCKS5_MORE || have >= all.len)
            break;
        assert(need > have && need <= SOCKS5_REPLY_MAX);
    }
    if (r == SOCKS5_MORE)
        return;
    assert(parse(all, &whole, &need) == r);
    assert(r != SOCKS5_OK || whole == byte);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span all = {(const char *)data, size};
    struct buf out = BUF_INIT(0);

    check(parse_method, all);
    check(socks5_parse_login, all);
    check(socks5_parse_reply, all);
    if (size > 0 && socks5_format_connect(&out, all, 443) == 0)
        assert(out.len >= 4 + 1 + 2 && out.len <= 4 + 1 + SOCKS5_NAME_MAX + 2);
    assert(size == 0 || size > SOCKS5_NAME_MAX || out.len > 0 || memchr(data, '%', size));
    buf_done(&out);
    return 0;
}
