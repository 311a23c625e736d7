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
    unsigned flags;       /* of FOR_…: what it goes with */
};

/* What a flag is for. */
#define FOR_ALL    0u
#define FOR_JAR    1u
#define FOR_PLACE  2u /* which cookies, or where one is to be */
#define FOR_NAME   4u
#define FOR_VALUES 8u
#define FOR_WHY    16u
#define FOR_SET    32u
#define FOR_FILE   64u
#define FOR_HAR    128u
#define FOR_DRAIN  256u
#define NO_JSON    512u /* of a command: what it prints has a form of its own */
#define FOR_POLICY 1024u

static const struct command commands[] = {
    {"status", NULL, CTL_STATUS, "how the daemon is, and what it has done", NULL, FOR_ALL},
    {"show", "clients", CTL_SHOW_CLIENTS, "programs that are connected", NULL, FOR_ALL},
    {"show", "requests", CTL_SHOW_REQUESTS, "requests that are under way", NULL, FOR_ALL},
    {"show", "connections", CTL_SHOW_CONNECTIONS, "connections to servers", NULL, FOR_ALL},
    {"show", "pools", CTL_SHOW_POOLS, "connections and queue of each origin", NULL, FOR_ALL},
    {"show", "tls-sessions", CTL_SHOW_TLS_SESSIONS, "TLS sessions kept for resumption", NULL,
     FOR_ALL},
    {"show", "fds", CTL_SHOW_FDS, "descriptors, and how many there may be", NULL, FOR_ALL},
    {"show", "memory", CTL_SHOW_MEMORY, "memory, and how much there may be", NULL, FOR_ALL},
    {"top", NULL, CTL_TOP, "all of that at a glance, live on a terminal", NULL, NO_JSON},
    {"monitor", NULL, CTL_MONITOR, "every request, as it goes", NULL, FOR_HAR},
    {"har", NULL, CTL_HAR, "one of the last requests, as HTTP Archive", "REQUEST", NO_JSON},
    {"metrics", NULL, CTL_METRICS, "counters, as OpenMetrics text", NULL, FOR_FILE | NO_JSON},
    {"drain", NULL, CTL_DRAIN, "finish what runs, take nothing new", NULL, FOR_DRAIN},
    {"reload", NULL, CTL_RELOAD, "read the configuration anew", NULL, FOR_ALL},
    {"log-level", NULL, CTL_LOG_LEVEL, "what is logged: err to debug", "[LEVEL]", FOR_ALL},
    {"cookies", "list", CTL_COOKIES_LIST, "cookies of a jar", NULL,
     FOR_JAR | FOR_PLACE | FOR_NAME | FOR_VALUES | FOR_WHY},
    {"cookies", "get", CTL_COOKIES_GET, "the value of a cookie", "NAME",
     FOR_JAR | FOR_PLACE | FOR_VALUES},
    {"cookies", "set", CTL_COOKIES_SET, "put a cookie in", "NAME=VALUE",
     FOR_JAR | FOR_PLACE | FOR_SET},
    {"cookies", "rm", CTL_COOKIES_RM, "remove the cookies of a name", "NAME",
     FOR_JAR | FOR_PLACE},
    {"cookies", "clear", CTL_COOKIES_CLEAR, "remove them: all, or those the flags name", NULL,
     FOR_JAR | FOR_PLACE | FOR_NAME},
    {"cookies", "import", CTL_COOKIES_IMPORT, "from a cookies.txt, or of Firefox, Chromium",
     "FILE", FOR_JAR},
    {"cookies", "export", CTL_COOKIES_EXPORT, "to a cookies.txt, or as JSON", "[FILE]",
     FOR_JAR | FOR_PLACE | FOR_NAME | FOR_VALUES},
    {"cookies", "watch", CTL_COOKIES_WATCH, "every change, as it comes", NULL,
     FOR_JAR | FOR_VALUES},
    {"jar", "list", CTL_JAR_LIST, "jars, one's own or what a user has granted", "[USER]",
     FOR_ALL},
    {"jar", "create", CTL_JAR_CREATE, "make a jar", "NAME", FOR_ALL},
    {"jar", "rm", CTL_JAR_RM, "remove a jar with its cookies", "NAME", FOR_ALL},
    {"jar", "grant", CTL_JAR_GRANT, "use, read or write, to a user or an @group",
     "NAME WHO RIGHT", FOR_ALL},
    {"jar", "revoke", CTL_JAR_REVOKE, "take that back", "NAME WHO", FOR_ALL},
    {"session", "end", CTL_SESSION_END, "remove session cookies, of a jar or of all", NULL,
     FOR_JAR},
    {"hsts", "list", CTL_HSTS_LIST, "hosts that are asked over https alone", NULL, FOR_ALL},
    {"hsts", "rm", CTL_HSTS_RM, "let one of them be asked over http again", "HOST", FOR_ALL},
    {"cache", "show", CTL_CACHE_SHOW, "stored answers: all, of a host, of a URL", "[HOST|URL]",
     FOR_ALL},
    {"cache", "clear", CTL_CACHE_CLEAR, "remove them: all, of a host, of a URL", "[HOST|URL]",
     FOR_ALL},
    {"purge-user", NULL, CTL_PURGE_USER, "forget all that is kept of a user", "USER", FOR_ALL},
    {"policy", "check", CTL_POLICY_CHECK, "which rules allow or refuse a request", "URL",
     FOR_POLICY},
};

#define N_COMMANDS (sizeof(commands) / sizeof(commands[0]))

struct ctl_flag {
    const char *name;
    const char *value; /* NULL: a switch */
    const char *help;
    size_t offset;
    char letter;
    unsigned goes_with; /* of FOR_…; FOR_ALL: anything */
};

static const struct ctl_flag ctl_flags[] = {
    {"json", NULL, "print JSON", AT(json), 0, FOR_ALL},
    {"socket", "PATH", "the daemon's socket", AT(socket_path), 0, FOR_ALL},
    {"jar", "NAME", "the cookie jar: default, or one of your own", AT(jar), 0, FOR_JAR},
    {"domain", "DOMAIN", "cookies of exactly this domain", AT(domain), 0, FOR_PLACE},
    {"name", "NAME", "cookies of this name", AT(name), 0, FOR_NAME},
    {"path", "PATH", "cookies of exactly this path", AT(path), 0, FOR_PLACE},
    {"host", "HOST", "cookies that a request to this host could carry", AT(host), 0, FOR_PLACE},
    {"values", NULL, "show values on a terminal, too", AT(values), 0, FOR_VALUES},
    {"why", "URL", "say of each whether it goes with a GET of URL", AT(why), 0, FOR_WHY},
    {"url", "URL", "set: as if an answer of URL had", AT(url), 0, FOR_SET},
    {"secure", NULL, "set: over https alone", AT(secure), 0, FOR_SET},
    {"http-only", NULL, "set: not for scripts", AT(http_only), 0, FOR_SET},
    {"same-site", "WHICH", "set: none, lax or strict", AT(same_site), 0, FOR_SET},
    {"max-age", "SECONDS", "set: keep it so long, not for the session", AT(max_age), 0,
     FOR_SET},
    {"profile", "NAME", "of this profile of yours, not of the unnamed one", AT(profile), 0,
     FOR_ALL},
    {"textfile", "FILE", "metrics: into this file, for node_exporter", AT(textfile), 0,
     FOR_FILE},
    {"har", "FILE", "monitor: what is over into this HTTP Archive, too", AT(har), 0, FOR_HAR},
    {"exit", NULL, "drain: leave when the last request is over", AT(exit), 0, FOR_DRAIN},
    {"off", NULL, "drain: take requests again", AT(off), 0, FOR_DRAIN},
    {"as", "USER", "policy check: as this user would ask", AT(as), 0, FOR_POLICY},
    {"method", "METHOD", "policy check: of a request with this method", AT(method), 0,
     FOR_POLICY},
    {"insecure", NULL, "policy check: with certificates unchecked", AT(insecure), 0,
     FOR_POLICY},
    {"help", NULL, "this text", AT(help), 'h', FOR_ALL},
    {"version", NULL, "which version this is", AT(version), 'V', FOR_ALL},
};

#define N_FLAGS (sizeof(ctl_flags) / sizeof(ctl_flags[0]))

/* "--as", or "--as=USER": then *ret_value is USER. */
static const struct ctl_flag *find_flag(const char *argument, const char **ret_value)
{
    for (size_t i = 0; i < N_FLAGS; i++) {
        const struct ctl_flag *flag = &ctl_flags[i];
        size_t len = strlen(flag->name);

        if (flag->letter && argument[1] == flag->letter && argument[2] == '\0')
            return flag;
        if (argument[1] != '-' || strncmp(argument + 2, flag->name, len) != 0)
            continue;
        if (argument[2 + len] == '\0')
            return flag;
        if (argument[2 + len] == '=') {
            *ret_value = argument + 2 + len + 1;
            return flag;
        }
    }
    return NULL;
}

/* An empty value is a variable of a script's that was never set, but where it means something:
 * cookies without a name, the unnamed profile. */
static bool may_be_empty(const struct ctl_flag *flag)
{
    return strcmp(flag->name, "name") == 0 || strcmp(flag->name, "profile") == 0;
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
take_flag(char ***argv, struct ctl_options *options, unsigned *given, struct trouble *why)
{
    char *argument = *(*argv)++;
    const char *value = NULL;
    const struct ctl_flag *flag = find_flag(argument, &value);

    if (!flag)
        return refuse_flag(argument, why);
    *given |= flag->goes_with;
    char *field = (char *)options + flag->offset;
    if (!flag->value && value)
        return trouble_set(why, EXIT_USAGE, "--%s takes no value", flag->name);
    if (!flag->value) {
        *(bool *)field = true;
        return 0;
    }
    if (!value && **argv)
        value = *(*argv)++;
    if (!value || (!*value && !may_be_empty(flag)))
        return trouble_set(why, EXIT_USAGE, "--%s wants a value: --%s %s", flag->name,
                           flag->name, flag->value);
    *(const char **)(void *)field = value;
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
            : trouble_set(
                  why, EXIT_USAGE,
                  "unknown command %s; there are status, show, top, monitor, har, metrics, "
                  "drain, reload, log-level, cookies, jar, session, hsts, cache, "
                  "purge-user and policy",
                  first);
    strbuf_done(&known);
    return r;
}

/* "NAME WHO" are two. */
static size_t count_words(const char *text)
{
    size_t n = text != NULL;

    for (; text && *text; text++)
        n += *text == ' ';
    return n;
}

/* What stands behind the words of a command that was found. */
static int take_arguments(const struct command *command,
                          char *const words[CTL_ARGUMENTS_MAX + 1],
                          struct ctl_options *ret,
                          struct trouble *why)
{
    size_t wanted = count_words(command->argument);
    const char *second = command->second ? command->second : "";
    const char *space = command->second ? " " : "";
    size_t n = 0;

    while (n < CTL_ARGUMENTS_MAX + 1 && words[n])
        n++;
    if (n > wanted)
        return trouble_set(why, EXIT_USAGE, "one word too many: %s", words[wanted]);
    if (n < wanted && command->argument[0] != '[')
        return trouble_set(why, EXIT_USAGE, "%s%s%s wants a word more: %s%s%s %s",
                           command->first, space, second, command->first, space, second,
                           command->argument);
    ret->command = command->command;
    ret->argument = words[0];
    for (size_t i = 0; i < n; i++)
        ret->arguments[i] = words[i];
    return 0;
}

static const struct command *find_command(char *const words[2])
{
    for (size_t i = 0; i < N_COMMANDS && words[0]; i++) {
        if (strcmp(commands[i].first, words[0]) == 0 &&
            (!commands[i].second || (words[1] && strcmp(commands[i].second, words[1]) == 0)))
            return &commands[i];
    }
    return NULL;
}

/* Flags that were given and are for something else. */
static int check_flags(const struct command *command,
                       const struct ctl_options *options,
                       struct trouble *why)
{
    for (size_t i = 0; i < N_FLAGS; i++) {
        const struct ctl_flag *flag = &ctl_flags[i];
        const char *field = (const char *)options + flag->offset;
        bool given = flag->value ? *(const char *const *)(const void *)field != NULL
                                 : *(const bool *)(const void *)field;

        if (given && flag->goes_with != FOR_ALL && !(flag->goes_with & command->flags))
            return trouble_set(why, EXIT_USAGE,
                               "--%s does not go with %s%s%s; see xhrctl --help", flag->name,
                               command->first, command->second ? " " : "",
                               command->second ? command->second : "");
    }
    return 0;
}

static int
take_words(char *const words[], struct ctl_options *ret, unsigned given, struct trouble *why)
{
    const struct command *command = find_command(words);

    if (!command)
        return refuse_command(words[0], words[0] ? words[1] : NULL, why);
    if (!command->second && !command->argument && words[1])
        return trouble_set(why, EXIT_USAGE, "%s takes no further word: %s", words[0], words[1]);
    int r = take_arguments(command, words + (command->second ? 2 : 1), ret, why);
    ret->command = command->command;
    if (r == 0 && ret->json && (command->flags & NO_JSON))
        return trouble_set(why, EXIT_USAGE,
                           "--json does not go with %s, which has a form of its own",
                           command->first);
    return r == 0 && given != FOR_ALL ? check_flags(command, ret, why) : r;
}

int ctl_options_parse(char **argv, struct ctl_options *ret, struct trouble *why)
{
    char *words[CTL_ARGUMENTS_MAX + 4] = {NULL};
    size_t n_words = 0;
    unsigned given = FOR_ALL;

    *ret = (struct ctl_options){0};
    for (argv += *argv != NULL; *argv;) {
        if ((*argv)[0] == '-' && (*argv)[1]) {
            int r = take_flag(&argv, ret, &given, why);

            if (r != 0)
                return r;
        } else if (n_words < CTL_ARGUMENTS_MAX + 3) {
            words[n_words++] = *argv++;
        } else {
            return trouble_set(why, EXIT_USAGE, "one word too many: %s", *argv);
        }
    }
    if (ret->help || ret->version)
        return 0;
    return take_words(words, ret, given, why);
}

static void help_line(struct strbuf *out, const char *what, size_t len, const char *help)
{
    strbuf_add_text(out, what);
    for (; len < 30; len++)
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
