/* SPDX-License-Identifier: MIT */
/*
 * A form at the moment it is sent, as a row of pieces: text (what is around the files, and the
 * values), files, callbacks. Text lies in one buffer; of a file never more than what the reader
 * asked for is here. A file must give what it measured when it was opened: a body that turns
 * out short is an error, never a shorter body; what has been added to the file is left out.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "form.h"

#define PIECES_CHUNK 16
#define SPOOL_STEP   65536u

enum piece_kind {
    PIECE_TEXT,
    PIECE_FILE,
    PIECE_STREAM,
};

struct piece {
    enum piece_kind kind;
    size_t start;    /* TEXT: in the buffer */
    uint64_t length; /* XHR_LENGTH_UNKNOWN: to its end */
    int fd;          /* FILE */
    uint64_t offset;
    ssize_t (*read)(struct xhr_request *request, void *buffer, size_t len, void *read_user);
    void *read_user;
    int (*rewind)(struct xhr_request *request, void *read_user); /* STREAM; NULL: it cannot */
    char *label;                                                 /* FILE: for people */
};

struct xhr_form_body {
    struct xhr_bytes text;
    struct piece *pieces;
    size_t count;
    size_t capacity;
    uint64_t length; /* XHR_LENGTH_UNKNOWN: some piece's is */
    bool has_files;
    bool has_streams;
    bool is_whole; /* text is all there is */

    size_t at;     /* the piece that is being read */
    uint64_t done; /* of it */
    bool is_reading;
    bool is_dead; /* freed while reading */

    bool is_multipart;
    char boundary[XHR_BOUNDARY_BYTES];
    char trouble[XHR_TEXT_MAX];
};

static void pieces_done(struct xhr_form_body *body)
{
    for (size_t i = 0; i < body->count; i++) {
        if (body->pieces[i].fd >= 0)
            (void)close(body->pieces[i].fd);
        free(body->pieces[i].label);
    }
    free(body->pieces);
    body->pieces = NULL;
    body->count = body->capacity = 0;
}

void xhr_form_body_free(struct xhr_form_body *body)
{
    if (!body)
        return;
    if (body->is_reading) {
        body->is_dead = true;
        return;
    }
    pieces_done(body);
    xhr_bytes_done(&body->text);
    free(body);
}

const char *xhr_form_body_boundary(const struct xhr_form_body *body)
{
    return body->is_multipart ? body->boundary : NULL;
}

const char *xhr_form_body_trouble(const struct xhr_form_body *body)
{
    return body->trouble[0] ? body->trouble : NULL;
}

/* ---- reading ---- */

static ssize_t
read_file(struct xhr_form_body *body, const struct piece *piece, void *buffer, size_t len)
{
    ssize_t n;

    do
        n = pread(piece->fd, buffer, len, (off_t)(piece->offset + body->done));
    while (n < 0 && errno == EINTR);
    if (n > 0 || (n == 0 && piece->length == XHR_LENGTH_UNKNOWN))
        return n;
    int error = n < 0 ? errno : 0;
    if (error)
        (void)snprintf(body->trouble, sizeof(body->trouble),
                       "could not be read from %.200s: %s", piece->label,
                       xhr_errno_text(error));
    else
        (void)snprintf(body->trouble, sizeof(body->trouble),
                       "ended early: %.200s became shorter while it was sent", piece->label);
    /* EAGAIN would be a pause that nobody ends. */
    return error == 0 || error == EAGAIN ? -EIO : -error;
}

static ssize_t read_stream(struct xhr_form_body *body,
                           const struct piece *piece,
                           struct xhr_request *request,
                           void *buffer,
                           size_t len)
{
    ssize_t n = piece->read(request, buffer, len, piece->read_user);

    if (n <= 0 || (size_t)n <= len)
        return n;
    (void)snprintf(body->trouble, sizeof(body->trouble), "was read past its buffer");
    return -EOVERFLOW;
}

/* Return: bytes, 0 at the end of the piece, XHR_READ_PAUSE, -errno. */
static ssize_t
read_piece(struct xhr_form_body *body, struct xhr_request *request, uint8_t *buffer, size_t len)
{
    const struct piece *piece = &body->pieces[body->at];
    uint64_t left = piece->length - body->done; /* of an unknown length: enough */

    if (left < len)
        len = (size_t)left;
    if (len == 0)
        return 0;
    if (piece->kind == PIECE_FILE)
        return read_file(body, piece, buffer, len);
    if (piece->kind == PIECE_STREAM)
        return read_stream(body, piece, request, buffer, len);
    memcpy(buffer, xhr_bytes_at(&body->text) + piece->start + body->done, len);
    return (ssize_t)len;
}

static ssize_t read_pieces(struct xhr_form_body *body,
                           struct xhr_request *request,
                           uint8_t *buffer,
                           size_t len)
{
    size_t filled = 0;

    while (filled < len && body->at < body->count) {
        ssize_t n = read_piece(body, request, buffer + filled, len - filled);

        if (body->is_dead)
            return XHR_READ_PAUSE;
        if (n == XHR_READ_PAUSE && filled > 0)
            break;
        if (n < 0)
            return n;
        filled += (size_t)n;
        body->done += (uint64_t)n;
        if (n == 0) {
            body->at++;
            body->done = 0;
        }
    }
    return (ssize_t)filled;
}

static ssize_t form_read(struct xhr_request *request, void *buffer, size_t len, void *read_user)
{
    struct xhr_form_body *body = read_user;

    body->is_reading = true;
    ssize_t n = read_pieces(body, request, buffer, len);
    body->is_reading = false;
    if (body->is_dead)
        xhr_form_body_free(body);
    return n;
}

/* Files are read by position: only streams have to do something. */
static bool can_rewind(const struct xhr_form_body *body)
{
    for (size_t i = 0; i < body->count; i++)
        if (body->pieces[i].kind == PIECE_STREAM && !body->pieces[i].rewind)
            return false;
    return true;
}

static int form_rewind(struct xhr_request *request, void *read_user)
{
    struct xhr_form_body *body = read_user;
    int r = 0;

    body->is_reading = true;
    for (size_t i = 0; r == 0 && i < body->count && !body->is_dead; i++)
        if (body->pieces[i].kind == PIECE_STREAM)
            r = body->pieces[i].rewind(request, body->pieces[i].read_user);
    body->is_reading = false;
    body->at = 0;
    body->done = 0;
    if (body->is_dead)
        xhr_form_body_free(body);
    return r;
}

void xhr_form_body_describe(struct xhr_form_body *body, struct xhr_body *ret)
{
    if (body->is_whole) {
        ret->kind = XHR_BODY_BYTES;
        ret->bytes = body->text.len > 0 ? xhr_bytes_at(&body->text) : NULL;
        ret->length = body->text.len;
        return;
    }
    ret->kind = XHR_BODY_STREAM;
    ret->length = body->length;
    ret->read = form_read;
    ret->read_user = body;
    ret->rewind = can_rewind(body) ? form_rewind : NULL;
}

/* ---- making ---- */

static int add_piece(struct xhr_form_body *body, const struct piece *piece)
{
    if (body->count == body->capacity) {
        size_t capacity = body->capacity ? body->capacity * 2 : PIECES_CHUNK;
        struct piece *pieces = realloc(body->pieces, capacity * sizeof(*pieces));

        if (!pieces)
            return -ENOMEM;
        body->pieces = pieces;
        body->capacity = capacity;
    }
    body->pieces[body->count++] = *piece;
    return 0;
}

/* What has been added to the text since @start. */
static int end_text(struct xhr_form_body *body, size_t start)
{
    struct piece piece = {.kind = PIECE_TEXT, .start = start, .fd = -1};

    piece.length = body->text.len - start;
    return piece.length > 0 ? add_piece(body, &piece) : 0;
}

static int add_text(struct xhr_form_body *body, const char *text)
{
    return xhr_bytes_append(&body->text, text, strlen(text));
}

static const char *label_of(const struct xhr_form_entry *entry)
{
    if (entry->part.path)
        return entry->part.path;
    return entry->filename ? entry->filename : entry->part.name;
}

static int
refuse(struct xhr_form *form, const struct xhr_form_entry *entry, const char *why, int r)
{
    (void)snprintf(form->trouble, sizeof(form->trouble), "cannot read %.200s: %s",
                   label_of(entry), why ? why : xhr_errno_text(-r));
    xhr_make_printable(form->trouble);
    return r;
}

static int open_file(const struct xhr_form_part *part)
{
    int fd = part->kind == XHR_PART_FD
                 ? fcntl(part->fd, F_DUPFD_CLOEXEC, 3)
                 : open(part->path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);

    if (fd < 0)
        return -errno;
    if ((fcntl(fd, F_GETFL) & O_ACCMODE) != O_WRONLY)
        return fd;
    (void)close(fd);
    return -EBADF;
}

/* A file of /proc has no size and yet bytes. Return: 0 or -errno with *ret_why in words. */
static int measure(struct piece *piece, const char **ret_why)
{
    struct stat status;
    uint8_t first;

    if (fstat(piece->fd, &status) < 0)
        return -errno;
    if (S_ISDIR(status.st_mode))
        return -EISDIR;
    if (!S_ISREG(status.st_mode)) {
        *ret_why = "not a regular file, whose bytes are for a callback to read";
        return -ESPIPE;
    }
    uint64_t size = (uint64_t)status.st_size;
    piece->length = size > piece->offset ? size - piece->offset : 0;
    if (size > 0)
        return 0;
    ssize_t n = pread(piece->fd, &first, 1, (off_t)piece->offset);
    if (n > 0)
        piece->length = XHR_LENGTH_UNKNOWN;
    return n < 0 ? -errno : 0;
}

static int
add_file(struct xhr_form_body *body, struct xhr_form *form, const struct xhr_form_entry *entry)
{
    struct piece piece = {.kind = PIECE_FILE, .fd = open_file(&entry->part)};
    const char *why = NULL;
    int r = piece.fd;

    if (r < 0)
        return refuse(form, entry, NULL, r);
    piece.offset = entry->part.offset;
    r = piece.offset > INT64_MAX ? -EINVAL : measure(&piece, &why);
    if (r < 0)
        (void)refuse(form, entry, why, r);
    r = r < 0 ? r : xhr_dup_string(label_of(entry), &piece.label);
    if (piece.label)
        xhr_make_printable(piece.label);
    r = r < 0 ? r : add_piece(body, &piece);
    if (r < 0) {
        (void)close(piece.fd);
        free(piece.label);
    }
    body->has_files = true;
    return r;
}

static int add_stream(struct xhr_form_body *body, const struct xhr_form_part *part)
{
    struct piece piece = {.kind = PIECE_STREAM,
                          .fd = -1,
                          .length = XHR_LENGTH_UNKNOWN,
                          .read = part->read,
                          .read_user = part->read_user,
                          .rewind = part->rewind};

    body->has_streams = true;
    return add_piece(body, &piece);
}

/* Delimiter and header of a part. */
static int add_head(struct xhr_form_body *body, const struct xhr_form_entry *entry)
{
    int r = add_text(body, "--");

    r = r < 0 ? r : add_text(body, body->boundary);
    r = r < 0 ? r : add_text(body, "\r\nContent-Disposition: form-data; name=\"");
    r = r < 0 ? r : xhr_form_add_name(&body->text, entry->part.name);
    if (r == 0 && entry->filename) {
        r = add_text(body, "\"; filename=\"");
        r = r < 0 ? r : xhr_form_add_filename(&body->text, entry->filename);
    }
    r = r < 0 ? r : add_text(body, "\"");
    if (r == 0 && entry->content_type) {
        r = add_text(body, "\r\nContent-Type: ");
        r = r < 0 ? r : add_text(body, entry->content_type);
    }
    return r < 0 ? r : add_text(body, "\r\n\r\n");
}

static int add_multipart(struct xhr_form_body *body, struct xhr_form *form)
{
    size_t start = 0;
    int r = 0;

    for (size_t i = 0; r == 0 && i < form->count; i++) {
        const struct xhr_form_entry *entry = &form->entries[i];

        r = add_head(body, entry);
        if (r == 0 && entry->part.kind == XHR_PART_BYTES) {
            r = xhr_bytes_append(&body->text, entry->part.bytes, (size_t)entry->part.length);
        } else if (r == 0) {
            r = end_text(body, start);
            start = body->text.len;
            if (r == 0)
                r = entry->part.kind == XHR_PART_STREAM ? add_stream(body, &entry->part)
                                                        : add_file(body, form, entry);
        }
        r = r < 0 ? r : add_text(body, "\r\n");
    }
    r = r < 0 ? r : add_text(body, "--");
    r = r < 0 ? r : add_text(body, body->boundary);
    r = r < 0 ? r : add_text(body, "--\r\n");
    return r < 0 ? r : end_text(body, start);
}

static int add_urlencoded(struct xhr_form_body *body, struct xhr_form *form)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < form->count; i++) {
        const struct xhr_form_part *part = &form->entries[i].part;

        if (part->kind != XHR_PART_BYTES) {
            (void)snprintf(form->trouble, sizeof(form->trouble),
                           "%.200s is a file, which only a multipart form can hold",
                           label_of(&form->entries[i]));
            xhr_make_printable(form->trouble);
            return -EINVAL;
        }
        r = i > 0 ? add_text(body, "&") : 0;
        r = r < 0 ? r : xhr_form_add_urlencoded(&body->text, part->name, strlen(part->name));
        r = r < 0 ? r : add_text(body, "=");
        r = r < 0 ? r : xhr_form_add_urlencoded(&body->text, part->bytes, (size_t)part->length);
    }
    return r < 0 ? r : end_text(body, 0);
}

static int sum_lengths(struct xhr_form_body *body)
{
    body->length = 0;
    for (size_t i = 0; i < body->count; i++) {
        uint64_t length = body->pieces[i].length;

        if (length == XHR_LENGTH_UNKNOWN) {
            body->length = XHR_LENGTH_UNKNOWN;
            return 0;
        }
        if (length > (uint64_t)INT64_MAX - body->length)
            return -EFBIG;
        body->length += length;
    }
    return 0;
}

/* Reads small files now: what the daemon is given whole it can send again. */
static int spool(struct xhr_form_body *body, struct xhr_form *form)
{
    struct xhr_bytes all = {0};
    ssize_t n = 1;
    int r = 0;

    while (r == 0 && n > 0) {
        r = xhr_bytes_reserve(&all, SPOOL_STEP);
        n = r < 0 ? r : read_pieces(body, NULL, xhr_bytes_end(&all), SPOOL_STEP);
        if (n > 0)
            all.len += (size_t)n;
    }
    if (n < 0) {
        xhr_bytes_done(&all);
        (void)snprintf(form->trouble, sizeof(form->trouble), "the form's body %.300s",
                       body->trouble);
        return (int)n;
    }
    pieces_done(body);
    xhr_bytes_done(&body->text);
    body->text = all;
    return 0;
}

static bool contains(const struct xhr_form_entry *entry, const char *boundary)
{
    const struct xhr_form_part *part = &entry->part;

    return strstr(part->name, boundary) ||
           (entry->filename && strstr(entry->filename, boundary)) ||
           (entry->content_type && strstr(entry->content_type, boundary)) ||
           (part->bytes &&
            memmem(part->bytes, (size_t)part->length, boundary, strlen(boundary)));
}

/* Files are not looked through: 128 random bits that came after them are not in them. */
static int choose_boundary(struct xhr_form_body *body, const struct xhr_form *form)
{
    bool is_taken;

    do {
        int r = xhr_boundary_new(body->boundary);

        if (r < 0)
            return r;
        is_taken = false;
        for (size_t i = 0; i < form->count && !is_taken; i++)
            is_taken = contains(&form->entries[i], body->boundary);
    } while (is_taken);
    return 0;
}

static int make(struct xhr_form_body *body, struct xhr_form *form)
{
    int r;

    body->is_multipart = form->encoding == XHR_FORM_MULTIPART;
    if (body->is_multipart) {
        r = choose_boundary(body, form);
        r = r < 0 ? r : add_multipart(body, form);
    } else {
        r = add_urlencoded(body, form);
    }
    r = r < 0 ? r : sum_lengths(body);
    if (r < 0)
        return r;
    body->is_whole = !body->has_streams && (!body->has_files || /* unknown is the greatest */
                                            body->length <= XHR_FORM_SPOOL_BYTES);
    return body->is_whole && body->has_files ? spool(body, form) : 0;
}

int xhr_form_body_new(struct xhr_form *form, struct xhr_form_body **ret)
{
    struct xhr_form_body *body = calloc(1, sizeof(*body));
    int r;

    if (!body)
        return -ENOMEM;
    r = make(body, form);
    if (r < 0) {
        xhr_form_body_free(body);
        return r;
    }
    *ret = body;
    return 0;
}
