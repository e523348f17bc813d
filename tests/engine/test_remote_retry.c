/* test_remote_retry.c - back-off and Retry-After, without a network */
#include "xt.h"

#include "base/check.h"
#include "base/wire.h"
#include "engine/remote/retry.h"

#define MS 1000000ll

static const struct mu_retry_policy policy = {5, {100 * MS, 1000 * MS}, 5000 * MS, 60000 * MS};

XT_TEST(back_off_doubles_to_its_most_and_keeps_a_random_half)
{
    const int64_t whole[] = {100 * MS, 200 * MS, 400 * MS, 800 * MS};
    for (uint64_t seed = 1; seed < 50; seed++) {
        uint64_t random = seed;
        for (int i = 0; i < 4; i++) {
            int64_t wait = mu_retry_wait_ns(&policy, i + 1, 0, &random);
            XT_CHECKF(wait >= whole[i] / 2 && wait <= whole[i], "wait %d is %lld", i, (long long)wait);
        }
        XT_EQ(mu_retry_wait_ns(&policy, 5, 0, &random), -1);
    }
}

XT_TEST(back_off_never_passes_its_most)
{
    struct mu_retry_policy p = policy;
    uint64_t random = 3;
    p.attempts_max = 100;
    for (int i = 4; i < 99; i++)
        XT_CHECK(mu_retry_wait_ns(&p, i + 1, 0, &random) <= 1000 * MS);
}

XT_TEST(the_same_seed_waits_the_same_and_another_does_not)
{
    uint64_t a = 7, b = 7, c = 8;
    int n_same = 0;
    for (int i = 1; i < 5; i++) {
        int64_t wait = mu_retry_wait_ns(&policy, i, 0, &a);
        XT_EQ(wait, mu_retry_wait_ns(&policy, i, 0, &b));
        n_same += wait == mu_retry_wait_ns(&policy, i, 0, &c);
    }
    XT_EQ(n_same, 0);
}

XT_TEST(a_server_s_own_wait_is_kept_up_to_a_bound)
{
    uint64_t random = 1;
    XT_EQ(mu_retry_wait_ns(&policy, 1, 4000 * MS, &random), 4000 * MS);
    XT_CHECK(mu_retry_wait_ns(&policy, 1, 1 * MS, &random) >= 50 * MS);
    XT_EQ(mu_retry_wait_ns(&policy, 1, 5001 * MS, &random), -1);
}

XT_TEST(statuses_fall_into_four_classes)
{
    static const struct {
        int status;
        enum mu_verdict want;
    } cases[] = {{200, MU_VERDICT_GOOD},     {400, MU_VERDICT_REFUSED},  {401, MU_VERDICT_ENDPOINT},
                 {302, MU_VERDICT_ENDPOINT}, {404, MU_VERDICT_ENDPOINT}, {408, MU_VERDICT_RETRY},
                 {413, MU_VERDICT_REFUSED},  {422, MU_VERDICT_REFUSED},  {429, MU_VERDICT_RETRY},
                 {500, MU_VERDICT_RETRY},    {501, MU_VERDICT_REFUSED},  {503, MU_VERDICT_RETRY},
                 {204, MU_VERDICT_ENDPOINT}, {0, MU_VERDICT_ENDPOINT}};
    for (size_t i = 0; i < MU_COUNT(cases); i++)
        XT_CHECKF(mu_verdict_of_status(cases[i].status) == cases[i].want, "status %d", cases[i].status);
}
