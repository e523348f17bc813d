/* test_safetensors.c - headers and indexes that break a rule, one rule at a time */
#include "fmt/safetensors.h"

#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "base/log.h"
#include "base/mem.h"
#include "fmt_files.h"

static int open_one(const char *path, struct mu_err *e)
{
    struct mu_weights *w;
    MU_TRY_RETURN(mu_weights_open(&w, path, MU_READ_DIRECT, e));
    mu_weights_close(w);
    return MU_OK;
}

#define T(name, dtype, shape, from, to)                                                                                \
    "\"" name "\":{\"dtype\":\"" dtype "\",\"shape\":" shape ",\"data_offsets\":[" #from "," #to "]}"

XT_TEST(headers_that_break_a_rule)
{
    static const struct {
        const char *header;
        size_t data;
        int code;
        const char *part;
    } cases[] = {
        {"{" T("a", "U8", "[4]", 0, 4) "}", 4, MU_OK, ""},
        {"{" T("b", "U8", "[2]", 2, 4) "," T("a", "U8", "[2]", 0, 2) "}   ", 4, MU_OK, ""},
        {"{}", 0, MU_OK, ""},
        {"{\"__metadata__\":{\"format\":\"pt\"}," T("a", "U8", "[0,5]", 0, 0) "}", 0, MU_OK, ""},
        {"{" T("a", "U8", "[]", 0, 1) "}", 1, MU_OK, ""},
        {"{" T("a", "U8", "[4]", 0, 4) "}", 3, MU_EFORMAT,
         "tensor \"a\" ends at byte 4 of the data, which has 3 bytes"},
        {"{" T("a", "U8", "[4]", 0, 4) "}", 5, MU_EFORMAT, "its tensors end at byte 4 of the data, which has 5 bytes"},
        {"{" T("a", "U8", "[4]", 0, 4) "," T("b", "U8", "[4]", 3, 7) "}", 7, MU_EFORMAT,
         "\"b\" begins at byte 3 of the data and overlaps \"a\", which ends at 4"},
        {"{" T("a", "U8", "[4]", 0, 4) "," T("b", "U8", "[4]", 5, 9) "}", 9, MU_EFORMAT,
         "bytes 4 to 5 of the data, before tensor \"b\", belong to no tensor"},
        {"{" T("a", "U8", "[4]", 0, 4) "," T("a", "U8", "[4]", 4, 8) "}", 8, MU_EFORMAT, "holds tensor \"a\" twice"},
        {"{" T("a", "F32", "[4]", 0, 4) "}", 4, MU_EFORMAT,
         "has 4 bytes of data, its F32 shape of 4 elements needs 16"},
        {"{" T("a", "U8", "[4]", 4, 0) "}", 4, MU_EFORMAT, "begins at byte 4 and ends before it, at 0"},
        {"{" T("a", "U8", "[4]", -1, 3) "}", 4, MU_EFORMAT, "\"data_offsets\" of tensor \"a\" are not whole numbers"},
        {"{" T("a", "U8", "[4]", 0, 4.5) "}", 4, MU_EFORMAT, "\"data_offsets\" of tensor \"a\" are not whole numbers"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4,4]}}", 4, MU_EFORMAT, "is 0x2c, ']' is needed"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[4]}}", 4, MU_EFORMAT, "lacks \"data_offsets\""},
        {"{\"a\":{\"dtype\":\"U8\",\"data_offsets\":[0,4]}}", 4, MU_EFORMAT, "lacks \"shape\""},
        {"{\"a\":{\"shape\":[4],\"data_offsets\":[0,4]}}", 4, MU_EFORMAT, "lacks \"dtype\""},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4],\"x\":1}}", 4, MU_EFORMAT,
         "unknown member \"x\""},
        {"{\"a\":5}", 0, MU_EFORMAT, "byte 5 of the header is 0x35, '{' is needed"},
        {"{" T("", "U8", "[4]", 0, 4) "}", 4, MU_EFORMAT, "empty name"},
        {"{" T("a\\u0000b", "U8", "[4]", 0, 4) "}", 4, MU_EFORMAT, "zero byte"},
        {"{" T("a", "U8", "[-4]", 0, 4) "}", 4, MU_EFORMAT, "dimension 0 of tensor \"a\" is not a whole number"},
        {"{" T("a", "U8", "[4.0]", 0, 4) "}", 4, MU_EFORMAT, "dimension 0 of tensor \"a\" is not a whole number"},
        {"{" T("a", "U8", "[1,1,1,1,1,1,1,1,4]", 0, 4) "}", 4, MU_EUNSUPPORTED, "has more than 8 dimensions"},
        {"{" T("a", "F64", "[4611686018427387904,4]", 0, 4) "}", 4, MU_EFORMAT, "multiply to more than 2^63 bytes"},
        {"{" T("a", "F64", "[1152921504606846976]", 0, 4) "}", 4, MU_EFORMAT, "multiply to more than 2^63 bytes"},
        {"{" T("a", "U8", "[99999999999999999999]", 0, 4) "}", 4, MU_EFORMAT,
         "dimension 0 of tensor \"a\" is not a whole number"},
        {"{" T("a", "F4", "[8]", 0, 4) "}", 4, MU_EUNSUPPORTED,
         "tensor \"a\" has dtype F4, which muster does not read"},
        {"{" T("a", "F8_E8M0", "[4]", 0, 4) "}", 4, MU_EUNSUPPORTED, "has dtype F8_E8M0"},
        {"{" T("a", "f32", "[1]", 0, 4) "}", 4, MU_EFORMAT, "has dtype \"f32\", which is not one of the format"},
        {"{" T("a", "q8_0", "[32]", 0, 34) "}", 34, MU_EFORMAT, "has dtype \"q8_0\""},
        {"{\"__metadata__\":{\"format\":1}}", 0, MU_EFORMAT, "\"__metadata__\": member \"format\" is not a string"},
        {"{\"__metadata__\":[]}", 0, MU_EFORMAT, "\"__metadata__\" is not an object"},
        {"{" T("a\\u00e9\\n", "U8", "[4]", 0, 4) "}", 4, MU_OK, ""},
        {"{" T("a", "U8", "[04]", 0, 4) "}", 4, MU_EFORMAT, "not a whole number"},
        {"{" T("a", "U8", "[4]", 0, 4) "} x", 4, MU_EFORMAT, "is 0x78, its end is needed"},
        {"{" T("a", "U8", "[4]", 0, 4) ",}", 4, MU_EFORMAT, "is 0x7d, a string is needed"},
        {"{\"a", 0, MU_EFORMAT, "where the end of a string is needed"},
        {"{\"a\\", 0, MU_EFORMAT, "where the end of a string is needed"},
        {"{\"a\\x\":{}}", 0, MU_EFORMAT, "a valid escape is needed"},
        {"{\"a\":{\"dtype\":\"U8\",\"dtype\":\"U8\"}}", 0, MU_EFORMAT, "has twice the member \"dtype\""},
        {"{\"__metadata__\":{},\"__metadata__\":{}}", 0, MU_EFORMAT, "holds \"__metadata__\" twice"},
        {"{\"__metadata__\":{\"a\":\"1\",\"a\":\"2\"}}", 0, MU_EFORMAT, "duplicate object key"},
        {"[1]", 0, MU_EFORMAT, "does not begin with '{'"},
        {" {}", 0, MU_EFORMAT, "does not begin with '{'"},
        {"", 0, MU_EFORMAT, "does not begin with '{'"},
        {"{\"a\":", 0, MU_EFORMAT, "the header ends at byte 5, where '{' is needed"},
        {"{\"\xff\":1}", 0, MU_EFORMAT, "the string at byte 2 of the header is not UTF-8"},
    };
    for (size_t i = 0; i < MU_COUNT(cases); i++) {
        struct mu_err err = MU_ERR_INIT;
        const char *path = put_safetensors("model.safetensors", cases[i].header, cases[i].data);
        xt_note("%s", cases[i].header);
        if (cases[i].code == MU_OK)
            XT_OK(open_one(path, &err));
        else
            XT_FAILS(open_one(path, &err), cases[i].code, cases[i].part);
    }
}

XT_TEST(files_too_short_for_their_header)
{
    struct mu_err err = MU_ERR_INIT;
    XT_FAILS(open_one(put("m.safetensors", "", 0), &err), MU_EFORMAT, "has 0 bytes, a safetensors file has at least 8");
    XT_FAILS(open_one(put("m.safetensors", "\x05\0\0\0\0\0\0", 7), &err), MU_EFORMAT, "has 7 bytes");
    XT_FAILS(open_one(put("m.safetensors", "\x05\0\0\0\0\0\0\0{}", 10), &err), MU_EFORMAT,
             "the header has 5 bytes by its first 8 bytes, the file ends after 2 more");
    XT_FAILS(open_one(put("m.safetensors", "\x01\xe1\xf5\x05\0\0\0\0{}", 10), &err), MU_EFORMAT,
             "the header has 100000001 bytes by its first 8 bytes, at most 100000000");
    XT_FAILS(open_one(put("m.safetensors", "\xff\xff\xff\xff\xff\xff\xff\xff{}", 10), &err), MU_EFORMAT, "at most");
}

XT_TEST(every_prefix_of_a_file_is_an_error)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_buf whole = MU_BUF_INIT("a golden file", 1 << 20);
    XT_OK(mu_file_read_all(&whole, "tests/fmt/golden/dtypes.safetensors", &err));
    for (size_t n = 0; n < whole.n; n += n < 1200 ? 1 : 97)
        XT_EQ(open_one(put("model.safetensors", whole.p, n), &err), MU_EFORMAT);
    XT_OK(open_one(put("model.safetensors", whole.p, whole.n), &err));
    mu_buf_fini(&whole);
}

XT_TEST(metadata_is_kept)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_tensor_table t = MU_TENSOR_TABLE_INIT;
    struct mu_file f;
    json_t *metadata;
    XT_OK(mu_file_open(&f, "tests/fmt/golden/dtypes.safetensors", &err));
    XT_OK(mu_safetensors_read_header(&f, 0, &t, &metadata, &err));
    XT_STREQ(json_string_value(json_object_get(metadata, "note")), "every dtype torch can write");
    json_decref(metadata);
    mu_tensor_table_fini(&t);
    mu_file_close(&f);
}

XT_TEST(indexes_that_break_a_rule)
{
    static const struct {
        const char *index;
        int code;
        const char *part;
    } cases[] = {
        {"{\"weight_map\":{\"a\":\"1.safetensors\",\"c\":\"2.safetensors\"}}", MU_OK, ""},
        {"{\"weight_map\":{\"a\":\"1.safetensors\"}}", MU_OK, ""},
        {"{\"metadata\":{\"total_size\":8, \"x\": [\"}\"]},\"y\":1e3,\"weight_map\":{\"a\":\"1.safetensors\"}}", MU_OK,
         ""},
        {"{\"metadata\":{x},\"weight_map\":{\"a\":\"1.safetensors\"}}", MU_EFORMAT, "column 2"},
        {"{\"metadata\":,\"weight_map\":{\"a\":\"1.safetensors\"}}", MU_EFORMAT, "a value is needed"},
        {"{\"weight_map\":{\"a\":\"1.safetensors\"},\"weight_map\":{}}", MU_EFORMAT, "\"weight_map\" twice"},
        {"[]", MU_EFORMAT, "byte 0 of the index is 0x5b, '{' is needed"},
        {"{}", MU_EFORMAT, "has no \"weight_map\""},
        {"{\"weight_map\":{\"a\":5}}", MU_EFORMAT, "byte 19 of the index is 0x35, a string is needed"},
        {"{\"weight_map\":{\"a\":\"1.safetensors\",\"a\":\"2.safetensors\"}}", MU_EFORMAT, "holds tensor \"a\" twice"},
        {"{\"weight_map\":{\"a\":\"../1.safetensors\"}}", MU_EFORMAT,
         "tensor \"a\" lies in \"../1.safetensors\", which is not the name of a file in the same folder"},
        {"{\"weight_map\":{\"a\":\"/etc/passwd\"}}", MU_EFORMAT, "not the name of a file"},
        {"{\"weight_map\":{\"a\":\"..\"}}", MU_EFORMAT, "not the name of a file"},
        {"{\"weight_map\":{\"a\":\"\"}}", MU_EFORMAT, "not the name of a file"},
        {"{\"weight_map\":{\"a\":\"3.safetensors\"}}", MU_ENOENT, "3.safetensors is missing, though"},
        {"{\"weight_map\":{\"x\":\"1.safetensors\"}}", MU_EFORMAT,
         "places tensor \"x\" in 1.safetensors, which does not hold it"},
        {"{\"weight_map\":{\"c\":\"1.safetensors\",\"a\":\"2.safetensors\"}}", MU_EFORMAT, "which does not hold it"},
    };
    mu_log_level_set(MU_LOG_WARN);
    put_safetensors("1.safetensors", "{" T("a", "U8", "[4]", 0, 4) "," T("b", "U8", "[4]", 4, 8) "}", 8);
    put_safetensors("2.safetensors", "{" T("c", "U8", "[4]", 0, 4) "," T("b", "U8", "[4]", 4, 8) "}", 8);
    for (size_t i = 0; i < MU_COUNT(cases); i++) {
        struct mu_err err = MU_ERR_INIT;
        put("model.safetensors.index.json", cases[i].index, strlen(cases[i].index));
        xt_note("%s", cases[i].index);
        if (cases[i].code == MU_OK)
            XT_OK(open_one(xt_tmpdir(), &err));
        else
            XT_FAILS(open_one(xt_tmpdir(), &err), cases[i].code, cases[i].part);
    }
    mu_log_level_set(MU_LOG_INFO);
}

/* As many tensors as DeepSeek-V3 ships, in one file; the time is noted, not tested. */
XT_TEST(a_header_of_91991_tensors)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_buf header = MU_BUF_INIT("a header", 64 << 20);
    struct mu_weights *w;
    struct timespec a, b;
    const int n = 91991;
    XT_OK(mu_buf_putc(&header, '{', &err));
    for (int i = 0; i < n; i++)
        XT_OK(mu_buf_printf(&header, &err,
                            "%s\"model.layers.%d.mlp.experts.%d.down_proj.weight\":{\"dtype\":\"U8\",\"shape\":[1,2],"
                            "\"data_offsets\":[%d,%d]}",
                            i ? "," : "", i / 256, i % 256, 2 * i, 2 * i + 2));
    XT_OK(mu_buf_putc(&header, '}', &err));
    const char *path = put_safetensors("model.safetensors", header.p, 2 * (size_t)n);
    clock_gettime(CLOCK_MONOTONIC, &a);
    XT_OK(mu_weights_open(&w, path, MU_READ_DIRECT, &err));
    clock_gettime(CLOCK_MONOTONIC, &b);
    xt_note("opened in %.0f ms", (double)(b.tv_sec - a.tv_sec) * 1e3 + (double)(b.tv_nsec - a.tv_nsec) / 1e6);
    XT_EQ(mu_weights_count(w), n);
    const struct mu_tensor_info *t = mu_weights_find(w, "model.layers.359.mlp.experts.86.down_proj.weight");
    XT_CHECK(t && t->dims[1] == 2);
    mu_weights_close(w);
    mu_buf_fini(&header);
}

XT_MAIN()
