/* task_fault.c - faults of task files: the first ends the reading, or all are kept */
#include <stdarg.h>
#include <stdio.h>

#include "base/check.h"
#include "eval/task_int.h"

static int keep(struct mu_loader *l, const struct mu_source *src, int line, const char *field, const char *sentence)
{
    if (l->n_faults == MU_TASK_FAULTS_MAX)
        return mu_fail(l->e, MU_ELIMIT, "%s has more than %d faults", src->path, MU_TASK_FAULTS_MAX);
    struct mu_fault *f = &l->fault[l->n_faults];
    f->path = src->path;
    f->line = line;
    f->field = mu_arena_strdup(&l->arena, mu_str(field), l->e);
    f->sentence = mu_arena_strdup(&l->arena, mu_str(sentence), l->e);
    if (!f->field || !f->sentence)
        return MU_ENOMEM;
    l->n_faults++;
    return MU_OK;
}

static int report(struct mu_loader *l, const struct mu_source *src, int line, const char *field, int code,
                  const char *sentence)
{
    if (l->collect)
        return keep(l, src, line, field, sentence);
    const char *before = field[0] ? ", " : "";
    if (line)
        return mu_fail(l->e, code, "%s, line %d%s%s: %s", src->path, line, before, field, sentence);
    return mu_fail(l->e, code, "%s%s%s: %s", src->path, before, field, sentence);
}

int mu_fault(struct mu_loader *l, const struct mu_source *src, int line, const char *field, int code, const char *fmt,
             ...)
{
    char text[MU_ERR_TEXT_MAX];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    return report(l, src, line, field, code, text);
}

int mu_fault_of(struct mu_loader *l, const struct mu_source *src, int line, const char *field, int rc,
                const struct mu_err *why)
{
    if (rc == MU_ENOMEM || rc == MU_EINTERNAL)
        return mu_fail(l->e, rc, "%s", why->text);
    return report(l, src, line, field, rc, why->text);
}
