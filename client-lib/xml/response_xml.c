/* SPDX-License-Identifier: MIT */
/*
 * responseXML, by libxml2. The parser reads the body where it lies, in memory or in its
 * temporary file, piece by piece. What makes XML dangerous is not there: no network, no
 * external subset, no entity but the five of XML, none of libxml2's limits lifted. libxml2's
 * settings for the whole process are the program's and are not touched.
 */
#include <libxml/encoding.h>
#include <libxml/parser.h>
#include <libxml/xmlerror.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "charset.h"
#include "xhr/xml.h"

#define BYTES_MAX_DEFAULT ((size_t)64 << 20)
#define MARK_BYTES        4

#if LIBXML_VERSION >= 21200
#define XML_ERROR const xmlError
#else
#define XML_ERROR xmlError
#endif

struct source {
    const char *bytes; /* NULL: in fd */
    int fd;
    uint64_t len;
    uint64_t at;
    int error; /* of reading, -errno */
};

struct parse {
    struct source source;
    const char *charset; /* libxml2's word for it; NULL: as the document says itself */
    bool has_entities;
    xmlErrorLevel level; /* of what *error tells */
    struct xhr_xml_error *error;
};

/* ---- what went wrong ---- */

__attribute__((format(printf, 3, 4))) static int
fail(struct xhr_xml_error *error, int result, const char *format, ...)
{
    va_list list;

    va_start(list, format);
    (void)vsnprintf(error->text, sizeof(error->text), format, list);
    va_end(list);
    return result;
}

static int fail_to_read(struct xhr_xml_error *error, int result)
{
    return fail(error, result, "the temporary file cannot be read: %s",
                strerrordesc_np(-result));
}

/* What fails while the tree or a decoder is made is told to the thread, not to the parser. */
static bool memory_ended(void)
{
    const xmlError *last = xmlGetLastError();

    return last && last->code == XML_ERR_NO_MEMORY;
}

static int fail_without_memory(struct xhr_xml_error *error)
{
    *error = (struct xhr_xml_error){0};
    return fail(error, -ENOMEM, "no memory");
}

/* The first of the gravest: those behind it follow from it. Nothing goes to stderr. */
static void take_error(void *context, XML_ERROR *said)
{
    struct parse *parse = ((xmlParserCtxt *)context)->_private;
    const char *text = said->message ? said->message : "not well-formed";

    if (said->level < XML_ERR_ERROR || said->level <= parse->level)
        return;
    parse->level = said->level;
    parse->error->code = said->code;
    parse->error->line = said->line;
    parse->error->column = said->int2;
    (void)fail(parse->error, 0, "%.*s", (int)strcspn(text, "\n"), text);
}

static int fail_by_parser(struct parse *parse)
{
    struct xhr_xml_error *error = parse->error;
    bool is_ours = parse->source.error < 0 || parse->has_entities;

    if (is_ours)
        *error = (struct xhr_xml_error){0};
    if (parse->source.error < 0)
        return fail_to_read(error, parse->source.error);
    if (parse->has_entities)
        return fail(error, -EPERM, "the document declares entities, which are not taken");
    if (error->code == 0 || error->code == XML_ERR_NO_MEMORY)
        return fail_without_memory(error);
    return error->code == XML_ERR_UNSUPPORTED_ENCODING ? -EILSEQ : -EBADMSG;
}

/* ---- bytes ---- */

static int read_source(void *context, char *to, int size)
{
    struct source *source = context;
    uint64_t left = source->len - source->at;
    size_t n = left < (uint64_t)size ? (size_t)left : (size_t)size;
    ssize_t got = (ssize_t)n;

    if (source->bytes)
        memcpy(to, source->bytes + source->at, n);
    else
        do
            got = pread(source->fd, to, n, (off_t)source->at);
        while (got < 0 && errno == EINTR);
    if (got < 0 || (got == 0 && n > 0)) {
        source->error = got < 0 ? -errno : -EIO;
        return -1;
    }
    source->at += (uint64_t)got;
    return (int)got;
}

static int close_nothing(void *context)
{
    (void)context;
    return 0;
}

static int open_source(struct xhr_request *request, size_t bytes_max, struct parse *parse)
{
    struct source *source = &parse->source;
    size_t len = 0;

    if (xhr_request_ready_state(request) != XHR_DONE)
        return fail(parse->error, -EAGAIN, "the request is not done");
    if (xhr_request_error(request))
        return fail(parse->error, -ENODATA, "the request failed: %s",
                    xhr_request_error(request)->text);
    source->fd = xhr_request_response_file(request, &source->len);
    if (source->fd < 0) {
        source->bytes = xhr_request_response_body(request, &len);
        source->len = len;
    }
    if (source->len == 0)
        return fail(parse->error, -ENODATA, "the answer has no body that was kept");
    if (source->len > bytes_max)
        return fail(parse->error, -EFBIG, "the body is longer than %zu bytes", bytes_max);
    return 0;
}

/* ---- charset ---- */

/* The WHATWG's names that libxml2 and iconv know by another, and what must not be decoded. */
static const char *name_of(const struct xhr_charset *charset)
{
    if (charset->kind == XHR_CHARSET_ICONV)
        return charset->iconv_name;
    if (strcmp(charset->name, "x-mac-cyrillic") == 0)
        return "MAC-CYRILLIC";
    if (strcmp(charset->name, "ISO-8859-8-I") == 0)
        return "ISO-8859-8";
    return charset->name;
}

/* RFC 7303 section 3: the mark, then the parameter, then what the document says. A parameter
 * that nobody knows is none. */
static int choose_charset(struct xhr_request *request, struct parse *parse)
{
    const char *type = xhr_request_response_header(request, "Content-Type");
    struct source start = parse->source;
    uint8_t mark[MARK_BYTES];
    size_t mark_len = 0;
    int n = read_source(&start, (char *)mark, sizeof(mark));

    if (n < 0)
        return fail_to_read(parse->error, start.error);
    const struct xhr_charset *charset = xhr_charset_of_mark(mark, (size_t)n, &mark_len);
    if (!charset && type)
        charset = xhr_charset_of_type(type);
    if (!charset)
        return 0;
    xmlCharEncodingHandler *handler = xmlFindCharEncodingHandler(name_of(charset));
    if (!handler && memory_ended())
        return fail_without_memory(parse->error);
    if (!handler)
        return fail(parse->error, -EILSEQ, "the charset %s cannot be decoded", charset->name);
    (void)xmlCharEncCloseFunc(handler); /* the parser finds it again */
    parse->charset = name_of(charset);
    parse->source.at = mark_len;
    return 0;
}

/* ---- parse ---- */

static void refuse_entity(void *context,
                          const xmlChar *name,
                          int type,
                          const xmlChar *public_id,
                          const xmlChar *system_id,
                          xmlChar *content) /* NOLINT(readability-non-const-parameter) */
{
    xmlParserCtxt *parser = context;
    struct parse *parse = parser->_private;

    (void)name;
    (void)type;
    (void)public_id;
    (void)system_id;
    (void)content;
    parse->has_entities = true;
    xmlStopParser(parser);
}

static xmlParserInput *
resolve_nothing(void *context, const xmlChar *public_id, const xmlChar *system_id)
{
    (void)context;
    (void)public_id;
    (void)system_id;
    return NULL;
}

static void skip_subset(void *context,
                        const xmlChar *name,
                        const xmlChar *external_id,
                        const xmlChar *system_id)
{
    (void)context;
    (void)name;
    (void)external_id;
    (void)system_id;
}

static int read_document(struct parse *parse, const char *url, xmlDoc **ret)
{
    int options = XML_PARSE_NONET | (parse->charset ? XML_PARSE_IGNORE_ENC : 0);

    xmlParserCtxt *parser = xmlNewParserCtxt();
    if (!parser)
        return fail_without_memory(parse->error);
    parser->_private = parse;
    parser->sax->serror = take_error;
    parser->sax->entityDecl = refuse_entity;
    parser->sax->resolveEntity = resolve_nothing;
    parser->sax->externalSubset = skip_subset;
    xmlDoc *document = xmlCtxtReadIO(parser, read_source, close_nothing, &parse->source, url,
                                     parse->charset, options);
    if (memory_ended())
        parse->error->code = XML_ERR_NO_MEMORY;
    bool is_good = document && parse->error->code != XML_ERR_NO_MEMORY &&
                   !parse->has_entities && parse->source.error == 0 && parser->nsWellFormed;
    int r = is_good ? 0 : fail_by_parser(parse);

    if (r == 0) {
        *parse->error = (struct xhr_xml_error){0}; /* what was forgiven */
        *ret = document;
    } else if (document) {
        xmlFreeDoc(document);
    }
    xmlFreeParserCtxt(parser);
    return r;
}

int xhr_request_response_xml(struct xhr_request *request,
                             const struct xhr_xml_options *options,
                             struct xhr_xml_error *ret_error,
                             xmlDoc **ret)
{
    struct xhr_xml_error error = {0};
    struct parse parse = {.error = ret_error ? ret_error : &error};
    size_t bytes_max = options && options->bytes_max ? options->bytes_max : BYTES_MAX_DEFAULT;
    int r;

    *parse.error = error;
    if (options && options->size < sizeof(*options))
        return fail(parse.error, -EINVAL, "size of the options is %zu, not %zu", options->size,
                    sizeof(*options));
    xmlInitParser();
    xmlResetLastError();
    r = open_source(request, bytes_max, &parse);
    if (r == 0)
        r = choose_charset(request, &parse);
    return r < 0 ? r : read_document(&parse, xhr_request_location(request), ret);
}
