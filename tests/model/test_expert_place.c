/* test_expert_place.c - placing experts by load: rules that any answer must keep, and answers worked out by hand */
#include "base/check.h"
#include "model/expert_place.h"
#include "xt.h"

static struct mu_expert_place place; /* too large for a stack */

struct sums {
    double rank[64], heaviest, mean, largest_copy;
    int used[64], copies[MU_EXPERTS_MAX];
    bool has_twice; /* a rank two copies of one expert */
};

/* Adds the answer up and checks what it must keep. */
static struct sums add_up(const double *load, int n, int ranks, int room)
{
    struct sums s = {0};
    XT_EQ(place.n_copies, ranks * room);
    for (int i = 0; i < place.n_copies; i++)
        s.copies[place.expert[i]]++;
    for (int i = 0; i < place.n_copies; i++) {
        double share = load[place.expert[i]] / s.copies[place.expert[i]];
        XT_CHECK(i == 0 || place.expert[i] >= place.expert[i - 1]);
        s.rank[place.rank[i]] += share;
        s.used[place.rank[i]]++;
        s.largest_copy = fmax(s.largest_copy, share);
        s.mean += share / ranks;
        for (int k = i + 1; k < place.n_copies; k++)
            s.has_twice |= place.expert[k] == place.expert[i] && place.rank[k] == place.rank[i];
    }
    for (int x = 0; x < n; x++)
        XT_CHECK(s.copies[x] > 0);
    for (int r = 0; r < ranks; r++) {
        XT_EQ(s.used[r], room);
        s.heaviest = fmax(s.heaviest, s.rank[r]);
    }
    return s;
}

XT_TEST(heaviest_rank_is_bounded)
{
    uint64_t seed = 3;
    for (int trial = 0; trial < 400; trial++) {
        struct mu_err err = MU_ERR_INIT;
        int ranks = 1 + (int)(xt_rand(&seed) % 16), n = 1 + (int)(xt_rand(&seed) % 64);
        int room = (n + ranks - 1) / ranks + (int)(xt_rand(&seed) % 3);
        double load[64];
        for (int x = 0; x < n; x++)
            load[x] = trial % 3 ? exp(4 * (double)xt_randf(&seed)) : (double)(xt_rand(&seed) % 5);
        XT_OK(mu_expert_place(&place, load, n, ranks, room, &err));
        struct sums s = add_up(load, n, ranks, room);
        XT_CHECK(!s.has_twice || room > n);
        XT_CHECKF(s.heaviest <= s.mean + s.largest_copy + 1e-9, "trial %d: %g, mean %g, largest %g", trial, s.heaviest,
                  s.mean, s.largest_copy);
    }
}

XT_TEST(equal_loads_are_shared_evenly)
{
    struct mu_err err = MU_ERR_INIT;
    double load[256];
    for (int x = 0; x < 256; x++)
        load[x] = 2;
    XT_OK(mu_expert_place(&place, load, 256, 32, 8, &err));
    struct sums s = add_up(load, 256, 32, 8);
    XT_NEAR(s.heaviest, s.mean, 1e-9);
}

XT_TEST(hot_experts_get_the_copies)
{
    struct mu_err err = MU_ERR_INIT;
    const double load[4] = {1, 12, 1, 2}; /* two more places: 12 becomes 6 + 6, then 4 + 4 + 4 */
    XT_OK(mu_expert_place(&place, load, 4, 3, 2, &err));
    struct sums s = add_up(load, 4, 3, 2);
    XT_EQ(s.copies[1], 3);
    XT_EQ(place.rank[1] + place.rank[2] + place.rank[3], 0 + 1 + 2); /* one on each rank */
    XT_NEAR(s.heaviest, 6, 1e-12);                                   /* 4 with 2, 4 with 1, 4 with 1 */
}

XT_TEST(the_heaviest_go_first)
{
    struct mu_err err = MU_ERR_INIT;
    const double load[6] = {7, 6, 5, 4, 3, 2};
    static const int want[6] = {0, 1, 2, 2, 1, 0};
    XT_OK(mu_expert_place(&place, load, 6, 3, 2, &err));
    for (int i = 0; i < 6; i++)
        XT_EQ(place.rank[i], want[i]);
}

XT_TEST(what_cannot_be_placed_is_refused)
{
    struct mu_err err = MU_ERR_INIT;
    double load[2] = {1, 1};
    XT_FAILS(mu_expert_place(&place, load, 2, 1, 1, &err), MU_EINVAL, "2 experts on 1 ranks with room for 1");
    XT_FAILS(mu_expert_place(&place, load, 2, 0, 1, &err), MU_EINVAL, "0 ranks");
    XT_FAILS(mu_expert_place(&place, load, 2, 1 << 20, 1 << 12, &err), MU_EINVAL, "at most 4096 places");
    load[1] = NAN;
    XT_FAILS(mu_expert_place(&place, load, 2, 1, 2, &err), MU_EINVAL, "expert 1 is nan");
    load[1] = -1;
    XT_FAILS(mu_expert_place(&place, load, 2, 1, 2, &err), MU_EINVAL, "expert 1 is -1");
}

XT_MAIN()
