/* SPDX-License-Identifier: MIT */
/* xhrctl: what the daemon xhrd holds and does. It never starts one. */
#include <string.h>
#include <unistd.h>

#include "files.h"
#include "monitor.h"
#include "profile.h"
#include "show.h"
#include "top.h"
#include "version.h"

static int run(const struct ctl_options *options, struct strbuf *out, struct trouble *why)
{
    struct xhr_client_options client_options = {
        .size = sizeof(client_options),
        .socket_path = options->socket_path,
        .no_start = true,
        .program = "xhrctl",
        .profile = options->profile,
    };
    bool cookies = (options->command >= CTL_COOKIES_LIST && options->command < CTL_JAR_LIST) ||
                   options->command == CTL_SESSION_END;
    bool jars = options->command >= CTL_JAR_LIST && options->command <= CTL_JAR_REVOKE;
    bool masked = !options->values && isatty(STDOUT_FILENO);
    struct xhr_client *client = NULL;

    if (options->profile && !profile_is_valid(options->profile))
        return trouble_set(why, EXIT_USAGE, "--profile '%s': " PROFILE_WANTS, options->profile);
    int r = xhr_client_new(&client_options, &client);

    if (r == -EINVAL)
        return trouble_set(why, EXIT_USAGE,
                           "--socket '%s': not the path of a socket, or too long",
                           options->socket_path ? options->socket_path : "");
    if (r < 0)
        return trouble_set(why, EXIT_RESOURCES, "%s", strerror(-r));
    if (options->command == CTL_COOKIES_WATCH)
        r = watch_run(client, options, masked, why);
    else if (options->command >= CTL_METRICS && options->command <= CTL_SHOW_MEMORY)
        r = ops_run(client, options, out, why);
    else if (options->command == CTL_MONITOR)
        r = monitor_run(client, options, why);
    else if (options->command == CTL_TOP)
        r = top_run(client, out, why);
    else if (options->command == CTL_HAR)
        r = har_run(client, options, out, why);
    else if (cookies)
        r = cookies_run(client, options, masked, out, why);
    else if (jars)
        r = jars_run(client, options, out, why);
    else if (options->command == CTL_HSTS_LIST || options->command == CTL_HSTS_RM)
        r = hsts_run(client, options, out, why);
    else if (options->command == CTL_CACHE_SHOW || options->command == CTL_CACHE_CLEAR)
        r = cache_run(client, options, out, why);
    else if (options->command == CTL_PURGE_USER)
        r = purge_run(client, options, out, why);
    else if (options->command == CTL_POLICY_CHECK)
        r = policy_run(client, options, out, why);
    else
        r = show_run(client, options, out, why);
    (void)xhr_client_free(client);
    return r;
}

int main(int argc, char **argv)
{
    struct ctl_options options;
    struct trouble why = {0};
    struct strbuf out = {0};

    (void)argc;
    int code = ctl_options_parse(argv, &options, &why);
    if (code == 0 && options.help)
        ctl_options_help(&out);
    else if (code == 0 && options.version)
        strbuf_add_text(&out, "xhrctl " XHR_VERSION_TEXT "\n");
    else if (code == 0)
        code = run(&options, &out, &why);
    if (code == 0 && out.failed)
        code = trouble_set(&why, EXIT_RESOURCES, "out of memory");
    if (code == 0 && write_all(STDOUT_FILENO, out.bytes, out.len) < 0)
        code = trouble_set(&why, EXIT_WRITE, "could not write to stdout");
    if (code != 0)
        trouble_say(&why, "xhrctl");
    strbuf_done(&out);
    return code;
}
