/* SPDX-License-Identifier: MIT */
#include "trouble.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "strbuf.h"
#include "target.h"

/* Bytes above 0x7F stay: they are a name's or a path's UTF-8. */
static void blunt_controls(char *text)
{
    for (; *text; text++) {
        if ((unsigned char)*text < 0x20 || *text == 0x7F)
            *text = '?';
    }
}

int trouble_set(struct trouble *ret, int exit_code, const char *format, ...)
{
    va_list args;

    ret->exit_code = exit_code;
    va_start(args, format);
    /* NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized): clang 14 loses sight of args */
    (void)vsnprintf(ret->text, sizeof(ret->text), format, args);
    va_end(args);
    blunt_controls(ret->text);
    return exit_code;
}

void trouble_say(const struct trouble *trouble, const char *program)
{
    char line[TROUBLE_TEXT_MAX + 64];
    int len = snprintf(line, sizeof(line), "%s: (%d) %s\n", program, trouble->exit_code,
                       trouble->text);

    if (len > 0 && write(STDERR_FILENO, line, (size_t)len) < 0)
        return; /* nobody is left to tell */
}

/* Each class: its exit code, what happened (a %s stands for host and port), and what to do. */
struct words_of {
    int exit_code;
    const char *what;
    const char *advice;
};

static const struct words_of words_of[] = {
    [XHR_ERROR_NONE] = {EXIT_RESOURCES, "%s: failed without a reason", NULL},
    [XHR_ERROR_ARGUMENT] = {EXIT_USAGE, "the request is wrong", NULL},
    [XHR_ERROR_URL] = {EXIT_URL, "the URL is wrong", "write http://host/path or https://…"},
    [XHR_ERROR_POLICY] = {EXIT_POLICY, "refused by policy", NULL},
    [XHR_ERROR_QUOTA] = {EXIT_QUOTA, "over your quota",
                         "wait for other requests to end, see xhrctl show requests"},
    [XHR_ERROR_DNS] = {EXIT_DNS, "could not resolve %s", "check the name"},
    [XHR_ERROR_CONNECT] = {EXIT_CONNECT, "could not connect to %s",
                           "check that the server runs and the port is right"},
    [XHR_ERROR_PROXY] = {EXIT_PROXY, "no way to %s", NULL},
    [XHR_ERROR_TLS] = {EXIT_TLS, "no TLS with %s", NULL},
    [XHR_ERROR_TLS_VERIFY] = {EXIT_CERTIFICATE, "the certificate of %s is not trusted",
                              "--cacert FILE trusts another authority, -k anybody"},
    [XHR_ERROR_TLS_VERSION] = {EXIT_TLS, "no TLS version in common with %s", NULL},
    [XHR_ERROR_TLS_PIN] = {EXIT_PIN, "the key of %s is not the pinned one", NULL},
    [XHR_ERROR_TLS_VERDICT] = {EXIT_CERTIFICATE, "the certificate of %s is not trusted here",
                               NULL},
    [XHR_ERROR_TLS_STATUS] = {EXIT_CERTIFICATE_STATUS,
                              "the certificate of %s is not proved good", NULL},
    [XHR_ERROR_TIMEOUT_CONNECT] = {EXIT_TIMEOUT, "no connection to %s in time",
                                   "--connect-timeout SECONDS waits longer"},
    [XHR_ERROR_TIMEOUT_IDLE] = {EXIT_TIMEOUT, "%s was silent for too long",
                                "--idle-timeout SECONDS waits longer"},
    [XHR_ERROR_TIMEOUT_TOTAL] = {EXIT_TIMEOUT, "%s took longer than -m allows", NULL},
    [XHR_ERROR_SEND] = {EXIT_SEND, "could not send to %s", "try again"},
    [XHR_ERROR_RECEIVE] = {EXIT_RECEIVE, "could not receive from %s", "try again"},
    [XHR_ERROR_EMPTY_REPLY] = {EXIT_EMPTY_REPLY, "%s closed without an answer",
                               "check that the port speaks HTTP"},
    [XHR_ERROR_PROTOCOL] = {EXIT_WEIRD_REPLY, "%s does not speak proper HTTP", NULL},
    [XHR_ERROR_TRUNCATED] = {EXIT_TRUNCATED, "the answer of %s ended early", "try again"},
    [XHR_ERROR_LIMIT] = {EXIT_LIMIT, "the answer of %s is over a limit", NULL},
    [XHR_ERROR_CODING] = {EXIT_CODING, "could not decode the answer of %s",
                          "--raw takes it undecoded"},
    [XHR_ERROR_REDIRECT] = {EXIT_REDIRECTS, "redirected too far from %s",
                            "--max-redirs NUMBER, or --no-location to see the first"},
    [XHR_ERROR_REWIND] = {EXIT_REWIND, "%s wants the data again, and it cannot be read twice",
                          "send it from a file"},
    [XHR_ERROR_BODY_READ] = {EXIT_READ, "could not read the data to send", NULL},
    [XHR_ERROR_WRITE] = {EXIT_WRITE, "could not write the answer", NULL},
    [XHR_ERROR_COOKIE_STORE] = {EXIT_WRITE, "the cookies could not be stored",
                                "see xhrctl status"},
    [XHR_ERROR_ABORTED] = {EXIT_ABORTED, "aborted", NULL},
    [XHR_ERROR_SHUTDOWN] = {EXIT_DAEMON, "the daemon is shutting down", "try again"},
    [XHR_ERROR_INTERNAL] = {EXIT_RESOURCES, "the daemon has trouble of its own",
                            "see journalctl -t xhrd"},
    [XHR_ERROR_HTTP_STATUS] = {EXIT_HTTP_STATUS, "the requested URL returned an error", NULL},
    [XHR_ERROR_DAEMON_LOST] = {EXIT_DAEMON, "the daemon went away in the middle", "try again"},
    [XHR_ERROR_DAEMON_UNREACHABLE] = {EXIT_DAEMON, "the daemon could not be reached",
                                      "see xhrd(8)"},
    [XHR_ERROR_DAEMON_REFUSED] = {EXIT_DAEMON, "the daemon turned us away", NULL},
    [XHR_ERROR_DAEMON_PROTOCOL] = {EXIT_DAEMON, "the daemon speaks another language",
                                   "check that xhrd and xhr are of one version"},
    [XHR_ERROR_MEMORY] = {EXIT_RESOURCES, "out of memory", NULL},
    [XHR_ERROR_RANGE] = {EXIT_RANGE, "%s sends no part that fits",
                         "without -C it is fetched whole"},
};

static const struct words_of *find_words(enum xhr_error_class kind)
{
    size_t index = (size_t)kind;

    if (index >= sizeof(words_of) / sizeof(words_of[0]) || !words_of[index].what)
        index = XHR_ERROR_NONE;
    return &words_of[index];
}

int exit_code_of(enum xhr_error_class kind)
{
    return find_words(kind)->exit_code;
}

/* A part after ": " when it says more than what is there already. */
static void add_detail(struct strbuf *out, const char *detail)
{
    if (!detail || detail[0] == '\0' || strstr(strbuf_text(out), detail))
        return;
    strbuf_add_text(out, ": ");
    strbuf_add_text(out, detail);
}

/* curl's numbers for a proxy: 5 its name, 7 its port, 56 its refusal of CONNECT, 97 what else
 * it says before there is a way through it. */
static int exit_code_at_proxy(const struct xhr_error *error)
{
    bool is_connect = error->kind == XHR_ERROR_PROXY && error->detail < 0x500;

    if (error->phase == XHR_PHASE_PROXY)
        return is_connect ? EXIT_RECEIVE : EXIT_PROXY_HANDSHAKE;
    return error->phase == XHR_PHASE_CONNECT ? EXIT_CONNECT : EXIT_PROXY;
}

static bool is_about_proxy(const struct xhr_error *error)
{
    return error->kind == XHR_ERROR_PROXY ||
           (error->kind == XHR_ERROR_PROTOCOL && error->phase == XHR_PHASE_PROXY);
}

int trouble_of_error(struct trouble *ret, const struct xhr_error *error, const char *url)
{
    const struct words_of *words = find_words(error->kind);
    const char *gap = strstr(words->what, "%s");
    struct strbuf text = {0};

    strbuf_add(&text, words->what, gap ? (size_t)(gap - words->what) : strlen(words->what));
    if (gap) {
        if (error->kind == XHR_ERROR_DNS)
            target_add_host(&text, url);
        else
            target_add_authority(&text, url);
        strbuf_add_text(&text, gap + 2);
    }
    if (error->text && error->text[0] != '\0')
        add_detail(&text, error->text);
    else if (error->sys_errno != 0)
        add_detail(&text, strerror(error->sys_errno));
    /* The daemon, which knows more, may have said what to do. */
    if (words->advice && !(error->text && strchr(error->text, ';'))) {
        strbuf_add_text(&text, "; ");
        strbuf_add_text(&text, words->advice);
    }
    int exit_code = is_about_proxy(error) ? exit_code_at_proxy(error) : words->exit_code;
    int code =
        trouble_set(ret, exit_code, "%s", text.failed ? "out of memory" : strbuf_text(&text));
    strbuf_done(&text);
    return code;
}
