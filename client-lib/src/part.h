/* SPDX-License-Identifier: MIT */
#pragma once

/* What savefile.c and part.c share: names in the folder of a target. */

#include "savefile.h"

int xhr_part_random_name(char name[XHR_SAVE_NAME_BYTES]); /* 0 or -errno */
int xhr_part_give_name(struct xhr_savefile *save); /* a temporary without one; 0 or -errno */
void xhr_part_forget_info(const struct xhr_savefile *save);
