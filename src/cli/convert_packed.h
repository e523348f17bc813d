/* convert_packed.h - `muster convert --packed`: a folder whose weights are mapped as they lie */
#ifndef MU_CLI_CONVERT_PACKED_H
#define MU_CLI_CONVERT_PACKED_H

#include "model/model.h"

struct mu_convert_packed_opts {
    const char *weights, *mla; /* names; NULL: the checkpoint's own, absorbed */
    bool overwrite;
    mu_progress_fn progress; /* bytes read and written together */
    void *progress_arg;
};

struct mu_convert_packed_result {
    uint64_t bytes_read, bytes_written;
    const char *weights; /* static */
};

/* src: a checkpoint as all commands take it; dst: a folder, whose parent exists. It appears whole or not at all. */
int mu_convert_packed(const char *src, const char *dst, const struct mu_convert_packed_opts *o,
                      struct mu_convert_packed_result *result, struct mu_err *e);

#endif
