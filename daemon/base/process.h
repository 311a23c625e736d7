/* SPDX-License-Identifier: MIT */
#pragma once

/* What the kernel says this process holds, for people who look, and how much it may hold. */

#include <stdint.h>

#include "base/cleanup.h"

struct process_fds {
    uint64_t sockets;
    uint64_t pipes;
    uint64_t files; /* and folders */
    uint64_t others;
    uint64_t max; /* RLIMIT_NOFILE; 0: none */
};

struct process_memory {
    uint64_t resident_bytes;
    uint64_t heap_bytes;      /* allocated and not freed */
    uint64_t heap_free_bytes; /* freed and not given back */
};

static inline uint64_t process_fds_open(const struct process_fds *fds)
{
    return fds->sockets + fds->pipes + fds->files + fds->others;
}

/* Return: 0 or -errno, where /proc does not show it. */
MUST_CHECK int process_fds(struct process_fds *ret);
MUST_CHECK int process_memory(struct process_memory *ret);

/* As many descriptors as we may have. The soft limit is there for programs that use select(); a
 * daemon that a client started has it from that client's shell. */
void process_raise_fds_max(void);
