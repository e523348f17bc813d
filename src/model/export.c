/* export.c - which published tensor each tensor of a GGUF file is, and where its rows lie
 *
 * The slots of the spec say it: a slot has a name in GGUF and one in the published files. Rows of q and k of the Llama
 * family lie in rotation pairs, rows of Falcon's fused projection in blocks of q, k and v; both are put back. Not here:
 * config.json (export_config.c). Sources: llama.cpp's convert_hf_to_gguf.py. */
#include "model/export_int.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "model/model.h"

#define NAMES_BYTES_MAX ((size_t)16 << 20) /* a thousand layers of twenty tensors take 2 MB */
#define SHARED_MAX      3                  /* slots of one tensor: q, k and v */

/* ---- the map ---- */

/* The published name. Falcon's two norms have names of their own; a block with one norm has the older name, which comes
 * last. */
static const struct mu_slot_name *published(const struct mu_export *x, const struct mu_slot_use *u)
{
    const struct mu_slot_name *found = NULL;
    bool has_two_norms = u->layer >= 0 && x->spec.layers[u->layer].block == MU_BLOCK_PARALLEL_NORMS;
    for (const struct mu_slot_name *r = x->arch->names; r->name; r++) {
        if (r->slot == u->slot)
            found = r;
        if (found && has_two_norms)
            break;
    }
    return found;
}

static enum mu_part rows_of(const struct mu_source *src, const struct mu_slot_name *to)
{
    return src->paired_head > 0 ? MU_PART_PAIRED_ROPE : to->part == MU_PART_GROUPED ? MU_PART_BLOCKS : MU_PART_WHOLE;
}

static int add_slot(void *arg, const struct mu_slot_use *u, struct mu_err *e)
{
    struct mu_export *x = arg;
    char name[MU_SLOT_NAME_BYTES];
    struct mu_source src;

    MU_TRY_RETURN(mu_source_find(&x->names, u, &src, e));
    const struct mu_slot_name *to = published(x, u);
    if (!to || x->n == x->cap)
        return mu_fail(e, MU_EINTERNAL, "tensor %s has no published name", src.t->name);
    mu_slot_name_fill(name, to->name, u);
    struct mu_export_tensor *t = &x->v[x->n];
    *t = (struct mu_export_tensor){.from = src.t->name, .part = rows_of(&src, to)};
    t->l = u->layer >= 0 ? &x->spec.layers[u->layer] : NULL;
    t->to = mu_arena_strdup(&x->strings, mu_str(name), e);
    if (!t->to)
        return MU_ENOMEM;
    x->n++;
    return MU_OK;
}

struct visit {
    struct mu_export *x;
    struct mu_err *e;
};

static int on_slot(void *arg, const struct mu_slot_use *u)
{
    struct visit *v = arg;
    return add_slot(v->x, u, v->e);
}

static int by_name(const void *a, const void *b)
{
    const struct mu_export_tensor *x = a, *y = b;
    return strcmp(x->from, y->from);
}

static const struct mu_export_tensor *find(const struct mu_export *x, const char *name)
{
    struct mu_export_tensor key = {.from = name};
    return bsearch(&key, x->v, (size_t)x->n, sizeof *x->v, by_name);
}

/* What is written must be the whole model. */
static int check_all_known(const struct mu_export *x, const char *where, struct mu_err *e)
{
    for (int64_t i = 0; i < mu_weights_count(x->w); i++) {
        const char *name = mu_weights_at(x->w, i)->name;
        if (!find(x, name) && strcmp(name, "rope_freqs.weight") != 0)
            return mu_fail(e, MU_EUNSUPPORTED, "%s holds tensor %s, for which a %s model has no place", where, name,
                           x->spec.family);
    }
    return MU_OK;
}

static int map_tensors(struct mu_export *x, const char *where, struct mu_err *e)
{
    struct mu_model_opts o = {.mla = MU_MLA_NAIVE};
    struct visit v = {x, e};

    mu_names_init(&x->names, &x->spec, x->w, o.mla);
    x->cap = mu_weights_count(x->w) * SHARED_MAX;
    MU_TRY_RETURN(MU_NEW_ARRAY(&x->v, x->cap, "tensor names", e));
    MU_TRY_RETURN(mu_slots_each(&x->spec, &o, on_slot, &v));
    qsort(x->v, (size_t)x->n, sizeof *x->v, by_name); /* a tensor of several slots is there as often, each time same */
    return check_all_known(x, where, e);
}

static bool is_known_family(const char *family)
{
    static const char *const known[] = {"llama", "mistral", "qwen2", "qwen3", "falcon"};
    for (size_t i = 0; i < MU_COUNT(known); i++)
        if (strcmp(family, known[i]) == 0)
            return true;
    return false;
}

int mu_export_open(struct mu_export **out, struct mu_weights *w, const char *where, struct mu_err *e)
{
    struct mu_export *x = NULL;
    int rc = MU_OK;

    MU_TRY(MU_NEW(&x, "tensor names", e));
    x->strings = (struct mu_arena)MU_ARENA_INIT("tensor names", NAMES_BYTES_MAX);
    x->w = w;
    MU_TRY(mu_spec_from_gguf(&x->spec, w, where, e));
    if (!is_known_family(x->spec.family)) {
        rc = mu_fail(
            e, MU_EUNSUPPORTED,
            "%s holds a %s model, whose tensors are stacked or turned in GGUF; llama, mistral, qwen2, qwen3 and "
            "falcon models can be written as safetensors",
            where, x->spec.family);
        goto out;
    }
    x->arch = mu_arch_of_family(x->spec.family);
    MU_TRY(map_tensors(x, where, e));
    *out = x;
    x = NULL;
out:
    mu_export_close(x);
    return rc;
}

void mu_export_close(struct mu_export *x)
{
    if (!x)
        return;
    mu_free(x->v);
    mu_arena_fini(&x->strings);
    mu_spec_fini(&x->spec);
    mu_free(x);
}

/* ---- hooks ---- */

const char *mu_export_name(void *arg, const char *gguf_name)
{
    const struct mu_export_tensor *t = find(arg, gguf_name);
    return t ? t->to : NULL;
}

/* Element i of a head's first half lies at 2 i, of its second half at 2 i + 1. */
static uint64_t paired_row(const struct mu_layer_spec *l, uint64_t row)
{
    uint64_t half = (uint64_t)l->dk / 2, in = row % (uint64_t)l->dk;
    return row - in + in % half * 2 + in / half;
}

/* Published: per key-value head its queries, key and value. Stored: all queries, all keys, all values. */
static uint64_t block_row(const struct mu_layer_spec *l, uint64_t row)
{
    uint64_t dk = (uint64_t)l->dk, kv = (uint64_t)l->n_kv_heads, q = (uint64_t)l->n_heads / kv;
    uint64_t group = row / ((q + 2) * dk), in = row % ((q + 2) * dk);
    if (in < q * dk)
        return group * q * dk + in;
    in -= q * dk;
    return (kv * q + in / dk * kv + group) * dk + in % dk;
}

uint64_t mu_export_row(void *arg, const struct mu_tensor_info *t, uint64_t row)
{
    struct mu_export *x = arg;
    if (x->asked != t) {
        x->asked = t;
        x->at = find(x, t->name);
    }
    if (!x->at || x->at->part == MU_PART_WHOLE)
        return row;
    return x->at->part == MU_PART_PAIRED_ROPE ? paired_row(x->at->l, row) : block_row(x->at->l, row);
}
