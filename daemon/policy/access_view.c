/* SPDX-License-Identifier: MIT */
/* One person's view of the rules: which sections are his, and what they say of a thing. */
#include <errno.h>

#include "base/fault.h"
#include "base/mem.h"
#include "http/host.h"
#include "http/sha256.h"
#include "policy/access_rules.h"

/* ---- whose ------------------------------------------------------------------------------- */

static bool is_user(const struct access_one *one, const struct access_person *person)
{
    return one->is_number ? one->id == person->uid
                          : person->name[0] && strcmp(one->name, person->name) == 0;
}

static bool is_group(const struct access_one *one, const struct access_person *person)
{
    for (size_t i = 0; i < person->n_groups; i++) {
        const struct access_group *group = &person->groups[i];

        if (one->is_number ? one->id == group->gid : strcmp(one->name, group->name) == 0)
            return true;
    }
    return false;
}

static bool is_about(const struct access_section *section, const struct access_person *person)
{
    switch (section->scope) {
    case ACCESS_USER: return is_user(&section->of, person);
    case ACCESS_GROUP: return is_group(&section->of, person);
    case ACCESS_EVERYBODY: break;
    }
    return true;
}

bool access_policy_wants_names(const struct access_policy *policy)
{
    for (size_t i = 1; i < policy->n; i++) {
        if (!policy->sections[i]->of.is_number)
            return true;
    }
    for (int k = 0; k < 4; k++) {
        const struct access_people *people = &policy->sections[0]->people[k];

        for (size_t i = 0; i < people->n; i++) {
            if (!people->at[i].is_number)
                return true;
        }
    }
    return false;
}

static bool
names(const struct access_policy *policy, enum access_key key, const struct access_person *who)
{
    const struct access_people *people = &policy->sections[0]->people[key - ACCESS_DENY_USERS];
    bool are_users = key == ACCESS_DENY_USERS || key == ACCESS_ALLOW_USERS;

    for (size_t i = 0; i < people->n; i++) {
        if (are_users ? is_user(&people->at[i], who) : is_group(&people->at[i], who))
            return true;
    }
    return false;
}

static bool is_empty(const struct access_policy *policy, enum access_key key)
{
    return policy->sections[0]->people[key - ACCESS_DENY_USERS].n == 0;
}

const char *access_policy_keeps_out(const struct access_policy *policy,
                                    const struct access_person *person)
{
    bool users_are_named = !is_empty(policy, ACCESS_ALLOW_USERS);
    bool groups_are_named = !is_empty(policy, ACCESS_ALLOW_GROUPS);

    if (names(policy, ACCESS_DENY_USERS, person))
        return "DenyUsers=";
    if (names(policy, ACCESS_DENY_GROUPS, person))
        return "DenyGroups=";
    if ((!users_are_named && !groups_are_named) || person->uid == 0 ||
        names(policy, ACCESS_ALLOW_USERS, person) || names(policy, ACCESS_ALLOW_GROUPS, person))
        return NULL;
    if (users_are_named && groups_are_named)
        return "AllowUsers= and AllowGroups=";
    return users_are_named ? "AllowUsers=" : "AllowGroups=";
}

/* ---- the view ---------------------------------------------------------------------------- */

static size_t add_sections(const struct access_policy *policy,
                           enum access_scope scope,
                           const struct access_person *person,
                           const struct access_section **to)
{
    size_t n = 0;

    for (size_t i = 0; i < policy->n; i++) {
        const struct access_section *section = policy->sections[i];

        if (section->scope != scope || !is_about(section, person))
            continue;
        if (to)
            to[n] = section;
        n++;
    }
    return n;
}

static size_t find_sections(const struct access_policy *policy,
                            const struct access_person *person,
                            const struct access_section **to)
{
    static const enum access_scope order[] = {ACCESS_USER, ACCESS_GROUP, ACCESS_EVERYBODY};
    size_t n = 0;

    for (size_t i = 0; i < sizeof(order) / sizeof(order[0]); i++)
        n += add_sections(policy, order[i], person, to ? to + n : NULL);
    return n;
}

/* What a section's Allow list does not name it refuses. */
static bool has_rest(const struct access_section *section)
{
    return section->networks[1].n > 0;
}

static size_t count_networks(const struct access_view *view)
{
    size_t n = 0;

    for (size_t i = 0; i < view->n; i++)
        n += view->sections[i]->networks[0].n + view->sections[i]->networks[1].n +
             has_rest(view->sections[i]);
    return n;
}

static void copy_networks(struct access_view *view, const struct access_section *section)
{
    for (int allows = 0; allows < 2; allows++) {
        for (size_t i = 0; i < section->networks[allows].n; i++)
            view->networks[view->n_networks++] = section->networks[allows].at[i];
    }
    if (has_rest(section))
        view->networks[view->n_networks++] =
            (struct access_network){.is_rest = true,
                                    .scope = (uint8_t)section->scope,
                                    .line = section->lines[ACCESS_ALLOW_NETWORKS]};
}

static int flatten_networks(struct access_view *view)
{
    size_t n = count_networks(view);

    if (n == 0)
        return 0;
    if (n > ACCESS_NETWORKS_MAX)
        return -E2BIG;
    view->networks = mem_array(n, sizeof(*view->networks));
    if (!view->networks)
        return fault(-ENOMEM);
    for (size_t i = 0; i < view->n; i++)
        copy_networks(view, view->sections[i]);
    return sha256_of((struct span){(const char *)view->networks, n * sizeof(*view->networks)},
                     view->networks_digest);
}

int access_view_init(struct access_view *view,
                     const struct access_policy *policy,
                     const struct access_person *person)
{
    struct access_view made = {.policy = policy, .n = find_sections(policy, person, NULL)};

    // NOLINTNEXTLINE(bugprone-sizeof-expression): pointers they are
    made.sections = mem_array(made.n, sizeof(*made.sections));
    if (!made.sections)
        return fault(-ENOMEM);
    (void)find_sections(policy, person, made.sections);
    int r = flatten_networks(&made);
    if (r < 0) {
        access_view_done(&made);
        return r;
    }
    *view = made;
    return 0;
}

void access_view_done(struct access_view *view)
{
    mem_free(view->sections);
    mem_free(view->networks);
    *view = (struct access_view){0};
}

/* ---- judging ----------------------------------------------------------------------------- */

/* What a section says, decided by @word. Return: whether the asking ends here. */
static bool note(const struct access_listener *listener,
                 struct access_step *step,
                 const struct access_section *section,
                 struct access_step *ret_step)
{
    step->section = section;
    if (listener)
        listener->on_step(listener->owner, step);
    *ret_step = *step;
    return step->word != ACCESS_SILENT;
}

static bool
end(const struct access_listener *listener, struct access_step step, struct access_step *ret)
{
    step.word = ACCESS_ALLOWS;
    step.section = NULL;
    if (listener)
        listener->on_step(listener->owner, &step);
    *ret = step;
    return true;
}

/* [0] refuses, [1] allows. */
static bool ask_hosts(const struct access_hosts lists[2],
                      const unsigned lines[ACCESS_KEY_COUNT],
                      enum access_key deny,
                      struct access_step *step)
{
    step->word = ACCESS_SILENT;
    step->key = deny;
    step->entry = access_hosts_find(&lists[0], step->thing, step->port);
    step->line = step->entry ? step->entry->line : lines[deny];
    if (step->entry)
        step->word = ACCESS_REFUSES;
    if (step->entry || lists[1].n == 0)
        return lists[0].n > 0;
    step->key = deny + 1;
    step->entry = access_hosts_find(&lists[1], step->thing, step->port);
    step->line = step->entry ? step->entry->line : lines[deny + 1];
    step->word = step->entry ? ACCESS_ALLOWS : ACCESS_REFUSES;
    return true;
}

bool access_allows_host(const struct access_view *view,
                        enum access_subject subject,
                        struct span host,
                        uint16_t port,
                        const struct access_listener *listener,
                        struct access_step *ret_step)
{
    struct access_step step = {
        .subject = subject,
        .thing = host_strip_dot(host_strip_brackets(host)),
        .port = port,
    };
    bool is_proxy = subject == ACCESS_ABOUT_PROXY;

    for (size_t i = 0; i < view->n; i++) {
        const struct access_section *section = view->sections[i];
        bool has_list = ask_hosts(is_proxy ? section->proxies : section->hosts, section->lines,
                                  is_proxy ? ACCESS_DENY_PROXIES : ACCESS_DENY_HOSTS, &step);

        if (has_list && note(listener, &step, section, ret_step))
            return step.word == ACCESS_ALLOWS;
    }
    step.entry = NULL;
    return end(listener, step, ret_step);
}

static bool has_port(const struct access_section *section, uint16_t port)
{
    for (size_t i = 0; i < section->n_ports; i++) {
        if (port >= section->ports[i].from && port <= section->ports[i].to)
            return true;
    }
    return false;
}

bool access_allows_port(const struct access_view *view,
                        uint16_t port,
                        const struct access_listener *listener,
                        struct access_step *ret_step)
{
    struct access_step step = {
        .subject = ACCESS_ABOUT_PORT, .port = port, .key = ACCESS_ALLOW_PORTS};

    for (size_t i = 0; i < view->n; i++) {
        const struct access_section *section = view->sections[i];

        if (section->n_ports == 0)
            continue;
        step.word = has_port(section, port) ? ACCESS_ALLOWS : ACCESS_REFUSES;
        step.line = section->lines[ACCESS_ALLOW_PORTS];
        (void)note(listener, &step, section, ret_step);
        return step.word == ACCESS_ALLOWS;
    }
    return end(listener, step, ret_step);
}

static bool has_method(const struct access_section *section, struct span method)
{
    struct span rest = span_of(section->methods);
    struct span word;

    while (rest.len > 0) {
        (void)span_split(&rest, ' ', &word);
        if (span_eq(word, method))
            return true;
    }
    return false;
}

bool access_allows_method(const struct access_view *view,
                          struct span method,
                          const struct access_listener *listener,
                          struct access_step *ret_step)
{
    struct access_step step = {
        .subject = ACCESS_ABOUT_METHOD, .thing = method, .key = ACCESS_ALLOW_METHODS};

    for (size_t i = 0; i < view->n; i++) {
        const struct access_section *section = view->sections[i];

        if (section->methods[0] == '\0')
            continue;
        step.word = has_method(section, method) ? ACCESS_ALLOWS : ACCESS_REFUSES;
        step.line = section->lines[ACCESS_ALLOW_METHODS];
        (void)note(listener, &step, section, ret_step);
        return step.word == ACCESS_ALLOWS;
    }
    return end(listener, step, ret_step);
}

bool access_allows_insecure(const struct access_view *view,
                            const struct access_listener *listener,
                            struct access_step *ret_step)
{
    struct access_step step = {.subject = ACCESS_ABOUT_INSECURE, .key = ACCESS_ALLOW_INSECURE};

    for (size_t i = 0; i < view->n; i++) {
        const struct access_section *section = view->sections[i];

        if (section->lines[ACCESS_ALLOW_INSECURE] == 0)
            continue;
        step.word = section->insecure ? ACCESS_ALLOWS : ACCESS_REFUSES;
        step.line = section->lines[ACCESS_ALLOW_INSECURE];
        (void)note(listener, &step, section, ret_step);
        return step.word == ACCESS_ALLOWS;
    }
    return end(listener, step, ret_step);
}

bool access_judges_proxies(const struct access_view *view)
{
    for (size_t i = 0; i < view->n; i++) {
        if (view->sections[i]->proxies[0].n + view->sections[i]->proxies[1].n > 0)
            return true;
    }
    return false;
}

/* ---- words for people -------------------------------------------------------------------- */

static int name_thing(const struct access_step *step, struct buf *out)
{
    const char *what = step->subject == ACCESS_ABOUT_PROXY ? "the proxy " : "";
    /* A long name is cut: what follows matters more. */
    struct span thing = span_take(step->thing, 48);
    bool is_cut = thing.len < step->thing.len;

    switch (step->subject) {
    case ACCESS_ABOUT_HOST:
    case ACCESS_ABOUT_PROXY:
        return buf_append_format(out, "%s%.*s%s:%u", what, (int)thing.len, thing.ptr,
                                 is_cut ? "…" : "", step->port);
    case ACCESS_ABOUT_PORT: return buf_append_format(out, "port %u", step->port);
    case ACCESS_ABOUT_METHOD:
    case ACCESS_ABOUT_ADDRESS: return buf_append_format(out, "%.*s", (int)thing.len, thing.ptr);
    case ACCESS_ABOUT_INSECURE: break;
    }
    return buf_append_str(out, "to leave certificates unchecked");
}

int access_step_explain(const struct access_step *step, struct buf *out)
{
    char title[ACCESS_TITLE_SIZE];
    const char *rule = access_key_name(step->key);

    int r = name_thing(step, out);
    if (r < 0)
        return r;
    if (!step->section)
        return buf_append_str(out, ": no rule is against it");
    const char *where = access_section_title(step->section, title);
    if (step->word == ACCESS_ALLOWS)
        return buf_append_format(out, ": allowed by %s= of %s, line %u", rule, where,
                                 step->line);
    if (step->word == ACCESS_SILENT)
        return buf_append_format(out, ": not named by %s= of %s", rule, where);
    if (step->key == ACCESS_ALLOW_INSECURE)
        return buf_append_format(out, ": refused by %s=no of %s, line %u; yes would allow it",
                                 rule, where, step->line);
    if (step->entry && step->key != ACCESS_ALLOW_HOSTS && step->key != ACCESS_ALLOW_PROXIES)
        return buf_append_format(
            out, ": refused by %s= of %s, line %u; to be allowed it must go from there", rule,
            where, step->line);
    return buf_append_format(out,
                             ": not in %s= of %s, line %u; to be allowed it must stand there",
                             rule, where, step->line);
}
