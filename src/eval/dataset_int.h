/* dataset_int.h - between the files that read documents: rows of one file, then the columns of all of them */
#ifndef MU_EVAL_DATASET_INT_H
#define MU_EVAL_DATASET_INT_H

#include "eval/dataset.h"

#define MU_DATASET_COLUMNS_MAX 16384 /* of a CSV file */
#define MU_DATASET_FILES_MAX   4096  /* of one split */

/* Append the documents of a text to rows, an array of objects. path: for sentences. */
int mu_dataset_json(struct mu_str text, const char *path, const char *field, json_t *rows, struct mu_err *e);
int mu_dataset_csv(struct mu_str text, const char *path, char separator, json_t *rows, struct mu_err *e);

/* Give all rows the same columns in the order of first appearance, and a column of whole and broken numbers reals. */
int mu_dataset_columns(json_t *rows, struct mu_err *e);

/* Where a split of a hub data set lies in the data folders (dataset_find.c): *paths an array of file names. */
int mu_dataset_find(const struct mu_task *t, const char *split, const char *const *data_dirs, int n_data_dirs,
                    json_t **paths, struct mu_err *e);

/* The files that dataset_kwargs.data_files names for a split. */
int mu_dataset_named(const struct mu_task *t, const char *split, json_t **paths, struct mu_err *e);

#endif
