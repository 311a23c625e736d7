/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * libxhr-xml: responseXML. A library of its own (cc ... $(pkg-config --cflags --libs
 * libxhr-xml)), so that only programs that want XML load libxml2.
 */

#include <libxml/tree.h>
#include <xhr/xhr.h>

#ifdef __cplusplus
extern "C" {
#endif

struct xhr_xml_options {
    size_t size;      /* sizeof(struct xhr_xml_options) */
    size_t bytes_max; /* a longer body is not parsed; 0: 64 MiB */
};

/* Why there is no document. */
struct xhr_xml_error {
    int code; /* an xmlParserErrors of libxml2; 0: it was not the parser that said no */
    int line; /* from 1; 0: of no line */
    int column;
    char text[200];
};

/**
 * xhr_request_response_xml() - responseXML: the body of a request that is done, parsed
 * @options: NULL: the defaults
 * @ret_error: what is wrong, when it fails; or NULL
 * @ret: the document, which is the caller's: xmlFreeDoc()
 *
 * Bytes are decoded as XML says: by the byte order mark, else the charset parameter of
 * Content-Type, else the declaration, else as UTF-8 or UTF-16; what does not decode is an
 * error. Nothing is fetched and no file is opened, whatever the document names. A document
 * that declares entities is refused: nothing in it can grow, or lead elsewhere. Status and type
 * of the answer are the program's to look at.
 *
 * Return: 0; -EINVAL: options that cannot be; -EAGAIN: it is not DONE; -ENODATA: it failed, the
 * body is empty, or it went to a file, a descriptor or on_body; -EFBIG: it is longer than
 * bytes_max; -EILSEQ: in a charset that cannot be decoded; -EBADMSG: not well-formed;
 * -EPERM: entities are declared; -EIO, -ENOMEM.
 */
XHR_API int xhr_request_response_xml(struct xhr_request *request,
                                     const struct xhr_xml_options *options,
                                     struct xhr_xml_error *ret_error,
                                     xmlDoc **ret);

#ifdef __cplusplus
}
#endif
