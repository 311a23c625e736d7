/* SPDX-License-Identifier: MIT */
/*
 * NAME=VALUE, NAME=@FILE[,FILE…], NAME=<FILE, each with ;type= and ;filename=. Words may stand
 * in double quotes, where \" and \\ are escapes. What curl warns of and then ignores is refused
 * here, as half a value would be sent; and several files are parts of one name, as RFC 7578
 * §4.3 wants it, where curl still nests a multipart/mixed.
 */
#include "formdata.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct field {
    const char *text; /* as on the command line */
    struct strbuf name;
    struct strbuf value; /* or file */
    struct strbuf type;
    struct strbuf filename;
    bool has_filename;
};

static int no_memory(struct trouble *why)
{
    return trouble_set(why, EXIT_RESOURCES, "out of memory");
}

static int refuse(const struct field *field, const char *what, struct trouble *why)
{
    return trouble_set(why, EXIT_USAGE, "-F '%s': %s; --form-string takes a value as it stands",
                       field->text, what);
}

static bool is_blank(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static const char *skip_blanks(const char *at)
{
    while (is_blank(*at))
        at++;
    return at;
}

static bool is_end(char c, char end)
{
    return c == '\0' || c == ';' || c == end;
}

/* Return: the closing quote, or NULL: then it is an ordinary character. */
static const char *closing_quote(const char *at)
{
    if (*at++ != '"')
        return NULL;
    for (; *at && *at != '"'; at++)
        if (*at == '\\' && (at[1] == '\\' || at[1] == '"'))
            at++;
    return *at ? at : NULL;
}

/* Return: what follows the word, which is ';', @end or the end; NULL: there is more behind a
 * quoted word. */
static const char *take_word(const char *at, char end, struct strbuf *out)
{
    const char *quote = closing_quote(at);
    size_t len = 0;

    if (quote) {
        for (at++; at < quote; at++) {
            if (*at == '\\' && (at[1] == '\\' || at[1] == '"'))
                at++;
            strbuf_add_char(out, *at);
        }
        at = skip_blanks(quote + 1);
        return is_end(*at, end) ? at : NULL;
    }
    while (!is_end(at[len], end))
        len++;
    const char *next = at + len;
    while (len > 0 && is_blank(at[len - 1]))
        len--;
    strbuf_add(out, at, len);
    return next;
}

/* "type/subtype" and whatever follows that is no other word of ours: ;charset=utf-8. */
static const char *take_type(const char *at, char end, struct strbuf *out)
{
    const char *next = take_word(at, end, out);
    const char *slash = next ? memchr(at, '/', (size_t)(next - at)) : NULL;

    if (!slash || slash == at || slash + 1 == next)
        return NULL;
    while (*next == ';') {
        const char *word = skip_blanks(next + 1);

        if (strncasecmp(word, "filename=", 9) == 0 || strncasecmp(word, "type=", 5) == 0 ||
            strncasecmp(word, "headers=", 8) == 0 || strncasecmp(word, "encoder=", 8) == 0)
            break;
        strbuf_add_text(out, "; ");
        next = take_word(word, end, out);
        if (!next)
            return NULL;
    }
    return next;
}

/* One ;word=. Return: what follows it; NULL with *why filled. */
static const char *
take_parameter(struct field *field, const char *at, char end, struct trouble *why)
{
    const char *next = NULL;

    if (strncasecmp(at, "type=", 5) == 0) {
        strbuf_clear(&field->type);
        next = take_type(skip_blanks(at + 5), end, &field->type);
        if (!next)
            (void)refuse(field, "write ;type=text/plain", why);
    } else if (strncasecmp(at, "filename=", 9) == 0) {
        strbuf_clear(&field->filename);
        field->has_filename = true;
        next = take_word(skip_blanks(at + 9), end, &field->filename);
        if (!next)
            (void)refuse(field, "more stands behind the quoted filename", why);
    } else {
        (void)refuse(field,
                     "behind a ; only type= and filename= are known, a value with one "
                     "is to be quoted",
                     why);
    }
    return next;
}

/* A value or file with its parameters. Return: what follows: @end or the end; NULL. */
static const char *take_part(struct field *field, const char *at, char end, struct trouble *why)
{
    strbuf_clear(&field->value);
    strbuf_clear(&field->type);
    strbuf_clear(&field->filename);
    field->has_filename = false;
    at = take_word(skip_blanks(at), end, &field->value);
    if (!at)
        (void)refuse(field, "more stands behind the quoted word", why);
    while (at && *at == ';')
        at = take_parameter(field, skip_blanks(at + 1), end, why);
    return at;
}

/* ---- parts ---- */

static const char *base_name(const char *file)
{
    const char *slash = strrchr(file, '/');

    return slash ? slash + 1 : file;
}

static void describe(const struct field *field, struct xhr_form_part *part)
{
    *part = (struct xhr_form_part){
        .size = sizeof(*part),
        .name = strbuf_text(&field->name),
        .filename = field->has_filename ? strbuf_text(&field->filename) : NULL,
        .content_type = field->type.len > 0 ? field->type.bytes : NULL,
    };
}

static int add(struct formdata *formdata,
               const struct field *field,
               const struct xhr_form_part *part,
               struct trouble *why)
{
    int r = xhr_form_add_part(formdata->form, part);

    if (r == 0)
        return 0;
    if (r == -EINVAL)
        return refuse(field, "a content type is one line of text", why);
    return r == -ENOMEM
               ? no_memory(why)
               : trouble_set(why, EXIT_USAGE, "-F '%s': %s", field->text, strerror(-r));
}

static int add_value(struct formdata *formdata, const struct field *field, struct trouble *why)
{
    struct xhr_form_part part;

    if (field->name.failed || field->value.failed || field->type.failed)
        return no_memory(why);
    describe(field, &part);
    part.kind = XHR_PART_BYTES;
    part.bytes = strbuf_text(&field->value);
    part.length = field->value.len;
    return add(formdata, field, &part, why);
}

/* A descriptor that is read while the form is sent stays open until the end. */
static struct postdata *new_source(struct formdata *formdata)
{
    struct postdata **sources =
        reallocarray(formdata->sources, formdata->n_sources + 1, sizeof(struct postdata *));
    struct postdata *source = calloc(1, sizeof(*source));

    if (sources)
        formdata->sources = sources;
    if (!sources || !source) {
        free(source);
        return NULL;
    }
    source->fd = -1;
    sources[formdata->n_sources++] = source;
    return source;
}

static void describe_source(struct postdata *source, struct xhr_form_part *part)
{
    struct xhr_body body;

    postdata_body(source, true, &body);
    part->bytes = body.bytes;
    part->length = body.length;
    part->fd = body.fd;
    part->offset = body.offset;
    part->read = body.read;
    part->read_user = body.read_user;
    part->kind = body.kind == XHR_BODY_FD       ? XHR_PART_FD
                 : body.kind == XHR_BODY_STREAM ? XHR_PART_STREAM
                                                : XHR_PART_BYTES;
}

/* @keep: it will be sent more than once. */
static int add_file(struct formdata *formdata,
                    const struct field *field,
                    bool is_value,
                    bool keep,
                    struct trouble *why)
{
    const char *file = strbuf_text(&field->value);
    struct postdata *source = new_source(formdata);
    struct xhr_form_part part;

    if (!source || field->name.failed || field->value.failed)
        return no_memory(why);
    int r = postdata_open(source, file, keep, why);
    if (r != 0)
        return r;
    describe(field, &part);
    describe_source(source, &part);
    part.path = file; /* names it in a complaint, and may tell its type */
    part.no_filename = is_value;
    if (is_value)
        part.filename = NULL;
    else if (!part.filename)
        part.filename = base_name(file);
    r = add(formdata, field, &part, why);
    if (source->kind != POSTDATA_PIPE) /* the form has its own */
        postdata_done(source);
    return r;
}

static int add_files(struct formdata *formdata,
                     struct field *field,
                     const char *at,
                     bool keep,
                     struct trouble *why)
{
    int r = 0;

    do {
        at = take_part(field, at + 1, ',', why);
        r = at ? add_file(formdata, field, false, keep, why) : why->exit_code;
    } while (r == 0 && *at == ',');
    return r;
}

static int add_field(struct formdata *formdata,
                     struct field *field,
                     const struct form_choice *choice,
                     bool keep,
                     struct trouble *why)
{
    const char *at = strchr(choice->text, '=');

    if (!at || at == choice->text)
        return refuse(field, "write NAME=VALUE, NAME=@FILE or NAME=<FILE", why);
    strbuf_add(&field->name, choice->text, (size_t)(at - choice->text));
    at++;
    if (choice->literal) {
        strbuf_add_text(&field->value, at);
        return add_value(formdata, field, why);
    }
    if (*at == '(' || strcmp(at, ")") == 0)
        return refuse(field, "parts inside parts are not made", why);
    if (*at == '@')
        return add_files(formdata, field, at, keep, why);
    bool is_file = *at == '<';
    if (!take_part(field, at + is_file, '\0', why))
        return why->exit_code;
    return is_file ? add_file(formdata, field, true, keep, why)
                   : add_value(formdata, field, why);
}

int formdata_load(const struct cli_options *options, struct formdata *ret, struct trouble *why)
{
    int r = 0;

    *ret = (struct formdata){0};
    if (options->n_form == 0)
        return 0;
    if (xhr_form_new(&ret->form) < 0)
        return no_memory(why);
    for (size_t i = 0; r == 0 && i < options->n_form; i++) {
        struct field field = {.text = options->form[i].text};

        r = add_field(ret, &field, &options->form[i],
                      options->urls.count > 1 || options->retries > 0, why);
        strbuf_done(&field.name);
        strbuf_done(&field.value);
        strbuf_done(&field.type);
        strbuf_done(&field.filename);
    }
    return r;
}

struct postdata *formdata_waiting(const struct formdata *formdata)
{
    for (size_t i = 0; i < formdata->n_sources; i++)
        if (formdata->sources[i]->waiting)
            return formdata->sources[i];
    return NULL;
}
