/* SPDX-License-Identifier: MIT */
#pragma once

/* What the files of the access rules share. */

#include "policy/access_rules.h"

/* access_credential.c: "api.example.com bearer /path". Return: 0; -EINVAL; -E2BIG; -EEXIST:
 * there is one for that host in line *ret_other; -ENOMEM. */
MUST_CHECK int access_credential_add(struct access_section *section,
                                     const char *value,
                                     unsigned line,
                                     unsigned *ret_other);
void access_credentials_clear(struct access_section *section);
