/* source.c - from a slot to a tensor: names with and without prefix, and which rows of a fused tensor */
#include "model/source.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"

void mu_names_init(struct mu_names *n, const struct mu_spec *s, const struct mu_weights *w, enum mu_mla_form mla)
{
    const struct mu_arch *a = mu_arch_of_family(s->family);
    bool is_gguf = mu_weights_gguf(w) != NULL;
    *n = (struct mu_names){.s = s,
                           .w = w,
                           .rows = is_gguf ? mu_gguf_names(s->family) : a->names,
                           .prefix = is_gguf ? NULL : a->prefix,
                           .is_absorbed = mla == MU_MLA_ABSORBED};
}

/* ---- names ---- */

void mu_slot_name_fill(char *out, const char *pattern, const struct mu_slot_use *u)
{
    size_t n = 0;
    for (const char *p = pattern; *p && n < MU_SLOT_NAME_BYTES - 16; p++) {
        if (strncmp(p, "{l}", 3) == 0 || strncmp(p, "{e}", 3) == 0) {
            n += (size_t)snprintf(out + n, MU_SLOT_NAME_BYTES - n, "%d", p[1] == 'l' ? u->layer : u->index);
            p += 2;
        } else {
            out[n++] = *p;
        }
    }
    out[n] = 0;
    if (u->is_bias && n > 7 && strcmp(out + n - 7, ".weight") == 0)
        strcpy(out + n - 7, ".bias");
}

static const struct mu_tensor_info *find_name(const struct mu_names *n, const char *name)
{
    const struct mu_tensor_info *t = mu_weights_find(n->w, name);
    size_t len = n->prefix ? strlen(n->prefix) : 0;
    return t || len == 0 || strncmp(name, n->prefix, len) != 0 ? t : mu_weights_find(n->w, name + len);
}

static const struct mu_slot_name *find_row(const struct mu_names *n, const struct mu_slot_use *u,
                                           const struct mu_tensor_info **t, char *name)
{
    for (const struct mu_slot_name *r = n->rows; r->name; r++) {
        if (r->slot != u->slot)
            continue;
        mu_slot_name_fill(name, r->name, u);
        *t = find_name(n, name);
        if (*t)
            return r;
    }
    return NULL;
}

/* The first name tried, for the sentence. */
static void first_name(const struct mu_names *n, const struct mu_slot_use *u, char *name)
{
    strcpy(name, "?");
    for (const struct mu_slot_name *r = n->rows; r->name; r++) {
        if (r->slot == u->slot) {
            mu_slot_name_fill(name, r->name, u);
            return;
        }
    }
}

/* ---- rows ---- */

static int of_three(enum mu_slot slot)
{
    return slot == MU_SLOT_Q ? 0 : slot == MU_SLOT_K ? 1 : 2;
}

static void rows_of_blocks(struct mu_source *o, const struct mu_layer_spec *l, int which)
{
    int64_t q = (int64_t)l->n_heads * l->dk, k = (int64_t)l->n_kv_heads * l->dk, v = (int64_t)l->n_kv_heads * l->dv;
    o->rows = q + k + v;
    o->first = which == 0 ? 0 : which == 1 ? q : q + k;
}

static void rows_of_groups(struct mu_source *o, const struct mu_layer_spec *l, int which)
{
    int64_t group = l->n_heads / l->n_kv_heads;
    o->rows = (group + 2) * l->n_kv_heads * l->dk;
    o->stride = (group + 2) * l->dk;
    o->run = which == 0 ? group * l->dk : l->dk;
    o->first = which == 0 ? 0 : (group + which - 1) * l->dk;
}

/* Rows [first, first + n_in) of the tensor are the slot's inputs. */
static void turn(struct mu_source *o, int64_t first)
{
    o->is_transposed = true;
    o->row0 = first;
    o->first = 0;
}

static void rows_of_heads_kv(struct mu_source *o, const struct mu_names *n, const struct mu_layer_spec *l,
                             const struct mu_slot_use *u)
{
    int64_t unit = (int64_t)l->dk_nope + l->dv;
    o->rows = unit * l->n_heads;
    o->cols = l->kv_lora;
    o->first = u->index * unit + (u->slot == MU_SLOT_KV_UP_V ? l->dk_nope : 0);
    if (u->slot == MU_SLOT_KV_UP_K && n->is_absorbed)
        turn(o, o->first);
}

static void rows_of_heads_k_t(struct mu_source *o, const struct mu_names *n, const struct mu_layer_spec *l, int head)
{
    o->rows = (int64_t)l->kv_lora * l->n_heads;
    o->cols = l->dk_nope;
    o->first = (int64_t)head * l->kv_lora;
    if (!n->is_absorbed)
        turn(o, o->first);
}

/* How many a stack holds. */
static int64_t stacked(const struct mu_layer_spec *l, const struct mu_slot_use *u)
{
    return u->slot == MU_SLOT_KV_UP_V ? l->n_heads : l->moe.n_experts;
}

static void find_rows(struct mu_source *o, const struct mu_names *n, const struct mu_slot_use *u, enum mu_part part)
{
    const struct mu_layer_spec *l = u->layer >= 0 ? &n->s->layers[u->layer] : NULL;
    bool is_matrix = u->n_in > 0;

    o->rows = o->run = u->n_out;
    o->cols = is_matrix ? u->n_in : 1;
    switch (part) {
    case MU_PART_WHOLE:
        return;
    case MU_PART_PAIRED_ROPE:
        o->paired_head = l->dk;
        return;
    case MU_PART_BLOCKS:
    case MU_PART_BLOCKS_T:
        rows_of_blocks(o, l, of_three(u->slot));
        if (!is_matrix || part == MU_PART_BLOCKS)
            return;
        o->cols = o->rows;
        o->rows = u->n_in;
        o->is_transposed = true;
        return;
    case MU_PART_TRANSPOSED:
        if (is_matrix) {
            o->rows = u->n_in;
            o->cols = u->n_out;
            o->is_transposed = true;
        }
        return;
    case MU_PART_GROUPED:
        rows_of_groups(o, l, of_three(u->slot));
        return;
    case MU_PART_HEADS_KV:
        rows_of_heads_kv(o, n, l, u);
        return;
    case MU_PART_HEADS_K_T:
        rows_of_heads_k_t(o, n, l, u->index);
        return;
    case MU_PART_STACK:
        o->rows = stacked(l, u) * u->n_out;
        o->first = u->index * u->n_out;
        return;
    case MU_PART_STACK_PAIR:
        o->rows = stacked(l, u) * 2 * u->n_out;
        o->first = (2 * u->index + (u->slot == MU_SLOT_EXPERT_UP)) * u->n_out;
        return;
    }
}

/* ---- checks ---- */

static void shape_text(char *out, size_t cap, const struct mu_tensor_info *t)
{
    size_t n = (size_t)snprintf(out, cap, "[");
    for (int i = 0; i < t->n_dims && n < cap; i++)
        n += (size_t)snprintf(out + n, cap - n, "%s%" PRIu64, i ? ", " : "", t->dims[i]);
    if (n < cap)
        snprintf(out + n, cap - n, "]");
}

static int check_shape(const struct mu_names *n, const struct mu_slot_use *u, const struct mu_source *o, enum mu_part p,
                       struct mu_err *e)
{
    const struct mu_tensor_info *t = o->t;
    uint64_t want[3] = {(uint64_t)o->rows, (uint64_t)o->cols};
    int n_dims = u->n_in > 0 ? 2 : 1;
    char is[96], says[96];

    if (p == MU_PART_STACK || p == MU_PART_STACK_PAIR || p == MU_PART_HEADS_K_T) {
        const struct mu_layer_spec *l = &n->s->layers[u->layer];
        want[0] = (uint64_t)(p == MU_PART_HEADS_K_T ? l->n_heads : stacked(l, u));
        want[1] = (uint64_t)o->rows / want[0];
        want[2] = (uint64_t)o->cols;
        n_dims = 3;
    }
    bool same = t->n_dims == n_dims;
    for (int i = 0; same && i < n_dims; i++)
        same = t->dims[i] == want[i];
    if (same)
        return MU_OK;
    struct mu_tensor_info wanted = {.n_dims = n_dims, .dims = {want[0], want[1], want[2]}};
    shape_text(is, sizeof is, t);
    shape_text(says, sizeof says, &wanted);
    return mu_fail(e, MU_EFORMAT, "tensor %s has shape %s, the config says %s", t->name, is, says);
}

static int find_scale(const struct mu_names *n, struct mu_source *o, struct mu_err *e)
{
    char name[MU_SLOT_NAME_BYTES + 16];
    int64_t br = n->s->fp8_block_rows, bc = n->s->fp8_block_cols;

    if (o->t->dtype != MU_F8_E4M3 && o->t->dtype != MU_F8_E5M2)
        return MU_OK;
    if (snprintf(name, sizeof name, "%s_scale_inv", o->t->name) >= (int)sizeof name)
        return MU_OK;
    o->scale = mu_weights_find(n->w, name);
    if (!o->scale)
        return MU_OK;
    if (br == 0)
        return mu_fail(e, MU_EFORMAT,
                       "tensor %s scales blocks, but the config has no quantization_config with "
                       "weight_block_size",
                       name);
    if (o->scale->n_dims != 2 || o->scale->dims[0] != (uint64_t)((o->rows + br - 1) / br) ||
        o->scale->dims[1] != (uint64_t)((o->cols + bc - 1) / bc))
        return mu_fail(e, MU_EFORMAT, "tensor %s does not hold one scale a block of %d x %d of %s", name, (int)br,
                       (int)bc, o->t->name);
    return MU_OK;
}

int mu_source_find(const struct mu_names *n, const struct mu_slot_use *u, struct mu_source *out, struct mu_err *e)
{
    char name[MU_SLOT_NAME_BYTES];

    *out = (struct mu_source){0};
    const struct mu_slot_name *row = find_row(n, u, &out->t, name);
    if (!row && n->s->is_tied && u->slot == MU_SLOT_EMBED) { /* a tied file may hold the one table as its head */
        struct mu_slot_use head = *u;
        head.slot = MU_SLOT_HEAD;
        row = find_row(n, &head, &out->t, name);
    }
    if (!row) {
        first_name(n, u, name);
        return mu_fail(e, MU_ENOENT, "%s lacks tensor %s, which the config calls for", mu_weights_file_path(n->w, 0),
                       name);
    }
    find_rows(out, n, u, row->part);
    MU_TRY_RETURN(check_shape(n, u, out, row->part, e));
    if (!mu_dtype_is_float(out->t->dtype))
        return mu_fail(e, MU_EFORMAT, "tensor %s holds %s, which is no type of weights", out->t->name,
                       mu_dtype_name(out->t->dtype));
    return find_scale(n, out, e);
}
