/* SPDX-License-Identifier: MIT */
/* Any file is taken whole, within the borders, or refused with one line that names it; then
 * nothing has changed. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "app/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool so)
{
    if (!so)
        abort();
}

static void check_borders(const struct config *config)
{
    must(config->log_level >= LOG_LEVEL_ERR && config->log_level <= LOG_LEVEL_DEBUG);
    must(config->idle_exit_us >= 0 && config->idle_exit_us <= INT64_C(86400000000));
    must(config->connect_timeout_us > 0 && config->connect_timeout_us <= INT64_C(3600000000));
    must(config->connections_per_host >= 1 && config->connections_per_host <= 256);
    must(config->clients_max >= 1 && config->clients_max <= 65536);
    must(config->fds_per_user >= 1 && config->fds_per_user <= 4096);
    must(config->queued_bytes_per_user >= 1 << 20);
    must(memchr(config->ca_file, '\0', sizeof(config->ca_file)));
    must(config->ca_file[0] == '/' || config->ca_file[0] == '\0');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP_BUF struct buf error = BUF_INIT(0);
    struct config config;
    unsigned char before[sizeof(struct config)];
    char path[32];
    int fd = memfd_create("xhrd.conf", MFD_CLOEXEC);

    must(fd >= 0 && write(fd, data, size) == (ssize_t)size);
    (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    config_init(&config);
    memcpy(before, &config, sizeof(before));
    int r = config_load(&config, path, false, &error);
    close(fd);
    if (r == 0) {
        check_borders(&config);
        config_done(&config);
        return 0;
    }
    // NOLINTNEXTLINE(bugprone-suspicious-memory-comparison): not even its padding is touched
    must(memcmp(&config, before, sizeof(before)) == 0);
    must(error.len > strlen(path) && memcmp(buf_span(&error).ptr, path, strlen(path)) == 0);
    must(!memchr(buf_span(&error).ptr, '\n', error.len));
    return 0;
}
