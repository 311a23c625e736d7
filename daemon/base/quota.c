/* SPDX-License-Identifier: MIT */
#include "base/quota.h"

#include <errno.h>

#include "base/fault.h"

static const char *const names[QUOTA_SLOT_COUNT] = {
    [QUOTA_BYTES] = "bytes",     [QUOTA_FDS] = "fds",           [QUOTA_REQUESTS] = "requests",
    [QUOTA_CLIENTS] = "clients", [QUOTA_WATCHERS] = "watchers",
};

const char *quota_slot_name(enum quota_slot slot)
{
    return names[slot];
}

void quota_init(struct quota *quota)
{
    *quota = (struct quota){.max = {
                                [QUOTA_BYTES] = UINT64_C(12) << 20,
                                [QUOTA_FDS] = 64,
                                [QUOTA_REQUESTS] = 4096,
                                [QUOTA_CLIENTS] = 128,
                                [QUOTA_WATCHERS] = 64,
                            }};
}

void charge_take_anyway(struct charge *charge,
                        struct quota *quota,
                        enum quota_slot slot,
                        uint64_t amount)
{
    INVARIANT(!charge->quota || (charge->quota == quota && charge->slot == slot));
    quota->used[slot] += amount;
    charge->quota = quota;
    charge->slot = slot;
    charge->amount += amount;
}

int charge_take(struct charge *charge,
                struct quota *quota,
                enum quota_slot slot,
                uint64_t amount)
{
    if (amount > quota_left(quota, slot))
        return -EDQUOT;
    charge_take_anyway(charge, quota, slot, amount);
    return 0;
}

int charge_take_spare(struct charge *charge,
                      struct quota *quota,
                      enum quota_slot slot,
                      uint64_t amount)
{
    return quota_has_spare(quota, slot, amount) ? charge_take(charge, quota, slot, amount)
                                                : -EDQUOT;
}

uint64_t charge_take_some(struct charge *charge,
                          struct quota *quota,
                          enum quota_slot slot,
                          uint64_t want,
                          uint64_t least)
{
    uint64_t amount = !quota || quota_has_spare(quota, slot, want) ? want : least;

    if (quota)
        charge_take_anyway(charge, quota, slot, amount);
    return amount;
}

uint64_t quota_left(const struct quota *quota, enum quota_slot slot)
{
    uint64_t used = quota->used[slot];

    return used < quota->max[slot] ? quota->max[slot] - used : 0;
}

bool quota_has_spare(const struct quota *quota, enum quota_slot slot, uint64_t amount)
{
    uint64_t max = quota->max[slot] - quota->max[slot] / 16;

    return amount <= max && quota->used[slot] <= max - amount;
}

void charge_give_back(struct charge *charge, uint64_t amount)
{
    INVARIANT(amount <= charge->amount);
    if (!charge->quota)
        return;
    charge->quota->used[charge->slot] -= amount;
    charge->amount -= amount;
}

void charge_release(struct charge *charge)
{
    charge_give_back(charge, charge->amount);
    *charge = CHARGE_NONE;
}
