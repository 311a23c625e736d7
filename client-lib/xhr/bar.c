/* SPDX-License-Identifier: MIT */
#include "bar.h"

#include <limits.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "files.h"

#define FIRST_US    1000000
#define EVERY_US    100000
#define COLUMNS_MIN 20
#define COLUMNS_MAX 120
#define WIDTH_MAX   32 /* of the bar itself */

void bar_start(struct bar *bar, bool wanted, bool simple, uint64_t now)
{
    *bar = (struct bar){.wanted = wanted, .simple = simple, .start_us = now};
    bar->next_us = simple ? now : now + FIRST_US;
}

int bar_timeout_ms(const struct bar *bar, uint64_t now)
{
    if (!bar->wanted)
        return -1;
    if (bar->next_us <= now)
        return 0;
    uint64_t ms = (bar->next_us - now + 999) / 1000;
    return ms > INT_MAX ? INT_MAX : (int)ms;
}

static unsigned terminal_columns(void)
{
    struct winsize size;
    unsigned columns = 80;

    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
        columns = size.ws_col;
    return columns < COLUMNS_MIN ? COLUMNS_MIN : columns > COLUMNS_MAX ? COLUMNS_MAX : columns;
}

/* Of a thousand; a total that was promised too small does not go past the end. */
static unsigned permille(const struct bar *bar)
{
    uint64_t done = bar->done_bytes, total = bar->total_bytes;

    if (done >= total)
        return 1000;
    while (total > UINT64_MAX / 1000) {
        total >>= 1;
        done >>= 1;
    }
    return (unsigned)(done * 1000 / total);
}

static void add_percent(struct strbuf *out, unsigned of_thousand)
{
    strbuf_add_u64(out, of_thousand / 10);
    strbuf_add_char(out, '.');
    strbuf_add_u64(out, of_thousand % 10);
    strbuf_add_char(out, '%');
}

static void add_times(struct strbuf *out, char c, size_t n)
{
    while (n-- > 0)
        strbuf_add_char(out, c);
}

static void format_simple(const struct bar *bar, unsigned columns, struct strbuf *out)
{
    unsigned width = columns - 8;
    unsigned part = permille(bar);

    if (!bar->total_known) {
        strbuf_add_size(out, bar->done_bytes);
        return;
    }
    unsigned filled = (unsigned)((uint64_t)width * part / 1000);
    add_times(out, '#', filled);
    add_times(out, ' ', width - filled + 1 + (part < 1000) + (part < 100));
    add_percent(out, part);
}

static void add_clock(struct strbuf *out, uint64_t seconds)
{
    if (seconds >= 3600) {
        strbuf_add_u64(out, seconds / 3600);
        strbuf_add_char(out, ':');
        strbuf_add_padded(out, seconds / 60 % 60, 2);
    } else {
        strbuf_add_u64(out, seconds / 60);
    }
    strbuf_add_char(out, ':');
    strbuf_add_padded(out, seconds % 60, 2);
}

static void add_bar(const struct bar *bar, unsigned columns, struct strbuf *out)
{
    unsigned room = columns > 52 ? columns - 52 : 0;
    unsigned width = room > WIDTH_MAX ? WIDTH_MAX : room;
    unsigned filled = (unsigned)((uint64_t)width * permille(bar) / 1000);

    if (width > 4) {
        strbuf_add_char(out, '[');
        add_times(out, '=', filled);
        add_times(out, ' ', width - filled);
        strbuf_add_text(out, "] ");
    }
    add_percent(out, permille(bar));
    strbuf_add_text(out, "  ");
}

/* "[====    ] 50.0%  5.0 MiB of 10.0 MiB  2.5 MiB/s  0:02 left" */
static void
format_long(const struct bar *bar, uint64_t now, unsigned columns, struct strbuf *out)
{
    uint64_t ms = now > bar->start_us ? (now - bar->start_us) / 1000 : 0;
    uint64_t speed =
        ms > 0 && bar->done_bytes < UINT64_MAX / 1000 ? bar->done_bytes * 1000 / ms : 0;

    if (bar->done_bytes == 0) {
        strbuf_add_text(out, bar->waiting ? bar->waiting : "waiting");
        strbuf_add_text(out, "  ");
        add_clock(out, ms / 1000);
        return;
    }
    if (bar->total_known)
        add_bar(bar, columns, out);
    strbuf_add_size(out, bar->done_bytes);
    if (bar->total_known) {
        strbuf_add_text(out, " of ");
        strbuf_add_size(out, bar->total_bytes);
    }
    strbuf_add_text(out, bar->upload ? " sent  " : "  ");
    strbuf_add_size(out, speed);
    strbuf_add_text(out, "/s  ");
    if (bar->total_known && speed > 0 && bar->total_bytes > bar->done_bytes) {
        add_clock(out, (bar->total_bytes - bar->done_bytes) / speed);
        strbuf_add_text(out, " left");
    } else {
        add_clock(out, ms / 1000);
    }
}

void bar_format(const struct bar *bar, uint64_t now, unsigned columns, struct strbuf *out)
{
    size_t start = out->len;

    if (bar->simple)
        format_simple(bar, columns, out);
    else
        format_long(bar, now, columns, out);
    if (out->len - start > columns - 1)
        out->len = start + columns - 1;
}

/* What cannot be shown is not missed. */
static void draw(struct bar *bar, uint64_t now, const char *behind)
{
    struct strbuf line = {0};

    strbuf_add_char(&line, '\r');
    if (!behind || bar->simple)
        bar_format(bar, now, terminal_columns(), &line);
    strbuf_add_text(&line, "\033[K");
    strbuf_add_text(&line, behind);
    if (!line.failed && write_all(STDERR_FILENO, line.bytes, line.len) < 0)
        bar->wanted = false;
    strbuf_done(&line);
}

void bar_tick(struct bar *bar, uint64_t now)
{
    if (!bar->wanted || now < bar->next_us)
        return;
    bar->shown = true;
    bar->next_us = now + EVERY_US;
    draw(bar, now, NULL);
}

void bar_end(struct bar *bar, uint64_t now)
{
    if (bar->wanted && (bar->shown || bar->simple))
        draw(bar, now, bar->simple ? "\n" : "");
    bar->wanted = false;
}
