/* runner_model.c - one model on one device, its KV pages, logits where the host can read them */
#include "engine/runner_model.h"

#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "model/rope_table.h"

_Static_assert(MU_WEIGHTS_HASH_DIGITS + 1 == MU_CONTENT_HASH_BYTES, "a model's hash has the length the engine tells");

struct model_runner {
    struct mu_runner base;
    struct mu_checkpoint *checkpoint;
    struct mu_device *device;
    struct mu_model_runner_opts opts;
    struct mu_model *model;
    char *kv;
    size_t page_bytes;
    int64_t pages_n;
    int rows; /* of the last step, all its parts */
};

static int reserve(struct model_runner *m, const struct mu_model_opts *o, const struct mu_model_sizes *sizes,
                   int64_t pages_n, mu_progress_fn progress, void *arg, struct mu_err *e)
{
    struct mu_device *d = m->device;
    MU_TRY_RETURN(mu_model_load(&m->model, &m->checkpoint->spec, o, m->checkpoint->weights, d, progress, arg, e));
    m->checkpoint->bytes_read = mu_weights_bytes_read(m->checkpoint->weights);
    memcpy(m->checkpoint->content_hash, mu_model_content_hash(m->model), sizeof m->checkpoint->content_hash);
    mu_checkpoint_close_weights(m->checkpoint);
    void *kv = NULL;
    MU_TRY_RETURN(d->dev->alloc(d, &kv, sizes->kv_page * (size_t)pages_n, "the KV cache", e));
    m->kv = kv;
    m->page_bytes = sizes->kv_page;
    m->pages_n = pages_n;
    mu_model_set_kv(m->model, m->kv, pages_n);
    return MU_OK;
}

static int model_load(struct mu_runner *r, const struct mu_bill_limits *l, mu_progress_fn progress, void *arg,
                      struct mu_err *e)
{
    struct model_runner *m = (struct model_runner *)r;
    struct mu_model_opts o = mu_model_runner_model_opts(&m->opts, l);
    struct mu_model_sizes sizes;
    MU_TRY_RETURN(mu_model_sizes(&m->checkpoint->spec, &o, m->device, &sizes, e));
    return reserve(m, &o, &sizes, l->pages / sizes.kv_owners, progress, arg, e);
}

static int model_step(struct mu_runner *r, const int32_t *ids, const struct mu_rows *rows, int at, struct mu_err *e)
{
    struct model_runner *m = (struct model_runner *)r;
    m->rows = at + rows->n;
    return mu_model_step_at(m->model, ids, rows, at, e);
}

static void *model_hidden(struct mu_runner *r, size_t *row_bytes)
{
    struct mu_model *m = ((struct model_runner *)r)->model;
    *row_bytes = (size_t)mu_model_spec(m)->hidden * sizeof(float);
    return mu_model_hidden(m);
}

struct mu_model_opts mu_model_runner_model_opts(const struct mu_model_runner_opts *o, const struct mu_bill_limits *l)
{
    return (struct mu_model_opts){.format = l->weights,
                                  .kv_dtype = l->kv_dtype,
                                  .mla = o->mla,
                                  .context_max = l->context,
                                  .is_mapped = o->is_mapped,
                                  .rows_max = l->rows,
                                  .logit_rows_max = l->logit_rows,
                                  .shard = o->shard};
}

/* All rows at once; when one of them holds NaN, each alone to find which. */
static int log_sum_exp(struct model_runner *m, const float *logits, int n, int32_t *argmax, double *lse,
                       struct mu_err *e)
{
    struct mu_device *d = m->device;
    int64_t V = m->base.vocab;
    int rc = d->ops->logsumexp(d, logits, V, n, V, argmax, lse, e);
    if (rc != MU_ENUMERIC)
        return rc;
    for (int i = 0; i < n; i++) {
        rc = d->ops->logsumexp(d, logits + i * V, V, 1, V, &argmax[i], &lse[i], e);
        if (rc == MU_ENUMERIC)
            argmax[i] = -1;
        else if (rc != MU_OK)
            return rc;
    }
    return MU_OK;
}

static int model_logits(struct mu_runner *r, const int32_t *idx, int n, const float **logits, int32_t *argmax,
                        double *lse, struct mu_err *e)
{
    struct model_runner *m = (struct model_runner *)r;
    mu_model_read_all(m->model, m->rows);
    MU_TRY_RETURN(mu_model_logits(m->model, idx, n, logits, e));
    if (!*logits) /* of tensor ranks, the first has them */
        return MU_OK;
    return log_sum_exp(m, *logits, n, argmax, lse, e);
}

static int model_copy_page(struct mu_runner *r, int lane, int32_t dst, int32_t src, struct mu_err *e)
{
    (void)lane;
    return mu_model_copy_page(((struct model_runner *)r)->model, dst, src, e);
}

static int model_keep_pages(struct mu_runner *r, int lane, int32_t n, struct mu_err *e)
{
    struct model_runner *m = (struct model_runner *)r;
    (void)lane;
    (void)e;
    n = (n + r->page_owners - 1) / r->page_owners; /* those that are here */
    m->device->dev->give_back(m->device, m->kv + (size_t)n * m->page_bytes, (size_t)(m->pages_n - n) * m->page_bytes);
    return MU_OK;
}

static void model_set_lengths(struct mu_runner *r, const int32_t *lengths)
{
    mu_model_set_lengths(((struct model_runner *)r)->model, lengths);
}

static int64_t model_prefix_class(const struct mu_runner *r, int64_t length)
{
    const struct mu_spec *s = mu_model_spec(((const struct model_runner *)r)->model);
    return s->position == MU_POS_ROPE ? mu_rope_class(&s->rope, length) : 0;
}

static int model_experts(struct mu_runner *r, struct mu_runner_experts *out, struct mu_err *e)
{
    struct model_runner *m = (struct model_runner *)r;
    (void)e;
    *out = (struct mu_runner_experts){.spec = mu_model_spec(m->model), .shard = m->opts.shard};
    out->rows = mu_model_expert_rows(m->model, &out->n);
    return MU_OK;
}

static void model_close(struct mu_runner *r)
{
    struct model_runner *m = (struct model_runner *)r;
    mu_model_free(m->model);
    m->device->dev->free(m->device, m->kv);
    mu_free(m);
}

static const struct mu_runner_ops model_ops = {.name = "model",
                                               .load = model_load,
                                               .step = model_step,
                                               .hidden = model_hidden,
                                               .logits = model_logits,
                                               .copy_page = model_copy_page,
                                               .keep_pages = model_keep_pages,
                                               .set_lengths = model_set_lengths,
                                               .prefix_class = model_prefix_class,
                                               .experts = model_experts,
                                               .close = model_close};

int mu_model_runner_new(struct mu_runner **out, struct mu_checkpoint *c, struct mu_device *d,
                        const struct mu_model_runner_opts *o, struct mu_err *e)
{
    struct model_runner *m = NULL;
    MU_TRY_RETURN(MU_NEW(&m, "the model runner", e));
    m->base = (struct mu_runner){.ops = &model_ops,
                                 .vocab = c->spec.vocab,
                                 .context = c->spec.context,
                                 .n_lanes = 1,
                                 .page_owners = mu_shard_cp(o->shard)};
    m->checkpoint = c;
    m->device = d;
    m->opts = *o;
    *out = &m->base;
    return MU_OK;
}
