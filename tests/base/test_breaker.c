/* test_breaker.c - back-off and circuit breaker, on numbers alone */
#include "base/breaker.h"

#include "xt.h"

static const struct mu_backoff rest = {1000, 5000};

XT_TEST(back_off_doubles_to_its_most)
{
    const int64_t want[] = {0, 1000, 2000, 4000, 5000, 5000};
    for (int i = 0; i < 6; i++)
        XT_EQ(mu_backoff_ns(&rest, i), want[i]);
    XT_EQ(mu_backoff_ns(&rest, 1000000), 5000);
    const struct mu_backoff huge = {INT64_MAX / 3, INT64_MAX};
    XT_EQ(mu_backoff_ns(&huge, 9), INT64_MAX);
}

XT_TEST(jitter_leaves_out_a_random_half_and_follows_its_seed)
{
    int64_t least = INT64_MAX, most = 0;
    for (uint64_t seed = 1; seed < 500; seed++) {
        uint64_t a = seed, b = seed;
        int64_t wait = mu_backoff_jittered_ns(&rest, 2, &a);
        XT_EQ(wait, mu_backoff_jittered_ns(&rest, 2, &b));
        XT_CHECKF(wait >= 1000 && wait <= 2000, "seed %d waits %d", (int)seed, (int)wait);
        least = wait < least ? wait : least;
        most = wait > most ? wait : most;
    }
    XT_CHECKF(least < 1050 && most > 1950, "500 seeds wait from %d to %d only", (int)least, (int)most);
}

static struct mu_breaker new_breaker(int failures_max, uint64_t seed)
{
    const struct mu_breaker_rule rule = {failures_max, rest, 300};
    struct mu_breaker b;
    mu_breaker_init(&b, &rule, seed);
    return b;
}

XT_TEST(it_opens_after_failures_in_a_row_and_lets_one_trial_through)
{
    struct mu_breaker b = new_breaker(3, 0);
    mu_breaker_failed(&b, 0, false);
    mu_breaker_failed(&b, 0, false);
    mu_breaker_worked(&b); /* the row is broken */
    mu_breaker_failed(&b, 0, false);
    mu_breaker_failed(&b, 0, false);
    XT_CHECK(mu_breaker_admits(&b, 0) && mu_breaker_state(&b, 0) == MU_BREAKER_CLOSED);
    mu_breaker_failed(&b, 10, false);
    XT_CHECK(!mu_breaker_admits(&b, 11) && !mu_breaker_admits(&b, 1009));
    XT_EQ(mu_breaker_state(&b, 1009), MU_BREAKER_OPEN);
    XT_EQ(mu_breaker_wait_ns(&b, 1009), 1);
    XT_EQ(mu_breaker_state(&b, 1010), MU_BREAKER_HALF_OPEN);
    XT_CHECK(mu_breaker_admits(&b, 1010));
    XT_CHECK(!mu_breaker_admits(&b, 1010)); /* one only */
    mu_breaker_dropped(&b);                 /* it told nothing: another may go */
    XT_CHECK(mu_breaker_admits(&b, 1010));
    mu_breaker_worked(&b);
    XT_CHECK(mu_breaker_admits(&b, 1011) && mu_breaker_admits(&b, 1011));
    XT_STREQ(mu_breaker_state_name(mu_breaker_state(&b, 1011)), "closed");
}

XT_TEST(each_trial_that_fails_makes_the_next_rest_longer_up_to_the_most)
{
    struct mu_breaker b = new_breaker(1, 0);
    const int64_t want[] = {1000, 2000, 4000, 5000, 5000};
    int64_t now = 0;
    mu_breaker_failed(&b, now, false);
    for (int i = 0; i < 5; i++) {
        XT_EQ(mu_breaker_wait_ns(&b, now), want[i]);
        XT_CHECK(!mu_breaker_admits(&b, now + want[i] - 1));
        now += want[i];
        XT_CHECK(mu_breaker_admits(&b, now));
        mu_breaker_failed(&b, now, false);
    }
    now += 5000;
    XT_CHECK(mu_breaker_admits(&b, now));
    mu_breaker_worked(&b); /* and a good one makes it short again */
    mu_breaker_failed(&b, now, false);
    XT_EQ(mu_breaker_wait_ns(&b, now), 1000);
}

XT_TEST(failures_of_what_was_begun_before_prolong_nothing)
{
    struct mu_breaker b = new_breaker(2, 0);
    mu_breaker_failed(&b, 0, false);
    mu_breaker_failed(&b, 0, false);
    mu_breaker_failed(&b, 900, false);
    XT_CHECK(mu_breaker_admits(&b, 1000));
}

XT_TEST(a_trial_that_tells_nothing_fails_in_time)
{
    struct mu_breaker b = new_breaker(1, 0);
    mu_breaker_failed(&b, 0, false);
    XT_CHECK(mu_breaker_admits(&b, 1000));
    XT_EQ(mu_breaker_wait_ns(&b, 1100), 200);
    XT_CHECK(!mu_breaker_admits(&b, 1299));
    XT_CHECK(!mu_breaker_admits(&b, 1300)); /* failed: rests for 2000 */
    XT_CHECK(!mu_breaker_admits(&b, 3299));
    XT_CHECK(mu_breaker_admits(&b, 3300));
}

XT_TEST(a_failure_for_good_opens_at_once)
{
    struct mu_breaker b = new_breaker(3, 0);
    mu_breaker_failed(&b, 0, true);
    XT_CHECK(!mu_breaker_admits(&b, 1));
}

XT_TEST(seeded_rests_differ_and_stay_in_their_bounds)
{
    struct mu_breaker a = new_breaker(1, 7), b = new_breaker(1, 8);
    mu_breaker_failed(&a, 0, false);
    mu_breaker_failed(&b, 0, false);
    int64_t wait_a = mu_breaker_wait_ns(&a, 0), wait_b = mu_breaker_wait_ns(&b, 0);
    XT_CHECK(wait_a != wait_b);
    XT_CHECK(wait_a >= 500 && wait_a <= 1000 && wait_b >= 500 && wait_b <= 1000);
}

XT_MAIN()
