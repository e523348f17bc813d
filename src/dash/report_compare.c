/* report_compare.c - each run against the first, document by document */
#include <math.h>

#include "base/check.h"
#include "base/mem.h"
#include "dash/report_int.h"
#include "eval/stats/aggregation.h"

#define BOOTSTRAP_ITERS 10000
#define BOOTSTRAP_SEED  0

struct comparison {
    size_t n;
    double mean_a, mean_b, p;
    bool is_binary;
    int64_t both, only_a, only_b;
};

static bool is_right_or_wrong(double x)
{
    return x == 0 || x == 1;
}

static int compare(const struct mu_report_task *a, const struct mu_report_task *b, struct comparison *c,
                   struct mu_err *e)
{
    struct mu_report_pair *pair = NULL;
    double *x = NULL, *y = NULL;
    int rc = MU_OK;

    *c = (struct comparison){.is_binary = true};
    MU_TRY(mu_report_pairs(a, b, &pair, &c->n, e));
    MU_TRY(MU_NEW_ARRAY(&x, c->n + 1, "scores", e));
    MU_TRY(MU_NEW_ARRAY(&y, c->n + 1, "scores", e));
    for (size_t i = 0; i < c->n; i++) {
        mu_report_score(a, json_array_get(a->samples, pair[i].a), &x[i]);
        mu_report_score(b, json_array_get(b->samples, pair[i].b), &y[i]);
        c->mean_a += x[i] / (double)c->n;
        c->mean_b += y[i] / (double)c->n;
        c->is_binary = c->is_binary && is_right_or_wrong(x[i]) && is_right_or_wrong(y[i]);
        c->both += x[i] == 1 && y[i] == 1;
        c->only_a += x[i] == 1 && y[i] == 0;
        c->only_b += x[i] == 0 && y[i] == 1;
    }
    if (c->is_binary)
        c->p = mu_mcnemar_p(c->only_a, c->only_b);
    else if (c->n > 0)
        MU_TRY(mu_paired_bootstrap_p(x, y, (int64_t)c->n, BOOTSTRAP_ITERS, BOOTSTRAP_SEED, &c->p, e));
out:
    mu_free(x);
    mu_free(y);
    mu_free(pair);
    return rc;
}

static int row(struct mu_buf *h, const struct mu_report_run *run, const struct mu_report_task *t,
               const struct comparison *c, struct mu_err *e)
{
    MU_TRY_RETURN(mu_buf_puts(h, "<tr><td>", e));
    MU_TRY_RETURN(mu_html_str(h, t->name, e));
    MU_TRY_RETURN(mu_buf_puts(h, "<td>", e));
    MU_TRY_RETURN(mu_html_str(h, t->metric, e));
    MU_TRY_RETURN(mu_buf_puts(h, "<td>", e));
    MU_TRY_RETURN(mu_html_str(h, run->label, e));
    MU_TRY_RETURN(mu_buf_printf(h, e, "<td class=num>%zu<td class=num>%.4f<td class=num>%.4f<td class=num>%+.4f", c->n,
                                c->mean_a, c->mean_b, c->mean_b - c->mean_a));
    if (c->is_binary)
        MU_TRY_RETURN(mu_buf_printf(h, e, "<td class=num>%lld<td class=num>%lld<td class=num>%lld", (long long)c->both,
                                    (long long)c->only_a, (long long)c->only_b));
    else
        MU_TRY_RETURN(mu_buf_puts(h, "<td><td><td>", e));
    return mu_buf_printf(h, e, "<td class='num%s'>%.4g<td class=dim>%s", c->p < 0.05 ? " sig" : "", c->p,
                         c->is_binary ? "McNemar, exact" : "paired bootstrap");
}

int mu_report_compare(struct mu_report *r, struct mu_err *e)
{
    struct mu_buf *h = &r->html;
    int n_tests = 0;
    if (r->n_runs < 2)
        return MU_OK;
    MU_TRY_RETURN(
        mu_buf_puts(h,
                    "<section id=compare><h2>Comparison with A</h2><p>On documents both runs have. p: how likely a "
                    "difference at least this large is when neither run is better, two-sided; not corrected "
                    "for the number of comparisons.</p><table><tr><th>task<th>metric<th>run<th class=num>"
                    "documents<th class=num>A<th class=num>run<th class=num>difference<th class=num>both right"
                    "<th class=num>only A<th class=num>only run<th class=num>p<th>test",
                    e));
    for (int i = 1; i < r->n_runs; i++) {
        for (int k = 0; k < r->run[0].n_tasks; k++) {
            const struct mu_report_task *a = &r->run[0].task[k], *b = mu_report_task_find(&r->run[i], a->name);
            struct comparison c;
            if (!b || !a->metric || !b->metric || strcmp(a->metric, b->metric) != 0)
                continue;
            MU_TRY_RETURN(compare(a, b, &c, e));
            if (c.n == 0)
                continue;
            MU_TRY_RETURN(row(h, &r->run[i], a, &c, e));
            n_tests++;
        }
    }
    return mu_buf_printf(h, e, "</table><p class=dim>%d comparison%s.%s</p></section>\n", n_tests,
                         n_tests == 1 ? "" : "s",
                         n_tests == 0 ? " The runs share no document with a score in both: were both run on the same "
                                        "tasks with --log-samples?"
                                      : "");
}
