/* fuzz_file.h - fuzz input as a file in memory, so that the reader under test opens and reads what it would on disk */
#ifndef FUZZ_FILE_H
#define FUZZ_FILE_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/mem.h"
#include "fmt/weights.h"

/* Path of a file that holds the n bytes; the same file each time. */
static inline const char *fuzz_file(const uint8_t *data, size_t n)
{
    static char path[64];
    static int fd = -1;
    if (fd < 0)
        fd = memfd_create("fuzz", MFD_CLOEXEC);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    if (fd < 0 || ftruncate(fd, 0) != 0 || pwrite(fd, data, n, 0) != (ssize_t)n)
        abort();
    return path;
}

/* Opens the file as a checkpoint and reads every tensor to f32. All it promised at open must hold. */
static inline void fuzz_read_all(const char *path, enum mu_read_mode mode)
{
    struct mu_weights *w;
    struct mu_err err;
    if (mu_weights_open(&w, path, mode, &err) != MU_OK)
        return;
    for (int64_t i = 0; i < mu_weights_count(w); i++) {
        const struct mu_tensor_info *t = mu_weights_at(w, i);
        if (mu_weights_find(w, t->name) != t)
            abort();
        if (t->dtype == MU_DTYPE_N)
            continue;
        void *raw = mu_alloc((size_t)t->n_bytes);
        float *values = mu_alloc((size_t)t->n_elems * sizeof *values);
        if (!raw || !values || mu_weights_read(w, t, 0, t->n_bytes, raw, &err) != MU_OK)
            abort();
        mu_to_f32(values, raw, t->dtype, (size_t)t->n_elems);
        mu_free(raw);
        mu_free(values);
    }
    if (mu_weights_check(w, &err) != MU_OK)
        abort();
    mu_weights_close(w);
}

#endif
