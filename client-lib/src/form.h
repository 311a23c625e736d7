/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Form objects. form.c keeps what the program puts in; form_text.c is the grammar of
 * multipart/form-data (RFC 7578, escapes as HTML says) and of urlencoded; form_body.c turns a
 * form into a body at the moment it is sent: files are opened and measured, and either read
 * whole (small forms: the daemon can send them again) or piece by piece while they are sent.
 */

#include "xhr_priv.h"

#define XHR_FORM_PARTS_MAX   10000
#define XHR_FORM_SPOOL_BYTES 1048576u /* a form with files that is kept, to be sent again */
#define XHR_BOUNDARY_PREFIX  "----xhrFormBoundary"
#define XHR_BOUNDARY_BYTES   (sizeof(XHR_BOUNDARY_PREFIX) + 32) /* with its NUL */

struct xhr_form_entry {
    struct xhr_form_part part; /* its pointers are ours, its fd is a duplicate */
    char *filename;            /* what is sent; NULL: none */
    const char *content_type;  /* what is sent, borrowed of part or static; NULL: none */
};

struct xhr_form {
    enum xhr_form_encoding encoding;
    struct xhr_form_entry *entries;
    size_t count;
    size_t capacity;
    char trouble[XHR_TEXT_MAX];
};

/* form_text.c */

/* 128 bits of the kernel's randomness, in hex. Return: 0 or -errno. */
int xhr_boundary_new(char ret[XHR_BOUNDARY_BYTES]);
/* A name as it stands between the quotes: UTF-8, line ends normalised and escaped. */
int xhr_form_add_name(struct xhr_bytes *out, const char *name);
int xhr_form_add_filename(struct xhr_bytes *out, const char *filename);
int xhr_form_add_urlencoded(struct xhr_bytes *out, const void *bytes, size_t len);
/* By the ending of the one, else the other (NULL: none); application/octet-stream when neither
 * says anything. */
const char *xhr_form_guess_type(const char *filename, const char *path);

/* form_body.c */

struct xhr_form_body; /* a form on its way */

/**
 * xhr_form_body_new() - open and measure, and write what is around the files
 * @form: not needed any more afterwards; its trouble is set when a file cannot be read
 * Return: 0 or -errno.
 */
int xhr_form_body_new(struct xhr_form *form, struct xhr_form_body **ret);
/* May be called from inside its own reading. NULL is fine. */
void xhr_form_body_free(struct xhr_form_body *body);
/* What xhr_request_send() is to be given; borrows from @body. */
void xhr_form_body_describe(struct xhr_form_body *body, struct xhr_body *ret);
const char *xhr_form_body_boundary(const struct xhr_form_body *body); /* NULL: urlencoded */
/* After reading failed: in words, to follow "the request's body". NULL: nothing to say. */
const char *xhr_form_body_trouble(const struct xhr_form_body *body);
