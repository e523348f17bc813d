/* rank_bill.c - counting a rank's memory; what is cut how is model/shard.h's and model/slots.h's to say */
#include "plan/rank_bill.h"

#include "base/check.h"
#include "model/rope_table.h"
#include "plan/bill.h"

#define LAYER_HOST_BYTES  4096              /* of bookkeeping: pointers and shapes of a layer's matrices, */
#define EXPERT_HOST_BYTES 192               /* and of an expert's three */
#define THREADS_WORK      ((size_t)4 << 20) /* scratch of a CPU's threads, a part each */

struct counting {
    const struct mu_spec *s;
    const struct mu_workload *w;
    struct mu_shard sh;
    int64_t widest_in; /* inputs of any matrix held */
    /* elements a row needs of the widest layer */
    int64_t q, k, v, heads_v, heads, q_a, kv_a, wide_q, wide_k, wide_o, ffn, roots, experts, held, top_k, most;
    int64_t shared; /* the same of the rows that go through a shared cache at once */
    bool has_parallel_norms;
};

static size_t round64(size_t n)
{
    return (n + 63) / 64 * 64;
}

static size_t vector(int64_t n)
{
    return round64((size_t)n * sizeof(float));
}

static size_t matrix_in(struct counting *c, enum mu_wformat f, int64_t n_out, int64_t n_in, int64_t tile)
{
    size_t data = 0, scales = 0;
    if (n_out <= 0 || n_in <= 0)
        return 0;
    c->widest_in = MU_MAX(c->widest_in, n_in);
    mu_matrix_bytes(f, n_out, n_in, tile, &data, &scales);
    return data + scales;
}

static size_t matrix(struct counting *c, int64_t n_out, int64_t n_in)
{
    return matrix_in(c, c->w->weights, n_out, n_in, MU_TILE_K);
}

static size_t biased(struct counting *c, int64_t n_out, int64_t n_in, bool has_bias)
{
    return matrix(c, n_out, n_in) + (has_bias && n_out > 0 ? vector(n_out) : 0);
}

/* A matrix whose sum ranks share: one piece a root of the rank's tiles. */
static size_t shared_sum(struct counting *c, int64_t n_out, int64_t n_in, int64_t tile, bool has_bias)
{
    int32_t cuts[MU_COMM_RANKS_MAX + 1], tiles = (int32_t)((n_in + tile - 1) / tile);
    struct mu_span root[MU_TREE_ROOTS_MAX];
    size_t bytes = has_bias ? vector(n_out) : 0;

    if (c->sh.tp_size == 1)
        return bytes + matrix_in(c, c->w->weights, n_out, n_in, tile);
    mu_tree_cut(tiles, c->sh.tp_size, cuts);
    int n = mu_tree_roots(tiles, cuts[c->sh.tp_rank], cuts[c->sh.tp_rank + 1], root);
    c->roots = MU_MAX(c->roots, n);
    for (int i = 0; i < n; i++) {
        int64_t end = MU_MIN(root[i].end * tile, n_in);
        bytes += matrix_in(c, c->w->weights, n_out, end - root[i].begin * tile, tile);
    }
    return bytes;
}

static void widen(int64_t *w, int64_t n)
{
    *w = MU_MAX(*w, n);
}

/* ---- attention ---- */

static size_t grouped(struct counting *c, const struct mu_layer_spec *l, int64_t heads, int64_t kv)
{
    int64_t D = c->s->hidden;
    size_t n = biased(c, heads * l->dk, D, l->has_qkv_bias) + biased(c, kv * l->dk, D, l->has_qkv_bias) +
               biased(c, kv * l->dv, D, l->has_qkv_bias);
    widen(&c->k, kv * l->dk);
    widen(&c->v, kv * l->dv);
    if (c->s->position == MU_POS_ALIBI) {
        int64_t wide = l->dk + l->n_heads / l->n_kv_heads;
        widen(&c->wide_q, heads * wide);
        widen(&c->wide_k, kv * wide);
    }
    return n + (l->has_qk_norm ? 2 * vector(l->dk) : 0);
}

static size_t latent(struct counting *c, const struct mu_layer_spec *l, int64_t heads)
{
    int64_t D = c->s->hidden, q_in = l->q_lora > 0 ? l->q_lora : D;
    size_t n = matrix(c, heads * l->dk, q_in) + biased(c, (int64_t)l->kv_lora + l->dk_rope, D, l->has_qkv_bias) +
               vector(l->kv_lora);
    if (l->q_lora > 0)
        n += biased(c, l->q_lora, D, l->has_qkv_bias) + vector(l->q_lora);
    n += (size_t)heads * (matrix(c, l->kv_lora, l->dk_nope) + matrix(c, l->dv, l->kv_lora));
    widen(&c->q_a, l->q_lora);
    widen(&c->kv_a, (int64_t)l->kv_lora + l->dk_rope);
    widen(&c->wide_q, heads * (l->kv_lora + l->dk_rope));
    widen(&c->wide_o, heads * l->kv_lora);
    return n;
}

/* What travels where ranks share a cache: model/layout.c. */
static void shared_cache(struct counting *c, const struct mu_layer_spec *l, int64_t own)
{
    int cp = mu_shard_cp(&c->sh), rank = mu_shard_cp_rank(&c->sh);
    bool is_latent = l->attn == MU_ATTN_LATENT;
    int32_t cuts[MU_ATTN_STRANDS + 1];
    struct mu_shard at = c->sh;
    int64_t heads = 0, roots = 0, dk = l->dk, state = MU_ATTN_STATE(is_latent ? l->kv_lora : l->dv);

    if (cp == 1)
        return;
    dk = is_latent ? l->kv_lora + l->dk_rope : dk;
    dk += c->s->position == MU_POS_ALIBI ? l->n_heads / l->n_kv_heads : 0;
    mu_shard_strands(cp, cuts);
    for (int r = 0; r < cp; r++) {
        at.tp_rank = c->sh.tp_rank - rank + r;
        heads += mu_shard_heads(&at, l).n;
        roots += mu_attn_roots(cuts[r], cuts[r + 1]);
    }
    widen(&c->shared, heads * (dk + mu_attn_roots(cuts[rank], cuts[rank + 1]) * state) + own * roots * state);
}

static size_t attention(struct counting *c, const struct mu_layer_spec *l)
{
    int64_t heads = mu_shard_heads(&c->sh, l).n, kv = mu_shard_kv_heads(&c->sh, l).n;
    shared_cache(c, l, heads);
    widen(&c->heads, mu_shard_cp(&c->sh) > 1 ? MU_MAX(heads, kv) : heads);
    widen(&c->q, heads * l->dk);
    widen(&c->heads_v, heads * l->dv);
    return (l->attn == MU_ATTN_LATENT ? latent(c, l, heads) : grouped(c, l, heads, kv)) +
           shared_sum(c, c->s->hidden, (int64_t)l->n_heads * l->dv, mu_shard_o_tile(l), l->has_out_bias);
}

static size_t page_of(const struct counting *c, const struct mu_layer_spec *l)
{
    enum mu_dtype t = c->w->kv_dtype;
    int64_t kv = mu_shard_kv_heads(&c->sh, l).n;
    if (l->attn == MU_ATTN_LATENT)
        return (mu_shard_cp(&c->sh) > 1 ? kv : mu_shard_heads(&c->sh, l).n) > 0
                   ? round64(mu_kv_head_bytes(t, l->kv_lora + l->dk_rope))
                   : 0;
    int dk = l->dk + (c->s->position == MU_POS_ALIBI ? l->n_heads / l->n_kv_heads : 0);
    return round64((size_t)kv * mu_kv_head_bytes(t, dk)) + round64((size_t)kv * mu_kv_head_bytes(t, l->dv));
}

/* ---- MLP ---- */

static size_t dense(struct counting *c, const struct mu_layer_spec *l, int64_t ffn, bool is_gated, bool has_bias)
{
    int64_t D = c->s->hidden, own = mu_shard_ffn(&c->sh, ffn).n;
    (void)l;
    widen(&c->ffn, own);
    return (is_gated ? 2 : 1) * biased(c, own, D, has_bias) + shared_sum(c, D, ffn, mu_shard_down_tile(ffn), has_bias);
}

/* Even shares of all copies where there are further ones (model/expert_table.h). */
static int64_t experts_held(const struct counting *c, const struct mu_moe_spec *m)
{
    int64_t ranks = (int64_t)c->sh.n_lanes * c->sh.tp_size, redundant = c->w->redundant_experts;
    return redundant > 0 ? (m->n_experts + redundant) / ranks : mu_shard_experts(&c->sh, m).n;
}

static size_t experts(struct counting *c, const struct mu_layer_spec *l)
{
    const struct mu_moe_spec *m = &l->moe;
    int64_t D = c->s->hidden, held = experts_held(c, m);
    size_t n = matrix_in(c, MU_WF32, m->n_experts, D, MU_TILE_K);
    n += (size_t)held * (2 * matrix(c, m->ffn, D) + matrix(c, D, m->ffn));
    if (m->n_shared > 0)
        n += dense(c, l, (int64_t)m->n_shared * m->ffn, true, false);
    widen(&c->ffn, held > 0 ? m->ffn : 0);
    widen(&c->experts, m->n_experts);
    widen(&c->held, held);
    widen(&c->top_k, m->top_k);
    widen(&c->most, MU_MIN(held, m->top_k));
    return n;
}

static size_t layer(struct counting *c, const struct mu_layer_spec *l)
{
    size_t norm = vector(c->s->hidden) * (c->s->norm.has_bias ? 2 : 1);
    c->has_parallel_norms |= l->block == MU_BLOCK_PARALLEL_NORMS;
    return norm * (l->block == MU_BLOCK_PARALLEL ? 1 : 2) + attention(c, l) +
           (l->mlp == MU_MLP_MOE ? experts(c, l) : dense(c, l, l->ffn, l->mlp == MU_MLP_GATED, l->has_mlp_bias));
}

/* ---- the whole rank ---- */

static bool is_by_length(const struct mu_spec *s)
{
    return s->position == MU_POS_ROPE && mu_rope_is_by_length(&s->rope);
}

/* Query heads of the KV heads held. */
static int64_t alibi_columns(const struct counting *c)
{
    const struct mu_layer_spec *l = &c->s->layers[0];
    return mu_shard_kv_heads(&c->sh, l).n * (l->n_heads / l->n_kv_heads);
}

static size_t tables(struct counting *c, int64_t context)
{
    const struct mu_spec *s = c->s;
    int64_t width = s->position == MU_POS_ROPE    ? (is_by_length(s) ? 0 : s->rope.dim)
                    : s->position == MU_POS_ALIBI ? alibi_columns(c)
                                                  : 0;
    return round64((size_t)(context * width) * sizeof(float));
}

static size_t outside(struct counting *c)
{
    const struct mu_spec *s = c->s;
    int64_t own = mu_shard_vocab(&c->sh, s->vocab).n, in = c->widest_in;
    bool is_int = c->w->weights == MU_WINT8 || c->w->weights == MU_WINT4;
    size_t n = 0;
    if (c->sh.has_embed || (s->is_tied && c->sh.has_head))
        n += matrix_in(c, is_int && !s->is_tied ? MU_WBF16 : c->w->weights, own, s->hidden, MU_TILE_K);
    if (c->sh.has_embed && s->position == MU_POS_LEARNED)
        n += matrix_in(c, MU_WF32, s->context, s->hidden, MU_TILE_K);
    c->widest_in = in; /* looked up, not multiplied */
    if (!c->sh.has_head)
        return n;
    return n + vector(s->hidden) * (s->norm.has_bias ? 2 : 1) + (s->is_tied ? 0 : matrix(c, own, s->hidden));
}

/* f32 elements a row of a step, as model/layout.c cuts them. */
static size_t row_bytes(const struct counting *c)
{
    int64_t D = c->s->hidden, lanes = c->sh.n_lanes > 1;
    int64_t n = D * (4 + c->has_parallel_norms + c->roots + (c->experts > 0)) + c->q + c->k + c->v + c->heads_v +
                c->wide_q + c->wide_k + c->wide_o + c->q_a + c->kv_a + 2 * c->ffn + c->experts + 3 * c->heads;
    /* Rows of experts: as they are computed, and as they come back; with lanes those that arrive and those sent, which
     * are a share of the step's. */
    int64_t ranks = (int64_t)c->sh.n_lanes * c->sh.tp_size, share = (D * c->top_k + ranks - 1) / ranks;
    n += lanes ? 3 * D * c->most + share + 2 * c->most : D * (c->most + c->top_k) + (ranks > 1) * c->most;
    n += 2 * c->top_k;
    n += is_by_length(c->s) ? 2 * c->s->rope.dim : 0;
    return (size_t)n * sizeof(float) + (c->sh.tp_size > 1 && c->sh.has_embed ? 16 : 0);
}

static void count_logits(struct mu_rank_need *n, const struct counting *c)
{
    bool is_cut = c->sh.tp_size > 1, is_first = c->sh.tp_rank == 0;
    int64_t own = is_cut ? mu_shard_vocab(&c->sh, c->s->vocab).n : 0;
    if (!c->sh.has_head)
        return;
    n->logit_row = (size_t)((is_first ? c->s->vocab : 0) + own + c->s->hidden) * sizeof(float);
    n->gather_row = is_cut && is_first ? (size_t)c->s->vocab * sizeof(float) : 0;
}

static int groups_of(const struct mu_layout *l)
{
    return (l->tp > 1) + (l->pp > 1) + (l->ep > 1 && l->tp * mu_layout_lanes(l) > 1) + (mu_layout_cp(l) > 1);
}

static size_t layers_bytes(struct counting *c, size_t *page)
{
    const struct mu_layer_spec *layers = c->s->layers, *before = NULL;
    size_t sum = 0, one = 0, one_page = 0;
    for (int i = c->sh.layer_begin; i < c->sh.layer_end; i++) {
        if (!before || memcmp(before, &layers[i], sizeof *before) != 0) {
            one = layer(c, &layers[i]);
            one_page = page_of(c, &layers[i]);
        }
        before = &layers[i];
        sum += one;
        *page += one_page;
    }
    return sum;
}

static void add_host(struct mu_rank_need *n, const struct counting *c, const struct mu_layout *l)
{
    int layers = c->sh.layer_end - c->sh.layer_begin;
    bool is_int = c->w->weights == MU_WINT8 || c->w->weights == MU_WINT4;
    n->work = MU_CPU_ATTENTION_BYTES + THREADS_WORK;
    n->work_row = (size_t)c->widest_in * (is_int ? 3 : 4);
    n->comm = MU_COMM_WORK_BYTES * (size_t)groups_of(l);
    n->runtime = MU_BILL_RUNTIME_BYTES + (size_t)layers * (LAYER_HOST_BYTES + (size_t)c->held * EXPERT_HOST_BYTES);
}

/* Processes of a host with this seat in other replicas read one copy. Replicas are taken as alike: where nodes have
 * different numbers of them, the fewest count. */
static int holders_of(const struct mu_layout *l, int rank, const struct mu_machine *m)
{
    int each = mu_layout_ranks(l) / mu_layout_replicas(l), fewest = 0, n = 0, node = -1;
    if (!m->is_host || m->devices < 1)
        return 1;
    for (int r = rank % each; r < mu_layout_ranks(l); r += each) {
        if (r / m->devices != node) {
            fewest = n > 0 && (fewest == 0 || n < fewest) ? n : fewest;
            node = r / m->devices;
            n = 0;
        }
        n++;
    }
    return fewest > 0 ? MU_MIN(fewest, n) : n;
}

void mu_rank_need_of(struct mu_rank_need *out, const struct mu_spec *s, const struct mu_layout *l, int rank,
                     const struct mu_machine *m, const struct mu_workload *w)
{
    struct counting c = {.s = s, .w = w, .heads = 1};
    mu_layout_shard(l, s, rank, &c.sh);
    *out = (struct mu_rank_need){0};
    out->weights = layers_bytes(&c, &out->page) + outside(&c) + tables(&c, w->prompt + w->output);
    out->row = row_bytes(&c);
    out->shared_row = (size_t)c.shared * sizeof(float);
    out->page_owners = mu_shard_cp(&c.sh);
    out->weights_holders = holders_of(l, rank, m);
    out->rows_multiple = c.sh.n_lanes * c.sh.tp_size;
    count_logits(out, &c);
    if (m->is_host) {
        add_host(out, &c, l);
        return;
    }
    out->work = MU_PLAN_GPU_WORK_BYTES;
    out->comm = MU_PLAN_NCCL_GROUP_BYTES * (size_t)groups_of(l);
    out->runtime = MU_PLAN_GPU_CONTEXT_BYTES + (size_t)(m->device.memory * MU_PLAN_GPU_FRAGMENTED);
}

/* Pages of the fullest of the ranks that share a cache. */
static int64_t pages_held(const struct mu_rank_need *n, const struct mu_rank_limits *k)
{
    int64_t cp = n->page_owners, one = k->run > 0 ? k->run : cp;
    int64_t held = k->run > 0 ? mu_shard_pages_for((int)cp, one) / cp : 1; /* of so many */
    return (k->pages * held + one - 1) / one;
}

void mu_rank_bill_of(struct mu_rank_bill *out, const struct mu_rank_need *n, const struct mu_rank_limits *k)
{
    int64_t rounded = (k->rows + n->rows_multiple - 1) / n->rows_multiple * n->rows_multiple;
    size_t gathered = n->gather_row * (size_t)MU_MIN(k->logit_rows, MU_LOGITS_GATHER_ROWS);
    int holders = MU_MAX(n->weights_holders, 1);
    *out = (struct mu_rank_bill){.weights = (n->weights + (size_t)holders - 1) / (size_t)holders,
                                 .weights_holders = holders,
                                 .kv = n->page * (size_t)pages_held(n, k),
                                 .activations = n->row * (size_t)(rounded + 1), /* and one row of zeros */
                                 .work = n->work + n->work_row * (size_t)MU_MIN(rounded, MU_CPU_LINEAR_ROWS),
                                 .logits = n->logit_row * (size_t)k->logit_rows + gathered,
                                 .comm = n->comm,
                                 .runtime = n->runtime};
    out->activations += n->shared_row * (size_t)MU_MIN(k->rows, MU_SHARED_ROWS);
    out->total = out->weights + out->kv + out->activations + out->work + out->logits + out->comm + out->runtime;
}

struct mu_rank_limits mu_rank_limits_of(const struct mu_machine *m, const struct mu_workload *w, int64_t batch)
{
    int64_t rows_max = m->is_host ? MU_BILL_ROWS_WANTED : MU_PLAN_ROWS_MAX;
    int64_t logits_max = m->is_host ? MU_BILL_LOGIT_ROWS_WANTED : MU_PLAN_LOGIT_ROWS_MAX;
    int64_t own = w->prompt - w->shared + w->output, scored = batch * MU_MAX(w->scored, 1);
    int64_t rows = MU_MIN(batch * w->prompt, rows_max);
    int64_t pages = (own + MU_KV_PAGE - 1) / MU_KV_PAGE * batch + (w->shared + MU_KV_PAGE - 1) / MU_KV_PAGE;
    return (struct mu_rank_limits){.rows = MU_MAX(rows, w->output > 0 ? MU_MIN(batch, rows_max) : 1),
                                   .logit_rows = MU_MIN(scored, logits_max),
                                   .pages = pages,
                                   .run = (own + MU_KV_PAGE - 1) / MU_KV_PAGE};
}
