/* test_cost.c - the time model on a machine and a model whose numbers can be worked out by hand */
#include "xt.h"

#include <math.h>

#include "base/check.h"
#include "base/mem.h"
#include "plan/step_mix.h"

#define NEAR 1e-9 /* of a value: the sums here have a few dozen terms */

/* Products take flop / 1e12, reading bytes / 1e9, nothing else costs. */
#define ALL_REACHED                                                                                                    \
    .product = 1, .memory = 1, .kv = 1, .attention = 1, .overlap = 1, .link = 1, .kv_copies = 1, .memory_part = 1
static const struct mu_cost_engine plain = {.name = "plain", ALL_REACHED};
static const struct mu_cost_engine ours = {.name = "ours", ALL_REACHED, .act_bytes = 4, .is_own_comm = true};

static struct mu_machine machine_of(int nodes, int devices)
{
    struct mu_machine m = {.name = "test", .nodes = nodes, .devices = devices};
    m.device = (struct mu_device_spec){.memory = 1e9, .memory_rate = 1e9, .flops = {1e12, 1e12}};
    m.inside = (struct mu_link_spec){.rate = 1e8, .latency_s = 1e-6};
    m.between = (struct mu_link_spec){.rate = 1e7, .latency_s = 1e-5};
    return m;
}

/* 4 layers of hidden 64, 4 heads of 16 (2 for keys), a gated MLP of 128, 96 words. */
static void small_spec(struct mu_spec *s, int n_layers)
{
    struct mu_err err = MU_ERR_INIT;
    *s = (struct mu_spec)MU_SPEC_INIT;
    s->n_layers = n_layers, s->hidden = 64, s->vocab = 96;
    XT_OK(MU_NEW_ARRAY(&s->layers, n_layers, "layers", &err));
    for (int i = 0; i < n_layers; i++)
        s->layers[i] =
            (struct mu_layer_spec){.n_heads = 4, .n_kv_heads = 2, .dk = 16, .dv = 16, .mlp = MU_MLP_GATED, .ffn = 128};
}

#define LAYER_WEIGHTS (64 * (64 + 64) + 64 * 64 + 3 * 64 * 128)
#define HEAD_WEIGHTS  (64 * 96)

static struct mu_layout layout_of(int tp, int pp, int dp)
{
    return (struct mu_layout){.tp = tp, .pp = pp, .dp = dp, .ep = 1};
}

static struct mu_workload ask(int64_t batch, int64_t prompt, int64_t output)
{
    return (struct mu_workload){
        .batch = batch, .prompt = prompt, .output = output, .weights = MU_WBF16, .kv_dtype = MU_BF16, .engine = &plain};
}

static struct mu_cost cost_of(const struct mu_spec *s, struct mu_layout l, const struct mu_machine *m,
                              const struct mu_workload *w)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_cost c;
    XT_OK(mu_cost_of(&c, s, &l, m, w, &err));
    return c;
}

static void check_adds_up(const struct mu_cost_step *s)
{
    XT_NEAR(s->compute + s->memory + s->comm + s->bubble + s->launch, s->total, NEAR * s->total);
}

XT_TEST(decoding_reads_weights_and_cache)
{
    struct mu_spec s;
    small_spec(&s, 4);
    struct mu_machine m = machine_of(1, 1);
    struct mu_workload w = ask(2, 7, 4);
    struct mu_cost c = cost_of(&s, layout_of(1, 1, 1), &m, &w);
    double keys = 7 + 4 / 2 + 1, kv = 2 * keys * 2 * (16 + 16) * 2;
    double want = (4 * (LAYER_WEIGHTS * 2.0 + kv) + HEAD_WEIGHTS * 2.0) / 1e9;
    XT_NEAR(c.decode.memory, want, NEAR * want);
    XT_EQ(c.decode.compute > 0, 0);
    check_adds_up(&c.decode);
    XT_NEAR(c.request_s, c.prefill.total + 3 * c.decode.total, NEAR);
    XT_NEAR(c.output_per_s, 2 * 4 / c.request_s, 1e-6 * c.output_per_s);
    mu_spec_fini(&s);
}

XT_TEST(long_prompts_compute)
{
    struct mu_spec s;
    small_spec(&s, 4);
    struct mu_machine m = machine_of(1, 1);
    m.device.memory_rate = 1e15;
    struct mu_workload w = ask(3, 1000, 0);
    struct mu_cost c = cost_of(&s, layout_of(1, 1, 1), &m, &w);
    double products = 2 * 3000.0 * LAYER_WEIGHTS * 4, head = 2 * 3.0 * HEAD_WEIGHTS;
    double scores = 4 * 2 * 3000.0 * (1001 / 2.0) * 4 * (16 + 16);
    double want = (products + head + scores) / 1e12;
    XT_NEAR(c.prefill.compute, want, 1e-6 * want);
    check_adds_up(&c.prefill);
    mu_spec_fini(&s);
}

XT_TEST(a_shared_beginning_is_computed_once)
{
    struct mu_spec s;
    small_spec(&s, 4);
    struct mu_machine m = machine_of(1, 1);
    m.device.memory_rate = 1e15;
    struct mu_workload w = ask(8, 1000, 0), shared = w;
    shared.shared = 900;
    double whole = cost_of(&s, layout_of(1, 1, 1), &m, &w).prefill.total;
    double less = cost_of(&s, layout_of(1, 1, 1), &m, &shared).prefill.total;
    XT_CHECKF(less < 0.35 * whole && less > 0.2 * whole, "%g of %g", less, whole); /* 1700 of 8000 rows, longer keys */
    mu_spec_fini(&s);
}

XT_TEST(tensor_ranks_share_work_and_pay_for_sums)
{
    struct mu_spec s;
    small_spec(&s, 4);
    struct mu_machine m = machine_of(1, 2);
    struct mu_workload w = ask(2, 7, 4);
    struct mu_cost one = cost_of(&s, layout_of(1, 1, 1), &m, &w), two = cost_of(&s, layout_of(2, 1, 1), &m, &w);
    XT_NEAR(two.decode.memory, one.decode.memory / 2, 1e-3 * one.decode.memory);
    /* Activations weigh nothing here: the sums are latencies, two a layer, the embedding's, and the head's 16 bytes. */
    double want = (2 * 4 + 1 + 1) * 2 * 1e-6 + 16 / 1e8;
    XT_NEAR(two.decode.comm, want, 1e-9 * want);
    struct mu_machine apart = machine_of(2, 1);
    XT_NEAR(cost_of(&s, layout_of(2, 1, 1), &apart, &w).decode.comm, (2 * 4 + 2) * 2 * 1e-5 + 16 / 1e7, 1e-12);
    mu_spec_fini(&s);
}

/* ---- where our ranks meet ---- */

#define LATENCY 1e-6
#define RATE    1e8 /* inside a node; a tenth of it, and ten times the latency, between nodes */

static double decode_comm(const struct mu_spec *s, struct mu_layout l, int nodes, int devices,
                          const struct mu_cost_engine *g, int64_t batch)
{
    struct mu_machine m = machine_of(nodes, devices);
    struct mu_workload w = ask(batch, 7, 4);
    w.engine = g;
    return cost_of(s, l, &m, &w).decode.comm;
}

/* The first tensor rank gets the others' columns of `rows` rows. */
static double logits_s(double rows, double tp)
{
    return log2(tp) * LATENCY + rows * 96 * 4 * (tp - 1) / tp / RATE;
}

/* The 4 tiles of a layer's heads and the 16 of its MLP fall into 4 single subtrees. */
XT_TEST(few_bytes_of_a_sum_go_to_everybody)
{
    struct mu_spec s;
    small_spec(&s, 4);
    double sum = 2 * LATENCY + 3 * (2 * 64 * 4) / RATE, want = 9 * sum + logits_s(2, 4);
    XT_NEAR(decode_comm(&s, layout_of(4, 1, 1), 1, 4, &ours, 2), want, NEAR * want);
    mu_spec_fini(&s);
}

/* 1000 rows: three quarters of a root given for slices and three got, then the slices round a ring. */
XT_TEST(many_bytes_of_a_sum_go_by_slices)
{
    struct mu_spec s;
    small_spec(&s, 4);
    double sum = (1 + 3) * LATENCY + (0.75 + 0.75) * (1000 * 64 * 4) / RATE;
    double want = 9 * sum + 63 * logits_s(1000 / 63.0, 4); /* 16 rows at a time */
    XT_NEAR(decode_comm(&s, layout_of(4, 1, 1), 1, 4, &ours, 1000), want, NEAR * want);
    mu_spec_fini(&s);
}

/* 4 tiles over 3 ranks are cut at 1 and 3, and [1, 3) is two subtrees; 16 are cut at 6 and 10, each run two. A rank
 * gets what is not its own. */
XT_TEST(uneven_runs_send_several_roots)
{
    struct mu_spec s;
    small_spec(&s, 4);
    double row = 2 * 64 * 4 / RATE, rounds = 2 * LATENCY, sums = 4 * (2 * rounds + (3 + 4) * row) + rounds + 2 * row;
    double want = sums + logits_s(2, 3);
    XT_NEAR(decode_comm(&s, layout_of(3, 1, 1), 1, 3, &ours, 2), want, NEAR * want);
    mu_spec_fini(&s);
}

/* To the node's first rank, between these two, and back. */
XT_TEST(sums_over_nodes_go_through_first_ranks)
{
    struct mu_spec s;
    small_spec(&s, 4);
    double bytes = 2 * 64 * 4, inside = LATENCY + bytes / RATE, between = 10 * LATENCY + bytes / (RATE / 10);
    double logits = logits_s(2, 4) - 2 * 96 * 4 * 0.5 / RATE + 10 * LATENCY + 2 * 96 * 4 * 0.5 / (RATE / 10);
    double want = 9 * (inside + between + inside) + logits;
    XT_NEAR(decode_comm(&s, layout_of(4, 1, 1), 2, 2, &ours, 2), want, NEAR * want);
    mu_spec_fini(&s);
}

/* Each tensor rank sends all of its rows on; the last stage's logits go to rank 0. */
XT_TEST(stages_send_rows_and_logits)
{
    struct mu_cost_engine g = ours;
    struct mu_spec s;
    small_spec(&s, 4);
    g.is_flushed = true;
    double sum = LATENCY + 2 * 64 * 4 / RATE, row = LATENCY + 96 * 4 / RATE;
    double last = 2 * 2 * sum + logits_s(2, 2) + 2 * row, send = sum; /* a sum of two ranks is one send too */
    XT_NEAR(decode_comm(&s, layout_of(2, 2, 1), 1, 4, &g, 2), last + send, NEAR);
    mu_spec_fini(&s);
}

XT_TEST(stages_overlap_and_wait)
{
    struct mu_spec s;
    small_spec(&s, 8);
    struct mu_machine m = machine_of(1, 4);
    struct mu_cost_engine g = plain;
    s.vocab = 0; /* equal stages */
    m.device.memory_rate = 1e15, m.inside.rate = 1e15, m.inside.latency_s = 0;
    struct mu_workload w = ask(64, 1000, 0);
    w.engine = &g;
    double alone = cost_of(&s, layout_of(1, 1, 1), &m, &w).prefill.total;
    struct mu_cost four = cost_of(&s, layout_of(1, 4, 1), &m, &w);
    XT_NEAR(four.prefill.total, alone / 4 * (4 + 3) / 4, 1e-6 * alone); /* 4 micro-batches, 3 steps of filling */
    XT_NEAR(four.prefill.bubble / four.prefill.total, 3.0 / 7, 1e-6);
    check_adds_up(&four.prefill);
    g.micro_rows = 1000;
    four = cost_of(&s, layout_of(1, 4, 1), &m, &w);
    XT_NEAR(four.prefill.total, alone / 4 * (64 + 3) / 64, 1e-6 * alone);
    mu_spec_fini(&s);
}

XT_TEST(one_sequence_cannot_fill_a_pipeline)
{
    struct mu_spec s;
    small_spec(&s, 8);
    struct mu_machine m = machine_of(1, 4);
    m.inside.rate = 1e15, m.inside.latency_s = 0;
    struct mu_workload one = ask(1, 7, 4), eight = ask(8, 7, 4);
    double alone = cost_of(&s, layout_of(1, 1, 1), &m, &one).decode.total;
    XT_NEAR(cost_of(&s, layout_of(1, 4, 1), &m, &one).decode.total, alone, 1e-6 * alone);
    double eight_alone = cost_of(&s, layout_of(1, 1, 1), &m, &eight).decode.total;
    double cut = cost_of(&s, layout_of(1, 4, 1), &m, &eight).decode.total; /* weights are read for each micro-batch */
    XT_CHECK(cut > 0.9 * eight_alone && cut < 2 * eight_alone);
    mu_spec_fini(&s);
}

XT_TEST(replicas_multiply_rates_not_speed)
{
    struct mu_spec s;
    small_spec(&s, 4);
    struct mu_machine m = machine_of(1, 4);
    struct mu_workload w = ask(2, 7, 4);
    w.requests = 80;
    struct mu_cost one = cost_of(&s, layout_of(1, 1, 1), &m, &w), four = cost_of(&s, layout_of(1, 1, 4), &m, &w);
    XT_NEAR(four.request_s, one.request_s, NEAR);
    XT_NEAR(four.tokens_per_s, 4 * one.tokens_per_s, 1e-6 * four.tokens_per_s);
    XT_NEAR(one.total_s, 40 * one.request_s, 1e-6 * one.total_s);
    XT_NEAR(four.total_s, 10 * one.request_s, 1e-6 * one.total_s);
    mu_spec_fini(&s);
}

XT_TEST(experts_are_read_as_rows_meet_them)
{
    struct mu_spec s;
    small_spec(&s, 1);
    s.vocab = 0;
    s.layers[0].mlp = MU_MLP_MOE, s.layers[0].ffn = 0;
    s.layers[0].moe = (struct mu_moe_spec){.n_experts = 8, .top_k = 2, .ffn = 128};
    struct mu_machine m = machine_of(1, 1);
    m.device.flops[MU_RATE_F32] = m.device.flops[MU_RATE_BF16] = 1e18;
    struct mu_workload one = ask(1, 1, 4), many = ask(256, 1, 4);
    double attention = 64 * (64 + 64) + 64 * 64 + 64 * 8, expert = 3 * 64 * 128;
    double kv = (1 + 2 + 1) * 2.0 * 32; /* elements */
    double want = (attention + 2 * expert + kv) * 2 / 1e9;
    XT_NEAR(cost_of(&s, layout_of(1, 1, 1), &m, &one).decode.memory, want, 1e-6 * want);
    want = (attention + 8 * expert + 256 * kv) * 2 / 1e9;
    XT_NEAR(cost_of(&s, layout_of(1, 1, 1), &m, &many).decode.memory, want, 1e-6 * want);
    mu_spec_fini(&s);
}

/* Experts in place of every MLP. */
static void expert_spec(struct mu_spec *s, int n_layers, int experts, int top_k)
{
    small_spec(s, n_layers);
    for (int i = 0; i < n_layers; i++) {
        s->layers[i].mlp = MU_MLP_MOE;
        s->layers[i].ffn = 0;
        s->layers[i].moe = (struct mu_moe_spec){.n_experts = experts, .top_k = top_k, .ffn = 128};
    }
}

/* The outputs of 4 rows by 2 experts each go to both ranks: no sum. */
XT_TEST(tensor_ranks_put_outputs_of_experts_together)
{
    struct mu_spec s;
    expert_spec(&s, 4, 8, 2);
    double sum = LATENCY + 4 * 64 * 4 / RATE, outputs = LATENCY + 4 * 2 * 64 * 4 * 0.5 / RATE;
    double want = 4 * (sum + outputs) + sum + logits_s(4, 2);
    XT_NEAR(decode_comm(&s, layout_of(2, 1, 1), 1, 2, &ours, 4), want, NEAR * want);
    s.layers[3].moe.n_shared = 1; /* cut as an MLP is: one sum more */
    XT_NEAR(decode_comm(&s, layout_of(2, 1, 1), 1, 2, &ours, 4), want + sum, NEAR * want);
    mu_spec_fini(&s);
}

/* From 4 rows a rank on slices move less than half of what outputs of 8 experts a row do; 15 rows are too few. */
XT_TEST(many_outputs_of_experts_go_by_slices)
{
    struct mu_spec s;
    expert_spec(&s, 4, 8, 8);
    double rounds = 2 * LATENCY, row = 64 * 4 / RATE;
    double want = 5 * (rounds + 15 * row * 3) + 4 * (rounds + 15 * 8 * row * 0.75) + logits_s(15, 4);
    XT_NEAR(decode_comm(&s, layout_of(4, 1, 1), 1, 4, &ours, 15), want, NEAR * want);
    double there = rounds + 16 * 2 * row * 0.75, together = rounds + 16 * row * 0.75;
    want = 5 * (rounds + 16 * row * 3) + 4 * (there + together) + logits_s(16, 4);
    XT_NEAR(decode_comm(&s, layout_of(4, 1, 1), 1, 4, &ours, 16), want, NEAR * want);
    mu_spec_fini(&s);
}

/* Every row goes to both of all two experts and comes back: 16 choices arrive at each of two ranks, half from itself.
 */
XT_TEST(lanes_send_a_row_to_each_of_its_experts)
{
    struct mu_spec s;
    struct mu_layout l = layout_of(1, 1, 2);
    expert_spec(&s, 4, 2, 2);
    l.ep = 2;
    double way = LATENCY + 16 * 64 * 4 * 0.5 / RATE, counts = LATENCY + 2 * 4 * 0.5 / RATE;
    XT_NEAR(decode_comm(&s, l, 1, 2, &ours, 8), 4 * (counts + 2 * way), NEAR);
    struct mu_cost_engine small = ours;
    small.chunk_rows = 8; /* 4 rows of a rank at a time */
    way = LATENCY + 8 * 64 * 4 * 0.5 / RATE;
    XT_NEAR(decode_comm(&s, l, 1, 2, &small, 8), 4 * 2 * (counts + 2 * way), NEAR);
    mu_spec_fini(&s);
}

XT_TEST(experts_are_read_in_every_round)
{
    struct mu_spec s;
    struct mu_layout l = layout_of(1, 1, 2);
    struct mu_machine m = machine_of(1, 2);
    struct mu_cost_engine once = ours, twice = ours;
    struct mu_workload w = ask(8, 7, 4);
    expert_spec(&s, 1, 2, 2);
    l.ep = 2;
    m.device.flops[MU_RATE_F32] = m.device.flops[MU_RATE_BF16] = 1e18;
    once.act_bytes = twice.act_bytes = 0;
    twice.chunk_rows = 8;
    w.engine = &once;
    double before = cost_of(&s, l, &m, &w).decode.memory;
    w.engine = &twice;
    double expert = 3 * 64 * 128 * 2 / 1e9; /* each rank's one */
    XT_NEAR(cost_of(&s, l, &m, &w).decode.memory, before + expert, NEAR);
    mu_spec_fini(&s);
}

/* One prompt lies in one lane: its rows go out to the experts of both, and the other lane's ranks only serve. Two
 * prompts share out evenly. */
XT_TEST(a_sequence_lies_in_one_lane)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_spec s;
    struct mu_layout l = layout_of(1, 1, 2), alone = layout_of(1, 1, 1);
    struct mu_machine m = machine_of(1, 2);
    struct mu_workload w = ask(1, 1, 0);
    struct mu_cost_rows one = {.rows = 32, .sequences = 1}, two = {.rows = 64, .sequences = 2};
    struct mu_cost_step a, b, c;
    expert_spec(&s, 4, 2, 2);
    l.ep = 2;
    w.engine = &ours;
    m.device.memory_rate = 1e15;
    XT_OK(mu_cost_step_of(&a, &s, &alone, &m, &w, &one, &err));
    XT_OK(mu_cost_step_of(&b, &s, &l, &m, &w, &one, &err));
    XT_OK(mu_cost_step_of(&c, &s, &l, &m, &w, &two, &err));
    double experts = 4 * 2 * 32 * 2 * 3 * 64 * 128 / 1e12;
    XT_NEAR(b.compute, a.compute - experts / 2, 1e-6 * a.compute);
    XT_NEAR(c.compute, a.compute, 1e-6 * a.compute);
    double counts = LATENCY + 2 * 4 * 0.5 / RATE, way = LATENCY + 32 * 2 * 64 * 4 * 0.5 / RATE;
    XT_NEAR(b.comm, 4 * (counts + 2 * way), NEAR);
    XT_FAILS(mu_cost_step_of(&a, &s, &l, &m, &w, &(struct mu_cost_rows){.rows = 3}, &err), MU_EINVAL, "0 sequences");
    mu_spec_fini(&s);
}

/* Of a small matrix a device reaches half of its bandwidth: gate, up and down are three of them. */
XT_TEST(products_of_an_expert_are_as_small_as_they_are)
{
    struct mu_spec s;
    struct mu_machine m = machine_of(1, 1);
    struct mu_workload w = ask(64, 1, 4);
    struct mu_cost_engine g = ours;
    expert_spec(&s, 1, 8, 2);
    g.act_bytes = 0;
    w.engine = &g;
    m.device.flops[MU_RATE_F32] = m.device.flops[MU_RATE_BF16] = 1e18;
    double matrix = 64 * 128 * 2, whole = cost_of(&s, layout_of(1, 1, 1), &m, &w).decode.memory;
    s.layers[0].moe.ffn = 0;
    double before = cost_of(&s, layout_of(1, 1, 1), &m, &w).decode.memory;
    XT_NEAR(whole - before, 8 * 3 * matrix / 1e9, NEAR);
    m.device.copy = (struct mu_curve){2, {matrix, 1.001 * matrix}, {0.5, 1}};
    before = cost_of(&s, layout_of(1, 1, 1), &m, &w).decode.memory;
    s.layers[0].moe.ffn = 128;
    whole = cost_of(&s, layout_of(1, 1, 1), &m, &w).decode.memory;
    XT_NEAR(whole - before, 8 * 3 * matrix / 0.5e9, NEAR);
    mu_spec_fini(&s);
}

/* Two rows, one of two experts each: both meet the same one as often as not, so an expert that is met has one row with
 * 2/3 and two with 1/3. One row alone reaches a quarter of the rate. */
XT_TEST(few_rows_of_an_expert_cost_what_chance_gives)
{
    struct mu_spec s;
    struct mu_machine m = machine_of(1, 1);
    struct mu_workload w = ask(2, 1, 4);
    expert_spec(&s, 1, 2, 1);
    w.engine = &ours;
    m.device.memory_rate = 1e15;
    m.device.rows = (struct mu_curve){2, {1, 2}, {0.25, 1}};
    double whole = cost_of(&s, layout_of(1, 1, 1), &m, &w).decode.compute;
    s.layers[0].moe.ffn = 0;
    double expert = whole - cost_of(&s, layout_of(1, 1, 1), &m, &w).decode.compute, row = 2.0 * 3 * 64 * 128 / 1e12;
    XT_NEAR(expert, 1.5 * (2 / 3.0 * 4 * row + 1 / 3.0 * 2 * row), NEAR * expert);
    mu_spec_fini(&s);
}

/* A row is put in order for each of its experts, and their outputs are summed. */
XT_TEST(rows_are_moved_to_experts_and_back)
{
    struct mu_spec s;
    struct mu_machine m = machine_of(1, 1);
    struct mu_workload few = ask(64, 1, 4), more = few;
    expert_spec(&s, 1, 8, 2);
    few.engine = more.engine = &ours;
    s.layers[0].moe.ffn = 0;
    m.device.flops[MU_RATE_F32] = m.device.flops[MU_RATE_BF16] = 1e18;
    double two = cost_of(&s, layout_of(1, 1, 1), &m, &few).decode.memory;
    s.layers[0].moe.top_k = 4;
    double four = cost_of(&s, layout_of(1, 1, 1), &m, &more).decode.memory;
    XT_NEAR(four - two, 64 * 2 * 5 * (64 * 4) / 1e9, NEAR);
    mu_spec_fini(&s);
}

/* ---- what chance gives to the slowest rank ---- */

static uint32_t draw(uint64_t *state, uint32_t below)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)((*state >> 33) % below);
}

/* Distinct experts of the fullest of `ranks`, the mean over many steps of `rows` rows that choose by chance. */
static double drawn_experts(int experts, int top_k, int ranks, int rows)
{
    enum { STEPS = 2000 };
    uint64_t state = 1;
    double sum = 0;
    for (int i = 0; i < STEPS; i++) {
        bool met[256] = {false};
        int most = 0;
        for (int r = 0; r < rows; r++) {
            bool chosen[256] = {false};
            for (int k = 0; k < top_k;) {
                uint32_t x = draw(&state, (uint32_t)experts);
                k += !chosen[x];
                chosen[x] = met[x] = true;
            }
        }
        for (int q = 0; q < ranks; q++) {
            int n = 0;
            for (int x = q * experts / ranks; x < (q + 1) * experts / ranks; x++)
                n += met[x];
            most = MU_MAX(most, n);
        }
        sum += most;
    }
    return sum / STEPS;
}

XT_TEST(the_slowest_rank_reads_what_chance_gives_it)
{
    static const struct {
        int experts, top_k, ranks, rows;
    } cases[] = {{8, 2, 2, 1}, {8, 2, 4, 1}, {256, 8, 8, 1}, {256, 8, 8, 4}, {256, 8, 16, 8}, {128, 8, 8, 32}};
    for (size_t i = 0; i < MU_COUNT(cases); i++) {
        struct mu_spec s;
        struct mu_machine m = machine_of(1, cases[i].ranks);
        struct mu_layout l = layout_of(cases[i].ranks, 1, 1);
        struct mu_workload w = ask(cases[i].rows, 7, 4);
        double expert = 3 * 64 * 128 * 2 / 1e9;
        expert_spec(&s, 1, cases[i].experts, cases[i].top_k);
        m.device.flops[MU_RATE_F32] = m.device.flops[MU_RATE_BF16] = 1e18;
        double with = cost_of(&s, l, &m, &w).decode.memory;
        s.layers[0].moe.ffn = 0;
        double read = (with - cost_of(&s, l, &m, &w).decode.memory) / expert;
        double drawn = drawn_experts(cases[i].experts, cases[i].top_k, cases[i].ranks, cases[i].rows);
        XT_CHECKF(fabs(read / drawn - 1) < 0.1, "%d of %d experts on %d ranks, %d rows: %.2f read, %.2f drawn",
                  cases[i].top_k, cases[i].experts, cases[i].ranks, cases[i].rows, read, drawn);
        mu_spec_fini(&s);
    }
}

/* With a second copy of each of 8 experts both ranks hold 8 and read them all; their rows differ less. */
XT_TEST(copies_are_read_and_even_rows_out)
{
    struct mu_spec s;
    struct mu_machine m = machine_of(1, 2);
    struct mu_workload w = ask(64, 7, 4), copied = w;
    struct mu_layout l = layout_of(2, 1, 1);
    double expert = 3 * 64 * 128;
    expert_spec(&s, 1, 8, 2);
    copied.redundant_experts = 8;
    struct mu_machine fast = m;
    fast.device.flops[MU_RATE_F32] = fast.device.flops[MU_RATE_BF16] = 1e18;
    double before = cost_of(&s, l, &fast, &w).decode.memory;
    XT_NEAR(cost_of(&s, l, &fast, &copied).decode.memory, before + 4 * expert * 2 / 1e9, 1e-4 * before);
    m.device.memory_rate = 1e15;
    double uneven = cost_of(&s, l, &m, &w).decode.compute, even = cost_of(&s, l, &m, &copied).decode.compute;
    double mean = 2 * 64 * expert / 1e12, chance = 2 * 0.564 * sqrt(64 * 6 / 7.0) * expert / 1e12;
    XT_NEAR(uneven - even, chance * (1 - sqrt(0.5)), 1e-6 * mean);
    mu_spec_fini(&s);
}

XT_TEST(more_experts_ranks_read_less_and_talk_more)
{
    struct mu_spec s;
    expert_spec(&s, 2, 64, 4);
    struct mu_machine m = machine_of(2, 8);
    struct mu_workload w = ask(64, 16, 4);
    struct mu_layout wide = layout_of(1, 1, 16);
    struct mu_cost alone = cost_of(&s, wide, &m, &w);
    wide.ep = 16;
    struct mu_cost shared = cost_of(&s, wide, &m, &w);
    XT_CHECK(shared.decode.memory < 0.4 * alone.decode.memory);
    XT_CHECK(alone.decode.comm == 0 && shared.decode.comm > 0);
    mu_spec_fini(&s);
}

XT_TEST(latent_attention_reads_one_narrow_cache)
{
    struct mu_spec s;
    small_spec(&s, 1);
    s.vocab = 0;
    struct mu_layer_spec *l = &s.layers[0];
    l->attn = MU_ATTN_LATENT, l->kv_lora = 32, l->dk_nope = 16, l->dk_rope = 8, l->dk = 24, l->dv = 16;
    struct mu_machine m = machine_of(1, 1);
    m.device.flops[MU_RATE_F32] = m.device.flops[MU_RATE_BF16] = 1e18;
    struct mu_workload a = ask(4, 100, 4), b = ask(4, 1100, 4);
    double grown =
        cost_of(&s, layout_of(1, 1, 1), &m, &b).decode.memory - cost_of(&s, layout_of(1, 1, 1), &m, &a).decode.memory;
    XT_NEAR(grown, 4 * 1000 * (32 + 8) * 2 / 1e9, 1e-9);
    mu_spec_fini(&s);
}

XT_TEST(a_step_is_the_same_step)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_spec s;
    small_spec(&s, 4);
    struct mu_machine m = machine_of(1, 2);
    struct mu_workload w = ask(2, 7, 4);
    struct mu_layout l = layout_of(2, 1, 1);
    struct mu_cost_rows two = {.rows = 2, .sequences = 2, .context = 9, .logits = 2};
    struct mu_cost_step step;
    XT_OK(mu_cost_step_of(&step, &s, &l, &m, &w, &two, &err));
    XT_NEAR(step.total, cost_of(&s, l, &m, &w).decode.total, 1e-6 * step.total);
    mu_spec_fini(&s);
}

/* Ours ends a step before the next begins: few rows go through both stages one after the other, many in parts of 32
 * that each read the weights again. */
XT_TEST(a_pipeline_that_is_emptied_pays_for_every_step)
{
    struct mu_cost_engine flushed = plain;
    struct mu_spec s;
    small_spec(&s, 4);
    struct mu_machine m = machine_of(1, 2);
    struct mu_workload few = ask(4, 7, 4), many = ask(64, 7, 4), part = ask(32, 7, 4);
    flushed.is_flushed = true;
    few.engine = many.engine = part.engine = &flushed;
    double send = 1e-6; /* latency: this engine's activations have no bytes */
    double one = cost_of(&s, layout_of(1, 1, 1), &m, &few).decode.total;
    XT_NEAR(cost_of(&s, layout_of(1, 2, 1), &m, &few).decode.total, one + send, 1e-6 * one);
    double whole = cost_of(&s, layout_of(1, 1, 1), &m, &part).decode.total;
    double two = cost_of(&s, layout_of(1, 2, 1), &m, &many).decode.total;
    XT_CHECKF(two > 1.49 * whole && two < 1.75 * whole, "%g of %g", two, whole); /* the stage with the head twice */
    mu_spec_fini(&s);
}

/* Ten steps of two sequences at 9 tokens, and one step of a prompt of 30 rows. */
XT_TEST(steps_that_ran_cost_what_such_steps_cost)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_spec s;
    small_spec(&s, 4);
    struct mu_machine m = machine_of(1, 2);
    struct mu_workload w = ask(2, 7, 4);
    struct mu_layout l = layout_of(2, 1, 1);
    struct mu_cost_rows two = {.rows = 2, .sequences = 2, .context = 9, .logits = 2};
    struct mu_cost_rows thirty = {.rows = 30, .sequences = 1, .context = 20, .logits = 1};
    struct mu_step_mix x = {0};
    struct mu_cost_step decode, prompt;
    double seconds;
    XT_OK(mu_step_mix_cost(&seconds, &x, &s, &l, &m, &w, &err));
    XT_NEAR(seconds, 0, 0);
    XT_OK(mu_cost_step_of(&decode, &s, &l, &m, &w, &two, &err));
    XT_OK(mu_cost_step_of(&prompt, &s, &l, &m, &w, &thirty, &err));
    struct mu_step_made step = {.steps = 1, .rows = 2, .sequences = 2, .keys = 20, .logit_rows = 2, .ns = 5};
    for (int i = 0; i < 10; i++)
        mu_step_mix_add(&x, &step);
    XT_OK(mu_step_mix_cost(&seconds, &x, &s, &l, &m, &w, &err));
    XT_NEAR(seconds, 10 * decode.total, 1e-9 * seconds);
    mu_step_mix_add(&x, &(struct mu_step_made){1, 30, 1, 30 * 21, 1, 7});
    XT_OK(mu_step_mix_cost(&seconds, &x, &s, &l, &m, &w, &err));
    XT_NEAR(seconds, 10 * decode.total + prompt.total, 1e-9 * seconds);
    struct mu_step_made sum = mu_step_mix_sum(&x);
    XT_EQ(sum.steps, 11);
    XT_EQ(sum.rows, 50);
    XT_EQ(sum.ns, 57);
    mu_spec_fini(&s);
}

/* Sizes are kept apart: a few wide steps do not pass for many middling ones. */
XT_TEST(steps_of_all_sizes_are_counted_apart)
{
    struct mu_step_mix x = {0};
    int64_t rows = 1;
    for (int k = 0; k < MU_STEP_SIZES + 3; k++, rows *= 2)
        mu_step_mix_add(&x, &(struct mu_step_made){.steps = 1, .rows = rows, .sequences = rows});
    for (int k = 0; k < MU_STEP_SIZES; k++) {
        XT_EQ(x.at[0][k].steps, k < MU_STEP_SIZES - 1 ? 1 : 4);
        XT_EQ(x.at[1][k].steps, 0);
    }
    mu_step_mix_add(&x, &(struct mu_step_made){.steps = 1, .rows = 3, .sequences = 1});
    XT_EQ(x.at[1][1].steps, 1);
}

XT_TEST(the_batch_is_what_memory_leaves)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_spec s;
    small_spec(&s, 4);
    struct mu_machine m = machine_of(1, 1);
    struct mu_workload w = ask(1, 60, 4);
    struct mu_layout l = layout_of(1, 1, 1);
    double weights = (4.0 * LAYER_WEIGHTS + 2 * HEAD_WEIGHTS) * 2, request = 4 * 64 * 2 * 32 * 2.0, bytes;
    int64_t n;
    m.device.memory = weights + 5.5 * request;
    XT_OK(mu_cost_batch_max(&n, &s, &l, &m, &w, &err));
    XT_EQ(n, 5);
    w.batch = 3;
    XT_OK(mu_cost_memory(&bytes, &s, &l, &w, &err));
    XT_NEAR(bytes, weights + 3 * request, 1);
    m.device.memory = weights / 2;
    XT_OK(mu_cost_batch_max(&n, &s, &l, &m, &w, &err));
    XT_EQ(n, 0);
    mu_spec_fini(&s);
}

XT_TEST(questions_without_an_answer_are_refused)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_spec s;
    struct mu_cost c;
    small_spec(&s, 4);
    struct mu_machine m = machine_of(1, 1);
    struct mu_workload w = ask(0, 7, 4);
    struct mu_layout l = layout_of(1, 1, 1), deep = layout_of(1, 9, 1);
    XT_FAILS(mu_cost_of(&c, &s, &l, &m, &w, &err), MU_EINVAL, "0 sequences");
    w = ask(1, 7, 4);
    XT_FAILS(mu_cost_of(&c, &s, &deep, &m, &w, &err), MU_EINVAL, "one stage a layer (4)");
    m.device.memory_rate = 0;
    XT_FAILS(mu_cost_of(&c, &s, &l, &m, &w, &err), MU_EINVAL, "0 bytes/s");
    mu_spec_fini(&s);
}

XT_TEST(curves_are_linear_in_the_logarithm)
{
    struct mu_curve c = {3, {10, 1000, 10000}, {0.1, 0.5, 1}}, none = {0};
    XT_NEAR(mu_curve_at(&c, 1), 0.1, 0);
    XT_NEAR(mu_curve_at(&c, 100), 0.3, 1e-12);
    XT_NEAR(mu_curve_at(&c, 1000), 0.5, 1e-12);
    XT_NEAR(mu_curve_at(&c, 1e9), 1, 0);
    XT_NEAR(mu_curve_at(&none, 5), 1, 0);
}

XT_MAIN()
