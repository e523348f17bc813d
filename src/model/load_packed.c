/* load_packed.c - a model whose weights lie in a packed file: mapped, nothing is read, hashed or packed
 *
 * A whole model points into the mapping, and so does a rank for all that it holds whole: layers of its stage, experts,
 * runs of heads and of the vocabulary that are whole panels. Its parts of matrices that are cut over their inputs, or
 * inside a panel, are copied (tensor/matrix_part.c): that is the same bytes as packing them. All processes of a machine
 * have the same pages of the file. */
#include <math.h>
#include <string.h>

#include "base/check.h"
#include "base/pool.h"
#include "model/model_int.h"
#include "model/packed.h"

struct placing {
    struct mu_model *m;
    const char *block, *bias; /* of the next use, in the file */
    char *to;                 /* memory for what is copied; NULL: only counted */
    size_t copied;
    const char *run; /* what lies in place side by side and is not mapped in yet */
    size_t run_bytes;
    struct mu_err *e;
};

static void end_run(struct placing *p)
{
    if (p->run_bytes > 0)
        p->m->d->dev->map_in(p->m->d, p->run, p->run_bytes);
    p->run_bytes = 0;
}

static void add_run(struct placing *p, const char *here, size_t bytes)
{
    if (p->run_bytes == 0 || here != p->run + p->run_bytes) {
        end_run(p);
        p->run = here;
    }
    p->run_bytes += bytes;
}

struct copying {
    const struct mu_matrix *part, *whole;
    const struct mu_slot_use *piece;
};

static void copy_run(void *arg, int64_t begin, int64_t end, int worker)
{
    const struct copying *c = arg;
    (void)worker;
    mu_matrix_copy_part(c->part, c->whole, c->piece->row0, c->piece->col0, begin, end);
}

static void place_copy(struct placing *p, const struct mu_matrix *whole, const struct mu_slot_use *piece)
{
    size_t scale_offset, bytes = mu_slot_bytes(piece, &scale_offset);
    if (p->to) {
        char *here = p->to + p->copied;
        mu_model_place(p->m, piece, here, here + scale_offset);
        struct copying c = {mu_model_matrix(p->m, piece), whole, piece};
        mu_pool_for(p->m->d->pool, (piece->n_out + MU_PANEL - 1) / MU_PANEL, 1, copy_run, &c);
    }
    p->copied += bytes;
}

static void place_matrix(struct placing *p, const struct mu_slot_use *whole, const struct mu_slot_use *piece)
{
    size_t scale_offset, bytes = mu_slot_bytes(whole, &scale_offset);
    char *here = (char *)(uintptr_t)p->block; /* read only: no op writes weights */
    struct mu_matrix all = {.format = whole->format,
                            .n_out = whole->n_out,
                            .n_in = whole->n_in,
                            .tile_k = whole->tile_k,
                            .data = here,
                            .scale = scale_offset ? (float *)(void *)(here + scale_offset) : NULL};
    struct mu_matrix part = all;

    part.n_out = piece->n_out;
    part.n_in = piece->n_in;
    if (!mu_matrix_part(&part, &all, piece->row0, piece->col0)) {
        place_copy(p, &all, piece);
    } else if (p->to) {
        mu_model_place(p->m, piece, part.data, part.scale);
        if (piece->n_out == whole->n_out)
            add_run(p, here, bytes);
    }
}

static void place_vector(struct placing *p, const struct mu_slot_use *piece, size_t bytes)
{
    if (!p->to)
        return;
    mu_model_place(p->m, piece, (char *)(uintptr_t)p->block + (size_t)piece->row0 * sizeof(float), NULL);
    add_run(p, p->block, bytes);
}

/* Routing relies on numbers; the block's hash is not read here. */
static int place_bias_of_router(const struct placing *p, const struct mu_slot_use *whole)
{
    float *to = p->m->layers[whole->layer].router_bias;
    memcpy(to, p->bias, (size_t)whole->n_out * sizeof(float));
    for (int64_t i = 0; i < whole->n_out; i++)
        if (!isfinite(to[i]))
            return mu_fail(p->e, MU_EFORMAT,
                           "the packed model holds %g as a bias of the router of layer %d: `muster models --verify` "
                           "tells whether it is damaged",
                           (double)to[i], whole->layer);
    return MU_OK;
}

static int place_use(void *arg, const struct mu_slot_use *whole)
{
    struct placing *p = arg;
    struct mu_slot_use piece[MU_TREE_ROOTS_MAX];
    size_t scale_offset, bytes = mu_slot_bytes(whole, &scale_offset);
    int n = mu_slot_pieces(&p->m->spec, &p->m->opts, whole, piece);

    if (whole->slot == MU_SLOT_ROUTER_BIAS) {
        int rc = n > 0 && p->to ? place_bias_of_router(p, whole) : MU_OK;
        p->bias += bytes;
        return rc;
    }
    for (int i = 0; i < n; i++) {
        if (whole->n_in > 0)
            place_matrix(p, whole, &piece[i]);
        else
            place_vector(p, &piece[i], bytes);
    }
    p->block += bytes;
    return MU_OK;
}

/* Once to count what is copied, once to do it. */
static int walk(struct mu_model *m, char *to, size_t *copied, struct mu_err *e)
{
    struct mu_model_opts whole = m->opts;
    struct placing p = {.m = m, .to = to, .e = e};
    size_t block, biases;

    whole.shard = NULL;
    mu_packed_sizes(&m->spec, m->opts.format, m->opts.mla, &block, &biases);
    p.block = (const char *)m->file.p + MU_PACKED_ALIGN;
    p.bias = p.block + block;
    MU_TRY_RETURN(mu_slots_each(&m->spec, &whole, place_use, &p));
    end_run(&p);
    *copied = p.copied;
    return MU_OK;
}

int mu_load_packed(struct mu_model *m, const struct mu_weights *w, struct mu_err *e)
{
    const struct mu_packed_head *h = mu_weights_packed(w);
    size_t copied;

    if (!m->d->dev->map_in)
        return mu_fail(e, MU_EUNSUPPORTED,
                       "%s is mapped where the CPU runs it, and the device %s has memory of its own: take the "
                       "checkpoint it was made from",
                       mu_weights_file_path(w, 0), m->d->dev->name);
    MU_TRY_RETURN(mu_packed_check(h, &m->spec, m->opts.format, m->opts.mla, mu_weights_file_path(w, 0), e));
    MU_TRY_RETURN(mu_weights_map_packed(w, &m->file, e));
    MU_TRY_RETURN(walk(m, NULL, &copied, e));
    MU_TRY_RETURN(m->d->dev->alloc_untouched(m->d, &m->weights, copied, "parts of weights", e));
    MU_TRY_RETURN(walk(m, m->weights, &copied, e));
    memcpy(m->content_hash, h->content, sizeof m->content_hash);
    return mu_weights_check(w, e);
}
