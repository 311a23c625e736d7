/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Where the body of one answer goes: standard output, or a file that is opened when the first
 * byte comes, as curl does, so that a request that fails early destroys nothing. A regular file
 * gets its name when it is finished; until then what was there before stays.
 */

#include "options.h"
#include "savefile.h"
#include "strbuf.h"

struct output {
    int fd; /* -1: not open yet */
    bool to_stdout;
    bool explicitly; /* -o -: also to a terminal, whatever it is */
    bool regular;    /* a file that can be removed again */
    bool append;
    bool as_file;   /* libxhr writes it: nothing comes here but the body of an error */
    bool appends;   /* of as_file: behind what is there */
    bool is_shared; /* the daemon writes, too: where the file ends is to be asked */
    uint64_t size;  /* written to @save */
    struct xhr_savefile save;
    bool written; /* at least a byte */
    int error;    /* the first -errno */
    struct strbuf path;
};

/**
 * output_choose() - by -o, -O and --output-dir, for the URL of this index
 * Return: 0 or an exit code with *why filled.
 */
int output_choose(struct output *ret,
                  const struct cli_options *options,
                  size_t index,
                  const char *url,
                  struct trouble *why);

/* "-" is standard output. */
void output_to(struct output *ret, const char *file, bool append);

/* Return: 0 or -errno; -EILSEQ for bytes that would garble the terminal. */
int output_write(struct output *output, const void *bytes, size_t len);

/* Whether somebody else may write behind what was written: not beyond our limit of a file's
 * size, which is nobody else's. */
bool output_may_be_shared(const struct output *output);

/* Makes an empty file where nothing was written, and closes. Return: 0 or -errno, also of an
 * earlier write. */
int output_finish(struct output *output);

/* Closes, and removes what was begun. */
void output_discard(struct output *output);

/* For another try: empties the file of a transfer that ended. Return: false where something was
 * written that cannot be taken back. */
bool output_rewind(struct output *output);

/* "stdout" or the path. */
const char *output_name(const struct output *output);

/* Fills *why for an error of the above. Return: EXIT_WRITE. */
int output_trouble(const struct output *output, int error, struct trouble *why);
void output_done(struct output *output);
