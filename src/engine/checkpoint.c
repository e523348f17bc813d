/* checkpoint.c - see checkpoint.h */
#include "engine/checkpoint.h"

#include "base/check.h"
#include "fmt/gguf.h"
#include "fmt/hf_dir.h"

_Static_assert(MU_ENGINE_EOS_MAX >= MU_EOS_MAX, "every end token a checkpoint may name has room");

static int read_folder(struct mu_checkpoint *c, const char *path, struct mu_err *e)
{
    struct mu_hf_dir d = MU_HF_DIR_INIT;
    int rc;

    MU_TRY(mu_hf_dir_open(&d, path, e));
    MU_TRY(mu_spec_from_config(&c->spec, d.config, d.folder, e));
    c->n_eos = d.gen.n_eos;
    for (int i = 0; i < c->n_eos; i++)
        c->eos[i] = (int32_t)d.gen.eos[i];
    c->bos = (int32_t)d.gen.bos;
    if (d.gen.repetition_penalty > 0)
        c->repetition = d.gen.repetition_penalty;
out:
    mu_hf_dir_close(&d);
    return rc;
}

static int read_gguf(struct mu_checkpoint *c, const char *path, struct mu_err *e)
{
    const struct mu_gguf *g = mu_weights_gguf(c->weights);
    int64_t id;
    MU_TRY_RETURN(mu_spec_from_gguf(&c->spec, c->weights, path, e));
    if (mu_gguf_int(g, "tokenizer.ggml.eos_token_id", 0, c->spec.vocab - 1, &id, NULL) == MU_OK)
        c->eos[c->n_eos++] = (int32_t)id;
    if (mu_gguf_int(g, "tokenizer.ggml.bos_token_id", 0, c->spec.vocab - 1, &id, NULL) == MU_OK)
        c->bos = (int32_t)id;
    return MU_OK;
}

int mu_checkpoint_open(struct mu_checkpoint *out, const char *path, struct mu_err *e)
{
    struct mu_checkpoint c = {.spec = MU_SPEC_INIT, .bos = -1, .repetition = 1};
    int rc;

    MU_TRY(mu_weights_open(&c.weights, path, MU_READ_DIRECT, e));
    MU_TRY(mu_weights_gguf(c.weights) ? read_gguf(&c, path, e) : read_folder(&c, path, e));
    *out = c;
    c = (struct mu_checkpoint){.spec = MU_SPEC_INIT};
out:
    mu_checkpoint_fini(&c);
    return rc;
}

void mu_checkpoint_close_weights(struct mu_checkpoint *c)
{
    mu_weights_close(c->weights);
    c->weights = NULL;
}

void mu_checkpoint_fini(struct mu_checkpoint *c)
{
    mu_checkpoint_close_weights(c);
    mu_spec_fini(&c->spec);
}
