/* SPDX-License-Identifier: MIT */
#include "options.h"

#include <stdlib.h>
#include <string.h>

#include "flags.h"
#include "strbuf.h"

struct command_line {
    char **rest; /* the next argument; ends with NULL */
    struct cli_options *options;
    struct trouble *why;
};

bool words_add(struct words *words, const char *word)
{
    const char **items = reallocarray(words->items, words->count + 1, sizeof(*items));

    if (!items)
        return false;
    words->items = items;
    items[words->count++] = word;
    return true;
}

static void words_done(struct words *words)
{
    free(words->items);
    *words = (struct words){0};
}

void cli_options_done(struct cli_options *options)
{
    for (size_t i = 0; i < options->copies.count; i++) {
        char *copy;

        memcpy(&copy, &options->copies.items[i], sizeof(copy));
        explicit_bzero(copy, strlen(copy));
        free(copy);
    }
    for (size_t i = 0; i < options->n_resolve; i++)
        free(options->resolve[i].addresses);
    free(options->resolve);
    free(options->connect_to);
    free(options->data);
    free(options->form);
    free(options->outputs);
    words_done(&options->copies);
    words_done(&options->cookies);
    words_done(&options->cookie_files);
    words_done(&options->headers);
    words_done(&options->urls);
    *options = (struct cli_options){0};
}

static void set_switch(struct cli_options *options, const struct flag *flag, bool on)
{
    *(bool *)((char *)options + flag->offset) = on != flag->off;
}

/* Others can read argv in the list of processes. */
static bool is_secret(const struct flag *flag)
{
    return flag->letter == 'u' || flag->letter == 'U' || flag->letter == 'x' ||
           flag->letter == 'E' || strcmp(flag->name, "pass") == 0 ||
           strcmp(flag->name, "oauth2-bearer") == 0;
}

/* @value: NULL for a flag without one. */
static int
apply(struct command_line *line, const struct flag *flag, char *value, const char *shown)
{
    if (flag->value && !flag->equals && !value)
        return trouble_set(line->why, EXIT_USAGE, "%s wants a value: %s %s", shown, shown,
                           flag->value);
    if (flag->take) {
        int r = flag->take(line->options, flag, value, line->why);

        if (r == 0 && value && is_secret(flag))
            memset(value, ' ', strlen(value));
        return r;
    }
    if (flag->value)
        *(const char **)(void *)((char *)line->options + flag->offset) = value;
    else
        set_switch(line->options, flag, true);
    return 0;
}

static int refuse_name(struct command_line *line, const char *name)
{
    const char *instead = flag_instead(0, name);
    const struct flag *nearest = flag_nearest(name);

    if (instead)
        return trouble_set(line->why, EXIT_USAGE, "there is no --%s here: %s; see xhr --help",
                           name, instead);
    if (nearest)
        return trouble_set(line->why, EXIT_USAGE,
                           "unknown flag --%s; the nearest is --%s; see xhr --help", name,
                           nearest->name);
    return trouble_set(line->why, EXIT_USAGE, "unknown flag --%s; see xhr --help", name);
}

static int refuse_letter(struct command_line *line, char letter)
{
    const char *instead = flag_instead(letter, NULL);
    const struct flag *other = flag_find_letter((char)(letter ^ 0x20));

    if (instead)
        return trouble_set(line->why, EXIT_USAGE, "there is no -%c here: %s; see xhr --help",
                           letter, instead);
    if (other && (letter | 0x20) >= 'a' && (letter | 0x20) <= 'z')
        return trouble_set(line->why, EXIT_USAGE,
                           "unknown flag -%c; the nearest is -%c, --%s; see xhr --help", letter,
                           other->letter, other->name);
    return trouble_set(line->why, EXIT_USAGE, "unknown flag -%c; see xhr --help", letter);
}

static bool is_plain_switch(const struct flag *flag)
{
    return flag && !flag->value && !flag->take && flag->group != GROUP_OTHER;
}

/* curl's --no-NAME for every switch, and --NAME for those that are called no-NAME. */
static bool apply_negated(struct command_line *line, const char *name)
{
    const struct flag *flag = NULL;

    if (strncmp(name, "no-", 3) == 0) {
        flag = flag_find_name(name + 3);
    } else {
        for (size_t i = 0; i < n_flags && !flag; i++) {
            if (strncmp(flags[i].name, "no-", 3) == 0 && strcmp(flags[i].name + 3, name) == 0)
                flag = &flags[i];
        }
    }
    if (!is_plain_switch(flag))
        return false;
    set_switch(line->options, flag, false);
    return true;
}

/* "--name=value" is for the one flag whose value is optional; curl has no such form. */
static int take_with_equals(struct command_line *line, const char *name, char *equals)
{
    char *copy = strndup(name, (size_t)(equals - name));
    const struct flag *flag = copy ? flag_find_name(copy) : NULL;
    int r;

    if (!copy)
        return trouble_set(line->why, EXIT_RESOURCES, "out of memory");
    if (!flag)
        r = refuse_name(line, copy);
    else if (flag->equals)
        r = apply(line, flag, equals + 1, copy);
    else if (flag->value)
        r = trouble_set(line->why, EXIT_USAGE, "--%s: write --%s %s, without =", name, copy,
                        flag->value);
    else
        r = trouble_set(line->why, EXIT_USAGE, "--%s takes no value", copy);
    free(copy);
    return r;
}

static int take_long(struct command_line *line, char *argument)
{
    char *name = argument + 2;
    const struct flag *flag = flag_find_name(name);
    char *equals = strchr(name, '=');

    if (!flag && equals)
        return take_with_equals(line, name, equals);
    if (!flag)
        return apply_negated(line, name) ? 0 : refuse_name(line, name);
    return apply(line, flag, flag->value && !flag->equals && *line->rest ? *line->rest++ : NULL,
                 argument);
}

/* "-sSfo file", "-ofile". */
static int take_letters(struct command_line *line, char *argument)
{
    for (char *at = argument + 1; *at; at++) {
        const struct flag *flag = flag_find_letter(*at);
        char shown[] = {'-', *at, '\0'};
        char *value = NULL;

        if (!flag)
            return refuse_letter(line, *at);
        if (flag->value)
            value = at[1] ? at + 1 : *line->rest ? *line->rest++ : NULL;
        int r = apply(line, flag, value, shown);
        if (r != 0 || flag->value)
            return r;
    }
    return 0;
}

static int take_argument(struct command_line *line, char *argument, bool *flags_end)
{
    if (*flags_end || argument[0] != '-') {
        if (!words_add(&line->options->urls, argument))
            return trouble_set(line->why, EXIT_RESOURCES, "out of memory");
        return 0;
    }
    if (strcmp(argument, "--") == 0) {
        *flags_end = true;
        return 0;
    }
    if (argument[1] == '-')
        return take_long(line, argument);
    if (argument[1] == '\0')
        return trouble_set(line->why, EXIT_USAGE, "'-' is not a URL; see xhr --help");
    return take_letters(line, argument);
}

static int check_cookies(const struct cli_options *options, struct trouble *why)
{
    if (options->jar && (options->cookie_files.count > 0 || options->cookie_jar))
        return trouble_set(
            why, EXIT_USAGE,
            "--jar names a jar that the daemon keeps, -b FILE and -c FILE make one "
            "of this command alone: take one of them");
    if (options->junk_session_cookies && options->cookie_files.count == 0)
        return trouble_set(why, EXIT_USAGE,
                           "-j leaves out session cookies of -b FILE, which is not given");
    return 0;
}

static int check_login(const struct cli_options *options, struct trouble *why)
{
    if (options->basic + options->digest + options->anyauth > 1)
        return trouble_set(why, EXIT_USAGE,
                           "--basic, --digest and --anyauth: take one of them");
    if (options->bearer &&
        (options->user || options->basic || options->digest || options->anyauth ||
         options->netrc || options->netrc_optional || options->netrc_file))
        return trouble_set(why, EXIT_USAGE,
                           "--oauth2-bearer is a login of its own: leave out -u, -n, --basic, "
                           "--digest and --anyauth");
    if (options->user_domain && !options->user)
        return trouble_set(why, EXIT_USAGE, "--user-domain goes with -u USER:PASSWORD");
    if (options->user && (options->netrc || options->netrc_optional || options->netrc_file))
        return trouble_set(why, EXIT_USAGE,
                           "-u names the login, -n, --netrc-optional and --netrc-file want it "
                           "looked up: take one of them");
    return 0;
}

static int check_proxy(const struct cli_options *options, struct trouble *why)
{
    if (options->proxy_basic + options->proxy_digest + options->proxy_anyauth > 1)
        return trouble_set(why, EXIT_USAGE,
                           "--proxy-basic, --proxy-digest and --proxy-anyauth: take one of "
                           "them");
    if (options->proxy && options->proxy[0] == '\0' &&
        (options->proxy_user || options->proxy_tunnel || options->proxy_basic ||
         options->proxy_digest || options->proxy_anyauth))
        return trouble_set(why, EXIT_USAGE,
                           "-x '' is no proxy: nothing can be asked of one beside it");
    return 0;
}

static bool has_remote_name(const struct cli_options *options)
{
    for (size_t i = 0; i < options->n_outputs; i++) {
        if (options->outputs[i].kind == OUTPUT_REMOTE_NAME)
            return true;
    }
    return false;
}

static int check_saving(const struct cli_options *options, struct trouble *why)
{
    bool goes_on = options->continue_auto || options->continue_offset > 0;

    if (options->remote_header_name && !has_remote_name(options))
        return trouble_set(why, EXIT_USAGE, "-J is about the name of -O: add -O");
    if (options->remote_header_name && (options->include || options->head))
        return trouble_set(why, EXIT_USAGE,
                           "-J: with -i or -I the file begins before its name is known");
    if (!goes_on)
        return 0;
    if (options->range)
        return trouble_set(why, EXIT_USAGE, "-C and -r: take one of them");
    if (options->no_clobber || options->remote_header_name)
        return trouble_set(why, EXIT_USAGE,
                           "-C goes on with a file, --no-clobber and -J want a new one");
    if (options->include || options->head || options->n_data > 0 || options->n_form > 0 ||
        options->upload_file || (options->method && strcmp(options->method, "GET") != 0))
        return trouble_set(why, EXIT_USAGE,
                           "-C goes on with the body of a GET: leave out -i, -I, -X and what "
                           "is to be sent");
    return 0;
}

static int check_redirects(const struct cli_options *options, struct trouble *why)
{
    if (options->no_location &&
        (options->location_trusted || options->post301 || options->post302 || options->post303))
        return trouble_set(why, EXIT_USAGE,
                           "--location-trusted and --post301 to --post303 are about redirects "
                           "that are followed: leave out --no-location");
    return 0;
}

static int check_tls(const struct cli_options *options, struct trouble *why)
{
    if (options->cert_status && options->insecure)
        return trouble_set(why, EXIT_USAGE,
                           "--cert-status and -k contradict each other: what is proved of a "
                           "certificate that nobody checks?");
    return 0;
}

static int check_groups(const struct cli_options *options, struct trouble *why)
{
    static int (*const checks[])(const struct cli_options *, struct trouble *) = {
        check_proxy, check_saving, check_redirects, check_cookies, check_login, check_tls,
    };
    int r = 0;

    for (size_t i = 0; i < sizeof(checks) / sizeof(checks[0]) && r == 0; i++)
        r = checks[i](options, why);
    return r;
}

/* What is right by itself and wrong together. */
static int check(const struct cli_options *options, struct trouble *why)
{
    if (options->help || options->version)
        return 0;
    if (options->urls.count == 0)
        return trouble_set(why, EXIT_USAGE, "no URL; write xhr [flags] URL…, or xhr --help");
    if (options->fail && options->fail_with_body)
        return trouble_set(why, EXIT_USAGE, "-f and --fail-with-body: take one of them");
    if (options->head && options->n_data > 0 && !options->get)
        return trouble_set(
            why, EXIT_USAGE,
            "-I is HEAD and data is POST: take one of them, or add -G to put the "
            "data into the URL");
    if ((options->n_data > 0) + (options->n_form > 0) + (options->upload_file != NULL) > 1)
        return trouble_set(why, EXIT_USAGE,
                           "-d, -F and -T are bodies of their own: take one of them");
    if ((options->head || options->get) && (options->n_form > 0 || options->upload_file))
        return trouble_set(why, EXIT_USAGE, "%s sends no body, -F and -T are one",
                           options->head ? "-I" : "-G");
    if (options->upload_file && options->urls.count > 1)
        return trouble_set(why, EXIT_USAGE, "-T: one file to one URL; write xhr once for each");
    if (options->raw && options->compressed)
        return trouble_set(why, EXIT_USAGE,
                           "--raw and --compressed contradict each other: take one of them");
    if (options->n_outputs > options->urls.count)
        return trouble_set(why, EXIT_USAGE, "%zu -o or -O, but only %zu URL%s",
                           options->n_outputs, options->urls.count,
                           options->urls.count == 1 ? "" : "s");
    for (size_t i = 0; i < options->urls.count; i++) {
        if (options->urls.items[i][0] == '\0')
            return trouble_set(why, EXIT_URL, "the URL is empty");
    }
    return check_groups(options, why);
}

int cli_options_parse(int argc, char **argv, struct cli_options *ret, struct trouble *ret_why)
{
    struct command_line line = {argc > 0 ? argv + 1 : argv, ret, ret_why};
    bool flags_end = false;

    *ret = (struct cli_options){
        .max_redirs = INT64_MIN,
        .max_time_ms = TIME_NOT_GIVEN,
        .connect_timeout_ms = TIME_NOT_GIVEN,
        .idle_timeout_ms = TIME_NOT_GIVEN,
    };
    while (*line.rest) {
        int r = take_argument(&line, *line.rest++, &flags_end);

        if (r != 0)
            return r;
    }
    return check(ret, ret_why);
}

static void help_line(struct strbuf *out, const struct flag *flag)
{
    const size_t column = 38;
    size_t start = out->len;

    strbuf_add_text(out, "  ");
    if (flag->letter) {
        strbuf_add_char(out, '-');
        strbuf_add_char(out, flag->letter);
        strbuf_add_text(out, ", ");
    } else {
        strbuf_add_text(out, "    ");
    }
    strbuf_add_text(out, "--");
    strbuf_add_text(out, flag->name);
    if (flag->value) {
        strbuf_add_text(out, flag->equals ? "[=" : " ");
        strbuf_add_text(out, flag->value);
        strbuf_add_text(out, flag->equals ? "]" : "");
    }
    if (out->len - start >= column)
        strbuf_add_char(out, '\n');
    size_t used = out->len - start < column ? out->len - start : 0;
    for (; used < column; used++)
        strbuf_add_char(out, ' ');
    strbuf_add_text(out, flag->help);
    strbuf_add_char(out, '\n');
}

void cli_options_help(struct strbuf *out)
{
    strbuf_add_text(out, "Usage: xhr [flags] URL...\n"
                         "Makes HTTP requests through the daemon xhrd, with curl's flags.\n");
    for (int group = 0; group < GROUP_COUNT; group++) {
        strbuf_add_char(out, '\n');
        strbuf_add_text(out, flag_group_name((enum flag_group)group));
        strbuf_add_text(out, ":\n");
        for (size_t i = 0; i < n_flags; i++) {
            if (flags[i].group == (enum flag_group)group)
                help_line(out, &flags[i]);
        }
    }
    strbuf_add_text(out, "\nExit codes are curl's; 100: no daemon, 101: refused by policy, "
                         "102: quota.\nSee xhr(1).\n");
}
