/* plan.c - the search: every layout, what fits of it, what is best of that
 *
 * Formats are tried from the wanted one downwards; the first under which any layout fits is taken. Under one format
 * layouts that use all devices come first; only when none of them fits, those that leave some idle. */
#include "plan/plan.h"

#include <math.h>

#include "base/check.h"
#include "base/mem.h"
#include "model/expert_table.h"
#include "plan/bill.h"
#include "plan/plan_int.h"

#define TIE            0.98 /* of the best rate: predictions are not better than that */
#define GROUP_FAR      64   /* times the smallest group that fits: larger ones are not looked at, */
#define IDLE_GROUP_FAR 4    /* nor these where devices stay idle */

static const char *const strategies[] = {
#define NAME(id, name) name,
    MU_STRATEGY_MAP(NAME)
#undef NAME
};

const char *mu_strategy_name(enum mu_strategy s)
{
    return strategies[s];
}

int mu_strategy_from_name(enum mu_strategy *out, const char *name, struct mu_err *e)
{
    for (int i = 0; i < MU_STRATEGY_N; i++) {
        if (strcmp(name, strategies[i]) == 0) {
            *out = (enum mu_strategy)i;
            return MU_OK;
        }
    }
    return mu_fail(e, MU_EUSAGE,
                   "there is no strategy \"%.40s\"; auto, tensor, pipeline, hybrid, data and expert are known", name);
}

/* ---- one candidate ---- */

static void refuse(struct plan_search *s, const struct mu_layout *l, double missing, const char *why)
{
    struct mu_plan *p = s->p;
    p->n_refused_in_all++;
    if (missing > 0 && (s->least_missing <= 0 || missing < s->least_missing)) {
        s->least_missing = missing;
        s->least_missing_of = *l;
    }
    if (p->n_refused == MU_PLAN_REFUSED_MAX)
        return;
    struct mu_plan_refused *r = &p->refused[p->n_refused++];
    *r = (struct mu_plan_refused){.layout = *l, .bytes_missing = missing};
    snprintf(r->why, sizeof r->why, "%.*s", MU_PLAN_TEXT_MAX - 1, why);
}

/* What is missing, in bytes. */
static double refuse_memory(struct plan_search *s, const struct mu_layout *l)
{
    double there = s->ask->machine->device.memory;
    char why[MU_PLAN_TEXT_MAX], need[24], has[24], weights[24], missing[24];
    struct mu_rank_bill b;
    int rank = 0;

    plan_fullest(s, 1, &b, &rank);
    double lacks = (double)b.total - there;
    snprintf(why, sizeof why, "%s missing: rank %d needs %s with one sequence (%s of %s weights), a device has %s",
             mu_bytes_text(missing, (size_t)lacks), rank, mu_bytes_text(need, b.total),
             mu_bytes_text(weights, b.weights), mu_wformat_name(s->format), mu_bytes_text(has, (size_t)there));
    refuse(s, l, lacks, why);
    return lacks;
}

static int64_t batch_wanted(const struct plan_search *s, const struct mu_layout *l)
{
    const struct mu_workload *w = &s->ask->work;
    int64_t lanes = (int64_t)mu_layout_replicas(l) * mu_layout_lanes(l);
    int64_t n = w->batch;
    if (n == 0 && s->ask->machine->is_host)
        n = MU_PLAN_BATCH_HOST;
    else if (n == 0)
        n = MU_MIN((int64_t)l->tp * l->pp * MU_PLAN_BATCH_DEVICE, MU_PLAN_BATCH_MAX);
    if (w->batch == 0 && w->requests > 0)
        n = MU_MIN(n, (w->requests + lanes - 1) / lanes);
    return MU_MAX(n, 1);
}

/* Ranks that wait for each other. */
static int group_of(const struct mu_layout *l)
{
    return l->tp * l->pp * mu_layout_lanes(l);
}

/* Keeps the best, in order; the choice is picked among them at the end. */
static void keep(struct mu_plan *p, const struct mu_plan_choice *c)
{
    int at = p->n_alternatives;
    p->n_fit++;
    while (at > 0 && p->alternatives[at - 1].requests_per_s < c->requests_per_s)
        at--;
    if (at == MU_PLAN_ALTERNATIVES_MAX)
        return;
    int last = MU_MIN(p->n_alternatives, MU_PLAN_ALTERNATIVES_MAX - 1);
    memmove(&p->alternatives[at + 1], &p->alternatives[at], (size_t)(last - at) * sizeof *c);
    p->alternatives[at] = *c;
    p->n_alternatives = last + 1;
}

static double rate_of(const struct mu_plan_choice *c)
{
    if (c->work.requests > 0)
        return (double)c->work.requests / c->cost.total_s;
    return c->cost.tokens_per_s / (double)(c->work.prompt + c->work.output);
}

static void remember_data(struct plan_search *s, const struct mu_plan_choice *c, double missing)
{
    if (group_of(&c->layout) > 1)
        return;
    s->has_data = true;
    s->data = *c;
    s->data_missing = missing;
}

static int predict(const struct plan_search *s, struct mu_plan_choice *c, struct mu_err *e)
{
    MU_TRY_RETURN(mu_cost_of(&c->cost, s->ask->spec, &c->layout, s->ask->machine, &c->work, e));
    c->requests_per_s = rate_of(c);
    return MU_OK;
}

/* A batch that was left open is halved for as long as that costs next to nothing. */
static int trim_batch(const struct plan_search *s, struct mu_plan_choice *c, struct mu_err *e)
{
    double enough = c->requests_per_s * TIE;
    while (s->ask->work.batch == 0 && c->work.batch > 1) {
        struct mu_plan_choice less = *c;
        less.work.batch /= 2;
        MU_TRY_RETURN(predict(s, &less, e));
        if (less.requests_per_s < enough)
            break;
        *c = less;
    }
    return MU_OK;
}

/* The layout is legal. */
static void try_fit(struct plan_search *s, const struct mu_layout *l, int idle)
{
    struct mu_plan_choice c = {.layout = *l, .work = s->ask->work, .idle = idle};
    struct mu_err why = MU_ERR_INIT;

    if (c.layout.stage_end[l->pp - 1] == 0)
        mu_layout_cut_stages(&c.layout, s->ask->spec);
    plan_needs(s, &c.layout);
    c.work.weights = s->format;
    c.work.batch = plan_batch(s, batch_wanted(s, l));
    if (c.work.batch == 0) {
        remember_data(s, &c, refuse_memory(s, l));
        return;
    }
    if (predict(s, &c, &why) != MU_OK || trim_batch(s, &c, &why) != MU_OK) {
        refuse(s, l, 0, why.text);
        return;
    }
    c.limits = mu_rank_limits_of(s->ask->machine, &c.work, c.work.batch);
    plan_fullest(s, c.work.batch, &c.bill, &c.fullest);
    remember_data(s, &c, 0);
    keep(s->p, &c);
}

static int check_copies(const struct mu_plan_ask *a, const struct mu_layout *l, struct mu_err *e)
{
    return mu_expert_table_room(a->spec, a->work.redundant_experts, l->tp * mu_layout_lanes(l), e);
}

static void try_layout(struct plan_search *s, const struct mu_layout *l, int idle)
{
    struct mu_err why = MU_ERR_INIT;
    s->n_tried++;
    if (mu_layout_check(l, s->ask->spec, &why) == MU_OK && check_copies(s->ask, l, &why) == MU_OK)
        try_fit(s, l, idle);
    else
        refuse(s, l, 0, why.text);
}

/* ---- all of them ---- */

static bool is_wanted(enum mu_strategy strategy, int devices, int tp, int pp, int lanes)
{
    bool is_alone = devices == 1;
    switch (strategy) {
    case MU_STRATEGY_TENSOR:
        return pp == 1 && lanes == 1 && (tp > 1 || is_alone);
    case MU_STRATEGY_PIPELINE:
        return tp == 1 && lanes == 1 && (pp > 1 || is_alone);
    case MU_STRATEGY_HYBRID:
        return lanes == 1 && ((tp > 1 && pp > 1) || devices < 4);
    case MU_STRATEGY_DATA:
        return tp == 1 && pp == 1 && lanes == 1;
    case MU_STRATEGY_EXPERT:
        return lanes > 1 || tp > 1 || is_alone;
    default:
        return true;
    }
}

/* Tensor ranks that would hold copies of the same keys share one cache instead: the most that may. */
static int cp_without_copies(const struct mu_spec *s, int tp)
{
    const struct mu_layer_spec *l = &s->layers[0];
    int copies = tp / (l->attn == MU_ATTN_LATENT ? 1 : l->n_kv_heads), cp = MU_MIN(copies, MU_ATTN_STRANDS);
    while (cp > 1 && tp % cp != 0)
        cp--;
    return MU_MAX(cp, 1);
}

static void try_split(struct plan_search *s, int devices, int tp, int pp, int lanes, int experts)
{
    int group = tp * pp * lanes;
    struct mu_layout l = {.tp = tp, .pp = pp, .dp = devices / group * lanes, .ep = lanes > 1 ? tp * lanes : 1};

    if (!is_wanted(s->ask->strategy, devices, tp, pp, lanes))
        return;
    if (experts > 0 && lanes == 1 && tp > 1 && tp <= experts)
        l.ep = tp; /* experts lie whole on the tensor ranks either way: say so */
    if (s->ask->strategy == MU_STRATEGY_EXPERT && l.ep == 1 && devices > 1)
        return;
    int fit = s->p->n_fit;
    try_layout(s, &l, devices % group);
    l.cp = cp_without_copies(s->ask->spec, tp);
    if (l.cp > 1 && s->p->n_fit == fit) /* sharing costs time: only where copies do not fit */
        try_layout(s, &l, devices % group);
}

/* Every split of a replica of `group` devices. */
static void try_group(struct plan_search *s, int devices, int group, int experts)
{
    int tp_max = s->is_idle_allowed ? MU_MIN(s->ask->machine->devices, group) : group;
    for (int tp = 1; tp <= tp_max; tp++) {
        for (int pp = 1; group % tp == 0 && pp <= MU_MIN(group / tp, s->ask->spec->n_layers); pp++) {
            int lanes = group / tp / pp;
            if (group / tp % pp == 0 && (lanes == 1 || tp * lanes <= experts))
                try_split(s, devices, tp, pp, lanes, experts);
        }
    }
}

/* Small groups first. Far larger ones than the smallest that fits only wait for more ranks. */
static void try_all(struct plan_search *s, int devices)
{
    int experts = mu_layout_experts(s->ask->spec), far = s->is_idle_allowed ? IDLE_GROUP_FAR : GROUP_FAR,
        last = devices;
    for (int group = 1; group <= last; group++) {
        bool had = s->p->n_fit > 0;
        if ((devices % group != 0) == s->is_idle_allowed)
            try_group(s, devices, group, experts);
        if (!had && s->p->n_fit > 0)
            last = (int)MU_MIN((int64_t)group * far, devices);
    }
}

static void search_format(struct plan_search *s, enum mu_wformat f)
{
    struct mu_plan *p = s->p;
    s->format = f;
    s->least_missing = 0;
    p->n_alternatives = p->n_fit = p->n_refused = p->n_refused_in_all = 0;
    if (s->ask->layout) {
        try_layout(s, s->ask->layout, p->devices - mu_layout_ranks(s->ask->layout));
        return;
    }
    s->is_idle_allowed = false;
    try_all(s, p->devices);
    s->is_idle_allowed = true;
    if (p->n_fit == 0)
        try_all(s, p->devices);
}

/* ---- the choice ---- */

static bool is_simpler(const struct mu_layout *a, const struct mu_layout *b)
{
    int more_a = (a->tp > 1) + (a->pp > 1) + (mu_layout_lanes(a) > 1) + (mu_layout_cp(a) > 1);
    int more_b = (b->tp > 1) + (b->pp > 1) + (mu_layout_lanes(b) > 1) + (mu_layout_cp(b) > 1);
    return group_of(a) != group_of(b) ? group_of(a) < group_of(b) : more_a < more_b;
}

static void pick(struct mu_plan *p)
{
    int best = 0;
    double tie = p->alternatives[0].requests_per_s * TIE;
    for (int i = 1; i < p->n_alternatives && p->alternatives[i].requests_per_s >= tie; i++)
        best = is_simpler(&p->alternatives[i].layout, &p->alternatives[best].layout) ? i : best;
    p->choice = p->alternatives[best];
    p->n_alternatives--;
    memmove(&p->alternatives[best], &p->alternatives[best + 1],
            (size_t)(p->n_alternatives - best) * sizeof p->alternatives[0]);
}

static void settle_refusal(struct plan_search *s)
{
    struct mu_plan *p = s->p;
    char layout[64], missing[24];
    p->is_refused = true;
    p->bytes_missing = s->least_missing;
    if (s->least_missing > 0)
        snprintf(p->refusal, sizeof p->refusal,
                 "no plan: even with %s weights and one sequence, %s a device are missing for the layout that comes "
                 "nearest, %s; take more devices, devices with more memory, or shorter requests",
                 mu_wformat_name(s->format), mu_bytes_text(missing, (size_t)s->least_missing),
                 plan_layout_text(layout, &s->least_missing_of));
    else if (p->n_refused > 0)
        snprintf(p->refusal, sizeof p->refusal, "no plan: %.300s", p->refused[0].why);
    else
        snprintf(p->refusal, sizeof p->refusal, "no plan: the strategy %s knows no layout of %d devices",
                 mu_strategy_name(s->ask->strategy), p->devices);
}

static int check_ask(const struct mu_plan_ask *a, int devices, struct mu_err *e)
{
    const struct mu_workload *w = &a->work;
    MU_TRY_RETURN(mu_machine_check(a->machine, a->machine->name[0] ? a->machine->name : "the machine", e));
    if (w->prompt < 1 || w->output < 0 || w->batch < 0 || w->requests < 0 || w->shared < 0 || w->shared > w->prompt ||
        w->prompt > MU_STEP_ROWS_MAX || w->output > MU_STEP_ROWS_MAX || w->batch > MU_STEP_ROWS_MAX)
        return mu_fail(
            e, MU_EINVAL,
            "a workload of prompt %lld (%lld shared), output %lld, batch %lld, requests %lld; a prompt needs "
            "a token, and prompt, output and batch may be at most %d",
            (long long)w->prompt, (long long)w->shared, (long long)w->output, (long long)w->batch,
            (long long)w->requests, MU_STEP_ROWS_MAX);
    if (w->prompt + w->output > a->spec->context)
        return mu_fail(e, MU_ELIMIT, "requests of %lld tokens, but the model's context is %lld",
                       (long long)(w->prompt + w->output), (long long)a->spec->context);
    if (!a->layout)
        return MU_OK;
    MU_TRY_RETURN(mu_layout_check(a->layout, a->spec, e));
    MU_TRY_RETURN(check_copies(a, a->layout, e));
    if (mu_layout_ranks(a->layout) > devices)
        return mu_fail(e, MU_EINVAL, "the layout has %d ranks, but there are %d devices", mu_layout_ranks(a->layout),
                       devices);
    return MU_OK;
}

static int devices_of(const struct mu_plan_ask *a)
{
    int64_t n = (int64_t)a->machine->nodes * a->machine->devices;
    if (a->devices > 0)
        n = MU_MIN(n, a->devices);
    return (int)MU_MIN(n, MU_COMM_RANKS_MAX);
}

/* See plan.h. */
static struct mu_cost_engine engine_of(const struct mu_plan_ask *a)
{
    const struct mu_cost_engine *like = mu_cost_engine_find("TensorRT-LLM");
    struct mu_cost_engine g = a->work.engine ? *a->work.engine : *mu_cost_engine_own();
    if (a->work.engine || a->machine->is_host || !like)
        return g;
    g = *like;
    g.act_bytes = sizeof(float);
    g.chunk_rows = MU_PLAN_ROWS_MAX;
    g.is_own_comm = true;
    return g;
}

/* The formats to try, from the wanted one down. */
static int formats_of(const struct mu_plan_ask *a, enum mu_wformat f[3])
{
    int n = 0;
    f[n++] = a->work.weights;
    if (a->is_weights_fixed)
        return n;
    if (a->work.weights != MU_WINT8 && a->work.weights != MU_WINT4)
        f[n++] = MU_WINT8;
    if (a->work.weights != MU_WINT4)
        f[n++] = MU_WINT4;
    return n;
}

int mu_plan_make(struct mu_plan **out, const struct mu_plan_ask *ask, struct mu_err *e)
{
    struct mu_plan_ask own = *ask;
    struct plan_search s = {.ask = &own};
    enum mu_wformat formats[3];
    int rc = MU_OK, n = formats_of(ask, formats);

    *out = NULL;
    MU_TRY(check_ask(ask, devices_of(ask), e));
    MU_TRY(MU_NEW(&s.p, "a plan", e));
    s.p->engine = engine_of(ask);
    own.work.engine = &s.p->engine;
    MU_TRY(MU_NEW_ARRAY(&s.needs, MU_MIN(devices_of(ask), MU_COMM_RANKS_MAX), "a plan's ranks", e));
    s.p->devices = devices_of(ask);
    for (int i = 0; i < n && s.p->n_fit == 0; i++)
        search_format(&s, formats[i]);
    if (s.p->n_fit > 0) {
        pick(s.p);
        plan_explain(&s, ask->work.weights);
    } else {
        settle_refusal(&s);
    }
    *out = s.p;
    s.p = NULL;
out:
    mu_free(s.needs);
    mu_free(s.p);
    return rc;
}

void mu_plan_free(struct mu_plan *p)
{
    mu_free(p);
}

void mu_plan_rank_bill(struct mu_rank_bill *out, const struct mu_plan_choice *c, const struct mu_spec *s,
                       const struct mu_machine *m, int rank)
{
    struct mu_rank_need n;
    mu_rank_need_of(&n, s, &c->layout, rank, m, &c->work);
    mu_rank_bill_of(out, &n, &c->limits);
}
