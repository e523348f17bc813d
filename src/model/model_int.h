/* model_int.h - the inside of a loaded model, shared by loader and forward pass
 *
 * Memory is five blocks: weights, activations and logits on the device, bookkeeping on the host, and the op scratch
 * that belongs to the device. layout.c cuts the blocks; the same functions tell sizes and set pointers, so the memory
 * bill is exact. */
#ifndef MU_MODEL_MODEL_INT_H
#define MU_MODEL_MODEL_INT_H

#include "model/rope_table.h"
#include "model/slots.h"

/* Weights of a layer (and, as one more entry, those outside the layers). An absent matrix has n_out 0. */
struct mu_layer {
    struct mu_matrix matrix[MU_SLOT_N];
    float *vector[MU_SLOT_N];    /* norms */
    float *norm_bias[MU_SLOT_N]; /* of layer norms */
    struct mu_matrix *heads[2];  /* latent attention: key and value up projections, [n_heads] */
    struct mu_matrix *expert[3]; /* gate, up, down, [n_experts] */
    float *router_bias;          /* host memory, [n_experts] */
    struct mu_kv_layer kv;
};

/* Where a step works; device memory, rows_max rows unless said. W stands for the widest layer's. */
struct mu_buffers {
    float *x;                             /* [hidden] the residual stream */
    float *normed, *normed2;              /* [hidden] input of attention and, for two parallel norms, of the MLP */
    float *attn_out, *mlp_out;            /* [hidden] */
    float *q, *k, *v, *heads;             /* [W heads * dk], [W kv * dk], [W kv * dv], [W heads * dv] */
    float *wide_q, *wide_k, *wide_o;      /* attention's own view of q, k and its output where that differs */
    float *q_a, *kv_a;                    /* [q_lora], [kv_lora + dk_rope] */
    float *gate, *up;                     /* [W ffn] */
    float *scores;                        /* [n_experts] router logits */
    float *dispatched, *expert_out;       /* [rows_max * top_k][hidden] */
    float *combined;                      /* [hidden] of the shared experts, before it is added */
    float *choice_weights;                /* [rows_max * top_k] */
    float *rope_rows;                     /* [rope dim] this step's cosines and sines, when they are by length */
    float *zero_row;                      /* one row of hidden zeros */
    float *scored;                        /* [logit_rows_max][hidden] */
    int32_t *choice_rows;                 /* [rows_max * top_k] */
    int32_t *identity, *per_head, *zeros; /* [rows_max * W heads]: i, i / n_heads, 0 */
    int32_t *page;                        /* one */
};

/* Host side of a step's routing. */
struct mu_routing {
    float *scores;               /* [rows_max * n_experts] */
    int32_t *experts;            /* [rows_max * top_k] chosen by each row */
    float *weights;              /* the same */
    int32_t *first;              /* [n_experts + 1] where each expert's rows begin below */
    int32_t *rows;               /* [rows_max * top_k] in expert order */
    float *row_weights;          /* the same */
    float *probability, *choice; /* [n_experts] scratch of one row */
};

struct mu_model {
    struct mu_spec spec;
    struct mu_model_opts opts;
    struct mu_device *d;
    struct mu_model_sizes sizes;
    int64_t context;                             /* positions */
    void *weights, *activations, *logits, *host; /* the blocks */
    struct mu_layer *layers;                     /* [n_layers + 1]; the last holds what is outside */
    float *rope_table;                           /* [context][rope dim], unless by length */
    float *alibi;                                /* [context][n_heads] */
    float *inv_freq;                             /* host, [rope dim / 2], and the class it is for */
    float *rope_host;                            /* host, [rows_max][rope dim] */
    const int32_t *lengths;                      /* of sequences, borrowed; NULL: not declared */
    char content_hash[MU_CONTENT_HASH_BYTES];
    struct mu_buffers b;
    struct mu_routing r;
    char *kv;
    int64_t pages_n;
    int rows; /* of the last step */
    /* of the running step: */
    const float *step_rope;
    const int32_t *step_rope_pos;
};

static inline struct mu_layer *mu_model_outside(struct mu_model *m)
{
    return &m->layers[m->spec.n_layers];
}

/* The widest of anything over layers. */
struct mu_widths {
    int64_t q, k, v, heads_v, heads, ffn, q_a, kv_a, experts, top_k, wide_q, wide_k, wide_o;
    bool is_parallel_norms;
};
void mu_widths_of(const struct mu_spec *s, const struct mu_model_opts *o, struct mu_widths *w);

/* What the KV cache of a layer holds, pointers NULL. Latent attention absorbed: one head of latent and rotated key;
 * ALiBi: each key has one more element a query head of its group (attention_grouped.c). */
void mu_kv_shape(const struct mu_spec *s, const struct mu_layer_spec *l, const struct mu_model_opts *o,
                 struct mu_kv_layer *kv);
size_t mu_kv_page_bytes(const struct mu_spec *s, const struct mu_model_opts *o);

/* Cut the blocks. base NULL: only the size is wanted. */
size_t mu_layout_activations(const struct mu_spec *s, const struct mu_model_opts *o, char *base, struct mu_buffers *b);
size_t mu_layout_host(const struct mu_spec *s, const struct mu_model_opts *o, struct mu_model *m);
int64_t mu_context_of(const struct mu_spec *s, const struct mu_model_opts *o);

/* The matrix that a use fills, or whose bias it is. */
struct mu_matrix *mu_model_matrix(struct mu_model *m, const struct mu_slot_use *u);

/* The loader's half of mu_model_load(): fills every slot of m from w. */
int mu_load_weights(struct mu_model *m, struct mu_weights *w, mu_progress_fn progress, void *arg, struct mu_err *e);
size_t mu_load_staging_bytes(const struct mu_spec *s, const struct mu_model_opts *o);

/* Parts of a layer. x, y: [n, hidden]. */
int mu_attention(struct mu_model *m, int layer, float *y, const float *x, const struct mu_rows *rows, struct mu_err *e);
int mu_attention_grouped(struct mu_model *m, int layer, const float *x, const struct mu_rows *rows, struct mu_err *e);
int mu_attention_latent(struct mu_model *m, int layer, const float *x, const struct mu_rows *rows, struct mu_err *e);
int mu_mlp(struct mu_model *m, int layer, float *y, const float *x, int64_t n, struct mu_err *e);
int mu_moe(struct mu_model *m, int layer, float *y, const float *x, int64_t n, struct mu_err *e);

/* gate, up, act, down into y; the matrices' biases included. Uses b.gate and b.up. */
int mu_gated(struct mu_model *m, enum mu_act act, const struct mu_matrix *gate, const struct mu_matrix *up,
             const struct mu_matrix *down, float *y, const float *x, int64_t n, struct mu_err *e);

/* y = norm of the spec's kind over rows of the hidden size. */
int mu_norm(struct mu_model *m, struct mu_layer *l, enum mu_slot slot, float *y, const float *x, int64_t n,
            struct mu_err *e);

/* y = x W^T + b with rows side by side: strides n_out and n_in. */
int mu_linear(struct mu_model *m, const struct mu_matrix *w, float *y, const float *x, int64_t n, struct mu_err *e);

/* Rotate n_heads heads of every row in place, `stride` apart, with the running step's table. */
int mu_rotate(struct mu_model *m, float *x, int64_t ldx, int64_t stride, int n_heads, int64_t n, struct mu_err *e);

#endif
