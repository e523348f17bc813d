/* fit_cost.c - the engines' constants from published measurements (docs/planner-accuracy.md)
 *
 *   fit_cost published-runs.json           constants and errors
 *   fit_cost published-runs.json rows      and every row
 *   fit_cost published-runs.json leave     each model left out in turn, and what it is then predicted to
 *
 * Moves one constant at a time by a factor, as long as the mean of |ln(predicted / measured)| over the fitted folds of
 * that engine's rows gets smaller, with factors that get smaller. Prints the constants and the errors of both parts.
 * A person copies them to cost_engine.c. */
#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "published.h"

struct knob {
    const char *name;
    size_t at; /* in struct mu_cost_engine */
    double lo, hi;
    const char *only; /* engines by a part of their name; NULL: those with many rows */
};

#define KNOB(field, lo, hi, only)                                                                                      \
    {                                                                                                                  \
#field, offsetof(struct mu_cost_engine, field), lo, hi, only                                                   \
    }

/* A program with a handful of rows has two constants moved, not ten: the others are FasterTransformer's. */
static const struct knob knobs[] = {
    KNOB(product, 0.2, 1.2, NULL),
    KNOB(product_fp4, 0.2, 1.2, "TensorRT"),
    KNOB(memory, 0.05, 1.1, NULL),
    KNOB(memory, 0.05, 1.1, "int8"),
    KNOB(kv, 0.05, 1.1, NULL),
    KNOB(attention, 0.005, 1, NULL),
    KNOB(overlap, 0.01, 1, NULL),
    KNOB(layer_ops, 1, 2000, ""),
    KNOB(row_s, 1e-9, 1e-2, "Accelerate"),
    KNOB(collective_s, 1e-6, 2e-4, NULL),
    KNOB(link, 0.1, 1.2, NULL),
};

static bool is_free(const struct mu_cost_engine *g, const struct knob *k)
{
    bool is_large = strstr(g->name, "Faster") || strstr(g->name, "TensorRT");
    return k->only ? strstr(g->name, k->only) != NULL : is_large;
}

static double *knob_of(struct mu_cost_engine *g, const struct knob *k)
{
    return (double *)((char *)g + k->at);
}

static double row_error(const struct pub *p, const struct pub_row *r)
{
    struct mu_err e = MU_ERR_INIT;
    double v;
    if (pub_predict(p, r, &v, &e) != MU_OK) {
        fprintf(stderr, "fit_cost: %s: %s\n", r->id, e.text);
        exit(1);
    }
    return fabs(log(v / r->measured));
}

static const char *left_out; /* a model held out instead of a fold */

static bool counts(const struct pub_row *r, int engine, bool is_held)
{
    bool held = left_out ? strcmp(r->model, left_out) == 0 : r->fold == PUB_HELD;
    return !r->skipped && !r->is_oom && r->engine == engine && held == is_held && r->unit != PUB_NODE_DECODE_RATE;
}

static double error_of(const struct pub *p, int engine, bool is_held)
{
    double sum = 0;
    int n = 0;
    for (int i = 0; i < p->n; i++) {
        if (counts(&p->rows[i], engine, is_held))
            sum += row_error(p, &p->rows[i]), n++;
    }
    return n ? sum / n : 0;
}

static void fit(struct pub *p, int engine)
{
    double best = error_of(p, engine, false);
    for (double factor = 1.5; factor > 1.004; factor = sqrt(factor)) {
        for (bool is_better = true; is_better;) {
            is_better = false;
            for (size_t i = 0; i < 2 * MU_COUNT(knobs); i++) {
                const struct knob *k = &knobs[i / 2];
                double *v = knob_of(&p->engines[engine], k), old = *v;
                double next = i % 2 ? old * factor : old / factor;
                if (!is_free(&p->engines[engine], k) || old == 0 || next < k->lo || next > k->hi)
                    continue;
                *v = next;
                double now = error_of(p, engine, false);
                if (now < best - 1e-6)
                    best = now, is_better = true;
                else
                    *v = old;
            }
        }
    }
}

static void print_engine(struct pub *p, int engine, double before)
{
    printf("%s: fitted %.1f%% (%.1f%% before), held out %.1f%%\n", p->engines[engine].name,
           100 * error_of(p, engine, false), 100 * before, 100 * error_of(p, engine, true));
    for (size_t i = 0; i < MU_COUNT(knobs); i++) {
        if (is_free(&p->engines[engine], &knobs[i]))
            printf("  .%s = %.3g\n", knobs[i].name, *knob_of(&p->engines[engine], &knobs[i]));
    }
}

static void fit_and_print(struct pub *p)
{
    for (int i = 0; i < p->n_engines; i++) {
        double before = error_of(p, i, false);
        fit(p, i);
        print_engine(p, i, before);
    }
}

/* A start that knows nothing of the rows. */
static void forget(struct mu_cost_engine *g)
{
    g->product = g->product_fp4 = g->memory = g->kv = 0.7;
    g->attention = 0.2, g->overlap = 0.5, g->layer_ops = 15, g->collective_s = 1e-5, g->link = 0.7;
}

/* Every model of the engines with many rows. */
static void leave_each_out(struct pub *p)
{
    for (int i = 0; i < p->n; i++) {
        const struct pub_row *r = &p->rows[i];
        if (r->skipped || r->engine > 1 || r->unit == PUB_NODE_DECODE_RATE ||
            (i > 0 && strcmp(r->model, p->rows[i - 1].model) == 0))
            continue;
        struct mu_cost_engine kept = p->engines[r->engine];
        left_out = r->model;
        forget(&p->engines[r->engine]);
        fit(p, r->engine);
        printf("%s without %s: fitted %.1f%%, %s %.1f%%\n", kept.name, r->model, 100 * error_of(p, r->engine, false),
               r->model, 100 * error_of(p, r->engine, true));
        p->engines[r->engine] = kept;
    }
}

static void print_rows(const struct pub *p)
{
    for (int i = 0; i < p->n; i++) {
        struct mu_err e = MU_ERR_INIT;
        const struct pub_row *r = &p->rows[i];
        double v = 0;
        if (r->skipped || r->is_oom || pub_predict(p, r, &v, &e) != MU_OK)
            continue;
        printf("%s %s %s tp%d pp%d b%d %d/%d fold%d: measured %.4g predicted %.4g %+.0f%%\n", r->id, r->model, r->gpu,
               r->layout.tp, r->layout.pp, (int)r->w.batch, (int)r->w.prompt, (int)r->w.output, r->fold, r->measured, v,
               100 * (v / r->measured - 1));
    }
}

int main(int argc, char **argv)
{
    struct mu_err e = MU_ERR_INIT;
    struct pub p;
    const char *what = argc > 2 ? argv[2] : "";
    if (argc < 2 || pub_load(&p, argv[1], &e) != MU_OK) {
        fprintf(stderr, "fit_cost: %s\n", argc < 2 ? "the path of published-runs.json is needed" : e.text);
        return 2;
    }
    if (strcmp(what, "leave") == 0)
        leave_each_out(&p);
    else
        fit_and_print(&p);
    if (strcmp(what, "rows") == 0)
        print_rows(&p);
    pub_free(&p);
    return 0;
}
