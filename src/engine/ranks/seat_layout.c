/* seat_layout.c - the layout that was asked for, or the best of the planner's that fits every rank
 *
 * The planner ranks layouts by its own bill and model of time; the bill of each rank as it would be opened here has the
 * last word. Where none of the ranked ones fits, all splits of a replica are tried, the smallest first: the batch gets
 * smaller inside each bill, then replicas fewer. Formats are never changed: what does not fit so is refused by the
 * bill's own sentence, which names the formats that would. */
#include "engine/ranks/seat.h"

#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/log.h"
#include "base/memory_limit.h"
#include "base/pool.h"
#include "engine/ranks/agree.h"
#include "engine/forecast.h"
#include "plan/plan.h"

#define REASON_BYTES_MAX ((size_t)64 << 10)

static int sharers(const struct mu_comm *world)
{
    int n = 0;
    for (int r = 0; r < mu_comm_size(world); r++)
        n += mu_comm_node(world, r) == mu_comm_node(world, mu_comm_rank(world));
    return n;
}

/* ---- what fits ---- */

struct trial {
    bool fits;
    int rank; /* the fullest of those looked at, */
    size_t need, allowed;
};

/* One rank's part, in the share of memory that rank 0 has. */
static int try_rank(struct mu_seat *s, const struct mu_layout *l, int rank, struct trial *t, struct mu_err *e)
{
    struct mu_light_parts parts = s->parts;
    struct mu_light_model model;
    struct mu_shard shard;
    struct mu_bill bill;
    mu_layout_shard(l, s->model.spec, rank, &shard);
    shard.n_alike = mu_seat_n_alike(s, l, rank);
    MU_TRY_RETURN(mu_light_parts_model(&parts, &model, &s->opts, &shard, e));
    int rc = mu_light_bill_make(&bill, &s->opts, &parts, sharers(s->world), rank > 0, e);
    parts.runner->ops->close(parts.runner);
    if (rc != MU_OK)
        return rc;
    t->fits = t->fits && bill.fits;
    if (bill.bytes_peak > t->need)
        t->rank = rank, t->need = bill.bytes_peak, t->allowed = bill.bytes_max;
    return MU_OK;
}

/* Replicas are alike. */
static int try_layout(struct mu_seat *s, const struct mu_layout *l, struct trial *t, struct mu_err *e)
{
    int n = mu_layout_ranks(l) / mu_layout_replicas(l);
    *t = (struct trial){.fits = true};
    for (int r = 0; r < n && t->fits; r++)
        MU_TRY_RETURN(try_rank(s, l, r, t, e));
    return MU_OK;
}

/* ---- asking the planner ---- */

static struct mu_workload work_of(const struct mu_seat *s)
{
    const struct mu_engine_work *k = &s->opts.work;
    int64_t context = MU_MIN(s->model.spec->context, MU_STEP_ROWS_MAX);
    struct mu_workload w = {.requests = k->requests, .weights = s->parts.weights, .kv_dtype = s->parts.kv_dtype};
    w.prompt = MU_MAX(1, MU_MIN(k->prompt > 0 ? k->prompt : MU_WORK_PROMPT, context / 2));
    w.output = MU_MIN(k->output, context - w.prompt);
    w.scored = MU_MIN(k->scored > 0 || w.output > 0 ? k->scored : MU_WORK_SCORED, w.prompt);
    w.redundant_experts = s->opts.redundant_experts;
    w.batch = s->opts.sequences_max > 0 ? MU_MIN(s->opts.sequences_max, MU_STEP_ROWS_MAX) : 0;
    return w;
}

/* As mu_light_bill_make() allows; 0: not known. */
static double memory_of_rank(const struct mu_seat *s)
{
    size_t left = mu_memory_available(NULL);
    return s->opts.memory_bytes_max ? (double)s->opts.memory_bytes_max : (double)left * 0.9 / (double)sharers(s->world);
}

static int ask_planner(struct mu_plan **out, const struct mu_seat *s, struct mu_err *e)
{
    struct mu_machine m;
    struct mu_plan_ask ask = {.spec = s->model.spec, .machine = &m, .is_weights_fixed = true};
    const struct mu_device *d = s->opts.device ? s->opts.device : s->parts.device;
    mu_forecast_machine(&m, &s->opts, mu_pool_threads(d->pool), memory_of_rank(s));
    ask.work = work_of(s);
    ask.devices = mu_comm_size(s->world);
    return mu_plan_make(out, &ask, e);
}

/* ---- choosing ---- */

struct choice {
    struct mu_layout layout;
    struct trial trial;
    bool has; /* layout and trial are there: the best so far, or of those that do not fit the nearest to it */
};

static double missing(const struct trial *t)
{
    return (double)t->need - (double)t->allowed;
}

/* Takes the layout when it fits, or when nothing came nearer. why NULL: nothing is said. */
static int consider(struct mu_seat *s, const struct mu_layout *l, struct choice *c, struct mu_buf *why,
                    struct mu_err *e)
{
    struct mu_buf text = MU_BUF_INIT("the layout", MU_LAYOUT_TEXT_MAX - 1);
    char need[24], allowed[24];
    struct trial t;
    int rc = MU_OK;
    MU_TRY(try_layout(s, l, &t, e));
    if (!c->has || t.fits || missing(&t) < missing(&c->trial))
        *c = (struct choice){*l, t, true};
    if (t.fits || !why)
        goto out;
    MU_TRY(mu_layout_print(l, &text, e));
    MU_TRY(mu_buf_printf(why, e, "%s was passed over: rank %d needs %s of memory and may take %s\n", text.p, t.rank,
                         mu_bytes_text(need, t.need), mu_bytes_text(allowed, t.allowed)));
out:
    mu_buf_fini(&text);
    return rc;
}

/* Layouts that leave ranks idle cannot be run by this many; keys and values of single heads are not shared. */
static bool can_run(const struct mu_seat *s, const struct mu_layout *l)
{
    bool is_naive = s->opts.mla && strcmp(s->opts.mla, "naive") == 0;
    return mu_layout_ranks(l) == mu_comm_size(s->world) && !(is_naive && mu_layout_cp(l) > 1);
}

/* The planner's own order. */
static int walk_plan(struct mu_seat *s, const struct mu_plan *p, struct choice *c, struct mu_buf *why, struct mu_err *e)
{
    if (p->is_refused)
        return MU_OK;
    for (int i = -1; i < p->n_alternatives && !c->trial.fits; i++) {
        const struct mu_plan_choice *one = i < 0 ? &p->choice : &p->alternatives[i];
        if (can_run(s, &one->layout))
            MU_TRY_RETURN(consider(s, &one->layout, c, why, e));
    }
    return MU_OK;
}

/* Groups from the smallest on; in a group tensor ranks first. */
static int walk_splits(struct mu_seat *s, struct choice *c, struct mu_err *e)
{
    int ranks = mu_comm_size(s->world);
    for (int group = 1; group <= ranks; group++) {
        for (int pp = 1; ranks % group == 0 && pp <= group && !c->trial.fits; pp++) {
            struct mu_layout l = {.dp = ranks / group, .pp = pp, .tp = group / pp, .ep = 1};
            if (group % pp != 0 || mu_layout_check(&l, s->model.spec, NULL) != MU_OK)
                continue;
            mu_layout_cut_stages(&l, s->model.spec);
            MU_TRY_RETURN(consider(s, &l, c, NULL, e));
        }
    }
    return MU_OK;
}

/* The planner's, but for the batch: that is the bill's to choose. */
static int say_reasons(const struct mu_plan *p, const struct choice *c, bool is_ranked, struct mu_buf *why,
                       struct mu_err *e)
{
    if (!is_ranked && c->trial.fits)
        return mu_buf_puts(why, "it is the smallest split of a replica that fits every rank\n", e);
    bool is_best = !p->is_refused && memcmp(&p->choice.layout, &c->layout, sizeof c->layout) == 0;
    for (int i = 0; is_best && i < p->n_reasons; i++) {
        if (strncmp(p->reasons[i], "batch ", 6) != 0)
            MU_TRY_RETURN(mu_buf_printf(why, e, "%s\n", p->reasons[i]));
    }
    return MU_OK;
}

static int choose(struct mu_seat *s, struct mu_layout *out, struct mu_buf *why, struct mu_err *e)
{
    struct choice c = {.has = false};
    struct mu_plan *p = NULL;
    int rc;
    MU_TRY(ask_planner(&p, s, e));
    MU_TRY(walk_plan(s, p, &c, why, e));
    bool is_ranked = c.trial.fits;
    if (!is_ranked)
        MU_TRY(walk_splits(s, &c, e));
    MU_TRY(say_reasons(p, &c, is_ranked, why, e));
    *out = c.layout; /* dp=ranks is always legal: there is one */
out:
    mu_plan_free(p);
    return rc;
}

/* ---- deciding ---- */

/* What cannot run is refused; what wastes ranks was asked for, and is said. */
static int check(const struct mu_layout *l, const struct mu_spec *spec, struct mu_err *e)
{
    struct mu_err waste = MU_ERR_INIT;
    MU_TRY_RETURN(mu_layout_check_shape(l, spec, e));
    if (mu_layout_check(l, spec, &waste) != MU_OK)
        mu_log(MU_LOG_WARN, "%s", waste.text);
    return MU_OK;
}

static int decide(struct mu_seat *s, struct mu_err *e)
{
    struct mu_buf text = MU_BUF_INIT("the layout", MU_LAYOUT_TEXT_MAX - 1),
                  why = MU_BUF_INIT("the reasons for a layout", REASON_BYTES_MAX);
    struct mu_layout l;
    const char *asked = s->start.layout;
    bool is_auto = !asked[0] || strcmp(asked, "auto") == 0;
    int rc;
    MU_TRY(is_auto ? choose(s, &l, &why, e) : mu_layout_parse(&l, asked, mu_comm_size(s->world), e));
    MU_TRY(check(&l, s->model.spec, e));
    if (mu_layout_ranks(&l) != mu_comm_size(s->world)) {
        rc = mu_fail(e, MU_EUSAGE, "layout %s is for %d ranks and there are %d", asked, mu_layout_ranks(&l),
                     mu_comm_size(s->world));
        goto out;
    }
    MU_TRY(mu_layout_print(&l, &text, e));
    snprintf(s->layout_text, sizeof s->layout_text, "%s", text.p);
    if (is_auto && s->opts.on_layout)
        s->opts.on_layout(s->opts.arg, s->layout_text, why.p ? why.p : "");
out:
    mu_buf_fini(&why);
    mu_buf_fini(&text);
    return rc;
}

int mu_seat_settle_layout(struct mu_seat *s, struct mu_err *e)
{
    int rank = mu_comm_rank(s->world);
    s->model.spec = &s->parts.checkpoint->spec;
    int rc = rank == 0 ? decide(s, e) : MU_OK;
    MU_TRY_RETURN(mu_agree(s->world, rc, e));
    MU_TRY_RETURN(mu_comm_broadcast(s->world, s->layout_text, sizeof s->layout_text, 0, e));
    rc = mu_layout_parse(&s->layout, s->layout_text, mu_comm_size(s->world), e);
    MU_TRY_RETURN(mu_agree(s->world, rc, e));
    mu_layout_cut_stages(&s->layout, s->model.spec);
    s->place = mu_layout_place_of(&s->layout, rank);
    return MU_OK;
}
