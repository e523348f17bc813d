/* report_calibration.c - is a model as sure as it is right? Multiple choice only
 *
 * Confidence is the soft-max over the choices' log-likelihoods of the one chosen (Guo et al. 2017, "On Calibration of
 * Modern Neural Networks": ten equal bins, expected calibration error). */
#include <math.h>
#include <stdlib.h>

#include "base/check.h"
#include "dash/report_int.h"

#define BINS 10

struct bins {
    int64_t n[BINS];
    double confidence[BINS], right[BINS];
    int64_t total;
};

/* "-3.21" or -3.21; NAN when it is neither. */
static double number(const json_t *v)
{
    if (json_is_number(v))
        return json_number_value(v);
    const char *text = json_string_value(v);
    char *end;
    double x = text ? strtod(text, &end) : NAN;
    return text && end != text && *end == 0 ? x : NAN;
}

/* Soft-max share of the best of the choices' log-likelihoods; false when the sample is no choice. */
static bool confidence(const json_t *sample, double *out)
{
    const json_t *resps = json_object_get(sample, "filtered_resps");
    size_t n = json_array_size(resps);
    double best = -INFINITY, sum = 0;
    if (n < 2)
        return false;
    for (size_t i = 0; i < n; i++) {
        double ll = number(json_array_get(json_array_get(resps, i), 0));
        if (!isfinite(ll))
            return false;
        best = fmax(best, ll);
    }
    for (size_t i = 0; i < n; i++)
        sum += exp(number(json_array_get(json_array_get(resps, i), 0)) - best);
    *out = 1 / sum;
    return true;
}

static void fill(const struct mu_report_task *t, struct bins *b)
{
    for (size_t i = 0; i < json_array_size(t->samples); i++) {
        const json_t *s = json_array_get(t->samples, i), *acc = json_object_get(s, "acc");
        double p;
        if (!json_is_number(acc) || !confidence(s, &p))
            continue;
        int bin = (int)fmin(BINS - 1, floor(p * BINS));
        b->n[bin]++;
        b->confidence[bin] += p;
        b->right[bin] += json_number_value(acc);
        b->total++;
    }
}

static int diagram(struct mu_buf *h, const struct bins *b, struct mu_err *e)
{
    MU_TRY_RETURN(mu_buf_puts(h,
                              "<svg class=diagram viewBox='0 0 100 100' width=150 height=150><path class=diag d='M0 "
                              "100L100 0' />",
                              e));
    for (int i = 0; i < BINS; i++) {
        if (b->n[i] == 0)
            continue;
        double acc = b->right[i] / (double)b->n[i];
        MU_TRY_RETURN(mu_buf_printf(h, e,
                                    "<rect class=bar x=%d y=%.1f width=9 height=%.1f><title>confidence %.2f, right "
                                    "%.2f, %lld documents</title></rect>",
                                    i * 10, 100 - acc * 100, acc * 100, b->confidence[i] / (double)b->n[i], acc,
                                    (long long)b->n[i]));
    }
    return mu_buf_puts(h, "</svg>", e);
}

static int one(struct mu_buf *h, const struct mu_report_run *run, const struct mu_report_task *t, const struct bins *b,
               struct mu_err *e)
{
    double ece = 0;
    for (int i = 0; i < BINS; i++)
        ece += fabs(b->confidence[i] - b->right[i]) / (double)b->total;
    MU_TRY_RETURN(mu_buf_puts(h, "<figure>", e));
    MU_TRY_RETURN(diagram(h, b, e));
    MU_TRY_RETURN(mu_buf_puts(h, "<figcaption>", e));
    MU_TRY_RETURN(mu_html_str(h, t->name, e));
    MU_TRY_RETURN(mu_buf_puts(h, "<br>", e));
    MU_TRY_RETURN(mu_html_str(h, run->label, e));
    return mu_buf_printf(h, e, "<br>calibration error %.3f, %lld documents</figcaption></figure>", ece,
                         (long long)b->total);
}

int mu_report_calibration(struct mu_report *r, struct mu_err *e)
{
    struct mu_buf *h = &r->html;
    bool has_any = false;
    for (int i = 0; i < r->n_runs; i++) {
        for (int k = 0; k < r->run[i].n_tasks; k++) {
            struct bins b = {0};
            fill(&r->run[i].task[k], &b);
            if (b.total == 0)
                continue;
            if (!has_any)
                MU_TRY_RETURN(mu_buf_puts(h,
                                          "<section id=calibration><h2>Calibration</h2><p>Across: confidence in the "
                                          "choice taken; up: share that is right. On the diagonal a model is as sure "
                                          "as it is right.</p><div class=row>",
                                          e));
            has_any = true;
            MU_TRY_RETURN(one(h, &r->run[i], &r->run[i].task[k], &b, e));
        }
    }
    return has_any ? mu_buf_puts(h, "</div></section>\n", e) : MU_OK;
}
