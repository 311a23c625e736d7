/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * One URL after another over one connection to the daemon: what the command line says becomes
 * requests, and what they tell becomes output, events and an exit code.
 */

#include "event_log.h"
#include "formdata.h"
#include "options.h"
#include "postdata.h"

/* What all URLs of a command share. */
struct session {
    const struct cli_options *options;
    struct xhr_client *client;
    struct xhr_request_options request_options;
    struct postdata postdata;
    struct formdata formdata;
    struct event_log events;
    struct strbuf query;     /* of -G */
    struct strbuf write_out; /* its format; empty: none */
    struct strbuf ca_pem;
    struct strbuf identity; /* of -E and --key */
    struct words headers;   /* of -H, files read */
    struct strbuf *files;   /* what the headers of -H @FILE point into */
    size_t n_files;
    struct strbuf cookie;
    struct strbuf range;
    struct strbuf netrc; /* its text; a secret */
    const char *netrc_name;
    char *user;
    char *password;
    char *proxy_user;
    char *proxy_password;
    struct xhr_resolve *resolve;
    struct xhr_connect_to *connect_to;
};

/**
 * session_open() - everything that can be refused before anything is sent
 * Return: 0 or an exit code with *why filled; session_close() in any case.
 */
int session_open(struct session *session,
                 const struct cli_options *options,
                 struct trouble *why);
/* At the end of the program, which takes the memory with it: the kernel is faster at that.
 * Secrets are wiped. Return: 0 or an exit code with *why filled: the events could not be
 * written. */
int session_close(struct session *session, struct trouble *why);

/**
 * transfer_run() - one URL, to its end; errors are said on standard error as -s and -S allow
 * @ret_stop: set when going on with the next URL makes no sense: interrupted, no daemon
 * Return: exit code.
 */
int transfer_run(struct session *session, size_t index, bool *ret_stop);
