/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * What is told of a connection's TLS, as messages. Their bytes are borrowed from what they
 * were made of.
 */

#include "fetch/request.h"
#include "service/service_priv.h"

/* A message and what it points to. */
struct tls_message {
    Xhrd__V1__TlsInfo info;
    Xhrd__V1__TlsRung rungs[TLS_RUNGS_MAX];
    Xhrd__V1__TlsRung *list[TLS_RUNGS_MAX];
};

Xhrd__V1__EarlyData early_data_to_pb(enum early_data early);
Xhrd__V1__EarlyData request_early_to_pb(enum request_early early);
void tls_rung_to_pb(const struct tls_rung *rung, Xhrd__V1__TlsRung *ret);

/* @head: of an answer whose connection has TLS. */
void tls_info_to_pb(const struct request_head *head, struct tls_message *ret);
