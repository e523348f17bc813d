/* router.c - expert choice: hand-worked cases of every router */
#include "base/check.h"
#include "model/router.h"
#include "xt.h"

#define N 8

static int route(const struct mu_moe_spec *m, const float *logits, const float *bias, int32_t *experts, float *weights,
                 struct mu_err *e)
{
    float probability[N], choice[N];
    return mu_route(m, logits, bias, probability, choice, experts, weights, e);
}

XT_TEST(softmax_renormalised)
{
    struct mu_moe_spec m = {
        .n_experts = 4, .top_k = 2, .n_groups = 1, .top_groups = 1, .is_normalised = true, .scaling = 1};
    struct mu_err err = MU_ERR_INIT;
    int32_t x[N];
    float w[N];
    XT_OK(route(&m, (float[]){0, 2, 1, -5}, NULL, x, w, &err));
    XT_EQ(x[0], 1);
    XT_EQ(x[1], 2);
    XT_NEAR(w[0], 1 / (1 + exp(-1)), 1e-6);
    XT_NEAR(w[0] + w[1], 1, 1e-6);
}

XT_TEST(ties_go_to_the_lower_index)
{
    struct mu_moe_spec m = {.n_experts = 4, .top_k = 2, .n_groups = 1, .top_groups = 1, .scaling = 3};
    struct mu_err err = MU_ERR_INIT;
    int32_t x[N];
    float w[N];
    XT_OK(route(&m, (float[]){1, 1, 1, 1}, NULL, x, w, &err));
    XT_EQ(x[0], 0);
    XT_EQ(x[1], 1);
    XT_NEAR(w[0], 0.75, 1e-6); /* not normalised: 1/4 times the factor */
}

/* Groups of two: {0,1} has the best expert, {4,5} the second; expert 2 beats 5 but its group does not. */
XT_TEST(groups_by_their_best)
{
    struct mu_moe_spec m = {.n_experts = N, .top_k = 4, .n_groups = 4, .top_groups = 2, .scaling = 1};
    struct mu_err err = MU_ERR_INIT;
    int32_t x[N];
    float w[N];
    XT_OK(route(&m, (float[]){5, -9, 3, 3, 4, -8, 0, 0}, NULL, x, w, &err));
    XT_CHECK(x[0] == 0 && x[1] == 1 && x[2] == 4 && x[3] == 5);
}

/* The bias moves the choice, never the weight; a negative choice of a kept group beats a dropped group. */
XT_TEST(sigmoid_with_bias)
{
    struct mu_moe_spec m = {.n_experts = 4,
                            .top_k = 2,
                            .router = MU_ROUTER_SIGMOID_GROUPS,
                            .n_groups = 2,
                            .top_groups = 1,
                            .is_group_score_top2sum = true,
                            .is_normalised = true,
                            .scaling = 2};
    struct mu_err err = MU_ERR_INIT;
    int32_t x[N];
    float w[N];
    XT_OK(route(&m, (float[]){0, 0, 1, 1}, (float[]){5, -3, 0, 0}, x, w, &err));
    XT_CHECK(x[0] == 0 && x[1] == 1);
    XT_NEAR(w[0], 1, 1e-6);
    XT_NEAR(w[1], 1, 1e-6);
}

XT_TEST(overflow_is_said)
{
    struct mu_moe_spec m = {.n_experts = 2, .top_k = 1, .n_groups = 1, .top_groups = 1, .scaling = 1};
    struct mu_err err = MU_ERR_INIT;
    int32_t x[N];
    float w[N];
    XT_FAILS(route(&m, (float[]){0, NAN}, NULL, x, w, &err), MU_ENUMERIC, "expert 1");
    XT_OK(route(&m, (float[]){-3e38f, 3e38f}, NULL, x, w, &err));
    XT_EQ(x[0], 1);
}

XT_MAIN()
