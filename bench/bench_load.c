/* bench_load.c - loading a checkpoint against merely copying its bytes
 *
 *   bench_load CHECKPOINT             what mu_weights_open() takes
 *   bench_load --make FOLDER GB       first writes a checkpoint of so many gigabytes there, in shards of one
 *
 * Prints, as CSV, the best of several passes of: a plain pread loop over the files; opening (headers parsed) and
 * reading every tensor with pread; the same through a mapping. The page cache is warm after the first pass, so that the
 * rates are of copying, and share says how much of the plain copy's rate is left. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "fmt/safetensors_write.h"

#define PASSES      4
#define PIECE_BYTES ((size_t)64 << 20)
#define ROW         4096 /* of the made checkpoint: bf16 matrices [2048, 4096], 16 MB each */
#define ROWS        2048
#define NAME_CHARS  48

static char *piece; /* destination of every read, touched before the first pass */

struct timing {
    int64_t open_ns, read_ns;
    uint64_t bytes;
};

static int copy_files(const struct mu_weights *w, struct timing *t, struct mu_err *e)
{
    struct mu_file f = MU_FILE_INIT;
    int rc = MU_OK;
    int64_t start = mu_now_ns(mu_clock_real());
    for (int i = 0; i < mu_weights_n_files(w); i++) {
        MU_TRY(mu_file_open(&f, mu_weights_file_path(w, i), e));
        for (uint64_t at = 0; at < f.bytes; at += PIECE_BYTES)
            MU_TRY(mu_file_read_at(&f, piece, (size_t)MU_MIN((uint64_t)PIECE_BYTES, f.bytes - at), at, e));
        t->bytes += f.bytes;
        mu_file_close(&f);
    }
    t->read_ns = mu_now_ns(mu_clock_real()) - start;
out:
    mu_file_close(&f);
    return rc;
}

static int load(const char *path, enum mu_read_mode mode, struct timing *t, struct mu_err *e)
{
    struct mu_weights *w = NULL;
    int rc = MU_OK;
    int64_t start = mu_now_ns(mu_clock_real());
    MU_TRY(mu_weights_open(&w, path, mode, e));
    t->open_ns = mu_now_ns(mu_clock_real()) - start;
    for (int64_t i = 0; i < mu_weights_count(w); i++) {
        const struct mu_tensor_info *info = mu_weights_at(w, i);
        for (uint64_t at = 0; at < info->n_bytes; at += PIECE_BYTES)
            MU_TRY(mu_weights_read(w, info, at, MU_MIN((uint64_t)PIECE_BYTES, info->n_bytes - at), piece, e));
    }
    MU_TRY(mu_weights_check(w, e));
    t->read_ns = mu_now_ns(mu_clock_real()) - start - t->open_ns;
    t->bytes = mu_weights_bytes_read(w);
out:
    mu_weights_close(w);
    return rc;
}

static double rate(const struct timing *t)
{
    return (double)t->bytes / (double)(t->open_ns + t->read_ns);
}

static void keep_best(struct timing *best, struct timing t)
{
    if (best->bytes == 0 || rate(&t) > rate(best))
        *best = t;
}

static int bench(const char *path, struct mu_err *e)
{
    static const char *const names[] = {"copy", "direct", "mmap"};
    struct timing best[3] = {{0}};
    struct mu_weights *w = NULL;
    int rc = MU_OK;

    MU_TRY(mu_weights_open(&w, path, MU_READ_DIRECT, e));
    for (int pass = 0; pass < PASSES; pass++) {
        struct timing t[3] = {{0}};
        MU_TRY(copy_files(w, &t[0], e));
        MU_TRY(load(path, MU_READ_DIRECT, &t[1], e));
        MU_TRY(load(path, MU_READ_MMAP, &t[2], e));
        for (int i = 0; i < 3; i++)
            keep_best(&best[i], t[i]);
    }
    printf("mode,tensors,bytes,open_ms,read_ms,GB_per_s,share\n");
    for (int i = 0; i < 3; i++)
        printf("%s,%" PRId64 ",%" PRIu64 ",%.2f,%.1f,%.2f,%.3f\n", names[i], mu_weights_count(w), best[i].bytes,
               (double)best[i].open_ns / 1e6, (double)best[i].read_ns / 1e6, rate(&best[i]),
               rate(&best[i]) / rate(&best[0]));
out:
    mu_weights_close(w);
    return rc;
}

static int make(const char *folder, int gb, struct mu_err *e)
{
    struct mu_safetensors_writer *w = NULL;
    struct mu_tensor_info *list = NULL;
    char *names = NULL;
    int64_t n = (int64_t)gb * 64; /* of 16 MB */
    int rc = MU_OK;

    MU_TRY(MU_NEW_ARRAY(&list, n, "a list of tensors", e));
    MU_TRY(MU_NEW_ARRAY(&names, n * NAME_CHARS, "names", e));
    for (int64_t i = 0; i < n; i++) {
        snprintf(names + i * NAME_CHARS, NAME_CHARS, "layers.%" PRId64 ".weight", i);
        list[i] =
            (struct mu_tensor_info){.name = names + i * NAME_CHARS, .dtype = MU_BF16, .n_dims = 2, .dims = {ROWS, ROW}};
    }
    MU_TRY(mu_safetensors_writer_open(&w, folder, list, n, (uint64_t)1 << 30, e));
    while (mu_safetensors_writer_next(w) >= 0)
        MU_TRY(mu_safetensors_writer_write(w, piece, (size_t)ROWS * ROW * 2, e));
    MU_TRY(mu_safetensors_writer_commit(w, e));
out:
    mu_safetensors_writer_free(w);
    mu_free(names);
    mu_free(list);
    return rc;
}

int main(int argc, char **argv)
{
    struct mu_err err = MU_ERR_INIT;
    bool is_make = argc == 4 && strcmp(argv[1], "--make") == 0;
    int gb = is_make ? atoi(argv[3]) : 1, rc = MU_OK;

    if ((argc != 2 && !is_make) || gb < 1) {
        fprintf(stderr, "usage: bench_load CHECKPOINT | bench_load --make FOLDER GB\n");
        return 2;
    }
    piece = mu_alloc(PIECE_BYTES);
    if (!piece)
        rc = mu_fail_nomem(&err, PIECE_BYTES, "a piece of a file");
    else
        memset(piece, 1, PIECE_BYTES);
    if (rc == MU_OK && is_make)
        rc = make(argv[2], gb, &err);
    if (rc == MU_OK)
        rc = bench(argv[is_make ? 2 : 1], &err);
    mu_free(piece);
    if (rc != MU_OK)
        fprintf(stderr, "bench_load: %s\n", err.text);
    return mu_code_exit_status(rc);
}
