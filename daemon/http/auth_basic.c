/* SPDX-License-Identifier: MIT */
#include "http/auth_basic.h"

#include "base/base64.h"

static bool has_ctl(struct span text)
{
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];

        if (c < 0x20 || c == 0x7f)
            return true;
    }
    return false;
}

static void wipe(struct buf *buf)
{
    if (buf->storage)
        explicit_bzero(buf->storage, buf->capacity);
    buf_done(buf);
}

int auth_basic_format(struct buf *out, struct span user, struct span password)
{
    if (user.len > AUTH_BASIC_PART_MAX || password.len > AUTH_BASIC_PART_MAX)
        return AUTH_BASIC_E_TOO_LONG;
    if (user.len > 0 && memchr(user.ptr, ':', user.len))
        return AUTH_BASIC_E_COLON;
    if (has_ctl(user) || has_ctl(password))
        return AUTH_BASIC_E_CTL;

    struct buf pair = BUF_INIT(0);
    size_t before = out->len;
    /* Reserved in one piece: growing would leave copies of the password behind. */
    int r = buf_reserve(&pair, user.len + 1 + password.len);
    if (r == 0)
        r = buf_append(&pair, user);
    if (r == 0)
        r = buf_append_char(&pair, ':');
    if (r == 0)
        r = buf_append(&pair, password);
    if (r == 0)
        r = buf_append_str(out, "Basic ");
    if (r == 0)
        r = base64_encode(out, buf_span(&pair));
    wipe(&pair);
    if (r < 0)
        out->len = before;
    return r;
}

const char *auth_basic_outcome_text(int outcome)
{
    switch (outcome) {
    case AUTH_BASIC_OK: return "credentials";
    case AUTH_BASIC_E_COLON:
        return "the user name holds a ':', which Basic authentication cannot carry; use one "
               "without";
    case AUTH_BASIC_E_CTL:
        return "the user name or password holds a control character; use printable ones";
    case AUTH_BASIC_E_TOO_LONG: return "the user name or password is longer than 4096 bytes";
    default: return "not credentials";
    }
}
