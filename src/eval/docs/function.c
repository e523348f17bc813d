/* function.c - the one list of task functions, found by folder and name */
#include "eval/docs/processor.h"

#include <stdbool.h>
#include <string.h>

#include "base/check.h"

static const struct mu_function *const tables[] = {
    mu_docs_hellaswag, mu_docs_winogrande, mu_docs_wikitext, mu_docs_truthfulqa, mu_docs_mmlu_pro,
    mu_docs_drop,      mu_docs_humaneval,  mu_docs_mbpp,     mu_docs_ifeval,     mu_docs_bbh,
};

/* "muster.hellaswag.process_docs": the folder and the function's own name, whatever module the harness keeps it in. */
static bool is_ours(const struct mu_function *f, const char *rest)
{
    size_t n = strlen(f->folder);
    const char *dot = strrchr(f->name, '.');
    return strncmp(rest, f->folder, n) == 0 && rest[n] == '.' && strcmp(rest + n + 1, dot ? dot + 1 : f->name) == 0;
}

static bool is_named(const struct mu_function *f, const char *folder, const char *name)
{
    if (strcmp(f->name, name) != 0)
        return false;
    return strcmp(f->folder, "*") == 0 || (folder && strcmp(f->folder, folder) == 0);
}

const struct mu_function *mu_function_find(const char *folder, const char *name, enum mu_function_kind kind)
{
    static const char own[] = "muster.";
    const char *rest = strncmp(name, own, sizeof own - 1) == 0 ? name + sizeof own - 1 : NULL;
    for (size_t t = 0; t < MU_COUNT(tables); t++)
        for (const struct mu_function *f = tables[t]; f->name; f++)
            if (f->kind == kind && (rest ? is_ours(f, rest) : is_named(f, folder, name)))
                return f;
    return NULL;
}
