/* cmd_tasks.c - `muster tasks`: list, describe, show and check evaluation tasks */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/json.h"
#include "base/mem.h"
#include "cli/cmd.h"
#include "cli/print_json.h"
#include "cli/task_folders.h"
#include "eval/build.h"
#include "eval/docs/processor.h"
#include "eval/filter/filter.h"
#include "eval/stats/aggregation.h"

struct tasks_args {
    struct mu_opt_list include_paths, data_dirs;
    bool json, validate;
    const char *show;
    int64_t doc, num_fewshot;
};

/* ---- the list ---- */

static const char *kind_name(int kind)
{
    static const char *const names[] = {
        [MU_ENTRY_TASK] = "task", [MU_ENTRY_GROUP] = "group", [MU_ENTRY_TAG] = "tag", [MU_ENTRY_SUITE] = "suite"};
    return names[kind];
}

static int list(const struct mu_task_index *ix, bool as_json, struct mu_err *e)
{
    json_t *all = as_json ? json_array() : NULL;
    for (int i = 0; i < mu_task_index_count(ix); i++) {
        struct mu_task_entry t = mu_task_index_at(ix, i);
        if (as_json)
            json_array_append_new(all, json_pack("{s:s, s:s, s:s?, s:s?}", "name", t.name, "kind", kind_name(t.kind),
                                                 "path", t.path, "output_type", t.output_type));
        else
            printf("%-6s %-50s %s\n", kind_name(t.kind), t.name, t.path ? t.path : "");
    }
    return as_json ? mu_print_json(all, "the list", e) : MU_OK;
}

/* ---- what names hold ---- */

static void print_field(const char *label, const struct mu_field *f)
{
    struct mu_buf text = MU_BUF_INIT("a field", 1 << 20);
    if (f->kind == MU_FIELD_TEXT && mu_json_dump_string(&text, mu_str(f->text), NULL) == MU_OK)
        printf("  %-9s %s\n", label, text.p);
    else if (f->kind == MU_FIELD_VALUE && mu_json_dump(&text, f->value, false, NULL) == MU_OK)
        printf("  %-9s %s\n", label, text.p);
    else if (f->kind == MU_FIELD_FUNCTION)
        printf("  %-9s built in for %s\n", label, f->text);
    mu_buf_fini(&text);
}

static void print_scoring(const struct mu_task *t)
{
    for (int i = 0; i < t->n_metrics; i++) {
        const struct mu_task_metric *m = &t->metric[i];
        printf("  %-9s %s, %s%s\n", i ? "" : "metrics", m->name,
               m->aggregate_function ? m->aggregate_function->name : m->aggregation->name,
               m->higher_is_better == 1   ? ", higher is better"
               : m->higher_is_better == 0 ? ", lower is better"
                                          : "");
    }
    for (int i = 0; i < t->n_filters; i++) {
        printf("  %-9s %s:", i ? "" : "filters", t->filter[i].name);
        for (int j = 0; j < t->filter[i].n_steps; j++)
            printf(" %s", t->filter[i].step[j].filter->name);
        printf("\n");
    }
}

static void print_task(const struct mu_task *t)
{
    printf("%s: %s, %s%s%s", t->name, mu_output_type_name(t->output_type), t->dataset_path, t->dataset_name ? " " : "",
           t->dataset_name ? t->dataset_name : "");
    printf(", split %s", t->test_split ? t->test_split : t->validation_split);
    if (t->num_fewshot > 0)
        printf(", %d shots", t->num_fewshot);
    printf("%s\n  %-9s %s\n", t->unsafe_code ? ", runs what the model wrote" : "", "file", t->path);
    print_field("text", &t->text);
    print_field("choices", &t->choice);
    print_field("target", &t->target);
    print_scoring(t);
}

static void print_group(const struct mu_task_set *s, const struct mu_group *g)
{
    printf("%s: group of %d", g->name, g->n_children);
    for (int i = 0; i < g->n_metrics; i++)
        printf("%s %s", i ? "," : ", aggregates", g->metric[i].metric);
    printf("\n  %-9s %s\n", "file", g->path);
    for (int i = 0; i < g->n_children; i++) {
        int id = g->child[i];
        printf("  %-9s %s\n", i ? "" : "members", id >= 0 ? s->task[id]->name : s->group[-1 - id].name);
    }
}

static int describe(const struct mu_task_index *ix, char **names, int n, bool as_json, struct mu_err *e)
{
    struct mu_task_set *s = NULL;
    MU_TRY_RETURN(mu_task_index_select(ix, (const char *const *)names, n, &s, e));
    json_t *all = as_json ? json_object() : NULL;
    for (int i = 0; i < s->n_groups; i++)
        if (as_json)
            json_object_set(all, s->group[i].name, s->group[i].config);
        else
            print_group(s, &s->group[i]);
    for (int i = 0; i < s->n_tasks; i++)
        if (as_json)
            json_object_set(all, s->task[i]->name, s->task[i]->config);
        else
            print_task(s->task[i]);
    mu_task_set_free(s);
    return as_json ? mu_print_json(all, "the list", e) : MU_OK;
}

/* ---- one prompt ---- */

static void print_request(const struct mu_work *w, const struct mu_ask_request *r, int i)
{
    struct mu_buf text = MU_BUF_INIT("a request", (size_t)64 << 20);
    bool is_same = i > 0 && r->context == (r - 1)->context;
    if (!is_same)
        printf("---- prompt ----\n%s\n", r->context->p);
    if (r->continuation &&
        mu_json_dump_string(&text, (struct mu_str){r->continuation->p, r->continuation->n}, NULL) == 0)
        printf("---- continuation %d: %s\n", i, text.p);
    if (r->gen_kwargs && mu_json_dump(&text, r->gen_kwargs, false, NULL) == MU_OK)
        printf("---- generate %s\n", text.p);
    (void)w;
    mu_buf_fini(&text);
}

static int print_doc(const struct mu_work *w, struct mu_err *e)
{
    struct mu_buf text = MU_BUF_INIT("a document", (size_t)64 << 20);
    int rc = MU_OK;
    if (w->n_docs == 0)
        return mu_fail(e, MU_ENOENT, "task %s has %" PRId64 " documents, that one is not among them", w->task->name,
                       w->n_original);
    const struct mu_work_doc *d = &w->doc[0];
    printf("task %s, document %" PRId64 " of %" PRId64 ", %d shots\n", w->task->name, d->id, w->n_original,
           w->num_fewshot);
    for (int i = 0; i < d->n; i++)
        print_request(w, &w->request[d->first + i], i);
    MU_TRY(mu_json_dump(&text, d->target, false, e));
    printf("---- target %s\n", text.p);
out:
    mu_buf_fini(&text);
    return rc;
}

static int show(const struct mu_task_index *ix, const struct tasks_args *args, struct mu_err *e)
{
    struct mu_task_set *s = NULL;
    struct mu_work *w = NULL;
    struct mu_build_opts o = MU_BUILD_OPTS_INIT;
    struct mu_data_folders data;
    int rc;
    MU_TRY(mu_data_folders_find(&data, &args->data_dirs, e));
    MU_TRY(mu_task_index_select(ix, &args->show, 1, &s, e));
    o.num_fewshot = (int)args->num_fewshot;
    o.doc_ids = &args->doc;
    o.n_doc_ids = 1;
    o.data_dirs = data.folder;
    o.n_data_dirs = data.n;
    for (int i = 0; i < s->n_tasks; i++) {
        mu_work_free(w);
        w = NULL;
        MU_TRY(mu_work_build(s->task[i], &o, &w, e));
        MU_TRY(print_doc(w, e));
    }
out:
    mu_data_folders_release(&data);
    mu_work_free(w);
    mu_task_set_free(s);
    return rc;
}

/* ---- checking ---- */

struct checking {
    const char *path;
    int n;
};

static void on_fault(void *arg, int line, const char *field, const char *sentence)
{
    struct checking *c = arg;
    c->n++;
    printf("%s:%d: %s%s%s\n", c->path, line, field, field[0] ? ": " : "", sentence);
}

static int validate(const struct mu_task_index *ix, char **paths, int n, struct mu_err *e)
{
    int n_faults = 0, n_files = 0;
    for (int i = 0; i < n; i++) {
        struct checking c = {paths[i], 0};
        struct mu_err why = MU_ERR_INIT;
        int rc = mu_task_file_check(ix, paths[i], on_fault, &c, &why);
        if (rc == MU_EFORMAT || rc == MU_ELIMIT || rc == MU_EUNSUPPORTED) {
            printf("%s\n", why.text);
            c.n++;
        } else if (rc != MU_OK) {
            return mu_fail(e, rc, "%s", why.text);
        }
        if (c.n == 0)
            printf("%s: no fault\n", paths[i]);
        n_faults += c.n;
        n_files += c.n > 0;
    }
    if (!n_faults)
        return MU_OK;
    return mu_fail(e, MU_EFORMAT, "%d fault%s in %d of %d file%s", n_faults, n_faults == 1 ? "" : "s", n_files, n,
                   n == 1 ? "" : "s");
}

static int tasks_run(void *p, int n_operands, char **operands, struct mu_err *e)
{
    const struct tasks_args *args = p;
    struct mu_task_index *ix = NULL;
    int rc;

    if (args->validate && n_operands == 0)
        return mu_fail(e, MU_EUSAGE, "--validate needs the task files to check");
    bool is_list = !args->validate && !args->show && n_operands == 0;
    MU_TRY(mu_task_folders_open(&args->include_paths, is_list, &ix, e));
    if (args->validate)
        rc = validate(ix, operands, n_operands, e);
    else if (args->show)
        rc = show(ix, args, e);
    else if (n_operands)
        rc = describe(ix, operands, n_operands, args->json, e);
    else
        rc = list(ix, args->json, e);
out:
    mu_task_index_close(ix);
    return rc;
}

static void tasks_defaults(void *p)
{
    *(struct tasks_args *)p = (struct tasks_args){.num_fewshot = -1};
}

#define FIELD(name) offsetof(struct tasks_args, name)

static const struct mu_opt tasks_opts[] = {
    MU_OPT_INCLUDE_PATH(FIELD(include_paths)),
    MU_OPT_DATA_DIR(FIELD(data_dirs)),
    {MU_OPT_TEXT, "show", 0, FIELD(show), "NAME", .help = "Print one document's prompt and target as they are asked."},
    {MU_OPT_INT, "doc", 0, FIELD(doc), "N", NULL, 0, 1e9, .help = "The document to show.", .dflt = "0"},
    {MU_OPT_INT, "num-fewshot", 0, FIELD(num_fewshot), "K", NULL, -1, 1e6,
     .help = "Shots in the prompt to show; -1 takes what the task says.", .dflt = "-1"},
    {MU_OPT_FLAG, "validate", 0, FIELD(validate), .help = "Check the task files named, and print every fault."},
    {MU_OPT_FLAG, "json", 0, FIELD(json), .help = "Print JSON for programs."},
    {.type = MU_OPT_END},
};

const struct mu_cmd mu_cmd_tasks = {
    .name = "tasks",
    .summary = "list, describe, show and check evaluation tasks",
    .operands = "[NAME|FILE...]",
    .story =
        "Without operands lists every task, group, tag and suite of the task folders. With names it tells what they "
        "are: "
        "documents, prompt, choices, metrics and filters, as the files say after everything they include.\n\n"
        "Tasks are the YAML files of lm-evaluation-harness, unchanged. They are looked for in $MUSTER_TASKS, else in "
        "./tasks, else where muster is installed, and in the folders of --include-path. Documents are read from files, "
        "never from the network.\n\n"
        "--validate checks files without running anything and ends with status 5 when one has a fault.",
    .examples = "  muster tasks\n  muster tasks muster_reasoning\n"
                "  muster tasks --show muster_reasoning --doc 3 --num-fewshot 2\n"
                "  muster tasks --include-path lm_eval/tasks 'mmlu_*'\n"
                "  muster tasks --validate my_task.yaml\n",
    .opts = tasks_opts,
    .args_size = sizeof(struct tasks_args),
    .defaults = tasks_defaults,
    .run = tasks_run,
};
