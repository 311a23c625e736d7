/* SPDX-License-Identifier: MIT */
/* xhr: HTTP requests from the shell, through the daemon xhrd, with curl's habits. */
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "cookie_file.h"
#include "files.h"
#include "strbuf.h"
#include "transfer.h"
#include "version.h"

/* A signal may come just before a write() or read() that then blocks, and whose EINTR is thus
 * missed: an alarm makes up for it until the program has ended. */
static void on_signal(int number)
{
    (void)number;
    interrupted = 1;
    (void)alarm(1);
}

/* The second time it ends the program at once. What was ignored when we were started (nohup)
 * stays ignored. */
static void catch_signal(int number)
{
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND};
    struct sigaction old;

    if (sigaction(number, &action, &old) == 0 && old.sa_handler == SIG_IGN)
        (void)sigaction(number, &old, NULL);
}

static void catch_signals(void)
{
    catch_signal(SIGINT);
    catch_signal(SIGTERM);
    catch_signal(SIGHUP);
    (void)sigaction(SIGALRM, &(struct sigaction){.sa_handler = on_signal}, NULL);
    (void)signal(SIGPIPE, SIG_IGN); /* a reader that is gone is a write error: exit 23 */
}

static int print(struct strbuf *text)
{
    int r = text->failed ? -ENOMEM : write_all(STDOUT_FILENO, text->bytes, text->len);

    strbuf_done(text);
    return r < 0 ? EXIT_WRITE : EXIT_OK;
}

static int print_help(void)
{
    struct strbuf text = {0};

    cli_options_help(&text);
    return print(&text);
}

static int print_version(void)
{
    struct strbuf text = {0};

    strbuf_add_text(&text, "xhr " XHR_VERSION_TEXT "\nProtocols: http https\n"
                           "Features: HTTP/1.1 TLS gzip br zstd cookies IDN IPv6\n");
    return print(&text);
}

/* As curl: the exit code is the last URL's. */
static int run_all(const struct cli_options *options)
{
    static struct session session; /* what it has is not freed: session_close() */
    struct trouble why = {0};
    bool stop = false;
    int code = session_open(&session, options, &why);

    if (code == 0)
        code = cookie_file_load(&session, &why);
    if (code != 0)
        trouble_say(&why, "xhr");
    for (size_t i = 0; i < options->urls.count && !stop && why.exit_code == 0; i++)
        code = transfer_run(&session, i, &stop);

    struct trouble at_end = {0};
    if (why.exit_code == 0 && !stop && cookie_file_save(&session, &at_end) != 0) {
        trouble_say(&at_end, "xhr");
        code = code != 0 ? code : at_end.exit_code;
    }
    if (session_close(&session, &at_end) != 0) {
        trouble_say(&at_end, "xhr");
        code = code != 0 ? code : at_end.exit_code;
    }
    return code;
}

int main(int argc, char **argv)
{
    static struct cli_options options;
    struct trouble why = {0};

    catch_signals();
    int code = cli_options_parse(argc, argv, &options, &why);
    if (code != 0)
        trouble_say(&why, "xhr");
    else if (options.help)
        code = print_help();
    else if (options.version)
        code = print_version();
    else
        code = run_all(&options);
    return code;
}
