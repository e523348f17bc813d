/* model.h - a spec with its weights on a device, and the one forward pass
 *
 * Life: mu_spec -> mu_model_sizes() (pure; the memory bill) -> mu_model_load() -> mu_model_step() many times ->
 * mu_model_free(). A loaded model is immutable; steps of one device run one at a time.
 *
 * A model may be one rank's part of the network (shard.h). Then loading, steps and logits are collective: the tensor
 * ranks of a lane make the same calls with the same rows; with several lanes all ranks of the stage make as many steps,
 * those without rows a step of 0 rows. The numbers are the same bits for every way of cutting. */
#ifndef MU_MODEL_MODEL_H
#define MU_MODEL_MODEL_H

#include "fmt/weights.h"
#include "model/shard.h"
#include "model/spec.h"
#include "tensor/ops.h"

#define MU_STEP_ROWS_MAX (1 << 20) /* far above any useful step; keeps sizes inside 64 bits */

enum mu_mla_form { MU_MLA_ABSORBED, MU_MLA_NAIVE }; /* cache the latent, or expanded keys and values */
const char *mu_mla_form_name(enum mu_mla_form f);   /* "absorbed" */
int mu_mla_form_from_name(enum mu_mla_form *out, const char *name, struct mu_err *e);

/* The format that a checkpoint's weights are held in when none is asked for: its own. fp8 becomes bf16: each weight is
 * its value times the f32 scale of its block, rounded to the nearest bf16, so not exact; f32 weights round far less. */
enum mu_wformat mu_model_own_format(const struct mu_spec *s);

struct mu_model_opts {
    enum mu_wformat format; /* of linear weights; norms, biases, routers and rope tables stay f32 */
    enum mu_dtype kv_dtype; /* tensor/kv_type.h */
    enum mu_mla_form mla;
    int64_t context_max;          /* positions the rope table covers; 0: the spec's */
    int rows_max;                 /* rows of the largest step */
    int logit_rows_max;           /* rows of the largest mu_model_logits() */
    const struct mu_shard *shard; /* the part to hold, copied by mu_model_load(); NULL: the whole */
    bool is_mapped; /* the weights are a packed file (packed.h): a bill must be told, loading sees for itself */
    int slice_rows; /* a step from which tensor ranks see to slices of their rows of experts; 0: chosen (moe.c) */
};

/* Whether a model of this spec can have a KV cache of this type. */
int mu_model_check_kv(const struct mu_spec *s, enum mu_dtype kv, struct mu_err *e);

/* Bytes of everything a loaded model needs beside the KV pages, exactly as mu_model_load() will take them. */
struct mu_model_sizes {
    size_t weights;      /* packed matrices, scales, norms, biases, tables */
    size_t host;         /* bookkeeping on the host: a few kilobytes a layer, some bytes an expert */
    size_t load_staging; /* host buffers while loading, freed after; ranks of a node share nearly half of it */
    size_t activations;  /* of a step of rows_max rows */
    size_t work;         /* scratch of the largest op; mu_model_load() reserves it on the device */
    size_t logits;       /* [logit_rows_max, vocab] f32, and what gathering them takes */
    size_t kv_page;      /* one page of MU_KV_PAGE positions, all layers held */
    int kv_owners;       /* ranks that share the pages out (shard.h): each has one in so many */
    int weights_holders; /* ranks that have the weights in one block between them; 0 stands for 1 */
    bool is_mapped;      /* weights are pages of a file, which has no tables: these are among the activations */
    size_t copied;       /* of mapped weights, the parts that a rank copies: it has them for itself */
};
/* The groups of a shard may be NULL; only `together` counts, in load_staging, and n_alike, in weights_holders. */
int mu_model_sizes(const struct mu_spec *s, const struct mu_model_opts *o, const struct mu_device *d,
                   struct mu_model_sizes *out, struct mu_err *e);

struct mu_model;
typedef int (*mu_progress_fn)(void *arg, uint64_t done, uint64_t total); /* nonzero: stop with MU_ECANCELED */

/* A packed model is mapped: its options must ask for the formats it is in. Else:
 * Reads every needed tensor once, in file order where it can, packs on the device's host threads. Missing tensors,
 * wrong shapes or dtypes, NaN weights are errors naming the tensor; tensors nobody needs are counted and logged once.
 * Takes the spec's content (moved).
 *
 * A part is packed out of the whole: the ranks of shard->node read each chunk of the files once between them, into
 * memory they share (so the content's hash is the whole model's on each). When one of them fails, all fail with its
 * sentence. Without shard->node a rank reads everything by itself; with shard->together all of this holds over nodes.
 * Into shard->weights the ranks of shard->alike pack a share each: it is theirs together, and outlives the model. */
int mu_model_load(struct mu_model **out, struct mu_spec *s, const struct mu_model_opts *o, struct mu_weights *w,
                  struct mu_device *d, mu_progress_fn progress, void *progress_arg, struct mu_err *e);
void mu_model_free(struct mu_model *m);

/* Collective over all, whose nodes will read each chunk once between them and send it to each other; sh->node is set.
 * On one node it changes nothing. The caller closes sh->column. */
int mu_model_load_over_nodes(struct mu_shard *sh, struct mu_comm *all, struct mu_err *e);

const struct mu_spec *mu_model_spec(const struct mu_model *m);

/* Hexadecimal, of every tensor read (name, stored type, shape, bytes) and of the spec's numbers: not of paths, shards
 * or the format in memory. */
#define MU_CONTENT_HASH_BYTES 33
const char *mu_model_content_hash(const struct mu_model *m);

/* The KV memory: the caller allocates pages_n * sizes.kv_page device bytes and hands them over before the first step.
 * Where kv_owners ranks share a cache, page p of a page table is rank p % kv_owners's, which must be the owner of that
 * part of the sequence (mu_shard_page_owner), and lies at p / kv_owners there. */
void mu_model_set_kv(struct mu_model *m, void *kv, int64_t pages_n);

/* Rotary scalings that depend on the length of a request (rope_table.h) take it from here: lengths[seq] for the seq of
 * every row of the steps to come, borrowed until the next call. A length counts all tokens the request will ever feed.
 * Without it (NULL, the default) positions past the original context are refused. */
void mu_model_set_lengths(struct mu_model *m, const int32_t *lengths);

/* How many rows each expert was chosen for since the model was loaded, [layers][mu_experts_most()] in *n numbers: of
 * the layers held and the rows of this lane. The caller may add to them, or set them back. */
int64_t *mu_model_expert_rows(struct mu_model *m, int64_t *n);

/* Copy one page (copy-on-write of a shared prefix's last page). */
int mu_model_copy_page(struct mu_model *m, int32_t dst, int32_t src, struct mu_err *e);

/* One step: rows->n tokens ids[] at rows->pos[] of sequences rows->seq[]. Rows of one sequence are neighbours in
 * increasing position; all earlier positions of it are in the cache. After it, row r can be given to
 * mu_model_logits(). MU_EINVAL for a token outside the vocabulary, MU_ELIMIT for a position past the context.
 * Numbers that overflow, and with several lanes rows that cannot be run, do not keep a rank from its collectives: the
 * step goes on, peers get their rows, and the error is told at the end. */
int mu_model_step(struct mu_model *m, const int32_t *ids, const struct mu_rows *rows, struct mu_err *e);

/* The hidden rows, [rows_max][hidden] f32, device memory of the model: what a step leaves, and what a stage without
 * embedding starts from. */
float *mu_model_hidden(struct mu_model *m);

/* A step whose rows lie at hidden rows [at, at + rows->n), so that several may wait to be handed on. A stage without
 * embedding takes them as they are there; ids may then be NULL. */
int mu_model_step_at(struct mu_model *m, const int32_t *ids, const struct mu_rows *rows, int at, struct mu_err *e);

/* After several such steps: the next mu_model_logits() counts rows from hidden row 0 on, of which n are computed. */
void mu_model_read_all(struct mu_model *m, int n);

/* Logits of rows idx[0..n) of the last step, n <= logit_rows_max: final norm, then the head. *logits: [n, vocab] f32,
 * device memory of the model, until the next call. Only where the head is; of tensor ranks only the first gets them,
 * *logits is NULL on others. */
int mu_model_logits(struct mu_model *m, const int32_t *idx, int n, const float **logits, struct mu_err *e);

#endif
