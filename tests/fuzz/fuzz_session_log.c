/* SPDX-License-Identifier: MIT */
/* Memory that another process left, whole or with a header of ours: what is read is read again
 * the same, and the log goes on from there. The first byte says which. */
#include <assert.h>
#include <fcntl.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/log.h"
#include "store/cookie_rows.h"
#include "store/session_log.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define WINDOW_AT 24 /* in the header: start, end */

struct sum {
    size_t count;
    size_t bytes;
};

static void take(struct session_book *book, bool superseded, struct sum *sum)
{
    struct saved_cookie *saved = NULL;

    while (session_book_take_waiting(book, superseded, &saved) == 0 && saved) {
        sum->count++;
        sum->bytes += saved->cookie.name.len + saved->cookie.value.len;
        saved_cookie_free(saved);
    }
}

static void take_book(void *arg, uint32_t uid, struct session_book *book)
{
    (void)uid;
    take(book, false, arg);
    take(book, true, arg);
}

static struct sum read_all(int fd)
{
    const struct session_log_options options = session_log_options_default();
    CLEANUP(session_log_free) struct session_log *log = NULL;
    struct sum sum = {0};
    int r = session_log_open(&log, fcntl(fd, F_DUPFD_CLOEXEC, 0), &options);

    assert(r == 0);
    session_log_each_book(log, take_book, &sum);
    return sum;
}

/* A cookie of a uid that nobody has in the corpus. */
static void put_one(int fd)
{
    const struct session_log_options options = session_log_options_default();
    const struct cookie cookie = {.name = SPAN_LIT("n"),
                                  .value = SPAN_LIT("v"),
                                  .domain = SPAN_LIT("a.com"),
                                  .path = SPAN_LIT("/"),
                                  .order = 1};
    CLEANUP(session_log_free) struct session_log *log = NULL;
    struct session_book *book = NULL;
    int r = session_log_open(&log, fcntl(fd, F_DUPFD_CLOEXEC, 0), &options);

    assert(r == 0);
    r = session_log_book(log, 0xfeedbee5, &book);
    assert(r == 0);
    session_book_clear(book);
    (void)session_book_put(book, "", "default", &cookie);
}

static void write_at(int fd, const void *bytes, size_t size, off_t at)
{
    ssize_t n = pwrite(fd, bytes, size, at);

    assert(n == (ssize_t)size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    log_set_level(LOG_LEVEL_ERR);
    int fd = memfd_create("fuzz", MFD_CLOEXEC);
    uint64_t window[2];

    assert(fd >= 0);
    if (data[0] & 1) {
        write_at(fd, data + 1, size - 1, 0);
    } else {
        (void)read_all(fd);
        ssize_t n = pread(fd, window, sizeof(window), WINDOW_AT);
        assert(n == sizeof(window));
        write_at(fd, data + 1, size - 1, (off_t)window[0]);
        window[1] = window[0] + size - 1;
        write_at(fd, window, sizeof(window), WINDOW_AT);
    }
    struct sum first = read_all(fd);
    struct sum again = read_all(fd);
    assert(first.count == again.count && first.bytes == again.bytes);
    put_one(fd);
    again = read_all(fd);
    assert(again.count > 0 && again.count <= first.count + 1);
    close(fd);
    return 0;
}
