/* SPDX-License-Identifier: MIT */
#include "support/shim_vfs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "support/test.h"

#define SECTOR    512
#define FILES_MAX 4 /* "", "-wal", "-journal", "-shm" */

static const char *const suffixes[FILES_MAX] = {"", "-wal", "-journal", "-shm"};

struct note {
    enum shim_op op;
    unsigned file; /* index of suffixes */
    size_t offset;
    size_t len;
    char *bytes;
};

struct shim_file {
    sqlite3_file base;
    int file;            /* -1: not one that is watched */
    sqlite3_file real[]; /* and what the real one wants behind it */
};

static struct {
    sqlite3_vfs vfs;
    sqlite3_vfs *real;
    unsigned fail_in; /* calls; 0: none */
    int fail_rc;
    int fail_errno;
    bool has_failed;
    char prefix[256];
    struct note *notes;
    size_t n_notes, capacity;
} shim;

/* ---- failing ---- */

void shim_fail_at(unsigned nth, int rc)
{
    shim.fail_in = nth;
    shim.fail_rc = rc;
    shim.has_failed = false;
}

void shim_fail_with(int sys_errno)
{
    shim.fail_errno = sys_errno;
}

bool shim_has_failed(void)
{
    return shim.has_failed;
}

/* Return: SQLITE_OK, or what this call is to return. */
static int next_call(int io_error)
{
    if (shim.fail_in == 0 || --shim.fail_in > 0)
        return SQLITE_OK;
    shim.has_failed = true;
    if (shim.fail_errno)
        errno = shim.fail_errno;
    return shim.fail_rc == SQLITE_IOERR ? io_error : shim.fail_rc;
}

/* ---- remembering ---- */

static void note(enum shim_op op, int file, size_t offset, const void *bytes, size_t len)
{
    if (file < 0)
        return;
    if (shim.n_notes == shim.capacity) {
        shim.capacity = shim.capacity ? shim.capacity * 2 : 1024;
        shim.notes = realloc(shim.notes, shim.capacity * sizeof(*shim.notes));
        assert_non_null(shim.notes);
    }
    struct note *new = &shim.notes[shim.n_notes++];

    *new = (struct note){.op = op, .file = (unsigned)file, .offset = offset, .len = len};
    if (bytes) {
        new->bytes = malloc(len);
        assert_non_null(new->bytes);
        memcpy(new->bytes, bytes, len);
    }
}

void shim_record(const char *prefix)
{
    shim_stop();
    assert_true(snprintf(shim.prefix, sizeof(shim.prefix), "%s", prefix) <
                (int)sizeof(shim.prefix));
}

void shim_stop(void)
{
    for (size_t i = 0; i < shim.n_notes; i++)
        free(shim.notes[i].bytes);
    free(shim.notes);
    shim.notes = NULL;
    shim.n_notes = shim.capacity = 0;
    shim.prefix[0] = '\0';
}

size_t shim_log_len(void)
{
    return shim.n_notes;
}

enum shim_op shim_log_op(size_t at)
{
    return shim.notes[at].op;
}

/* Which of the files, or -1. */
static int watched(const char *path)
{
    size_t len = strlen(shim.prefix);

    if (!path || len == 0 || strncmp(path, shim.prefix, len) != 0)
        return -1;
    for (int i = 0; i < FILES_MAX; i++) {
        if (strcmp(path + len, suffixes[i]) == 0)
            return i;
    }
    return -1;
}

/* Which of them a descriptor leads to; or their folder: FILES_MAX. */
static int watched_fd(int fd)
{
    char link[64];
    char path[512];

    (void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    ssize_t len = readlink(link, path, sizeof(path) - 1);
    if (len < 0 || shim.prefix[0] == '\0')
        return -1;
    path[len] = '\0';
    if (strncmp(path, shim.prefix, (size_t)len) == 0 && shim.prefix[len] == '/' &&
        !strchr(shim.prefix + len + 1, '/'))
        return FILES_MAX;
    return watched(path);
}

int __wrap_fdatasync(int fd);
int __wrap_fdatasync(int fd)
{
    int file = watched_fd(fd);

    if (file < FILES_MAX)
        note(SHIM_SYNC, file, 0, NULL, 0);
    return 0;
}

int __wrap_fsync(int fd);
int __wrap_fsync(int fd)
{
    int file = watched_fd(fd);

    note(file == FILES_MAX ? SHIM_SYNC_FOLDER : SHIM_SYNC, file == FILES_MAX ? 0 : file, 0,
         NULL, 0);
    return 0;
}

/* ---- a file ---- */

static struct shim_file *of(sqlite3_file *file)
{
    return (struct shim_file *)(void *)file;
}

static int shim_close(sqlite3_file *file)
{
    return of(file)->real->pMethods->xClose(of(file)->real);
}

static int shim_read(sqlite3_file *file, void *out, int len, sqlite3_int64 at)
{
    int rc = next_call(SQLITE_IOERR_READ);

    return rc ? rc : of(file)->real->pMethods->xRead(of(file)->real, out, len, at);
}

static int shim_write(sqlite3_file *file, const void *bytes, int len, sqlite3_int64 at)
{
    int rc = next_call(SQLITE_IOERR_WRITE);

    if (rc)
        return rc;
    note(SHIM_WRITE, of(file)->file, (size_t)at, bytes, (size_t)len);
    return of(file)->real->pMethods->xWrite(of(file)->real, bytes, len, at);
}

static int shim_truncate(sqlite3_file *file, sqlite3_int64 len)
{
    int rc = next_call(SQLITE_IOERR_TRUNCATE);

    if (rc)
        return rc;
    note(SHIM_TRUNCATE, of(file)->file, (size_t)len, NULL, 0);
    return of(file)->real->pMethods->xTruncate(of(file)->real, len);
}

static int shim_sync(sqlite3_file *file, int flags)
{
    int rc = next_call(SQLITE_IOERR_FSYNC);

    if (rc)
        return rc;
    (void)flags;
    note(SHIM_SYNC, of(file)->file, 0, NULL, 0);
    return SQLITE_OK;
}

static int shim_size(sqlite3_file *file, sqlite3_int64 *ret)
{
    int rc = next_call(SQLITE_IOERR_FSTAT);

    return rc ? rc : of(file)->real->pMethods->xFileSize(of(file)->real, ret);
}

static int shim_lock(sqlite3_file *file, int level)
{
    int rc = next_call(SQLITE_IOERR_LOCK);

    return rc ? rc : of(file)->real->pMethods->xLock(of(file)->real, level);
}

static int shim_unlock(sqlite3_file *file, int level)
{
    return of(file)->real->pMethods->xUnlock(of(file)->real, level);
}

static int shim_check_lock(sqlite3_file *file, int *ret)
{
    int rc = next_call(SQLITE_IOERR_CHECKRESERVEDLOCK);

    return rc ? rc : of(file)->real->pMethods->xCheckReservedLock(of(file)->real, ret);
}

static int shim_control(sqlite3_file *file, int op, void *arg)
{
    return of(file)->real->pMethods->xFileControl(of(file)->real, op, arg);
}

static int shim_sector(sqlite3_file *file)
{
    return of(file)->real->pMethods->xSectorSize(of(file)->real);
}

static int shim_traits(sqlite3_file *file)
{
    return of(file)->real->pMethods->xDeviceCharacteristics(of(file)->real);
}

/* Shared memory is for connections that do not hold the file alone, as the daemon's does. */
static int shim_shm_map(sqlite3_file *file, int page, int len, int extend, void volatile **ret)
{
    return of(file)->real->pMethods->xShmMap(of(file)->real, page, len, extend, ret);
}

static int shim_shm_lock(sqlite3_file *file, int offset, int n, int flags)
{
    return of(file)->real->pMethods->xShmLock(of(file)->real, offset, n, flags);
}

static void shim_shm_barrier(sqlite3_file *file)
{
    of(file)->real->pMethods->xShmBarrier(of(file)->real);
}

static int shim_shm_unmap(sqlite3_file *file, int is_deleted)
{
    return of(file)->real->pMethods->xShmUnmap(of(file)->real, is_deleted);
}

static const sqlite3_io_methods methods = {
    .iVersion = 2,
    .xClose = shim_close,
    .xRead = shim_read,
    .xWrite = shim_write,
    .xTruncate = shim_truncate,
    .xSync = shim_sync,
    .xFileSize = shim_size,
    .xLock = shim_lock,
    .xUnlock = shim_unlock,
    .xCheckReservedLock = shim_check_lock,
    .xFileControl = shim_control,
    .xSectorSize = shim_sector,
    .xDeviceCharacteristics = shim_traits,
    .xShmMap = shim_shm_map,
    .xShmLock = shim_shm_lock,
    .xShmBarrier = shim_shm_barrier,
    .xShmUnmap = shim_shm_unmap,
};

static int
shim_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags, int *out)
{
    struct shim_file *this = of(file);
    int rc = next_call(SQLITE_CANTOPEN);

    (void)vfs;
    this->base.pMethods = NULL;
    if (rc)
        return rc;
    this->file = watched(name);
    rc = shim.real->xOpen(shim.real, name, this->real, flags, out);
    if (this->real->pMethods)
        this->base.pMethods = &methods;
    return rc;
}

static int shim_delete(sqlite3_vfs *vfs, const char *name, int sync_dir)
{
    int rc = next_call(SQLITE_IOERR_DELETE);

    (void)vfs;
    if (rc)
        return rc;
    note(SHIM_DELETE, watched(name), 0, NULL, 0);
    return shim.real->xDelete(shim.real, name, sync_dir);
}

static int shim_access(sqlite3_vfs *vfs, const char *name, int flags, int *ret)
{
    int rc = next_call(SQLITE_IOERR_ACCESS);

    (void)vfs;
    return rc ? rc : shim.real->xAccess(shim.real, name, flags, ret);
}

void shim_install(void)
{
    if (shim.real)
        return;
    shim.real = sqlite3_vfs_find(NULL);
    assert_non_null(shim.real);
    shim.vfs = *shim.real; /* what is not ours is the real one's, and knows it by pAppData */
    shim.vfs.pNext = NULL;
    shim.vfs.zName = "shim";
    shim.vfs.szOsFile = (int)sizeof(struct shim_file) + shim.real->szOsFile;
    shim.vfs.xOpen = shim_open;
    shim.vfs.xDelete = shim_delete;
    shim.vfs.xAccess = shim_access;
    assert_int_equal(sqlite3_vfs_register(&shim.vfs, 1), SQLITE_OK);
}

/* ---- images ---- */

struct image {
    char *bytes;
    size_t len;
    size_t capacity;
    bool is_named; /* its entry in the folder is safe */
};

static void resize(struct image *image, size_t len)
{
    if (len > image->capacity) {
        image->capacity = len * 2;
        image->bytes = realloc(image->bytes, image->capacity);
        assert_non_null(image->bytes);
    }
    if (len > image->len) {
        memset(image->bytes + image->len, 0, len - image->len);
    }
    image->len = len;
}

static uint32_t chance(uint32_t *seed)
{
    *seed = *seed * 1664525 + 1013904223;
    return *seed >> 16;
}

/* A third of the writes is lost, a third is torn, a third arrives. */
static void apply_unsynced(struct image *image, const struct note *note, uint32_t *seed)
{
    uint32_t fate = chance(seed) % 3;

    if (fate == 0)
        return;
    if (note->op != SHIM_WRITE) {
        resize(image, note->offset);
        return;
    }
    if (note->offset + note->len > image->len)
        resize(image, note->offset + note->len);
    for (size_t at = 0; at < note->len;) {
        size_t end = (note->offset + at) / SECTOR * SECTOR + SECTOR - note->offset;

        end = end < note->len ? end : note->len;
        if (fate == 2 || chance(seed) % 2)
            memcpy(image->bytes + note->offset + at, note->bytes + at, end - at);
        at = end;
    }
}

static void apply(struct image *image, const struct note *note)
{
    if (note->op == SHIM_TRUNCATE || note->op == SHIM_DELETE) {
        resize(image, note->offset);
    } else if (note->op == SHIM_WRITE) {
        if (note->offset + note->len > image->len)
            resize(image, note->offset + note->len);
        memcpy(image->bytes + note->offset, note->bytes, note->len);
    }
}

static void write_image(const struct image *image, const char *prefix, const char *suffix)
{
    char path[512];

    (void)snprintf(path, sizeof(path), "%s%s", prefix, suffix);
    (void)unlink(path);
    if (image->len == 0 && suffix[0])
        return; /* an empty -wal is as good as none */
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, image->bytes, image->len), image->len);
    assert_int_equal(close(fd), 0);
}

void shim_image(size_t len, const char *prefix, uint32_t seed)
{
    struct image images[FILES_MAX] = {0};
    size_t synced[FILES_MAX] = {0};  /* behind the last sync of each */
    size_t deleted[FILES_MAX] = {0}; /* behind its last end */

    assert_true(len <= shim.n_notes);
    for (size_t i = 0; i < len; i++) {
        const struct note *note = &shim.notes[i];

        if (note->op == SHIM_SYNC) {
            synced[note->file] = i + 1;
            images[note->file].is_named = true; /* SQLite syncs the folder of a new file */
        } else if (note->op == SHIM_DELETE) {
            deleted[note->file] = i + 1;
        }
        for (unsigned k = 0; k < FILES_MAX && note->op == SHIM_SYNC_FOLDER; k++) {
            images[k].is_named = true;
            synced[k] = deleted[k] > synced[k] ? deleted[k] : synced[k];
        }
    }
    for (size_t i = 0; i < len; i++) {
        const struct note *note = &shim.notes[i];

        if (seed == 0 || i < synced[note->file])
            apply(&images[note->file], note);
        else if (note->op < SHIM_SYNC)
            apply_unsynced(&images[note->file], note, &seed);
    }
    for (unsigned k = 0; k < FILES_MAX; k++) {
        if (seed != 0 && !images[k].is_named && chance(&seed) % 2)
            resize(&images[k], 0);
        write_image(&images[k], prefix, suffixes[k]);
        free(images[k].bytes);
    }
}
