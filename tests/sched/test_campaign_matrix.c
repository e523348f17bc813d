/* test_campaign_matrix.c - products: what is in them, in which order, under which names */
#include "campaign_text.h"

#define HEAD "output: out\nmodels: [a, b-7, b-70]\nsuites: [x, y]\n"

XT_TEST(models_and_suites_of_a_product)
{
    struct mu_campaign *c = campaign_of(HEAD "matrix:\n"
                                             "- {models: [b-70, a], suites: y}\n"
                                             "- {models: b-*, suites: [x]}\n");
    ids_are(c, "b-70/y a/y b-7/x b-70/x");
    mu_campaign_free(c);
    c = campaign_of(HEAD "matrix: [{exclude: [a/*, b-70/x]}]\n");
    ids_are(c, "b-7/x b-7/y b-70/y");
    mu_campaign_free(c);
}

XT_TEST(options_turn_the_last_fastest_and_stand_in_names)
{
    struct mu_campaign *c = campaign_of("output: out\nmodels: [{model: a, kv_dtype: f16}]\nsuites: [x]\n"
                                        "matrix: [{weights: [int8, bf16], num_fewshot: [0, 5], context: 512}]\n");
    ids_are(c, "a,context=512,weights=int8/x,num_fewshot=0 a,context=512,weights=int8/x,num_fewshot=5 "
               "a,context=512,weights=bf16/x,num_fewshot=0 a,context=512,weights=bf16/x,num_fewshot=5");
    const struct mu_campaign_task *t = task_of(c, "a,context=512,weights=bf16/x,num_fewshot=5");
    XT_STREQ(c->model[t->model].weights, "bf16");
    XT_STREQ(c->model[t->model].kv_dtype, "f16"); /* the model's own stays */
    XT_EQ(c->model[t->model].context, 512);
    XT_STREQ(json_string_value(json_object_get(c->model[t->model].options, "weights")), "bf16");
    XT_EQ(c->suite[t->suite].num_fewshot, 5);
    XT_STREQ(c->model[c->model[t->model].base].name, "a");
    XT_CHECK(c->model[0].weights == NULL); /* and the model itself is as it was */
    mu_campaign_free(c);
}

XT_TEST(names_do_not_depend_on_the_order_of_keys)
{
    struct mu_campaign *a =
        campaign_of("output: o\nmodels: [a]\nsuites: [x]\nmatrix: [{limit: [5, 0.5], seed: 7, weights: [f32]}]\n");
    struct mu_campaign *b = campaign_of("output: o\nsuites: [x]\nmodels: [q, a]\nmatrix:\n- models: a\n  weights: "
                                        "f32\n  seed: [7]\n  limit: [0.5, 5]\n");
    ids_are(a, "a,weights=f32/x,limit=5,seed=7 a,weights=f32/x,limit=0.5,seed=7");
    ids_are(b, "a,weights=f32/x,limit=0.5,seed=7 a,weights=f32/x,limit=5,seed=7");
    mu_campaign_free(a);
    mu_campaign_free(b);
}

XT_TEST(auto_takes_a_models_own_layout_away)
{
    struct mu_campaign *c = campaign_of("output: o\nmodels: [{model: a, layout: tp=2}]\nsuites: [x]\n"
                                        "matrix: [{layout: [auto, 'tp=2,pp=2']}]\n");
    ids_are(c, "a,layout=auto/x a,layout=tp=2,pp=2/x");
    XT_CHECK(c->model[c->task[0].model].layout == NULL);
    XT_STREQ(c->model[c->task[1].model].layout, "tp=2,pp=2");
    mu_campaign_free(c);
}

XT_TEST(patterns_name_variations)
{
    struct mu_campaign *c =
        campaign_of("output: o\nmodels: [a, ab]\nsuites: [x, y]\n"
                    "matrix:\n"
                    "- {suites: x}\n"
                    "- {suites: y, weights: [int8, bf16], num_fewshot: [0, 1], exclude: 'a/y,*=1'}\n"
                    "settings:\n"
                    "- {for: a/*, timeout: 1s}\n"                /* with all its variations */
                    "- {for: 'a,/*', timeout: 2s}\n"             /* without any */
                    "- {for: '*,weights=int8/*', timeout: 3s}\n" /* these of all */
                    "- {for: 'ab/y,num_fewshot=1', timeout: 4s}\n");
    ids_are(c, "a/x ab/x a,weights=int8/y,num_fewshot=0 a,weights=bf16/y,num_fewshot=0 "
               "ab,weights=int8/y,num_fewshot=0 ab,weights=int8/y,num_fewshot=1 "
               "ab,weights=bf16/y,num_fewshot=0 ab,weights=bf16/y,num_fewshot=1");
    static const double want[] = {2, 0, 3, 1, 3, 4, 0, 4};
    for (int i = 0; i < 8; i++)
        XT_NEAR(c->task[i].policy.timeout_s, want[i], 0);
    mu_campaign_free(c);
}

XT_TEST(what_is_wrong_in_a_matrix)
{
    FAULTS(HEAD "matrix:\n"
                "- {models: c, suites: x}\n"
                "- {suites: [x, yy]}\n"
                "- {models: a, suites: y, wieghts: [int8]}\n"
                "- {models: a, suites: y, weights: [int7]}\n"
                "- {models: b-7, suites: y, tokenizer: [p, q]}\n"
                "- {models: b-7, suites: x, priority: high}\n"
                "- {models: b-7, suites: x, exclude: b-70/x}\n"
                "- 5\n",
           NULL, {5, "there is no model \"c\"; did you mean \"a\"?"},
           {6, "there is no suite \"yy\"; did you mean \"y\"?"},
           {7, "no key \"wieghts\" in a matrix; did you mean \"weights\"?"},
           {8, "value 1 of weights must be one of f32|bf16"}, {9, "no key \"tokenizer\" in a matrix"},
           {10, "say it under settings"}, {11, "task b-7/x is there twice, first from c.yaml, line 6"},
           {11, "exclude: \"b-70/x\" leaves nothing out"}, {12, "must be a mapping"});
}

XT_TEST(what_is_excluded_must_be_a_pattern)
{
    FAULTS(HEAD "matrix: [{exclude: [a, a/x/y, /x, a/, a/x]}]\n", NULL, {4, "\"a\" is no pattern of tasks"},
           {4, "\"a/x/y\" is no pattern"}, {4, "\"/x\" is no pattern"}, {4, "\"a/\" is no pattern"});
}

XT_TEST(values_that_no_name_can_hold)
{
    FAULTS("output: o\nmodels: [a]\nsuites: [x]\nmatrix:\n- layout: []\n- {seed: [[1, 2, 3]]}\n- apply_chat_template: "
           "a b\n",
           NULL, {5, "layout has 0 values"}, {6, "value 1 of seed cannot be part of a task's name"},
           {7, "value 1 of apply_chat_template cannot be part"});
}

XT_MAIN()
