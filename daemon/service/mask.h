/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Secrets out of what is kept for people to look at: values of cookies, credentials and
 * parameters in queries become "***" (or fewer stars, for what was shorter), names and
 * everything else stay. In place; what it leaves behind the new end is wiped.
 */

#include "base/cleanup.h"
#include "base/span.h"

/* The value of a field line called @name. Return: its new length. */
size_t mask_field(struct span name, char *value, size_t len);

/* Of a URL: the values in its query; login and fragment are the caller's to leave out. */
size_t mask_url(char *url, size_t len);
