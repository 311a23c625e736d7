/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * A cookie jar in memory (RFC 6265bis §5.7, §5.8): what a response may store and what a request
 * carries. One jar for each partition and jar name; nothing here knows of others.
 *
 * Cookies are kept by site (registrable domain), each site's in the order in which they are
 * sent: a question costs the cookies of that site, however many the jar holds.
 *
 * SameSite and Partitioned (RFC 6265bis §5.2; draft-cutler-httpbis-partitioned-cookies): on
 * whose behalf a request is made, and what its user sees above it, is the client's word. Where
 * it says nothing a request is same-site and its own site is the top-level one, at each hop.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/list.h"
#include "base/span.h"
#include "http/headers.h"
#include "http/set_cookie.h"
#include "policy/cookie_unsaved.h"
#include "policy/public_suffix.h"

#define COOKIE_PATH_MAX         1024 /* bytes: RFC 6265bis §5.6 step 7; also of a default-path */
#define COOKIE_COMMENT_MAX      255       /* bytes */
#define COOKIE_URL_MAX          512       /* bytes of original_url; a longer one is not kept */
#define COOKIE_PARTITION_MAX    272       /* bytes of a partition key: "https://" and a host */
#define COOKIE_EXPIRES_NEVER    INT64_MAX /* expires_s of a session cookie */
#define COOKIE_CLOCK_SANE_AFTER INT64_C(1735689600) /* 2025: a clock before it is not set */

struct cookie {
    struct span name; /* empty: a nameless cookie, sent as its value alone */
    struct span value;
    struct span domain;        /* canonical, no leading dot */
    struct span path;          /* begins with '/' */
    struct span partition_key; /* the top-level site, "https://example.com"; empty: of all */
    struct span comment;
    struct span original_url; /* that set it */
    int64_t expires_s;        /* COOKIE_EXPIRES_NEVER unless is_persistent */
    int64_t created_s;        /* kept when the cookie is overwritten */
    int64_t last_access_s;    /* when it last went out or was stored */
    uint64_t order;           /* of creation; unique among the jars that share a counter */
    uint32_t version;         /* RFC 2109; kept, and nothing else */
    uint8_t same_site;        /* enum same_site */
    bool is_persistent : 1;
    bool secure : 1;
    bool http_only : 1;
    bool host_only : 1;
};

struct cookie_jar;

struct cookie_jar_options {
    size_t cookies_max;        /* 3000; RFC 6265bis §5.5 asks for 3000 at least */
    size_t site_cookies_max;   /* 180 of one registrable domain: Chromium's number */
    size_t header_cookies_max; /* 150 in one request: curl's numbers, so that cookies cannot */
    size_t header_bytes_max;   /* 8190  make requests that servers refuse (CVE-2022-32205) */
    size_t response_cookies_max; /* 50 Set-Cookie fields read of one response: curl's number */
    int64_t lifetime_max_s;      /* 400 days: RFC 6265bis §5.5 */
    int64_t clock_sane_s;        /* nothing stored expires while the clock is before it */
    size_t bytes_max;            /* 16 MiB of memory, of all jars that share .bytes */
    size_t *bytes;               /* counters shared by several jars; NULL: the jar's own */
    uint64_t *order;
    uint64_t tag;                   /* of a jar that is nobody else's; 0: of no such */
    struct cookie_unsaved *unsaved; /* of all jars that share it; NULL: nobody saves */
};

struct cookie_jar_options cookie_jar_options_default(void);

/* The numbers in @from that are limits of size, the rest of it does not count. What a jar has
 * above them goes when it next takes something in. */
void cookie_options_set_limits(struct cookie_jar_options *options,
                               const struct cookie_jar_options *from);
void cookie_jar_set_limits(struct cookie_jar *jar, const struct cookie_jar_options *from);

uint64_t cookie_jar_tag(const struct cookie_jar *jar);

/* As much of an origin as makes a site. Host empty: not said. */
struct cookie_origin {
    struct span host; /* as url.host has it */
    bool is_https;
};

/* Whose request or response it is. All borrowed for the call. */
struct cookie_request {
    struct span host; /* as url.host has it: canonical, brackets and a trailing dot are fine */
    struct span path; /* as url.path has it; empty is "/" */
    struct span url;  /* without userinfo, query and fragment; kept with what it sets */
    struct cookie_origin site; /* on whose behalf: the site for cookies, §5.2 */
    struct cookie_origin
        top_level; /* what the user sees; not said: site, else the host's own */
    int64_t now_s;
    bool is_secure;     /* https */
    bool is_navigation; /* of the top level: a safe request carries Lax cookies, and any may set
                         */
    bool is_unsafe;     /* the method is not safe, RFC 9110 §9.2.1 */
    bool is_not_http;   /* asked by other means than HTTP: HttpOnly cookies are out of reach */
};

enum cookie_outcome {
    COOKIE_STORED = 1,
    COOKIE_REPLACED, /* there was one of this name, domain and path */
    COOKIE_REMOVED,  /* it had expired already: what was there is gone, if anything was */
    /* From here on nothing has changed. cookie_outcome_is_refusal() */
    COOKIE_REFUSED_EMPTY,         /* neither name nor value */
    COOKIE_REFUSED_CTL,           /* a control character */
    COOKIE_REFUSED_TOO_LONG,      /* name and value over SET_COOKIE_PAIR_MAX */
    COOKIE_REFUSED_PATH,          /* over COOKIE_PATH_MAX, or without a '/' at its start */
    COOKIE_REFUSED_HOST,          /* the host is no name a cookie can belong to */
    COOKIE_REFUSED_DOMAIN,        /* the host is not of that domain, or it is none */
    COOKIE_REFUSED_PUBLIC_SUFFIX, /* the domain has many owners */
    COOKIE_REFUSED_SECURE,        /* Secure, but not over https */
    COOKIE_REFUSED_OVERLAY,       /* would hide a Secure cookie, and not over https */
    COOKIE_REFUSED_HTTP_ONLY,     /* HttpOnly, or would replace such a one, and not by HTTP */
    COOKIE_REFUSED_PREFIX,        /* named __Host- or __Secure- and not like that */
    COOKIE_REFUSED_PARTITIONED,   /* Partitioned without Secure */
    COOKIE_REFUSED_SAME_SITE,     /* of a cross-site answer, and not SameSite=None */
    COOKIE_REFUSED_NONE_INSECURE, /* SameSite=None without Secure */
    COOKIE_REFUSED_FULL,     /* no place left: Secure cookies have them, or no memory has */
    COOKIE_REFUSED_UNSAVED,  /* the disk takes nothing, and no more may wait for it */
    COOKIE_REFUSED_TOO_MANY, /* more than response_cookies_max in one response */
    COOKIE_REFUSED_EXPIRED,  /* restored from the disk too late */
};

static inline bool cookie_outcome_is_refusal(int outcome)
{
    return outcome >= COOKIE_REFUSED_EMPTY;
}

/* For people: "the domain is a public suffix". */
const char *cookie_outcome_text(int outcome);

/* Why a cookie changed. */
enum cookie_cause {
    COOKIE_CAUSE_ADDED,
    COOKIE_CAUSE_REPLACED,
    COOKIE_CAUSE_REMOVED, /* by a server's past expiry date or by the user */
    COOKIE_CAUSE_EXPIRED,
    COOKIE_CAUSE_EVICTED,  /* a limit was passed */
    COOKIE_CAUSE_ACCESSED, /* only last_access_s; told at most once a day for each cookie */
};

const char *cookie_cause_name(enum cookie_cause cause); /* "evicted" */

/* Told of every change, after it was made. @before and @after are borrowed: @before ends with
 * the call, @after lives until a later change says it does not. The jar must not be changed
 * from inside. COOKIE_CAUSE_ACCESSED tells the same cookie twice. */
struct cookie_changes {
    void (*on_change)(void *owner,
                      enum cookie_cause cause,
                      const struct cookie *before,
                      const struct cookie *after);
    /* Cookies of an earlier life have come back all at once; NULL: does not matter. */
    void (*on_reset)(void *owner);
    /* What is told between the two is of one response, and belongs together; the same. */
    void (*on_group)(void *owner, bool begins);
};

struct cookie_observer {
    struct link link;
    const struct cookie_changes *changes;
    void *owner;
};

struct cookie_jar;

/* @rules is borrowed, @options copied. Return: 0 or -ENOMEM. */
MUST_CHECK int cookie_jar_new(struct cookie_jar **ret,
                              const struct suffix_rules *rules,
                              const struct cookie_jar_options *options);
struct cookie_jar *cookie_jar_free(struct cookie_jar *jar); /* observers are told nothing */
DEFINE_CLEANUP(cookie_jar, cookie_jar_free)

/* @observer is embedded at its owner; it hears of changes until it is taken off. */
void cookie_jar_observe(struct cookie_jar *jar, struct cookie_observer *observer);
void cookie_jar_unobserve(struct cookie_observer *observer);

size_t cookie_jar_count(const struct cookie_jar *jar);

/* How many changes observers were told of, but for accesses. */
uint64_t cookie_jar_sequence(const struct cookie_jar *jar);

/* After cookies were restored while somebody observed. */
void cookie_jar_tell_reset(struct cookie_jar *jar);

/**
 * cookie_jar_store() - what one Set-Cookie field asks for
 * @from: whose response it came with
 * Return: one of enum cookie_outcome, or -ENOMEM (nothing changed).
 */
MUST_CHECK int cookie_jar_store(struct cookie_jar *jar,
                                const struct cookie_request *from,
                                const struct set_cookie *set);

struct cookie_summary {
    unsigned changed; /* stored, replaced or removed */
    unsigned refused;
    bool must_be_saved; /* a persistent cookie came, changed or went, or could not be saved */
};

/* Hears of each refusal: @field is the Set-Cookie value, the outcome one of the refusals. */
struct cookie_refusals {
    void (*on_refused)(void *owner, struct span field, int outcome);
    void *owner;
};

/**
 * cookie_jar_store_response() - all Set-Cookie fields of one response
 * @refusals: or NULL
 * @ret:      what happened; also filled on -ENOMEM, which ends the walk
 * Return: 0 or -ENOMEM.
 */
MUST_CHECK int cookie_jar_store_response(struct cookie_jar *jar,
                                         const struct cookie_request *from,
                                         const struct headers *headers,
                                         const struct cookie_refusals *refusals,
                                         struct cookie_summary *ret);

/**
 * cookie_jar_header_for() - append the value of a request's Cookie field
 *
 * Longer paths first, older cookies first among equals. A cookie that would pass
 * header_bytes_max is left out, and so are all behind the header_cookies_max-th.
 *
 * Return: how many cookies it holds (0: send no Cookie field), or -ENOMEM / -EMSGSIZE. @out is
 * unchanged unless the result is positive.
 */
MUST_CHECK int cookie_jar_header_for(struct cookie_jar *jar,
                                     const struct cookie_request *request,
                                     struct buf *out);

/* Why a cookie does not go along with a request, in the order in which it is asked. */
enum cookie_verdict {
    COOKIE_GOES = 0,
    COOKIE_STAYS_DOMAIN,    /* the host is not of the cookie's domain */
    COOKIE_STAYS_HOST_ONLY, /* it is for the very host that set it */
    COOKIE_STAYS_PATH,      /* the path is not below the cookie's */
    COOKIE_STAYS_SECURE,    /* Secure, and the request is in the clear */
    COOKIE_STAYS_HTTP_ONLY, /* HttpOnly, and asked by other means than HTTP */
    COOKIE_STAYS_SAME_SITE, /* the request is made on behalf of another site */
    COOKIE_STAYS_PARTITION, /* it is for another top-level site */
    COOKIE_STAYS_EXPIRED,   /* and is not swept out yet */
    COOKIE_STAYS_TOO_MANY,  /* header_cookies_max are before it */
    COOKIE_STAYS_NO_ROOM,   /* it would pass header_bytes_max */
};

/* For people: "it is Secure and the request is not". */
const char *cookie_verdict_text(enum cookie_verdict verdict);

/**
 * cookie_jar_explain() - say of every cookie whether cookie_jar_header_for() would send it
 * @fn: returns whether to go on; must not change the jar. Those that go come first, in the
 *      order of sending, among others of their site; then all other sites'
 *
 * Changes nothing: no cookie counts as used, none is swept out.
 */
void cookie_jar_explain(struct cookie_jar *jar,
                        const struct cookie_request *request,
                        bool (*fn)(void *arg,
                                   const struct cookie *cookie,
                                   enum cookie_verdict verdict),
                        void *arg);

/**
 * cookie_jar_set() - put a cookie in by the owner's hand
 * @draft: name, value, path, expires_s, is_persistent, comment, version, original_url and the
 *         flags count; the domain too unless it is empty, else the cookie is host-only for
 *         @from's host. With any partition_key it is partitioned, by @from's top level
 * @from:  stands for where the cookie came from; with an empty host nothing is held against
 *         the cookie's domain and scheme but what holds for every cookie
 *
 * Return: one of enum cookie_outcome, or -ENOMEM (nothing changed).
 */
MUST_CHECK int cookie_jar_set(struct cookie_jar *jar,
                              const struct cookie *draft,
                              const struct cookie_request *from);

/* Whether hosts of many owners are below @domain: a public suffix. What cookie_jar_set() makes
 * of a cookie of it is one for that very host. */
bool cookie_jar_is_shared_domain(const struct cookie_jar *jar, struct span domain);

/**
 * cookie_jar_restore() - put back a cookie of an earlier life; observers are told nothing
 * @saved: all members count
 *
 * One that is in the jar already stays. What the rules of today refuse is refused.
 *
 * Return: COOKIE_STORED, a refusal (COOKIE_REFUSED_OVERLAY: there already), or -ENOMEM.
 */
MUST_CHECK int
cookie_jar_restore(struct cookie_jar *jar, const struct cookie *saved, int64_t now_s);

/* What cookie_jar_restore() would find in the place of @saved goes, and observers are told.
 * Return: its order; 0: there was nothing. */
uint64_t cookie_jar_make_way(struct cookie_jar *jar, const struct cookie *saved);

/* Lets the least recently used of what was not saved go until the rest keeps to its limit. */
void cookie_jar_trim_unsaved(struct cookie_jar *jar);

/* Adds to every cookie's order: they are younger than what will be restored. */
void cookie_jar_renumber(struct cookie_jar *jar, uint64_t add);

/* Every given member must match; empty ones match anything. */
struct cookie_filter {
    struct span domain; /* the cookie's domain, exactly; a leading dot is fine, case is not */
    struct span path;   /* the cookie's path, exactly */
    struct span name;
    struct span host;          /* cookies that a request to this host could carry */
    struct span request_path;  /* cookies that a request to this path could carry */
    struct span partition_key; /* exactly */
    bool session_only;
};

/* Whether @cookie is among those that @filter means; NULL means all. */
bool cookie_filter_means(const struct cookie_jar *jar,
                         const struct cookie_filter *filter,
                         const struct cookie *cookie);

/**
 * cookie_jar_each() - walk the unexpired cookies that match, in no particular order
 * @filter: or NULL: all
 * @fn:     returns whether to go on; must not change the jar
 */
void cookie_jar_each(struct cookie_jar *jar,
                     const struct cookie_filter *filter,
                     int64_t now_s,
                     bool (*fn)(void *arg, const struct cookie *cookie),
                     void *arg);

struct cookie_list {
    const struct cookie *
        *cookies; /* borrowed from the jar: until its next change or question */
    size_t count;
};

/* The same, sorted by domain, path, name. Return: 0 or -ENOMEM. */
MUST_CHECK int cookie_jar_list(struct cookie_jar *jar,
                               const struct cookie_filter *filter,
                               int64_t now_s,
                               struct cookie_list *ret);
void cookie_list_done(struct cookie_list *list);
#define CLEANUP_COOKIE_LIST __attribute__((cleanup(cookie_list_done)))

/* Return: how many went. */
size_t cookie_jar_remove(struct cookie_jar *jar, const struct cookie_filter *filter);
size_t cookie_jar_clear(struct cookie_jar *jar);
size_t cookie_jar_end_session(struct cookie_jar *jar); /* session cookies go */
size_t cookie_jar_expire(struct cookie_jar *jar, int64_t now_s);
