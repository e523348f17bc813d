/* test_convert.c - checkpoints converted and read back, value by value; failures that leave nothing behind */
#include "fmt/convert.h"

#include <dirent.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "fmt/f8_blocks.h"
#include "fmt_files.h"

#define GOLDEN "tests/fmt/golden/"

static int count_files(const char *folder)
{
    DIR *d = opendir(folder);
    int n = -2;
    XT_CHECK(d);
    while (readdir(d))
        n++;
    closedir(d);
    return n;
}

static float *read_f32(struct mu_weights *w, const struct mu_tensor_info *t)
{
    struct mu_err err = MU_ERR_INIT;
    char *raw = mu_alloc(t->n_bytes);
    float *v = mu_alloc(t->n_elems * sizeof *v);
    XT_OK(mu_weights_read(w, t, 0, t->n_bytes, raw, &err));
    mu_to_f32(v, raw, t->dtype, t->n_elems);
    mu_free(raw);
    return v;
}

/* Each float tensor of `got` is of `dtype` and holds the values of the same name in `want`, rounded to it. */
static void check_converted(const char *got, const char *want, enum mu_dtype dtype)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_weights *a, *b;
    XT_OK(mu_weights_open(&a, got, MU_READ_DIRECT, &err));
    XT_OK(mu_weights_open(&b, want, MU_READ_DIRECT, &err));
    XT_EQ(mu_weights_count(a), mu_weights_count(b));
    for (int64_t i = 0; i < mu_weights_count(b); i++) {
        const struct mu_tensor_info *y = mu_weights_at(b, i), *x = mu_weights_find(a, y->name);
        XT_CHECKF(x, "%s is missing", y->name);
        XT_EQ(x->dtype, mu_dtype_is_float(y->dtype) ? dtype : y->dtype);
        XT_EQ(x->n_elems, y->n_elems);
        float *p = read_f32(a, x), *q = read_f32(b, y);
        for (uint64_t k = 0; k < x->n_elems; k++) {
            float v = q[k];
            if (x->dtype == MU_BF16)
                v = mu_bf16_to_f32(mu_f32_to_bf16(v));
            if (x->dtype == MU_F16)
                v = mu_f16_to_f32(mu_f32_to_f16(v));
            XT_CHECKF(p[k] == v || (isnan(p[k]) && isnan(v)), "%s[%llu] is %g, not %g", x->name, (unsigned long long)k,
                      (double)p[k], (double)v);
        }
        mu_free(p);
        mu_free(q);
    }
    mu_weights_close(a);
    mu_weights_close(b);
}

static int convert(const char *src, const char *dst, enum mu_dtype dtype, uint64_t shard, struct mu_err *e)
{
    struct mu_convert_opts o = MU_CONVERT_OPTS_INIT;
    o.dtype = dtype;
    o.shard_bytes_max = shard;
    return mu_convert(src, dst, &o, NULL, e);
}

XT_TEST(shards_to_one_file_and_to_each_type)
{
    struct mu_err err = MU_ERR_INIT;
    mu_log_level_set(MU_LOG_WARN);
    XT_OK(convert(GOLDEN "sharded", in_tmp("one"), MU_DTYPE_N, 0, &err));
    check_converted(in_tmp("one"), GOLDEN "sharded", MU_F32);
    XT_OK(convert(GOLDEN "sharded", in_tmp("bf16"), MU_BF16, 60, &err));
    check_converted(in_tmp("bf16"), GOLDEN "sharded", MU_BF16);
    XT_CHECK(mu_path_exists(in_tmp("bf16/model.safetensors.index.json")));
    XT_OK(convert(GOLDEN "sharded", in_tmp("f16/"), MU_F16, 0, &err));
    check_converted(in_tmp("f16"), GOLDEN "sharded", MU_F16);
    mu_log_level_set(MU_LOG_INFO);
}

XT_TEST(every_dtype_to_f32_and_bf16)
{
    struct mu_err err = MU_ERR_INIT;
    XT_OK(convert(GOLDEN "dtypes.safetensors", in_tmp("f32"), MU_F32, 0, &err));
    check_converted(in_tmp("f32"), GOLDEN "dtypes.safetensors", MU_F32);
    XT_OK(convert(GOLDEN "dtypes.safetensors", in_tmp("bf16"), MU_BF16, 0, &err));
    check_converted(in_tmp("bf16"), GOLDEN "dtypes.safetensors", MU_BF16);
}

static const char *rename_or_drop(void *arg, const char *name)
{
    (void)arg;
    return strcmp(name, "q5_1") == 0 ? NULL : strcmp(name, "f32") == 0 ? "renamed" : name;
}

static uint64_t reversed(void *arg, const struct mu_tensor_info *t, uint64_t row)
{
    (void)arg;
    return t->dims[0] - 1 - row;
}

XT_TEST(gguf_with_the_models_hooks)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_convert_opts o = MU_CONVERT_OPTS_INIT;
    struct mu_convert_result result;
    struct mu_weights *a, *b;
    XT_FAILS(mu_convert(GOLDEN "types.gguf", in_tmp("x"), &o, NULL, &err), MU_EUNSUPPORTED, "choose f32, bf16 or f16");
    o.dtype = MU_F32;
    XT_FAILS(mu_convert(GOLDEN "types.gguf", in_tmp("x"), &o, NULL, &err), MU_EUNSUPPORTED, "\"q5_1\" is of type Q5_1");
    o.rename = rename_or_drop;
    o.source_row = reversed;
    XT_OK(mu_convert(GOLDEN "types.gguf", in_tmp("x"), &o, &result, &err));
    XT_EQ(result.n_tensors, 9);
    XT_OK(mu_weights_open(&a, in_tmp("x"), MU_READ_DIRECT, &err));
    XT_OK(mu_weights_open(&b, GOLDEN "types.values.safetensors", MU_READ_DIRECT, &err));
    for (int64_t i = 0; i < mu_weights_count(b); i++) {
        const struct mu_tensor_info *y = mu_weights_at(b, i);
        const struct mu_tensor_info *x = mu_weights_find(a, strcmp(y->name, "f32") ? y->name : "renamed");
        XT_CHECKF(x, "%s is missing", y->name);
        float *p = read_f32(a, x), *q = read_f32(b, y);
        for (uint64_t k = 0; k < x->n_elems; k++) {
            uint64_t cols = x->dims[1], from = (x->dims[0] - 1 - k / cols) * cols + k % cols;
            XT_CHECKF(p[k] == q[from], "%s[%llu]", x->name, (unsigned long long)k);
        }
        mu_free(p);
        mu_free(q);
    }
    mu_weights_close(a);
    mu_weights_close(b);
}

/* ---- F8 with block scales ---- */

#define F8_CONFIG                                                                                                      \
    "{\"torch_dtype\":\"bfloat16\",\"quantization_config\":{\"quant_method\":\"fp8\",\"weight_block_size\":[2,3]}}"
#define F8_HEADER                                                                                                      \
    "{\"w.weight\":{\"dtype\":\"F8_E4M3\",\"shape\":[5,4],\"data_offsets\":[24,44]},"                                  \
    "\"w.weight_scale_inv\":{\"dtype\":\"F32\",\"shape\":[3,2],\"data_offsets\":[0,24]}}"

static void put_f8(float scales[6], unsigned char weights[20])
{
    struct mu_buf file = MU_BUF_INIT("a file", 1 << 16);
    uint64_t n = htole64(sizeof F8_HEADER - 1);
    mu_buf_add(&file, &n, 8, NULL);
    mu_buf_puts(&file, F8_HEADER, NULL);
    for (int i = 0; i < 6; i++)
        scales[i] = (float)(i + 1) * 0.5f;
    for (int i = 0; i < 20; i++)
        weights[i] = (unsigned char)(0x30 + 3 * i);
    mu_buf_add(&file, scales, 24, NULL);
    mu_buf_add(&file, weights, 20, NULL);
    mkdir(in_tmp("src"), 0777);
    put("src/model.safetensors", file.p, file.n);
    mu_buf_fini(&file);
}

XT_TEST(f8_blocks_are_multiplied_out)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_weights *w;
    json_t *config;
    float scales[6], want[20];
    unsigned char weights[20];
    put_f8(scales, weights);
    put("src/config.json", F8_CONFIG, sizeof F8_CONFIG - 1);
    for (int r = 0; r < 5; r++)
        for (int c = 0; c < 4; c++)
            want[r * 4 + c] = mu_f8e4m3_to_f32(weights[r * 4 + c]) * scales[r / 2 * 2 + c / 3];
    float part[8];
    mu_f8_block_dequant_rows(part, weights + 4, 1, 2, 4, scales, 2, 3);
    XT_CHECK(memcmp(part, want + 4, sizeof part) == 0);

    XT_OK(convert(in_tmp("src"), in_tmp("f32"), MU_F32, 0, &err));
    XT_OK(mu_weights_open(&w, in_tmp("f32"), MU_READ_DIRECT, &err));
    XT_EQ(mu_weights_count(w), 1);
    float *got = read_f32(w, mu_weights_find(w, "w.weight"));
    XT_CHECK(memcmp(got, want, sizeof want) == 0);
    mu_free(got);
    mu_weights_close(w);
    XT_OK(mu_json_load(&config, in_tmp("f32/config.json"), &err));
    XT_STREQ(json_string_value(json_object_get(config, "torch_dtype")), "float32");
    XT_CHECK(!json_object_get(config, "quantization_config"));
    json_decref(config);

    XT_OK(convert(in_tmp("src"), in_tmp("same"), MU_DTYPE_N, 0, &err)); /* as stored: scales stay */
    XT_OK(mu_weights_open(&w, in_tmp("same"), MU_READ_DIRECT, &err));
    XT_EQ(mu_weights_count(w), 2);
    mu_weights_close(w);
}

XT_TEST(quantisations_that_cannot_be_undone)
{
    static const struct {
        const char *config;
        int code;
        const char *part;
    } cases[] = {
        {"{}", MU_EUNSUPPORTED, "has scales, but config.json gives no \"weight_block_size\""},
        {"{\"quantization_config\":{\"quant_method\":\"gptq\"}}", MU_EUNSUPPORTED, "quantised by \"gptq\""},
        {"{\"quantization_config\":{\"quant_method\":\"fp8\"}}", MU_EFORMAT, "must be two numbers"},
        {"{\"quantization_config\":{\"quant_method\":\"fp8\",\"weight_block_size\":[0,1]}}", MU_EFORMAT, "in 1..65536"},
        {"{\"quantization_config\":{\"quant_method\":\"fp8\",\"weight_block_size\":[2,2]}}", MU_OK, ""},
        {"{\"quantization_config\":{\"quant_method\":\"fp8\",\"weight_block_size\":[4,4]}}", MU_EFORMAT,
         "\"w.weight_scale_inv\" must be [2, 1] in f32"},
        {"{", MU_EFORMAT, "config.json, column 1"},
    };
    float scales[6];
    unsigned char weights[20];
    put_f8(scales, weights);
    for (size_t i = 0; i < MU_COUNT(cases); i++) {
        struct mu_err err = MU_ERR_INIT;
        xt_note("%s", cases[i].config);
        put("src/config.json", cases[i].config, strlen(cases[i].config));
        if (cases[i].code == MU_OK) {
            XT_OK(convert(in_tmp("src"), in_tmp("ok"), MU_F32, 0, &err));
            continue;
        }
        XT_FAILS(convert(in_tmp("src"), in_tmp("out"), MU_F32, 0, &err), cases[i].code, cases[i].part);
        XT_CHECK(!mu_path_exists(in_tmp("out")));
    }
}

/* ---- folders ---- */

static const char small_header[] = "{\"a\":{\"dtype\":\"F32\",\"shape\":[65536],\"data_offsets\":[0,262144]}}";

static void put_small(void)
{
    mkdir(in_tmp("src"), 0777);
    put_safetensors("src/model.safetensors", small_header, 262144);
}

XT_TEST(side_files_come_along)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_buf text = MU_BUF_INIT("a file", 1000);
    put_small();
    put("src/config.json", "{\"dtype\": \"float32\"}", 20);
    put("src/tokenizer.json", "{ }", 3);
    put("src/LICENSE.txt", "free", 4);
    put("src/notes.txt", "mine", 4);
    XT_OK(convert(in_tmp("src"), in_tmp("out"), MU_BF16, 0, &err));
    XT_EQ(count_files(in_tmp("out")), 4);
    XT_OK(mu_file_read_all(&text, in_tmp("out/tokenizer.json"), &err));
    XT_STREQ(text.p, "{ }");
    XT_OK(mu_file_read_all(&text, in_tmp("out/config.json"), &err));
    XT_STREQ(text.p, "{\n  \"dtype\": \"bfloat16\"\n}\n");
    mu_buf_fini(&text);
}

XT_TEST(nothing_is_overwritten_unasked)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_convert_opts o = MU_CONVERT_OPTS_INIT;
    struct mu_weights *w;
    put_small();
    mkdir(in_tmp("out"), 0777); /* empty: taken */
    o.shard_bytes_max = 0;
    XT_OK(mu_convert(in_tmp("src"), in_tmp("out"), &o, NULL, &err));
    put("out/mine.txt", "x", 1);
    put("out/model.safetensors.index.json", "{}", 2); /* would hide the new weights */
    XT_FAILS(mu_convert(in_tmp("src"), in_tmp("out"), &o, NULL, &err), MU_EINVAL, "exists and is not empty");
    o.overwrite = true;
    o.dtype = MU_BF16;
    XT_FAILS(mu_convert(in_tmp("src"), in_tmp("src"), &o, NULL, &err), MU_EINVAL, "is the checkpoint itself");
    XT_FAILS(mu_convert(in_tmp("src"), in_tmp("src/model.safetensors"), &o, NULL, &err), MU_EINVAL, "is no folder");
    XT_OK(mu_convert(in_tmp("src"), in_tmp("out"), &o, NULL, &err));
    XT_EQ(count_files(in_tmp("out")), 2);
    XT_OK(mu_weights_open(&w, in_tmp("out"), MU_READ_DIRECT, &err));
    XT_EQ(mu_weights_at(w, 0)->dtype, MU_BF16);
    mu_weights_close(w);
    o.dtype = MU_I8;
    XT_FAILS(mu_convert(in_tmp("src"), in_tmp("new"), &o, NULL, &err), MU_EINVAL, "cannot convert to i8");
    o.dtype = MU_F32;
    XT_FAILS(mu_convert(in_tmp("src"), "/nonexistent/x", &o, NULL, &err), MU_ENOENT, "cannot make the folder");
}

XT_TEST(values_beyond_the_type_are_refused)
{
    struct mu_err err = MU_ERR_INIT;
    mkdir(in_tmp("src"), 0777);
    put_safetensors("src/model.safetensors", "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", 8);
    XT_FAILS(convert(in_tmp("src"), in_tmp("out"), MU_F16, 0, &err), MU_ENUMERIC, "tensor \"a\" holds 1.68524e+22");
    XT_EQ(count_files(xt_tmpdir()), 1);
}

/* ---- failures half way ---- */

struct nuisance {
    uint64_t at;
    const char *truncate;
    uint64_t last, total;
};

static int meddle(void *arg, uint64_t done, uint64_t total)
{
    struct nuisance *n = arg;
    n->last = done;
    n->total = total;
    if (done < n->at)
        return 0;
    if (!n->truncate)
        return 1;
    return truncate(n->truncate, 1000);
}

XT_TEST(stopped_or_changed_half_way_leaves_nothing)
{
    struct mu_err err = MU_ERR_INIT;
    struct nuisance n = {.at = UINT64_MAX};
    struct mu_convert_opts o = MU_CONVERT_OPTS_INIT;
    o.progress = meddle;
    o.progress_arg = &n;
    put_small();
    XT_OK(mu_convert(in_tmp("src"), in_tmp("whole"), &o, NULL, &err));
    XT_EQ(n.last, 262144);
    XT_EQ(n.total, 262144);
    n.at = 1;
    XT_FAILS(mu_convert(in_tmp("src"), in_tmp("out"), &o, NULL, &err), MU_ECANCELED, "stopped on request");
    n.truncate = in_tmp("src/model.safetensors");
    XT_FAILS(mu_convert(in_tmp("src"), in_tmp("out"), &o, NULL, &err), MU_ECHANGED, "bytes when opened and has 1000");
    XT_EQ(count_files(xt_tmpdir()), 2); /* src and whole */
}

XT_TEST(a_full_disk_leaves_nothing)
{
    struct mu_err err = MU_ERR_INIT;
    struct rlimit old, small;
    put_small();
    signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &old);
    small = old;
    small.rlim_cur = 100 << 10;
    setrlimit(RLIMIT_FSIZE, &small);
    int rc = convert(in_tmp("src"), in_tmp("out"), MU_BF16, 0, &err);
    setrlimit(RLIMIT_FSIZE, &old);
    XT_EQ(rc, MU_ENOSPC);
    XT_CHECK(strstr(err.text, "cannot write") && strstr(err.text, "while converting"));
    XT_EQ(count_files(xt_tmpdir()), 1);
}

static int convert_and_remove(void *folder, struct mu_err *e)
{
    char src[300], dst[300], name[400];
    snprintf(src, sizeof src, "%s/src", (const char *)folder);
    snprintf(dst, sizeof dst, "%s/out", (const char *)folder);
    MU_TRY_RETURN(convert(src, dst, MU_F32, 10, e));
    DIR *d = opendir(dst);
    for (struct dirent *f; (f = readdir(d)) != NULL;) {
        snprintf(name, sizeof name, "%.200s/%.190s", dst, f->d_name);
        unlink(name);
    }
    closedir(d);
    rmdir(dst);
    return MU_OK;
}

XT_TEST(any_allocation_may_fail)
{
    float scales[6];
    unsigned char weights[20];
    put_f8(scales, weights);
    put("src/config.json", F8_CONFIG, sizeof F8_CONFIG - 1);
    put("src/tokenizer.json", "{ }", 3);
    xt_each_alloc_fails(convert_and_remove, (void *)(uintptr_t)xt_tmpdir());
    XT_EQ(count_files(xt_tmpdir()), 1);
}

XT_MAIN()
