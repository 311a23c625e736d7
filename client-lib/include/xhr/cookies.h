/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * libxhr: cookie jars. Part of xhr/xhr.h, which includes it.
 *
 * A jar belongs to a user and is shared by all his processes. NULL is "default", any other name
 * a jar of its own, "system" the machine's; "UID/NAME" is one that another user has granted a
 * right on. A change is visible to every process when it is answered.
 */

#include "xhr/xhr.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A jar of this client alone: not kept, not seen by others, gone with the connection. */
#define XHR_JAR_PRIVATE ":private"

enum xhr_same_site {
    XHR_SAME_SITE_UNSPECIFIED = 0, /* the server said nothing */
    XHR_SAME_SITE_NONE = 1,
    XHR_SAME_SITE_LAX = 2,
    XHR_SAME_SITE_STRICT = 3
};

/* How safe a change is. */
enum xhr_durability {
    XHR_DURABILITY_STORED = 0, /* it survives any death of the daemon */
    XHR_DURABILITY_SYNCED = 1, /* and loss of power */
    XHR_DURABILITY_MEMORY = 2  /* told, never asked: the disk did not take it */
};

struct xhr_cookie {
    size_t size; /* sizeof(struct xhr_cookie), where the program fills it */
    const char *name;
    const char *value;
    const char *domain; /* without a leading dot */
    const char *path;
    bool secure;
    bool http_only;
    bool host_only; /* not for sub-domains */
    enum xhr_same_site same_site;
    bool persistent;   /* expires_s holds */
    int64_t expires_s; /* Unix time */
    int64_t created_s;
    int64_t last_access_s;
    const char *partition_key; /* the top-level site; "" or NULL: not partitioned */
    bool partitioned;          /* set: with no partition_key, of the site of the URL */
    bool value_withheld;       /* told: value is "" since our right does not reach so far */
    int64_t max_age_s;         /* told: of a persistent one, from now; 0: it has expired */
    const char *comment;       /* at most 255 bytes */
    uint32_t version;
    const char *original_url; /* that set it, without userinfo, query and fragment */
};

/* isValid(): it has not expired. */
XHR_API bool xhr_cookie_is_valid(const struct xhr_cookie *cookie);

/* Every given field must match; NULL matches anything. */
struct xhr_cookie_filter {
    size_t size;        /* sizeof(struct xhr_cookie_filter) */
    const char *domain; /* the cookie's domain, exactly */
    const char *path;
    const char *name;
    const char *host;          /* cookies that a request to this host could carry */
    const char *request_path;  /* cookies that a request to this path could carry */
    const char *partition_key; /* exactly */
};

/* The answer to one command. In a callback it is borrowed; where a function gives it back it is
 * the program's, to be given to xhr_cookies_free(). */
XHR_API size_t xhr_cookies_count(const struct xhr_cookies *cookies);
XHR_API const struct xhr_cookie *xhr_cookies_at(const struct xhr_cookies *cookies,
                                                size_t index);
XHR_API uint64_t xhr_cookies_changed(const struct xhr_cookies *cookies); /* set or removed */
XHR_API bool xhr_cookies_not_persisted(const struct xhr_cookies *cookies);
XHR_API enum xhr_durability xhr_cookies_durability(const struct xhr_cookies *cookies);
XHR_API const struct xhr_error *
xhr_cookies_error(const struct xhr_cookies *cookies);                      /* or NULL */
XHR_API struct xhr_cookies *xhr_cookies_free(struct xhr_cookies *cookies); /* NULL */

/* ---- the cookie functions of HTTPClient and Network ---------------------------------------
 *
 * @call: which jar and how; NULL: the default jar, STORED
 * @ret:  NULL: the function returns at once and @call->done is called exactly once, from
 *        xhr_client_dispatch() or xhr_client_free(). Else it blocks, done is not called, and
 *        *ret is set on success and on a failure the daemon told of, else to NULL.
 *
 * Domains and paths are matched as RFC 6265 says of a request: get_for_domain(…,
 * "www.example.com") finds what a request to that host could carry. What is removed by domain,
 * path and name is named exactly.
 *
 * Return: 0, or -errno; without @ret, done is then not called. -EINVAL for a domain that is
 * missing; -EDEADLK for blocking inside a callback.
 */
struct xhr_cookie_call {
    size_t size;     /* sizeof(struct xhr_cookie_call) */
    const char *jar; /* not of the functions of the system jar */
    enum xhr_durability durability;
    void (*done)(const struct xhr_cookies *cookies, void *user);
    void *user;
};

/* addHTTPCookie. @url stands for where the cookie came from and is judged like a server's; NULL
 * or "": by the owner's hand. */
XHR_API int xhr_http_cookie_add(struct xhr_client *client,
                                const struct xhr_cookie_call *call,
                                const struct xhr_cookie *cookie,
                                const char *url,
                                struct xhr_cookies **ret);
/* getHTTPCookies. @path and @name may be NULL: any. */
XHR_API int xhr_http_cookies_get(struct xhr_client *client,
                                 const struct xhr_cookie_call *call,
                                 const char *domain,
                                 const char *path,
                                 const char *name,
                                 struct xhr_cookies **ret);
/* getHTTPCookiesForDomain */
XHR_API int xhr_http_cookies_get_for_domain(struct xhr_client *client,
                                            const struct xhr_cookie_call *call,
                                            const char *domain,
                                            struct xhr_cookies **ret);
/* removeHTTPCookie. All three are wanted; a @path of "" is "/". */
XHR_API int xhr_http_cookie_remove(struct xhr_client *client,
                                   const struct xhr_cookie_call *call,
                                   const char *domain,
                                   const char *path,
                                   const char *name,
                                   struct xhr_cookies **ret);
/* removeHTTPCookiesForDomain */
XHR_API int xhr_http_cookies_remove_for_domain(struct xhr_client *client,
                                               const struct xhr_cookie_call *call,
                                               const char *domain,
                                               struct xhr_cookies **ret);
/* removeAllHTTPCookies */
XHR_API int xhr_http_cookies_remove_all(struct xhr_client *client,
                                        const struct xhr_cookie_call *call,
                                        struct xhr_cookies **ret);
/* allHTTPCookies */
XHR_API int xhr_http_cookies_all(struct xhr_client *client,
                                 const struct xhr_cookie_call *call,
                                 struct xhr_cookies **ret);
/* addSystemCookie, getSystemCookies, removeSystemCookie, removeAllSystemCookies: the same of
 * the jar "system". What one may do there is in xhrd.conf(5). */
XHR_API int xhr_system_cookie_add(struct xhr_client *client,
                                  const struct xhr_cookie_call *call,
                                  const struct xhr_cookie *cookie,
                                  const char *url,
                                  struct xhr_cookies **ret);
XHR_API int xhr_system_cookies_get(struct xhr_client *client,
                                   const struct xhr_cookie_call *call,
                                   const char *domain,
                                   const char *path,
                                   const char *name,
                                   struct xhr_cookies **ret);
XHR_API int xhr_system_cookie_remove(struct xhr_client *client,
                                     const struct xhr_cookie_call *call,
                                     const char *domain,
                                     const char *path,
                                     const char *name,
                                     struct xhr_cookies **ret);
XHR_API int xhr_system_cookies_remove_all(struct xhr_client *client,
                                          const struct xhr_cookie_call *call,
                                          struct xhr_cookies **ret);
/* clearCookies: all that a request to @host could carry. */
XHR_API int xhr_clear_cookies(struct xhr_client *client,
                              const struct xhr_cookie_call *call,
                              const char *host,
                              struct xhr_cookies **ret);

/* ---- many at once, and why; called alike ---------------------------------------------------
 */

#define XHR_COOKIES_IMPORT_MAX 256 /* cookies of one call */

/* Puts cookies in by the owner's hand, as they are; one that may not be is left out and told
 * of, the others are kept together or not at all. Expired ones are refused, and remove nothing.
 * -EINVAL for more than XHR_COOKIES_IMPORT_MAX. */
XHR_API int xhr_cookies_import(struct xhr_client *client,
                               const struct xhr_cookie_call *call,
                               const struct xhr_cookie *cookies,
                               size_t n_cookies,
                               struct xhr_cookies **ret);
struct xhr_cookie_refusal {
    size_t index; /* in what was to be imported */
    const char *text;
};
XHR_API size_t xhr_cookies_refused_count(const struct xhr_cookies *answer);
XHR_API const struct xhr_cookie_refusal *
xhr_cookies_refused_at(const struct xhr_cookies *answer, size_t index);

/* All cookies of the jar, with what holds each back from a GET of @url, if anything does: the
 * verdict comes from where cookies are chosen. Changes nothing. */
XHR_API int xhr_cookies_why(struct xhr_client *client,
                            const struct xhr_cookie_call *call,
                            const struct xhr_cookie_filter *filter,
                            const char *url,
                            struct xhr_cookies **ret);
struct xhr_cookie_verdict {
    bool goes;
    const char *text; /* "it is Secure and the URL is not https" */
};
/* Of the cookie that xhr_cookies_at() gives for @index. */
XHR_API const struct xhr_cookie_verdict *
xhr_cookies_verdict_at(const struct xhr_cookies *answer, size_t index);

/* ---- sessions and jars; called alike -------------------------------------------------------
 */

/* Session cookies go: those of @call->jar, or where it is NULL those of all one's jars. */
XHR_API int xhr_session_end(struct xhr_client *client,
                            const struct xhr_cookie_call *call,
                            struct xhr_cookies **ret);

/* Each has those before it. The owner of a jar, and root, have WRITE. */
enum xhr_jar_right {
    XHR_JAR_NONE = 0,
    XHR_JAR_USE = 1,  /* requests with it; no cookie is ever shown */
    XHR_JAR_READ = 2, /* names, attributes, and the values that are not HttpOnly */
    XHR_JAR_WRITE = 3
};

struct xhr_jar_grant {
    size_t size; /* sizeof(struct xhr_jar_grant) */
    bool is_group;
    uint32_t id; /* a uid, or a gid */
    enum xhr_jar_right right;
};

struct xhr_jar_info {
    const char *name; /* as a program names it: "work", "1000/work", "system" */
    uint32_t owner_uid;
    const char *profile;
    enum xhr_jar_right right; /* ours */
    uint64_t cookies;
    int64_t created_s;
    const struct xhr_jar_grant *grants; /* told to the owner and to root */
    size_t n_grants;
};

/* One's own jars and the system's; with @owner_uid those of that user one has a right on. */
XHR_API int xhr_jars_list(struct xhr_client *client,
                          const struct xhr_cookie_call *call,
                          const uint32_t *owner_uid,
                          struct xhr_cookies **ret);
XHR_API size_t xhr_jars_count(const struct xhr_cookies *answer);
XHR_API const struct xhr_jar_info *xhr_jars_at(const struct xhr_cookies *answer, size_t index);

/* Of @call->jar. A jar is made by its first use, too. */
XHR_API int xhr_jar_create(struct xhr_client *client,
                           const struct xhr_cookie_call *call,
                           struct xhr_cookies **ret);
/* Its cookies and grants go with it. */
XHR_API int xhr_jar_remove(struct xhr_client *client,
                           const struct xhr_cookie_call *call,
                           struct xhr_cookies **ret);
/* In place of what that user or group had; @grant->right is not XHR_JAR_NONE. */
XHR_API int xhr_jar_grant_right(struct xhr_client *client,
                                const struct xhr_cookie_call *call,
                                const struct xhr_jar_grant *grant,
                                struct xhr_cookies **ret);
XHR_API int xhr_jar_revoke_right(struct xhr_client *client,
                                 const struct xhr_cookie_call *call,
                                 const struct xhr_jar_grant *grant,
                                 struct xhr_cookies **ret);

/* ---- watching ------------------------------------------------------------------------------
 */

enum xhr_cookie_cause {
    XHR_COOKIE_EXPLICIT = 1,  /* set or removed by a server or by a user */
    XHR_COOKIE_OVERWRITE = 2, /* another value or other attributes */
    XHR_COOKIE_EXPIRED = 3,
    XHR_COOKIE_EVICTED = 4 /* a limit was passed */
};

struct xhr_cookie_change {
    size_t size;
    uint64_t sequence; /* its place among the jar's changes */
    uint64_t merged;   /* so many earlier changes of this cookie were left out */
    enum xhr_cookie_cause cause;
    bool removed; /* cookie is what was there */
    const struct xhr_cookie *cookie;
};

struct xhr_cookie_watch;

/* All from xhr_client_dispatch(); everything told is borrowed for the call. Any may be NULL. */
struct xhr_cookie_watch_events {
    size_t size; /* sizeof(struct xhr_cookie_watch_events) */
    /* What the jar holds after the change of number @sequence; a second one stands in place of
     * changes that were too many to be told one by one. */
    void (*snapshot)(struct xhr_cookie_watch *watch,
                     const struct xhr_cookies *cookies,
                     uint64_t sequence,
                     void *user);
    void (*change)(struct xhr_cookie_watch *watch,
                   const struct xhr_cookie_change *change,
                   void *user);
    void (*end)(struct xhr_cookie_watch *watch, const struct xhr_error *error, void *user);
};

/**
 * xhr_cookie_watch_new() - a snapshot, then every change, without a gap
 * @jar: NULL: "default"
 *
 * A program that reads slowly is told less often: of several changes of a cookie the last.
 * end() is called once, unless it is freed before: the daemon left, the jar was removed, or the
 * right on it revoked.
 *
 * Return: 0 or -errno, and no event is ever called.
 */
XHR_API int xhr_cookie_watch_new(struct xhr_client *client,
                                 const char *jar,
                                 const struct xhr_cookie_watch_events *events,
                                 void *user,
                                 struct xhr_cookie_watch **ret);
/* Safe in its own callbacks, and before or after its client's end. Return: NULL. */
XHR_API struct xhr_cookie_watch *xhr_cookie_watch_free(struct xhr_cookie_watch *watch);

/* ---- the same, plainly ---------------------------------------------------------------------
 */

/*
 * @jar: NULL: "default". @filter: NULL: all. @done is called exactly once, from
 * xhr_client_dispatch() or xhr_client_free(). Return: 0, or -errno and @done is not called.
 */
XHR_API int xhr_cookies_list(struct xhr_client *client,
                             const char *jar,
                             const struct xhr_cookie_filter *filter,
                             void (*done)(const struct xhr_cookies *cookies, void *user),
                             void *user);
/* @url stands for where the cookie came from: its host and scheme are judged like a server's.
 */
XHR_API int xhr_cookies_set(struct xhr_client *client,
                            const char *jar,
                            const struct xhr_cookie *cookie,
                            const char *url,
                            void (*done)(const struct xhr_cookies *cookies, void *user),
                            void *user);
/* A filter that gives nothing is -EINVAL: to empty a jar is xhr_cookies_clear(). */
XHR_API int xhr_cookies_remove(struct xhr_client *client,
                               const char *jar,
                               const struct xhr_cookie_filter *filter,
                               void (*done)(const struct xhr_cookies *cookies, void *user),
                               void *user);
XHR_API int xhr_cookies_clear(struct xhr_client *client,
                              const char *jar,
                              void (*done)(const struct xhr_cookies *cookies, void *user),
                              void *user);

/* The same, blocking. *ret is set on success and on a failure the daemon told of, else to NULL.
 * Return: 0, or -errno. */
XHR_API int xhr_cookies_list_wait(struct xhr_client *client,
                                  const char *jar,
                                  const struct xhr_cookie_filter *filter,
                                  struct xhr_cookies **ret);
XHR_API int xhr_cookies_set_wait(struct xhr_client *client,
                                 const char *jar,
                                 const struct xhr_cookie *cookie,
                                 const char *url,
                                 struct xhr_cookies **ret);
XHR_API int xhr_cookies_remove_wait(struct xhr_client *client,
                                    const char *jar,
                                    const struct xhr_cookie_filter *filter,
                                    struct xhr_cookies **ret);
XHR_API int
xhr_cookies_clear_wait(struct xhr_client *client, const char *jar, struct xhr_cookies **ret);

#ifdef __cplusplus
}
#endif
