/* SPDX-License-Identifier: MIT */
/* jar: which there are, and who may do what with them. */
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>

#include "listing.h"
#include "show.h"

static const char *right_name(enum xhr_jar_right right)
{
    switch (right) {
    case XHR_JAR_USE: return "use";
    case XHR_JAR_READ: return "read";
    case XHR_JAR_WRITE: return "write";
    case XHR_JAR_NONE: break;
    }
    return "none";
}

/* Return: whether @text is a number an id can be. */
static bool parse_id(const char *text, uint32_t *ret)
{
    uint64_t number = 0;

    if (text[0] == '\0' || strlen(text) > 10 || text[strspn(text, "0123456789")] != '\0')
        return false;
    for (; *text; text++)
        number = number * 10 + (uint64_t)(*text - '0');
    *ret = (uint32_t)number;
    return number < UINT32_MAX;
}

bool ctl_find_user(const char *name, uint32_t *ret)
{
    const struct passwd *user = parse_id(name, ret) ? NULL : getpwnam(name);

    if (user)
        *ret = user->pw_uid;
    return user || parse_id(name, ret);
}

static bool find_group(const char *name, uint32_t *ret)
{
    const struct group *group = parse_id(name, ret) ? NULL : getgrnam(name);

    if (group)
        *ret = group->gr_gid;
    return group || parse_id(name, ret);
}

static int
make_grant(const struct ctl_options *options, struct xhr_jar_grant *ret, struct trouble *why)
{
    const char *who = options->arguments[1];
    const char *right = options->arguments[2];

    *ret = (struct xhr_jar_grant){.size = sizeof(*ret), .is_group = who[0] == '@'};
    if (ret->is_group ? !find_group(who + 1, &ret->id) : !ctl_find_user(who, &ret->id))
        return trouble_set(why, EXIT_USAGE,
                           "%s: no such %s; write a user's name or number, or @ and a group's",
                           who, ret->is_group ? "group" : "user");
    if (!right)
        return 0;
    for (int at = XHR_JAR_USE; at <= XHR_JAR_WRITE; at++) {
        if (strcmp(right, right_name((enum xhr_jar_right)at)) == 0)
            ret->right = (enum xhr_jar_right)at;
    }
    return ret->right != XHR_JAR_NONE
               ? 0
               : trouble_set(why, EXIT_USAGE, "%s: a right is use, read or write", right);
}

/* "1000:read @100:use" */
static void add_grants(struct strbuf *out, const struct xhr_jar_info *jar)
{
    strbuf_clear(out);
    for (size_t i = 0; i < jar->n_grants; i++) {
        strbuf_add_text(out, i > 0 ? " " : "");
        strbuf_add_text(out, jar->grants[i].is_group ? "@" : "");
        strbuf_add_u64(out, jar->grants[i].id);
        strbuf_add_char(out, ':');
        strbuf_add_text(out, right_name(jar->grants[i].right));
    }
}

static struct cell text_cell(const char *key, const char *text)
{
    return (struct cell){
        .key = key, .kind = CELL_TEXT, .bytes = text, .len = text ? strlen(text) : 0};
}

static void show_jars(const struct xhr_cookies *answer, bool json, struct strbuf *out)
{
    struct listing listing;
    struct strbuf grants = {0};

    listing_begin(&listing, json);
    for (size_t i = 0; i < xhr_jars_count(answer); i++) {
        const struct xhr_jar_info *jar = xhr_jars_at(answer, i);

        add_grants(&grants, jar);
        const struct cell cells[] = {
            text_cell("jar", jar->name),
            text_cell("profile", jar->profile),
            {.key = "owner_uid",
             .kind = CELL_NUMBER,
             .flags = jar->owner_uid == UINT32_MAX ? CELL_NONE : 0,
             .number = jar->owner_uid},
            text_cell("right", right_name(jar->right)),
            {.key = "cookies", .kind = CELL_NUMBER, .number = (int64_t)jar->cookies},
            {.key = "created_s",
             .kind = CELL_DATE,
             .flags = CELL_OF_JSON | (jar->created_s ? 0 : CELL_NONE),
             .number = jar->created_s},
            text_cell("grants", strbuf_text(&grants)),
        };
        listing_add(&listing, cells, sizeof(cells) / sizeof(cells[0]));
    }
    listing_end(&listing, "no jars", out);
    listing_done(&listing);
    strbuf_done(&grants);
}

static void show_done(const struct ctl_options *options, const char *what, struct strbuf *out)
{
    struct json json = {.out = out};

    if (options->json) {
        json_object_begin(&json, NULL);
        json_text(&json, "jar", options->argument);
        json_text(&json, "done", what);
        json_object_end(&json);
    } else {
        strbuf_add_text(out, options->argument);
        strbuf_add_text(out, ": ");
        strbuf_add_text(out, what);
    }
    strbuf_add_char(out, '\n');
}

/* Return: an exit code, or 0 with *ret_r as the library says. */
static int ask(struct xhr_client *client,
               const struct ctl_options *options,
               struct xhr_cookies **answer,
               int *ret_r,
               struct trouble *why)
{
    const struct xhr_cookie_call call = {
        .size = sizeof(call),
        .jar = options->command == CTL_JAR_LIST ? NULL : options->argument};
    struct xhr_jar_grant grant = {0};
    uint32_t owner = 0;
    int code = 0;

    if (options->command == CTL_JAR_LIST && options->argument &&
        !ctl_find_user(options->argument, &owner))
        return trouble_set(why, EXIT_USAGE, "%s: no such user", options->argument);
    if (options->command == CTL_JAR_GRANT || options->command == CTL_JAR_REVOKE)
        code = make_grant(options, &grant, why);
    if (code != 0)
        return code;
    if (options->command == CTL_JAR_LIST)
        *ret_r = xhr_jars_list(client, &call, options->argument ? &owner : NULL, answer);
    else if (options->command == CTL_JAR_CREATE)
        *ret_r = xhr_jar_create(client, &call, answer);
    else if (options->command == CTL_JAR_RM)
        *ret_r = xhr_jar_remove(client, &call, answer);
    else if (options->command == CTL_JAR_GRANT)
        *ret_r = xhr_jar_grant_right(client, &call, &grant, answer);
    else
        *ret_r = xhr_jar_revoke_right(client, &call, &grant, answer);
    return 0;
}

int jars_run(struct xhr_client *client,
             const struct ctl_options *options,
             struct strbuf *out,
             struct trouble *why)
{
    static const char *const words[] = {"made", "removed", "granted", "revoked"};
    struct xhr_cookies *answer = NULL;
    int r = 0;
    int code = ask(client, options, &answer, &r, why);
    const struct xhr_error *error = answer ? xhr_cookies_error(answer) : NULL;

    if (code == 0 && error)
        code = ctl_trouble(error, why);
    else if (code == 0 && r == -EINVAL)
        code = trouble_set(why, EXIT_USAGE, "'%s': no name of a jar", options->argument);
    else if (code == 0 && r < 0)
        code = trouble_set(why, EXIT_DAEMON, "%s", strerror(-r));
    if (code == 0 && options->command == CTL_JAR_LIST)
        show_jars(answer, options->json, out);
    else if (code == 0)
        show_done(options, words[options->command - CTL_JAR_CREATE], out);
    (void)xhr_cookies_free(answer);
    return code;
}
