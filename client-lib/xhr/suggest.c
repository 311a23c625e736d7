/* SPDX-License-Identifier: MIT */
/*
 * Unknown flags: what was meant? Either the nearest name of ours by edit distance, or, for a
 * flag that curl has and xhr has not, what to write instead.
 */
#include "suggest.h"

#include <string.h>

#include "flags.h"

#define NAME_MAX_BYTES 48 /* longer ones are no slip of the finger */

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

size_t name_distance(const char *a, const char *b)
{
    size_t row[3][NAME_MAX_BYTES + 1];
    size_t len_a = strlen(a), len_b = strlen(b);

    if (len_a > NAME_MAX_BYTES || len_b > NAME_MAX_BYTES)
        return SIZE_MAX;

    for (size_t j = 0; j <= len_b; j++)
        row[0][j] = j;
    for (size_t i = 1; i <= len_a; i++) {
        size_t *now = row[i % 3], *last = row[(i + 2) % 3], *before = row[(i + 1) % 3];

        now[0] = i;
        for (size_t j = 1; j <= len_b; j++) {
            size_t replace = last[j - 1] + (a[i - 1] != b[j - 1]);

            now[j] = least(least(last[j] + 1, now[j - 1] + 1), replace);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                now[j] = least(now[j], before[j - 2] + 1);
        }
    }
    return row[len_a % 3][len_b];
}

const struct flag *flag_nearest(const char *name)
{
    const struct flag *nearest = NULL;
    size_t len = strlen(name), best = len / 3 + 2;

    if (len == 0)
        return NULL;
    for (size_t i = 0; i < n_flags; i++) {
        /* A beginning is what curl takes for the whole: --head, --dump. */
        size_t d =
            strncmp(flags[i].name, name, len) == 0 ? 1 : name_distance(name, flags[i].name);

        if (d < best) {
            best = d;
            nearest = &flags[i];
        }
    }
    return nearest;
}

const char *flag_instead(char letter, const char *name)
{
    static const struct {
        char letter;
        const char *name;
        const char *instead;
    } table[] = {
        {0, "form-escape", "names are escaped as browsers do"},
        {0, "url", "write the URL alone"},
        {'N', "no-buffer", "nothing is buffered"},
        {'g', "globoff", "URLs are not globbed"},
        {0, "keepalive-time", "the daemon keeps connections"},
        {0, "data-ascii", "-d is the same"},
        {0, "no-progress-meter", "-sS has none"},
        {0, "fail-early", "run one URL after another with && between"},
        {'K', "config", "write the flags on the command line"},
        {0, "unix-socket", "--socket is the daemon's"},
        {0, "capath", "--cacert FILE"},
        {0, "socks5", "-x socks5://HOST:PORT; it looks names up"},
        {0, "socks5-hostname", "-x socks5://HOST:PORT"},
        {0, "socks4", "-x socks5://HOST:PORT"},
        {0, "socks4a", "-x socks5://HOST:PORT"},
        {0, "proxy1.0", "-x HOST:PORT"},
        {0, "preproxy", "one proxy is gone through: -x"},
        {0, "proxy-header", "a proxy is told nothing but whom to reach and the login"},
        {0, "proxy-insecure", "an https proxy is checked against the daemon's authorities"},
        {0, "proxy-cacert", "CAFile= in xhrd.conf is for https proxies, too"},
        {0, "proxy-ntlm", "--proxy-digest"},
        {0, "proxy-negotiate", "--proxy-digest"},
    };

    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        if (name ? strcmp(table[i].name, name) == 0
                 : table[i].letter && table[i].letter == letter)
            return table[i].instead;
    }
    return NULL;
}
