/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * What -o and -O mean for a file: its folder, its name, where in it to begin. A regular file,
 * or one that is not there yet, is libxhr's to write and appears when it is whole; pipes and
 * devices are written as the bytes come.
 */

#include "output.h"

/**
 * saving_prepare() - --create-dirs, --no-clobber, -C; tells files from what is none
 * @url: for messages
 * Return: 0 or an exit code with *why filled.
 */
int saving_prepare(struct output *output,
                   const struct cli_options *options,
                   struct trouble *why);

/* What libxhr is to do. @choose: of -J. */
void saving_file(const struct output *output,
                 const struct cli_options *options,
                 const char *(*choose)(struct xhr_request *request, void *user),
                 void *user,
                 struct xhr_file *ret);

/* Is the range that was asked for by -C OFFSET the one that came? */
bool saving_range_fits(struct xhr_request *request, uint64_t offset);

/* The name in a Content-Disposition field, without folders and what no name should hold, RFC
 * 6266. Return: whether there is one. */
bool saving_header_name(struct strbuf *out, const char *field);

/**
 * saving_choose() - -J: the path becomes one with the name that the server gave
 * Return: 0, also when it gave none; or an exit code with *why filled.
 */
int saving_choose(struct output *output,
                  const struct cli_options *options,
                  const char *field,
                  struct trouble *why);
