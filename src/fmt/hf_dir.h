/* hf_dir.h - the JSON files beside the weights of a Hugging Face checkpoint folder
 *
 * config.json must be there; generation_config.json and tokenizer_config.json may be. What config.json means is the
 * model's business (src/model), what tokenizer_config.json means the tokenizer's (src/tok). */
#ifndef MU_FMT_HF_DIR_H
#define MU_FMT_HF_DIR_H

#include "base/json.h"
#include "fmt/generation.h"

struct mu_hf_dir {
    char *folder;             /* owned */
    json_t *config;           /* an object, owned */
    json_t *generation;       /* an object or NULL, owned */
    json_t *tokenizer_config; /* an object or NULL, owned */
    struct mu_generation gen;
};

#define MU_HF_DIR_INIT                                                                                                 \
    {                                                                                                                  \
        .folder = NULL                                                                                                 \
    }

#define MU_CONFIG_BYTES_MAX ((size_t)64 << 20) /* tokenizer_config.json with all added tokens takes 1 MB */

/* path: the folder, or a file in it. MU_ENOENT without config.json. */
int mu_hf_dir_open(struct mu_hf_dir *d, const char *path, struct mu_err *e);
void mu_hf_dir_close(struct mu_hf_dir *d); /* harmless when empty */

/* Path of folder/name for sentences and for opening; replaces out. */
int mu_hf_dir_path(const struct mu_hf_dir *d, const char *name, struct mu_buf *out, struct mu_err *e);

#endif
