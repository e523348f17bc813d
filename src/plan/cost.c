/* cost.c - from a workload to seconds: checks, prefill, decode, rates, loading */
#include "plan/cost_int.h"

#include <inttypes.h>
#include <math.h>

#include "base/check.h"

static bool is_foreign(const struct mu_workload *w)
{
    return w->weight_bytes_per_param > 0;
}

static enum mu_rate rate_of(const struct mu_workload *w)
{
    static const enum mu_rate rate[MU_WFORMAT_N] = {[MU_WF32] = MU_RATE_F32,
                                                    [MU_WBF16] = MU_RATE_BF16,
                                                    [MU_WF16] = MU_RATE_BF16,
                                                    [MU_WINT8] = MU_RATE_INT8,
                                                    [MU_WINT4] = MU_RATE_INT8};
    return is_foreign(w) ? w->rate : rate[w->weights];
}

static int check(const struct mu_spec *s, const struct mu_layout *l, const struct mu_workload *w, struct mu_err *e)
{
    if (l->tp < 1 || l->pp < 1 || l->dp < 1 || l->pp > MU_STAGES_MAX || l->pp > s->n_layers)
        return mu_fail(e, MU_EINVAL, "layout tp=%d,pp=%d,dp=%d: 1 or more each, and at most one stage a layer (%d)",
                       l->tp, l->pp, l->dp, s->n_layers);
    if (w->batch < 1 || w->prompt < 1 || w->output < 0 || w->shared < 0 || w->shared > w->prompt)
        return mu_fail(e, MU_EINVAL,
                       "a workload of %" PRId64 " sequences, prompt %" PRId64 ", output %" PRId64 ", shared %" PRId64
                       ": needs a sequence, a prompt token, and no more shared than prompt",
                       w->batch, w->prompt, w->output, w->shared);
    return MU_OK;
}

/* m NULL: memory alone is asked for. */
int cost_at_init(struct cost_at *at, struct mu_layout *cut, const struct mu_spec *s, const struct mu_layout *l,
                 const struct mu_machine *m, const struct mu_workload *w, struct mu_err *e)
{
    MU_TRY_RETURN(check(s, l, w, e));
    *cut = *l;
    if (!cut->stage_end[0])
        mu_layout_cut_stages(cut, s);
    *at = (struct cost_at){.s = s, .l = cut, .m = m, .w = w, .g = w->engine ? w->engine : mu_cost_engine_own()};
    at->weight_bytes = cost_element_bytes(w);
    at->kv_bytes = mu_kv_element_bytes(w->kv_dtype);
    at->tp = l->tp;
    at->product = rate_of(w) == MU_RATE_FP4 && at->g->product_fp4 > 0 ? at->g->product_fp4 : at->g->product;
    at->expert_ranks = mu_layout_lanes(l) * l->tp;
    if (!m)
        return MU_OK;
    at->by_rank = cost_cut_by_rank(at);
    at->peak = cost_peak(&m->device, rate_of(w));
    at->attention_peak = cost_peak(&m->device, MU_RATE_BF16);
    if (at->peak <= 0 || at->attention_peak <= 0 || m->device.memory_rate <= 0)
        return mu_fail(e, MU_EINVAL, "machine %s: %g FLOP/s and %g bytes/s; both must be known to predict a time",
                       m->name, at->peak, m->device.memory_rate);
    return MU_OK;
}

/* Micro-batches: at least one row each. */
static double prefill_pieces(const struct cost_at *at, double rows)
{
    double n = at->g->micro_rows ? rows / (double)at->g->micro_rows : at->l->pp;
    if (at->l->pp == 1)
        n = 1;
    return MU_MAX(1, MU_MIN((double)(int64_t)(n + 0.999), rows));
}

/* Parts of a step on its way through the stages. */
static double step_pieces(const struct cost_at *at, double rows)
{
    return at->g->is_flushed ? mu_layout_micro(at->l->pp, rows) : 1;
}

static void prefill(const struct cost_at *at, struct mu_cost_step *to)
{
    const struct mu_workload *w = at->w;
    double own = (double)(w->prompt - w->shared), batch = (double)w->batch;
    double rows = MU_MAX(batch * own + (double)w->shared, 1),
           chunk = at->g->chunk_rows ? (double)at->g->chunk_rows : rows;
    double steps = MU_MAX(1, (double)(int64_t)(rows / chunk + 0.999));
    double keys = ((double)w->shared + (double)w->prompt + 1) / 2;
    struct cost_rows r = {.rows = rows / steps, .sequences = MU_MAX(batch / steps, 1), .keys_end = (double)w->prompt};
    r.lanes = mu_layout_lanes(at->l);
    r.keys = at->g->is_attention_square ? (double)w->prompt : keys;
    r.logits = batch * (double)MU_MAX(w->scored, 1) / steps;
    double pieces = at->g->chunk_rows && at->l->pp > 1 ? steps : prefill_pieces(at, rows);
    if ((at->l->pp > 1 && !at->g->is_flushed) || (at->l->pp == 1 && steps == 1)) {
        r.rows = rows, r.sequences = batch, r.logits = batch * (double)MU_MAX(w->scored, 1);
        cost_pipeline(at, &r, pieces, false, to);
        return;
    }
    cost_pipeline(at, &r, step_pieces(at, r.rows), false, to);
    struct mu_cost_step *t = to;
    t->bubble *= steps;
    t->compute *= steps, t->memory *= steps, t->comm *= steps, t->launch *= steps, t->total *= steps;
}

static void decode(const struct cost_at *at, struct mu_cost_step *to)
{
    const struct mu_workload *w = at->w;
    double batch = (double)w->batch, keys = (double)w->prompt + (double)w->output / 2 + 1;
    struct cost_rows r = {.rows = batch, .sequences = batch, .keys = keys, .keys_end = keys, .logits = batch};
    r.lanes = mu_layout_lanes(at->l);
    double pieces = at->g->is_decode_whole ? 1
                    : at->g->is_flushed    ? step_pieces(at, batch)
                                           : MU_MIN((double)at->l->pp, batch);
    cost_pipeline(at, &r, pieces, !at->g->is_flushed, to);
}

/* Each byte once a node; the storage serves all nodes together. */
static double load_s(const struct cost_at *at)
{
    const struct mu_machine *m = at->m;
    double bytes = (double)at->s->n_params * at->weight_bytes;
    int ranks = mu_layout_ranks(at->l), nodes = (ranks + m->devices - 1) / m->devices;
    double held = (double)at->l->pp * at->expert_ranks * nodes <= ranks ? 1 : 1 / (double)nodes;
    double one = m->storage_rate > 0 ? bytes * held / m->storage_rate : 0;
    double all = m->storage_total > 0 ? bytes / m->storage_total : 0; /* replicas get theirs from a peer */
    return MU_MAX(one, all);
}

static void rates(const struct cost_at *at, struct mu_cost *out)
{
    const struct mu_workload *w = at->w;
    double replicas = mu_layout_replicas(at->l), lanes = mu_layout_lanes(at->l);
    double at_once = replicas * lanes * (double)w->batch;
    out->request_s = out->prefill.total + (double)MU_MAX(w->output - 1, 0) * out->decode.total;
    out->tokens_per_s = at_once * (double)(w->prompt + w->output) / out->request_s;
    out->output_per_s = at_once * (double)w->output / out->request_s;
    out->load_s = load_s(at);
    out->total_s = out->load_s;
    if (w->requests > 0)
        out->total_s += out->request_s * MU_MAX(1, (double)w->requests / at_once);
}

int mu_cost_of(struct mu_cost *out, const struct mu_spec *s, const struct mu_layout *l, const struct mu_machine *m,
               const struct mu_workload *w, struct mu_err *e)
{
    struct mu_layout cut;
    struct cost_at at;
    MU_TRY_RETURN(cost_at_init(&at, &cut, s, l, m, w, e));
    *out = (struct mu_cost){0};
    prefill(&at, &out->prefill);
    if (w->output > 1)
        decode(&at, &out->decode);
    rates(&at, out);
    return MU_OK;
}

int mu_cost_step_of(struct mu_cost_step *out, const struct mu_spec *s, const struct mu_layout *l,
                    const struct mu_machine *m, const struct mu_workload *w, const struct mu_cost_rows *r,
                    struct mu_err *e)
{
    struct mu_layout cut;
    struct cost_at at;
    MU_TRY_RETURN(cost_at_init(&at, &cut, s, l, m, w, e));
    if (!(r->rows > 0 && r->sequences > 0))
        return mu_fail(e, MU_EINVAL, "a step of %g rows of %g sequences: more than none are needed", r->rows,
                       r->sequences);
    double lanes = mu_layout_lanes(l),
           most = lanes > 1 ? MU_MIN(r->sequences, ceil(r->sequences / lanes)) : r->sequences;
    double part = most / r->sequences;
    struct cost_rows of = {.rows = r->rows * part, .lanes = 1 / part, .sequences = most, .logits = r->logits * part};
    of.keys = of.keys_end = r->context + 1;
    *out = (struct mu_cost_step){0};
    cost_pipeline(&at, &of, step_pieces(&at, of.rows), false, out);
    return MU_OK;
}
