/* SPDX-License-Identifier: MIT */
#include "postdata.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "files.h"

#define FORM_TYPE "application/x-www-form-urlencoded"
#define JSON_TYPE "application/json"

static int no_memory(struct trouble *why)
{
    return trouble_set(why, EXIT_RESOURCES, "out of memory");
}

static int read_error(struct trouble *why, const char *name, int error)
{
    return trouble_set(why, EXIT_READ, "could not read the data from %s: %s",
                       strcmp(name, "-") == 0 ? "stdin" : name, strerror(-error));
}

/* -d @file: as curl, without line ends and NULs. */
static void strip_lines(struct strbuf *buf, size_t start)
{
    size_t to = start;

    for (size_t from = start; from < buf->len; from++) {
        char c = buf->bytes[from];

        if (c != '\r' && c != '\n' && c != '\0')
            buf->bytes[to++] = c;
    }
    buf->len = to;
    if (buf->bytes)
        buf->bytes[to] = '\0';
}

/* TEXT, =TEXT, NAME=TEXT, @FILE, NAME@FILE: the name stays as it is. */
static int add_urlencoded(struct strbuf *out, const char *text, struct trouble *why)
{
    size_t name = strcspn(text, "=@");
    struct strbuf file = {0};
    int r = 0;

    if (text[name] == '\0') {
        strbuf_add_urlencoded(out, text, name);
        return 0;
    }
    if (name > 0) {
        strbuf_add(out, text, name);
        strbuf_add_char(out, '=');
    }
    const char *value = text + name + 1;
    if (text[name] == '=') {
        strbuf_add_urlencoded(out, value, strlen(value));
        return 0;
    }
    r = read_file(value, SIZE_MAX / 8, &file);
    if (r < 0)
        r = read_error(why, value, r);
    else
        strbuf_add_urlencoded(out, file.bytes, file.len);
    strbuf_done(&file);
    return r;
}

static bool is_file(const struct data_piece *piece)
{
    return piece->kind != DATA_RAW && piece->kind != DATA_URLENCODE && piece->text[0] == '@';
}

static int add_piece(struct strbuf *out, const struct data_piece *piece, struct trouble *why)
{
    size_t start = out->len;

    if (piece->kind == DATA_URLENCODE)
        return add_urlencoded(out, piece->text, why);
    if (!is_file(piece)) {
        strbuf_add_text(out, piece->text);
        return 0;
    }
    int r = read_file(piece->text + 1, SIZE_MAX / 8, out);
    if (r < 0)
        return read_error(why, piece->text + 1, r);
    if (piece->kind == DATA_PLAIN)
        strip_lines(out, start);
    return 0;
}

/* curl: an & between pieces, but not before JSON. */
static int
add_pieces(const struct cli_options *options, struct postdata *ret, struct trouble *why)
{
    for (size_t i = 0; i < options->n_data; i++) {
        if (i > 0 && options->data[i].kind != DATA_JSON)
            strbuf_add_char(&ret->bytes, '&');
        int r = add_piece(&ret->bytes, &options->data[i], why);
        if (r != 0)
            return r;
    }
    ret->kind = POSTDATA_BYTES;
    return ret->bytes.failed ? no_memory(why) : 0;
}

/* Return: bytes read, 0 at the end, -errno. */
static ssize_t read_some(int fd, void *buffer, size_t len)
{
    for (;;) {
        ssize_t n = read(fd, buffer, len);

        if (n >= 0)
            return n;
        if (errno == EAGAIN) {
            struct pollfd poll_fd = {.fd = fd, .events = POLLIN};

            (void)poll(&poll_fd, 1, -1);
        } else if (errno != EINTR) {
            return -errno;
        }
        if (interrupted)
            return -EINTR;
    }
}

/* A short pipe becomes bytes whose length is known. */
static int peek(struct postdata *ret, struct trouble *why)
{
    while (ret->bytes.len < POSTDATA_PEEK_BYTES) {
        char *room = strbuf_room(&ret->bytes, 65536);

        if (!room)
            return no_memory(why);
        ssize_t n = read_some(ret->fd, room, 65536);
        if (n < 0)
            return read_error(why, ret->name, (int)n);
        strbuf_grow(&ret->bytes, (size_t)n);
        if (n == 0) {
            ret->kind = POSTDATA_BYTES;
            return 0;
        }
    }
    ret->kind = POSTDATA_PIPE;
    return 0;
}

/* A file of /proc has no size, and yet bytes. */
static bool has_size(int fd, const struct stat *status)
{
    char first;

    return S_ISREG(status->st_mode) && (status->st_size > 0 || pread(fd, &first, 1, 0) <= 0);
}

/* Return: 0 and *ret_sized whether it is a file whose size is known, which then is filled in.
 */
static int
open_file(struct postdata *ret, const char *name, bool *ret_sized, struct trouble *why)
{
    struct stat status;

    ret->name = name;
    ret->fd = strcmp(name, "-") == 0 ? STDIN_FILENO : open(name, O_RDONLY | O_CLOEXEC);
    if (ret->fd < 0 || fstat(ret->fd, &status) < 0)
        return read_error(why, name, -errno);
    if (S_ISDIR(status.st_mode))
        return read_error(why, name, -EISDIR);
    *ret_sized = has_size(ret->fd, &status);
    if (!*ret_sized)
        return 0;
    off_t at = lseek(ret->fd, 0, SEEK_CUR);
    if (at < 0)
        return read_error(why, name, -errno);
    ret->kind = POSTDATA_FILE;
    ret->offset = (uint64_t)at;
    ret->length = status.st_size > at ? (uint64_t)(status.st_size - at) : 0;
    return 0;
}

int postdata_open(struct postdata *ret, const char *name, bool keep, struct trouble *why)
{
    bool is_sized = false;
    int r = open_file(ret, name, &is_sized, why);

    if (r != 0 || is_sized)
        return r;
    if (!keep)
        return peek(ret, why);
    ret->kind = POSTDATA_BYTES;
    r = read_all(ret->fd, SIZE_MAX / 8, &ret->bytes);
    return r < 0 ? read_error(why, name, r) : 0;
}

/* -T: as curl, what has no size and what comes by standard input is chunked. */
static int open_upload(struct postdata *ret, const char *name, struct trouble *why)
{
    bool is_sized = false;
    int r = open_file(ret, name, &is_sized, why);

    ret->is_upload = true;
    if (r != 0)
        return r;
    if (!is_sized || ret->fd == STDIN_FILENO)
        ret->kind = POSTDATA_PIPE;
    return 0;
}

int postdata_load(const struct cli_options *options, struct postdata *ret, struct trouble *why)
{
    const struct data_piece *only = options->data;

    *ret = (struct postdata){.fd = -1};
    for (size_t i = 0; i < options->n_data; i++)
        ret->json |= options->data[i].kind == DATA_JSON;
    if (options->upload_file)
        return open_upload(ret, options->upload_file, why);
    if (options->n_data == 0)
        return 0;
    /* With several URLs, or several tries, a pipe must be kept: each gets the whole of it. */
    if (options->n_data == 1 && only->kind != DATA_PLAIN && is_file(only) && !options->get &&
        options->urls.count == 1)
        return postdata_open(ret, only->text + 1, options->retries > 0, why);
    return add_pieces(options, ret, why);
}

void postdata_done(struct postdata *postdata)
{
    if (postdata->fd > STDIN_FILENO)
        (void)close(postdata->fd);
    strbuf_done(&postdata->bytes);
    *postdata = (struct postdata){.fd = -1};
}

/* Called by the library when it has room: it must not block. */
static ssize_t give(struct xhr_request *request, void *buffer, size_t len, void *user)
{
    struct postdata *postdata = user;
    struct pollfd poll_fd = {.fd = postdata->fd, .events = POLLIN};
    size_t left = postdata->bytes.len - postdata->given;

    (void)request;
    postdata->taken = true;
    if (left > 0) {
        size_t n = left < len ? left : len;

        memcpy(buffer, postdata->bytes.bytes + postdata->given, n);
        postdata->given += n;
        return (ssize_t)n;
    }
    if (poll(&poll_fd, 1, 0) <= 0) {
        postdata->waiting = true;
        return XHR_READ_PAUSE;
    }
    return read_some(postdata->fd, buffer, len);
}

void postdata_body(struct postdata *postdata, bool typed, struct xhr_body *ret)
{
    const char *type = postdata->json ? JSON_TYPE : FORM_TYPE;

    *ret = (struct xhr_body){.size = sizeof(*ret),
                             .content_type = typed || postdata->is_upload ? NULL : type};
    switch (postdata->kind) {
    case POSTDATA_NONE: ret->kind = XHR_BODY_NONE; break;
    case POSTDATA_BYTES:
        ret->kind = postdata->json ? XHR_BODY_JSON : XHR_BODY_STRING;
        ret->bytes = strbuf_text(&postdata->bytes);
        ret->length = postdata->bytes.len;
        break;
    case POSTDATA_FILE:
        ret->kind = XHR_BODY_FD;
        ret->fd = postdata->fd;
        ret->offset = postdata->offset;
        ret->length = postdata->length;
        break;
    case POSTDATA_PIPE:
        ret->kind = XHR_BODY_STREAM;
        ret->length = XHR_LENGTH_UNKNOWN;
        ret->read = give;
        ret->read_user = postdata;
        break;
    }
}
