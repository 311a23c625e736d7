/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * libxhr: the machine's network, and text in URLs. Part of xhr/xhr.h, which includes it.
 */

#include "xhr/xhr.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Titanium.Network.networkType */
enum xhr_network_type {
    XHR_NETWORK_NONE = 0,
    XHR_NETWORK_WIFI = 1,
    XHR_NETWORK_MOBILE = 2,
    XHR_NETWORK_LAN = 3,
    XHR_NETWORK_UNKNOWN = 4 /* a tunnel, or the daemon may not see it */
};

XHR_API const char *xhr_network_type_name(enum xhr_network_type type); /* "WIFI" */

struct xhr_network {
    bool online; /* a route leads out of the machine; whether somebody answers is not said */
    enum xhr_network_type type;
    const char *type_name;
    uint64_t monotonic_us;
};

struct xhr_network_watch;

struct xhr_network_watch_events {
    size_t size; /* sizeof(struct xhr_network_watch_events) */
    /* As it is, and then each change. */
    void (*change)(struct xhr_network_watch *watch,
                   const struct xhr_network *network,
                   void *user);
    /* Nothing comes behind it: the daemon was lost or refused. A new watch may be begun. */
    void (*end)(struct xhr_network_watch *watch, const struct xhr_error *error, void *user);
};

/**
 * xhr_network_watch_new() - be told whether there is a network
 *
 * One at a time for each client: a second one ends with class argument.
 * Return: 0; -EINVAL; -ENOTCONN when the client is gone; -ENOMEM.
 */
XHR_API int xhr_network_watch_new(struct xhr_client *client,
                                  const struct xhr_network_watch_events *events,
                                  void *user,
                                  struct xhr_network_watch **ret);
/* Safe in its own callbacks, and before or after its client's end. Return: NULL. */
XHR_API struct xhr_network_watch *xhr_network_watch_free(struct xhr_network_watch *watch);

/* As it is now; blocks. Not beside a watch of the same client. Return: 0; -EDEADLK inside a
 * callback, else what xhr_error_errno() says of the failure. */
XHR_API int xhr_network_get_wait(struct xhr_client *client, struct xhr_network *ret);

/* Titanium.Network.encodeURIComponent and decodeURIComponent, which are ECMAScript's: all but
 * letters, digits and -_.!~*'() is written as %XX of its UTF-8. *ret is to be given to free();
 * it has a NUL behind it, and once decoded may have more of them among its @ret_len bytes.
 * Return: 0; -EILSEQ for what is no UTF-8, or a % without two digits; -ENOMEM. */
XHR_API int xhr_encode_uri_component(const char *text, char **ret);
XHR_API int
xhr_decode_uri_component(const char *text, char **ret, size_t *ret_len); /* may be NULL */

#ifdef __cplusplus
}
#endif
