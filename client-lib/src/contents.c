/* SPDX-License-Identifier: MIT */
/* What a descriptor holds, read by this process: the daemon opens no path and gets bytes alone.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "xhr_priv.h"

#define FIRST_BYTES 16384

static int grow(char **bytes, size_t *capacity, size_t len)
{
    size_t more = *capacity ? *capacity * 2 : FIRST_BYTES;
    char *to = malloc(more);

    if (!to)
        return -ENOMEM;
    if (len > 0)
        memcpy(to, *bytes, len);
    if (*bytes)
        explicit_bzero(*bytes, *capacity); /* it may be a key */
    free(*bytes);
    *bytes = to;
    *capacity = more;
    return 0;
}

int xhr_take_contents(int fd, size_t max, void **ret, size_t *ret_len)
{
    char *bytes = NULL;
    size_t capacity = 0;
    size_t len = 0;
    ssize_t n = 0;
    int r = 0;

    do {
        if (len == capacity)
            r = grow(&bytes, &capacity, len);
        if (r < 0)
            break;
        n = read(fd, bytes + len, capacity - len);
        if (n < 0 && errno != EINTR)
            r = -errno;
        len += n > 0 ? (size_t)n : 0;
        if (len > max)
            r = -EMSGSIZE;
    } while (r == 0 && n != 0);
    if (r == 0 && len == 0)
        r = -ENODATA;
    if (r < 0) {
        if (bytes)
            explicit_bzero(bytes, capacity);
        free(bytes);
        return r;
    }
    *ret = bytes;
    *ret_len = len;
    return 0;
}
