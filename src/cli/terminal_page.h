/* terminal_page.h - lines of text for people: counted in columns, cut to fit, coloured where that is wanted
 *
 * Widths are those of the Unicode tables (utf8proc): two columns for most Chinese, Japanese and Korean letters, none
 * for accents that stand on another letter. Texts may come from anywhere: control characters and what turns the
 * direction of writing are shown as "?", so that no name or log line moves the cursor. A line never has more columns
 * than the page. The first failure (no memory) is kept in rc, and what is put after it is dropped. */
#ifndef MU_CLI_TERMINAL_PAGE_H
#define MU_CLI_TERMINAL_PAGE_H

#include "base/buf.h"

#define MU_PAGE_BYTES_MAX ((size_t)64 << 20)
#define MU_PAGE_COLS_MAX  1000

enum mu_tone { MU_TONE_PLAIN, MU_TONE_TITLE, MU_TONE_FAINT, MU_TONE_GOOD, MU_TONE_WARN, MU_TONE_BAD, MU_TONES };

struct mu_page {
    struct mu_buf text;
    int cols;
    bool has_colour;
    bool is_utf8; /* if not, "?" stands for what is not ASCII */
    int at;       /* column, from 0 */
    int lines;    /* ended */
    int rc;
};

/* Empties it and keeps its memory; text is a MU_BUF_INIT before the first time. */
void mu_page_begin(struct mu_page *p, int cols);
void mu_page_fini(struct mu_page *p);

void mu_page_put(struct mu_page *p, enum mu_tone tone, const char *text);
void mu_page_printf(struct mu_page *p, enum mu_tone tone, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* Exactly `width` columns: a longer text loses its middle, a shorter one has blanks after it, or before with is_right.
 */
void mu_page_cell(struct mu_page *p, enum mu_tone tone, const char *text, int width, bool is_right);
void mu_page_bar(struct mu_page *p, double share, int width); /* share of 0 to 1 */
void mu_page_to(struct mu_page *p, int col);                  /* blanks up to there */
void mu_page_end(struct mu_page *p);                          /* of the line */

int mu_text_width(const char *text); /* columns, as a UTF-8 page shows it */

/* Whether this process's locale says UTF-8, and whether colour is wanted on a terminal: NO_COLOR is empty or not set,
 * and TERM knows more than "dumb". */
bool mu_page_wants_utf8(void);
bool mu_page_wants_colour(void);

/* "42s", "12m05s", "2h05m", "3d04h"; "-" for less than 0 and what no clock counts. */
#define MU_SPAN_TEXT_BYTES 16
const char *mu_span_text(char out[MU_SPAN_TEXT_BYTES], double seconds);

#endif
