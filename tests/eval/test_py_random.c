/* test_py_random.c - random.Random, bit for bit (values: CPython 3.11) */
#include "base/check.h"
#include "eval/py/random.h"
#include "xt.h"

XT_TEST(words_and_reals_follow_the_seed)
{
    struct mu_pyrandom r;
    mu_pyrandom_seed(&r, 1234);
    XT_CHECK(mu_pyrandom_real(&r) == 0.9664535356921388);
    XT_CHECK(mu_pyrandom_real(&r) == 0.4407325991753527);
    XT_CHECK(mu_pyrandom_real(&r) == 0.007491470058587191);
    mu_pyrandom_seed(&r, -1234); /* the sign is dropped */
    XT_EQ(mu_pyrandom_bits(&r, 32), 4150886329);
    XT_EQ(mu_pyrandom_u32(&r), 3342196574);
    mu_pyrandom_seed(&r, 0);
    XT_CHECK(mu_pyrandom_real(&r) == 0.8444218515250481);
    mu_pyrandom_seed(&r, 1234567890123456789);
    XT_CHECK(mu_pyrandom_real(&r) == 0.8540990887769795);
    mu_pyrandom_seed(&r, INT64_MIN);
    XT_CHECK(mu_pyrandom_real(&r) == 0.5534639983914199);
}

XT_TEST(bits_take_low_words_first)
{
    struct mu_pyrandom r;
    mu_pyrandom_seed(&r, 5);
    XT_EQ(mu_pyrandom_bits(&r, 1), 1);
    XT_EQ(mu_pyrandom_bits(&r, 33), 5392095289);
    XT_CHECK(mu_pyrandom_bits(&r, 64) == 14668732198480837564ull);
    XT_EQ(mu_pyrandom_below(&r, 1), 0);
    XT_EQ(mu_pyrandom_below(&r, 1000), 860);
    XT_EQ(mu_pyrandom_below(&r, 1ull << 40), 549512532852);
}

static void check_sample(struct mu_pyrandom *r, int64_t n, int64_t k, const int64_t *want)
{
    struct mu_err err = MU_ERR_INIT;
    int64_t got[64];
    XT_OK(mu_pyrandom_sample(r, n, k, got, &err));
    for (int64_t i = 0; i < k; i++)
        XT_CHECKF(got[i] == want[i], "sample %lld of %lld at %lld: %lld, not %lld", (long long)k, (long long)n,
                  (long long)i, (long long)got[i], (long long)want[i]);
}

XT_TEST(samples_are_cpythons_on_both_ways)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_pyrandom r;
    mu_pyrandom_seed(&r, 1234);
    check_sample(&r, 100, 5, (int64_t[]){99, 56, 14, 0, 11});
    check_sample(&r, 100, 5, (int64_t[]){74, 4, 85, 88, 10}); /* of the same stream */
    mu_pyrandom_seed(&r, 1234);
    check_sample(&r, 100, 6, (int64_t[]){99, 56, 14, 0, 11, 74});
    mu_pyrandom_seed(&r, 1234);
    check_sample(&r, 20, 5, (int64_t[]){14, 3, 0, 2, 1});
    mu_pyrandom_seed(&r, 9);
    check_sample(&r, 30, 30, (int64_t[]){14, 19, 11, 8,  4, 5,  21, 0, 10, 16, 29, 2,  23, 1,  12,
                                         18, 27, 7,  13, 6, 28, 9,  3, 22, 17, 20, 24, 26, 25, 15});
    check_sample(&r, 86, 16, (int64_t[]){37, 26, 28, 53, 11, 34, 50, 35, 43, 5, 25, 0, 52, 7, 48, 62});
    check_sample(&r, 1000000007, 40,
                 (int64_t[]){149403470, 25214851,  254190461, 456045372, 790524800, 973250995, 913466120, 120308766,
                             640858128, 4160345,   130172338, 820728678, 621374712, 212246916, 961324755, 915038903,
                             218026707, 354567483, 8861119,   958287973, 89661310,  143004576, 579573023, 985327206,
                             18752729,  537733545, 91092567,  615230595, 533372283, 577230333, 988837108, 212789273,
                             451086915, 73895118,  427494014, 206335055, 685817732, 821302659, 100306598, 752529441});
    check_sample(&r, 3, 0, NULL);
    int64_t one;
    XT_FAILS(mu_pyrandom_sample(&r, 3, 4, &one, &err), MU_EINVAL, "at most 3");
}

XT_TEST(shuffles_are_cpythons)
{
    static const int64_t want[] = {7, 5, 2, 8, 9, 6, 11, 3, 4, 0, 1, 10};
    struct mu_pyrandom r;
    int64_t v[12];
    for (int i = 0; i < 12; i++)
        v[i] = i;
    mu_pyrandom_seed(&r, 42);
    mu_pyrandom_shuffle(&r, v, 12);
    for (int i = 0; i < 12; i++)
        XT_EQ(v[i], want[i]);
}

XT_TEST(choices_are_cpythons)
{
    static const uint32_t want[] = {1, 8, 7, 2, 4, 4, 6, 7, 0, 0};
    struct mu_pyrandom r;
    uint32_t got[10];
    mu_pyrandom_seed(&r, 1);
    mu_pyrandom_choices(&r, 10, 10, got);
    for (int i = 0; i < 10; i++)
        XT_EQ(got[i], want[i]);
}

/* Blocks against one real at a time, from even and odd places of the state, for counts around a refill. */
XT_TEST(choices_in_blocks_are_choices_one_by_one)
{
    static const uint32_t sizes[] = {1, 2, 3, 10, 1000, 10007, 1u << 20, 0x7fffffff, 0x80000000u, 0xffffffffu};
    static uint32_t got[2000];
    struct mu_pyrandom fast, plain;
    uint64_t state = 3;
    mu_pyrandom_seed(&fast, 77);
    plain = fast;
    for (int round = 0; round < 300; round++) {
        uint32_t n = sizes[(size_t)round % MU_COUNT(sizes)];
        int64_t k = (int64_t)(xt_rand(&state) % 2000);
        if (xt_rand(&state) % 2) {
            XT_EQ(mu_pyrandom_u32(&fast), mu_pyrandom_u32(&plain));
        }
        mu_pyrandom_choices(&fast, n, k, got);
        for (int64_t i = 0; i < k; i++)
            XT_EQ(got[i], (uint32_t)(mu_pyrandom_real(&plain) * n));
        XT_EQ(fast.at % 624, plain.at % 624);
    }
}

static int sample_both_ways(void *arg, struct mu_err *e)
{
    struct mu_pyrandom r;
    int64_t out[20];
    (void)arg;
    mu_pyrandom_seed(&r, 1);
    MU_TRY_RETURN(mu_pyrandom_sample(&r, 20, 20, out, e));
    return mu_pyrandom_sample(&r, 1000, 20, out, e);
}

XT_TEST(no_memory_is_an_error_and_leaks_nothing)
{
    xt_each_alloc_fails(sample_both_ways, NULL);
}

XT_MAIN()
