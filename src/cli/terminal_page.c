/* terminal_page.c - see terminal_page.h */
#include "cli/terminal_page.h"

#include <math.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <utf8proc.h>

#include "base/check.h"
#include "base/harmless.h"
#include "base/utf8.h"

#define PRINTF_BYTES 4096
#define SPAN_S_MAX   1e9

static const char *const colours[MU_TONES] = {"", "\033[1m", "\033[2m", "\033[32m", "\033[33m", "\033[31m"};

/* ---- letters ---- */

struct letter {
    const char *p; /* what is written */
    int bytes;     /* of that */
    int width;     /* columns */
};

/* The letter at *text, which moves on; false at the end. */
static bool next_letter(const char **text, bool is_utf8, struct letter *out)
{
    uint32_t cp = 0;
    size_t left = strnlen(*text, 4);
    if (left == 0)
        return false;
    const char *p = *text;
    int n = mu_utf8_decode(p, left, &cp);
    *text += n > 0 ? n : 1;
    if (n > 0 && (cp == '\n' || cp == '\t' || cp == '\r'))
        *out = (struct letter){" ", 1, 1};
    else if (n == 0 || mu_letter_is_trouble(cp) || (!is_utf8 && cp > 126))
        *out = (struct letter){"?", 1, 1};
    else
        *out = (struct letter){p, n, utf8proc_charwidth((utf8proc_int32_t)cp)};
    return true;
}

static int width_of(const char *text, bool is_utf8)
{
    struct letter l;
    int64_t width = 0;
    while (next_letter(&text, is_utf8, &l))
        width += l.width;
    return (int)MU_MIN(width, INT32_MAX);
}

int mu_text_width(const char *text)
{
    return width_of(text, true);
}

/* ---- putting ---- */

void mu_page_begin(struct mu_page *p, int cols)
{
    if (!p->text.what)
        p->text = (struct mu_buf)MU_BUF_INIT("a page", MU_PAGE_BYTES_MAX);
    mu_buf_clear(&p->text);
    p->cols = MU_MAX(1, MU_MIN(cols, MU_PAGE_COLS_MAX));
    p->at = p->lines = 0;
    p->rc = MU_OK;
}

void mu_page_fini(struct mu_page *p)
{
    mu_buf_fini(&p->text);
}

static void add(struct mu_page *p, const char *bytes, size_t n)
{
    if (p->rc == MU_OK)
        p->rc = mu_buf_add(&p->text, bytes, n, NULL);
}

static void add_text(struct mu_page *p, const char *text)
{
    add(p, text, strlen(text));
}

static void begin_tone(struct mu_page *p, enum mu_tone tone)
{
    if (p->has_colour)
        add_text(p, colours[tone]);
}

static void end_tone(struct mu_page *p, enum mu_tone tone)
{
    if (p->has_colour && tone != MU_TONE_PLAIN)
        add_text(p, "\033[0m");
}

/* Letters while they fit into `room` columns. */
static void add_letters(struct mu_page *p, const char *text, int room)
{
    struct letter l;
    while (next_letter(&text, p->is_utf8, &l) && l.width <= room) {
        add(p, l.p, (size_t)l.bytes);
        room -= l.width;
        p->at += l.width;
    }
}

static void add_cut_mark(struct mu_page *p)
{
    add_text(p, p->is_utf8 ? "…" : "~");
    p->at++;
}

/* The end of a text that has at most `room` columns of its `width`. */
static const char *tail_of(const struct mu_page *p, const char *text, int width, int room)
{
    struct letter l = {.width = 1};
    const char *at = text;
    while (width > room && next_letter(&at, p->is_utf8, &l))
        width -= l.width;
    for (const char *next = at; next_letter(&next, p->is_utf8, &l) && l.width == 0; at = next)
        continue; /* accents whose letter was cut off */
    return at;
}

/* In at most `room` columns; what is too long loses its end, or its middle. */
static void add_cut(struct mu_page *p, const char *text, int room, bool in_the_middle)
{
    int width = width_of(text, p->is_utf8);
    if (width <= room) {
        add_letters(p, text, room);
        return;
    }
    if (room <= 0)
        return;
    int tail = in_the_middle ? (room - 1) / 2 : 0;
    add_letters(p, text, room - 1 - tail);
    add_cut_mark(p);
    if (tail > 0)
        add_letters(p, tail_of(p, text, width, tail), tail);
}

void mu_page_put(struct mu_page *p, enum mu_tone tone, const char *text)
{
    begin_tone(p, tone);
    add_cut(p, text, p->cols - p->at, false);
    end_tone(p, tone);
}

void mu_page_printf(struct mu_page *p, enum mu_tone tone, const char *fmt, ...)
{
    char text[PRINTF_BYTES];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    mu_page_put(p, tone, text);
}

void mu_page_to(struct mu_page *p, int col)
{
    for (; p->at < MU_MIN(col, p->cols); p->at++)
        add(p, " ", 1);
}

void mu_page_cell(struct mu_page *p, enum mu_tone tone, const char *text, int width, bool is_right)
{
    int to = MU_MIN(p->at + width, p->cols), room = to - p->at;
    if (is_right)
        mu_page_to(p, to - MU_MIN(width_of(text, p->is_utf8), room));
    begin_tone(p, tone);
    add_cut(p, text, to - p->at, true);
    end_tone(p, tone);
    mu_page_to(p, to);
}

void mu_page_bar(struct mu_page *p, double share, int width)
{
    int room = MU_MIN(width, p->cols - p->at);
    int full = share >= 1 ? room : share > 0 ? (int)(share * room) : 0;
    begin_tone(p, MU_TONE_GOOD);
    for (int i = 0; i < full; i++)
        add_text(p, p->is_utf8 ? "━" : "#");
    end_tone(p, MU_TONE_GOOD);
    begin_tone(p, MU_TONE_FAINT);
    for (int i = full; i < room; i++)
        add_text(p, p->is_utf8 ? "─" : "-");
    end_tone(p, MU_TONE_FAINT);
    p->at += MU_MAX(room, 0);
}

void mu_page_end(struct mu_page *p)
{
    while (p->rc == MU_OK && p->text.n > 0 && p->text.p[p->text.n - 1] == ' ')
        p->text.p[--p->text.n] = '\0';
    add(p, "\n", 1);
    p->lines++;
    p->at = 0;
}

/* ---- what the terminal can show ---- */

bool mu_page_wants_utf8(void)
{
    static const char *const names[] = {"LC_ALL", "LC_CTYPE", "LANG"};
    for (size_t i = 0; i < MU_COUNT(names); i++) {
        const char *v = getenv(names[i]);
        if (v && *v)
            return strcasestr(v, "utf-8") || strcasestr(v, "utf8");
    }
    return false;
}

bool mu_page_wants_colour(void)
{
    const char *no = getenv("NO_COLOR"), *term = getenv("TERM");
    return !(no && *no) && term && *term && strcmp(term, "dumb") != 0;
}

/* ---- spans ---- */

const char *mu_span_text(char out[MU_SPAN_TEXT_BYTES], double seconds)
{
    const size_t n = MU_SPAN_TEXT_BYTES;
    if (!(seconds >= 0 && seconds < SPAN_S_MAX)) {
        snprintf(out, n, "-");
        return out;
    }
    int s = (int)seconds;
    if (s < 60)
        snprintf(out, n, "%ds", s);
    else if (s < 3600)
        snprintf(out, n, "%dm%02ds", s / 60, s % 60);
    else if (s < 86400)
        snprintf(out, n, "%dh%02dm", s / 3600, s / 60 % 60);
    else
        snprintf(out, n, "%dd%02dh", s / 86400, s / 3600 % 24);
    return out;
}
