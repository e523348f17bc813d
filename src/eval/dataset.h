/* dataset.h - documents of a task's splits, read from files
 *
 * dataset_path "json" and "csv" read dataset_kwargs.data_files as the datasets library does (a path, a list, or an
 * object split -> path(s); relative to the task's file first, then to the working folder, then to the folder above the
 * file's, so that files which name their data from the root of a repository work where they are installed). Any other
 * dataset_path is a hub name, looked up offline in the data folders: DIR/<dataset_path>[/<dataset_name>]/<split>.jsonl,
 * .json, .csv, .tsv (also split files in the hub's own naming, "<split>-00000-of-00001.jsonl", and "data/" folders).
 * JSON Lines; one JSON array; one JSON object whose `field` (dataset_kwargs.field) is the array; RFC 4180 CSV with the
 * types pandas would give a column (integers, reals, booleans, text). Texts that look like dates stay texts, where the
 * datasets library makes them times when it reads JSON. */
#ifndef MU_EVAL_DATASET_H
#define MU_EVAL_DATASET_H

#include "eval/task.h"

#define MU_DATASET_BYTES_MAX ((size_t)2 << 30)
#define MU_DATASET_DOCS_MAX  4000000

/* *docs: an array of objects with the same columns in the same order (a column missing in a document is null, as
 * datasets makes it), the caller's to drop. MU_ENOENT tells every place looked at; a split that is not there names
 * those that are. process: run the task's process_docs. */
int mu_dataset_load(const struct mu_task *t, const char *split, bool process, const char *const *data_dirs,
                    int n_data_dirs, json_t **docs, struct mu_err *e);

#endif
