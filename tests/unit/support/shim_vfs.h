/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * A file system under SQLite that remembers and that fails when it is told to. Everything goes
 * through to the real one, but for syncs, which take time and show nothing here; what changes a
 * file is noted, and so is every sync, so that a test
 * can make the disk as a loss of power at any moment would have left it.
 *
 * The program is linked with --wrap=fdatasync and --wrap=fsync: what the daemon syncs past
 * SQLite is noted, too.
 */

#include <sqlite3.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Registers it as SQLite's default; once in a process. */
void shim_install(void);

/* ---- failing ---- */

/* The @nth call from now on, counted from 1, returns @rc instead; all others work. 0: none. */
void shim_fail_at(unsigned nth, int rc);
bool shim_has_failed(void);
/* What errno says when it fails. 0: as it was. */
void shim_fail_with(int sys_errno);

/* ---- remembering ---- */

enum shim_op { SHIM_WRITE, SHIM_TRUNCATE, SHIM_DELETE, SHIM_SYNC, SHIM_SYNC_FOLDER };

/* Of the files whose path begins with @prefix: ".../cookies.sqlite". */
void shim_record(const char *prefix);
void shim_stop(void); /* and forgets */

size_t shim_log_len(void);
enum shim_op shim_log_op(size_t at);

/**
 * shim_image() - write the files as a crash behind the first @len notes would leave them
 * @prefix:    of the files to make, in a folder of their own
 * @seed:      0: the kernel lives on, so that every write counts (a kill). Else which of the
 *             writes since each file's last sync are kept, lost, or torn: sectors of 512 bytes
 *             are kept or lost each for itself; what was made or deleted since the last sync of
 *             the folder may be gone, or there again
 */
void shim_image(size_t len, const char *prefix, uint32_t seed);
