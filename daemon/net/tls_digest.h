/* SPDX-License-Identifier: MIT */
#pragma once

/* SHA-256 of some bytes: what keys of this room are made of. */

#include <stdint.h>

#include "base/cleanup.h"
#include "base/span.h"

/* Return: 0 or -ENOMEM. */
MUST_CHECK int tls_sha256(struct span bytes, uint8_t ret[32]);
