/* test_campaign_faults.c - each fault with its line and its sentence, and all of them at once */
#include "campaign_text.h"

#include "base/check.h"

#define HEAD "output: out\nmodels: [a, b]\nsuites: [x, y]\n"

XT_TEST(what_is_missing)
{
    FAULTS("name: n\n", NULL, {0, "\"output\" is missing"}, {0, "\"models\" is missing"}, {0, "\"suites\" is missing"});
    FAULTS("[]\n", NULL, {0, "a mapping with models"}, {0, "\"output\" is missing"}, {0, "\"models\" is missing"},
           {0, "\"suites\" is missing"});
    FAULTS("output: o\nmodels: [{name: a}]\nsuites: [{limit: 5}]\n", NULL, {2, "\"model\" is missing"},
           {3, "\"tasks\" is missing"});
}

XT_TEST(unknown_keys_everywhere)
{
    FAULTS(HEAD "modles: []\n"
                "budgets: {gpu_hour: 5}\n"
                "settings:\n"
                "- priorty: high\n"
                "- resources: {device: 5}\n"
                "- retries:\n"
                "    limits: 3\n"
                "failures: {nodes: retry}\n",
           NULL, {4, "there is no key \"modles\"; did you mean \"models\"?"},
           {5, "there is no key \"gpu_hour\" in budgets; did you mean \"gpu_hours\"?"},
           {7, "there is no key \"priorty\"; did you mean \"priority\"?"},
           {8, "there is no key \"device\" in resources; did you mean \"devices\"?"},
           {10, "there is no key \"limits\" in retries; did you mean \"limit\"?"},
           {11, "there is no failure \"nodes\"; did you mean \"node\"?"});
    FAULTS("output: o\nmodels:\n- model: a\n  wieghts: int8\nsuites:\n- {tasks: x, num-fewshot: 5}\n", NULL,
           {4, "there is no key \"wieghts\" in model; did you mean \"weights\"?"},
           {6, "there is no key \"num-fewshot\" in suite; did you mean \"num_fewshot\"?"});
}

XT_TEST(values_out_of_bounds)
{
    FAULTS(HEAD "weight: 0\n"
                "strategy: fastest\n"
                "concurrency: {tasks: many}\n"
                "budgets: 5\n"
                "settings:\n"
                "- priority: urgent\n"
                "- if_failed: stop\n"
                "- shrink: [int4]\n"
                "- resources: {memory: lots, cpus: 0}\n"
                "- retries: {limit: -1}\n",
           NULL, {4, "weight is 0; it must be a number from 0.001 to 1000"},
           {5, "strategy is \"fastest\"; it must be a strategy"},
           {6, "concurrency.tasks is \"many\"; it must be a whole number from 1 to 65536"},
           {7, "budgets is 5; it must be a mapping with gpu_hours"},
           {9, "priority is \"urgent\"; it must be critical, high, normal, low or background"},
           {10, "if_failed is \"stop\"; it must be skip, fail or anyway"},
           {11, "shrink is a list; it must be a list of any of"},
           {12, "resources.memory is \"lots\"; it must be a size such as 80GB"},
           {12, "resources.cpus is 0; it must be a whole number from 1"},
           {13, "retries.limit is -1; it must be a whole number from 0 to 100"});
    FAULTS("output: o\nmodels:\n- {model: a, weights: int3, layout: tq=2, threads: 2000, engine: fast}\nsuites: [x]\n",
           NULL, {3, "model.weights is \"int3\"; it must be one of f32|bf16|f16|int8|int4"},
           {3, "model.layout is \"tq=2\""}, {3, "model.threads is 2000"}, {3, "model.engine is \"fast\""});
}

XT_TEST(failures_that_say_too_little)
{
    FAULTS(HEAD "failures:\n"
                "  node: {tries: 3}\n"
                "  device: {first: replan, then: stop}\n"
                "  link: fix\n"
                "  none: retry\n"
                "  storage: {first: retry, tries: 0, then: stop}\n"
                "  walltime: 5\n",
           NULL, {5, "failures.node must say what is done first"}, {6, "failures.device must say"},
           {7, "link.first is \"fix\"; it must be one of retry"}, {8, "there is no failure \"none\""},
           {9, "storage.tries is 0"}, {10, "failures.walltime must say"});
}

XT_TEST(names_twice_and_names_that_are_none)
{
    FAULTS("output: o\nmodels:\n- a\n- {name: b, model: p}\n- b\n- {name: a/c, model: q}\n- {name: 7, model: "
           "q}\nsuites:\n- x\n"
           "- {name: x, tasks: y}\n- mmlu_*\n",
           NULL, {5, "there are two models \"b\", the first in c.yaml, line 4"},
           {6, "name must be a text of letters, digits"}, {7, "put it in quotes"},
           {10, "there are two suites \"x\", the first in c.yaml, line 9"}, {11, "\"mmlu_*\" makes no name"});
}

XT_TEST(patterns_that_name_nothing)
{
    FAULTS(HEAD "matrix: [{models: a, suites: x}, {models: b, suites: y}]\n"
                "settings:\n"
                "- {for: c/x, priority: low}\n"
                "- {for: [a/x, a/yy]}\n"
                "- {for: a/y}\n"
                "- {for: a}\n"
                "- {for: b/y, after: [a/x, '{model}/x']}\n",
           NULL, {6, "\"c/x\" names no task: there is no model \"c\"; did you mean"},
           {7, "\"a/yy\" names no task: there is no suite \"yy\"; did you mean \"y\"?"},
           {8, "\"a/y\" names no task: the matrix has no such pair"},
           {9, "\"a\" is no pattern of tasks: MODEL/SUITE is needed, such as \"a/*\""}, {10, "\"b,/x\" names no task"});
}

XT_TEST(circles_are_told_with_their_tasks)
{
    FAULTS(HEAD "settings:\n"
                "- {for: a/x, after: b/y}\n"
                "- {for: b/y, after: a/y}\n"
                "- {for: a/y, after: a/x}\n"
                "- {for: b/x, after: [b/x]}\n",
           NULL, {5, "3 tasks wait in a circle: a/x waits for b/y, b/y for a/y, a/y for a/x"},
           {8, "task b/x waits for itself"});
    /* Two circles, and a task behind one of them, which is in none. */
    FAULTS("output: o\nmodels: [a, b, c, d, e]\nsuites: [x]\nsettings:\n"
           "- {for: a/x, after: b/x}\n"
           "- {for: b/x, after: a/x}\n"
           "- {for: c/x, after: d/x}\n"
           "- {for: d/x, after: c/x}\n"
           "- {for: e/x, after: c/x}\n",
           NULL, {5, "2 tasks wait in a circle: a/x waits for b/x, b/x for a/x"},
           {7, "2 tasks wait in a circle: c/x waits for d/x, d/x for c/x"});
}

XT_TEST(more_faults_than_are_kept_are_counted)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_campaign *c = NULL;
    char text[8192] = HEAD "settings:\n";
    for (int i = 0; i < 100; i++)
        strcat(text, "- {for: c/x}\n");
    XT_FAILS(mu_campaign_parse(&c, mu_str(text), "c.yaml", NULL, &faults, &err), MU_EFORMAT, "(and 99 more)");
    XT_EQ(faults.n_all, 100);
    XT_EQ(faults.n, MU_CAMPAIGN_FAULTS_MAX);
}

XT_TEST(a_text_that_is_no_yaml)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_campaign *c = NULL;
    XT_FAILS(mu_campaign_parse(&c, mu_str("a: [1,\n"), "c.yaml", NULL, &faults, &err), MU_EFORMAT, "c.yaml, line 2");
    XT_FAILS(mu_campaign_load(&c, "nowhere/c.yaml", NULL, &faults, &err), MU_ENOENT, "nowhere/c.yaml");
}

XT_TEST(scaling_that_would_swing)
{
    FAULTS(HEAD "scaling: {least: 4, most: 2}\n", NULL, {4, "scaling: 4 replicas between 4 and 2"});
    FAULTS(HEAD "concurrency: {per_device: 2}\nscaling: {least: 1}\n", NULL,
           {5, "scaling: with a concurrency of 2 tasks per_device no worker keeps its model"});
    FAULTS(HEAD "scaling: {busy_low: 0.8}\n", NULL, {4, "scaling: bounds of load 0.8 and 0.85: the upper one must be"});
    FAULTS(HEAD "scaling: {interval: 0, smooth: 2}\n", NULL, {4, "interval is 0; it must lie between 0.1 s and 1 d"},
           {4, "smooth is 2; it must be a number from 0.001 to 1"});
}

/* ---- the world ---- */

static int find_model(void *arg, const struct mu_campaign_model *m, struct mu_err *e)
{
    (void)arg;
    return strcmp(m->model, "b") == 0 ? mu_fail(e, MU_ENOENT, "there is no b; did you mean a?") : MU_OK;
}

static int find_suite(void *arg, const struct mu_campaign_suite *s, struct mu_err *e)
{
    (void)arg;
    return strcmp(s->tasks, "y") == 0 ? mu_fail(e, MU_ENOENT, "there is no y; did you mean x?") : MU_OK;
}

/* An hour for each task, two devices. */
static void predict(void *arg, const struct mu_campaign *c, int task, struct mu_campaign_guess *out)
{
    (void)arg;
    (void)c;
    (void)task;
    *out = (struct mu_campaign_guess){3600, 2, 0};
}

static const struct mu_machine machines[] = {
    {.name = "small",
     .nodes = 1,
     .devices = 2,
     .device = {.memory = 16 * 0x1p30},
     .host_memory = 64 * 0x1p30,
     .host_cores = 8},
    {.name = "large", .nodes = 4, .devices = 8, .device = {.memory = 80 * 0x1p30}, .host_memory = 0x1p40}};

static const struct mu_campaign_world world = {.find_model = find_model,
                                               .find_suite = find_suite,
                                               .predict = predict,
                                               .machine = machines,
                                               .n_machines = 2,
                                               .start_at = 1796000000};

XT_TEST(models_and_suites_that_are_not_there)
{
    FAULTS(HEAD, &world, {2, "model b: there is no b; did you mean a?"},
           {3, "suite y: there is no y; did you mean x?"});
    /* What no task uses is not looked for. */
    mu_campaign_free(campaign_in(HEAD "matrix: [{models: a, suites: x}]\n", &world));
}

#define ONE "output: out\nmodels: [a]\nsuites: [x, z]\n"

XT_TEST(resources_larger_than_any_machine)
{
    FAULTS(
        ONE "settings: [{resources: {devices: 64}}]\n", &world,
        {4, "no machine has the resources of a/x (and 1 other task); the nearest is large; devices: 64, there are 32"});
    FAULTS(ONE "settings: [{for: a/z, resources: {devices: 4, memory: 100GiB}}]\n", &world,
           {4, "no machine has the resources of a/z; the nearest is large; memory: 100 GiB, a device has 80.0 GiB"});
    FAULTS(ONE "settings: [{for: a/z, resources: {host_memory: 2TiB}}]\n", &world,
           {4, "the nearest is large; host_memory: 2.0 TiB, a node has 1.0 TiB"});
    mu_campaign_free(
        campaign_in(ONE "settings: [{resources: {devices: 32, memory: 80GB, host_memory: 1TiB}}]\n", &world));
}

XT_TEST(layouts_fix_devices_too)
{
    FAULTS(
        "output: o\nmodels:\n- a\n- {name: wide, model: a, layout: 'tp=8,pp=8'}\n- {name: many, model: a, ranks: 33}\n"
        "suites: [x]\n",
        &world, {4, "no machine has the resources of wide/x; the nearest is large; devices: 64, there are 32"},
        {5, "no machine has the resources of many/x; the nearest is large; devices: 33, there are 32"});
    FAULTS("output: o\nmodels:\n- {name: a, model: a, layout: 'tp=2,pp=2,dp=1'}\n- {name: c, model: a, ranks: "
           "4}\nsuites: [x]\n"
           "settings:\n- {for: a/*, resources: {devices: 3}}\n- {for: c/*, resources: {devices: 2}}\n",
           NULL, {7, "a/x: layout"}, {8, "c/x: resources.devices is 2, but its model's ranks are 4"});
    struct mu_campaign *c =
        campaign_of("output: o\nmodels: [{model: a, layout: tp=2}, {model: b, layout: 'tp=2,pp=2'}]\n"
                    "suites: [x]\nsettings: [{for: a/x, resources: {devices: 8}}]\n");
    XT_EQ(mu_campaign_devices(c, 0), 8); /* four replicas of two */
    XT_EQ(mu_campaign_devices(c, 1), 4);
    mu_campaign_free(c);
}

XT_TEST(deadlines_before_the_earliest_end)
{
    FAULTS(ONE "settings: [{for: a/z, after: a/x, deadline: 90m}]\n", &world,
           {4, "the deadline of a/z is 1 h 30 min after the start, but it cannot end before 2 h, 1 h of it waiting for "
               "others"});
    FAULTS(
        ONE "settings: [{deadline: 30m}]\n", &world,
        {4, "the deadline of a/x (and 1 other task) is 30 min after the start, but it cannot end before 1 h: that is"});
    FAULTS(
        ONE "settings: [{for: a/x, deadline: '2026-11-30T00:53:20Z'}]\n", &world,
        {4, "the deadline of a/x, 2026-11-30 00:53:20 UTC, is past: the campaign starts at 2026-11-30 00:53:20 UTC"});
    mu_campaign_free(campaign_in(ONE "settings: [{for: a/z, after: a/x, deadline: 2h}]\n", &world));
    mu_campaign_free(campaign_in(ONE "settings: [{deadline: '2026-11-30T01:53:20Z'}]\n", &world));
}

XT_TEST(times_and_budgets_smaller_than_a_task)
{
    FAULTS(ONE "budgets: {gpu_hours: 1.5, walltime: 90m}\n"
               "settings:\n"
               "- {for: a/z, timeout: 59m}\n"
               "- {for: a/x, resources: {time: 10m}}\n"
               "- {for: a/z, after: a/x}\n",
           &world, {4, "budgets.gpu_hours is 1.5, but a/x (and 1 other task) alone is predicted to take 2"},
           {4, "budgets.walltime is 1 h 30 min, but a/z cannot end before 2 h"},
           {6, "timeout is 59 min, but a/z is predicted to take 1 h"},
           {7, "resources.time is 10 min, but a/x is predicted to take 1 h"});
    /* What the user fixes counts before what is guessed: three devices for an hour. */
    FAULTS(ONE "budgets: {gpu_hours: 2.5}\nsettings: [{for: a/z, resources: {devices: 3}}]\n", &world,
           {4, "budgets.gpu_hours is 2.5, but a/z alone is predicted to take 3"});
}

XT_TEST(faults_of_file_and_world_come_together)
{
    FAULTS(HEAD "settings:\n- {for: a/x, deadline: 1s}\n- {for: a/q}\n", &world, {2, "model b"}, {3, "suite y"},
           {5, "the deadline of a/x"}, {6, "\"a/q\" names no task"});
}

XT_TEST(a_campaign_can_be_held_against_another_world)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_campaign *c = campaign_of(ONE "settings: [{resources: {devices: 4}}]\n");
    const struct mu_campaign_world less = {.machine = machines, .n_machines = 1};
    XT_OK(mu_campaign_check(c, &world, &faults, &err));
    XT_FAILS(mu_campaign_check(c, &less, &faults, &err), MU_EINVAL,
             "c.yaml, line 4: no machine has the resources of a/x");
    faults.n = faults.n_all = 0;
    mu_campaign_free(c);
}

XT_MAIN()
