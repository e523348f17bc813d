/* fake_engine.c - see fake_engine.h */
#include "fake_engine.h"

#include "base/check.h"

static void begin(const struct mu_detok *d, void *state)
{
    (void)d, (void)state;
}

static int add(const struct mu_detok *d, void *state, int32_t id, struct mu_buf *out, struct mu_err *e)
{
    (void)d, (void)state;
    if (id == 95)
        return mu_buf_printf(out, e, "<%d>", id);
    return mu_buf_putc(out, (char)(' ' + id), e);
}

static int end(const struct mu_detok *d, void *state, struct mu_buf *out, struct mu_err *e)
{
    (void)d, (void)state, (void)out, (void)e;
    return MU_OK;
}

const struct mu_detok_ops fake_detok_ops = {begin, add, end};

static int sizes(void *arg, const struct mu_bill_limits *l, struct mu_model_sizes *out, struct mu_err *e)
{
    (void)e;
    mu_fake_sizes(arg, l->rows, l->logit_rows, out);
    return MU_OK;
}

int fake_engine_open(mu_engine **out, struct fake_setup *s, struct mu_err *e)
{
    struct mu_light_parts parts = {.model_sizes = sizes,
                                   .sizes_arg = &s->model,
                                   .kv_dtype = MU_I32,
                                   .arch = "Fake",
                                   .level = "none",
                                   .threads = 1,
                                   .bos = 1,
                                   .eos = {s->eos},
                                   .n_eos = s->eos >= 0};
    if (s->has_text)
        parts.detok.ops = &fake_detok_ops;
    MU_TRY_RETURN(mu_fake_runner_new(&parts.runner, &s->model, e));
    s->runner = parts.runner;
    return mu_light_open_parts(out, &s->opts, &parts, e);
}
