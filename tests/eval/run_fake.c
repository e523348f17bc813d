/* run_fake.c - see run_fake.h */
#include "run_fake.h"

#include "engine/fake_engine.h"

_Static_assert(RUN_FAKE_CONTEXT == FAKE_CONTEXT, "one fake model");

int run_fake_open(mu_engine **out, int32_t nan_token, bool is_slow, struct mu_err *e)
{
    struct fake_setup s = FAKE_SETUP_INIT;
    s.eos = RUN_FAKE_END;
    s.has_text = true;
    s.model.nan_token = nan_token;
    s.opts.rows_max = is_slow ? 1 : 0;
    s.opts.sequences_max = is_slow ? 2 : 0;
    return fake_engine_open(out, &s, e);
}
