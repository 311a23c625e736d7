/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Logins from a .netrc, as ftp and curl read it: machine, default, login, password; account and
 * macdef are skipped, quotes and '#' comments are curl's. The first machine that fits is taken;
 * nothing is guessed from a file that is broken.
 */

#include <stdbool.h>
#include <stddef.h>

#define NETRC_BYTES_MAX 1048576
#define NETRC_TOKEN_MAX 4096

enum netrc_outcome {
    NETRC_NONE = 0, /* no machine of that name, and no default */
    NETRC_FOUND,
    NETRC_E_SYNTAX, /* *ret_line says where */
};

/**
 * netrc_find() - the login of a host
 * @text:         of the file, ends with a NUL
 * @host:         without brackets; compared without case
 * @ret_user:     owned by the caller; "" where the file names none
 * @ret_password: the same
 * Return: enum netrc_outcome, or -ENOMEM.
 */
int netrc_find(const char *text,
               const char *host,
               char **ret_user,
               char **ret_password,
               unsigned *ret_line);
