/* SPDX-License-Identifier: MIT */
/* The command line and the environment: what is taken, what is refused, where things lie. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app/options.h"
#include "base/log.h"
#include "support/test.h"

static char folder[64];

static int make_folder(void **state)
{
    static const char *const names[] = {"STATE_DIRECTORY", "XDG_STATE_HOME", "XDG_CONFIG_HOME",
                                        "XDG_RUNTIME_DIR"};

    (void)state;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        (void)unsetenv(names[i]);
    (void)snprintf(folder, sizeof(folder), "/tmp/xhrd-options-XXXXXX");
    assert_non_null(mkdtemp(folder));
    assert_int_equal(setenv("HOME", folder, 1), 0);
    return 0;
}

static int remove_folder(void **state)
{
    char command[128];

    (void)state;
    (void)snprintf(command, sizeof(command), "rm -rf '%s'", folder);
    return system(command);
}

/* What it says goes nowhere: the outcome is what counts here, integration tests read the text.
 */
static int parse(struct options *ret, const char *const *arguments)
{
    char *argv[16] = {(char[]){"xhrd"}};
    int argc = 1;
    int quiet = open("/dev/null", O_WRONLY | O_CLOEXEC);
    int err = dup(STDERR_FILENO);
    int out = dup(STDOUT_FILENO);

    while (arguments[argc - 1]) {
        argv[argc] = (char *)(uintptr_t)arguments[argc - 1];
        argc++;
    }
    (void)fflush(NULL);
    assert_true(dup2(quiet, STDERR_FILENO) >= 0 && dup2(quiet, STDOUT_FILENO) >= 0);
    optind = 0; /* from the start */
    int r = options_parse(ret, argc, argv);
    (void)fflush(NULL);
    assert_true(dup2(err, STDERR_FILENO) >= 0 && dup2(out, STDOUT_FILENO) >= 0);
    close(err);
    close(out);
    close(quiet);
    return r;
}

#define PARSE(ret, ...) parse(ret, (const char *const[]){__VA_ARGS__, NULL})

static void test_what_only_tells_leaves_at_once(void **state)
{
    struct options options;

    (void)state;
    assert_int_equal(PARSE(&options, "--help"), OPTIONS_LEAVE);
    assert_int_equal(PARSE(&options, "--version"), OPTIONS_LEAVE);
    assert_int_equal(PARSE(&options, "--dump-config-keys"), OPTIONS_LEAVE);
    assert_int_equal(PARSE(&options, "--user", "--check-config"), OPTIONS_LEAVE);
    char state_dir[96];
    (void)snprintf(state_dir, sizeof(state_dir), "%s/.local", folder);
    assert_int_equal(access(state_dir, F_OK), -1); /* and makes no folder */
}

static void test_wrong_command_lines_are_usage_errors(void **state)
{
    static const char *const rows[][4] = {
        {"--frobnicate"},
        {"extra"},
        {"--socket"},
        {"--user", "--system"},
        {"--idle-exit", "soon"},
        {"--idle-exit", "86401"},
        {"--idle-exit", "-1"},
        {"--log-level", "loud"},
        {"--state-dir", "nowhere"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct options options;

        assert_int_equal(parse(&options, rows[i]), -EINVAL);
    }
}

static void test_a_configuration_path_that_does_not_fit_is_refused_not_cut(void **state)
{
    struct options options;
    char longest[400];

    (void)state;
    memset(longest, 'x', sizeof(longest));
    longest[0] = '/';
    longest[sizeof(longest) - 1] = '\0';
    assert_int_equal(PARSE(&options, "--user", "--config", longest), -EINVAL);
}

static void test_a_named_configuration_must_be_there_the_default_one_need_not(void **state)
{
    struct options options;

    (void)state;
    assert_int_equal(PARSE(&options, "--user", "--config", "/nonexistent/xhrd.conf"), -ENOENT);
    assert_int_equal(PARSE(&options, "--user"), OPTIONS_RUN);
    assert_true(options.daemon.config_is_optional);
}

static void write_file(const char *path, const char *text)
{
    int fd = open(path, O_CREAT | O_WRONLY | O_TRUNC | O_CLOEXEC, 0600);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
}

static void test_the_command_line_goes_before_the_file(void **state)
{
    struct options options;
    char config[96];
    char kept[96];
    char given[96];

    (void)state;
    (void)snprintf(config, sizeof(config), "%s/c", folder);
    (void)snprintf(kept, sizeof(kept), "%s/kept", folder);
    (void)snprintf(given, sizeof(given), "%s/given", folder);
    char text[256];
    (void)snprintf(text, sizeof(text),
                   "[Daemon]\nLogLevel=err\nIdleExitSec=5\nStateDirectory=%s\n", kept);
    write_file(config, text);
    assert_int_equal(PARSE(&options, "--user", "--config", config), OPTIONS_RUN);
    assert_int_equal(log_get_level(), LOG_LEVEL_ERR);
    assert_int_equal(options.daemon.idle_exit_us, -1); /* the configuration's */
    assert_int_equal(options.daemon.log_level, -1);
    assert_int_equal(options.daemon.config.idle_exit_us, 5000000);
    assert_string_equal(options.daemon.state_dir, kept);
    assert_int_equal(PARSE(&options, "--user", "--config", config, "--log-level", "notice",
                           "--idle-exit", "7", "--state-dir", given),
                     OPTIONS_RUN);
    assert_int_equal(log_get_level(), LOG_LEVEL_NOTICE);
    assert_int_equal(options.daemon.log_level, LOG_LEVEL_NOTICE);
    assert_int_equal(options.daemon.idle_exit_us, 7000000);
    assert_int_equal(options.daemon.config.idle_exit_us, 5000000); /* for a reload */
    assert_string_equal(options.daemon.state_dir, given);
    log_set_level(LOG_LEVEL_NOTICE);
}

static void test_places_follow_from_the_environment(void **state)
{
    struct options options;
    char expected[128];
    struct stat st;

    (void)state;
    assert_int_equal(PARSE(&options, "--user"), OPTIONS_RUN);
    (void)snprintf(expected, sizeof(expected), "%s/.local/state/xhrd", folder);
    assert_string_equal(options.daemon.state_dir, expected);
    assert_int_equal(stat(expected, &st), 0);
    assert_int_equal(st.st_mode & 077, 0);
    assert_null(options.socket_path);
    (void)snprintf(expected, sizeof(expected), "%s/.config/xhrd/xhrd.conf", folder);
    assert_string_equal(options.config_path, expected);

    assert_int_equal(setenv("XDG_STATE_HOME", folder, 1), 0);
    assert_int_equal(setenv("XDG_CONFIG_HOME", folder, 1), 0);
    assert_int_equal(setenv("XDG_RUNTIME_DIR", folder, 1), 0);
    assert_int_equal(PARSE(&options, "--user"), OPTIONS_RUN);
    (void)snprintf(expected, sizeof(expected), "%s/xhrd", folder);
    assert_string_equal(options.daemon.state_dir, expected);
    (void)snprintf(expected, sizeof(expected), "%s/xhrd/socket", folder);
    assert_string_equal(options.socket_path, expected);
    (void)snprintf(expected, sizeof(expected), "%s/xhrd/xhrd.conf", folder);
    assert_string_equal(options.config_path, expected);

    assert_int_equal(setenv("STATE_DIRECTORY", folder, 1), 0); /* systemd knows best */
    assert_int_equal(PARSE(&options, "--user", "--socket", "/s"), OPTIONS_RUN);
    assert_string_equal(options.daemon.state_dir, folder);
    assert_string_equal(options.socket_path, "/s");

    assert_int_equal(setenv("XDG_RUNTIME_DIR", "relative", 1), 0); /* no place at all */
    assert_int_equal(PARSE(&options, "--user"), OPTIONS_RUN);
    assert_null(options.socket_path);
}

static void test_a_runtime_folder_too_deep_for_a_socket_gives_none(void **state)
{
    char deep[SOCKET_PATH_BYTES + 8];
    struct options options;

    (void)state;
    for (size_t len = SOCKET_PATH_BYTES - 16; len < sizeof(deep) - 1; len++) {
        memset(deep, 'x', len);
        deep[0] = '/';
        deep[len] = '\0';
        assert_int_equal(setenv("XDG_RUNTIME_DIR", deep, 1), 0);
        assert_int_equal(PARSE(&options, "--user"), OPTIONS_RUN);
        if (options.socket_path) /* whole, or not at all */
            assert_int_equal(strlen(options.socket_path), len + strlen("/xhrd/socket"));
    }
    assert_null(options.socket_path);
}

static void test_a_state_folder_that_is_not_ours_keeps_nothing(void **state)
{
    struct options options;
    char file[96];

    (void)state;
    (void)snprintf(file, sizeof(file), "%s/file", folder);
    write_file(file, "");
    assert_int_equal(PARSE(&options, "--user", "--log-level", "err", "--state-dir", file),
                     OPTIONS_RUN);
    assert_string_equal(options.daemon.state_dir, ""); /* in memory only */
    log_set_level(LOG_LEVEL_NOTICE);
}

static void test_the_systems_daemon_has_fixed_places(void **state)
{
    struct options options;

    (void)state;
    assert_int_equal(PARSE(&options, "--system", "--log-level", "err", "--state-dir", folder),
                     OPTIONS_RUN);
    assert_false(options.daemon.per_user);
    assert_string_equal(options.socket_path, "/run/xhrd.sock");
    assert_string_equal(options.config_path, "/etc/xhrd/xhrd.conf");
    log_set_level(LOG_LEVEL_NOTICE);
}

int main(void)
{
#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, make_folder, remove_folder)
    const struct CMUnitTest tests[] = {
        IN_FOLDER(test_what_only_tells_leaves_at_once),
        IN_FOLDER(test_wrong_command_lines_are_usage_errors),
        IN_FOLDER(test_a_configuration_path_that_does_not_fit_is_refused_not_cut),
        IN_FOLDER(test_a_named_configuration_must_be_there_the_default_one_need_not),
        IN_FOLDER(test_the_command_line_goes_before_the_file),
        IN_FOLDER(test_places_follow_from_the_environment),
        IN_FOLDER(test_a_runtime_folder_too_deep_for_a_socket_gives_none),
        IN_FOLDER(test_a_state_folder_that_is_not_ours_keeps_nothing),
        IN_FOLDER(test_the_systems_daemon_has_fixed_places),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
