/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * What one uid may hold at a time. A charge is held next to the thing that costs and released
 * with it; a charge that does not fit is refused and changes nothing.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"

enum quota_slot {
    QUOTA_BYTES, /* queued towards and from its clients */
    QUOTA_FDS,   /* taken in by SCM_RIGHTS and not yet closed */
    QUOTA_REQUESTS,
    QUOTA_CLIENTS, /* connections to the daemon */
    QUOTA_WATCHERS,
    QUOTA_SLOT_COUNT,
};

struct quota {
    uint64_t used[QUOTA_SLOT_COUNT];
    uint64_t max[QUOTA_SLOT_COUNT];
};

struct charge {
    struct quota *quota; /* NULL: holds nothing */
    enum quota_slot slot;
    uint64_t amount;
};

#define CHARGE_NONE ((struct charge){0})

/* bytes 12 MiB, fds 64, requests 4096, clients 128, watchers 64: dbus-broker's and systemd's
 * numbers. */
void quota_init(struct quota *quota);

/**
 * charge_take() - add @amount to what @charge holds
 * @charge: CHARGE_NONE, or already of this quota and slot
 * Return: 0, or -EDQUOT when it would not fit.
 */
MUST_CHECK int
charge_take(struct charge *charge, struct quota *quota, enum quota_slot slot, uint64_t amount);
/* The same, if quota_has_spare() of it: for what can be refused. */
MUST_CHECK int charge_take_spare(struct charge *charge,
                                 struct quota *quota,
                                 enum quota_slot slot,
                                 uint64_t amount);
/* As charge_take(), above the limit, too: for what has to be told whatever is held. How much
 * that may come to is bounded by what is asked for, and the asking by session.h. */
void charge_take_anyway(struct charge *charge,
                        struct quota *quota,
                        enum quota_slot slot,
                        uint64_t amount);
/* For what may be smaller: @want if there is spare room, else @least, whatever is held.
 * @quota: NULL: nobody pays, and it is @want. Return: how much it is. */
MUST_CHECK uint64_t charge_take_some(struct charge *charge,
                                     struct quota *quota,
                                     enum quota_slot slot,
                                     uint64_t want,
                                     uint64_t least);
/* How much more fits. */
uint64_t quota_left(const struct quota *quota, enum quota_slot slot);
/* Would @amount fit, and leave a sixteenth for what has to be told even then? Bulk asks. */
bool quota_has_spare(const struct quota *quota, enum quota_slot slot, uint64_t amount);
void charge_give_back(struct charge *charge, uint64_t amount); /* a part of it */
void charge_release(struct charge *charge);                    /* all of it */

const char *quota_slot_name(enum quota_slot slot);
