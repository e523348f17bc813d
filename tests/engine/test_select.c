/* test_select.c - the choice of an engine, by wish and by score */
#include "xt.h"

#include <stdio.h>

#include "base/check.h"
#include "engine/select.h"

#define GIB ((uint64_t)1 << 30)

enum { LIGHT, DISTRIBUTED, REMOTE, ENGINES };

static void three(struct mu_select_candidate c[ENGINES])
{
    memset(c, 0, ENGINES * sizeof *c);
    c[LIGHT] = (struct mu_select_candidate){
        .name = "light", .can = true, .bytes_free = 16 * GIB, .context_max = 4096, .at_a_time = 64, .start_s = 10};
    c[DISTRIBUTED] = (struct mu_select_candidate){.name = "distributed",
                                                  .can = true,
                                                  .bytes_free = 64 * GIB,
                                                  .context_max = 4096,
                                                  .at_a_time = 256,
                                                  .start_s = 30};
    c[REMOTE] = (struct mu_select_candidate){.name = "remote", .can = true, .is_elsewhere = true, .at_a_time = 8};
}

static const char *chosen(const struct mu_select_ask *a, const struct mu_select_candidate *c)
{
    static struct mu_select_table t;
    struct mu_err err = MU_ERR_INIT;
    XT_OK(mu_select(&t, a, c, ENGINES, &err));
    XT_CHECK(t.row[t.chosen].is_chosen && t.row[t.chosen].can && t.row[t.chosen].reason[0]);
    return t.row[t.chosen].name;
}

XT_TEST(weights_sum_to_one)
{
    double sum = 0;
    for (int p = 0; p < MU_SELECT_PARTS; p++)
        sum += mu_select_weight((enum mu_select_part)p);
    XT_NEAR(sum, 1, 1e-12);
}

XT_TEST(wishes_come_in_order_name_endpoint_ranks)
{
    struct mu_select_candidate c[ENGINES];
    struct mu_select_ask a = {.model_bytes = GIB, .n_ranks = 4, .has_endpoint = true, .wish = "light"};
    three(c);
    XT_STREQ(chosen(&a, c), "light");
    a.wish = "auto";
    XT_STREQ(chosen(&a, c), "remote");
    a.has_endpoint = false;
    XT_STREQ(chosen(&a, c), "distributed");
}

XT_TEST(a_wish_that_cannot_be_had_is_an_error_and_not_another_engine)
{
    struct mu_select_candidate c[ENGINES];
    struct mu_select_table t;
    struct mu_err err = MU_ERR_INIT;
    struct mu_select_ask a = {.model_bytes = 20 * GIB, .wish = "light"};
    three(c);
    XT_FAILS(mu_select(&t, &a, c, ENGINES, &err), MU_EUNSUPPORTED, "needs 20.0 GiB and 16.0 GiB are free");
    a.wish = "lihgt";
    XT_FAILS(mu_select(&t, &a, c, ENGINES, &err), MU_EUSAGE, "did you mean light?");
    a = (struct mu_select_ask){.n_ranks = 2};
    c[DISTRIBUTED].can = false;
    snprintf(c[DISTRIBUTED].reason, sizeof c[DISTRIBUTED].reason, "it has no ranks");
    XT_FAILS(mu_select(&t, &a, c, ENGINES, &err), MU_EUNSUPPORTED, "several ranks, and cannot do it: it has no ranks");
}

XT_TEST(what_does_not_fit_one_engine_goes_to_the_next)
{
    struct mu_select_candidate c[ENGINES];
    struct mu_select_ask a = {.model_bytes = 20 * GIB};
    three(c);
    c[REMOTE].can = false;
    XT_STREQ(chosen(&a, c), "distributed");
    a = (struct mu_select_ask){.model_bytes = GIB, .context = 8192};
    c[DISTRIBUTED].context_max = 16384;
    XT_STREQ(chosen(&a, c), "distributed");
}

/* By hand, from the weights in the header: light takes an eighth of 16 GiB. */
XT_TEST(scores_are_the_sums_that_the_header_states)
{
    struct mu_select_candidate c[ENGINES];
    struct mu_select_table t;
    struct mu_err err = MU_ERR_INIT;
    struct mu_select_ask a = {.model_bytes = 2 * GIB, .context = 1000, .batch = 128, .urgency = 0.5};
    three(c);
    c[LIGHT].start_s = 60;
    XT_OK(mu_select(&t, &a, c, ENGINES, &err));
    XT_NEAR(t.row[LIGHT].score, 0.35 * 1 + 0.15 * 1 + 0.15 * 0.5 + 0.15 * 0.75 + 0.20 * 0.875, 1e-12);
    XT_NEAR(t.row[REMOTE].score, 0.35 * 1 + 0.15 * 0.5 + 0.15 * 0.0625 + 0.15 * 1 + 0.20 * 1, 1e-12);
}

XT_TEST(what_nobody_told_counts_half)
{
    struct mu_select_candidate c[] = {{.name = "a", .can = true}};
    struct mu_select_ask a = {.batch = 0};
    struct mu_select_table t;
    struct mu_err err = MU_ERR_INIT;
    XT_OK(mu_select(&t, &a, c, 1, &err));
    XT_NEAR(t.row[0].score, 0.5 * 0.85 + 0.15, 1e-12); /* nothing is urgent */
}

XT_TEST(urgency_and_batch_move_the_choice)
{
    struct mu_select_candidate c[ENGINES];
    struct mu_select_ask a = {.model_bytes = 4 * GIB, .batch = 256};
    three(c);
    c[REMOTE].can = false;
    XT_STREQ(chosen(&a, c), "distributed"); /* computes the batch at once */
    a.batch = 16;
    c[DISTRIBUTED].bytes_free = 16 * GIB;
    a.urgency = 1;
    XT_STREQ(chosen(&a, c), "light"); /* starts sooner */
}

XT_TEST(equal_scores_go_to_the_earlier_row)
{
    struct mu_select_candidate c[2] = {{.name = "a", .can = true}, {.name = "b", .can = true}};
    struct mu_select_ask a = {.batch = 1};
    struct mu_select_table t;
    struct mu_err err = MU_ERR_INIT;
    XT_OK(mu_select(&t, &a, c, 2, &err));
    XT_EQ(t.chosen, 0);
}

XT_TEST(when_none_can_every_reason_is_told)
{
    struct mu_select_candidate c[2] = {{.name = "a", .code = MU_EUSAGE, .reason = "it rains"},
                                       {.name = "b", .code = MU_EINVAL, .reason = "it snows"}};
    struct mu_select_ask a = {.batch = 1};
    struct mu_select_table t;
    struct mu_err err = MU_ERR_INIT;
    XT_FAILS(mu_select(&t, &a, c, 2, &err), MU_EUSAGE, "a: it rains; b: it snows");
    XT_EQ(t.chosen, -1);
}

XT_TEST(the_table_prints_a_row_an_engine)
{
    struct mu_select_candidate c[ENGINES];
    struct mu_select_ask a = {.model_bytes = 20 * GIB};
    struct mu_select_table t;
    struct mu_err err = MU_ERR_INIT;
    struct mu_buf out = MU_BUF_INIT("a table", 4096);
    three(c);
    XT_OK(mu_select(&t, &a, c, ENGINES, &err));
    XT_OK(mu_select_print(&t, &out, &err));
    XT_CHECK(strstr(out.p, "engine        can   memory  context    batch  urgency     free  score  reason\n") == out.p);
    XT_CHECK(strstr(out.p, "\n  light       no         -") != NULL);
    XT_CHECK(strstr(out.p, "\n> ") != NULL);
    mu_buf_fini(&out);
}
