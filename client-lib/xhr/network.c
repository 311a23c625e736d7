/* SPDX-License-Identifier: MIT */
#include "network.h"

#include <stdlib.h>
#include <string.h>

static int no_memory(struct trouble *why)
{
    return trouble_set(why, EXIT_RESOURCES, "out of memory");
}

/* A copy that lives as long as the options and may be cut into pieces. */
static char *keep_copy(struct cli_options *options, const char *text)
{
    char *copy = strdup(text);

    if (copy && !words_add(&options->copies, copy)) {
        free(copy);
        copy = NULL;
    }
    return copy;
}

/* "" is 0 when @may_be_empty. */
static bool parse_port(const char *text, bool may_be_empty, uint16_t *ret)
{
    uint32_t port = 0;

    if (text[0] == '\0') {
        *ret = 0;
        return may_be_empty;
    }
    for (; *text; text++) {
        if (*text < '0' || *text > '9')
            return false;
        port = port * 10 + (uint32_t)(*text - '0');
        if (port > UINT16_MAX)
            return false;
    }
    *ret = (uint16_t)port;
    return port > 0;
}

/* Cuts the host off the front of *text: up to a colon, or in brackets, which go. NULL: the
 * bracket does not close, or something stands behind it. */
static char *cut_host(char **text)
{
    char *host = *text;
    char *end = host[0] == '[' ? strchr(host, ']') : strchrnul(host, ':');

    if (!end)
        return NULL;
    if (host[0] == '[') {
        *end++ = '\0';
        host++;
    }
    if (*end != ':' && *end != '\0')
        return NULL;
    *text = *end == ':' ? end + 1 : end;
    *end = '\0';
    return host;
}

/* Cuts a word up to a colon off the front of *text. */
static char *cut_word(char **text)
{
    char *word = *text;
    char *end = strchrnul(word, ':');

    *text = *end == ':' ? end + 1 : end;
    *end = '\0';
    return word;
}

/* "127.0.0.1,[::1]": brackets go, nothing may be empty. */
static bool split_addresses(char *text, struct resolve_choice *choice)
{
    size_t n = 1;

    for (const char *c = text; *c; c++)
        n += *c == ',';
    choice->addresses = reallocarray(NULL, n, sizeof(*choice->addresses));
    choice->n_addresses = 0;
    if (!choice->addresses)
        return false;
    while (choice->n_addresses < n) {
        char *end = strchrnul(text, ',');
        char *next = *end ? end + 1 : end;

        *end = '\0';
        if (text[0] == '[' && end[-1] == ']') {
            end[-1] = '\0';
            text++;
        }
        choice->addresses[choice->n_addresses++] = text;
        text = next;
    }
    return true;
}

static bool has_empty_address(const struct resolve_choice *choice)
{
    for (size_t i = 0; i < choice->n_addresses; i++) {
        if (choice->addresses[i][0] == '\0')
            return true;
    }
    return false;
}

int network_add_resolve(struct cli_options *options, const char *text, struct trouble *why)
{
    static const char wanted[] = "write host:port:address, as example.com:443:127.0.0.1";
    /* curl's '+' lets an entry time out: ours live for one request anyway. */
    char *rest = keep_copy(options, text + (text[0] == '+'));
    struct resolve_choice choice = {0};
    struct resolve_choice *list =
        reallocarray(options->resolve, options->n_resolve + 1, sizeof(*list));

    if (list)
        options->resolve = list;
    if (!rest || !list)
        return no_memory(why);
    if (rest[0] == '-' || rest[0] == '*')
        return trouble_set(why, EXIT_USAGE, "--resolve '%s': '%c' is not supported; %s", text,
                           rest[0], wanted);
    choice.host = cut_host(&rest);
    if (!choice.host || choice.host[0] == '\0' ||
        !parse_port(cut_word(&rest), false, &choice.port))
        return trouble_set(why, EXIT_USAGE, "--resolve '%s': %s", text, wanted);
    if (!split_addresses(rest, &choice))
        return no_memory(why);
    list[options->n_resolve++] = choice;
    if (has_empty_address(&choice))
        return trouble_set(why, EXIT_USAGE, "--resolve '%s': an address is missing; %s", text,
                           wanted);
    return 0;
}

int network_add_connect_to(struct cli_options *options, const char *text, struct trouble *why)
{
    char *rest = keep_copy(options, text);
    struct connect_choice choice = {0};
    struct connect_choice *list =
        reallocarray(options->connect_to, options->n_connect_to + 1, sizeof(*list));

    if (list)
        options->connect_to = list;
    if (!rest || !list)
        return no_memory(why);
    choice.host = cut_host(&rest);
    bool good = choice.host && parse_port(cut_word(&rest), true, &choice.port);
    if (good)
        choice.to_host = cut_host(&rest);
    if (!good || !choice.to_host || !parse_port(rest, true, &choice.to_port))
        return trouble_set(why, EXIT_USAGE,
                           "--connect-to '%s': write HOST1:PORT1:HOST2:PORT2, as "
                           "example.com:443:localhost:8443; each may be empty",
                           text);
    list[options->n_connect_to++] = choice;
    return 0;
}
