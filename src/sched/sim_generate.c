/* sim_generate.c - workloads that look like campaigns: models by suites, a few large models, run times over decades */
#include <math.h>

#include "base/check.h"
#include "base/mem.h"
#include "sched/sim_int.h"

#define CHECKPOINTS 40 /* what campaigns choose from, the sizes below in turn */
#define GIB         ((int64_t)1 << 30)

/* As bf16 on devices of 80 GB, with caches for scoring; the last in 8 bits. Loading at some 1 GB/s a device. */
static const struct size {
    int devices;
    int64_t weights, work; /* GiB a device */
    double load_s, slower; /* times the seconds of a 7B model */
    bool may_span;
} sizes[] = {
    {1, 13, 6, 15, 1, false},   /* 7B */
    {1, 25, 8, 25, 1.8, false}, /* 13B */
    {1, 15, 6, 16, 1.1, false}, /* 8B */
    {1, 64, 10, 65, 4, false},  /* 34B */
    {2, 39, 8, 45, 3, false},   /* 40B */
    {4, 33, 8, 60, 3, false},   /* 70B */
    {8, 43, 10, 90, 4, false},  /* 180B */
    {16, 42, 12, 120, 6, true}, /* 671B */
};

/* One in so many campaigns' picks. */
static const int size_weights[MU_COUNT(sizes)] = {30, 20, 20, 8, 10, 8, 3, 1};
static const int priority_weights[MU_PRIORITY_N] = {5, 15, 50, 20, 10};

uint64_t sim_random(uint64_t *state)
{
    uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

double sim_random_unit(uint64_t *state)
{
    return ((double)(sim_random(state) >> 11) + 0.5) * 0x1p-53;
}

/* Box and Muller 1958. */
static double random_normal(uint64_t *state)
{
    double u = sim_random_unit(state), v = sim_random_unit(state);
    return sqrt(-2 * log(u)) * cos(6.283185307179586 * v);
}

static int pick(uint64_t *state, const int *weights, int n)
{
    int sum = 0, at = 0;
    for (int i = 0; i < n; i++)
        sum += weights[i];
    int left = (int)(sim_random(state) % (uint64_t)sum);
    while (left >= weights[at])
        left -= weights[at++];
    return at;
}

/* The checkpoints of a size are every MU_COUNT(sizes)th. */
static int pick_model(uint64_t *state)
{
    int size = pick(state, size_weights, MU_COUNT(sizes));
    return size + (int)MU_COUNT(sizes) * (int)(sim_random(state) % (CHECKPOINTS / MU_COUNT(sizes)));
}

/* What one campaign's tasks share. */
struct plan {
    int models[6], n_models;
    int priority;
    bool by_model; /* all suites of a model, then the next model; else the other way round */
    int n_suites;
    double suites_s[64]; /* of a 7B model: log-normal */
};

static void draw_plan(struct plan *p, double run_s, uint64_t *state)
{
    p->n_models = 2 + (int)(sim_random(state) % 5);
    for (int i = 0; i < p->n_models; i++)
        p->models[i] = pick_model(state);
    p->priority = pick(state, priority_weights, MU_PRIORITY_N);
    p->by_model = sim_random(state) % 2;
    p->n_suites = 8 + (int)(sim_random(state) % 57);
    for (int i = 0; i < p->n_suites; i++)
        p->suites_s[i] = run_s * exp(random_normal(state));
}

static struct mu_need need_of(const struct plan *p, int nth, double now_s, uint64_t *state)
{
    int model = p->by_model ? p->models[nth / p->n_suites % p->n_models] : p->models[nth % p->n_models];
    int suite = p->by_model ? nth % p->n_suites : nth / p->n_models % p->n_suites;
    const struct size *z = &sizes[model % (int)MU_COUNT(sizes)];
    double run_s = p->suites_s[suite] * z->slower;
    bool is_due = sim_random(state) % 10 == 0;
    return (struct mu_need){.devices = z->devices,
                            .model = model,
                            .weights = z->weights * GIB,
                            .work = z->work * GIB,
                            .run_s = run_s,
                            .load_s = z->load_s,
                            .batch_s = MU_MIN(5, run_s),
                            .deadline_s = is_due ? now_s + 3600 + 4 * run_s : INFINITY,
                            .priority = p->priority,
                            .is_preemptible = true,
                            .may_span = z->may_span};
}

static void fill_campaign(struct mu_workload *w, int campaign, int first, int n, double now_s,
                          const struct mu_sim_generate *g, uint64_t *state)
{
    struct plan p;
    draw_plan(&p, g->run_s, state);
    for (int i = 0; i < n; i++) {
        struct mu_sim_task *t = &w->tasks[first + i];
        bool is_after = i > 0 && sim_random(state) % 20 == 0;
        *t = (struct mu_sim_task){
            .arrives_s = now_s, .campaign = campaign, .before = w->n_befores, .n_before = is_after, .retries = 5};
        t->need = need_of(&p, i, now_s, state);
        t->actual_s = t->need.run_s * exp(g->spread * random_normal(state));
        if (is_after)
            w->befores[w->n_befores++] = first + i - 1;
    }
}

static int check(const struct mu_sim_generate *g, struct mu_err *e)
{
    if (g->tasks < 1 || g->tasks > MU_SIM_TASKS_MAX)
        return mu_fail(e, MU_ELIMIT, "a workload of %d tasks: from 1 to %d go", g->tasks, MU_SIM_TASKS_MAX);
    if (g->campaigns < 1 || g->campaigns > MU_MIN(g->tasks, MU_QUEUE_CAMPAIGNS_MAX))
        return mu_fail(e, MU_ELIMIT, "a workload of %d campaigns: from 1 to %d go", g->campaigns,
                       MU_MIN(g->tasks, MU_QUEUE_CAMPAIGNS_MAX));
    if (!(g->run_s > 0) || !(g->run_s <= 1e6))
        return mu_fail(e, MU_EINVAL, "suites of %g s: above 0 to 1000000 go", g->run_s);
    if (!(g->span_s >= 0) || !(g->span_s <= MU_SIM_SECONDS_MAX) || !(g->spread >= 0) || !(g->spread <= 3))
        return mu_fail(e, MU_EINVAL, "campaigns over %g s, run times spread by %g: from 0 s and from 0 to 3 go",
                       g->span_s, g->spread);
    return MU_OK;
}

int mu_workload_generate(struct mu_workload *out, const struct mu_sim_generate *g, struct mu_err *e)
{
    uint64_t state = g->seed;
    int rc, first = 0;
    *out = (struct mu_workload){.n_tasks = g->tasks, .n_models = CHECKPOINTS, .n_campaigns = g->campaigns};
    MU_TRY_RETURN(check(g, e));
    MU_TRY(MU_NEW_ARRAY(&out->tasks, g->tasks, "a workload", e));
    MU_TRY(MU_NEW_ARRAY(&out->befores, g->tasks, "a workload", e));
    MU_TRY(MU_NEW_ARRAY(&out->weights, g->campaigns, "a workload", e));
    for (int c = 0; c < g->campaigns; c++) {
        int end = (int)((int64_t)g->tasks * (c + 1) / g->campaigns);
        /* one campaign in each of as many even parts of the span, so that times rise */
        double now_s = c == 0 ? 0 : g->span_s * (c + sim_random_unit(&state)) / g->campaigns;
        out->weights[c] = 1;
        fill_campaign(out, c, first, end - first, now_s, g, &state);
        first = end;
    }
    return MU_OK;
out:
    mu_workload_fini(out);
    return rc;
}

void mu_workload_fini(struct mu_workload *w)
{
    mu_free(w->tasks);
    mu_free(w->befores);
    mu_free(w->weights);
    *w = (struct mu_workload){0};
}
