/* SPDX-License-Identifier: MIT */
#include "ctl_options.h"

#include <string.h>

#include "suggest.h"

#define AT(field) offsetof(struct ctl_options, field)

struct command {
    const char *first;
    const char *second; /* NULL: one word */
    enum ctl_command command;
    const char *help;
    const char *argument; /* what it wants behind its words, or takes: "[…]"; NULL: nothing */
};

static const struct command commands[] = {
    {"status", NULL, CTL_STATUS, "how the daemon is, and what it has done", NULL},
    {"show", "clients", CTL_SHOW_CLIENTS, "programs that are connected", NULL},
    {"show", "requests", CTL_SHOW_REQUESTS, "requests that are under way", NULL},
    {"show", "connections", CTL_SHOW_CONNECTIONS, "connections to servers", NULL},
    {"show", "pools", CTL_SHOW_POOLS, "connections and queue of each origin", NULL},
    {"cookies", "list", CTL_COOKIES_LIST, "cookies of a jar", NULL},
    {"cookies", "clear", CTL_COOKIES_CLEAR, "remove them: all, or those the flags name", NULL},
    {"hsts", "list", CTL_HSTS_LIST, "hosts that are asked over https alone", NULL},
    {"hsts", "rm", CTL_HSTS_RM, "let one of them be asked over http again", "HOST"},
    {"cache", "show", CTL_CACHE_SHOW, "stored answers: all, of a host, of a URL", "[HOST|URL]"},
    {"cache", "clear", CTL_CACHE_CLEAR, "remove them: all, of a host, of a URL", "[HOST|URL]"},
};

#define N_COMMANDS (sizeof(commands) / sizeof(commands[0]))

struct ctl_flag {
    const char *name;
    const char *value; /* NULL: a switch */
    const char *help;
    size_t offset;
    char letter;
    bool of_cookies; /* makes no sense with anything else */
};

static const struct ctl_flag ctl_flags[] = {
    {"json", NULL, "print JSON", AT(json), 0, false},
    {"socket", "PATH", "the daemon's socket", AT(socket_path), 0, false},
    {"jar", "NAME", "the cookie jar: default, or one of your own", AT(jar), 0, true},
    {"domain", "DOMAIN", "cookies of exactly this domain", AT(domain), 0, true},
    {"name", "NAME", "cookies of this name", AT(name), 0, true},
    {"path", "PATH", "cookies of exactly this path", AT(path), 0, true},
    {"host", "HOST", "cookies that a request to this host could carry", AT(host), 0, true},
    {"values", NULL, "show values on a terminal, too", AT(values), 0, true},
    {"help", NULL, "this text", AT(help), 'h', false},
    {"version", NULL, "which version this is", AT(version), 'V', false},
};

#define N_FLAGS (sizeof(ctl_flags) / sizeof(ctl_flags[0]))

static const struct ctl_flag *find_flag(const char *argument)
{
    for (size_t i = 0; i < N_FLAGS; i++) {
        const struct ctl_flag *flag = &ctl_flags[i];
        bool is_letter = flag->letter && argument[1] == flag->letter && argument[2] == '\0';

        if (is_letter || (argument[1] == '-' && strcmp(argument + 2, flag->name) == 0))
            return flag;
    }
    return NULL;
}

static const struct ctl_flag *nearest_flag(const char *name)
{
    const struct ctl_flag *nearest = NULL;
    size_t best = strlen(name) / 3 + 2;

    for (size_t i = 0; i < N_FLAGS; i++) {
        size_t distance = name_distance(name, ctl_flags[i].name);

        if (distance < best) {
            best = distance;
            nearest = &ctl_flags[i];
        }
    }
    return nearest;
}

static int refuse_flag(const char *argument, struct trouble *why)
{
    const struct ctl_flag *nearest = nearest_flag(argument + strspn(argument, "-"));

    if (nearest)
        return trouble_set(why, EXIT_USAGE,
                           "unknown flag %s; the nearest is --%s; see xhrctl --help", argument,
                           nearest->name);
    return trouble_set(why, EXIT_USAGE, "unknown flag %s; see xhrctl --help", argument);
}

/* Takes one flag at *argv and moves past it and its value. */
static int
take_flag(char ***argv, struct ctl_options *options, bool *of_cookies, struct trouble *why)
{
    char *argument = *(*argv)++;
    const struct ctl_flag *flag = find_flag(argument);

    if (!flag)
        return refuse_flag(argument, why);
    *of_cookies |= flag->of_cookies;
    char *field = (char *)options + flag->offset;
    if (!flag->value) {
        *(bool *)field = true;
        return 0;
    }
    if (!**argv)
        return trouble_set(why, EXIT_USAGE, "%s wants a value: %s %s", argument, argument,
                           flag->value);
    *(const char **)(void *)field = *(*argv)++;
    return 0;
}

static int refuse_command(const char *first, const char *second, struct trouble *why)
{
    struct strbuf known = {0};

    if (!first)
        return trouble_set(why, EXIT_USAGE, "no command; see xhrctl --help");
    for (size_t i = 0; i < N_COMMANDS; i++) {
        if (commands[i].second && strcmp(commands[i].first, first) == 0) {
            strbuf_add_text(&known, known.len > 0 ? ", " : "");
            strbuf_add_text(&known, commands[i].second);
        }
    }
    int r =
        known.len > 0
            ? trouble_set(why, EXIT_USAGE, "%s%s%s: there is %s %s", first, second ? " " : "",
                          second ? second : "", first, strbuf_text(&known))
            : trouble_set(why, EXIT_USAGE,
                          "unknown command %s; there are status, show, cookies, hsts and cache",
                          first);
    strbuf_done(&known);
    return r;
}

/* What stands behind the words of a command that was found. */
static int take_argument(const struct command *command,
                         const char *argument,
                         struct ctl_options *ret,
                         struct trouble *why)
{
    if (argument && !command->argument)
        return trouble_set(why, EXIT_USAGE, "one word too many: %s", argument);
    if (!argument && command->argument && command->argument[0] != '[')
        return trouble_set(why, EXIT_USAGE, "%s %s wants a word more: %s %s %s", command->first,
                           command->second, command->first, command->second, command->argument);
    ret->command = command->command;
    ret->argument = argument;
    return 0;
}

static int find_command(char *const words[3], struct ctl_options *ret, struct trouble *why)
{
    for (size_t i = 0; i < N_COMMANDS && words[0]; i++) {
        if (strcmp(commands[i].first, words[0]) != 0)
            continue;
        if (!commands[i].second && words[1])
            return trouble_set(why, EXIT_USAGE, "%s takes no further word: %s", words[0],
                               words[1]);
        if (!commands[i].second || (words[1] && strcmp(commands[i].second, words[1]) == 0))
            return take_argument(&commands[i], words[2], ret, why);
    }
    return refuse_command(words[0], words[1], why);
}

int ctl_options_parse(char **argv, struct ctl_options *ret, struct trouble *why)
{
    char *words[3] = {NULL, NULL, NULL};
    size_t n_words = 0;
    bool of_cookies = false;

    *ret = (struct ctl_options){0};
    for (argv += *argv != NULL; *argv;) {
        if ((*argv)[0] == '-') {
            int r = take_flag(&argv, ret, &of_cookies, why);

            if (r != 0)
                return r;
        } else if (n_words < 3) {
            words[n_words++] = *argv++;
        } else {
            return trouble_set(why, EXIT_USAGE, "one word too many: %s", *argv);
        }
    }
    if (ret->help || ret->version)
        return 0;
    int r = find_command(words, ret, why);
    if (r != 0)
        return r;
    if (of_cookies && ret->command != CTL_COOKIES_LIST && ret->command != CTL_COOKIES_CLEAR)
        return trouble_set(why, EXIT_USAGE,
                           "--jar, --domain, --name, --path, --host and --values go with "
                           "cookies list and cookies clear");
    if (ret->values && ret->command == CTL_COOKIES_CLEAR)
        return trouble_set(why, EXIT_USAGE, "--values goes with cookies list");
    return 0;
}

static void help_line(struct strbuf *out, const char *what, size_t len, const char *help)
{
    strbuf_add_text(out, what);
    for (; len < 26; len++)
        strbuf_add_char(out, ' ');
    strbuf_add_text(out, help);
    strbuf_add_char(out, '\n');
}

void ctl_options_help(struct strbuf *out)
{
    struct strbuf what = {0};

    strbuf_add_text(out, "Usage: xhrctl [flags] COMMAND\n"
                         "Looks into the daemon xhrd. A user is shown his own.\n\nCommands:\n");
    for (size_t i = 0; i < N_COMMANDS; i++) {
        strbuf_clear(&what);
        strbuf_add_text(&what, "  ");
        strbuf_add_text(&what, commands[i].first);
        strbuf_add_text(&what, commands[i].second ? " " : "");
        strbuf_add_text(&what, commands[i].second);
        strbuf_add_text(&what, commands[i].argument ? " " : "");
        strbuf_add_text(&what, commands[i].argument);
        help_line(out, strbuf_text(&what), what.len, commands[i].help);
    }
    strbuf_add_text(out, "\nFlags:\n");
    for (size_t i = 0; i < N_FLAGS; i++) {
        const struct ctl_flag *flag = &ctl_flags[i];
        char letter[] = "  -?, ";

        letter[3] = flag->letter;
        strbuf_clear(&what);
        strbuf_add_text(&what, flag->letter ? letter : "      ");
        strbuf_add_text(&what, "--");
        strbuf_add_text(&what, flag->name);
        strbuf_add_text(&what, flag->value ? " " : "");
        strbuf_add_text(&what, flag->value);
        help_line(out, strbuf_text(&what), what.len, flag->help);
    }
    strbuf_add_text(out, "\nSee xhrctl(1).\n");
    strbuf_done(&what);
}
