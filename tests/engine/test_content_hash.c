/* test_content_hash.c - the hash of a model's content: what changes it and what does not */
#include "xt.h"

#include <stdio.h>

#include "base/check.h"
#include "base/file.h"
#include "fmt/convert.h"
#include <muster/engine.h>

#define FILE_BYTES_MAX ((size_t)64 << 20)

struct hash {
    char text[MU_WEIGHTS_HASH_DIGITS + 1];
};

static struct hash hash_with(const char *model, const char *weights, const char *mla, int threads)
{
    struct mu_engine_opts o = MU_ENGINE_OPTS_INIT;
    struct mu_err err = MU_ERR_INIT;
    struct mu_engine_info info;
    struct hash h;
    mu_engine *eng = NULL;
    o.model = model;
    o.weights = weights;
    o.mla = mla;
    o.threads = threads;
    o.context_max = 16;
    o.rows_max = 4;
    o.sequences_max = 2;
    o.memory_bytes_max = (size_t)512 << 20;
    XT_OK(mu_engine_open(&eng, &o, &err));
    mu_engine_info(eng, &info);
    XT_EQ(strlen(info.weights_hash), MU_WEIGHTS_HASH_DIGITS);
    XT_EQ(strspn(info.weights_hash, "0123456789abcdef"), MU_WEIGHTS_HASH_DIGITS);
    snprintf(h.text, sizeof h.text, "%s", info.weights_hash);
    mu_engine_close(eng);
    return h;
}

static struct hash hash_of(const char *model)
{
    return hash_with(model, NULL, NULL, 1);
}

/* One occurrence of `from` in a file of the folder becomes `to`, of the same length; from NULL: one bit near the end.
 */
static void change(const char *folder, const char *name, const char *from, const char *to)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_buf b = MU_BUF_INIT("a file", FILE_BYTES_MAX);
    char path[800];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    XT_OK(mu_file_read_all(&b, path, &err));
    if (from) {
        char *at = memmem(b.p, b.n, from, strlen(from));
        XT_CHECK(at);
        memcpy(at, to, strlen(to));
    } else {
        b.p[b.n - 4] ^= 1;
    }
    FILE *f = fopen(path, "wb");
    XT_CHECK(f);
    XT_EQ(fwrite(b.p, 1, b.n, f), b.n);
    fclose(f);
    mu_buf_fini(&b);
}

static const char *copy_of(const char *model, const char *name, uint64_t shard_bytes_max)
{
    static char path[800];
    struct mu_convert_opts o = MU_CONVERT_OPTS_INIT;
    struct mu_err err = MU_ERR_INIT;
    o.shard_bytes_max = shard_bytes_max;
    snprintf(path, sizeof path, "%s/%s", xt_tmpdir(), name);
    XT_OK(mu_convert(model, path, &o, NULL, &err));
    return path;
}

static void same_however_loaded(const char *model)
{
    struct hash h = hash_of(model);
    XT_STREQ(hash_with(model, NULL, NULL, 3).text, h.text);
    XT_STREQ(hash_with(model, "int8", NULL, 2).text, h.text);
    XT_STREQ(hash_with(model, NULL, "naive", 1).text, h.text);
    XT_STREQ(hash_of(copy_of(model, "sharded", 20000)).text, h.text); /* many files, another order */
}

XT_TEST(neither_threads_nor_formats_nor_shards_change_it)
{
    same_however_loaded("tests/golden/llama2");
}

XT_TEST(nor_for_experts_and_latent_attention)
{
    same_however_loaded("tests/golden/deepseek_v3");
}

XT_TEST(nor_for_transposed_tensors)
{
    same_however_loaded("tests/golden/gpt2");
}

XT_TEST(nor_for_scaled_blocks)
{
    const char *model = "tests/golden/deepseek_v3_fp8";
    XT_STREQ(hash_with(model, NULL, NULL, 3).text, hash_of(model).text);
    XT_STREQ(hash_with(model, NULL, "naive", 1).text, hash_of(model).text);
}

XT_TEST(a_bit_a_name_or_a_number_of_the_config_changes_it)
{
    struct hash h = hash_of("tests/golden/llama2");
    const char *copy = copy_of("tests/golden/llama2", "copy", 0);
    XT_STREQ(hash_of(copy).text, h.text);
    change(copy, "model.safetensors", NULL, NULL);
    XT_CHECK(strcmp(hash_of(copy).text, h.text) != 0);
    change(copy, "model.safetensors", NULL, NULL); /* and back */
    XT_STREQ(hash_of(copy).text, h.text);
    change(copy, "config.json", "\"rms_norm_eps\": 1e-0", "\"rms_norm_eps\": 3e-0");
    XT_CHECK(strcmp(hash_of(copy).text, h.text) != 0);
    XT_CHECK(strcmp(hash_of("tests/golden/mistral").text, h.text) != 0);

    copy = copy_of("tests/golden/llama2", "swapped", 0); /* two layers' tensors change places */
    change(copy, "model.safetensors", "model.layers.0.mlp.up_proj", "model.layers.X.mlp.up_proj");
    change(copy, "model.safetensors", "model.layers.1.mlp.up_proj", "model.layers.0.mlp.up_proj");
    change(copy, "model.safetensors", "model.layers.X.mlp.up_proj", "model.layers.1.mlp.up_proj");
    XT_CHECK(strcmp(hash_of(copy).text, h.text) != 0);
}
