/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Cookies on their way into a jar of the daemon: gathered until it pays to send them, and a
 * word for each that was refused.
 */

#include "trouble.h"
#include "xhr/xhr.h"

struct cookie_import {
    struct xhr_client *client;
    const char *jar;
    /* @where: as it was given with the cookie. */
    void (*on_refused)(void *user, size_t where, const char *why);
    void *user;
    uint64_t n_imported;
    uint64_t n_refused;
    bool not_persisted;

    struct xhr_cookie at[XHR_COOKIES_IMPORT_MAX];
    size_t where[XHR_COOKIES_IMPORT_MAX];
    char *texts[XHR_COOKIES_IMPORT_MAX];
    size_t n;
    size_t bytes;
};

void cookie_import_begin(struct cookie_import *import,
                         struct xhr_client *client,
                         const char *jar,
                         void (*on_refused)(void *user, size_t where, const char *why),
                         void *user);
void cookie_import_done(struct cookie_import *import); /* what was not sent is forgotten */

/* @cookie is copied. Return: 0 or an exit code with *why filled. */
int cookie_import_add(struct cookie_import *import,
                      const struct xhr_cookie *cookie,
                      size_t where,
                      struct trouble *why);
/* One more that was left out. */
void cookie_import_refuse(struct cookie_import *import, size_t where, const char *why);

/* Sends what is left. Return: as cookie_import_add(). */
int cookie_import_flush(struct cookie_import *import, struct trouble *why);

/* A cookies.txt, whole; lines that are no cookies are told like those that are refused. */
int cookie_import_text(struct cookie_import *import,
                       const char *bytes,
                       size_t len,
                       bool no_session,
                       struct trouble *why);

/* What a call about a jar came to. @answer may be NULL. Return: 0 or an exit code with *why
 * filled. */
int cookie_answer_code(int r, const struct xhr_cookies *answer, struct trouble *why);
