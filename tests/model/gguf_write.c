/* gguf_write.c - golden checkpoints rewritten as llama.cpp's converter writes them
 *
 * Permuted q and k for the Llama family, turned Conv1D, Falcon's blocks, stacked experts, rope factors as a tensor, the
 * metadata keys of each architecture. */
#include "gguf_write.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/mem.h"
#include "fmt/gguf.h"
#include "model/rope_table.h"
#include "rig.h"

#define BYTES_MAX ((size_t)8 << 20)

struct writer {
    struct mu_weights *from;
    const struct mu_spec *s;
    struct mu_buf keys, infos, data;
    uint64_t n_keys, n_tensors;
    const char *arch;
    bool is_split; /* deepseek2: attn_k_b and attn_v_b in place of attn_kv_b */
};

/* ---- the container ---- */

static void add(struct mu_buf *b, const void *p, size_t n)
{
    struct mu_err err = MU_ERR_INIT;
    XT_OK(mu_buf_add(b, p, n, &err));
}

static void add_u32(struct mu_buf *b, uint32_t v)
{
    add(b, &v, 4);
}

static void add_u64(struct mu_buf *b, uint64_t v)
{
    add(b, &v, 8);
}

static void add_text(struct mu_buf *b, const char *s)
{
    add_u64(b, strlen(s));
    add(b, s, strlen(s));
}

static void key(struct writer *w, const char *name, uint32_t type)
{
    char full[128];
    snprintf(full, sizeof full, "%s.%s", w->arch, name);
    add_text(&w->keys, strncmp(name, "general.", 8) == 0 ? name : full);
    add_u32(&w->keys, type);
    w->n_keys++;
}

static void key_int(struct writer *w, const char *name, int64_t v)
{
    key(w, name, MU_GGUF_U32);
    add_u32(&w->keys, (uint32_t)v);
}

static void key_real(struct writer *w, const char *name, double v)
{
    float f = (float)v;
    key(w, name, MU_GGUF_F32);
    add(&w->keys, &f, 4);
}

static void key_text(struct writer *w, const char *name, const char *v)
{
    key(w, name, MU_GGUF_STRING);
    add_text(&w->keys, v);
}

/* dims row-major, as ours; GGUF has them the other way round. */
static void tensor(struct writer *w, const char *name, const float *v, int n_dims, const uint64_t *dims)
{
    static const char zeros[32];
    uint64_t n = 1;
    add_text(&w->infos, name);
    add_u32(&w->infos, (uint32_t)n_dims);
    for (int i = n_dims - 1; i >= 0; i--) {
        add_u64(&w->infos, dims[i]);
        n *= dims[i];
    }
    add_u32(&w->infos, 0); /* f32 */
    add_u64(&w->infos, w->data.n);
    add(&w->data, v, n * sizeof *v);
    add(&w->data, zeros, (32 - w->data.n % 32) % 32);
    w->n_tensors++;
}

static void finish(struct writer *w, const char *path)
{
    static const char zeros[32];
    struct mu_buf head = MU_BUF_INIT("a GGUF head", BYTES_MAX);
    add(&head, "GGUF", 4);
    add_u32(&head, 3);
    add_u64(&head, w->n_tensors);
    add_u64(&head, w->n_keys);
    add(&head, w->keys.p, w->keys.n);
    add(&head, w->infos.p, w->infos.n);
    add(&head, zeros, (32 - head.n % 32) % 32);
    FILE *f = fopen(path, "wb");
    XT_CHECK(f);
    XT_EQ(fwrite(head.p, 1, head.n, f), head.n);
    XT_EQ(fwrite(w->data.p, 1, w->data.n, f), w->data.n);
    fclose(f);
    mu_buf_fini(&head);
    mu_buf_fini(&w->keys);
    mu_buf_fini(&w->infos);
    mu_buf_fini(&w->data);
}

/* ---- tensors ---- */

/* A tensor of the source as f32; NULL when it is not there. Free with free(). */
static float *take(struct writer *w, const char *name, const struct mu_tensor_info **t)
{
    struct mu_err err = MU_ERR_INIT;
    *t = mu_weights_find(w->from, name);
    if (!*t && strncmp(name, "transformer.", 12) == 0)
        *t = mu_weights_find(w->from, name + 12);
    if (!*t)
        return NULL;
    XT_EQ((*t)->dtype, MU_F32);
    float *v = malloc((*t)->n_bytes);
    XT_OK(mu_weights_read(w->from, *t, 0, (*t)->n_bytes, v, &err));
    return v;
}

enum how { PLAIN, PAIRED, TURNED, GROUPS };

/* Row order of the converter: element j * half + i of a head goes to 2 i + j. */
static void pair_rows(float *v, const struct mu_tensor_info *t, int head)
{
    size_t cols = t->n_dims > 1 ? t->dims[1] : 1, half = (size_t)head / 2;
    float *old = malloc(t->n_bytes);
    memcpy(old, v, t->n_bytes);
    for (size_t r = 0; r < t->dims[0]; r++) {
        size_t in = r % (size_t)head, to = r - in + in % half * 2 + in / half;
        memcpy(v + to * cols, old + r * cols, cols * sizeof *v);
    }
    free(old);
}

static void turn(float *v, struct mu_tensor_info *t)
{
    size_t rows = t->dims[0], cols = t->dims[1];
    float *old = malloc(t->n_bytes);
    memcpy(old, v, t->n_bytes);
    for (size_t r = 0; r < rows; r++)
        for (size_t c = 0; c < cols; c++)
            v[c * rows + r] = old[r * cols + c];
    t->dims[0] = cols;
    t->dims[1] = rows;
    free(old);
}

/* Falcon's groups of q..., k, v to all q, all k, all v. */
static void ungroup(const struct mu_layer_spec *l, float *v, const struct mu_tensor_info *t)
{
    size_t unit = (size_t)l->dk * t->dims[1], q = (size_t)(l->n_heads / l->n_kv_heads), kv = (size_t)l->n_kv_heads;
    float *old = malloc(t->n_bytes);
    memcpy(old, v, t->n_bytes);
    for (size_t g = 0; g < kv; g++) {
        const float *from = old + g * (q + 2) * unit;
        memcpy(v + g * q * unit, from, q * unit * sizeof *v);
        memcpy(v + (kv * q + g) * unit, from + q * unit, unit * sizeof *v);
        memcpy(v + (kv * q + kv + g) * unit, from + (q + 1) * unit, unit * sizeof *v);
    }
    free(old);
}

static void move_one(struct writer *w, const char *from, const char *to, enum how how, int layer)
{
    const struct mu_tensor_info *t;
    float *v = take(w, from, &t);
    if (!v)
        return;
    struct mu_tensor_info is = *t;
    const struct mu_layer_spec *l = layer >= 0 ? &w->s->layers[layer] : NULL;
    if (how == PAIRED)
        pair_rows(v, &is, l->dk);
    if (how == TURNED && is.n_dims == 2)
        turn(v, &is);
    if (how == GROUPS)
        ungroup(l, v, &is);
    tensor(w, to, v, is.n_dims, is.dims);
    free(v);
}

struct move {
    const char *from, *to; /* after "PREFIX.N." and "blk.N.", without ".weight" */
    enum how how;
};

static void move_layers(struct writer *w, const char *prefix, const struct move *rows)
{
    static const char *const ends[] = {".weight", ".bias"};
    char from[256], to[256];
    for (int l = 0; l < w->s->n_layers; l++)
        for (const struct move *m = rows; m->from; m++)
            for (int e = 0; e < 2; e++) {
                snprintf(from, sizeof from, "%s.%d.%s%s", prefix, l, m->from, ends[e]);
                snprintf(to, sizeof to, "blk.%d.%s%s", l, m->to, ends[e]);
                move_one(w, from, to, m->how, l);
            }
}

/* Experts of every layer as one tensor each. */
static void stack_experts(struct writer *w, const char *pattern, const char *to_pattern)
{
    char name[256];
    for (int l = 0; l < w->s->n_layers; l++) {
        int n = w->s->layers[l].moe.n_experts;
        const struct mu_tensor_info *t = NULL;
        float *all = NULL;
        for (int x = 0; x < n; x++) {
            snprintf(name, sizeof name,
                     pattern[0] == 'w' ? "model.layers.%d.block_sparse_moe.experts.%d.%s.weight"
                                       : "model.layers.%d.mlp.experts.%d.%s.weight",
                     l, x, pattern);
            float *one = take(w, name, &t);
            XT_CHECK(one);
            all = realloc(all, (size_t)n * t->n_bytes);
            memcpy(all + (size_t)x * t->n_elems, one, t->n_bytes);
            free(one);
        }
        if (n == 0)
            continue;
        snprintf(name, sizeof name, "blk.%d.%s.weight", l, to_pattern);
        tensor(w, name, all, 3, (uint64_t[]){(uint64_t)n, t->dims[0], t->dims[1]});
        free(all);
    }
}

/* ---- architectures ---- */

static void keys_of_all(struct writer *w)
{
    const struct mu_layer_spec *l = &w->s->layers[0];
    key_text(w, "general.architecture", w->arch);
    key_int(w, "block_count", w->s->n_layers);
    key_int(w, "embedding_length", w->s->hidden);
    key_int(w, "context_length", w->s->context);
    key_int(w, "attention.head_count", l->n_heads);
    key_int(w, "attention.head_count_kv", l->n_kv_heads);
    if (l->ffn > 0)
        key_int(w, "feed_forward_length", l->ffn);
    if (l->mlp == MU_MLP_MOE && strcmp(w->arch, "llama") == 0)
        key_int(w, "feed_forward_length", l->moe.ffn);
    key_real(w, w->s->norm.kind == MU_NORM_RMS ? "attention.layer_norm_rms_epsilon" : "attention.layer_norm_epsilon",
             w->s->norm.eps);
    if (w->s->position == MU_POS_ROPE)
        key_real(w, "rope.freq_base", w->s->rope.theta);
}

static const struct move llama_layers[] = {{"input_layernorm", "attn_norm", PLAIN},
                                           {"post_attention_layernorm", "ffn_norm", PLAIN},
                                           {"self_attn.q_proj", "attn_q", PAIRED},
                                           {"self_attn.k_proj", "attn_k", PAIRED},
                                           {"self_attn.v_proj", "attn_v", PLAIN},
                                           {"self_attn.o_proj", "attn_output", PLAIN},
                                           {"mlp.gate_proj", "ffn_gate", PLAIN},
                                           {"mlp.up_proj", "ffn_up", PLAIN},
                                           {"mlp.down_proj", "ffn_down", PLAIN},
                                           {"block_sparse_moe.gate", "ffn_gate_inp", PLAIN},
                                           {NULL, NULL, PLAIN}};

static const struct move qwen_layers[] = {
    {"input_layernorm", "attn_norm", PLAIN},    {"post_attention_layernorm", "ffn_norm", PLAIN},
    {"self_attn.q_proj", "attn_q", PLAIN},      {"self_attn.k_proj", "attn_k", PLAIN},
    {"self_attn.v_proj", "attn_v", PLAIN},      {"self_attn.o_proj", "attn_output", PLAIN},
    {"self_attn.q_norm", "attn_q_norm", PLAIN}, {"self_attn.k_norm", "attn_k_norm", PLAIN},
    {"mlp.gate_proj", "ffn_gate", PLAIN},       {"mlp.up_proj", "ffn_up", PLAIN},
    {"mlp.down_proj", "ffn_down", PLAIN},       {NULL, NULL, PLAIN}};

static const struct move gpt2_layers[] = {{"ln_1", "attn_norm", PLAIN},
                                          {"ln_2", "ffn_norm", PLAIN},
                                          {"attn.c_attn", "attn_qkv", TURNED},
                                          {"attn.c_proj", "attn_output", TURNED},
                                          {"mlp.c_fc", "ffn_up", TURNED},
                                          {"mlp.c_proj", "ffn_down", TURNED},
                                          {NULL, NULL, PLAIN}};

static const struct move falcon_layers[] = {{"ln_attn", "attn_norm_2", PLAIN},
                                            {"ln_mlp", "attn_norm", PLAIN},
                                            {"input_layernorm", "attn_norm", PLAIN},
                                            {"self_attention.query_key_value", "attn_qkv", GROUPS},
                                            {"self_attention.dense", "attn_output", PLAIN},
                                            {"mlp.dense_h_to_4h", "ffn_up", PLAIN},
                                            {"mlp.dense_4h_to_h", "ffn_down", PLAIN},
                                            {NULL, NULL, PLAIN}};

static const struct move deepseek_layers[] = {{"input_layernorm", "attn_norm", PLAIN},
                                              {"post_attention_layernorm", "ffn_norm", PLAIN},
                                              {"self_attn.q_proj", "attn_q", PLAIN},
                                              {"self_attn.q_a_proj", "attn_q_a", PLAIN},
                                              {"self_attn.q_a_layernorm", "attn_q_a_norm", PLAIN},
                                              {"self_attn.q_b_proj", "attn_q_b", PLAIN},
                                              {"self_attn.kv_a_proj_with_mqa", "attn_kv_a_mqa", PLAIN},
                                              {"self_attn.kv_a_layernorm", "attn_kv_a_norm", PLAIN},
                                              {"self_attn.o_proj", "attn_output", PLAIN},
                                              {"mlp.gate_proj", "ffn_gate", PLAIN},
                                              {"mlp.up_proj", "ffn_up", PLAIN},
                                              {"mlp.down_proj", "ffn_down", PLAIN},
                                              {"mlp.gate", "ffn_gate_inp", PLAIN},
                                              {"mlp.shared_experts.gate_proj", "ffn_gate_shexp", PLAIN},
                                              {"mlp.shared_experts.up_proj", "ffn_up_shexp", PLAIN},
                                              {"mlp.shared_experts.down_proj", "ffn_down_shexp", PLAIN},
                                              {NULL, NULL, PLAIN}};

static const struct move fused_kv_b[] = {{"self_attn.kv_b_proj", "attn_kv_b", PLAIN}, {NULL, NULL, PLAIN}};

/* Llama 3's scaling as the converter writes it: how many times slower each pair turns. */
static void rope_factors(struct writer *w)
{
    float plain[MU_ROPE_DIM_MAX / 2], scaled[MU_ROPE_DIM_MAX / 2];
    struct mu_rope_spec none = w->s->rope;
    if (none.scaling != MU_SCALE_LLAMA3)
        return;
    none.scaling = MU_SCALE_NONE;
    mu_rope_frequencies(&none, 0, plain);
    mu_rope_frequencies(&w->s->rope, 0, scaled);
    for (int i = 0; i < none.dim / 2; i++)
        plain[i] /= scaled[i];
    tensor(w, "rope_freqs.weight", plain, 1, (uint64_t[]){(uint64_t)none.dim / 2});
}

static void rope_scaling(struct writer *w)
{
    const struct mu_rope_spec *r = &w->s->rope;
    if (r->scaling != MU_SCALE_LINEAR && r->scaling != MU_SCALE_YARN)
        return;
    key_text(w, "rope.scaling.type", r->scaling == MU_SCALE_YARN ? "yarn" : "linear");
    key_real(w, "rope.scaling.factor", r->factor);
    key_int(w, "rope.scaling.original_context_length", r->original_context);
}

static void write_llama(struct writer *w)
{
    key_int(w, "attention.key_length", w->s->layers[0].dk);
    rope_scaling(w);
    move_one(w, "model.embed_tokens.weight", "token_embd.weight", PLAIN, -1);
    move_one(w, "model.norm.weight", "output_norm.weight", PLAIN, -1);
    move_one(w, "lm_head.weight", "output.weight", PLAIN, -1);
    move_layers(w, "model.layers", strcmp(w->arch, "llama") == 0 ? llama_layers : qwen_layers);
    rope_factors(w);
    if (w->s->layers[0].mlp != MU_MLP_MOE)
        return;
    key_int(w, "expert_count", w->s->layers[0].moe.n_experts);
    key_int(w, "expert_used_count", w->s->layers[0].moe.top_k);
    stack_experts(w, "w1", "ffn_gate_exps");
    stack_experts(w, "w3", "ffn_up_exps");
    stack_experts(w, "w2", "ffn_down_exps");
}

static void write_gpt2(struct writer *w)
{
    move_one(w, "transformer.wte.weight", "token_embd.weight", PLAIN, -1);
    move_one(w, "transformer.wpe.weight", "position_embd.weight", PLAIN, -1);
    move_one(w, "transformer.ln_f.weight", "output_norm.weight", PLAIN, -1);
    move_one(w, "transformer.ln_f.bias", "output_norm.bias", PLAIN, -1);
    move_layers(w, "transformer.h", gpt2_layers);
}

static void write_falcon(struct writer *w)
{
    move_one(w, "transformer.word_embeddings.weight", "token_embd.weight", PLAIN, -1);
    move_one(w, "transformer.ln_f.weight", "output_norm.weight", PLAIN, -1);
    move_one(w, "transformer.ln_f.bias", "output_norm.bias", PLAIN, -1);
    move_one(w, "lm_head.weight", "output.weight", PLAIN, -1);
    move_layers(w, "transformer.h", falcon_layers);
}

/* kv_b_proj as newer converters write it: keys of each head turned, values as they are. */
static void split_kv_b(struct writer *w)
{
    const struct mu_layer_spec *l = &w->s->layers[0];
    size_t H = (size_t)l->n_heads, K = (size_t)l->dk_nope, V = (size_t)l->dv, C = (size_t)l->kv_lora;
    char name[128];

    key_int(w, "attention.key_length_mla", l->dk);
    key_int(w, "attention.value_length_mla", l->dv);
    for (int i = 0; i < w->s->n_layers; i++) {
        const struct mu_tensor_info *t;
        snprintf(name, sizeof name, "model.layers.%d.self_attn.kv_b_proj.weight", i);
        float *both = take(w, name, &t), *k = malloc(H * K * C * sizeof *k), *v = malloc(H * V * C * sizeof *v);
        for (size_t h = 0; h < H; h++) {
            const float *head = both + h * (K + V) * C;
            for (size_t j = 0; j < K * C; j++)
                k[(h * C + j % C) * K + j / C] = head[j];
            memcpy(v + h * V * C, head + K * C, V * C * sizeof *v);
        }
        snprintf(name, sizeof name, "blk.%d.attn_k_b.weight", i);
        tensor(w, name, k, 3, (uint64_t[]){H, C, K});
        snprintf(name, sizeof name, "blk.%d.attn_v_b.weight", i);
        tensor(w, name, v, 3, (uint64_t[]){H, V, C});
        free(both);
        free(k);
        free(v);
    }
}

static void write_deepseek(struct writer *w)
{
    const struct mu_layer_spec *l = &w->s->layers[0];
    const struct mu_moe_spec *m = &w->s->layers[w->s->n_layers - 1].moe;
    if (l->q_lora > 0)
        key_int(w, "attention.q_lora_rank", l->q_lora);
    key_int(w, "attention.kv_lora_rank", l->kv_lora);
    key_int(w, "attention.key_length", w->is_split ? l->kv_lora + l->dk_rope : l->dk);
    key_int(w, "attention.value_length", w->is_split ? l->kv_lora : l->dv);
    key_int(w, "rope.dimension_count", l->dk_rope);
    key_int(w, "leading_dense_block_count", 1);
    key_int(w, "expert_count", m->n_experts);
    key_int(w, "expert_used_count", m->top_k);
    key_int(w, "expert_shared_count", m->n_shared);
    key_int(w, "expert_feed_forward_length", m->ffn);
    key_real(w, "expert_weights_scale", m->scaling);
    if (m->router == MU_ROUTER_SIGMOID_GROUPS) {
        key_int(w, "expert_gating_func", 2);
        key_int(w, "expert_group_count", m->n_groups);
        key_int(w, "expert_group_used_count", m->top_groups);
        key(w, "expert_weights_norm", MU_GGUF_BOOL);
        add(&w->keys, &m->is_normalised, 1);
    }
    rope_scaling(w);
    if (w->s->rope.scaling == MU_SCALE_YARN) /* of the cases used: mscale = mscale_all_dim = 1 */
        key_real(w, "rope.scaling.yarn_log_multiplier", 0.1);
    move_one(w, "model.embed_tokens.weight", "token_embd.weight", PLAIN, -1);
    move_one(w, "model.norm.weight", "output_norm.weight", PLAIN, -1);
    move_one(w, "lm_head.weight", "output.weight", PLAIN, -1);
    move_layers(w, "model.layers", deepseek_layers);
    if (w->is_split)
        split_kv_b(w);
    else
        move_layers(w, "model.layers", fused_kv_b);
    stack_experts(w, "gate_proj", "ffn_gate_exps");
    stack_experts(w, "up_proj", "ffn_up_exps");
    stack_experts(w, "down_proj", "ffn_down_exps");
    for (int i = 0; i < w->s->n_layers; i++) {
        char from[128], to[128];
        snprintf(from, sizeof from, "model.layers.%d.mlp.gate.e_score_correction_bias", i);
        snprintf(to, sizeof to, "blk.%d.exp_probs_b.bias", i);
        move_one(w, from, to, PLAIN, -1);
    }
}

void gguf_write_case(const char *name, const char *arch, bool is_split, const char *path)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_spec spec;
    struct writer w = {.s = &spec,
                       .keys = MU_BUF_INIT("keys", BYTES_MAX),
                       .infos = MU_BUF_INIT("tensor entries", BYTES_MAX),
                       .data = MU_BUF_INIT("tensors", BYTES_MAX),
                       .arch = arch,
                       .is_split = is_split};
    rig_read_spec(&spec, name);
    XT_OK(mu_weights_open(&w.from, name, MU_READ_DIRECT, &err));
    keys_of_all(&w);
    if (strcmp(arch, "gpt2") == 0)
        write_gpt2(&w);
    else if (strcmp(arch, "falcon") == 0)
        write_falcon(&w);
    else if (strcmp(arch, "deepseek2") == 0)
        write_deepseek(&w);
    else
        write_llama(&w);
    finish(&w, path);
    mu_weights_close(w.from);
    mu_spec_fini(&spec);
}
