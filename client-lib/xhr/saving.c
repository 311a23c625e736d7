/* SPDX-License-Identifier: MIT */
#include "saving.h"

#include <errno.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#define CLOBBER_TRIES  100  /* as curl: NAME.1 to NAME.100 */
#define FOLDER_MODE    0750 /* as curl */
#define NAME_BYTES_MAX 200  /* of a name the server chose: room for .N and .xhr-part */

/* ---- the folder and the name
 * ----------------------------------------------------------------- */

static int make_folders(const struct output *output, struct trouble *why)
{
    char *path = output->path.bytes;

    for (char *at = path + 1; (at = strchr(at, '/')) != NULL; at++) {
        *at = '\0';
        int r = mkdir(path, FOLDER_MODE) < 0 && errno != EEXIST ? -errno : 0;
        if (r < 0)
            (void)trouble_set(why, EXIT_WRITE, "--create-dirs: could not make %s: %s", path,
                              strerror(-r));
        *at = '/';
        if (r < 0)
            return EXIT_WRITE;
    }
    return 0;
}

static bool exists(const char *path)
{
    struct stat status;

    return lstat(path, &status) == 0;
}

/* The first of NAME, NAME.1, NAME.2 … that is free. */
static int find_free_name(struct output *output, struct trouble *why)
{
    size_t len = output->path.len;

    for (uint64_t i = 1; exists(strbuf_text(&output->path)); i++) {
        output->path.len = len;
        output->path.bytes[len] = '\0';
        if (i > CLOBBER_TRIES)
            return trouble_set(why, EXIT_WRITE,
                               "--no-clobber: %s is there, and so are all up to .%d",
                               strbuf_text(&output->path), CLOBBER_TRIES);
        strbuf_add_char(&output->path, '.');
        strbuf_add_u64(&output->path, i);
        if (output->path.failed)
            return trouble_set(why, EXIT_RESOURCES, "out of memory");
    }
    return 0;
}

/* ---- going on
 * -------------------------------------------------------------------------------- */

/* -C OFFSET: the file that is there must be that long. */
static int check_offset(struct output *output,
                        const struct cli_options *options,
                        const struct stat *status,
                        struct trouble *why)
{
    uint64_t size = status ? (uint64_t)status->st_size : 0;

    if (size > 0 && size != options->continue_offset)
        return trouble_set(why, EXIT_USAGE,
                           "-C %llu: %s has %llu bytes; -C - goes on behind them",
                           (unsigned long long)options->continue_offset, output_name(output),
                           (unsigned long long)size);
    output->appends = size > 0;
    return 0;
}

static int judge(struct output *output,
                 const struct cli_options *options,
                 const struct stat *status, /* NULL: nothing is there */
                 struct trouble *why)
{
    output->as_file = !status || S_ISREG(status->st_mode);
    if (options->continue_auto && !output->as_file)
        return trouble_set(why, EXIT_USAGE, "-C -: %s is no file that could be gone on with",
                           output_name(output));
    if (options->continue_offset > 0 && output->as_file)
        return check_offset(output, options, status, why);
    output->appends = options->continue_auto;
    return 0;
}

int saving_prepare(struct output *output,
                   const struct cli_options *options,
                   struct trouble *why)
{
    struct stat status;
    int r = 0;

    if (output->to_stdout && options->continue_auto)
        return trouble_set(why, EXIT_USAGE, "-C - goes on with a file: name it with -o or -O");
    if (output->to_stdout)
        return 0;
    if (options->create_dirs)
        r = make_folders(output, why);
    if (r == 0 && options->no_clobber && !options->remote_header_name)
        r = find_free_name(output, why);
    if (r != 0)
        return r;
    bool is_there = stat(strbuf_text(&output->path), &status) == 0;
    return judge(output, options, is_there ? &status : NULL, why);
}

void saving_file(const struct output *output,
                 const struct cli_options *options,
                 const char *(*choose)(struct xhr_request *request, void *user),
                 void *user,
                 struct xhr_file *ret)
{
    *ret = (struct xhr_file){
        .size = sizeof(*ret),
        .path = strbuf_text(&output->path),
        .resume = options->continue_auto,
        .append = output->appends,
        .exclusive = options->no_clobber || options->remote_header_name,
        .choose_path = options->remote_header_name ? choose : NULL,
        .choose_user = user,
        .lazy = true,
    };
}

bool saving_range_fits(struct xhr_request *request, uint64_t offset)
{
    const char *field = xhr_request_response_header(request, "Content-Range");
    struct strbuf wanted = {0};

    strbuf_add_text(&wanted, "bytes ");
    strbuf_add_u64(&wanted, offset);
    strbuf_add_char(&wanted, '-');
    bool fits = xhr_request_status(request) == 206 && field && !wanted.failed &&
                strncasecmp(field, wanted.bytes, wanted.len) == 0;
    strbuf_done(&wanted);
    return fits;
}

/* ---- -J
 * ---------------------------------------------------------------------------------------- */

static int hex(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static const char *skip_blanks(const char *at)
{
    return at + strspn(at, " \t");
}

/* "…" with its escapes, or a token. Return: behind it. */
static const char *take_value(struct strbuf *out, const char *at)
{
    if (*at != '"') {
        size_t len = strcspn(at, "; \t");

        strbuf_add(out, at, len);
        return at + len;
    }
    for (at++; *at && *at != '"'; at++) {
        if (*at == '\\' && at[1] != '\0')
            at++;
        strbuf_add_char(out, *at);
    }
    return *at ? at + 1 : at;
}

/* RFC 8187: UTF-8'language'percent-encoded. Return: whether it is that. */
static bool decode_extended(struct strbuf *out, const char *value)
{
    const char *quote = strchr(value, '\'');
    const char *at = quote ? strchr(quote + 1, '\'') : NULL;

    if (!at || (size_t)(quote - value) != 5 || strncasecmp(value, "UTF-8", 5) != 0)
        return false;
    for (at++; *at; at++) {
        if (*at != '%') {
            strbuf_add_char(out, *at);
            continue;
        }
        int high = hex(at[1]);
        int low = high < 0 ? -1 : hex(at[2]);
        if (low < 0)
            return false;
        strbuf_add_char(out, (char)(high << 4 | low));
        at += 2;
    }
    return true;
}

/* The value of filename*, else of filename. */
static void find_parameter(struct strbuf *out, const char *at)
{
    struct strbuf plain = {0};
    struct strbuf extended = {0};
    bool has_extended = false;

    at += strcspn(at, ";");
    while (*at == ';') {
        struct strbuf value = {0};
        const char *name = skip_blanks(at + 1);
        size_t len = strcspn(name, "=; \t");

        at = skip_blanks(name + len);
        if (*at == '=')
            at = skip_blanks(take_value(&value, skip_blanks(at + 1)));
        if (len == 8 && strncasecmp(name, "filename", 8) == 0 && plain.len == 0)
            strbuf_add(&plain, strbuf_text(&value), value.len);
        if (len == 9 && strncasecmp(name, "filename*", 9) == 0 && !has_extended)
            has_extended = decode_extended(&extended, strbuf_text(&value));
        strbuf_done(&value);
        at += strcspn(at, ";");
    }
    strbuf_add(out, strbuf_text(has_extended ? &extended : &plain),
               has_extended ? extended.len : plain.len);
    strbuf_done(&plain);
    strbuf_done(&extended);
}

bool saving_header_name(struct strbuf *out, const char *field)
{
    struct strbuf value = {0};
    const char *name;
    size_t start = out->len;

    find_parameter(&value, field);
    name = strbuf_text(&value);
    for (const char *at = name; *at; at++) { /* of Windows, too: such servers send the whole */
        if (*at == '/' || *at == '\\')
            name = at + 1;
    }
    if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
        name = "";
    for (size_t i = 0; name[i] && i < NAME_BYTES_MAX; i++) {
        unsigned char c = (unsigned char)name[i];
        bool is_hidden = c == '.' && i == 0; /* .bashrc is not for servers to write */

        strbuf_add_char(out, c < 0x20 || c == 0x7f || is_hidden ? '_' : (char)c);
    }
    strbuf_done(&value);
    return out->len > start;
}

int saving_choose(struct output *output,
                  const struct cli_options *options,
                  const char *field,
                  struct trouble *why)
{
    const char *path = strbuf_text(&output->path);
    const char *slash = strrchr(path, '/');
    struct strbuf chosen = {0};

    if (slash)
        strbuf_add(&chosen, path, (size_t)(slash + 1 - path));
    if (field && saving_header_name(&chosen, field)) {
        strbuf_done(&output->path);
        output->path = chosen;
    } else {
        strbuf_done(&chosen);
    }
    if (output->path.failed)
        return trouble_set(why, EXIT_RESOURCES, "out of memory");
    if (options->no_clobber)
        return find_free_name(output, why);
    if (exists(strbuf_text(&output->path)))
        return trouble_set(why, EXIT_WRITE,
                           "-J: %s is there and stays; --no-clobber takes another name",
                           output_name(output));
    return 0;
}
