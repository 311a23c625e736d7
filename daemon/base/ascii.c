/* SPDX-License-Identifier: MIT */
#include "base/ascii.h"

#include <string.h>

bool ascii_is_tchar(char c)
{
    return ascii_is_alnum(c) || (c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}
