/* plan_json.c - a plan for programs */
#include "base/check.h"
#include "plan/plan_int.h"

static json_t *layout_json(const struct mu_layout *l)
{
    json_t *stages = json_array();
    char text[64];
    for (int i = 0; i < l->pp && l->stage_end[l->pp - 1] > 0; i++)
        json_array_append_new(stages, json_integer(l->stage_end[i] - (i > 0 ? l->stage_end[i - 1] : 0)));
    return json_pack("{s:s, s:i, s:i, s:i, s:i, s:i, s:i, s:o}", "text", plan_layout_text(text, l), "tp", l->tp, "pp",
                     l->pp, "dp", l->dp, "ep", l->ep, "lanes", mu_layout_lanes(l), "replicas", mu_layout_replicas(l),
                     "stage_layers", stages);
}

static json_t *bill_json(const struct mu_rank_bill *b)
{
    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "weights", (json_int_t)b->weights, "kv",
                     (json_int_t)b->kv, "activations", (json_int_t)b->activations, "work", (json_int_t)b->work,
                     "logits", (json_int_t)b->logits, "comm", (json_int_t)b->comm, "runtime", (json_int_t)b->runtime,
                     "total", (json_int_t)b->total);
}

static json_t *step_json(const struct mu_cost_step *t)
{
    return json_pack("{s:f, s:f, s:f, s:f, s:f, s:f}", "compute", t->compute, "memory", t->memory, "comm", t->comm,
                     "bubble", t->bubble, "launch", t->launch, "total", t->total);
}

static json_t *choice_json(const struct mu_plan_choice *c)
{
    return json_pack("{s:o, s:s, s:s, s:I, s:I, s:I, s:I, s:i, s:i, s:o, s:o, s:o, s:f, s:f, s:f, s:f, s:f}", "layout",
                     layout_json(&c->layout), "weights", mu_wformat_name(c->work.weights), "kv_dtype",
                     mu_kv_type_name(c->work.kv_dtype), "batch", (json_int_t)c->work.batch, "rows",
                     (json_int_t)c->limits.rows, "logit_rows", (json_int_t)c->limits.logit_rows, "kv_tokens",
                     (json_int_t)(c->limits.pages * MU_KV_PAGE), "idle", c->idle, "fullest_rank", c->fullest, "memory",
                     bill_json(&c->bill), "prefill_s", step_json(&c->cost.prefill), "decode_s",
                     step_json(&c->cost.decode), "requests_per_s", c->requests_per_s, "tokens_per_s",
                     c->cost.tokens_per_s, "output_per_s", c->cost.output_per_s, "load_s", c->cost.load_s, "total_s",
                     c->cost.total_s);
}

static json_t *ranks_json(const struct mu_plan_choice *c, const struct mu_plan_ask *ask)
{
    int n = mu_layout_ranks(&c->layout) / mu_layout_replicas(&c->layout);
    json_t *ranks = json_array();
    for (int r = 0; r < n; r++) {
        struct mu_layout_place at = mu_layout_place_of(&c->layout, r);
        struct mu_rank_bill b;
        mu_plan_rank_bill(&b, c, ask->spec, ask->machine, r);
        json_array_append_new(ranks, json_pack("{s:i, s:i, s:i, s:i, s:o}", "rank", r, "stage", at.stage, "lane",
                                               at.lane, "tensor_rank", at.t, "memory", bill_json(&b)));
    }
    return ranks;
}

static json_t *refused_json(const struct mu_plan_refused *r)
{
    return json_pack("{s:o, s:s, s:f}", "layout", layout_json(&r->layout), "why", r->why, "bytes_missing",
                     r->bytes_missing);
}

static void add_choice(json_t *o, const struct mu_plan *p, const struct mu_plan_ask *ask, bool all)
{
    json_t *others = json_array(), *reasons = json_array();
    for (int i = 0; i < p->n_alternatives; i++)
        json_array_append_new(others, choice_json(&p->alternatives[i]));
    for (int i = 0; i < p->n_reasons; i++)
        json_array_append_new(reasons, json_string(p->reasons[i]));
    json_object_set_new(o, "plan", choice_json(&p->choice));
    json_object_set_new(o, "reasons", reasons);
    json_object_set_new(o, "alternatives", others);
    if (all)
        json_object_set_new(o, "ranks", ranks_json(&p->choice, ask));
}

json_t *mu_plan_json(const struct mu_plan *p, const struct mu_plan_ask *ask, const char *name, bool all)
{
    json_t *refused = json_array();
    for (int i = 0; i < p->n_refused; i++)
        json_array_append_new(refused, refused_json(&p->refused[i]));
    json_t *o =
        json_pack("{s:s, s:I, s:i, s:o, s:I, s:I, s:b, s:s?, s:f, s:i, s:i, s:o}", "model", name, "n_params",
                  (json_int_t)ask->spec->n_params, "devices", p->devices, "machine", mu_machine_json(ask->machine),
                  "prompt", (json_int_t)ask->work.prompt, "output", (json_int_t)ask->work.output, "is_refused",
                  (int)p->is_refused, "refusal", p->is_refused ? p->refusal : NULL, "bytes_missing", p->bytes_missing,
                  "layouts_that_fit", p->n_fit, "layouts_refused", p->n_refused_in_all, "refused", refused);
    if (o && !p->is_refused)
        add_choice(o, p, ask, all);
    return o;
}
