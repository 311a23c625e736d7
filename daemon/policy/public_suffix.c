/* SPDX-License-Identifier: MIT */
#include "policy/public_suffix.h"

#include <errno.h>
#include <libpsl.h>
#include <stddef.h>

#include "base/fault.h"
#include "base/list.h"
#include "base/mem.h"
#include "http/host.h"

#define DOMAIN_SIZE (HOST_NAME_BYTES_MAX + 1)

struct suffix_list {
    struct suffix_rules rules;
    const psl_ctx_t *psl;
    psl_ctx_t *loaded; /* NULL: psl is the built-in one, which is nobody's to free */
};

/* libpsl wants a NUL behind the name. Return: false for what cannot be a domain. */
static bool copy_name(struct span name, char ret[DOMAIN_SIZE])
{
    if (name.len == 0 || name.len >= DOMAIN_SIZE || memchr(name.ptr, '\0', name.len))
        return false;
    memcpy(ret, name.ptr, name.len);
    ret[name.len] = '\0';
    return true;
}

static const psl_ctx_t *psl_of(const struct suffix_rules *self)
{
    const char *list = (const char *)self - offsetof(struct suffix_list, rules);

    return ((const struct suffix_list *)(const void *)list)->psl;
}

static bool list_is_public(const struct suffix_rules *self, struct span domain)
{
    char name[DOMAIN_SIZE];

    if (!copy_name(domain, name))
        return true; /* nobody's domain: refusing is the safe side */
    return psl_is_public_suffix(psl_of(self), name) != 0;
}

static struct span list_registrable(const struct suffix_rules *self, struct span host)
{
    char name[DOMAIN_SIZE];

    if (!copy_name(host, name))
        return (struct span){0};
    const char *found = psl_registrable_domain(psl_of(self), name);
    return found ? span_drop(host, (size_t)(found - name)) : (struct span){0};
}

int suffix_list_new(struct suffix_list **ret)
{
    CLEANUP(suffix_list_free) struct suffix_list *list = mem_zalloc(sizeof(*list));

    if (!list)
        return fault(-ENOMEM);
    list->rules = (struct suffix_rules){list_is_public, list_registrable};
    list->loaded = psl_latest(NULL);
    list->psl = list->loaded ? list->loaded : psl_builtin();
    if (!list->psl)
        return fault(-ENOENT);

    *ret = TAKE(list);
    return 0;
}

struct suffix_list *suffix_list_free(struct suffix_list *list)
{
    if (!list)
        return NULL;
    psl_free(list->loaded); /* NULL and the built-in one are left alone */
    return mem_free(list);
}

const struct suffix_rules *suffix_list_rules(const struct suffix_list *list)
{
    return &list->rules;
}

static bool table_is_public(const struct suffix_rules *self, struct span domain)
{
    const char *table = (const char *)self - offsetof(struct suffix_table, rules);

    if (domain.len == 0 || !memchr(domain.ptr, '.', domain.len))
        return true;
    for (const char *const *at = ((const struct suffix_table *)(const void *)table)->names; *at;
         at++) {
        if (span_eq(domain, span_of(*at)))
            return true;
    }
    return false;
}

static struct span table_registrable(const struct suffix_rules *self, struct span host)
{
    struct span below = {0}; /* the name one label longer than rest */

    for (struct span rest = host; rest.len > 0;) {
        struct span label;

        if (table_is_public(self, rest))
            return below;
        below = rest;
        if (!span_split(&rest, '.', &label))
            break;
    }
    return (struct span){0};
}

void suffix_table_init(struct suffix_table *table, const char *const *names)
{
    table->rules = (struct suffix_rules){table_is_public, table_registrable};
    table->names = names;
}
