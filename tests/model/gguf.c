/* gguf.c - golden checkpoints rewritten as llama.cpp's converter writes them give the same bits as they are */
#include <stdio.h>

#include "base/check.h"
#include "gguf_write.h"
#include "rig.h"

static const int32_t ids[] = {5, 60, 17, 80, 9, 33, 41, 22, 90, 11, 12};

static void compare_as(const char *name, const char *arch, double tolerance, bool is_split, enum mu_mla_form mla)
{
    char dir[256], path[512];
    float want[512];
    struct rig r;

    snprintf(dir, sizeof dir, "tests/golden/%s", name);
    snprintf(path, sizeof path, "%s/model.gguf", xt_tmpdir());
    gguf_write_case(dir, arch, is_split, path);
    rig_open(&r, dir, &(struct rig_opts){.mla = mla});
    rig_feed(&r, 0, 0, ids, 11);
    memcpy(want, rig_logits(&r, 10), (size_t)r.vocab * sizeof(float));
    rig_close(&r);

    rig_open(&r, path, &(struct rig_opts){.mla = mla});
    rig_feed(&r, 0, 0, ids, 11);
    const float *is = rig_logits(&r, 10);
    for (int i = 0; i < r.vocab; i++)
        XT_CHECKF(fabs((double)is[i] - (double)want[i]) <= tolerance, "%s: logit %d is %.9g, not %.9g", name, i,
                  (double)is[i], (double)want[i]);
    rig_close(&r);
}

static void compare(const char *name, const char *arch, double tolerance)
{
    compare_as(name, arch, tolerance, false, MU_MLA_ABSORBED);
}

XT_TEST(llama_family)
{
    compare("llama_head_dim", "llama", 0);
    compare("llama_bias", "llama", 0);
    compare("llama3_rope", "llama", 1e-5); /* factors are a rounding away from frequencies */
    compare("llama_linear", "llama", 0);
    compare("llama_yarn", "llama", 0);
    compare("mixtral", "llama", 0);
}

XT_TEST(qwen_family)
{
    compare("qwen3", "qwen3", 0);
    compare("qwen2", "qwen2", 0);
}

XT_TEST(gpt2_with_turned_weights)
{
    compare("gpt2", "gpt2", 0);
}

XT_TEST(falcon_with_blocks)
{
    compare("falcon_40b", "falcon", 0);
    compare("falcon_11b_v5", "falcon", 0);
}

XT_TEST(deepseek2)
{
    compare("deepseek_v2_lite", "deepseek2", 0);
    compare("deepseek_v3", "deepseek2", 0);
    for (int mla = 0; mla < 2; mla++) {
        compare_as("deepseek_v3", "deepseek2", 0, false, (enum mu_mla_form)mla);
        compare_as("deepseek_v3", "deepseek2", 0, true, (enum mu_mla_form)mla);
    }
}

XT_TEST(unknown_architectures_are_named)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_spec s;
    struct mu_weights *w;
    char path[512];
    snprintf(path, sizeof path, "%s/model.gguf", xt_tmpdir());
    gguf_write_case("tests/golden/llama_bias", "mamba", false, path);
    XT_OK(mu_weights_open(&w, path, MU_READ_DIRECT, &err));
    XT_FAILS(mu_spec_from_gguf(&s, w, path, &err), MU_EUNSUPPORTED, "general.architecture is \"mamba\"");
    mu_weights_close(w);
}

XT_MAIN()
