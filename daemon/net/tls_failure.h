/* SPDX-License-Identifier: MIT */
#pragma once

/* OpenSSL's error queue as a failure that a person can act on. */

#include "base/failure.h"

/**
 * tls_failure_take() - what the oldest error in the queue means; empties the queue
 * @host: whom we talked to
 *
 * An alert of the peer's gives its number as code; "protocol version" and our own refusal of
 * the peer's version are FAILURE_TLS_VERSION, all else FAILURE_TLS.
 */
void tls_failure_take(struct failure *ret, const char *host);
