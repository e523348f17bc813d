/* arch.h - what every architecture file gives: a reader of its config and the names of its tensors
 *
 * Internal to src/model. A new architecture is a file with a struct mu_arch, named in arch.c. */
#ifndef MU_MODEL_ARCH_H
#define MU_MODEL_ARCH_H

#include "model/config.h"
#include "model/slots.h"

/* How the tensor of that name holds a slot. n_out and n_in are the slot's. */
enum mu_part {
    MU_PART_WHOLE,      /* [n_out, n_in] */
    MU_PART_TRANSPOSED, /* [n_in, n_out]: GPT-2's Conv1D */
    MU_PART_BLOCKS,     /* all rows of q, then of k, then of v */
    MU_PART_BLOCKS_T,   /* the same, transposed: columns q, k, v */
    MU_PART_GROUPED,    /* per KV head: its query heads, then its key, then its value: every shape of Falcon */
    MU_PART_HEADS_KV,   /* per head dk_nope key rows, then dv value rows: kv_b_proj of latent attention */
    MU_PART_HEADS_K_T,  /* per head [kv_lora, dk_nope]: GGUF's attn_k_b */
    MU_PART_STACK,      /* [n, n_out, n_in]: one an expert or head */
    MU_PART_STACK_PAIR, /* [n_experts, 2 n_out, n_in], gate before up */
    MU_PART_PAIRED_ROPE /* rows of a head ordered for interleaved rotation: GGUF's llama; put back in halves */
};

/* "{l}" stands for the layer, "{e}" for the expert. Several rows of one slot are tried in order. A bias has the
 * weight's name with ".bias" for ".weight". */
struct mu_slot_name {
    enum mu_slot slot;
    const char *name;
    enum mu_part part;
};

struct mu_arch {
    const char *model_type;                                    /* "llama": config's model_type, and spec.family */
    const char *architectures[3];                              /* config's architectures[0] */
    int (*read)(const struct mu_config *c, struct mu_spec *s); /* sets all but arch, family, dtype, fp8, counts */
    const struct mu_slot_name *names;                          /* ends with name NULL */
    const char *prefix;     /* at the start of names; files without it are read too */
    const char *ignored[4]; /* endings of names that hold nothing of the network: masks, rotary buffers */
};

extern const struct mu_arch mu_arch_llama, mu_arch_mistral, mu_arch_mixtral, mu_arch_qwen2, mu_arch_qwen3, mu_arch_gpt2,
    mu_arch_falcon, mu_arch_deepseek_v2, mu_arch_deepseek_v3;

const struct mu_arch *mu_arch_of_family(const char *family);
const struct mu_arch *mu_arch_of_config(const char *architecture, const char *model_type); /* either may be NULL */

const struct mu_slot_name *mu_gguf_names(const char *family);

/* Pieces that readers share. */
int mu_read_llama_shape(const struct mu_config *c, struct mu_spec *s, struct mu_layer_spec *l,
                        int default_kv_heads); /* when the key is absent; 0: n_heads, as when it is null */
int mu_read_grouped_heads(const struct mu_config *c, struct mu_spec *s, struct mu_layer_spec *l, int default_head_dim,
                          double default_theta); /* head_dim, scale and rotation; default_head_dim 0: hidden / heads */
extern const struct mu_slot_name mu_llama_names[];

/* DeepSeek's own inference_*.json, whose keys are those of its reference code. */
bool mu_deepseek_is_inference_config(const json_t *config);
int mu_deepseek_read_inference(const struct mu_config *c, struct mu_spec *s);

#endif
