/* distributed.c - the engine of many ranks: seats taken, replicas behind one queue */
#include "engine/engine_int.h"

#include "base/check.h"
#include "base/mem.h"
#include "engine/ranks/agree.h"
#include "engine/ranks/replicas.h"
#include "engine/ranks/runner_ranks.h"
#include "engine/ranks/seat.h"

struct distributed {
    struct mu_engine base;
    struct mu_seat seat;
    mu_engine *local;             /* replica 0's */
    struct mu_replicas *replicas; /* NULL: there is one */
};

static struct distributed *self(const mu_engine *eng)
{
    return (struct distributed *)(uintptr_t)eng;
}

static int ranks_of_replica(const struct mu_seat *s)
{
    return mu_comm_size(s->replica);
}

/* Of the replica that this rank drives. */
static int peaks_of_replica(mu_engine *local, int n, uint64_t *peak, struct mu_err *e)
{
    struct mu_rank_figures *f = NULL;
    int rc = MU_OK;
    if (n == 1) {
        peak[0] = mu_rank_own_figures().bytes_peak;
        return MU_OK;
    }
    MU_TRY(MU_NEW_ARRAY(&f, n, "the ranks' figures", e));
    MU_TRY(mu_ranks_figures(mu_light_runner(local), f, e));
    for (int i = 0; i < n; i++)
        peak[i] = f[i].bytes_peak;
out:
    mu_free(f);
    return rc;
}

/* A lost replica does not end the others: each is a part of the world from here on. */
static int part_replicas(const struct mu_seat *s, struct mu_err *e)
{
    return mu_layout_replicas(&s->layout) > 1 ? mu_comm_set_parts(s->world, s->place.replica, e) : MU_OK;
}

/* ---- the other ranks ---- */

struct served {
    mu_engine *local;
    int ranks;
};

static int served_peaks(void *arg, uint64_t *peak, struct mu_err *e)
{
    const struct served *v = arg;
    return peaks_of_replica(v->local, v->ranks, peak, e);
}

static int serve(struct mu_seat *s, mu_engine *local, struct mu_err *e)
{
    struct served v = {local, ranks_of_replica(s)};
    struct mu_replica_opts o = {s->world, local, v.ranks, served_peaks, &v};
    return local ? mu_replica_serve(&o, e) : mu_ranks_follow(s->parts.runner, e);
}

/* What all ranks came to together is rank 0's to tell. */
static int leave_telling_to_rank_0(int rc, struct mu_err *e)
{
    if (rc != MU_OK && rc != MU_EPEER && rc != MU_ETIMEDOUT && e)
        e->text[0] = '\0';
    return rc;
}

int mu_engine_follow(const struct mu_engine_opts *o, struct mu_err *e)
{
    struct mu_seat *s = NULL;
    mu_engine *local = NULL;
    bool is_dismissed = false;
    int rc;

    rc = MU_NEW(&s, "a rank's seat", e);
    if (rc != MU_OK) {
        mu_comm_abort(o->world, "there is no memory for a rank's seat");
        goto out;
    }
    MU_TRY(mu_seat_begin(s, o, &is_dismissed, e));
    if (is_dismissed)
        goto out;
    s->opts.on_bill = NULL; /* rank 0 shows what there is to show */
    s->opts.on_progress = NULL;
    MU_TRY(leave_telling_to_rank_0(mu_seat_take(s, e), e));
    MU_TRY(leave_telling_to_rank_0(mu_seat_load(s, &local, e), e));
    MU_TRY(part_replicas(s, e));
    rc = serve(s, local, e);
    if (mu_comm_died_apart(o->world) && e)
        e->text[0] = '\0'; /* rank 0 knows, and goes on */
out:
    mu_engine_close(local);
    if (s)
        mu_seat_close(s);
    mu_free(s);
    return rc;
}

/* ---- rank 0 ---- */

static int can_handle(const struct mu_engine_opts *o, struct mu_err *why)
{
    if (mu_comm_size(o->world) < 2)
        return mu_fail(why, MU_EUNSUPPORTED, "there is one rank");
    if (!o->model)
        return mu_fail(why, MU_EUSAGE, "no model is named");
    if (mu_comm_rank(o->world) != 0)
        return mu_fail(why, MU_EUSAGE, "rank %d follows: rank 0 opens the engine", mu_comm_rank(o->world));
    return MU_OK;
}

static int open_replicas(struct distributed *d, struct mu_err *e)
{
    int n = mu_layout_replicas(&d->seat.layout);
    struct mu_replicas_opts o = {.world = d->seat.world,
                                 .local = d->local,
                                 .n = n,
                                 .ranks_each = ranks_of_replica(&d->seat),
                                 .opts = &d->seat.opts};
    return n > 1 ? mu_replicas_open(&d->replicas, &o, e) : MU_OK;
}

static void distributed_close(mu_engine *eng)
{
    struct distributed *d = self(eng);
    mu_replicas_close(d->replicas);
    mu_engine_close(d->local);
    mu_seat_close(&d->seat);
    mu_free(d);
}

static int distributed_open(mu_engine **out, const struct mu_engine_opts *o, struct mu_err *e)
{
    struct mu_err err = MU_ERR_INIT;
    struct distributed *d = NULL;
    bool is_dismissed;
    int rc;

    rc = MU_NEW(&d, "the engine", &err);
    if (rc == MU_OK)
        rc = mu_seat_begin(&d->seat, o, &is_dismissed, &err);
    if (rc != MU_OK) {
        mu_engine_dismiss(o->world);
        goto out;
    }
    d->base.ops = &mu_engine_distributed;
    MU_TRY(mu_seat_take(&d->seat, &err));
    MU_TRY(mu_seat_load(&d->seat, &d->local, &err));
    rc = part_replicas(&d->seat, &err);
    if (rc == MU_OK)
        rc = open_replicas(d, &err);
    if (rc != MU_OK)
        mu_comm_abort(o->world, err.text); /* the others serve already */
out:
    if (rc == MU_OK) {
        *out = &d->base;
        return MU_OK;
    }
    if (d)
        distributed_close(&d->base);
    if (e)
        *e = err;
    return rc;
}

static int distributed_submit(mu_engine *eng, const struct mu_request *r, uint64_t *id, struct mu_err *e)
{
    struct distributed *d = self(eng);
    return d->replicas ? mu_replicas_submit(d->replicas, r, id, e) : mu_light_submit(d->local, r, id, e);
}

static int distributed_poll(mu_engine *eng, struct mu_result **out, int64_t timeout_ns, struct mu_err *e)
{
    struct distributed *d = self(eng);
    return d->replicas ? mu_replicas_poll(d->replicas, out, timeout_ns, e)
                       : mu_light_poll(d->local, out, timeout_ns, e);
}

static int distributed_cancel(mu_engine *eng, uint64_t id, struct mu_err *e)
{
    struct distributed *d = self(eng);
    return d->replicas ? mu_replicas_cancel(d->replicas, id, e) : mu_light_cancel(d->local, id, e);
}

/* Freed bytes are counted on replica 0; the others free theirs when they see the message. */
static int distributed_optimize_memory(mu_engine *eng, size_t *bytes_freed, struct mu_err *e)
{
    struct distributed *d = self(eng);
    MU_TRY_RETURN(mu_light_optimize_memory(d->local, bytes_freed, e));
    return d->replicas ? mu_replicas_drop_cached(d->replicas, e) : MU_OK;
}

static void distributed_status(mu_engine *eng, struct mu_engine_status *out)
{
    struct distributed *d = self(eng);
    if (d->replicas)
        mu_replicas_status(d->replicas, out);
    else
        mu_light_status(d->local, out);
}

static void distributed_info(const mu_engine *eng, struct mu_engine_info *out)
{
    const struct distributed *d = self(eng);
    int n = mu_layout_replicas(&d->seat.layout);
    mu_light_info(d->local, out);
    out->engine = "distributed";
    out->layout = d->seat.layout_text;
    out->ranks = mu_comm_size(d->seat.world);
    out->replicas = n;
    out->weight_bytes_read = d->seat.bytes_read;
    out->sequences_max *= n;
    out->kv_pages *= n;
}

static void distributed_seen(mu_engine *eng, struct mu_engine_seen *out)
{
    mu_light_seen(self(eng)->local, out);
}

static const struct mu_forecast *distributed_forecast(const mu_engine *eng)
{
    return mu_light_forecast(self(eng)->local);
}

static const struct mu_bill *distributed_bill(const mu_engine *eng)
{
    return &self(eng)->seat.fullest;
}

static struct mu_runner *distributed_runner(mu_engine *eng)
{
    return mu_light_runner(self(eng)->local);
}

int mu_engine_peaks(mu_engine *eng, uint64_t *peak, struct mu_err *e)
{
    struct distributed *d = self(eng);
    if (eng->ops != &mu_engine_distributed)
        return mu_fail(e, MU_EUNSUPPORTED, "the %s engine has one rank", eng->ops->name);
    MU_TRY_RETURN(peaks_of_replica(d->local, ranks_of_replica(&d->seat), peak, e));
    return d->replicas ? mu_replicas_peaks(d->replicas, peak, e) : MU_OK;
}

const struct mu_engine_ops mu_engine_distributed = {
    .name = "distributed",
    .capabilities = MU_CAN_OURS,
    .can_handle = can_handle,
    .open = distributed_open,
    .submit = distributed_submit,
    .poll = distributed_poll,
    .cancel = distributed_cancel,
    .optimize_memory = distributed_optimize_memory,
    .status = distributed_status,
    .info = distributed_info,
    .seen = distributed_seen,
    .forecast = distributed_forecast,
    .bill = distributed_bill,
    .runner = distributed_runner,
    .close = distributed_close,
};
