/* sizes.c - the memory bill of a model, from its spec alone */
#include <inttypes.h>
#include <string.h>

#include "base/check.h"
#include "model/expert_table.h"
#include "model/model_int.h"

static const char *const mla_names[] = {"absorbed", "naive"}; /* by enum mu_mla_form */

const char *mu_mla_form_name(enum mu_mla_form f)
{
    return mla_names[f];
}

int mu_mla_form_from_name(enum mu_mla_form *out, const char *name, struct mu_err *e)
{
    for (size_t i = 0; i < MU_COUNT(mla_names); i++) {
        *out = (enum mu_mla_form)i;
        if (strcmp(name, mla_names[i]) == 0)
            return MU_OK;
    }
    return mu_fail(e, MU_EUSAGE, "latent attention \"%s\": absorbed and naive are supported", name);
}

enum mu_wformat mu_model_own_format(const struct mu_spec *s)
{
    if (strcmp(s->default_dtype, "bf16") == 0 || s->fp8_block_rows)
        return MU_WBF16;
    return strcmp(s->default_dtype, "f16") == 0 ? MU_WF16 : MU_WF32;
}

struct sum {
    const struct mu_device *d;
    const struct mu_model_opts *o;
    size_t weights, copied, work;
    bool is_tied, is_over;
};

static int add_use(void *arg, const struct mu_slot_use *u)
{
    struct sum *s = arg;
    size_t scale_offset;

    if (u->slot == MU_SLOT_ROUTER_BIAS)
        return MU_OK; /* host memory */
    s->is_over |= __builtin_add_overflow(s->weights, mu_slot_bytes(u, &scale_offset), &s->weights);
    if (s->is_over)
        return MU_ELIMIT;
    if (s->o->is_mapped && !mu_slot_is_in_place(u))
        s->copied += mu_slot_bytes(u, &scale_offset);
    bool is_head = u->slot == MU_SLOT_HEAD || (u->slot == MU_SLOT_EMBED && s->is_tied);
    if (u->n_in == 0 || (u->slot == MU_SLOT_EMBED && !is_head) || u->slot == MU_SLOT_POSITIONS)
        return MU_OK;
    int64_t n = is_head ? s->o->logit_rows_max : mu_widest_rows(s->o);
    s->work = MU_MAX(s->work, s->d->ops->linear_work_bytes(s->d, u->format, n, u->n_in));
    return MU_OK;
}

static size_t tables_bytes(const struct mu_spec *s, const struct mu_model_opts *o)
{
    int64_t width = 0;
    if (s->position == MU_POS_ROPE && !mu_rope_is_by_length(&s->rope))
        width = s->rope.dim;
    if (s->position == MU_POS_ALIBI)
        width = mu_alibi_columns(s, o).n;
    return ((size_t)(mu_context_of(s, o) * width) * sizeof(float) + 63) / 64 * 64;
}

static size_t attention_work(const struct mu_spec *s, const struct mu_model_opts *o, const struct mu_device *d)
{
    size_t work = 0;
    for (int i = mu_first_layer(o); i < mu_end_layer(s, o); i++) {
        struct mu_kv_layer kv;
        struct mu_heads p, reader[MU_ATTN_STRANDS];
        mu_kv_shape(s, &s->layers[i], o, &kv);
        mu_heads_of(&s->layers[i], o->shard, &p);
        mu_readers_of(&s->layers[i], o->shard, reader);
        for (int r = 0; r < mu_shard_cp(o->shard) && kv.owners > 0; r++)
            p.n_heads = MU_MAX(p.n_heads, reader[r].n_heads);
        work = MU_MAX(work, d->ops->attention_work_bytes(d, p.n_heads, kv.dk, kv.dv, o->rows_max, mu_context_of(s, o)));
    }
    return work;
}

static int check_shard(const struct mu_spec *s, const struct mu_shard *sh, struct mu_err *e)
{
    if (!sh)
        return MU_OK;
    if (sh->tp_size < 1 || sh->tp_size > MU_COMM_RANKS_MAX || sh->tp_rank < 0 || sh->tp_rank >= sh->tp_size)
        return mu_fail(e, MU_EINVAL, "tensor rank %d of %d; at most %d", sh->tp_rank, sh->tp_size, MU_COMM_RANKS_MAX);
    if (sh->n_lanes < 1 || sh->n_lanes > MU_COMM_RANKS_MAX / sh->tp_size || sh->lane < 0 || sh->lane >= sh->n_lanes)
        return mu_fail(e, MU_EINVAL, "lane %d of %d with %d tensor ranks each; at most %d ranks", sh->lane, sh->n_lanes,
                       sh->tp_size, MU_COMM_RANKS_MAX);
    if (sh->layer_begin < 0 || sh->layer_begin > sh->layer_end || sh->layer_end > s->n_layers)
        return mu_fail(e, MU_EINVAL, "layers %d to %d of a model of %d", sh->layer_begin, sh->layer_end, s->n_layers);
    return mu_expert_table_check(sh->placed, s, sh->tp_size * sh->n_lanes, e);
}

static bool is_latent_naive(const struct mu_spec *s, const struct mu_model_opts *o)
{
    for (int i = mu_first_layer(o); i < mu_end_layer(s, o); i++) {
        if (s->layers[i].attn == MU_ATTN_LATENT && o->mla == MU_MLA_NAIVE)
            return true;
    }
    return false;
}

static int check_sharing(const struct mu_spec *s, const struct mu_model_opts *o, struct mu_err *e)
{
    const struct mu_shard *sh = o->shard;
    if (!sh || sh->cp_size == 0 || sh->cp_size == 1)
        return MU_OK;
    if (sh->cp_size < 1 || sh->cp_size > MU_ATTN_STRANDS || sh->tp_size % sh->cp_size != 0)
        return mu_fail(e, MU_EINVAL,
                       "%d ranks share a KV cache among %d tensor ranks: at most %d can, and they must divide them",
                       sh->cp_size, sh->tp_size, MU_ATTN_STRANDS);
    if (is_latent_naive(s, o))
        return mu_fail(
            e, MU_EINVAL,
            "cp=%d with naive latent attention, whose cache has a head for each query head: use the absorbed "
            "form, or cp=1",
            sh->cp_size);
    return MU_OK;
}

int mu_model_check_kv(const struct mu_spec *s, enum mu_dtype kv, struct mu_err *e)
{
    if (!mu_kv_type_is(kv))
        return mu_fail(e, MU_EINVAL, "the KV cache holds " MU_KV_TYPES ", not %s", mu_dtype_name(kv));
    if (kv == MU_I8 && s->position == MU_POS_ALIBI)
        return mu_fail(e, MU_EUNSUPPORTED,
                       "an int8 KV cache with ALiBi, whose biases lie beside the keys and would be rounded with them: "
                       "take bf16, which holds them exactly");
    return MU_OK;
}

static int check_opts(const struct mu_spec *s, const struct mu_model_opts *o, struct mu_err *e)
{
    MU_TRY_RETURN(mu_model_check_kv(s, o->kv_dtype, e));
    if (o->rows_max < 1 || o->rows_max > MU_STEP_ROWS_MAX || o->logit_rows_max < 1 ||
        o->logit_rows_max > MU_STEP_ROWS_MAX)
        return mu_fail(e, MU_EINVAL, "a step of %d rows with logits of %d; both must lie from 1 to %d", o->rows_max,
                       o->logit_rows_max, MU_STEP_ROWS_MAX);
    int64_t context = mu_context_of(s, o);
    if (context < 1 || context > INT32_MAX / 2)
        return mu_fail(e, MU_ELIMIT, "a context of %" PRId64 " positions; at most %d", context, INT32_MAX / 2);
    if (s->position == MU_POS_LEARNED && context > s->context)
        return mu_fail(e, MU_ELIMIT, "a context of %" PRId64 " positions, but the model has learned %" PRId64, context,
                       s->context);
    MU_TRY_RETURN(check_shard(s, o->shard, e));
    return check_sharing(s, o, e);
}

int mu_model_sizes(const struct mu_spec *s, const struct mu_model_opts *o, const struct mu_device *d,
                   struct mu_model_sizes *out, struct mu_err *e)
{
    struct sum sum = {.d = d, .o = o, .is_tied = s->is_tied};
    struct mu_buffers b;
    size_t tables;

    MU_TRY_RETURN(check_opts(s, o, e));
    tables = tables_bytes(s, o);
    if (mu_slots_each(s, o, add_use, &sum) != MU_OK)
        return mu_fail(e, MU_ELIMIT, "the weights of this spec do not fit an address space");
    *out = (struct mu_model_sizes){.weights = sum.weights + (o->is_mapped ? 0 : tables),
                                   .load_staging = o->is_mapped ? 0 : mu_load_staging_bytes(s, o),
                                   .activations = mu_layout_activations(s, o, NULL, &b) + (o->is_mapped ? tables : 0),
                                   .work = MU_MAX(sum.work, attention_work(s, o, d)),
                                   .logits = mu_layout_logits(s, o, NULL),
                                   .host = sizeof(struct mu_model) + mu_layout_host(s, o, NULL),
                                   .kv_page = mu_kv_page_bytes(s, o),
                                   .kv_owners = mu_shard_cp(o->shard),
                                   .weights_holders = o->shard ? MU_MAX(o->shard->n_alike, 1) : 1,
                                   .is_mapped = o->is_mapped,
                                   .copied = sum.copied};
    return MU_OK;
}
