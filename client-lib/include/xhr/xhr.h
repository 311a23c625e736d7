/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * libxhr: one HTTP client for a whole machine. The daemon xhrd owns every connection, TLS
 * session and cookie; a process makes requests through it with the HTTPClient object below
 * (Titanium.Network.HTTPClient, which is XMLHttpRequest): create, open, set headers, send.
 *
 *     struct xhr_client *client;      the connection to the daemon; makes itself when needed
 *     struct xhr_request *request;    an HTTPClient object
 *
 * The library has no event loop and starts no thread. Either a request is opened with
 * async = false and xhr_request_send() blocks; or the program's own loop watches
 * xhr_client_fd() and calls xhr_client_dispatch() (adapter_libevent.h and adapter_sd_event.h do
 * that); or xhr_client_wait() is called until the work is done. Callbacks come from inside
 * these functions, never from elsewhere.
 *
 * One thread at a time may use a client and everything made from it. Different clients are
 * independent. A client does not survive fork() into the child.
 *
 * Functions return 0 or a negative errno. Strings handed in are copied. Strings and structures
 * handed out belong to the object they were asked of and live until it is opened again or
 * freed; inside a callback, event structures live as long as the call. Structures that the
 * program fills start with their size, and zero everywhere else means "the default"; structures
 * that the library hands out may grow at their end.
 */

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define XHR_API __attribute__((visibility("default")))
#else
#define XHR_API
#endif

#define XHR_VERSION_MAJOR 0
#define XHR_VERSION_MINOR 1
#define XHR_VERSION_PATCH 0

struct xhr_client;
struct xhr_request;
struct xhr_response;
struct xhr_form;
struct xhr_cookies;

/* ---- words ---------------------------------------------------------------------------- */

/* readyState. Each is told at most once per request, in this order; DONE always. */
enum xhr_ready_state {
    XHR_UNSENT = 0,
    XHR_OPENED = 1,           /* told from inside xhr_request_open() */
    XHR_HEADERS_RECEIVED = 2, /* the final head, after redirects */
    XHR_LOADING = 3,          /* the first body byte; not told when the body is empty */
    XHR_DONE = 4
};

/* Why a request has not moved on from OPENED. */
enum xhr_wait_reason {
    XHR_WAIT_NONE = 0,
    XHR_WAIT_QUEUED = 1,
    XHR_WAIT_DNS = 2,
    XHR_WAIT_CONNECT = 3,
    XHR_WAIT_TLS = 4,
    XHR_WAIT_AUTH = 5,
    XHR_WAIT_BACKPRESSURE = 6, /* the server does not take the body */
    XHR_WAIT_CONNECTIVITY = 7, /* there is no network; with waits_for_connectivity alone */
    XHR_WAIT_TLS_RUNG = 8,     /* TLS is tried with less: xhr_request_tls_rung_at() */
    XHR_WAIT_VERDICT = 9       /* on_verdict was asked */
};

/* What went wrong, in classes a program can act on. xhr_error_name() spells them. */
enum xhr_error_class {
    XHR_ERROR_NONE = 0,
    /* from the daemon: the numbers of FailureKind on the wire */
    XHR_ERROR_ARGUMENT = 1,         /* the request itself is wrong: method, header, option */
    XHR_ERROR_URL = 2,              /* not a URL, or not one of http and https */
    XHR_ERROR_POLICY = 3,           /* refused by rule */
    XHR_ERROR_QUOTA = 4,            /* this user holds too much already */
    XHR_ERROR_DNS = 5,              /* detail: EAI_ value */
    XHR_ERROR_CONNECT = 6,          /* sys_errno */
    XHR_ERROR_PROXY = 7,            /* the proxy refused or failed */
    XHR_ERROR_TLS = 8,              /* detail: alert number, or 0 */
    XHR_ERROR_TLS_VERIFY = 9,       /* detail: X509_V_ERR_ value */
    XHR_ERROR_TLS_VERSION = 10,     /* no version in common */
    XHR_ERROR_TLS_PIN = 11,         /* verified, but not the pinned key */
    XHR_ERROR_TIMEOUT_CONNECT = 12, /* not connected in time */
    XHR_ERROR_TIMEOUT_IDLE = 13,    /* nothing moved for too long */
    XHR_ERROR_TIMEOUT_TOTAL = 14,   /* the whole took too long */
    XHR_ERROR_SEND = 15,            /* while the request went out */
    XHR_ERROR_RECEIVE = 16,         /* while waiting for or reading the answer */
    XHR_ERROR_EMPTY_REPLY = 17,     /* the connection ended before an answer began */
    XHR_ERROR_PROTOCOL = 18,        /* the answer is not HTTP */
    XHR_ERROR_TRUNCATED = 19,       /* the answer ended early */
    XHR_ERROR_LIMIT = 20,           /* more than is taken: headers, codings, body */
    XHR_ERROR_CODING = 21,          /* gzip, br or zstd data that does not decode */
    XHR_ERROR_REDIRECT = 22,        /* too many, to where we do not go, or vetoed */
    XHR_ERROR_REWIND = 23,          /* the body had to be sent again and could not */
    XHR_ERROR_BODY_READ = 24,    /* the request's body ended early, was too long, or failed */
    XHR_ERROR_WRITE = 25,        /* the response's descriptor did not take the answer */
    XHR_ERROR_COOKIE_STORE = 26, /* cookies could not be kept as demanded */
    XHR_ERROR_ABORTED = 27,      /* by the program */
    XHR_ERROR_SHUTDOWN = 28,     /* the daemon is leaving */
    XHR_ERROR_INTERNAL = 29,     /* the daemon's own trouble: memory, descriptors */
    XHR_ERROR_TLS_STATUS = 33,   /* the certificate is revoked, or not proved not to be */
    XHR_ERROR_TLS_VERDICT = 34,  /* on_verdict did not say that it trusts the certificate */
    /* from this library */
    XHR_ERROR_HTTP_STATUS = 64,        /* an answer of status 400 or more; code is the status */
    XHR_ERROR_DAEMON_LOST = 65,        /* the daemon went away in the middle */
    XHR_ERROR_DAEMON_UNREACHABLE = 66, /* could be neither reached nor started */
    XHR_ERROR_DAEMON_REFUSED = 67,     /* the daemon turned this connection away */
    XHR_ERROR_DAEMON_PROTOCOL = 68,    /* the daemon said what it must not say */
    XHR_ERROR_MEMORY = 69,             /* this process has none left */
    XHR_ERROR_RANGE = 70               /* a part was asked for, and another came */
};

/* How far the request had come. */
enum xhr_phase {
    XHR_PHASE_NONE = 0,
    XHR_PHASE_QUEUED = 1,
    XHR_PHASE_DNS = 2,
    XHR_PHASE_CONNECT = 3,
    XHR_PHASE_PROXY = 4,
    XHR_PHASE_TLS = 5,
    XHR_PHASE_SEND = 6,
    XHR_PHASE_WAIT = 7,
    XHR_PHASE_HEAD = 8,
    XHR_PHASE_BODY = 9
};

struct xhr_error {
    enum xhr_error_class kind;
    int code; /* Titanium's: the status, or NSURLError's number (-1001: timed out) */
    enum xhr_phase phase;
    int sys_errno;    /* 0: none */
    uint32_t detail;  /* see the classes; 0: none */
    const char *name; /* of the class: "timeout-connect", "daemon-lost" */
    const char *text; /* for people, one line; never parse it */
};

XHR_API const char *xhr_error_name(enum xhr_error_class kind);
XHR_API const char *xhr_phase_name(enum xhr_phase phase);             /* "dns" */
XHR_API const char *xhr_ready_state_name(enum xhr_ready_state state); /* "HEADERS_RECEIVED" */
XHR_API const char *xhr_wait_reason_name(enum xhr_wait_reason reason);

/* ---- client: the connection to the daemon ---------------------------------------------- */

/* What Content-Type a body of kind STRING or BYTES has when nobody says it. */
enum xhr_body_types {
    XHR_BODY_TYPES_DEFAULT = 0, /* of a request: its client's; of a client: Android's */
    XHR_BODY_TYPES_ANDROID = 1, /* application/x-www-form-urlencoded */
    XHR_BODY_TYPES_IOS = 2      /* none */
};

/* Whether a request may be answered from the HTTP cache of its user and profile, and kept in it
 * (RFC 9111). What Cache-Control of the request says holds then: no-cache, only-if-cached … */
enum xhr_cache_mode {
    XHR_CACHE_DEFAULT = 0, /* of a request: its client's; of a client: off */
    XHR_CACHE_OFF = 1,
    XHR_CACHE_ON = 2
};

struct xhr_client_options {
    size_t size;             /* sizeof(struct xhr_client_options) */
    const char *socket_path; /* else XHRD_SOCKET, the user's daemon, the system's */
    bool no_start;           /* never start a per-user daemon */
    const char *daemon_path; /* what to start; else XHRD_DAEMON, else the installed one */
    const char *program;     /* for administrators, up to 64 bytes; else the process's name */
    const char *profile;     /* 1 to 31 of [a-z0-9_-]: cookies, connections, all apart */
    enum xhr_body_types body_types;
    enum xhr_cache_mode cache;
};

/**
 * xhr_client_new() - a client; nothing is connected until there is something to send
 * @options: NULL for all defaults
 * Return: 0, -EINVAL for an option of the wrong shape, -ENOMEM.
 */
XHR_API int xhr_client_new(const struct xhr_client_options *options, struct xhr_client **ret);

/**
 * xhr_client_new_fd() - the same over a socket that is connected to a daemon already
 * @fd: a connected AF_UNIX stream socket; taken over on success. No reconnecting.
 */
XHR_API int
xhr_client_new_fd(int fd, const struct xhr_client_options *options, struct xhr_client **ret);

/* Ends every request that is in flight as if aborted, and the connection. Safe inside
 * callbacks. Requests made from it stay readable and must be freed on their own. NULL is fine.
 * Return: NULL. */
XHR_API struct xhr_client *xhr_client_free(struct xhr_client *client);

/* What a foreign loop needs. Ask again after every call into the library, or let
 * xhr_client_set_watcher() tell. The fd is -1 while there is no connection; it is always to be
 * watched for reading. A timeout of -1 is none, 0 means: dispatch at once. */
XHR_API int xhr_client_fd(const struct xhr_client *client);
XHR_API bool xhr_client_wants_write(const struct xhr_client *client);
XHR_API int xhr_client_timeout_ms(const struct xhr_client *client);

/* @changed is called when one of the three answers may be another one. It must not call into
 * the library but for those three. NULL takes it away. */
XHR_API void xhr_client_set_watcher(struct xhr_client *client,
                                    void (*changed)(struct xhr_client *client, void *user),
                                    void *user);

/**
 * xhr_client_dispatch() - read and write what is possible without blocking, call callbacks
 * Return: 0; -EBUSY when called from inside one of its own callbacks. A lost connection is not
 * an error of this function: the requests on it are told, and the next one connects again.
 */
XHR_API int xhr_client_dispatch(struct xhr_client *client);

/**
 * xhr_client_wait() - poll() once and dispatch
 * @timeout_ms: -1 waits for ever
 * Return: 1 something was dispatched, 0 the time is over, -EINTR a signal came, -errno. 0 at
 * once when there is nothing at all to wait for.
 */
XHR_API int xhr_client_wait(struct xhr_client *client, int timeout_ms);

/* Requests and cookie commands without a terminal event yet. */
XHR_API size_t xhr_client_in_flight(const struct xhr_client *client);

/* What the daemon said of itself. NULL before it has. */
struct xhr_daemon_info {
    uint32_t protocol;
    const char *version;
    uint32_t uid;          /* whom the kernel says we are */
    uint32_t requests_max; /* in flight, of this uid */
    bool per_user;         /* not the system's daemon but one of our own */
};
XHR_API const struct xhr_daemon_info *xhr_client_daemon(const struct xhr_client *client);

/* ---- request: Titanium's HTTPClient ---------------------------------------------------- */

struct xhr_ready_state_event {
    enum xhr_ready_state state;  /* the one it is fired for */
    uint64_t monotonic_us;       /* CLOCK_MONOTONIC */
    enum xhr_wait_reason reason; /* of the last wait */
};

struct xhr_progress {
    uint64_t done_bytes; /* decoded, for a download; taken by the peer, for an upload */
    bool total_known;
    uint64_t total_bytes;
    double ratio;        /* 0.0 to 1.0; -1 while the total is not known */
    uint64_t wire_bytes; /* as they came over the network */
    uint64_t monotonic_us;
};

struct xhr_redirect {
    int status;
    const char *url;    /* where to */
    const char *method; /* with what, from here on */
    bool is_upgrade;    /* no server's word: the host had asked for https before (RFC 6797) */
};

struct xhr_certificate;

/* Whom the request is about to go to: Titanium's securityManager. */
struct xhr_verdict {
    const char *origin; /* "https://a.test:8443" */
    /* The chain that was verified, the server's own first, the one that is trusted last. */
    const struct xhr_certificate *certificates;
    size_t n_certificates; /* at least one */
    bool is_verified;      /* false, with insecure: as the server sent it, nobody looked */
    uint32_t deadline_ms;  /* no answer by then is a refusal */
};

struct xhr_offer {      /* what a server offers to log in with */
    const char *scheme; /* "Digest", as it wrote it */
    const char *realm;
};

/* A 401 that nothing given so far answers. */
struct xhr_challenge {
    const char *scheme; /* what username and password would answer, the strongest: "Digest",
                           "Basic"; NULL: nothing, only a token can help */
    const char *realm;  /* of that, for people; "" */
    const char *origin; /* who asks: "https://a.test:8443" */
    bool is_proxy;
    unsigned attempt; /* 1, then 2 if that login was refused … */
    const struct xhr_offer *offers;
    size_t n_offers;
};

/* Any may be NULL. Inside each, every function may be called on any object, xhr_request_free()
 * and xhr_client_free() included. Order of one request:
 * state 1, (on_waiting | on_hop | onredirect | on_redirected | on_challenge | onsendstream)*,
 * state 2, on_headers, state 3, (on_body | ondatastream)*, state 4, and one of onload, onerror,
 * onabort; nothing after that.
 */
struct xhr_callbacks {
    size_t size; /* sizeof(struct xhr_callbacks) */
    void (*onreadystatechange)(struct xhr_request *request,
                               const struct xhr_ready_state_event *event,
                               void *user);
    void (*onload)(struct xhr_request *request, void *user);
    void (*onerror)(struct xhr_request *request, const struct xhr_error *error, void *user);
    void (*onabort)(struct xhr_request *request, void *user);
    /* At most one per 50 ms, and one last that is complete. */
    void (*ondatastream)(struct xhr_request *request,
                         const struct xhr_progress *progress,
                         void *user);
    void (*onsendstream)(struct xhr_request *request,
                         const struct xhr_progress *progress,
                         void *user);
    /* Before each step; the daemon waits for the verdict. false: no further, the request fails
     * with class redirect. xhr_request_defer_redirect() puts the verdict off. Steps with
     * is_upgrade come with redirects off, too, and are not in xhr_request_redirect_count(). */
    bool (*onredirect)(struct xhr_request *request,
                       const struct xhr_redirect *redirect,
                       void *user);
    void (*on_headers)(struct xhr_request *request, void *user);
    /* Takes the body as it comes; then nothing is kept for xhr_request_response_body(). The
     * bytes lie in the receive buffer: they are gone when the call returns. */
    void (*on_body)(struct xhr_request *request, const void *bytes, size_t len, void *user);
    void (*on_waiting)(struct xhr_request *request,
                       enum xhr_wait_reason reason,
                       uint64_t monotonic_us,
                       void *user);
    /* A step that is being taken. Nobody is waited for: set this and not onredirect to look on
     * only. */
    void (*on_redirected)(struct xhr_request *request,
                          const struct xhr_redirect *redirect,
                          void *user);
    /* Who logs in? xhr_request_answer_challenge() says it, from inside or later; of a request
     * that is not async from inside, else it counts as nobody. Five times at most for a server
     * that refuses each. Without this, and where no login could help, the 401 is the answer.
     * The total timeout goes on, the idle one does not. */
    void (*on_challenge)(struct xhr_request *request,
                         const struct xhr_challenge *challenge,
                         void *user);
    /* May the request go to who has these certificates? They have been verified before, unless
     * insecure says otherwise: this can only refuse more. xhr_request_answer_verdict() says it,
     * from inside or later, until verdict_timeout_ms; no answer is a refusal, and of a request
     * that is not async so is no answer from inside. Nothing of the request is sent before. It
     * is asked for each connection that the request is to go over: of each hop and each second
     * try, used before or not. Over http nothing is asked, and such a request goes past the
     * HTTP cache. */
    void (*on_verdict)(struct xhr_request *request,
                       const struct xhr_verdict *verdict,
                       void *user);
    /* The head of an answer that is not the last: of a redirect, before onredirect; of a 401,
     * 407, 417 or 421 that is answered. Inside, and only there, status, fields, connection and
     * what was sent are that answer's. One that makes the request fail comes, too. */
    void (*on_hop)(struct xhr_request *request, void *user);
};

struct xhr_resolve { /* a name that is not looked up: curl's --resolve */
    const char *host;
    uint16_t port;
    const char *const *addresses; /* "127.0.0.1", "::1" */
    size_t n_addresses;
};

struct xhr_connect_to { /* where to connect instead; NULL, "" and 0 match or keep anything */
    const char *host;
    uint16_t port;
    const char *to_host;
    uint16_t to_port;
};

enum xhr_cookie_mode {
    XHR_COOKIES_SEND_AND_STORE = 0,
    XHR_COOKIES_SEND_ONLY = 1,
    XHR_COOKIES_NONE = 2
};

enum xhr_auth_scheme {
    XHR_AUTH_BASIC = 0,  /* over plain http, too: that is your word for it */
    XHR_AUTH_DIGEST = 1, /* RFC 7616, SHA-256 and MD5 */
    XHR_AUTH_ANY = 2,    /* the strongest that is offered; Basic over https only */
    XHR_AUTH_BEARER = 3  /* bearer_token, without being asked */
};

enum xhr_http_choice {
    XHR_HTTP_BEST = 0, /* https: 2 or 1.1, as the server likes; http: 1.1 */
    XHR_HTTP_1_1 = 1,
    XHR_HTTP_2 = 2 /* nothing else; over http without asking first */
};

#define XHR_TLS_1_0      0x0301
#define XHR_TLS_1_1      0x0302
#define XHR_TLS_1_2      0x0303
#define XHR_TLS_1_3      0x0304
#define XHR_PIN_BYTES    32

#define XHR_NO_TIMEOUT   UINT32_MAX
#define XHR_NO_REDIRECTS UINT32_MAX

struct xhr_request_options {
    size_t size;                      /* sizeof(struct xhr_request_options) */
    uint32_t timeout_ms;              /* connect and idle, where these are 0; 0: 60 s */
    uint32_t timeout_connect_ms;      /* or XHR_NO_TIMEOUT */
    uint32_t timeout_idle_ms;         /* or XHR_NO_TIMEOUT */
    uint32_t timeout_for_resource_ms; /* the whole; 0: none */
    bool no_redirect;                 /* autoRedirect off: a 3xx is delivered as it is */
    uint32_t redirects_max;           /* 0: 20; XHR_NO_REDIRECTS: the first one is an error */
    const char *username;             /* the answer to a 401; see auth_scheme */
    const char *password;
    bool preemptive_auth; /* Basic without being asked */
    bool insecure;        /* validatesSecureCertificate off, for this object alone */
    const void *ca_pem;   /* trust these instead of the system's */
    size_t ca_pem_len;
    const char *jar; /* NULL: "default"; "system"; "UID/NAME": another user's */
    enum xhr_cookie_mode cookies;
    int family; /* 0, 4 or 6 */
    const struct xhr_resolve *resolve;
    size_t n_resolve;
    const struct xhr_connect_to *connect_to;
    size_t n_connect_to;
    bool http_errors_as_load;    /* XHR's rule: a status of 400 or more is a load, too */
    bool raw;                    /* leave gzip, br and zstd alone and ask for none */
    bool no_keep_alive;          /* enableKeepAlive off */
    bool url_as_given;           /* autoEncodeUrl off */
    uint64_t response_bytes_max; /* decoded; more fails with class limit; 0: no such limit */
    size_t memory_bytes_max;     /* kept for xhr_request_response_body(); 0: 256 MiB */
    uint32_t credit_bytes;       /* the daemon may send ahead of us; 0: 1 MiB */
    enum xhr_body_types body_types;
    enum xhr_auth_scheme auth_scheme; /* DIGEST and ANY without username: those of the URL */
    const char *bearer_token;         /* of XHR_AUTH_BEARER, which has no username */
    /* On whose behalf the request is made, for SameSite cookies: "https://example.com". NULL:
     * it is same-site, whatever it is redirected to. */
    const char *site;
    const char *top_level_site; /* for Partitioned cookies; NULL: site, else the URL's own */
    bool top_level_navigation;  /* a GET on another site's behalf carries Lax cookies */
    const char *interface; /* leave from this address, or from the address of this device */
    /* username becomes DOMAIN\username for a Basic or Digest challenge whose realm names the
     * domain: is equal to it (without case), or goes on behind it with a dot or a backslash. A
     * username with '\' or '@' in it stays as it is. */
    const char *domain;
    bool location_trusted; /* login and Authorization and Cookie headers go along to other
                              origins, but never from https to http */
    bool keep_post_301;    /* POST stays POST, with its body, where Fetch makes it a GET */
    bool keep_post_302;
    bool keep_post_303;
    /* "[http|https|socks5://][user:password@]host[:port]", curl's port 1080 without one; "":
     * none at all. NULL, both: as the daemon is configured. A SOCKS5 proxy looks names up. */
    const char *proxy;
    const char *https_proxy;    /* for https URLs, in place of proxy; NULL: the same */
    const char *proxy_username; /* where the URL of the proxy has none */
    const char *proxy_password;
    enum xhr_auth_scheme proxy_auth_scheme; /* BASIC, DIGEST or ANY */
    bool proxy_tunnel;                      /* CONNECT for http URLs, too */
    const char *no_proxy; /* reached without it: "localhost,.example.com,10.0.0.0/8", "*" */
    /* Where there is no network: wait until there is one, as long as timeout_for_resource_ms
     * allows; connect and idle begin then. What is lost in the middle stays an error. */
    bool waits_for_connectivity;
    bool auto_referer; /* after a redirect Referer is the URL that led there */
    enum xhr_cache_mode cache;
    enum xhr_http_choice http; /* connections are shared among equal choices only */
    bool spill;                /* beyond memory_bytes_max go on in an unlinked temporary file */
    /* XHR_TLS_1_0 to XHR_TLS_1_3. 0: what the administrator asks; the highest there is. Both
     * the same are Titanium's tlsVersion: that one and no other. */
    unsigned tls_version_min;
    unsigned tls_version_max;
    /* To show a server that asks: PEM, the leaf first, with its key and chain, or PKCS#12. */
    const void *client_certificate;
    size_t client_certificate_len;
    const char *passphrase; /* of its key */
    /* SHA-256 of public keys (SubjectPublicKeyInfo), XHR_PIN_BYTES each, up to 16. One must be
     * in the verified chain. */
    const void *pinned_keys;
    size_t n_pinned_keys;
    bool certificate_status; /* the server must prove that its certificate is not revoked: by an
                                OCSP response stapled to the handshake; not with insecure */
    bool sent_headers;       /* be told what went out: xhr_request_sent_header_at() */
    bool tell_certificates;  /* for xhr_request_connection(): those of the server */
    uint32_t verdict_timeout_ms; /* how long on_verdict has, up to 600,000; 0: 60,000 */
    /* client_certificate is a chain in PEM without its key: the program signs; xhr/signing.h */
    bool client_signs;
    uint64_t client_key; /* the program's own name for the key */
    /* In place of ca_pem and client_certificate: read to the end by xhr_request_set_options(),
     * in this process, and left open. 0: none. */
    int ca_fd;
    int client_certificate_fd;
    /* GET and HEAD without a body may go with the TLS hello, before the handshake is done
     * (0-RTT,
     * RFC 8470), to a server that has given a session for it. Whoever records such a request
     * can send it to the server once more: for what may happen twice only. See enum
     * xhr_early_data.
     */
    bool early_data;
};

/**
 * xhr_request_new() - an HTTPClient object, UNSENT
 * Return: 0 or -ENOMEM.
 */
XHR_API int xhr_request_new(struct xhr_client *client, struct xhr_request **ret);

/* Silently ends what is in flight. Safe inside callbacks, its own included. NULL is fine.
 * Return: NULL. */
XHR_API struct xhr_request *xhr_request_free(struct xhr_request *request);

/* Both stay over re-use. -EBUSY while the request is in flight; -EINVAL for a value outside its
 * range (options then stay as they were), -ENODEV and -EADDRNOTAVAIL for an interface that is
 * not there or has no address; -ENOMEM. NULL options are the defaults. */
XHR_API int xhr_request_set_callbacks(struct xhr_request *request,
                                      const struct xhr_callbacks *callbacks,
                                      void *user);
XHR_API int xhr_request_set_options(struct xhr_request *request,
                                    const struct xhr_request_options *options);

/**
 * xhr_request_set_response_fd() - the daemon writes the body to @fd itself, decoded
 * @fd:     duplicated; a regular file, a pipe or a connected stream socket (AF_UNIX or TCP),
 * open for writing: another, a device too, fails the request with class argument; -1: back to
 * memory or on_body
 * @offset: of the first byte, for a regular file; 0 for a pipe, a socket, and a file that is
 *          open with O_APPEND: that is written behind its end
 *
 * The daemon never waits for a reader, whether the descriptor blocks or not, and holds the
 * server back instead. A socket is not shut down behind the body: it stays the program's. What
 * it does not take (ENOSPC, EDQUOT, EPIPE …) fails this request, with class write.
 *
 * Holds for the next send alone. Bodies of error answers go there, too.
 * Return: 0, -EBUSY, -EBADF.
 */
XHR_API int xhr_request_set_response_fd(struct xhr_request *request, int fd, uint64_t offset);

/**
 * xhr_request_set_rest_fd() - of a long body the daemon writes the rest to @fd itself
 * @fd: duplicated; a regular file, or /dev/null, that is open for writing
 *
 * For a program that writes to @fd, with write(), what on_body brings, before that returns: it
 * gets the same bytes in the file, and is spared those that come when the credit of the
 * beginning (credit_bytes) is used up. The daemon writes where the descriptor stands and moves
 * it, O_APPEND or not. Of what it writes on_body hears nothing, and a pause holds it up no
 * more; progress is told as ever. Trouble with @fd then fails the request with class write.
 *
 * From inside on_headers or on_body, for this answer alone.
 * Return: 0; -ESPIPE for a descriptor of another sort, -EBADF; -EINVAL when the request is not
 * in flight, has no on_body, or has its answer written somewhere already.
 */
XHR_API int xhr_request_set_rest_fd(struct xhr_request *request, int fd);

struct xhr_file {
    size_t size; /* sizeof(struct xhr_file) */
    const char *path;
    bool keep_error_bodies; /* the body of a status that is not 2xx goes there, too */
    bool resume;            /* what a failure leaves stays, and the next download goes on */
    bool append;            /* the file is the beginning: go on behind it, in place */
    bool exclusive;         /* there must be no such file: -EEXIST, or class write at the end */
    /* Asked when the head is in. Return: another path than @path, or NULL. */
    const char *(*choose_path)(struct xhr_request *request, void *choose_user);
    void *choose_user;
    bool lazy; /* a new file need not be on the disk before onload: the kernel brings it there
                  in its own time. One that replaces another always is */
};

/**
 * xhr_request_set_file() - the body of an answer of status 2xx becomes a file
 * @file: NULL: none any more
 *
 * Stays over re-use. The daemon writes it, decoded, into a temporary in the same folder, which
 * takes the name of the target when the answer is whole and on the disk: before onload. Until
 * then, and after any failure, the target is what it was. It keeps its mode, and owner and
 * group where we may set them; a new file has 0666 less the umask. Symbolic links are followed
 * (in /tmp only those of one's own), hard links end. A body of another status is kept in memory
 * or goes to on_body, as ever. Not for HEAD, and not beside a response descriptor.
 *
 * resume, for GET without a body and without a Range of your own: what came before a failure,
 * an abort or a kill stays beside the target, as .NAME.xhr-part, with what it is the beginning
 * of: the URL, and a strong ETag or a Last-Modified. The next one asks for the rest by Range
 * and If-Range; a 206 goes on, and if the server has something else by now it begins anew. A
 * server whose parts do not fit is class range. Without a validator, or with a coding, nothing
 * is kept.
 *
 * append, the same without a validator, as curl -C - does it: the file itself is written behind
 * its end, and what came stays. An answer of 200 is class range, with resume it begins anew.
 *
 * Return: 0; -EBUSY while in flight; -EINVAL without a path, and for resume or append together
 * with exclusive or choose_path; -ENOMEM. xhr_request_send() then also returns what is wrong
 * with the target: -ENOENT, -EACCES, -EPERM, -EROFS, -EISDIR, -ESPIPE (no regular file),
 * -EEXIST, -ENAMETOOLONG, -EBUSY (the same is being downloaded with resume), -EINVAL (HEAD …).
 */
XHR_API int xhr_request_set_file(struct xhr_request *request, const struct xhr_file *file);
/* Where the answer went; NULL: to no file. */
XHR_API const char *xhr_request_file_path(const struct xhr_request *request);
/* Where in the file the body of this answer begins: above 0 when it went on. */
XHR_API uint64_t xhr_request_file_offset(const struct xhr_request *request);

/**
 * xhr_request_open() - forget the last answer and begin a request
 * @method: any token; get, post and their like are made upper case
 * @async:  false: xhr_request_send() blocks until the request is done
 *
 * Fires readyState 1 before it returns, unless it was OPENED already.
 * Return: 0; -EBUSY when sent and not done; -EINVAL for a method that is no token or an empty
 * URL; -ENOTCONN when its client is gone; -ENOMEM.
 */
XHR_API int
xhr_request_open(struct xhr_request *request, const char *method, const char *url, bool async);

/**
 * xhr_request_set_header() - add to the request's header
 * @value: NULL removes the field, also one the daemon would send by itself; "" sends it empty
 *
 * Repeated names combine with ", " (Cookie: "; "); fields that hold a single value, such as
 * User-Agent and Content-Type, are replaced. Names compare without case.
 * Return: 0; -EINVAL outside OPENED, for a name that is no token, for CR, LF or NUL in the
 * value; -EPERM for a field that is the engine's (Host, Content-Length, Transfer-Encoding,
 * Connection, Keep-Alive, TE, Trailer, Upgrade, Proxy-Connection); -ENOMEM.
 */
XHR_API int
xhr_request_set_header(struct xhr_request *request, const char *name, const char *value);

enum xhr_body_kind {
    XHR_BODY_NONE = 0,
    XHR_BODY_STRING = 1, /* Content-Type as enum xhr_body_types says unless set */
    XHR_BODY_BYTES = 2,  /* the same */
    XHR_BODY_JSON = 3, /* Content-Type application/json unless set; the text is not looked at */
    XHR_BODY_FD = 4, /* read by the daemon; the best way for files; a pipe or a connected stream
                      * socket, too, to its end */
    XHR_BODY_STREAM = 5, /* asked of a callback */
    XHR_BODY_PATH = 6    /* a regular file from @offset to its end; its type is its ending's */
};

#define XHR_LENGTH_UNKNOWN UINT64_MAX
#define XHR_READ_PAUSE     (-EAGAIN)

struct xhr_body {
    size_t size; /* sizeof(struct xhr_body) */
    enum xhr_body_kind kind;
    const void *bytes; /* STRING, BYTES, JSON; copied, free it when send has returned */
    uint64_t
        length; /* STRING, JSON: 0 is strlen(); FD, STREAM: XHR_LENGTH_UNKNOWN is possible */
    int fd;     /* FD: duplicated; read from @offset by the daemon */
    uint64_t offset;
    /* STREAM. Return: bytes put into @buffer, 0 at the end, XHR_READ_PAUSE to be asked again
     * after xhr_request_resume_upload(), any other negative errno to fail the request. */
    ssize_t (*read)(struct xhr_request *request, void *buffer, size_t len, void *read_user);
    void *read_user;
    const char *content_type; /* NULL: what the kind says */
    /* STREAM. From the beginning once more, for a redirect of 307 or 308, a login, a connection
     * that was dead. Return: 0, or a negative errno: it cannot; the request fails then with
     * class rewind, as it does without this function when something of the body had gone. */
    int (*rewind)(struct xhr_request *request, void *read_user);
    const char *path; /* PATH: opened by send, which says what is wrong with it */
};

/**
 * xhr_request_send() - send it
 * @body: NULL: none
 *
 * What can be judged here is refused here and changes nothing; everything later is an event.
 * Return: async: 0; -EBUSY when sent already; -EINVAL when not OPENED, or for a body that
 * makes no sense; -EMSGSIZE when URL, header and options do not fit one message of 1 MiB;
 * -EBADF; for a path its errno, -EISDIR, or -ESPIPE when it is no regular file; -ENOTCONN when
 * its client is gone; -ENOMEM. Not async: the same, or after the last
 * callback 0 for onload, else -ECANCELED for onabort, else the error's xhr_error_errno().
 */
XHR_API int xhr_request_send(struct xhr_request *request, const struct xhr_body *body);

/* ---- forms ---- */

enum xhr_form_encoding {
    XHR_FORM_MULTIPART = 0, /* multipart/form-data (RFC 7578), escapes as HTML says */
    XHR_FORM_URLENCODED = 1 /* application/x-www-form-urlencoded; no files in it */
};

enum xhr_part_kind {
    XHR_PART_BYTES = 0,
    XHR_PART_PATH = 1,  /* a regular file, opened when the form is sent */
    XHR_PART_FD = 2,    /* of a regular file */
    XHR_PART_STREAM = 3 /* asked of a callback; without rewind the form can be sent once */
};

struct xhr_form_part {
    size_t size; /* sizeof(struct xhr_form_part) */
    enum xhr_part_kind kind;
    const char *name;  /* UTF-8 */
    const void *bytes; /* BYTES: copied; sent as they are */
    uint64_t length;   /* BYTES */
    const char
        *path; /* PATH; of other kinds, what a complaint names and a type is guessed by */
    int fd;    /* FD: duplicated; read from @offset, its position is not moved */
    uint64_t offset;
    /* STREAM: as that of struct xhr_body. */
    ssize_t (*read)(struct xhr_request *request, void *buffer, size_t len, void *read_user);
    void *read_user;
    const char *filename;     /* NULL: none for BYTES, the last name of the path, or "blob" */
    const char *content_type; /* NULL: by the ending of filename or path; a value has none */
    bool no_filename;         /* what is in the file is a value, not a file */
    int (*rewind)(struct xhr_request *request,
                  void *read_user); /* STREAM: as struct xhr_body */
};

/* Entries are sent in the order they were added, equal names beside each other are fine. A form
 * belongs to no client, and may be changed, sent again and freed as soon as send has returned.
 * Return: 0 or -ENOMEM. */
XHR_API int xhr_form_new(struct xhr_form **ret);
XHR_API struct xhr_form *xhr_form_free(struct xhr_form *form); /* NULL */

/* Return: 0; -EINVAL for a part that makes no sense, or line ends in its content type; -EBADF;
 * -E2BIG for more than 10,000 parts; -ENOMEM. */
XHR_API int
xhr_form_add(struct xhr_form *form, const char *name, const void *bytes, size_t len);
XHR_API int xhr_form_add_file(struct xhr_form *form,
                              const char *name,
                              const char *path,
                              const char *filename,      /* NULL: the last name of @path */
                              const char *content_type); /* NULL: by the filename's ending */
XHR_API int xhr_form_add_part(struct xhr_form *form, const struct xhr_form_part *part);
XHR_API int xhr_form_set_encoding(struct xhr_form *form, enum xhr_form_encoding encoding);

/**
 * xhr_request_send_form() - xhr_request_send() with a form as body
 *
 * Files are opened and measured now, and streamed: memory stays constant. Content-Length is
 * known unless a part is a STREAM or a file that has no size (/proc); then the body is chunked.
 * A file that becomes shorter meanwhile fails the request with class body-read.
 *
 * For a redirect of 307 or 308 or a 401 the body must be sent again: files are read once more
 * from where they began. Only a STREAM without rewind fails then with class rewind, unless the
 * server answered before it took any of it: above 1 MiB, or when the length is not known, it
 * is asked first (Expect: 100-continue).
 *
 * Return: as xhr_request_send(). A file that cannot be read is its errno (-ENOENT, -EACCES,
 * -EISDIR, -ESPIPE when it is no regular file …) and nothing is sent; -EINVAL for a file in an
 * urlencoded form; xhr_form_error_text() says which.
 */
XHR_API int xhr_request_send_form(struct xhr_request *request, struct xhr_form *form);
XHR_API const char *xhr_form_error_text(const struct xhr_form *form); /* "" */

/* DONE, then onabort, from inside; nothing after that. Before send, and after DONE, it only
 * goes back to UNSENT. Return: 0. */
XHR_API int xhr_request_abort(struct xhr_request *request);

/* While paused no credit is given: the daemon, and behind it the server, soon stops sending.
 * Bytes that are here already still come. */
XHR_API int xhr_request_pause(struct xhr_request *request);
XHR_API int xhr_request_resume(struct xhr_request *request);
XHR_API int xhr_request_resume_upload(struct xhr_request *request);

/* ---- questions: where the daemon waits for the program */

/* From inside onredirect, of an async request: the value returned means nothing, the verdict
 * comes with xhr_request_answer_redirect(). Meanwhile the timeouts go on. Return: 0, -EINVAL.
 */
XHR_API int xhr_request_defer_redirect(struct xhr_request *request);
/* false: no further; DONE and onerror come from inside. Return: 0; -EINVAL when no verdict was
 * put off. */
XHR_API int xhr_request_answer_redirect(struct xhr_request *request, bool goes_on);

struct xhr_login {
    size_t size; /* sizeof(struct xhr_login) */
    const char *username;
    const char *password;     /* NULL: the empty one */
    const char *domain;       /* as in struct xhr_request_options */
    const char *bearer_token; /* alone, without the three above */
};

/**
 * xhr_request_answer_challenge() - log in, for this request
 * @login: NULL: nobody does, the 401 is the answer. Copied
 *
 * Basic goes over plain http, too: the challenge says scheme and origin, this is your word.
 * Other requests do not learn of it. Return: 0; -EINVAL when no challenge waits, or for a login
 * without username and token, or with both; -ENOMEM.
 */
XHR_API int xhr_request_answer_challenge(struct xhr_request *request,
                                         const struct xhr_login *login);

/**
 * xhr_request_answer_verdict() - what on_verdict asked
 * @trusted: false: the request fails with class tls-verdict
 * Return: 0; -EINVAL when no verdict waits (any more); -ENOMEM.
 */
XHR_API int xhr_request_answer_verdict(struct xhr_request *request, bool trusted);

/* A negative errno that stands for the error's class: -ETIMEDOUT, -ECONNREFUSED … never 0. */
XHR_API int xhr_error_errno(const struct xhr_error *error);

/* ---- what came back -------------------------------------------------------------------- */

/* A certificate of a server. Its text is what its maker wrote: printable, with a backslash
 * before what is not ASCII, and "..." at the end of what was too long. */
struct xhr_certificate {
    const void *der;
    size_t der_len;
    const char *subject; /* as RFC 2253 writes it: "CN=a.example,O=Example" */
    const char *issuer;
    const char *serial;    /* hexadecimal */
    const char *signature; /* how it is signed: "ecdsa-with-SHA256" */
    const char *key;       /* what key it has: "EC, 256 bits" */
    int64_t not_before;    /* seconds since 1970; INT64_MIN: not a date */
    int64_t not_after;
    const char *const *names; /* "DNS:a.example", "IP:192.0.2.1", "email:…", "URI:…", "other" */
    size_t n_names;
    size_t n_names_left_out;                  /* beyond 100 */
    unsigned char spki_sha256[XHR_PIN_BYTES]; /* of its public key: what a pin is */
};

/* What became of a request with early_data. */
enum xhr_early_data {
    XHR_EARLY_DATA_NONE =
        0, /* it went behind the handshake, or on a connection that was there */
    XHR_EARLY_DATA_SENT = 1,      /* the server has not said; never of an answer */
    XHR_EARLY_DATA_ACCEPTED = 2,  /* it went with the hello */
    XHR_EARLY_DATA_REJECTED = 3,  /* so it did, in vain: it went once more behind a handshake */
    XHR_EARLY_DATA_TOO_EARLY = 4, /* the server took it and answered 425: once more, too */
    XHR_EARLY_DATA_FORBIDDEN = 5  /* by the administrator: it went behind the handshake */
};
XHR_API const char *xhr_early_data_name(enum xhr_early_data early); /* "none", "too-early" */

struct xhr_tls_info {
    const char *version; /* "TLSv1.3" */
    const char *cipher;
    const char *alpn;
    bool resumed;
    bool old;       /* below TLS 1.2 */
    unsigned rungs; /* steps down that led to the connection: xhr_request_tls_rung_at() */
    unsigned verify_result; /* X509_V_ERR_ value; not 0 only with insecure */
    /* With tell_certificates: as the server sent them, its own first; at most 20. */
    const struct xhr_certificate *certificates;
    size_t n_certificates;
    size_t n_certificates_left_out;
    enum xhr_early_data early_data;
};

/* A step down to a server that chokes on TLS as it is: one more connection, with less. */
struct xhr_tls_rung {
    const char *version; /* the most that was offered: "TLSv1.2"; "": all, from the top again */
    const char *cause;   /* how the one before failed; "": none did, this has worked before */
    unsigned alert;      /* the server's last word there; 0: none */
};

struct xhr_connection_info {
    uint64_t connection_id; /* of the daemon's life */
    bool reused;            /* had carried an exchange before */
    const char *remote_address;
    uint16_t remote_port;
    const char *local_address;
    uint16_t local_port;
    const struct xhr_tls_info *tls; /* NULL: plain */
    const char *proxy; /* "http://proxy.example:3128", which is then the remote address; "" */
    bool proxy_tunnel; /* through CONNECT or SOCKS5 */
};

struct xhr_timing { /* microseconds since the daemon took the request in; 0: did not happen */
    uint64_t queued_us;
    uint64_t name_lookup_us;
    uint64_t connect_us;
    uint64_t tls_us;
    uint64_t sent_us;
    uint64_t first_byte_us;
    uint64_t total_us;
};

struct xhr_totals {
    uint64_t body_bytes; /* decoded */
    uint64_t wire_bytes; /* of the body, as it came over the network */
    uint64_t upload_bytes;
    uint64_t header_bytes;  /* of the response */
    uint64_t request_bytes; /* head and body of the last exchange */
};

XHR_API enum xhr_ready_state xhr_request_ready_state(const struct xhr_request *request);
XHR_API int xhr_request_status(const struct xhr_request *request); /* 0: none yet */
XHR_API const char *xhr_request_status_text(const struct xhr_request *request); /* "" */
XHR_API int xhr_request_http_version(const struct xhr_request *request);        /* 10, 11, 20 */
XHR_API const char *xhr_request_location(const struct xhr_request *request);    /* final URL */
XHR_API const char *xhr_request_method(const struct xhr_request *request); /* final method */
XHR_API unsigned xhr_request_redirect_count(const struct xhr_request *request);
/* The chain, step by step, also of a request that failed on its way; of more than 1,000 steps
 * the first 999 and the last. Return: false when @index is past the last. */
XHR_API bool xhr_request_redirect_at(const struct xhr_request *request,
                                     size_t index,
                                     struct xhr_redirect *ret);
XHR_API const char *xhr_request_content_coding(const struct xhr_request *request); /* decoded */

/* The decoded size of the body, when the head tells it. Return: whether it does. */
XHR_API bool xhr_request_body_size(const struct xhr_request *request, uint64_t *ret_bytes);

/* All values of a field, joined by ", " (of Set-Cookie the first); NULL when absent. */
XHR_API const char *xhr_request_response_header(struct xhr_request *request, const char *name);
/* All fields as XMLHttpRequest says: "name: value\r\n", names lower case, sorted, joined. */
XHR_API const char *xhr_request_all_response_headers(struct xhr_request *request);

/* One by one, as they came. Return: false when @index is past the last. */
XHR_API bool xhr_request_response_header_at(const struct xhr_request *request,
                                            size_t index,
                                            const char **ret_name,
                                            const char **ret_value);
/* What really went out in the last exchange, credentials left out. Nothing without the option
 * sent_headers. */
XHR_API bool xhr_request_sent_header_at(const struct xhr_request *request,
                                        size_t index,
                                        const char **ret_name,
                                        const char **ret_value);
XHR_API bool xhr_request_trailer_at(const struct xhr_request *request,
                                    size_t index,
                                    const char **ret_name,
                                    const char **ret_value);

/* responseData: what has come so far; NUL stands behind it. Empty with on_body or a response
 * descriptor. Never NULL. */
XHR_API const void *xhr_request_response_body(const struct xhr_request *request,
                                              size_t *ret_len);
/* With the option spill: the temporary file the body is in, which is the request's; TMPDIR,
 * else /var/tmp, has it. xhr_request_response_body() is a view of it. -1: it is in memory. */
XHR_API int xhr_request_response_file(const struct xhr_request *request, uint64_t *ret_len);
/* responseText: UTF-8 whatever came, by BOM, charset parameter, XML or HTML declaration, else
 * UTF-8; what does not decode is U+FFFD. NULL: no memory. @ret_len may be NULL. */
XHR_API const char *xhr_request_response_text(struct xhr_request *request, size_t *ret_len);
/* The name the WHATWG Encoding Standard has for it: "UTF-8", "windows-1252", "Shift_JIS". */
XHR_API const char *xhr_request_response_charset(struct xhr_request *request);

XHR_API const struct xhr_error *
xhr_request_error(const struct xhr_request *request); /* or NULL */
XHR_API const struct xhr_connection_info *
xhr_request_connection(const struct xhr_request *request);
/* The steps that led to the answer's connection; before there is one, and of a request that
 * failed, those taken so far. The first cause is the first error. Strings live as long as the
 * answer. Return: false when @index is past the last. */
XHR_API bool xhr_request_tls_rung_at(const struct xhr_request *request,
                                     size_t index,
                                     struct xhr_tls_rung *ret);
XHR_API const struct xhr_timing *xhr_request_timing(const struct xhr_request *request);
XHR_API const struct xhr_totals *xhr_request_totals(const struct xhr_request *request);
/* Where the answer is from. An answer of class HIT or STALE has no connection, and its
 * bytes are in no count of what came over the network. */
enum xhr_from_cache {
    XHR_FROM_CACHE_NO = 0,          /* the network alone */
    XHR_FROM_CACHE_HIT = 1,         /* it was stored, and good still */
    XHR_FROM_CACHE_REVALIDATED = 2, /* it was stored, and the server said so with a 304 */
    XHR_FROM_CACHE_STALE = 3        /* it was stored and is old: max-stale, or stale-if-error */
};
XHR_API enum xhr_from_cache xhr_request_from_cache(const struct xhr_request *request);
XHR_API const char *xhr_from_cache_name(enum xhr_from_cache from);     /* "hit"; of NO "" */
XHR_API uint64_t xhr_request_age_s(const struct xhr_request *request); /* of what was stored */
/* Cookies of the answer are in memory only: the daemon's disk did not take them. */
XHR_API bool xhr_request_cookies_not_persisted(const struct xhr_request *request);
XHR_API struct xhr_client *xhr_request_client(const struct xhr_request *request);

/* ---- one call --------------------------------------------------------------------------- */

struct xhr_header {
    const char *name;
    const char *value;
};

struct xhr_fetch_options {
    size_t size;        /* sizeof(struct xhr_fetch_options) */
    const char *method; /* NULL: GET */
    const char *url;
    const struct xhr_header *headers;
    size_t n_headers;
    const struct xhr_body *body;
    const struct xhr_request_options *request;
    const struct xhr_client_options *client_options; /* when @client is NULL */
    struct xhr_client *client;                       /* NULL: one for this call */
    struct xhr_form *form;                           /* in place of @body */
    const struct xhr_file *file;                     /* where the answer goes; NULL: memory */
};

/**
 * xhr_fetch() - one request, blocking; as fetch(), any status is an answer
 * @ret: the response. Set on failure too, when there is something to tell of it (see
 *       xhr_response_error()), else to NULL: always give it to xhr_response_free().
 * Return: 0, or what xhr_request_send() says.
 */
XHR_API int xhr_fetch(const struct xhr_fetch_options *options, struct xhr_response **ret);

XHR_API struct xhr_response *xhr_response_free(struct xhr_response *response); /* NULL */
XHR_API int xhr_response_status(const struct xhr_response *response);
XHR_API const char *xhr_response_header(struct xhr_response *response, const char *name);
XHR_API const void *xhr_response_body(const struct xhr_response *response, size_t *ret_len);
XHR_API const char *xhr_response_text(struct xhr_response *response, size_t *ret_len);
XHR_API const struct xhr_error *xhr_response_error(const struct xhr_response *response);
/* The finished request it is made of, for every other getter. */
XHR_API struct xhr_request *xhr_response_request(struct xhr_response *response);

#ifdef __cplusplus
}
#endif

#include "xhr/cookies.h"
#include "xhr/network.h"
#include "xhr/signing.h"
