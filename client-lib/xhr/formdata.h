/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The form made of -F and --form-string, in curl's syntax. Files go to the library as
 * descriptors, pipes are streamed: neither is ever in memory as a whole.
 */

#include "options.h"
#include "postdata.h"

struct formdata {
    struct xhr_form *form;     /* NULL: none */
    struct postdata **sources; /* whose descriptors the form's callbacks read */
    size_t n_sources;
};

/**
 * formdata_load() - read and open what the command line names
 * Return: 0 or an exit code with *why filled. *ret is there until the program ends.
 */
int formdata_load(const struct cli_options *options, struct formdata *ret, struct trouble *why);

/* The pipe that has nothing to give now; NULL: none. */
struct postdata *formdata_waiting(const struct formdata *formdata);
