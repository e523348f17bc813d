/* model_int.h - the inside of a loaded model, shared by loader and forward pass
 *
 * Memory is five blocks: weights, activations and logits on the device, bookkeeping on the host, and the op scratch
 * that belongs to the device. layout.c cuts the blocks; the same functions tell sizes and set pointers, so the memory
 * bill is exact. */
#ifndef MU_MODEL_MODEL_INT_H
#define MU_MODEL_MODEL_INT_H

#include "model/expert_table.h"
#include "model/rope_table.h"
#include "model/slots.h"

/* A sum over inputs that the tensor ranks share. Alone: one root, which has the bias. */
struct mu_split {
    struct mu_matrix *root; /* [n_roots] this rank's, n_roots 0: it has no inputs */
    int n_roots;
    struct mu_tree tree; /* of all ranks; its arrays are empty when alone */
    float *bias;         /* added once the tree is finished, or NULL */
};

/* Which heads of a layer are this rank's. With a shared cache the KV heads are those of its whole group. */
struct mu_heads {
    int n_heads, n_kv_heads;
    int head0, kv_head0; /* the first of each in the whole layer */
    int group, first;    /* heads a KV head, of the whole layer; place of the first head in its group */
};

/* Weights of a layer (and, as one more entry, those outside the layers). An absent matrix has n_out 0. */
struct mu_layer {
    struct mu_matrix matrix[MU_SLOT_N]; /* but for those of a sum */
    struct mu_split sum[MU_SLOT_SUMS];
    float *vector[MU_SLOT_N];    /* norms */
    float *norm_bias[MU_SLOT_N]; /* of layer norms */
    struct mu_matrix *heads[2];  /* latent attention: key and value up projections, [heads held] */
    struct mu_matrix *expert[3]; /* gate, up, down, [experts held] */
    float *router_bias;          /* host memory, [n_experts] */
    struct mu_kv_layer kv;
    struct mu_heads own;
    struct mu_heads reader[MU_ATTN_STRANDS]; /* of each rank that shares the cache: its heads and what they read */
};

/* Where a step works; device memory, rows_max rows unless said. W stands for the widest layer's. */
struct mu_buffers {
    float *x;                             /* [hidden] the residual stream */
    float *normed, *normed2;              /* [hidden] input of attention and, for two parallel norms, of the MLP */
    float *attn_out, *mlp_out;            /* [hidden] */
    float *q, *k, *v, *heads;             /* [W heads * dk], [W kv * dk], [W kv * dv], [W heads * dv] */
    float *wide_q, *wide_k, *wide_o;      /* attention's own view of q, k and its output where that differs */
    float *queries, *states, *returned;   /* of a shared cache: attention_shared.c */
    float *q_a, *kv_a;                    /* [q_lora], [kv_lora + dk_rope] */
    float *gate, *up;                     /* [W ffn] */
    float *scores;                        /* [n_experts] router logits */
    float *dispatched, *expert_out;       /* [rows_max * top_k][hidden]; see moe.c and moe_lanes.c for several ranks */
    float *sent, *arrived;                /* rows on their way between lanes */
    float *partial;                       /* [roots][rows_max][hidden] of a sum that ranks share */
    float *combined;                      /* [hidden] of the shared experts, before it is added */
    float *choice_weights;                /* [rows_max * top_k] */
    float *rope_rows;                     /* [rope dim] this step's cosines and sines, when they are by length */
    float *zero_row;                      /* one row of hidden zeros */
    float *scored;                        /* [logit_rows_max][hidden] */
    int32_t *choice_rows;                 /* [rows_max * top_k] */
    int32_t *arrival, *departure;         /* [arrived] rows by copy; [departed] the way back */
    int32_t *look_ids, *look_rows;        /* [rows_max] tokens of this rank's vocabulary, and where rows find theirs */
    int32_t *identity, *per_head, *zeros; /* [rows_max * W heads]: i, i / n_heads, 0 */
    int32_t *page;                        /* one */
};

/* Host side of a step's routing. */
struct mu_routing {
    float *scores;               /* [rows_max * n_experts] */
    int32_t *experts;            /* [rows_max * top_k] chosen by each row */
    float *weights;              /* the same */
    int32_t *copies;             /* the same: which copy of the expert serves it (expert_table.h) */
    int32_t *dealt;              /* [n_experts] scratch: whose turn it is */
    int32_t *first;              /* [copies + 1] where the rows of each copy begin below, over all ranks */
    int32_t *rows;               /* [rows_max * top_k] in copies' order */
    float *row_weights;          /* the same */
    float *probability, *choice; /* [n_experts] scratch of one row */
    int64_t *total;              /* [n_layers][experts of a layer, the most] rows of each since the model was loaded */
    /* several ranks: */
    int32_t *departure;           /* host copy of the buffer */
    int32_t *slice;               /* [ranks + 1] where outputs for each begin */
    size_t *bytes_out, *bytes_in; /* [ranks] */
    /* several lanes: */
    int32_t *counts, *counts_in; /* [copies] rows sent to each; [ranks][copies held] rows from each */
    int32_t *first_in;           /* [copies held + 1] where their rows begin once sorted */
    int32_t *arrival;            /* host copy of the buffer */
    int64_t max_rows;            /* of any lane in this step */
};

struct mu_model {
    struct mu_spec spec;
    struct mu_model_opts opts; /* its shard is the one below */
    struct mu_shard shard;
    struct mu_device *d;
    struct mu_model_sizes sizes;
    int64_t context;                             /* positions */
    void *weights, *activations, *logits, *host; /* the blocks; weights may be shard.weights, not ours to free */
    struct mu_map file;                          /* of a packed model; `weights` has what is copied of it then */
    struct mu_layer *layers;                     /* [n_layers + 1]; the last holds what is outside */
    float *rope_table;                           /* [context][rope dim], unless by length */
    float *alibi;                                /* [context][query heads of the KV heads held] */
    float *inv_freq;                             /* host, [rope dim / 2], and the class it is for */
    float *rope_host;                            /* host, [rows_max][rope dim] */
    const int32_t *lengths;                      /* of sequences, borrowed; NULL: not declared */
    char content_hash[MU_CONTENT_HASH_BYTES];
    struct mu_buffers b;
    struct mu_routing r;
    float *own_logits, *part_logits; /* [logit_rows_max, vocabulary held], a few rows as they are gathered */
    size_t *vocab_bytes, *row_bytes; /* [tensor ranks] scratch: pieces of a gather */
    int32_t *look_ids, *look_rows;   /* host copies of the buffers' */
    char *kv;
    int64_t pages_n;
    int at, rows; /* of the last step */
    /* of the running step: */
    float *step_x; /* [rows][hidden] in b.x */
    const float *step_rope;
    const int32_t *step_rope_pos;
    int deferred; /* the first failure that waits for the step's end, and its sentence */
    struct mu_err deferred_err;
};

static inline struct mu_layer *mu_model_outside(struct mu_model *m)
{
    return &m->layers[m->spec.n_layers];
}

/* Whether peers wait in a step's collectives, so that failures of numbers must wait too. */
static inline bool mu_model_has_peers(const struct mu_model *m)
{
    return m->shard.tp_size > 1 || m->shard.n_lanes > 1;
}

/* The widest of anything over the layers held, in what this rank holds of them. */
struct mu_widths {
    int64_t q, k, v, heads_v, heads, ffn, q_a, kv_a, experts, top_k, wide_q, wide_k, wide_o;
    int64_t queries, states, returned;
    int64_t dispatched, arrived; /* rows that experts of this rank may get in a step; between lanes, in a round */
    int64_t departed;            /* outputs of these that go to other ranks */
    int64_t copies, copies_held, roots; /* of experts: of all ranks, of this one */
    bool is_parallel_norms;
};
void mu_widths_of(const struct mu_spec *s, const struct mu_model_opts *o, struct mu_widths *w);

/* The layers held: [mu_first_layer, mu_end_layer). */
static inline int mu_first_layer(const struct mu_model_opts *o)
{
    return o->shard ? o->shard->layer_begin : 0;
}

static inline int mu_end_layer(const struct mu_spec *s, const struct mu_model_opts *o)
{
    return o->shard ? o->shard->layer_end : s->n_layers;
}

/* Which columns of the ALiBi table are held: all query heads of the KV heads held. */
struct mu_run mu_alibi_columns(const struct mu_spec *s, const struct mu_model_opts *o);

void mu_heads_of(const struct mu_layer_spec *l, const struct mu_shard *sh, struct mu_heads *out);

/* Of every rank that shares this one's cache; nothing when nobody does. */
void mu_readers_of(const struct mu_layer_spec *l, const struct mu_shard *sh, struct mu_heads out[MU_ATTN_STRANDS]);

/* Ranks that share the experts, and how many rows each of them sends to experts at once (moe_lanes.c). */
static inline int mu_expert_ranks(const struct mu_model_opts *o)
{
    return o->shard ? o->shard->tp_size * o->shard->n_lanes : 1;
}
int mu_round_rows(const struct mu_model_opts *o);

/* Rows of the largest product of a step. */
int64_t mu_widest_rows(const struct mu_model_opts *o);

/* What the KV cache of a layer holds, pointers NULL. Latent attention absorbed: one head of latent and rotated key;
 * ALiBi: each key has one more element a query head of its group (attention_grouped.c). */
void mu_kv_shape(const struct mu_spec *s, const struct mu_layer_spec *l, const struct mu_model_opts *o,
                 struct mu_kv_layer *kv);
size_t mu_kv_page_bytes(const struct mu_spec *s, const struct mu_model_opts *o);

/* Cut the blocks. base NULL: only the size is wanted. */
size_t mu_layout_activations(const struct mu_spec *s, const struct mu_model_opts *o, char *base, struct mu_buffers *b);
size_t mu_layout_host(const struct mu_spec *s, const struct mu_model_opts *o, struct mu_model *m);
size_t mu_layout_logits(const struct mu_spec *s, const struct mu_model_opts *o, struct mu_model *m);
int64_t mu_context_of(const struct mu_spec *s, const struct mu_model_opts *o);

/* The matrix that a use fills, or whose bias it is. */
struct mu_matrix *mu_model_matrix(struct mu_model *m, const struct mu_slot_use *u);

/* Let that matrix, or vector, be what lies here; scale counts in integer formats only. */
void mu_model_place(struct mu_model *m, const struct mu_slot_use *u, void *data, void *scale);

/* In place of allocating and loading: weights are those of the mapped file. */
int mu_load_packed(struct mu_model *m, const struct mu_weights *w, struct mu_err *e);

/* The loader's half of mu_model_load(): fills every slot of m from w. */
int mu_load_weights(struct mu_model *m, struct mu_weights *w, mu_progress_fn progress, void *arg, struct mu_err *e);
size_t mu_load_staging_bytes(const struct mu_spec *s, const struct mu_model_opts *o);

/* Ends the load of all ranks of the node with the first failure in rank order, or returns MU_OK on all. */
int mu_load_agree(const struct mu_shard *sh, int rc, struct mu_err *e);

/* Who read together, on one node or on many; NULL: alone. */
static inline struct mu_comm *mu_load_group(const struct mu_shard *sh)
{
    if (!sh)
        return NULL;
    return sh->together ? sh->together : sh->node;
}

/* Parts of a layer. x, y: [n, hidden]. */
int mu_attention(struct mu_model *m, int layer, float *y, const float *x, const struct mu_rows *rows, struct mu_err *e);
int mu_attention_grouped(struct mu_model *m, int layer, const float *x, const struct mu_rows *rows, struct mu_err *e);
int mu_attention_latent(struct mu_model *m, int layer, const float *x, const struct mu_rows *rows, struct mu_err *e);

/* attention_shared.c: a.q as [n, this rank's heads * kv.dk] side by side, over the layer's cache, whoever holds it. */
int mu_attend(struct mu_model *m, const struct mu_layer *l, const struct mu_attn *a, const struct mu_rows *rows,
              struct mu_err *e);
int mu_mlp(struct mu_model *m, int layer, float *y, const float *x, int64_t n, struct mu_err *e);
int mu_moe(struct mu_model *m, int layer, float *y, const float *x, int64_t n, struct mu_err *e);

/* moe_lanes.c: rows travel to the ranks of their experts and back. Enters its collectives with n = 0 too. */
int mu_moe_lanes(struct mu_model *m, int layer, float *y, const float *x, int64_t n, struct mu_err *e);

/* Rows [begin, end) of n that the tensor rank of a lane sees to: it combines them. */
struct mu_slice {
    int64_t begin, end;
};
static inline struct mu_slice mu_slice_of(const struct mu_shard *sh, int64_t n, int tp_rank)
{
    return (struct mu_slice){n * tp_rank / sh->tp_size, n * (tp_rank + 1) / sh->tp_size};
}

/* Pieces of moe.c for it: experts and weights of n rows, into r.experts and r.weights; for rows [begin, end) of them
 * the copies that serve them, `source` beginning the turns, into r.copies; these rows listed by copy in r.first, r.rows
 * (counted from begin) and r.row_weights, with device copies; this rank's experts over dispatched rows, `first` (of
 * copies held) saying where each one's begin; y [n, hidden] from rows in copies' order; the slices of y on all tensor
 * ranks. */
int mu_moe_route(struct mu_model *m, int layer, const float *x, int64_t n, struct mu_err *e);
void mu_moe_deal(struct mu_model *m, int layer, int64_t begin, int64_t end, int source);
int mu_moe_list(struct mu_model *m, int layer, int64_t begin, int64_t end, struct mu_err *e);
int mu_moe_experts(struct mu_model *m, int layer, const int32_t *first, float *y, const float *x, struct mu_err *e);
int mu_moe_combine(struct mu_model *m, int layer, float *y, const float *outputs, int64_t n, struct mu_err *e);
int mu_moe_put_together(struct mu_model *m, float *y, int64_t n, struct mu_err *e);

/* b.gate = act(x gate) * (x up), [n, gate->n_out]; the matrices' biases included. Uses b.up. */
int mu_gate(struct mu_model *m, enum mu_act act, const struct mu_matrix *gate, const struct mu_matrix *up,
            const float *x, int64_t n, struct mu_err *e);

/* split.c: y [n, hidden] = this sum of x, whose rows hold this rank's inputs, finished over the tensor ranks. */
int mu_split_linear(struct mu_model *m, const struct mu_split *s, float *y, const float *x, int64_t ldx, int64_t n,
                    struct mu_err *e);

/* y = norm of the spec's kind over rows of the hidden size. */
int mu_norm(struct mu_model *m, struct mu_layer *l, enum mu_slot slot, float *y, const float *x, int64_t n,
            struct mu_err *e);

/* y = x W^T + b with rows side by side: strides n_out and n_in. */
int mu_linear(struct mu_model *m, const struct mu_matrix *w, float *y, const float *x, int64_t n, struct mu_err *e);

/* step_x = embeddings of n tokens. */
int mu_lookup(struct mu_model *m, const int32_t *ids, int n, struct mu_err *e);

/* The step's code to return at once, or MU_OK where peers wait: then it is told at the step's end. */
int mu_defer(struct mu_model *m, int rc, struct mu_err *e);

/* Rotate n_heads heads of every row in place, `stride` apart, with the running step's table. */
int mu_rotate(struct mu_model *m, float *x, int64_t ldx, int64_t stride, int n_heads, int64_t n, struct mu_err *e);

#endif
