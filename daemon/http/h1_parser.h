/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * HTTP/1.x responses (RFC 9112): bytes in, one event out. Pull style: it never calls out, so it
 * cannot be freed under its own feet, and a caller that stops asking has stopped the stream.
 *
 * Order of events: H1_INFORMATIONAL*, H1_HEAD, H1_BODY*, H1_TRAILERS?, H1_DONE. However the
 * input is cut, the events are the same (body pieces joined). Body bytes are never copied; head
 * bytes are copied once, into the headers' arena, save for a line that is split over two
 * inputs.
 *
 * Strict where leniency has been used to smuggle (chunk lines, lengths, bare CR, NUL, space
 * before the colon); lenient where RFC 9112 tells a user agent to be: obs-fold is joined by a
 * space (§5.2), a single LF may end a line of the head (§2.2, and the connection is closed
 * after it), a missing reason phrase is fine. Not here: what a status means, decoding, time
 * limits.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/failure.h"
#include "base/span.h"
#include "http/framing.h"
#include "http/headers.h"
#include "http/line_reader.h"

/* What a server chooses and we bound. */
struct h1_parser_options {
    size_t head_bytes_max; /* the first three: see struct head_limits */
    size_t line_bytes_max;
    size_t fields_max;
    size_t chunk_extension_bytes_max; /* beyond one byte per byte of data: CVE-2023-39326 */
    size_t trailer_bytes_max;         /* the trailer section */
};

struct h1_parser_options h1_parser_options_default(void);

/* What is wrong with an answer. h1_error_kind() tells the class. */
enum h1_error {
    H1_OK = 0,
    H1_E_NOT_HTTP = 1,      /* does not begin with "HTTP/" */
    H1_E_VERSION,           /* not HTTP/1.x */
    H1_E_STATUS_LINE,       /* no three-digit status, or not where it belongs */
    H1_E_FIELD_LINE,        /* no colon, no name, or white space where none may be */
    H1_E_FIELD_NAME,        /* not a token; includes a space before the colon */
    H1_E_FORBIDDEN_BYTE,    /* NUL or a CR that ends no line */
    H1_E_FOLDED_FRAMING,    /* Content-Length or Transfer-Encoding over several lines */
    H1_E_CONTENT_LENGTH,    /* FRAMING_E_CONTENT_LENGTH */
    H1_E_TRANSFER_ENCODING, /* FRAMING_E_TRANSFER_ENCODING */
    H1_E_UNASKED_UPGRADE,   /* 101 to a request without Upgrade */
    H1_E_CHUNK_SIZE,        /* not 1..16 hex digits, or too big */
    H1_E_CHUNK_LINE,        /* a chunk or trailer line not ended by CR LF, or a control byte */
    H1_E_CHUNK_END,         /* chunk data not followed by CR LF */
    H1_E_HEAD_LIMIT,        /* head_bytes_max */
    H1_E_LINE_LIMIT,        /* line_bytes_max */
    H1_E_FIELDS_LIMIT,      /* fields_max */
    H1_E_EXTENSION_LIMIT,   /* chunk_extension_bytes_max */
    H1_E_TRAILER_LIMIT,     /* trailer_bytes_max */
    H1_E_TRUNCATED,         /* the connection ended inside the response */
    H1_E_EMPTY_REPLY,       /* the connection ended before its first byte */
    H1_ERROR_COUNT,
};

const char *h1_error_text(int error); /* for people: "chunk size is not a number" */

/* FAILURE_PROTOCOL, FAILURE_LIMIT, FAILURE_TRUNCATED or FAILURE_EMPTY_REPLY. */
enum failure_kind h1_error_kind(int error);

/* Everything borrowed here belongs to the parser. */
struct h1_response_head {
    unsigned status;               /* 100..999: what the server wrote */
    unsigned http_version;         /* 10 or 11 */
    struct span reason;            /* as sent; may be empty */
    const struct headers *headers; /* in the order they came */
    struct framing framing;
    bool keep_alive;     /* nothing in the head speaks against another exchange */
    size_t header_bytes; /* this head on the wire, from status line to empty line */
};

enum h1_event_kind {
    H1_NEED_MORE,     /* all input is eaten; feed again with more, or finish */
    H1_INFORMATIONAL, /* head: a 1xx other than 101; the real answer is still to come */
    H1_HEAD,          /* head: the answer's */
    H1_BODY,          /* body: at least one byte */
    H1_TRAILERS,      /* trailers: those kept, at least one */
    H1_DONE,          /* the response is whole. What is left of the input is not its part */
};

struct h1_event {
    enum h1_event_kind kind;
    const struct h1_response_head *head; /* valid until the next head of this parser */
    struct span body;                    /* points into the input given */
    const struct headers *trailers;      /* valid until h1_parser_reset() */
};

enum h1_state {
    H1_STATE_START_LINE,
    H1_STATE_FIELDS,
    H1_STATE_BODY, /* by length, or until close */
    H1_STATE_CHUNK_SIZE,
    H1_STATE_CHUNK_SPACE,     /* white space between the size and what follows */
    H1_STATE_CHUNK_EXTENSION, /* between ";" and CR */
    H1_STATE_CHUNK_LINE_LF,
    H1_STATE_CHUNK_DATA,
    H1_STATE_CHUNK_DATA_CR,
    H1_STATE_CHUNK_DATA_LF,
    H1_STATE_TRAILERS,
    H1_STATE_DONE,
    H1_STATE_FAILED,
};

/* Embedded by its owner; nothing in it is for others to touch. */
struct h1_parser {
    struct h1_parser_options options;
    enum response_to to;
    enum h1_state state;
    int error;     /* with H1_STATE_FAILED */
    bool any_byte; /* of this exchange */
    uint8_t chunk_digits;
    size_t head_bytes;    /* of this exchange so far */
    size_t head_start;    /* head_bytes where the head at hand began */
    size_t trailer_bytes; /* of this exchange so far */
    size_t fields;        /* lines of the section at hand */
    size_t extension_debt;
    uint64_t remaining; /* of the body or chunk */
    struct line_reader lines;
    struct buf reason;
    struct headers headers;
    struct headers trailers;
    struct h1_response_head head;
};

/* @options is copied. Allocates nothing. */
void h1_parser_init(struct h1_parser *parser,
                    const struct h1_parser_options *options,
                    enum response_to to);
void h1_parser_done(struct h1_parser *parser);

/* Ready for the next exchange on the connection: forgets everything, keeps (small) storage. */
void h1_parser_reset(struct h1_parser *parser, enum response_to to);
/* Of the exchange that begins: nothing of it has been read. */
void h1_parser_set_limits(struct h1_parser *parser, const struct head_limits *limits);

/**
 * h1_parser_feed() - eat from @input, give one event
 * @input: what has come; its front is dropped as it is eaten. May be empty.
 * @ret:   the event; untouched on failure
 *
 * Ask again until the event is H1_NEED_MORE or H1_DONE, also once @input is empty: the end of
 * a body is an event of its own. After H1_DONE it eats nothing more and says H1_DONE again.
 *
 * Return: 0, -ENOMEM, or one of enum h1_error; errors stay.
 */
MUST_CHECK int
h1_parser_feed(struct h1_parser *parser, struct span *input, struct h1_event *ret);

/**
 * h1_parser_finish() - the connection will bring nothing more
 * @clean_eof: it ended as it should: FIN on plain TCP, close_notify on TLS (RFC 9112 §9.8).
 *             Decides whether a body that ends with the connection is whole.
 *
 * Return: 0 when the response is whole, H1_E_TRUNCATED, H1_E_EMPTY_REPLY, or an earlier error.
 */
MUST_CHECK int h1_parser_finish(struct h1_parser *parser, bool clean_eof);

/* Whether the connection may carry another exchange: done, allowed by both head and framing,
 * and no byte came that belongs to nobody (@unread_bytes: the input left over after H1_DONE).
 */
bool h1_parser_may_reuse(const struct h1_parser *parser, size_t unread_bytes);

/* How much of a body, or of the chunk at hand, is still to come; of a body that ends with the
 * connection more than there is. 0 where nothing is known. */
uint64_t h1_parser_announced(const struct h1_parser *parser);

/* Head and trailer bytes of this exchange so far, 1xx included. */
size_t h1_parser_header_bytes(const struct h1_parser *parser);
