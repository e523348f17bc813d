/* test_json.c - reading with sentences, writing that reads back, typed getters */
#include "base/json.h"

#include "xt.h"

static json_t *parse(const char *text)
{
    struct mu_err err = MU_ERR_INIT;
    json_t *v = NULL;
    XT_OK(mu_json_parse(&v, mu_str(text), "test.json", &err));
    return v;
}

XT_TEST(syntax_errors_name_file_line_and_column)
{
    struct mu_err err = MU_ERR_INIT;
    json_t *v = NULL;
    XT_FAILS(mu_json_parse(&v, mu_str("{\"a\": 1,\n \"b\": }"), "x.json", &err), MU_EFORMAT, "x.json, line 2, column");
    XT_FAILS(mu_json_parse(&v, mu_str(""), "x.json", &err), MU_EFORMAT, "x.json, line 1");
    XT_FAILS(mu_json_parse(&v, mu_str("{\"a\": \"\xff\"}"), "x.json", &err), MU_EFORMAT, "0xff");
}

XT_TEST(integers_beyond_64_bits_become_reals)
{
    struct mu_err err = MU_ERR_INIT;
    json_t *v = parse("{\"model_max_length\": 1000000000000000019884624838656, \"n\": 7}");
    double d;
    int64_t n;
    XT_OK(mu_json_real(v, "model_max_length", 0, 1e40, &d, "t", &err));
    XT_NEAR(d, 1e30, 1e15);
    XT_OK(mu_json_int(v, "n", 0, 10, &n, "t", &err));
    XT_EQ(n, 7);
    XT_OK(mu_json_int(v, "model_max_length", 0, INT64_MAX, &n, "t", &err));
    XT_EQ(n, INT64_MAX);
    json_decref(v);
}

XT_TEST(getters_name_key_value_and_bound)
{
    struct mu_err err = MU_ERR_INIT;
    json_t *v = parse("{\"layers\": 99, \"name\": 5, \"x\": null}");
    int64_t n;
    const char *s;
    json_t *child;
    XT_FAILS(mu_json_int(v, "layers", 1, 64, &n, "config.json", &err), MU_EFORMAT,
             "config.json: \"layers\" is 99, it must lie in 1..64");
    XT_FAILS(mu_json_int(v, "heads", 1, 64, &n, "config.json", &err), MU_EFORMAT, "\"heads\" is missing");
    XT_FAILS(mu_json_string(v, "name", &s, "config.json", &err), MU_EFORMAT,
             "\"name\" is an integer, a string is needed");
    XT_FAILS(mu_json_object(v, "x", &child, "c", &err), MU_EFORMAT, "\"x\" is null, an object is needed");
    XT_CHECK(!mu_json_has(v, "x") && !mu_json_has(v, "y") && mu_json_has(v, "name"));
    json_decref(v);
}

XT_TEST(what_is_written_reads_back)
{
    struct mu_err err = MU_ERR_INIT;
    json_t *v = parse("{\"b\": [1, -2.5, 0.1, 1e300, true, null, {}], \"a\": \"q\\\"\\\\\\n\\u0001\\u0000é\"}");
    for (int indent = 0; indent < 2; indent++) {
        struct mu_buf out = MU_BUF_INIT("json", 10000);
        json_t *again = NULL;
        XT_OK(mu_json_dump(&out, v, indent, &err));
        XT_OK(mu_json_parse(&again, mu_buf_str(&out), "again", &err));
        XT_CHECK(json_equal(v, again));
        json_decref(again);
        mu_buf_fini(&out);
    }
    json_decref(v);
}

XT_TEST(reals_take_the_shortest_form)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_buf out = MU_BUF_INIT("json", 1000);
    json_t *v = json_pack("[f, f, f]", 0.1, 3.0, 1.0 / 3.0);
    XT_OK(mu_json_dump(&out, v, false, &err));
    XT_STREQ(out.p, "[0.1, 3.0, 0.3333333333333333]");
    mu_buf_fini(&out);
    json_decref(v);
}

static int parse_some(void *arg, struct mu_err *e)
{
    json_t *v = NULL;
    int rc = mu_json_parse(&v, mu_str(arg), "t", e);
    json_decref(v);
    return rc;
}

XT_TEST(failing_allocations_leak_nothing)
{
    parse_some("{}", NULL); /* jansson seeds its hash once, on the heap */
    xt_each_alloc_fails(parse_some, "{\"a\": [1, 2, {\"b\": \"some text\"}], \"c\": 1.5}");
}

XT_MAIN()
