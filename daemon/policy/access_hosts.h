/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * A list of hosts as an administrator writes it: "api.example.com", "*.example.com" for all
 * that is below a name, "example.com:8443" for one port of it, addresses, "*" for everything.
 * Looking one up costs a binary search for each label of its name, however long the list is.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/span.h"

#define ACCESS_HOSTS_MAX 65536 /* entries of a list */

struct access_host {
    char *name; /* owned; canonical, no brackets, no trailing dot; "" with is_below: any host */
    bool is_below; /* "*." stood before it: what is below the name, and not the name itself */
    uint16_t port; /* 0: any */
    unsigned line; /* where it stands */
};

struct access_hosts {
    struct access_host *at; /* owned; sorted by access_hosts_sort() */
    size_t n;
    size_t capacity;
};

void access_hosts_done(struct access_hosts *hosts);

/**
 * access_hosts_add() - one word of the list
 * Return: 0; -EINVAL: it is no such word; -E2BIG: more than ACCESS_HOSTS_MAX; -ENOMEM.
 */
MUST_CHECK int access_hosts_add(struct access_hosts *hosts, struct span word, unsigned line);

/* Before the first look-up, once all words are in. */
void access_hosts_sort(struct access_hosts *hosts);

/**
 * access_hosts_find() - the entry that names a host
 * @host: canonical; brackets and one trailing dot are looked through
 * Return: the most telling one (the name itself before what it is below, a port before any), or
 * NULL.
 */
const struct access_host *
access_hosts_find(const struct access_hosts *hosts, struct span host, uint16_t port);

/* As it could have been written: "*.example.com:8443". Return: 0, -ENOMEM or -EMSGSIZE. */
MUST_CHECK int access_host_format(const struct access_host *host, struct buf *out);
