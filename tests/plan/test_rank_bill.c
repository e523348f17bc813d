/* test_rank_bill.c - the closed form against the functions that lay a model out
 *
 * mu_model_sizes() is exact by its own tests (tests/model/sizes.c); the closed form must give its weights and KV page
 * to the byte and its activations and logits within what rounding of buffers explains. */
#include "xt.h"

#include <stdio.h>

#include "base/check.h"
#include "base/json.h"
#include "model/expert_table.h"
#include "model/model.h"
#include "model/presets.h"
#include "plan/rank_bill.h"
#include "tensor/device.h"

#define CONTEXT 640
#define ROWS    256
#define LOGITS  32

static struct mu_machine host(void)
{
    struct mu_machine m;
    mu_machine_host(&m, 64e9, 20e9, 1e12, 1);
    return m;
}

static void near(const char *what, const char *name, const struct mu_layout *l, int rank, size_t got, size_t want,
                 double over)
{
    XT_CHECKF((double)got >= (double)want * 0.999 - 4096 && (double)got <= (double)want * (1 + over) + 65536,
              "%s of %s, tp=%d pp=%d dp=%d ep=%d, rank %d: %zu, the model takes %zu", what, name, l->tp, l->pp, l->dp,
              l->ep, rank, got, want);
}

/* redundant: copies of experts in all, where `placed` has them. */
static void compare_placed(struct mu_device *d, const struct mu_spec *s, const char *name, const struct mu_layout *l,
                           enum mu_wformat f, int rank, int redundant, const struct mu_expert_table *placed)
{
    bool is_int8 = f == MU_WINT8 && s->position != MU_POS_ALIBI;
    enum mu_dtype kv = f == MU_WF32 ? MU_F32 : is_int8 ? MU_I8 : MU_BF16;
    struct mu_workload w = {.prompt = CONTEXT, .weights = f, .kv_dtype = kv, .redundant_experts = redundant};
    struct mu_rank_limits k = {.rows = ROWS, .logit_rows = LOGITS, .pages = 1};
    struct mu_err err = MU_ERR_INIT;
    struct mu_machine m = host();
    struct mu_model_sizes z;
    struct mu_rank_need need;
    struct mu_rank_bill b;
    struct mu_shard sh;

    mu_layout_shard(l, s, rank, &sh);
    sh.placed = placed;
    struct mu_model_opts o = {.format = f,
                              .kv_dtype = w.kv_dtype,
                              .mla = MU_MLA_ABSORBED,
                              .context_max = CONTEXT,
                              .rows_max = ROWS,
                              .logit_rows_max = LOGITS,
                              .shard = &sh};
    XT_OK(mu_model_sizes(s, &o, d, &z, &err));
    mu_rank_need_of(&need, s, l, rank, &m, &w);
    mu_rank_bill_of(&b, &need, &k);
    XT_CHECKF(b.weights == z.weights, "weights of %s (%s), tp=%d pp=%d dp=%d ep=%d, rank %d: %zu, the model takes %zu",
              name, mu_wformat_name(f), l->tp, l->pp, l->dp, l->ep, rank, b.weights, z.weights);
    XT_CHECKF(b.kv == z.kv_page, "KV page of %s, tp=%d pp=%d, rank %d: %zu, the model takes %zu", name, l->tp, l->pp,
              rank, b.kv, z.kv_page);
    near("activations", name, l, rank, b.activations + b.logits, z.activations + z.logits, 0.05);
    XT_CHECKF(b.work >= z.work, "work of %s (%s), tp=%d: %zu, the model takes %zu", name, mu_wformat_name(f), l->tp,
              b.work, z.work);
    XT_EQ(b.total, b.weights + b.kv + b.activations + b.work + b.logits + b.comm + b.runtime);
}

static void compare(struct mu_device *d, const struct mu_spec *s, const char *name, const struct mu_layout *l,
                    enum mu_wformat f, int rank)
{
    compare_placed(d, s, name, l, f, rank, 0, NULL);
}

/* Every rank of a replica. */
static void compare_ranks(struct mu_device *d, const struct mu_spec *s, const char *name, const char *text,
                          enum mu_wformat f)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_layout l;
    XT_OK(mu_layout_parse(&l, text, 0, &err));
    if (mu_layout_check(&l, s, NULL) != MU_OK)
        return;
    int n = mu_layout_ranks(&l) / mu_layout_replicas(&l);
    for (int r = 0; r < n; r++)
        compare(d, s, name, &l, f, r);
}

static void compare_layouts(const struct mu_spec *s, const char *name)
{
    static const char *const texts[] = {"tp=1",      "tp=2",      "tp=3",
                                        "tp=6",      "tp=4,pp=2", "pp=3",
                                        "tp=2,ep=4", "tp=1,ep=3", "tp=2,pp=2,ep=8,dp=4",
                                        "tp=2,cp=2", "tp=6,cp=3", "tp=8,cp=4,pp=2"};
    struct mu_cpu_opts cpu = {.level = "auto", .n_threads = 2};
    struct mu_err err = MU_ERR_INIT;
    struct mu_device *d;
    XT_OK(mu_device_open_cpu(&d, &cpu, &err));
    for (size_t i = 0; i < MU_COUNT(texts); i++)
        compare_ranks(d, s, name, texts[i], MU_WBF16);
    compare_ranks(d, s, name, "tp=3", MU_WF32);
    compare_ranks(d, s, name, "tp=3", MU_WINT8);
    compare_ranks(d, s, name, "tp=6,cp=3", MU_WINT8);
    compare_ranks(d, s, name, "tp=5", MU_WINT4);
    mu_device_close(d);
}

static size_t weights_of(const struct mu_spec *s, const char *text, int devices, bool is_host)
{
    struct mu_workload w = {.prompt = CONTEXT, .weights = MU_WBF16, .kv_dtype = MU_BF16};
    struct mu_rank_limits k = {.rows = ROWS, .logit_rows = LOGITS, .pages = 1};
    struct mu_err err = MU_ERR_INIT;
    struct mu_machine m = host();
    struct mu_rank_need need;
    struct mu_rank_bill b;
    struct mu_layout l;
    m.devices = devices;
    m.is_host = is_host;
    XT_OK(mu_layout_parse(&l, text, 0, &err));
    mu_layout_cut_stages(&l, s);
    mu_rank_need_of(&need, s, &l, 0, &m, &w);
    mu_rank_bill_of(&b, &need, &k);
    return b.weights;
}

/* Replicas of a host's node share one copy; where nodes have different numbers of them, the fewest count. */
XT_TEST(replicas_of_a_node_are_billed_a_share)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_spec s;
    XT_OK(mu_preset_spec(&s, mu_preset_find("Mixtral-8x7B"), &err));
    size_t one = weights_of(&s, "tp=1", 8, true), half = weights_of(&s, "tp=2", 8, true);
    size_t lanes = weights_of(&s, "dp=2,ep=2", 8, true);
    XT_EQ(weights_of(&s, "dp=4", 4, true), (one + 3) / 4);
    XT_EQ(weights_of(&s, "dp=4", 2, true), (one + 1) / 2);
    XT_EQ(weights_of(&s, "dp=4", 1, true), one);
    XT_EQ(weights_of(&s, "dp=4", 3, true), one); /* three on a node and one on the next */
    XT_EQ(weights_of(&s, "dp=4", 4, false), one);
    XT_EQ(weights_of(&s, "tp=2,dp=3", 6, true), (half + 2) / 3);
    XT_EQ(weights_of(&s, "tp=2,dp=4", 4, true), (half + 1) / 2);
    XT_EQ(weights_of(&s, "dp=4,ep=2", 4, true), (lanes + 1) / 2); /* lanes of a replica hold other experts */
    mu_spec_fini(&s);
}

/* 4 ranks with 3 copies each: of 8 experts and 4 more. */
static void compare_copies(struct mu_device *d, const struct mu_spec *s, const char *text)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_expert_table *placed;
    struct mu_layout l;
    XT_OK(mu_layout_parse(&l, text, 0, &err));
    XT_OK(mu_expert_table_make(&placed, s, NULL, 4, 4, &err));
    for (int rank = 0; rank < 4; rank++)
        compare_placed(d, s, "copies", &l, MU_WBF16, rank, 4, placed);
    mu_expert_table_free(placed);
}

XT_TEST(copies_of_experts_are_billed)
{
    struct mu_cpu_opts cpu = {.level = "auto", .n_threads = 2};
    struct mu_err err = MU_ERR_INIT;
    struct mu_device *d;
    struct mu_spec s;
    XT_OK(mu_device_open_cpu(&d, &cpu, &err));
    XT_OK(mu_preset_spec(&s, mu_preset_find("Mixtral-8x7B"), &err));
    compare_copies(d, &s, "tp=4,ep=4");
    compare_copies(d, &s, "tp=2,ep=4");
    mu_spec_fini(&s);
    mu_device_close(d);
}

/* Sequences of 4 tiles lie on the first of 2 ranks, those of 16 on both alike. */
XT_TEST(shared_pages_are_counted_where_they_lie)
{
    struct mu_rank_need n = {.page = 10, .rows_multiple = 1, .page_owners = 2};
    struct mu_rank_limits k = {.rows = 1, .logit_rows = 1, .pages = 160};
    struct mu_rank_bill b;
    mu_rank_bill_of(&b, &n, &k);
    XT_EQ(b.kv, 800);
    k.run = 16;
    mu_rank_bill_of(&b, &n, &k);
    XT_EQ(b.kv, 1600);
    k.run = 64;
    mu_rank_bill_of(&b, &n, &k);
    XT_EQ(b.kv, 800);
    n.page_owners = 1;
    mu_rank_bill_of(&b, &n, &k);
    XT_EQ(b.kv, 1600);
}

XT_TEST(presets_take_what_the_bill_says)
{
    static const char *const names[] = {"Llama-2-70b", "gpt2",         "falcon-40b",       "Qwen3-8B",
                                        "ALIA-40b",    "Mixtral-8x7B", "DeepSeek-V2-Lite", "gpt-sw3-40b"};
    for (size_t i = 0; i < MU_COUNT(names); i++) {
        struct mu_err err = MU_ERR_INIT;
        struct mu_spec s;
        XT_OK(mu_preset_spec(&s, mu_preset_find(names[i]), &err));
        compare_layouts(&s, names[i]);
        mu_spec_fini(&s);
    }
}

/* Odd shapes: biases, ALiBi, parallel blocks, rotary tables by length. */
XT_TEST(golden_models_take_what_the_bill_says)
{
    static const char *const names[] = {"llama2",     "llama_bias",    "gpt2",          "falcon_7b",
                                        "falcon_40b", "falcon_alibi",  "llama_dynamic", "llama_longrope_v5",
                                        "mixtral",    "deepseek_v2",   "deepseek_v3",   "qwen2",
                                        "qwen3",      "mistral_window"};
    for (size_t i = 0; i < MU_COUNT(names); i++) {
        struct mu_err err = MU_ERR_INIT;
        char path[128];
        json_t *config;
        struct mu_spec s = MU_SPEC_INIT;
        snprintf(path, sizeof path, "tests/golden/%s/config.json", names[i]);
        XT_OK(mu_json_load(&config, path, &err));
        XT_OK(mu_spec_from_config(&s, config, path, &err));
        json_decref(config);
        if (s.position != MU_POS_LEARNED || s.context >= CONTEXT)
            compare_layouts(&s, names[i]);
        mu_spec_fini(&s);
    }
}

XT_TEST(limits_follow_the_workload)
{
    struct mu_machine m = host(), gpu = {.nodes = 1, .devices = 8};
    struct mu_workload w = {.prompt = 100, .output = 20};
    struct mu_rank_limits k = mu_rank_limits_of(&gpu, &w, 1000);
    XT_EQ(k.rows, MU_PLAN_ROWS_MAX);
    XT_EQ(k.pages, 1000 * 8); /* 120 tokens are 7.5 pages */
    XT_EQ(k.logit_rows, MU_PLAN_LOGIT_ROWS_MAX);
    k = mu_rank_limits_of(&m, &w, 2);
    XT_EQ(k.rows, 200);
    XT_EQ(k.logit_rows, 2);
    w.shared = 90; /* once, and 30 tokens each */
    k = mu_rank_limits_of(&m, &w, 2);
    XT_EQ(k.pages, 6 + 2 * 2);
}

XT_MAIN()
