/* model.h - a spec with its weights on a device, and the one forward pass
 *
 * Life: mu_spec -> mu_model_sizes() (pure; the memory bill) -> mu_model_load() -> mu_model_step() many times ->
 * mu_model_free(). A loaded model is immutable; steps of one device run one at a time. */
#ifndef MU_MODEL_MODEL_H
#define MU_MODEL_MODEL_H

#include "fmt/weights.h"
#include "model/spec.h"
#include "tensor/ops.h"

#define MU_STEP_ROWS_MAX (1 << 20) /* far above any useful step; keeps sizes inside 64 bits */

enum mu_mla_form { MU_MLA_ABSORBED, MU_MLA_NAIVE }; /* cache the latent, or expanded keys and values */

struct mu_model_opts {
    enum mu_wformat format; /* of linear weights; norms, biases, routers and rope tables stay f32 */
    enum mu_dtype kv_dtype; /* F32, BF16 or F16 */
    enum mu_mla_form mla;
    int64_t context_max; /* positions the rope table covers; 0: the spec's */
    int rows_max;        /* rows of the largest step */
    int logit_rows_max;  /* rows of the largest mu_model_logits() */
};

/* Bytes of everything a loaded model needs beside the KV pages, exactly as mu_model_load() will take them. */
struct mu_model_sizes {
    size_t weights;      /* packed matrices, scales, norms, biases, tables */
    size_t host;         /* bookkeeping on the host: a few kilobytes a layer, some bytes an expert */
    size_t load_staging; /* host buffer while loading, freed after */
    size_t activations;  /* of a step of rows_max rows */
    size_t work;         /* scratch of the largest op; mu_model_load() reserves it on the device */
    size_t logits;       /* [logit_rows_max, vocab] f32 */
    size_t kv_page;      /* one page of MU_KV_PAGE positions, all layers */
};
int mu_model_sizes(const struct mu_spec *s, const struct mu_model_opts *o, const struct mu_device *d,
                   struct mu_model_sizes *out, struct mu_err *e);

struct mu_model;
typedef int (*mu_progress_fn)(void *arg, uint64_t done, uint64_t total); /* nonzero: stop with MU_ECANCELED */

/* Reads every needed tensor once, in file order where it can, packs on the device's host threads. Missing tensors,
 * wrong shapes or dtypes, NaN weights are errors naming the tensor; tensors nobody needs are counted and logged once.
 * Takes the spec's content (moved). */
int mu_model_load(struct mu_model **out, struct mu_spec *s, const struct mu_model_opts *o, struct mu_weights *w,
                  struct mu_device *d, mu_progress_fn progress, void *progress_arg, struct mu_err *e);
void mu_model_free(struct mu_model *m);

const struct mu_spec *mu_model_spec(const struct mu_model *m);

/* Hexadecimal, of every tensor read (name, stored type, shape, bytes) and of the spec's numbers: not of paths, shards
 * or the format in memory. */
#define MU_CONTENT_HASH_BYTES 33
const char *mu_model_content_hash(const struct mu_model *m);

/* The KV memory: the caller allocates pages_n * sizes.kv_page device bytes and hands them over before the first step.
 */
void mu_model_set_kv(struct mu_model *m, void *kv, int64_t pages_n);

/* Rotary scalings that depend on the length of a request (rope_table.h) take it from here: lengths[seq] for the seq of
 * every row of the steps to come, borrowed until the next call. A length counts all tokens the request will ever feed.
 * Without it (NULL, the default) positions past the original context are refused. */
void mu_model_set_lengths(struct mu_model *m, const int32_t *lengths);

/* Copy one page (copy-on-write of a shared prefix's last page). */
int mu_model_copy_page(struct mu_model *m, int32_t dst, int32_t src, struct mu_err *e);

/* One step: rows->n tokens ids[] at rows->pos[] of sequences rows->seq[]. Rows of one sequence are neighbours in
 * increasing position; all earlier positions of it are in the cache. After it, row r can be given to
 * mu_model_logits(). MU_EINVAL for a token outside the vocabulary, MU_ELIMIT for a position past the context. */
int mu_model_step(struct mu_model *m, const int32_t *ids, const struct mu_rows *rows, struct mu_err *e);

/* Logits of rows idx[0..n) of the last step, n <= logit_rows_max: final norm, then the head. *logits: [n, vocab] f32,
 * device memory of the model, until the next call. */
int mu_model_logits(struct mu_model *m, const int32_t *idx, int n, const float **logits, struct mu_err *e);

#endif
