/* test_opt.c - the command line's table: every type, both spellings, and what is said of mistakes */
#include "cli/opt.h"

#include "xt.h"

struct args {
    bool flag;
    int64_t n;
    double x;
    const char *text;
    uint64_t size;
    struct mu_opt_list list;
    const char *mode;
};

#define FIELD(name) offsetof(struct args, name)

static const struct mu_opt shared_opts[] = {
    {MU_OPT_TEXT, "mode", 0, FIELD(mode), "M", .choices = "fast|slow|fastest", .help = "How."},
    {.type = MU_OPT_END},
};

static const struct mu_opt opts[] = {
    {MU_OPT_FLAG, "flag", 'f', FIELD(flag), .help = "A flag."},
    {MU_OPT_INT, "number", 'n', FIELD(n), "N", .lo = 1, .hi = 64, .help = "A number."},
    {MU_OPT_REAL, "real", 0, FIELD(x), "X", .help = "A real."},
    {MU_OPT_TEXT, "text", 't', FIELD(text), "S", .help = "A text."},
    {MU_OPT_SIZE, "size", 0, FIELD(size), "SIZE", .help = "A size."},
    {MU_OPT_LIST, "item", 0, FIELD(list), "S", .help = "Items."},
    {MU_OPT_INT, "batch-size", 0, FIELD(n), "N", .lo = 1, .hi = 64, .help = "A size.", .takes_auto = true},
    {MU_OPT_TEXT, "chat-template", 0, FIELD(text), "S", .help = "A name.", .value_optional = true},
    {.type = MU_OPT_GROUP, .group = shared_opts},
    {.type = MU_OPT_END},
};

static const struct mu_cmd cmd = {
    .name = "try", .summary = "s", .operands = "", .story = "s", .opts = opts, .args_size = sizeof(struct args)};

static int n_operands;
static bool wants_help;

static int parse(struct args *a, struct mu_err *err, int argc, const char **argv)
{
    memset(a, 0, sizeof *a);
    return mu_opt_parse(&cmd, a, argc, (char **)(uintptr_t)argv, &n_operands, &wants_help, err);
}

#define PARSE(...)                                                                                                     \
    parse(&a, &err, (int)(sizeof((const char *[]){__VA_ARGS__}) / sizeof(char *)), (const char *[]){__VA_ARGS__})

XT_TEST(both_spellings_fill_the_fields)
{
    struct mu_err err = MU_ERR_INIT;
    struct args a;
    XT_OK(PARSE("--flag", "--number", "3", "--real=-0.5", "-t", "hello", "--size=2GiB", "--item", "a", "--item=b",
                "--mode", "slow"));
    XT_CHECK(a.flag && a.n == 3 && a.size == (uint64_t)2 << 30);
    XT_NEAR(a.x, -0.5, 0);
    XT_STREQ(a.text, "hello");
    XT_EQ(a.list.n, 2);
    XT_STREQ(a.list.item[1], "b");
    XT_STREQ(a.mode, "slow");
    XT_OK(PARSE("-fn5"));
    XT_CHECK(a.flag);
}

XT_TEST(operands_are_gathered_in_order)
{
    struct mu_err err = MU_ERR_INIT;
    struct args a;
    const char *argv[] = {"one", "-f", "two", "-", "--", "--flag"};
    XT_OK(parse(&a, &err, 6, argv));
    XT_EQ(n_operands, 4);
    XT_STREQ(argv[1], "two");
    XT_STREQ(argv[2], "-");
    XT_STREQ(argv[3], "--flag");
}

XT_TEST(mistakes_name_option_value_and_way_out)
{
    struct mu_err err = MU_ERR_INIT;
    struct args a;
    XT_FAILS(PARSE("--nubmer", "3"), MU_EUSAGE, "did you mean --number?");
    XT_FAILS(PARSE("--completely-other"), MU_EUSAGE, "see muster try --help");
    XT_FAILS(PARSE("--number", "x"), MU_EUSAGE, "--number x: a whole number is needed");
    XT_FAILS(PARSE("--number", "65"), MU_EUSAGE, "it must lie in 1..64");
    XT_FAILS(PARSE("--number", "99999999999999999999"), MU_EUSAGE, "whole number");
    XT_FAILS(PARSE("--number"), MU_EUSAGE, "--number needs a value (N)");
    XT_FAILS(PARSE("--real", "nan"), MU_EUSAGE, "a number is needed");
    XT_FAILS(PARSE("--flag=1"), MU_EUSAGE, "takes no value");
    XT_FAILS(PARSE("--size", "12 parsecs"), MU_EUSAGE, "write it like 800MB");
    XT_FAILS(PARSE("--mode", "fas"), MU_EUSAGE, "it must be one of fast|slow|fastest");
    XT_FAILS(PARSE("-z"), MU_EUSAGE, "no option -z");
}

XT_TEST(short_flags_may_be_joined)
{
    struct mu_err err = MU_ERR_INIT;
    struct args a;
    XT_OK(PARSE("-n7"));
    XT_EQ(a.n, 7);
    XT_OK(PARSE("-fn5"));
    XT_EQ(a.n, 5);
}

XT_TEST(help_is_asked_for_anywhere)
{
    struct mu_err err = MU_ERR_INIT;
    struct args a;
    XT_OK(PARSE("--flag", "-h"));
    XT_CHECK(wants_help);
}

XT_TEST(sizes)
{
    struct mu_err err = MU_ERR_INIT;
    uint64_t v;
    XT_OK(mu_size_parse("800MB", &v, &err));
    XT_EQ(v, 800000000);
    XT_OK(mu_size_parse("1e9", &v, &err));
    XT_EQ(v, 1000000000);
    XT_OK(mu_size_parse("1.5GiB", &v, &err));
    XT_EQ(v, 1610612736);
    XT_FAILS(mu_size_parse("", &v, &err), MU_EUSAGE, "no size");
    XT_FAILS(mu_size_parse("-1GB", &v, &err), MU_EUSAGE, "no size");
    XT_FAILS(mu_size_parse("1e40GB", &v, &err), MU_EUSAGE, "no size");
}

XT_TEST(underscores_auto_and_values_that_may_be_left_out)
{
    struct mu_err err = MU_ERR_INIT;
    struct args a;
    XT_OK(PARSE("--batch_size", "7", "--chat_template", "--flag"));
    XT_CHECK(a.n == 7 && a.flag);
    XT_STREQ(a.text, "");
    XT_OK(PARSE("--batch_size=auto:4", "--chat-template=tool_use"));
    XT_EQ(a.n, 0);
    XT_STREQ(a.text, "tool_use");
    XT_FAILS(PARSE("--batch-size", "automatic"), MU_EUSAGE, "whole number");
    XT_FAILS(PARSE("--number", "auto"), MU_EUSAGE, "whole number");
    XT_FAILS(PARSE("--batch_sice", "1"), MU_EUSAGE, "--batch-size");
}

XT_TEST(one_option_is_set_by_name)
{
    struct mu_err err = MU_ERR_INIT;
    struct args a = {.flag = true};
    XT_OK(mu_opt_set(&cmd, &a, "f.yaml, line 1", "batch_size", "5", &err));
    XT_OK(mu_opt_set(&cmd, &a, "f.yaml, line 2", "flag", "false", &err));
    XT_CHECK(a.n == 5 && !a.flag);
    XT_FAILS(mu_opt_set(&cmd, &a, "f.yaml, line 3", "flag", "1", &err), MU_EUSAGE, "f.yaml, line 3: flag is 1");
    XT_FAILS(mu_opt_set(&cmd, &a, "f.yaml, line 4", "nunber", "1", &err), MU_EUSAGE, "did you mean number?");
    XT_FAILS(mu_opt_set(&cmd, &a, "f.yaml, line 5", "number", "99", &err), MU_EUSAGE, "f.yaml, line 5: --number 99");
}

XT_MAIN()
