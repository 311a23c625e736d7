/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Who may do what with the machine's own cookie jar, and who may see and do everything, from
 * the names in xhrd.conf to numbers. Asks the user database, which may block: at start and on
 * reload, not while serving.
 */

#include "app/config.h"
#include "policy/jar_rights.h"

/* A name that nobody has is told and left out. Return: 0, -EDQUOT: more than JAR_GRANTS_MAX;
 * -ENOMEM. */
MUST_CHECK int system_jar_grants(const struct config *config, struct jar_grants *ret);

/* Any right is: may. Return: the same. */
MUST_CHECK int administrators_of(const struct config *config, struct jar_grants *ret);
