/* checkpoint.h - what lies at a model path: the network's spec, its weights, where texts begin and end */
#ifndef MU_ENGINE_CHECKPOINT_H
#define MU_ENGINE_CHECKPOINT_H

#include "fmt/weights.h"
#include "model/spec.h"
#include <muster/engine.h>

struct mu_checkpoint {
    struct mu_spec spec;
    struct mu_weights *weights;                    /* headers only are read; NULL once closed */
    uint64_t bytes_read;                           /* of tensor data, once the weights are closed */
    char content_hash[MU_WEIGHTS_HASH_DIGITS + 1]; /* of what was read; "" until then */
    int32_t bos;                                   /* -1: none named */
    int32_t eos[MU_ENGINE_EOS_MAX];
    int n_eos;
    double repetition; /* penalty of generation_config.json; 1: none */
};

/* A folder with config.json and safetensors, a .safetensors file with its config.json beside it, or a .gguf file, or
 * a folder with one. End tokens come from generation_config.json, else config.json, else the GGUF's metadata. */
int mu_checkpoint_open(struct mu_checkpoint *out, const char *path, struct mu_err *e);
void mu_checkpoint_close_weights(struct mu_checkpoint *c);
void mu_checkpoint_fini(struct mu_checkpoint *c);

#endif
