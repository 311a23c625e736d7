/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Errors inside the daemon: 0, a negative errno, or a positive outcome of the function's own
 * enum. A negative one is forwarded unchanged; nobody compares it with a specific value of
 * our own functions. A positive one is never forwarded.
 */

#include <stdlib.h>

#include "base/cleanup.h"

/* Marks the place where an error number is born: grep for it, or break on fault_origin(). */
int fault_origin(int negative_errno, const char *file, int line);
/* The value is the argument's own, where a static analyzer sees that it is no success. */
#define fault(r)                                                                               \
    __extension__({                                                                            \
        int fault_r_ = (r);                                                                    \
        int fault_said_ = fault_origin(fault_r_, __FILE__, __LINE__);                          \
        fault_r_ < 0 ? fault_r_ : fault_said_;                                                 \
    })

/* Turns a positive outcome nobody here expected into an error, and logs where. */
int fault_fold_at(int r, const char *file, int line);
#define fault_fold(r) fault_fold_at((r), __FILE__, __LINE__)

/* Our own bugs only; in every build: a daemon that holds everybody's cookies stops rather than
 * go on wrong. What a peer sends is never an invariant. */
_Noreturn void invariant_failed(const char *what, const char *file, int line);
#define INVARIANT(x)                                                                           \
    do {                                                                                       \
        if (!(x))                                                                              \
            invariant_failed(#x, __FILE__, __LINE__);                                          \
    } while (0)
