/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Cookies of browsers: Firefox's cookies.sqlite, and Chromium's Cookies as far as it is not
 * encrypted. The browser may be running: its files are copied to a folder of our own, with the
 * -wal that holds the newest, and read there; nothing of the browser's is written or locked.
 */

#include "cookie_import.h"

/* Whether @path is a database of SQLite. */
bool browser_is_store(const char *path);

/* Return: 0 or an exit code with *why filled. A cookie that cannot be taken is told by the
 * number of its row. */
int browser_import(const char *path, struct cookie_import *import, struct trouble *why);
