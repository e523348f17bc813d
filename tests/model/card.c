/* card.c - the description of a checkpoint */
#include <stdio.h>

#include "base/check.h"
#include "xt.h"
#include <muster/model.h>

XT_TEST(a_folder_and_its_file_have_one_card)
{
    static const char *const paths[] = {"tests/golden/deepseek_v3", "tests/golden/deepseek_v3/model.safetensors"};
    for (size_t i = 0; i < MU_COUNT(paths); i++) {
        struct mu_err err = MU_ERR_INIT;
        mu_model_card *card;
        XT_OK(mu_model_card_open(&card, paths[i], &err));
        const struct mu_model_facts *f = mu_model_card_facts(card);
        XT_STREQ(f->architecture, "DeepseekV3ForCausalLM");
        XT_STREQ(f->family, "deepseek_v3");
        XT_STREQ(f->format, "safetensors");
        XT_STREQ(f->dtype, "f32");
        XT_EQ(f->n_layers, 3);
        XT_EQ(f->n_files, 1);
        XT_CHECK(f->n_bytes >= 4 * f->n_params); /* router biases are in the files too */
        XT_CHECK(f->n_params_active < f->n_params);
        mu_model_card_close(card);
    }
}

XT_TEST(what_is_missing_is_named)
{
    struct mu_err err = MU_ERR_INIT;
    mu_model_card *card = NULL;
    XT_FAILS(mu_model_card_open(&card, "tests/golden/absent", &err), MU_ENOENT, "absent");
    XT_CHECK(!card);
    mu_model_card_close(NULL);
}

static int open_one(void *arg, struct mu_err *e)
{
    mu_model_card *card = NULL;
    (void)arg;
    int rc = mu_model_card_open(&card, "tests/golden/llama_sharded", e);
    mu_model_card_close(card);
    return rc;
}

XT_TEST(every_failed_allocation_is_survived)
{
    xt_each_alloc_fails(open_one, NULL);
}

XT_MAIN()
