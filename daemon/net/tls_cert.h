/* SPDX-License-Identifier: MIT */
#pragma once

/* Certificates of OpenSSL as struct certificate: the one place that reads what a stranger wrote
 * into one in order to show it. */

#include "base/certificate.h"

struct stack_st_X509;

/**
 * tls_certificates_of() - read a chain
 * @chain: leaf first; what is behind CERTIFICATES_MAX is counted only; NULL: nothing
 * @ret:   the caller's
 * Return: 0 or -ENOMEM.
 */
MUST_CHECK int tls_certificates_of(const struct stack_st_X509 *chain,
                                   struct certificates **ret);
