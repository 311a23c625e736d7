/* SPDX-License-Identifier: MIT */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* From getrandom(2); stops the process if the kernel has none to give. Impure rooms only. */
void rand_bytes(void *ret, size_t len);
uint64_t rand_u64(void);
