/* test_campaign.c - campaign files that are right: what stands in them is what is read, with the defaults beside it */
#include "campaign_text.h"

#include "base/check.h"
#include "base/mem.h"

#define HEAD "output: out\nmodels: [a, b]\nsuites: [x, y]\n"

XT_TEST(every_model_on_every_suite)
{
    struct mu_campaign *c = campaign_of(HEAD);
    ids_are(c, "a/x a/y b/x b/y");
    XT_STREQ(c->name, "c");
    XT_STREQ(c->output, "out");
    XT_STREQ(c->strategy, "balanced");
    XT_NEAR(c->weight, 1, 0);
    XT_EQ(c->concurrency.per_device, 1);
    XT_CHECK(!c->is_scaling);
    XT_STREQ(c->model[0].model, "a");
    XT_STREQ(c->suite[1].tasks, "y");
    XT_EQ(c->suite[1].num_fewshot, -1);
    XT_EQ(mu_campaign_find(c, "b/x"), 2);
    XT_EQ(mu_campaign_find(c, "b/z"), -1);
    const struct mu_campaign_policy *p = &c->task[3].policy;
    XT_EQ(p->priority, MU_PRIORITY_NORMAL);
    XT_EQ(p->if_failed, MU_AFTER_SKIP);
    XT_EQ(p->retries.limit, 2);
    XT_NEAR(p->retries.wait_s, 30, 0);
    XT_NEAR(p->retries.wait_max_s, 1800, 0);
    XT_EQ(p->shrink, 1u << MU_SHRINK_BATCH | 1u << MU_SHRINK_RANKS); /* nothing that changes numbers */
    XT_EQ(p->deadline_at, 0);
    XT_NEAR(p->deadline_s + p->timeout_s, 0, 0);
    XT_EQ(p->resources.devices, 0);
    mu_campaign_free(c);
}

XT_TEST(names_come_from_paths)
{
    struct mu_campaign *c =
        campaign_of("output: out\n"
                    "models: [models/llama-7b/, /big/q.gguf, {name: v3, model: deepseek}, meta-llama/Llama-2-7b-hf]\n"
                    "suites: [mmlu, {tasks: [gsm8k, arc_easy], name: two}, {tasks: own/sums.yaml}]\n");
    ids_are(c, "llama-7b/mmlu llama-7b/two llama-7b/sums q/mmlu q/two q/sums v3/mmlu v3/two v3/sums "
               "Llama-2-7b-hf/mmlu Llama-2-7b-hf/two Llama-2-7b-hf/sums");
    XT_STREQ(c->suite[1].tasks, "gsm8k,arc_easy");
    XT_STREQ(c->model[0].model, "models/llama-7b/");
    mu_campaign_free(c);
}

XT_TEST(all_that_can_be_said_of_a_campaign)
{
    struct mu_campaign *c =
        campaign_of("name: night.run\n" HEAD "strategy: memory-aware\n"
                    "site: mn5\n"
                    "weight: 2.5\n"
                    "budgets: {gpu_hours: 120.5, walltime: 3d}\n"
                    "concurrency: {tasks: 8, per_device: 1}\n"
                    "alerts: {command: mail -s x ops, webhook: 'https://example.org/h', timeout: 5s}\n"
                    "scaling:\n"
                    "  least: 2\n"
                    "  most: 8\n"
                    "  interval: 5s\n"
                    "  up_cooldown: 20s\n"
                    "  down_cooldown: 10m\n"
                    "  stable: 4\n"
                    "  busy_high: 0.9\n"
                    "  busy_low: 0.2\n"
                    "  drain: 90s\n"
                    "  step_most: 2\n"
                    "  smooth: 0.5\n"
                    "  capacity: 7\n"
                    "  start: 5m\n"
                    "failures: {node: rejoin, walltime: {first: resubmit, tries: 9, then: stop}}\n");
    XT_STREQ(c->name, "night.run");
    XT_STREQ(c->strategy, "memory-aware");
    XT_STREQ(c->site, "mn5");
    XT_NEAR(c->weight, 2.5, 0);
    XT_NEAR(c->budgets.gpu_hours, 120.5, 0);
    XT_NEAR(c->budgets.walltime_s, 3 * 86400, 0);
    XT_EQ(c->concurrency.tasks, 8);
    XT_EQ(c->concurrency.per_device, 1);
    XT_STREQ(c->alerts.command, "mail -s x ops");
    XT_STREQ(c->alerts.webhook, "https://example.org/h");
    XT_NEAR(c->alerts.timeout_s, 5, 0);
    const struct mu_scale_rules *s = &c->scaling;
    XT_CHECK(c->is_scaling && s->least == 2 && s->most == 8 && s->stable == 4 && s->step_most == 2);
    XT_CHECK(s->busy_high == 0.9 && s->busy_low == 0.2 && s->drain_s == 90 && s->smooth == 0.5 && s->capacity == 7);
    XT_CHECK(s->up_cooldown_s == 20 && s->down_cooldown_s == 600 && s->interval_s == 5 && s->start_s == 300);
    XT_EQ(c->n_failures, 2);
    XT_EQ(c->failure[0].failure, MU_FAILURE_NODE);
    XT_EQ(c->failure[0].first, MU_ACTION_REJOIN);
    XT_EQ(c->failure[0].tries, 0);
    XT_EQ(c->failure[1].failure, MU_FAILURE_WALLTIME);
    XT_EQ(c->failure[1].then, MU_ACTION_STOP);
    XT_EQ(c->failure[1].tries, 9);
    mu_campaign_free(c);
}

/* Not of one that scales too: that is a fault (test_campaign_faults.c). */
XT_TEST(tasks_may_share_a_device)
{
    struct mu_campaign *c = campaign_of(HEAD "concurrency: {per_device: 2}\n");
    XT_EQ(c->concurrency.per_device, 2);
    mu_campaign_free(c);
}

XT_TEST(all_that_can_be_said_of_a_task)
{
    struct mu_campaign *c =
        campaign_of(HEAD "settings:\n"
                         "- for: a/*\n"
                         "  priority: critical\n"
                         "  if_failed: anyway\n"
                         "  deadline: 12h\n"
                         "  timeout: 1-12:00:00\n"
                         "  shrink: [int8]\n"
                         "  resources: {devices: 4, memory: 80GB, host_memory: 1TiB, cpus: 32, time: 2h,\n"
                         "              constraint: nvlink}\n"
                         "  retries: {limit: 5, wait: 1m, wait_max: 1h}\n"
                         "- {for: '*/y', deadline: '2026-12-01T08:30:00+01:00', shrink: []}\n");
    const struct mu_campaign_policy *p = &task_of(c, "a/x")->policy;
    XT_EQ(p->priority, MU_PRIORITY_CRITICAL);
    XT_EQ(p->if_failed, MU_AFTER_ANYWAY);
    XT_NEAR(p->deadline_s, 12 * 3600, 0);
    XT_NEAR(p->timeout_s, 36 * 3600, 0);
    XT_EQ(p->shrink, 1u << MU_SHRINK_INT8);
    XT_EQ(p->resources.devices, 4);
    XT_EQ(p->resources.memory, 80000000000);
    XT_EQ(p->resources.host_memory, 1ll << 40);
    XT_EQ(p->resources.cpus, 32);
    XT_NEAR(p->resources.time_s, 7200, 0);
    XT_STREQ(p->resources.constraint, "nvlink");
    XT_CHECK(p->retries.limit == 5 && p->retries.wait_s == 60 && p->retries.wait_max_s == 3600);
    XT_EQ(p->deadline_place.line, 8);
    XT_EQ(p->resources_place.line, 11);
    p = &task_of(c, "a/y")->policy;    /* the later item is before the earlier one, field by field */
    XT_EQ(p->deadline_at, 1796110200); /* date -u -d 2026-12-01T07:30:00Z +%s */
    XT_NEAR(p->deadline_s, 0, 0);
    XT_EQ(p->shrink, 0);
    XT_EQ(p->priority, MU_PRIORITY_CRITICAL);
    p = &task_of(c, "b/y")->policy;
    XT_EQ(p->priority, MU_PRIORITY_NORMAL);
    XT_EQ(p->deadline_at, 1796110200);
    XT_EQ(p->retries.limit, 2);
    mu_campaign_free(c);
}

/* By `date -u -d ... +%s`. */
XT_TEST(dates_are_read_by_the_calendar)
{
    static const struct {
        const char *text;
        long long want;
    } good[] = {{"1970-01-01T00:00:01Z", 1},
                {"2000-02-29 12:00 +00:00", 951825600},
                {"2024-02-29T23:59:59Z", 1709251199},
                {"2026-11-22T05:44:19-08:00", 1795355059},
                {"2100-03-01T00:00Z", 4107542400}};
    static const char *const bad[] = {"2026-02-29T00:00:00Z", "2026-13-01T00:00:00Z", "2026-12-01T08:00:00",
                                      "2026-12-01",           "2026-12-01T24:00:00Z", "2026-12-01T08:00:00+1:00"};
    char text[256];
    for (size_t i = 0; i < MU_COUNT(good); i++) {
        snprintf(text, sizeof text, HEAD "settings: [{deadline: '%s'}]\n", good[i].text);
        struct mu_campaign *c = campaign_of(text);
        XT_EQ(c->task[0].policy.deadline_at, good[i].want);
        mu_campaign_free(c);
    }
    for (size_t i = 0; i < MU_COUNT(bad); i++) {
        snprintf(text, sizeof text, HEAD "settings: [{deadline: '%s'}]\n", bad[i]);
        FAULTS(text, NULL, {4, "a date with its zone"});
    }
}

XT_TEST(lengths_of_time)
{
    static const struct {
        const char *text;
        double want;
    } good[] = {{"90", 90}, {"90s", 90}, {"15m", 900}, {"2d", 172800}, {"04:00:00", 14400}, {"'04:00:00'", 14400}};
    char text[256];
    for (size_t i = 0; i < MU_COUNT(good); i++) {
        snprintf(text, sizeof text, HEAD "settings: [{timeout: %s}]\n", good[i].text);
        struct mu_campaign *c = campaign_of(text);
        XT_NEAR(c->task[0].policy.timeout_s, good[i].want, 0);
        mu_campaign_free(c);
    }
    FAULTS(HEAD "settings: [{timeout: soon}]\n", NULL,
           {4, "timeout is \"soon\"; it must be a length of time such as 90s"});
    FAULTS(HEAD "settings: [{timeout: 0}]\n", NULL, {4, "must lie between 1 s and 3650 d"});
}

/* ---- options ---- */

XT_TEST(options_are_those_of_eval)
{
    struct mu_err err = MU_ERR_INIT;
    json_t *o = NULL;
    struct mu_campaign *c =
        campaign_of("output: out\n"
                    "models:\n"
                    "- {model: m, weights: int8, layout: 'tp=2,pp=2', engine: auto, context: 4096,\n"
                    "   batch_size: auto, max_memory: 12GB, tokenizer: null, kv_dtype: bf16}\n"
                    "suites:\n"
                    "- {name: s, tasks: [t, u], num_fewshot: 5, limit: 50, seed: [0, 1, 2, 3],\n"
                    "   gen_kwargs: {temperature: 0}, include_path: [p, q], apply_chat_template: true}\n");
    const struct mu_campaign_model *m = &c->model[0];
    XT_STREQ(m->weights, "int8");
    XT_STREQ(m->layout, "tp=2,pp=2");
    XT_STREQ(m->kv_dtype, "bf16");
    XT_CHECK(m->engine == NULL);
    XT_CHECK(m->context == 4096 && m->batch_size == 0 && m->max_memory == 12000000000);
    XT_CHECK(c->suite[0].num_fewshot == 5 && c->suite[0].limit == 50);
    XT_OK(mu_campaign_task_options(c, 0, &o, &err));
    char *text = json_dumps(o, JSON_COMPACT | JSON_SORT_KEYS);
    XT_STREQ(text, "{\"apply_chat_template\":true,\"batch_size\":\"auto\",\"context\":4096,\"engine\":\"auto\","
                   "\"gen_kwargs\":{\"temperature\":0},\"include_path\":[\"p\",\"q\"],\"kv_dtype\":\"bf16\","
                   "\"layout\":\"tp=2,pp=2\",\"limit\":50,\"max_memory\":\"12GB\",\"model\":\"m\",\"num_fewshot\":5,"
                   "\"seed\":[0,1,2,3],\"tasks\":[\"t\",\"u\"],\"weights\":\"int8\"}");
    mu_free(text);
    json_decref(o);
    mu_campaign_free(c);
}

/* ---- what a campaign is ---- */

static uint64_t hash_of(const char *text)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_campaign *c = campaign_of(text);
    uint64_t h = 0;
    XT_OK(mu_campaign_hash(c, &h, &err));
    mu_campaign_free(c);
    return h;
}

XT_TEST(a_hash_is_of_what_decides_results)
{
    uint64_t h =
        hash_of("name: n\noutput: o\nmodels: [a, {model: b, context: 512}]\nsuites: [x, {tasks: y, limit: 5}]\n");
    /* Order of lines, ways to write a number, places and what only scheduling sees: the same. */
    XT_EQ(h,
          hash_of("suites: [{limit: 5.0, tasks: y}, x]\nmodels: [{context: 512, model: b, batch_size: 8}, {model: a, "
                  "layout: tp=2}]\noutput: elsewhere\nname: n\nsettings: [{priority: low, after: a/x, for: b/y}]\n"
                  "budgets: {gpu_hours: 5}\n"));
    XT_CHECK(h !=
             hash_of("name: m\noutput: o\nmodels: [a, {model: b, context: 512}]\nsuites: [x, {tasks: y, limit: 5}]\n"));
    XT_CHECK(h !=
             hash_of("name: n\noutput: o\nmodels: [a, {model: b, context: 513}]\nsuites: [x, {tasks: y, limit: 5}]\n"));
    XT_CHECK(h !=
             hash_of("name: n\noutput: o\nmodels: [a, {model: b, context: 512}]\nsuites: [x, {tasks: y, limit: 6}]\n"));
    XT_CHECK(h !=
             hash_of("name: n\noutput: o\nmodels: [a, {model: b, context: 512}]\nsuites: [x, {tasks: y, limit: 5}]\n"
                     "matrix: [{exclude: a/x}]\n"));
}

XT_TEST(a_tasks_hash_and_name_hold_while_other_lines_change)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_campaign *a = campaign_of(HEAD);
    struct mu_campaign *b =
        campaign_of("output: out\nmodels: [z, {model: b, threads: 2}, a]\nsuites: [{tasks: y, limit: 3}, x]\n"
                    "settings: [{for: b/x, priority: high}]\n");
    uint64_t x, y;
    XT_OK(mu_campaign_task_hash(a, mu_campaign_find(a, "b/x"), &x, &err));
    XT_OK(mu_campaign_task_hash(b, mu_campaign_find(b, "b/x"), &y, &err));
    XT_EQ(x, y);
    XT_OK(mu_campaign_task_hash(a, mu_campaign_find(a, "b/y"), &x, &err));
    XT_OK(mu_campaign_task_hash(b, mu_campaign_find(b, "b/y"), &y, &err));
    XT_CHECK(x != y);
    mu_campaign_free(a);
    mu_campaign_free(b);
}

/* ---- the example, and memory that runs out ---- */

XT_TEST(the_example_is_a_campaign)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_campaign *c = NULL;
    XT_OK(mu_campaign_load(&c, "examples/campaign.yaml", NULL, &faults, &err));
    XT_STREQ(c->name, "three-small-models");
    XT_EQ(c->n_tasks, 6);
    waits_for(c, "muster-dsv3-tiny/muster", "muster-dsv3-tiny/sums");
    mu_campaign_free(c);
}

static int read_all(void *arg, struct mu_err *e)
{
    static struct mu_campaign_faults f;
    struct mu_campaign *c = NULL;
    struct mu_campaign_plan *p = NULL;
    json_t *o = NULL;
    uint64_t h;
    int rc;
    MU_TRY(mu_campaign_parse(&c, mu_str(arg), "c.yaml", &(struct mu_campaign_world){.arg = NULL}, &f, e));
    MU_TRY(mu_campaign_plan(c, NULL, &p, e));
    MU_TRY(mu_campaign_task_options(c, 0, &o, e));
    rc = mu_campaign_hash(c, &h, e);
out:
    json_decref(o);
    mu_campaign_plan_free(p);
    mu_campaign_free(c);
    return rc;
}

XT_TEST(every_allocation_may_fail)
{
    xt_each_alloc_fails(read_all, (void *)(uintptr_t)HEAD
                        "matrix: [{weights: [int8, bf16], num_fewshot: [0, 1], exclude: "
                        "'a*,weights=int8/y,*'}]\n"
                        "failures: {node: rejoin}\n"
                        "settings: [{for: 'b/*', after: '{model}/*', resources: {devices: 2}},\n"
                        "           {for: [a/y], after: ['*/x', b/y]}]\n");
}

XT_MAIN()
