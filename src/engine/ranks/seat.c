/* seat.c - see seat.h */
#include "engine/ranks/seat.h"

#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "engine/ranks/agree.h"
#include "engine/ranks/runner_ranks.h"

#define MAGIC    0x7374726Du /* "mrts" */
#define AWAIT_NS 1000000000ll

/* ---- rank 0's options ---- */

static int copy_name(char *out, size_t n, const char *what, const char *name, struct mu_err *e)
{
    if (name && strlen(name) >= n)
        return mu_fail(e, MU_EUSAGE, "%s \"%.100s\" is longer than %zu bytes", what, name, n - 1);
    snprintf(out, n, "%s", name ? name : "");
    return MU_OK;
}

static int fill_start(struct mu_start *t, const struct mu_engine_opts *o, struct mu_err *e)
{
    memset(t, 0, sizeof *t);
    t->magic = MAGIC;
    t->no_prefix_sharing = o->no_prefix_sharing;
    t->has_expert_loads = o->expert_loads != NULL;
    t->redundant_experts = o->redundant_experts;
    t->rows_max = o->rows_max;
    t->sequences_max = o->sequences_max;
    t->prefill_chunk = o->prefill_chunk;
    t->queue_max = o->queue_max;
    t->context_max = o->context_max;
    t->kv_tokens_max = o->kv_tokens_max;
    t->request_bytes = o->request_bytes;
    t->memory_bytes_max = o->memory_bytes_max;
    MU_TRY_RETURN(mu_seat_choose_source(t, o->weights_from, e));
    MU_TRY_RETURN(copy_name(t->weights, sizeof t->weights, "weight format", o->weights, e));
    MU_TRY_RETURN(copy_name(t->kv_dtype, sizeof t->kv_dtype, "KV cache type", o->kv_dtype, e));
    MU_TRY_RETURN(copy_name(t->mla, sizeof t->mla, "latent attention", o->mla, e));
    return copy_name(t->layout, sizeof t->layout, "layout", o->layout, e);
}

static void use_start(struct mu_seat *s, const struct mu_engine_opts *o)
{
    const struct mu_start *t = &s->start;
    s->opts = *o;
    s->opts.no_prefix_sharing = t->no_prefix_sharing;
    s->opts.redundant_experts = t->redundant_experts;
    s->opts.rows_max = t->rows_max;
    s->opts.sequences_max = t->sequences_max;
    s->opts.prefill_chunk = t->prefill_chunk;
    s->opts.queue_max = t->queue_max;
    s->opts.context_max = t->context_max;
    s->opts.kv_tokens_max = t->kv_tokens_max;
    s->opts.request_bytes = (size_t)t->request_bytes;
    s->opts.memory_bytes_max = (size_t)t->memory_bytes_max;
    s->opts.weights = t->weights[0] ? t->weights : NULL;
    s->opts.kv_dtype = t->kv_dtype[0] ? t->kv_dtype : NULL;
    s->opts.mla = t->mla[0] ? t->mla : NULL;
    s->opts.layout = t->layout;
}

static int send_start(struct mu_comm *world, const struct mu_start *t, struct mu_err *e)
{
    for (int r = 1; r < mu_comm_size(world); r++)
        MU_TRY_RETURN(mu_comm_send(world, r, MU_TAG_START, t, sizeof *t, e));
    return MU_OK;
}

void mu_engine_dismiss(struct mu_comm *world)
{
    struct mu_start t = {.magic = MAGIC, .is_dismissed = true};
    send_start(world, &t, NULL);
}

/* Told to all: rank 0 would wait for this rank. */
static int refuse_stranger(struct mu_seat *s, struct mu_err *e)
{
    struct mu_err why = MU_ERR_INIT;
    mu_fail(&why, MU_EINVAL, "rank %d on %s runs another program than rank 0 on %s: every rank must run the same",
            mu_comm_rank(s->world), mu_comm_host(s->world, mu_comm_rank(s->world)), mu_comm_host(s->world, 0));
    mu_comm_abort(s->world, why.text);
    return mu_fail(e, MU_EINVAL, "%s", why.text);
}

static int await_start(struct mu_seat *s, struct mu_err *e)
{
    bool is_there = false;
    size_t bytes = 0;
    while (!is_there)
        MU_TRY_RETURN(mu_rank_await(s->world, 0, MU_TAG_START, AWAIT_NS, &is_there, NULL, &bytes, e));
    if (bytes != sizeof s->start)
        return refuse_stranger(s, e);
    MU_TRY_RETURN(mu_comm_recv(s->world, 0, MU_TAG_START, &s->start, sizeof s->start, e));
    return s->start.magic == MAGIC ? MU_OK : refuse_stranger(s, e);
}

int mu_seat_begin(struct mu_seat *s, const struct mu_engine_opts *o, bool *is_dismissed, struct mu_err *e)
{
    *s = (struct mu_seat){.world = o->world, .parts = {.bos = -1}};
    if (mu_comm_rank(o->world) == 0) {
        MU_TRY_RETURN(fill_start(&s->start, o, e));
        MU_TRY_RETURN(send_start(o->world, &s->start, e));
    } else {
        MU_TRY_RETURN(await_start(s, e));
    }
    *is_dismissed = s->start.is_dismissed;
    use_start(s, o);
    return MU_OK;
}

/* ---- taking it ---- */

static bool has_experts(const struct mu_spec *s)
{
    for (int i = 0; i < s->n_layers; i++) {
        if (s->layers[i].moe.n_experts > 0)
            return true;
    }
    return false;
}

static int rank_in_replica(const struct mu_seat *s)
{
    const struct mu_layout_place *p = &s->place;
    return (p->stage * mu_layout_lanes(&s->layout) + p->lane) * s->layout.tp + p->t;
}

static int split_replica(struct mu_seat *s, struct mu_err *e)
{
    const struct mu_layout_place *p = &s->place;
    int lanes = mu_layout_lanes(&s->layout), tp = s->layout.tp, cp = mu_layout_cp(&s->layout);
    bool shares_experts = lanes * tp > 1 && has_experts(s->model.spec);
    MU_TRY_RETURN(mu_comm_split(&s->tp, s->replica, tp > 1 ? p->stage * lanes + p->lane : -1, p->t, "tp", e));
    MU_TRY_RETURN(mu_comm_split(&s->context, s->replica, cp > 1 ? rank_in_replica(s) / cp : -1, p->t, "context", e));
    return mu_comm_split(&s->experts, s->replica, shares_experts ? p->stage : -1, p->lane * tp + p->t, "experts", e);
}

/* Every rank makes the same splits in the same order. What splits a part of the world alone, others do not hear of. */
static int split_groups(struct mu_seat *s, struct mu_err *e)
{
    int rank = mu_comm_rank(s->world);
    MU_TRY_RETURN(mu_comm_split(&s->replica, s->world, s->place.replica, rank_in_replica(s), "replica", e));
    MU_TRY_RETURN(mu_agree(s->world, split_replica(s, e), e));
    MU_TRY_RETURN(mu_comm_split(&s->node, s->world, mu_comm_node(s->world, rank), rank, "node", e));
    mu_layout_shard(&s->layout, s->model.spec, rank, &s->shard);
    s->shard.tp = s->tp;
    s->shard.context = s->context;
    s->shard.experts = s->experts;
    s->shard.placed = s->placed;
    s->shard.node = mu_comm_size(s->node) > 1 ? s->node : NULL;
    MU_TRY_RETURN(mu_agree(s->world, mu_seat_split_alike(s, e), e));
    return mu_seat_join_nodes(s, e);
}

/* The rank's own runner, and around it the one that makes a replica of many. */
static int make_runner(struct mu_seat *s, struct mu_err *e)
{
    const struct mu_layout_place *p = &s->place;
    int lanes = mu_layout_lanes(&s->layout);
    bool may_differ = has_experts(s->model.spec) && (lanes > 1 || s->layout.pp > 1);
    MU_TRY_RETURN(mu_light_parts_model(&s->parts, &s->model, &s->opts, &s->shard, e));
    if (mu_comm_size(s->replica) == 1)
        return MU_OK;
    struct mu_rank k = {.local = s->parts.runner,
                        .replica = s->replica,
                        .stage = p->stage,
                        .n_stages = s->layout.pp,
                        .lane = p->lane,
                        .n_lanes = lanes,
                        .t = p->t,
                        .tp = s->layout.tp,
                        .agrees = may_differ};
    s->parts.runner = NULL;
    return mu_ranks_runner_new(&s->parts.runner, &k, e);
}

static int show_bill(struct mu_seat *s, struct mu_err *e)
{
    if (mu_comm_rank(s->world) == 0 && s->opts.on_bill && s->opts.on_bill(s->opts.arg, &s->fullest))
        return mu_fail(e, MU_ECANCELED, "stopped when the memory bill was shown");
    return MU_OK;
}

int mu_seat_agree_bill(struct mu_seat *s, struct mu_err *e)
{
    return mu_agree_bill(s->world, &s->opts, &s->parts, !mu_seat_is_driver(s), &s->own, &s->fullest, e);
}

int mu_seat_take(struct mu_seat *s, struct mu_err *e)
{
    struct mu_comm *w = s->world;
    MU_TRY_RETURN(mu_agree(w, mu_light_parts_begin(&s->parts, &s->opts, e), e));
    MU_TRY_RETURN(mu_identity_compare(w, &s->opts, s->parts.checkpoint, e));
    MU_TRY_RETURN(mu_seat_settle_layout(s, e));
    MU_TRY_RETURN(mu_seat_place_experts(s, e));
    MU_TRY_RETURN(split_groups(s, e));
    MU_TRY_RETURN(mu_agree(w, make_runner(s, e), e));
    int rc = mu_seat_agree_bill(s, e);
    if (rc == MU_OK)
        rc = mu_seat_open_block(s, e);
    if (s->fullest.n_lines > 0 && (rc == MU_OK || rc == MU_ENOMEM)) { /* one that does not fit is shown too */
        int shown = show_bill(s, rc == MU_OK ? e : NULL);
        rc = rc == MU_OK ? mu_agree(w, shown, e) : rc;
    }
    return rc;
}

/* ---- loading ---- */

static int load_own(struct mu_seat *s, mu_engine **local, struct mu_err *e)
{
    struct mu_light_parts parts = s->parts;
    if (!mu_seat_is_driver(s))
        return parts.runner->ops->load(parts.runner, &s->own.limits, s->opts.on_progress, s->opts.arg, e);
    s->parts = (struct mu_light_parts){.bos = -1}; /* moved */
    parts.bill = &s->own;
    parts.layout = &s->layout;
    int rc = mu_light_open_parts(local, &s->opts, &parts, e);
    if (rc != MU_OK)
        mu_comm_abort(s->world, e->text); /* before it came to load: the others, who do, would wait for it */
    return rc;
}

static int load_and_compare(struct mu_seat *s, mu_engine **local, struct mu_err *e)
{
    struct mu_engine_info info = {.weights_hash = ""};
    int64_t bytes;
    MU_TRY_RETURN(mu_agree(s->world, load_own(s, local, e), e));
    mu_comm_shared_seal(s->block);
    if (*local) {
        mu_light_info(*local, &info);
    } else {
        info.weight_bytes_read = s->parts.checkpoint->bytes_read;
        info.weights_hash = s->parts.checkpoint->content_hash;
    }
    MU_TRY_RETURN(mu_identity_compare_weights(s->world, info.weights_hash, e));
    mu_seat_compare_loads(s, info.weights_hash);
    bytes = (int64_t)info.weight_bytes_read;
    MU_TRY_RETURN(mu_comm_all_reduce(s->world, &bytes, 1, MU_REDUCE_SUM_I64, e));
    s->bytes_read = (uint64_t)bytes;
    return MU_OK;
}

int mu_seat_load(struct mu_seat *s, mu_engine **local, struct mu_err *e)
{
    struct mu_err err = MU_ERR_INIT;
    int rc = load_and_compare(s, local, &err);
    struct mu_runner *r = *local ? mu_light_runner(*local) : s->parts.runner;
    if (rc == MU_OK)
        return MU_OK;
    if (r)
        r->lost = err; /* all ranks leave: nobody waits to be told */
    if (e)
        *e = err;
    return rc;
}

void mu_seat_close(struct mu_seat *s)
{
    mu_light_parts_close(&s->parts);
    mu_comm_shared_close(s->block);
    mu_expert_table_free(s->placed);
    mu_comm_close(s->alike);
    mu_comm_close(s->shard.column);
    mu_comm_close(s->node);
    mu_comm_close(s->experts);
    mu_comm_close(s->context);
    mu_comm_close(s->tp);
    mu_comm_close(s->replica);
}
