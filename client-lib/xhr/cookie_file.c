/* SPDX-License-Identifier: MIT */
#include "cookie_file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cookie_import.h"
#include "cookies_txt.h"
#include "files.h"

#define FILE_BYTES_MAX (64u << 20)

/* Who is told of lines that are left out. */
struct reading {
    const char *file;
    bool silent;
};

static void say(const char *file, size_t line, const char *what)
{
    struct strbuf text = {0};

    strbuf_add_text(&text, "xhr: -b ");
    strbuf_add_shown(&text, file, strlen(file));
    if (line > 0) {
        strbuf_add_text(&text, ", line ");
        strbuf_add_u64(&text, line);
    }
    strbuf_add_text(&text, ": ");
    strbuf_add_text(&text, what);
    strbuf_add_char(&text, '\n');
    (void)write_all(STDERR_FILENO, text.bytes, text.len); /* it is only a remark */
    strbuf_done(&text);
}

static void on_refused(void *user, size_t line, const char *why)
{
    const struct reading *reading = user;

    if (!reading->silent)
        say(reading->file, line, why);
}

static bool is_to_be_made(const struct cli_options *options, const char *file)
{
    return options->cookie_jar && strcmp(options->cookie_jar, file) == 0;
}

static int load_text(struct session *session,
                     const char *file,
                     const struct strbuf *text,
                     struct trouble *why)
{
    struct reading reading = {file, session->options->silent};
    struct cookie_import *import = malloc(sizeof(*import));

    if (!import)
        return trouble_set(why, EXIT_RESOURCES, "out of memory");
    cookie_import_begin(import, session->client, XHR_JAR_PRIVATE, on_refused, &reading);
    int code = cookie_import_text(import, text->bytes, text->len,
                                  session->options->junk_session_cookies, why);
    cookie_import_done(import);
    free(import);
    return code;
}

static int load_file(struct session *session, const char *file, struct trouble *why)
{
    struct strbuf text = {0};
    int r = read_file(file, FILE_BYTES_MAX, &text);
    int code = 0;

    if (r == -ENOENT) {
        if (!is_to_be_made(session->options, file) && !session->options->silent)
            say(file, 0, "there is no such file: no cookies are read");
    } else if (r < 0) {
        code = trouble_set(why, EXIT_READ, "-b %s: %s", file, strerror(-r));
    } else if (!cookies_txt_is_text(strbuf_text(&text), text.len)) {
        code = trouble_set(
            why, EXIT_READ,
            "-b %s: no cookies.txt; a browser's store is for xhrctl cookies import", file);
    } else if (text.len > 0) {
        code = load_text(session, file, &text, why);
    }
    if (text.len > 0)
        explicit_bzero(text.bytes, text.len);
    strbuf_done(&text);
    return code;
}

int cookie_file_load(struct session *session, struct trouble *why)
{
    const struct words *files = &session->options->cookie_files;
    int code = 0;

    for (size_t i = 0; i < files->count && code == 0; i++) {
        if (files->items[i][0]) /* -b '' is a jar with nothing in it */
            code = load_file(session, files->items[i], why);
    }
    return code;
}

int cookie_file_save(struct session *session, struct trouble *why)
{
    const char *file = session->options->cookie_jar;
    struct xhr_cookies *cookies = NULL;
    struct strbuf text = {0};

    if (!file)
        return 0;
    int r = xhr_cookies_list_wait(session->client, XHR_JAR_PRIVATE, NULL, &cookies);
    int code = cookie_answer_code(r, cookies, why);
    if (code == 0) {
        cookies_txt_add_head(&text);
        for (size_t i = 0; i < xhr_cookies_count(cookies); i++)
            (void)cookies_txt_add(&text, xhr_cookies_at(cookies, i));
        r = text.failed ? -ENOMEM : replace_file(file, text.bytes, text.len);
        if (r < 0)
            code = trouble_set(why, EXIT_WRITE, "-c %s: %s", file, strerror(-r));
    }
    (void)xhr_cookies_free(cookies);
    if (text.len > 0)
        explicit_bzero(text.bytes, text.len);
    strbuf_done(&text);
    return code;
}
