/* SPDX-License-Identifier: MIT */
/* A form object: entries in the order they were added. Nothing is opened before it is sent. */
#include "form.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FORM_CHUNK   8
#define BLOB_NAME    "blob" /* HTML: of a file without a name */
#define FORM_URL     "application/x-www-form-urlencoded"
#define FORM_DATA    "multipart/form-data; boundary="
#define BOUNDARY_KEY "boundary="

int xhr_form_new(struct xhr_form **ret)
{
    struct xhr_form *form = calloc(1, sizeof(*form));

    if (!form)
        return -ENOMEM;
    *ret = form;
    return 0;
}

static void entry_done(struct xhr_form_entry *entry)
{
    if (entry->part.kind == XHR_PART_FD && entry->part.fd >= 0)
        (void)close(entry->part.fd);
    free(xhr_unconst(entry->part.name));
    free(xhr_unconst(entry->part.bytes));
    free(xhr_unconst(entry->part.path));
    free(xhr_unconst(entry->part.content_type));
    free(entry->filename);
}

struct xhr_form *xhr_form_free(struct xhr_form *form)
{
    if (!form)
        return NULL;
    for (size_t i = 0; i < form->count; i++)
        entry_done(&form->entries[i]);
    free(form->entries);
    free(form);
    return NULL;
}

/* A content type stands in a line of its own: nothing may end it. */
static bool is_line(const char *text)
{
    if (!*text)
        return false;
    for (; *text; text++)
        if (((uint8_t)*text < ' ' && *text != '\t') || *text == 0x7F)
            return false;
    return true;
}

static bool is_sane(const struct xhr_form_part *part)
{
    if (!part->name || (part->content_type && !is_line(part->content_type)) ||
        (part->no_filename && part->filename))
        return false;
    switch (part->kind) {
    case XHR_PART_BYTES: return part->bytes || part->length == 0;
    case XHR_PART_PATH: return part->path && *part->path;
    case XHR_PART_FD: return part->fd >= 0;
    case XHR_PART_STREAM: return part->read != NULL;
    default: return false;
    }
}

/* What an entry is called when nobody says it. NULL: a value, which is no file. */
static const char *filename_of(const struct xhr_form_part *part)
{
    if (part->no_filename || part->filename || part->kind == XHR_PART_BYTES)
        return part->filename;
    if (part->kind != XHR_PART_PATH)
        return BLOB_NAME;
    const char *slash = strrchr(part->path, '/');
    return slash ? slash + 1 : part->path;
}

static int copy_bytes(const struct xhr_form_part *from, struct xhr_form_part *to)
{
    if (from->kind != XHR_PART_BYTES)
        return 0;
    if (from->length > SIZE_MAX / 2)
        return -EINVAL;
    to->length = from->length;
    to->bytes = xhr_dup(from->bytes ? from->bytes : "", (size_t)from->length);
    return to->bytes ? 0 : -ENOMEM;
}

static int copy_text(const char *from, const char **to)
{
    char *copy = NULL;
    int r = xhr_dup_string(from, &copy);

    *to = copy;
    return r;
}

static int entry_init(struct xhr_form_entry *entry, const struct xhr_form_part *from)
{
    struct xhr_form_part *part = &entry->part;
    int r;

    part->size = sizeof(*part);
    part->kind = from->kind;
    part->fd = -1;
    part->offset = from->offset;
    part->read = from->read;
    part->read_user = from->read_user;
    part->rewind = from->rewind;
    r = copy_text(from->name, &part->name);
    r = r < 0 ? r : copy_text(from->path, &part->path);
    r = r < 0 ? r : copy_text(from->content_type, &part->content_type);
    r = r < 0 ? r : xhr_dup_string(filename_of(from), &entry->filename);
    r = r < 0 ? r : copy_bytes(from, part);
    if (r == 0 && from->kind == XHR_PART_FD) {
        part->fd = fcntl(from->fd, F_DUPFD_CLOEXEC, 3);
        r = part->fd < 0 ? -errno : 0;
    }
    entry->content_type = part->content_type;
    if (r == 0 && entry->filename && !entry->content_type)
        entry->content_type = xhr_form_guess_type(entry->filename, part->path);
    return r;
}

static int grow(struct xhr_form *form)
{
    size_t capacity = form->capacity ? form->capacity * 2 : FORM_CHUNK;
    struct xhr_form_entry *entries;

    if (form->count == XHR_FORM_PARTS_MAX)
        return -E2BIG;
    if (form->count < form->capacity)
        return 0;
    entries = realloc(form->entries, capacity * sizeof(*entries));
    if (!entries)
        return -ENOMEM;
    form->entries = entries;
    form->capacity = capacity;
    return 0;
}

int xhr_form_add_part(struct xhr_form *form, const struct xhr_form_part *part)
{
    struct xhr_form_entry entry = {0};
    struct xhr_form_part given;
    int r;

    if (!part || xhr_take_sized(&given, sizeof(given), part) < 0 || !is_sane(&given))
        return -EINVAL;
    r = grow(form);
    r = r < 0 ? r : entry_init(&entry, &given);
    if (r < 0) {
        entry_done(&entry);
        return r;
    }
    form->entries[form->count++] = entry;
    return 0;
}

int xhr_form_add(struct xhr_form *form, const char *name, const void *bytes, size_t len)
{
    return xhr_form_add_part(form, &(struct xhr_form_part){.size = sizeof(struct xhr_form_part),
                                                           .kind = XHR_PART_BYTES,
                                                           .name = name,
                                                           .bytes = bytes,
                                                           .length = len});
}

int xhr_form_add_file(struct xhr_form *form,
                      const char *name,
                      const char *path,
                      const char *filename,
                      const char *content_type)
{
    return xhr_form_add_part(form, &(struct xhr_form_part){.size = sizeof(struct xhr_form_part),
                                                           .kind = XHR_PART_PATH,
                                                           .name = name,
                                                           .path = path,
                                                           .filename = filename,
                                                           .content_type = content_type});
}

int xhr_form_set_encoding(struct xhr_form *form, enum xhr_form_encoding encoding)
{
    if (encoding != XHR_FORM_MULTIPART && encoding != XHR_FORM_URLENCODED)
        return -EINVAL;
    form->encoding = encoding;
    return 0;
}

const char *xhr_form_error_text(const struct xhr_form *form)
{
    return form->trouble;
}

/* ---- sending ---- */

/* As curl: a multipart type of the program's own, of mixed say, is only told the boundary. Any
 * other Content-Type of its own goes as it is. */
static bool lacks_boundary(const struct xhr_field *field)
{
    static const char multipart[] = "multipart/";
    const char *value = field ? field->value : NULL;

    for (size_t i = 0; multipart[i]; i++)
        if (!value || xhr_lower(value[i]) != multipart[i])
            return false;
    for (; *value; value++)
        if (*value == ';' && strcasestr(value, BOUNDARY_KEY))
            return false;
    return true;
}

/* Return: the Content-Type, allocated; *ret_forced whether it replaces the program's own. */
static char *type_of(const struct xhr_request *request, const char *boundary, bool *ret_forced)
{
    const struct xhr_field *field = xhr_fields_find(&request->fields, "content-type");
    char *type = NULL;

    *ret_forced = false;
    if (!boundary)
        return xhr_dup(FORM_URL, strlen(FORM_URL));
    *ret_forced = lacks_boundary(field);
    if (asprintf(&type, "%s%s%s", *ret_forced ? field->value : FORM_DATA,
                 *ret_forced ? "; " BOUNDARY_KEY : "", boundary) < 0)
        return NULL;
    return type;
}

int xhr_request_send_form(struct xhr_request *request, struct xhr_form *form)
{
    struct xhr_outgoing out = {.body.size = sizeof(out.body)};
    bool is_forced;
    char *type;
    int r;

    if (!form)
        return -EINVAL;
    form->trouble[0] = '\0';
    r = xhr_request_may_send(request);
    r = r < 0 ? r : xhr_form_body_new(form, &out.form);
    if (r < 0)
        return r;
    xhr_form_body_describe(out.form, &out.body);
    type = type_of(request, xhr_form_body_boundary(out.form), &is_forced);
    if (type) {
        out.body.content_type = type;
        out.forced_type = is_forced ? type : NULL;
        r = xhr_request_begin(request, &out);
    } else {
        r = -ENOMEM;
    }
    free(type);
    xhr_form_body_free(out.form); /* what was not taken over */
    return r < 0 ? r : xhr_request_run(request);
}
