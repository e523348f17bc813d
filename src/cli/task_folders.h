/* task_folders.h - where task files and data sets are looked for, for every command that takes task names
 *
 * First the folder of tasks that is there without asking: $MUSTER_TASKS, else ./tasks, else PREFIX/share/muster/tasks
 * of the program that runs. Then those of --include-path, in order; of two tasks of one name the later folder's counts.
 */
#ifndef MU_CLI_TASK_FOLDERS_H
#define MU_CLI_TASK_FOLDERS_H

#include "cli/opt.h"
#include "eval/task.h"

struct mu_task_folders {
    const char *folder[MU_OPT_LIST_MAX + 1]; /* the last one counts, as mu_task_index_open() has it */
    int n;
    char *installed; /* owned */
};

/* n is 0 when there is none: task files and bundles need none. Release it also after a failure. */
int mu_task_folders_find(struct mu_task_folders *f, const struct mu_opt_list *include_paths, struct mu_err *e);
void mu_task_folders_release(struct mu_task_folders *f);

/* is_needed: MU_ENOENT when there is none; else what is in none is known. */
int mu_task_folders_open(const struct mu_opt_list *include_paths, bool is_needed, struct mu_task_index **out,
                         struct mu_err *e);

/* Names between commas, blanks around them left out: text is cut, name[0..*n) point into it. */
int mu_task_names_cut(char *text, const char **name, int max, int *n, struct mu_err *e);

#define MU_DATA_FOLDERS_MAX (MU_OPT_LIST_MAX + 64)

/* Folders of data sets: those of --data-dir, in order, then those of $MUSTER_DATA, separated by colons. */
struct mu_data_folders {
    const char *folder[MU_DATA_FOLDERS_MAX];
    int n;
    char *text; /* owned: $MUSTER_DATA, cut */
};

/* Release it also after a failure. */
int mu_data_folders_find(struct mu_data_folders *f, const struct mu_opt_list *data_dirs, struct mu_err *e);
void mu_data_folders_release(struct mu_data_folders *f);

/* Rows of an option table. */
#define MU_OPT_INCLUDE_PATH(offset)                                                                                    \
    {                                                                                                                  \
        MU_OPT_LIST, "include-path", 0, (offset), "DIR",                                                               \
            .help = "Look for tasks in DIR too, such as lm-evaluation-harness's lm_eval/tasks. May be repeated."       \
    }
#define MU_OPT_DATA_DIR(offset)                                                                                        \
    {                                                                                                                  \
        MU_OPT_LIST, "data-dir", 0, (offset), "DIR",                                                                   \
            .help = "Look for data sets in DIR, as DIR/<dataset_path>/<dataset_name>/<split>.jsonl. May be repeated."  \
    }

#endif
