/* SPDX-License-Identifier: MIT */
#pragma once

/* TCP: TCP_NODELAY, keep-alive probes, one recv per read and one sendmsg per write. */

#include "net/io.h"

struct io_tcp_options {
    int keepalive_idle_s; /* before the first probe; 0: no probes */
    int keepalive_interval_s;
    int keepalive_probes;
    int user_timeout_ms; /* unacknowledged for so long ends it; 0: the kernel's own patience */
    bool is_bound; /* leave from these: where there is none of a family it is not dialled */
    struct address local_v4; /* AF_UNSPEC: none */
    struct address local_v6;
};

static inline struct io_tcp_options io_tcp_options_default(void)
{
    return (struct io_tcp_options){
        .keepalive_idle_s = 60, .keepalive_interval_s = 15, .keepalive_probes = 4};
}

/**
 * io_tcp_connect() - begin to connect
 * @options: NULL for the defaults; copied
 * Return: 0 (on_connected or on_failed will tell), or -errno when it failed at once: no
 * descriptor, no memory, no route.
 */
MUST_CHECK int io_tcp_connect(struct loop *loop,
                              const struct address *address,
                              const struct io_tcp_options *options,
                              const struct io_events *events,
                              void *owner,
                              struct io **ret);

/* Why connecting to @address failed, for people; @err is a positive errno. */
void io_tcp_connect_failure(struct failure *ret, int err, const struct address *address);
