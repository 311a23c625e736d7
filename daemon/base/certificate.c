/* SPDX-License-Identifier: MIT */
#include "base/certificate.h"

#include "base/mem.h"

struct certificates *certificates_free(struct certificates *certificates)
{
    return mem_free(certificates);
}
