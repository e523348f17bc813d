/* test_terminal_page.c - text counted in columns: cut, padded, harmless */
#include <stdlib.h>

#include "base/mem.h"
#include "base/utf8.h"
#include "cli/terminal_table.h"
#include "xt.h"

static const char *line(struct mu_page *p)
{
    mu_page_end(p);
    return p->text.p;
}

static const char *cell(const char *text, int width, bool is_right)
{
    static struct mu_page p = {.is_utf8 = true};
    mu_page_begin(&p, 80);
    mu_page_cell(&p, MU_TONE_PLAIN, text, width, is_right);
    mu_page_put(&p, MU_TONE_PLAIN, "|");
    return line(&p);
}

XT_TEST(letters_have_their_widths)
{
    XT_EQ(mu_text_width("llama"), 5);
    XT_EQ(mu_text_width("modèle"), 6);
    XT_EQ(mu_text_width("e\xCC\x80"), 1); /* a grave accent on its letter */
    XT_EQ(mu_text_width("模型"), 4);
    XT_EQ(mu_text_width("한국어"), 6);
    XT_EQ(mu_text_width("a\x1b[31mb"), 7); /* escape is shown as one "?" */
    XT_EQ(mu_text_width("\xff\xfe"), 2);
    XT_EQ(mu_text_width("\xE6\xA8"), 2); /* a letter cut in half */
    XT_EQ(mu_text_width(""), 0);
}

XT_TEST(cells_are_as_wide_as_asked)
{
    XT_STREQ(cell("abc", 6, false), "abc   |\n");
    XT_STREQ(cell("abc", 6, true), "   abc|\n");
    XT_STREQ(cell("abcdef", 6, true), "abcdef|\n");
    XT_STREQ(cell("llama-3.1-70b/mmlu", 9, false), "llam…mmlu|\n");
    XT_STREQ(cell("abcdefgh", 4, false), "ab…h|\n");
    XT_STREQ(cell("abcdefgh", 1, false), "…|\n");
    XT_STREQ(cell("abc", 0, false), "|\n");
    XT_STREQ(cell("模型模型", 5, false), "模…型|\n");
    XT_STREQ(cell("模型模型", 4, false), "模… |\n"); /* half a letter is none */
}

XT_TEST(a_cut_never_parts_an_accent_from_its_letter)
{
    XT_STREQ(cell("abcdefe\xCC\x80", 3, false), "a…e\xCC\x80|\n");
    XT_STREQ(cell("abcdee\xCC\x80z", 3, false), "a…z|\n");
}

XT_TEST(no_text_moves_the_cursor)
{
    static const char *const bad[] = {"\x1b[2J",
                                      "a\rb",
                                      "a\nb",
                                      "\x07",
                                      "\xC2\x9B"
                                      "31m",
                                      "\xE2\x80\xAE"
                                      "abc",
                                      "\x7f",
                                      "\xff",
                                      "\xE2\x80\xA8",
                                      "\t"};
    struct mu_page p = {.is_utf8 = true};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        mu_page_begin(&p, 80);
        mu_page_put(&p, MU_TONE_PLAIN, bad[i]);
        for (const char *c = line(&p); *c && *c != '\n'; c++)
            XT_CHECKF((unsigned char)*c >= 0x20 && *c != 0x7f, "text %zu leaves byte %02x", i, (unsigned char)*c);
        XT_CHECK(!strstr(p.text.p, "\xE2\x80\xAE") && !strstr(p.text.p, "\xC2\x9B"));
        XT_EQ(p.text.p[p.text.n - 1], '\n');
        XT_EQ(mu_utf8_valid_prefix(p.text.p, p.text.n), p.text.n);
    }
    mu_page_fini(&p);
}

XT_TEST(without_utf8_all_is_ascii)
{
    struct mu_page p = {0};
    mu_page_begin(&p, 20);
    mu_page_put(&p, MU_TONE_TITLE, "modèle 模型");
    XT_STREQ(line(&p), "mod?le ??\n");
    mu_page_begin(&p, 10);
    mu_page_put(&p, MU_TONE_PLAIN, "a long line of text");
    XT_STREQ(line(&p), "a long li~\n");
    mu_page_begin(&p, 10);
    mu_page_bar(&p, 0.5, 8);
    XT_STREQ(line(&p), "####----\n");
    mu_page_fini(&p);
}

XT_TEST(bars_are_within_their_width)
{
    struct mu_page p = {0};
    const double share[] = {-1, 0, 0.24, 0.99, 1, 7, NAN, INFINITY};
    const char *want[] = {"----\n", "----\n", "----\n", "###-\n", "####\n", "####\n", "----\n", "####\n"};
    for (int i = 0; i < 8; i++) {
        mu_page_begin(&p, 80);
        mu_page_bar(&p, share[i], 4);
        XT_STREQ(line(&p), want[i]);
    }
    mu_page_begin(&p, 3);
    mu_page_bar(&p, 1, 10);
    XT_STREQ(line(&p), "###\n");
    mu_page_fini(&p);
}

XT_TEST(tones_are_colours_only_where_they_are_wanted)
{
    struct mu_page p = {.has_colour = true};
    mu_page_begin(&p, 80);
    mu_page_put(&p, MU_TONE_BAD, "bad");
    mu_page_put(&p, MU_TONE_PLAIN, " plain");
    XT_STREQ(line(&p), "\033[31mbad\033[0m plain\n");
    p.has_colour = false;
    mu_page_begin(&p, 80);
    mu_page_put(&p, MU_TONE_BAD, "bad");
    XT_STREQ(line(&p), "bad\n");
    mu_page_fini(&p);
}

XT_TEST(who_wants_colour_and_utf8)
{
    setenv("TERM", "xterm", 1);
    unsetenv("NO_COLOR");
    XT_CHECK(mu_page_wants_colour());
    setenv("NO_COLOR", "", 1); /* no-color.org: present and not empty */
    XT_CHECK(mu_page_wants_colour());
    setenv("NO_COLOR", "1", 1);
    XT_CHECK(!mu_page_wants_colour());
    unsetenv("NO_COLOR");
    setenv("TERM", "dumb", 1);
    XT_CHECK(!mu_page_wants_colour());
    unsetenv("LC_ALL");
    unsetenv("LC_CTYPE");
    setenv("LANG", "de_DE.utf8", 1);
    XT_CHECK(mu_page_wants_utf8());
    setenv("LC_ALL", "C", 1); /* the strongest of the three */
    XT_CHECK(!mu_page_wants_utf8());
    setenv("LC_ALL", "C.UTF-8", 1);
    XT_CHECK(mu_page_wants_utf8());
}

XT_TEST(spans_read_well)
{
    char out[MU_SPAN_TEXT_BYTES];
    XT_STREQ(mu_span_text(out, 0), "0s");
    XT_STREQ(mu_span_text(out, 59.9), "59s");
    XT_STREQ(mu_span_text(out, 725), "12m05s");
    XT_STREQ(mu_span_text(out, 7500), "2h05m");
    XT_STREQ(mu_span_text(out, 273600), "3d04h");
    XT_STREQ(mu_span_text(out, 1e12), "-");
    XT_STREQ(mu_span_text(out, -1), "-");
    XT_STREQ(mu_span_text(out, NAN), "-");
}

XT_TEST(a_table_fills_its_line_and_drops_columns)
{
    static const struct mu_column columns[] = {{"name", 0, false, 0}, {"node", 4, false, 20}, {"left", 4, true, 0}};
    const struct mu_cell cells[] = {{.text = "abcdefghijklmnop"}, {.text = "n1"}, {.text = "7s"}};
    struct mu_page p = {0};
    mu_page_begin(&p, 24);
    mu_table_titles(&p, columns, 3);
    mu_table_row(&p, columns, cells, 3);
    XT_STREQ(p.text.p, "name          node  left\nabcdef~lmnop  n1      7s\n");
    mu_page_begin(&p, 18);
    mu_table_row(&p, columns, cells, 3);
    XT_STREQ(p.text.p, "abcdef~lmnop    7s\n");
    mu_page_fini(&p);
}

/* Random bytes in random cells: no line is wider than its page. */
XT_TEST(no_line_is_too_wide)
{
    static const char *const bits[] = {"a",  "模", "e\xCC\x80",        "\xff", "\x1b",
                                       "한", " ",  "\xF0\x9F\x98\x80", "-",    "\xE2\x80\x8D"};
    struct mu_page p = {.is_utf8 = true};
    uint64_t r = 5;
    for (int i = 0; i < 2000; i++) {
        char text[200] = "";
        int cols = 1 + (int)(xt_rand(&r) % 60);
        for (uint64_t k = xt_rand(&r) % 30; k > 0; k--)
            strcat(text, bits[xt_rand(&r) % 10]);
        mu_page_begin(&p, cols);
        mu_page_cell(&p, MU_TONE_PLAIN, text, (int)(xt_rand(&r) % 40), i % 2);
        mu_page_put(&p, MU_TONE_PLAIN, text);
        int at = p.at;
        line(&p);
        p.text.p[p.text.n - 1] = '\0';
        XT_CHECKF(at <= cols && mu_text_width(p.text.p) <= cols, "%d of %d columns: \"%s\"", at, cols, p.text.p);
        XT_EQ(mu_utf8_valid_prefix(p.text.p, p.text.n - 1), p.text.n - 1);
    }
    mu_page_fini(&p);
}

static int make_page(void *arg, struct mu_err *e)
{
    struct mu_page p = {0};
    (void)arg;
    mu_page_begin(&p, 80);
    for (int i = 0; i < 100; i++) {
        mu_page_put(&p, MU_TONE_PLAIN, "a line of text");
        mu_page_end(&p);
    }
    int rc = p.rc;
    mu_page_fini(&p);
    return rc == MU_OK ? rc : mu_fail_nomem(e, 0, "a page");
}

XT_TEST(a_page_without_memory_says_so)
{
    xt_each_alloc_fails(make_page, NULL);
}

XT_MAIN()
