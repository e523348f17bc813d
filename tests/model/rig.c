/* rig.c - see rig.h */
#include "rig.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/mem.h"

void rig_read_spec(struct mu_spec *s, const char *dir)
{
    struct mu_err err = MU_ERR_INIT;
    char path[1024];
    json_t *config = NULL;

    snprintf(path, sizeof path, "%s/config.json", dir);
    XT_OK(mu_json_load(&config, path, &err));
    XT_OK(mu_spec_from_config(s, config, path, &err));
    json_decref(config);
}

void rig_open(struct rig *r, const char *dir, const struct rig_opts *o)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_spec spec;
    struct mu_cpu_opts cpu = {.level = o->level ? o->level : "auto", .n_threads = o->n_threads ? o->n_threads : 1};

    *r = (struct rig){.n_seqs = o->n_seqs ? o->n_seqs : 1};
    XT_OK(mu_weights_open(&r->w, dir, MU_READ_DIRECT, &err));
    if (mu_weights_gguf(r->w))
        XT_OK(mu_spec_from_gguf(&spec, r->w, dir, &err));
    else
        rig_read_spec(&spec, dir);
    int64_t context = spec.position == MU_POS_LEARNED ? MU_MIN(spec.context, 512) : 512;
    if (o->context)
        context = o->context;
    struct mu_model_opts opts = {.format = o->format,
                                 .kv_dtype = o->kv_dtype ? o->kv_dtype : MU_F32,
                                 .mla = o->mla,
                                 .context_max = context,
                                 .rows_max = o->rows_max ? o->rows_max : 512,
                                 .logit_rows_max = 64};
    r->vocab = spec.vocab;
    XT_OK(mu_device_open_cpu(&r->d, &cpu, &err));
    XT_OK(mu_model_sizes(&spec, &opts, r->d, &r->sizes, &err));
    XT_OK(mu_model_load(&r->m, &spec, &opts, r->w, r->d, NULL, NULL, &err));

    r->pages_max = (int)((context + MU_KV_PAGE - 1) / MU_KV_PAGE);
    int n_pages = r->pages_max * r->n_seqs;
    XT_OK(r->d->dev->alloc(r->d, &r->kv, (size_t)n_pages * r->sizes.kv_page, "pages", &err));
    XT_OK(MU_NEW_ARRAY(&r->pages, n_pages, "page table", &err));
    for (int i = 0; i < n_pages; i++)
        r->pages[i] = n_pages - 1 - i;
    mu_model_set_kv(r->m, r->kv, n_pages);
}

void rig_close(struct rig *r)
{
    mu_model_free(r->m);
    if (r->d)
        r->d->dev->free(r->d, r->kv);
    mu_free(r->pages);
    mu_weights_close(r->w);
    mu_device_close(r->d);
    *r = (struct rig){0};
}

void rig_feed(struct rig *r, int seq, int pos, const int32_t *ids, int n)
{
    struct mu_err err = MU_ERR_INIT;
    int32_t *at = malloc((size_t)n * sizeof *at), *seqs = malloc((size_t)n * sizeof *seqs);
    for (int i = 0; i < n; i++) {
        at[i] = pos + i;
        seqs[i] = seq;
    }
    struct mu_rows rows = {.n = n, .pos = at, .seq = seqs, .page_table = r->pages, .pages_max = r->pages_max};
    int rc = mu_model_step(r->m, ids, &rows, &err);
    free(at);
    free(seqs);
    XT_OK(rc);
}

const float *rig_logits(struct rig *r, int row)
{
    struct mu_err err = MU_ERR_INIT;
    const float *logits;
    XT_OK(mu_model_logits(r->m, &(int32_t){row}, 1, &logits, &err));
    return logits;
}

int rig_argmax(const struct rig *r, const float *logits)
{
    int best = 0;
    for (int i = 1; i < r->vocab; i++)
        if (logits[i] > logits[best])
            best = i;
    return best;
}

int32_t *rig_ids(const json_t *list, int *n)
{
    struct mu_err err = MU_ERR_INIT;
    int32_t *ids = NULL;
    *n = (int)json_array_size(list);
    XT_OK(MU_NEW_ARRAY(&ids, *n, "ids", &err));
    for (int i = 0; i < *n; i++)
        ids[i] = (int32_t)json_integer_value(json_array_get(list, (size_t)i));
    return ids;
}
