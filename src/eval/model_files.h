/* model_files.h - the files that a model is read from, by what the file system says of them
 *
 * Known by name, size, inode, mtime and ctime: who sets mtime back still moves ctime. */
#ifndef MU_EVAL_MODEL_FILES_H
#define MU_EVAL_MODEL_FILES_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#include "eval/journal.h"

struct mu_model_files {
    char path[PATH_MAX]; /* real, of the model */
    int64_t n, newest_s; /* newest_s: of their times of change, unix seconds */
    bool is_whole;       /* all were looked at; false too where there is none */
    struct mu_key sum;   /* of the files' own: in any order */
};

/* Of a folder its files, of a file those of the folder that it lies in. Fails for want of memory only. */
int mu_model_files_look(struct mu_model_files *f, const char *model, struct mu_err *e);

#endif
