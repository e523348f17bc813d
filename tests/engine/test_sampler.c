/* test_sampler.c - draws against exact probabilities, penalties against values worked out by hand */
#include "xt.h"

#include "base/check.h"
#include "base/mem.h"
#include "engine/sample/sampler.h"

#define V 8

static const float logits[V] = {1.0f, 3.0f, -2.0f, 3.0f, 0.0f, 2.0f, 2.5f, -1.0f};

static struct mu_sampler sampler_of(int64_t vocab, void *block, size_t bytes)
{
    struct mu_sampler s;
    struct mu_carve c = {NULL, 0};
    mu_sampler_carve(&s, &c, vocab);
    XT_CHECK(c.used <= bytes);
    memset(block, 0, bytes);
    c = (struct mu_carve){block, 0};
    mu_sampler_carve(&s, &c, vocab);
    return s;
}

static _Alignas(64) char block[1 << 20];

/* Chi-square of n draws against p; tokens with p = 0 must not come. */
static double chi_square(const struct mu_sampling *o, const double *p, int n)
{
    struct mu_sampler s = sampler_of(V, block, sizeof block);
    struct mu_err err = MU_ERR_INIT;
    int count[V] = {0};
    double chi = 0;
    for (int i = 0; i < n; i++) {
        int32_t id;
        XT_OK(mu_sample(&s, o, logits, 1, NULL, 0, 0, (uint64_t)i, &id, &err));
        count[id]++;
    }
    for (int v = 0; v < V; v++) {
        XT_CHECKF(p[v] > 0 || count[v] == 0, "token %d came %d times", v, count[v]);
        if (p[v] > 0)
            chi += (count[v] - n * p[v]) * (count[v] - n * p[v]) / (n * p[v]);
    }
    return chi;
}

/* Softmax over the tokens marked. */
static void softmax(double *p, double temperature, const int *keep)
{
    double sum = 0;
    for (int v = 0; v < V; v++)
        sum += p[v] = keep[v] ? exp(logits[v] / temperature) : 0;
    for (int v = 0; v < V; v++)
        p[v] /= sum;
}

#define CHI_999_DF7 24.3 /* 99.9 % of chi-square with 7 degrees of freedom lies below */

XT_TEST(draws_follow_the_exact_distribution)
{
    struct mu_sampling o = MU_SAMPLING_GREEDY;
    double p[V];
    o.seed = 20240607;
    for (int i = 0; i < 3; i++) {
        o.temperature = i == 0 ? 1.0 : i == 1 ? 0.5 : 2.0;
        softmax(p, o.temperature, (const int[V]){1, 1, 1, 1, 1, 1, 1, 1});
        double chi = chi_square(&o, p, 50000);
        XT_CHECKF(chi < CHI_999_DF7, "chi-square %g at temperature %g", chi, o.temperature);
    }
}

XT_TEST(top_k_top_p_and_min_p_keep_what_they_should)
{
    struct mu_sampling o = MU_SAMPLING_GREEDY;
    double p[V];
    o.temperature = 1;
    o.top_k = 3; /* 1, 3, 6 */
    softmax(p, 1, (const int[V]){0, 1, 0, 1, 0, 0, 1, 0});
    XT_CHECK(chi_square(&o, p, 20000) < CHI_999_DF7);
    o.top_k = 1; /* the lower id of the two best */
    softmax(p, 1, (const int[V]){0, 1, 0, 0, 0, 0, 0, 0});
    chi_square(&o, p, 100);
    o.top_k = 0;
    o.top_p = 0.6; /* 0.3137, 0.6275 after the second */
    softmax(p, 1, (const int[V]){0, 1, 0, 1, 0, 0, 0, 0});
    chi_square(&o, p, 1000);
    o.top_p = 0.63; /* the third is needed */
    softmax(p, 1, (const int[V]){0, 1, 0, 1, 0, 0, 1, 0});
    XT_CHECK(chi_square(&o, p, 20000) < CHI_999_DF7);
    o.top_p = 1e-9; /* at least one */
    softmax(p, 1, (const int[V]){0, 1, 0, 0, 0, 0, 0, 0});
    chi_square(&o, p, 100);
    o.top_p = 1;
    o.min_p = 0.36; /* exp(2 - 3) = 0.368 stays, exp(1 - 3) goes */
    softmax(p, 1, (const int[V]){0, 1, 0, 1, 0, 1, 1, 0});
    XT_CHECK(chi_square(&o, p, 20000) < CHI_999_DF7);
    o.top_k = 3; /* then top-k, then top-p over what is left: shares 0.384, 0.768, 1 */
    o.top_p = 0.7;
    softmax(p, 1, (const int[V]){0, 1, 0, 1, 0, 0, 0, 0});
    chi_square(&o, p, 1000);
}

XT_TEST(a_draw_depends_on_seed_and_number_only)
{
    struct mu_sampler s = sampler_of(V, block, sizeof block);
    struct mu_sampling o = MU_SAMPLING_GREEDY;
    struct mu_err err = MU_ERR_INIT;
    int32_t first[64], id;
    int n_other = 0;
    o.temperature = 1;
    o.seed = 7;
    for (int i = 0; i < 64; i++)
        XT_OK(mu_sample(&s, &o, logits, 1, NULL, 0, 0, (uint64_t)i, &first[i], &err));
    for (int i = 63; i >= 0; i--) {
        XT_OK(mu_sample(&s, &o, logits, 1, NULL, 0, 0, (uint64_t)i, &id, &err));
        XT_EQ(id, first[i]);
    }
    o.seed = 8;
    for (int i = 0; i < 64; i++) {
        XT_OK(mu_sample(&s, &o, logits, 1, NULL, 0, 0, (uint64_t)i, &id, &err));
        n_other += id != first[i];
    }
    XT_CHECK(n_other > 20);
}

/* Known answers of the Random123 library's kat_vectors, philox4x32 10. */
XT_TEST(philox_known_answers)
{
    static const struct {
        uint32_t counter[4], key[2], want[4];
    } cases[] = {
        {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
        {{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff},
         {0xffffffff, 0xffffffff},
         {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
        {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
         {0xa4093822, 0x299f31d0},
         {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
    };
    for (size_t i = 0; i < MU_COUNT(cases); i++) {
        uint32_t out[4];
        mu_philox4x32(cases[i].counter, cases[i].key, out);
        XT_CHECK(memcmp(out, cases[i].want, sizeof out) == 0);
    }
}

XT_TEST(penalties_by_hand)
{
    struct mu_sampler s = sampler_of(V, block, sizeof block);
    struct mu_sampling o = MU_SAMPLING_GREEDY;
    static const int32_t ids[] = {2, 1, 1, 6, 5, 5, 5, 0}; /* prompt 2 1 1 6, output 5 5 5 0 */
    static const struct mu_logit_bias bias[] = {{4, 10}, {1, -0.5f}};
    o.repetition = 2;
    mu_penalties_apply(&s, &o, logits, ids, 4, 8);
    static const double repeated[V] = {0.5, 1.5, -4, 3, 0, 1, 1.25, -1};
    for (int v = 0; v < V; v++)
        XT_NEAR(s.x[v], repeated[v], 1e-12);

    o.repetition = 1;
    o.frequency = 0.25;
    o.presence = 1;
    mu_penalties_apply(&s, &o, logits, ids, 4, 8);
    static const double counted[V] = {1 - 1.25, 3, -2, 3, 0, 2 - 1.75, 2.5, -1};
    for (int v = 0; v < V; v++)
        XT_NEAR(s.x[v], counted[v], 1e-12);

    o.repetition = 2; /* bias first, then repetition, then counts */
    o.bias = bias;
    o.n_bias = 2;
    mu_penalties_apply(&s, &o, logits, ids, 4, 8);
    static const double all[V] = {0.5 - 1.25, 1.25, -4, 3, 10, 1 - 1.75, 1.25, -1};
    for (int v = 0; v < V; v++)
        XT_NEAR(s.x[v], all[v], 1e-12);
    for (int v = 0; v < V; v++)
        XT_EQ(s.count[v], 0); /* ready for the next row */
}

XT_TEST(greedy_takes_the_lowest_id_on_ties_and_heeds_penalties)
{
    struct mu_sampler s = sampler_of(V, block, sizeof block);
    struct mu_sampling o = MU_SAMPLING_GREEDY;
    struct mu_err err = MU_ERR_INIT;
    static const int32_t ids[] = {1, 3};
    int32_t id;
    XT_OK(mu_sample(&s, &o, logits, 1, ids, 1, 2, 0, &id, &err));
    XT_EQ(id, 1);
    o.presence = 0.1; /* 3 is in the output, 1 in the prompt only */
    XT_OK(mu_sample(&s, &o, logits, 1, ids, 1, 2, 0, &id, &err));
    XT_EQ(id, 1);
    o.repetition = 1.5;
    XT_OK(mu_sample(&s, &o, logits, 1, ids, 1, 2, 0, &id, &err));
    XT_EQ(id, 6);
}

XT_TEST(a_large_vocabulary_is_cut_right)
{
    enum { BIG = 20000 };
    static float big[BIG];
    struct mu_sampler s = sampler_of(BIG, block, sizeof block);
    struct mu_sampling o = MU_SAMPLING_GREEDY;
    uint64_t seed = 1;
    double total = 0, sum, kept = 0;
    for (int v = 0; v < BIG; v++)
        big[v] = xt_randf(&seed) * 4;
    o.top_p = 0.9;
    for (int v = 0; v < BIG; v++)
        total += s.x[v] = exp((double)big[v] - 4);
    int64_t n = mu_truncate(&s, &o, &sum);
    for (int64_t i = 0; i < n; i++) {
        kept += s.x[s.candidates[i]];
        if (i > 0)
            XT_CHECK(s.x[s.candidates[i]] <= s.x[s.candidates[i - 1]]);
    }
    XT_NEAR(kept, sum, 1e-9);
    XT_CHECK(kept >= 0.9 * total * (1 - 1e-12));
    XT_CHECK(kept - s.x[s.candidates[n - 1]] < 0.9 * total);
}

XT_TEST(alternatives_are_sorted_and_complete)
{
    struct mu_token_logprob top[MU_TOP_MAX];
    static const int32_t want[V] = {1, 3, 6, 5, 0, 4, 7, 2};
    mu_top_logprobs(logits, V, 1.0, 10, top);
    for (int i = 0; i < V; i++) {
        XT_EQ(top[i].id, want[i]);
        XT_NEAR(top[i].logprob, logits[want[i]] - 1.0, 0);
    }
    XT_EQ(top[V].id, -1);
    mu_top_logprobs(logits, V, 1.0, 2, top);
    XT_EQ(top[0].id, 1);
    XT_EQ(top[1].id, 3);
}

static void refuse(void (*change)(struct mu_sampling *), const char *part)
{
    struct mu_sampling o = MU_SAMPLING_GREEDY;
    struct mu_err err = MU_ERR_INIT;
    change(&o);
    XT_FAILS(mu_sampling_check(&o, V, &err), MU_EINVAL, part);
}

static void cold(struct mu_sampling *o)
{
    o->temperature = -0.5;
}
static void nan_temperature(struct mu_sampling *o)
{
    o->temperature = NAN;
}
static void no_p(struct mu_sampling *o)
{
    o->top_p = 0;
}
static void much_p(struct mu_sampling *o)
{
    o->top_p = 1.01;
}
static void nan_p(struct mu_sampling *o)
{
    o->top_p = NAN;
}
static void negative_k(struct mu_sampling *o)
{
    o->top_k = -1;
}
static void much_min_p(struct mu_sampling *o)
{
    o->min_p = 2;
}
static void no_repetition(struct mu_sampling *o)
{
    o->repetition = 0;
}
static void much_frequency(struct mu_sampling *o)
{
    o->frequency = 2.5;
}
static void nan_presence(struct mu_sampling *o)
{
    o->presence = NAN;
}
static void far_bias(struct mu_sampling *o)
{
    static const struct mu_logit_bias b[] = {{V, 1}};
    o->bias = b;
    o->n_bias = 1;
}
static void endless_bias(struct mu_sampling *o)
{
    static const struct mu_logit_bias b[] = {{0, INFINITY}};
    o->bias = b;
    o->n_bias = 1;
}

XT_TEST(impossible_values_are_refused)
{
    refuse(cold, "temperature is -0.5");
    refuse(nan_temperature, "temperature is nan");
    refuse(no_p, "top-p is 0");
    refuse(much_p, "top-p is 1.01");
    refuse(nan_p, "top-p is nan");
    refuse(negative_k, "top-k is -1");
    refuse(much_min_p, "min-p is 2");
    refuse(no_repetition, "repetition penalty is 0");
    refuse(much_frequency, "frequency penalty is 2.5");
    refuse(nan_presence, "presence penalty is nan");
    refuse(far_bias, "outside the vocabulary");
    refuse(endless_bias, "not a finite number");
}
