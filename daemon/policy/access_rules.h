/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Who may ask for what, as the administrator wrote it.
 *
 * A *section* holds the rules of a user, of a group, or of everybody. A *view* is what one
 * person is held to: his [User] sections, then his [Group] sections, each in the order of the
 * file, then everybody's. The sections are asked one after the other, and the first that has a
 * word on the thing in question decides: it refuses what its Deny list names, allows what its
 * Allow list names, and refuses what its Allow list does not name. A section with neither is
 * silent; what all are silent about is allowed.
 *
 * Pure: names of people are handed in, nothing is looked up here.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/failure.h"
#include "base/span.h"
#include "http/origin.h"
#include "http/sha256.h"
#include "policy/access_hosts.h"
#include "policy/access_networks.h"

#define ACCESS_NAME_MAX     64   /* bytes of a user's or a group's name, with its NUL */
#define ACCESS_PATH_MAX     256  /* bytes shown of the file's path, with its NUL */
#define ACCESS_SECTIONS_MAX 4096 /* of a file */
#define ACCESS_PORTS_MAX    64   /* ranges of a list */
#define ACCESS_METHODS_MAX  512  /* bytes of a list, with its NUL */
#define ACCESS_PEOPLE_MAX   1024 /* of a list */

enum access_scope { ACCESS_EVERYBODY, ACCESS_GROUP, ACCESS_USER };

enum access_key {
    ACCESS_DENY_HOSTS,
    ACCESS_ALLOW_HOSTS,
    ACCESS_DENY_NETWORKS,
    ACCESS_ALLOW_NETWORKS,
    ACCESS_ALLOW_PORTS,
    ACCESS_ALLOW_METHODS,
    ACCESS_DENY_PROXIES,
    ACCESS_ALLOW_PROXIES,
    ACCESS_ALLOW_INSECURE,
    ACCESS_CREDENTIAL,
    /* of everybody's section alone: who is served at all */
    ACCESS_DENY_USERS,
    ACCESS_ALLOW_USERS,
    ACCESS_DENY_GROUPS,
    ACCESS_ALLOW_GROUPS,
    ACCESS_KEY_COUNT,
};

struct access_port_range {
    uint16_t from, to;
};

/* A user or a group: a number, or a name that is compared when somebody comes. */
struct access_one {
    char name[ACCESS_NAME_MAX];
    uint32_t id;
    bool is_number;
};

struct access_people {
    struct access_one *at; /* owned */
    size_t n;
};

struct access_network_list {
    struct access_network *at; /* owned */
    size_t n;
};

/* A login of the administrator's, which goes along to one host over https. The secret is in the
 * file that is named; nobody who asks for the host ever sees it. */
struct access_credential {
    char *host;    /* owned; canonical, no brackets */
    char *path;    /* owned; absolute, or a name in $CREDENTIALS_DIRECTORY */
    char *value;   /* owned; of Authorization; NULL: not read yet */
    char *secrets; /* owned; what must not come back: NUL-separated, an empty one ends it */
    size_t secrets_len;
    uint16_t port;
    bool is_basic;
    unsigned line;
};

/* A key of another room that this section sets otherwise; kept as it was written. */
struct access_setting {
    char *section; /* owned; where the key stands for everybody: "Limits" */
    char *key;     /* owned */
    char *value;   /* owned */
    unsigned line;
};

struct access_section {
    enum access_scope scope;
    struct access_one of;             /* whom it is about; unless of everybody */
    unsigned line;                    /* of its first key */
    unsigned lines[ACCESS_KEY_COUNT]; /* of the first line of each key; 0: it is not there */
    struct access_hosts hosts[2];     /* [allows] */
    struct access_hosts proxies[2];
    struct access_network_list networks[2];
    struct access_port_range ports[ACCESS_PORTS_MAX];
    size_t n_ports;
    char methods[ACCESS_METHODS_MAX]; /* one blank between them */
    bool insecure;
    struct access_credential *credentials; /* owned */
    size_t n_credentials;
    struct access_people people[4];  /* from ACCESS_DENY_USERS on */
    struct access_setting *settings; /* owned */
    size_t n_settings;
};

struct access_policy {
    struct access_section **sections; /* owned; the first is everybody's */
    size_t n;
    char path[ACCESS_PATH_MAX];
};

/* Return: 0 or -ENOMEM. */
MUST_CHECK int access_policy_new(struct access_policy **ret, const char *path);
struct access_policy *access_policy_free(struct access_policy *policy);
DEFINE_CLEANUP(access_policy, access_policy_free)

/* "AllowHosts". Return: whether there is such a rule. */
bool access_key_find(const char *name, enum access_key *ret);
const char *access_key_name(enum access_key key);

/**
 * access_policy_section() - the section of a user, a group or everybody, made when it is new
 * @name: of the user or group, or a number
 * Return: 0; -EINVAL: no such name can be; -E2BIG; -ENOMEM.
 */
MUST_CHECK int access_policy_section(struct access_policy *policy,
                                     enum access_scope scope,
                                     struct span name,
                                     unsigned line,
                                     struct access_section **ret);

/**
 * access_section_set() - one line of a section
 * @value:     a list adds up over several lines, and an empty one begins it anew
 * @ret_error: on -EINVAL what was wrong and what would be right
 * Return: 0, -EINVAL or -ENOMEM.
 */
MUST_CHECK int access_section_set(struct access_section *section,
                                  enum access_key key,
                                  const char *value,
                                  unsigned line,
                                  struct buf *ret_error);

/* Keeps a key of another room; the last of several lines counts. Return: 0 or -ENOMEM. */
MUST_CHECK int access_section_keep(struct access_section *section,
                                   const char *of_section,
                                   const char *key,
                                   const char *value,
                                   unsigned line);

/* When the whole file has been read. */
void access_policy_compile(struct access_policy *policy);

/* "[User alice]", "[Group 33]", "[Policy]". Return: @ret. */
#define ACCESS_TITLE_SIZE (ACCESS_NAME_MAX + 16)
const char *access_section_title(const struct access_section *section,
                                 char ret[ACCESS_TITLE_SIZE]);

/* ---- people ------------------------------------------------------------------------------ */

struct access_group {
    uint32_t gid;
    char name[ACCESS_NAME_MAX]; /* "": it has none, or nobody asked for it */
};

/* Somebody, as the kernel and the user database name him. Borrowed. */
struct access_person {
    uint32_t uid;
    const char *name; /* "": he has none */
    const struct access_group *groups;
    size_t n_groups;
};

/* Is there a section or a list that goes by names? Else nobody's name has to be looked up. */
bool access_policy_wants_names(const struct access_policy *policy);

/* Return: NULL: he is served; else the rule that keeps him out. Root is kept out by a Deny list
 * alone. */
const char *access_policy_keeps_out(const struct access_policy *policy,
                                    const struct access_person *person);

/* What one person is held to. Borrows the policy. */
struct access_view {
    const struct access_policy *policy;
    const struct access_section **sections; /* owned; the most special first */
    size_t n;
    struct access_network *networks; /* owned; of all its sections, in the order of asking */
    size_t n_networks;
    uint8_t networks_digest[SHA256_BYTES]; /* of those */
};

/* Return: 0, -ENOMEM, or -E2BIG: more than ACCESS_NETWORKS_MAX networks hold for him. */
MUST_CHECK int access_view_init(struct access_view *view,
                                const struct access_policy *policy,
                                const struct access_person *person);
void access_view_done(struct access_view *view);

#define ACCESS_SECRET_MAX 65536 /* bytes of a credential's file */

/**
 * access_credential_take() - what its file holds
 * @bytes: a token, or user:password; line ends behind it are dropped
 * Return: 0; -EINVAL: nothing that can be sent; -ENOMEM.
 */
MUST_CHECK int access_credential_take(struct access_credential *credential, struct span bytes);

/* What goes along to an origin; the first section that has something. NULL: nothing. */
const struct access_credential *access_view_credential(const struct access_view *view,
                                                       const struct origin *origin);

/* Why a request with this of its own ("insecure") may not go where the login goes along. */
void access_credential_refuse(const struct access_credential *credential,
                              const char *around,
                              struct failure *ret_why);

/* Does a text hold one of @secrets (see struct access_credential)? */
bool access_secrets_are_in(struct span secrets, struct span text);

/* ---- judging ----------------------------------------------------------------------------- */

enum access_word { ACCESS_SILENT = 0, ACCESS_ALLOWS, ACCESS_REFUSES };

enum access_subject {
    ACCESS_ABOUT_HOST,
    ACCESS_ABOUT_PORT,
    ACCESS_ABOUT_METHOD,
    ACCESS_ABOUT_INSECURE,
    ACCESS_ABOUT_PROXY,
    ACCESS_ABOUT_ADDRESS,
};

/* What one section says of one thing. Borrowed. */
struct access_step {
    enum access_subject subject;
    struct span thing; /* "api.example.com" */
    uint16_t port;     /* of a host or a proxy; 0: none */
    enum access_word word;
    const struct access_section *section; /* NULL: nobody has a word on it */
    enum access_key key;
    unsigned line;                   /* the entry's, or the list's that does not name it */
    const struct access_host *entry; /* that names a host; NULL: none, or no host */
};

/* Told of each section's word, silent ones with a list as well; may be NULL. */
struct access_listener {
    void (*on_step)(void *owner, const struct access_step *step);
    void *owner;
};

/* One question after the other; *ret_step is the word that decided. Return: whether it is
 * allowed. */
bool access_allows_host(const struct access_view *view,
                        enum access_subject subject, /* ABOUT_HOST or ABOUT_PROXY */
                        struct span host,
                        uint16_t port,
                        const struct access_listener *listener,
                        struct access_step *ret_step);
bool access_allows_port(const struct access_view *view,
                        uint16_t port,
                        const struct access_listener *listener,
                        struct access_step *ret_step);
bool access_allows_method(const struct access_view *view,
                          struct span method,
                          const struct access_listener *listener,
                          struct access_step *ret_step);
bool access_allows_insecure(const struct access_view *view,
                            const struct access_listener *listener,
                            struct access_step *ret_step);
/* Does a section say which proxies may be used? Else a proxy is judged as a host. */
bool access_judges_proxies(const struct access_view *view);

/* Why not, and what would allow it: "evil.example:443: AllowHosts= of [User alice] …". Return:
 * 0, -ENOMEM, -EMSGSIZE. */
MUST_CHECK int access_step_explain(const struct access_step *step, struct buf *out);
