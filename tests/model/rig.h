/* rig.h - a loaded model with a trivial page table, for tests
 *
 * Sequence s owns pages s * pages_max ... in reverse order, so that page numbers and positions are not the same thing.
 */
#ifndef RIG_H
#define RIG_H

#include "model/model.h"
#include "xt.h"

struct rig_opts {
    enum mu_wformat format;
    enum mu_mla_form mla;
    enum mu_dtype kv_dtype; /* 0 stands for f32 */
    int64_t context;        /* 0: 512, or less where positions are learned */
    int rows_max;           /* 0: 512 */
    int n_seqs;             /* 0: 1 */
    const char *level;
    int n_threads; /* 0: 1 */
};

struct rig {
    struct mu_device *d;
    struct mu_weights *w;
    struct mu_model *m;
    struct mu_model_sizes sizes;
    void *kv;
    int32_t *pages;
    int pages_max, n_seqs;
    int64_t vocab;
};

/* A checkpoint folder with config.json and weights, or a .gguf file. Fails the running test on error. */
void rig_open(struct rig *r, const char *dir, const struct rig_opts *o);
void rig_close(struct rig *r);

/* Feed tokens of one sequence at positions pos... as one step. */
void rig_feed(struct rig *r, int seq, int pos, const int32_t *ids, int n);

/* Logits of row `row` of the last step. */
const float *rig_logits(struct rig *r, int row);

int rig_argmax(const struct rig *r, const float *logits);

/* A JSON array of numbers into a fresh array; *n receives its length. Free with mu_free(). */
int32_t *rig_ids(const json_t *list, int *n);

void rig_read_spec(struct mu_spec *s, const char *dir);

#endif
