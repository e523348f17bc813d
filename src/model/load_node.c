/* load_node.c - ranks of a node read the checkpoint once between them
 *
 * Every rank walks the same fills and reads its share of each chunk into a window that all of them see; which share is
 * whose moves on with each chunk, so that none always reads the same place of a stripe. Two windows in turn: a rank
 * that reads into one has met its peers since they packed what lay there before, so one meeting a chunk is enough. The
 * meeting also carries failures: the first rank's sentence ends the load of all. */
#include <pthread.h>
#include <string.h>

#include "base/check.h"
#include "base/pool.h"
#include "model/load_int.h"

#define SHARE_BYTES_MIN ((uint64_t)64 << 10) /* less than this is read by one rank */

int mu_load_agree(const struct mu_shard *sh, int rc, struct mu_err *e)
{
    struct mu_err told = MU_ERR_INIT;

    if (!sh || !sh->node)
        return rc;
    int size = mu_comm_size(sh->node), rank = mu_comm_rank(sh->node);
    int64_t first = rc == MU_OK ? 0 : size - rank;
    int lost = mu_comm_all_reduce(sh->node, &first, 1, MU_REDUCE_MAX_I64, rc == MU_OK ? e : NULL);
    if (lost != MU_OK)
        return rc == MU_OK ? lost : rc;
    if (first == 0)
        return MU_OK;
    if (first == size - rank) {
        told = e ? *e : told;
        told.code = rc;
    }
    MU_TRY_RETURN(mu_comm_broadcast(sh->node, &told, sizeof told, size - (int)first, e));
    mu_comm_barrier(sh->node, NULL); /* whoever leaves first may end the world: all have the sentence by then */
    if (e)
        *e = told;
    return told.code;
}

int mu_load_meet(struct mu_loader *l, int rc)
{
    rc = mu_load_agree(l->shard, rc, l->e);
    l->has_ended = rc != MU_OK;
    return rc;
}

/* ---- reading ---- */

/* This rank's rows of n. */
static struct mu_run share_of(const struct mu_loader *l, int64_t n, size_t row_bytes)
{
    int64_t i = (l->rank + l->turn) % l->n_ranks;
    if ((uint64_t)n * row_bytes < SHARE_BYTES_MIN)
        return (struct mu_run){0, i == 0 ? n : 0};
    int64_t begin = n * i / l->n_ranks;
    return (struct mu_run){begin, n * (i + 1) / l->n_ranks - begin};
}

/* Rows [r, r + n) of the slot to dst, side by side, in as few reads as the layout allows. */
static int read_rows(struct mu_loader *l, const struct mu_source *s, size_t row_bytes, int64_t r, int64_t n, char *dst,
                     struct mu_err *e)
{
    for (int64_t i = 0; i < n;) {
        int64_t run = MU_MIN(s->run - (r + i) % s->run, n - i);
        MU_TRY_RETURN(mu_weights_read(l->w, s->t, (uint64_t)mu_source_row(s, r + i) * row_bytes,
                                      (uint64_t)run * row_bytes, dst + (size_t)i * row_bytes, e));
        mu_content_add_rows(&l->content, s, dst + (size_t)i * row_bytes, row_bytes, r + i, run);
        i += run;
    }
    return MU_OK;
}

struct read_job {
    struct mu_loader *l;
    const struct mu_source *s;
    size_t row_bytes;
    int64_t r, first; /* of the chunk in the slot, of the share in the chunk */
    struct mu_load_failure failure;
};

static void read_run(void *arg, int64_t begin, int64_t end, int worker)
{
    struct read_job *j = arg;
    struct mu_err e = MU_ERR_INIT;
    int64_t at = j->first + begin;
    (void)worker;
    int rc = read_rows(j->l, j->s, j->row_bytes, j->r + at, end - begin, j->l->raw + (size_t)at * j->row_bytes, &e);
    if (rc != MU_OK)
        mu_load_note_failure(&j->failure, begin, rc, &e);
}

static int read_share(struct mu_loader *l, const struct mu_source *s, size_t row_bytes, int64_t r, struct mu_run share)
{
    struct read_job j = {
        .l = l, .s = s, .row_bytes = row_bytes, .r = r, .first = share.begin, .failure = MU_LOAD_FAILURE_INIT};
    int64_t grain = MU_MAX((int64_t)(SHARE_BYTES_MIN / row_bytes), 1);
    mu_pool_for(l->m->d->pool, share.n, grain, read_run, &j);
    if (j.failure.row >= 0 && l->e)
        *l->e = j.failure.e;
    return j.failure.row < 0 ? MU_OK : j.failure.rc;
}

/* A tied file may hold the head as well. Where it differs from the embedding, whose rows are in raw, the config is
 * wrong about the file. */
static int check_tied_head(struct mu_loader *l, const struct mu_fill *f, size_t row_bytes, int64_t r, int64_t n,
                           struct mu_run share)
{
    const struct mu_tensor_info *head = mu_weights_find(l->w, "lm_head.weight");
    size_t from = (size_t)share.begin * row_bytes, bytes = (size_t)share.n * row_bytes;

    if (f->use.slot != MU_SLOT_EMBED || !l->m->spec.is_tied || !head || head == f->src.t ||
        (size_t)n * row_bytes > l->size.raw / 2)
        return MU_OK;
    char *other = l->raw + l->size.raw / 2 + from;
    if (head->n_bytes == f->src.t->n_bytes) {
        MU_TRY_RETURN(mu_weights_read(l->w, head, (uint64_t)r * row_bytes + from, bytes, other, l->e));
        if (memcmp(l->raw + from, other, bytes) == 0)
            return MU_OK;
    }
    return mu_fail(l->e, MU_EFORMAT,
                   "tie_word_embeddings is true, but lm_head.weight differs from %s; set it to false "
                   "in config.json",
                   f->src.t->name);
}

int mu_load_rows(struct mu_loader *l, const struct mu_source *s, size_t row_bytes, int64_t r, int64_t n,
                 const struct mu_fill *f)
{
    struct mu_run share = share_of(l, n, row_bytes);

    l->raw = l->windows + (size_t)(l->turn % l->size.n_windows) * l->size.raw;
    l->turn++;
    int rc = read_share(l, s, row_bytes, r, share);
    if (rc == MU_OK && f && share.n > 0)
        rc = check_tied_head(l, f, row_bytes, r, n, share);
    return mu_load_meet(l, rc);
}
