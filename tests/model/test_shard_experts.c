/* test_shard_experts.c - experts placed by load, with copies, give the bits of one rank: hidden rows and logits, memcmp
 *
 * Every sparse checkpoint on 1, 2, 3, 4 and 8 ranks as lanes and as tensor ranks, without and with copies, up to one of
 * each expert on every rank; loads even, different from layer to layer, and all on one expert, so that some ranks hold
 * experts that get no rows. */

#include "base/check.h"
#include "shard_rig.h"

/* Numbers of copies that share out evenly: the least, the next, one of each expert on every rank. Each is placed by
 * each kind of loads, the last, which leaves no choice, by none. Under ASan a plan takes one of these seven, another
 * for the next checkpoint: of the eight each of them. */
static void each_redundancy(const struct shard_want *w, size_t which, struct shard_plan p)
{
    int ranks = p.tp * p.lanes, least = (ranks - w->experts % ranks) % ranks, most = w->experts * (ranks - 1);
    int tries[] = {least, least + ranks, most};

    for (size_t i = 0; i < 7; i++) {
        p.redundant = tries[i / 3];
        p.loads = (enum shard_loads)(i % 3);
        if (tries[i / 3] > most || (i >= 3 && tries[i / 3] == tries[i / 3 - 1]))
            continue;
        if (XT_ASAN ? (which + i) % 7 == 0 : xt_takes(which, i))
            shard_compare(w, &p);
    }
}

static void each_plan(const struct shard_case *c, size_t which, const struct shard_plan *plans, size_t n)
{
    struct shard_want w;
    shard_want(&w, c, 8);
    XT_CHECK(w.experts > 0);
    for (size_t i = 0; i < n; i++)
        each_redundancy(&w, which + i, plans[i]);
    shard_want_free(&w);
}

XT_TEST(experts_of_lanes)
{
    for (size_t i = 0; i < SHARD_SPARSE_N; i += XT_STRIDE) {
        struct shard_case c = shard_golden(shard_sparse[i]);
        each_plan(&c, i, shard_lanes, SHARD_LANES_N);
    }
}

/* By one all-gather and by slices; steps of 1 to 7 rows, fewer than ranks, or one of all rows. */
XT_TEST(experts_of_tensor_ranks)
{
    static const struct shard_plan plans[] = {
        {.tp = 2, .pp = 1, .lanes = 1, .ends = {-1}},
        {.tp = 2, .pp = 1, .lanes = 1, .ends = {-1}, .is_long = true, .slice_rows = 1},
        {.tp = 4, .pp = 1, .lanes = 1, .ends = {-1}, .slice_rows = 1},
        {.tp = 4, .pp = 1, .lanes = 1, .ends = {-1}, .is_long = true, .slice_rows = 1},
        {.tp = 5, .pp = 1, .lanes = 1, .ends = {-1}, .is_long = true, .slice_rows = 1},
        {.tp = 8, .pp = 1, .lanes = 1, .ends = {-1}}};
    for (size_t i = 0; i < SHARD_SPARSE_N; i += XT_STRIDE) {
        struct shard_case c = shard_golden(shard_sparse[i]);
        each_plan(&c, i, plans, MU_COUNT(plans));
    }
}

XT_TEST(experts_of_both_and_of_stages)
{
    static const struct shard_plan plans[] = {
        {.tp = 2, .pp = 1, .lanes = 2, .ends = {-1}},
        {.tp = 4, .pp = 1, .lanes = 2, .ends = {-1}, .is_long = true, .slice_rows = 1},
        {.tp = 2, .pp = 1, .lanes = 4, .ends = {-1}},
        {.tp = 2, .pp = 2, .lanes = 1, .ends = {1, -1}, .is_long = true, .slice_rows = 1},
        {.tp = 2, .pp = 2, .lanes = 2, .ends = {1, -1}},
        {.tp = 4, .cp = 2, .pp = 1, .lanes = 1, .ends = {-1}, .slice_rows = 1}};
    for (size_t i = 0; i < SHARD_SPARSE_N; i += XT_STRIDE) {
        struct shard_case c = shard_golden(shard_sparse[i]);
        each_plan(&c, i, plans, MU_COUNT(plans));
    }
}

/* Even blocks with many rows: the way by slices without a table. */
XT_TEST(even_blocks_by_slices)
{
    for (size_t i = 0; i < SHARD_SPARSE_N; i += XT_STRIDE) {
        struct shard_case c = shard_golden(shard_sparse[i]);
        struct shard_want w;
        shard_want(&w, &c, 1);
        for (int tp = 2; tp <= 5; tp++)
            shard_compare(&w, &(struct shard_plan){
                                  .tp = tp, .pp = 1, .lanes = 1, .ends = {-1}, .is_long = tp != 3, .slice_rows = 1});
        shard_want_free(&w);
    }
}

XT_TEST(weights_of_fewer_bits)
{
    static const struct shard_plan plans[] = {
        {.tp = 2, .pp = 1, .lanes = 1, .ends = {-1}, .is_long = true, .slice_rows = 1},
        {.tp = 2, .pp = 1, .lanes = 2, .ends = {-1}}};
    for (int f = 0; f < MU_WFORMAT_N; f++) {
        struct shard_case c = shard_golden(f % 2 ? "mixtral" : "deepseek_v3_fp8");
        c.format = (enum mu_wformat)f;
        each_plan(&c, (size_t)f, plans, MU_COUNT(plans));
    }
}

/* ---- what is counted ---- */

static int count_rank(struct shard_rank *k, struct mu_err *e)
{
    const struct mu_spec *s;
    int64_t n, sum = 0;

    MU_TRY_RETURN(shard_open(k, NULL, e));
    MU_TRY_RETURN(shard_step(k, 0, 12, 0, e));
    MU_TRY_RETURN(shard_step(k, 12, 9, 0, e));
    s = mu_model_spec(k->part.m);
    const int64_t *rows = mu_model_expert_rows(k->part.m, &n);
    if (n != (int64_t)s->n_layers * mu_experts_most(s))
        return mu_fail(e, MU_EINTERNAL, "%d counts", (int)n);
    for (int i = 0; i < s->n_layers; i++) {
        sum = 0;
        for (int x = 0; x < mu_experts_most(s); x++)
            sum += rows[(int64_t)i * mu_experts_most(s) + x];
        int64_t want = i >= k->sh.layer_begin && i < k->sh.layer_end ? 21 * (int64_t)s->layers[i].moe.top_k : 0;
        if (sum != want)
            return mu_fail(e, MU_EINTERNAL, "layer %d: %d rows, not %d", i, (int)sum, (int)want);
    }
    return MU_OK;
}

static int count_or_abort(struct shard_rank *k, struct mu_err *e)
{
    int rc = count_rank(k, e);
    if (rc != MU_OK)
        mu_comm_abort(k->world, e->text);
    return rc;
}

XT_TEST(every_rank_counts_its_lanes_rows)
{
    static const struct shard_plan plans[] = {{.tp = 1, .pp = 1, .lanes = 1, .ends = {-1}},
                                              {.tp = 2, .pp = 1, .lanes = 2, .ends = {-1}}};
    for (size_t i = 0; i < SHARD_SPARSE_N; i += XT_STRIDE) {
        for (size_t k = 0; k < MU_COUNT(plans); k++) {
            struct mu_err errs[SHARD_RANKS_MAX] = {MU_ERR_INIT};
            struct shard_case c = shard_golden(shard_sparse[i]);
            int rcs[SHARD_RANKS_MAX];
            int rc = shard_run(&c, &plans[k], count_or_abort, NULL, rcs, errs);
            XT_CHECKF(rc == MU_OK, "%s: %s", c.dir, errs[0].text);
        }
    }
}

/* A table of another shape is refused before anything is loaded. */
static int open_with_table_of_three(struct shard_rank *k, struct mu_err *e)
{
    struct mu_expert_table *t;
    int redundant = (3 - mu_experts_most(&k->part.spec) % 3) % 3;
    MU_TRY_RETURN(mu_expert_table_make(&t, &k->part.spec, NULL, redundant ? redundant : 3, 3, e));
    k->sh.placed = k->placed = t;
    return shard_open(k, NULL, e);
}

XT_TEST(a_table_for_other_ranks_is_refused)
{
    struct mu_err errs[2] = {MU_ERR_INIT}, err;
    int rcs[2];
    struct shard_case c = shard_golden("mixtral");
    shard_run(&c, &(struct shard_plan){.tp = 1, .pp = 1, .lanes = 2, .ends = {-1}}, open_with_table_of_three, NULL, rcs,
              errs);
    int first = rcs[0] == MU_EPEER; /* who ends first may take the other along */
    err = errs[first];
    XT_FAILS(rcs[first], MU_EINVAL, "2 layers on 3 ranks; the part is of 2 layers on 2");
}

XT_MAIN()
