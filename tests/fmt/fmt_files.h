/* fmt_files.h - small files for the tests of src/fmt, in the running test's own folder */
#ifndef FMT_FILES_H
#define FMT_FILES_H

#include <endian.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "xt.h"

/* Path of a name in the test's folder; lives until the next 8 calls. */
static inline const char *in_tmp(const char *name)
{
    static char paths[8][512];
    static int next;
    char *path = paths[next++ % 8];
    snprintf(path, sizeof paths[0], "%s/%s", xt_tmpdir(), name);
    return path;
}

static inline const char *put(const char *name, const void *bytes, size_t n)
{
    const char *path = in_tmp(name);
    FILE *f = fopen(path, "wb");
    XT_CHECK(f);
    XT_EQ(fwrite(bytes, 1, n, f), n);
    XT_EQ(fclose(f), 0);
    return path;
}

/* Header length, header, then data_bytes of 'd'. */
static inline const char *put_safetensors(const char *name, const char *header, size_t data_bytes)
{
    size_t n = strlen(header);
    char *file = malloc(8 + n + data_bytes);
    XT_CHECK(file);
    uint64_t n_le = htole64(n);
    memcpy(file, &n_le, 8);
    memcpy(file + 8, header, n);
    memset(file + 8 + n, 'd', data_bytes);
    const char *path = put(name, file, 8 + n + data_bytes);
    free(file);
    return path;
}

#endif
