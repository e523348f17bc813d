/* task_int.h - between the files that read task files: sources, merged members, faults, the loader
 *
 * task_scan.c reads the names in a file without building a tree, task_index.c keeps those of whole folders,
 * task_source.c reads files and merges what they include, task_fields.c knows the fields and their types, task_load.c
 * and its neighbours (task_config.c, task_text.c, task_metrics.c, task_filters.c) make a struct mu_task, task_group.c
 * groups, task_select.c the set of a run, task_check.c the list of faults. */
#ifndef MU_EVAL_TASK_INT_H
#define MU_EVAL_TASK_INT_H

#include "base/arena.h"
#include "base/nearest.h"
#include "base/yaml.h"
#include "eval/docs/processor.h"
#include "eval/task.h"

#define MU_TASK_FILES_MAX    200000 /* YAML files of one folder; the harness ships 13,879 */
#define MU_TASK_FOLDERS_DEEP 32
#define MU_TASK_INCLUDES_MAX 32  /* one file including another including ... */
#define MU_TASK_GROUPS_DEEP  32  /* groups in groups */
#define MU_TASK_MEMBERS_MAX  256 /* fields of one task, known or not */
#define MU_TASK_FAULTS_MAX   1000
#define MU_TASK_MEMORY_MAX   ((size_t)1 << 30)

/* ---- names without trees (task_scan.c) ---- */

struct mu_scan_cache; /* scans of included files */

/* The top-level members that say what a file is ("task", "group", "tag", "output_type", "class", "suite"), those of
 * included files below its own. An object, the caller's; a file that cannot be read is an error. */
int mu_task_scan_open(struct mu_scan_cache **out, struct mu_err *e);
void mu_task_scan_close(struct mu_scan_cache *c);
int mu_task_scan(struct mu_scan_cache *c, const char *path, json_t **out, struct mu_err *e);

/* ---- the index (task_index.c) ---- */

struct mu_index_entry {
    struct mu_task_entry known;
    json_t *members; /* TAG: array of task names, in the order found; borrowed from the index */
};

const struct mu_index_entry *mu_task_index_find(const struct mu_task_index *ix, const char *name); /* NULL: unknown */

/* The known name that looks most like this one, or NULL when none does. */
const char *mu_task_index_nearest(const struct mu_task_index *ix, const char *name);

/* ---- sources and merged members (task_source.c) ---- */

struct mu_source {
    const char *path, *dir;
    struct mu_yaml *y;
};

struct mu_member {
    const char *key;
    json_t *value;
    const struct mu_source *src; /* the file it stands in */
    int line;
};

struct mu_members {
    struct mu_member *m;
    int n, cap;
};

struct mu_fault {
    const char *path, *field, *sentence;
    int line;
};

struct mu_loader {
    const struct mu_task_index *ix; /* may be NULL */
    struct mu_arena arena;          /* dies with the loader */
    json_t *by_path;                /* path -> index in source */
    struct mu_source *source[MU_TASK_INCLUDES_MAX * 1024];
    int n_sources;
    bool collect; /* note every fault and go on; else the first one ends it */
    struct mu_fault *fault;
    int n_faults;
    struct mu_err *e;
};

int mu_loader_open(struct mu_loader **out, const struct mu_task_index *ix, bool collect, struct mu_err *e);
void mu_loader_close(struct mu_loader *l);

int mu_members_of_file(struct mu_loader *l, const char *path, struct mu_members *out);
int mu_members_of_text(struct mu_loader *l, struct mu_str text, const char *path, struct mu_members *out);
int mu_members_of_object(struct mu_loader *l, const struct mu_source *src, json_t *object, struct mu_members *out);
int mu_members_put(struct mu_loader *l, struct mu_members *f, const struct mu_member *m); /* of equal keys, the last */
int mu_members_merge(struct mu_loader *l, struct mu_members *into, const struct mu_members *from);
const struct mu_member *mu_members_find(const struct mu_members *f, const char *key); /* NULL: absent */
void mu_members_drop(struct mu_members *f, const char *key);

/* Whether a node is written with the tag !function. */
bool mu_member_is_function(const struct mu_source *src, const json_t *node);

/* ---- faults (task_fault.c) ---- */

/* A fault of the file. When faults are collected this is MU_OK unless there is no memory. */
int mu_fault(struct mu_loader *l, const struct mu_source *src, int line, const char *field, int code, const char *fmt,
             ...) __attribute__((format(printf, 6, 7)));

/* The same with the sentence of a check that failed with rc. */
int mu_fault_of(struct mu_loader *l, const struct mu_source *src, int line, const char *field, int rc,
                const struct mu_err *why);

/* ---- fields (task_fields.c) ---- */

enum mu_type {
    MU_T_TEXT = 1,
    MU_T_INT = 2,
    MU_T_REAL = 4,
    MU_T_BOOL = 8,
    MU_T_LIST = 16,
    MU_T_OBJECT = 32,
    MU_T_FUNCTION = 64
};

struct mu_field_row {
    const char *name;
    unsigned types;     /* null is always one */
    const char *refuse; /* why muster does not do it, or NULL */
    bool is_dropped;    /* read, but not part of the configuration */
};

extern const struct mu_field_row mu_task_fields[]; /* in the order of the harness's TaskConfig; ended without name */
extern const struct mu_field_row mu_fewshot_fields[];

/* Every member is known, of its type, and something muster does. */
int mu_members_check(struct mu_loader *l, const struct mu_members *f, const struct mu_field_row *rows);

/* The member when it is there, not null and of one of its row's types, else NULL. */
const struct mu_member *mu_members_get(const struct mu_members *f, const struct mu_field_row *rows, const char *key);

/* ---- parts of a task ---- */

/* What is being made: the task and what its parts are made from. */
struct mu_making {
    struct mu_loader *l;
    struct mu_task *t;
    struct mu_arena *arena; /* the task's own */
    struct mu_members f;    /* of the task */
    struct mu_members shot; /* of its fewshot_config */
    struct mu_processor *processor;
    const char *config_source; /* what metadata tells; NULL: nothing */
};

int mu_task_config(struct mu_making *k);  /* task_config.c: t->config and t->version */
int mu_task_texts(struct mu_making *k);   /* task_text.c: t->text ... t->fewshot, process_docs and its like */
int mu_task_metrics(struct mu_making *k); /* task_metrics.c */
int mu_task_filters(struct mu_making *k); /* task_filters.c */

/* "template NAME, line 1: ..." to "template line 1: ...", for a sentence that begins with the field's name. */
void mu_template_unname(struct mu_err *why, const char *name);

/* The built-in function that stands for a !function node, or a fault. *out: NULL after a collected fault. */
int mu_task_function(struct mu_loader *l, const struct mu_source *src, int line, const char *field, const json_t *node,
                     enum mu_function_kind kind, const struct mu_function **out);

/* Hands `v` to the task, which frees it; takes the reference even on failure. */
int mu_task_own(struct mu_task *t, json_t *v, struct mu_err *e);

/* f is copied. config_source: what metadata tells, NULL for nothing. */
int mu_task_make(struct mu_loader *l, const struct mu_members *f, const char *path, const char *config_source,
                 struct mu_task **out);

/* ---- groups (task_group.c) and the set of a run (task_select.c) ---- */

extern const struct mu_field_row mu_group_fields[]; /* task_group.c */

struct mu_set_maker {
    struct mu_loader *l;
    struct mu_task_set *set;
    struct mu_arena *arena;     /* the set's own */
    json_t *task_at, *group_at; /* name -> index */
    int cap_tasks, cap_groups;
    bool names_only; /* members of a group are looked up, not read: a check of one file */
};

/* Where a member of a group goes: a list of the group's children that grows; NULL: nowhere. */
struct mu_children {
    int *id; /* as mu_group's child */
    int n, cap;
};

/* What is being built, to find a group inside itself. */
struct mu_group_frame {
    const char *name;
    const struct mu_group_frame *up;
    int depth;
};

/* A known name with what overrides its fields (may be NULL). */
int mu_set_add_entry(struct mu_set_maker *k, const struct mu_index_entry *en, const struct mu_members *over,
                     const struct mu_group_frame *up, struct mu_children *into);

/* The task, group or suite that merged members describe. */
int mu_set_add_members(struct mu_set_maker *k, struct mu_members *f, const char *path, const struct mu_members *over,
                       const struct mu_group_frame *up, struct mu_children *into);

/* Takes the task. One of that name that is there already must be equal. */
int mu_set_add_task(struct mu_set_maker *k, struct mu_task *t, struct mu_children *into);
int mu_set_add_group(struct mu_set_maker *k, const char *name, int *at);

/* mu_task_file_check() of a text without a file; group members and includes beside it are looked up from its name. */
int mu_task_text_check(const char *name, struct mu_str text,
                       void (*fault)(void *arg, int line, const char *field, const char *sentence), void *arg,
                       struct mu_err *e);

#endif
