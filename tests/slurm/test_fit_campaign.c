/* test_fit_campaign.c - from a campaign and a site to one job: devices, time, and what cannot be met
 *
 * Times are said by the file (resources.time), so that what is right can be counted by hand. */
#include <stdio.h>

#include "base/check.h"
#include "model/presets.h"
#include "sched/slurm/fit_campaign.h"
#include "xt.h"

#define MODELS 2
#define START  1764000000 /* a Monday in November 2025 */

static struct mu_err err;

static const char models[] = "name: test\noutput: out\n"
                             "models: [{name: small, model: Llama-2-7b}, {name: large, model: Llama-2-70b}]\n"
                             "suites: [{name: a, tasks: a}, {name: b, tasks: b}]\n";

struct rig {
    struct mu_site *site;
    struct mu_campaign *campaign;
    struct mu_spec spec[MODELS];
    struct mu_plan_ask model[MODELS];
    struct mu_slurm_suite_work suite[2];
    struct mu_slurm_campaign_ask ask;
    struct mu_slurm_campaign_fit fit;
};

static void open_rig(struct rig *r, const char *site, const char *more)
{
    static const char *const preset[MODELS] = {"Llama-2-7b", "Llama-2-70b"};
    static struct mu_campaign_faults faults;
    char text[2048];
    *r = (struct rig){.suite = {{.requests = 1000}, {.requests = 1000}}};
    snprintf(text, sizeof text, "%s%s", models, more);
    XT_OK(mu_site_load(&r->site, site, &err));
    XT_OK(mu_campaign_parse(&r->campaign, mu_str(text), "test.yaml", NULL, &faults, &err));
    XT_EQ(r->campaign->n_models, MODELS);
    for (int i = 0; i < MODELS; i++) {
        r->spec[i] = (struct mu_spec)MU_SPEC_INIT;
        XT_OK(mu_preset_spec(&r->spec[i], mu_preset_find(preset[i]), &err));
        r->model[i] =
            (struct mu_plan_ask){.spec = &r->spec[i], .work = {.prompt = 512, .scored = 32, .requests = 1000}};
        r->model[i].work.weights = MU_WBF16;
    }
    r->ask = (struct mu_slurm_campaign_ask){.campaign = r->campaign, .model = r->model, .suite = r->suite};
}

static void close_rig(struct rig *r)
{
    mu_slurm_campaign_fit_fini(&r->fit);
    for (int i = 0; i < MODELS; i++)
        mu_spec_fini(&r->spec[i]);
    mu_campaign_free(r->campaign);
    mu_site_free(r->site);
}

static void fit(struct rig *r)
{
    mu_slurm_campaign_fit_fini(&r->fit);
    XT_OK(mu_slurm_fit_campaign(&r->fit, r->site, &r->ask, &err));
}

/* The widest task decides; time is the chain of waits, or the work shared out. */
XT_TEST(devices_and_time)
{
    struct rig r;
    open_rig(&r, "examples/sites/a100.yaml",
             "settings: [{resources: {time: 1h}}, {for: 'large/*', after: 'small/*'}]\n");
    fit(&r);
    XT_STREQ(r.fit.partition->name, "short");
    XT_EQ(r.fit.devices, 2); /* 138 GB on devices of 80 GiB */
    XT_EQ(r.fit.n_unknown, 0);
    XT_NEAR(r.fit.chain_s, 7200, 1e-6);
    XT_NEAR(r.fit.work_s, 2 * 3600 + 2 * 2 * 3600, 1e-6);
    XT_NEAR(r.fit.predicted_s, MU_SLURM_START_S + 10800, 1e-6);
    r.ask.devices = 4;
    fit(&r);
    XT_NEAR(r.fit.predicted_s, MU_SLURM_START_S + 7200, 1e-6);
    close_rig(&r);
}

/* A model that is asked for on several numbers of devices, one task after another. */
XT_TEST(tasks_of_a_model_on_other_numbers_of_devices)
{
    struct rig r;
    open_rig(&r, "examples/sites/a100.yaml",
             "settings: [{for: '*/b', resources: {devices: 4}}, {for: small/a, resources: {devices: 3}}]\n");
    fit(&r);
    XT_EQ(r.fit.task[mu_campaign_find(r.campaign, "small/a")].devices, 3);
    XT_EQ(r.fit.task[mu_campaign_find(r.campaign, "small/b")].devices, 4);
    XT_EQ(r.fit.task[mu_campaign_find(r.campaign, "large/a")].devices, 2);
    XT_EQ(r.fit.task[mu_campaign_find(r.campaign, "large/b")].devices, 4);
    XT_CHECK(r.fit.task[mu_campaign_find(r.campaign, "small/b")].seconds <
             r.fit.task[mu_campaign_find(r.campaign, "small/a")].seconds * 1.5);
    close_rig(&r);
}

/* What a suite asks was counted: half as much is done in less time, and what is assumed stays as it was. */
XT_TEST(a_suite_s_own_work)
{
    struct rig r;
    open_rig(&r, "examples/sites/a100.yaml", "");
    fit(&r);
    int a = mu_campaign_find(r.campaign, "large/a"), b = mu_campaign_find(r.campaign, "large/b");
    double before = r.fit.task[b].seconds;
    XT_NEAR(r.fit.task[a].seconds, before, 1e-9);
    r.suite[0] = (struct mu_slurm_suite_work){.requests = 1000, .prompt = 512};
    fit(&r);
    XT_NEAR(r.fit.task[a].seconds, before, 1e-9); /* the same as was assumed */
    r.suite[0] = (struct mu_slurm_suite_work){.requests = 1000, .prompt = 128};
    fit(&r);
    XT_CHECKF(r.fit.task[a].seconds < before, "%.1f and %.1f s", r.fit.task[a].seconds, before);
    XT_NEAR(r.fit.task[b].seconds, before, 1e-9);
    before = r.fit.task[a].seconds;
    r.suite[0].output = 256;
    fit(&r);
    XT_CHECKF(r.fit.task[a].seconds > before, "%.1f and %.1f s", r.fit.task[a].seconds, before);
    close_rig(&r);
}

/* Two partitions of one name are two machines: the second is not taken for the first. */
XT_TEST(partitions_of_one_name)
{
    static const char text[] = "partitions:\n"
                               "  - {name: gpu, nodes: 1, cpus: 64, machine: {gpus: {kind: a100-40, count: 2}}}\n"
                               "  - {name: gpu, nodes: 1, cpus: 64, machine: {gpus: {kind: a100-80, count: 2}}}\n";
    struct rig r;
    open_rig(&r, "examples/sites/a100.yaml", "");
    mu_site_free(r.site);
    XT_OK(mu_site_parse(&r.site, mu_str(text), "site", &err));
    for (int i = 0; i < 2; i++) {
        fit(&r);
        XT_CHECK(r.fit.partition == &r.site->partition[1]);
        r.ask.partition = "gpu";
    }
    close_rig(&r);
}

/* ---- what cannot be met ---- */

static void hold(const char *more, int64_t start_at, int n, const char *sentence)
{
    struct mu_campaign_faults *faults = calloc(1, sizeof *faults);
    struct rig r;
    open_rig(&r, "examples/sites/a100.yaml", more);
    fit(&r);
    int rc = mu_slurm_campaign_hold(&r.fit, r.campaign, start_at, faults, &err);
    XT_CHECKF((rc != MU_OK) == (n > 0), "%s: %s", more, err.text);
    XT_CHECKF(faults->n_all == n, "%s: %d faults", more, faults->n_all);
    XT_CHECKF(n == 0 || strstr(faults->fault[0].sentence, sentence), "%s: %s", more, faults->fault[0].sentence);
    close_rig(&r);
    free(faults);
}

#define HOUR "{resources: {time: 1h}}"

XT_TEST(deadlines_against_the_chain)
{
    hold("settings: [" HOUR ", {for: 'large/*', after: 'small/*', deadline: 3h}]\n", START, 0, "");
    hold("settings: [" HOUR ", {for: 'large/a', after: 'small/*', deadline: 90m}]\n", START, 1,
         "the deadline of large/a is 1 h 30 min after the start, but it cannot end before 2 h, 1 h of it waiting for "
         "others: that is the earliest that can be asked");
    hold("settings: [" HOUR ", {for: 'large/a', deadline: 2025-11-24T16:30:00Z}]\n", START, 1,
         "the deadline of large/a is 30 min after the start, but it cannot end before 1 h");
    hold("settings: [" HOUR ", {for: 'large/a', deadline: 2025-11-24T15:30:00Z}]\n", START, 1, "is past");
}

XT_TEST(times_resources_and_budgets)
{
    hold("settings: [" HOUR ", {for: small/a, timeout: 30m}]\n", START, 1, "small/a is predicted to take 1 h");
    hold("settings: [" HOUR "]\nbudgets: {gpu_hours: 1.5}\n", START, 1,
         "budgets.gpu_hours is 1.5, but large/a (and 1 other task) alone is predicted to take 2");
    hold("settings: [" HOUR "]\nbudgets: {walltime: 30m}\n", START, 1, "budgets.walltime is 30 min");
    hold("settings: [{for: small/a, resources: {memory: 100GiB}}]\n", START, 1, "memory: 100 GiB, a device has");
    hold("settings: [{for: small/a, resources: {cpus: 65}}]\n", START, 1,
         "the nearest is short; cpus: 65, a node has 64");
}

XT_MAIN()
