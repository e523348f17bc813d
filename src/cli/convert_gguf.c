/* convert_gguf.c - see convert_gguf.h */
#include "cli/convert_gguf.h"

#include <stdio.h>

#include "base/check.h"
#include "base/json.h"
#include "fmt/gguf.h"
#include "tok/export_json.h"

#define CONFIG_BYTES_MAX ((size_t)1 << 20) /* two lists of 512 rotary factors take 20 KB */

/* safetensors knows no blocks: bf16 holds what they can say, in half the bytes of f32. */
static void choose_dtype(const struct mu_weights *w, struct mu_convert_opts *o)
{
    for (int64_t i = 0; o->dtype == MU_DTYPE_N && i < mu_weights_count(w); i++) {
        const struct mu_tensor_info *t = mu_weights_at(w, i);
        if (mu_dtype_block_elems(t->dtype) <= 1)
            continue;
        fprintf(stderr, "The file holds %s blocks, which safetensors cannot; writing bf16 (--dtype chooses).\n",
                t->stored);
        o->dtype = MU_BF16;
    }
}

/* Files may come without, and say so by these names; such a model runs on token ids. */
static bool has_vocabulary(const struct mu_gguf *g)
{
    struct mu_str model;
    return mu_gguf_string(g, "tokenizer.ggml.model", &model, NULL) == MU_OK && !mu_str_eq(model, MU_STR("no_vocab")) &&
           !mu_str_eq(model, MU_STR("none"));
}

static void add_text(struct mu_convert_gguf *c, struct mu_convert_opts *o, const char *name, const struct mu_buf *text)
{
    c->texts[o->n_texts++] = (struct mu_convert_text){name, mu_buf_str(text)};
}

static int make_texts(struct mu_convert_gguf *c, struct mu_convert_opts *o, struct mu_err *e)
{
    MU_TRY_RETURN(mu_export_config(c->x, o->dtype, &c->config, e));
    o->texts = c->texts;
    add_text(c, o, "config.json", &c->config);
    if (!has_vocabulary(mu_weights_gguf(c->w)))
        return MU_OK;
    MU_TRY_RETURN(mu_tok_export_gguf(mu_weights_file_path(c->w, 0), &c->tokenizer, &c->tokenizer_config, e));
    add_text(c, o, "tokenizer.json", &c->tokenizer);
    add_text(c, o, "tokenizer_config.json", &c->tokenizer_config);
    return MU_OK;
}

int mu_convert_gguf_open(struct mu_convert_gguf *c, const char *src, struct mu_convert_opts *o, struct mu_err *e)
{
    *c = (struct mu_convert_gguf){.config = MU_BUF_INIT("config.json", CONFIG_BYTES_MAX),
                                  .tokenizer = MU_BUF_INIT("tokenizer.json", MU_JSON_BYTES_MAX),
                                  .tokenizer_config = MU_BUF_INIT("tokenizer_config.json", MU_JSON_BYTES_MAX)};
    MU_TRY_RETURN(mu_weights_open(&c->w, src, MU_READ_DIRECT, e));
    if (!mu_weights_gguf(c->w))
        return MU_OK;
    MU_TRY_RETURN(mu_export_open(&c->x, c->w, src, e));
    choose_dtype(c->w, o);
    o->rename = mu_export_name;
    o->source_row = mu_export_row;
    o->hook_arg = c->x;
    return make_texts(c, o, e);
}

void mu_convert_gguf_close(struct mu_convert_gguf *c)
{
    mu_export_close(c->x);
    mu_weights_close(c->w);
    mu_buf_fini(&c->config);
    mu_buf_fini(&c->tokenizer);
    mu_buf_fini(&c->tokenizer_config);
    *c = (struct mu_convert_gguf){0};
}
