/* SPDX-License-Identifier: MIT */
#pragma once

/* Cookies as rows: of a listing for people or programs, of a watch, of an export. */

#include "listing.h"
#include "xhr/xhr.h"

struct cookie_look {
    bool json;
    bool masked; /* values are not to be shown */
};

void cookie_rows_list(const struct xhr_cookies *cookies,
                      const struct cookie_look *look,
                      struct strbuf *out);

/* Of xhr_cookies_why(): each with its verdict, without values. */
void cookie_rows_why(const struct xhr_cookies *cookies, bool json, struct strbuf *out);

/* One cookie as the members of a JSON object that is open. */
void cookie_rows_json(struct json *json, const struct xhr_cookie *cookie, bool masked);

const char *cookie_same_site_name(enum xhr_same_site same_site); /* "" for none said */
