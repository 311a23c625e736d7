/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * -b FILE and -c FILE, curl's way of keeping cookies: a jar of this process alone, filled from
 * files and written back to one. The daemon holds the jar as long as the connection stands and
 * keeps nothing of it.
 */

#include "transfer.h"

/* Reads the files of -b. A file that is not there is said and passed over, as curl does;
 * nothing is said of the one that -c will make. Return: 0 or an exit code with *why filled. */
int cookie_file_load(struct session *session, struct trouble *why);

/* Writes the file of -c, whole or not at all. Return: 0 or an exit code with *why filled. */
int cookie_file_save(struct session *session, struct trouble *why);
