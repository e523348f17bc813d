/* test_drill_pattern.c - memory that is broken in the ways that memory breaks */
#include "cli/drill_pattern.h"

#include <stdlib.h>

#include "base/pool.h"
#include "xt.h"

#define N 100003 /* no multiple of a block */

static uint64_t *words;

/* Both ways written and checked with `harm` done in between; how many words were found bad, and the first. */
static int64_t found(void (*harm)(void), bool is_inverted, int64_t *first)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_pool *pool = NULL;
    XT_OK(mu_pool_open(&pool, &(struct mu_pool_opts){.n_threads = 3}, &err));
    words = calloc(N, sizeof *words);
    mu_pattern_write(pool, words, N, is_inverted);
    if (harm)
        harm();
    int64_t n = mu_pattern_check(pool, words, N, is_inverted, first);
    free(words);
    mu_pool_close(pool);
    return n;
}

static void stick_low(void) /* a bit that cannot be 1 */
{
    words[70000] &= ~(1ull << 41);
}

static void fall_together(void) /* an address line that does nothing: two places are one */
{
    words[12] = words[12 + 4096];
}

static void lose_two(void)
{
    words[N - 1] = 0;
    words[9000] ^= 1;
}

XT_TEST(good_memory_is_good)
{
    int64_t first;
    XT_EQ(found(NULL, false, &first), 0);
    XT_EQ(first, -1);
    XT_EQ(found(NULL, true, &first), 0);
}

XT_TEST(a_bit_that_sticks_is_found_one_way_or_the_other)
{
    int64_t first, other;
    int64_t n = found(stick_low, false, &first) + found(stick_low, true, &other);
    XT_EQ(n, 1);
    XT_EQ(first > other ? first : other, 70000);
}

XT_TEST(places_that_fall_together_are_found)
{
    int64_t first;
    XT_EQ(found(fall_together, false, &first), 1);
    XT_EQ(first, 12);
}

XT_TEST(all_are_counted_and_the_first_is_told)
{
    int64_t first;
    XT_EQ(found(lose_two, true, &first), 2);
    XT_EQ(first, 9000);
}

XT_MAIN()
