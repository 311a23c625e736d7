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
#define MESSAGE_CONFIG_REFUSED   "f5c18a4fe8704d0bacb0f2ef94dfbf8a"
#define MESSAGE_NO_STATE         "e40ccb99a034498ea72ede05315851c5"
#define MESSAGE_STORE_LOST       "21e3344ba95a40d3b507364ad504f749"
#define MESSAGE_CANNOT_START     "148924b7ab5d4271b39d7a4707cdc500"
#define MESSAGE_CLIENTS_KEPT     "9e94c76a323c4487b53032f62b4ac94c"
#define MESSAGE_LINES_LOST       "4e2143ca27e747d187c3cdb60b832204"
