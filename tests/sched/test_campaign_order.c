/* test_campaign_order.c - what waits for what, the order that comes of it, and a hundred thousand tasks of it */
#include "campaign_text.h"

#include <stdlib.h>
#include <time.h>

#define HEAD "output: out\nmodels: [a, b, c]\nsuites: [smoke, x, y]\n"

XT_TEST(waiting_by_name_pattern_and_ones_own_model)
{
    struct mu_campaign *c = campaign_of(HEAD "settings:\n"
                                             "- {after: '{model}/smoke'}\n" /* but smoke itself does not */
                                             "- {for: c/*, after: [a/x, b/*]}\n"
                                             "- {for: b/y, after: 'a/{suite}'}\n");
    waits_for(c, "a/smoke", "");
    waits_for(c, "a/x", "a/smoke");
    waits_for(c, "b/y", "a/y b/smoke");
    waits_for(c, "c/y", "a/x b/smoke b/x b/y c/smoke");
    waits_for(c, "c/smoke", "a/x b/smoke b/x b/y");
    XT_EQ(mu_campaign_befores(c, mu_campaign_find(c, "c/y"), NULL, 0), 5);
    mu_campaign_free(c);
}

XT_TEST(sets_do_not_wait_for_themselves)
{
    struct mu_campaign *c = campaign_of(HEAD "settings: [{after: '*/smoke'}]\n");
    waits_for(c, "b/smoke", "");
    waits_for(c, "b/x", "a/smoke b/smoke c/smoke");
    XT_EQ(c->n_sets, 1);
    XT_EQ(c->set[0].n, 3);
    XT_EQ(c->set[0].n_waiting, 6);
    mu_campaign_free(c);
}

XT_TEST(ones_own_variation)
{
    struct mu_campaign *c = campaign_of("output: o\nmodels: [a]\nsuites: [smoke, x]\n"
                                        "matrix: [{}, {weights: [int8, bf16]}]\n"
                                        "settings: [{for: '*/x', after: '{model}/smoke'}]\n");
    waits_for(c, "a/x", "a/smoke");
    waits_for(c, "a,weights=bf16/x", "a,weights=bf16/smoke");
    mu_campaign_free(c);
}

/* Every task after all it waits for. */
static void order_holds(const struct mu_campaign *c, const struct mu_campaign_plan *p)
{
    int *at = malloc((size_t)c->n_tasks * sizeof *at), *last = calloc((size_t)c->n_sets + 1, sizeof *last);
    XT_EQ(p->n, c->n_tasks);
    for (int i = 0; i < c->n_tasks; i++)
        at[i] = -1;
    for (int i = 0; i < p->n; i++) {
        XT_EQ(at[p->row[i].task], -1);
        at[p->row[i].task] = i;
    }
    for (int s = 0; s < c->n_sets; s++)
        for (int k = 0; k < c->set[s].n; k++)
            last[s] = at[c->set[s].task[k]] > last[s] ? at[c->set[s].task[k]] : last[s];
    for (int i = 0; i < c->n_tasks; i++)
        for (int k = 0; k < c->task[i].n_wait; k++)
            XT_CHECK(last[c->task[i].wait[k]] < at[i]);
    free(at);
    free(last);
}

static void predict(void *arg, const struct mu_campaign *c, int task, struct mu_campaign_guess *out)
{
    (void)arg;
    const char *suite = c->suite[c->task[task].suite].name;
    *out = (struct mu_campaign_guess){strcmp(suite, "y") == 0 ? -1 : strcmp(suite, "x") == 0 ? 3600 : 60, 2, 0};
}

XT_TEST(a_plan_is_a_table)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_campaign_plan *p = NULL;
    const struct mu_campaign_world w = {.predict = predict};
    struct mu_campaign *c = campaign_of(HEAD "settings:\n"
                                             "- {after: '{model}/smoke'}\n"
                                             "- {for: c/x, priority: critical, after: b/x, resources: {devices: 4}}\n"
                                             "- {for: a/y, priority: background}\n"
                                             "- {for: c/y, deadline: 1h}\n");
    static const char *const want[] = {"b/smoke", "b/x", "c/smoke", "c/x", "c/y", "a/smoke", "a/x", "b/y", "a/y"};
    XT_OK(mu_campaign_plan(c, &w, &p, &err));
    order_holds(c, p);
    for (int i = 0; i < 9; i++)
        XT_STREQ(c->task[p->row[i].task].id, want[i]);
    XT_EQ(task_of(c, "b/smoke")->urgency, MU_PRIORITY_CRITICAL);
    XT_EQ(task_of(c, "b/y")->urgency, MU_PRIORITY_NORMAL);
    XT_EQ(task_of(c, "b/x")->policy.priority, MU_PRIORITY_NORMAL);
    const struct mu_campaign_plan_row *row = &p->row[3];
    XT_EQ(row->depth, 2);
    XT_EQ(row->devices, 4);
    XT_NEAR(row->start_s, 3660, 0);
    XT_NEAR(row->end_s, 7260, 0);
    XT_NEAR(row->gpu_hours, 4, 1e-12);
    XT_EQ(p->n_unknown, 3);
    XT_EQ(p->n_priority[MU_PRIORITY_CRITICAL], 1);
    XT_EQ(p->n_priority[MU_PRIORITY_NORMAL], 7);
    XT_NEAR(p->seconds, 3 * 60 + 3 * 3600, 0);
    XT_NEAR(p->gpu_hours, (3 * 60 + 2 * 3600) * 2 / 3600.0 + 4, 1e-9);
    XT_NEAR(p->chain_s, 7260, 0);
    XT_STREQ(c->task[p->last].id, "c/x");
    mu_campaign_plan_free(p);
    mu_campaign_free(c);
}

/* ---- many ---- */

static double spent_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t); /* of this process: others may be busy */
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void add_names(char *text, const char *key, char letter, int n)
{
    char *at = text + strlen(text);
    at += sprintf(at, "%s:\n", key);
    for (int i = 0; i < n; i++)
        at += sprintf(at, "- %c%d\n", letter, i);
}

static void predict_all(void *arg, const struct mu_campaign *c, int task, struct mu_campaign_guess *out)
{
    (void)arg;
    (void)c;
    (void)task;
    *out = (struct mu_campaign_guess){60, 1, 0};
}

/* 400 models x 250 suites; each model's suites after its first one, each model's first one after that of the model ten
 * before, the second half of the models after all of the first half: 10^10 / 4 pairs, were they pairs. */
XT_TEST(a_hundred_thousand_tasks)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_campaign *c = NULL;
    struct mu_campaign_plan *p = NULL;
    const struct mu_campaign_world w = {.predict = predict_all, .start_at = 1};
    char *text = calloc(1, 1 << 20);
    strcpy(text, "output: o\n");
    add_names(text, "models", 'm', 400);
    add_names(text, "suites", 's', 250);
    strcat(text, "settings:\n- {after: '{model}/s0', deadline: 30d}\n- {for: 'm[23][0-9][0-9]/*', after: ['m[0-9]/*', "
                 "'m[0-9]?/*', "
                 "'m1?[0-9]/*']}\n");
    for (int i = 10; i < 200; i++)
        sprintf(text + strlen(text), "- {for: m%d/s0, after: m%d/s0}\n", i, i - 10);
    double begun = spent_s();
    XT_OK(mu_campaign_parse(&c, mu_str(text), "c.yaml", &w, &faults, &err));
    double read = spent_s();
    XT_OK(mu_campaign_plan(c, &w, &p, &err));
    double planned = spent_s();
    XT_EQ(c->n_tasks, 100000);
    XT_EQ(mu_campaign_befores(c, mu_campaign_find(c, "m399/s7"), NULL, 0), 50001);
    order_holds(c, p);
    /* m9, m19 ... m199: 20 first suites in turn, then one; m200 and on: two more. */
    XT_NEAR(p->chain_s, 60 * (20 + 1 + 2), 0);
    xt_note("100,000 tasks, %d sets: read and checked in %.0f ms, planned in %.0f ms", c->n_sets, (read - begun) * 1e3,
            (planned - read) * 1e3);
    XT_CHECKF(read - begun < (XT_ASAN || XT_TSAN ? 10 : 1), "reading took %.2f s", read - begun);
    mu_campaign_plan_free(p);
    mu_campaign_free(c);
    free(text);
}

/* One line of settings a task, each by its name. */
XT_TEST(a_setting_for_each_of_many_tasks)
{
    struct mu_campaign *c;
    int n_models = 100, n_suites = 200;
    char *text = calloc(1, 4 << 20), *at;
    strcpy(text, "output: o\n");
    add_names(text, "models", 'm', n_models);
    add_names(text, "suites", 's', n_suites);
    strcat(text, "settings:\n");
    at = text + strlen(text);
    for (int i = 0; i < n_models; i++)
        for (int k = 1; k < n_suites; k++)
            at += sprintf(at, "- {for: m%d/s%d, after: m%d/s%d, priority: low}\n", i, k, i, k - 1);
    double begun = spent_s();
    c = campaign_of(text);
    xt_note("20,000 tasks with a line each: %.0f ms, most of it YAML", (spent_s() - begun) * 1e3);
    XT_EQ(c->n_sets, n_models * (n_suites - 1));
    waits_for(c, "m7/s9", "m7/s8");
    XT_EQ(task_of(c, "m7/s9")->policy.priority, MU_PRIORITY_LOW);
    XT_EQ(task_of(c, "m7/s0")->policy.priority, MU_PRIORITY_NORMAL);
    mu_campaign_free(c);
    free(text);
}

XT_TEST(more_tasks_than_there_may_be)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_campaign *c = NULL;
    char *text = calloc(1, 1 << 20);
    strcpy(text, "output: o\n");
    add_names(text, "models", 'm', 500);
    add_names(text, "suites", 's', 401);
    XT_FAILS(mu_campaign_parse(&c, mu_str(text), "c.yaml", NULL, &faults, &err), MU_ELIMIT, "more than 200000 tasks");
    XT_CHECK(strstr(err.text, "(while reading c.yaml)"));
    free(text);
}

/* Each says something of every task. */
XT_TEST(more_patterns_than_anybody_waits_for)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_campaign *c = NULL;
    if (XT_ASAN || XT_TSAN)
        xt_skip("33 million looks are too many for sanitizers");
    char *text = calloc(1, 1 << 20);
    strcpy(text, "output: o\n");
    add_names(text, "models", 'm', 500);
    add_names(text, "suites", 's', 400);
    strcat(text, "settings:\n");
    for (int i = 0; i < MU_CAMPAIGN_LOOKS_MAX / 200000 + 1; i++)
        strcat(text, "- {for: 'm*/s*'}\n");
    XT_FAILS(mu_campaign_parse(&c, mu_str(text), "c.yaml", NULL, &faults, &err), MU_ELIMIT, "more than 33554432 times");
    free(text);
}

/* Circles of any length are found and told with a bound. */
XT_TEST(a_long_circle)
{
    char *text = calloc(1, 1 << 20);
    strcpy(text, "output: o\n");
    add_names(text, "models", 'm', 1000);
    strcat(text, "suites: [s]\nsettings:\n");
    for (int i = 0; i < 1000; i++)
        sprintf(text + strlen(text), "- {for: m%d/s, after: m%d/s}\n", i, (i + 1) % 1000);
    FAULTS(text, NULL, {1005, "1000 tasks wait in a circle: m0/s waits for m1/s, m1/s for m2/s"});
    XT_CHECK(strstr(faults.fault[0].sentence, "m7/s for m8/s, ..., m999/s for m0/s"));
    free(text);
}

XT_MAIN()
