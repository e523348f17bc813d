/* model.h - what a checkpoint holds, and the models muster knows by name
 *
 * A card is the description of a checkpoint: read from its config and the headers of its files, no weights. Presets
 * are the published models with their numbers built in, so that plans and bills can be made without any file.
 * Strings live as long as the card, those of presets for ever. */
#ifndef MUSTER_MODEL_H
#define MUSTER_MODEL_H

#include <stdint.h>

#include <muster/err.h>

struct mu_model_facts {
    const char *architecture;        /* "LlamaForCausalLM" */
    const char *family;              /* "llama" */
    const char *format;              /* "safetensors", "gguf", "packed"; NULL for a preset */
    const char *packed;              /* the format a packed model's weights are in: "int8"; else NULL */
    const char *dtype;               /* of its config: "bf16" */
    int64_t n_params;                /* all; multi-token-prediction layers and router biases out */
    int64_t n_params_active;         /* used for one token */
    int64_t context;                 /* tokens */
    int64_t vocab, hidden, n_layers; /* of the network */
    int64_t n_tensors, n_bytes;      /* in the files; 0 for a preset */
    int n_files;
};

typedef struct mu_model_card mu_model_card;

/* path: a folder in Hugging Face's layout or with a packed model, a .safetensors file with config.json beside it, or a
 * .gguf file. */
int mu_model_card_open(mu_model_card **out, const char *path, struct mu_err *e);
void mu_model_card_close(mu_model_card *card); /* NULL is fine */
const struct mu_model_facts *mu_model_card_facts(const mu_model_card *card);

/* Reads all of a packed model and compares it with the hash it was written with: MU_EFORMAT when it is damaged.
 * MU_EUNSUPPORTED: other formats hold no hash. */
int mu_model_card_verify(const mu_model_card *card, struct mu_err *e);

struct mu_preset {
    const char *name;    /* "Llama-2-7b" */
    const char *hub;     /* "meta-llama/Llama-2-7b-hf": its publisher's name for it, an alias here */
    const char *licence; /* of the weights */
    const char *family;
    const char *dtype;    /* as published */
    int64_t n_params;     /* 0: not counted */
    int64_t context;      /* tokens */
    const char *config;   /* the network as the text of a config.json; NULL where muster cannot run it */
    const char *obstacle; /* one sentence: why not; else NULL */
};

int mu_preset_count(void);
const struct mu_preset *mu_preset_at(int i);
const struct mu_preset *mu_preset_find(const char *name); /* by name or hub name, any case; NULL: unknown */

#endif
