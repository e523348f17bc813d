/* test_tok_pair.c - context and continuation split as lm-evaluation-harness splits them */
#include "tok/pair.h"

#include <stdio.h>

#include "xt.h"

#define TOKENIZER "tests/golden/tokenizers/llama2"

static mu_tokenizer *tok;
static struct mu_pair pair = MU_PAIR_INIT(4096);

static void open_once(void)
{
    struct mu_err err = MU_ERR_INIT;
    if (!tok)
        XT_OK(mu_tokenizer_open(&tok, TOKENIZER, NULL, &err));
}

/* The pair's ids are those of the whole, cut where the context without its final white space ends. */
static void check_split(const char *context, const char *continuation, const char *stripped)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_ids whole = MU_IDS_INIT(4096), head = MU_IDS_INIT(4096);
    char text[1024];
    open_once();
    snprintf(text, sizeof text, "%s%s", context, continuation);
    XT_OK(mu_tokenizer_encode(tok, text, strlen(text), MU_TOK_ADD_SPECIAL, &whole, &err));
    XT_OK(mu_tokenizer_encode(tok, stripped, strlen(stripped), MU_TOK_ADD_SPECIAL, &head, &err));
    XT_OK(mu_pair_encode(tok, mu_str(context), mu_str(continuation), &pair, &err));
    XT_EQ(pair.context.n, head.n);
    XT_EQ(pair.context.n + pair.continuation.n, whole.n);
    for (size_t i = 0; i < head.n; i++)
        XT_EQ(pair.context.v[i], head.v[i]);
    for (size_t i = 0; i < pair.continuation.n; i++)
        XT_EQ(pair.continuation.v[i], whole.v[head.n + i]);
    mu_ids_fini(&whole);
    mu_ids_fini(&head);
}

XT_TEST(white_space_at_the_end_moves_to_the_continuation)
{
    check_split("the cat", " sat", "the cat");
    check_split("the cat ", "sat", "the cat");
    check_split("the cat \n\t ", "sat", "the cat");
    check_split("the cat\xC2\xA0\xE3\x80\x80", "sat", "the cat"); /* no-break and ideographic spaces, as in Python */
    check_split("the cat\xE2\x80\x8B", "sat", "the cat\xE2\x80\x8B"); /* a zero-width space is none */
}

XT_TEST(an_empty_context_becomes_the_bos_token)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_tokenizer_info info;
    struct mu_ids alone = MU_IDS_INIT(4096);
    open_once();
    mu_tokenizer_info(tok, &info);
    XT_OK(mu_tokenizer_encode(tok, "sat", 3, 0, &alone, &err));
    XT_OK(mu_pair_encode(tok, mu_str(""), mu_str("sat"), &pair, &err));
    XT_EQ(pair.context.n, 1);
    XT_EQ(pair.context.v[0], info.bos);
    XT_EQ(pair.continuation.n, alone.n);
    mu_ids_fini(&alone);
}

XT_TEST(a_context_that_spells_the_bos_gets_no_second_one)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_tokenizer_info info;
    open_once();
    mu_tokenizer_info(tok, &info);
    XT_OK(mu_pair_encode(tok, mu_str("<s>the cat "), mu_str("sat"), &pair, &err));
    XT_EQ(pair.context.v[0], info.bos);
    XT_CHECK(pair.context.n > 1 && pair.context.v[1] != info.bos);
    XT_OK(mu_pair_encode(tok, mu_str("<s>"), mu_str("sat"), &pair, &err));
    XT_EQ(pair.context.n, 1);
    XT_EQ(pair.context.v[0], info.bos);
}

XT_TEST(nothing_to_score_is_refused)
{
    struct mu_err err = MU_ERR_INIT;
    open_once();
    XT_FAILS(mu_pair_encode(tok, mu_str("the cat"), mu_str(""), &pair, &err), MU_EINVAL, "continuation is empty");
}

XT_MAIN()
