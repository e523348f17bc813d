/* test_site.c - site profiles: the shipped ones, defaults, and what is wrong said with its line */
#include <stdio.h>

#include "base/check.h"
#include "sched/slurm/duration.h"
#include "sched/slurm/site.h"
#include "xt.h"

#define NODE  "machine: {gpus: {kind: a100, count: 4}}"
#define LEAST "partitions:\n  - {name: gpu, cpus: 64, " NODE "}\n"

static struct mu_err err;

static struct mu_site *parse(const char *text)
{
    struct mu_site *s = NULL;
    XT_OK(mu_site_parse(&s, mu_str(text), "site.yaml", &err));
    return s;
}

static void refuse(const char *text, const char *sentence)
{
    struct mu_site *s = NULL;
    XT_FAILS(mu_site_parse(&s, mu_str(text), "site.yaml", &err), MU_EFORMAT, sentence);
    XT_CHECK(!s);
}

XT_TEST(defaults)
{
    struct mu_site *s = parse(LEAST);
    XT_STREQ(s->muster, "muster");
    XT_STREQ(s->mpi, "pmix");
    XT_EQ(s->launch, MU_SITE_SRUN);
    XT_EQ(s->signal_lead_s, 300);
    XT_EQ(s->restarts, 20);
    XT_CHECK(!s->account && !s->qos && !s->store && !s->has_accounting);
    XT_EQ(s->n_partitions, 1);
    const struct mu_site_partition *p = &s->partition[0];
    XT_STREQ(p->name, "gpu");
    XT_CHECK(!p->gres && !p->constraint && p->asks_memory && !p->is_exclusive);
    XT_CHECK(p->time_max_s == MU_SLURM_UNLIMITED);
    XT_EQ(p->machine.nodes, 1);
    XT_EQ(p->machine.devices, 4);
    mu_site_free(s);
}

XT_TEST(shipped_profiles)
{
    struct mu_site *a, *h, *c;
    const struct mu_site_partition *p;
    XT_OK(mu_site_load(&a, "examples/sites/a100.yaml", &err));
    XT_EQ(a->n_partitions, 2);
    XT_STREQ(a->partition[0].gres, "gpu:a100");
    XT_EQ(a->partition[0].time_max_s, 4 * 3600);
    XT_EQ(a->partition[1].time_max_s, 86400);
    XT_EQ(a->partition[1].machine.nodes, 32);
    XT_NEAR(a->partition[1].machine.host_memory, 500.0 * 0x1p30, 1);
    XT_STREQ(a->modules.line[0], "openmpi/4.1");
    XT_OK(mu_site_load(&h, "examples/sites/h100.yaml", &err));
    XT_OK(mu_site_partition_find(&p, h, "batch", &err));
    XT_EQ(h->launch, MU_SITE_MPIRUN);
    XT_STREQ(p->constraint_linked, "nvlink");
    XT_CHECK(!p->asks_memory);
    XT_EQ(p->machine.devices, 8);
    XT_FAILS(mu_site_partition_find(&p, h, "bach", &err), MU_ENOENT, "did you mean batch");
    XT_OK(mu_site_load(&c, "examples/sites/cpu.yaml", &err));
    p = &c->partition[0];
    XT_STREQ(p->gres, "gpu:fake");
    XT_CHECK(p->machine.is_host);
    XT_EQ(p->machine.devices, 2);
    XT_NEAR(p->machine.device.memory, 350.0 * 0x1p30, 1); /* half of a node's 700 GiB */
    mu_site_free(a);
    mu_site_free(h);
    mu_site_free(c);
}

/* 04:00:00 is a number to YAML, its seconds. */
XT_TEST(times)
{
    static const struct {
        const char *text;
        int64_t seconds;
    } cases[] = {{"4h", 14400},       {"90s", 90},          {"04:00:00", 14400}, {"1-12:00:00", 129600},
                 {"1-00", 86400},     {"2d", 172800},       {"14400", 14400},    {"UNLIMITED", MU_SLURM_UNLIMITED},
                 {"\"30:00\"", 1800}, {"\"1:30:00\"", 5400}};
    char text[256];
    for (size_t i = 0; i < MU_COUNT(cases); i++) {
        snprintf(text, sizeof text, "partitions: [{name: g, cpus: 64, max_time: %s, " NODE "}]", cases[i].text);
        struct mu_site *s = parse(text);
        XT_CHECKF(s->partition[0].time_max_s == cases[i].seconds, "%s gave %lld", cases[i].text,
                  (long long)s->partition[0].time_max_s);
        mu_site_free(s);
    }
}

XT_TEST(durations_as_text)
{
    char buf[32];
    XT_STREQ(mu_slurm_duration_text(buf, 1), "0-00:01:00");
    XT_STREQ(mu_slurm_duration_text(buf, 3600), "0-01:00:00");
    XT_STREQ(mu_slurm_duration_text(buf, 86400 * 10 + 3661), "10-01:02:00");
}

XT_TEST(no_time)
{
    static const char *const bad[] = {"",     "5",        "h",     "5x",    "1:2:3:4",    "1-",
                                      "-1",   ":5",       "5:",    "1-2-3", "4000d",      "1h30m",
                                      "12 h", "infinity", "0x10s", "1-:3",  "9999999999s"};
    int64_t s;
    for (size_t i = 0; i < MU_COUNT(bad); i++)
        XT_CHECKF(mu_slurm_duration_parse(&s, mu_str(bad[i]), &err) == MU_EFORMAT, "\"%s\" was taken", bad[i]);
}

XT_TEST(mistakes_have_lines)
{
    refuse("nmae: x\n" LEAST, "site.yaml, line 1: nmae is no key that is known; did you mean \"name\"?");
    refuse("name: x\n" LEAST "  - {name: b, cpu: 2}\n", "site.yaml, line 4: partitions.cpu is no key");
    refuse("launch: {by: ssh}\n" LEAST, "line 1: launch.by must be srun or mpirun");
    refuse("launch: {mpl: pmix}\n" LEAST, "did you mean \"mpi\"?");
    refuse("folders: [a]\n" LEAST, "line 1: folders must be a mapping");
    refuse("signal_lead: 5\n" LEAST, "signal_lead must be from 30 to 65535 seconds");
    refuse("signal_lead: soon\n" LEAST, "\"soon\" is no length of time");
    refuse("restarts: 1.5\n" LEAST, "restarts must be a whole number from 0 to 1000");
    refuse("accounting: 1\n" LEAST, "accounting must be true or false");
    refuse("name: x\n", "partitions must be a list");
    refuse("partitions: [{cpus: 2, " NODE "}]", "a partition has no name");
    refuse("partitions: [{name: g, " NODE "}]", "lacks cpus");
    refuse("partitions: [{name: g, cpus: 64}]", "partitions.machine must be there");
    refuse("partitions: [{name: g, cpus: 2, " NODE "}]", "fewer than the 4 ranks of a node");
    refuse("partitions: [{name: g, cpus: 64, ranks: 2, " NODE "}]", "partitions.ranks must be left out");
    refuse("partitions:\n  - name: g\n    cpus: 64\n    machine:\n      gpus: {kind: a100, cuont: 4}\n",
           "line 5: there is no key \"cuont\"");
    refuse("[]", "a mapping with partitions is needed");
    refuse("gres: {h100: \"gpu:h100\"}\n" LEAST,
           "line 1: gres: what Slurm calls the GPUs of partition gpu is not there: "
           "add \"a100\", or leave gres out");
}

/* What comes to stand in an #SBATCH line cannot end it, nor begin another option. */
XT_TEST(hostile_names)
{
    refuse("account: \"a b\"\n" LEAST, "account must be a name");
    refuse("qos: \"q\\n#SBATCH --uid=0\"\n" LEAST, "qos must be a text of one line");
    refuse("gres: {a100: \"gpu --uid=0\"}\n" LEAST, "gres.a100 must be a name");
    refuse("partitions: [{name: \"g;rm\", cpus: 64, " NODE "}]", "partitions.name must be a name");
    refuse("partitions: [{name: g, constraint: \"a#b\", cpus: 64, " NODE "}]", "constraint must be a name");
    refuse("launch: {mpi: \"pmix $(id)\"}\n" LEAST, "launch.mpi must be a name");
    refuse("folders: {store: \"a\\0b\"}\n" LEAST, "folders.store must be a text of one line");
}

static int load(void *arg, struct mu_err *e)
{
    struct mu_site *s = NULL;
    int rc = mu_site_load(&s, arg, e);
    mu_site_free(s);
    return rc;
}

XT_TEST(memory_runs_out)
{
    xt_each_alloc_fails(load, (void *)(uintptr_t) "examples/sites/cpu.yaml");
}

XT_MAIN()
