/* test_stop.c - stop strings across pieces; what is held back and what goes out */
#include "xt.h"

#include "base/check.h"
#include "base/mem.h"
#include "engine/text.h"

static const struct mu_str stops[] = {{"END", 3}, {"\n\n", 2}, {"ENOUGH", 6}, {"N", 1}};

struct shown {
    char text[256];
    int stop;
};

/* Feed text cut into pieces of the given lengths (repeated). */
static void feed(struct shown *out, const char *text, int n_stops, const int *cuts, int n_cuts)
{
    struct mu_stop s = {.strings = stops, .n = n_stops};
    struct mu_buf b = MU_BUF_INIT("out", 4096);
    size_t at = 0, n = strlen(text);
    out->text[0] = 0;
    out->stop = MU_STOP_NONE;
    for (int i = 0; at < n && out->stop < 0; i++) {
        size_t k = MU_MIN((size_t)cuts[i % n_cuts], n - at);
        out->stop = mu_stop_add(&s, (struct mu_str){text + at, k}, &b);
        strcat(out->text, b.p);
        at += k;
    }
    if (out->stop < 0) {
        out->stop = mu_stop_end(&s, &b);
        strcat(out->text, b.p);
    }
    mu_buf_fini(&b);
}

XT_TEST(where_pieces_are_cut_does_not_matter)
{
    static const struct {
        const char *text, *want;
        int n_stops, stop;
    } cases[] = {
        {"Once upon a time END of it", "Once upon a time ", 2, 0},
        {"ENENEND", "ENEN", 3, 0},
        {"ENOUGH END", "", 3, 2},
        {"line\nline\n\nmore", "line\nline", 2, 1},
        {"no stop here EN", "no stop here EN", 2, MU_STOP_NONE},
        {"no stop here EN", "no stop here E", 4, 3}, /* "N" was waiting behind "END" */
        {"\nEN\nE\n\n", "\nEN\nE", 2, 1},
        {"", "", 2, MU_STOP_NONE},
    };
    for (size_t c = 0; c < MU_COUNT(cases); c++) {
        for (int a = 1; a < 6; a++) {
            for (int b = 1; b < 6; b++) {
                struct shown got;
                feed(&got, cases[c].text, cases[c].n_stops, (const int[]){a, b}, 2);
                XT_STREQ(got.text, cases[c].want);
                XT_EQ(got.stop, cases[c].stop);
            }
        }
    }
}

XT_TEST(only_what_could_begin_a_stop_string_is_held_back)
{
    struct mu_stop s = {.strings = stops, .n = 3};
    struct mu_buf b = MU_BUF_INIT("out", 4096);
    XT_EQ(mu_stop_add(&s, MU_STR("abcE"), &b), MU_STOP_NONE);
    XT_STREQ(b.p, "abc");
    XT_EQ(mu_stop_add(&s, MU_STR("N"), &b), MU_STOP_NONE);
    XT_STREQ(b.p, "");
    XT_EQ(mu_stop_add(&s, MU_STR("x"), &b), MU_STOP_NONE);
    XT_STREQ(b.p, "ENx");
    XT_EQ(mu_stop_add(&s, MU_STR("\n"), &b), MU_STOP_NONE);
    XT_STREQ(b.p, "");
    XT_EQ(mu_stop_add(&s, MU_STR("\n"), &b), 1);
    XT_STREQ(b.p, "");
    mu_buf_fini(&b);
}

XT_TEST(a_piece_without_room_is_told)
{
    struct mu_stop s = {.strings = stops, .n = 3};
    struct mu_buf b = MU_BUF_INIT("out", 4);
    XT_EQ(mu_stop_add(&s, MU_STR("longer"), &b), MU_STOP_NO_ROOM);
    mu_buf_fini(&b);
}
