/* SPDX-License-Identifier: MIT */
/*
 * xhrd.conf: an ini file, read by libinih. The reader is ours so that an error can name the
 * line and so that a line too long for the library is refused instead of cut in two.
 */
#include <errno.h>
#include <fcntl.h>
#include <ini.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "app/config.h"
#include "base/fault.h"

#define SECTION_MAX 49 /* bytes of a section's name and its bracket */

struct config_file {
    struct config config;
    struct access_policy *access; /* NULL: no rule yet */
    struct buf *error;
    FILE *stream;
    const char *path;
    int line;
    int result;
    int read_errno;                  /* why it could not be read on */
    unsigned lines[CONFIG_KEYS_MAX]; /* where each key stands; 0: nowhere yet */
    char stray[SECTION_MAX];         /* a section there is none of, until a key says so */
    int stray_line;                  /* 0: none */
};

static int refuse_line(struct config_file *file, const char *text)
{
    int r = buf_append_format(file->error, "%s:%d: %s", file->path, file->line, text);

    file->result = r < 0 ? r : -EINVAL;
    return 0;
}

static void refuse_length(struct config_file *file, const char *line, int max)
{
    struct span key = span_take((struct span){line, strcspn(line, "= \t")}, 40);
    char why[128];

    (void)snprintf(why, sizeof(why),
                   "%.*s=: wants a line of at most %d bytes; a list may go on in more lines",
                   (int)key.len, key.ptr, max);
    refuse_line(file, why);
}

/* libinih goes on behind a line it does not understand: the first mistake is to be told. */
static bool is_understood(const char *line)
{
    const char *text = line + strspn(line, " \t\r\n");

    if (strncmp(text, "\xef\xbb\xbf", 3) == 0) /* a byte order mark, which libinih skips */
        text += 3;
    if (*text == '[') /* libinih cuts longer names */
        return strchr(text, ']') != NULL && strcspn(text, "]") <= SECTION_MAX;
    return *text == '\0' || *text == '#' || *text == ';' || strpbrk(text, "=:") != NULL;
}

/* A section of which there is none, and that no key stood in. Return: whether it was refused.
 */
static bool refuse_stray(struct config_file *file)
{
    CLEANUP_BUF struct buf why = BUF_INIT(0);

    if (file->stray_line == 0)
        return false;
    file->line = file->stray_line;
    file->result = config_refuse_section(file->stray, &why);
    if (file->result == -EINVAL)
        refuse_line(file, buf_c_str(&why));
    return true;
}

/* Return: whether it may go on. */
static bool note_section(struct config_file *file, const char *line)
{
    const char *open = strchr(line, '[');
    size_t len;

    if (!open || strspn(line, " \t\xef\xbb\xbf") != (size_t)(open - line))
        return true;
    if (refuse_stray(file))
        return false;
    len = strcspn(open + 1, "]");
    memcpy(file->stray, open + 1, len);
    file->stray[len] = '\0';
    file->stray_line = config_knows_section(file->stray) ? 0 : file->line;
    return true;
}

static char *read_line(char *line, int size, void *arg)
{
    struct config_file *file = arg;

    if (file->result < 0)
        return NULL;
    if (!fgets(line, size, file->stream)) {
        file->read_errno = ferror(file->stream) ? errno : 0;
        return NULL;
    }
    file->line++;
    size_t len = strlen(line);
    if (len + 1 == (size_t)size && line[len - 1] != '\n') {
        refuse_length(file, line, size - 2);
        return NULL;
    }
    if (len == 0 || (line[len - 1] != '\n' && !feof(file->stream))) {
        refuse_line(file, "a NUL byte is in the line");
        return NULL;
    }
    if ((line[0] == ' ' || line[0] == '\t') && line[strspn(line, " \t\r\n")] != '\0') {
        refuse_line(file,
                    "a line must not begin with a blank: put the whole of it on one line");
        return NULL;
    }
    if (!is_understood(line)) {
        refuse_line(file, "neither [Section] nor Key=value");
        return NULL;
    }
    return note_section(file, line) ? line : NULL;
}

static int set_rule(struct config_file *file,
                    const char *section,
                    const char *name,
                    const char *value,
                    struct buf *why)
{
    int r = file->access ? 0 : access_policy_new(&file->access, file->path);

    return r < 0
               ? r
               : config_set_rule(file->access, section, name, value, (unsigned)file->line, why);
}

/* A key that is no list, once more. Return: 0, -EINVAL or -ENOMEM. */
static int
note_key(struct config_file *file, const char *section, const char *name, struct buf *why)
{
    int at = config_single_key(section, name);

    if (at < 0)
        return 0;
    if (file->lines[at] != 0) {
        int r = buf_append_format(why, "%s= stands in line %u already", name, file->lines[at]);
        return r < 0 ? r : -EINVAL;
    }
    file->lines[at] = (unsigned)file->line;
    return 0;
}

/* Return: 0; -ENOKEY: there is none in it; -errno. */
static int look_for_certificate(const char *path)
{
    static const char mark[] = "CERTIFICATE-----"; /* behind BEGIN, perhaps TRUSTED or X509 */
    char *line = NULL;
    size_t size = 0;
    int r = -ENOKEY;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

    if (fd < 0)
        return -errno;
    FILE *stream = fdopen(fd, "r");
    if (!stream) {
        close(fd);
        return fault(-ENOMEM);
    }
    while (r < 0 && getline(&line, &size, stream) > 0) {
        if (strncmp(line, "-----BEGIN ", 11) == 0 && strstr(line, mark))
            r = 0;
    }
    if (r < 0 && ferror(stream))
        r = -errno;
    free(line);
    (void)fclose(stream);
    return r;
}

/* Without it all https fails, which would be known when it is too late. */
static int check_ca_file(const char *path, struct buf *why)
{
    int r = path[0] ? look_for_certificate(path) : 0;

    if (r < 0)
        r = buf_append_format(
            why,
            "CAFile=%s: %s; wants a file that the daemon can read, with certificates in PEM",
            path, r == -ENOKEY ? "no certificate in PEM" : strerrordesc_np(-r));
    else
        return 0;
    return r < 0 ? r : -EINVAL;
}

static int set_key(struct config_file *file,
                   const char *section,
                   const char *name,
                   const char *value,
                   struct buf *why)
{
    int r = config_set(&file->config, section, name, value, why);

    if (r == 0)
        r = note_key(file, section, name, why);
    if (r == 0 && strcmp(name, "CAFile") == 0)
        r = check_ca_file(value, why);
    return r;
}

static int on_setting(void *arg, const char *section, const char *name, const char *value)
{
    struct config_file *file = arg;
    CLEANUP_BUF struct buf why = BUF_INIT(0);

    if (file->result < 0)
        return 0;
    int r = config_is_rules(section) ? set_rule(file, section, name, value, &why)
                                     : set_key(file, section, name, value, &why);
    if (r == 0)
        return 1;
    const char *text = buf_c_str(&why);
    return refuse_line(file, text ? text : "out of memory");
}

static int parse(struct config_file *file)
{
    int bad_line = ini_parse_stream(read_line, file, on_setting, file);

    if (file->result < 0)
        return file->result;
    if (file->read_errno != 0) {
        int r = buf_append_format(file->error, "%s: %s", file->path,
                                  strerrordesc_np(file->read_errno));
        return r < 0 ? r : fault(-file->read_errno);
    }
    if (bad_line != 0) {
        file->line = bad_line;
        refuse_line(file, "neither [Section] nor Key=value");
    }
    if (file->result == 0)
        (void)refuse_stray(file);
    return file->result;
}

int config_load(struct config *config, const char *path, bool optional, struct buf *ret_error)
{
    struct config_file file = {.config = *config, .error = ret_error, .path = path};

    file.stream = fopen(path, "re");
    if (!file.stream && errno == ENOENT && optional)
        return 0;
    if (!file.stream) {
        int err = errno;

        if (buf_append_format(ret_error, "%s: %s", path, strerror(err)) < 0)
            return fault(-ENOMEM);
        return fault(-err);
    }
    int r = parse(&file);
    (void)fclose(file.stream);
    if (r < 0) {
        access_policy_free(file.access);
        return r;
    }
    if (file.access)
        access_policy_compile(file.access);
    access_policy_free(config->access);
    *config = file.config;
    config->access = file.access;
    return 0;
}
