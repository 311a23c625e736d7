/* SPDX-License-Identifier: MIT */
/* Whatever stands in a cookies.txt: no more entries than lines, and what is read as a cookie is
 * written and read as the same one. */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "cookies_txt.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_again(const struct xhr_cookie *cookie)
{
    static struct cookies_txt again;
    struct strbuf out = {0};

    if (cookies_txt_add(&out, cookie)) {
        cookies_txt_begin(&again, out.bytes, out.len);
        assert(cookies_txt_next(&again) == COOKIES_TXT_COOKIE);
        assert(strcmp(again.cookie.name, cookie->name) == 0);
        assert(strcmp(again.cookie.value, cookie->value) == 0);
        assert(strcmp(again.cookie.path, cookie->path) == 0);
        assert(again.cookie.host_only == cookie->host_only);
        assert(again.cookie.persistent == cookie->persistent);
    }
    strbuf_done(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct cookies_txt txt;
    enum cookies_txt_outcome outcome;
    size_t lines = 1;
    size_t entries = 0;

    for (size_t i = 0; i < size; i++)
        lines += data[i] == '\n';
    cookies_txt_begin(&txt, (const char *)data, size);
    while ((outcome = cookies_txt_next(&txt)) != COOKIES_TXT_END) {
        assert(++entries <= lines && txt.line <= lines);
        if (outcome == COOKIES_TXT_COOKIE)
            check_again(&txt.cookie);
    }
    return 0;
}
