/* engine.c - see engine.h */
#include "engine/resident/engine.h"

#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "engine/resident/pressure.h"

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
    struct mu_resident_size *size;
    bool is_known;
};

/* The bill is all that is wanted: nothing is reserved or read. */
static int take_bill(void *arg, const struct mu_bill *bill)
{
    struct measured *m = arg;
    *m->size = (struct mu_resident_size){bytes_of(bill), bill->limits};
    m->is_known = true;
    return 1;
}

int mu_resident_measure(const struct mu_engine_opts *opts, size_t bytes_max, struct mu_resident_size *out,
                        struct mu_err *e)
{
    struct mu_engine_opts o = *opts;
    struct measured m = {out, false};
    struct mu_err err = MU_ERR_INIT;
    mu_engine *eng = NULL;
    *out = (struct mu_resident_size){.bytes = 0};
    if (bytes_max > 0)
        o.memory_bytes_max = mu_mem_bytes_used() + MU_BILL_RUNTIME_BYTES + bytes_max;
    o.on_bill = take_bill;
    o.on_progress = NULL;
    o.on_choice = NULL;
    o.arg = &m;
    int rc = mu_engine_open(&eng, &o, &err);
    mu_engine_close(eng); /* one without a bill opened after all */
    return rc != MU_OK && !m.is_known ? mu_fail(e, rc, "%s", err.text) : MU_OK;
}

void mu_resident_pin(struct mu_engine_opts *o, const struct mu_resident_size *size)
{
    if (size->bytes == 0)
        return;
    o->context_max = size->limits.context;
    o->rows_max = size->limits.rows;
    o->sequences_max = size->limits.sequences;
    o->kv_tokens_max = size->limits.pages * MU_KV_PAGE;
}

static int measure(void *arg, const char *name, size_t *bytes, struct mu_err *e)
{
    const struct mu_resident_engines *x = arg;
    struct mu_engine_opts o = x->opts;
    struct mu_resident_size size;
    o.model = name;
    MU_TRY_RETURN(mu_resident_measure(&o, 0, &size, e));
    *bytes = size.bytes;
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

size_t mu_resident_pressure(void *unused)
{
    struct mu_pressure p;
    (void)unused;
    mu_pressure_read(&p);
    return mu_pressure_wants(&p);
}

const struct mu_resident_ops mu_resident_engine_ops = {
    .measure = measure, .open = open_engine, .close = close_engine, .trim = trim, .pressure = mu_resident_pressure};
