/* SPDX-License-Identifier: MIT */
#include "base/fault.h"

#include <errno.h>

#include "base/log.h"

int fault_origin(int negative_errno, const char *file, int line)
{
    if (negative_errno >= 0) {
        log_err(NULL, "%s:%d: a fault without an error number", file, line);
        return -EINVAL;
    }
    return negative_errno;
}

int fault_fold_at(int r, const char *file, int line)
{
    if (r <= 0)
        return r;
    log_err(NULL, "%s:%d: outcome %d was not expected here", file, line, r);
    return -ENOTRECOVERABLE;
}

void invariant_failed(const char *what, const char *file, int line)
{
    log_err(NULL, "%s:%d: invariant failed: %s", file, line, what);
    abort();
}
