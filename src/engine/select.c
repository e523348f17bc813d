/* select.c - see select.h */
#include "engine/select.h"

#include <stdio.h>

#include "base/check.h"
#include "base/nearest.h"

#define UNKNOWN      0.5  /* the part of what nobody told */
#define START_HALF_S 60.0 /* a start this long costs half of what urgency can cost */

static const struct {
    const char *name;
    double weight;
} parts[MU_SELECT_PARTS] = {{"memory", 0.35}, {"context", 0.15}, {"batch", 0.15}, {"urgency", 0.15}, {"free", 0.20}};

const char *mu_select_part_name(enum mu_select_part p)
{
    return parts[p].name;
}

double mu_select_weight(enum mu_select_part p)
{
    return parts[p].weight;
}

static double clamp(double x)
{
    return MU_MIN(1.0, MU_MAX(0.0, x));
}

/* ---- one candidate ---- */

static bool is_able(const struct mu_select_ask *a, const struct mu_select_candidate *c, char *why)
{
    if (!c->can)
        snprintf(why, MU_SELECT_REASON_MAX, "%s", c->reason);
    else if (!c->is_elsewhere && c->bytes_free && a->model_bytes > c->bytes_free)
        snprintf(why, MU_SELECT_REASON_MAX, "the model needs %.1f GiB and %.1f GiB are free",
                 (double)a->model_bytes * 0x1p-30, (double)c->bytes_free * 0x1p-30);
    else if (c->context_max && a->context > c->context_max)
        snprintf(why, MU_SELECT_REASON_MAX, "a context of %lld tokens is needed and it takes %lld",
                 (long long)a->context, (long long)c->context_max);
    else
        return true;
    return false;
}

static void rate_memory(double *memory, double *left, const struct mu_select_ask *a,
                        const struct mu_select_candidate *c)
{
    bool is_known = c->is_elsewhere || (a->model_bytes && c->bytes_free);
    double taken = c->is_elsewhere || !is_known ? 0 : (double)a->model_bytes / (double)c->bytes_free;
    *memory = is_known ? clamp(2 * (1 - taken)) : UNKNOWN;
    *left = is_known ? clamp(1 - taken) : UNKNOWN;
}

static void rate(struct mu_select_row *row, const struct mu_select_ask *a, const struct mu_select_candidate *c)
{
    rate_memory(&row->part[MU_SELECT_MEMORY], &row->part[MU_SELECT_FREE], a, c);
    row->part[MU_SELECT_CONTEXT] = c->context_max ? 1 : UNKNOWN;
    row->part[MU_SELECT_BATCH] = a->batch && c->at_a_time ? clamp((double)c->at_a_time / (double)a->batch) : UNKNOWN;
    row->part[MU_SELECT_URGENCY] = 1 - clamp(a->urgency) * (c->start_s / (c->start_s + START_HALF_S));
    row->score = 0;
    for (int p = 0; p < MU_SELECT_PARTS; p++)
        row->score += parts[p].weight * row->part[p];
}

static void fill(struct mu_select_table *t, const struct mu_select_ask *a, const struct mu_select_candidate *c, int n)
{
    *t = (struct mu_select_table){.n = n, .chosen = -1};
    for (int i = 0; i < n; i++) {
        struct mu_select_row *row = &t->row[i];
        row->name = c[i].name;
        row->can = is_able(a, &c[i], row->reason);
        if (row->can)
            rate(row, a, &c[i]);
    }
}

/* ---- the choice ---- */

static int find(const struct mu_select_table *t, const char *name)
{
    for (int i = 0; i < t->n; i++) {
        if (strcmp(t->row[i].name, name) == 0)
            return i;
    }
    return -1;
}

static int choose(struct mu_select_table *t, int i, const char *why)
{
    t->chosen = i;
    t->row[i].is_chosen = true;
    snprintf(t->row[i].reason, MU_SELECT_REASON_MAX, "%s", why);
    for (int k = 0; k < t->n; k++) {
        if (k != i && t->row[k].can)
            snprintf(t->row[k].reason, MU_SELECT_REASON_MAX, "%s is preferred: %s", t->row[i].name, why);
    }
    return MU_OK;
}

/* An engine that is asked for and cannot is an error: another one would be another run than was meant. */
static int choose_wish(struct mu_select_table *t, const char *name, const char *why, struct mu_err *e)
{
    const char *names[MU_SELECT_MAX + 1] = {NULL};
    int i = find(t, name);
    for (int k = 0; k < t->n; k++)
        names[k] = t->row[k].name;
    if (i < 0) {
        const char *nearest = mu_name_nearest(names, name);
        return mu_fail(e, MU_EUSAGE, "there is no engine %.60s here%s%s%s", name, nearest ? ": did you mean " : "",
                       nearest ? nearest : "", nearest ? "?" : "");
    }
    if (!t->row[i].can)
        return mu_fail(e, MU_EUNSUPPORTED, "the %s engine was taken because %s, and cannot do it: %s", name, why,
                       t->row[i].reason);
    return choose(t, i, why);
}

static int none_can(const struct mu_select_table *t, int code, struct mu_err *e)
{
    char text[MU_ERR_TEXT_MAX] = "";
    size_t n = 0;
    for (int i = 0; i < t->n && n < sizeof text; i++)
        n += (size_t)snprintf(text + n, sizeof text - n, "%s%s: %s", i ? "; " : "", t->row[i].name, t->row[i].reason);
    return mu_fail(e, code, "no engine can do it: %s", text);
}

static int choose_by_score(struct mu_select_table *t, int code, struct mu_err *e)
{
    int best = -1, n = 0;
    for (int i = 0; i < t->n; i++) {
        n += t->row[i].can;
        if (t->row[i].can && (best < 0 || t->row[i].score > t->row[best].score))
            best = i;
    }
    if (best < 0)
        return none_can(t, code, e);
    return choose(t, best, n == 1 ? "no other can" : "it has the highest score");
}

int mu_select(struct mu_select_table *out, const struct mu_select_ask *ask, const struct mu_select_candidate *c, int n,
              struct mu_err *e)
{
    bool has_wish = ask->wish && strcmp(ask->wish, "auto") != 0;
    if (n < 1 || n > MU_SELECT_MAX)
        return mu_fail(e, MU_EINVAL, "%d engines to choose from: 1 to %d are possible", n, MU_SELECT_MAX);
    fill(out, ask, c, n);
    if (has_wish)
        return choose_wish(out, ask->wish, "it was asked for by name", e);
    if (ask->has_endpoint)
        return choose_wish(out, "remote", "an endpoint was given", e);
    if (ask->n_ranks > 1)
        return choose_wish(out, "distributed", "there are several ranks", e);
    return choose_by_score(out, c[0].code ? c[0].code : MU_EUNSUPPORTED, e);
}

int mu_select_print(const struct mu_select_table *t, struct mu_buf *out, struct mu_err *e)
{
    MU_TRY_RETURN(mu_buf_puts(out, "engine        can", e));
    for (int p = 0; p < MU_SELECT_PARTS; p++)
        MU_TRY_RETURN(mu_buf_printf(out, e, "  %7s", parts[p].name));
    MU_TRY_RETURN(mu_buf_puts(out, "  score  reason\n", e));
    for (int i = 0; i < t->n; i++) {
        const struct mu_select_row *r = &t->row[i];
        MU_TRY_RETURN(mu_buf_printf(out, e, "%c %-11s %-3s", r->is_chosen ? '>' : ' ', r->name, r->can ? "yes" : "no"));
        for (int p = 0; p < MU_SELECT_PARTS; p++)
            MU_TRY_RETURN(r->can ? mu_buf_printf(out, e, "  %7.2f", r->part[p]) : mu_buf_puts(out, "        -", e));
        MU_TRY_RETURN(r->can ? mu_buf_printf(out, e, "  %5.2f", r->score) : mu_buf_puts(out, "      -", e));
        MU_TRY_RETURN(mu_buf_printf(out, e, "  %s\n", r->reason));
    }
    return MU_OK;
}
