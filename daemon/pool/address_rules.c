/* SPDX-License-Identifier: MIT */
#include "pool/address_rules.h"

#include "policy/access_rules.h"

static void explain(const struct access_network *by, const char *where, struct failure *ret)
{
    static const char *const sections[] = {[ACCESS_EVERYBODY] = "[Policy]",
                                           [ACCESS_GROUP] = "a [Group] of yours",
                                           [ACCESS_USER] = "your [User]"};

    if (by->is_rest)
        failure_set(ret, FAILURE_POLICY,
                    "%s: in no network of AllowNetworks= of %s, line %u; to be allowed it must "
                    "stand there",
                    where, sections[by->scope], by->line);
    else
        failure_set(ret, FAILURE_POLICY,
                    "%s: refused by DenyNetworks= of %s, line %u; to be allowed it must go "
                    "from there",
                    where, sections[by->scope], by->line);
}

bool address_is_refused(const struct address_rules *rules,
                        const struct address *address,
                        struct failure *ret_why)
{
    uint8_t meanings[ADDRESS_MEANINGS_MAX][ACCESS_ADDRESS_BYTES];
    char where[ADDRESS_TEXT_MAX];

    if (rules->deny && deny_networks_has(rules->deny, address)) {
        failure_set(ret_why, FAILURE_POLICY,
                    "%s lies in a network that the administrator denies (DenyNetworks=)",
                    address_format(address, where));
        return true;
    }
    if (rules->n_networks == 0)
        return false;
    size_t n = address_meanings(address, meanings);
    const struct access_network *by =
        access_networks_refuse(rules->networks, rules->n_networks,
                               (const uint8_t(*)[ACCESS_ADDRESS_BYTES])meanings, n);
    if (by)
        explain(by, address_format(address, where), ret_why);
    return by != NULL;
}
