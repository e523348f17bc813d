/* test_layout.c - text form, places, stages and legality, against counting and against trying every cut */
#include "xt.h"

#include "base/check.h"
#include "model/presets.h"
#include "plan/layout.h"

static struct mu_layout parse(const char *text, int ranks)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_layout l;
    XT_OK(mu_layout_parse(&l, text, ranks, &err));
    return l;
}

static void read_preset(struct mu_spec *s, const char *name)
{
    struct mu_err err = MU_ERR_INIT;
    XT_CHECK(mu_preset_find(name) != NULL);
    XT_OK(mu_preset_spec(s, mu_preset_find(name), &err));
}

XT_TEST(text_in_any_order_and_what_the_ranks_leave)
{
    struct mu_layout l = parse("pp=2,tp=4", 16);
    XT_EQ(l.tp, 4);
    XT_EQ(l.pp, 2);
    XT_EQ(l.dp, 2);
    XT_EQ(l.ep, 1);
    l = parse("tp=3", 0);
    XT_EQ(l.dp, 1);
    l = parse("ep=8", 0); /* as many lanes as it takes */
    XT_EQ(l.dp, 8);
    XT_EQ(mu_layout_lanes(&l), 8);
    XT_EQ(mu_layout_replicas(&l), 1);
    l = parse("ep=8,tp=2,dp=8", 16);
    XT_EQ(mu_layout_lanes(&l), 4);
    XT_EQ(mu_layout_replicas(&l), 2);
    l = parse("ep=2,tp=4", 8); /* inside the tensor group */
    XT_EQ(mu_layout_lanes(&l), 1);
    XT_EQ(l.cp, 1);
    l = parse("cp=2,tp=4", 8);
    XT_EQ(l.cp, 2);
    XT_EQ(l.dp, 2);
}

XT_TEST(text_that_cannot_be_names_key_value_and_bound)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_layout l;
    XT_FAILS(mu_layout_parse(&l, "", 0, &err), MU_EUSAGE, "is not a key and a number");
    XT_FAILS(mu_layout_parse(&l, "tp", 0, &err), MU_EUSAGE, "\"tp\" is not a key and a number");
    XT_FAILS(mu_layout_parse(&l, "tp=2,", 0, &err), MU_EUSAGE, "\"\" is not a key");
    XT_FAILS(mu_layout_parse(&l, "xp=2", 0, &err), MU_EUSAGE, "no \"xp\"");
    XT_FAILS(mu_layout_parse(&l, "tp=2,tp=2", 0, &err), MU_EUSAGE, "tp is given twice");
    XT_FAILS(mu_layout_parse(&l, "tp=0", 0, &err), MU_EUSAGE, "from 1 to 4096");
    XT_FAILS(mu_layout_parse(&l, "tp=-2", 0, &err), MU_EUSAGE, "tp is \"-2\"");
    XT_FAILS(mu_layout_parse(&l, "tp=2x", 0, &err), MU_EUSAGE, "tp is \"2x\"");
    XT_FAILS(mu_layout_parse(&l, "tp=99999999999999999999", 0, &err), MU_EUSAGE, "from 1 to 4096");
    XT_FAILS(mu_layout_parse(&l, "tp=4096,pp=2", 0, &err), MU_EUSAGE, "8192 ranks; at most 4096");
    XT_FAILS(mu_layout_parse(&l, "tp=4,ep=6", 0, &err), MU_EUSAGE, "multiple of tp");
    XT_FAILS(mu_layout_parse(&l, "tp=2,ep=8,dp=6", 0, &err), MU_EUSAGE, "ep is 8");
    XT_FAILS(mu_layout_parse(&l, "tp=4,cp=3", 0, &err), MU_EUSAGE, "cp must divide tp=4");
    XT_FAILS(mu_layout_parse(&l, "tp=16,cp=16", 0, &err), MU_EUSAGE, "at most 8 ranks share");
    XT_FAILS(mu_layout_parse(&l, "cp=2", 0, &err), MU_EUSAGE, "cp must divide tp=1");
    XT_FAILS(mu_layout_parse(&l, "tp=3", 8, &err), MU_EUSAGE, "3 ranks, but there are 8");
    XT_FAILS(mu_layout_parse(&l, "tp=4,dp=1", 8, &err), MU_EUSAGE, "4 ranks, but there are 8");
}

XT_TEST(printed_text_reads_back)
{
    static const char *const texts[] = {"tp=1", "tp=4,pp=2", "tp=6,dp=2", "tp=2,pp=3,dp=4,ep=8", "tp=6,cp=3"};
    struct mu_err err = MU_ERR_INIT;
    for (size_t i = 0; i < MU_COUNT(texts); i++) {
        struct mu_buf b = MU_BUF_INIT("a layout", 100);
        struct mu_layout l = parse(texts[i], 0);
        XT_OK(mu_layout_print(&l, &b, &err));
        XT_STREQ(b.p, texts[i]);
        mu_buf_fini(&b);
    }
}

/* Rank by counting: tensor fastest, then lane, stage, replica. */
XT_TEST(places_count_tensor_lane_stage_replica)
{
    struct mu_layout l = parse("tp=3,pp=2,dp=4,ep=6", 24);
    int rank = 0;
    for (int replica = 0; replica < 2; replica++) {
        for (int stage = 0; stage < 2; stage++) {
            for (int lane = 0; lane < 2; lane++) {
                for (int t = 0; t < 3; t++, rank++) {
                    struct mu_layout_place p = mu_layout_place_of(&l, rank);
                    XT_CHECK(p.replica == replica && p.stage == stage && p.lane == lane && p.t == t);
                    XT_EQ(mu_layout_rank_of(&l, &p), rank);
                }
            }
        }
    }
    XT_EQ(rank, mu_layout_ranks(&l));
}

/* ---- stages ---- */

/* A model whose layers weigh what the test says: heads of one element, so that attention is nothing beside the MLP. */
static void made(struct mu_spec *s, struct mu_layer_spec *layers, const int *ffn, int n, int64_t vocab)
{
    *s = (struct mu_spec){.vocab = vocab, .hidden = 64, .n_layers = n, .layers = layers};
    for (int i = 0; i < n; i++)
        layers[i] = (struct mu_layer_spec){
            .n_heads = 16, .n_kv_heads = 16, .dk = 4, .dv = 4, .mlp = MU_MLP_GATED, .ffn = ffn[i]};
}

static double slowest(const struct mu_spec *s, const int *ends, int pp)
{
    double worst = 0;
    for (int k = 0, i = 0; k < pp; k++) {
        double t = k == pp - 1 ? (double)(s->vocab * s->hidden) : 0;
        for (; i < ends[k]; i++)
            t += 4.0 * 64 * 64 + 3.0 * 64 * s->layers[i].ffn;
        worst = MU_MAX(worst, t);
    }
    return worst;
}

/* Every cut of n layers into pp stages. */
static double best_of_all(const struct mu_spec *s, int *ends, int k, int from, int pp)
{
    double best = 1e300;
    if (k == pp - 1) {
        ends[k] = s->n_layers;
        return slowest(s, ends, pp);
    }
    for (int end = from + 1; end <= s->n_layers - (pp - 1 - k); end++) {
        ends[k] = end;
        double t = best_of_all(s, ends, k + 1, end, pp);
        best = MU_MIN(best, t);
    }
    return best;
}

XT_TEST(stages_are_within_a_twentieth_of_the_best_cut)
{
    uint64_t seed = 7;
    for (int round = 0; round < 300; round++) {
        struct mu_layer_spec layers[12];
        struct mu_spec s;
        int ffn[12], ends[12], n = 1 + (int)(xt_rand(&seed) % 12), pp = 1 + (int)(xt_rand(&seed) % (uint64_t)n);
        for (int i = 0; i < n; i++)
            ffn[i] = 16 << (xt_rand(&seed) % 6);
        made(&s, layers, ffn, n, (int64_t)(xt_rand(&seed) % 2000));
        struct mu_layout l = {.tp = 1, .dp = 1, .ep = 1, .pp = pp};
        mu_layout_cut_stages(&l, &s);
        for (int k = 0; k < pp; k++)
            XT_CHECK(l.stage_end[k] > (k ? l.stage_end[k - 1] : 0));
        XT_EQ(l.stage_end[pp - 1], n);
        double best = best_of_all(&s, ends, 0, 0, pp), got = slowest(&s, l.stage_end, pp);
        XT_CHECKF(got <= best * 1.0501, "%d layers in %d stages: %g, the best cut has %g", n, pp, got, best);
    }
}

XT_TEST(the_head_counts_as_layers)
{
    int ffn[8] = {256, 256, 256, 256, 256, 256, 256, 256};
    struct mu_layer_spec layers[8];
    struct mu_layout l = {.tp = 1, .dp = 1, .ep = 1, .pp = 2};
    struct mu_spec s;
    made(&s, layers, ffn, 8, 2 * (4 * 64 + 3 * 256)); /* the head is as much as two layers */
    mu_layout_cut_stages(&l, &s);
    XT_EQ(l.stage_end[0], 5);
    XT_EQ(l.stage_end[1], 8);
}

XT_TEST(shards_cover_every_layer_once)
{
    struct mu_spec s;
    read_preset(&s, "DeepSeek-V3");
    for (int pp = 1; pp <= 32; pp++) {
        struct mu_layout l = {.tp = 2, .pp = pp, .dp = 2, .ep = 4};
        int at = 0;
        for (int stage = 0; stage < pp; stage++) {
            struct mu_layout_place p = {.stage = stage, .lane = 1, .t = 1};
            struct mu_shard sh;
            mu_layout_shard(&l, &s, mu_layout_rank_of(&l, &p), &sh);
            XT_EQ(sh.layer_begin, at);
            XT_CHECK(sh.layer_end > at);
            at = sh.layer_end;
            XT_EQ(sh.has_embed, stage == 0);
            XT_EQ(sh.has_head, stage == pp - 1);
            XT_CHECK(sh.tp_rank == 1 && sh.tp_size == 2 && sh.lane == 1 && sh.n_lanes == 2);
            XT_CHECK(!sh.tp && !sh.experts && !sh.node);
        }
        XT_EQ(at, 61);
    }
    mu_spec_fini(&s);
}

/* ---- legality ---- */

XT_TEST(what_does_not_go_is_named_with_the_nearest_that_does)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_spec s;
    read_preset(&s, "gpt2"); /* 12 heads of 64, 12 layers */
    struct mu_layout l = parse("tp=16", 16);
    XT_FAILS(mu_layout_check(&l, &s, &err), MU_EINVAL,
             "layout tp=16 leaves ranks without work: tp=16, but the 12 heads of layer 0");
    XT_CHECK(strstr(err.text, "nearest without that: tp=8,dp=2") ||
             strstr(err.text, "nearest without that: tp=8,pp=2"));
    l = parse("pp=13", 0);
    XT_FAILS(mu_layout_check(&l, &s, &err), MU_EINVAL, "pp=13, but the model has 12 layers");
    l = parse("tp=1,ep=2", 0);
    XT_FAILS(mu_layout_check(&l, &s, &err), MU_EINVAL, "no experts");
    l = parse("pp=2", 0);
    l.stage_end[0] = 12, l.stage_end[1] = 12;
    XT_FAILS(mu_layout_check(&l, &s, &err), MU_EINVAL, "stage 1 ends at layer 12");
    l.stage_end[0] = 3, l.stage_end[1] = 11;
    XT_FAILS(mu_layout_check(&l, &s, &err), MU_EINVAL, "end at layer 11, but the model has 12");
    l.stage_end[1] = 12;
    XT_OK(mu_layout_check(&l, &s, &err));
    l = (struct mu_layout){.tp = 0, .pp = 1, .dp = 1, .ep = 1};
    XT_FAILS(mu_layout_check(&l, &s, &err), MU_EINVAL, "each must be at least 1");
    mu_spec_fini(&s);
    read_preset(&s, "Mixtral-8x7B");
    l = parse("ep=16", 0);
    XT_FAILS(mu_layout_check(&l, &s, &err), MU_EINVAL, "16 ranks for 8 experts");
    XT_OK(mu_layout_check_shape(&l, &s, &err));
    mu_spec_fini(&s);
}

XT_TEST(uneven_heads_and_more_ranks_than_kv_heads_are_legal)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_spec s;
    read_preset(&s, "Llama-2-70b");
    static const char *const texts[] = {"tp=6", "tp=7", "tp=16", "tp=3,pp=7", "tp=5,pp=80"};
    for (size_t i = 0; i < MU_COUNT(texts); i++) {
        struct mu_layout l = parse(texts[i], 0);
        XT_OK(mu_layout_check(&l, &s, &err));
    }
    mu_spec_fini(&s);
}

/* The nearest layout has the same number of ranks and is legal, whatever was asked. */
XT_TEST(the_nearest_is_always_legal)
{
    static const char *const names[] = {"gpt2", "Mixtral-8x7B", "DeepSeek-V2-Lite", "falcon-180B"};
    struct mu_err err = MU_ERR_INIT;
    uint64_t seed = 3;
    for (size_t i = 0; i < MU_COUNT(names); i++) {
        struct mu_spec s;
        read_preset(&s, names[i]);
        for (int round = 0; round < 60; round++) {
            struct mu_layout l = {.tp = 1 + (int)(xt_rand(&seed) % 40),
                                  .pp = 1 + (int)(xt_rand(&seed) % 40),
                                  .dp = 1 + (int)(xt_rand(&seed) % 2)},
                             near;
            l.ep = (int)(xt_rand(&seed) % 3) * l.tp;
            mu_layout_nearest(&l, &s, &near);
            XT_EQ(mu_layout_ranks(&near), mu_layout_ranks(&l));
            XT_OK(mu_layout_check(&near, &s, &err));
            if (l.ep > 0 && mu_layout_check(&l, &s, &err) == MU_OK)
                XT_CHECK(near.tp == l.tp && near.pp == l.pp && near.dp == l.dp);
        }
        mu_spec_fini(&s);
    }
}

XT_MAIN()
