/* export.c - a GGUF file written as safetensors is the checkpoint it was made from: names, bytes, network */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "fmt/convert.h"
#include "gguf_write.h"
#include "model/export.h"
#include "rig.h"

#define TEXT_MAX ((size_t)1 << 20)

static const char *in_tmp(char *out, const char *name)
{
    snprintf(out, 512, "%s/%s", xt_tmpdir(), name);
    return out;
}

struct export
{
    struct mu_weights *w;
    struct mu_export *x;
    struct mu_buf config;
};

static void export_open(struct export *c, const char *gguf)
{
    struct mu_err err = MU_ERR_INIT;
    c->config = (struct mu_buf)MU_BUF_INIT("config.json", TEXT_MAX);
    XT_OK(mu_weights_open(&c->w, gguf, MU_READ_DIRECT, &err));
    XT_OK(mu_export_open(&c->x, c->w, gguf, &err));
    XT_OK(mu_export_config(c->x, MU_DTYPE_N, &c->config, &err));
}

static void export_close(struct export *c)
{
    mu_export_close(c->x);
    mu_weights_close(c->w);
    mu_buf_fini(&c->config);
}

/* ---- the config ---- */

static void same_network(struct export *c, const char *gguf)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_spec a, b;
    json_t *tree;
    XT_OK(mu_json_parse(&tree, mu_buf_str(&c->config), "config.json", &err));
    XT_OK(mu_spec_from_config(&a, tree, "config.json", &err));
    XT_OK(mu_spec_from_gguf(&b, c->w, gguf, &err));
    XT_CHECKF(mu_spec_same_network(&a, &b), "another network:\n%s", c->config.p);
    XT_STREQ(a.arch, b.arch);
    json_decref(tree);
    mu_spec_fini(&a);
    mu_spec_fini(&b);
}

/* ---- the tensors ---- */

static void convert(struct export *c, const char *gguf, const char *dir)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_convert_text text = {"config.json", mu_buf_str(&c->config)};
    struct mu_convert_opts o = MU_CONVERT_OPTS_INIT;
    o.rename = mu_export_name;
    o.source_row = mu_export_row;
    o.hook_arg = c->x;
    o.texts = &text;
    o.n_texts = 1;
    XT_OK(mu_convert(gguf, dir, &o, NULL, &err));
}

/* Published files say falcon's names with the prefix or without. */
static const struct mu_tensor_info *find(struct mu_weights *w, const char *name)
{
    const struct mu_tensor_info *t = mu_weights_find(w, name);
    return t || strncmp(name, "transformer.", 12) != 0 ? t : mu_weights_find(w, name + 12);
}

static void *bytes_of(struct mu_weights *w, const struct mu_tensor_info *t)
{
    struct mu_err err = MU_ERR_INIT;
    void *p = malloc(t->n_bytes);
    XT_OK(mu_weights_read(w, t, 0, t->n_bytes, p, &err));
    return p;
}

static void same_tensors(const char *dir, const char *published)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_weights *a, *b;
    int64_t n_others = 0;
    XT_OK(mu_weights_open(&a, dir, MU_READ_DIRECT, &err));
    XT_OK(mu_weights_open(&b, published, MU_READ_DIRECT, &err));
    for (int64_t i = 0; i < mu_weights_count(a); i++) {
        const struct mu_tensor_info *x = mu_weights_at(a, i), *y = find(b, x->name);
        XT_CHECKF(y, "%s is no published name", x->name);
        XT_EQ(x->dtype, y->dtype);
        XT_EQ(x->n_bytes, y->n_bytes);
        void *p = bytes_of(a, x), *q = bytes_of(b, y);
        XT_CHECKF(memcmp(p, q, x->n_bytes) == 0, "%s has other bytes", x->name);
        free(p);
        free(q);
    }
    for (int64_t i = 0; i < mu_weights_count(b); i++) {
        const char *name = mu_weights_at(b, i)->name;
        n_others += strstr(name, "inv_freq") || (strcmp(name, "lm_head.weight") == 0 && !find(a, name));
    }
    XT_EQ(mu_weights_count(a) + n_others, mu_weights_count(b));
    mu_weights_close(a);
    mu_weights_close(b);
}

static void check(const char *name, const char *arch)
{
    char published[256], gguf[512], out[64], dir[512];
    struct export c;
    snprintf(published, sizeof published, "tests/golden/%s", name);
    snprintf(out, sizeof out, "%s.out", name);
    in_tmp(dir, out);
    gguf_write_case(published, arch, false, in_tmp(gguf, "model.gguf"));
    export_open(&c, gguf);
    same_network(&c, gguf);
    convert(&c, gguf, dir);
    same_tensors(dir, published);
    export_close(&c);

    struct mu_spec spec; /* and the folder stands by itself */
    rig_read_spec(&spec, dir);
    mu_spec_fini(&spec);
}

XT_TEST(llama_family)
{
    check("llama2", "llama");
    check("codellama", "llama");
    check("mistral", "llama");
    check("llama_head_dim", "llama");
    check("llama_bias", "llama"); /* q and k have biases, which are permuted too */
}

XT_TEST(rotary_scalings)
{
    check("llama3_rope", "llama");
    check("llama_linear", "llama");
    check("llama_yarn", "llama");
}

XT_TEST(qwen_family)
{
    check("qwen2", "qwen2");
    check("qwen3", "qwen3");
}

XT_TEST(falcon_blocks)
{
    check("falcon_7b", "falcon");
    check("falcon_40b", "falcon");
    check("falcon_11b_v5", "falcon");
}

XT_TEST(the_committed_file)
{
    char dir[512];
    struct export c;
    export_open(&c, "tests/model/golden/llama2.gguf");
    same_network(&c, "tests/model/golden/llama2.gguf");
    convert(&c, "tests/model/golden/llama2.gguf", in_tmp(dir, "out"));
    same_tensors(dir, "tests/golden/llama2");
    export_close(&c);
}

XT_TEST(blocks_in_bf16)
{
    struct mu_err err = MU_ERR_INIT;
    struct export c;
    export_open(&c, "tests/model/golden/llama_q8.gguf");
    same_network(&c, "tests/model/golden/llama_q8.gguf");
    mu_buf_clear(&c.config);
    XT_OK(mu_export_config(c.x, MU_BF16, &c.config, &err));
    XT_CHECK(strstr(c.config.p, "\"torch_dtype\": \"bfloat16\""));
    XT_CHECK(strstr(c.config.p, "\"tie_word_embeddings\": true"));
    export_close(&c);
}

static void refused(const char *name, const char *arch, const char *part)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_weights *w;
    struct mu_export *x = NULL;
    char published[256], gguf[512];
    snprintf(published, sizeof published, "tests/golden/%s", name);
    gguf_write_case(published, arch, false, in_tmp(gguf, "model.gguf"));
    XT_OK(mu_weights_open(&w, gguf, MU_READ_DIRECT, &err));
    XT_FAILS(mu_export_open(&x, w, gguf, &err), MU_EUNSUPPORTED, part);
    XT_CHECK(!x);
    mu_weights_close(w);
}

XT_TEST(what_rows_and_names_cannot_say)
{
    refused("gpt2", "gpt2", "holds a gpt2 model, whose tensors are stacked or turned");
    refused("mixtral", "llama", "holds a mixtral model");
    refused("deepseek_v3", "deepseek2", "holds a deepseek_v3 model");
    refused("llama_bias", "qwen2", "attn_output.bias, for which a qwen2 model has no place");
}

static int open_once(void *arg, struct mu_err *e)
{
    struct mu_buf text = MU_BUF_INIT("config.json", TEXT_MAX);
    struct mu_export *x = NULL;
    int rc = mu_export_open(&x, arg, "model.gguf", e);
    if (rc == MU_OK)
        rc = mu_export_config(x, MU_DTYPE_N, &text, e);
    mu_export_close(x);
    mu_buf_fini(&text);
    return rc;
}

XT_TEST(every_allocation_may_fail)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_weights *w;
    XT_OK(mu_weights_open(&w, "tests/model/golden/llama_q8.gguf", MU_READ_DIRECT, &err));
    xt_each_alloc_fails(open_once, w);
    mu_weights_close(w);
}

XT_MAIN()
