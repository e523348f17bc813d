/* test_machine.c - kinds against published numbers, cluster files and their contradictions, discovery from pictures of
 * real machines */
#include "xt.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/gpus.h"
#include "base/mem.h"
#include "base/yaml.h"
#include "plan/machine.h"

XT_TEST(a_curve_is_linear_in_the_logarithm)
{
    struct mu_curve c = {3, {1e6, 1e8, 1e9}, {0.2, 0.6, 0.9}};
    XT_NEAR(mu_curve_at(&c, 1), 0.2, 1e-12);
    XT_NEAR(mu_curve_at(&c, 1e6), 0.2, 1e-12);
    XT_NEAR(mu_curve_at(&c, 1e7), 0.4, 1e-12);
    XT_NEAR(mu_curve_at(&c, 1e8), 0.6, 1e-12);
    XT_NEAR(mu_curve_at(&c, 1e12), 0.9, 1e-12);
    c.n = 0;
    XT_NEAR(mu_curve_at(&c, 5), 1, 0);
}

/* ---- kinds ---- */

XT_TEST(every_kind_is_a_machine)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_machine m;
    int n = 0;
    for (const char *const *name = mu_machine_preset_names(); *name; name++, n++) {
        XT_OK(mu_machine_preset(&m, *name, &err));
        XT_OK(mu_machine_check(&m, *name, &err));
        XT_CHECK(m.device.flops[MU_RATE_BF16] > m.device.flops[MU_RATE_F32]);
        XT_CHECK(m.between.rate < m.inside.rate);
        XT_STREQ(m.name, *name);
    }
    XT_CHECK(n >= 16);
    XT_OK(mu_machine_preset(&m, "a100-80", &err));
    XT_FAILS(mu_machine_preset(&m, "h10", &err), MU_ENOENT, "did you mean h100");
    XT_FAILS(mu_machine_preset(&m, "abacus", &err), MU_ENOENT, "known are a100");
}

/* By what NVIDIA's data sheets state, not by the table. */
XT_TEST(kinds_have_the_numbers_of_their_data_sheets)
{
    static const struct {
        const char *name;
        double gb, memory_gb_s, bf16, link_gb_s;
    } want[] = {{"a100", 80, 2039, 312, 300},     {"a100-40", 40, 1555, 312, 300}, {"h100", 80, 3350, 989, 450},
                {"h100-pcie", 80, 2000, 756, 64}, {"h200", 141, 4800, 989, 450},   {"b200", 192, 8000, 2250, 900}};
    for (size_t i = 0; i < MU_COUNT(want); i++) {
        struct mu_err err = MU_ERR_INIT;
        struct mu_machine m;
        XT_OK(mu_machine_preset(&m, want[i].name, &err));
        XT_CHECK(fabs(m.device.memory / (want[i].gb * 1e9) - 1) < 0.08); /* GB or GiB: makers are not of one mind */
        XT_NEAR(m.device.memory_rate, want[i].memory_gb_s * 1e9, 1e6);
        XT_NEAR(m.device.flops[MU_RATE_BF16], want[i].bf16 * 1e12, 1e12);
        XT_NEAR(m.inside.rate, want[i].link_gb_s * 1e9, 1);
    }
}

XT_TEST(links_reach_what_nccl_says)
{
    struct mu_err err = MU_ERR_INIT;
    json_t *all = NULL, *per_link, *links;
    XT_OK(mu_json_load(&all, xt_data("planner/published-runs.json"), &err));
    json_t *nccl = json_object_get(json_object_get(all, "constants"), "nccl_link_GBps");
    per_link = json_object_get(nccl, "nvlink_per_link");
    links = json_object_get(nccl, "links");
    static const char *const kinds[][3] = {
        {"v100", "SM70", "V100"}, {"a100", "SM80", "A100"}, {"h100", "SM90", "H100"}, {"b200", "SM100", "B200"}};
    for (size_t i = 0; i < MU_COUNT(kinds); i++) {
        struct mu_machine m;
        XT_OK(mu_machine_preset(&m, kinds[i][0], &err));
        double want = json_number_value(json_object_get(per_link, kinds[i][1])) *
                      json_number_value(json_object_get(links, kinds[i][2])) * 1e9;
        XT_NEAR(m.inside.rate * mu_curve_at(&m.inside.reached, 1e9), want, 1e-6 * want);
    }
    json_decref(all);
}

XT_TEST(drivers_names_are_known)
{
    XT_STREQ(mu_machine_preset_of("NVIDIA A100-SXM4-80GB"), "a100");
    XT_STREQ(mu_machine_preset_of("NVIDIA A100-SXM4-40GB"), "a100-40");
    XT_STREQ(mu_machine_preset_of("NVIDIA A100 80GB PCIe"), "a100-pcie");
    XT_STREQ(mu_machine_preset_of("NVIDIA A100-PCIE-40GB"), "a100-pcie-40");
    XT_STREQ(mu_machine_preset_of("NVIDIA H100 80GB HBM3"), "h100");
    XT_STREQ(mu_machine_preset_of("NVIDIA H100 PCIe"), "h100-pcie");
    XT_STREQ(mu_machine_preset_of("NVIDIA H200"), "h200");
    XT_STREQ(mu_machine_preset_of("NVIDIA B200"), "b200");
    XT_STREQ(mu_machine_preset_of("Tesla V100-SXM2-16GB"), "v100-16");
    XT_CHECK(mu_machine_preset_of("GeForce 256") == NULL);
    XT_CHECK(mu_machine_preset_of("") == NULL);
}

XT_TEST(a_hosts_ranks_share_what_it_has)
{
    struct mu_machine m;
    struct mu_err err = MU_ERR_INIT;
    mu_machine_host(&m, 64e9, 20e9, 1e12, 4);
    XT_OK(mu_machine_check(&m, "host", &err));
    XT_EQ(m.devices, 4);
    XT_NEAR(m.device.memory, 16e9, 1);
    XT_NEAR(m.device.flops[MU_RATE_F32], 0.25e12, 1);
    mu_machine_resize(&m, 1, 2);
    XT_NEAR(m.device.memory, 32e9, 1);
    XT_NEAR(m.device.memory_rate, 10e9, 1);
    XT_OK(mu_machine_preset(&m, "h100", &err));
    mu_machine_resize(&m, 3, 4);
    XT_CHECK(m.nodes == 3 && m.devices == 4);
    XT_NEAR(m.device.memory_rate, 3.35e12, 1);
}

/* ---- files ---- */

static int read_text(struct mu_machine *m, const char *text, struct mu_err *e)
{
    struct mu_yaml *y = NULL;
    MU_TRY_RETURN(mu_yaml_parse(&y, mu_str(text), "site.yaml", e));
    int rc = mu_machine_from_yaml(m, y, "site.yaml", e);
    mu_yaml_free(y);
    return rc;
}

static const char whole[] = "name: site\n"
                            "nodes: [n1, n2, n3, n4]\n"
                            "devices: 32\n"
                            "gpus:\n"
                            "  kind: h100\n"
                            "  count: 8\n"
                            "  memory: 80GB\n"
                            "links: {kind: nvlink, count: 18, link_rate: 25GB/s, latency: 2us}\n"
                            "network:\n"
                            "  cards: 4\n"
                            "  card_rate: 200Gb/s\n"
                            "  latency: 5us\n"
                            "storage: {rate: 2GB/s, total: 6GB/s}\n"
                            "host: {memory: 2TiB}\n";

XT_TEST(a_file_says_what_its_kind_does_not)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_machine m;
    XT_OK(read_text(&m, whole, &err));
    XT_STREQ(m.name, "site");
    XT_CHECK(m.nodes == 4 && m.devices == 8);
    XT_NEAR(m.device.memory, 80e9, 1);
    XT_NEAR(m.device.memory_rate, 3.35e12, 1);
    XT_NEAR(m.inside.rate, 450e9, 1);
    XT_NEAR(m.inside.latency_s, 2e-6, 1e-15);
    XT_NEAR(m.between.rate, 4 * 25e9 / 8, 1); /* four cards of 25 GB/s for eight GPUs */
    XT_NEAR(m.storage_rate, 2e9, 1);
    XT_NEAR(m.storage_total, 6e9, 1);
    XT_NEAR(m.host_memory, 2.0 * 1024 * 1024 * 1024 * 1024, 1);
}

XT_TEST(a_machine_without_a_kind)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_machine m;
    XT_OK(read_text(&m,
                    "gpus: {name: GH9, memory: 96GiB, memory_rate: 4e12, bf16: 900TFLOPS, launch: 3us,\n"
                    "       product: [[1e9, 0.5], [1e12, 0.9]], copy: [[1MB, 0.25], [1GB, 0.75]]}\n",
                    &err));
    XT_CHECK(m.nodes == 1 && m.devices == 1);
    XT_STREQ(m.device.name, "GH9");
    XT_NEAR(m.device.memory, 96.0 * 1024 * 1024 * 1024, 1);
    XT_NEAR(m.device.memory_rate, 4e12, 1);
    XT_NEAR(m.device.flops[MU_RATE_BF16], 900e12, 1);
    XT_NEAR(m.device.launch_s, 3e-6, 1e-15);
    XT_NEAR(mu_curve_at(&m.device.product, 1e9), 0.5, 1e-12);
    XT_NEAR(mu_curve_at(&m.device.copy, 1e6), 0.25, 1e-12);
    XT_NEAR(mu_curve_at(&m.device.copy, 1e9), 0.75, 1e-12);
}

/* Two cores that read 3/2 of what one reads: by hand. */
XT_TEST(ranks_with_fewer_threads_get_what_their_cores_reach)
{
    struct mu_machine all, m;
    mu_machine_host(&all, 64e9, 12e9, 1e12, 1);
    all.host_cores = 2;
    all.reading = (struct mu_curve){2, {1, 2}, {2 / 3.0, 1}};
    all.inside.latency_s = 1e-6;
    all.inside.crowded_s = 9e-6;
    static const struct {
        int ranks, threads;
        double flops, rate, latency;
    } cases[] = {{1, 2, 1e12, 12e9, 1e-6},
                 {1, 1, 0.5e12, 8e9, 1e-6},
                 {2, 1, 0.5e12, 6e9, 1e-6},
                 {4, 1, 0.25e12, 3e9, 9e-6},
                 {2, 2, 0.5e12, 6e9, 9e-6}};
    for (size_t i = 0; i < MU_COUNT(cases); i++) {
        m = all;
        mu_machine_share(&m, 1, cases[i].ranks, cases[i].threads);
        XT_EQ(m.devices, cases[i].ranks);
        XT_NEAR(m.device.flops[MU_RATE_F32], cases[i].flops, 1);
        XT_NEAR(m.device.memory_rate, cases[i].rate, 1);
        XT_NEAR(m.inside.latency_s, cases[i].latency, 1e-12);
        XT_NEAR(m.device.launch_s, cases[i].threads == 1 ? 0 : all.device.launch_s, 1e-12);
        XT_NEAR(m.device.memory, 64e9 / cases[i].ranks, 1);
    }
    all.host_cores = 0; /* not known: all cores, whatever the threads */
    mu_machine_share(&all, 1, 2, 1);
    XT_NEAR(all.device.memory_rate, 6e9, 1);
}

XT_TEST(a_guessed_machine_can_be_planned_for)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_machine m;
    mu_machine_guess(&m, 16e9, 8);
    XT_OK(mu_machine_check(&m, "guess", &err));
    XT_CHECK(m.is_host && m.host_cores == 8 && m.devices == 1);
    mu_machine_share(&m, 1, 4, 2);
    XT_OK(mu_machine_check(&m, "guess", &err));
}

XT_TEST(a_machine_is_written_as_it_is_read)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_machine m, again;
    XT_OK(mu_machine_preset(&m, "b200", &err));
    m.nodes = 3;
    json_t *tree = mu_machine_json(&m);
    XT_CHECK(tree != NULL);
    XT_OK(mu_machine_from_tree(&again, tree, "again", &err));
    json_decref(tree);
    XT_CHECK(memcmp(&m, &again, sizeof m) == 0);
    mu_machine_host(&m, 64e9, 20e9, 1e12, 2);
    m.host_cores = 2;
    m.reading = (struct mu_curve){2, {1, 2}, {0.75, 1}};
    m.inside.crowded_s = 5e-5;
    tree = mu_machine_json(&m);
    XT_OK(mu_machine_from_tree(&again, tree, "again", &err));
    json_decref(tree);
    XT_CHECK(memcmp(&m, &again, sizeof m) == 0);
}

/* What is said twice and differently: both values, both lines. */
XT_TEST(contradictions_name_both_values_and_lines)
{
    static const struct {
        const char *text, *a, *b;
    } cases[] = {
        {"nodes: 4\ndevices: 30\ngpus:\n  kind: h100\n  count: 8\n", "devices is 30, line 2",
         "4 nodes of 8 make 32, line 5"},
        {"nodes: [a, b]\ndevices: 24\ngpus: {kind: h100, count: 8}\n", "devices is 24, line 2", "2 nodes of 8 make 16"},
        {"gpus:\n  kind: a100-40\n  memory: 80GB\n", "gpus.kind is a100-40 with 40.0 GiB, line 2",
         "gpus.memory is 74.5 GiB, line 3"},
        {"gpus: {kind: h100}\nlinks:\n  rate: 900GB/s\n  count: 18\n  link_rate: 25GB/s\n",
         "links.rate is 900 GB/s, line 3", "18 of 25 GB/s make 450 GB/s a device, line 5"},
        {"nodes: 2\ngpus: {kind: h100, count: 8}\nnetwork:\n  cards: 8\n  card_rate: 400Gb/s\n  rate: 25GB/s\n",
         "network.rate is 25 GB/s, line 6", "8 of 50 GB/s make 50 GB/s a device, line 5"},
        {"gpus: {kind: h100}\nstorage:\n  rate: 10GB/s\n  total: 5GB/s\n",
         "storage.rate of one node is 10 GB/s, line 3", "storage.total of all is 5 GB/s, line 4"},
    };
    for (size_t i = 0; i < MU_COUNT(cases); i++) {
        struct mu_err err = MU_ERR_INIT;
        struct mu_machine m;
        XT_FAILS(read_text(&m, cases[i].text, &err), MU_EFORMAT, "site.yaml contradicts itself");
        XT_CHECKF(strstr(err.text, cases[i].a) && strstr(err.text, cases[i].b), "%s lacks \"%s\" or \"%s\"", err.text,
                  cases[i].a, cases[i].b);
    }
}

XT_TEST(what_a_file_gets_wrong_is_named_with_its_line)
{
    static const struct {
        const char *text, *part;
    } cases[] = {
        {"[1, 2]\n", "a mapping with nodes, gpus"},
        {"nodes: 2\n", "\"gpus\" is missing"},
        {"gpus: {kind: h100}\nnode: 2\n", "line 2: there is no key \"node\"; did you mean \"nodes\"?"},
        {"gpus:\n  kind: h100\n  memmory: 80GB\n",
         "line 3: there is no key \"memmory\" in gpus; did you mean \"memory\"?"},
        {"gpus: h100\n", "line 1: gpus must be a mapping"},
        {"gpus: {kind: h300}\n", "line 1: gpus.kind: there is no machine \"h300\"; did you mean h"},
        {"gpus: {kind: h100, count: 100}\n", "gpus.count must be a whole number from 1 to 64"},
        {"gpus: {kind: h100, count: 0}\n", "gpus.count must be a whole number from 1 to 64"},
        {"gpus: {kind: h100}\nnodes: many\n", "line 2: nodes must be a whole number"},
        {"gpus: {kind: h100}\nnodes: [1, 2]\n", "nodes is a number, or a list of names"},
        {"gpus: {kind: h100}\nlinks: {rate: 25 apples}\n", "links.rate is 25 apples; a quantity such as 450GB/s"},
        {"gpus: {kind: h100}\nlinks: {rate: -1}\n", "must be above 0"},
        {"gpus: {memory: 80GB, memory_rate: 2TB/s}\n", "without f32 and bf16 rates"},
        {"gpus: {bf16: 1TFLOPS, memory_rate: 2TB/s}\n", "both must be above 0"},
        {"gpus: {kind: h100, product: [[1e9, 0.5], [1e8, 0.9]]}\n", "sizes must be above 0 and increase"},
        {"gpus: {kind: h100, copy: [[1e9]]}\n", "points such as [1MB, 0.6]"},
        {"nodes: 2\ngpus: {memory: 8GB, memory_rate: 1TB/s, bf16: 1TFLOPS}\nlinks: {rate: 1GB/s}\n",
         "no network between them"},
        {"gpus: {kind: h100}\nhost: {is_device: 3}\n", "true or false"},
    };
    for (size_t i = 0; i < MU_COUNT(cases); i++) {
        struct mu_err err = MU_ERR_INIT;
        struct mu_machine m;
        XT_FAILS(read_text(&m, cases[i].text, &err), MU_EFORMAT, cases[i].part);
        XT_CHECK(strstr(err.text, "site.yaml") != NULL);
    }
}

static int read_whole(void *arg, struct mu_err *e)
{
    struct mu_machine m;
    (void)arg;
    return read_text(&m, whole, e);
}

XT_TEST(reading_survives_every_failed_allocation)
{
    xt_each_alloc_fails(read_whole, NULL);
}

/* ---- discovery ---- */

static void discover(struct mu_gpus *g, const char *file)
{
    struct mu_err err = MU_ERR_INIT;
    char path[128];
    snprintf(path, sizeof path, "topologies/hwloc/%s", file);
    setenv("HWLOC_XMLFILE", xt_data(path), 1);
    setenv("HWLOC_HIDE_ERRORS", "2", 1);
    int rc = mu_gpus_discover(g, &err);
    unsetenv("HWLOC_XMLFILE");
    XT_CHECKF(rc == MU_OK, "%s: %s", file, err.text);
}

/* The machines as their owners describe them: SOURCES.md beside the files. Links: 6 of 25 GB/s to NVSwitches on a
 * DGX-2; a Lassen file has no matrix. */
XT_TEST(pictures_of_real_machines)
{
    static const struct {
        const char *file, *name, *link;
        int n, cards;
        double rate;
    } want[] = {
        {"nvidia-dgx2.xml", "", "nvlink", 16, -1, 150e9},
        {"llnl-coral-lassen.xml", "Tesla V100-SXM2-16GB", "", 4, 4, 0},
        {"llnl-cts1-pascal.xml", "Tesla P100-PCIE-16GB", "", 2, 1, 0},
        {"llnl-g4dnmetal.xml", "Tesla T4", "", 8, 1, 0},
        {"llnl-eas-tioga.xml", "AMD INSTINCT MI200 (MCM) OAM LC MBA HPE C2", "xgmi", 8, -1, -1},
        {"llnl-epyc-corona-p2.xml", "deon Instinct MI50 32GB", "", 8, 1, 0},
        {"power8-4xp100.xml", "", "nvlink", 4, -1, -1},
    };
    for (size_t i = 0; i < MU_COUNT(want); i++) {
        struct mu_gpus g;
        discover(&g, want[i].file);
        xt_note("%s: %d x \"%s\", %s %.1f GB/s, %d cards; %s", want[i].file, g.n, g.gpu[0].name, g.link,
                g.link_rate * 1e-9, g.fabric_cards, g.how);
        XT_EQ(g.n, want[i].n);
        if (want[i].name[0])
            XT_STREQ(g.gpu[0].name, want[i].name);
        XT_STREQ(g.link, want[i].link);
        if (want[i].cards >= 0)
            XT_EQ(g.fabric_cards, want[i].cards);
        if (want[i].rate >= 0)
            XT_NEAR(g.link_rate, want[i].rate, 1);
        XT_CHECK(strstr(g.how, "NVML was not asked") != NULL);
    }
}

XT_TEST(this_machine_answers_without_gpus_too)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_gpus g;
    XT_OK(mu_gpus_discover(&g, &err));
    XT_CHECK(g.n >= 0 && g.n <= MU_GPUS_MAX && g.how[0]);
    xt_note("%d GPUs by %s", g.n, g.how);
}

XT_TEST(a_picture_that_is_none_is_an_error)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_gpus g;
    setenv("HWLOC_HIDE_ERRORS", "2", 1);
    setenv("HWLOC_XMLFILE", "/does/not/exist.xml", 1);
    int rc = mu_gpus_discover(&g, &err);
    unsetenv("HWLOC_XMLFILE");
    XT_CHECKF(rc == MU_OK || (rc == MU_EIO && strstr(err.text, "exist.xml")), "%d %s", rc, err.text);
}

XT_MAIN()
