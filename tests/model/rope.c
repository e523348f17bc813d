/* rope.c - rotary frequencies against values of transformers 5.23 (float32), and what depends on a request's length */
#include "base/check.h"
#include "model/rope_table.h"
#include "xt.h"

static struct mu_rope_spec plain(void)
{
    return (struct mu_rope_spec){
        .dim = 8, .theta = 10000, .attention_factor = 1, .factor = 4, .original_context = 64, .is_truncated = true};
}

static void check(const struct mu_rope_spec *r, int64_t length, const float *want)
{
    float f[4];
    mu_rope_frequencies(r, length, f);
    for (int i = 0; i < 4; i++)
        XT_NEAR(f[i], want[i], 2e-7 * want[i]);
}

XT_TEST(frequencies_are_the_reference_values)
{
    struct mu_rope_spec r = plain();
    check(&r, 0, (float[]){1.0f, 0.1f, 0.01f, 0.001f});
    r.scaling = MU_SCALE_LINEAR;
    check(&r, 0, (float[]){0.25f, 0.025f, 0.0025f, 0.00025f});
    r.scaling = MU_SCALE_DYNAMIC;
    check(&r, 64, (float[]){1.0f, 0.1f, 0.01f, 0.001f});
    check(&r, 100, (float[]){1.0f, 0.0675106421f, 0.00455768639f, 0.000307692302f});
    r.scaling = MU_SCALE_LLAMA3;
    r.low_freq_factor = 1;
    r.high_freq_factor = 4;
    check(&r, 0, (float[]){1.0f, 0.0254647899f, 0.00249999994f, 0.000250000012f});
    r.scaling = MU_SCALE_YARN;
    r.beta_fast = 32;
    r.beta_slow = 1;
    check(&r, 0, (float[]){1.0f, 0.0625f, 0.00249999994f, 0.000250000012f});
    r.is_truncated = false;
    check(&r, 0, (float[]){1.0f, 0.0255952496f, 0.00249999994f, 0.000250000012f});
    r.scaling = MU_SCALE_LONGROPE;
    for (int i = 0; i < 4; i++) {
        r.short_factor[i] = 1;
        r.long_factor[i] = (float)(i + 2);
    }
    check(&r, 64, (float[]){1.0f, 0.1f, 0.01f, 0.001f});
    check(&r, 65, (float[]){1.0f / 2, 0.1f / 3, 0.01f / 4, 0.001f / 5});
}

XT_TEST(rows_hold_cosines_then_sines)
{
    struct mu_rope_spec r = plain();
    float f[4], row[8];
    r.attention_factor = 2;
    mu_rope_frequencies(&r, 0, f);
    mu_rope_row(&r, f, 3, row);
    for (int i = 0; i < 4; i++) {
        XT_NEAR(row[i], 2 * cos(3.0 * f[i]), 1e-6);
        XT_NEAR(row[4 + i], 2 * sin(3.0 * f[i]), 1e-6);
    }
}

XT_TEST(classes_tell_who_may_share_keys)
{
    struct mu_rope_spec r = plain();
    XT_CHECK(!mu_rope_is_by_length(&r));
    XT_EQ(mu_rope_class(&r, 1000), 0);
    r.scaling = MU_SCALE_DYNAMIC;
    XT_CHECK(mu_rope_is_by_length(&r));
    XT_EQ(mu_rope_class(&r, 64), 0);
    XT_EQ(mu_rope_class(&r, 65), 65);
    r.scaling = MU_SCALE_LONGROPE;
    XT_CHECK(!mu_rope_is_by_length(&r)); /* both lists alike: nothing depends on the length */
    r.long_factor[1] = 2;
    XT_CHECK(mu_rope_is_by_length(&r));
    XT_EQ(mu_rope_class(&r, 64), 0);
    XT_EQ(mu_rope_class(&r, 65), 1);
    XT_EQ(mu_rope_class(&r, 99), 1);
}

XT_MAIN()
