/* SPDX-License-Identifier: MIT */
/*
 * In libxhr.so and xhr, which send no commands of administrators: what answers them would be
 * read with is left out of them, ten KiB of tables that every process would have to relocate.
 * An answer that comes all the same belongs to nothing that was asked.
 */
#include "xhr_priv.h"

const ProtobufCMessageDescriptor xhrd__v1__admin_command__descriptor = {
    .magic = PROTOBUF_C__MESSAGE_DESCRIPTOR_MAGIC,
    .sizeof_message = sizeof(Xhrd__V1__AdminCommand),
};

const ProtobufCMessageDescriptor xhrd__v1__admin_reply__descriptor = {
    .magic = PROTOBUF_C__MESSAGE_DESCRIPTOR_MAGIC,
    .sizeof_message = sizeof(Xhrd__V1__AdminReply),
};

static void on_slot_fail(struct xhr_slot *slot)
{
    (void)slot; /* there is none */
}

const struct xhr_slot_ops xhr_admin_ops = {.fail = on_slot_fail};

int xhr_admin_on_reply(struct xhr_slot *slot,
                       const Xhrd__V1__AdminReply *reply,
                       struct xhr_failure *why)
{
    (void)slot;
    (void)reply;
    (void)why;
    return 0;
}
