/* test_weights.c - checkpoints written by the formats' own packages, read whole and in ranges
 *
 * The golden files come from make_golden.py; X.values.safetensors holds the f32 values the packages read from X. */
#include "fmt/weights.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "base/log.h"
#include "base/mem.h"
#include "fmt/gguf.h"
#include "fmt_files.h"

#define GOLDEN "tests/fmt/golden/"

/* All elements of t as f32; the caller frees. */
static float *read_f32(struct mu_weights *w, const struct mu_tensor_info *t)
{
    struct mu_err err = MU_ERR_INIT;
    void *raw = mu_alloc(t->n_bytes);
    float *v = mu_alloc(t->n_elems * sizeof *v);
    XT_CHECK(raw && v);
    XT_OK(mu_weights_read(w, t, 0, t->n_bytes, raw, &err));
    mu_to_f32(v, raw, t->dtype, t->n_elems);
    mu_free(raw);
    return v;
}

static void same_values(const struct mu_tensor_info *t, const float *got, const float *want)
{
    for (uint64_t i = 0; i < t->n_elems; i++)
        XT_CHECKF(got[i] == want[i] || (isnan(got[i]) && isnan(want[i])), "%s[%llu] is %.9g, not %.9g", t->name,
                  (unsigned long long)i, (double)got[i], (double)want[i]);
}

/* Every tensor of `values` must be in `path` with the same shape and, bit for bit, the same values. */
static void check_values(const char *path, const char *values, enum mu_read_mode mode, int64_t n_tensors)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_weights *w, *want;
    XT_OK(mu_weights_open(&w, path, mode, &err));
    XT_OK(mu_weights_open(&want, values, MU_READ_DIRECT, &err));
    XT_EQ(mu_weights_count(w), n_tensors);
    for (int64_t i = 0; i < mu_weights_count(want); i++) {
        const struct mu_tensor_info *b = mu_weights_at(want, i), *a = mu_weights_find(w, b->name);
        XT_CHECKF(a, "%s is missing", b->name);
        XT_EQ(a->n_dims, b->n_dims);
        for (int d = 0; d < a->n_dims; d++)
            XT_EQ(a->dims[d], b->dims[d]);
        float *got = read_f32(w, a), *expected = read_f32(want, b);
        same_values(a, got, expected);
        mu_free(got);
        mu_free(expected);
    }
    XT_OK(mu_weights_check(w, &err));
    mu_weights_close(w);
    mu_weights_close(want);
}

XT_TEST(every_safetensors_dtype_reads_as_torch_does)
{
    check_values(GOLDEN "dtypes.safetensors", GOLDEN "dtypes.values.safetensors", MU_READ_DIRECT, 14);
    check_values(GOLDEN "dtypes.safetensors", GOLDEN "dtypes.values.safetensors", MU_READ_MMAP, 14);
}

XT_TEST(shards_read_as_one)
{
    mu_log_level_set(MU_LOG_WARN); /* one tensor is not listed, and said so */
    check_values(GOLDEN "sharded", GOLDEN "sharded.values.safetensors", MU_READ_DIRECT, 6);
    check_values(GOLDEN "sharded/model.safetensors.index.json", GOLDEN "sharded.values.safetensors", MU_READ_MMAP, 6);
    mu_log_level_set(MU_LOG_INFO);
}

XT_TEST(every_gguf_type_reads_as_the_gguf_package_does)
{
    check_values(GOLDEN "types.gguf", GOLDEN "types.values.safetensors", MU_READ_DIRECT, 10);
    check_values(GOLDEN "types.gguf", GOLDEN "types.values.safetensors", MU_READ_MMAP, 10);
}

XT_TEST(tensors_come_in_file_then_offset_order_and_bytes_are_counted)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_weights *w;
    uint64_t total = 0;
    mu_log_level_set(MU_LOG_WARN);
    XT_OK(mu_weights_open(&w, GOLDEN "sharded", MU_READ_DIRECT, &err));
    mu_log_level_set(MU_LOG_INFO);
    XT_EQ(mu_weights_n_files(w), 3);
    XT_STREQ(mu_weights_file_path(w, 1), GOLDEN "sharded/model-00002-of-00003.safetensors");
    XT_STREQ(mu_weights_format(w), "safetensors");
    XT_CHECK(!mu_weights_gguf(w));
    for (int64_t i = 0; i < mu_weights_count(w); i++) {
        const struct mu_tensor_info *t = mu_weights_at(w, i);
        const struct mu_tensor_info *before = i ? mu_weights_at(w, i - 1) : NULL;
        XT_CHECK(!before || before->file < t->file || (before->file == t->file && before->offset < t->offset));
        XT_STREQ(t->stored, "F32");
        total += t->n_bytes;
        mu_free(read_f32(w, t));
    }
    XT_EQ(mu_weights_bytes_total(w), total);
    XT_EQ(mu_weights_bytes_read(w), total);
    XT_CHECK(!mu_weights_find(w, "not.listed"));
    mu_weights_close(w);
}

XT_TEST(ranges_of_a_tensor)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_weights *w;
    uint8_t part[7] = {0};
    for (int mode = MU_READ_DIRECT; mode <= MU_READ_MMAP; mode++) {
        XT_OK(mu_weights_open(&w, GOLDEN "dtypes.safetensors", (enum mu_read_mode)mode, &err));
        const struct mu_tensor_info *t = mu_weights_find(w, "u8");
        XT_OK(mu_weights_read(w, t, 100, 7, part, &err));
        for (int i = 0; i < 7; i++)
            XT_EQ(part[i], 100 + i);
        XT_OK(mu_weights_read(w, t, 256, 0, part, &err));
        XT_FAILS(mu_weights_read(w, t, 250, 7, part, &err), MU_EINVAL, "bytes 250 to 257 of tensor \"u8\"");
        XT_FAILS(mu_weights_read(w, t, 257, 0, part, &err), MU_EINVAL, "it has 256");
        XT_FAILS(mu_weights_read(w, t, 1, UINT64_MAX, part, &err), MU_EINVAL, "it has 256");
        XT_EQ(mu_weights_bytes_read(w), 7);
        mu_weights_close(w);
    }
}

XT_TEST(a_split_gguf_reads_as_one)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_weights *w;
    XT_OK(mu_weights_open(&w, GOLDEN "split", MU_READ_DIRECT, &err));
    XT_STREQ(mu_weights_format(w), "gguf");
    XT_EQ(mu_weights_n_files(w), 3);
    XT_EQ(mu_weights_count(w), 5);
    for (int i = 0; i < 5; i++) {
        char name[32];
        snprintf(name, sizeof name, "blk.%d.weight", i);
        const struct mu_tensor_info *t = mu_weights_find(w, name);
        XT_CHECK(t);
        XT_EQ(t->file, i / 2);
        XT_EQ(t->dims[0], 2);
        XT_EQ(t->dims[1], 3);
        float *v = read_f32(w, t);
        XT_CHECK(v[0] == (float)i && v[5] == (float)(i + 5));
        mu_free(v);
    }
    struct mu_str where;
    XT_OK(mu_gguf_string(mu_weights_gguf(w), "test.where", &where, &err));
    XT_CHECK(mu_str_eq(where, MU_STR("first part")));
    mu_weights_close(w);
    XT_FAILS(mu_weights_open(&w, GOLDEN "split/tiny-00002-of-00003.gguf", MU_READ_DIRECT, &err), MU_EINVAL,
             "part 2 of 3; name the first");
}

XT_TEST(a_ggml_type_known_by_name_only_is_refused_when_read)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_weights *w;
    char byte;
    XT_OK(mu_weights_open(&w, GOLDEN "types.gguf", MU_READ_DIRECT, &err));
    const struct mu_tensor_info *t = mu_weights_find(w, "q5_1");
    XT_EQ(t->dtype, MU_DTYPE_N);
    XT_EQ(t->n_bytes, 2 * 24);
    XT_FAILS(mu_weights_read(w, t, 0, 1, &byte, &err), MU_EUNSUPPORTED, "tensor \"q5_1\" is of type Q5_1");
    mu_weights_close(w);
}

/* ---- what a folder holds ---- */

XT_TEST(folders_without_weights_say_what_they_lack)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_weights *w;
    XT_FAILS(mu_weights_open(&w, xt_tmpdir(), MU_READ_DIRECT, &err), MU_ENOENT, "holds no weights");
    XT_FAILS(mu_weights_open(&w, "/nonexistent", MU_READ_DIRECT, &err), MU_ENOENT, "cannot open /nonexistent");
    put("pytorch_model.bin", "x", 1);
    XT_FAILS(mu_weights_open(&w, xt_tmpdir(), MU_READ_DIRECT, &err), MU_EUNSUPPORTED, "save_pretrained");
    put("a.gguf", "x", 1);
    XT_FAILS(mu_weights_open(&w, xt_tmpdir(), MU_READ_DIRECT, &err), MU_EFORMAT, "a.gguf");
    put("b.gguf", "x", 1);
    XT_FAILS(mu_weights_open(&w, xt_tmpdir(), MU_READ_DIRECT, &err), MU_EINVAL, "holds 2 .gguf models");
    put_safetensors("model.safetensors", "{\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]}}", 4);
    XT_OK(mu_weights_open(&w, xt_tmpdir(), MU_READ_DIRECT, &err));
    XT_EQ(mu_weights_count(w), 1);
    mu_weights_close(w);
    put("model.safetensors.index.json", "{\"weight_map\":{}}", 17);
    XT_FAILS(mu_weights_open(&w, xt_tmpdir(), MU_READ_DIRECT, &err), MU_EFORMAT, "\"weight_map\" is empty");
    const char *pickle = put("weights.pt", "PK\3\4....", 8);
    XT_FAILS(mu_weights_open(&w, pickle, MU_READ_DIRECT, &err), MU_EUNSUPPORTED, "a file of PyTorch");
}

/* ---- files that change ---- */

/* model.safetensors with one tensor "a" of n zero bytes. */
static const char *put_large(size_t n)
{
    char header[128];
    snprintf(header, sizeof header, "{\"a\":{\"dtype\":\"U8\",\"shape\":[%zu],\"data_offsets\":[0,%zu]}}", n, n);
    const char *path = put_safetensors("model.safetensors", header, 0);
    XT_EQ(truncate(path, (off_t)(8 + strlen(header) + n)), 0);
    return path;
}

XT_TEST(a_file_cut_short_while_mapped_is_an_error_not_a_signal)
{
    struct mu_err err = MU_ERR_INIT;
    for (int mode = MU_READ_DIRECT; mode <= MU_READ_MMAP; mode++) {
        struct mu_weights *w;
        size_t n = (size_t)8 << 20;
        const char *path = put_large(n);
        char *dst = mu_alloc(n);
        XT_OK(mu_weights_open(&w, path, (enum mu_read_mode)mode, &err));
        const struct mu_tensor_info *t = mu_weights_find(w, "a");
        XT_OK(mu_weights_read(w, t, 0, n, dst, &err));
        XT_OK(mu_weights_check(w, &err));
        XT_EQ(truncate(path, 1 << 20), 0);
        XT_FAILS(mu_weights_read(w, t, 0, n, dst, &err), MU_ECHANGED, "ends at byte 1048576");
        XT_FAILS(mu_weights_read(w, t, n - 5, 5, dst, &err), MU_ECHANGED, "ends at byte");
        XT_FAILS(mu_weights_check(w, &err), MU_ECHANGED, "bytes when opened and has 1048576 now");
        mu_weights_close(w);
        mu_free(dst);
    }
}

struct cutter {
    const char *path;
    off_t whole;
    bool stop;
};

static void *cut_and_regrow(void *arg)
{
    struct cutter *c = arg;
    while (!__atomic_load_n(&c->stop, __ATOMIC_RELAXED))
        if (truncate(c->path, c->whole / 3) != 0 || truncate(c->path, c->whole) != 0)
            break;
    return NULL;
}

XT_TEST(a_file_cut_during_reads_never_kills_the_process)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_weights *w;
    size_t n = (size_t)4 << 20;
    struct stat st;
    struct cutter c = {put_large(n), 0, false};
    XT_EQ(stat(c.path, &st), 0);
    c.whole = st.st_size;
    XT_OK(mu_weights_open(&w, c.path, MU_READ_MMAP, &err));
    char *dst = mu_alloc(n);
    pthread_t thread;
    XT_EQ(pthread_create(&thread, NULL, cut_and_regrow, &c), 0);
    int n_changed = 0, rc = MU_OK;
    for (int i = 0; i < 200 && (rc == MU_OK || rc == MU_ECHANGED); i++) {
        rc = mu_weights_read(w, mu_weights_find(w, "a"), 0, n, dst, &err);
        n_changed += rc == MU_ECHANGED;
    }
    __atomic_store_n(&c.stop, true, __ATOMIC_RELAXED);
    pthread_join(thread, NULL);
    xt_note("%d of 200 reads met the cut file", n_changed);
    XT_CHECK(rc == MU_OK || rc == MU_ECHANGED);
    XT_FAILS(mu_weights_check(w, &err), MU_ECHANGED, "was written to while it was being read");
    mu_weights_close(w);
    mu_free(dst);
}

/* ---- the heap ---- */

static int open_and_close(void *path, struct mu_err *e)
{
    struct mu_weights *w;
    MU_TRY_RETURN(mu_weights_open(&w, path, MU_READ_MMAP, e));
    mu_weights_close(w);
    return MU_OK;
}

XT_TEST(any_allocation_may_fail)
{
    mu_log_level_set(MU_LOG_WARN);
    xt_each_alloc_fails(open_and_close, (void *)(uintptr_t)GOLDEN "dtypes.safetensors");
    xt_each_alloc_fails(open_and_close, (void *)(uintptr_t)GOLDEN "sharded");
    xt_each_alloc_fails(open_and_close, (void *)(uintptr_t)GOLDEN "types.gguf");
    xt_each_alloc_fails(open_and_close, (void *)(uintptr_t)GOLDEN "split");
    mu_log_level_set(MU_LOG_INFO);
}

/* ---- files from outside ---- */

XT_TEST(a_published_checkpoint_opens)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_weights *w;
    XT_OK(mu_weights_open(&w, xt_data("models/stories260K-hf/model.safetensors"), MU_READ_DIRECT, &err));
    const struct mu_tensor_info *t = mu_weights_find(w, "model.embed_tokens.weight");
    XT_CHECK(t);
    XT_EQ(t->n_dims, 2);
    XT_EQ(t->dims[0], 512);
    XT_EQ(t->dims[1], 64);
    mu_weights_close(w);
}

XT_MAIN()
