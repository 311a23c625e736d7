/* SPDX-License-Identifier: MIT */
/* feed URL: the titles in a feed. cc feed.c $(pkg-config --cflags --libs libxhr-xml) */
#include <stdio.h>
#include <string.h>
#include <xhr/xml.h>

static void print_titles(const xmlNode *node)
{
    for (; node; node = node->next) {
        if (node->type == XML_ELEMENT_NODE && strcmp((const char *)node->name, "title") == 0) {
            xmlChar *title = xmlNodeGetContent(node);

            (void)puts((const char *)title);
            xmlFree(title);
        }
        if (node->type == XML_ELEMENT_NODE)
            print_titles(node->children); /* no deeper than libxml2 parses: 256 */
    }
}

static int print_feed(struct xhr_request *request)
{
    struct xhr_xml_error error;
    xmlDoc *document;
    int r = xhr_request_response_xml(request, NULL, &error, &document);

    if (r < 0) {
        (void)fprintf(stderr, "%d:%d: %s\n", error.line, error.column, error.text);
        return r;
    }
    print_titles(xmlDocGetRootElement(document));
    xmlFreeDoc(document);
    return 0;
}

int main(int argc, char **argv)
{
    struct xhr_request_options request = {
        .size = sizeof(request), .memory_bytes_max = 65536, .spill = true};
    struct xhr_fetch_options options = {
        .size = sizeof(options), .url = argc > 1 ? argv[1] : "", .request = &request};
    struct xhr_response *response;
    int r = xhr_fetch(&options, &response);

    if (r == 0)
        r = print_feed(xhr_response_request(response));
    else if (response)
        (void)fprintf(stderr, "%s\n", xhr_response_error(response)->text);
    xhr_response_free(response);
    return r == 0 ? 0 : 1;
}
