/* load_node.c - ranks of a node read the checkpoint once between them (of many nodes: load_peers.c)
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

#define GRAIN_BYTES ((uint64_t)64 << 10) /* of one thread's read */

int mu_load_agree(const struct mu_shard *sh, int rc, struct mu_err *e)
{
    struct mu_comm *g = mu_load_group(sh);
    struct mu_err told = MU_ERR_INIT;

    if (!g)
        return rc;
    int size = mu_comm_size(g), rank = mu_comm_rank(g);
    int64_t first = rc == MU_OK ? 0 : size - rank;
    int lost = mu_comm_all_reduce(g, &first, 1, MU_REDUCE_MAX_I64, rc == MU_OK ? e : NULL);
    if (lost != MU_OK)
        return rc == MU_OK ? lost : rc;
    if (first == 0)
        return MU_OK;
    if (first == size - rank) {
        int own = mu_comm_world_rank(g, rank);
        told = e ? *e : told;
        told.code = rc;
        if (own > 0)
            mu_err_while(&told, rc, "rank %d on %s opened its part", own, mu_comm_host(g, rank));
    }
    MU_TRY_RETURN(mu_comm_broadcast(g, &told, sizeof told, size - (int)first, e));
    mu_comm_barrier(g, NULL); /* whoever leaves first may end the world: all have the sentence by then */
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

int mu_load_read_rows(struct mu_loader *l, const struct mu_source *s, size_t row_bytes, int64_t r, int64_t n, char *dst,
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
    int64_t r; /* of the share in the slot */
    char *to;
    struct mu_load_failure failure;
};

static void read_run(void *arg, int64_t begin, int64_t end, int worker)
{
    struct read_job *j = arg;
    struct mu_err e = MU_ERR_INIT;
    (void)worker;
    int rc = mu_load_read_rows(j->l, j->s, j->row_bytes, j->r + begin, end - begin,
                               j->to + (size_t)begin * j->row_bytes, &e);
    if (rc != MU_OK)
        mu_load_note_failure(&j->failure, begin, rc, &e);
}

static int read_share(struct mu_loader *l, const struct mu_source *s, size_t row_bytes, int64_t r, struct mu_run share,
                      char *to)
{
    struct read_job j = {.l = l,
                         .s = s,
                         .row_bytes = row_bytes,
                         .r = r + share.begin,
                         .to = to + (size_t)share.begin * row_bytes,
                         .failure = MU_LOAD_FAILURE_INIT};
    int64_t grain = MU_MAX((int64_t)(GRAIN_BYTES / row_bytes), 1);
    mu_pool_for(l->m->d->pool, share.n, grain, read_run, &j);
    if (j.failure.row >= 0 && l->e)
        *l->e = j.failure.e;
    return j.failure.row < 0 ? MU_OK : j.failure.rc;
}

const struct mu_tensor_info *mu_load_other_head(const struct mu_loader *l, const struct mu_fill *f)
{
    if (f->use.slot != MU_SLOT_EMBED || !l->m->spec.is_tied)
        return NULL;
    const struct mu_tensor_info *head = mu_weights_find(l->w, "lm_head.weight");
    return head == f->src.t ? NULL : head;
}

bool mu_load_is_alone(const struct mu_loader *l, const struct mu_fill *f)
{
    return !l->m->opts.shard && !mu_load_other_head(l, f);
}

/* A tied file may hold the head as well. Where it differs from the embedding, whose rows are in raw, the config is
 * wrong about the file. */
static int check_tied_head(struct mu_loader *l, const struct mu_fill *f, size_t row_bytes, int64_t r, int64_t n,
                           struct mu_run share)
{
    const struct mu_tensor_info *head = mu_load_other_head(l, f);
    size_t from = (size_t)share.begin * row_bytes, bytes = (size_t)share.n * row_bytes;

    if (!head || (size_t)n * row_bytes > l->size.raw / 2)
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

/* Before anything is handed on all meet, with failures to read, and to pack what came before: nobody waits for a rank
 * that has gone. What came is there for the whole node after its own barrier. */
int mu_load_read(struct mu_loader *l, const struct mu_source *s, size_t row_bytes, int64_t r, int64_t n, char *to,
                 const struct mu_fill *f)
{
    struct mu_run column, share = mu_load_share(l, n, row_bytes, &column);
    int rc = read_share(l, s, row_bytes, r, share, to);
    if (rc == MU_OK && f && share.n > 0)
        rc = check_tied_head(l, f, row_bytes, r, n, share);
    MU_TRY_RETURN(mu_load_meet(l, rc));
    if (l->n_nodes == 1)
        return MU_OK;
    MU_TRY_RETURN(mu_load_exchange(l, column, row_bytes, to));
    return l->shard->node ? mu_comm_barrier(l->shard->node, l->e) : MU_OK;
}

int mu_load_rows(struct mu_loader *l, const struct mu_source *s, size_t row_bytes, int64_t r, int64_t n,
                 const struct mu_fill *f)
{
    l->raw = l->windows + (size_t)(l->turn % l->size.n_windows) * l->size.raw;
    l->turn++;
    return mu_load_read(l, s, row_bytes, r, n, l->raw, f);
}
