/* test_bits.c - golden checkpoints end to end: the very log-probabilities and tokens of this numerics version
 *
 * That batches, chunks, threads and layouts agree is other tests' subject; here every level is held against the past
 * (tests/bits.h). Log-probabilities are hashed as f32: the last bit of their f64 is the C library's logarithm. */
#include "bits.h"
#include "xt.h"

#include <stdio.h>

#include "base/check.h"
#include "base/hash.h"
#include "tensor/ops.h"
#include <muster/engine.h>

#define PROMPT  96 /* two tiles of keys */
#define OUTPUT  12
#define REQUEST 2

static const struct checkpoint {
    const char *name, *weights, *kv, *mla;
} checkpoints[] = {
    {"llama2", "f32", "f32", NULL},
    {"llama2", "bf16", "f32", NULL},
    {"llama2", "f16", "f16", NULL},
    {"llama2", "int8", "bf16", NULL},
    {"llama2", "int4", "f32", NULL},
    {"llama2", "f32", "int8", NULL},
    {"llama3_rope", "f32", "f32", NULL},
    {"mistral_window", "f32", "f32", NULL},
    {"qwen3", "f32", "f32", NULL},
    {"gpt2", "f32", "f32", NULL},
    {"falcon_7b", "f32", "f32", NULL},
    {"falcon_alibi", "f32", "f32", NULL},
    {"mixtral", "f32", "f32", NULL},
    {"mixtral", "int8", "f32", NULL},
    {"deepseek_v2_lite", "f32", "f32", "absorbed"},
    {"deepseek_v2_lite", "f32", "f32", "naive"},
    {"deepseek_v3", "f32", "bf16", "absorbed"},
};

struct answer {
    int32_t id;
    float logprob;
};

/* What a given text is worth, and greedy output behind its beginning. */
static void ask(mu_engine *eng, struct mu_result **results)
{
    struct mu_request r[REQUEST] = {MU_REQUEST_INIT, MU_REQUEST_INIT};
    struct mu_err err = MU_ERR_INIT;
    struct mu_engine_info info;
    int32_t ids[PROMPT];
    uint64_t seed = 1;
    mu_engine_info(eng, &info);
    for (int i = 0; i < PROMPT; i++)
        ids[i] = (int32_t)(xt_rand(&seed) % (uint64_t)info.vocab);
    r[0].kind = MU_REQUEST_ROLLING;
    r[1].kind = MU_REQUEST_GENERATE;
    r[0].ids = r[1].ids = ids;
    r[0].n_ids = PROMPT;
    r[1].n_ids = PROMPT / 2;
    r[1].max_tokens = OUTPUT;
    r[1].ignore_eos = true;
    XT_OK(mu_engine_run(eng, r, REQUEST, results, &err));
}

static uint64_t hash_of(const struct mu_result *result, uint64_t seed)
{
    struct answer a[PROMPT + OUTPUT];
    const struct mu_logprobs *l = &result->tokens;
    XT_CHECKF(result->code == MU_OK, "%s", result->err.text);
    XT_CHECK(l->n <= PROMPT + OUTPUT);
    for (int i = 0; i < l->n; i++)
        a[i] = (struct answer){l->ids[i], (float)l->logprob[i]};
    return mu_hash64(a, (size_t)l->n * sizeof a[0], seed);
}

static uint64_t hash_at_level(const struct checkpoint *c, const char *level)
{
    struct mu_engine_opts o = MU_ENGINE_OPTS_INIT;
    struct mu_result *results[REQUEST];
    struct mu_err err = MU_ERR_INIT;
    mu_engine *eng = NULL;
    char path[128];
    uint64_t hash = 0;
    snprintf(path, sizeof path, "tests/golden/%s", c->name);
    o.model = path;
    o.weights = c->weights;
    o.kv_dtype = c->kv;
    o.mla = c->mla;
    o.level = level;
    o.threads = 2;
    XT_OK(mu_engine_open(&eng, &o, &err));
    ask(eng, results);
    for (int i = 0; i < REQUEST; i++) {
        hash = hash_of(results[i], hash);
        mu_result_free(results[i]);
    }
    mu_engine_close(eng);
    return hash;
}

XT_TEST(golden_checkpoints_give_the_bits_of_this_numerics_version)
{
    static struct bits bits;
    bits_open(&bits, "tests/engine/bits.txt");
    for (size_t i = 0; i < MU_COUNT(checkpoints); i++) {
        const struct checkpoint *c = &checkpoints[i];
        char name[BITS_NAME_MAX];
        snprintf(name, sizeof name, "%s.%s.kv-%s%s%s", c->name, c->weights, c->kv, c->mla ? "." : "",
                 c->mla ? c->mla : "");
        for (const struct mu_ops *const *l = mu_cpu_levels(); *l; l++) {
            if ((*l)->is_available())
                bits_add(&bits, name, (*l)->level, hash_at_level(c, (*l)->level));
            else if (i == 0)
                xt_note("level %s not tested: no %s", (*l)->level, (*l)->missing());
        }
    }
    bits_close(&bits);
}
