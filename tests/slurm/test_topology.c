/* test_topology.c - host lists, nodes, gres and partitions as Slurm prints them, and the job one is in */
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "sched/slurm/duration.h"
#include "sched/slurm/here.h"
#include "sched/slurm/look.h"
#include "xt.h"

static struct mu_err err;

/* ---- host lists ---- */

static void expands(const char *list, const char *want)
{
    struct mu_slurm_hosts h = MU_SLURM_HOSTS_INIT;
    char got[1024] = "";
    int n = 0;
    XT_OK(mu_slurm_hosts_expand(&h, mu_str(list), &err));
    for (const char *at = mu_slurm_hosts_next(&h, NULL); at; at = mu_slurm_hosts_next(&h, at), n++)
        snprintf(got + strlen(got), sizeof got - strlen(got), "%s%s", n > 0 ? " " : "", at);
    XT_EQ(n, h.n);
    mu_slurm_hosts_fini(&h);
    XT_STREQ(got, want);
}

/* slurm.conf(5), NodeName; the order is that of `scontrol show hostnames`. */
XT_TEST(host_lists)
{
    expands("node1", "node1");
    expands("node[01-03,7]", "node01 node02 node03 node7");
    expands("node[9-11]", "node9 node10 node11");
    expands("n[08-10],m", "n08 n09 n10 m");
    expands("r[1-2]n[1-3]", "r1n1 r1n2 r1n3 r2n1 r2n2 r2n3");
    expands("a[1,3]-ib,b-2", "a1-ib a3-ib b-2");
    expands("n[5]", "n5");
    expands("n[001-001]", "n001");
    expands("[1-2]", "1 2");
    expands("x[0-0][00-01]y", "x000y x001y");
    expands("a.b.c,d_e", "a.b.c d_e");
}

XT_TEST(host_lists_that_are_none)
{
    static const char *const bad[] = {"",
                                      ",",
                                      "a,",
                                      ",a",
                                      "a,,b",
                                      "n[",
                                      "n[1",
                                      "n[1-",
                                      "n[]",
                                      "n[,1]",
                                      "n[1,]",
                                      "n[3-1]",
                                      "n]",
                                      "n[1]]",
                                      "n[a]",
                                      "n[1-b]",
                                      "n[1--2]",
                                      "n[1-2-3]",
                                      "n[-1]",
                                      "n[1 ]",
                                      "a b",
                                      "n[[1]]",
                                      "n[1-2",
                                      "n[99999999999]",
                                      "n[0000000000001-2]",
                                      "a\nb"};
    for (size_t i = 0; i < MU_COUNT(bad); i++) {
        struct mu_slurm_hosts h = MU_SLURM_HOSTS_INIT;
        int rc = mu_slurm_hosts_expand(&h, mu_str(bad[i]), &err);
        mu_slurm_hosts_fini(&h);
        XT_CHECKF(rc == MU_EFORMAT, "\"%s\" gave %s", bad[i], mu_code_name(rc));
    }
}

XT_TEST(host_lists_have_bounds)
{
    struct mu_slurm_hosts h = MU_SLURM_HOSTS_INIT;
    char name[400];
    XT_OK(mu_slurm_hosts_expand(&h, mu_str("n[1-16384]"), &err));
    XT_EQ(h.n, 16384);
    XT_FAILS(mu_slurm_hosts_expand(&h, mu_str("one-more"), &err), MU_ELIMIT, "more than 16384 hosts");
    mu_slurm_hosts_fini(&h);
    XT_FAILS(mu_slurm_hosts_expand(&h, mu_str("n[1-999999999]"), &err), MU_ELIMIT, "more than 16384 hosts");
    mu_slurm_hosts_fini(&h);
    XT_FAILS(mu_slurm_hosts_expand(&h, mu_str("a[1-200][1-200][1-200]"), &err), MU_ELIMIT, "more than 16384 hosts");
    mu_slurm_hosts_fini(&h);
    memset(name, 'x', sizeof name);
    name[256] = 0;
    XT_FAILS(mu_slurm_hosts_expand(&h, mu_str(name), &err), MU_EFORMAT, "too long");
    mu_slurm_hosts_fini(&h);
}

/* ---- gres ---- */

static void gres(const char *text, const char *kind, int count, bool is_mixed)
{
    struct mu_slurm_gres g;
    XT_OK(mu_slurm_gres_parse(&g, mu_str(text), &err));
    XT_CHECKF(strcmp(g.kind, kind) == 0 && g.count == count && g.is_mixed == is_mixed, "%s: \"%s\" %d %d", text, g.kind,
              g.count, g.is_mixed);
}

XT_TEST(gres_of_a_node)
{
    gres("gpu:h100:8(S:0-1)", "h100", 8, false);
    gres("gpu:4", "", 4, false);
    gres("gpu", "", 1, false);
    gres("gpu:tesla", "tesla", 1, false);
    gres("nic:2,gpu:a100:4(S:0,1),mps:100", "a100", 4, false);
    gres("gpu:a100:2(S:0),gpu:a100:2(S:1)", "a100", 4, false);
    gres("gpu:a100:2,gpu:v100:1", "a100", 2, true);
    gres("gpu:a100_3g.20gb:7(S:0)", "a100_3g.20gb", 7, false);
    gres("(null)", "", 0, false);
    gres("", "", 0, false);
    gres("gpus:4", "", 0, false);
    struct mu_slurm_gres g;
    XT_FAILS(mu_slurm_gres_parse(&g, mu_str("gpu:h100:many"), &err), MU_EFORMAT, "without a count");
    XT_FAILS(mu_slurm_gres_parse(&g, mu_str("gpu:99999999"), &err), MU_EFORMAT, "without a count");
}

/* ---- nodes and partitions: printed by Slurm 22.05.8 ---- */

#define NODE(name, gres, state, cpus)                                                                                  \
    "NodeName=" name " Arch=x86_64 CoresPerSocket=8 CPUAlloc=0 CPUEfctv=16 CPUTot=" cpus " CPULoad=0.52 "              \
    "AvailableFeatures=nvlink,h100 ActiveFeatures=nvlink,h100 Gres=" gres                                              \
    " NodeAddr=127.0.0.1 NodeHostName=localhost "                                                                      \
    "Port=17101 Version=22.05.8 OS=Linux 6.1.0 #1 SMP RealMemory=20000 AllocMem=0 FreeMem=18000 Sockets=2 "            \
    "Boards=1 State=" state " ThreadsPerCore=1 TmpDisk=0 Weight=1 Owner=N/A MCS_label=N/A Partitions=low,high "        \
    "BootTime=2026-11-21T10:00:00 SlurmdStartTime=2026-11-21T14:00:00 LastBusyTime=2026-11-21T14:00:00 "               \
    "CfgTRES=cpu=16,mem=20000M,billing=16 AllocTRES= CapWatts=n/a CurrentWatts=0 AveWatts=0 ExtSensorsJoules=n/s "     \
    "ExtSensorsWatts=0 ExtSensorsTemp=n/s Reason=see State=DOWN Gres=gpu:x:1 [root@2026-11-21T14:00:00]\n"

static struct mu_slurm_cluster nodes(const char *text)
{
    struct mu_slurm_cluster c = MU_SLURM_CLUSTER_INIT;
    XT_OK(mu_slurm_nodes_parse(&c, mu_str(text), &err));
    return c;
}

/* What people wrote into Reason counts for nothing. */
XT_TEST(nodes_as_scontrol_prints_them)
{
    struct mu_slurm_cluster c = nodes(NODE("node1", "gpu:h100:8(S:0-1)", "IDLE", "16") NODE(
        "node2", "gpu:h100:8", "MIXED+DRAIN", "16") NODE("node3", "(null)", "ALLOCATED", "32"));
    XT_EQ(c.n_nodes, 3);
    XT_STREQ(c.nodes[0].name, "node1");
    XT_CHECK(c.nodes[0].is_usable && !c.nodes[1].is_usable && c.nodes[2].is_usable);
    XT_EQ(c.nodes[0].cpus, 16);
    XT_EQ(c.nodes[0].memory_mib, 20000);
    XT_EQ(c.nodes[0].gpus.count, 8);
    XT_STREQ(c.nodes[0].gpus.kind, "h100");
    XT_STREQ(c.nodes[0].features, "nvlink,h100");
    XT_STREQ(c.nodes[0].partitions, "low,high");
    XT_EQ(c.nodes[2].gpus.count, 0);
    mu_slurm_cluster_fini(&c);
}

XT_TEST(states)
{
    static const struct {
        const char *state;
        bool is_usable;
    } cases[] = {{"IDLE", true},       {"ALLOCATED", true}, {"MIXED", true},       {"COMPLETING", true},
                 {"IDLE+CLOUD", true}, {"DOWN*", false},    {"IDLE+DRAIN", false}, {"IDLE*", false},
                 {"MAINT", false},     {"UNKNOWN", false},  {"IDLE+FAIL", false},  {"DOWN+DRAIN", false},
                 {"INVAL", false}};
    char line[256];
    for (size_t i = 0; i < MU_COUNT(cases); i++) {
        snprintf(line, sizeof line, "NodeName=n CPUTot=1 RealMemory=1 State=%s Partitions=p", cases[i].state);
        struct mu_slurm_cluster c = nodes(line);
        XT_CHECKF(c.nodes[0].is_usable == cases[i].is_usable, "%s", cases[i].state);
        mu_slurm_cluster_fini(&c);
    }
}

XT_TEST(lines_that_are_no_nodes)
{
    struct mu_slurm_cluster c = MU_SLURM_CLUSTER_INIT;
    XT_FAILS(mu_slurm_nodes_parse(&c, mu_str("No nodes in the system\n"), &err), MU_EFORMAT, "names no node");
    XT_FAILS(mu_slurm_nodes_parse(&c, mu_str("NodeName=a CPUTot=x\n"), &err), MU_EFORMAT, "no CPUTot");
    XT_FAILS(mu_slurm_nodes_parse(&c, mu_str("NodeName=a CPUTot=1 RealMemory=-5\n"), &err), MU_EFORMAT,
             "no RealMemory");
    XT_FAILS(mu_slurm_nodes_parse(&c, mu_str("NodeName=a CPUTot=1 RealMemory=5\n"), &err), MU_EFORMAT, "no State");
    mu_slurm_cluster_fini(&c);
}

XT_TEST(partitions_as_sinfo_prints_them)
{
    struct mu_slurm_cluster c = MU_SLURM_CLUSTER_INIT;
    XT_OK(mu_slurm_partitions_parse(&c,
                                    MU_STR("low|up|infinite|n/a|4|gpu:h100:8(S:0-1)|20000|16\n"
                                           "high|down|1-00:00:00|2:00:00|3|(null)|20000|16\n"
                                           "high|down|1-00:00:00|2:00:00|2|gpu:a100:4|20000|16\n"),
                                    &err));
    XT_EQ(c.n_partitions, 2);
    XT_CHECK(c.partitions[0].is_up && !c.partitions[1].is_up);
    XT_CHECK(c.partitions[0].time_max_s == MU_SLURM_UNLIMITED);
    XT_EQ(c.partitions[0].time_default_s, 0);
    XT_EQ(c.partitions[1].time_max_s, 86400);
    XT_EQ(c.partitions[1].time_default_s, 7200);
    XT_EQ(c.partitions[1].nodes, 5);
    XT_FAILS(mu_slurm_partitions_parse(&c, MU_STR("low|up|infinite\n"), &err), MU_EFORMAT, "columns");
    XT_FAILS(mu_slurm_partitions_parse(&c, MU_STR("a|up|1:00|n/a|1|g|1|1|more\n"), &err), MU_EFORMAT, "columns");
    XT_FAILS(mu_slurm_partitions_parse(&c, MU_STR("a|up|soon|n/a|1|g|1|1\n"), &err), MU_EFORMAT, "soon");
    mu_slurm_cluster_fini(&c);
}

#define SHORT(name, gres, state, features, cpus)                                                                       \
    "NodeName=" name " CPUTot=" cpus " ActiveFeatures=" features " Gres=" gres " RealMemory=1000 State=" state         \
    " Partitions=p\n"

/* Two alike of three with NVLink beat one, and a drained one does not count. */
XT_TEST(a_machine_out_of_nodes)
{
    struct mu_slurm_cluster c =
        nodes(SHORT("a", "gpu:a100:4", "IDLE", "nvlink", "64") SHORT("b", "gpu:h100:8", "IDLE", "nvlink", "96")
                  SHORT("c", "gpu:h100:8", "MIXED", "nvlink", "96") SHORT("d", "gpu:a100:4", "DRAIN", "nvlink", "64")
                      SHORT("e", "gpu:a100:4", "DOWN*", "nvlink", "64") SHORT("f", "(null)", "IDLE", "(null)", "96"));
    struct mu_machine m, preset;
    XT_OK(mu_slurm_machine(&m, &c, "p", "nvlink", &err));
    XT_OK(mu_machine_preset(&preset, "h100", &err));
    XT_EQ(m.nodes, 2);
    XT_EQ(m.devices, 8);
    XT_NEAR(m.device.memory, preset.device.memory, 0);
    XT_NEAR(m.host_memory, 1000.0 * 0x1p20, 0);
    XT_FAILS(mu_slurm_machine(&m, &c, "p", "nvlink,ib", &err), MU_ENOENT, "nvlink,ib");
    XT_FAILS(mu_slurm_machine(&m, &c, "q", NULL, &err), MU_ENOENT, "partition q");
    mu_slurm_cluster_fini(&c);
    c = nodes(SHORT("f", "(null)", "IDLE", "(null)", "96"));
    XT_OK(mu_slurm_machine(&m, &c, "p", NULL, &err));
    XT_CHECK(m.is_host);
    XT_NEAR(m.device.memory, 1000.0 * 0x1p20, 0);
    mu_slurm_cluster_fini(&c);
    c = nodes(SHORT("g", "gpu:4", "IDLE", "(null)", "96"));
    XT_FAILS(mu_slurm_machine(&m, &c, "p", NULL, &err), MU_EUNSUPPORTED, "no kind of the 4 GPUs of g");
    mu_slurm_cluster_fini(&c);
}

XT_TEST(a_profile_that_is_not_the_cluster)
{
    struct mu_site *s;
    char text[256];
    XT_OK(mu_site_parse(&s,
                        MU_STR("gres: {a100: \"gpu:a100\"}\npartitions: [{name: p, nodes: 2, cpus: 64, max_time: 2h, "
                               "machine: {gpus: {kind: a100, count: 4}}}]"),
                        "site", &err));
    struct mu_slurm_cluster c = nodes(SHORT("a", "gpu:a100:2", "IDLE", "x", "64"));
    XT_STREQ(mu_slurm_differs(text, &s->partition[0], &c), "Slurm has no partition p");
    XT_OK(mu_slurm_partitions_parse(&c, MU_STR("p|up|1:00:00|n/a|4|g|1000|64"), &err));
    XT_STREQ(mu_slurm_differs(text, &s->partition[0], &c),
             "no node of partition p has 64 cpus and 4 GPUs, as the profile says; one has 64 and 2");
    XT_OK(mu_slurm_nodes_parse(&c, MU_STR(SHORT("b", "gpu:a100:4", "IDLE", "x", "64")), &err));
    XT_STREQ(mu_slurm_differs(text, &s->partition[0], &c),
             "of the nodes of partition p 1 are as the profile says, which has 2");
    XT_OK(mu_slurm_nodes_parse(&c, MU_STR(SHORT("c", "gpu:a100:4", "IDLE", "x", "64")), &err));
    XT_STREQ(mu_slurm_differs(text, &s->partition[0], &c), "partition p allows 3600 s, and the profile says 7200");
    c.partitions[0].time_max_s = MU_SLURM_UNLIMITED;
    XT_STREQ(mu_slurm_differs(text, &s->partition[0], &c), "");
    mu_slurm_cluster_fini(&c);
    mu_site_free(s);
}

/* ---- the job one is in ---- */

static const char *const *variables;

static char *get(const char *name)
{
    for (const char *const *v = variables; *v; v += 2) {
        if (strcmp(v[0], name) == 0)
            return (char *)(uintptr_t)v[1];
    }
    return NULL;
}

XT_TEST(here)
{
    static const char *const in_a_job[] = {"SLURM_JOB_ID",
                                           "71",
                                           "SLURM_JOB_NODELIST",
                                           "node[1-2]",
                                           "SLURM_RESTART_COUNT",
                                           "3",
                                           "SLURM_ARRAY_TASK_ID",
                                           "5",
                                           "SLURM_JOB_END_TIME",
                                           "1000",
                                           "WORLD_SIZE",
                                           "64",
                                           NULL};
    static const char *const none[] = {"WORLD_SIZE", "64", "RANK", "1", NULL};
    static const char *const odd[] = {"SLURM_JOB_ID", "7x", NULL};
    struct mu_slurm_here h = MU_SLURM_HERE_INIT;
    variables = in_a_job;
    XT_OK(mu_slurm_here_read(&h, get, &err));
    XT_EQ(h.job, 71);
    XT_EQ(h.array, 5);
    XT_EQ(h.restarts, 3);
    XT_EQ(h.end_unix, 1000);
    XT_EQ(h.nodes.n, 2);
    mu_slurm_here_fini(&h);
    h = (struct mu_slurm_here)MU_SLURM_HERE_INIT;
    variables = none;
    XT_OK(mu_slurm_here_read(&h, get, &err));
    XT_EQ(h.job, 0);
    XT_EQ(h.array, -1);
    variables = odd;
    XT_FAILS(mu_slurm_here_read(&h, get, &err), MU_EFORMAT, "SLURM_JOB_ID is \"7x\"");
    mu_slurm_here_fini(&h);
}

XT_TEST(time_left)
{
    int64_t s;
    XT_OK(mu_slurm_time_left_parse(&s, MU_STR("1-02:03:04\n"), &err));
    XT_EQ(s, 86400 + 2 * 3600 + 3 * 60 + 4);
    XT_OK(mu_slurm_time_left_parse(&s, MU_STR("0:07\n"), &err));
    XT_EQ(s, 7);
    XT_OK(mu_slurm_time_left_parse(&s, MU_STR("UNLIMITED\n"), &err));
    XT_CHECK(s == MU_SLURM_UNLIMITED);
    XT_FAILS(mu_slurm_time_left_parse(&s, MU_STR("INVALID\n"), &err), MU_ENOENT, "no time");
    XT_FAILS(mu_slurm_time_left_parse(&s, MU_STR("\n"), &err), MU_ENOENT, "no time");
}

XT_MAIN()
