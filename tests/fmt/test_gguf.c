/* test_gguf.c - metadata of every type, and heads that break a rule */
#include "fmt/gguf.h"

#include <unistd.h>

#include "base/check.h"
#include "base/file.h"
#include "base/mem.h"
#include "fmt/weights.h"
#include "fmt_files.h"

#define GOLDEN "tests/fmt/golden/types.gguf"

static int open_one(const char *path, struct mu_err *e)
{
    struct mu_weights *w;
    MU_TRY_RETURN(mu_weights_open(&w, path, MU_READ_DIRECT, e));
    mu_weights_close(w);
    return MU_OK;
}

XT_TEST(integers_of_every_width)
{
    static const struct {
        const char *key;
        int64_t want;
    } cases[] = {{"test.uint8", 200},         {"test.int8", -100},
                 {"test.uint16", 60000},      {"test.int16", -30000},
                 {"test.uint32", 4000000000}, {"test.int32", -2000000000},
                 {"test.uint64", INT64_MAX},  {"test.int64", -((int64_t)1 << 62)}};
    struct mu_err err = MU_ERR_INIT;
    struct mu_gguf *g;
    int64_t v;
    double d;
    XT_OK(mu_gguf_open(&g, GOLDEN, &err));
    XT_EQ(mu_gguf_version(g), 3);
    for (size_t i = 0; i < MU_COUNT(cases); i++) {
        XT_OK(mu_gguf_int(g, cases[i].key, INT64_MIN, INT64_MAX, &v, &err));
        XT_EQ(v, cases[i].want);
        XT_OK(mu_gguf_real(g, cases[i].key, &d, &err));
        XT_CHECK(d == (double)cases[i].want);
    }
    XT_FAILS(mu_gguf_int(g, "test.uint8", 0, 199, &v, &err), MU_EFORMAT,
             "\"test.uint8\" is 200, it must lie in 0..199");
    XT_FAILS(mu_gguf_int(g, "test.absent", 0, 1, &v, &err), MU_ENOENT, "no metadata key \"test.absent\"");
    XT_FAILS(mu_gguf_int(g, "test.float32", 0, 1, &v, &err), MU_EFORMAT, "is of type f32, an integer is needed");
    XT_FAILS(mu_gguf_int(g, "test.ints", 0, 1, &v, &err), MU_EFORMAT, "is of type array of i32, an integer is needed");
    mu_gguf_free(g);
}

XT_TEST(other_values_and_arrays)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_gguf *g;
    struct mu_gguf_array a, sub;
    struct mu_str s;
    double d;
    bool flag;
    XT_OK(mu_gguf_open(&g, GOLDEN, &err));
    XT_OK(mu_gguf_real(g, "test.float32", &d, &err));
    XT_CHECK(d == 1.5);
    XT_OK(mu_gguf_real(g, "test.float64", &d, &err));
    XT_CHECK(d == 0.1);
    XT_OK(mu_gguf_bool(g, "test.bool", &flag, &err));
    XT_CHECK(flag);
    XT_OK(mu_gguf_string(g, "test.string", &s, &err));
    XT_CHECK(mu_str_eq(s, MU_STR("Grüße")));
    XT_OK(mu_gguf_strings(g, "test.strings", &a, &err));
    XT_EQ(a.n, 3);
    XT_CHECK(mu_gguf_next_string(&a, &s) && mu_str_eq(s, MU_STR("a")));
    XT_CHECK(mu_gguf_next_string(&a, &s) && s.n == 0);
    XT_CHECK(mu_gguf_next_string(&a, &s) && mu_str_eq(s, MU_STR("ßt")));
    XT_CHECK(!mu_gguf_next_string(&a, &s));
    XT_OK(mu_gguf_ints(g, "test.ints", &a, &err));
    XT_CHECK(a.n == 3 && mu_gguf_int_at(&a, 0) == 1 && mu_gguf_int_at(&a, 1) == -2 && mu_gguf_int_at(&a, 2) == 3);
    XT_OK(mu_gguf_reals(g, "test.floats", &a, &err));
    XT_CHECK(a.n == 2 && mu_gguf_real_at(&a, 0) == 0.5 && mu_gguf_real_at(&a, 1) == -0.25);
    a = mu_gguf_find(g, "test.nested")->items;
    XT_EQ(a.n, 2);
    XT_CHECK(mu_gguf_next_array(&a, &sub) && sub.n == 2 && mu_gguf_int_at(&sub, 1) == 2);
    XT_CHECK(mu_gguf_next_array(&a, &sub) && sub.n == 1 && mu_gguf_int_at(&sub, 0) == 3);
    XT_CHECK(!mu_gguf_next_array(&a, &sub));
    XT_FAILS(mu_gguf_strings(g, "test.ints", &a, &err), MU_EFORMAT, "an array of strings is needed");
    XT_FAILS(mu_gguf_ints(g, "test.int8", &a, &err), MU_EFORMAT, "is of type i8, an array of integers is needed");
    XT_EQ(mu_gguf_at(g, 1)->type, MU_GGUF_U8);
    mu_gguf_free(g);
}

/* ---- heads that break a rule ---- */

struct bytes {
    char p[512];
    size_t n;
};

static void add(struct bytes *b, const void *p, size_t n)
{
    memcpy(b->p + b->n, p, n);
    b->n += n;
}

static void u32(struct bytes *b, uint32_t v)
{
    v = htole32(v);
    add(b, &v, 4);
}

static void u64(struct bytes *b, uint64_t v)
{
    v = htole64(v);
    add(b, &v, 8);
}

static void text(struct bytes *b, const char *s)
{
    u64(b, strlen(s));
    add(b, s, strlen(s));
}

static struct bytes start(uint32_t version, uint64_t n_tensors, uint64_t n_keys)
{
    struct bytes b = {.n = 0};
    add(&b, "GGUF", 4);
    u32(&b, version);
    u64(&b, n_tensors);
    u64(&b, n_keys);
    return b;
}

static void tensor(struct bytes *b, const char *name, uint64_t cols, uint32_t type, uint64_t offset)
{
    text(b, name);
    u32(b, 1);
    u64(b, cols);
    u32(b, type);
    u64(b, offset);
}

static void pad_to(struct bytes *b, size_t n)
{
    while (b->n < n)
        b->p[b->n++] = 0;
}

#define REFUSED(b, code, part)                                                                                         \
    do {                                                                                                               \
        struct mu_err err = MU_ERR_INIT;                                                                               \
        XT_FAILS(open_one(put("x.gguf", (b).p, (b).n), &err), code, part);                                             \
    } while (0)

XT_TEST(starts_that_break_a_rule)
{
    struct bytes b = {.n = 0};
    REFUSED(b, MU_EFORMAT, "needs 4 bytes, the file ends after 0");
    add(&b, "GGML....", 8);
    REFUSED(b, MU_EFORMAT, "does not begin with \"GGUF\"");
    b = start(1, 0, 0);
    REFUSED(b, MU_EUNSUPPORTED, "is of GGUF version 1, versions 2 and 3 are read");
    b = start(0x03000000, 0, 0);
    REFUSED(b, MU_EUNSUPPORTED, "is a big-endian GGUF file");
    b = start(3, 1000001, 0);
    REFUSED(b, MU_ELIMIT, "1000001 tensors, at most 1000000");
    b = start(3, 900000, 0);
    REFUSED(b, MU_EFORMAT, "900000 tensors, its 24 bytes have no room");
    b = start(3, 0, UINT64_MAX);
    REFUSED(b, MU_ELIMIT, "metadata keys, at most 4096");
    b = start(3, 0, 0);
    struct mu_err err = MU_ERR_INIT;
    XT_OK(open_one(put("x.gguf", b.p, b.n), &err));
}

XT_TEST(values_that_break_a_rule)
{
    struct bytes b = start(3, 0, 1);
    text(&b, "k");
    u32(&b, 13);
    pad_to(&b, 64);
    REFUSED(b, MU_EFORMAT, "is 13, the format has 0 to 12");
    b = start(3, 0, 1);
    text(&b, "");
    pad_to(&b, 64);
    REFUSED(b, MU_EFORMAT, "a metadata key at byte 32 has 0 bytes");
    b = start(3, 0, 1);
    text(&b, "\xff");
    pad_to(&b, 64);
    REFUSED(b, MU_EFORMAT, "a metadata key at byte 32 is not UTF-8 text");
    b = start(3, 0, 1);
    text(&b, "k");
    u32(&b, MU_GGUF_STRING);
    u64(&b, UINT64_MAX);
    REFUSED(b, MU_EFORMAT, "needs 18446744073709551615 bytes, the file ends after 0");
    b = start(3, 0, 1);
    text(&b, "k");
    u32(&b, MU_GGUF_ARRAY);
    u32(&b, MU_GGUF_U8);
    u64(&b, (uint64_t)1 << 62);
    REFUSED(b, MU_EFORMAT, "4611686018427387904 elements, the file has only 0 bytes left");
    b = start(3, 0, 2);
    for (int i = 0; i < 2; i++) {
        text(&b, "twice");
        u32(&b, MU_GGUF_U8);
        add(&b, "x", 1);
    }
    REFUSED(b, MU_EFORMAT, "the metadata key \"twice\" twice");
    b = start(3, 0, 1);
    text(&b, "general.alignment");
    u32(&b, MU_GGUF_U32);
    u32(&b, 24);
    REFUSED(b, MU_EFORMAT, "general.alignment is 24, a power of two");
    b = start(3, 0, 1);
    text(&b, "k");
    u32(&b, MU_GGUF_ARRAY);
    for (int depth = 0; depth < 6; depth++) {
        u32(&b, MU_GGUF_ARRAY);
        u64(&b, 1);
    }
    pad_to(&b, 256);
    REFUSED(b, MU_ELIMIT, "nested deeper than 4");
}

XT_TEST(tensors_that_break_a_rule)
{
    struct bytes b = start(3, 1, 0);
    tensor(&b, "a", 8, 0, 0);
    pad_to(&b, 64 + 31);
    REFUSED(b, MU_EFORMAT, "tensor \"a\" of 32 bytes begins at byte 0 of the data, which has 31 bytes");
    b = start(3, 1, 0);
    tensor(&b, "a", 8, 0, 16);
    pad_to(&b, 128);
    REFUSED(b, MU_EFORMAT, "no multiple of the alignment 32");
    b = start(3, 1, 0);
    tensor(&b, "a", 33, 8, 0);
    pad_to(&b, 256);
    REFUSED(b, MU_EFORMAT, "of type Q8_0 has impossible dimensions: rows must hold whole blocks of 32");
    b = start(3, 1, 0);
    tensor(&b, "a", UINT64_MAX, 0, 0);
    pad_to(&b, 256);
    REFUSED(b, MU_EFORMAT, "impossible dimensions");
    b = start(3, 1, 0);
    tensor(&b, "a", 8, 4, 0);
    pad_to(&b, 256);
    REFUSED(b, MU_EUNSUPPORTED, "tensor \"a\" has type 4, which this version does not know");
    b = start(3, 2, 0);
    tensor(&b, "a", 16, 0, 0);
    tensor(&b, "b", 8, 0, 32);
    pad_to(&b, 256);
    REFUSED(b, MU_EFORMAT, "\"b\" begins at byte 32 of the data and overlaps \"a\", which ends at 64");
    b = start(3, 2, 0);
    tensor(&b, "a", 8, 0, 0);
    tensor(&b, "a", 8, 0, 32);
    pad_to(&b, 256);
    REFUSED(b, MU_EFORMAT, "holds tensor \"a\" twice");
    b = start(3, 1, 0);
    text(&b, "a");
    u32(&b, 9);
    pad_to(&b, 256);
    REFUSED(b, MU_EFORMAT, "has 9 dimensions, at most 8");
}

XT_TEST(every_prefix_of_a_head_is_an_error)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_buf whole = MU_BUF_INIT("a golden file", 1 << 20);
    XT_OK(mu_file_read_all(&whole, GOLDEN, &err));
    for (size_t n = 4; n < whole.n - 64; n += 5)
        XT_EQ(open_one(put("x.gguf", whole.p, n), &err), MU_EFORMAT);
    XT_OK(open_one(put("x.gguf", whole.p, whole.n), &err));
    mu_buf_fini(&whole);
}

XT_TEST(parts_that_do_not_fit)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_buf b = MU_BUF_INIT("a golden file", 1 << 20);
    for (int i = 0; i < 2; i++) {
        char from[100], name[100];
        snprintf(from, sizeof from, "tests/fmt/golden/split/tiny-%05d-of-00003.gguf", i + 1);
        snprintf(name, sizeof name, "m-%05d-of-00003.gguf", i + 1);
        XT_OK(mu_file_read_all(&b, from, &err));
        put(name, b.p, b.n);
    }
    XT_FAILS(open_one(xt_tmpdir(), &err), MU_ENOENT, "m-00003-of-00003.gguf");
    put("m-00003-of-00003.gguf", b.p, b.n); /* the second part once more */
    XT_FAILS(open_one(xt_tmpdir(), &err), MU_EFORMAT, "says it is part 2 of 3, part 3 of 3 is needed");
    XT_OK(mu_file_read_all(&b, "tests/fmt/golden/split/tiny-00001-of-00003.gguf", &err));
    XT_FAILS(open_one(put("whole.gguf", b.p, b.n), &err), MU_EFORMAT, "its name must end in -00001-of-00003.gguf");
    mu_buf_fini(&b);
}

XT_TEST(published_vocabularies)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_gguf *g;
    struct mu_gguf_array tokens;
    struct mu_str s, last = {"", 0};
    XT_OK(mu_gguf_open(&g, xt_data("tokenizers/ggml-vocab-gpt-2.gguf"), &err));
    XT_OK(mu_gguf_strings(g, "tokenizer.ggml.tokens", &tokens, &err));
    XT_EQ(tokens.n, 50257);
    while (mu_gguf_next_string(&tokens, &s))
        last = s;
    XT_CHECK(mu_str_eq(last, MU_STR("<|endoftext|>")));
    mu_gguf_free(g);
    XT_OK(mu_gguf_open(&g, xt_data("tokenizers/ggml-vocab-llama-spm.gguf"), &err));
    XT_OK(mu_gguf_reals(g, "tokenizer.ggml.scores", &tokens, &err));
    XT_EQ(tokens.n, 32000);
    XT_CHECK(mu_gguf_real_at(&tokens, 31999) == -31740);
    mu_gguf_free(g);
    XT_OK(mu_gguf_open(&g, xt_data("tokenizers/ggml-vocab-falcon.gguf"), &err));
    mu_gguf_free(g);
    XT_OK(mu_gguf_open(&g, xt_data("tokenizers/ggml-vocab-deepseek-llm.gguf"), &err));
    mu_gguf_free(g);
}

XT_MAIN()
