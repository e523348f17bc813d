/* report_breakdown.c - scores by length of the prompt and by what the documents say of themselves */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "dash/report_int.h"

#define LENGTH_GROUPS    4
#define CATEGORIES_MAX   30 /* distinct values a column may have to be a category */
#define CATEGORY_LEN_MAX 80 /* bytes; longer texts are prose */

struct tally {
    int64_t n;
    double sum;
};

static int tally_row(struct mu_buf *h, const char *label, const struct tally *t, struct mu_err *e)
{
    double mean = t->n ? t->sum / (double)t->n : 0;
    MU_TRY_RETURN(mu_buf_puts(h, "<tr><td>", e));
    MU_TRY_RETURN(mu_html_str(h, label, e));
    MU_TRY_RETURN(mu_buf_printf(h, e, "<td class=num>%lld<td class=num>%.4f<td>", (long long)t->n, mean));
    return mu_html_bar(h, mean, -1, e);
}

static int table_begin(struct mu_buf *h, const char *what, struct mu_err *e)
{
    MU_TRY_RETURN(mu_buf_puts(h, "<table class=small><tr><th>", e));
    MU_TRY_RETURN(mu_html_str(h, what, e));
    return mu_buf_puts(h, "<th class=num>documents<th class=num>mean<th>", e);
}

/* ---- length ---- */

struct measured {
    size_t bytes;
    double score;
};

static int by_bytes(const void *pa, const void *pb)
{
    const struct measured *a = pa, *b = pb;
    return (a->bytes > b->bytes) - (a->bytes < b->bytes);
}

static size_t prompt_bytes(const json_t *sample)
{
    const json_t *first = json_object_get(json_object_get(sample, "arguments"), "gen_args_0");
    return json_string_length(json_object_get(first, "arg_0"));
}

static int by_length(struct mu_buf *h, const struct mu_report_task *t, struct mu_err *e)
{
    struct measured *m = NULL;
    size_t n = 0;
    int rc = MU_OK;

    MU_TRY(MU_NEW_ARRAY(&m, json_array_size(t->samples) + 1, "lengths of prompts", e));
    for (size_t i = 0; i < json_array_size(t->samples); i++) {
        const json_t *s = json_array_get(t->samples, i);
        if (mu_report_score(t, s, &m[n].score))
            m[n++].bytes = prompt_bytes(s);
    }
    if (n < LENGTH_GROUPS)
        goto out;
    qsort(m, n, sizeof *m, by_bytes);
    MU_TRY(table_begin(h, "length of the prompt, bytes", e));
    for (size_t g = 0; g < LENGTH_GROUPS; g++) {
        size_t from = n * g / LENGTH_GROUPS, to = n * (g + 1) / LENGTH_GROUPS;
        struct tally sum = {0};
        char label[64];
        for (size_t i = from; i < to; i++)
            sum = (struct tally){sum.n + 1, sum.sum + m[i].score};
        snprintf(label, sizeof label, "%zu to %zu", m[from].bytes, m[to - 1].bytes);
        MU_TRY(tally_row(h, label, &sum, e));
    }
    MU_TRY(mu_buf_puts(h, "</table>", e));
out:
    mu_free(m);
    return rc;
}

/* ---- categories: columns of few short texts ---- */

/* Tallies of a column, or n = 0 when it is no category. The texts are borrowed from the samples. */
struct category {
    const char *value[CATEGORIES_MAX];
    struct tally tally[CATEGORIES_MAX];
    int n;
};

static bool count_value(struct category *c, const char *value, double score)
{
    int i = 0;
    while (i < c->n && strcmp(c->value[i], value) != 0)
        i++;
    if (i == CATEGORIES_MAX || strlen(value) > CATEGORY_LEN_MAX)
        return false;
    if (i == c->n)
        c->value[c->n++] = value;
    c->tally[i].n++;
    c->tally[i].sum += score;
    return true;
}

static void count_column(const struct mu_report_task *t, const char *column, struct category *c)
{
    int64_t n = 0;
    *c = (struct category){0};
    for (size_t i = 0; i < json_array_size(t->samples); i++) {
        const json_t *s = json_array_get(t->samples, i);
        const char *value = json_string_value(json_object_get(json_object_get(s, "doc"), column));
        double score;
        if (!mu_report_score(t, s, &score))
            continue;
        if (!value || !count_value(c, value, score)) {
            c->n = 0;
            return;
        }
        n++;
    }
    if (c->n < 2 || n < 2 * c->n) /* the same everywhere, or nearly a key */
        c->n = 0;
}

static int by_category(struct mu_buf *h, const struct mu_report_task *t, struct mu_err *e)
{
    json_t *doc = json_object_get(json_array_get(t->samples, 0), "doc"), *value;
    const char *column;
    json_object_foreach(doc, column, value)
    {
        struct category c;
        count_column(t, column, &c);
        if (c.n == 0)
            continue;
        MU_TRY_RETURN(table_begin(h, column, e));
        for (int i = 0; i < c.n; i++)
            MU_TRY_RETURN(tally_row(h, c.value[i], &c.tally[i], e));
        MU_TRY_RETURN(mu_buf_puts(h, "</table>", e));
    }
    return MU_OK;
}

int mu_report_breakdown(struct mu_report *r, struct mu_err *e)
{
    struct mu_buf *h = &r->html;
    bool has_any = false;
    for (int i = 0; i < r->n_runs; i++) {
        for (int k = 0; k < r->run[i].n_tasks; k++) {
            const struct mu_report_task *t = &r->run[i].task[k];
            if (!t->metric)
                continue;
            if (!has_any)
                MU_TRY_RETURN(mu_buf_puts(h, "<section id=breakdown><h2>By length and category</h2>", e));
            has_any = true;
            MU_TRY_RETURN(mu_buf_puts(h, "<details><summary>", e));
            MU_TRY_RETURN(mu_html_str(h, t->name, e));
            MU_TRY_RETURN(mu_buf_puts(h, " <span class=dim>", e));
            MU_TRY_RETURN(mu_html_str(h, r->run[i].label, e));
            MU_TRY_RETURN(mu_buf_puts(h, ", ", e));
            MU_TRY_RETURN(mu_html_str(h, t->metric, e));
            MU_TRY_RETURN(mu_buf_puts(h, "</span></summary><div class=row>", e));
            MU_TRY_RETURN(by_length(h, t, e));
            MU_TRY_RETURN(by_category(h, t, e));
            MU_TRY_RETURN(mu_buf_puts(h, "</div></details>", e));
        }
    }
    return has_any ? mu_buf_puts(h, "</section>\n", e) : MU_OK;
}
