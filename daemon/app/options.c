/* SPDX-License-Identifier: MIT */
#include "app/options.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app/config_check.h"
#include "app/credentials.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/message_id.h"
#include "base/num.h"

static const char usage[] =
    "usage: xhrd [--user|--system] [--socket PATH] [--state-dir DIR] [--config FILE]\n"
    "            [--idle-exit SECONDS] [--log-level err|warning|notice|info|debug]\n"
    "       xhrd [--config FILE] --check-config | --help | --version\n";

struct given {
    int user; /* 1 --user, 0 --system, -1 neither */
    const char *state_dir;
    const char *config;
    const char *idle_exit;
    const char *log_level;
    bool check_config;
};

enum {
    OPT_USER = 256,
    OPT_SYSTEM,
    OPT_SOCKET,
    OPT_STATE,
    OPT_CONFIG,
    OPT_IDLE,
    OPT_LEVEL,
    OPT_CHECK,
    OPT_HELP,
    OPT_VERSION,
    OPT_KEYS
};

static const struct option long_options[] = {
    {"user", no_argument, NULL, OPT_USER},
    {"system", no_argument, NULL, OPT_SYSTEM},
    {"socket", required_argument, NULL, OPT_SOCKET},
    {"state-dir", required_argument, NULL, OPT_STATE},
    {"config", required_argument, NULL, OPT_CONFIG},
    {"idle-exit", required_argument, NULL, OPT_IDLE},
    {"log-level", required_argument, NULL, OPT_LEVEL},
    {"check-config", no_argument, NULL, OPT_CHECK},
    {"help", no_argument, NULL, OPT_HELP},
    {"version", no_argument, NULL, OPT_VERSION},
    {"dump-config-keys", no_argument, NULL, OPT_KEYS},
    {NULL, 0, NULL, 0},
};

static int usage_error(const char *what, const char *value)
{
    (void)fprintf(stderr, "xhrd: %s%s\n%s", what, value, usage);
    return -EINVAL;
}

static int take_mode(struct given *given, int user)
{
    if (given->user >= 0 && given->user != user)
        return usage_error("--user and --system exclude each other", "");
    given->user = user;
    return OPTIONS_RUN;
}

static int dump_keys(void)
{
    CLEANUP_BUF struct buf text = BUF_INIT(0);
    int r = config_describe(&text);

    if (r < 0)
        return r;
    (void)fwrite(text.storage, 1, text.len, stdout);
    return OPTIONS_LEAVE;
}

static int take_option(struct options *ret, struct given *given, int option)
{
    switch (option) {
    case OPT_USER:
    case OPT_SYSTEM: return take_mode(given, option == OPT_USER);
    case OPT_SOCKET: ret->socket_path = optarg; return OPTIONS_RUN;
    case OPT_STATE: given->state_dir = optarg; return OPTIONS_RUN;
    case OPT_CONFIG: given->config = optarg; return OPTIONS_RUN;
    case OPT_IDLE: given->idle_exit = optarg; return OPTIONS_RUN;
    case OPT_LEVEL: given->log_level = optarg; return OPTIONS_RUN;
    case OPT_CHECK: given->check_config = true; return OPTIONS_RUN;
    case OPT_HELP: (void)fputs(usage, stdout); return OPTIONS_LEAVE;
    case OPT_VERSION: (void)puts("xhrd " XHRD_VERSION); return OPTIONS_LEAVE;
    case OPT_KEYS: return dump_keys();
    default: break;
    }
    (void)fputs(usage, stderr); /* getopt_long() has said which */
    return -EINVAL;
}

static int read_options(struct options *ret, struct given *given, int argc, char **argv)
{
    int option;

    while ((option = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
        int r = take_option(ret, given, option);
        if (r != OPTIONS_RUN)
            return r;
    }
    if (optind < argc)
        return usage_error("takes no arguments, but was given ", argv[optind]);
    return OPTIONS_RUN;
}

/* Copies "BASE/suffix"; nothing of it when it does not fit. Return: whether it does. */
static bool join(char *to, size_t size, const char *base, const char *suffix)
{
    int n = snprintf(to, size, "%s%s", base, suffix);

    if (n > 0 && (size_t)n < size)
        return true;
    to[0] = '\0';
    return false;
}

static const char *absolute_env(const char *name)
{
    const char *value = getenv(name);

    return value && value[0] == '/' ? value : NULL;
}

/* ---- configuration --------------------------------------------------------------------------
 */

/* Return: 0, or -EINVAL for a path that is too long to be kept. */
static int find_config(struct options *ret, const struct given *given)
{
    const char *base;

    ret->daemon.config_is_optional = !given->config;
    if (given->config && !join(ret->config_path, sizeof(ret->config_path), given->config, ""))
        return usage_error("--config: wants a path below 256 bytes, not ", given->config);
    if (given->config)
        ret->daemon.config_path = ret->config_path;
    else if (!ret->daemon.per_user)
        (void)join(ret->config_path, sizeof(ret->config_path), "/etc/xhrd/xhrd.conf", "");
    else if ((base = absolute_env("XDG_CONFIG_HOME")))
        (void)join(ret->config_path, sizeof(ret->config_path), base, "/xhrd/xhrd.conf");
    else if ((base = absolute_env("HOME")))
        (void)join(ret->config_path, sizeof(ret->config_path), base, "/.config/xhrd/xhrd.conf");
    ret->daemon.config_path = ret->config_path[0] ? ret->config_path : NULL;
    return 0;
}

static int load_config(struct options *ret)
{
    CLEANUP_BUF struct buf error = BUF_INIT(0);
    struct config *config = &ret->daemon.config;

    config_init(config);
    if (!ret->daemon.config_path)
        return 0;
    int r =
        config_load(config, ret->daemon.config_path, ret->daemon.config_is_optional, &error);
    if (r < 0)
        log_at_id(LOG_LEVEL_ERR, NULL, MESSAGE_CONFIG_REFUSED, "%s", buf_c_str(&error));
    return r;
}

static int read_credentials(struct options *ret)
{
    CLEANUP_BUF struct buf error = BUF_INIT(0);
    int r = credentials_read(ret->daemon.config.access, NULL, &error);

    if (r < 0)
        log_at_id(LOG_LEVEL_ERR, NULL, MESSAGE_CONFIG_REFUSED, "%s", buf_c_str(&error));
    return r;
}

/* Notes are on what may be right, or will be when a service runs. */
static int check_config(struct options *ret)
{
    CLEANUP_BUF struct buf error = BUF_INIT(0);
    CLEANUP_BUF struct buf notes = BUF_INIT(0);
    int r = credentials_read(ret->daemon.config.access, &notes, &error);

    if (r == 0)
        r = config_note_strangers(&ret->daemon.config, &notes);
    struct span rest = buf_span(&notes);
    struct span line;
    while (rest.len > 0) {
        (void)span_split(&rest, '\n', &line);
        (void)fprintf(stderr, "xhrd: note: %.*s\n", (int)line.len, line.ptr);
    }
    if (r < 0)
        log_err(NULL, "%s", error.len > 0 ? buf_c_str(&error) : strerrordesc_np(-r));
    return r < 0 ? -EINVAL : OPTIONS_LEAVE;
}

static int override(struct config *config, const char *key, const char *value, const char *flag)
{
    CLEANUP_BUF struct buf error = BUF_INIT(0);

    if (!value || config_set(config, "Daemon", key, value, &error) == 0)
        return 0;
    (void)fprintf(stderr, "xhrd: %s: %s\n%s", flag, buf_c_str(&error), usage);
    return -EINVAL;
}

static int apply_given(struct options *ret, const struct given *given)
{
    struct daemon_options *daemon = &ret->daemon;
    struct config config = daemon->config; /* the command line is kept apart from the file */
    int r = override(&config, "LogLevel", given->log_level, "--log-level");

    if (r == 0)
        r = override(&config, "IdleExitSec", given->idle_exit, "--idle-exit");
    if (r == 0)
        r = override(&config, "StateDirectory", given->state_dir, "--state-dir");
    if (r < 0)
        return r;
    daemon->log_level = given->log_level ? (int)config.log_level : -1;
    daemon->idle_exit_us = given->idle_exit ? config.idle_exit_us : -1;
    log_set_level(config.log_level);
    memcpy(daemon->state_dir, config.state_dir, sizeof(daemon->state_dir));
    return 0;
}

/* ---- places ---------------------------------------------------------------------------------
 */

static bool is_our_folder(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 && S_ISDIR(st.st_mode) && st.st_uid == geteuid();
}

/* Makes every missing folder of the path, for us alone. Return: whether the last one is ours.
 */
static bool make_folders(char *path)
{
    for (char *at = path + 1; *at; at++) {
        if (*at != '/')
            continue;
        *at = '\0';
        (void)mkdir(path, 0700);
        *at = '/';
    }
    (void)mkdir(path, 0700);
    return is_our_folder(path);
}

static void find_state(struct daemon_options *daemon)
{
    const char *base;
    bool found = daemon->state_dir[0] != '\0';

    if (!found && (base = absolute_env("STATE_DIRECTORY")))
        found = join(daemon->state_dir, sizeof(daemon->state_dir), base, "");
    if (!found && daemon->per_user && (base = absolute_env("XDG_STATE_HOME")))
        found = join(daemon->state_dir, sizeof(daemon->state_dir), base, "/xhrd");
    if (!found && daemon->per_user && (base = absolute_env("HOME")))
        found = join(daemon->state_dir, sizeof(daemon->state_dir), base, "/.local/state/xhrd");
    if (!found && !daemon->per_user)
        found = join(daemon->state_dir, sizeof(daemon->state_dir), "/var/lib/xhrd", "");
    if (found && make_folders(daemon->state_dir))
        return;
    log_at_id(LOG_LEVEL_WARNING, NULL, MESSAGE_NO_STATE,
              "cookies are kept in memory only: %s %s",
              found ? daemon->state_dir : "neither STATE_DIRECTORY, XDG_STATE_HOME nor HOME",
              found ? "is no folder of this user's" : "is set");
    daemon->state_dir[0] = '\0';
}

static void find_socket(struct options *ret)
{
    const char *base = absolute_env("XDG_RUNTIME_DIR");
    char *path = ret->default_socket;
    size_t size = sizeof(ret->default_socket);

    if (ret->socket_path)
        return;
    if (!ret->daemon.per_user) {
        (void)join(path, size, "/run/xhrd.sock", "");
    } else if (base && join(path, size, base, "/xhrd")) {
        (void)mkdir(path, 0700);
        (void)join(path, size, base, "/xhrd/socket");
    }
    ret->socket_path = path[0] ? path : NULL;
}

int options_parse(struct options *ret, int argc, char **argv)
{
    struct given given = {.user = -1};

    *ret = (struct options){.daemon.idle_exit_us = -1};
    int r = read_options(ret, &given, argc, argv);
    if (r != OPTIONS_RUN)
        return r;
    ret->daemon.per_user = given.user >= 0 ? given.user == 1 : geteuid() != 0;
    r = find_config(ret, &given);
    if (r == 0)
        r = load_config(ret);
    if (r == 0)
        r = apply_given(ret, &given);
    if (r < 0)
        return r;
    if (given.check_config)
        return check_config(ret);
    r = read_credentials(ret);
    if (r < 0)
        return r;
    find_state(&ret->daemon);
    find_socket(ret);
    return OPTIONS_RUN;
}
