/* SPDX-License-Identifier: MIT */
/* The door to whatever kind of exchange it is. */
#include "transport/exchange.h"

#include "transport/transport_priv.h"

size_t exchange_write_body(struct exchange *exchange, struct span bytes)
{
    return exchange->ops->write_body(exchange, bytes);
}

void exchange_end_body(struct exchange *exchange)
{
    exchange->ops->end_body(exchange);
}

bool exchange_wants_body(const struct exchange *exchange)
{
    return exchange->ops->wants_body(exchange);
}

void exchange_pause(struct exchange *exchange)
{
    exchange->ops->pause(exchange);
}

void exchange_resume(struct exchange *exchange)
{
    exchange->ops->resume(exchange);
}

void exchange_close(struct exchange *exchange)
{
    exchange->ops->close(exchange);
}

void exchange_info(const struct exchange *exchange, struct exchange_info *ret)
{
    exchange->ops->info(exchange, ret);
}

uint64_t exchange_unacked(const struct exchange *exchange)
{
    return exchange->ops->unacked(exchange);
}

enum exchange_replay exchange_replay(const struct exchange *exchange)
{
    return exchange->ops->replay(exchange);
}
