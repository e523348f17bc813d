/* test_cost_published.c - the time model against published measurements, and the bounds it must keep
 *
 * The table it prints is the one in docs/planner-accuracy.md. */
#include "xt.h"

#include <math.h>
#include <stdlib.h>

#include "base/check.h"
#include "published.h"

#define ROWS_MAX    1024
#define SOURCES_MAX 16
#define LAYOUTS_MAX 16
#define SHORT       28 /* of a source's name */

/* What is aimed at (issue 4), and what is reached with a little to spare. */
#define MEDIAN_AIM 0.15
#define P90_AIM    0.35
#define TAU_AIM    0.7
#define MEDIAN_MAX 0.08
#define P90_MAX    0.22

struct tally {
    const char *name;
    int n_fitted, n_held, n_left_out;
    double fitted[ROWS_MAX], held[ROWS_MAX], all[ROWS_MAX];
};

static struct pub published(void)
{
    struct mu_err err = MU_ERR_INIT;
    struct pub p;
    XT_OK(pub_load(&p, xt_data("planner/published-runs.json"), &err));
    return p;
}

static double predicted(const struct pub *p, const struct pub_row *r)
{
    struct mu_err err = MU_ERR_INIT;
    double v = 0;
    XT_OK(pub_predict(p, r, &v, &err));
    return v;
}

static bool has_time(const struct pub_row *r)
{
    return !r->skipped && !r->is_oom && r->measured > 0;
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* The value that a part q of the n lies at or below; sorts them. */
static double quantile(double *v, int n, double q)
{
    if (n == 0)
        return 0;
    qsort(v, (size_t)n, sizeof *v, by_size);
    return v[MU_MIN(n - 1, (int)(q * n))];
}

static struct tally *tally_of(struct tally *all, int *n, const char *source)
{
    for (int i = 0; i < *n; i++) {
        if (strcmp(all[i].name, source) == 0)
            return &all[i];
    }
    XT_CHECK(*n < SOURCES_MAX);
    all[*n] = (struct tally){.name = source};
    return &all[(*n)++];
}

static void count_row(struct tally *t, const struct pub_row *r, double error)
{
    t->all[t->n_fitted + t->n_held] = error;
    if (r->fold == PUB_HELD)
        t->held[t->n_held++] = error;
    else
        t->fitted[t->n_fitted++] = error;
}

static void print_tally(struct tally *t)
{
    int n = t->n_fitted + t->n_held;
    xt_note("%-*.*s  %4d  %5.1f%%  %5.1f%%  %4d  %5.1f%%  %5.1f%%  %4d", SHORT, SHORT, t->name, n,
            100 * quantile(t->all, n, 0.5), 100 * quantile(t->all, n, 0.9), t->n_held,
            100 * quantile(t->held, t->n_held, 0.5), 100 * quantile(t->held, t->n_held, 0.9), t->n_left_out);
}

static int gather(const struct pub *p, struct tally *all, struct tally *whole)
{
    int n = 0;
    XT_CHECK(p->n <= ROWS_MAX);
    for (int i = 0; i < p->n; i++) {
        const struct pub_row *r = &p->rows[i];
        struct tally *t = tally_of(all, &n, r->source);
        if (r->skipped)
            t->n_left_out++, whole->n_left_out++;
        if (!has_time(r))
            continue;
        double error = fabs(predicted(p, r) / r->measured - 1);
        count_row(t, r, error);
        count_row(whole, r, error);
    }
    return n;
}

XT_TEST(times_are_near_published_ones)
{
    static struct tally all[SOURCES_MAX], whole;
    struct pub p = published();
    whole = (struct tally){.name = "all"};
    int n = gather(&p, all, &whole);
    xt_note("%-*s  rows  median    90%%   held  median    90%%   left out", SHORT, "source");
    for (int i = 0; i < n; i++)
        print_tally(&all[i]);
    print_tally(&whole);
    int n_rows = whole.n_fitted + whole.n_held;
    double median = quantile(whole.all, n_rows, 0.5), p90 = quantile(whole.all, n_rows, 0.9);
    double held = quantile(whole.held, whole.n_held, 0.5), held90 = quantile(whole.held, whole.n_held, 0.9);
    pub_free(&p);
    XT_CHECK(n_rows >= 250);
    XT_CHECKF(median <= MEDIAN_MAX && p90 <= P90_MAX, "all rows: median %.3f, 90%% %.3f", median, p90);
    XT_CHECKF(held <= MEDIAN_AIM && held90 <= P90_AIM, "held-out rows: median %.3f, 90%% %.3f", held, held90);
}

XT_TEST(rows_left_out_say_why)
{
    struct pub p = published();
    for (int i = 0; i < p.n; i++) {
        if (p.rows[i].skipped)
            xt_note("%s %s on %s: %s", p.rows[i].id, p.rows[i].model, p.rows[i].gpu, p.rows[i].skipped);
    }
    pub_free(&p);
}

/* ---- order of layouts ---- */

struct point {
    double measured, predicted;
};

static double sign_of(double d)
{
    return (d > 0) - (d < 0);
}

static double kendall(const struct point *v, int n)
{
    double sum = 0;
    for (int i = 0; i < n; i++) {
        for (int j = 0; j < i; j++)
            sum += sign_of(v[i].measured - v[j].measured) * sign_of(v[i].predicted - v[j].predicted);
    }
    return sum / (n * (n - 1) / 2.0);
}

/* Rows that answer the same question as row first on other layouts; per_device: by device seconds, not by time. */
static int same_question(const struct pub *p, int first, bool per_device, struct point *out)
{
    int n = 0;
    for (int i = 0; i < p->n && n < LAYOUTS_MAX; i++) {
        const struct pub_row *r = &p->rows[i];
        if (!has_time(r) || strcmp(r->layout_free, p->rows[first].layout_free) != 0)
            continue;
        if (i < first)
            return 0; /* counted there */
        double scale = per_device ? mu_layout_ranks(&r->layout) : 1;
        out[n++] = (struct point){r->measured * scale, predicted(p, r) * scale};
    }
    return n;
}

static double mean_tau(const struct pub *p, bool per_device)
{
    struct point v[LAYOUTS_MAX];
    double sum = 0;
    int n_sets = 0, n_pairs = 0;
    for (int i = 0; i < p->n; i++) {
        int n = has_time(&p->rows[i]) ? same_question(p, i, per_device, v) : 0;
        if (n < 2)
            continue;
        sum += kendall(v, n);
        n_sets++, n_pairs += n * (n - 1) / 2;
    }
    XT_CHECK(n_sets > 20);
    xt_note("order of layouts by %s: tau %.2f over %d sets, %d pairs", per_device ? "device seconds" : "time",
            sum / n_sets, n_sets, n_pairs);
    return sum / n_sets;
}

XT_TEST(layouts_are_ordered_as_measured)
{
    struct pub p = published();
    double time = mean_tau(&p, false), device = mean_tau(&p, true);
    pub_free(&p);
    XT_CHECKF(time >= TAU_AIM && device >= TAU_AIM, "tau %.2f by time, %.2f by device seconds", time, device);
}

/* ---- memory ---- */

XT_TEST(what_ran_fits_and_what_ran_out_does_not)
{
    struct mu_err err = MU_ERR_INIT;
    struct pub p = published();
    int n_oom = 0, n_ran = 0;
    for (int i = 0; i < p.n; i++) {
        const struct pub_row *r = &p.rows[i];
        bool fits;
        double bytes;
        if (r->skipped || r->w.batch == 0)
            continue;
        XT_OK(pub_fits(&p, r, &fits, &bytes, &err));
        XT_CHECKF(fits != r->is_oom, "%s %s tp=%d,pp=%d batch %d: %.1f GB %s", r->id, r->model, r->layout.tp,
                  r->layout.pp, (int)r->w.batch, bytes * 1e-9, fits ? "would fit, but ran out" : "is refused, but ran");
        *(r->is_oom ? &n_oom : &n_ran) += 1;
    }
    xt_note("%d rows that ran out of memory are refused, %d that ran are not", n_oom, n_ran);
    pub_free(&p);
    XT_CHECK(n_oom >= 5 && n_ran > 100);
}

XT_TEST(memory_is_near_published_one)
{
    struct mu_err err = MU_ERR_INIT;
    struct pub p = published();
    double errors[ROWS_MAX];
    int n = 0;
    for (int i = 0; i < p.n; i++) {
        bool fits;
        double bytes;
        if (p.rows[i].skipped || p.rows[i].memory <= 0)
            continue;
        XT_OK(pub_fits(&p, &p.rows[i], &fits, &bytes, &err));
        errors[n++] = fabs(bytes / p.rows[i].memory - 1);
    }
    double median = quantile(errors, n, 0.5), p90 = quantile(errors, n, 0.9);
    xt_note("memory of %d rows: median %.1f%%, 90%% %.1f%%", n, 100 * median, 100 * p90);
    pub_free(&p);
    XT_CHECK(n > 10 && median < 0.1 && p90 < 0.2);
}

XT_MAIN()
