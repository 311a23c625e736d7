/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * What went wrong, for the one line on standard error and the exit code: curl's number where
 * curl has one. Shared by xhr and xhrctl.
 */

#include "xhr/xhr.h"

enum exit_code {
    EXIT_OK = 0,
    EXIT_USAGE = 2,
    EXIT_URL = 3,
    EXIT_PROXY = 5,
    EXIT_DNS = 6,
    EXIT_CONNECT = 7,
    EXIT_WEIRD_REPLY = 8,
    EXIT_TRUNCATED = 18,
    EXIT_HTTP_STATUS = 22,
    EXIT_WRITE = 23,
    EXIT_READ = 26,
    EXIT_RESOURCES = 27,
    EXIT_TIMEOUT = 28,
    EXIT_RANGE = 33,
    EXIT_TLS = 35,
    EXIT_ABORTED = 42,
    EXIT_INTERFACE = 45,
    EXIT_REDIRECTS = 47,
    EXIT_EMPTY_REPLY = 52,
    EXIT_SEND = 55,
    EXIT_RECEIVE = 56,
    EXIT_CERTIFICATE_FILE = 58,
    EXIT_CERTIFICATE = 60,
    EXIT_CODING = 61,
    EXIT_LIMIT = 63,
    EXIT_REWIND = 65,
    EXIT_CA_FILE = 77,
    EXIT_PIN = 90,
    EXIT_CERTIFICATE_STATUS = 91,
    EXIT_PROXY_HANDSHAKE = 97,
    EXIT_DAEMON = 100,
    EXIT_POLICY = 101,
    EXIT_QUOTA = 102,
};

#define TROUBLE_TEXT_MAX 1024

struct trouble {
    int exit_code;               /* 0: none */
    char text[TROUBLE_TEXT_MAX]; /* one line, safe to show on a terminal */
};

/* Fills *ret; a longer text is cut, control characters become '?'. Return: @exit_code. */
int trouble_set(struct trouble *ret, int exit_code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* "program: (7) text" on standard error, by one write(). */
void trouble_say(const struct trouble *trouble, const char *program);

/* The exit code of a class of failures. */
int exit_code_of(enum xhr_error_class kind);

/**
 * trouble_of_error() - put a failed request into words: what, where, and what to do about it
 * @url: that was asked for; its host and port are the "where"
 * Return: the exit code.
 */
int trouble_of_error(struct trouble *ret, const struct xhr_error *error, const char *url);
