/* SPDX-License-Identifier: MIT */
#pragma once

#include "xhr/xhr.h"

#define XHR_TEXT_OF(x)      #x
#define XHR_DOTTED(a, b, c) XHR_TEXT_OF(a) "." XHR_TEXT_OF(b) "." XHR_TEXT_OF(c)
#define XHR_VERSION_TEXT                                                                       \
    XHR_DOTTED(XHR_VERSION_MAJOR, XHR_VERSION_MINOR, XHR_VERSION_PATCH) /* "0.1.0" */
