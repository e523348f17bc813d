/* load_int.h - what the loader's files share
 *
 * A fill is one slot of the whole model and where its numbers lie; a rank packs its pieces of it. Staging memory, of
 * the rank and (alone: of the rank too) of the ranks of its node:
 *
 *   | fills | f32 of the chunk | f32 scales of F8 blocks | who needs what | whose rows are whose |
 *   | raw bytes, one window or two | raw scales | */
#ifndef MU_MODEL_LOAD_INT_H
#define MU_MODEL_LOAD_INT_H

#include <pthread.h>
#include <stdatomic.h>

#include "model/model_int.h"
#include "model/source.h"

#define MU_LOAD_CHUNK_ELEMS ((int64_t)4 << 20) /* 16 MiB of f32: long reads, and little memory */
#define MU_ELEM_BYTES_MAX   8
#define MU_TURNED_BYTES_MAX 4 /* an element of a transposed tensor */

struct mu_fill {
    struct mu_slot_use use; /* of the whole model */
    struct mu_source src;
};

struct mu_staging {
    size_t fills, f32, scales, needs, held; /* bytes, the rank's own */
    size_t raw, raw_scales;                 /* bytes of one window; of scales as stored */
    int n_windows;                          /* 2 where ranks read together: one is packed while the other is read */
    int64_t n_fills, chunk, n_scales;       /* elements of a chunk, scales of a tensor */
    size_t own, window, total;              /* sums of the above */
};

/* The sum of the hashes of all rows read; see load_hash.c. */
struct mu_content {
    atomic_uint_fast64_t low, high;
};

/* Row r of a slot is this row of its tensor. */
static inline int64_t mu_source_row(const struct mu_source *s, int64_t r)
{
    return s->first + r / s->run * s->stride + r % s->run;
}

/* Rows [r, r + n) of the source, side by side. Any thread. */
void mu_content_add_rows(struct mu_content *c, const struct mu_source *s, const char *rows, size_t row_bytes, int64_t r,
                         int64_t n);
void mu_content_name(const struct mu_content *c, const struct mu_spec *s, char out[MU_CONTENT_HASH_BYTES]);

struct mu_loader {
    struct mu_model *m;
    struct mu_weights *w;
    struct mu_names names;
    struct mu_staging size;
    struct mu_fill *fills;
    int64_t n;
    float *f32, *scales;
    char *windows, *scales_raw;
    char *raw;                           /* the window in use */
    const struct mu_tensor_info *turned; /* the transposed tensor that lies in raw */
    int64_t turned_row0;
    const struct mu_tensor_info *scaled; /* the tensor whose scales are loaded */
    const struct mu_shard *shard;
    int rank, n_ranks;       /* of those that read together */
    int column, n_columns;   /* readers of a node; -1: this rank is none */
    int node, n_nodes;       /* that read together */
    uint32_t *needs;         /* [n_nodes][words of a bit a fill], where there are many */
    uint64_t *held;          /* [n] whose rows a fill's are (load_apart.c), where ranks read together */
    const struct mu_fill *f; /* the one at hand */
    int64_t turn;            /* reads so far: says which window, and who reads what */
    bool has_ended;          /* a failure is known to all of them */
    mu_progress_fn progress;
    void *progress_arg;
    uint64_t done, total;
    struct mu_content content;
    struct mu_err *e;
};

/* Of several threads: the earliest rows give the sentence, whatever the number of threads. */
struct mu_load_failure {
    pthread_mutex_t lock;
    int64_t row; /* -1: none failed */
    int rc;
    struct mu_err e;
};
#define MU_LOAD_FAILURE_INIT                                                                                           \
    {                                                                                                                  \
        .lock = PTHREAD_MUTEX_INITIALIZER, .row = -1                                                                   \
    }
void mu_load_note_failure(struct mu_load_failure *f, int64_t row, int rc, const struct mu_err *e);

/* Sizes from the spec alone. */
struct mu_staging mu_load_staging(const struct mu_spec *s, const struct mu_model_opts *o);

/* Rows of a chunk are a multiple of this: most panels are packed whole, and paired heads are put back whole. */
int64_t mu_load_row_unit(const struct mu_spec *s, const struct mu_slot_use *u);

/* Rows [r, r + n) of the source into the next window, hashed, by all ranks that read together: when it returns they are
 * there for everybody, or all have failed. f: whose tied head is compared on the way, or NULL. */
int mu_load_rows(struct mu_loader *l, const struct mu_source *s, size_t row_bytes, int64_t r, int64_t n,
                 const struct mu_fill *f);

/* The same to another place than a window. */
int mu_load_read(struct mu_loader *l, const struct mu_source *s, size_t row_bytes, int64_t r, int64_t n, char *to,
                 const struct mu_fill *f);

/* Rows [r, r + n) of the source to dst, side by side, hashed, in as few reads as the layout allows. Any thread. */
int mu_load_read_rows(struct mu_loader *l, const struct mu_source *s, size_t row_bytes, int64_t r, int64_t n, char *dst,
                      struct mu_err *e);

/* Whether nobody else takes part in the fill, and nothing has to be compared with it: mu_load_read_and_pack() will do.
 */
bool mu_load_is_alone(const struct mu_loader *l, const struct mu_fill *f);

/* Whether its numbers are packed as they lie in the file. */
bool mu_load_is_direct(const struct mu_source *s);

/* What a tied file holds beside the embedding that f fills, to be compared with it, or NULL. */
const struct mu_tensor_info *mu_load_other_head(const struct mu_loader *l, const struct mu_fill *f);

/* ---- load_apart.c: rows that one rank holds alone ---- */

/* Once the fills are found: which are cut into rows that each one rank holds. */
int mu_load_find_apart(struct mu_loader *l);
bool mu_load_is_apart(const struct mu_loader *l, const struct mu_fill *f);
int mu_load_fill_apart(struct mu_loader *l, const struct mu_fill *f, size_t row_bytes);

/* ---- load_peers.c: nodes that read together ---- */

/* Once the fills are found: which nodes need which. */
int mu_load_find_needs(struct mu_loader *l);

/* Of n rows this rank's to read. *column: those that its column reads, on all nodes that need them. */
struct mu_run mu_load_share(const struct mu_loader *l, int64_t n, size_t row_bytes, struct mu_run *column);

/* What the readers of the column have read, to all of them: rows of `to`. */
int mu_load_exchange(struct mu_loader *l, struct mu_run column, size_t row_bytes, char *to);

static inline int64_t mu_load_words(int64_t n_fills)
{
    return (n_fills + 31) / 32;
}

/* What all of them return: rc, or the first failure of a peer. */
int mu_load_meet(struct mu_loader *l, int rc);

/* ---- load_alike.c: ranks that pack one block of weights ---- */

/* Of n rows of a piece, cut between units, this rank's to pack. */
struct mu_run mu_load_pack_share(const struct mu_loader *l, int64_t n, int64_t unit);

/* When all have packed: every rank of the block sees what the others did. */
int mu_load_finish_block(struct mu_loader *l);

/* This rank's pieces of rows [r, r + n) of the slot, which lie in raw (the whole tensor when it is transposed). */
int mu_load_pack(struct mu_loader *l, const struct mu_fill *f, size_t row_bytes, int64_t r, int64_t n);
/* Reads rows [r, r + n) of the slot, all of which a piece of this rank's holds, and packs them; with other ranks only
 * what is packed as it lies. */
int mu_load_read_and_pack(struct mu_loader *l, const struct mu_fill *f, const struct mu_slot_use *piece,
                          size_t row_bytes, int64_t r, int64_t n);
int mu_load_pack_vector(struct mu_loader *l, const struct mu_fill *f, size_t elem);

/* Logs how many tensors no slot needs, but for those known to hold nothing of the network. */
void mu_load_report_unused(const struct mu_loader *l);

#endif
