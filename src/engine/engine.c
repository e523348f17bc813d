/* engine.c - the public face over the table of engines */
#include "engine/engine_int.h"

#include <stdio.h>

#include "base/check.h"
#include "base/mem.h"
#include "comm/comm.h"
#include "engine/forecast.h"
#include "engine/select_look.h"

/* In the order in which equals are preferred. */
static const struct mu_engine_ops *const engines[] = {&mu_engine_light, &mu_engine_distributed, &mu_engine_remote};

_Static_assert(MU_COUNT(engines) <= MU_SELECT_MAX, "the selector's table has room for every engine");

#define CHOICE_BYTES_MAX ((size_t)16 << 10)

static void look_at(struct mu_select_candidate *c, const struct mu_engine_ops *ops, const struct mu_engine_opts *o)
{
    struct mu_err why = MU_ERR_INIT;
    *c = (struct mu_select_candidate){.name = ops->name, .is_elsewhere = ops == &mu_engine_remote};
    c->code = ops->can_handle(o, &why);
    c->can = c->code == MU_OK;
    snprintf(c->reason, sizeof c->reason, "%.*s", (int)sizeof c->reason - 1, why.text);
}

static void tell(const struct mu_engine_opts *o, const struct mu_select_table *t)
{
    struct mu_buf text = MU_BUF_INIT("a table of engines", CHOICE_BYTES_MAX);
    if (o->on_choice && mu_select_print(t, &text, NULL) == MU_OK)
        o->on_choice(o->arg, text.p);
    mu_buf_fini(&text);
}

/* The wishes leave one engine; who wants to see the table gets its numbers too. */
static int choose(const struct mu_engine_ops **out, const struct mu_engine_opts *o, struct mu_err *e)
{
    struct mu_select_ask ask = {.context = o->context_max,
                                .wish = o->engine,
                                .has_endpoint = o->endpoint != NULL,
                                .n_ranks = mu_comm_size(o->world)};
    struct mu_select_candidate c[MU_COUNT(engines)];
    struct mu_select_table table;
    for (size_t i = 0; i < MU_COUNT(engines); i++)
        look_at(&c[i], engines[i], o);
    if (o->on_choice)
        mu_select_look(&ask, c, (int)MU_COUNT(engines), o);
    int rc = mu_select(&table, &ask, c, (int)MU_COUNT(engines), e);
    tell(o, &table);
    *out = rc == MU_OK ? engines[table.chosen] : NULL;
    return rc;
}

/* Ranks that follow hear of an engine that they have no part in, or of none. */
int mu_engine_open(mu_engine **out, const struct mu_engine_opts *o, struct mu_err *e)
{
    const struct mu_engine_ops *ops = NULL;
    int rc = choose(&ops, o, e);
    if (ops != &mu_engine_distributed && mu_comm_size(o->world) > 1 && mu_comm_rank(o->world) == 0)
        mu_engine_dismiss(o->world);
    return rc == MU_OK ? ops->open(out, o, e) : rc;
}

void mu_engine_close(mu_engine *eng)
{
    if (eng)
        eng->ops->close(eng);
}

void mu_engine_info(const mu_engine *eng, struct mu_engine_info *out)
{
    eng->ops->info(eng, out);
}

void mu_engine_seen(mu_engine *eng, struct mu_engine_seen *out)
{
    *out = (struct mu_engine_seen){0};
    if (eng->ops->seen)
        eng->ops->seen(eng, out);
}

double mu_engine_predict(const mu_engine *eng, int sequences, int rows, int64_t context, int n_logits)
{
    const struct mu_forecast *f = eng->ops->forecast ? eng->ops->forecast(eng) : NULL;
    int64_t n = (int64_t)sequences * rows;
    struct mu_step_made one = {.steps = 1, .rows = n, .sequences = sequences, .logit_rows = n_logits};
    one.keys = n * (context + (rows + 1) / 2);
    return f ? mu_forecast_step(f, &one) : 0;
}

const struct mu_bill *mu_engine_bill(const mu_engine *eng)
{
    return eng->ops->bill(eng);
}

int mu_engine_submit(mu_engine *eng, const struct mu_request *r, uint64_t *id, struct mu_err *e)
{
    return eng->ops->submit(eng, r, id, e);
}

int mu_engine_poll(mu_engine *eng, struct mu_result **out, int64_t timeout_ns, struct mu_err *e)
{
    return eng->ops->poll(eng, out, timeout_ns, e);
}

int mu_engine_cancel(mu_engine *eng, uint64_t id, struct mu_err *e)
{
    return eng->ops->cancel(eng, id, e);
}

void mu_engine_status(mu_engine *eng, struct mu_engine_status *out)
{
    eng->ops->status(eng, out);
}

int mu_engine_optimize_memory(mu_engine *eng, size_t *bytes_freed, struct mu_err *e)
{
    return eng->ops->optimize_memory(eng, bytes_freed, e);
}

const char *mu_finish_name(enum mu_finish f)
{
    static const char *const names[] = {"none", "stop", "length", "cancelled", "error"};
    return (unsigned)f < MU_COUNT(names) ? names[f] : "?";
}
