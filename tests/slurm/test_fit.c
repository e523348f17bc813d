/* test_fit.c - from a model and a site to resources: what is enough, what is asked for, what is refused
 *
 * Memory decides: bf16 takes two bytes a parameter, and a device holds 80 GiB less what its program needs. */
#include <stdio.h>

#include "base/check.h"
#include "model/presets.h"
#include "sched/slurm/duration.h"
#include "sched/slurm/fit.h"
#include "xt.h"

static struct mu_err err;

struct rig {
    struct mu_site *site;
    struct mu_spec spec;
    struct mu_plan_ask ask;
    struct mu_slurm_wish wish;
    struct mu_slurm_fit fit;
};

static void open_rig(struct rig *r, const char *site, const char *model)
{
    const struct mu_preset *p = mu_preset_find(model);
    *r = (struct rig){.spec = MU_SPEC_INIT};
    XT_CHECKF(p, "%s", model);
    XT_OK(mu_preset_spec(&r->spec, p, &err));
    XT_OK(mu_site_load(&r->site, site, &err));
    r->ask = (struct mu_plan_ask){.spec = &r->spec, .work = {.prompt = 512, .scored = 32, .requests = 20000}};
    r->ask.work.weights = MU_WBF16;
}

static void close_rig(struct rig *r)
{
    mu_slurm_fit_fini(&r->fit);
    mu_spec_fini(&r->spec);
    mu_site_free(r->site);
}

/* The fewest devices whose memory, less a tenth for everything else, holds the weights; and at most twice that. */
XT_TEST(as_few_devices_as_hold_the_weights)
{
    static const char *const sites[] = {"examples/sites/a100.yaml", "examples/sites/h100.yaml",
                                        "examples/sites/cpu.yaml"};
    static const char *const models[] = {"Llama-2-7b", "ALIA-40b", "Llama-2-70b", "falcon-180B", "DeepSeek-V3"};
    for (size_t i = 0; i < MU_COUNT(sites) * MU_COUNT(models); i++) {
        struct rig r;
        open_rig(&r, sites[i / MU_COUNT(models)], models[i % MU_COUNT(models)]);
        XT_OK(mu_slurm_fit(&r.fit, r.site, &r.ask, &r.wish, &err));
        const struct mu_slurm_part *p = &r.fit.part;
        double weights = 2.0 * (double)r.spec.n_params, one = r.fit.partition->machine.device.memory;
        int least = (int)ceil(weights / one), per_node = r.fit.machine.devices;
        int most = least + 1 <= per_node ? least + 1 : (int)ceil(weights / (0.85 * one * per_node)) * per_node;
        XT_CHECKF(p->tasks >= least && p->tasks <= most, "%s on %s: %d ranks, %d to %d are right",
                  models[i % MU_COUNT(models)], r.site->name, p->tasks, least, most);
        XT_EQ(p->nodes, (p->tasks + per_node - 1) / per_node);
        XT_CHECK(p->tasks_per_node <= per_node && p->tasks <= p->nodes * p->tasks_per_node);
        XT_CHECK(p->cpus_per_task * p->tasks_per_node <= p->partition->cpus);
        XT_EQ(p->is_whole, p->nodes > 1 || p->tasks_per_node == per_node);
        close_rig(&r);
    }
}

XT_TEST(a_share_of_a_node)
{
    struct rig r;
    open_rig(&r, "examples/sites/a100.yaml", "Llama-2-7b");
    XT_OK(mu_slurm_fit(&r.fit, r.site, &r.ask, &r.wish, &err));
    XT_STREQ(r.fit.partition->name, "short");
    XT_EQ(r.fit.part.tasks, 1);
    XT_EQ(r.fit.part.cpus_per_task, 16); /* a quarter of 64 */
    XT_EQ(r.fit.part.memory_mib, 10240); /* 8 GiB and a quarter more */
    XT_EQ(r.fit.devices_held, 1);
    XT_CHECK(!r.fit.part.is_whole);
    close_rig(&r);
}

XT_TEST(wishes)
{
    struct rig r;
    open_rig(&r, "examples/sites/a100.yaml", "Llama-2-7b");
    r.wish = (struct mu_slurm_wish){.partition = "gpu", .nodes = 2, .time_s = 7200};
    XT_OK(mu_slurm_fit(&r.fit, r.site, &r.ask, &r.wish, &err));
    XT_EQ(r.fit.part.nodes, 2);
    XT_EQ(r.fit.part.tasks, 8);
    XT_EQ(r.fit.time_s, 7200);
    XT_EQ(r.fit.devices_held, 8);
    mu_slurm_fit_fini(&r.fit);
    r.wish = (struct mu_slurm_wish){.partition = "short", .nodes = 2};
    XT_FAILS(mu_slurm_fit(&r.fit, r.site, &r.ask, &r.wish, &err), MU_EUSAGE, "a job of partition short may have 1");
    r.wish = (struct mu_slurm_wish){.devices = 1000};
    XT_FAILS(mu_slurm_fit(&r.fit, r.site, &r.ask, &r.wish, &err), MU_EUSAGE, "1000 devices");
    r.wish = (struct mu_slurm_wish){.partition = "sort"};
    XT_FAILS(mu_slurm_fit(&r.fit, r.site, &r.ask, &r.wish, &err), MU_ENOENT, "did you mean short");
    r.wish = (struct mu_slurm_wish){.partition = "short", .time_s = 5 * 3600};
    XT_FAILS(mu_slurm_fit(&r.fit, r.site, &r.ask, &r.wish, &err), MU_EUSAGE, "partition short allows 14400");
    close_rig(&r);
}

/* Work that is known and a time that is wanted: more devices, and the prediction meets the time. */
XT_TEST(more_devices_for_less_time)
{
    struct rig r;
    open_rig(&r, "examples/sites/a100.yaml", "Llama-2-70b");
    r.ask.work.requests = 100000;
    XT_OK(mu_slurm_fit(&r.fit, r.site, &r.ask, &r.wish, &err));
    int fewest = r.fit.part.tasks;
    mu_slurm_fit_fini(&r.fit);
    r.wish = (struct mu_slurm_wish){.partition = "gpu", .time_s = 3600, .is_work_known = true};
    XT_OK(mu_slurm_fit(&r.fit, r.site, &r.ask, &r.wish, &err));
    XT_CHECK(r.fit.part.tasks > fewest);
    XT_CHECK(r.fit.predicted_s * 1.25 + 300 <= 3600);
    XT_EQ(r.fit.runs, 1);
    close_rig(&r);
}

/* What no number of devices does in time goes on in several runs, on the fewest. */
XT_TEST(several_runs)
{
    struct rig r;
    open_rig(&r, "examples/sites/a100.yaml", "Llama-2-70b");
    r.ask.work.requests = 50000000;
    r.wish = (struct mu_slurm_wish){.partition = "short", .is_work_known = true};
    XT_OK(mu_slurm_fit(&r.fit, r.site, &r.ask, &r.wish, &err));
    XT_EQ(r.fit.part.tasks, 2);
    XT_EQ(r.fit.time_s, 4 * 3600);
    XT_CHECK(r.fit.runs > 10);
    close_rig(&r);
}

static const char wide_text[] = "partitions:\n"
                                "  - {name: gpu, nodes: 9, cpus: 64, machine: {gpus: {kind: a100-40, count: 1}}}\n"
                                "  - {name: gpu, nodes: 2, cpus: 64, machine: {gpus: {kind: a100-80, count: 4}}}\n"
                                "  - {name: one, nodes: 1, cpus: 64, machine: {gpus: {kind: a100-40, count: 4}}}\n";

static void open_wide(struct rig *r, const char *model, int memory_gb)
{
    open_rig(r, "examples/sites/a100.yaml", model);
    mu_site_free(r->site);
    XT_OK(mu_site_parse(&r->site, mu_str(wide_text), "wide", &err));
    r->site->partition[0].machine.device.memory = memory_gb * 1e9;
}

/* 10 nodes are looked at after 8, of 9 that may be had the 9th too: a model that only all of them hold is not refused.
 */
XT_TEST(the_most_nodes_are_tried)
{
    int n_held = 0;
    for (int memory_gb = 40; memory_gb <= 52; memory_gb++) {
        int fits[2];
        for (int is_wished = 0; is_wished < 2; is_wished++) {
            struct rig r;
            open_wide(&r, "falcon-180B", memory_gb);
            r.wish = (struct mu_slurm_wish){.only = &r.site->partition[0], .nodes = is_wished ? 9 : 0};
            fits[is_wished] = mu_slurm_fit(&r.fit, r.site, &r.ask, &r.wish, &err) == MU_OK;
            close_rig(&r);
        }
        XT_CHECKF(fits[0] == fits[1], "9 nodes of %d GB hold it, and were not tried", memory_gb);
        n_held += fits[0];
    }
    XT_CHECKF(n_held > 0 && n_held < 13, "%d", n_held);
}

/* Nodes that differ are partitions of one name: it means all of them. */
XT_TEST(partitions_of_one_name)
{
    struct rig r;
    open_wide(&r, "Llama-2-70b", 40);
    r.wish = (struct mu_slurm_wish){.partition = "gpu", .devices = 2};
    XT_OK(mu_slurm_fit(&r.fit, r.site, &r.ask, &r.wish, &err)); /* 138 GB: two of 80 GiB, not of 40 */
    XT_CHECK(r.fit.partition == &r.site->partition[1]);
    mu_slurm_fit_fini(&r.fit);
    r.wish.only = &r.site->partition[0];
    XT_FAILS(mu_slurm_fit(&r.fit, r.site, &r.ask, &r.wish, &err), MU_ENOMEM, "nearest comes gpu with 2 devices");
    close_rig(&r);
}

/* That it is too large for those that take the wish says more than that the last one does not. */
XT_TEST(too_large_before_a_wish_that_cannot_be)
{
    struct rig r;
    open_wide(&r, "DeepSeek-V3", 40);
    r.wish = (struct mu_slurm_wish){.nodes = 2};
    XT_FAILS(mu_slurm_fit(&r.fit, r.site, &r.ask, &r.wish, &err), MU_ENOMEM,
             "it fits no partition of site; nearest comes");
    close_rig(&r);
}

XT_TEST(what_fits_nowhere)
{
    struct rig r;
    open_rig(&r, "examples/sites/a100.yaml", "DeepSeek-V3");
    r.wish.partition = "short";
    XT_FAILS(mu_slurm_fit(&r.fit, r.site, &r.ask, &r.wish, &err), MU_ENOMEM,
             "it fits no partition of a100-site; nearest comes short with 4 devices");
    close_rig(&r);
}

XT_MAIN()
