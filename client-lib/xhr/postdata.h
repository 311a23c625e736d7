/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The body made of -d and its sisters. One file sent as it is goes to the daemon as a
 * descriptor, a pipe is streamed: neither is ever in memory as a whole. Everything else must be
 * put together first, as curl does.
 */

#include "options.h"
#include "strbuf.h"

enum postdata_kind {
    POSTDATA_NONE,
    POSTDATA_BYTES,
    POSTDATA_FILE,
    POSTDATA_PIPE, /* bytes that were read already, then what comes from fd */
};

struct postdata {
    enum postdata_kind kind;
    struct strbuf bytes;
    int fd; /* -1: none; standard input is not ours */
    const char *name;
    uint64_t offset;
    uint64_t length;
    bool json;
    bool is_upload; /* of -T: it has no type */

    size_t given; /* PIPE: of bytes */
    bool taken;   /* PIPE: something of it was sent, and cannot be sent again */
    bool waiting; /* PIPE: fd has nothing; poll it, then xhr_request_resume_upload() */
};

/* How much of a pipe is read to learn its length; what is longer is sent chunked. */
#define POSTDATA_PEEK_BYTES (1u << 20)

/**
 * postdata_load() - read what the command line names
 * Return: 0 or an exit code with *why filled; *ret is to be given to postdata_done() anyway.
 */
int postdata_load(const struct cli_options *options, struct postdata *ret, struct trouble *why);
void postdata_done(struct postdata *postdata);

/**
 * postdata_open() - one file by itself; "-" is standard input
 * @keep: it will be sent more than once: a pipe is read to its end
 * Return: as postdata_load().
 */
int postdata_open(struct postdata *ret, const char *name, bool keep, struct trouble *why);

/* Fills *ret, which borrows from @postdata. @typed: the user set a Content-Type. */
void postdata_body(struct postdata *postdata, bool typed, struct xhr_body *ret);
