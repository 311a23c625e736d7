/* SPDX-License-Identifier: MIT */
/*
 * Finding rows in a file that SQLite refuses. Every page is looked at for itself: what is a
 * leaf of a table and holds records of our shape with the right checksum is ours, whatever
 * the header, the tree above it or the other pages look like. Committed pages of the -wal stand
 * in for those of the file, so that what was deleted last does not come back.
 *
 * Layout: https://www.sqlite.org/fileformat2.html §1.5, §1.6, §2.1, §4.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/mem.h"
#include "store/cookie_rows.h"
#include "store/schema.h"

#define PAGE_BYTES       4096U /* db.c asks for it, with no bytes reserved */
#define PAGES_MAX        (1U << 18)
#define FILE_HEADER      100U /* on the first page, before the tree's own */
#define LEAF_HEADER      8U
#define LEAF_TABLE       0x0dU
#define LOCAL_MAX        (PAGE_BYTES - 35)
#define LOCAL_MIN        ((PAGE_BYTES - 12) * 32 / 255 - 23)
#define RECORD_MAX       UINT64_C(8192) /* more than a cookie with all its columns can need */
#define WAL_HEADER       32U
#define WAL_FRAME_HEADER 24U
#define WAL_FRAME        (WAL_FRAME_HEADER + PAGE_BYTES)
#define WAL_MAGIC        0x377f0682U /* the lowest bit: checksums of big-endian words */

struct pages {
    int db_fd;
    int wal_fd; /* -1: none */
    uint32_t count;
    uint32_t *frame_of; /* by page number, from 1: the frame in the -wal, from 1; 0: none */
};

static uint32_t get_u16(const unsigned char *at)
{
    return (uint32_t)at[0] << 8 | at[1];
}

static uint32_t get_u32(const unsigned char *at)
{
    return get_u16(at) << 16 | get_u16(at + 2);
}

/* Return: how many bytes of @at the varint took; 0 when it does not end before @end. */
static size_t get_varint(const unsigned char *at, const unsigned char *end, uint64_t *ret)
{
    uint64_t value = 0;

    for (size_t i = 0; i < 9 && at + i < end; i++) {
        if (i == 8) {
            *ret = value << 8 | at[i];
            return 9;
        }
        value = value << 7 | (at[i] & 0x7f);
        if (!(at[i] & 0x80)) {
            *ret = value;
            return i + 1;
        }
    }
    return 0;
}

/* Short at the end of a truncated file: the rest reads as zero. Return: whether there was any.
 */
static bool read_at(int fd, void *ret, size_t len, uint64_t offset)
{
    ssize_t n = pread(fd, ret, len, (off_t)offset);

    if (n <= 0)
        return false;
    memset((char *)ret + n, 0, len - (size_t)n);
    return true;
}

static bool read_page(const struct pages *pages, uint32_t number, unsigned char *ret)
{
    if (number == 0 || number > pages->count)
        return false;
    uint64_t frame = pages->frame_of[number];

    if (frame > 0)
        return read_at(pages->wal_fd, ret, PAGE_BYTES,
                       WAL_HEADER + (frame - 1) * WAL_FRAME + WAL_FRAME_HEADER);
    return read_at(pages->db_fd, ret, PAGE_BYTES, (uint64_t)(number - 1) * PAGE_BYTES);
}

static uint32_t checksum_word(const unsigned char *at, bool is_big)
{
    uint32_t word = get_u32(at);

    return is_big ? word : __builtin_bswap32(word);
}

static void
wal_checksum(const unsigned char *bytes, size_t len, bool is_big, uint32_t ret_sum[2])
{
    for (size_t i = 0; i + 8 <= len; i += 8) {
        ret_sum[0] += checksum_word(bytes + i, is_big) + ret_sum[1];
        ret_sum[1] += checksum_word(bytes + i + 4, is_big) + ret_sum[0];
    }
}

/* Notes the frames of [from, to) as the newest of their pages. */
static void take_frames(struct pages *pages, uint32_t from, uint32_t to)
{
    unsigned char header[4];

    for (uint32_t i = from; i < to; i++) {
        if (read_at(pages->wal_fd, header, sizeof(header),
                    WAL_HEADER + (uint64_t)i * WAL_FRAME) &&
            get_u32(header) <= PAGES_MAX)
            pages->frame_of[get_u32(header)] = i + 1;
    }
}

/* Whole transactions of the -wal, up to the first frame that is not of this round or is torn.
 */
static void read_wal(struct pages *pages)
{
    unsigned char header[WAL_HEADER];
    unsigned char frame[WAL_FRAME];
    uint32_t sum[2] = {0, 0};
    uint32_t first = 0; /* frame of the transaction being read */

    if (!read_at(pages->wal_fd, header, sizeof(header), 0) ||
        (get_u32(header) & ~1U) != WAL_MAGIC || get_u32(header + 8) != PAGE_BYTES)
        return;
    bool is_big = get_u32(header) & 1;
    wal_checksum(header, 24, is_big, sum);
    if (sum[0] != get_u32(header + 24) || sum[1] != get_u32(header + 28))
        return;
    for (uint32_t i = 0; i < PAGES_MAX; i++) {
        if (!read_at(pages->wal_fd, frame, sizeof(frame),
                     WAL_HEADER + (uint64_t)i * WAL_FRAME) ||
            memcmp(frame + 8, header + 16, 8) != 0) /* the salts of this round */
            return;
        wal_checksum(frame, 8, is_big, sum);
        wal_checksum(frame + WAL_FRAME_HEADER, PAGE_BYTES, is_big, sum);
        if (sum[0] != get_u32(frame + 16) || sum[1] != get_u32(frame + 20))
            return;
        uint32_t size = get_u32(frame + 4); /* of the file after the commit; 0: no commit */
        if (size == 0)
            continue;
        take_frames(pages, first, i + 1);
        first = i + 1;
        pages->count = size < PAGES_MAX ? size : PAGES_MAX;
    }
}

/* Puts a record together: its start on the leaf, the rest on a chain of overflow pages. */
static bool read_record(const struct pages *pages,
                        const unsigned char *cell,
                        const unsigned char *page_end,
                        size_t len,
                        unsigned char ret[RECORD_MAX])
{
    size_t local = len;

    if (len > RECORD_MAX)
        return false;
    if (len > LOCAL_MAX) {
        local = LOCAL_MIN + (len - LOCAL_MIN) % (PAGE_BYTES - 4);
        if (local > LOCAL_MAX)
            local = LOCAL_MIN;
    }
    size_t needed = local + (local < len ? 4 : 0);
    if ((size_t)(page_end - cell) < needed)
        return false;
    memcpy(ret, cell, local);
    uint32_t next = local < len ? get_u32(cell + local) : 0;
    for (size_t done = local; done < len;) {
        unsigned char page[PAGE_BYTES];
        size_t part = len - done < PAGE_BYTES - 4 ? len - done : PAGE_BYTES - 4;

        if (!read_page(pages, next, page))
            return false;
        memcpy(ret + done, page + 4, part);
        done += part;
        next = get_u32(page);
    }
    return true;
}

struct column {
    int64_t number;
    struct span bytes;
};

/* Return: how many bytes a value of that type takes; SIZE_MAX: no type of ours. */
static size_t serial_len(uint64_t type)
{
    static const unsigned char fixed[] = {0, 1, 2, 3, 4, 6, 8, 8, 0, 0};

    if (type < sizeof(fixed))
        return fixed[type];
    return type >= 12 && type < RECORD_MAX * 2 ? (size_t)(type - 12) / 2 : SIZE_MAX;
}

static struct column read_value(uint64_t type, const unsigned char *at, size_t len)
{
    struct column column = {0};

    if (type >= 12) {
        column.bytes = (struct span){(const char *)at, len};
    } else if (type >= 8) {
        column.number = (int64_t)type - 8;
    } else if (len > 0) {
        uint64_t bits = at[0] & 0x80 ? UINT64_MAX : 0; /* the sign */

        for (size_t i = 0; i < len; i++)
            bits = bits << 8 | at[i];
        column.number = (int64_t)bits;
    }
    return column;
}

/* Return: whether it is a record of @n_columns. */
static bool
split_record(const unsigned char *record, size_t len, size_t n_columns, struct column *ret)
{
    const unsigned char *end = record + len;
    uint64_t header_len = 0;
    size_t n = get_varint(record, end, &header_len);

    if (n == 0 || header_len > len)
        return false;
    const unsigned char *type_at = record + n;
    const unsigned char *types_end = record + header_len;
    const unsigned char *value_at = types_end;
    for (size_t i = 0; i < n_columns; i++) {
        uint64_t type = 0;

        n = get_varint(type_at, types_end, &type);
        size_t value_len = serial_len(type);
        if (n == 0 || value_len > (size_t)(end - value_at))
            return false;
        ret[i] = read_value(type, value_at, value_len);
        type_at += n;
        value_at += value_len;
    }
    return type_at == types_end;
}

/* The columns in schema.c's order. Return: 0 or -ENOMEM. */
static int take_host(const unsigned char *record, size_t len, struct saved_hosts *ret)
{
    struct column columns[SCHEMA_HOST_COLUMNS];
    struct saved_host *saved = NULL;

    if (!split_record(record, len, SCHEMA_HOST_COLUMNS, columns))
        return 0;
    const struct host_view view = {
        .profile = columns[1].bytes,
        .host = columns[2].bytes,
        .flags = columns[3].number,
        .expires_s = columns[4].number,
        .checksum = columns[5].number,
    };

    int r = host_decode(&view, &saved);
    if (r == ROW_OK)
        saved_hosts_append(ret, saved);
    return r < 0 ? r : 0;
}

/* Return: 0 or -ENOMEM. */
static int take_jar(const unsigned char *record, size_t len, struct saved_jars *ret)
{
    struct column columns[SCHEMA_JAR_COLUMNS];
    struct saved_jar *saved = NULL;

    if (!split_record(record, len, SCHEMA_JAR_COLUMNS, columns))
        return 0;
    const struct jar_view view = {
        .profile = columns[1].bytes,
        .name = columns[2].bytes,
        .flags = columns[3].number,
        .created_s = columns[4].number,
        .grants = columns[5].bytes,
        .checksum = columns[6].number,
    };

    int r = jar_decode(&view, &saved);
    if (r == ROW_OK)
        saved_jars_append(ret, saved);
    return r < 0 ? r : 0;
}

/* The same for a cookie, or what else it may be. */
static int
take_record(int64_t id, const unsigned char *record, size_t len, struct saved_list *ret)
{
    struct column columns[SCHEMA_COOKIE_COLUMNS] = {0};
    struct saved_cookie *saved = NULL;

    if (!split_record(record, len, SCHEMA_COOKIE_COLUMNS, columns) &&
        !split_record(record, len, SCHEMA_COOKIE_COLUMNS_2, columns)) {
        int r = take_host(record, len, &ret->hosts);

        return r < 0 ? r : take_jar(record, len, &ret->jars);
    }
    const struct row_view view = {
        .id = id,
        .profile = columns[1].bytes,
        .jar = columns[2].bytes,
        .domain = columns[3].bytes,
        .path = columns[4].bytes,
        .name = columns[5].bytes,
        .value = columns[6].bytes,
        .flags = columns[7].number,
        .expires_s = columns[8].number,
        .created_s = columns[9].number,
        .last_access_s = columns[10].number,
        .checksum = columns[11].number,
        .extra = columns[12].bytes,
    };

    int r = row_decode(&view, &saved);
    if (r == ROW_OK)
        saved_list_append(ret, saved);
    return r < 0 ? r : 0;
}

/* Return: 0 or -ENOMEM. */
static int take_cell(const struct pages *pages,
                     const unsigned char *page,
                     size_t offset,
                     struct saved_list *ret)
{
    unsigned char record[RECORD_MAX];
    const unsigned char *end = page + PAGE_BYTES;
    const unsigned char *at = page + offset;
    uint64_t len = 0;
    uint64_t id = 0;

    size_t n = get_varint(at, end, &len);
    if (n == 0)
        return 0;
    at += n;
    n = get_varint(at, end, &id);
    if (n == 0 || !read_record(pages, at + n, end, len, record))
        return 0;
    return take_record((int64_t)id, record, len, ret);
}

/* Return: 0 or -ENOMEM. */
static int take_page(const struct pages *pages, uint32_t number, struct saved_list *ret)
{
    unsigned char page[PAGE_BYTES];
    size_t at = number == 1 ? FILE_HEADER : 0;

    if (!read_page(pages, number, page) || page[at] != LEAF_TABLE)
        return 0;
    size_t count = get_u16(page + at + 3);
    for (size_t i = 0; i < count && at + LEAF_HEADER + 2 * i + 2 <= PAGE_BYTES; i++) {
        size_t offset = get_u16(page + at + LEAF_HEADER + 2 * i);
        int r = offset < PAGE_BYTES ? take_cell(pages, page, offset, ret) : 0;

        if (r < 0)
            return r;
    }
    return 0;
}

static int salvage(struct pages *pages, struct saved_list *ret)
{
    struct stat st;
    int r = 0;

    if (fstat(pages->db_fd, &st) < 0)
        return fault(-errno);
    pages->count = (uint64_t)st.st_size / PAGE_BYTES < PAGES_MAX
                       ? (uint32_t)((st.st_size + PAGE_BYTES - 1) / PAGE_BYTES)
                       : PAGES_MAX;
    if (pages->wal_fd >= 0)
        read_wal(pages);
    for (uint32_t number = 1; r == 0 && number <= pages->count; number++)
        r = take_page(pages, number, ret);
    return r;
}

int cookie_rows_salvage(const char *path, struct saved_list *ret)
{
    CLEANUP_MEM char *wal = mem_format("%s-wal", path);
    CLEANUP_MEM uint32_t *frame_of = mem_array(PAGES_MAX + 1, sizeof(*frame_of));
    struct pages pages = {.frame_of = frame_of};

    if (!wal || !frame_of)
        return fault(-ENOMEM);
    pages.db_fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (pages.db_fd < 0)
        return fault(-errno);
    pages.wal_fd = open(wal, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    int r = salvage(&pages, ret);
    (void)close(pages.db_fd);
    if (pages.wal_fd >= 0)
        (void)close(pages.wal_fd);
    return r;
}
