/* test_clock.c - the fake moves only when told, the real one moves */
#include "base/clock.h"

#include "xt.h"

XT_TEST(fake_time_is_ours)
{
    struct mu_clock c;
    mu_clock_fake_init(&c, 100);
    XT_EQ(mu_now_ns(&c), 100);
    mu_clock_fake_advance(&c, 5);
    XT_EQ(mu_now_ns(&c), 105);
}

XT_TEST(real_time_does_not_go_back)
{
    int64_t a = mu_now_ns(mu_clock_real());
    for (int i = 0; i < 1000; i++) {
        int64_t b = mu_now_ns(mu_clock_real());
        XT_CHECK(b >= a);
        a = b;
    }
}

XT_MAIN()
