/* convert_folder.h - the folder that a conversion fills, and the files beside the weights */
#ifndef MU_FMT_CONVERT_FOLDER_H
#define MU_FMT_CONVERT_FOLDER_H

#include "fmt/convert.h"

/* Where the output is built: beside dst when that is new or empty, else in a folder inside it. */
struct mu_convert_folder {
    char *dst;
    char *staging;
    bool is_inside; /* dst has files that are replaced one by one at the end */
};
int mu_convert_folder_open(struct mu_convert_folder *f, const char *src, const char *dst, bool overwrite,
                           struct mu_err *e);
int mu_convert_folder_commit(struct mu_convert_folder *f, struct mu_err *e);
void mu_convert_folder_close(struct mu_convert_folder *f); /* removes what was not committed */

/* Copies the files beside the weights from src's folder into staging, config.json with `dtype` unless MU_DTYPE_N;
 * without_quantization drops its quantization_config. */
int mu_convert_copy_side_files(const char *src_folder, const char *staging, enum mu_dtype dtype,
                               bool without_quantization, struct mu_err *e);

/* Writes o->texts into staging. */
int mu_convert_write_texts(const struct mu_convert_opts *o, const char *staging, struct mu_err *e);

#endif
