/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Requests as HTTP Archive 1.2. What the daemon tells of a request has no secrets and no body,
 * so the archive has none: values of cookies, logins and queries stand as "***".
 */

#include "internal.h"
#include "strbuf.h"

/* A file that is a whole archive after every entry. */
struct har {
    int fd;
    uint64_t end; /* where the next entry goes */
    bool comma;
};

/* Return: 0 or -errno. An existing file begins anew. */
int har_open(struct har *har, const char *name);
int har_add(struct har *har, const Xhrd__V1__RequestRecord *record);
int har_close(struct har *har);
