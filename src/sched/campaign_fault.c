/* campaign_fault.c - faults of a campaign: collected, in the order of the files */
#include <stdarg.h>
#include <stdio.h>

#include "base/check.h"
#include "base/mem.h"
#include "base/nearest.h"
#include "sched/campaign_int.h"

static bool comes_before(const struct mu_campaign_fault *a, const struct mu_campaign_fault *b)
{
    return a->file != b->file ? a->file < b->file : a->line < b->line;
}

void mu_campaign_fault(const struct mu_campaign *c, struct mu_campaign_faults *f, struct mu_campaign_place at,
                       const char *fmt, ...)
{
    struct mu_campaign_fault new = {.line = at.line, .file = at.file};
    va_list args;
    f->n_all++;
    if (!mu_campaign_wants_fault(f))
        return;
    va_start(args, fmt);
    vsnprintf(new.sentence, sizeof new.sentence, fmt, args);
    va_end(args);
    snprintf(new.path, sizeof new.path, "%s", at.file < c->n_files ? c->file[at.file] : "campaign");
    int i = f->n++;
    for (; i > 0 && comes_before(&new, &f->fault[i - 1]); i--)
        f->fault[i] = f->fault[i - 1];
    f->fault[i] = new;
}

int mu_campaign_faults_result(const struct mu_campaign_faults *f, int code, struct mu_err *e)
{
    if (f->n_all == 0)
        return MU_OK;
    const struct mu_campaign_fault *first = &f->fault[0];
    char line[24] = "", more[48] = "";
    if (first->line > 0)
        snprintf(line, sizeof line, ", line %d", first->line);
    if (f->n_all > 1)
        snprintf(more, sizeof more, " (and %d more)", f->n_all - 1);
    return mu_fail(e, code, "%.400s%s: %.560s%s", first->path, line, first->sentence, more);
}

/* ---- what was meant ---- */

static struct mu_campaign_hint hint_of(const char *near)
{
    struct mu_campaign_hint h = {""};
    if (near)
        snprintf(h.text, sizeof h.text, "; did you mean \"%.128s\"?", near);
    return h;
}

struct mu_campaign_hint mu_campaign_hint(const char *const *names, const char *name)
{
    return hint_of(mu_name_nearest(names, name));
}

/* name(i) of n. Without memory there is no hint. */
static struct mu_campaign_hint hint_among(const struct mu_campaign *c, int n, bool is_model, const char *name)
{
    const char **names = mu_calloc((size_t)n + 1, sizeof *names);
    for (int i = 0; names && i < n; i++)
        names[i] = is_model ? c->model[i].name : c->suite[i].name;
    struct mu_campaign_hint h = names ? mu_campaign_hint(names, name) : hint_of(NULL);
    mu_free(names);
    return h;
}

struct mu_campaign_hint mu_campaign_hint_model(const struct mu_campaign *c, const char *name)
{
    return hint_among(c, c->n_models, true, name);
}

struct mu_campaign_hint mu_campaign_hint_suite(const struct mu_campaign *c, const char *name)
{
    return hint_among(c, c->n_suites, false, name);
}
