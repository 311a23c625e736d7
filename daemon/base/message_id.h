/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * MESSAGE_ID= of what an administrator should be able to look up (journalctl -x). Each has its
 * text in systemd/xhrd.catalog; a test holds the two together.
 */

#define MESSAGE_STARTED          "c240efaba50b439bbdbdf9f1d81b7d28"
#define MESSAGE_PERSISTENCE_LOST "58626d32428a4bbb9fc4c6cbd08032a5"
#define MESSAGE_PERSISTENCE_BACK "d50bfbda1cb745dc9c749fcb3b31f9a9"
#define MESSAGE_STORE_DAMAGED    "77524c1dea164328aefd907abd061f26"
#define MESSAGE_DESCRIPTORS_OUT  "4a6aff8c17af464db1d64972661206da"
#define MESSAGE_OLD_TLS          "b0f3c7d9a6e84b0f9c25d14e7a8360b2"
