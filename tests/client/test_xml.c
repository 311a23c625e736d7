/* SPDX-License-Identifier: MIT */
/* responseXML: charsets as XML says, what is refused, where nothing may be fetched or grow. */
#include <errno.h>
#include <libxml/parser.h>
#include <libxml/xmlIO.h>
#include <libxml/xmlerror.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "support/peer.h"
#include "xhr/xml.h"

#if LIBXML_VERSION >= 21200
#define XML_ERROR const xmlError
#else
#define XML_ERROR xmlError
#endif
#define BYTES(text) (text), sizeof(text) - 1

struct body {
    const char *type; /* NULL: the answer has none */
    const char *bytes;
    size_t len;
};

static unsigned n_allocated;
static unsigned fail_at;  /* 0: never */
static unsigned n_loaded; /* what the parser asked the world for */

static xmlParserInput *count_load(const char *url, const char *id, xmlParserCtxt *parser)
{
    (void)url;
    (void)id;
    (void)parser;
    n_loaded++;
    return NULL;
}

static void say_head(struct peer *peer, uint32_t id, const char *type)
{
    Xhrd__V1__ServerMessage message = XHRD__V1__SERVER_MESSAGE__INIT;
    Xhrd__V1__ResponseHead head = XHRD__V1__RESPONSE_HEAD__INIT;
    Xhrd__V1__Header header = XHRD__V1__HEADER__INIT;
    Xhrd__V1__Header *list = &header;

    header.name = (ProtobufCBinaryData){12, (uint8_t *)(uintptr_t) "Content-Type"};
    if (type)
        header.value = (ProtobufCBinaryData){strlen(type), (uint8_t *)(uintptr_t)type};
    head.request_id = id;
    head.status = 200;
    head.n_headers = type ? 1 : 0;
    head.headers = &list;
    message.kind_case = XHRD__V1__SERVER_MESSAGE__KIND_HEAD;
    message.head = &head;
    peer_send(peer, &message);
    peer_ready_state(peer, id, XHRD__V1__READY_STATE__READY_STATE_HEADERS_RECEIVED);
}

/* A request that is done; @spilled: its body is in a temporary file. */
static struct xhr_request *
answered(struct peer *peer, struct record *record, const struct body *body, bool spilled)
{
    struct xhr_request_options options = {
        .size = sizeof(options), .memory_bytes_max = spilled ? 1 : 0, .spill = spilled};

    peer_init(peer, false);
    struct xhr_request *request = new_request(peer->client, record, &record_callbacks);
    assert_int_equal(xhr_request_set_options(request, &options), 0);
    assert_int_equal(xhr_request_send(request, NULL), 0);
    uint32_t id = peer_expect_open(peer);
    say_head(peer, id, body->type);
    for (size_t done = 0; done < body->len;) {
        size_t n = body->len - done < 1500 ? body->len - done : 1500;

        peer_body(peer, id, body->bytes + done, n);
        peer_turn(peer);
        done += n;
    }
    peer_finish(peer, id, body->len);
    peer_turn(peer);
    assert_int_equal(xhr_request_ready_state(request), XHR_DONE);
    return request;
}

static int
parse(const struct body *body, bool spilled, struct xhr_xml_error *error, xmlDoc **ret)
{
    struct peer peer;
    struct record record = {0};
    struct xhr_request *request = answered(&peer, &record, body, spilled);
    uint64_t len;
    int r;

    assert_int_equal(xhr_request_response_file(request, &len) >= 0, spilled && body->len > 1);
    r = xhr_request_response_xml(request, NULL, error, ret);
    xhr_request_free(request);
    peer_done(&peer);
    return r;
}

static void assert_root(const struct body *body, const char *text)
{
    for (int spilled = 0; spilled < 2; spilled++) {
        struct xhr_xml_error error = {.code = 1};
        xmlDoc *document = NULL;
        int r = parse(body, spilled, &error, &document);

        if (r < 0)
            print_error("%s: %d %s\n", body->type ? body->type : "no type", r, error.text);
        assert_int_equal(r, 0);
        assert_string_equal(error.text, "");
        assert_int_equal(error.code, 0);
        xmlChar *got = xmlNodeGetContent(xmlDocGetRootElement(document));
        assert_string_equal((const char *)got, text);
        xmlFree(got);
        assert_string_equal((const char *)document->URL, "http://a.test/");
        xmlFreeDoc(document); /* it outlives the request */
    }
}

static void assert_refused(const struct body *body, int result, const char *word)
{
    for (int spilled = 0; spilled < 2; spilled++) {
        struct xhr_xml_error error = {0};
        xmlDoc *document = NULL;
        int r = parse(body, spilled, &error, &document);

        if (r != result || !strstr(error.text, word))
            print_error("%.40s: %d %s\n", body->bytes, r, error.text);
        assert_int_equal(r, result);
        assert_null(document);
        assert_non_null(strstr(error.text, word));
        assert_null(strchr(error.text, '\n'));
    }
}

#define DECLARED(name) "<?xml version='1.0' encoding='" name "'?>"

static void test_bytes_are_decoded_by_mark_then_type_then_declaration(void **state)
{
    static const struct {
        struct body body;
        const char *text;
    } rows[] = {
        {{"text/xml", BYTES("<a>\xC3\xA4</a>")}, "\xC3\xA4"},
        {{NULL, BYTES("<a>\xC3\xA4</a>")}, "\xC3\xA4"},
        {{NULL, BYTES(DECLARED("ISO-8859-1") "<a>\xE4</a>")}, "\xC3\xA4"},
        {{"image/svg+xml", BYTES(DECLARED("windows-1251") "<a>\xE4</a>")}, "\xD0\xB4"},
        /* the parameter goes before the declaration */
        {{"text/xml; charset=utf-8", BYTES(DECLARED("ISO-8859-1") "<a>\xC3\xA4</a>")},
         "\xC3\xA4"},
        {{"text/xml; charset=latin1", BYTES(DECLARED("UTF-8") "<a>\xE4</a>")}, "\xC3\xA4"},
        {{"text/xml; charset=\"koi8-r\"", BYTES("<a>\xC1</a>")}, "\xD0\xB0"},
        {{"text/xml; charset=x-mac-cyrillic", BYTES("<a>\x80</a>")}, "\xD0\x90"},
        {{"text/xml; charset=x-sjis", BYTES("<a>\x93\xFA</a>")}, "\xE6\x97\xA5"},
        {{"text/xml; charset=utf-16le", BYTES("<\0a\0>\0\xE4\0<\0/\0a\0>\0")}, "\xC3\xA4"},
        /* one that nobody knows is none */
        {{"text/xml; charset=nonsense", BYTES(DECLARED("ISO-8859-1") "<a>\xE4</a>")},
         "\xC3\xA4"},
        /* the mark goes before both */
        {{"text/xml; charset=latin1",
          BYTES("\xEF\xBB\xBF" DECLARED("ISO-8859-1") "<a>\xC3\xA4</a>")},
         "\xC3\xA4"},
        {{"text/xml; charset=utf-8", BYTES("\xFF\xFE<\0a\0>\0\xE4\0<\0/\0a\0>\0")}, "\xC3\xA4"},
        {{NULL, BYTES("\xFE\xFF\0<\0a\0>\0\xE4\0<\0/\0a\0>")}, "\xC3\xA4"},
        /* UTF-16 that shows itself by its first characters */
        {{NULL, BYTES("<\0?\0x\0m\0l\0 \0v\0e\0r\0s\0i\0o\0n\0=\0'\0001\0.\0000\0'\0?\0>\0"
                      "<\0a\0>\0\xE4\0<\0/\0a\0>\0")},
         "\xC3\xA4"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
        assert_root(&rows[i].body, rows[i].text);
}

static void test_what_is_not_a_document_is_an_error_with_a_line(void **state)
{
    static const struct {
        struct body body;
        int result;
        const char *word;
    } rows[] = {
        {{"text/xml", BYTES("")}, -ENODATA, "no body"},
        {{"text/xml", BYTES("hello")}, -EBADMSG, "expected"},
        {{"text/xml", BYTES("<a>\n<b></a>")}, -EBADMSG, "mismatch"},
        {{"text/xml", BYTES("<a/><b/>")}, -EBADMSG, "Extra"},
        {{"text/xml", BYTES("<a><b>cut")}, -EBADMSG, "end"},
        {{"text/xml", BYTES("<a x='1' x='2'/>")}, -EBADMSG, "redefined"},
        {{"text/xml", BYTES("<n:a/>")}, -EBADMSG, "Namespace"},
        {{"text/xml", BYTES("<a>&nobody;</a>")}, -EBADMSG, "nobody"},
        {{"text/xml", BYTES("<a>\xE4</a>")}, -EBADMSG, "UTF-8"},
        {{"text/xml;charset=utf-8", BYTES("<a>\xE4</a>")}, -EBADMSG, ""},
        {{"text/xml", BYTES("<a>\0</a>")}, -EBADMSG, ""},
        {{"text/xml", BYTES(DECLARED("nonsense") "<a/>")}, -EILSEQ, "nonsense"},
        {{"text/xml;charset=iso-2022-kr", BYTES("<a/>")}, -EILSEQ, "replacement"},
        {{"text/xml;charset=x-user-defined", BYTES("<a/>")}, -EILSEQ, "x-user-defined"},
    };
    struct xhr_xml_error error;
    xmlDoc *document;

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
        assert_refused(&rows[i].body, rows[i].result, rows[i].word);
    assert_int_equal(parse(&rows[2].body, false, &error, &document), -EBADMSG);
    assert_int_equal(error.code, XML_ERR_TAG_NAME_MISMATCH);
    assert_int_equal(error.line, 2);
    assert_true(error.column > 0);
}

#define LAUGH                                                                                  \
    "<!DOCTYPE a [<!ENTITY x 'ha'><!ENTITY y '&x;&x;&x;&x;&x;&x;&x;&x;'>"                      \
    "<!ENTITY z '&y;&y;&y;&y;&y;&y;&y;&y;'>]>"

static void test_entities_neither_grow_nor_lead_elsewhere(void **state)
{
    static const struct body bodies[] = {
        {"text/xml", BYTES(LAUGH "<a>&z;&z;&z;&z;</a>")},
        {"text/xml", BYTES(LAUGH "<a b='&z;&z;&z;&z;'/>")},
        {"text/xml", BYTES("<!DOCTYPE a [<!ENTITY x SYSTEM 'file:///etc/passwd'>]><a>&x;</a>")},
        {"text/xml", BYTES("<!DOCTYPE a [<!ENTITY x SYSTEM 'http://a.test/'>]><a>&x;</a>")},
        {"text/xml", BYTES("<!DOCTYPE a [<!ENTITY % x SYSTEM 'file:///etc/passwd'> %x;]><a/>")},
        {"text/xml", BYTES("<!DOCTYPE a [<!ENTITY % x '<!ENTITY y \"z\">'> %x;]><a>&y;</a>")},
        {"text/xml", BYTES("<!DOCTYPE a [<!ENTITY x PUBLIC 'p' 'q' NDATA n>]><a>&#65;</a>")},
    };
    xmlExternalEntityLoader loader = xmlGetExternalEntityLoader();

    (void)state;
    n_loaded = 0;
    xmlSetExternalEntityLoader(count_load);
    for (size_t i = 0; i < 6; i++)
        assert_refused(&bodies[i], -EPERM, "declares entities");
    assert_root(&bodies[6], "A"); /* names what is not XML and is not parsed */
    assert_int_equal(n_loaded, 0);
    xmlSetExternalEntityLoader(loader);
}

static void test_nothing_is_fetched_for_a_document(void **state)
{
    static const struct body bodies[] = {
        {"text/xml", BYTES("<!DOCTYPE a SYSTEM 'http://a.test/a.dtd'><a>&amp;</a>")},
        {"text/xml",
         BYTES("<!DOCTYPE a PUBLIC '-//W3C//DTD' 'file:///etc/passwd'><a>&#38;</a>")},
        {"text/xml", BYTES("<?xml-stylesheet href='http://a.test/'?>"
                           "<a xmlns:i='http://www.w3.org/2001/XInclude'>&amp;"
                           "<i:include href='file:///etc/passwd' parse='text'/></a>")},
    };
    xmlExternalEntityLoader loader = xmlGetExternalEntityLoader();

    (void)state;
    n_loaded = 0;
    xmlSetExternalEntityLoader(count_load);
    for (size_t i = 0; i < sizeof(bodies) / sizeof(*bodies); i++)
        assert_root(&bodies[i], "&");
    assert_int_equal(n_loaded, 0);
    xmlSetExternalEntityLoader(loader);
}

static void test_size_and_depth_have_limits(void **state)
{
    static const struct body body = {"text/xml", BYTES("<a>123456</a>")};
    struct xhr_xml_options options = {.size = sizeof(options), .bytes_max = body.len - 1};
    struct xhr_xml_error error;
    char deep[4000] = "";
    xmlDoc *document = NULL;

    (void)state;
    for (int spilled = 0; spilled < 2; spilled++) {
        struct peer peer;
        struct record record = {0};
        struct xhr_request *request = answered(&peer, &record, &body, spilled);

        assert_int_equal(xhr_request_response_xml(request, &options, &error, &document),
                         -EFBIG);
        assert_string_equal(error.text, "the body is longer than 12 bytes");
        options.bytes_max = body.len;
        assert_int_equal(xhr_request_response_xml(request, &options, &error, &document), 0);
        xmlFreeDoc(document);
        options.bytes_max = body.len - 1;
        xhr_request_free(request);
        peer_done(&peer);
    }
    for (size_t i = 0; i + 4 < sizeof(deep); i += 3)
        memcpy(deep + i, "<a>", 4);
    assert_refused(&(struct body){"text/xml", deep, strlen(deep)}, -EBADMSG, "depth");
}

static void test_wrong_use_is_told(void **state)
{
    static const struct body body = {"text/xml", BYTES("<a/>")};
    struct xhr_xml_options options = {.size = sizeof(options) - 1};
    struct xhr_xml_error error;
    struct peer peer;
    struct record record = {0};
    xmlDoc *document = NULL;

    (void)state;
    struct xhr_request *request = answered(&peer, &record, &body, false);
    assert_int_equal(xhr_request_response_xml(request, &options, &error, &document), -EINVAL);
    assert_non_null(strstr(error.text, "size"));
    assert_int_equal(xhr_request_response_xml(request, NULL, NULL, &document), 0);
    xmlFreeDoc(document);
    document = NULL;

    assert_int_equal(xhr_request_open(request, "GET", "http://a.test/", true), 0);
    assert_int_equal(xhr_request_response_xml(request, NULL, &error, &document), -EAGAIN);
    assert_string_equal(error.text, "the request is not done");
    assert_int_equal(xhr_request_send(request, NULL), 0);
    uint32_t id = peer_expect_open(&peer);
    say_head(&peer, id, "text/xml");
    peer_body(&peer, id, "<a>", 3);
    peer_turn(&peer);
    assert_int_equal(xhr_request_response_xml(request, NULL, NULL, &document), -EAGAIN);
    peer_fail(&peer, id, XHRD__V1__FAILURE_KIND__FAILURE_KIND_TRUNCATED);
    peer_turn(&peer);
    assert_int_equal(xhr_request_response_xml(request, NULL, &error, &document), -ENODATA);
    assert_non_null(strstr(error.text, "failed"));
    assert_null(document);
    xhr_request_free(request);
    peer_done(&peer);
}

static void test_long_document_is_read_from_its_file_piece_by_piece(void **state)
{
    size_t size = (size_t)1 << 20;
    char *text = malloc(size + 1);
    size_t at = 3;

    (void)state;
    assert_non_null(text);
    memcpy(text, "<a>", 3);
    for (; at + 12 < size; at += 8)
        memcpy(text + at, "<b>1</b>", 8);
    memcpy(text + at, "</a>", 5);
    struct body body = {"text/xml", text, strlen(text)};
    xmlDoc *document = NULL;
    assert_int_equal(parse(&body, true, NULL, &document), 0);
    assert_int_equal(xmlChildElementCount(xmlDocGetRootElement(document)), (at - 3) / 8);
    xmlFreeDoc(document);
    free(text);
}

static void *failing_malloc(size_t size)
{
    return ++n_allocated == fail_at ? NULL : malloc(size);
}

static void *failing_realloc(void *old, size_t size)
{
    return ++n_allocated == fail_at ? NULL : realloc(old, size);
}

static char *failing_strdup(const char *text)
{
    return ++n_allocated == fail_at ? NULL : strdup(text);
}

/* Without a parser there is nobody else to tell of it. */
static void say_nothing(void *context, XML_ERROR *said)
{
    (void)context;
    (void)said;
}

static void test_every_allocation_of_the_parser_may_fail(void **state)
{
    static const struct body body = {
        "text/xml; charset=utf-8",
        BYTES("<a xmlns='u:a' b='c'>text<b>\xC3\xA4</b><!-- x --></a>")};
    struct peer peer;
    struct record record = {0};
    unsigned failed = 0;
    unsigned n_told = 0;
    bool has_ended = false;
    int r = -ENOMEM;

    (void)state;
    xmlSetStructuredErrorFunc(NULL, say_nothing);
    struct xhr_request *request = answered(&peer, &record, &body, false);
    for (unsigned at = 1; !has_ended; at++) {
        struct xhr_xml_error error;
        xmlDoc *document = NULL;

        n_allocated = 0;
        fail_at = at;
        r = xhr_request_response_xml(request, NULL, &error, &document);
        fail_at = 0;
        has_ended = n_allocated < at;
        if (r == 0) {
            xmlChar *got = xmlNodeGetContent(xmlDocGetRootElement(document));
            assert_string_equal((const char *)got, "text\xC3\xA4");
            xmlFree(got);
            xmlFreeDoc(document);
        } else {
            /* libxml2 takes a URI there is no memory for as one that is none. */
            assert_true(r == -ENOMEM || r == -EBADMSG);
            assert_true(error.text[0]);
            n_told += r == -ENOMEM;
            failed++;
        }
    }
    assert_int_equal(r, 0);
    assert_true(failed > 10 && n_told > failed / 2);
    xmlSetStructuredErrorFunc(NULL, NULL);
    xhr_request_free(request);
    peer_done(&peer);
}

static int set_up(void **state)
{
    (void)state;
    return xmlMemSetup(free, failing_malloc, failing_realloc, failing_strdup);
}

static int clean_up(void **state)
{
    (void)state;
    xmlCleanupParser();
    return 0;
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bytes_are_decoded_by_mark_then_type_then_declaration),
        cmocka_unit_test(test_what_is_not_a_document_is_an_error_with_a_line),
        cmocka_unit_test(test_entities_neither_grow_nor_lead_elsewhere),
        cmocka_unit_test(test_nothing_is_fetched_for_a_document),
        cmocka_unit_test(test_size_and_depth_have_limits),
        cmocka_unit_test(test_wrong_use_is_told),
        cmocka_unit_test(test_long_document_is_read_from_its_file_piece_by_piece),
        cmocka_unit_test(test_every_allocation_of_the_parser_may_fail),
    };

    return cmocka_run_group_tests(tests, set_up, clean_up);
}
