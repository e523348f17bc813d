/* test_expert_table.c - copies numbered by rank and expert, the files of loads, and what is refused */
#include <stdio.h>

#include "base/check.h"
#include "base/file.h"
#include "base/mem.h"
#include "model/expert_table.h"
#include "xt.h"

/* Three layers: 8 experts, dense, 8 experts. */
static struct mu_layer_spec layers[3];

static struct mu_spec network(int n_experts)
{
    for (int i = 0; i < 3; i++)
        layers[i] = (struct mu_layer_spec){.mlp = i == 1 ? MU_MLP_GATED : MU_MLP_MOE,
                                           .moe = {.n_experts = i == 1 ? 0 : n_experts, .top_k = 2}};
    return (struct mu_spec){.n_layers = 3, .layers = layers};
}

static struct mu_shard part(const struct mu_expert_table *t, int tp, int lanes, int rank)
{
    return (struct mu_shard){
        .tp_size = tp, .n_lanes = lanes, .lane = rank / tp, .tp_rank = rank % tp, .layer_end = 3, .placed = t};
}

/* What any table must keep; counts how many copies each expert has. */
static void check_layer(const struct mu_expert_table *t, const struct mu_spec *s, int layer, int *copies)
{
    const struct mu_expert_layer *l = &t->layers[layer];
    int n = l->n_experts, room = l->n / t->n_ranks;

    memset(copies, 0, (size_t)n * sizeof *copies);
    for (int r = 0; r < t->n_ranks; r++) {
        struct mu_shard sh = part(t, 1, t->n_ranks, r);
        struct mu_run held = mu_experts_held(&sh, s, layer);
        XT_EQ(held.begin, r * room);
        XT_EQ(held.n, room);
        for (int i = 0; i < room; i++) {
            int x = mu_expert_of(l, held.begin + i);
            XT_CHECK(x >= 0 && x < n);
            XT_CHECK(i == 0 || x > mu_expert_of(l, held.begin + i - 1)); /* increasing: none twice */
            XT_EQ(mu_expert_place_held(&sh, s, layer, x), i);
            copies[x]++;
        }
        int held_n = 0;
        for (int x = 0; x < n; x++)
            held_n += mu_expert_place_held(&sh, s, layer, x) >= 0;
        XT_EQ(held_n, room);
    }
    for (int x = 0; x < n; x++) {
        XT_CHECK(copies[x] > 0);
        XT_EQ(mu_expert_copies(l, x), copies[x]);
        for (int i = 0; i < copies[x]; i++) {
            XT_EQ(mu_expert_of(l, mu_expert_copy(l, x, i)), x);
            XT_CHECK(i == 0 || mu_expert_copy(l, x, i) > mu_expert_copy(l, x, i - 1));
        }
    }
}

XT_TEST(copies_are_numbered_by_rank_and_expert)
{
    uint64_t seed = 11;
    for (int trial = 0; trial < 300; trial++) {
        struct mu_err err = MU_ERR_INIT;
        int n = 1 + (int)(xt_rand(&seed) % 20), ranks = 1 + (int)(xt_rand(&seed) % 9), copies[20];
        struct mu_spec s = network(n);
        struct mu_expert_loads loads;
        struct mu_expert_table *t;
        int least = (ranks - n % ranks) % ranks, redundant = least + ranks * (int)(xt_rand(&seed) % 4);
        if (redundant > n * (ranks - 1))
            continue;
        XT_OK(mu_expert_loads_new(&loads, &s, &err));
        for (int i = 0; i < 3 * n; i++)
            loads.rows[i] = trial % 4 == 0 ? 0 : (double)(xt_rand(&seed) % 3) * exp(4 * (double)xt_randf(&seed));
        XT_OK(mu_expert_table_make(&t, &s, &loads, redundant, ranks, &err));
        for (int i = 0; i < 3; i += 2)
            check_layer(t, &s, i, copies);
        XT_EQ(t->layers[1].n, 0);
        mu_expert_table_free(t);
        mu_expert_loads_fini(&loads);
    }
}

XT_TEST(layers_with_other_loads_have_other_places)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_spec s = network(4);
    struct mu_expert_loads loads;
    struct mu_expert_table *t;
    int copies[4];

    XT_OK(mu_expert_loads_new(&loads, &s, &err));
    memcpy(loads.rows, (double[]){9, 1, 1, 1}, 4 * sizeof(double));
    memcpy(loads.rows + 8, (double[]){1, 1, 1, 9}, 4 * sizeof(double));
    XT_OK(mu_expert_table_make(&t, &s, &loads, 2, 3, &err)); /* room for two on each of three */
    check_layer(t, &s, 0, copies);
    XT_EQ(copies[0], 3);
    check_layer(t, &s, 2, copies);
    XT_EQ(copies[3], 3);
    XT_EQ(copies[0], 1);
    mu_expert_table_free(t);
    mu_expert_loads_fini(&loads);
}

XT_TEST(without_loads_and_copies_blocks_stay)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_spec s = network(7);
    struct mu_expert_table *t;
    XT_OK(mu_expert_table_make(&t, &s, NULL, 0, 4, &err));
    XT_CHECK(t == NULL);
    for (int r = 0, at = 0; r < 4; r++) {
        struct mu_shard sh = part(NULL, 2, 2, r);
        struct mu_run held = mu_experts_held(&sh, &s, 0);
        XT_EQ(held.begin, at);
        at += (int)held.n;
        for (int x = 0; x < 7; x++)
            XT_EQ(mu_expert_place_held(&sh, &s, 0, x), x >= held.begin && x < at ? x - held.begin : -1);
    }
    XT_EQ(mu_experts_copies(NULL, &s, 0), 7);
    XT_EQ(mu_experts_copies(NULL, &s, 1), 0);
}

XT_TEST(uneven_room_is_refused_with_the_nearest)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_spec s = network(8), dense = network(8);
    struct mu_expert_loads loads = {0};
    struct mu_expert_table *t;

    XT_FAILS(mu_expert_table_make(&t, &s, NULL, 5, 4, &err), MU_EUSAGE, "over 4 ranks: take 4 or 8");
    XT_FAILS(mu_expert_table_make(&t, &s, NULL, 3, 5, &err), MU_EUSAGE, "8 experts and 3 redundant ones");
    XT_FAILS(mu_expert_table_make(&t, &s, NULL, 3, 5, &err), MU_EUSAGE, "take 2 or 7");
    XT_FAILS(mu_expert_table_make(&t, &s, NULL, 1, 5, &err), MU_EUSAGE, "over 5 ranks: take 2");
    XT_FAILS(mu_expert_table_make(&t, &s, NULL, 9, 2, &err), MU_EUSAGE, "at most 8");
    XT_FAILS(mu_expert_table_make(&t, &s, NULL, 1, 1, &err), MU_EUSAGE, "at most 0");
    XT_FAILS(mu_expert_table_make(&t, &s, NULL, -8, 2, &err), MU_EUSAGE, "-8 redundant experts");
    for (int i = 0; i < 3; i++)
        layers[i] = (struct mu_layer_spec){.mlp = MU_MLP_GATED};
    XT_FAILS(mu_expert_table_make(&t, &dense, NULL, 2, 2, &err), MU_EUSAGE, "no experts");
    XT_FAILS(mu_expert_table_make(&t, &dense, &loads, 0, 2, &err), MU_EUSAGE, "no experts");
}

static int make_and_free(void *arg, struct mu_err *e)
{
    struct mu_expert_table *t = NULL;
    int rc = mu_expert_table_make(&t, arg, NULL, 4, 4, e);
    mu_expert_table_free(t);
    return rc;
}

XT_TEST(no_memory_is_told)
{
    struct mu_spec s = network(8);
    xt_each_alloc_fails(make_and_free, &s);
}

/* Two ranks hold {0, 1} and {2, 3}: 6 rows of 8 on the first are 1.5 times the mean. */
XT_TEST(balance_is_the_fullest_over_the_mean)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_spec s = network(4);
    struct mu_shard sh = part(NULL, 2, 1, 0);
    struct mu_expert_balance b;
    struct mu_expert_table *t;
    int64_t rows[12] = {5, 1, 1, 1, 0, 0, 0, 0, 2, 2, 2, 2};

    mu_expert_balance_of(&b, &sh, &s, rows);
    XT_NEAR(b.worst, 1.5, 1e-12);
    XT_EQ(b.worst_layer, 0);
    XT_NEAR(b.mean, 1.25, 1e-12);
    XT_OK(mu_expert_table_make(&t, &s, NULL, 4, 2, &err)); /* every expert on both */
    sh.placed = t;
    mu_expert_balance_of(&b, &sh, &s, rows);
    XT_NEAR(b.worst, 1, 1e-12);
    mu_expert_table_free(t);
    memset(rows, 0, sizeof rows);
    sh.placed = NULL;
    mu_expert_balance_of(&b, &sh, &s, rows);
    XT_EQ(b.worst_layer, -1);
    XT_NEAR(b.mean, 1, 1e-12);
}

/* ---- files ---- */

XT_TEST(what_is_written_is_read)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_spec s = network(3);
    struct mu_expert_loads l;
    int64_t rows[9] = {5, 0, 12345678901, 0, 0, 0, 7, 8, 9};
    char path[512];

    snprintf(path, sizeof path, "%s/loads.json", xt_tmpdir());
    XT_OK(mu_expert_loads_write(path, &s, rows, "00ff", &err));
    XT_OK(mu_expert_loads_read(&l, path, &s, &err));
    for (int i = 0; i < 9; i++)
        XT_NEAR(l.rows[i], (double)rows[i], 0);
    XT_STREQ(l.weights_hash, "00ff");
    mu_expert_loads_fini(&l);
    XT_FAILS(mu_expert_loads_read(&l, "/no/such/loads.json", &s, &err), MU_ENOENT, "/no/such/loads.json");
}

#define HEAD "{\"muster\": \"expert loads\", \"version\": 1, \"weights\": \"x\", \"layers\": "

XT_TEST(files_of_another_shape_are_refused)
{
    static const struct {
        const char *text, *part;
    } cases[] = {
        {"", "loads"},
        {"[]", "loads"},
        {"{\"muster\": \"plan\"}", "holds \"plan\""},
        {"{\"muster\": \"expert loads\", \"version\": 2}", "version"},
        {HEAD "[]}", "none of layer 0"},
        {HEAD "[{\"layer\": 0, \"rows\": [1, 2]}]}", "none of layer 2"},
        {HEAD "[{\"layer\": 0, \"rows\": [1, 2, 3]}]}", "3 experts of layer 0 where this model has 2"},
        {HEAD "[{\"layer\": 1, \"rows\": [1, 2]}]}", "of layer 1 where this model has 2 in layer 0"},
        {HEAD "[{\"layer\": 0, \"rows\": [1, -2]}]}", "expert 1 of layer 0"},
        {HEAD "[{\"layer\": 0, \"rows\": [1, \"2\"]}]}", "expert 1 of layer 0"},
        {HEAD "[{\"layer\": 0, \"rows\": [1, 2]}, {\"layer\": 2, \"rows\": [1, 2]}, {}]}", "3 layers where"},
    };
    struct mu_spec s = network(2);
    for (size_t i = 0; i < MU_COUNT(cases); i++) {
        struct mu_err err = MU_ERR_INIT;
        struct mu_expert_loads l;
        XT_FAILS(mu_expert_loads_parse(&l, mu_str(cases[i].text), "loads", &s, &err), MU_EFORMAT, cases[i].part);
    }
}

XT_MAIN()
