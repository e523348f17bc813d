/* synth.c - writes a checkpoint of a named shape with random weights: for measuring time and memory, not for sense
 *
 *     synth FOLDER SHAPE [f32|bf16|f16]
 *
 * The folder must exist. Values are uniform with the spread of a freshly initialised model, from a fixed seed. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/file.h"
#include "base/mem.h"
#include "fmt/safetensors_write.h"

struct shape {
    const char *name;
    int layers, hidden, heads, kv_heads, head_dim, ffn, vocab, context;
    int experts, top_k; /* 0: dense */
};

/* "1b" is the TinyLlama shape; 3b that of Llama 3.2 3B with a smaller vocabulary; the mixtures are Mixtral's kind, with
 * few large experts and with many small ones. */
static const struct shape shapes[] = {
    {"30m", 8, 512, 8, 4, 64, 1408, 8192, 2048, 0, 0},      {"200m", 16, 1024, 16, 4, 64, 2816, 16384, 2048, 0, 0},
    {"1b", 22, 2048, 32, 4, 64, 5632, 32000, 4096, 0, 0},   {"3b", 28, 3072, 24, 8, 128, 8192, 32000, 8192, 0, 0},
    {"8x60m", 8, 1024, 16, 4, 64, 2816, 8192, 2048, 8, 2},  {"64x6m", 8, 1024, 16, 4, 64, 256, 8192, 2048, 64, 8},
    {"64x9m", 6, 1024, 16, 4, 64, 512, 16384, 2048, 64, 6},
};

#define TENSORS_MAX 4096
#define NAME_MAX_   96
#define CHUNK       65536

struct plan {
    struct mu_tensor_info t[TENSORS_MAX];
    char names[TENSORS_MAX][NAME_MAX_];
    int n;
    enum mu_dtype dtype;
};

static void add(struct plan *p, const char *name, int64_t rows, int64_t cols)
{
    struct mu_tensor_info *t = &p->t[p->n];
    snprintf(p->names[p->n], NAME_MAX_, "%s", name);
    t->name = p->names[p->n++];
    t->dtype = p->dtype;
    t->n_dims = cols ? 2 : 1;
    t->dims[0] = (uint64_t)rows;
    t->dims[1] = (uint64_t)cols;
}

static void add_layer(struct plan *p, int l, const char *name, int64_t rows, int64_t cols)
{
    char full[NAME_MAX_];
    snprintf(full, sizeof full, "model.layers.%d.%s.weight", l, name);
    add(p, full, rows, cols);
}

static void plan_mlp(struct plan *p, const struct shape *s, int l)
{
    char name[NAME_MAX_ / 2];
    for (int x = 0; x < s->experts; x++) {
        for (int w = 1; w <= 3; w++) { /* gate, down, up */
            snprintf(name, sizeof name, "block_sparse_moe.experts.%d.w%d", x, w);
            add_layer(p, l, name, w == 2 ? s->hidden : s->ffn, w == 2 ? s->ffn : s->hidden);
        }
    }
    if (s->experts > 0) {
        add_layer(p, l, "block_sparse_moe.gate", s->experts, s->hidden);
        return;
    }
    add_layer(p, l, "mlp.gate_proj", s->ffn, s->hidden);
    add_layer(p, l, "mlp.up_proj", s->ffn, s->hidden);
    add_layer(p, l, "mlp.down_proj", s->hidden, s->ffn);
}

static void plan_tensors(struct plan *p, const struct shape *s)
{
    int64_t q = (int64_t)s->heads * s->head_dim, kv = (int64_t)s->kv_heads * s->head_dim;
    add(p, "model.embed_tokens.weight", s->vocab, s->hidden);
    for (int l = 0; l < s->layers; l++) {
        add_layer(p, l, "input_layernorm", s->hidden, 0);
        add_layer(p, l, "self_attn.q_proj", q, s->hidden);
        add_layer(p, l, "self_attn.k_proj", kv, s->hidden);
        add_layer(p, l, "self_attn.v_proj", kv, s->hidden);
        add_layer(p, l, "self_attn.o_proj", s->hidden, q);
        add_layer(p, l, "post_attention_layernorm", s->hidden, 0);
        plan_mlp(p, s, l);
    }
    add(p, "model.norm.weight", s->hidden, 0);
    add(p, "lm_head.weight", s->vocab, s->hidden);
}

static uint64_t next_random(uint64_t *s)
{
    *s ^= *s << 13, *s ^= *s >> 7, *s ^= *s << 17;
    return *s;
}

/* n values: 1 for norms, else uniform of standard deviation 1 / sqrt(inputs). */
static size_t fill(void *out, size_t n, const struct mu_tensor_info *t, uint64_t *rng)
{
    float spread = t->n_dims == 2 ? sqrtf(3.0f / (float)t->dims[1]) : 0;
    float *f32 = out;
    uint16_t *u16 = out;
    for (size_t i = 0; i < n; i++) {
        float v = t->n_dims == 1 ? 1.0f : ((float)(next_random(rng) >> 40) * 0x1p-23f - 1.0f) * spread;
        if (t->dtype == MU_F32)
            f32[i] = v;
        else
            u16[i] = t->dtype == MU_BF16 ? mu_f32_to_bf16(v) : mu_f32_to_f16(v);
    }
    return n * mu_dtype_block_bytes(t->dtype);
}

static int write_weights(const struct plan *p, const char *folder, struct mu_err *e)
{
    struct mu_safetensors_writer *w = NULL;
    uint64_t rng = 88172645463325252u;
    float *chunk = NULL;
    int rc = MU_OK;

    MU_TRY(MU_NEW_ARRAY(&chunk, CHUNK, "a chunk", e));
    MU_TRY(mu_safetensors_writer_open(&w, folder, p->t, p->n, 0, e));
    for (int64_t i; (i = mu_safetensors_writer_next(w)) >= 0;) {
        const struct mu_tensor_info *t = &p->t[i];
        for (uint64_t left = t->dims[0] * (t->n_dims == 2 ? t->dims[1] : 1); left > 0;) {
            size_t n = (size_t)MU_MIN(left, (uint64_t)CHUNK);
            MU_TRY(mu_safetensors_writer_write(w, chunk, fill(chunk, n, t, &rng), e));
            left -= n;
        }
    }
    MU_TRY(mu_safetensors_writer_commit(w, e));
out:
    mu_safetensors_writer_free(w);
    mu_free(chunk);
    return rc;
}

static int write_config(const struct shape *s, enum mu_dtype dtype, const char *folder, struct mu_err *e)
{
    struct mu_buf path = MU_BUF_INIT("a path", 4096), text = MU_BUF_INIT("config.json", 4096);
    struct mu_outfile f = MU_OUTFILE_INIT;
    int rc = MU_OK;

    MU_TRY(mu_path_join(&path, folder, "config.json", e));
    MU_TRY(mu_buf_printf(
        &text, e,
        "{\"architectures\": [\"%s\"], \"model_type\": \"%s\", \"hidden_act\": \"silu\",\n"
        " \"num_hidden_layers\": %d, \"hidden_size\": %d, \"num_attention_heads\": %d,\n"
        " \"num_key_value_heads\": %d, \"head_dim\": %d, \"intermediate_size\": %d, \"vocab_size\": %d,\n"
        " \"max_position_embeddings\": %d, \"rms_norm_eps\": 1e-05, \"rope_theta\": 10000.0,\n"
        " \"tie_word_embeddings\": false, \"bos_token_id\": 1, \"eos_token_id\": 2, \"torch_dtype\": \"%s\"",
        s->experts ? "MixtralForCausalLM" : "LlamaForCausalLM", s->experts ? "mixtral" : "llama", s->layers, s->hidden,
        s->heads, s->kv_heads, s->head_dim, s->ffn, s->vocab, s->context,
        dtype == MU_F32    ? "float32"
        : dtype == MU_BF16 ? "bfloat16"
                           : "float16"));
    if (s->experts > 0)
        MU_TRY(mu_buf_printf(&text, e, ",\n \"num_local_experts\": %d, \"num_experts_per_tok\": %d", s->experts,
                             s->top_k));
    MU_TRY(mu_buf_puts(&text, "}\n", e));
    MU_TRY(mu_outfile_open(&f, path.p, e));
    MU_TRY(mu_outfile_write(&f, text.p, text.n, e));
    MU_TRY(mu_outfile_commit(&f, e));
out:
    mu_outfile_discard(&f);
    mu_buf_fini(&text);
    mu_buf_fini(&path);
    return rc;
}

int main(int argc, char **argv)
{
    static struct plan plan = {.dtype = MU_BF16};
    struct mu_err err = MU_ERR_INIT;
    const struct shape *shape = NULL;
    for (size_t i = 0; argc >= 3 && i < MU_COUNT(shapes); i++) {
        if (strcmp(argv[2], shapes[i].name) == 0)
            shape = &shapes[i];
    }
    if (!shape || argc > 4 || (argc == 4 && !mu_dtype_from_name(&plan.dtype, argv[3]))) {
        fprintf(stderr, "usage: synth FOLDER 30m|200m|1b|3b|8x60m|64x6m|64x9m [f32|bf16|f16]\n");
        return 2;
    }
    plan_tensors(&plan, shape);
    int rc = write_config(shape, plan.dtype, argv[1], &err);
    if (rc == MU_OK)
        rc = write_weights(&plan, argv[1], &err);
    if (rc != MU_OK)
        fprintf(stderr, "synth: %s\n", err.text);
    return mu_code_exit_status(rc);
}
