/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The inside of the cookie functions:
 *
 *   cookies.c       an answer: what it holds, and the command it is to
 *   cookie_calls.c  the functions of the public header, each a command filled in
 *   cookie_list.c   cookies and jars of the wire, copied
 *   cookie_many.c   many at once, and what is said of each
 *   cookie_watch.c  watches
 */

#include "xhr_priv.h"

/* Cookies told by the daemon, with their texts. */
struct xhr_cookie_list {
    struct xhr_cookie *at;
    char **texts; /* of each: all its strings, one behind the other */
    size_t count;
    size_t capacity;
};

/* Return: 0, -EMSGSIZE for more than any jar holds, -ENOMEM. */
int xhr_cookie_list_take(struct xhr_cookie_list *list,
                         Xhrd__V1__Cookie *const *cookies,
                         size_t count);
void xhr_cookie_list_done(struct xhr_cookie_list *list); /* empty again */

struct xhr_jar_list {
    struct xhr_jar_info *at;
    char **texts;
    size_t count;
};

/* Return: as xhr_cookie_list_take(). */
int xhr_jar_list_take(struct xhr_jar_list *list, Xhrd__V1__JarInfo *const *jars, size_t count);
void xhr_jar_list_done(struct xhr_jar_list *list);

/* What is said of each of many: refusals, or verdicts; never both. */
struct xhr_remark {
    struct xhr_cookie_refusal refusal;
    struct xhr_cookie_verdict verdict;
    char *text;
};

struct xhr_remark_list {
    struct xhr_remark *at;
    size_t n_refused;
    size_t n_verdicts;
};

/* Return: as xhr_cookie_list_take(). */
int xhr_remark_list_take(struct xhr_remark_list *list, const Xhrd__V1__CookieReply *reply);
void xhr_remark_list_done(struct xhr_remark_list *list);

#define XHR_COOKIES_MAX 65536 /* of one answer: a jar holds 3,000 */

struct xhr_cookies {
    struct xhr_slot slot; /* first */
    struct xhr_client *client;
    void (*done)(const struct xhr_cookies *cookies, void *user);
    void *user;
    struct xhr_sync *sync; /* of a call that blocks, which takes the result over */
    struct xhr_cookie_list list;
    struct xhr_jar_list jars;
    struct xhr_remark_list remarks;
    uint64_t changed;
    bool not_persisted;
    enum xhr_durability durability;
    bool has_error;
    struct xhr_error error;
};

/* What is wrong with taking an answer in, for a person. */
void xhr_cookies_explain(int r, struct xhr_failure *ret);

/* A command of the wire, and the storage of whatever one may hold. */
struct xhr_cookie_command {
    Xhrd__V1__ClientMessage message;
    Xhrd__V1__CookieCommand cookie;
    Xhrd__V1__CookieFilter filter;
    Xhrd__V1__Cookie value;
    Xhrd__V1__JarGrant grant;
    union {
        Xhrd__V1__CookieList list;
        Xhrd__V1__CookieSet set;
        Xhrd__V1__CookieRemove remove;
        Xhrd__V1__CookieWatch watch;
        Xhrd__V1__CookieAddAll add_all;
        Xhrd__V1__CookieExplain explain;
        Xhrd__V1__SessionEnd end_session;
        Xhrd__V1__JarList jar_list;
        Xhrd__V1__JarCreate jar_create;
        Xhrd__V1__JarRemove jar_remove;
        Xhrd__V1__JarGive jar_grant;
        Xhrd__V1__JarRevoke jar_revoke;
    } operation;
};

/* @jar: NULL: the default. The operation is left to be said. */
void xhr_cookie_command_init(struct xhr_cookie_command *command, const char *jar);

/* Queues it for @slot. Return: 0 or -errno. */
int xhr_cookie_command_send(struct xhr_client *client,
                            struct xhr_slot *slot,
                            struct xhr_cookie_command *command);

/**
 * xhr_cookie_command_run() - send it, and wait for the answer if @ret is not NULL
 * @call: size and jar are not looked at
 * Return: as the public functions say.
 */
int xhr_cookie_command_run(struct xhr_client *client,
                           struct xhr_cookie_command *command,
                           const struct xhr_cookie_call *call,
                           struct xhr_cookies **ret);

/* Return: 0 or -EINVAL. */
int xhr_cookie_to_wire(const struct xhr_cookie *cookie, Xhrd__V1__Cookie *ret);

/* Begins a command. Return: 0, or -EINVAL for a @given that makes no sense. */
int xhr_cookie_command_begin(struct xhr_cookie_command *command,
                             const struct xhr_cookie_call *given,
                             struct xhr_cookie_call *call,
                             struct xhr_cookies **ret);
/* Return: whether anything is given; -EINVAL. */
int xhr_cookie_command_filter(struct xhr_cookie_command *command,
                              const struct xhr_cookie_filter *filter);

ProtobufCBinaryData xhr_borrow_text(const char *text); /* NULL: empty */
