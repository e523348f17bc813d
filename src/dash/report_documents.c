/* report_documents.c - single documents: the slowest, and those on which two runs disagree */
#include <string.h>

#include "base/check.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "dash/report_int.h"

#define PROMPT_TAIL_BYTES 1200 /* of a prompt; the question stands at its end */

/* ---- slowest ---- */

int mu_report_slowest(struct mu_report *r, struct mu_err *e)
{
    struct mu_buf *h = &r->html;
    bool has_any = false;
    for (int i = 0; i < r->n_runs; i++) {
        const json_t *list = json_object_get(json_object_get(r->run[i].results, "run"), "slowest");
        size_t n = MU_MIN(json_array_size(list), MU_REPORT_SLOWEST_MAX);
        if (n == 0)
            continue;
        if (!has_any)
            MU_TRY_RETURN(mu_buf_puts(h,
                                      "<section id=slowest><h2>Slowest documents</h2><table><tr><th>run<th>task"
                                      "<th class=num>document<th class=num>seconds<th class=num>tokens",
                                      e));
        has_any = true;
        for (size_t k = 0; k < n; k++) {
            const json_t *row = json_array_get(list, k);
            const char *task = json_string_value(json_object_get(row, "task"));
            MU_TRY_RETURN(mu_buf_puts(h, "<tr><td>", e));
            MU_TRY_RETURN(mu_html_str(h, r->run[i].label, e));
            MU_TRY_RETURN(mu_buf_puts(h, "<td>", e));
            MU_TRY_RETURN(mu_html_str(h, task ? task : "", e));
            MU_TRY_RETURN(mu_buf_printf(h, e, "<td class=num>%lld<td class=num>%.3f<td class=num>%lld",
                                        (long long)json_integer_value(json_object_get(row, "doc_id")),
                                        json_number_value(json_object_get(row, "seconds")),
                                        (long long)json_integer_value(json_object_get(row, "tokens"))));
        }
    }
    return has_any ? mu_buf_puts(h, "</table></section>\n", e) : MU_OK;
}

/* ---- disagreements ---- */

/* The end of a text, from the beginning of a character. */
static struct mu_str tail(const char *text, size_t n)
{
    size_t from = n > PROMPT_TAIL_BYTES ? n - PROMPT_TAIL_BYTES : 0;
    while (from < n && ((unsigned char)text[from] & 0xC0) == 0x80)
        from++;
    return (struct mu_str){text + from, n - from};
}

static int prompt(struct mu_buf *h, const json_t *sample, struct mu_err *e)
{
    const json_t *arg = json_object_get(json_object_get(json_object_get(sample, "arguments"), "gen_args_0"), "arg_0");
    struct mu_str end = tail(json_string_value(arg) ? json_string_value(arg) : "", json_string_length(arg));
    MU_TRY_RETURN(mu_buf_puts(h, end.n < json_string_length(arg) ? "<pre>&hellip;" : "<pre>", e));
    MU_TRY_RETURN(mu_html_text(h, end.p, end.n, e));
    return mu_buf_puts(h, "</pre>", e);
}

static int value(struct mu_buf *h, const json_t *v, struct mu_err *e)
{
    if (!v) /* samples that others wrote may lack it */
        return MU_OK;
    struct mu_buf text = MU_BUF_INIT("a response", MU_REPORT_LINE_BYTES_MAX);
    int rc = json_is_string(v) ? mu_buf_add(&text, json_string_value(v), json_string_length(v), e)
                               : mu_json_dump(&text, v, false, e);
    if (rc == MU_OK)
        rc = mu_html_text(h, text.p ? text.p : "", text.n, e);
    mu_buf_fini(&text);
    return rc;
}

/* What was answered: each choice with its number, or the text. */
static int answer(struct mu_buf *h, const json_t *sample, struct mu_err *e)
{
    const json_t *resps = json_object_get(sample, "filtered_resps"), *args = json_object_get(sample, "arguments");
    for (size_t i = 0; i < json_array_size(resps); i++) {
        char name[32];
        snprintf(name, sizeof name, "gen_args_%zu", i);
        const json_t *continuation = json_object_get(json_object_get(args, name), "arg_1");
        MU_TRY_RETURN(mu_buf_puts(h, "<div>", e));
        if (json_is_string(continuation)) {
            MU_TRY_RETURN(value(h, continuation, e));
            MU_TRY_RETURN(mu_buf_puts(h, " <span class=dim>", e));
        } else {
            MU_TRY_RETURN(mu_buf_puts(h, "<span>", e));
        }
        MU_TRY_RETURN(value(h, json_array_get(resps, i), e));
        MU_TRY_RETURN(mu_buf_puts(h, "</span></div>", e));
    }
    return MU_OK;
}

static int side(struct mu_buf *h, const struct mu_report_run *run, const struct mu_report_task *t, const json_t *sample,
                struct mu_err *e)
{
    double score = 0;
    mu_report_score(t, sample, &score);
    MU_TRY_RETURN(mu_buf_puts(h, "<div class=side><b>", e));
    MU_TRY_RETURN(mu_html_str(h, run->label, e));
    MU_TRY_RETURN(mu_buf_printf(h, e, "</b> <span class=%s>%.4g</span>", score > 0 ? "good" : "poor", score));
    MU_TRY_RETURN(answer(h, sample, e));
    return mu_buf_puts(h, "</div>", e);
}

static int disagreement(struct mu_report *r, int other, const struct mu_report_task *a, const struct mu_report_task *b,
                        const json_t *sa, const json_t *sb, struct mu_err *e)
{
    struct mu_buf *h = &r->html;
    double x = 0, y = 0;
    mu_report_score(a, sa, &x);
    mu_report_score(b, sb, &y);
    MU_TRY_RETURN(mu_buf_printf(h, e,
                                "<details class=doc><summary>document %lld <span class=dim>A %.4g, %c %.4g</span>"
                                "</summary>",
                                (long long)json_integer_value(json_object_get(sa, "doc_id")), x, 'A' + other, y));
    MU_TRY_RETURN(prompt(h, sa, e));
    MU_TRY_RETURN(mu_buf_puts(h, "<p>target: <code>", e));
    MU_TRY_RETURN(value(h, json_object_get(sa, "target"), e));
    MU_TRY_RETURN(mu_buf_puts(h, "</code></p><div class=row>", e));
    MU_TRY_RETURN(side(h, &r->run[0], a, sa, e));
    MU_TRY_RETURN(side(h, &r->run[other], b, sb, e));
    return mu_buf_puts(h, "</div></details>", e);
}

static int disagreements_of(struct mu_report *r, int other, const struct mu_report_task *a,
                            const struct mu_report_task *b, struct mu_err *e)
{
    struct mu_buf *h = &r->html;
    struct mu_report_pair *pair = NULL;
    size_t n, n_all = 0;
    int rc = MU_OK;

    MU_TRY(mu_report_pairs(a, b, &pair, &n, e));
    for (size_t i = 0; i < n; i++) {
        const json_t *sa = json_array_get(a->samples, pair[i].a), *sb = json_array_get(b->samples, pair[i].b);
        double x = 0, y = 0;
        mu_report_score(a, sa, &x);
        mu_report_score(b, sb, &y);
        if (x == y)
            continue;
        if (n_all == 0) {
            MU_TRY(mu_buf_puts(h, "<h3>", e));
            MU_TRY(mu_html_str(h, a->name, e));
            MU_TRY(mu_buf_puts(h, ": A against ", e));
            MU_TRY(mu_html_str(h, r->run[other].label, e));
            MU_TRY(mu_buf_puts(h, "</h3>", e));
        }
        if (n_all++ < MU_REPORT_DISAGREEMENTS_MAX)
            MU_TRY(disagreement(r, other, a, b, sa, sb, e));
    }
    if (n_all > MU_REPORT_DISAGREEMENTS_MAX)
        MU_TRY(mu_buf_printf(h, e, "<p class=dim>%d of %zu are shown.</p>", MU_REPORT_DISAGREEMENTS_MAX, n_all));
out:
    mu_free(pair);
    return rc;
}

int mu_report_disagreements(struct mu_report *r, struct mu_err *e)
{
    if (r->n_runs < 2)
        return MU_OK;
    MU_TRY_RETURN(mu_buf_puts(&r->html,
                              "<section id=disagreements><h2>Disagreements</h2><p><input id=find placeholder='find in "
                              "these documents'></p>",
                              e));
    for (int i = 1; i < r->n_runs; i++) {
        for (int k = 0; k < r->run[0].n_tasks; k++) {
            const struct mu_report_task *a = &r->run[0].task[k], *b = mu_report_task_find(&r->run[i], a->name);
            if (b && a->metric && b->metric && strcmp(a->metric, b->metric) == 0)
                MU_TRY_RETURN(disagreements_of(r, i, a, b, e));
        }
    }
    return mu_buf_puts(&r->html, "</section>\n", e);
}
