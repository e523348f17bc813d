/* shards.h - model.safetensors.index.json: which tensor lies in which file of a folder
 *
 * {"metadata": {...}, "weight_map": {"model.embed_tokens.weight": "model-00001-of-00002.safetensors", ...}} */
#ifndef MU_FMT_SHARDS_H
#define MU_FMT_SHARDS_H

#include "fmt/tensor_table.h"

#define MU_SHARDS_MAX            4096                /* DeepSeek-V3 ships 163 */
#define MU_SHARD_NAME_BYTES_MAX  255                 /* NAME_MAX of Linux */
#define MU_SHARDS_TEXT_BYTES_MAX ((size_t)256 << 20) /* 100,000 tensors take 9 MB */

struct mu_shards {
    char **names; /* of the files, in their order; owned */
    int n;
    struct mu_tensor_table listed; /* names with .file, the place of theirs in names[]; nothing else is set */
};

#define MU_SHARDS_INIT                                                                                                 \
    {                                                                                                                  \
        NULL, 0, MU_TENSOR_TABLE_INIT                                                                                  \
    }

/* From the text of an index. File names must stay in the folder: one with a '/' is MU_EFORMAT. `where` names the index.
 */
int mu_shards_parse(struct mu_shards *s, struct mu_str text, const char *where, struct mu_err *e);

/* Adds to `all` the tensors of shard number `file` that the index places there, from that shard's finished table;
 * *n_unlisted grows by the others. */
int mu_shards_take(const struct mu_shards *s, int file, const struct mu_tensor_table *shard,
                   struct mu_tensor_table *all, int64_t *n_unlisted, const char *where, struct mu_err *e);

/* MU_EFORMAT naming a tensor that the index places in a shard that does not hold it. `all` is finished. */
int mu_shards_check_complete(const struct mu_shards *s, const struct mu_tensor_table *all, const char *where,
                             struct mu_err *e);

void mu_shards_fini(struct mu_shards *s);

#endif
