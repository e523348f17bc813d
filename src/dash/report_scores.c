/* report_scores.c - every metric of every task and run, with error bars */
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "dash/report_int.h"

/* "acc,none" -> its standard error under "acc_stderr,none"; -1: none. */
static double stderr_of(const json_t *line, const char *name)
{
    char key[256];
    const char *comma = strchr(name, ',');
    snprintf(key, sizeof key, "%.*s_stderr%s", (int)(comma - name), name, comma);
    const json_t *v = json_object_get(line, key);
    return json_is_number(v) ? json_number_value(v) : -1;
}

/* "N/A" and other words are no scores; what is not finite is one (report_json.c). */
static bool is_score(const json_t *v)
{
    const char *text = json_string_value(v);
    return json_is_number(v) || (text && (strcmp(text, "NaN") == 0 || strstr(text, "Infinity")));
}

static bool is_metric(const char *name, const json_t *value)
{
    return is_score(value) && strchr(name, ',') && !strstr(name, "_stderr,");
}

static int cell(struct mu_buf *h, const json_t *line, const char *name, struct mu_err *e)
{
    const json_t *v = json_object_get(line, name);
    if (!is_score(v))
        return mu_buf_puts(h, "<td>", e);
    if (json_is_string(v))
        return mu_buf_printf(h, e, "<td class=num><b class=poor>%s</b>",
                             json_string_value(v)[0] == 'N'   ? "not a number"
                             : json_string_value(v)[0] == '-' ? "-infinity"
                                                              : "infinity");
    double value = json_number_value(v), err = stderr_of(line, name);
    MU_TRY_RETURN(mu_buf_printf(h, e, "<td class=num><b>%.4f</b>", value));
    if (err >= 0)
        MU_TRY_RETURN(mu_buf_printf(h, e, " <span class=dim>&plusmn; %.4f</span>", err));
    MU_TRY_RETURN(mu_buf_puts(h, "<br>", e));
    return mu_html_bar(h, value, err, e);
}

/* Rows of one task or group: the metrics any run has for it. */
static int rows(struct mu_report *r, const char *section, const char *name, json_t *seen, struct mu_err *e)
{
    struct mu_buf *h = &r->html;
    for (int i = 0; i < r->n_runs; i++) {
        json_t *line = json_object_get(json_object_get(r->run[i].results, section), name), *value;
        const char *metric;
        json_object_foreach(line, metric, value)
        {
            char key[1024];
            snprintf(key, sizeof key, "%s/%s/%s", section, name, metric);
            if (!is_metric(metric, value) || json_object_get(seen, key))
                continue;
            if (json_object_set_new(seen, key, json_true()) != 0)
                return mu_fail(e, MU_ENOMEM, "out of memory: the table of scores");
            MU_TRY_RETURN(mu_buf_puts(h, "<tr><td>", e));
            MU_TRY_RETURN(mu_html_str(h, name, e));
            MU_TRY_RETURN(mu_buf_puts(h, "<td>", e));
            MU_TRY_RETURN(mu_html_str(h, metric, e));
            for (int k = 0; k < r->n_runs; k++)
                MU_TRY_RETURN(cell(h, json_object_get(json_object_get(r->run[k].results, section), name), metric, e));
        }
    }
    return MU_OK;
}

static int section_rows(struct mu_report *r, const char *section, struct mu_err *e)
{
    json_t *seen = json_object(), *line;
    const char *name;
    int rc = seen ? MU_OK : mu_fail(e, MU_ENOMEM, "out of memory: the table of scores");
    for (int i = 0; i < r->n_runs && rc == MU_OK; i++) {
        json_object_foreach(json_object_get(r->run[i].results, section), name, line)
        {
            bool is_group = json_object_get(json_object_get(r->run[i].results, "groups"), name);
            if (rc == MU_OK && (strcmp(section, "groups") == 0 || !is_group))
                rc = rows(r, section, name, seen, e);
        }
    }
    json_decref(seen);
    return rc;
}

int mu_report_scores(struct mu_report *r, struct mu_err *e)
{
    struct mu_buf *h = &r->html;
    MU_TRY_RETURN(mu_buf_puts(h,
                              "<section id=scores><h2>Scores</h2><p>Bars run from 0 to 1; whiskers are 95% intervals "
                              "(1.96 standard errors).</p><table><tr><th>task<th>metric, filter",
                              e));
    for (int i = 0; i < r->n_runs; i++) {
        MU_TRY_RETURN(mu_buf_puts(h, "<th>", e));
        MU_TRY_RETURN(mu_html_str(h, r->run[i].label, e));
    }
    MU_TRY_RETURN(section_rows(r, "groups", e));
    MU_TRY_RETURN(section_rows(r, "results", e));
    return mu_buf_puts(h, "</table></section>\n", e);
}
