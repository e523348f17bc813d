/* run_merge.c - the key of an item, and items of equal keys made one */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "eval/run_int.h"

static void add_number(struct mu_key_maker *m, double v)
{
    mu_key_bytes(m, &v, sizeof v);
}

static void add_params(struct mu_key_maker *m, const struct mu_run_state *s, const struct mu_run_item *it)
{
    const struct mu_run_params *p = s->params[it->params];
    const struct mu_sampling *d = &p->sampling;
    mu_key_bytes(m, &s->tok.hash, sizeof s->tok.hash); /* decides the text, and with it where it stops */
    mu_key_bytes(m, &p->max_tokens, sizeof p->max_tokens);
    mu_key_bytes(m, p->stop_id, (size_t)p->n_stop_ids * sizeof p->stop_id[0]);
    mu_key_bytes(m, s->info.eos, (size_t)s->info.n_eos * sizeof s->info.eos[0]);
    for (int i = 0; i < p->n_stop; i++)
        mu_key_text(m, p->stop[i]);
    add_number(m, d->repetition);
    mu_key_text(m, p->is_sampled ? "sampled" : "greedy");
    if (!p->is_sampled)
        return;
    add_number(m, d->temperature);
    add_number(m, d->top_k);
    add_number(m, d->top_p);
    add_number(m, d->min_p);
    mu_key_bytes(m, &it->seed, sizeof it->seed);
}

int mu_run_item_key(const struct mu_run_state *s, struct mu_run_item *it, struct mu_err *e)
{
    struct mu_key_maker m;
    const int32_t *ids = s->ids.v;

    MU_TRY_RETURN(mu_key_begin(&m, e));
    mu_key_text(&m, MU_RUN_KEY_VERSION);
    mu_key_text(&m, s->eng->weights_hash);
    mu_key_text(&m, s->eng->numerics);
    mu_key_text(&m, it->params < 0 ? "score" : "generate");
    mu_key_bytes(&m, ids + it->context, (size_t)it->n_context * sizeof *ids);
    mu_key_bytes(&m, ids + it->continuation, (size_t)it->n_continuation * sizeof *ids);
    if (it->params >= 0)
        add_params(&m, s, it);
    mu_key_end(&m, &it->key);
    return MU_OK;
}

static int by_key(const void *pa, const void *pb, void *arg)
{
    const struct mu_run_item *items = arg;
    int64_t a = *(const int64_t *)pa, b = *(const int64_t *)pb;
    int c = memcmp(&items[a].key, &items[b].key, sizeof items[a].key);
    return c ? c : (a > b) - (a < b);
}

static void link_parts(struct mu_run_state *s, const int64_t *keeper)
{
    for (int64_t i = s->n_parts - 1; i >= 0; i--) {
        struct mu_run_part *p = &s->part[i];
        if (keeper)
            p->item = keeper[p->item];
        p->next = s->item[p->item].first_part;
        s->item[p->item].first_part = i;
    }
}

/* is_unique tells the first of each key. Unless the run is naive, the parts of the others are handed to it. */
int mu_run_merge(struct mu_run_state *s, struct mu_err *e)
{
    int64_t *sorted = NULL, *keeper = NULL, first = 0;
    int rc = MU_OK;

    MU_TRY(MU_NEW_ARRAY(&sorted, s->n_items, "an order of items", e));
    MU_TRY(MU_NEW_ARRAY(&keeper, s->n_items, "an order of items", e));
    for (int64_t i = 0; i < s->n_items; i++)
        sorted[i] = i;
    qsort_r(sorted, (size_t)s->n_items, sizeof *sorted, by_key, s->item);
    for (int64_t i = 0; i < s->n_items; i++) {
        struct mu_run_item *it = &s->item[sorted[i]];
        if (i == 0 || memcmp(&it->key, &s->item[sorted[first]].key, sizeof it->key) != 0)
            first = i;
        it->is_unique = first == i;
        s->audit->n_unique += it->is_unique;
        keeper[sorted[i]] = sorted[first];
    }
    link_parts(s, s->o->naive ? NULL : keeper);
out:
    mu_free(sorted);
    mu_free(keeper);
    return rc;
}
