/* SPDX-License-Identifier: MIT */
#include "password.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "files.h"
#include "strbuf.h"

#define PASSWORD_BYTES_MAX 4096

static int prompt(int terminal, const char *of, const char *user)
{
    struct strbuf text = {0};

    strbuf_add_text(&text, "Enter ");
    strbuf_add_text(&text, of);
    strbuf_add_text(&text, " password for user '");
    strbuf_add_shown(&text, user, strlen(user));
    strbuf_add_text(&text, "': ");
    int r = text.failed ? -ENOMEM : write_all(terminal, text.bytes, text.len);
    strbuf_done(&text);
    return r;
}

/* Up to the line's end. Return: bytes, -errno. */
static ssize_t read_line(int terminal, char *line, size_t max)
{
    size_t len = 0;

    while (len < max) {
        ssize_t n = read(terminal, line + len, 1);

        if (n < 0 && errno == EINTR && !interrupted)
            continue;
        if (n < 0)
            return -errno;
        if (n == 0 || line[len] == '\n')
            return (ssize_t)len;
        len++;
    }
    return -EMSGSIZE;
}

/* The echo goes before the question comes: what is typed at once is not seen, and not lost. */
static int ask(int terminal, const char *of, const char *user, char **ret)
{
    char line[PASSWORD_BYTES_MAX];
    struct termios old, quiet;

    if (tcgetattr(terminal, &old) < 0)
        return -errno;
    quiet = old;
    quiet.c_lflag &= ~(tcflag_t)ECHO;
    if (tcsetattr(terminal, TCSAFLUSH, &quiet) < 0)
        return -errno;
    ssize_t len = prompt(terminal, of, user);
    if (len == 0)
        len = read_line(terminal, line, sizeof(line));
    (void)tcsetattr(terminal, TCSAFLUSH, &old);
    (void)write_all(terminal, "\n", 1);
    if (len >= 0)
        *ret = strndup(line, (size_t)len);
    explicit_bzero(line, sizeof(line));
    if (len < 0)
        return (int)len;
    return *ret ? 0 : -ENOMEM;
}

int password_ask(
    const char *of, const char *flag, const char *user, char **ret, struct trouble *why)
{
    int terminal = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
    int r = terminal < 0 ? -errno : ask(terminal, of, user, ret);

    if (terminal >= 0)
        (void)close(terminal);
    if (r == -EINTR)
        return trouble_set(why, EXIT_ABORTED, "interrupted");
    if (r < 0)
        return trouble_set(why, EXIT_USAGE,
                           "no terminal to ask for the password of '%s' (%s); write "
                           "%s user:password",
                           user, strerror(-r), flag);
    return 0;
}
