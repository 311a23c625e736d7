/* SPDX-License-Identifier: MIT */
#pragma once

#include "trouble.h"

/**
 * password_ask() - on the controlling terminal, without echo
 * @of:  whose: "host", "proxy"
 * @flag: that would have taken it: "-u"
 * @ret: to be freed
 * Return: 0 or an exit code with *why filled: there is no terminal, or a signal came.
 */
int password_ask(
    const char *of, const char *flag, const char *user, char **ret, struct trouble *why);
