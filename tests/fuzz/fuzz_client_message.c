/* SPDX-License-Identifier: MIT */
/* IP16: whatever a client sends, the service lives, says nothing that is no message of its own,
 * holds nothing when the client has gone, and serves the next one. The first byte chooses
 * whether hello has been said and whether there is any room for long messages, the second in
 * what pieces the rest arrives. */
#include <stdint.h>
#include <stdlib.h>

#include "base/log.h"
#include "support/service_world.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A request fits, a frame that has to be kept does not. */
#define LITTLE_ROOM 4000

static void must(bool so)
{
    if (!so)
        abort();
}

/* Every server that has been asked something says so much. */
static void answer(struct service_world *world, unsigned *answered, const char *text)
{
    for (; *answered < world->net.n_servers; ++*answered)
        (void)server_says_bytes(&world->net, &world->net.servers[*answered], span_of(text));
}

static void serve_a_client_that_means_well(struct service_world *world)
{
    struct fake_client client;
    unsigned answered = world->net.n_servers;

    client_connect(&client, world, 1001);
    client_hello(&client);
    client_get(&client, 1);
    answer(world, &answered, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nHELLO");
    client_hears(&client);
    must(strstr(client.story, "hello ") && strstr(client.story, "done(1,5) "));
    client_done(&client);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct service_world world;
    struct fake_client client;
    unsigned answered = 0;

    if (size < 2)
        return 0;
    log_set_level(LOG_LEVEL_ERR);
    service_world_init(&world);
    if (data[0] & 4) {
        world.options.limits.max[QUOTA_BYTES] = LITTLE_ROOM;
        service_world_restart(&world);
    }
    world.net.servers_max = WORLD_SERVERS_MAX - 8;
    client_connect(&client, &world, 1000);
    client.is_quiet = true;
    if (data[0] & 1)
        client_hello(&client);
    size_t piece = data[1] ? data[1] : size;
    for (size_t at = 2; at < size; at += piece) {
        client_send_bytes(&client, data + at, piece < size - at ? piece : size - at);
        if (piece >= 16)
            client_hears(&client);
    }
    client_hears(&client);
    if (!(data[0] & 2))
        answer(&world, &answered,
               "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nSet-Cookie: a=1\r\n\r\nHELLO");
    client_hears(&client);
    world_pass_ms(&world.net, 100000);
    client_hears(&client);
    client_done(&client);
    world.net.servers_max = 0;
    serve_a_client_that_means_well(&world);
    service_world_done(&world);
    return 0;
}
