/* engine.c - see engine.h */
#include "engine/resident/engine.h"

#include <string.h>

#include "base/check.h"
#include "engine/resident/pressure.h"
#include "plan/bill.h"

/* What the engine adds to the process, whatever that holds already. */
static size_t bytes_of(const struct mu_bill *b)
{
    size_t bytes = b->bytes_peak - MU_BILL_RUNTIME_BYTES;
    for (int i = 0; i < b->n_lines; i++) {
        if (strcmp(b->lines[i].name, "in use") == 0)
            bytes -= b->lines[i].bytes;
    }
    return bytes;
}

struct measured {
    size_t bytes;
    bool is_known;
};

/* The bill is all that is wanted: nothing is reserved or read. */
static int take_bill(void *arg, const struct mu_bill *bill)
{
    *(struct measured *)arg = (struct measured){bytes_of(bill), true};
    return 1;
}

static int measure(void *arg, const char *name, size_t *bytes, struct mu_err *e)
{
    const struct mu_resident_engines *x = arg;
    struct mu_engine_opts o = x->opts;
    struct measured m = {0, false};
    struct mu_err err = MU_ERR_INIT;
    mu_engine *eng = NULL;
    o.model = name;
    o.on_bill = take_bill;
    o.on_progress = NULL;
    o.on_choice = NULL;
    o.arg = &m;
    int rc = mu_engine_open(&eng, &o, &err);
    mu_engine_close(eng); /* one without a bill opened after all */
    if (rc != MU_OK && !m.is_known)
        return mu_fail(e, rc, "%s", err.text);
    *bytes = m.bytes;
    return MU_OK;
}

static int open_engine(void *arg, const char *name, void **model, struct mu_err *e)
{
    const struct mu_resident_engines *x = arg;
    struct mu_engine_opts o = x->opts;
    mu_engine *eng = NULL;
    o.model = name;
    MU_TRY_RETURN(mu_engine_open(&eng, &o, e));
    *model = eng;
    return MU_OK;
}

static void close_engine(void *arg, void *model)
{
    (void)arg;
    mu_engine_close(model);
}

static int trim(void *arg, void *model, struct mu_err *e)
{
    size_t freed;
    (void)arg;
    return mu_engine_optimize_memory(model, &freed, e);
}

static size_t pressure(void *arg)
{
    struct mu_pressure p;
    (void)arg;
    mu_pressure_read(&p);
    return mu_pressure_wants(&p);
}

const struct mu_resident_ops mu_resident_engine_ops = {
    .measure = measure, .open = open_engine, .close = close_engine, .trim = trim, .pressure = pressure};
