/* SPDX-License-Identifier: MIT */
#include "policy/access_rules.h"

#include <errno.h>
#include <stdio.h>

#include "base/fault.h"
#include "base/mem.h"
#include "base/num.h"
#include "http/method.h"
#include "policy/access_priv.h"

#define SETTINGS_MAX 1024 /* lines of one section */

static const char *const key_names[ACCESS_KEY_COUNT] = {
    [ACCESS_DENY_HOSTS] = "DenyHosts",       [ACCESS_ALLOW_HOSTS] = "AllowHosts",
    [ACCESS_DENY_NETWORKS] = "DenyNetworks", [ACCESS_ALLOW_NETWORKS] = "AllowNetworks",
    [ACCESS_ALLOW_PORTS] = "AllowPorts",     [ACCESS_ALLOW_METHODS] = "AllowMethods",
    [ACCESS_DENY_PROXIES] = "DenyProxies",   [ACCESS_ALLOW_PROXIES] = "AllowProxies",
    [ACCESS_CREDENTIAL] = "Credential",      [ACCESS_ALLOW_INSECURE] = "AllowInsecure",
    [ACCESS_DENY_USERS] = "DenyUsers",       [ACCESS_ALLOW_USERS] = "AllowUsers",
    [ACCESS_DENY_GROUPS] = "DenyGroups",     [ACCESS_ALLOW_GROUPS] = "AllowGroups",
};

const char *access_key_name(enum access_key key)
{
    return key_names[key];
}

bool access_key_find(const char *name, enum access_key *ret)
{
    for (int i = 0; i < ACCESS_KEY_COUNT; i++) {
        if (strcmp(key_names[i], name) == 0) {
            *ret = (enum access_key)i;
            return true;
        }
    }
    return false;
}

/* ---- sections ---------------------------------------------------------------------------- */

static struct access_section *section_free(struct access_section *section)
{
    if (!section)
        return NULL;
    for (int i = 0; i < 2; i++) {
        access_hosts_done(&section->hosts[i]);
        access_hosts_done(&section->proxies[i]);
        mem_free(section->networks[i].at);
    }
    access_credentials_clear(section);
    for (int i = 0; i < 4; i++)
        mem_free(section->people[i].at);
    for (size_t i = 0; i < section->n_settings; i++) {
        mem_free(section->settings[i].section);
        mem_free(section->settings[i].key);
        mem_free_secret(section->settings[i].value, strlen(section->settings[i].value));
    }
    mem_free(section->settings);
    return mem_free(section);
}
DEFINE_CLEANUP(access_section, section_free)

/* A word for a user or a group. Return: 0, or -EINVAL: it can be neither. */
static int parse_one(struct span text, struct access_one *ret)
{
    struct access_one one = {.name = ""};
    uint64_t id = 0;

    if (text.len == 0 || text.len >= sizeof(one.name))
        return -EINVAL;
    for (size_t i = 0; i < text.len; i++) {
        if ((unsigned char)text.ptr[i] <= ' ' || strchr(",:/@[]\x7f", text.ptr[i]))
            return -EINVAL;
    }
    memcpy(one.name, text.ptr, text.len);
    one.is_number = num_parse_u64(text, UINT32_MAX - 1, &id) == 0;
    one.id = (uint32_t)id;
    *ret = one;
    return 0;
}

static int add_section(struct access_policy *policy,
                       enum access_scope scope,
                       const struct access_one *of,
                       unsigned line,
                       struct access_section **ret)
{
    CLEANUP(section_free) struct access_section *section = mem_zalloc(sizeof(*section));

    if (!section)
        return fault(-ENOMEM);
    section->scope = scope;
    section->of = *of;
    section->line = line;
    struct access_section **grown =
        mem_realloc(policy->sections, (policy->n + 1) * sizeof(struct access_section *));
    if (!grown)
        return fault(-ENOMEM);
    policy->sections = grown;
    *ret = policy->sections[policy->n++] = TAKE(section);
    return 0;
}

int access_policy_new(struct access_policy **ret, const char *path)
{
    CLEANUP(access_policy_free) struct access_policy *policy = mem_zalloc(sizeof(*policy));
    static const struct access_one everybody;
    struct access_section *first;

    if (!policy)
        return fault(-ENOMEM);
    (void)snprintf(policy->path, sizeof(policy->path), "%s", path ? path : "");
    int r = add_section(policy, ACCESS_EVERYBODY, &everybody, 0, &first);
    if (r < 0)
        return r;
    *ret = TAKE(policy);
    return 0;
}

struct access_policy *access_policy_free(struct access_policy *policy)
{
    if (!policy)
        return NULL;
    for (size_t i = 0; i < policy->n; i++)
        section_free(policy->sections[i]);
    mem_free(policy->sections);
    return mem_free(policy);
}

static bool is_of(const struct access_section *section,
                  enum access_scope scope,
                  const struct access_one *of)
{
    return section->scope == scope && strcmp(section->of.name, of->name) == 0;
}

int access_policy_section(struct access_policy *policy,
                          enum access_scope scope,
                          struct span name,
                          unsigned line,
                          struct access_section **ret)
{
    struct access_one of = {.name = ""};

    if (scope != ACCESS_EVERYBODY && parse_one(name, &of) < 0)
        return -EINVAL;
    /* The last one goes on in nearly every case. */
    for (size_t i = policy->n; i > 0; i--) {
        if (is_of(policy->sections[i - 1], scope, &of)) {
            *ret = policy->sections[i - 1];
            return 0;
        }
    }
    return policy->n >= ACCESS_SECTIONS_MAX ? -E2BIG
                                            : add_section(policy, scope, &of, line, ret);
}

const char *access_section_title(const struct access_section *section,
                                 char ret[ACCESS_TITLE_SIZE])
{
    static const char *const kinds[] = {
        [ACCESS_EVERYBODY] = "Policy", [ACCESS_GROUP] = "Group ", [ACCESS_USER] = "User "};

    (void)snprintf(ret, ACCESS_TITLE_SIZE, "[%s%s]", kinds[section->scope], section->of.name);
    return ret;
}

/* ---- lists ------------------------------------------------------------------------------- */

static bool is_separator(char c)
{
    return c == ',' || c == ' ' || c == '\t';
}

static struct span next_word(struct span *text)
{
    size_t len = 0;

    while (text->len > 0 && is_separator(text->ptr[0]))
        *text = span_drop(*text, 1);
    while (len < text->len && !is_separator(text->ptr[len]))
        len++;
    struct span word = span_take(*text, len);
    *text = span_drop(*text, len);
    return word;
}

/* One more of an array that is never large enough to mind. */
static void *grow(void *old, size_t n, size_t size, size_t max)
{
    return n < max ? mem_realloc(old, (n + 1) * size) : NULL;
}

static int add_network(struct access_network_list *list,
                       struct span word,
                       const struct access_section *section,
                       bool allows,
                       unsigned line)
{
    struct access_network network = {
        .allows = allows, .scope = (uint8_t)section->scope, .line = line};
    int r = access_network_parse(word, &network);

    if (r < 0)
        return r;
    if (list->n == ACCESS_NETWORKS_MAX)
        return -E2BIG;
    struct access_network *at = grow(list->at, list->n, sizeof(*at), ACCESS_NETWORKS_MAX);
    if (!at)
        return fault(-ENOMEM);
    list->at = at;
    list->at[list->n++] = network;
    return 0;
}

/* "443", "8000-8999" */
static int add_port(struct access_section *section, struct span word)
{
    struct span rest = word;
    struct span first;
    uint64_t from;
    uint64_t to;
    bool is_range = span_split(&rest, '-', &first);

    if (num_parse_u64(first, UINT16_MAX, &from) < 0 || from == 0)
        return -EINVAL;
    to = from;
    if (is_range && (num_parse_u64(rest, UINT16_MAX, &to) < 0 || to < from))
        return -EINVAL;
    if (section->n_ports == ACCESS_PORTS_MAX)
        return -E2BIG;
    section->ports[section->n_ports++] =
        (struct access_port_range){(uint16_t)from, (uint16_t)to};
    return 0;
}

static int add_method(struct access_section *section, struct span word)
{
    size_t have = strlen(section->methods);
    size_t blank = have > 0;

    if (!method_is_token(word) || method_is_forbidden(word))
        return -EINVAL;
    if (have + blank + word.len >= sizeof(section->methods))
        return -E2BIG;
    if (blank)
        section->methods[have] = ' ';
    memcpy(section->methods + have + blank, word.ptr, word.len);
    section->methods[have + blank + word.len] = '\0';
    return 0;
}

static int add_one(struct access_people *people, struct span word)
{
    struct access_one one;

    if (parse_one(word, &one) < 0)
        return -EINVAL;
    if (people->n == ACCESS_PEOPLE_MAX)
        return -E2BIG;
    struct access_one *at = grow(people->at, people->n, sizeof(*at), ACCESS_PEOPLE_MAX);
    if (!at)
        return fault(-ENOMEM);
    people->at = at;
    people->at[people->n++] = one;
    return 0;
}

static int
add_word(struct access_section *section, enum access_key key, struct span word, unsigned line)
{
    bool allows = key == ACCESS_ALLOW_HOSTS || key == ACCESS_ALLOW_NETWORKS ||
                  key == ACCESS_ALLOW_PROXIES;

    switch (key) {
    case ACCESS_DENY_HOSTS:
    case ACCESS_ALLOW_HOSTS: return access_hosts_add(&section->hosts[allows], word, line);
    case ACCESS_DENY_PROXIES:
    case ACCESS_ALLOW_PROXIES: return access_hosts_add(&section->proxies[allows], word, line);
    case ACCESS_DENY_NETWORKS:
    case ACCESS_ALLOW_NETWORKS:
        return add_network(&section->networks[allows], word, section, allows, line);
    case ACCESS_ALLOW_PORTS: return add_port(section, word);
    case ACCESS_ALLOW_METHODS: return add_method(section, word);
    case ACCESS_DENY_USERS:
    case ACCESS_ALLOW_USERS:
    case ACCESS_DENY_GROUPS:
    case ACCESS_ALLOW_GROUPS: return add_one(&section->people[key - ACCESS_DENY_USERS], word);
    case ACCESS_ALLOW_INSECURE:
    case ACCESS_CREDENTIAL:
    case ACCESS_KEY_COUNT: break;
    }
    return fault(-EINVAL);
}

static void clear_people(struct access_people *people)
{
    mem_free(people->at);
    *people = (struct access_people){0};
}

static void clear_networks(struct access_network_list *list)
{
    mem_free(list->at);
    *list = (struct access_network_list){0};
}

/* An empty line: as if the list had not stood there. */
static void begin_anew(struct access_section *section, enum access_key key)
{
    section->lines[key] = 0;
    switch (key) {
    case ACCESS_DENY_HOSTS: access_hosts_done(&section->hosts[0]); break;
    case ACCESS_ALLOW_HOSTS: access_hosts_done(&section->hosts[1]); break;
    case ACCESS_DENY_PROXIES: access_hosts_done(&section->proxies[0]); break;
    case ACCESS_ALLOW_PROXIES: access_hosts_done(&section->proxies[1]); break;
    case ACCESS_DENY_NETWORKS: clear_networks(&section->networks[0]); break;
    case ACCESS_ALLOW_NETWORKS: clear_networks(&section->networks[1]); break;
    case ACCESS_ALLOW_PORTS: section->n_ports = 0; break;
    case ACCESS_ALLOW_METHODS: section->methods[0] = '\0'; break;
    case ACCESS_CREDENTIAL: access_credentials_clear(section); break;
    case ACCESS_DENY_USERS:
    case ACCESS_ALLOW_USERS:
    case ACCESS_DENY_GROUPS:
    case ACCESS_ALLOW_GROUPS: clear_people(&section->people[key - ACCESS_DENY_USERS]); break;
    case ACCESS_ALLOW_INSECURE:
    case ACCESS_KEY_COUNT: break;
    }
}

static const char *wanted(enum access_key key)
{
    switch (key) {
    case ACCESS_DENY_HOSTS:
    case ACCESS_ALLOW_HOSTS:
    case ACCESS_DENY_PROXIES:
    case ACCESS_ALLOW_PROXIES:
        return "names, as api.example.com, *.example.com for what is below it, addresses, or * "
               "for all, each with a :port if only that is meant (networks: AllowNetworks=, "
               "DenyNetworks=)";
    case ACCESS_DENY_NETWORKS:
    case ACCESS_ALLOW_NETWORKS: return "addresses or networks, as 10.0.0.0/8 or fe80::/10";
    case ACCESS_ALLOW_PORTS: return "ports from 1 to 65535 or ranges of them, as 8000-8999";
    case ACCESS_ALLOW_METHODS: return "methods, as GET HEAD";
    case ACCESS_DENY_USERS:
    case ACCESS_ALLOW_USERS: return "names or numbers of users";
    case ACCESS_DENY_GROUPS:
    case ACCESS_ALLOW_GROUPS: return "names or numbers of groups";
    case ACCESS_ALLOW_INSECURE: return "yes or no";
    case ACCESS_CREDENTIAL:
        return "a host, perhaps with a port, bearer or basic, and the file with the token or "
               "user:password, as api.example.com bearer /etc/xhrd/token";
    case ACCESS_KEY_COUNT: break;
    }
    return "";
}

/* What it wants, or how much of it. Return: -EINVAL or -ENOMEM. */
static int refuse(enum access_key key, struct span word, int why, struct buf *error)
{
    word = word.len > 0 ? word : SPAN_LIT("");
    int r = why == -E2BIG ? buf_append_format(error, "%s=%.*s: more than the list can hold",
                                              key_names[key], (int)word.len, word.ptr)
                          : buf_append_format(error, "%s=%.*s: wants %s", key_names[key],
                                              (int)word.len, word.ptr, wanted(key));
    return r < 0 ? r : -EINVAL;
}

/* Which of the two would count? */
static int refuse_second(enum access_key key, unsigned other, struct buf *error)
{
    int r = buf_append_format(error, "%s= %sstands in line %u already", key_names[key],
                              key == ACCESS_CREDENTIAL ? "for this host " : "", other);

    return r < 0 ? r : -EINVAL;
}

static int set_insecure(struct access_section *section,
                        const char *value,
                        unsigned line,
                        struct buf *error)
{
    if (strcmp(value, "yes") != 0 && strcmp(value, "no") != 0)
        return refuse(ACCESS_ALLOW_INSECURE, span_of(value), -EINVAL, error);
    if (section->lines[ACCESS_ALLOW_INSECURE] != 0)
        return refuse_second(ACCESS_ALLOW_INSECURE, section->lines[ACCESS_ALLOW_INSECURE],
                             error);
    section->insecure = value[0] == 'y';
    section->lines[ACCESS_ALLOW_INSECURE] = line;
    return 0;
}

int access_section_set(struct access_section *section,
                       enum access_key key,
                       const char *value,
                       unsigned line,
                       struct buf *ret_error)
{
    struct span rest = span_of(value);
    struct span word = next_word(&rest);

    INVARIANT(key < ACCESS_KEY_COUNT);
    if (key == ACCESS_ALLOW_INSECURE)
        return set_insecure(section, value, line, ret_error);
    if (word.len == 0) {
        begin_anew(section, key);
        return 0;
    }
    if (key == ACCESS_CREDENTIAL) {
        unsigned other = 0;
        int r = access_credential_add(section, value, line, &other);

        if (r == -EEXIST)
            return refuse_second(key, other, ret_error);
        return r == -EINVAL || r == -E2BIG ? refuse(key, span_of(value), r, ret_error) : r;
    }
    for (; word.len > 0; word = next_word(&rest)) {
        int r = add_word(section, key, word, line);

        if (r == -EINVAL || r == -E2BIG)
            return refuse(key, word, r, ret_error);
        if (r < 0)
            return r;
    }
    if (section->lines[key] == 0)
        section->lines[key] = line;
    return 0;
}

int access_section_keep(struct access_section *section,
                        const char *of_section,
                        const char *key,
                        const char *value,
                        unsigned line)
{
    struct access_setting *settings =
        grow(section->settings, section->n_settings, sizeof(*settings), SETTINGS_MAX);

    if (!settings)
        return fault(-ENOMEM);
    section->settings = settings;
    struct access_setting setting = {mem_dup(span_of(of_section)), mem_dup(span_of(key)),
                                     mem_dup(span_of(value)), line};
    if (!setting.section || !setting.key || !setting.value) {
        mem_free(setting.section);
        mem_free(setting.key);
        mem_free(setting.value);
        return fault(-ENOMEM);
    }
    section->settings[section->n_settings++] = setting;
    return 0;
}

void access_policy_compile(struct access_policy *policy)
{
    for (size_t i = 0; i < policy->n; i++) {
        for (int k = 0; k < 2; k++) {
            access_hosts_sort(&policy->sections[i]->hosts[k]);
            access_hosts_sort(&policy->sections[i]->proxies[k]);
        }
    }
}
