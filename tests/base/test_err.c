/* test_err.c - sentences, their cutting, and the list of codes */
#include <muster/err.h>

#include "base/mem.h"
#include "xt.h"

XT_TEST(fail_fills_code_and_sentence)
{
    struct mu_err err = MU_ERR_INIT;
    XT_EQ(mu_fail(&err, MU_EFORMAT, "%s: %d tensors", "x.gguf", 7), MU_EFORMAT);
    XT_EQ(err.code, MU_EFORMAT);
    XT_STREQ(err.text, "x.gguf: 7 tensors");
    XT_EQ(mu_fail(NULL, MU_EIO, "nobody listens"), MU_EIO);
}

XT_TEST(fail_may_quote_its_own_sentence)
{
    struct mu_err err = MU_ERR_INIT;
    mu_fail(&err, MU_EIO, "inner");
    mu_fail(&err, MU_EIO, "outer: %s", err.text);
    XT_STREQ(err.text, "outer: inner");
}

XT_TEST(while_is_appended_on_the_way_up)
{
    struct mu_err err = MU_ERR_INIT;
    int rc = mu_fail(&err, MU_EIO, "cannot read");
    XT_EQ(mu_err_while(&err, rc, "loading layer %d", 3), MU_EIO);
    XT_STREQ(err.text, "cannot read (while loading layer 3)");
    XT_EQ(mu_err_while(&err, MU_OK, "nothing"), MU_OK);
    XT_STREQ(err.text, "cannot read (while loading layer 3)");
}

XT_TEST(long_sentences_are_cut_and_say_so)
{
    struct mu_err err = MU_ERR_INIT;
    char big[3000];
    memset(big, 'x', sizeof big - 1);
    big[sizeof big - 1] = 0;
    mu_fail(&err, MU_EIO, "%s", big);
    XT_EQ(strlen(err.text), MU_ERR_TEXT_MAX - 1);
    XT_STREQ(err.text + MU_ERR_TEXT_MAX - 4, "...");
    mu_err_while(&err, MU_EIO, "%s", big);
    XT_STREQ(err.text + MU_ERR_TEXT_MAX - 4, "...");
}

XT_TEST(codes_have_names_and_distinct_statuses)
{
    for (int a = 0; a < MU_CODE_N; a++) {
        XT_CHECK(mu_code_name(a)[0] && mu_code_meaning(a)[0]);
        for (int b = 0; b < a; b++)
            XT_CHECK(mu_code_exit_status(a) != mu_code_exit_status(b));
    }
    XT_STREQ(mu_code_name(MU_CODE_N), "?");
    XT_EQ(mu_code_exit_status(-1), 1);
}

XT_MAIN()
