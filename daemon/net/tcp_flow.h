/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * How much must have come before a socket says that it is readable. A fast sender and a fast
 * reader on cores of their own else wake each other for every segment, which costs both more
 * than the bytes do. While many bytes come fast, and more are announced than we wait for,
 * SO_RCVLOWAT lets them gather for half a millisecond; a sender that slows down is noticed
 * within a few (LATE_US). Short answers and slow servers never get here.
 */

#include <stdint.h>

#include "base/cleanup.h"

struct loop;
struct tcp_flow;

#define TCP_FLOW_BYTES_MIN (512 * 1024) /* of less to come there is nothing to gain */

/**
 * tcp_flow_new() - of the socket @fd, which is the caller's
 * @on_late: less has come than was waited for: have a look. The flow may be freed inside
 * Return: 0 or -ENOMEM.
 */
MUST_CHECK int tcp_flow_new(struct tcp_flow **ret,
                            struct loop *loop,
                            int fd,
                            void (*on_late)(void *owner),
                            void *owner);

/* The socket said that it is readable. */
void tcp_flow_on_ready(struct tcp_flow *flow);
void tcp_flow_on_bytes(struct tcp_flow *flow, uint64_t bytes);

/* What was there has been read, and so many bytes at least are still to come. */
void tcp_flow_expect(struct tcp_flow *flow, uint64_t bytes);

/* Every byte is told again. NULL is fine. Return: NULL. */
struct tcp_flow *tcp_flow_free(struct tcp_flow *flow);
