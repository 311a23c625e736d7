/* SPDX-License-Identifier: MIT */
#include "app/kept.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "app/manager.h"
#include "app/sockets.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/message_id.h"
#include "base/num.h"
#include "base/partition.h"
#include "ipc/peer.h"

#define TABLE_NAME     "table"
#define CLIENT_PREFIX  "client-" /* then place and generation */
#define NAME_MAX_BYTES 255       /* systemd's limit of a name */
#define PROGRAM_BYTES  65
#define MAGIC          "xhrd clients 1"

/* Read by another process, which may be of another version and whose predecessor may have died
 * of writing where it should not. */
struct place {
    uint32_t generation; /* of who has it: a name of an earlier one is not his */
    uint32_t checksum;   /* of what does not change while he has it */
    char profile[PARTITION_PROFILE_MAX];
    char program[PROGRAM_BYTES];
    uint8_t is_taken;
    volatile uint8_t busy;
};

struct table {
    char magic[16];
    char version[32];
    uint32_t place_bytes;
    struct place places[KEPT_CLIENTS_MAX];
};

struct kept {
    struct client_keeper keeper;
    struct manager manager;
    struct table *table;
    uint16_t free_places[KEPT_CLIENTS_MAX]; /* a stack */
    unsigned n_free;
    int fds[KEPT_CLIENTS_MAX]; /* of clients to be adopted, by place; -1 */
};

bool kept_is_name(const char *name)
{
    return strcmp(name, TABLE_NAME) == 0 ||
           strncmp(name, CLIENT_PREFIX, strlen(CLIENT_PREFIX)) == 0;
}

/* ---- what systemd is told -------------------------------------------------------------- */

static int store(const struct kept *kept, int fd, const char *name)
{
    char state[sizeof("FDSTORE=1\nFDNAME=") + NAME_MAX_BYTES];

    (void)snprintf(state, sizeof(state), "FDSTORE=1\nFDNAME=%s", name);
    return manager_tell(&kept->manager, state, fd);
}

/* What it goes on holding because it did not listen is let go of by the next process. */
static void unstore(const struct kept *kept, const char *name)
{
    char state[sizeof("FDSTOREREMOVE=1\nFDNAME=") + NAME_MAX_BYTES];

    (void)snprintf(state, sizeof(state), "FDSTOREREMOVE=1\nFDNAME=%s", name);
    int r = manager_tell(&kept->manager, state, -1);
    if (r < 0)
        log_debug(NULL, "systemd could not be told to let go of %s: error %d", name, -r);
}

/* ---- places ---------------------------------------------------------------------------- */

static uint32_t checksum_of(const struct place *place)
{
    uint32_t sum = 2166136261u ^ place->generation; /* FNV-1a */

    for (size_t i = 0; i < sizeof(place->profile); i++)
        sum = (sum ^ (uint8_t)place->profile[i]) * 16777619u;
    for (size_t i = 0; i < sizeof(place->program); i++)
        sum = (sum ^ (uint8_t)place->program[i]) * 16777619u;
    return sum;
}

static bool is_whole(const struct place *place)
{
    return place->is_taken == 1 && place->busy <= 1 && place->checksum == checksum_of(place) &&
           memchr(place->profile, '\0', sizeof(place->profile)) &&
           memchr(place->program, '\0', sizeof(place->program));
}

static void name_of(const struct kept *kept, const struct place *place, char *to, size_t size)
{
    (void)snprintf(to, size, CLIENT_PREFIX "%u-%x", (unsigned)(place - kept->table->places),
                   place->generation);
}

static void give_back(struct kept *kept, struct place *place)
{
    place->is_taken = 0;
    kept->free_places[kept->n_free++] = (uint16_t)(place - kept->table->places);
}

static int kept_keep(void *owner,
                     int fd,
                     const struct partition *partition,
                     const char *program,
                     volatile uint8_t **ret)
{
    struct kept *kept = owner;
    char name[48];

    if (kept->n_free == 0)
        return -ENOSPC;
    struct place *place = &kept->table->places[kept->free_places[--kept->n_free]];
    place->generation++;
    place->busy = 1;
    memcpy(place->profile, partition->profile, sizeof(place->profile));
    memset(place->program, 0, sizeof(place->program));
    (void)snprintf(place->program, sizeof(place->program), "%s", program);
    place->checksum = checksum_of(place);
    place->is_taken = 1;
    name_of(kept, place, name, sizeof(name));
    int r = store(kept, fd, name);
    if (r == 0) {
        *ret = &place->busy;
        return 0;
    }
    log_debug(NULL, "systemd does not keep a client: error %d", -r);
    give_back(kept, place);
    return r;
}

// NOLINTNEXTLINE(readability-non-const-parameter): the keeper's type
static void kept_drop(void *owner, volatile uint8_t *busy)
{
    struct kept *kept = owner;
    size_t at = ((uintptr_t)busy - (uintptr_t)kept->table->places) / sizeof(struct place);

    give_back(kept, &kept->table->places[at]);
}

/* ---- what the process before left ------------------------------------------------------- */

static bool is_ours(const struct table *table)
{
    return memcmp(table->magic, MAGIC, sizeof(MAGIC)) == 0 &&
           strncmp(table->version, XHRD_VERSION, sizeof(table->version)) == 0 &&
           table->place_bytes == sizeof(struct place);
}

static struct table *map_table(int fd)
{
    struct stat st;

    if (fstat(fd, &st) < 0 || st.st_size != (off_t)sizeof(struct table))
        return NULL;
    void *at = mmap(NULL, sizeof(struct table), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    return at == MAP_FAILED ? NULL : at;
}

/* A table of another version is not read: its clients connect again. */
static void take_table(struct kept *kept, int fd)
{
    struct table *table = map_table(fd);

    close(fd); /* systemd has it, and we its memory */
    if (table && !is_ours(table)) {
        (void)munmap(table, sizeof(*table));
        table = NULL;
    }
    kept->table = table;
}

static int make_table(struct kept *kept)
{
    int fd = memfd_create("xhrd-clients", MFD_CLOEXEC);

    if (fd < 0)
        return fault(-errno);
    int r = ftruncate(fd, sizeof(struct table)) < 0 ? fault(-errno) : 0;
    if (r == 0) {
        kept->table = map_table(fd);
        r = kept->table ? 0 : fault(-ENOMEM);
    }
    if (r == 0) {
        memcpy(kept->table->magic, MAGIC, sizeof(MAGIC));
        (void)snprintf(kept->table->version, sizeof(kept->table->version), "%s", XHRD_VERSION);
        kept->table->place_bytes = sizeof(struct place);
        unstore(kept, TABLE_NAME); /* one that could not be read */
        r = store(kept, fd, TABLE_NAME);
    }
    close(fd);
    return r;
}

/* The place that a name names, if it is still whole. */
static struct place *find_place(const struct kept *kept, const char *name)
{
    char expected[48];
    const char *text = name + strlen(CLIENT_PREFIX);
    uint64_t at;

    if (num_parse_u64((struct span){text, strcspn(text, "-")}, KEPT_CLIENTS_MAX - 1, &at) < 0)
        return NULL;
    struct place *place = &kept->table->places[at];
    if (!is_whole(place))
        return NULL;
    name_of(kept, place, expected, sizeof(expected));
    return strcmp(name, expected) == 0 ? place : NULL;
}

static void take_client(struct kept *kept, int fd, const char *name)
{
    struct place *place = find_place(kept, name);

    if (place && !place->busy && kept->fds[place - kept->table->places] < 0) {
        kept->fds[place - kept->table->places] = fd;
        return;
    }
    (void)shutdown(fd, SHUT_RDWR);
    close(fd);
    unstore(kept, name);
}

static void free_places(struct kept *kept)
{
    for (unsigned i = KEPT_CLIENTS_MAX; i-- > 0;) {
        if (kept->fds[i] < 0)
            give_back(kept, &kept->table->places[i]);
    }
}

static int take_over(struct kept *kept, const struct passed *passed)
{
    char **names = passed->names;
    int r = 0;

    for (int i = 0; i < passed->n; i++) {
        if (strcmp(names[i], TABLE_NAME) == 0 && !kept->table)
            take_table(kept, SD_LISTEN_FDS_START + i);
    }
    if (!kept->table)
        r = make_table(kept);
    for (int i = 0; i < passed->n; i++) {
        if (strncmp(names[i], CLIENT_PREFIX, strlen(CLIENT_PREFIX)) != 0)
            continue;
        if (kept->table)
            take_client(kept, SD_LISTEN_FDS_START + i, names[i]);
        else
            close(SD_LISTEN_FDS_START + i);
    }
    if (r < 0)
        return r;
    INVARIANT(kept->table);
    free_places(kept);
    return 0;
}

int kept_open(struct kept **ret, const struct passed *passed)
{
    *ret = NULL;
    if (!getenv("NOTIFY_SOCKET") || passed->n == 0)
        return 0;
    CLEANUP(kept_free) struct kept *kept = mem_zalloc(sizeof(*kept));
    if (!kept)
        return fault(-ENOMEM);
    for (unsigned i = 0; i < KEPT_CLIENTS_MAX; i++)
        kept->fds[i] = -1;
    kept->keeper = (struct client_keeper){kept, kept_keep, kept_drop};
    int r = manager_init(&kept->manager);
    if (r == 0)
        r = take_over(kept, passed);
    if (r == 0)
        *ret = TAKE(kept);
    return r;
}

struct kept *kept_free(struct kept *kept)
{
    if (!kept)
        return NULL;
    for (unsigned i = 0; i < KEPT_CLIENTS_MAX; i++) {
        if (kept->fds[i] >= 0)
            close(kept->fds[i]);
    }
    if (kept->table)
        (void)munmap(kept->table, sizeof(*kept->table));
    manager_done(&kept->manager);
    return mem_free(kept);
}

const struct client_keeper *kept_keeper(const struct kept *kept)
{
    return kept ? &kept->keeper : NULL;
}

static bool adopt(struct kept *kept, struct service *service, unsigned at)
{
    struct place *place = &kept->table->places[at];
    struct kept_client known = {&place->busy, place->profile, place->program};
    struct peer peer;
    int fd = kept->fds[at];

    kept->fds[at] = -1;
    if (peer_of_socket(fd, &peer) < 0) {
        (void)shutdown(fd, SHUT_RDWR);
        close(fd);
        give_back(kept, place);
        return false;
    }
    service_adopt(service, fd, &peer, &known);
    return true;
}

void kept_adopt(struct kept *kept, struct service *service)
{
    unsigned n = 0;

    for (unsigned i = 0; kept && i < KEPT_CLIENTS_MAX; i++) {
        if (kept->fds[i] >= 0 && adopt(kept, service, i))
            n++;
    }
    if (n > 0)
        log_at_id(LOG_LEVEL_NOTICE, NULL, MESSAGE_CLIENTS_KEPT,
                  "going on with %u clients of the process before", n);
}
