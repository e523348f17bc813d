/* export_config.c - config.json from a spec, as transformers 4 spells it
 *
 * Every key that the reader of the family looks at is written, defaults too: a file that stands by itself. */
#include "model/export_int.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/json.h"
#include "fmt/gguf.h"

struct writing {
    const struct mu_spec *s;
    const struct mu_layer_spec *l; /* the first; windows alone differ between layers */
    json_t *o;
    bool is_out_of_memory;
};

static void set(struct writing *c, json_t *o, const char *key, json_t *v)
{
    c->is_out_of_memory |= json_object_set_new(o, key, v) != 0; /* v NULL fails too */
}

static void set_int(struct writing *c, const char *key, int64_t v)
{
    set(c, c->o, key, json_integer(v));
}

static void set_bool(struct writing *c, const char *key, bool v)
{
    set(c, c->o, key, json_boolean(v));
}

static void set_text(struct writing *c, const char *key, const char *v)
{
    set(c, c->o, key, json_string(v));
}

/* A float as its shortest decimal: 1e-05, not 9.99999975e-06. */
static json_t *short_real(float v)
{
    char text[32];
    for (int digits = 1; digits <= 9; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, (double)v);
        if (strtof(text, NULL) == v)
            break;
    }
    return json_real(strtod(text, NULL));
}

/* ---- rotation ---- */

static json_t *factors(struct writing *c, const float *v, int n)
{
    json_t *list = json_array();
    for (int i = 0; list && i < n; i++)
        c->is_out_of_memory |= json_array_append_new(list, short_real(v[i])) != 0;
    return list;
}

static json_t *rope_scaling(struct writing *c)
{
    static const char *const names[] = {[MU_SCALE_LINEAR] = "linear",
                                        [MU_SCALE_DYNAMIC] = "dynamic",
                                        [MU_SCALE_LLAMA3] = "llama3",
                                        [MU_SCALE_YARN] = "yarn",
                                        [MU_SCALE_LONGROPE] = "longrope"};
    const struct mu_rope_spec *r = &c->s->rope;
    json_t *o = json_object();

    if (!o)
        return NULL;
    set(c, o, "rope_type", json_string(names[r->scaling]));
    set(c, o, "factor", json_real(r->factor));
    set(c, o, "original_max_position_embeddings", json_integer(r->original_context));
    if (r->scaling == MU_SCALE_YARN || r->scaling == MU_SCALE_LONGROPE)
        set(c, o, "attention_factor", json_real(r->attention_factor));
    if (r->scaling == MU_SCALE_YARN) {
        set(c, o, "beta_fast", json_real(r->beta_fast));
        set(c, o, "beta_slow", json_real(r->beta_slow));
        set(c, o, "truncate", json_boolean(r->is_truncated));
    }
    if (r->scaling == MU_SCALE_LONGROPE) {
        set(c, o, "short_factor", factors(c, r->short_factor, r->dim / 2));
        set(c, o, "long_factor", factors(c, r->long_factor, r->dim / 2));
    }
    return o;
}

/* ---- families ---- */

static void llama_shape(struct writing *c)
{
    set_int(c, "hidden_size", c->s->hidden);
    set_int(c, "intermediate_size", c->l->ffn);
    set_int(c, "num_hidden_layers", c->s->n_layers);
    set_int(c, "num_attention_heads", c->l->n_heads);
    set_int(c, "num_key_value_heads", c->l->n_kv_heads);
    set_int(c, "head_dim", c->l->dk);
    set_text(c, "hidden_act", "silu");
    set(c, c->o, "rms_norm_eps", short_real(c->s->norm.eps));
}

static void set_window(struct writing *c, int window)
{
    set(c, c->o, "sliding_window", window > 0 ? json_integer(window) : json_null());
}

/* Layers from max_window_layers on have the window. */
static void qwen_windows(struct writing *c)
{
    int first = c->s->n_layers, window = c->s->layers[c->s->n_layers - 1].window;
    while (window > 0 && first > 0 && c->s->layers[first - 1].window == window)
        first--;
    set_bool(c, "use_sliding_window", window > 0);
    set_window(c, window);
    set_int(c, "max_window_layers", first);
}

static void falcon(struct writing *c)
{
    bool has_two_norms = c->l->block == MU_BLOCK_PARALLEL_NORMS, is_new = has_two_norms || c->l->n_kv_heads > 1;
    set_int(c, "hidden_size", c->s->hidden);
    set_int(c, "ffn_hidden_size", c->l->ffn);
    set_int(c, "num_hidden_layers", c->s->n_layers);
    set_int(c, "num_attention_heads", c->l->n_heads);
    set_int(c, "num_kv_heads", c->l->n_kv_heads);
    set_text(c, "activation", "gelu");
    set(c, c->o, "layer_norm_epsilon", short_real(c->s->norm.eps));
    set_bool(c, "new_decoder_architecture", is_new);
    set(c, c->o, "num_ln_in_parallel_attn", is_new ? json_integer(has_two_norms ? 2 : 1) : json_null());
    set_bool(c, "multi_query", true);
    set_bool(c, "parallel_attn", c->l->block != MU_BLOCK_SEQUENTIAL);
    set_bool(c, "alibi", false);
    set_bool(c, "bias", c->l->has_qkv_bias);
}

static void family(struct writing *c)
{
    const char *name = c->s->family;
    if (strcmp(name, "falcon") == 0) {
        falcon(c);
        return;
    }
    llama_shape(c);
    if (strcmp(name, "llama") == 0 || strcmp(name, "qwen3") == 0)
        set_bool(c, "attention_bias", c->l->has_qkv_bias);
    if (strcmp(name, "llama") == 0)
        set_bool(c, "mlp_bias", c->l->has_mlp_bias);
    if (strcmp(name, "mistral") == 0)
        set_window(c, c->l->window);
    if (strncmp(name, "qwen", 4) == 0)
        qwen_windows(c);
}

/* ---- the whole ---- */

static void special_ids(struct writing *c, const struct mu_gguf *g)
{
    static const char *const keys[][2] = {{"tokenizer.ggml.bos_token_id", "bos_token_id"},
                                          {"tokenizer.ggml.eos_token_id", "eos_token_id"},
                                          {"tokenizer.ggml.padding_token_id", "pad_token_id"}};
    int64_t id;
    for (size_t i = 0; i < MU_COUNT(keys); i++)
        if (mu_gguf_int(g, keys[i][0], 0, c->s->vocab - 1, &id, NULL) == MU_OK)
            set_int(c, keys[i][1], id);
}

static const char *dtype_name(const struct mu_spec *s, enum mu_dtype dtype)
{
    const char *name = dtype == MU_DTYPE_N ? s->default_dtype : mu_dtype_name(dtype);
    return strcmp(name, "bf16") == 0 ? "bfloat16" : strcmp(name, "f16") == 0 ? "float16" : "float32";
}

static void whole(struct writing *c, const struct mu_export *x, enum mu_dtype dtype)
{
    json_t *list = json_array();
    c->is_out_of_memory |= !list || json_array_append_new(list, json_string(x->spec.arch)) != 0;
    set(c, c->o, "architectures", list);
    set_text(c, "model_type", c->s->family);
    set_int(c, "vocab_size", c->s->vocab);
    family(c);
    set_int(c, "max_position_embeddings", c->s->context);
    set(c, c->o, "rope_theta", json_real(c->s->rope.theta));
    set(c, c->o, "rope_scaling", c->s->rope.scaling == MU_SCALE_NONE ? json_null() : rope_scaling(c));
    set_bool(c, "tie_word_embeddings", c->s->is_tied);
    special_ids(c, mu_weights_gguf(x->w));
    set_text(c, "torch_dtype", dtype_name(c->s, dtype));
}

int mu_export_config(const struct mu_export *x, enum mu_dtype dtype, struct mu_buf *out, struct mu_err *e)
{
    struct writing c = {.s = &x->spec, .l = x->spec.layers};
    int rc = MU_OK;

    mu_json_init();
    c.o = json_object();
    if (c.o)
        whole(&c, x, dtype);
    if (!c.o || c.is_out_of_memory) {
        rc = mu_fail(e, MU_ENOMEM, "no memory for the text of config.json");
        goto out;
    }
    MU_TRY(mu_json_dump(out, c.o, true, e));
    MU_TRY(mu_buf_putc(out, '\n', e));
out:
    json_decref(c.o);
    return rc;
}
